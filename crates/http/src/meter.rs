//! What a server counts: requests by operation, method and class of status, how long they took, connections.
//!
//! A request is counted when its work has ended, also if its client was let go before: what runs over its time shows in
//! `overdue` at once and among the durations when it has ended. Each count is an addition to a number that is there from the
//! start; nothing is locked, and no label is made of what a client sent.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use skerry_meter::{Counter, Durations, Seen};

use crate::gate::Gate;
use crate::operation::Operation;

/// Methods that are told apart; all others are `other`.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "other"];

/// Classes of status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The numbers of one server. Clones share them.
#[derive(Clone, Default)]
pub struct Meter {
    counts: Arc<Counts>,
    listeners: Vec<Gates>,
}

#[derive(Clone)]
pub(crate) struct Gates {
    pub(crate) connections: Arc<Gate>,
    pub(crate) in_flight: Arc<Gate>,
}

pub(crate) struct Counts {
    operations: [OfOperation; Operation::COUNT],
    pub(crate) overdue: Counter,
    pub(crate) panics: Counter,
    pub(crate) accepted: Counter,
    pub(crate) turned_away: Counter,
    pub(crate) handshakes: Durations,
    pub(crate) handshakes_failed: Counter,
    pub(crate) handshakes_late: Counter,
}

#[derive(Default)]
struct OfOperation {
    answers: [[Counter; CLASSES.len()]; METHODS.len()],
    took: Durations,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts {
            operations: std::array::from_fn(|_| OfOperation::default()),
            overdue: Counter::default(),
            panics: Counter::default(),
            accepted: Counter::default(),
            turned_away: Counter::default(),
            handshakes: Durations::default(),
            handshakes_failed: Counter::default(),
            handshakes_late: Counter::default(),
        }
    }
}

impl Counts {
    pub(crate) fn answered(&self, operation: Operation, method: &Method, status: StatusCode, took: Duration) {
        let Some(own) = self.operations.get(operation.index()) else { return };
        let method = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(cell) = own.answers.get(method).and_then(|classes| classes.get(class)) {
            cell.count();
        }
        own.took.observe(took);
    }
}

/// The numbers at a time. What never happened is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Operation, method, class of status, how many.
    pub answers: Vec<(Operation, &'static str, &'static str, u64)>,
    /// How long the work of each operation took.
    pub took: Vec<(Operation, Seen)>,
    /// Clients that were let go because their work was not done in time.
    pub overdue: u64,
    /// Work that ended in a panic; it is among the answers with 5xx.
    pub panics: u64,
    /// Requests being answered.
    pub in_flight: usize,
    /// Connections open.
    pub connections: usize,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once because there were too many.
    pub turned_away: u64,
    /// TLS handshakes that ended well, and how long they took.
    pub handshakes: Seen,
    /// TLS handshakes that failed.
    pub handshakes_failed: u64,
    /// TLS handshakes that did not end in time.
    pub handshakes_late: u64,
}

impl Meter {
    pub(crate) fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    pub(crate) fn watch(&mut self, listener: Gates) {
        self.listeners.push(listener);
    }

    /// Counts an answer, as the server does when the work of a request has ended; for a bench, which asks what that costs.
    #[doc(hidden)]
    pub fn answered(&self, operation: Operation, method: &Method, status: StatusCode, took: Duration) {
        self.counts.answered(operation, method, status, took);
    }

    /// The numbers now.
    pub fn snapshot(&self) -> Snapshot {
        let counts = &*self.counts;
        let mut snapshot = Snapshot {
            overdue: counts.overdue.value(),
            panics: counts.panics.value(),
            in_flight: self.listeners.iter().map(|listener| listener.in_flight.within()).sum(),
            connections: self.listeners.iter().map(|listener| listener.connections.within()).sum(),
            accepted: counts.accepted.value(),
            turned_away: counts.turned_away.value(),
            handshakes: counts.handshakes.snapshot(),
            handshakes_failed: counts.handshakes_failed.value(),
            handshakes_late: counts.handshakes_late.value(),
            ..Snapshot::default()
        };
        for (operation, own) in Operation::all().zip(&counts.operations) {
            let took = own.took.snapshot();
            if took.count() > 0 {
                snapshot.took.push((operation, took));
            }
            for (method, classes) in METHODS.into_iter().zip(&own.answers) {
                let seen = CLASSES.into_iter().zip(classes.iter().map(Counter::value)).filter(|(_, seen)| *seen > 0);
                snapshot.answers.extend(seen.map(|(class, seen)| (operation, method, class, seen)));
            }
        }
        snapshot
    }
}
