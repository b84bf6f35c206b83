//! Who belongs to an installation, who is forgotten, and times that are taken back: what is done, what is refused, what stays on record.

use skerry_audit::Event;
use skerry_store::{Fault, Faults};
use skerry_vault::{ForgetError, ForgetTimeError, Roll};

use super::*;

const BY: &str = "unix:uid=7";

fn name(text: &str) -> NodeName {
    NodeName::parse(text).unwrap()
}

fn roll(store: &Store) -> Roll {
    wait(Installation::roll(store, &root(), Kind::Serve)).unwrap()
}

fn forget(store: &Store, node: &str) -> Result<skerry_vault::Forgotten, ForgetError> {
    let (parts, root) = ((store, Kind::Serve), root());
    wait(Installation::forget_node((parts.0, &root, parts.1), &name(node), BY, at(NOW + 5), &randomness))
}

fn shown(store: &Store) -> usize {
    wait(store.range(b"meta/tlog/", None, 100, At::Linearizable)).unwrap().rows.len()
}

/// The list has every server that the store knows, with its time and the end of its log.
#[test]
fn roll_has_all_servers() {
    let (store, folders) = two();
    let nodes = roll(&store).nodes;
    for (member, (node, folder)) in nodes.iter().zip([("a", &folders[0]), ("b", &folders[1])]) {
        assert_eq!((&member.node, member.says), (&named(node), Some(NOW)));
        let log = skerry_audit::verify(folder.path()).unwrap().head;
        assert_eq!((member.head.log, member.head.records), (log.log, 1));
    }
    // Nobody was there to contradict the first; the second had not heard of it yet.
    assert_eq!(nodes.iter().map(|member| member.seen).collect::<Vec<_>>(), [NOW, 0]);
    assert_eq!(roll(&store).forgotten, []);
    let (alone, folder) = (Store::memory(), TempDir::new().unwrap());
    tick(&open(&Node::Only, &alone, folder.path()).unwrap().0, NOW);
    let nodes = roll(&alone).nodes;
    assert_eq!((&nodes[0].node, nodes[0].seen, nodes[0].says), (&Node::Only, NOW, None));
    let other = skerry_store::seal::Root::new(zeroize::Zeroizing::new([1; 32]));
    let refused = wait(Installation::roll(&alone, &other, Kind::Serve)).unwrap_err();
    assert!(matches!(refused, InstallationError::Stamp(_)), "{refused}");
}

/// A node that is forgotten leaves nothing that counts, and where its log ended: in the store, and in the log of whoever is left, once.
/// Its log is the end of it; its name is not.
#[test]
fn forgotten_node_leaves_the_end_of_its_log() {
    let (store, folders) = two();
    let head = roll(&store).nodes[1].head;
    assert_eq!(forget(&store, "c"), Err(ForgetError::Unknown { node: name("c") }));
    let gone = forget(&store, "b").unwrap();
    assert_eq!((gone.head, gone.at, gone.who.as_str()), (head, NOW + 5, BY));
    assert_eq!(roll(&store).forgotten, [gone]);
    assert_eq!((memories(&store), shown(&store)), (vec!["meta/memory/a".to_owned()], 1));
    assert_eq!(forget(&store, "b"), Err(ForgetError::Unknown { node: name("b") }));
    let (a, _) = open(&named("a"), &store, folders[0].path()).unwrap();
    assert_eq!(wait(a.witness_forgotten(at(NOW + 10))), Ok(1));
    assert_eq!(wait(a.witness_forgotten(at(NOW + 20))), Ok(0), "it is on record");
    let record = read_records(folders[0].path()).pop().unwrap();
    assert_eq!((text(&record, "event"), text(&record, "who")), (Event::NodeForgotten.as_str(), BY));
    let end = format!("{}:{}:{}", hex::encode(head.log), head.records, hex::encode(head.hash));
    assert!(text(&record, "explanation").contains(&end), "{}", text(&record, "explanation"));
    for node in [named("b"), named("c")] {
        let refused = refused(&node, &store, folders[1].path());
        assert_eq!(refused, InstallationError::Forgotten { node: name("b"), at: NOW + 5 });
    }
    let (empty, log) = (TempDir::new().unwrap(), folders[1].path().join("audit.log"));
    tick(&open(&named("b"), &store, empty.path()).unwrap().0, NOW);
    assert!(
        matches!(refused(&named("b"), &store, folders[1].path()), InstallationError::History(_)),
        "under a name that is taken again"
    );
    assert!(log.exists());
    assert_eq!(roll(&store).nodes.len(), 2);
}

