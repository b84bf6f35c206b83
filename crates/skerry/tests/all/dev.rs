//! `skerry dev`: what it makes, says, keeps and refuses, and what its services answer.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::SystemTime;

use http::Method;
use skerry_attestation_result::{Authority, IssuerUrl};
use skerry_client::http::Ask;
use skerry_client::{Asked, Roots, VerifiedRelease};
use skerry_evidence::snp::Generation;
use skerry_jose::{Algorithm, JwkSet, SigningKey};
use skerry_keywrap::UnwrapKey;
use skerry_simulator::Root;
use skerry_store::{At, Op, OpId, Outcome, Store, Txn};

use crate::process::*;

/// A folder for dev with its slowest keys in it already.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        static SIMULATOR: OnceLock<String> = OnceLock::new();
        let root = || {
            let day = std::time::Duration::from_secs(86_400);
            Root::generate(Generation::Milan, SystemTime::now() - day, &mut rng())
                .unwrap()
                .to_pem()
                .unwrap()
                .to_string()
        };
        let folder = Folder(tempfile::tempdir().unwrap());
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::write(folder.file("dev.lock"), "").unwrap();
        std::fs::write(folder.file("simulator.pem"), SIMULATOR.get_or_init(root)).unwrap();
        std::fs::set_permissions(folder.file("simulator.pem"), std::fs::Permissions::from_mode(0o600)).unwrap();
        folder
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Starts dev on free ports.
    pub(crate) fn start(&self) -> (Running, HashMap<String, String>) {
        let running = Running::start(&["dev", "--data", self.path(), "--port-base", "0"]);
        let env = load(&self.file("dev.env"));
        (running, env)
    }

    /// Starts dev where it is expected to end by itself.
    fn fails(&self, args: &[&str]) -> Output {
        ended(&["dev", "--data", self.path()].into_iter().chain(args.iter().copied()).collect::<Vec<_>>())
    }
}

fn rng() -> impl rand_core::CryptoRng {
    getrandom::rand_core::UnwrapErr(getrandom::SysRng)
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A key set as a workload sends it.
fn runtime_data() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"keys":[{"kty":"oct","kid":"none"}]}"#).unwrap();
    file
}

/// What SKR_TEE_SIM does, run by a shell as the conformance suite runs it, with more options in front of the file.
fn simulate(env: &HashMap<String, String>, options: &str, file: &Path) -> Output {
    let script = format!("{} {options} '{}'", env["SKR_TEE_SIM"], file.display());
    Command::new("sh").args(["-c", &script]).env_clear().envs(env).output().unwrap()
}

fn claims(output: &Output) -> serde_json::Value {
    use base64::Engine as _;
    assert!(output.status.success(), "{output:?}");
    let token = std::str::from_utf8(&output.stdout).unwrap().strip_suffix('\n').unwrap();
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// From nothing: a folder for its owner alone, names for the shell, and `ready` on a line of its own at the end.
#[test]
fn first_start_makes_everything() {
    let folder = tempfile::tempdir().unwrap();
    // A name that a shell would take apart.
    let path = folder.path().join("it's mine");
    std::fs::create_dir(&path).unwrap();
    let running = Running::start(&["dev", "--data", path.to_str().unwrap(), "--port-base", "0"]);
    assert_eq!(mode(&path), 0o700);
    for entry in std::fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap().path();
        let expected = if entry.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&entry), expected, "{}", entry.display());
    }
    let env = load(&path.join("dev.env"));
    for name in ["SKR_VAULT_URL", "SKR_HSM_URL", "SKR_ATTEST_URL", "SKR_CA_FILE", "SKR_TOKEN", "SKR_ATTEST_TOKEN"] {
        assert!(!env[name].is_empty(), "{name}");
    }
    assert!(env["SKR_TEE_SIM"].starts_with('/'));
    assert_eq!(running.said.last().unwrap(), "ready");
    let said = running.said.join("\n");
    for name in ["SKR_VAULT_URL", "SKR_HSM_URL", "SKR_ATTEST_URL", "SKR_IDENTITY_URL", "SKR_METADATA_URL"] {
        assert!(said.contains(&env[name]), "{name} is not in\n{said}");
    }
    // The line to load it is one that a shell understands.
    let line = running.said.iter().find(|line| line.contains("set -a")).unwrap();
    let script = format!("{line}; printf %s \"$SKR_CA_FILE\"");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), path.join("ca.pem").to_str().unwrap());
    let (status, complaints) = running.stop("TERM");
    assert_eq!(status.code(), Some(0), "{complaints}");
    assert_eq!(complaints.matches("first start").count(), 1, "{complaints}");
}

