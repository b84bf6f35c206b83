//! Logs in folders of their own.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use skerry_audit::{Entry, Event, Limits, Log, Verdict};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const RECORDS: u64 = 4;

pub(crate) fn entry(number: u8) -> Entry {
    Entry {
        event: Event::Release,
        at: UNIX_EPOCH + Duration::from_millis(1_795_000_000_123),
        subject: [number; 32],
        who: "https://issuer.example/ alice".to_owned(),
        request: format!("request-{number}"),
        vault: Some(Uuid::from_bytes([1; 16])),
        key: Some(Uuid::from_bytes([2; 16])),
        version: Some([3; 16]),
        token: Some([4; 32]),
        evidence: None,
        measurement: Some(vec![5; 48]),
        policy: Some([6; 32]),
        verdict: Verdict::Permitted,
        explanation: "all clauses hold".to_owned(),
    }
}

pub(crate) fn create(dir: &TempDir) -> Log {
    Log::create(dir.path(), Limits::default(), &mut rng()).unwrap()
}

pub(crate) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([3; 32])
}

/// A folder with a closed log of [`RECORDS`] records, and its octets.
pub(crate) fn written() -> (TempDir, Vec<u8>) {
    let dir = TempDir::new().unwrap();
    let log = create(&dir);
    for number in 0..u8::try_from(RECORDS).unwrap() {
        let recorded = log.record(&entry(number)).unwrap();
        assert_eq!(recorded.leaf().index(), u64::from(number));
    }
    drop(log);
    let octets = fs::read(file(&dir)).unwrap();
    (dir, octets)
}

pub(crate) fn file(dir: &TempDir) -> PathBuf {
    dir.path().join("audit.log")
}

/// Offsets where a record begins, and the end.
pub(crate) fn boundaries(octets: &[u8]) -> Vec<usize> {
    let mut at = vec![60];
    while let Some(len) = octets[*at.last().unwrap()..].first_chunk::<4>() {
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap();
        at.push(at.last().unwrap() + 84 + len);
    }
    at
}
