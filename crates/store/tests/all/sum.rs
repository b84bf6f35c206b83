//! The sum over all rows: whatever is done to a closed file by redb itself, but for the whole of it, is noticed.

use crate::disk::Disk;
use crate::engines::*;
use crate::raw::{Content, ENTRIES, SUM};
use crate::suite::fixtures::*;
use redb::{Database, Key, ReadableTable as _, TableDefinition, TypeName, Value};
use skerry_store::{At, Options, Outcome, Revision, Settled, Store, StoreError};
use std::cell::RefCell;
use std::cmp::Ordering;
use std::pin::Pin;

/// The file after each of some commits, with its octets: keys are made, changed, deleted and made again, an op is aborted
/// and one changes nothing.
struct Story {
    disk: Disk,
    states: Vec<(Content, Vec<u8>)>,
}

impl Story {
    fn new() -> Self {
        let disk = Disk::new();
        let mut states = Vec::new();
        let mut step = |step: &dyn Fn(&Store) -> Revision| {
            let revision = step(&open(&disk).unwrap());
            assert_eq!(revision.0, u64::try_from(states.len()).unwrap());
            states.push((Content::read(&database(&disk)), disk.durable()));
        };
        drop(Store::create_on(disk.clone(), &root(1), options()).unwrap());
        step(&|_| Revision(0));
        step(&|store| write(store, &[put("head", "loose"), put("version", "enabled")]));
        step(&|store| write(store, &[put("head", "strict"), put("other", "1")]));
        step(&|store| write(store, &[put("version", "disabled"), delete("other")]));
        step(&|store| wait(store.settle(op())).and_then(|_| wait(store.fence())).unwrap());
        step(&|store| write(store, &[]));
        step(&|store| write(store, &[put("head", "loose"), put("other", "1"), delete("never there")]));
        step(&|store| write(store, &[put("head", "strict"), delete("other")]));
        Self { disk, states }
    }

    fn newest(&self) -> Content {
        self.states.last().unwrap().0.clone()
    }

    /// Why the file does not open with this in it.
    fn refusal(&self, content: &Content) -> Option<StoreError> {
        content.write(&database(&self.disk));
        let refusal = open(&self.disk).err();
        assert_eq!(beside_reads(&self.disk), refusal, "checked beside reads");
        refusal
    }

    fn assert_altered<T>(&self, what: &str, edit: impl FnOnce(&mut Content) -> T) {
        let mut content = self.newest();
        let _ = edit(&mut content);
        assert_ne!(content, self.newest(), "{what}: not an edit");
        assert_eq!(self.refusal(&content), Some(StoreError::Altered), "{what}");
    }

    fn assert_unharmed(&self) {
        assert_eq!(self.refusal(&self.newest()), None, "the control");
    }
}

fn open(disk: &Disk) -> Result<Store, StoreError> {
    Store::open_on(disk.clone(), &root(1), options())
}

/// Why the file is refused when it is checked while it is read.
fn beside_reads(disk: &Disk) -> Option<StoreError> {
    match Store::open_unverified_on(disk.clone(), &root(1), Options::new(drop)) {
        Ok(store) => wait(store.verified()).err(),
        Err(refusal) => Some(refusal),
    }
}

/// The file, for who is not a store.
fn database(disk: &Disk) -> Database {
    Database::builder().create_with_backend(disk.clone()).unwrap()
}

#[test]
fn sum_is_drawn_as_documented() {
    // After every commit, and under each root by its own keys.
    for (content, _) in Story::new().states {
        assert_eq!(content.sum, Some(content.summed(&root(1))));
        assert_ne!(content.sum, Some(content.summed(&root(2))));
    }
}

#[test]
fn row_put_back_is_noticed() {
    // Every row of every earlier state: a policy loosened again, a version enabled again, a deleted row back.
    let story = Story::new();
    let newest = story.newest();
    let mut put_back = 0;
    for (state, (content, _)) in story.states.iter().enumerate() {
        for (key, row) in content.entries.iter().filter(|(key, row)| newest.entries.get(*key) != Some(row)) {
            let what = format!("{} of state {state}", String::from_utf8_lossy(key));
            story.assert_altered(&what, |content| content.entries.insert(key.clone(), row.clone()));
            put_back += 1;
        }
    }
    assert_eq!(put_back, 10, "rows that were put back");
    story.assert_unharmed();
}