/// The curl that is printed works as printed, where there is a curl.
#[test]
fn curl_works_as_printed() {
    let folder = Folder::new();
    let (running, env) = folder.start();
    let curl = running.said.iter().find(|line| line.trim().starts_with("curl ")).unwrap();
    if Command::new("curl").arg("--version").output().is_err() {
        return;
    }
    let output = Command::new("sh").args(["-c", curl]).envs(&env).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap().is_object(), "{output:?}");
}

/// Scripts read one JSON line.
#[test]
fn ready_is_said_in_json() {
    let folder = Folder::new();
    let running = Running::start(&["dev", "--data", folder.path(), "--port-base", "0", "--json"]);
    let [line] = running.said.as_slice() else { panic!("{:?}", running.said) };
    let said: serde_json::Value = serde_json::from_str(line).unwrap();
    let env = load(Path::new(said["env"].as_str().unwrap()));
    assert_eq!(said["urls"]["vault"], env["SKR_VAULT_URL"].as_str());
    assert_eq!(said["urls"]["managed_hsm"], env["SKR_HSM_URL"].as_str());
}

/// Either signal stops it, and that is no failure.
#[test]
fn signals_stop_it() {
    let folder = Folder::new();
    for signal in ["INT", "TERM"] {
        let (running, _) = folder.start();
        let (status, complaints) = running.stop(signal);
        assert_eq!(status.code(), Some(0), "{complaints}");
    }
}

/// Nothing is reachable from outside, by IPv4 or IPv6.
#[test]
fn it_listens_on_loopback_only() {
    let folder = Folder::new();
    let (running, env) = folder.start();
    let urls = ["SKR_VAULT_URL", "SKR_HSM_URL", "SKR_ATTEST_URL", "SKR_IDENTITY_URL", "SKR_METADATA_URL"];
    let ports = urls.map(|name| env[name].rsplit(':').next().unwrap().parse::<u16>().unwrap());
    let sockets = |file: &str| -> Vec<(String, u16)> {
        let text = std::fs::read_to_string(format!("/proc/{}/net/{file}", running.id())).unwrap_or_default();
        let listening = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        let listening = listening.filter(|fields| fields[3] == "0A").map(|fields| fields[1].split_once(':').unwrap());
        listening.map(|(address, port)| (address.to_owned(), u16::from_str_radix(port, 16).unwrap())).collect()
    };
    let ours: Vec<_> = sockets("tcp").into_iter().filter(|(_, port)| ports.contains(port)).collect();
    assert_eq!(ours.len(), 5);
    assert!(ours.iter().all(|(address, _)| address == "0100007F"), "{ours:?}");
    assert!(!sockets("tcp6").iter().any(|(_, port)| ports.contains(port)));
}

