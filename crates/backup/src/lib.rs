//! The file that a server is recovered from: written, read, sealed to recovery certificates.
