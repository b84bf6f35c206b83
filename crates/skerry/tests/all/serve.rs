//! `skerry serve`: that it starts, stops, and ends with the right code when it does not. What it refuses in a configuration
//! is tested beside the configuration.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Output;

use rcgen::{CertificateParams, KeyPair};
use skerry_jose::{Algorithm, SigningKey};

use crate::process::*;

/// A configuration with an attestation and a token service on free ports, and all that it names.
pub(crate) struct Site(tempfile::TempDir);

pub(crate) const CONFIG: &str = r#"
[server]
data = "data"
root_key = "root.key"
[[listener]]
kind = "attestation"
address = "127.0.0.1:0"
names = ["localhost"]
tls = { certificates = "tls.pem", key = "tls.key" }
[[listener]]
kind = "identity"
address = "127.0.0.1:ADDRESS"
names = ["localhost"]
tls = { certificates = "tls.pem", key = "tls.key" }
[attestation]
issuer = "https://attest.example.org"
signing_key = "rsa.key"
anchors = "amd"
[identity]
issuer = "https://login.example.org/skerry"
tenant = "skerry"
signing_key = "rsa.key"
"#;

impl Site {
    pub(crate) fn new() -> Site {
        let site = Site(tempfile::tempdir().unwrap());
        std::fs::create_dir(site.path("data")).unwrap();
        std::fs::set_permissions(site.path("data"), std::fs::Permissions::from_mode(0o700)).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let rsa = SigningKey::generate(Algorithm::Rs256).unwrap().to_pkcs8().unwrap();
        site.put("tls.pem", &pem("CERTIFICATE", certificate.der()));
        site.put("tls.key", &pem("PRIVATE KEY", key.serialized_der()));
        site.put("rsa.key", &pem("PRIVATE KEY", &rsa));
        site.put("root.key", &"5a".repeat(32));
        site.configure("0");
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn configure(&self, port: &str) {
        self.put("skerry.toml", &CONFIG.replace("ADDRESS", port));
    }

    fn args<'a>(&self, config: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        ["serve", "--config", config].into_iter().chain(more.iter().copied()).collect()
    }

    /// A path as an argument.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn start(&self) -> Running {
        self.start_until("ready")
    }

    pub(crate) fn start_until(&self, line: &str) -> Running {
        Running::start_with(&self.args(&self.text("skerry.toml"), &[]), line, &[])
    }

    pub(crate) fn ends(&self, more: &[&str], code: i32, word: &str) -> Output {
        let config = self.path("skerry.toml");
        let args = self.args(config.to_str().unwrap(), more);
        let output = ended(&args);
        let said = String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(word), "{said}");
        output
    }
}

fn pem(label: &'static str, der: &[u8]) -> String {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).unwrap()
}

/// It answers at the names configured, under the certificates configured, and ends with 0 when it is told to.
#[test]
fn it_serves_what_is_configured() {
    let site = Site::new();
    for signal in ["TERM", "INT"] {
        let running = site.start();
        let line = running.said.iter().find_map(|line| line.strip_prefix("listening on ")).unwrap();
        let ports: Vec<&str> = line.split(", ").map(|address| address.rsplit(':').next().unwrap()).collect();
        let [attestation, identity] = ports.as_slice() else { panic!("{line}") };
        let ca = site.path("tls.pem");
        let ca = ca.to_str().unwrap();
        let metadata = get(ca, &format!("https://localhost:{attestation}"), "/.well-known/openid-configuration", None);
        assert_eq!(metadata.json["issuer"], "https://attest.example.org");
        let path = "/skerry/v2.0/.well-known/openid-configuration";
        let discovery = get(ca, &format!("https://localhost:{identity}"), path, None);
        assert_eq!(discovery.json["issuer"], "https://login.example.org/skerry");
        let (status, complaints) = running.stop(signal);
        assert_eq!((status.code(), complaints.as_str()), (Some(0), ""));
    }
}

