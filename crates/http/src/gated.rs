//! A surface behind the server's health: probes are answered always, all else once the server is open.
//!
//! A sealed server has its listeners, so that a probe and a client learn that it is there. To all but probes it says 503 and
//! nothing else: no challenge, no word on which vaults there are, since what it would say of them it cannot know yet.

use std::sync::{Arc, OnceLock};

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};

use crate::front::Surface;
use crate::health::{Health, Phase};
use crate::reply::Reply;
use crate::request::Request;

/// A surface that is there later, and the health of the server that it belongs to.
pub struct Gated {
    health: Arc<Health>,
    behind: OnceLock<Surface>,
}

impl Gated {
    /// A gate with nothing behind it yet.
    pub fn new(health: Arc<Health>) -> Gated {
        Gated { health, behind: OnceLock::new() }
    }

    /// Puts this surface behind the gate, for good; false if there is one already. It is reached once the server's phase is
    /// [`Phase::Open`].
    pub fn open(&self, surface: Surface) -> bool {
        self.behind.set(surface).is_ok()
    }

    /// The surface that is to answer, or the answer.
    pub(crate) fn pass(&self, request: &Request) -> Result<&Surface, Reply> {
        if let Some(reply) = self.health.answer(request) {
            return Err(reply);
        }
        self.surface().ok_or_else(|| sealed(self.health.phase()))
    }

    /// The surface, of a server that is open.
    pub(crate) fn surface(&self) -> Option<&Surface> {
        self.behind.get().filter(|_| self.health.phase() == Phase::Open)
    }
}

/// What everybody is told alike. A person has to act before it is otherwise, while opening takes seconds.
fn sealed(phase: Phase) -> Reply {
    let (text, after) = match phase {
        Phase::Sealed => ("the server is sealed, and an operator has to unseal it", "30"),
        Phase::Opening | Phase::Open => ("the server is being opened, try again", "1"),
    };
    Reply::error(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", text)
        .with(RETRY_AFTER, HeaderValue::from_static(after))
}
