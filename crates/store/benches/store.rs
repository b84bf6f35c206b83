//! What reads and commits cost.

fn main() {}
