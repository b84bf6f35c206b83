//! A server taken out as a whole and begun anew: what the rows have the log has, what the log has more is told, and nothing that is
//! open stays so.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use skerry_audit::{AuditError, Head, Limits};
use skerry_store::seal::SealError;
use skerry_store::stamp::Kind;
use skerry_store::{At, Entry, Exported, OpId, Revision, Row, Settled, Store};
use skerry_vault::{
    Installation, InstallationError, Known, Loss, Node, NodeName, Opened, Recovered, Refusal, Restored, Seal, Seals,
    Whole, WitnessError, lost,
};
use tempfile::TempDir;

use crate::support::*;

/// What a backup would have: rows, and the octets of the log in a folder of their own.
struct Taken {
    rows: Vec<Exported>,
    before: TempDir,
    head: Head,
}

fn take_out(scene: &Scene) -> Taken {
    let danger = scene.installation.danger();
    let Whole { mut export, log } = wait(danger.take_out(&[7; 16], "unix:uid=1", "a certificate", at(NOW))).unwrap();
    let mut rows = Vec::new();
    while let Some(page) = export.page().unwrap() {
        rows.extend(page);
    }
    let before = TempDir::new().unwrap();
    let mut octets = skerry_audit::octets_to(scene.folder(), &log).unwrap();
    let mut copy = std::fs::File::create_new(before.path().join("audit.log")).unwrap();
    std::io::copy(&mut octets, &mut copy).unwrap();
    Taken { rows, before, head: log.head }
}

/// The transactions that rows are known to have.
fn made(rows: &[Exported]) -> HashSet<OpId> {
    let op = |row: &Exported| match row {
        Exported::Op { op, settled: Settled::Committed(_), .. } => Some(*op),
        _ => None,
    };
    rows.iter().filter_map(op).collect()
}

/// A store of rows, in a folder beside the new log.
fn restored(rows: &[Exported]) -> (Store, TempDir) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.redb");
    let mut import = Store::import(&path, &root()).unwrap();
    import.put(rows).unwrap();
    import.finish().unwrap();
    let options = skerry_store::Options::new(|failure| panic!("{failure}"));
    (Store::open(&path, &root(), options).unwrap(), folder)
}

fn restored_of(head: Head, lost: &str) -> Restored<'_> {
    let (backup, digest, who) = ([7; 16], [8; 32], "unix:uid=2");
    Restored { backup, digest, revision: 5, head, node: None, others: &[], who, lost }
}

fn recover(store: &Store, before: &Path, folder: &Path, head: Head) -> Result<Recovered, InstallationError> {
    recover_all(store, &[before], folder, &restored_of(head, "nothing is lost"))
}

fn recover_all(
    store: &Store,
    before: &[&Path],
    folder: &Path,
    restored: &Restored<'_>,
) -> Result<Recovered, InstallationError> {
    let (limits, now) = (Limits::default(), at(NOW + 1));
    let folders = (before, folder);
    wait(Installation::recover(store, &root(), Kind::Serve, folders, limits, restored, now, &randomness))
}

fn open(store: &Store, folder: &Path) -> Result<Opened, InstallationError> {
    let opening =
        Installation::open(store.clone(), root(), Kind::Serve, folder, Limits::default(), at(NOW + 2), &randomness);
    wait(opening).map(|(_, opened)| opened)
}

