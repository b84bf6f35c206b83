//! Parses and verifies evidence of TEEs; no I/O, no clock
