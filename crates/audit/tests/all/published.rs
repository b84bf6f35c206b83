//! A log published beside itself: tiles, checkpoints and proofs of every record; and what is found of one that was altered,
//! each with its own error.

use crate::fixtures::{boundaries, entry, file, rng};
use skerry_audit::{
    AuditError, CheckError, Checked, Entry, Limits, Log, PublishError, Published, Publisher, Which, check,
};
use skerry_tlog::{
    CheckpointError, KeyError, NoteError, SignedCheckpoint, SigningKey, TileId, VerifyingKey, leaf_hash,
    verify_consistency, verify_inclusion,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

fn key() -> SigningKey {
    SigningKey::from_seed("log.example/one", &[7; 32]).unwrap()
}

fn at(hours: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_000_000 + 3600 * hours)
}

fn entries(from: u64, count: u64) -> Vec<Entry> {
    let number = |number: u64| entry(u8::try_from(number % 256).unwrap());
    (from..from + count).map(|at| Entry { request: format!("request-{at}"), ..number(at) }).collect()
}

/// A log that grows in steps and is published after each.
struct Grown {
    dir: TempDir,
    log: Log,
    publisher: Publisher,
    notes: Vec<SignedCheckpoint>,
}

impl Grown {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let log = Log::create(dir.path(), Limits::default(), &mut rng()).unwrap();
        let publisher = Publisher::open(dir.path(), key(), &log.durable().unwrap()).unwrap();
        Self { dir, log, publisher, notes: Vec::new() }
    }

    fn of(steps: &[u64]) -> Self {
        let mut grown = Self::new();
        steps.iter().for_each(|count| grown.grow(*count));
        grown
    }

    fn grow(&mut self, count: u64) {
        let from = self.log.head().unwrap().records;
        assert!(self.log.record_all(&entries(from, count)).iter().all(Result::is_ok));
        self.publish();
    }

    fn publish(&mut self) {
        let hour = u64::try_from(self.notes.len()).unwrap();
        let published = self.publisher.publish(&self.log.durable().unwrap(), at(hour)).unwrap();
        self.notes.extend(published);
    }

    fn check(&self) -> Result<Checked, CheckError> {
        checked(self.dir.path())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn checked(dir: &Path) -> Result<Checked, CheckError> {
    check(dir, Some(key().public()), &[], |_| ())
}

fn tile(name: &str) -> TileId {
    TileId::parse(name).unwrap()
}

/// Every file of the folder but the log and its lock.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut all, mut folders) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for file in fs::read_dir(folder).unwrap() {
            let file = file.unwrap().path();
            if file.is_dir() {
                folders.push(file);
                continue;
            }
            let name = file.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            all.insert(name, fs::read(&file).unwrap());
        }
    }
    all.remove("audit.log");
    all
}

#[test]
fn everything_is_published_as_it_grows() {
    // Whatever the steps, the files are those of the tree; every record has its proof, from tiles and from memory alike, and
    // every checkpoint continues those before.
    let mut grown = Grown::of(&[0, 1, 3, 251, 1, 1, 300, 255]);
    let size = grown.log.head().unwrap().records;
    assert_eq!((size, grown.notes.len()), (812, 8));
    let found = grown.check().unwrap();
    assert_eq!(found.published.as_ref(), grown.notes.last());
    assert_eq!((found.report.head, found.checkpoints), (grown.log.head().unwrap(), 9));
    assert_eq!(found.report.tree.root(), grown.log.durable().unwrap().tree.root());
    let published = Published::open(grown.dir.path(), key().public()).unwrap();
    let root = *published.checkpoint().root();
    for record in skerry_audit::read(grown.dir.path()).unwrap() {
        let record = record.unwrap();
        let (leaf, octets) = (record.leaf(), record.entry_octets());
        assert_eq!(leaf_hash(&octets), *leaf.hash());
        let proof = published.inclusion(leaf.index()).unwrap();
        assert_eq!(proof.entry, Some(octets));
        assert!(proof.verify(leaf.hash(), key().public()).is_ok());
        assert_eq!(grown.log.inclusion(leaf.index(), size).unwrap(), Some(proof.path.clone()));
        assert_eq!(verify_inclusion(leaf.hash(), leaf.index(), size, &root, &proof.path), Ok(()));
    }
    for older in &grown.notes {
        let proof = published.consistency(older).unwrap();
        assert_eq!(verify_consistency((older.size(), older.root()), (size, &root), &proof), Ok(()));
    }
    let beyond = CheckError::NotPublished { index: 812, published: 812 };
    assert_eq!(published.inclusion(812), Err(beyond));
    grown.publish();
    assert_eq!(grown.notes.len(), 8, "nothing came, nothing is signed");
}