/// A row that the node puts anew meanwhile is not forgotten: it runs. What the store does not say was not made, or is said to be.
#[test]
fn node_that_runs_is_not_forgotten() {
    let (faults, folder) = (Faults::default(), TempDir::new().unwrap());
    let store = Store::memory_with(faults.clone());
    let a = std::sync::Arc::new(open(&named("a"), &store, folder.path()).unwrap().0);
    tick(&a, NOW);
    let runs = std::sync::Arc::clone(&a);
    // Asked for after the rows were read. On a thread of its own: it waits, and so does who asks.
    let meanwhile = move || {
        std::thread::scope(|scope| scope.spawn(|| tick(&runs, NOW)).join().unwrap());
        randomness()
    };
    let (root, node) = (root(), name("a"));
    let forgotten = Installation::forget_node((&store, &root, Kind::Serve), &node, BY, at(NOW), &meanwhile);
    assert_eq!(wait(forgotten), Err(ForgetError::Runs { node: name("a") }));
    faults.then(Fault::Lost);
    assert_eq!(forget(&store, "a"), Err(ForgetError::Installation(InstallationError::Unsettled)));
    assert_eq!((memories(&store), roll(&store).forgotten.len()), (vec!["meta/memory/a".to_owned()], 0));
    faults.then(Fault::Unanswered);
    assert!(forget(&store, "a").is_ok());
    tick(&a, NOW);
    faults.then(Fault::Failed);
    assert_eq!(forget(&store, "a"), Err(ForgetError::Installation(InstallationError::Unsettled)));
}

/// What is kept of a forgotten node is sealed to its place.
#[test]
fn end_of_a_forgotten_log_is_sealed() {
    let (store, _folders) = two();
    let gone = forget(&store, "b").unwrap();
    let place = [b"meta/gone/".as_slice(), hex::encode(gone.head.log).as_bytes()].concat();
    let whole = row(&store, &place);
    for octet in 0..whole.len() {
        let mut altered = whole.clone();
        altered[octet] ^= 1;
        put(&store, &place, &altered);
        let refused = wait(Installation::roll(&store, &root(), Kind::Serve)).unwrap_err();
        assert!(matches!(refused, InstallationError::Memory(_)), "{octet}: {refused}");
    }
    put(&store, &[b"meta/gone/".as_slice(), b"00"].concat(), &whole);
    put(&store, &place, &whole);
    assert!(
        matches!(wait(Installation::roll(&store, &root(), Kind::Serve)), Err(InstallationError::Memory(_))),
        "another place"
    );
}

/// A time that a server vouched for while its clock was ahead is taken back under its own name alone, while it is ahead, and is on record
/// before and after. Then its keys are released again.
#[test]
fn time_is_taken_back() {
    for node in [Node::Only, named("a")] {
        let (store, folder) = (Store::memory(), TempDir::new().unwrap());
        let (ahead, _) = open(&node, &store, folder.path()).unwrap();
        tick(&ahead, NOW + 1_000_000);
        drop(ahead);
        let scene = Setup { store: store.clone(), node: node.clone(), ..Setup::default() }.try_in(folder).unwrap();
        scene.create(KEY, EC);
        let seen = NOW + 1_000_000;
        assert_eq!(scene.release(&good_token()), Err(Refusal::ClockBehind { now: NOW, seen }));
        let take = |accepted, now| wait(scene.installation.forget_time(accepted, BY, at(now), &randomness));
        assert_eq!(take(seen + 1, NOW), Err(ForgetTimeError::Other { seen, accepted: seen + 1 }));
        assert_eq!(take(seen, seen - 60), Err(ForgetTimeError::NotAhead { seen, now: seen - 60 }));
        assert!(scene.release(&good_token()).is_err());
        assert_eq!(take(seen, NOW), Ok(()));
        let records = scene.records();
        let [.., before, after] = records.as_slice() else { panic!("{records:?}") };
        for (record, verdict) in [(before, "intended"), (after, "committed")] {
            let event = Event::TimeForgotten.as_str();
            assert_eq!([text(record, "event"), text(record, "verdict"), text(record, "who")], [event, verdict, BY]);
            assert!(text(record, "explanation").contains(&seen.to_string()));
        }
        assert_eq!(roll(&store).nodes[0].seen, NOW);
        assert!(scene.release(&good_token()).is_ok());
        assert_eq!(take(seen, NOW), Err(ForgetTimeError::NotAhead { seen: NOW, now: NOW }));
        let scene = Setup { store, node, ..Setup::default() }.try_in(scene.into_folder()).unwrap();
        assert!(scene.release(&good_token()).is_ok(), "and after a restart");
    }
}

/// What cannot be committed is not taken back, and the next start finds out what became of it.
#[test]
fn time_that_is_not_taken_back_stays() {
    let (store, folder, faults) = {
        let faults = Faults::default();
        (Store::memory_with(faults.clone()), TempDir::new().unwrap(), faults)
    };
    let (ahead, _) = open(&Node::Only, &store, folder.path()).unwrap();
    tick(&ahead, NOW + 1_000);
    drop(ahead);
    let (server, _) = open(&Node::Only, &store, folder.path()).unwrap();
    faults.then(Fault::Lost);
    let taken = wait(server.forget_time(NOW + 1_000, BY, at(NOW), &randomness));
    assert_eq!(taken, Err(ForgetTimeError::Refused(Refusal::Unsettled)));
    let behind = Refusal::ClockBehind { now: NOW, seen: NOW + 1_000 };
    assert_eq!(server.check_clock(at(NOW)), Err(behind.clone()));
    drop(server);
    let (server, opened) = open(&Node::Only, &store, folder.path()).unwrap();
    assert_eq!((opened.settled_committed, opened.settled_aborted), (0, 1));
    assert_eq!(server.check_clock(at(NOW)), Err(behind));
}