#[test]
fn row_taken_away_is_noticed() {
    // Each alone, and all.
    let story = Story::new();
    for key in story.newest().entries.keys() {
        story.assert_altered("one row", |content| content.entries.remove(key));
    }
    story.assert_altered("all rows", |content| content.entries.clear());
    story.assert_altered("everything", |content| {
        content.entries.clear();
        content.ops.clear();
    });
    story.assert_unharmed();
}

#[test]
fn row_brought_in_is_noticed() {
    // Whether it is a row or none, new or another key's.
    let story = Story::new();
    let head = story.newest().entries[b"head".as_slice()].clone();
    for row in [Vec::new(), vec![0; 23], vec![0; 24], head.clone()] {
        story.assert_altered("a row brought in", |content| content.entries.insert(b"new".into(), row));
    }
    story.assert_altered("a row moved", |content| {
        let head = content.entries.remove(b"head".as_slice()).unwrap();
        content.entries.insert(b"heap".into(), head);
    });
    story.assert_altered("rows exchanged", |content| {
        let version = content.entries.insert(b"version".into(), head).unwrap();
        content.entries.insert(b"head".into(), version);
    });
    story.assert_altered("an octet moved from the value into the key", |content| {
        let head = content.entries.remove(b"head".as_slice()).unwrap();
        content.entries.insert([b"head".as_slice(), &head[..1]].concat(), head[1..].to_vec());
    });
    story.assert_unharmed();
}

#[test]
fn row_changed_is_noticed() {
    // Each octet of it: the numbers of its commits, its version, its value; and its length.
    let story = Story::new();
    let head = story.newest().entries[b"head".as_slice()].clone();
    for octet in 0..head.len() {
        story.assert_altered(&format!("octet {octet}"), |content| {
            content.entries.get_mut(b"head".as_slice()).unwrap()[octet] ^= 1;
        });
    }
    story.assert_altered("shorter", |content| content.entries.get_mut(b"head".as_slice()).unwrap().pop());
    story.assert_altered("longer", |content| content.entries.get_mut(b"head".as_slice()).unwrap().push(0));
    story.assert_unharmed();
}

#[test]
fn op_ids_are_covered() {
    // One that was taken away, changed, moved or brought in would make settling lie, or the revision go back.
    let story = Story::new();
    for (revision, row) in story.newest().ops {
        story.assert_altered(&format!("without op {revision}"), |content| content.ops.remove(&revision));
        for octet in 0..row.len() {
            story.assert_altered(&format!("octet {octet} of op {revision}"), |content| {
                content.ops.get_mut(&revision).unwrap()[octet] ^= 3;
            });
        }
        story.assert_altered(&format!("op {revision} under another number"), |content| {
            content.ops.remove(&revision);
            content.ops.insert(revision + 100, row);
        });
    }
    story.assert_altered("another op", |content| content.ops.insert(100, [1; 17]));
    story.assert_unharmed();
}

#[test]
fn sum_taken_away_is_noticed() {
    // The row, the table, and a table that is another.
    let story = Story::new();
    let newest = story.newest();
    let without = Content { sum: None, ..newest.clone() };
    assert_eq!(story.refusal(&without), Some(StoreError::SumMissing));
    let disk = &story.disk;
    edit(disk, |transaction| assert!(transaction.delete_table(SUM).unwrap()));
    assert_eq!(open(disk).err(), Some(StoreError::SumMissing));
    let other = TableDefinition::<u64, u64>::new("sum");
    edit(disk, |transaction| drop(transaction.open_table(other).unwrap()));
    assert!(matches!(open(disk).err(), Some(StoreError::Damaged { .. })));
    edit(disk, |transaction| assert!(transaction.delete_table(other).unwrap()));
    story.assert_unharmed();
}

#[test]
fn other_tables_are_noticed() {
    // A store has four, by these names.
    let story = Story::new();
    edit(&story.disk, |transaction| {
        transaction.open_table(TableDefinition::<u64, u64>::new("entrances")).unwrap();
    });
    let damaged = StoreError::Damaged { detail: "tables are not those of a store".to_owned() };
    assert_eq!(open(&story.disk).err(), Some(damaged));
}

#[test]
fn sum_changed_is_noticed() {
    // Each octet of it; those of the KEK id look like another root.
    let story = Story::new();
    let newest = story.newest();
    for octet in 0..48 {
        let mut sum = newest.sum.unwrap();
        sum[octet] ^= 1;
        let expected = if octet < 16 { StoreError::OtherRoot } else { StoreError::Altered };
        assert_eq!(story.refusal(&Content { sum: Some(sum), ..newest.clone() }), Some(expected), "octet {octet}");
    }
    story.assert_unharmed();
}

