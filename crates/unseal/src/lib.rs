//! How the root key of an installation comes out of its seal.
