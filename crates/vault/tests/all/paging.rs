//! Lists, a page at a time: every row once, and no page token but the vault's own.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use skerry_identity::Permission;
use skerry_jose::b64;
use skerry_store::limits::{HISTORY_LEN_MAX, VALUE_LEN_MAX};
use skerry_store::{At, Op, OpId, Outcome, StoreError, Txn};
use skerry_vault::command::ListCommand;
use skerry_vault::limits::{PAGE_ROWS_MAX, PAGE_TOKEN_CHARS_MAX};
use skerry_vault::record::Key;
use skerry_vault::{Listing, Refusal};
use uuid::Uuid;

use crate::support::*;

/// A list, whichever.
type Of<'a> = &'a dyn Fn(&ListCommand<'_>) -> Result<Listing, Refusal>;

/// Every page of a list, with so many rows asked for. Only the last may be shorter.
fn pages(list: Of<'_>, rows_max: Option<usize>) -> Vec<Vec<Key>> {
    let (mut pages, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = list(&ListCommand { rows_max, after: after.as_deref() }).unwrap();
        pages.push(page.rows);
        let Some(next) = page.next else { return pages };
        after = Some(next);
    }
}

fn names(pages: &[Vec<Key>]) -> Vec<String> {
    pages.iter().flatten().map(|key| key.head.name.to_string()).collect()
}

/// A vault with so many keys, whose names are not made in order and differ in case.
fn vault_of(count: usize) -> (Scene, Vec<String>) {
    let scene = Setup::default().bare();
    let mut all: Vec<String> = (0..count).map(|index| format!("key-{:02}", index * 17 % count)).collect();
    for (index, key) in all.iter().enumerate() {
        let key = if index.is_multiple_of(2) { key.to_ascii_uppercase() } else { key.clone() };
        scene.create(&key, OCT);
    }
    all.sort();
    (scene, all)
}

/// Pages of every size there is give every key once, by name without case; all are full but the last, which has no token.
#[test]
fn every_key_once_in_pages_of_every_size() {
    let (scene, all) = vault_of(27);
    let list = |command: &ListCommand<'_>| scene.list(command);
    for asked in (1..=PAGE_ROWS_MAX).map(Some).chain([None]) {
        let size = asked.unwrap_or(PAGE_ROWS_MAX);
        let pages = pages(&list, asked);
        let expected: Vec<usize> = (0..27).step_by(size).map(|start| size.min(27 - start)).collect();
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{asked:?}");
        let names: Vec<String> = names(&pages).iter().map(|name| name.to_ascii_lowercase()).collect();
        assert_eq!(names, all, "{asked:?}");
    }
}

/// A list that fills its last page to the brim ends there, and an empty one is one empty page.
#[test]
fn list_ends_where_its_rows_do() {
    let (scene, _) = vault_of(4);
    let list = |command: &ListCommand<'_>| scene.list(command);
    assert_eq!(pages(&list, Some(2)).iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(pages(&list, Some(4)).iter().map(Vec::len).collect::<Vec<_>>(), [4]);
    assert_eq!(pages(&|command: &ListCommand<'_>| scene.list_deleted(command), None), [vec![]]);
}

/// No rows at all and more than a page holds are refused, by every list; the largest page is not.
#[test]
fn size_of_a_page_is_bounded() {
    let scene = Scene::new();
    let lists: [Of<'_>; 3] = [&|command| scene.list(command), &|command| scene.list_deleted(command), &|command| {
        scene.list_versions(KEY, command)
    }];
    for list in lists {
        for asked in [0, PAGE_ROWS_MAX + 1, usize::MAX] {
            let refused = Refusal::PageRows { asked, max: PAGE_ROWS_MAX };
            assert_eq!(list(&ListCommand { rows_max: Some(asked), after: None }).err(), Some(refused));
        }
        assert!(list(&ListCommand { rows_max: Some(PAGE_ROWS_MAX), after: None }).is_ok());
    }
}

/// Deleted keys are paged by name too, and versions by their ids.
#[test]
fn deleted_keys_and_versions_are_paged() {
    let (scene, all) = vault_of(6);
    for key in &all {
        scene.delete(key).unwrap();
    }
    let deleted = pages(&|command: &ListCommand<'_>| scene.list_deleted(command), Some(4));
    assert_eq!(deleted.iter().map(Vec::len).collect::<Vec<_>>(), [4, 2]);
    assert_eq!(names(&deleted).iter().map(|name| name.to_ascii_lowercase()).collect::<Vec<_>>(), all);
    let made: BTreeSet<[u8; 16]> = (0..7).map(|_| scene.create(KEY, OCT).version.version.0).collect();
    for size in [1, 2, 3, 7] {
        let versions = pages(&|command: &ListCommand<'_>| scene.list_versions(KEY, command), Some(size));
        let listed: Vec<[u8; 16]> = versions.iter().flatten().map(|key| key.version.version.0).collect();
        assert_eq!(listed, made.iter().copied().collect::<Vec<_>>(), "{size}");
    }
}

/// A page token that is altered in any octet, in its spelling, cut, lengthened, or made up is refused; the page it stands
/// for is given as often as it is asked for.
#[test]
fn altered_page_tokens() {
    let (scene, _) = vault_of(3);
    let after = |token: &str| scene.list(&ListCommand { rows_max: Some(1), after: Some(token) });
    let first = scene.list(&ListCommand { rows_max: Some(1), after: None }).unwrap();
    let token = first.next.unwrap();
    let octets = b64::decode(&token).unwrap();
    let altered = |at: usize, by: u8| {
        let mut octets = octets.clone();
        octets[at] ^= by;
        b64::encode(octets)
    };
    let flipped = (0..octets.len()).flat_map(|at| [1, 0x80].map(|by| altered(at, by)));
    let cut = (0..octets.len()).map(|len| b64::encode(&octets[..len]));
    let grown = b64::encode([octets.as_slice(), &[0]].concat());
    let spelt =
        [format!("{token}="), format!("{token} "), token.to_lowercase(), "%".into(), "\u{e9}".into(), "..".into()];
    let long = ["A".repeat(PAGE_TOKEN_CHARS_MAX), "A".repeat(PAGE_TOKEN_CHARS_MAX + 1), "A".repeat(1_000_000)];
    for odd in flipped.chain(cut).chain([grown]).chain(spelt).chain(long) {
        assert_eq!(after(&odd).err(), Some(Refusal::PageToken), "{odd:.80}");
    }
    let second = after(&token).unwrap();
    let control = after(&token).unwrap();
    assert_eq!((&second.rows, second.rows.len()), (&control.rows, 1));
    assert_ne!(second.next, control.next, "tokens of one place do not show that they are");
}

/// A page token is good for its own list in its own vault of its own installation, for nothing else.
#[test]
fn foreign_page_tokens() {
    let (scene, all) = vault_of(2);
    for key in ["deleted-1", "deleted-2"] {
        scene.create(key, OCT);
        scene.delete(key).unwrap();
    }
    for key in &all {
        scene.create(key, OCT);
    }
    let one = ListCommand { rows_max: Some(1), after: None };
    let lists: [Of<'_>; 4] = [
        &|command| scene.list(command),
        &|command| scene.list_deleted(command),
        &|command| scene.list_versions(&all[0], command),
        &|command| scene.list_versions(&all[1], command),
    ];
    let tokens = lists.map(|list| list(&one).unwrap().next.unwrap());
    for (of, token) in tokens.iter().enumerate() {
        for (at, list) in lists.iter().enumerate() {
            let page = list(&ListCommand { rows_max: Some(1), after: Some(token) });
            assert_eq!(page.err(), (of != at).then_some(Refusal::PageToken), "token of list {of} for list {at}");
        }
    }
    let other = Uuid::from_bytes([9; 16]);
    let (beside, ..) = Setup { id: other, ..Setup::default() }.try_vault(&scene.installation).ok().unwrap();
    let grant = grant_in(other, Permission::List);
    let after = |token| ListCommand { rows_max: None, after: token };
    let context = context(&grant, "list-1", NOW);
    assert_eq!(wait(beside.list(&context, &after(Some(&tokens[0])))).err(), Some(Refusal::PageToken));
    assert!(wait(beside.list(&context, &after(None))).unwrap().rows.is_empty());
    let foreign = Setup { root: [1; 32], ..Setup::default() }.scene();
    assert_eq!(foreign.list(&after(Some(&tokens[0]))).err(), Some(Refusal::PageToken));
    assert_eq!(foreign.list(&after(None)).unwrap().rows.len(), 1);
}

/// Names on all pages that follow this one, in lower case.
fn rest(list: Of<'_>, mut next: Option<String>, rows_max: usize) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(after) = next {
        let page = list(&ListCommand { rows_max: Some(rows_max), after: Some(&after) }).unwrap();
        all.extend(page.rows.iter().map(|key| key.head.name.to_string().to_ascii_lowercase()));
        next = page.next;
    }
    all
}

/// A list shows the vault as it was when it began: keys that come, go, come back and change between its pages, the one that a
/// token names among them, neither hide, repeat nor alter any. A list that begins later shows what is then.
#[test]
fn list_is_of_the_time_it_began() {
    let (scene, all) = vault_of(9);
    let list = |command: &ListCommand<'_>| scene.list(command);
    let first = list(&ListCommand { rows_max: Some(3), after: None }).unwrap();
    assert_eq!(names(&[first.rows])[2].to_ascii_lowercase(), "key-02");
    for key in ["key-02", "key-04", "key-06"] {
        scene.delete(key).unwrap();
    }
    scene.purge("key-04").unwrap();
    scene.recover("key-06").unwrap();
    scene.enable("key-07", false).unwrap();
    scene.create("key-08", OCT);
    for key in ["key-000", "key-03a", "key-99"] {
        scene.create(key, OCT);
    }
    let second = list(&ListCommand { rows_max: Some(3), after: first.next.as_deref() }).unwrap();
    scene.recover("key-02").unwrap();
    assert_eq!(
        names(std::slice::from_ref(&second.rows)).iter().map(|name| name.to_ascii_lowercase()).collect::<Vec<_>>(),
        all[3..6]
    );
    let third = list(&ListCommand { rows_max: Some(3), after: second.next.as_deref() }).unwrap();
    assert_eq!((third.rows.len(), third.next), (3, None));
    let enabled: Vec<bool> = third.rows.iter().map(|key| key.version.enabled).collect();
    let versions: Vec<usize> = third.rows.iter().map(|key| key.head.versions.len()).collect();
    assert_eq!((enabled, versions), (vec![true, true, true], vec![1, 1, 1]), "as they were");
    let now = rest(&list, list(&ListCommand { rows_max: Some(1), after: None }).unwrap().next, 25);
    let expected =
        ["key-000", "key-01", "key-02", "key-03", "key-03a", "key-05", "key-06", "key-07", "key-08", "key-99"];
    assert_eq!(now, expected, "after key-00");
}

/// The versions of a key are listed as they were when that list began, as long as the key is there.
#[test]
fn versions_are_of_the_time_the_list_began() {
    let scene = Setup::default().bare();
    let made: BTreeSet<[u8; 16]> = (0..4).map(|_| scene.create(KEY, OCT).version.version.0).collect();
    let list = |after: Option<&str>| scene.list_versions(KEY, &ListCommand { rows_max: Some(2), after });
    let first = list(None).unwrap();
    for _ in 0..8 {
        scene.create(KEY, OCT);
    }
    let second = list(first.next.as_deref()).unwrap();
    assert_eq!(second.next, None);
    let listed: Vec<[u8; 16]> = [first.rows, second.rows].iter().flatten().map(|key| key.version.version.0).collect();
    assert_eq!(listed, made.into_iter().collect::<Vec<_>>());
    scene.delete(KEY).unwrap();
    let missing = Refusal::KeyNotFound { name: KEY.into() };
    assert_eq!(list(first.next.as_deref()).err(), Some(missing), "a key that is gone");
    scene.recover(KEY).unwrap();
    assert!(list(first.next.as_deref()).is_ok());
    scene.delete(KEY).unwrap();
    scene.purge(KEY).unwrap();
    scene.create(KEY, OCT);
    assert_eq!(list(first.next.as_deref()).err(), Some(Refusal::PageToken), "another key of the name");
}

/// Puts so much into the store that its past is forgotten.
fn forget_the_past(scene: &Scene) {
    let before = wait(scene.store.fence()).unwrap();
    for number in 0..=HISTORY_LEN_MAX / VALUE_LEN_MAX {
        let ops = vec![Op::Put(format!("x/{number}").into_bytes(), vec![0; VALUE_LEN_MAX])];
        let txn = Txn { op: OpId::random(&mut *randomness()), checks: Vec::new(), ops };
        assert!(matches!(wait(scene.store.commit(&txn)), Ok(Outcome::Committed(_))));
    }
    let forgotten = wait(scene.store.get(b"x/0", At::Snapshot(before)));
    assert!(matches!(forgotten, Err(StoreError::Compacted { .. })));
}

/// When the store has forgotten the time of a list, it goes on in the newest state, after the last key that it gave, and is
/// of that state from then on: what is there throughout is given once.
#[test]
fn list_that_outlives_the_past_goes_on() {
    let (scene, all) = vault_of(9);
    let list = |command: &ListCommand<'_>| scene.list(command);
    let first = list(&ListCommand { rows_max: Some(3), after: None }).unwrap();
    for key in ["key-02", "key-04"] {
        scene.delete(key).unwrap();
    }
    for key in ["key-000", "key-03a", "key-99"] {
        scene.create(key, OCT);
    }
    forget_the_past(&scene);
    let second = list(&ListCommand { rows_max: Some(3), after: first.next.as_deref() }).unwrap();
    scene.create("key-98", OCT);
    let mut later: Vec<String> = second.rows.iter().map(|key| key.head.name.to_string().to_ascii_lowercase()).collect();
    later.extend(rest(&list, second.next, 3));
    assert_eq!(later, ["key-03", "key-03a", "key-05", "key-06", "key-07", "key-08", "key-99"]);
    let made: BTreeSet<[u8; 16]> = (0..4).map(|_| scene.create(&all[0], OCT).version.version.0).collect();
    let versions =
        |after: Option<&str>| scene.list_versions(&all[0], &ListCommand { rows_max: Some(2), after }).unwrap();
    let first = versions(None);
    forget_the_past(&scene);
    let mut listed: Vec<[u8; 16]> = first.rows.iter().map(|key| key.version.version.0).collect();
    let mut next = first.next;
    while let Some(after) = next {
        let page = versions(Some(&after));
        listed.extend(page.rows.iter().map(|key| key.version.version.0));
        next = page.next;
    }
    assert!(made.iter().all(|version| listed.contains(version)) && listed.len() == 5, "{listed:?}");
}

/// Keys that others make, delete, recover and purge all the time, among those that stay: every list has each of these once,
/// in order, and is the vault of one moment, so that of two keys that are only ever there in turn it has not both.
#[test]
fn lists_beside_many_changes() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = skerry_store::Store::create(&folder.path().join("store"), &root(), skerry_store::Options::new(|_| {}));
    let scene = Setup { store: file.unwrap(), ..Setup::default() }.bare();
    let stays: Vec<String> = (0..12).map(|number| format!("stays-{number:02}")).collect();
    stays.iter().for_each(|key| drop(scene.create(key, OCT)));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // Before and after the rest, so that a page between sees one of them and not the other.
        scope.spawn(|| {
            scene.create("a-turn", OCT);
            for _ in 0..8 {
                scene.delete("a-turn").unwrap();
                scene.create("z-turn", OCT);
                scene.delete("z-turn").unwrap();
                scene.purge("z-turn").unwrap();
                scene.recover("a-turn").unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            let mut number = 0_u64;
            while !done.load(Ordering::SeqCst) {
                let key = format!("stays-{:02}-{number}", number % 12);
                scene.create(&key, OCT);
                scene.delete(&key).unwrap();
                number += 1;
            }
        });
        let mut rounds = 0_usize;
        while !done.load(Ordering::SeqCst) || rounds == 0 {
            let names = names(&pages(&|command: &ListCommand<'_>| scene.list(command), Some(2)));
            let kept: Vec<&String> = names.iter().filter(|name| name.len() == 8 && name.starts_with("stays")).collect();
            assert_eq!(kept, stays.iter().collect::<Vec<_>>());
            assert!(names.is_sorted());
            assert!(names.iter().filter(|name| name.ends_with("turn")).count() <= 1, "{names:?}");
            rounds += 1;
        }
    });
}

/// While another thread makes, deletes, recovers and purges keys between them, every list has each key that stays, once,
/// and no list fails: a key that goes while it is listed is no damage.
#[test]
fn lists_beside_changes() {
    let (scene, all) = vault_of(4);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..12 {
                scene.create("key-01x", OCT);
                scene.delete("key-01x").unwrap();
                scene.recover("key-01x").unwrap();
                scene.delete("key-01x").unwrap();
                scene.purge("key-01x").unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        let mut rounds = 0_usize;
        while !done.load(Ordering::SeqCst) || rounds == 0 {
            let live = pages(&|command: &ListCommand<'_>| scene.list(command), Some(2));
            let names: Vec<String> = names(&live).iter().map(|name| name.to_ascii_lowercase()).collect();
            let stayed: Vec<String> = names.iter().filter(|name| *name != "key-01x").cloned().collect();
            assert_eq!((stayed, names.len() - 4 <= 1), (all.clone(), true));
            assert!(pages(&|command: &ListCommand<'_>| scene.list_deleted(command), None)[0].len() <= 1);
            match scene.list_versions("key-01x", &ListCommand::default()) {
                Ok(listing) => assert!(listing.rows.len() <= 1),
                Err(refusal) => assert_eq!(refusal, Refusal::KeyNotFound { name: "key-01x".into() }),
            }
            rounds += 1;
        }
    });
}
