//! Lists, a page at a time: every row once, and no page token but the vault's own.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use skerry_identity::Permission;
use skerry_jose::b64;
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

/// Keys that come and go between pages, the one that a token names among them, neither hide nor repeat the others.
#[test]
fn pages_while_keys_come_and_go() {
    let (scene, all) = vault_of(9);
    let list = |after: Option<&str>| scene.list(&ListCommand { rows_max: Some(3), after }).unwrap();
    let first = list(None);
    assert_eq!(names(&[first.rows])[2].to_ascii_lowercase(), "key-02");
    scene.delete("key-02").unwrap();
    scene.delete("key-04").unwrap();
    scene.purge("key-04").unwrap();
    for key in ["key-000", "key-03a", "key-99"] {
        scene.create(key, OCT);
    }
    let second = list(first.next.as_deref());
    scene.recover("key-02").unwrap();
    let third = list(second.next.as_deref());
    let fourth = list(third.next.as_deref());
    assert_eq!(fourth.next, None);
    let rest = names(&[second.rows, third.rows, fourth.rows]);
    let rest: Vec<String> = rest.iter().map(|name| name.to_ascii_lowercase()).collect();
    assert_eq!(rest, ["key-03", "key-03a", "key-05", "key-06", "key-07", "key-08", "key-99"]);
    assert_eq!(all.len(), 9);
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
