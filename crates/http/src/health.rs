//! Whether the server lives, is ready, is sealed: what a supervisor, a load balancer and an operator ask without a token.
//!
//! The answers are the same for everybody and on every listener, so nothing in them depends on what is stored: no names, no
//! counts, no versions. A server is ready iff it is open, does not drain, and every condition holds that the program gave it. That
//! it lives is said by answering at all: a live server that is not ready is waited for, not started anew.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::header::{HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use skerry_jose::json::Object;

use crate::operation;
use crate::reply::Reply;
use crate::request::Request;

/// How far a server has come out of its seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its root key is in its seal, and somebody has to take it out.
    Sealed,
    /// The root key is there, and what it seals is being opened.
    Opening,
    /// It serves.
    Open,
}

/// Whether something that readiness asks for holds now. It is called for every probe, so it neither waits nor computes.
pub type Condition = Box<dyn Fn() -> bool + Send + Sync>;

/// What probes are answered from. The program vouches that it says what is so.
pub struct Health {
    seal: &'static str,
    phase: AtomicU8,
    draining: AtomicBool,
    conditions: Mutex<Vec<(&'static str, Condition)>>,
}

impl Health {
    /// Of a server whose root key is in a seal of this kind, and which is not open yet.
    pub fn new(seal: &'static str, phase: Phase) -> Health {
        Health {
            seal,
            phase: AtomicU8::new(phase.number()),
            draining: AtomicBool::new(false),
            conditions: Mutex::default(),
        }
    }

    /// From now on it is in this phase.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase.number(), Ordering::Release);
    }

    /// The phase it is in.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            OPEN => Phase::Open,
            OPENING => Phase::Opening,
            _ => Phase::Sealed,
        }
    }

    /// From now on it takes no new work.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// From now on it is ready only while this holds. The reason is what a probe is told if not; it names no thing that is stored.
    pub fn demand(&self, reason: &'static str, condition: impl Fn() -> bool + Send + Sync + 'static) {
        self.lock().push((reason, Box::new(condition)));
    }

    /// Why it is not ready; empty iff it is.
    pub fn reasons(&self) -> Vec<&'static str> {
        let phase = match self.phase() {
            Phase::Sealed => Some("sealed"),
            Phase::Opening => Some("opening"),
            Phase::Open => None,
        };
        let draining = self.draining.load(Ordering::Acquire).then_some("draining");
        let conditions = self.lock();
        let unmet = conditions.iter().filter(|(_, holds)| !holds()).map(|(reason, _)| *reason);
        phase.into_iter().chain(draining).chain(unmet).collect()
    }

    /// The answer to a probe; none for what is no probe: another path, or a method that reads nothing.
    pub fn answer(&self, request: &Request) -> Option<Reply> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let probe = probe(request).filter(|_| reads)?;
        request.is_for(operation::HEALTH);
        match probe {
            Probe::Live => Some(Reply::json(StatusCode::OK, &Object::new().with("live", true))),
            Probe::Ready => Some(self.ready()),
            Probe::Sealed => Some(self.sealed()),
        }
    }

    /// Whether the path is a probe's, whatever the method.
    pub(crate) fn is_probe(request: &Request) -> bool {
        probe(request).is_some()
    }

    fn ready(&self) -> Reply {
        let reasons = self.reasons();
        if reasons.is_empty() {
            return Reply::json(StatusCode::OK, &Object::new().with("ready", true));
        }
        let reasons: Vec<String> = reasons.into_iter().map(str::to_owned).collect();
        let body = Object::new().with("ready", false).with("reasons", reasons);
        Reply::json(StatusCode::SERVICE_UNAVAILABLE, &body).with(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    fn sealed(&self) -> Reply {
        let sealed = self.phase() == Phase::Sealed;
        Reply::json(StatusCode::OK, &Object::new().with("sealed", sealed).with("seal", self.seal))
    }

    /// No code that panics runs under the lock, unless a condition does.
    fn lock(&self) -> MutexGuard<'_, Vec<(&'static str, Condition)>> {
        self.conditions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy)]
enum Probe {
    Live,
    Ready,
    Sealed,
}

/// Kubernetes' and load balancers' habit is one path for each question, answered by the status alone.
fn probe(request: &Request) -> Option<Probe> {
    match request.segments() {
        [health, live] if health == "health" && live == "live" => Some(Probe::Live),
        [health, ready] if health == "health" && ready == "ready" => Some(Probe::Ready),
        [health, sealed] if health == "health" && sealed == "sealed" => Some(Probe::Sealed),
        _ => None,
    }
}

impl Phase {
    fn number(self) -> u8 {
        match self {
            Self::Sealed => SEALED,
            Self::Opening => OPENING,
            Self::Open => OPEN,
        }
    }
}

const SEALED: u8 = 0;
const OPENING: u8 = 1;
const OPEN: u8 = 2;
