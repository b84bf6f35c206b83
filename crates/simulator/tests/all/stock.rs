//! Roots shared by all tests, since RSA-4096 keys take seconds to make.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use skerry_simulator::{Chip, ChipConfig, Generation, Root, Tee, TeeConfig};

/// 2026-01-01 00:00:00.
pub(crate) fn made() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

pub(crate) fn days_later(days: u64) -> SystemTime {
    made() + Duration::from_secs(days * 86_400)
}

pub(crate) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

pub(crate) fn root(generation: Generation) -> &'static Root {
    static ROOTS: [OnceLock<Root>; 3] = [OnceLock::new(), OnceLock::new(), OnceLock::new()];
    let index = Generation::ALL.iter().position(|of| *of == generation).unwrap();
    ROOTS[index].get_or_init(|| Root::generate(generation, made(), &mut rng()).unwrap())
}

pub(crate) fn chip(generation: Generation) -> Chip {
    root(generation).chip(ChipConfig::numbered(generation, 1), made()).unwrap()
}

pub(crate) fn tee(config: TeeConfig) -> Tee {
    chip(Generation::Milan).boot(config, &mut rng())
}
