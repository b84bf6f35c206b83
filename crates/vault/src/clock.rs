//! Clocks of nodes, held against each other (docs/decisions/024).
//!
//! Which of two clocks is wrong nobody knows, and no clock says how old what another node wrote is. So a node that lives is told by
//! its row, which it puts anew at each of its looks: a row that another revision has put since the last look is fresh. Fresh rows
//! vote. A node that is not in agreement with more clocks than it is in disagreement with releases nothing, and does not vouch for
//! its time, so that one clock that is wrong does not keep all from releasing until its time has come.
//!
//! All of it is decided from rows and the time, which are arguments; when to look is for the program.

use std::collections::BTreeMap;
use std::mem;

use skerry_attestation_result::limits::SKEW_SECS;
use skerry_store::Revision;

use crate::limits::CLOCK_QUIET_LOOKS;

/// What a row of another node says of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said {
    /// The commit that put it.
    pub(crate) put: Revision,
    /// The last time that it vouches for.
    pub(crate) seen: u64,
    /// What its clock said when it was put.
    pub(crate) says: u64,
}

/// Where a clock stands among those of other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// More agree with it than do not.
    #[default]
    Agreed,
    /// As many agree with it, itself among them, as do not: nobody knows who is wrong.
    Tied {
        /// What those say that do not agree, the one in the middle.
        others: u64,
    },
    /// More do not agree with it.
    Outvoted {
        /// What those say.
        others: u64,
    },
}

/// The other nodes, as they were at the last look.
#[derive(Debug, Default)]
pub(crate) struct Peers(BTreeMap<Vec<u8>, Peer>);

#[derive(Debug, Clone, Copy)]
struct Peer {
    put: Revision,
    /// Looks since its row was put anew, or was first met.
    quiet: u32,
    life: Life,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Its row was there when this node looked for the first time: nobody knows how old it is.
    Unknown,
    /// Its row is put anew all the time; whether the newest was in agreement when it was met.
    Lives { agrees: bool },
    /// It was put anew no more.
    Quiet,
}

/// What a look has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Look {
    /// What this node's clock said then.
    pub(crate) at: u64,
    /// The last time that any other node vouches for.
    pub(crate) floor: u64,
    pub(crate) standing: Standing,
    /// Of every other node it is known whether it lives.
    pub(crate) known: bool,
}

impl Peers {
    /// Looks at the rows of all other nodes. To be called again and again, as often as nodes put their rows.
    pub(crate) fn look<'a>(&mut self, rows: impl Iterator<Item = (&'a [u8], Said)>, now: u64) -> Look {
        let mut before = mem::take(&mut self.0);
        let (mut floor, mut agree, mut against) = (0, 1_usize, Vec::new());
        for (at, said) in rows {
            let peer = Peer::seen(before.remove(at), &said, now);
            floor = floor.max(said.seen);
            match peer.votes(said.says, now) {
                Some(true) => agree = agree.saturating_add(1),
                Some(false) => against.push(said.says),
                None => {}
            }
            self.0.insert(at.to_vec(), peer);
        }
        let known = self.0.values().all(|peer| peer.life != Life::Unknown);
        Look { at: now, floor, standing: standing(agree, against), known }
    }
}

impl Peer {
    fn seen(before: Option<Peer>, said: &Said, now: u64) -> Peer {
        let Some(before) = before else { return Peer { put: said.put, quiet: 0, life: Life::Unknown } };
        if before.put != said.put {
            // Judged now: later on it would be held against a time that has gone on.
            return Peer { put: said.put, quiet: 0, life: Life::Lives { agrees: agrees(said.says, now) } };
        }
        let quiet = before.quiet.saturating_add(1);
        Peer { quiet, life: if quiet < CLOCK_QUIET_LOOKS { before.life } else { Life::Quiet }, ..before }
    }

    /// Whether it is for this time, or against it; none if it has no say.
    fn votes(&self, says: u64, now: u64) -> Option<bool> {
        match self.life {
            // Time goes on: who says a later time now, or said it once, was not in agreement with this.
            _ if is_later(says, now) => Some(false),
            Life::Lives { agrees } => Some(agrees),
            Life::Unknown | Life::Quiet => None,
        }
    }
}

fn standing(agree: usize, mut against: Vec<u64>) -> Standing {
    against.sort_unstable();
    let Some(others) = against.get(against.len() / 2).copied() else { return Standing::Agreed };
    match agree.cmp(&against.len()) {
        std::cmp::Ordering::Greater => Standing::Agreed,
        std::cmp::Ordering::Equal => Standing::Tied { others },
        std::cmp::Ordering::Less => Standing::Outvoted { others },
    }
}

fn agrees(says: u64, now: u64) -> bool {
    says.abs_diff(now) <= SKEW_SECS
}

