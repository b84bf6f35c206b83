//! `skerry backup`, `verify-backup` and `restore`: made while keys are made, restored elsewhere, and every key goes to its TEE as
//! before. That an older state is noticed, and what is refused, each with a way forward.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rcgen::{CertificateParams, KeyPair};

use super::*;

/// A site with a recovery key, which is kept elsewhere in the same folder.
pub(super) struct Kept {
    pub(super) site: Site,
}

impl Kept {
    pub(super) fn new() -> Kept {
        let kept = Kept { site: Site::new() };
        // RSA, as most custodians have; another on P-256.
        let rsa = SigningKey::generate(Algorithm::Rs256).unwrap();
        let pkcs8 = rsa.to_pkcs8().unwrap();
        kept.custodian("recovery", &pkcs8, &rcgen::PKCS_RSA_SHA256);
        let ec = KeyPair::generate().unwrap();
        kept.custodian("second", &ec.serialize_der(), &rcgen::PKCS_ECDSA_P256_SHA256);
        kept
    }

    fn custodian(&self, name: &str, pkcs8: &[u8], algorithm: &'static rcgen::SignatureAlgorithm) {
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.into(), algorithm).unwrap();
        let certificate = CertificateParams::default().self_signed(&pair).unwrap();
        self.site.put(&format!("{name}.pem"), &pem("CERTIFICATE", certificate.der()));
        self.site.put(&format!("{name}.key"), &pem("PRIVATE KEY", pkcs8));
    }

    fn path(&self, name: &str) -> String {
        self.site.path(name).to_str().unwrap().to_owned()
    }

    /// Runs a command in which `@NAME` is a file of the site; what it says on standard output, and on standard error.
    fn run(&self, args: &str, code: i32) -> (String, String) {
        let args: Vec<String> = args
            .split_whitespace()
            .map(|arg| arg.strip_prefix('@').map_or(arg.to_owned(), |name| self.path(name)))
            .collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = ended(&args);
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {out}{err}");
        (out, err)
    }

    pub(super) fn json(&self, args: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{args} --json"), 0).0).unwrap()
    }

    pub(super) fn refuses(&self, args: &str, code: i32, words: &[&str]) {
        let (_, err) = self.run(args, code);
        for word in words {
            assert!(err.contains(word), "{args}: {word:?} is not in {err:?}");
        }
    }

    pub(super) fn backup(&self, to: &str) -> Value {
        self.json(&format!(
            "backup --config @skerry.toml --to @{to} --recovery-cert @recovery.pem --recovery-cert @second.pem"
        ))
    }

    /// The site on another data folder and root key.
    pub(super) fn moved(&self, data: &str, root: &str) {
        let config = std::fs::read_to_string(self.site.path("skerry.toml")).unwrap();
        let config = config.replace(r#"data = "data""#, &format!("data = {data:?}"));
        self.site.put("skerry.toml", &config.replace("root.key", root));
    }

    /// The records of a log that a server has, as JSON.
    pub(super) fn log(&self, folder: &str) -> Vec<Value> {
        let records = skerry_audit::read(&self.site.path(folder)).unwrap();
        records.map(|record| serde_json::from_slice(record.unwrap().body()).unwrap()).collect()
    }
}

/// What a TEE gets of the key.
pub(super) fn released(served: &Served<'_>) -> Vec<u8> {
    let (key, good) = attested("good");
    let answer = served.release(&tee(), &good);
    assert_eq!(answer.status, 200, "{}", answer.json);
    let kid = format!("{}/keys/payments", served.url("kv1.vault.localhost"));
    let asked = Asked {
        host: "kv1.vault.localhost",
        kid: &kid,
        nonce: Some("n"),
        algorithm: skerry_keywrap::Algorithm::RsaAesKeyWrap256,
        token: &good,
        target_kid: "tee",
    };
    let roots = Roots::from_pem(&std::fs::read(served.site.path("ca.pem")).unwrap()).unwrap();
    let value = answer.json["value"].as_str().unwrap();
    let release = VerifiedRelease::verify(value, &asked, &roots, SystemTime::now()).unwrap();
    release.unwrap(&key).unwrap().expose().to_vec()
}

