//! What the server asks of the machine it runs on: the time and randomness, both handed in by the program.

use std::sync::Arc;
use std::time::SystemTime;

use rand_core::Rng as _;
use skerry_vault::command::Randomizer;
use uuid::{Builder, Uuid};

pub use skerry_vault::command::Randomness;

/// The program's clock and randomness. Clones share both.
#[derive(Clone)]
pub struct Machine {
    now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    randomness: Arc<Randomizer>,
}

impl Machine {
    /// `now` reads the clock; `randomness` makes a source for one request, so that requests do not wait for each other.
    pub fn new(
        now: impl Fn() -> SystemTime + Send + Sync + 'static,
        randomness: impl Fn() -> Randomness + Send + Sync + 'static,
    ) -> Machine {
        Machine { now: Arc::new(now), randomness: Arc::new(randomness) }
    }

    /// The time.
    pub fn now(&self) -> SystemTime {
        (self.now)()
    }

    /// What makes sources of randomness.
    pub fn randomizer(&self) -> &Randomizer {
        &*self.randomness
    }

    /// Randomness for one request.
    pub fn randomness(&self) -> Randomness {
        (self.randomness)()
    }

    /// A random UUID (RFC 9562, 5.4).
    pub fn uuid(&self) -> Uuid {
        let mut octets = [0; 16];
        self.randomness().fill_bytes(&mut octets);
        Builder::from_random_bytes(octets).into_uuid()
    }
}