/// Whether this time is later than that, by more than clocks may be apart.
pub(crate) fn is_later(this: u64, that: u64) -> bool {
    that.saturating_add(SKEW_SECS) < this
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const QUIET: u32 = CLOCK_QUIET_LOOKS;

    fn said(put: u64, says: u64) -> Said {
        Said { put: Revision(put), seen: 7, says }
    }

    /// Looks at nodes that are called by their places: what each says, and at which revision it was put.
    fn look(peers: &mut Peers, rows: &[Said]) -> Look {
        let names: [&[u8]; 4] = [b"a", b"b", b"c", b"d"];
        peers.look(names.into_iter().zip(rows.iter().copied()), NOW)
    }

    /// Nodes that live and say these times, as offsets from now.
    fn living(offsets: &[i64]) -> Look {
        let mut peers = Peers::default();
        let rows = |put| -> Vec<Said> {
            offsets.iter().map(|offset| said(put, NOW.checked_add_signed(*offset).unwrap())).collect()
        };
        look(&mut peers, &rows(1));
        look(&mut peers, &rows(2))
    }

    /// Every way in which a few clocks can stand to each other, at the second.
    #[test]
    fn clocks_vote() {
        let (tied, outvoted) =
            (|others| Standing::Tied { others: at(others) }, |others| Standing::Outvoted { others: at(others) });
        fn at(offset: i64) -> u64 {
            NOW.checked_add_signed(offset).unwrap()
        }
        for (offsets, expected) in [
            (&[][..], Standing::Agreed),
            (&[0], Standing::Agreed),
            (&[60], Standing::Agreed),
            (&[-60], Standing::Agreed),
            (&[61], tied(61)),
            (&[-61], tied(-61)),
            (&[0, 600], Standing::Agreed),
            (&[0, -600], Standing::Agreed),
            (&[600, 600], outvoted(600)),
            (&[-600, -590], outvoted(-590)),
            (&[-600, 600], outvoted(600)),
            (&[0, 600, -600], tied(600)),
            (&[0, 600, 600, 600], outvoted(600)),
            (&[0, 0, 600, 600], Standing::Agreed),
        ] {
            let floor = if offsets.is_empty() { 0 } else { 7 };
            assert_eq!(living(offsets), Look { at: NOW, floor, standing: expected, known: true }, "{offsets:?}");
        }
    }

    /// Of a row that was there at the first look nothing is known but that the time has been later: it is no vote for anybody,
    /// and against who is behind it.
    #[test]
    fn first_look_knows_little() {
        for (says, standing) in [
            (NOW, Standing::Agreed),
            (NOW - 1_000_000, Standing::Agreed),
            (NOW + 60, Standing::Agreed),
            (NOW + 61, Standing::Tied { others: NOW + 61 }),
        ] {
            let found = look(&mut Peers::default(), &[said(1, says)]);
            assert_eq!(found, Look { at: NOW, floor: 7, standing, known: false });
        }
        let mut peers = Peers::default();
        let rows = [said(1, NOW), said(1, NOW + 61), said(1, NOW)];
        let tied = Standing::Tied { others: NOW + 61 };
        assert_eq!(look(&mut peers, &rows).standing, tied, "those that agree may be gone");
        assert_eq!(look(&mut peers, &[said(2, NOW), rows[1], rows[2]]).standing, Standing::Agreed);
    }

    /// Who is not heard of for some looks has no say any more, until he is heard of again; what he said last goes on being against who
    /// is behind it, also of one that is known to be gone.
    #[test]
    fn who_is_gone_has_no_say() {
        let mut peers = Peers::default();
        let behind = |put| [said(put, NOW - 600)];
        for look_number in 0..QUIET {
            let found = look(&mut peers, &behind(1));
            assert_eq!((found.standing, found.known), (Standing::Agreed, false), "{look_number}");
        }
        assert!(look(&mut peers, &behind(1)).known, "it is gone");
        let tied = Standing::Tied { others: NOW - 600 };
        assert_eq!(look(&mut peers, &behind(2)).standing, tied, "it is back");
        for look_number in 1..QUIET {
            assert_eq!(look(&mut peers, &behind(2)).standing, tied, "{look_number}");
        }
        assert_eq!(look(&mut peers, &behind(2)).standing, Standing::Agreed);
        let mut peers = Peers::default();
        for look_number in 0..3 * QUIET {
            let found = look(&mut peers, &[said(1, NOW + 600)]);
            assert_eq!(found.standing, Standing::Tied { others: NOW + 600 }, "{look_number}");
        }
        assert_eq!(look(&mut peers, &[]), Look { at: NOW, known: true, ..Look::default() }, "its row is gone too");
    }

    /// A vote stays what it was when the row was put: a node that is late by some looks does not come to disagree by that.
    #[test]
    fn votes_do_not_age() {
        let mut peers = Peers::default();
        for (put, now) in [(1, NOW), (2, NOW + 40), (2, NOW + 80), (2, NOW + 105)] {
            let found = peers.look([(b"a".as_slice(), said(put, NOW))].into_iter(), now);
            assert_eq!(found.standing, Standing::Agreed, "{now}");
        }
        assert_eq!(
            peers.look([(b"a".as_slice(), said(3, NOW))].into_iter(), NOW + 105).standing,
            Standing::Tied { others: NOW }
        );
    }
}