/// A restart has the same keys, secrets and roots, whatever ports it gets, and says that the authority has moved.
#[test]
fn state_survives_a_restart_under_other_ports() {
    let folder = Folder::new();
    let (running, before) = folder.start();
    let kid = |env: &HashMap<String, String>| {
        let certs = get(&env["SKR_CA_FILE"], &env["SKR_ATTEST_URL"], "/certs", None).json;
        certs["keys"][0]["kid"].as_str().unwrap().to_owned()
    };
    let (kid_before, root) = (kid(&before), std::fs::read(folder.file("root.key")).unwrap());
    let (_, complaints) = running.stop("TERM");
    assert_eq!(complaints, "");
    // The old port cannot be had again, so that the new one is another.
    let port = before["SKR_ATTEST_URL"].rsplit(':').next().unwrap().parse().unwrap();
    let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let (running, after) = folder.start();
    assert_ne!(before["SKR_ATTEST_URL"], after["SKR_ATTEST_URL"]);
    assert_eq!((kid(&after), &before["SKR_CLIENT_SECRET"]), (kid_before, &after["SKR_CLIENT_SECRET"]));
    assert_eq!(std::fs::read(folder.file("root.key")).unwrap(), root);
    let output = simulate(&after, "", runtime_data().path());
    assert_eq!(claims(&output)["iss"], after["SKR_ATTEST_URL"].as_str());
    let (_, complaints) = running.stop("TERM");
    let both = complaints.contains(&before["SKR_ATTEST_URL"]) && complaints.contains(&after["SKR_ATTEST_URL"]);
    assert!(both && complaints.contains("release policies"), "{complaints}");
}

