//! Development only: clocks, seeded randomness, vector runner
