//! Disks that are full, read-only or damaged: what a server says, what goes on, and that nothing acknowledged is gone.
//!
//! A limit on the size of files stands for a full disk where nobody is root: the system refuses the write in the same place,
//! with another word.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

use http::Method;
use serde_json::{Value, json};
use skerry_audit::{Entry, Event, Limits, Log, Verdict};
use skerry_client::http::Ask;

use crate::process::*;
use crate::serve::Site;

/// Long enough for a loaded machine: only a defect reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of `dev` with one key, and no server on it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        let running = folder.start();
        assert_eq!(folder.ask(Method::POST, "/keys/k/create", Some(json!({ "kty": "EC", "crv": "P-256" }))).0, 200);
        running.stop("TERM");
        folder
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("dev")
    }

    fn start(&self) -> Running {
        Running::start_by(Command::new(env!("CARGO_BIN_EXE_skerry")).args(self.args()))
    }

    fn args(&self) -> Vec<String> {
        let data = self.data().to_str().unwrap().to_owned();
        ["dev", "--port-base", "0", "--data"].map(str::to_owned).into_iter().chain([data]).collect()
    }

    /// Where no file grows past so many octets.
    fn limited(&self, octets: u64) -> Command {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            r#"trap "" XFSZ; ulimit -f "$1"; shift; exec "$@""#,
            "sh",
            &octets.div_ceil(512).to_string(),
        ]);
        command.arg(env!("CARGO_BIN_EXE_skerry")).args(self.args());
        command
    }

    fn len(&self, name: &str) -> u64 {
        fs::metadata(self.data().join(name)).unwrap().len()
    }

    fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, String) {
        asked(&load(&self.data().join("dev.env")), method, path, body)
    }

    fn tag(&self, number: usize) -> (u16, String) {
        self.ask(Method::PATCH, "/keys/k", Some(json!({ "tags": { "n": number.to_string() } })))
    }
}

/// Status and text of an answer.
fn asked(env: &HashMap<String, String>, method: Method, path: &str, body: Option<Value>) -> (u16, String) {
    let path = format!("{path}?api-version=7.4");
    let ask = Ask { method, path: &path, bearer: Some(&env["SKR_TOKEN"]), body: body.map(|body| body.to_string()) };
    let answer = crate::process::ask(&env["SKR_CA_FILE"], &env["SKR_VAULT_URL"], ask).unwrap();
    (answer.status, answer.json.to_string())
}

/// Makes a log about so many octets long with records of releases that nobody asked for.
fn fill_log(folder: &Path, len: u64) {
    let log = Log::open(folder, Limits::default()).unwrap();
    let file = folder.join("audit.log");
    loop {
        let room = usize::try_from(len.saturating_sub(fs::metadata(&file).unwrap().len())).unwrap();
        if room < 2_000 {
            return;
        }
        let entry = Entry {
            event: Event::Release,
            at: UNIX_EPOCH,
            subject: [1; 32],
            who: String::new(),
            request: String::new(),
            vault: None,
            key: None,
            version: None,
            token: None,
            evidence: None,
            measurement: None,
            policy: None,
            verdict: Verdict::Permitted,
            explanation: "x".repeat((room - 1_000).min(60_000)),
        };
        assert!(log.record(&entry).is_ok());
    }
}

/// A log that cannot grow stops changes and not reads; with room again, a new start has everything acknowledged.
#[test]
fn log_that_cannot_grow_stops_changes_and_not_reads() {
    let folder = Folder::new();
    let limit = folder.len("store.redb") + 64 * 1024;
    fill_log(&folder.data().join("audit"), limit - 12_000);
    let running = Running::start_by(&mut folder.limited(limit));
    let mut acknowledged = 0;
    let refused = (1..100).find_map(|number| match folder.tag(number) {
        (200, _) => {
            acknowledged = number;
            None
        }
        refused => Some(refused),
    });
    let (status, text) = refused.unwrap();
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("ServiceUnavailable") && text.contains("reading goes on"), "{text}");
    // Until the reason was said, and for good.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1_500) {
        let (status, text) = folder.ask(Method::GET, "/keys/k", None);
        assert_eq!(status, 200, "{text}");
    }
    assert_eq!(folder.tag(1_000).0, 503);
    assert_eq!(folder.ask(Method::DELETE, "/keys/k", None).0, 503);
    let (_, said) = running.stop("TERM");
    assert!(said.contains("takes no more records") && said.contains("start this process anew"), "{said}");
    let running = folder.start();
    let (status, text) = folder.ask(Method::GET, "/keys/k", None);
    let shown: Value = serde_json::from_str(&text).unwrap();
    let shown: usize = shown["tags"]["n"].as_str().unwrap().parse().unwrap();
    assert!(status == 200 && acknowledged > 0 && (shown == acknowledged || shown == acknowledged + 1), "{text}");
    assert_eq!(folder.tag(2_000).0, 200);
    running.stop("TERM");
    skerry_audit::verify(&folder.data().join("audit")).unwrap();
}

