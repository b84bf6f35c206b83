//! How many denials of one caller go on record each for itself.
//!
//! A denial is durable before it is answered, so each costs a sync of the log and room in it, and whoever may ask for releases
//! can have as many denials as he likes. So each caller has a budget, which fills again with time; past it his denials are
//! counted, and the count goes on record within a minute.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use skerry_identity::Principal;

use crate::limits::{DENIALS_AT_ONCE, DENIALS_PER_SEC, DENIED_CALLERS_MAX};

/// The budgets of all callers.
#[derive(Default)]
pub(crate) struct Budgets {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    callers: HashMap<Principal, Bucket>,
    /// Of everybody for whom there is no room.
    others: Bucket,
}

struct Bucket {
    left: u64,
    /// Seconds since the epoch, when it was filled last.
    at: u64,
    counted: u64,
}

impl Default for Bucket {
    fn default() -> Bucket {
        Bucket { left: DENIALS_AT_ONCE, at: 0, counted: 0 }
    }
}

impl Bucket {
    fn spend(&mut self, now: u64) -> bool {
        let filled = now.saturating_sub(self.at).saturating_mul(DENIALS_PER_SEC);
        // A clock that was set back fills nothing until it is where it was.
        self.left = self.left.saturating_add(filled).min(DENIALS_AT_ONCE);
        self.at = self.at.max(now);
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => {
                self.counted = self.counted.saturating_add(1);
                return false;
            }
        }
        true
    }
}

impl Budgets {
    /// Whether one more denial of this caller goes on record for itself. If not it was counted.
    pub(crate) fn spend(&self, who: &Principal, now: u64) -> bool {
        let mut state = self.lock();
        if let Some(bucket) = state.callers.get_mut(who) {
            return bucket.spend(now);
        }
        if state.callers.len() < DENIED_CALLERS_MAX {
            return state.callers.entry(who.clone()).or_default().spend(now);
        }
        state.others.spend(now)
    }

    /// What was counted since the last time, of whom; none is all for whom there was no room. Who has his whole budget again
    /// is forgotten.
    pub(crate) fn take(&self, now: u64) -> Vec<(Option<Principal>, u64)> {
        let mut state = self.lock();
        let mut counted: Vec<_> = state
            .callers
            .iter_mut()
            .filter(|(_, bucket)| bucket.counted > 0)
            .map(|(who, bucket)| (Some(who.clone()), mem::take(&mut bucket.counted)))
            .collect();
        let full = DENIALS_AT_ONCE / DENIALS_PER_SEC;
        state.callers.retain(|_, bucket| now.saturating_sub(bucket.at) < full);
        if state.others.counted > 0 {
            counted.push((None, mem::take(&mut state.others.counted)));
        }
        counted
    }

    /// No code that panics runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(number: usize) -> Principal {
        Principal::new("https://issuer.example", format!("caller-{number}"))
    }

    /// A caller has his budget at once and its rate after, whatever others do; what is past it is counted once.
    #[test]
    fn budgets_are_apart_and_fill_again() {
        let budgets = Budgets::default();
        for _ in 0..DENIALS_AT_ONCE {
            assert!(budgets.spend(&who(1), 1000));
        }
        assert!(!budgets.spend(&who(1), 1000) && !budgets.spend(&who(1), 999));
        assert!(budgets.spend(&who(2), 1000));
        for _ in 0..DENIALS_PER_SEC {
            assert!(budgets.spend(&who(1), 1001));
        }
        assert!(!budgets.spend(&who(1), 1001));
        assert_eq!(budgets.take(1001), [(Some(who(1)), 3)]);
        assert_eq!(budgets.take(1001), []);
        assert!(!budgets.spend(&who(1), 1001), "taking the count is no new budget");
    }

    /// Past so many callers all others have one budget together; who has been quiet makes room.
    #[test]
    fn callers_are_bounded() {
        let budgets = Budgets::default();
        (0..DENIED_CALLERS_MAX).for_each(|number| assert!(budgets.spend(&who(number), 1000)));
        for number in 0..usize::try_from(DENIALS_AT_ONCE).unwrap() {
            assert!(budgets.spend(&who(DENIED_CALLERS_MAX + number), 1000));
        }
        assert!(!budgets.spend(&who(DENIED_CALLERS_MAX), 1000));
        assert!(budgets.spend(&who(0), 1000));
        assert_eq!(budgets.take(1000), [(None, 1)]);
        let later = 1000 + DENIALS_AT_ONCE / DENIALS_PER_SEC;
        assert_eq!(budgets.take(later), []);
        assert!(budgets.spend(&who(DENIED_CALLERS_MAX), later));
    }
}
