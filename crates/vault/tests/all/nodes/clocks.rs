//! Clocks of nodes that are apart: who releases, who does not, what the store keeps of it, and what follows when they are right again.

use skerry_audit::Event;
use skerry_identity::Permission;
use skerry_vault::Standing;
use skerry_vault::command::Changes;
use skerry_vault::limits::{CLOCK_LOOK, CLOCK_QUIET_LOOKS};

use super::*;

/// Nodes of one store, with the time and how far each one's clock is from it.
struct Nodes {
    store: Store,
    now: u64,
    all: Vec<(Scene, i64)>,
}

impl Nodes {
    /// Nodes a, b, ... whose clocks are right, who have heard of each other, and a key.
    fn new(count: usize) -> Nodes {
        let mut nodes = Nodes { store: Store::memory(), now: NOW, all: Vec::new() };
        for _ in 0..count {
            nodes.join(0);
        }
        nodes.all[0].0.create(KEY, EC);
        nodes.rounds(CLOCK_QUIET_LOOKS + 1);
        assert_eq!(nodes.released(), vec![Ok(()); count]);
        nodes
    }

    /// One more, which was never here, with its clock so far from the time.
    fn join(&mut self, offset: i64) {
        let name = ["a", "b", "c", "d"][self.all.len()];
        let setup = Setup { store: self.store.clone(), node: named(name), ..Setup::default() };
        self.all.push((setup.try_in(TempDir::new().unwrap()).unwrap(), offset));
    }

    /// A node is killed and started again.
    fn restart(&mut self, node: usize, offset: i64) {
        let name = ["a", "b", "c", "d"][node];
        let folder = self.all.remove(node).0.into_folder();
        let setup = Setup { store: self.store.clone(), node: named(name), ..Setup::default() };
        self.all.insert(node, (setup.try_in(folder).unwrap(), offset));
    }

    fn at(&self, offset: i64) -> u64 {
        self.now.checked_add_signed(offset).unwrap()
    }

    /// Time goes on; each looks at the others, but for those that are gone.
    fn rounds_without(&mut self, gone: &[usize], rounds: u32) {
        for _ in 0..rounds {
            self.now += CLOCK_LOOK.as_secs();
            for (number, (scene, offset)) in self.all.iter().enumerate().filter(|(number, _)| !gone.contains(number)) {
                wait(scene.installation.tick(at(self.at(*offset)), &randomness))
                    .unwrap_or_else(|refusal| panic!("{number}: {refusal}"));
            }
        }
    }

    fn rounds(&mut self, rounds: u32) {
        self.rounds_without(&[], rounds);
    }

    /// Whether each would release now.
    fn released(&self) -> Vec<Result<(), Refusal>> {
        self.all.iter().map(|(scene, offset)| scene.installation.check_clock(at(self.at(*offset)))).collect()
    }

    fn standings(&self) -> Vec<Standing> {
        self.all.iter().map(|(scene, _)| scene.installation.clock_standing()).collect()
    }
}

fn ahead(now: u64, others: u64) -> Result<(), Refusal> {
    Err(Refusal::ClockAhead { now, others })
}

fn behind(now: u64, seen: u64) -> Result<(), Refusal> {
    Err(Refusal::ClockBehind { now, seen })
}

/// Attack 61: one clock of three that jumps ahead stops the release of its node and of no other, and leaves nothing in the store that
/// keeps anybody from releasing when it is right again.
#[test]
fn one_of_three_that_is_ahead() {
    let mut nodes = Nodes::new(3);
    for jump in [600, 10 * 365 * 86_400] {
        nodes.all[2].1 = jump;
        nodes.rounds(1);
        let refused = ahead(nodes.at(jump), nodes.now);
        assert_eq!(nodes.released(), [Ok(()), Ok(()), refused.clone()]);
        let others = nodes.now;
        let scenes: Vec<_> = nodes
            .all
            .iter()
            .map(|(scene, offset)| scene.release_at(&good_token(), nodes.at(*offset)).map(drop))
            .collect();
        assert_eq!(scenes, nodes.released());
        assert_eq!(nodes.standings(), [Standing::Agreed, Standing::Agreed, Standing::Outvoted { others }]);
        let last = nodes.all[2].0.records().pop().unwrap();
        assert_eq!((text(&last, "event"), text(&last, "verdict")), (Event::ReleaseDenied.as_str(), "denied"));
        let changed = nodes.all[2].0.update_at(KEY, None, &Changes::default(), nodes.at(jump).min(NOW + 86_400));
        assert!(changed.is_ok(), "all else goes on");
        nodes.rounds(3);
        assert_eq!(nodes.released()[..2], [Ok(()), Ok(())], "also after a change there");
        nodes.restart(2, jump);
        assert_eq!(nodes.released()[..2], [Ok(()), Ok(())]);
        nodes.rounds(2);
        assert_eq!(nodes.released(), [Ok(()), Ok(()), ahead(nodes.at(jump), nodes.now)], "a restart changes nothing");
        nodes.all[2].1 = 0;
        nodes.rounds(1);
        assert_eq!(nodes.released(), [Ok(()), Ok(()), Ok(())]);
    }
}

