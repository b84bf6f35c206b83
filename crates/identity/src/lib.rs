//! Principals.