#[test]
fn steps_do_not_show() {
    // But for checkpoints and partial tiles of before, what is published at once is what is published bit by bit.
    let small = Grown::of(&[100, 100, 100, 300]);
    let large = Grown::of(&[600]);
    let (small, mut large) = (files(small.dir.path()), files(large.dir.path()));
    large.retain(|name, _| !name.starts_with("checkpoints/"));
    for (name, octets) in &large {
        assert_eq!(small.get(name), Some(octets), "{name}");
    }
    assert!(small.contains_key("tile/entries/002.p/88") && small.contains_key("tile/1/000.p/2"));
    assert!(!small.keys().any(|name| name.starts_with("tile/0/000.p")), "full tiles take the partial ones' place");
}

#[test]
fn publishing_goes_on_after_a_stop() {
    // From the tiles that are there, or from the log where any of them, or the note of the place, is gone or another.
    let before = Grown::of(&[300, 30]);
    let all = files(before.dir.path());
    let expected = {
        let mut grown = Grown::of(&[300, 30]);
        grown.grow(5);
        files(grown.dir.path())
    };
    drop(before);
    let some = ["checkpoint", "published", "tile/0/000", "tile/0/001.p/74", "tile/1/000.p/1", "tile/entries/001.p/74"];
    let some: Vec<_> = some.map(str::to_owned).into();
    assert!(some.iter().all(|name| all.contains_key(name)));
    for name in some.iter().map(Some).chain([None]) {
        for gone in [true, false] {
            let mut grown = Grown::of(&[300, 30]);
            if let Some(name) = name {
                match (gone, name.as_str()) {
                    (true, _) => fs::remove_file(grown.path(name)).unwrap(),
                    (false, "checkpoint") => continue,
                    (false, _) => fs::write(grown.path(name), &all[name][1..]).unwrap(),
                }
            }
            grown.publisher = Publisher::open(grown.dir.path(), key(), &grown.log.durable().unwrap()).unwrap();
            grown.grow(5);
            let found = files(grown.dir.path());
            for (file, octets) in &expected {
                let other = file.starts_with("checkpoints/") || Some(file) == name;
                assert!(other || found.get(file) == Some(octets), "{file}");
            }
            // Full tiles that are there and altered, and partial ones that are past, are for checking to find.
            let tile = name.and_then(|name| TileId::parse(name).ok()).filter(|_| !gone);
            let expected = tile.map(|tile| match (tile.is_full(), &all[&tile.to_string()]) {
                (true, octets) => CheckError::TileLength { tile, len: octets.len() - 1, expected: octets.len() },
                (false, _) => CheckError::TileDiffers { tile },
            });
            assert_eq!(
                grown.check().err(),
                expected.filter(|_| tile != Some(TileId::parse("tile/1/000.p/1").unwrap())),
                "{name:?}"
            );
        }
    }
}

#[test]
fn one_checkpoint_an_hour_is_kept() {
    // The first of each hour, by the size that it is of.
    let mut grown = Grown::new();
    for (records, hour) in [(1, 0), (1, 0), (1, 1), (1, 1), (1, 2)] {
        let from = grown.log.head().unwrap().records;
        assert!(grown.log.record_all(&entries(from, records)).iter().all(Result::is_ok));
        assert!(grown.publisher.publish(&grown.log.durable().unwrap(), at(hour)).unwrap().is_some());
    }
    let kept: Vec<_> = files(grown.dir.path()).into_keys().filter(|name| name.starts_with("checkpoints/")).collect();
    let expected = [1, 3, 5].map(|size| format!("checkpoints/{size:020}"));
    assert_eq!(kept, expected);
    assert_eq!(grown.check().unwrap().checkpoints, 4);
}

