//! A server whose root key is sealed by a passphrase: what it says before somebody brings that, and what happens then.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use crate::process::*;
use crate::serve::Site;

pub(crate) const WORDS: &str = "correct horse battery staple";

/// A site whose root is sealed, with a listener for operators.
pub(crate) fn sealed_site() -> Site {
    let site = Site::new();
    site.put("words", WORDS);
    site.put("other", "wrong horse battery staple");
    let (root, out, words) = (site.text("root.key"), site.text("root.sealed"), site.text("words"));
    let args = ["root", "seal", "--passphrase", "--root-key", &root, "--out", &out, "--passphrase-file", &words];
    said(&args, 0, "seal = \"passphrase\"");
    let config = std::fs::read_to_string(site.path("skerry.toml")).unwrap();
    let root = "[root]\nseal = \"passphrase\"\nfile = \"root.sealed\"\n[operations]\naddress = \"127.0.0.1:0\"\n";
    site.put("skerry.toml", &(config.replace("root_key = \"root.key\"\n", "") + root));
    std::fs::remove_file(site.path("root.key")).unwrap();
    site
}

fn said(args: &[&str], code: i32, word: &str) -> String {
    let output = ended(args);
    let said = String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    assert!(said.contains(word), "{said}");
    assert!(!said.contains(WORDS) && !said.contains(&"5a".repeat(32)), "a secret: {said}");
    said
}

fn unseal(site: &Site, file: &str, code: i32, word: &str) {
    let (config, file) = (site.text("skerry.toml"), site.text(file));
    said(&["unseal", "--config", &config, "--passphrase-file", &file], code, word);
}

pub(crate) fn operations(running: &Running) -> String {
    running.said.iter().find_map(|line| line.strip_prefix("operations on ")).unwrap().to_owned()
}

fn ports(running: &Running) -> Vec<String> {
    let line = running.said.iter().find_map(|line| line.strip_prefix("listening on ")).unwrap();
    line.split(", ").map(|address| address.rsplit(':').next().unwrap().to_owned()).collect()
}