/// Health is told without a token: over plain HTTP where operators' tools ask, under any Host, and at every service. Ready comes
/// once the rows are checked, which is soon here.
#[test]
fn health_is_told() {
    let site = Site::new();
    let config = std::fs::read_to_string(site.path("skerry.toml")).unwrap();
    site.put("skerry.toml", &format!("{config}[operations]\naddress = \"127.0.0.1:0\"\n"));
    let running = site.start();
    let said = |start: &str| running.said.iter().find_map(|line| line.strip_prefix(start)).unwrap();
    let operations = said("operations on ");
    assert_eq!(get_plain(operations, "/health/live"), (200, r#"{"live":true}"#.to_owned()));
    assert_eq!(get_plain(operations, "/health/sealed"), (200, r#"{"sealed":false,"seal":"file"}"#.to_owned()));
    let not_yet = (503, r#"{"ready":false,"reasons":["store-not-verified"]}"#.to_owned());
    let ready = (0..).map(|_| get_plain(operations, "/health/ready")).find(|answer| *answer != not_yet).unwrap();
    assert_eq!(ready, (200, r#"{"ready":true}"#.to_owned()));
    assert_eq!(get_plain(operations, "/").0, 404);
    let ca = site.path("tls.pem");
    for address in said("listening on ").split(", ") {
        let port = address.rsplit(':').next().unwrap();
        let answer = get(ca.to_str().unwrap(), &format!("https://localhost:{port}"), "/health/ready", None);
        assert_eq!((answer.status, answer.json["ready"].as_bool()), (200, Some(true)));
    }
    let (status, complaints) = running.stop("TERM");
    assert_eq!((status.code(), complaints.as_str()), (Some(0), ""));
}

/// --check reads everything and starts nothing; a refusal names file and key.
#[test]
fn check_starts_nothing() {
    let site = Site::new();
    site.ends(&["--check"], 0, "skerry.toml: ok");
    site.ends(&["--check", "--json"], 0, r#"{"ok":true}"#);
    assert!(std::fs::read_dir(site.path("data")).unwrap().next().is_none());
    std::fs::set_permissions(site.path("root.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = site.ends(&["--check"], 2, "skerry.toml: server.root_key: ");
    assert!(String::from_utf8(output.stderr).unwrap().contains("chmod 0600"));
}

/// A port that is taken is a matter of now, and whose it is can be found out.
#[test]
fn taken_port_is_named() {
    let site = Site::new();
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    site.configure(&port);
    site.ends(&[], 3, &format!("cannot listen on 127.0.0.1:{port}"));
    assert!(std::fs::read_dir(site.path("data")).unwrap().next().is_none());
}

/// One server at a time on a store.
#[test]
fn store_is_held() {
    let site = Site::new();
    let _running = site.start();
    site.ends(&[], 3, "another skerry runs on this folder");
}

/// A store is opened under its own root key, and only by the kind of program that made it.
#[test]
fn stores_are_told_apart() {
    let site = Site::new();
    site.start().stop("TERM");
    site.put("root.key", &"a5".repeat(32));
    site.ends(&[], 4, "the root key is not the one this folder was made with");
    site.put("root.key", &"5a".repeat(32));
    // The mark that tells a folder of dev does not make it one.
    let data = site.path("data");
    site.put("data/dev.lock", "");
    site.put("data/root.key", &"5a".repeat(32));
    site.put("data/simulator.pem", "");
    site.ends(&[], 2, "is the folder of `skerry dev`");
    let output = ended(&["dev", "--port-base", "0", "--data", data.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    std::fs::remove_file(site.path("data/dev.lock")).unwrap();
    std::fs::remove_dir_all(site.path("data/audit")).unwrap();
    site.ends(&[], 4, "is not as it was left");
}

const LOG: &str = "data/audit/audit.log";

/// Changes one octet of a file of the site, or puts it back.
fn flip(site: &Site, name: &str, at: usize) {
    let mut octets = std::fs::read(site.path(name)).unwrap();
    octets[at] ^= 1;
    std::fs::write(site.path(name), octets).unwrap();
}

/// What `skerry verify` says of the site's folder.
fn verified(site: &Site, code: i32, word: &str) -> String {
    let config = site.path("skerry.toml");
    said(&["verify", "--config", config.to_str().unwrap()], code, word)
}

/// What `skerry verify` says of the site's log.
fn log_verified(site: &Site, more: &[&str], code: i32, word: &str) -> String {
    let log = site.path("data/audit");
    let args: Vec<&str> = ["verify", "--log", log.to_str().unwrap()].into_iter().chain(more.iter().copied()).collect();
    said(&args, code, word)
}

fn said(args: &[&str], code: i32, word: &str) -> String {
    let output = ended(args);
    let said = String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(word), "{said}");
    said
}

/// Everything is read by `verify`, beside a server the log alone; and a head that was noted shows a log that is shorter, or
/// another.
#[test]
fn verify_reads_all() {
    let site = Site::new();
    let running = site.start();
    let early = log_verified(&site, &[], 0, "records hold");
    let head = early.lines().find_map(|line| line.strip_prefix("head: ")).unwrap().to_owned();
    verified(&site, 3, "is in use");
    running.stop("TERM");
    verified(&site, 0, "every row is as it was last committed");
    site.start().stop("TERM");
    log_verified(&site, &["--head", &head], 0, "records hold");
    log_verified(&site, &["--json"], 0, r#"{"ok":true,"head":""#);
    let (log, rest) = head.split_once(':').unwrap();
    let (records, hash) = rest.split_once(':').unwrap();
    let other = |text: &str| text.chars().map(|c| if c == '0' { '1' } else { '0' }).collect::<String>();
    for (head, word) in [
        (format!("{}:{rest}", other(log)), "not the one whose head is known"),
        (format!("{log}:{records}:{}", other(hash)), "differs from the head"),
        (format!("{log}:1000:{hash}"), "of 1000 known records"),
    ] {
        log_verified(&site, &["--head", &head], 4, word);
    }
    for head in ["", ":", "x:1:y", &format!("{log}:{records}:{hash}0"), &format!("{log}:-1:{hash}")] {
        log_verified(&site, &["--head", head], 2, "is not LOG:RECORDS:HASH");
    }
    said(&["verify", "--log", "/nonexistent"], 2, "log is missing");
}

/// A log that was altered where a start does not read is found beside what is served, and ends the process.
#[test]
fn altered_log_ends_the_server() {
    let site = Site::new();
    site.start().stop("TERM");
    site.start().stop("TERM");
    flip(&site, LOG, 150);
    verified(&site, 4, "log is corrupted at record 0");
    site.ends(&[], 4, "log is corrupted at record 0");
    flip(&site, LOG, 150);
    let octets = std::fs::read(site.path(LOG)).unwrap();
    std::fs::write(site.path(LOG), &octets[..200]).unwrap();
    verified(&site, 4, "known records");
    site.ends(&[], 4, "known records");
    std::fs::write(site.path(LOG), octets).unwrap();
    verified(&site, 0, "records hold");
    site.start().stop("TERM");
}

type Rows<'a> = redb::Table<'a, &'static [u8], &'static [u8]>;

/// A store into which somebody else has written is found out beside what is served, and ends the process.
#[test]
fn altered_store_ends_the_server() {
    let site = Site::new();
    site.start().stop("TERM");
    let edit = |edit: &dyn Fn(&mut Rows<'_>)| {
        let database = redb::Database::open(site.path("data/store.redb")).unwrap();
        let transaction = database.begin_write().unwrap();
        edit(&mut transaction.open_table(redb::TableDefinition::new("entries")).unwrap());
        transaction.commit().unwrap();
    };
    edit(&|rows| drop(rows.insert(b"zz".as_slice(), [0; 24].as_slice()).unwrap()));
    verified(&site, 4, "rows of the store were altered");
    site.ends(&[], 4, "rows of the store were altered");
    edit(&|rows| drop(rows.remove(b"zz".as_slice()).unwrap()));
    verified(&site, 0, "every row");
    site.start().stop("TERM");
}