/// A port that is taken: which one, how to find out whose, and what else to do. Nothing was made before that.
#[test]
fn taken_port_says_what_to_do() {
    // Ports in a row that are free but for one: others may take them in between, and then they are taken all the same.
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = held.local_addr().unwrap().port();
    let folder = Folder::new();
    let output = folder.fails(&["--port-base", &port.to_string()]);
    assert_eq!(output.status.code(), Some(3));
    let said = stderr(&output);
    assert!(said.contains(&format!("port {port} on 127.0.0.1, for the vault, is taken")), "{said}");
    assert!(said.contains(&format!("ss -ltnp 'sport = :{port}'")) && said.contains("--port-base N"), "{said}");
    assert!(!folder.file("root.key").exists());
    let output = folder.fails(&["--port-base", "65532"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

/// One dev at a time in a folder.
#[test]
fn folder_is_held() {
    let folder = Folder::new();
    let (_running, _) = folder.start();
    let output = folder.fails(&["--port-base", "0"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("another skerry dev runs on"), "{}", stderr(&output));
}

/// A folder with other things in it, or one that others can enter, is left alone.
#[test]
fn other_folders_are_left_alone() {
    let folder = Folder(tempfile::tempdir().unwrap());
    std::fs::write(folder.file("thesis.txt"), "").unwrap();
    let output = folder.fails(&["--port-base", "0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("has other things in it"), "{}", stderr(&output));
    assert!(!folder.file("dev.lock").exists());
    let folder = Folder::new();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = folder.fails(&["--port-base", "0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("chmod 0700"), "{}", stderr(&output));
}

/// A root key that is not the one the store was made with is an integrity error, not a new start.
#[test]
fn other_root_key_is_noticed() {
    let folder = Folder::new();
    let (running, _) = folder.start();
    running.stop("TERM");
    std::fs::write(folder.file("root.key"), "0".repeat(64)).unwrap();
    let output = folder.fails(&["--port-base", "0"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("root key is not the one"), "{}", stderr(&output));
}

/// A store that was put back to an older state of itself, beside the log of what came after, is an integrity error; so is a
/// log that is gone. With both as they were left, the start is as any other.
#[test]
fn store_and_log_belong_together() {
    let folder = Folder::new();
    folder.start().0.stop("TERM");
    let (store, log) = (folder.file("store.redb"), folder.file("audit"));
    let older = std::fs::read(&store).unwrap();
    let (running, env) = folder.start();
    let body = Some(r#"{"kty":"EC","crv":"P-256"}"#.to_owned());
    let path = "/keys/later/create?api-version=7.4";
    let ask = Ask { method: Method::POST, path, bearer: Some(&env["SKR_TOKEN"]), body };
    assert_eq!(crate::process::ask(&env["SKR_CA_FILE"], &env["SKR_VAULT_URL"], ask).unwrap().status, 200);
    running.stop("TERM");
    let left = std::fs::read(&store).unwrap();
    let refused = |why: &str| {
        let output = folder.fails(&["--port-base", "0"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains("what is stored is not as it was left") && said.contains(why), "{said}");
    };
    std::fs::write(&store, older).unwrap();
    refused("it was put back");
    std::fs::write(&store, left).unwrap();
    let aside = folder.file("aside");
    std::fs::rename(&log, &aside).unwrap();
    refused("and there is no log");
    std::fs::remove_dir_all(&log).unwrap();
    std::fs::rename(&aside, &log).unwrap();
    folder.start().0.stop("TERM");
}

/// Versions without a key, which a purge that was cut short leaves, are gone from the store before anything is answered.
#[test]
fn start_removes_what_a_purge_left() {
    let folder = Folder::new();
    folder.start().0.stop("TERM");
    // Rows of the vault `dev` as a purge leaves them: the mark that a key is left over, and a version of it.
    let vault = uuid::uuid!("2f6a1f4e-95c5-4c0e-8a43-1d0d3f8a7b01");
    let row = |kind: &[u8], rest: &[u8]| [b"v/", vault.as_bytes().as_slice(), kind, rest].concat();
    let rows = [row(b"/g/", &[7; 16]), row(b"/m/", &[[7; 16], [8; 16]].concat())];
    let in_store = |run: &dyn Fn(&tokio::runtime::Runtime, &Store)| {
        let root = skerry_store::seal::Root::new(zeroize::Zeroizing::new(octets(&folder.file("root.key"))));
        let store = Store::open(&folder.file("store.redb"), &root, skerry_store::Options::new(|_| ())).unwrap();
        run(&tokio::runtime::Builder::new_current_thread().build().unwrap(), &store);
    };
    in_store(&|runtime, store| {
        let ops = rows.iter().map(|row| Op::Put(row.clone(), Vec::new())).collect();
        let txn = Txn { op: OpId([9; 16]), checks: Vec::new(), ops };
        assert!(matches!(runtime.block_on(store.commit(&txn)), Ok(Outcome::Committed(_))));
    });
    folder.start().0.stop("TERM");
    in_store(&|runtime, store| {
        for row in &rows {
            assert_eq!(runtime.block_on(store.get(row, At::Linearizable)).unwrap(), None);
        }
    });
}

/// A root key, as its file has it in hexadecimal digits.
fn octets(path: &Path) -> [u8; 32] {
    let text = std::fs::read_to_string(path).unwrap();
    std::array::from_fn(|octet| u8::from_str_radix(&text[2 * octet..][..2], 16).unwrap())
}

/// The whole story over HTTPS: a key with a policy, evidence, a token, and a release that our own client believes. After a
/// restart the key is there, and under another port its policy is told of.
#[test]
fn key_is_released_and_survives() {
    let folder = Folder::new();
    let (running, env) = folder.start();
    let workload = UnwrapKey::generate(2048).unwrap();
    let (n, e) = workload.public_components();
    let jwk = skerry_jose::PublicKey::Rsa(skerry_jose::RsaPublicKey::new(n, e).unwrap()).to_jwk();
    let jwk = jwk.with("kid", "tee").with("key_ops", vec!["encrypt"]).to_json();
    let data = runtime_data();
    std::fs::write(data.path(), format!(r#"{{"keys":[{jwk}]}}"#)).unwrap();
    let output = simulate(&env, "", data.path());
    let token = std::str::from_utf8(&output.stdout).unwrap().trim_end();
    let policy = format!(
        r#"{{"version":"1.0.0","anyOf":[{{"authority":"{}","allOf":[{{"claim":"x-ms-attestation-type","equals":"sevsnpvm"}}]}}]}}"#,
        env["SKR_ATTEST_URL"]
    );
    let create = serde_json::json!({
        "kty": "RSA-HSM", "key_size": 2048, "key_ops": ["sign"], "attributes": {"exportable": true},
        "release_policy": {"data": skerry_jose::b64::encode(policy)},
    });
    let (vault, bearer) = (&env["SKR_VAULT_URL"], Some(env["SKR_TOKEN"].as_str()));
    let post = |path: &str, body: serde_json::Value| {
        let ask = Ask { method: Method::POST, path, bearer, body: Some(body.to_string()) };
        let answer = crate::process::ask(&env["SKR_CA_FILE"], vault, ask).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.json);
        answer.json
    };
    let key = post("/keys/payments/create?api-version=7.4", create);
    let kid = format!("{vault}/keys/payments");
    assert!(key["key"]["kid"].as_str().unwrap().starts_with(&kid), "{key}");
    let release = serde_json::json!({"target": token, "nonce": "n", "enc": "RSA_AES_KEY_WRAP_256"});
    let answer = post("/keys/payments/release?api-version=7.4", release);
    let asked = Asked {
        host: "localhost",
        kid: &kid,
        nonce: Some("n"),
        algorithm: skerry_keywrap::Algorithm::RsaAesKeyWrap256,
        token,
        target_kid: "tee",
    };
    let roots = Roots::from_pem(&std::fs::read(&env["SKR_CA_FILE"]).unwrap()).unwrap();
    let value = answer["value"].as_str().unwrap();
    let release = VerifiedRelease::verify(value, &asked, &roots, SystemTime::now()).unwrap();
    let plain = release.unwrap(&workload).unwrap();
    assert!(SigningKey::from_pkcs8(Algorithm::Rs256, plain.expose()).is_ok());
    running.stop("TERM");
    let port = env["SKR_ATTEST_URL"].rsplit(':').next().unwrap().parse().unwrap();
    let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let (running, env) = folder.start();
    let found =
        get(&env["SKR_CA_FILE"], &env["SKR_VAULT_URL"], "/keys/payments?api-version=7.4", Some(&env["SKR_TOKEN"]));
    assert_eq!((found.status, &found.json["key"]["n"]), (200, &key["key"]["n"]));
    // The kid follows the host that is asked.
    assert!(found.json["key"]["kid"].as_str().unwrap().starts_with(&env["SKR_VAULT_URL"]));
    let (_, complaints) = running.stop("TERM");
    let line = complaints.lines().find(|line| line.contains("that do not name")).unwrap();
    assert!(line.contains(&env["SKR_ATTEST_URL"]) && line.contains("dev/payments"), "{complaints}");
}

/// The token service believes its client, and others believe its tokens: for what they are, and no other.
#[test]
fn tokens_are_for_what_they_say() {
    let folder = Folder::new();
    let (_running, env) = folder.start();
    let policy =
        |bearer| get(&env["SKR_CA_FILE"], &env["SKR_ATTEST_URL"], "/policies/SevSnpVm?api-version=2020-10-01", bearer);
    assert_eq!(policy(Some(&env["SKR_ATTEST_TOKEN"])).status, 200);
    // A token for the vault is not one for the attestation service; none and nonsense get a challenge that says where to go.
    assert_eq!(policy(Some(&env["SKR_TOKEN"])).status, 401);
    assert_eq!(policy(Some("x.y.z")).status, 401);
    let challenge = policy(None).challenge.unwrap();
    let place = format!("authorization=\"{}/{}\"", env["SKR_IDENTITY_URL"], env["SKR_TENANT_ID"]);
    assert!(challenge.contains(&place) && challenge.contains("resource=\"https://attest.azure.net\""), "{challenge}");
}

/// An appraisal policy that was set is what evidence is appraised by, after a restart too and under another URL, until it
/// is reset.
#[test]
fn appraisal_policies_outlive_a_restart() {
    let folder = Folder::new();
    let data = runtime_data();
    let change = |env: &HashMap<String, String>, method, path: &str, document: &str| {
        let (bearer, body) = (Some(env["SKR_ATTEST_TOKEN"].as_str()), Some(document.to_owned()));
        let ask = Ask { method, path, bearer, body };
        crate::process::ask(&env["SKR_CA_FILE"], &env["SKR_ATTEST_URL"], ask).unwrap().status
    };
    let deny = "version=1.0;authorizationrules{[type==\"x-skerry-simulated\"] => deny(); => permit();};";
    let payload = serde_json::json!({"AttestationPolicy": skerry_jose::b64::encode(deny)}).to_string();
    let document = format!("eyJhbGciOiJub25lIn0.{}.", skerry_jose::b64::encode(payload));
    let (running, env) = folder.start();
    assert!(simulate(&env, "", data.path()).status.success());
    assert_eq!(change(&env, Method::PUT, "/policies/SevSnpVm?api-version=2020-10-01", &document), 200);
    let refused = |env: &HashMap<String, String>| {
        let output = simulate(env, "", data.path());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("A Deny claim was issued") && said.contains("rule 1 of authorizationrules, line 1"),
            "{said}"
        );
    };
    refused(&env);
    running.stop("TERM");
    let (_running, env) = folder.start();
    refused(&env);
    let reset = change(&env, Method::POST, "/policies/SevSnpVm:reset?api-version=2020-10-01", "eyJhbGciOiJub25lIn0..");
    assert_eq!(reset, 200);
    assert!(simulate(&env, "", data.path()).status.success());
}

/// The machine's identity gets a token from metadata, which demands its header.
#[test]
fn metadata_gives_a_token() {
    use std::io::{Read as _, Write as _};
    let folder = Folder::new();
    let (_running, env) = folder.start();
    let port: u16 = env["SKR_METADATA_URL"].rsplit(':').next().unwrap().parse().unwrap();
    let ask = |header: &str| {
        let path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fattest.azure.net";
        let mut stream = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{header}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(ask("").starts_with("HTTP/1.1 400 "));
    let answer = ask("Metadata: true\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let body: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let bearer = body["access_token"].as_str().unwrap();
    let path = "/policies/SevSnpVm?api-version=2020-10-01";
    assert_eq!(get(&env["SKR_CA_FILE"], &env["SKR_ATTEST_URL"], path, Some(bearer)).status, 200);
}

/// SKR_TEE_SIM prints a token and nothing else; a policy author finds in it what the TEE was told to be.
#[test]
fn simulate_prints_a_token() {
    let folder = Folder::new();
    let (_running, env) = folder.start();
    let data = runtime_data();
    let plain = simulate(&env, "", data.path());
    let token = std::str::from_utf8(&plain.stdout).unwrap().trim_end();
    let certs = get(&env["SKR_CA_FILE"], &env["SKR_ATTEST_URL"], "/certs", None).json.to_string();
    assert_eq!(plain.stderr, b"");
    assert!(certs.contains(&header(token)["kid"].to_string()));
    let seen = claims(&plain);
    assert_eq!((&seen["iss"], &seen["x-skerry-simulated"]), (&env["SKR_ATTEST_URL"].as_str().into(), &true.into()));
    assert_eq!(seen["x-ms-runtime"]["keys"][0]["kid"], "none");
    assert_eq!(seen["x-ms-sevsnpvm-is-debuggable"], false);
    let (measurement, host_data) = ("a5".repeat(48), "0b".repeat(32));
    let told = simulate(&env, &format!("--measurement {measurement} --host-data {host_data}"), data.path());
    let told = claims(&told);
    assert_eq!(told["x-ms-sevsnpvm-launchmeasurement"], measurement.as_str());
    assert_eq!(told["x-ms-sevsnpvm-hostdata"], host_data.as_str());
    let json = simulate(&env, "--json", data.path());
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["token"].as_str().unwrap().matches('.').count(), 2);
}

fn header(token: &str) -> serde_json::Value {
    use base64::Engine as _;
    let header = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&header).unwrap()
}

/// What the attestation service refuses is said with its clause, and told apart from what went wrong before or on the way.
#[test]
fn simulate_tells_refusals_apart() {
    let folder = Folder::new();
    let (running, env) = folder.start();
    let data = runtime_data();
    let code = |env: &HashMap<String, String>, options: &str, file: &Path, code: i32, word: &str| {
        let output = simulate(env, options, file);
        assert_eq!(output.status.code(), Some(code), "{options}: {output:?}");
        assert!(stderr(&output).contains(word) && output.stdout.is_empty(), "{options}: {output:?}");
    };
    code(&env, "--debug", data.path(), 1, "floor.debug");
    code(&env, "--measurement abc", data.path(), 2, "--measurement");
    code(&env, "--measurement abcd", data.path(), 2, "96 hex digits are needed, not 4");
    code(&env, "--host-data zz", data.path(), 2, "--host-data");
    code(&env, "", Path::new("/no/such/file"), 2, "runtime data");
    std::fs::write(data.path(), "no json").unwrap();
    code(&env, "", data.path(), 2, "runtime data");
    std::fs::write(data.path(), "{}").unwrap();
    let with = |name: &str, value: &str| {
        let mut env = env.clone();
        env.insert(name.to_owned(), value.to_owned());
        env
    };
    code(&with("SKR_ATTEST_URL", ""), "", data.path(), 2, "SKR_ATTEST_URL is not set");
    code(&with("SKR_ATTEST_URL", "http://localhost"), "", data.path(), 2, "SKR_ATTEST_URL");
    code(&with("SKR_CA_FILE", "/no/such/file"), "", data.path(), 2, "SKR_CA_FILE");
    // A server of another CA is not believed.
    let other = Folder::new();
    let (_other, elsewhere) = other.start();
    code(&with("SKR_CA_FILE", &elsewhere["SKR_CA_FILE"]), "", data.path(), 3, "is not trusted");
    // Whoever answers otherwise than an attestation service has not judged anything.
    code(&with("SKR_ATTEST_URL", &env["SKR_VAULT_URL"]), "", data.path(), 3, "status 401");
    // A TEE of another root is refused by the attestation service.
    let root = format!("--root '{}'", other.file("simulator.pem").display());
    let strange = Root::generate(Generation::Milan, SystemTime::now(), &mut rng()).unwrap().to_pem().unwrap();
    std::fs::write(other.file("simulator.pem"), strange.as_str()).unwrap();
    let sim = &env["SKR_TEE_SIM"].split(" --root ").next().unwrap().to_owned();
    code(&with("SKR_TEE_SIM", sim), &root, data.path(), 1, "refuses the evidence");
    running.stop("TERM");
    code(&env, "", data.path(), 3, "is it running? `skerry dev` starts one");
}

/// Each service publishes its own keys, and a token of one is none of the other.
#[test]
fn services_have_keys_of_their_own() {
    let folder = Folder::new();
    let (_running, env) = folder.start();
    let discovery = get(&env["SKR_CA_FILE"], &env["SKR_ATTEST_URL"], "/.well-known/openid-configuration", None).json;
    assert_eq!(discovery["issuer"], env["SKR_ATTEST_URL"].as_str());
    let path = format!("/{}/discovery/v2.0/keys", env["SKR_TENANT_ID"]);
    let keys = get(&env["SKR_CA_FILE"], &env["SKR_IDENTITY_URL"], &path, None).json.to_string();
    let keys = JwkSet::parse(keys.as_bytes(), &skerry_jose::limits::JSON).unwrap();
    assert_eq!(keys.len(), 1);
    // An identity token is no attestation token: other keys, another issuer.
    let issuer = IssuerUrl::parse(&env["SKR_ATTEST_URL"]).unwrap();
    assert!(Authority::with_keys(issuer, keys).verify(&env["SKR_TOKEN"], SystemTime::now()).is_err());
}

/// A client may also come by the address.
#[test]
fn address_is_a_name_too() {
    let folder = Folder::new();
    let (_running, env) = folder.start();
    let url = env["SKR_ATTEST_URL"].replace("localhost", "127.0.0.1");
    assert_eq!(get(&env["SKR_CA_FILE"], &url, "/certs", None).status, 200);
}
