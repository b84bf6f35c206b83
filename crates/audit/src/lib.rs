//! Append-only, tamper-evident log; makes Recorded