/// A store that cannot be written ends the process, which says so: what the system shows of it need not be on the disk.
#[test]
fn store_that_cannot_be_written_ends_the_process() {
    let folder = Folder::new();
    let limit = folder.len("audit/audit.log") + 16 * 1024;
    assert!(limit < folder.len("store.redb"));
    // The first commit of a start is soon after it.
    let output = ended_by(&mut folder.limited(limit));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.signal().is_some() || output.status.code() == Some(3), "{}: {said}", output.status);
    assert!(said.contains("no room: make some"), "{said}");
    let running = folder.start();
    assert_eq!(folder.tag(1).0, 200);
    running.stop("TERM");
}

/// A disk that is nearly full: nothing new is begun, reading goes on, also when it is full to the last octet, and with room
/// again everything does, without a new start.
#[test]
#[ignore = "needs root, to mount a small file system"]
fn nearly_full_disk_is_noticed_and_room_too() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=48m tmpfs "$1" && exec "$2" dev --port-base 0 --data "$1/dev""#;
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(folder.path()).arg(env!("CARGO_BIN_EXE_skerry"));
    let running = Running::start_by(&mut command);
    let inside = PathBuf::from(format!("/proc/{}/root{}", running.id(), folder.path().display()));
    let mut env = load(&inside.join("dev/dev.env"));
    env.insert("SKR_CA_FILE".to_owned(), inside.join("dev/ca.pem").to_str().unwrap().to_owned());
    let ask = |method, path: &str, body| asked(&env, method, path, body);
    let tag = || ask(Method::PATCH, "/keys/k", Some(json!({ "tags": { "n": "1" } })));
    let until = |status: u16| {
        let begun = Instant::now();
        loop {
            let (found, text) = tag();
            if found == status {
                return text;
            }
            assert!(begun.elapsed() < PATIENCE, "{found} {text}");
        }
    };
    assert_eq!(ask(Method::POST, "/keys/k/create", Some(json!({ "kty": "EC", "crv": "P-256" }))).0, 200);
    let filling = inside.join("filling");
    fs::write(&filling, vec![1; 30 * 1024 * 1024]).unwrap();
    let text = until(503);
    assert!(text.contains("octets left"), "{text}");
    assert_eq!(ask(Method::GET, "/keys/k", None).0, 200);
    let mut file = File::options().append(true).open(&filling).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    assert_eq!(ask(Method::GET, "/keys/k", None).0, 200);
    assert_eq!(ask(Method::DELETE, "/keys/k", None).0, 503);
    drop(file);
    fs::remove_file(&filling).unwrap();
    until(200);
    let (status, said) = running.stop("TERM");
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("MiB left: changes and releases are refused") && said.contains("has room again"), "{said}");
}

/// A read-only disk is said at the start, with a way forward, and nothing else is wrong then.
#[test]
#[ignore = "needs root, to mount a file system read-only"]
fn read_only_disk_is_said() {
    let site = Site::new();
    site.start().stop("TERM");
    let script = r#"mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" serve --config "$3""#;
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(site.path("data")).arg(env!("CARGO_BIN_EXE_skerry"));
    let output = ended_by(command.arg(site.path("skerry.toml")));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("the file system is read-only"), "{said}");
    site.start().stop("TERM");
}

/// A store with damaged pages is refused with a way forward, whichever of them it is, or they are not in use.
#[test]
fn damaged_pages_are_said() {
    let folder = Folder::new();
    let path = folder.data().join("store.redb");
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    for page in (1..whole.len() / 4096).step_by(whole.len() / 4096 / 12) {
        let mut octets = whole.clone();
        octets[page * 4096 + 100..page * 4096 + 200].fill(0x5a);
        if octets == whole || whole[page * 4096..(page + 1) * 4096].iter().all(|octet| *octet == 0) {
            continue;
        }
        fs::write(&path, &octets).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_skerry"));
        let command = command.args(folder.args()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if !line.is_empty() {
            // It serves: then that page was not in use.
            child.kill().unwrap();
            child.wait().unwrap();
            continue;
        }
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains("restore a backup") || said.contains("restore it"), "{said}");
        refused += 1;
    }
    assert!(refused > 0);
    fs::write(&path, &whole).unwrap();
    let running = folder.start();
    assert_eq!(folder.tag(1).0, 200);
    running.stop("TERM");
}