/// One of three that is behind: it is held against what the others vouch for, also if it is new and remembers nothing.
#[test]
fn one_of_three_that_is_behind() {
    let mut nodes = Nodes::new(2);
    nodes.join(-600);
    let refused = behind(nodes.at(-600), nodes.now);
    assert_eq!(nodes.released(), [Ok(()), Ok(()), refused], "from its first moment");
    nodes.rounds(3);
    let refused = behind(nodes.at(-600), nodes.now);
    assert_eq!(nodes.released(), [Ok(()), Ok(()), refused]);
    // However long it lasts.
    nodes.rounds(90);
    let refused = behind(nodes.at(-600), nodes.now);
    assert_eq!(nodes.released(), [Ok(()), Ok(()), refused]);
    nodes.all[2].1 = 0;
    nodes.rounds(1);
    assert_eq!(nodes.released(), [Ok(()), Ok(()), Ok(())]);
}

/// Half a minute apart is agreement, in every round.
#[test]
fn clocks_within_the_skew() {
    let mut nodes = Nodes::new(3);
    for offset in [30, -30] {
        nodes.all[2].1 = offset;
        for _ in 0..2 * CLOCK_QUIET_LOOKS {
            nodes.rounds(1);
            assert_eq!(nodes.released(), [Ok(()), Ok(()), Ok(())], "{offset}");
        }
    }
}

/// Of two that disagree nobody knows who is right, so neither releases, for as long as it lasts: a token that is over for one is not
/// good for the other. Then both go on, whichever was put right.
#[test]
fn two_that_disagree() {
    for (jump, put_right) in [(600, [0, 0]), (600, [600, 600]), (-600, [0, 0])] {
        let mut nodes = Nodes::new(2);
        nodes.all[1].1 = jump;
        for rounds in [1, 3, 90] {
            nodes.rounds(rounds);
            let (right, wrong) = (nodes.now, nodes.at(jump));
            // The first of a round has met what the second said in the round before.
            let before = wrong - CLOCK_LOOK.as_secs();
            let (first, second) = match (jump > 0, rounds) {
                (true, 1) => (Ok(()), ahead(wrong, right)),
                (true, _) => (behind(right, before), ahead(wrong, right)),
                // Until its time has come it is behind what the first vouched for, who vouches for nothing more; then behind what it says.
                (false, 1) => (Ok(()), behind(wrong, right)),
                (false, 3) => (ahead(right, before), behind(wrong, right - 3 * CLOCK_LOOK.as_secs())),
                (false, _) => (ahead(right, before), behind(wrong, right)),
            };
            assert_eq!(nodes.released(), [first, second], "{jump} {rounds}");
        }
        let tied = nodes.standings().iter().all(|standing| matches!(standing, Standing::Tied { .. }));
        assert!(tied, "nobody is outvoted: who balances loads takes neither away");
        for (node, offset) in nodes.all.iter_mut().zip(put_right) {
            node.1 = offset;
        }
        nodes.rounds(2);
        assert_eq!(nodes.released(), [Ok(()), Ok(())], "{jump} {put_right:?}");
    }
}

/// Attack 62: when all clocks go back, all nodes are behind what they vouched for themselves, and none believes the others.
#[test]
fn all_that_go_back() {
    let mut nodes = Nodes::new(3);
    let seen = nodes.now;
    nodes.all.iter_mut().for_each(|node| node.1 = -3_600);
    for rounds in [0, 1, 3] {
        nodes.rounds(rounds);
        let refused = behind(nodes.at(-3_600), seen);
        assert_eq!(nodes.released(), vec![refused; 3], "{rounds}");
    }
    nodes.join(-3_600);
    let refused = behind(nodes.at(-3_600), seen);
    assert_eq!(nodes.released().pop(), Some(refused), "nor does one that is new");
}

