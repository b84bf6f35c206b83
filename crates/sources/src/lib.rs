//! Fetched things.
