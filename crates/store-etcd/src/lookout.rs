//! Whether a commit is waited for in vain.
//!
//! etcd says nothing to whoever waits for a commit that was lost on its way to a leader that is no more: it waits until its
//! own time is over, which is longer than ours. But every server tells at once, from memory, which leader it sees and of
//! which term. So who has waited for some time looks: if there was an election since the commit was sent, or its server says
//! nothing while others do, it is given up. That is no verdict: its outcome is unknown, and is settled by its op id. A commit
//! that is merely slow, with the leader it was sent to, is waited for; a short time-out would give that up too.

use crate::attempts::Attempts;
use crate::limits::{COMMIT_PATIENCE, ELECTED_PATIENCE, LOOK_PAUSE, LOOK_TIMEOUT, SILENCE};
use crate::link::unary;
use crate::servers::Servers;
use crate::wire::{self, StatusRequest, StatusResponse};
use skerry_store::StoreError;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

/// The last look, which all share who wait.
#[derive(Default)]
pub(crate) struct Lookout(Mutex<Option<(Instant, View)>>);

/// What each server said when it was asked last; nothing where it did not.
#[derive(Clone, Debug, Default, PartialEq)]
struct View(Vec<Option<Said>>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Said {
    term: u64,
    has_leader: bool,
}

/// What a view says of a commit.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sign {
    /// Nothing against it.
    None,
    /// There was an election.
    Elected,
    /// Its server says nothing, and another does.
    Silent,
}

impl Servers {
    /// Ends when a commit that was sent to a server in that term is waited for in vain, with what may be said of it.
    pub(crate) async fn in_vain(&self, server: usize, sent_in: u64) -> StoreError {
        sleep(COMMIT_PATIENCE).await;
        let mut silent: Option<Instant> = None;
        loop {
            match self.look().await.sign(server, sent_in) {
                Sign::Elected => {
                    sleep(ELECTED_PATIENCE).await;
                    return StoreError::NoQuorum;
                }
                Sign::Silent if silent.is_some_and(|since| since.elapsed() >= SILENCE) => {
                    return StoreError::Unreachable;
                }
                Sign::Silent => drop(silent.get_or_insert_with(Instant::now)),
                Sign::None => silent = None,
            }
            sleep(LOOK_PAUSE).await;
        }
    }

    async fn look(&self) -> View {
        let mut last = self.lookout.0.lock().await;
        if let Some((at, view)) = last.as_ref()
            && at.elapsed() < LOOK_PAUSE
        {
            return view.clone();
        }
        let view = self.look_again().await;
        *last = Some((Instant::now(), view.clone()));
        view
    }

    async fn look_again(&self) -> View {
        let mut view = View(vec![None; self.slots.len()]);
        let mut asked = Attempts::new();
        for server in 0..self.slots.len() {
            asked.add(server, self.said(server));
        }
        let known = self.term();
        let listen = async {
            while !asked.is_empty() {
                let (server, said) = asked.next().await;
                if let Some(place) = view.0.get_mut(server) {
                    *place = said;
                }
                // That is news enough.
                if said.is_some_and(|said| said.has_leader && said.term > known) {
                    return;
                }
            }
        };
        // Who has not said anything by then has not.
        drop(timeout(LOOK_TIMEOUT, listen).await);
        self.learn(view.term());
        view
    }

    async fn said(&self, server: usize) -> Option<Said> {
        let link = self.link_to(server).await.ok()?;
        let status: StatusResponse = unary(&link.channel, wire::STATUS, StatusRequest {}, LOOK_TIMEOUT).await.ok()?;
        Some(Said { term: status.term, has_leader: status.leader != 0 })
    }
}

impl View {
    /// The newest term that has a leader.
    fn term(&self) -> u64 {
        self.0.iter().flatten().filter(|said| said.has_leader).map(|said| said.term).max().unwrap_or(0)
    }

    fn sign(&self, server: usize, sent_in: u64) -> Sign {
        let says = self.0.get(server).copied().flatten().is_some();
        match self.term() > sent_in {
            true => Sign::Elected,
            false if !says && self.0.iter().any(Option::is_some) => Sign::Silent,
            false => Sign::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(said: &[Option<(u64, bool)>]) -> View {
        View(said.iter().map(|said| said.map(|(term, has_leader)| Said { term, has_leader })).collect())
    }

    #[test]
    fn signs_against_a_commit() {
        // Sent to the second of three in term 5. A candidate's term is no election yet, and when all are silent it is us.
        let of = |said: &[Option<(u64, bool)>]| view(said).sign(1, 5);
        assert_eq!(of(&[Some((5, true)), Some((5, true)), Some((5, true))]), Sign::None);
        assert_eq!(of(&[Some((6, false)), Some((6, false)), None]), Sign::None);
        assert_eq!(of(&[None, Some((5, true)), None]), Sign::None);
        assert_eq!(of(&[None, None, None]), Sign::None);
        assert_eq!(of(&[None, Some((5, true)), Some((6, true))]), Sign::Elected);
        assert_eq!(of(&[Some((6, true)), None, None]), Sign::Elected);
        assert_eq!(of(&[Some((5, true)), None, None]), Sign::Silent);
        assert_eq!(of(&[Some((6, false)), None, None]), Sign::Silent);
    }
}