/// After a long time without any node the first one to start is not ahead of anybody: rows of those that are gone are as old as they
/// are. It vouches for its time when it knows that they are gone, so that a clock that went back from there is noticed.
#[test]
fn first_to_start_is_not_ahead() {
    let mut nodes = Nodes::new(3);
    nodes.now += 30 * 86_400;
    nodes.restart(0, 0);
    assert_eq!(nodes.released()[0], Ok(()));
    for _ in 0..2 * CLOCK_QUIET_LOOKS {
        nodes.rounds_without(&[1, 2], 1);
        assert_eq!(nodes.released()[0], Ok(()));
    }
    let seen = nodes.now;
    nodes.restart(1, -3_600);
    assert_eq!(nodes.released()[1], behind(nodes.at(-3_600), seen));
}

/// A node that starts with its clock ahead vouches for nothing before it has heard of those that live, however long the others take
/// to say something.
#[test]
fn node_that_starts_ahead() {
    let mut nodes = Nodes::new(2);
    nodes.restart(1, 86_400);
    nodes.rounds_without(&[0], CLOCK_QUIET_LOOKS - 1);
    nodes.rounds(3);
    let released = nodes.released();
    assert!(
        matches!(released[..], [Err(Refusal::ClockBehind { .. }), Err(Refusal::ClockAhead { .. })]),
        "{released:?}"
    );
    nodes.restart(1, 0);
    nodes.rounds(2);
    assert_eq!(nodes.released(), [Ok(()), Ok(())]);
}

/// When one of two that disagree is gone, the one that is ahead of it goes on, and the one that is behind does not: for all it knows
/// the other was right.
#[test]
fn one_of_two_that_disagree_is_gone() {
    let mut nodes = Nodes::new(2);
    nodes.all[1].1 = 600;
    nodes.rounds(60);
    nodes.rounds_without(&[0], CLOCK_QUIET_LOOKS);
    assert_eq!(nodes.released()[1], Ok(()), "it is ahead of what was said last");
    let mut nodes = Nodes::new(2);
    nodes.all[1].1 = 600;
    nodes.rounds(60);
    let said = nodes.at(600);
    nodes.rounds_without(&[1], CLOCK_QUIET_LOOKS + 1);
    assert_eq!(nodes.released()[0], behind(nodes.now, said));
    nodes.rounds_without(&[1], 60);
    assert_eq!(nodes.released()[0], Ok(()), "its time has come");
}

/// What is gone for good is not gone by a clock that is in doubt.
#[test]
fn purges_wait_for_the_clock() {
    let mut nodes = Nodes::new(3);
    let delete = grant(Permission::Delete);
    let now = nodes.now;
    wait(nodes.all[0].0.vault.delete(&context(&delete, "delete-1", now), &name(KEY))).unwrap();
    let jump = 365 * 86_400;
    nodes.all[2].1 = jump;
    nodes.rounds(1);
    let refused = Refusal::ClockAhead { now: nodes.at(jump), others: nodes.now };
    assert_eq!(nodes.all[2].0.purge_due_at(KEY, nodes.at(jump)), Err(refused));
    let due = |nodes: &Nodes, now| {
        let purge = grant(Permission::Purge);
        wait(nodes.all[2].0.vault.due_for_purge(&context(&purge, "jobs", now))).unwrap().keys
    };
    assert_eq!(due(&nodes, nodes.at(jump)), []);
    nodes.all.iter_mut().for_each(|node| node.1 = 0);
    nodes.now += 365 * 86_400;
    nodes.rounds(2);
    let now = nodes.now;
    assert_eq!(due(&nodes, now), [name(KEY)], "the control");
    assert_eq!(nodes.all[2].0.purge_due_at(KEY, now), Ok(()), "the control");
}

/// A node's row has what its clock says, and one form.
#[test]
fn rows_of_nodes_have_one_form() {
    let (store, folders) = two();
    let (place, sealer) = (b"meta/memory/a", root().sealer("skerry installation", &[0; 16]));
    let good = sealer.open(place, &row(&store, place)).unwrap().to_vec();
    assert_eq!((good[0], good[1]), (0x8a, 4));
    let head = |octets: [u8; 2]| [&octets[..], &good[2..]].concat();
    for odd in
        [good[..good.len() - 1].to_vec(), [&good[..], &[0]].concat(), head([0x89, 4]), head([0x8a, 3]), head([0x8a, 5])]
    {
        put(&store, place, &sealer.seal(place, &odd, &mut *randomness()).unwrap());
        for (node, folder) in [("a", &folders[0]), ("b", &folders[1])] {
            assert_eq!(refused(&named(node), &store, folder.path()), InstallationError::MemoryForm);
        }
    }
    put(&store, place, &sealer.seal(place, &good, &mut *randomness()).unwrap());
    assert!(open(&named("b"), &store, folders[1].path()).is_ok(), "the control");
}
