//! An audit log looked at, checked and proved from, as a person does it: on folders that are published and closed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand_core::{CryptoRng, Infallible, TryCryptoRng, TryRng};
use serde_json::Value;
use skerry_audit::{Entry, Event, Limits, Log, Publisher, Verdict};
use skerry_tlog::{InclusionProof, SigningKey, VerifyingKey, verify_consistency};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{skerry, stdout};

/// A log with a name, of some releases, which were published in two steps.
struct Kept {
    dir: TempDir,
    key: String,
    early: PathBuf,
}

fn entry(number: u8) -> Entry {
    Entry {
        event: if number.is_multiple_of(3) { Event::Sign } else { Event::Release },
        at: UNIX_EPOCH + Duration::from_secs(1_795_000_000 + u64::from(number)),
        subject: [number; 32],
        who: format!("https://issuer.example caller-{}", number % 2),
        request: format!("request-{number}"),
        vault: Some(Uuid::from_bytes([1; 16])),
        key: Some(Uuid::from_bytes([number % 2; 16])),
        version: Some([3; 16]),
        token: None,
        evidence: None,
        measurement: None,
        policy: None,
        verdict: if number == 5 { Verdict::Denied } else { Verdict::Permitted },
        explanation: format!("why {number}"),
    }
}

/// Randomness that is a number.
struct Fixed(u8);

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.into())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.into())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

fn log_of(id: u8, entries: &[Entry]) -> Kept {
    let dir = TempDir::new().unwrap();
    let folder = dir.path().join("audit");
    fs::create_dir(&folder).unwrap();
    let rng: &mut dyn CryptoRng = &mut Fixed(id);
    let log = Log::create(&folder, Limits::default(), rng).unwrap();
    let key = || SigningKey::from_seed(&format!("log.example/{id}"), &[id; 32]).unwrap();
    let mut publisher = Publisher::open(&folder, key(), &log.durable().unwrap()).unwrap();
    let (first, rest) = entries.split_at(entries.len() / 2);
    for some in [first, rest] {
        assert!(log.record_all(some).iter().all(Result::is_ok));
        assert!(publisher.publish(&log.durable().unwrap(), SystemTime::UNIX_EPOCH).unwrap().is_some());
        if !dir.path().join("early").exists() {
            fs::copy(folder.join("checkpoint"), dir.path().join("early")).unwrap();
        }
    }
    let early = dir.path().join("early");
    Kept { dir, key: key().public().to_string(), early }
}

fn kept() -> Kept {
    log_of(7, &(0..8).map(entry).collect::<Vec<_>>())
}

