//! Entries read back: the same entry, and every body that is none.

use crate::fixtures::{entry, written};
use skerry_audit::limits::BODY_LEN_MAX;
use skerry_audit::{Entry, EntryError, Event, Verdict, read};
use std::time::{Duration, UNIX_EPOCH};
use uuid::Uuid;

/// The body of `entry(1)`, as text.
fn body() -> String {
    let (dir, _) = written();
    let record = read(dir.path()).unwrap().nth(1).unwrap().unwrap();
    String::from_utf8(record.body().to_vec()).unwrap()
}

fn refusal(body: &str) -> EntryError {
    Entry::from_body(body.as_bytes()).unwrap_err()
}

#[test]
fn entries_are_read_back() {
    // What was recorded is what is read, with and without each optional member, and whatever the texts hold.
    let dir = tempfile::TempDir::new().unwrap();
    let log = crate::fixtures::create(&dir);
    let full = Entry { evidence: Some([7; 32]), measurement: Some(Vec::new()), ..entry(1) };
    let bare = Entry {
        vault: None,
        key: None,
        version: None,
        token: None,
        evidence: None,
        measurement: None,
        policy: None,
        who: "\u{0}\"\\\u{2028}\u{1f600}".to_owned(),
        explanation: String::new(),
        at: UNIX_EPOCH,
        ..entry(2)
    };
    let entries = [full, bare, Entry { vault: Some(Uuid::nil()), ..entry(3) }];
    for entry in &entries {
        assert!(log.record(entry).is_ok());
    }
    let found: Vec<Entry> = read(dir.path()).unwrap().map(|record| record.unwrap().entry().unwrap()).collect();
    assert_eq!(found, entries);
}

#[test]
fn every_name_is_read_back() {
    // Each event and verdict has one name, which is found again, and no other.
    for event in Event::ALL {
        assert_eq!(Event::parse(event.as_str()), Some(event));
    }
    for verdict in Verdict::ALL {
        assert_eq!(Verdict::parse(verdict.as_str()), Some(verdict));
    }
    assert_eq!((Event::parse("Release"), Event::parse("")), (None, None));
    assert_eq!((Verdict::parse("permitted "), Verdict::parse("released")), (None, None));
}

#[test]
fn missing_members_are_named() {
    // Seven members are in every entry; without one of them there is no entry.
    for member in ["at_ms", "event", "explanation", "request", "subject", "verdict", "who"] {
        let renamed = body().replace(&format!("\"{member}\""), "\"other\"");
        assert_eq!(refusal(&renamed), EntryError::Missing { member });
    }
}

#[test]
fn odd_members_are_named() {
    // Of another kind, length or vocabulary.
    let with = |from: &str, to: &str| {
        let text = body();
        assert!(text.contains(from), "{from}");
        refusal(&text.replace(from, to))
    };
    let subject = "01".repeat(32);
    let cases = [
        ("at_ms", "1795000000123", "\"1795000000123\""),
        ("at_ms", "1795000000123", "-1"),
        ("at_ms", "1795000000123", "1.5"),
        ("at_ms", "1795000000123", "18446744073709551616"),
        ("event", "\"release\"", "\"export\""),
        ("event", "\"release\"", "null"),
        ("verdict", "\"permitted\"", "\"Permitted\""),
        ("who", "\"https://issuer.example/ alice\"", "[]"),
        ("subject", &subject, "01"),
        ("subject", &subject, "zz"),
        ("version", "03030303030303030303030303030303", "0303"),
        ("vault", "01010101-0101-0101-0101-010101010101", "01"),
        ("token", &"04".repeat(32), &"04".repeat(33)),
        ("measurement", "\"measurement\":\"05", "\"measurement\":\"5"),
    ];
    for (member, from, to) in cases {
        assert_eq!(with(from, to), EntryError::Value { member }, "{from} {to}");
    }
}

#[test]
fn other_spellings_are_refused() {
    // An entry has one body: spaces, order, capitals, escapes and members of tomorrow are not this crate's writing.
    let text = body();
    let others = [
        text.replace(':', ": "),
        text.replace("https://", "https:\\/\\/"),
        text.replace("01010101-0101-0101-0101-010101010101", "01010101010101010101010101010101"),
        text.replace("\"who\"", "\"until\":1,\"who\""),
        text.replace("\"at_ms\":1795000000123,", "").replace('}', ",\"at_ms\":1795000000123}"),
        text.replace("1795000000123", "1795000000123.0"),
    ];
    for other in others {
        let error = refusal(&other);
        let expected =
            if other.contains(".0") { EntryError::Value { member: "at_ms" } } else { EntryError::NotCanonical };
        assert_eq!(error, expected, "{other}");
    }
    let measured = Entry { measurement: Some(vec![0xab; 2]), ..entry(1) };
    let dir = tempfile::TempDir::new().unwrap();
    assert!(crate::fixtures::create(&dir).record(&measured).is_ok());
    let record = read(dir.path()).unwrap().next().unwrap().unwrap();
    let capitals = String::from_utf8(record.body().to_vec()).unwrap().replace("abab", "ABAB");
    assert_eq!(refusal(&capitals), EntryError::NotCanonical);
}

#[test]
fn no_json_is_no_entry() {
    // Nor is a document of another kind, or one larger than a body may be.
    for odd in ["", "{", "{\"a\":1}x", "{\"who\":\"a\",\"who\":\"b\"}"] {
        assert!(matches!(refusal(odd), EntryError::Json(_)), "{odd}");
    }
    for odd in ["[]", "null", "\"release\"", "1"] {
        assert_eq!(refusal(odd), EntryError::NotAnObject);
    }
    let large = body().replace("all clauses hold", &"x".repeat(BODY_LEN_MAX));
    assert!(matches!(refusal(&large), EntryError::Json(_)));
}

#[test]
fn every_octet_of_a_body_counts() {
    // A changed octet is refused or is another entry; never the same one.
    let text = body();
    let whole = Entry::from_body(text.as_bytes()).unwrap();
    for at in 0..text.len() {
        for mask in [1, 0x20, 0x80] {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= mask;
            assert_ne!(Entry::from_body(&changed).ok().as_ref(), Some(&whole), "octet {at}");
        }
    }
    let late = Entry { at: UNIX_EPOCH + Duration::from_millis(u64::MAX), ..whole };
    let text = text.replace("1795000000123", &u64::MAX.to_string());
    assert_eq!(Entry::from_body(text.as_bytes()), Ok(late));
}