#[test]
fn every_octet_of_what_is_published_counts() {
    // Of checkpoints and of tiles, partial ones too; and the right ones are right (the control).
    let grown = Grown::of(&[2, 1]);
    assert!(grown.check().is_ok());
    for (name, octets) in files(grown.dir.path()) {
        if name == "published" || name == "key" {
            continue;
        }
        for index in 0..octets.len() {
            let mut altered = octets.clone();
            altered[index] ^= 1;
            fs::write(grown.path(&name), &altered).unwrap();
            let found = grown.check().unwrap_err();
            let right = match TileId::parse(&name) {
                Ok(tile) => found == CheckError::TileDiffers { tile },
                Err(_) => matches!(found, CheckError::Checkpoint { .. }),
            };
            assert!(right, "{name}, octet {index}: {found:?}");
        }
        fs::write(grown.path(&name), &octets).unwrap();
    }
    assert!(grown.check().is_ok());
}

#[test]
fn tiles_that_are_not_right_are_told_apart() {
    // Missing, older, cut, altered, foreign.
    let grown = Grown::of(&[255, 2]);
    let all = files(grown.dir.path());
    let with = |name: &str, octets: Option<&[u8]>| {
        let place = grown.path(name);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        match octets {
            Some(octets) => fs::write(&place, octets).unwrap(),
            None => fs::remove_file(&place).unwrap(),
        }
        let found = grown.check().err();
        match all.get(name) {
            Some(octets) => fs::write(&place, octets).unwrap(),
            None => fs::remove_file(&place).unwrap(),
        }
        assert!(grown.check().is_ok());
        found
    };
    for name in ["tile/0/000", "tile/entries/000", "tile/0/001.p/1", "tile/1/000.p/1", "tile/entries/001.p/1"] {
        let (tile, octets) = (tile(name), &all[name]);
        assert_eq!(with(name, None), Some(CheckError::TileMissing { tile }));
        let (len, expected) = (octets.len() - 1, octets.len());
        assert_eq!(with(name, Some(&octets[1..])), Some(CheckError::TileLength { tile, len, expected }));
        let mut altered = octets.clone();
        altered[40 % len] ^= 1;
        assert_eq!(with(name, Some(&altered)), Some(CheckError::TileDiffers { tile }));
    }
    let older = &all["tile/0/000"][..255 * 32];
    fs::create_dir_all(grown.path("tile/0/000.p")).unwrap();
    fs::write(grown.path("tile/0/000.p/255"), older).unwrap();
    assert!(grown.check().is_ok(), "an older tile that begins the same may stay");
    let found = with("tile/0/000", None);
    assert_eq!(found, Some(CheckError::TileOlder { tile: tile("tile/0/000"), width: 255 }));
    fs::write(grown.path("tile/0/000.p/255"), &all["tile/0/000"][32..]).unwrap();
    assert_eq!(grown.check(), Err(CheckError::TileDiffers { tile: tile("tile/0/000.p/255") }));
    fs::remove_dir_all(grown.path("tile/0/000.p")).unwrap();
    for name in ["tile/0/002", "tile/2/000.p/1", "tile/1/000.p/2", "tile/0/000.p/01", "tile/notes"] {
        assert_eq!(with(name, Some(older)), Some(CheckError::TileForeign { name: name.to_owned() }));
    }
    let other = Grown::of(&[256]);
    let foreign = fs::read(other.path("tile/0/000")).unwrap();
    assert_eq!(foreign, all["tile/0/000"], "the same log: the control");
    let mut shifted = Grown::new();
    assert!(shifted.log.record(&entry(9)).is_ok());
    shifted.grow(255);
    let foreign = fs::read(shifted.path("tile/0/000")).unwrap();
    assert_eq!(with("tile/0/000", Some(&foreign)), Some(CheckError::TileDiffers { tile: tile("tile/0/000") }));
}

