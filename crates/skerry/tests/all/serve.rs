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
struct Site(tempfile::TempDir);

const CONFIG: &str = r#"
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
    fn new() -> Site {
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

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn configure(&self, port: &str) {
        self.put("skerry.toml", &CONFIG.replace("ADDRESS", port));
    }

    fn args<'a>(&self, config: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        ["serve", "--config", config].into_iter().chain(more.iter().copied()).collect()
    }

    fn start(&self) -> Running {
        let config = self.path("skerry.toml");
        Running::start(&self.args(config.to_str().unwrap(), &[]))
    }

    fn ends(&self, more: &[&str], code: i32, word: &str) -> Output {
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
