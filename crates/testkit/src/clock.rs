//! A clock for tests: it shows what it was set to, from every thread.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// A clock that stands still until it is set.
#[derive(Debug)]
pub struct Clock(Mutex<SystemTime>);

impl Clock {
    /// A clock that shows `time`.
    pub fn at(time: SystemTime) -> Clock {
        Clock(Mutex::new(time))
    }

    /// What it shows.
    pub fn now(&self) -> SystemTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets it, forwards or back.
    pub fn set(&self, time: SystemTime) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    /// Puts it forward; at the end of time it stays where it is.
    pub fn advance(&self, by: Duration) {
        let mut time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *time = time.checked_add(by).unwrap_or(*time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time passes only when a test says so.
    #[test]
    fn a_clock_stands_still() {
        let clock = Clock::at(SystemTime::UNIX_EPOCH);
        assert_eq!(clock.now(), clock.now());
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(5));
        clock.set(SystemTime::UNIX_EPOCH);
        assert_eq!(clock.now(), SystemTime::UNIX_EPOCH);
    }
}