#[test]
fn logs_that_are_not_right_are_told_apart() {
    // Cut, edited, exchanged, rewritten, forked: with the signature that shows it.
    let grown = Grown::of(&[40, 10]);
    let octets = fs::read(file(&grown.dir)).unwrap();
    let places = boundaries(&octets);
    let verdict = |octets: &[u8]| {
        fs::write(file(&grown.dir), octets).unwrap();
        grown.check().unwrap_err()
    };
    let cut = |which, known, found| CheckError::Truncated { which, known, found };
    assert_eq!(verdict(&octets[..places[49]]), cut(Which::Published, 50, 49));
    assert_eq!(verdict(&octets[..places[30]]), cut(Which::Kept { records: 40 }, 40, 30));
    let mut edited = octets.clone();
    edited[places[20] + 60] ^= 1;
    assert_eq!(verdict(&edited), CheckError::Audit(AuditError::Corrupted { index: 20 }));
    let exchanged =
        [&octets[..places[7]], &octets[places[8]..places[9]], &octets[places[7]..places[8]], &octets[places[9]..]]
            .concat();
    assert_eq!(verdict(&exchanged), CheckError::Audit(AuditError::Moved { index: 7, found: 8 }));

    // The same log id, another history from record 20 on, with its chain made anew.
    let rewritten = |from: u64| {
        let dir = TempDir::new().unwrap();
        let log = Log::create(dir.path(), Limits::default(), &mut rng()).unwrap();
        let mut all = entries(0, 50);
        all.iter_mut().skip(usize::try_from(from).unwrap()).for_each(|entry| entry.who = "nobody".to_owned());
        assert!(log.record_all(&all).iter().all(Result::is_ok));
        drop(log);
        fs::read(file(&dir)).unwrap()
    };
    assert_eq!(rewritten(50), octets, "the control");
    assert_eq!(verdict(&rewritten(20)), CheckError::Rewritten { index: 20 });
    assert_eq!(verdict(&rewritten(45)), CheckError::Rewritten { index: 45 });
    // Without tiles under the signature nobody knows where.
    fs::remove_dir_all(grown.path("tile")).unwrap();
    assert_eq!(verdict(&rewritten(45)), CheckError::Forked { which: Which::Published, known: 50 });
    assert_eq!(verdict(&rewritten(20)), CheckError::Forked { which: Which::Kept { records: 40 }, known: 40 });
}

#[test]
fn forks_show_against_a_checkpoint_kept_elsewhere() {
    // One who has the key and signs another history passes alone; with a checkpoint from before it does not.
    let grown = Grown::of(&[20, 30]);
    let mut forked = Grown::new();
    assert!(forked.log.record(&entry(9)).is_ok());
    forked.grow(60);
    assert!(forked.check().is_ok());
    let since = |grown: &Grown, notes: &[&SignedCheckpoint]| {
        let notes: Vec<_> = notes.iter().map(|note| note.note().as_bytes().to_vec()).collect();
        check(grown.dir.path(), Some(key().public()), &notes, |_| ()).map(|found| found.checkpoints)
    };
    let notes: Vec<_> = grown.notes.iter().collect();
    assert_eq!(since(&grown, &notes), Ok(5));
    assert_eq!(since(&forked, &notes), Err(CheckError::Forked { which: Which::Given { number: 0 }, known: 20 }));
    let later = [&forked.notes[0]];
    let cut = CheckError::Truncated { which: Which::Given { number: 0 }, known: 61, found: 50 };
    assert_eq!(since(&grown, &later), Err(cut));
    let published = Published::open(forked.dir.path(), key().public()).unwrap();
    let fork = CheckError::Forked { which: Which::Given { number: 0 }, known: 20 };
    assert_eq!(published.consistency(notes[0]), Err(fork));
}