pub(super) fn make(served: &Served<'_>, name: &str) {
    let body = json!({"kty": "EC-HSM", "crv": "P-256"});
    let answer = served.post(&format!("/keys/{name}/create"), &served.site.fetched("operator"), body);
    assert_eq!(answer.status, 200, "{}", answer.json);
}

pub(super) fn status(served: &Served<'_>, name: &str) -> u16 {
    served.get("kv1.vault.localhost", &format!("/keys/{name}"), Some(&served.site.fetched("operator"))).status
}

/// Keys are made the whole time. Each backup has those that were there when it began; a server of it, in a new folder, under the
/// root key that comes out of it, gives the same key to the same TEE; and its log says whence it came.
#[test]
fn a_server_comes_back_as_it_was() {
    let kept = Kept::new();
    let served = kept.site.start();
    served.create();
    let before = released(&served);
    let stop = AtomicBool::new(false);
    let (made, backup) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                make(&served, &format!("k{count}"));
                count += 1;
            }
            count
        });
        let mut made = Vec::new();
        for round in 0..3 {
            let name = format!("sure{round}");
            make(&served, &name);
            made.push(name);
            let backup = kept.backup(&format!("{round}.skb"));
            assert_eq!(backup["server"], "running");
            if round == 2 {
                stop.store(true, Ordering::Relaxed);
                assert!(writing.join().unwrap() > 3);
                return (made, backup);
            }
        }
        unreachable!()
    });
    assert!(kept.path("data/backup.sock").len() < 108 && kept.site.path("data/backup.sock").exists());
    assert_eq!(served.running.stop("TERM").0.code(), Some(0));
    assert!(!kept.site.path("data/backup.sock").exists());

    // The digest and the head that were kept; with each recovery key, and without one.
    let (digest, head) = (backup["digest"].as_str().unwrap(), backup["head"].as_str().unwrap());
    let outside = kept.json(&format!("verify-backup @2.skb --digest {digest}"));
    assert_eq!((&outside["opened"], &outside["recipients"].as_array().unwrap().len()), (&json!(false), &2));
    for key in ["recovery", "second"] {
        let inside =
            kept.json(&format!("verify-backup @2.skb --recovery-key @{key}.key --digest {digest} --known-head {head}"));
        assert_eq!((&inside["opened"], &inside["rows_of_unknown_keys"]), (&json!(true), &json!(0)));
        assert_eq!((&inside["rows"], &inside["rows_opened"]), (&backup["rows"], &backup["rows"]));
        assert_eq!((&inside["revision"], &inside["head"]), (&backup["revision"], &backup["head"]));
    }
    let restore = "restore @2.skb --recovery-key @recovery.key --data @new --root-key-out @new.key";
    let restored = kept.json(&format!("{restore} --known-head {head} --digest {digest}"));
    assert_eq!((&restored["rows"], &restored["log_before"]), (&backup["rows"], &backup["head"]));
    assert_eq!(std::fs::read(kept.site.path("new.key")).unwrap(), std::fs::read(kept.site.path("root.key")).unwrap());

    // The old log lies beside the new one, and is the one whose head was kept.
    let old = head.split(':').next().unwrap();
    let old_log = format!("new/audit/before-{old}");
    assert_eq!(kept.json(&format!("verify --log @{old_log} --head {head}"))["head"], backup["head"]);
    let first = &kept.log("new/audit")[0];
    assert_eq!(first["event"], "server-restored");
    let said = first["explanation"].as_str().unwrap();
    for word in [digest, backup["backup"].as_str().unwrap(), head, "nothing is lost"] {
        assert!(said.contains(word), "{said}");
    }
    assert!(first["who"].as_str().unwrap().starts_with("unix:uid="), "{first}");
    let taken = kept.log(&old_log).into_iter().filter(|record| record["event"] == "server-backed-up").count();
    assert_eq!(taken, 3, "each backup is on record, in itself too");

    kept.moved("new", "new.key");
    assert_eq!(kept.json("verify --config @skerry.toml")["head"], restored["head"]);
    let served = kept.site.start();
    assert_eq!(released(&served), before);
    made.iter().for_each(|name| assert_eq!(status(&served, name), 200, "{name}"));
    make(&served, "after");
    // And the restored server is backed up as any.
    kept.backup("again.skb");
    let (status, complaints) = served.running.stop("TERM");
    assert_eq!(status.code(), Some(0), "{complaints}");
    kept.json("verify --config @skerry.toml");
}