/// Until the passphrase is there nothing but health is answered; a wrong one changes nothing; the right one opens the same
/// listeners. After a restart it is sealed again, and what was stored is there.
#[test]
fn sealed_until_the_passphrase_comes() {
    let site = sealed_site();
    let ca = site.text("tls.pem");
    for _ in 0..2 {
        let running = site.start_until("sealed");
        let probe = operations(&running);
        assert_eq!(get_plain(&probe, "/health/live"), (200, r#"{"live":true}"#.to_owned()));
        assert_eq!(get_plain(&probe, "/health/sealed"), (200, r#"{"sealed":true,"seal":"passphrase"}"#.to_owned()));
        let sealed = (503, r#"{"ready":false,"reasons":["sealed"]}"#.to_owned());
        assert_eq!(get_plain(&probe, "/health/ready"), sealed);
        for port in ports(&running) {
            let url = format!("https://localhost:{port}");
            for path in ["/", "/.well-known/openid-configuration", "/skerry/v2.0/.well-known/openid-configuration"] {
                let answer = get(&ca, &url, path, Some("token"));
                assert_eq!((answer.status, answer.challenge), (503, None), "{path}");
                assert_eq!(answer.json["error"]["code"], "ServiceUnavailable");
            }
            assert_eq!(get(&ca, &url, "/health/live", None).status, 200);
        }
        let socket = site.path("data/unseal.sock");
        assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        unseal(&site, "other", 1, "the passphrase is wrong, or the file was altered");
        assert_eq!(get_plain(&probe, "/health/ready"), sealed);
        unseal(&site, "words", 0, "unsealed: the server is open");
        assert_eq!(get_plain(&probe, "/health/sealed"), (200, r#"{"sealed":false,"seal":"passphrase"}"#.to_owned()));
        let url = format!("https://localhost:{}", ports(&running)[0]);
        let metadata = get(&ca, &url, "/.well-known/openid-configuration", None);
        assert_eq!(metadata.json["issuer"], "https://attest.example.org");
        unseal(&site, "words", 3, "no sealed server");
        assert!(!socket.exists());
        let (status, complaints) = running.stop("TERM");
        assert_eq!(status.code(), Some(0), "{complaints}");
        assert!(complaints.contains("still sealed: the passphrase is wrong"), "{complaints}");
    }
    let (config, words) = (site.text("skerry.toml"), site.text("words"));
    said(&["verify", "--config", &config, "--passphrase-file", &words], 0, "every row is as it was last committed");
    said(&["serve", "--config", &config, "--check"], 0, "ok");
}

/// A sealed server stops when it is told to, and holds its folder against a second one until then.
#[test]
fn sealed_servers_stop() {
    let site = sealed_site();
    let running = site.start_until("sealed");
    site.ends(&[], 3, "another sealed skerry runs on this folder");
    let (status, _) = running.stop("TERM");
    assert_eq!(status.code(), Some(0));
    assert!(!site.path("data/unseal.sock").exists());
    // What a kill leaves is in nobody's way.
    let running = site.start_until("sealed");
    running.stop("KILL");
    assert!(site.path("data/unseal.sock").exists());
    unseal(&site, "words", 3, "no sealed server");
    site.start_until("sealed").stop("INT");
}

/// Many who try, and what is no try at all, keep nobody from health nor from unsealing; tries are a second apart.
#[test]
fn a_flood_of_tries_is_slow() {
    let site = sealed_site();
    let running = site.start_until("sealed");
    let socket = site.path("data/unseal.sock");
    let begun = std::time::Instant::now();
    let wrong: Vec<UnixStream> = (0..3)
        .map(|number| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            let words = format!("try number {number}");
            stream.write_all(&[&u16::try_from(words.len()).unwrap().to_be_bytes(), words.as_bytes()].concat()).unwrap();
            stream
        })
        .collect();
    // Cut off, too long, empty.
    for request in [b"\0".as_slice(), &[4, 1], &[0, 0]] {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(request).unwrap();
    }
    assert_eq!(get_plain(&operations(&running), "/health/live").0, 200);
    for mut stream in wrong {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with(r#"{"outcome":"refused""#), "{text}");
    }
    assert!(begun.elapsed().as_secs() >= 2, "three tries in {:?}", begun.elapsed());
    unseal(&site, "words", 0, "unsealed");
    let (_, complaints) = running.stop("TERM");
    assert_eq!(complaints.matches("still sealed").count(), 3, "{complaints}");
}

/// The right passphrase of the wrong root, or of a store that is damaged, is another matter than a wrong passphrase: the server
/// says what it is, to both, and ends as a start does.
#[test]
fn what_does_not_open_is_told_apart() {
    let site = sealed_site();
    let running = site.start_until("sealed");
    unseal(&site, "words", 0, "unsealed");
    running.stop("TERM");
    let (out, words, kept) = (site.text("root.sealed"), site.text("words"), site.text("kept.sealed"));
    std::fs::rename(&out, &kept).unwrap();
    said(&["root", "seal", "--passphrase", "--out", &out, "--passphrase-file", &words], 0, "is sealed");
    let running = site.start_until("sealed");
    unseal(&site, "words", 4, "the root key is not the one this folder was made with");
    let (code, complaints) = running.ended();
    assert_eq!(code, Some(4), "{complaints}");
    assert!(complaints.contains("the root key is not the one this folder was made with"), "{complaints}");
    std::fs::rename(&kept, &out).unwrap();
    std::fs::remove_dir_all(site.path("data/audit")).unwrap();
    let running = site.start_until("sealed");
    unseal(&site, "words", 4, "is not as it was left");
    assert_eq!(running.ended().0, Some(4));
}

/// The seal is changed and the root is not: the old passphrase opens nothing any more, the new one what was stored before.
#[test]
fn seals_are_changed() {
    let site = sealed_site();
    let (config, words, other) = (site.text("skerry.toml"), site.text("words"), site.text("other"));
    let (file, old) = (site.text("root.sealed"), site.text("root.sealed.old"));
    let before = said(&["root", "status", &file], 0, "seal: passphrase");
    let running = site.start_until("sealed");
    unseal(&site, "words", 0, "unsealed");
    running.stop("TERM");
    let reseal = |now: &str, new: &str| {
        ["root", "reseal", "--config", &config, "--passphrase", "--passphrase-file", now, "--new-passphrase-file", new]
            .map(str::to_owned)
    };
    let run = |args: [String; 9], code, word| said(&args.each_ref().map(String::as_str), code, word);
    run(reseal(&other, &words), 1, "the passphrase is wrong");
    site.put("short", "too short");
    run(reseal(&words, &site.text("short")), 2, "from 12 to 1024 are taken");
    run(reseal(&words, &other), 0, "is sealed");
    assert_eq!(said(&["root", "status", &file], 0, ""), before, "the same root");
    assert_eq!(said(&["root", "status", &old], 0, ""), before);
    let running = site.start_until("sealed");
    unseal(&site, "words", 1, "the passphrase is wrong");
    unseal(&site, "other", 0, "unsealed");
    running.stop("TERM");
}

/// Nothing is written over, and what is no seal is said to be none.
#[test]
fn seals_are_not_lost() {
    let site = sealed_site();
    let (out, words) = (site.text("root.sealed"), site.text("words"));
    said(&["root", "seal", "--passphrase", "--out", &out, "--passphrase-file", &words], 2, "is there already");
    said(&["root", "seal", "--out", &site.text("new"), "--passphrase-file", &words], 2, "--passphrase");
    said(&["root", "status", &site.text("none")], 2, "cannot be read");
    said(&["root", "status", &site.text("tls.pem")], 4, "not a sealed root");
    site.put("words", WORDS);
    std::fs::set_permissions(site.path("words"), std::fs::Permissions::from_mode(0o644)).unwrap();
    said(&["root", "seal", "--passphrase", "--out", &site.text("new"), "--passphrase-file", &words], 2, "chmod 0600");
    assert!(!site.path("new").exists());
}

/// systemd's credential is the root itself, in a folder that the environment names: the server opens by itself, or says why not.
#[test]
fn credentials_unseal_by_themselves() {
    let site = Site::new();
    let config = std::fs::read_to_string(site.path("skerry.toml")).unwrap();
    let root = "[root]\nseal = \"credential\"\ncredential = \"skerry-root\"\n";
    site.put("skerry.toml", &(config.replace("root_key = \"root.key\"\n", "") + root));
    site.ends(&[], 2, "no CREDENTIALS_DIRECTORY");
    std::fs::create_dir(site.path("credentials")).unwrap();
    let folder = site.text("credentials");
    let config = site.text("skerry.toml");
    let serve = |text: &str, mode: u32| {
        site.put("credentials/skerry-root", text);
        std::fs::set_permissions(site.path("credentials/skerry-root"), std::fs::Permissions::from_mode(mode)).unwrap();
        ["serve", "--config", &config].map(str::to_owned)
    };
    let args = serve("5a", 0o400);
    let output = ended_with(&args.each_ref().map(String::as_str), &[("CREDENTIALS_DIRECTORY", &folder)]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("the credential is not 64 hex digits"));
    std::fs::remove_file(site.path("credentials/skerry-root")).unwrap();
    let args = serve(&"5a".repeat(32), 0o400);
    let running =
        Running::start_with(&args.each_ref().map(String::as_str), "ready", &[("CREDENTIALS_DIRECTORY", &folder)]);
    let url = format!("https://localhost:{}", ports(&running)[0]);
    let sealed = get(&site.text("tls.pem"), &url, "/health/sealed", None);
    assert_eq!((sealed.json["sealed"].as_bool(), sealed.json["seal"].as_str()), (Some(false), Some("credential")));
}

/// A credential is made by systemd's program, which gets the root through a pipe and by no argument.
#[test]
fn credentials_are_made_by_systemd() {
    let site = Site::new();
    std::fs::create_dir(site.path("bin")).unwrap();
    site.put("bin/systemd-creds", "#!/bin/sh\necho \"$@\" >&2; cat > \"$4\"\n");
    std::fs::set_permissions(site.path("bin/systemd-creds"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (root, out) = (site.text("root.key"), site.text("skerry-root"));
    let path = format!("{}:{}", site.text("bin"), std::env::var("PATH").unwrap());
    let args = ["root", "seal", "--credential", "skerry-root", "--root-key", &root, "--out", &out];
    let output = ended_with(&args, &[("PATH", &path)]);
    let said = String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(&format!("encrypt --name=skerry-root - {out}")), "{said}");
    assert!(said.contains(&format!("LoadCredentialEncrypted=skerry-root:{out}")), "{said}");
    assert!(!said.contains(&"5a".repeat(32)), "{said}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "5a".repeat(32));
}

/// What systemd-creds really encrypts opens the server when it is decrypted again as systemd does at a service's start: into a folder
/// that the environment names, in the credential's name. Under another name, or altered, it is not decrypted at all.
#[test]
#[ignore = "needs root and systemd-creds"]
fn credentials_of_systemd_unseal() {
    let site = Site::new();
    let (root, out) = (site.text("root.key"), site.text("encrypted"));
    let args = ["root", "seal", "--credential", "skerry-root", "--root-key", &root, "--out", &out];
    let told = said(&args, 0, "LoadCredentialEncrypted=skerry-root:");
    assert!(told.contains(&out), "{told}");
    let encrypted = std::fs::read(&out).unwrap();
    assert!(!encrypted.windows(8).any(|octets| octets == b"5a5a5a5a"), "in the clear");
    std::fs::remove_file(&root).unwrap();
    std::fs::create_dir(site.path("credentials")).unwrap();
    let decrypt = |name: &str, from: &str, to: &str| {
        let mut command = std::process::Command::new("systemd-creds");
        let output = command.args(["decrypt", &format!("--name={name}")]).args([from, to]).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let to = site.text("credentials/skerry-root");
    assert!(!decrypt("another", &out, &to).0 && !site.path("credentials/skerry-root").exists());
    let mut altered = encrypted;
    let at = altered.len() / 2;
    altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
    std::fs::write(site.path("altered"), altered).unwrap();
    assert!(!decrypt("skerry-root", &site.text("altered"), &to).0 && !site.path("credentials/skerry-root").exists());
    let (decrypted, why) = decrypt("skerry-root", &out, &to);
    assert!(decrypted, "{why}");
    std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o400)).unwrap();

    let config = std::fs::read_to_string(site.path("skerry.toml")).unwrap();
    let root = "[root]\nseal = \"credential\"\ncredential = \"skerry-root\"\n[operations]\naddress = \"127.0.0.1:0\"\n";
    site.put("skerry.toml", &(config.replace("root_key = \"root.key\"\n", "") + root));
    let (config, folder) = (site.text("skerry.toml"), site.text("credentials"));
    for _ in 0..2 {
        let running = Running::start_with(
            &["serve", "--config", &config],
            "ready",
            &[("CREDENTIALS_DIRECTORY", folder.as_str())],
        );
        let sealed = get_plain(&operations(&running), "/health/sealed");
        assert_eq!(sealed, (200, r#"{"sealed":false,"seal":"credential"}"#.to_owned()));
        let (status, complaints) = running.stop("TERM");
        assert_eq!((status.code(), complaints.as_str()), (Some(0), ""));
    }
    // The root that it opened with is the one that was encrypted.
    site.put("root.key", &"5a".repeat(32));
    let text = std::fs::read_to_string(site.path("skerry.toml")).unwrap();
    let text = text.replace("[root]\nseal = \"credential\"\ncredential = \"skerry-root\"\n", "");
    site.put("skerry.toml", &text.replace("data = \"data\"\n", "data = \"data\"\nroot_key = \"root.key\"\n"));
    said(&["verify", "--config", &config], 0, "every row is as it was last committed");
}

/// An emulated TPM with a state of its own, which ends with this.
struct Tpm(std::process::Child);

impl Tpm {
    fn start(site: &Site) -> Tpm {
        std::fs::create_dir_all(site.path("tpm")).unwrap();
        std::fs::remove_file(site.path("tpm.sock")).ok();
        let socket = format!("type=unixio,path={}", site.text("tpm.sock"));
        let child = std::process::Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--server", &socket])
            .args(["--tpmstate", &format!("dir={}", site.text("tpm"))])
            .args(["--ctrl", &format!("type=unixio,path={}", site.text("ctrl.sock"))])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let begun = std::time::Instant::now();
        while UnixStream::connect(site.path("tpm.sock")).is_err() {
            assert!(begun.elapsed().as_secs() < 60, "swtpm does not listen");
            std::thread::yield_now();
        }
        Tpm(child)
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A TPM opens the server by itself, from a passphrase's seal that was changed to its own; without it, with another one, or without its
/// PIN the server does not start, and says why.
#[test]
#[ignore = "needs swtpm"]
fn tpms_unseal_by_themselves() {
    let site = sealed_site();
    let (config, words, device) = (site.text("skerry.toml"), site.text("words"), site.text("tpm.sock"));
    let running = site.start_until("sealed");
    unseal(&site, "words", 0, "unsealed");
    running.stop("TERM");
    let tpm = Tpm::start(&site);
    site.put("pin", "2468");
    let pin = site.text("pin");
    let to_tpm = ["--tpm", "--tpm-device", &device, "--tpm-pcrs", "0,7", "--tpm-pin-file", &pin];
    let reseal: Vec<&str> =
        ["root", "reseal", "--config", &config, "--passphrase-file", &words].into_iter().chain(to_tpm).collect();
    said(&reseal, 0, "seal = \"tpm\"");
    said(&["root", "status", &site.text("root.sealed")], 0, "seal: tpm\npcrs: 0,7\npin: yes");
    site.ends(&[], 2, "is sealed by tpm");
    let text = std::fs::read_to_string(site.path("skerry.toml")).unwrap();
    let section = "seal = \"tpm\"\ndevice = \"tpm.sock\"\npin_file = \"pin\"";
    site.put("skerry.toml", &text.replace("seal = \"passphrase\"", section));
    let running = site.start_until("ready");
    let probe = operations(&running);
    assert_eq!(get_plain(&probe, "/health/sealed"), (200, r#"{"sealed":false,"seal":"tpm"}"#.to_owned()));
    running.stop("TERM");
    said(&["verify", "--config", &config], 0, "every row is as it was last committed");
    site.put("pin", "1234");
    site.ends(&[], 1, "the PIN is wrong");
    site.put("pin", "2468");
    drop(tpm);
    site.ends(&[], 3, "no TPM at this place");
    std::fs::remove_dir_all(site.path("tpm")).unwrap();
    let _other = Tpm::start(&site);
    site.ends(&[], 1, "another TPM than the one it was sealed by");
}
