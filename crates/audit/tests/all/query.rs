//! Which records a filter gives: each condition alone, at its edges, and all of them together.

use crate::fixtures::{create, entry, file};
use skerry_audit::{Entry, Event, Filter, Record, Verdict};
use std::fs;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;
use uuid::Uuid;

fn id(octet: u8) -> Option<Uuid> {
    Some(Uuid::from_bytes([octet; 16]))
}

fn at(millis: u64) -> std::time::SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}

/// Records that differ from each other in one thing each, and a text that looks like a member.
fn records() -> (TempDir, Vec<Record>) {
    let dir = TempDir::new().unwrap();
    let log = create(&dir);
    let base = || Entry { at: at(1_000), ..entry(0) };
    let entries = [
        base(),
        Entry { vault: id(7), ..base() },
        Entry { key: id(7), ..base() },
        Entry { key: None, vault: None, ..base() },
        Entry { event: Event::Sign, ..base() },
        Entry { verdict: Verdict::Denied, ..base() },
        Entry { who: "https://issuer.example/ bob".to_owned(), ..base() },
        Entry { request: "request-0-1".to_owned(), ..base() },
        Entry { at: at(2_000), ..base() },
        Entry { key: id(7), who: "\"key\":\"02020202-0202-0202-0202-020202020202\"".to_owned(), ..base() },
    ];
    assert!(log.record_all(&entries).iter().all(Result::is_ok));
    let records = skerry_audit::read(dir.path()).unwrap().map(Result::unwrap).collect();
    (dir, records)
}

#[test]
fn each_condition_counts() {
    let (_dir, records) = records();
    let found = |filter: Filter| -> Vec<u64> {
        let given = records.iter().filter(|record| filter.entry(record).unwrap().is_some());
        // What is told by the parsed entry alone is the same: the shortcut leaves nothing out.
        let matching: Vec<_> = records.iter().filter(|record| filter.matches(&record.entry().unwrap())).collect();
        let given: Vec<_> = given.collect();
        assert_eq!(given, matching);
        given.iter().map(|record| record.leaf().index()).collect()
    };
    let all_but = |missing: &[u64]| (0..10).filter(|index| !missing.contains(index)).collect::<Vec<_>>();
    let none = Filter::default;
    assert_eq!(found(none()), all_but(&[]));
    assert_eq!(found(Filter { vault: id(1), ..none() }), all_but(&[1, 3]));
    assert_eq!(found(Filter { vault: id(7), ..none() }), [1]);
    assert_eq!(found(Filter { key: id(2), ..none() }), all_but(&[2, 3, 9]));
    assert_eq!(found(Filter { key: id(7), ..none() }), [2, 9]);
    assert_eq!(found(Filter { events: vec![Event::Sign], ..none() }), [4]);
    assert_eq!(found(Filter { events: vec![Event::Verify, Event::Release], ..none() }), all_but(&[4]));
    assert_eq!(found(Filter { events: vec![Event::Verify], ..none() }), [0; 0]);
    assert_eq!(found(Filter { verdict: Some(Verdict::Denied), ..none() }), [5]);
    assert_eq!(found(Filter { verdict: Some(Verdict::Permitted), ..none() }), all_but(&[5]));
    assert_eq!(found(Filter { who: Some("bob".to_owned()), ..none() }), [6]);
    assert_eq!(found(Filter { request: Some("request-0".to_owned()), ..none() }), all_but(&[7]));
    assert_eq!(found(Filter { from: Some(at(2_000)), ..none() }), [8]);
    assert_eq!(found(Filter { from: Some(at(2_001)), ..none() }), [0; 0]);
    assert_eq!(found(Filter { until: Some(at(2_000)), ..none() }), all_but(&[8]));
    assert_eq!(found(Filter { until: Some(at(1_000)), ..none() }), [0; 0]);
    let both = Filter { key: id(7), who: Some("alice".to_owned()), from: Some(at(1_000)), ..none() };
    assert_eq!(found(both), [2]);
}

#[test]
fn what_is_not_understood_is_an_error_where_it_may_be_asked_for() {
    // A record of a newer version: passed over where it cannot be meant, and never left out in silence where it can.
    let dir = TempDir::new().unwrap();
    let log = create(&dir);
    assert!(log.record(&entry(0)).is_ok());
    drop(log);
    let octets = fs::read(file(&dir)).unwrap();
    let body = skerry_audit::read(dir.path()).unwrap().next().unwrap().unwrap().body().to_vec();
    let newer = String::from_utf8(body).unwrap().replace("\"request\"", "\"reason\":\"new\",\"request\"").into_bytes();
    let more = crate::byhand::record(&octets[12..28], 1, &octets[octets.len() - 32..], &newer);
    fs::write(file(&dir), [octets.as_slice(), &more].concat()).unwrap();
    let record = skerry_audit::read(dir.path()).unwrap().last().unwrap().unwrap();
    assert_eq!(record.leaf().index(), 1);
    let asked = |filter: Filter| filter.entry(&record).map(|found| found.is_some());
    assert_eq!(asked(Filter { key: id(9), ..Filter::default() }), Ok(false));
    assert_eq!(asked(Filter { vault: id(9), ..Filter::default() }), Ok(false));
    assert_eq!(asked(Filter { events: vec![Event::Sign], ..Filter::default() }), Ok(false));
    assert_eq!(asked(Filter { verdict: Some(Verdict::Denied), ..Filter::default() }), Ok(false));
    let meant = Filter { key: id(2), vault: id(1), verdict: Some(Verdict::Permitted), ..Filter::default() };
    for filter in [Filter::default(), meant, Filter { events: vec![Event::Sign, Event::Release], ..Filter::default() }]
    {
        assert_eq!(asked(filter), Err(skerry_audit::EntryError::NotCanonical));
    }
}