/// What came after a backup is lost with it, and that is told: as much as is known, and in one place in full. It takes a word that
/// nobody types by habit.
#[test]
fn older_states_take_a_word() {
    let kept = Kept::new();
    let served = kept.site.start();
    served.create();
    make(&served, "goes");
    kept.backup("old.skb");
    let made = kept.json("verify-backup @old.skb")["made"].as_str().unwrap().to_owned();
    drop(served);
    let restore = |more: &str| format!("restore @old.skb --recovery-key @recovery.key --data @new {more}");
    // Killed, so that what it had of the log is what is on the disk. Nothing was changed since: no word is needed.
    let after = kept.json(&restore("--after @data"));
    assert_eq!(after["lost"], "nothing is lost");
    std::fs::remove_dir_all(kept.site.path("new")).unwrap();

    let served = kept.site.start();
    make(&served, "later1");
    make(&served, "later2");
    let operator = kept.site.fetched("operator");
    let gone = served.ask("kv1.vault.localhost", Method::DELETE, "/keys/goes", Some(&operator), None);
    assert_eq!(gone.status, 200, "{}", gone.json);
    released(&served);
    assert_eq!(served.running.stop("TERM").0.code(), Some(0));
    let head = kept.json("verify --config @skerry.toml")["head"].as_str().unwrap().to_owned();
    kept.site.put("head.txt", &format!("of that day: {head}\n"));

    let accept = format!("--accept-loss-since {made}");
    kept.refuses(&restore(""), 1, &["whether it is the newest state is not known", "--known-head", &accept]);
    for known in [head.as_str(), "@head.txt"] {
        let records = " records of the log came after it";
        kept.refuses(&restore(&format!("--known-head {known}")), 1, &[records, "--after DIR", &accept]);
        kept.refuses(&format!("verify-backup @old.skb --known-head {known}"), 1, &["not the newest state", records]);
    }
    let lost = "lost are 2 key-created, 1 key-deleted, the last at ";
    for after in ["data", "data/audit"] {
        kept.refuses(&restore(&format!("--after @{after}")), 1, &[lost, "1 releases are on record since", &accept]);
    }
    let other = restore("--after @data --accept-loss-since 2001-01-01T00:00:00Z");
    kept.refuses(&other, 1, &["is not the time of this backup", &made]);
    assert!(!kept.site.path("new").exists() && !kept.site.path(".new.restoring").exists());

    kept.json(&restore(&format!("--after @data {accept}")));
    let first = &kept.log("new/audit")[0];
    let said = first["explanation"].as_str().unwrap();
    assert!(said.contains(lost) && said.contains(&head), "{said}");
    // The longer log is the one that is kept.
    let old = format!("new/audit/before-{}", head.split(':').next().unwrap());
    assert_eq!(kept.json(&format!("verify --log @{old} --head {head}"))["head"], head.as_str());
    kept.moved("new", "root.key");
    let served = kept.site.start();
    assert_eq!([status(&served, "goes"), status(&served, "later1")], [200, 404]);
    released(&served);
    served.running.stop("TERM");

    // A head of the new log says nothing of a backup from before it began, and says so.
    let new_head = kept.json("verify --config @skerry.toml")["head"].as_str().unwrap().to_owned();
    let restore = format!("restore @old.skb --recovery-key @recovery.key --data @third --known-head {new_head}");
    kept.refuses(&restore, 1, &["of another log than the backup's", "the first record names the log before"]);
    let forged = format!("{}:2:{}", head.split(':').next().unwrap(), "00".repeat(32));
    let restore = format!("restore @old.skb --recovery-key @recovery.key --data @third --known-head {forged}");
    kept.refuses(&restore, 4, &["--known-head", "differs from the head known after 2 records"]);
    assert!(!kept.site.path("third").exists());
}