#[test]
fn keys_and_checkpoints_are_looked_for() {
    // What is missing, of another key or log, or under another name; a log of before that was never published holds.
    let grown = Grown::of(&[3]);
    let refused = |key: Option<&VerifyingKey>| check(grown.dir.path(), key, &[], |_| ()).unwrap_err();
    let other = SigningKey::from_seed("log.example/one", &[8; 32]).unwrap();
    let (which, error) = (Which::Published, CheckpointError::Note(NoteError::OtherKey));
    assert_eq!(refused(Some(other.public())), CheckError::Checkpoint { which, error });
    let found = check(grown.dir.path(), None, &[], |_| ()).unwrap();
    assert_eq!(found.key.as_ref(), Some(key().public()), "the key beside the log, where none is known");
    fs::rename(grown.path("checkpoints/00000000000000000003"), grown.path("checkpoints/00000000000000000002")).unwrap();
    assert_eq!(refused(None), CheckError::Renamed { named: 2, found: 3 });
    fs::remove_dir_all(grown.path("checkpoints")).unwrap();
    let note = fs::read(grown.path("checkpoint")).unwrap();
    fs::remove_file(grown.path("checkpoint")).unwrap();
    assert_eq!(refused(None), CheckError::CheckpointMissing);
    fs::write(grown.path("key"), "nonsense\n").unwrap();
    assert_eq!(refused(None), CheckError::Key(KeyError::Form));
    fs::remove_file(grown.path("key")).unwrap();
    fs::remove_dir_all(grown.path("tile")).unwrap();
    assert_eq!(check(grown.dir.path(), None, &[], |_| ()).unwrap().published, None);
    fs::write(grown.path("checkpoint"), note).unwrap();
    assert_eq!(refused(None), CheckError::KeyMissing);
}

#[test]
fn publishing_over_what_is_not_ours_is_refused() {
    // A checkpoint of another key, or of more than the log has: signing on would make two histories.
    let grown = Grown::of(&[3]);
    let durable = grown.log.durable().unwrap();
    let opened = |key| Publisher::open(grown.dir.path(), key, &durable).map(|_| ()).err();
    assert_eq!(opened(key()), None);
    let other = SigningKey::from_seed("log.example/one", &[8; 32]).unwrap();
    let error = CheckpointError::Note(NoteError::OtherKey);
    assert_eq!(opened(other), Some(PublishError::Checkpoint(error)));
    let more = SignedCheckpoint::sign(&key(), 4, [0; 32]);
    fs::write(grown.path("checkpoint"), more.note()).unwrap();
    assert_eq!(opened(key()), Some(PublishError::Behind { known: 4, found: 3 }));
}

#[test]
fn what_is_signed_is_what_was_written() {
    // A record that was altered in the file behind an open log is not signed for.
    let mut grown = Grown::of(&[3]);
    let durable = grown.log.durable().unwrap();
    assert!(grown.log.record_all(&entries(3, 2)).iter().all(Result::is_ok));
    let octets = fs::read(file(&grown.dir)).unwrap();
    let other = Grown::new();
    let mut all = entries(0, 5);
    all[4].who = "nobody".to_owned();
    assert!(other.log.record_all(&all).iter().all(Result::is_ok));
    fs::write(file(&grown.dir), fs::read(file(&other.dir)).unwrap()).unwrap();
    let refused = grown.publisher.publish(&grown.log.durable().unwrap(), at(1));
    assert!(matches!(refused, Err(PublishError::OtherTree { records: 5 } | PublishError::Audit(_))), "{refused:?}");
    assert_eq!(
        SignedCheckpoint::verify(&fs::read(grown.path("checkpoint")).unwrap(), key().public()).unwrap().size(),
        3
    );
    fs::write(file(&grown.dir), octets).unwrap();
    assert!(grown.publisher.publish(&grown.log.durable().unwrap(), at(1)).unwrap().is_some());
    assert_eq!(durable.head.records, 3);
    assert!(grown.check().is_ok());
}
