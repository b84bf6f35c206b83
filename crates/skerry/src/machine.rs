//! The one place that asks the machine for time and randomness.

use std::time::SystemTime;

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use rand_core::CryptoRng;
use skerry_http::Machine;

/// Randomness of the operating system, which ends the process where it has none.
pub(crate) fn rng() -> impl CryptoRng + Send {
    UnwrapErr(SysRng)
}

/// The machine's clock and randomness, for the server.
pub(crate) fn machine() -> Machine {
    Machine::new(SystemTime::now, || Box::new(rng()))
}

/// `N` random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand_core::Rng::fill_bytes(&mut rng(), &mut bytes);
    bytes
}