/// Each refusal says what is wrong and what to do, and leaves nothing behind that looks like a backup or a store.
#[test]
fn refusals_name_a_way() {
    let kept = Kept::new();
    let served = kept.site.start();
    served.create();
    served.running.stop("TERM");
    // Of a server that stands still, the command reads the folder itself.
    assert_eq!(kept.backup("good.skb")["server"], "stopped");
    let good = std::fs::read(kept.site.path("good.skb")).unwrap();
    let config = "backup --config @skerry.toml --recovery-cert";
    kept.refuses(&format!("{config} @recovery.pem --to @good.skb"), 2, &["something already"]);
    kept.refuses(&format!("{config} @root.key --to @no.skb"), 2, &["no certificate in PEM"]);
    kept.refuses(&format!("{config} @missing.pem --to @no.skb"), 2, &["missing.pem"]);
    kept.site.put("weak.pem", include_str!("../../../../backup/tests/all/weak.pem"));
    kept.refuses(&format!("{config} @weak.pem --to @no.skb"), 2, &["weak.pem", "1024 bits"]);
    kept.refuses(
        &format!("{config} @recovery.pem --recovery-cert @recovery.pem --to @no.skb"),
        2,
        &["of the same key"],
    );
    assert!(!kept.site.path("no.skb").exists());

    let restore = |file: &str, more: &str| {
        let made = kept.json("verify-backup @good.skb")["made"].as_str().unwrap().to_owned();
        format!("restore @{file} --data @new --accept-loss-since {made} --recovery-key {more}")
    };
    let put = |name: &str, octets: &[u8]| std::fs::write(kept.site.path(name), octets).unwrap();
    put("cut.skb", &good[..good.len() - 100]);
    let mut altered = good.clone();
    altered[good.len() / 2] ^= 1;
    put("altered.skb", &altered);
    let mut newer = good.clone();
    newer[11] = 9;
    put("newer.skb", &newer);
    put("other.skb", b"something else");
    let key = KeyPair::generate().unwrap();
    kept.site.put("stranger.key", &pem("PRIVATE KEY", &key.serialize_der()));
    for (file, key, code, words) in [
        ("cut.skb", "@recovery.key", 4, vec!["cut off after", "take another copy"]),
        ("altered.skb", "@recovery.key", 4, vec!["not what was written", "an older backup"]),
        ("newer.skb", "@recovery.key", 2, vec!["format 9", "newer version"]),
        ("other.skb", "@recovery.key", 2, vec!["not a backup of Skerry"]),
        ("missing.skb", "@recovery.key", 2, vec!["missing.skb"]),
        ("good.skb", "@stranger.key", 2, vec!["not sealed to this recovery key", "verify-backup"]),
        ("good.skb", "@recovery.pem", 2, vec!["no private key"]),
    ] {
        kept.refuses(&restore(file, key), code, &words);
        assert!(!kept.site.path("new").exists(), "{file}");
    }
    let digest = "00".repeat(32);
    kept.refuses(
        &restore("good.skb", &format!("@recovery.key --digest {digest}")),
        4,
        &["another backup than the one"],
    );
    std::fs::create_dir(kept.site.path("new")).unwrap();
    put("new/file", b"of somebody");
    kept.refuses(&restore("good.skb", "@recovery.key"), 2, &["is not empty", "new folder"]);
    std::fs::remove_file(kept.site.path("new/file")).unwrap();
    kept.refuses(&restore("good.skb", "@recovery.key --root-key-out @root.key"), 2, &["root.key", "something already"]);
    // An empty folder is as good as none.
    kept.run(&restore("good.skb", "@recovery.key"), 0);
    kept.moved("new", "root.key");
    assert_eq!(status(&kept.site.start(), "payments"), 200);
}