/// Whoever made a change that is in the rows has put its intent on record, and the record is in the log that goes with them: while
/// changes are made the whole time. Each copy recovers, and opens as any installation.
#[test]
fn rows_have_nothing_that_the_log_has_not() {
    let (scene, stop) = (Scene::new(), AtomicBool::new(false));
    thread::scope(|scope| {
        for worker in 0..2 {
            let (scene, stop) = (&scene, &stop);
            scope.spawn(move || {
                for count in 0.. {
                    scene.create(&format!("k{worker}-{count}"), EC);
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        for _ in 0..10 {
            let Taken { rows, before, head } = take_out(&scene);
            assert_eq!(skerry_audit::verify(before.path()).unwrap().head, head);
            let records = read_records(before.path());
            let intended: HashSet<_> = records
                .iter()
                .filter(|record| text(record, "verdict") == "intended")
                .map(|record| text(record, "subject")[..32].to_owned())
                .collect();
            // The stamp and the first tick are nobody's change.
            let unknown: Vec<_> = made(&rows).into_iter().filter(|op| !intended.contains(&hex::encode(op.0))).collect();
            assert!(unknown.len() <= 2, "{unknown:?}");
            let (store, folder) = restored(&rows);
            let known: Vec<_> = known(&rows).into_iter().map(|known| (known.node, known.head.log)).collect();
            assert_eq!(known, [(None, head.log)]);
            let recovered = recover(&store, before.path(), folder.path(), head).unwrap();
            assert_eq!(open(&store, folder.path()), Ok(Opened::default()));
            let first = &read_records(folder.path())[0];
            assert_eq!((text(first, "event"), text(first, "who")), ("server-restored", "unix:uid=2"));
            assert!(text(first, "explanation").contains(&hex::encode(head.hash)));
            assert_ne!(recovered.head.log, head.log);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let last = read_records(scene.folder());
    let of_backups = last.iter().filter(|record| text(record, "event") == "server-backed-up");
    assert!(of_backups.clone().all(|record| text(record, "explanation").contains("sealed to a certificate")));
    assert_eq!(of_backups.count(), 10);
}

/// A change that was on its way is settled by the rows, and what became of it is on record in the new log.
#[test]
fn open_changes_are_settled_in_the_new_log() {
    for committed in [true, false] {
        let scene = Scene::new();
        let Taken { rows: older, .. } = take_out(&scene);
        scene.create("on-its-way", EC);
        let Taken { rows: newer, before, .. } = take_out(&scene);
        // The log to the intent of that change.
        let records = read_records(before.path());
        let at = records.iter().rposition(|record| text(record, "verdict") == "intended").unwrap();
        let bodies = skerry_audit::read(before.path()).unwrap().take(at + 1);
        let len = bodies.map(|record| skerry_audit::format::record_len(record.unwrap().body().len())).sum::<usize>();
        let log = std::fs::read(before.path().join("audit.log")).unwrap();
        std::fs::write(before.path().join("audit.log"), &log[..skerry_audit::format::HEADER_LEN + len]).unwrap();
        let head = skerry_audit::verify(before.path()).unwrap().head;
        let (store, folder) = restored(if committed { &newer } else { &older });
        let recovered = recover(&store, before.path(), folder.path(), head).unwrap();
        let counts = (recovered.settled_committed, recovered.settled_aborted);
        assert_eq!(counts, (usize::from(committed), usize::from(!committed)));
        let new = read_records(folder.path());
        let outcome = if committed { "committed" } else { "aborted" };
        assert_eq!((text(&new[1], "verdict"), text(&new[1], "subject")), (outcome, text(&records[at], "subject")));
        assert_eq!(open(&store, folder.path()), Ok(Opened::default()));
    }
}

/// What a later log has and the rows have not is counted by event, releases apart; of what they have nothing is.
#[test]
fn losses_are_counted() {
    let scene = Scene::new();
    let Taken { rows, head, .. } = take_out(&scene);
    let made = made(&rows);
    let count = |from| lost(scene.folder(), from, |op| made.contains(&op)).unwrap();
    let none = |head| Loss { head: Some(head), ..Loss::default() };
    assert_eq!(count(0), none(head));
    scene.create("later1", EC);
    scene.create("later2", EC);
    scene.release(&good_token()).unwrap();
    let loss = count(head.records);
    assert_eq!(loss.changes.into_iter().collect::<Vec<_>>(), [("key-created", 2)]);
    assert_eq!((loss.releases, loss.between), (1, Some((at(NOW), at(NOW)))));
    assert_eq!(count(u64::MAX).changes.len(), 0);
    let empty = TempDir::new().unwrap();
    assert_eq!(lost(empty.path(), 0, |_| true), Err(AuditError::Missing));
}

fn named(name: &str) -> Node {
    Node::Named(NodeName::parse(name).unwrap())
}

/// Two nodes on one store; each has made a key, and shown its log. Time has gone on, and each vouches for what it is by its clock, which
/// is ten seconds later for the second.
fn two() -> [Scene; 2] {
    let store = Store::memory();
    let node = |name| Setup { store: store.clone(), node: named(name), ..Setup::default() };
    let scenes = ["a", "b"].map(|name| node(name).try_in(TempDir::new().unwrap()).unwrap());
    for (scene, name) in scenes.iter().zip([KEY, "of-b"]) {
        scene.create(name, EC);
    }
    for now in (NOW..=NOW + 990).step_by(45) {
        wait(scenes[0].installation.tick(at(now), &randomness)).unwrap();
        wait(scenes[1].installation.tick(at(now + 10), &randomness)).unwrap();
    }
    scenes
}

fn known(rows: &[Exported]) -> Vec<Known> {
    let of = |row: &Exported| match row {
        Exported::Entry(row) => Known::of(&root(), row).unwrap(),
        Exported::Op { .. } => None,
    };
    rows.iter().filter_map(of).collect()
}

fn keys(store: &Store, prefix: &[u8]) -> Vec<String> {
    let page = wait(store.range(prefix, None, 100, At::Linearizable)).unwrap();
    page.rows.into_iter().map(|row| String::from_utf8(row.key).unwrap()).collect()
}

/// One node takes out the rows of all. The restored server is alone, remembers the latest time that any of them has seen, and begins
/// its log with where each of theirs goes on, and with what each had shown.
#[test]
fn one_node_takes_out_all() {
    let [a, b] = two();
    let Taken { rows, before, head } = take_out(&a);
    let all = known(&rows);
    let of_b = b.installation.log().head().unwrap();
    assert_eq!(all.iter().map(|known| known.node.as_deref()).collect::<Vec<_>>(), [Some("a"), Some("b")]);
    assert_eq!((all[0].head.log, all[0].seen), (head.log, NOW + 990));
    assert_eq!((all[1].head.log, all[1].seen), (of_b.log, NOW + 1_000));
    assert!(all[1].head.records <= of_b.records);
    let (store, folder) = restored(&rows);
    let restored =
        Restored { node: Some("a"), others: &all[1..], ..restored_of(head, "nothing is known of node b after it") };
    recover_all(&store, &[before.path()], folder.path(), &restored).unwrap();
    assert_eq!((keys(&store, b"meta/memory"), keys(&store, b"meta/tlog/")), (vec!["meta/memory".to_owned()], vec![]));
    let records = read_records(folder.path());
    let said = text(&records[0], "explanation");
    let shown = |head: &Head| format!("{}:{}:{}", hex::encode(head.log), head.records, hex::encode(head.hash));
    assert!(said.contains(&format!("the log before is {} of node a;", shown(&head))), "{said}");
    assert!(said.contains(&format!("another of node b is {};", shown(&all[1].head))), "{said}");
    let witnessed = records.iter().filter(|record| text(record, "event") == "witnessed");
    let mut of: Vec<_> = witnessed.map(|record| text(record, "who").to_owned()).collect();
    let mut expected = [head.log, of_b.log].map(|log| skerry_vault::origin(&log));
    of.sort();
    expected.sort();
    assert_eq!(of, expected);
    // A clock that is behind that of any node releases nothing here either.
    let scene = Setup { store, ..Setup::default() }.try_in(folder).unwrap();
    let behind = Refusal::ClockBehind { now: NOW, seen: NOW + 1_000 };
    assert_eq!(scene.release(&good_token()), Err(behind));
}

/// Changes that the other node had begun are settled where its log is given, by what the rows have; where it is not, nothing is said of
/// them.
#[test]
fn open_changes_of_other_nodes_are_settled() {
    for (committed, given) in [(true, true), (false, true), (true, false)] {
        let [a, b] = two();
        let Taken { rows: older, before, head } = take_out(&a);
        b.create("on-its-way", EC);
        let rows = if committed { take_out(&a).rows } else { older };
        // The log of the other to the intent of that change.
        let of_b = TempDir::new().unwrap();
        let records = read_records(b.folder());
        let at = records.iter().rposition(|record| text(record, "verdict") == "intended").unwrap();
        let bodies = skerry_audit::read(b.folder()).unwrap().take(at + 1);
        let len = bodies.map(|record| skerry_audit::format::record_len(record.unwrap().body().len())).sum::<usize>();
        let log = std::fs::read(b.folder().join("audit.log")).unwrap();
        std::fs::write(of_b.path().join("audit.log"), &log[..skerry_audit::format::HEADER_LEN + len]).unwrap();
        let (store, folder) = restored(&rows);
        let befores = if given { vec![before.path(), of_b.path()] } else { vec![before.path()] };
        let recovered = recover_all(&store, &befores, folder.path(), &restored_of(head, "")).unwrap();
        let counts = (recovered.settled_committed, recovered.settled_aborted);
        assert_eq!(counts, (usize::from(committed && given), usize::from(!committed && given)));
        let new = read_records(folder.path());
        let outcome = if committed { "committed" } else { "aborted" };
        let settled = new.iter().filter(|record| text(record, "subject") == text(&records[at], "subject"));
        let settled: Vec<_> = settled.map(|record| text(record, "verdict")).collect();
        assert_eq!(settled, if given { vec![outcome] } else { vec![] });
        assert_eq!(open(&store, folder.path()), Ok(Opened::default()));
    }
}

/// A checkpoint that its log did not sign is not put on record as one that a node has shown; and no memory that does not open is taken.
#[test]
fn what_nodes_did_not_show_is_refused() {
    let [a, _b] = two();
    let Taken { rows, before, head } = take_out(&a);
    let sealer = root().sealer("skerry installation", &[0; 16]);
    let put = |key: &[u8], plain: &[u8]| {
        let (store, folder) = restored(&rows);
        let sealed = sealer.seal(key, plain, &mut *randomness()).unwrap();
        crate::database::put(&store, key, &sealed);
        recover(&store, before.path(), folder.path(), head)
    };
    let unsigned = put(b"meta/tlog/b", b"log.skerry.invalid/00\n1\nAAAA\n\n");
    assert!(matches!(unsigned, Err(InstallationError::Shown(WitnessError::Checkpoint(_)))), "{unsigned:?}");
    assert_eq!(put(b"meta/memory/b", b"none"), Err(InstallationError::MemoryForm));
    let entry = Entry { value: vec![0; 90], created: Revision(1), modified: Revision(1), version: 1 };
    let row = Row { key: b"meta/memory/b".to_vec(), entry };
    assert!(matches!(Known::of(&root(), &row), Err(InstallationError::Memory(_))));
    assert_eq!(Known::of(&root(), &Row { key: b"v/x".to_vec(), ..row }), Ok(None));
}

/// Every row that vaults and services write opens under the root alone; under another none is known; and one that was moved,
/// or is of the wrong form, is told.
#[test]
fn seals_of_all_rows_are_known() {
    let scene = Scene::new();
    scene.create("another", EC);
    let Taken { rows, .. } = take_out(&scene);
    let entries: Vec<&Row> = rows
        .iter()
        .filter_map(|row| match row {
            Exported::Entry(row) => Some(row),
            Exported::Op { .. } => None,
        })
        .collect();
    let (root, other) = (root(), skerry_store::seal::Root::new(zeroize::Zeroizing::new([1; 32])));
    let (mut seals, mut others) = (Seals::new(&root), Seals::new(&other));
    assert!(entries.len() > 4);
    for row in &entries {
        assert_eq!(seals.check(row), Seal::Opens, "{}", row.key.escape_ascii());
        assert_eq!(others.check(row), Seal::Unknown);
    }
    let moved = Row { key: [entries[0].key.as_slice(), b"x"].concat(), entry: entries[0].entry.clone() };
    assert_eq!(seals.check(&moved), Seal::Broken(SealError::Integrity));
    let mut short = entries[0].clone();
    short.entry.value.truncate(9);
    assert_eq!(seals.check(&short), Seal::Broken(SealError::Malformed { len: 9 }));
}

/// Rows of another store, or a log that does not hold, make no server; and where a log is none is begun.
#[test]
fn other_parts_make_no_server() {
    let Taken { rows, before, head } = take_out(&Scene::new());
    let (store, folder) = restored(&rows);
    let memory = Store::memory();
    let other = recover(&memory, before.path(), folder.path(), head);
    assert!(matches!(other, Err(InstallationError::Stamp(_))), "{other:?}");
    let empty = TempDir::new().unwrap();
    let missing = recover(&store, empty.path(), folder.path(), head);
    assert!(matches!(missing, Err(InstallationError::History(_))), "{missing:?}");
    assert_eq!(recover(&store, before.path(), before.path(), head), Err(InstallationError::Audit(AuditError::Exists)));
    // From then on the store goes with the new log, and not with the one that it came with.
    recover(&store, before.path(), folder.path(), head).unwrap();
    assert!(open(&store, before.path()).is_err());
    assert_eq!(open(&store, folder.path()), Ok(Opened::default()));
}

fn text<'a>(record: &'a skerry_jose::json::Object, member: &str) -> &'a str {
    record.get(member).and_then(skerry_jose::json::Value::as_str).unwrap_or_default()
}
