//! Ordered bytes.