#[test]
fn parts_of_two_states_are_noticed() {
    // Entries, op ids and the sum of any three states: what opens is one state, whole.
    let story = Story::new();
    for (one, (entries, _)) in story.states.iter().enumerate() {
        for (other, (ops, _)) in story.states.iter().enumerate() {
            for (third, (sum, _)) in story.states.iter().enumerate() {
                let mixed = Content { entries: entries.entries.clone(), ops: ops.ops.clone(), sum: sum.sum };
                let expected = if mixed == *sum { None } else { Some(StoreError::Altered) };
                assert_eq!(story.refusal(&mixed), expected, "entries {one}, ops {other}, sum {third}");
            }
        }
    }
}

#[test]
fn whole_file_put_back_opens() {
    // The limit of it: a state that once was, whole, is a state. Its own tables or its own octets, all the same.
    let story = Story::new();
    for (number, (content, octets)) in story.states.iter().enumerate() {
        let revision = Revision(u64::try_from(number).unwrap());
        assert_eq!(story.refusal(content), None);
        for disk in [&story.disk, &Disk::holding(octets.clone())] {
            assert_eq!(wait(open(disk).unwrap().fence()), Ok(revision));
        }
    }
}

#[test]
fn other_root_is_told_apart() {
    // Whatever else is wrong with the rows: who comes with the wrong root reads that first.
    let story = Story::new();
    let opened = || Store::open_on(story.disk.clone(), &root(2), options()).err();
    assert_eq!(opened(), Some(StoreError::OtherRoot));
    let mut altered = story.newest();
    altered.entries.clear();
    altered.write(&database(&story.disk));
    assert_eq!(opened(), Some(StoreError::OtherRoot));
    Content { sum: Some(altered.summed(&root(2))), ..altered }.write(&database(&story.disk));
    assert_eq!(opened(), None);
    assert_eq!(open(&story.disk).err(), Some(StoreError::OtherRoot));
}

#[test]
fn row_hidden_in_the_tree_is_noticed() {
    // redb does not check the order of its trees. The same rows, so the same sum, but one lies where nobody looks for it.
    let disk = Disk::new();
    let store = Store::create_on(disk.clone(), &root(1), options()).unwrap();
    let ops: Vec<_> = (0..100).map(|number| put(&format!("key/{number:03}"), &"x".repeat(200))).collect();
    write(&store, &ops);
    drop(store);
    let before = Content::read(&database(&disk));
    let hidden = (0..99).filter(|number| hide(&disk, &before, *number)).count();
    assert!(hidden > 3, "{hidden}: a leaf ends in several places");
    before.write(&database(&disk));
    assert_eq!(open(&disk).err(), None, "the control");
}

/// Takes a row and the one after it away, puts the second where the first is looked for, and then the first back before
/// it. Where a leaf ends between them the second is not found any more, and opening has to notice. Gives whether so.
fn hide(disk: &Disk, content: &Content, number: usize) -> bool {
    content.write(&database(disk));
    let key = |number| format!("key/{number:03}").into_bytes();
    let (first, second) = (key(number), key(number + 1));
    edit(disk, |transaction| {
        let mut rows = transaction.open_table(ENTRIES).unwrap();
        rows.remove(first.as_slice()).unwrap();
        rows.remove(second.as_slice()).unwrap();
    });
    edit(disk, |transaction| {
        CROOKED.set(Some((second.clone(), first.clone())));
        let mut rows = transaction.open_table(TableDefinition::<Crooked, &[u8]>::new("entries")).unwrap();
        rows.insert(second.as_slice(), content.entries[&second].as_slice()).unwrap();
        CROOKED.set(None);
    });
    let mut found = true;
    edit(disk, |transaction| {
        let mut rows = transaction.open_table(ENTRIES).unwrap();
        rows.insert(first.as_slice(), content.entries[&first].as_slice()).unwrap();
        found = rows.get(second.as_slice()).unwrap().is_some();
    });
    assert_eq!(Content::read(&database(disk)), *content, "the same rows");
    let disorder = StoreError::Damaged { detail: "entries are not in order".to_owned() };
    let refusal = if found { None } else { Some(disorder) };
    assert_eq!((open(disk).err(), beside_reads(disk)), (refusal.clone(), refusal), "{number}");
    !found
}

/// Octets in their order, but for one key that is taken for another.
#[derive(Debug)]
struct Crooked;

std::thread_local! {
    /// The key, and what it is taken for.
    static CROOKED: RefCell<Option<(Vec<u8>, Vec<u8>)>> = const { RefCell::new(None) };
}

