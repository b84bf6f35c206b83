//! Development only: a clock that stands still, randomness that repeats, the runner of evidence vectors, and the checker of
//! histories.
//!
//! No production crate may use this one (`cargo xtask layers` sees to it). The runner judges with the functions that the
//! attestation service uses, through `skerry_verifier::examine`; it has no opinion of its own about evidence.

mod clock;
pub mod linear;
pub mod vectors;

pub use clock::Clock;
pub use rand_chacha::ChaCha20Rng;

use rand_core::SeedableRng;

/// Randomness that is the same in every run with the same `seed`.
pub fn seeded(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

#[cfg(test)]
mod tests {
    use rand_core::Rng;

    /// The same seed gives the same bytes, another seed others.
    #[test]
    fn a_seed_repeats() {
        let next = |seed| super::seeded(seed).next_u64();
        assert_eq!(next(7), next(7));
        assert_ne!(next(7), next(8));
    }
}