impl Kept {
    fn folder(&self) -> String {
        text(self.dir.path())
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("audit/audit.log")
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn audit(args: &[&str]) -> Output {
    skerry(&[&["audit"], args].concat())
}

fn lines(output: &Output) -> Vec<Value> {
    assert_eq!(output.status.code(), Some(0), "{}", said(output));
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The newest, and those asked for, as lines with their place, and as a table.
#[test]
fn records_are_found() {
    let log = kept();
    let folder = log.folder();
    let found = |args: &[&str]| -> Vec<u64> {
        lines(&audit(&[args, &["--json"]].concat())).iter().map(|line| line["index"].as_u64().unwrap()).collect()
    };
    assert_eq!(found(&["tail", &folder, "-n", "3"]), [5, 6, 7]);
    let query = |args: &[&str]| found(&[&["query", folder.as_str()], args].concat());
    assert_eq!(query(&[]), (0..8).collect::<Vec<_>>());
    assert_eq!(query(&["--event", "sign"]), [0, 3, 6]);
    assert_eq!(query(&["--event", "sign", "--event", "release", "--limit", "2"]), [0, 1]);
    assert_eq!(query(&["--key", "01010101-0101-0101-0101-010101010101"]), [1, 3, 5, 7]);
    assert_eq!(query(&["--who", "caller-1", "--verdict", "denied"]), [5]);
    assert_eq!(query(&["--request", "request-4"]), [4]);
    assert_eq!(query(&["--from", "1795000003", "--until", "2026-11-18T11:06:45Z"]), [3, 4]);
    assert_eq!(query(&["--vault", "02020202-0202-0202-0202-020202020202"]), [0; 0]);
    let table = audit(&["tail", &folder]);
    assert!(stdout(&table).contains("why 7") && stdout(&table).contains("caller-0"));
    assert_eq!(audit(&["query", &folder, "--event", "nonsense"]).status.code(), Some(2));
    assert_eq!(audit(&["query", &folder, "--from", "yesterday"]).status.code(), Some(2));
    assert_eq!(audit(&["tail", "nowhere"]).status.code(), Some(2));
}

/// A log that holds, by its key and a checkpoint that was kept; and each way for it not to.
#[test]
fn logs_are_checked() {
    let log = kept();
    let (folder, early) = (log.folder(), text(&log.early));
    let verify = |more: &[&str]| audit(&[&["verify", folder.as_str(), "--json"], more].concat());
    let good = lines(&verify(&["--log-key", &log.key, "--since", &early]));
    assert_eq!(
        (&good[0]["records"], &good[0]["published"], &good[0]["checkpoints"]),
        (&8.into(), &8.into(), &3.into())
    );
    assert_eq!(stdout(&audit(&["key", &folder])).trim(), log.key);
    let refused = |more: &[&str], words: &str| {
        let output = verify(more);
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        assert!(said(&output).contains(words), "{words}: {}", said(&output));
    };
    let other = log_of(8, &(0..8).map(entry).collect::<Vec<_>>());
    refused(&["--log-key", &other.key], "not signed by this key");
    refused(&["--since", &text(&other.early)], "not signed by this key");
    let octets = fs::read(log.file()).unwrap();
    let with = |octets: &[u8], words: &str| {
        fs::write(log.file(), octets).unwrap();
        refused(&[], words);
    };
    with(&octets[..octets.len() - 700], "was cut: the newest checkpoint is of 8 records");
    let mut edited = octets.clone();
    edited[200] ^= 1;
    with(&edited, "corrupted at record 0");
    let rewritten = log_of(7, &(10..18).map(entry).collect::<Vec<_>>());
    with(&fs::read(rewritten.file()).unwrap(), "rewritten from record 0 on");
    fs::write(log.file(), &octets).unwrap();
    fs::write(log.dir.path().join("audit/tile/0/000.p/9"), [0; 32]).unwrap();
    refused(&[], "tile/0/000.p/9 is no tile of this log");
    fs::remove_file(log.dir.path().join("audit/tile/0/000.p/9")).unwrap();
    // Another history under the same key, published as it should be, passes alone.
    let alone = |folder: &str, more: &[&str]| audit(&[&["verify", folder], more].concat()).status.code();
    assert_eq!(alone(&rewritten.folder(), &[]), Some(0));
    assert_eq!(alone(&rewritten.folder(), &["--since", &early]), Some(4));
    assert_eq!(alone(&folder, &["--since", "nowhere"]), Some(2));
    assert_eq!(alone("nowhere", &[]), Some(2));
}

/// Proofs hold for whoever has the key and nothing else of the log.
#[test]
fn proofs_are_made() {
    let log = kept();
    let key = VerifyingKey::parse(&log.key).unwrap();
    let prove = |more: &[&str]| audit(&[&["prove", log.folder().as_str()], more].concat());
    let made = &lines(&prove(&["3"]))[0];
    let proof = InclusionProof::parse(made["proof"].as_str().unwrap()).unwrap();
    let leaf = skerry_tlog::leaf_hash(proof.entry.as_deref().unwrap());
    let checkpoint = proof.verify(&leaf, &key).unwrap();
    assert_eq!((checkpoint.size(), made["index"].as_u64()), (8, Some(3)));
    let made = &lines(&prove(&["--from", &text(&log.early)]))[0];
    let hash = |value: &Value| -> [u8; 32] {
        skerry_jose::b64::decode_standard(value.as_str().unwrap()).unwrap().try_into().unwrap()
    };
    let path: Vec<_> = made["path"].as_array().unwrap().iter().map(hash).collect();
    let (before, after) = ((4, &hash(&made["from_root"])), (8, &hash(&made["root"])));
    assert_eq!(verify_consistency(before, after, &path), Ok(()));
    assert_eq!(prove(&["8"]).status.code(), Some(2));
    let other = log_of(8, &[entry(0), entry(1)]);
    assert_eq!(prove(&["--from", &text(&other.early)]).status.code(), Some(4));
}

/// Logs of several nodes, each with what it has seen of another: one that was made anew holds by itself, and not beside a
/// witness.
#[test]
fn logs_are_held_against_each_other() {
    let first = kept();
    let seen = fs::read_to_string(first.dir.path().join("audit/checkpoint")).unwrap();
    let witness = Entry { event: Event::Witnessed, who: "log.example/7".into(), explanation: seen, ..entry(0) };
    let second = log_of(8, &[entry(1), witness, entry(2)]);
    let third = log_of(9, &[entry(1), entry(2)]);
    let folders = [first.folder(), second.folder(), third.folder()];
    let folders: Vec<_> = folders.iter().map(String::as_str).collect();
    let found = lines(&audit(&[&["verify", "--json"], folders.as_slice()].concat()));
    let witnessed: Vec<_> = found.iter().map(|log| log["witnessed"].as_u64().unwrap()).collect();
    assert_eq!(witnessed, [1, 0, 0]);
    let forked = log_of(7, &(20..29).map(entry).collect::<Vec<_>>());
    assert_eq!(audit(&["verify", &forked.folder()]).status.code(), Some(0), "the control");
    let output = audit(&["verify", &forked.folder(), folders[1]]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(said(&output).contains("as record 1 of"), "{}", said(&output));
}
