//! Counters and histograms that a hot path can afford: one relaxed addition each, no lock, nothing allocated.
//!
//! A crate that does something worth counting holds these in a struct of its own and gives that out as plain numbers; the
//! program gathers them and gives them their names (docs/decisions/021). Numbers only grow; a reader sees each at some time
//! while it reads, so two of them may differ by what happened in between.
//!
//! Deliberately not here: names, labels, registries, formats, and gauges: a gauge is asked of what it is about.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn count(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The number now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often something took how long, in steps from a tenth of a millisecond to ten seconds.
#[derive(Debug, Default)]
pub struct Durations {
    /// One for each of [`BOUNDS`], and one for what takes longer than the last.
    steps: [Counter; STEPS],
    nanos: Counter,
}

impl Durations {
    /// Counts one that took so long.
    pub fn observe(&self, took: Duration) {
        let step = BOUNDS.partition_point(|(bound, _)| *bound < took);
        if let Some(step) = self.steps.get(step) {
            step.count();
        }
        self.nanos.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The numbers now.
    pub fn snapshot(&self) -> Seen {
        Seen { steps: self.steps.each_ref().map(Counter::value), nanos: self.nanos.value() }
    }
}

/// What a [`Durations`] had seen at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    steps: [u64; STEPS],
    nanos: u64,
}

impl Seen {
    /// How many there were.
    pub fn count(&self) -> u64 {
        self.steps.iter().fold(0, |all, step| all.saturating_add(*step))
    }

    /// How long all of them took, in seconds.
    pub fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanos).as_secs_f64()
    }

    /// Upper bounds in seconds, and how many took longer than the one before and no longer than this; the last is infinite.
    pub fn steps(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.iter().map(|(_, seconds)| *seconds).chain([f64::INFINITY]);
        bounds.zip(self.steps).collect()
    }
}

/// Upper bounds, and the same in seconds as they are shown. A look-up takes a few tens of microseconds, a signature one or two
/// milliseconds, a sync of a disk up to some tens, and the server lets nobody wait longer than a minute.
const BOUNDS: [(Duration, f64); 16] = [
    (Duration::from_micros(100), 0.000_1),
    (Duration::from_micros(250), 0.000_25),
    (Duration::from_micros(500), 0.000_5),
    (Duration::from_millis(1), 0.001),
    (Duration::from_micros(2_500), 0.002_5),
    (Duration::from_millis(5), 0.005),
    (Duration::from_millis(10), 0.01),
    (Duration::from_millis(25), 0.025),
    (Duration::from_millis(50), 0.05),
    (Duration::from_millis(100), 0.1),
    (Duration::from_millis(250), 0.25),
    (Duration::from_millis(500), 0.5),
    (Duration::from_secs(1), 1.0),
    (Duration::from_millis(2_500), 2.5),
    (Duration::from_secs(5), 5.0),
    (Duration::from_secs(10), 10.0),
];

const STEPS: usize = BOUNDS.len() + 1;

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)] // reason: tests

    use super::*;

    /// What took exactly as long as a bound says is below it; what took longer than all is in the last step.
    #[test]
    fn bounds_are_upper_bounds() {
        let durations = Durations::default();
        for took in [Duration::ZERO, Duration::from_micros(100), Duration::from_nanos(100_001), Duration::from_secs(60)]
        {
            durations.observe(took);
        }
        let seen = durations.snapshot();
        assert_eq!(seen.count(), 4);
        assert_eq!(seen.steps()[..3], [(0.000_1, 2), (0.000_25, 1), (0.000_5, 0)]);
        assert_eq!(seen.steps().last(), Some(&(f64::INFINITY, 1)));
        assert!((seen.seconds() - 60.000_200_001).abs() < 1e-9);
    }

    /// Bounds grow, and are shown as what they are.
    #[test]
    fn bounds_are_in_order() {
        assert!(BOUNDS.windows(2).all(|two| two[0].0 < two[1].0));
        assert!(BOUNDS.iter().all(|(bound, seconds)| (bound.as_secs_f64() - seconds).abs() < 1e-12));
    }
}
