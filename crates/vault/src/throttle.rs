//! Throttling as Azure does it: so much per vault in ten seconds, more work for larger keys (key-vault spec, 5).
//!
//! ```text
//! per vault and 10 s             HSM keys   software keys
//! making keys, releases               10              20
//! all else, RSA 2048, EC, oct       2000            4000
//!   RSA 3072                         500            1000
//!   RSA 4096                         250             500
//! ```
//!
//! The lower rows are one budget, of which a larger key takes more. Requests that are refused before a key is found, or for
//! its state, cost nothing; what fails after does: guessing at paddings and at attestation shall not be free. Deliberately
//! not here: any fairness between callers, and limits of a Managed HSM, which Azure states none of for making and releasing.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use skerry_attestation_result::unix_secs;
use skerry_keys::{KeyType, RsaBits};

/// Whether a vault limits what it does in ten seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Throttling {
    /// It does what it can.
    #[default]
    Off,
    /// Azure Key Vault's published limits.
    Azure,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// Making a key, or releasing one, which Azure counts as the same.
    Make { hsm: bool },
    /// Everything else with a key.
    Use { hsm: bool, key_type: KeyType },
    /// What has no key, or is not about its material.
    Manage,
}

/// Too much in this span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Throttled {
    /// Until the next span.
    pub(crate) retry_after_secs: u64,
}

/// The state of one vault.
pub(crate) struct Throttle {
    throttling: Throttling,
    spans: Mutex<Span>,
}

#[derive(Default)]
struct Span {
    number: u64,
    spent: [u32; 4],
}

impl Throttle {
    pub(crate) fn new(throttling: Throttling) -> Throttle {
        Throttle { throttling, spans: Mutex::default() }
    }

    /// Takes from the budget of this span of time, iff there is enough left.
    pub(crate) fn spend(&self, load: Load, now: SystemTime) -> Result<(), Throttled> {
        if self.throttling == Throttling::Off {
            return Ok(());
        }
        let now = unix_secs(now);
        let number = now / SPAN_SECS;
        // No code that panics runs under the lock.
        let mut span = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back begins a span too: nobody waits for a time that will not come.
        if span.number != number {
            *span = Span { number, spent: [0; 4] };
        }
        let (budget, cost) = load.cost();
        let refused = Throttled { retry_after_secs: SPAN_SECS.saturating_sub(now % SPAN_SECS) };
        let spent = span.spent.get_mut(budget.index).ok_or(refused)?;
        match spent.checked_add(cost).filter(|sum| *sum <= budget.max) {
            Some(sum) => *spent = sum,
            None => return Err(refused),
        }
        Ok(())
    }
}

/// What may be spent in a span.
#[derive(Clone, Copy)]
struct Budget {
    index: usize,
    max: u32,
}

impl Load {
    fn cost(self) -> (Budget, u32) {
        match self {
            Self::Make { hsm: true } => (Budget { index: 0, max: 10 }, 1),
            Self::Make { hsm: false } => (Budget { index: 1, max: 20 }, 1),
            Self::Use { hsm: true, key_type } => (Budget { index: 2, max: 2000 }, weight(key_type)),
            Self::Use { hsm: false, key_type } => (Budget { index: 3, max: 4000 }, weight(key_type)),
            Self::Manage => (Budget { index: 3, max: 4000 }, 1),
        }
    }
}

/// The columns above: 2000, 500 and 250, or twice that.
fn weight(key_type: KeyType) -> u32 {
    match key_type {
        KeyType::Rsa { bits: RsaBits::B3072 } => 4,
        KeyType::Rsa { bits: RsaBits::B4096 } => 8,
        KeyType::Rsa { bits: RsaBits::B2048 } | KeyType::Ec { .. } | KeyType::Oct { .. } | KeyType::Akp { .. } => 1,
    }
}

/// Seconds that Azure counts over.
const SPAN_SECS: u64 = 10;

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use skerry_keys::Curve;

    use super::*;

    fn at(secs: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(secs)
    }

    fn used(hsm: bool, bits: RsaBits) -> Load {
        Load::Use { hsm, key_type: KeyType::Rsa { bits } }
    }

    /// Each kind of work is good for exactly the published number in ten seconds, and then again in the next.
    #[test]
    fn budgets_are_the_published_ones() {
        let table = [
            (Load::Make { hsm: true }, 10),
            (Load::Make { hsm: false }, 20),
            (used(true, RsaBits::B2048), 2000),
            (used(true, RsaBits::B3072), 500),
            (used(true, RsaBits::B4096), 250),
            (used(false, RsaBits::B2048), 4000),
            (used(false, RsaBits::B3072), 1000),
            (used(false, RsaBits::B4096), 500),
            (Load::Use { hsm: true, key_type: KeyType::Ec { curve: Curve::P521 } }, 2000),
            (Load::Manage, 4000),
        ];
        for (load, times) in table {
            let throttle = Throttle::new(Throttling::Azure);
            for span in [1_000, 1_010] {
                for _ in 0..times {
                    assert_eq!(throttle.spend(load, at(span)), Ok(()), "{load:?}");
                }
                assert_eq!(throttle.spend(load, at(span + 3)), Err(Throttled { retry_after_secs: 7 }), "{load:?}");
            }
        }
    }

    /// Budgets are apart: who may make no more keys can still use them. What is refused costs nothing.
    #[test]
    fn budgets_are_apart_and_refusals_cost_nothing() {
        let throttle = Throttle::new(Throttling::Azure);
        for _ in 0..249 {
            assert_eq!(throttle.spend(used(true, RsaBits::B4096), at(0)), Ok(()));
        }
        assert_eq!(throttle.spend(used(true, RsaBits::B2048), at(0)), Ok(()));
        assert_eq!(throttle.spend(used(true, RsaBits::B4096), at(9)), Err(Throttled { retry_after_secs: 1 }));
        for _ in 0..7 {
            assert_eq!(throttle.spend(used(true, RsaBits::B2048), at(9)), Ok(()));
        }
        assert!(throttle.spend(used(true, RsaBits::B2048), at(9)).is_err());
        assert_eq!(throttle.spend(used(false, RsaBits::B2048), at(9)), Ok(()));
        assert_eq!(throttle.spend(Load::Make { hsm: true }, at(9)), Ok(()));
    }

    /// A clock that is set back does not lock anybody out, and a vault without limits has none.
    #[test]
    fn a_clock_set_back_begins_a_span_and_off_is_off() {
        let throttle = Throttle::new(Throttling::Azure);
        for _ in 0..10 {
            assert_eq!(throttle.spend(Load::Make { hsm: true }, at(1_000)), Ok(()));
        }
        assert!(throttle.spend(Load::Make { hsm: true }, at(1_000)).is_err());
        assert_eq!(throttle.spend(Load::Make { hsm: true }, at(10)), Ok(()));
        let off = Throttle::new(Throttling::Off);
        assert!((0..5_000).all(|_| off.spend(Load::Make { hsm: true }, at(0)).is_ok()));
    }
}
