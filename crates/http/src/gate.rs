//! How many strangers may be within at once, in all and from one network: connections of a listener, requests in flight.
//!
//! What a single address can take is bounded, so that it cannot lock out the rest by being slow; many addresses still can.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Counts who is within.
pub(crate) struct Gate {
    max: usize,
    per_peer_max: usize,
    counts: Mutex<Counts>,
    emptied: Notify,
}

#[derive(Default)]
struct Counts {
    all: usize,
    by_peer: HashMap<IpAddr, usize>,
}

impl Gate {
    pub(crate) fn new(max: usize, per_peer_max: usize) -> Arc<Gate> {
        Arc::new(Gate { max, per_peer_max, counts: Mutex::default(), emptied: Notify::new() })
    }

    /// A place, iff there is one; it is given back when the pass is dropped.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Pass> {
        let peer = network_of(address);
        let mut counts = self.lock();
        let of_peer = counts.by_peer.get(&peer).copied().unwrap_or(0);
        if counts.all >= self.max || of_peer >= self.per_peer_max {
            return None;
        }
        counts.by_peer.insert(peer, of_peer.saturating_add(1));
        counts.all = counts.all.saturating_add(1);
        Some(Pass { gate: Arc::clone(self), peer })
    }

    /// How many are within.
    pub(crate) fn within(&self) -> usize {
        self.lock().all
    }

    /// Waits until nobody is within.
    pub(crate) async fn emptied(&self) {
        let mut emptied = pin!(self.emptied.notified());
        // Before the count is read: whoever leaves after is heard.
        emptied.as_mut().enable();
        if self.lock().all > 0 {
            emptied.await;
        }
    }

    fn leave(&self, peer: IpAddr) {
        let mut counts = self.lock();
        counts.all = counts.all.saturating_sub(1);
        match counts.by_peer.get_mut(&peer) {
            Some(of_peer) if *of_peer > 1 => *of_peer = of_peer.saturating_sub(1),
            _ => drop(counts.by_peer.remove(&peer)),
        }
        if counts.all == 0 {
            self.emptied.notify_waiters();
        }
    }

    /// No code that panics runs under the lock.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One place within.
pub(crate) struct Pass {
    gate: Arc<Gate>,
    peer: IpAddr,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.leave(self.peer);
    }
}

/// Whoever has one IPv6 address has the whole /64 (RFC 6177, 2).
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & (u128::MAX << 64);
            IpAddr::V6(Ipv6Addr::from_bits(prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // reason: tests

    use super::*;

    /// A place is one of all and one of its network's; a pass that is dropped gives back both, and no count is kept of
    /// networks that have nobody within.
    #[test]
    fn places_are_counted_in_all_and_by_network() {
        let gate = Gate::new(3, 2);
        let enter = |address: &str| gate.enter(address.parse().unwrap());
        let held = [enter("10.0.0.1"), enter("::ffff:10.0.0.1")].map(Option::unwrap);
        assert!(enter("10.0.0.1").is_none());
        let other = enter("2001:db8::1").unwrap();
        assert!(enter("2001:db8::2").is_none() && enter("10.0.0.2").is_none(), "no place in all");
        drop(held);
        assert_eq!(gate.lock().by_peer.len(), 1);
        let second = enter("2001:db8:0:0:ffff::").unwrap();
        assert!(enter("2001:db8::3").is_none(), "no place for this network");
        assert!(enter("2001:db8:0:1::").is_some());
        drop((other, second));
        assert!(gate.lock().by_peer.is_empty());
    }

    /// Waiting ends with the last to leave, whoever waits first.
    #[tokio::test]
    async fn the_last_to_leave_ends_the_wait() {
        let gate = Gate::new(2, 2);
        gate.emptied().await;
        let pass = gate.enter(IpAddr::from([127, 0, 0, 1])).unwrap();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.emptied().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(pass);
        waiting.await.unwrap();
    }
}