/// A backup that says it is of `skerry dev` makes no server; and one whose log was put in another's place is refused.
#[test]
fn other_kinds_and_logs_are_refused() {
    let kept = Kept::new();
    let served = kept.site.start();
    served.create();
    served.running.stop("TERM");
    kept.backup("good.skb");
    let made = kept.json("verify-backup @good.skb")["made"].as_str().unwrap().to_owned();
    let restore = |file: &str, more: &str| format!("restore @{file} --data @new --recovery-key @recovery.key {more}");
    // The kind is a plain octet of the header. With a digest that fits it still is not what was sealed, but is refused before that.
    let mut dev = std::fs::read(kept.site.path("good.skb")).unwrap();
    dev[48] = 1;
    let end = dev.len() - 72;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &dev[..end]);
    dev[end + 8..end + 40].copy_from_slice(digest.as_ref());
    std::fs::write(kept.site.path("dev.skb"), &dev).unwrap();
    kept.refuses(&restore("dev.skb", &format!("--accept-loss-since {made}")), 2, &["of a folder of `skerry dev`"]);
    kept.refuses("verify-backup @dev.skb --recovery-key @recovery.key", 4, &["chunk 0 does not open"]);
    // Another server's log, one that was shortened below the backup, and one that is none.
    let other = Kept::new();
    other.site.start().running.stop("TERM");
    std::fs::create_dir(kept.site.path("other")).unwrap();
    std::fs::copy(other.site.path("data/audit/audit.log"), kept.site.path("other/audit.log")).unwrap();
    kept.refuses(&restore("good.skb", "--after @other"), 1, &["--after", "of another log"]);
    let log = std::fs::read(kept.site.path("data/audit/audit.log")).unwrap();
    std::fs::write(kept.site.path("other/audit.log"), &log[..300]).unwrap();
    kept.refuses(&restore("good.skb", "--after @other"), 4, &["--after", "known records"]);
    std::fs::write(kept.site.path("other/audit.log"), b"none").unwrap();
    kept.refuses(&restore("good.skb", "--after @other"), 4, &["--after"]);
    kept.refuses(&restore("good.skb", "--after @nowhere"), 2, &["--after"]);
    assert!(!kept.site.path("new").exists() && !kept.site.path(".new.restoring").exists());
}

/// A disk that is full, and a process that is killed, at many places of a restore: no folder is there that a server would take, and
/// the next restore makes it all.
#[test]
fn a_restore_is_whole_or_nothing() {
    let kept = Kept::new();
    let served = kept.site.start();
    served.create();
    served.running.stop("TERM");
    kept.backup("good.skb");
    let made = kept.json("verify-backup @good.skb")["made"].as_str().unwrap().to_owned();
    let restore = format!(
        "{} restore {} --recovery-key {} --data {} --root-key-out {} --accept-loss-since {made}",
        env!("CARGO_BIN_EXE_skerry"),
        kept.path("good.skb"),
        kept.path("recovery.key"),
        kept.path("new"),
        kept.path("new.key")
    );
    let nothing = || assert!(!kept.site.path("new").exists() && !kept.site.path("new.key").exists());
    let sh = |script: String| Command::new("sh").args(["-c", &script]).output().unwrap();
    // Files of at most so many blocks of 512 octets: past that the write fails, or the process is killed, as `trap` says.
    let mut blocks = 1;
    loop {
        let full = sh(format!("trap '' XFSZ; ulimit -f {blocks}; exec {restore}"));
        if full.status.success() {
            break;
        }
        assert_eq!(full.status.code(), Some(3), "{blocks} blocks: {full:?}");
        let said = String::from_utf8(full.stderr).unwrap();
        assert!(said.contains("no room"), "{blocks} blocks: {said}");
        nothing();
        let killed = sh(format!("ulimit -f {blocks}; exec {restore}"));
        assert_eq!(killed.status.code(), None, "{blocks} blocks: {killed:?}");
        nothing();
        blocks *= 2;
    }
    assert!(blocks >= 64, "there was hardly a place to fail at");
    std::fs::remove_dir_all(kept.site.path("new")).unwrap();
    std::fs::remove_file(kept.site.path("new.key")).unwrap();
    let killed = sh(format!("ulimit -f {}; exec {restore}", blocks / 2));
    assert_eq!(killed.status.code(), None, "{killed:?}");
    let whole = sh(format!("exec {restore}"));
    assert_eq!(whole.status.code(), Some(0), "{whole:?}");
    assert!(String::from_utf8(whole.stderr).unwrap().contains("of a restore that was cut off is removed"));
    let left = std::fs::read_dir(kept.site.folder.path())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    assert!(left.into_iter().all(|name| !name.ends_with(".restoring") && !name.ends_with(".part")));
    kept.moved("new", "new.key");
    released(&kept.site.start());

    // A backup for which there is no room leaves nothing either.
    let backup = format!(
        "trap '' XFSZ; ulimit -f 1; exec {} backup --config {} --to {} --recovery-cert {}",
        env!("CARGO_BIN_EXE_skerry"),
        kept.path("skerry.toml"),
        kept.path("full.skb"),
        kept.path("recovery.pem")
    );
    let served = kept.site.start();
    let full = sh(backup);
    assert_eq!(full.status.code(), Some(3), "{full:?}");
    assert!(String::from_utf8(full.stderr).unwrap().contains("no room"));
    assert!(!kept.site.path("full.skb").exists());
    released(&served);
}