impl Key for Crooked {
    fn compare(left: &[u8], right: &[u8]) -> Ordering {
        CROOKED.with_borrow(|crooked| {
            let seen = |key: &[u8]| match crooked {
                Some((from, to)) if from == key => to.clone(),
                _ => key.to_vec(),
            };
            seen(left).cmp(&seen(right))
        })
    }
}

impl Value for Crooked {
    type SelfType<'a> = &'a [u8];
    type AsBytes<'a> = &'a [u8];

    fn fixed_width() -> Option<usize> {
        None
    }

    fn from_bytes<'a>(data: &'a [u8]) -> &'a [u8]
    where
        Self: 'a,
    {
        data
    }

    fn as_bytes<'a, 'b: 'a>(value: &'a Self::SelfType<'b>) -> &'a [u8] {
        value
    }

    fn type_name() -> TypeName {
        <&[u8]>::type_name()
    }
}

#[test]
fn row_altered_while_open_is_noticed_at_the_next_opening() {
    // An open file is trusted, and redb writes what it read anew, with a checksum: the sum still is of what was put.
    for (touched, what) in [("b", "a row beside it"), ("a", "the row itself")] {
        let disk = Disk::new();
        let store = Store::create_on(disk.clone(), &root(1), options()).unwrap();
        write(&store, &[put("a", "strict"), put("b", "1")]);
        // More than one page, the first of which redb keeps at hand.
        let more: Vec<_> = (0..100).map(|number| put(&format!("c/{number:03}"), &"x".repeat(200))).collect();
        write(&store, &more);
        drop(store);
        let mut options = options();
        options.cache_len = 0;
        let store = Store::open_on(disk.clone(), &root(1), options).unwrap();
        assert!(disk.replace(b"strict", b"loose!") > 0);
        assert_eq!(value(&store, "a").as_deref(), Some("loose!"), "{what}");
        write(&store, &[put(touched, "2")]);
        drop(store);
        assert_eq!(reopened(&disk).err(), Some(StoreError::Altered), "{what}");
    }
}

fn reopened(disk: &Disk) -> Result<Store, StoreError> {
    Store::open_on(Disk::holding(disk.durable()), &root(1), options())
}

#[test]
fn group_is_summed_whole() {
    // Commits, conflicts and aborts that share a sync, several of one key: the last one's sum is written, of all of them.
    let disk = Disk::new();
    let store = Store::create_on(disk.clone(), &root(1), options()).unwrap();
    let syncs = disk.hold_syncs();
    let txns: Vec<_> = (0..200)
        .map(|number| match number % 4 {
            0 => txn(&[], &[put(&format!("own/{number}"), "1"), put("shared", &number.to_string())]),
            1 => txn(&[], &[delete(&format!("own/{}", number - 1)), put("shared", &number.to_string())]),
            2 => txn(&[absent("shared")], &[put("never", "1")]),
            _ => txn(&[present("shared")], &[]),
        })
        .collect();
    let mut commits: Vec<Pin<Box<_>>> = txns.iter().map(|txn| Box::pin(store.commit(txn))).collect();
    begin(commits[0].as_mut());
    syncs.entered.recv().unwrap();
    commits[1..].iter_mut().for_each(|commit| begin(commit.as_mut()));
    let mut settle = Box::pin(store.settle(op()));
    begin(settle.as_mut());
    syncs.release();
    let outcomes: Vec<_> = commits.into_iter().map(|commit| wait(commit).unwrap()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Committed(_))).count(), 150);
    assert_eq!(wait(settle), Ok(Settled::Aborted));
    drop(store);
    let store = reopened(&disk).unwrap();
    assert_eq!(wait(store.fence()), Ok(Revision(151)));
    assert_eq!(value(&store, "shared").as_deref(), Some("197"));
}

#[test]
fn sum_goes_on_after_reopening() {
    // What an opening summed up is what later commits change.
    let disk = Disk::new();
    drop(Store::create_on(disk.clone(), &root(1), options()).unwrap());
    for number in 0..20 {
        let store = Store::open_on(disk.clone(), &root(1), options()).unwrap();
        assert_eq!(write(&store, &[put("a", &number.to_string()), delete("b")]), Revision(2 * number + 1));
        write(&store, &[put("b", "1")]);
    }
    assert_eq!(get(&reopened(&disk).unwrap(), "a", At::Linearizable).unwrap().unwrap().version, 20);
}

fn edit(disk: &Disk, edit: impl FnOnce(&redb::WriteTransaction)) {
    let database = database(disk);
    let transaction = database.begin_write().unwrap();
    edit(&transaction);
    transaction.commit().unwrap();
}