/// Where the configuration says to whom backups are sealed, nobody else is sealed to, by the running server or by the command.
#[test]
fn configured_certificates_are_the_only_ones() {
    let kept = Kept::new();
    let backup = |more: &str| format!("backup --config @skerry.toml --to @made.skb {more}");
    kept.refuses(&backup(""), 2, &["nobody to seal it to", "[backup]", "--recovery-cert"]);
    let config = std::fs::read_to_string(kept.site.path("skerry.toml")).unwrap();
    kept.site.put("skerry.toml", &format!("{config}[backup]\nrecovery = [\"recovery.pem\"]\n"));
    let refused = "not among those of [backup]";
    kept.refuses(&backup("--recovery-cert @second.pem"), 1, &[refused]);
    let served = kept.site.start();
    kept.refuses(&backup("--recovery-cert @second.pem"), 1, &["the server says", refused]);
    kept.refuses(&backup("--recovery-cert @recovery.pem --recovery-cert @second.pem"), 1, &[refused]);
    kept.run(&backup(""), 0);
    drop(served);
    kept.json("verify-backup @made.skb --recovery-key @recovery.key");
    kept.refuses("verify-backup @made.skb --recovery-key @second.key", 2, &["not sealed to this recovery key"]);
}

/// One backup at a time; and a server that is told to stop does not wait for who reads slowly.
#[test]
fn one_backup_at_a_time() {
    let kept = Kept::new();
    let served = kept.site.start();
    served.create();
    let certificate = std::fs::read_to_string(kept.site.path("second.pem")).unwrap();
    let der = der::pem::decode_vec(certificate.as_bytes()).unwrap().1;
    let mut slow = UnixStream::connect(kept.site.path("data/backup.sock")).unwrap();
    writeln!(slow, "1 {}", hex::encode(der)).unwrap();
    // Its first octet says that it has begun.
    slow.read_exact(&mut [0]).unwrap();
    let backup = "backup --config @skerry.toml --to @no.skb --recovery-cert @second.pem";
    kept.refuses(backup, 3, &["the server says: another backup is being made"]);
    let mut odd = UnixStream::connect(kept.site.path("data/backup.sock")).unwrap();
    odd.write_all(b"hello\n").unwrap();
    let mut said = String::new();
    odd.read_to_string(&mut said).unwrap();
    assert!(said.contains("a request that this version does not know"), "{said:?}");
    released(&served);
    assert_eq!(served.running.stop("TERM").0.code(), Some(0));
    assert!(!Path::new(&kept.path("no.skb")).exists());
}
