//! Servers with a token (SoftHSM2): keys that are made, used and released in it, a root key that it seals, and what is said when it
//! is another, is away, or does not take the PIN.
//!
//! Each test has tokens of its own, which its processes find by SOFTHSM2_CONF in their environment.

use std::process::{Command, Output};

use der::{Reader as _, SliceReader};
use skerry_keywrap::Algorithm as Wrapping;

use super::*;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "a PIN 1234";
const HOST: &str = "kv1.vault.localhost";
/// SoftHSM wraps to a TEE's key with this hash alone.
const SHA1: Wrapping = Wrapping::CkmRsaAesKeyWrap;

/// A site whose keys, or whose root key, are in a token.
struct Held {
    site: Site,
}

impl Held {
    /// At this level of custody, with a token that has nothing in it yet.
    fn new(level: &str) -> Held {
        let held = Held { site: Site::new() };
        std::fs::remove_file(held.site.path("root.key")).unwrap();
        held.site.put("pin", PIN);
        held.configure(level, MODULE, "");
        held.attach("tokens");
        held.make_token();
        held
    }

    /// The site's configuration with a token.
    fn configure(&self, level: &str, module: &str, more: &str) {
        let config = CONFIG.replace("FETCHED", &self.site.provider.issuer);
        let danger = "danger = { software_hsm = true }\n";
        assert!(config.contains(danger));
        let config = if level == "hsm-strict" { config.replace(danger, "") } else { config };
        let may = r#""get", "create", "delete", "import", "sign", "verify""#;
        let config = config.replace(r#""get", "create", "delete""#, may);
        let token = format!("module = {module:?}\ntoken = \"skerry\"\npin_file = \"pin\"\n{more}");
        self.site.put("skerry.toml", &format!("{config}[custody]\nlevel = {level:?}\n[hsm]\n{token}"));
    }

    /// From now on processes find the tokens of this folder.
    fn attach(&self, tokens: &str) {
        let folder = self.site.path(tokens);
        std::fs::create_dir_all(&folder).unwrap();
        self.site.put("softhsm2.conf", &format!("directories.tokendir = {}\nlog.level = ERROR\n", folder.display()));
    }

    fn make_token(&self) {
        let args = ["--init-token", "--free", "--label", "skerry", "--pin", PIN, "--so-pin", "an officer's"];
        let made = Command::new("softhsm2-util").args(args).env("SOFTHSM2_CONF", self.conf()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    fn conf(&self) -> String {
        self.site.path("softhsm2.conf").to_str().unwrap().to_owned()
    }

    /// Runs a command on the site's configuration.
    fn run(&self, args: &[&str]) -> Output {
        let config = self.site.path("skerry.toml");
        let args: Vec<&str> = args.iter().copied().chain(["--config", config.to_str().unwrap()]).collect();
        ended_with(&args, &[("SOFTHSM2_CONF", &self.conf())])
    }

    /// The same, which ends with this code and these words; what it said.
    fn says(&self, args: &[&str], code: i32, words: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(!said.contains(PIN), "a PIN: {said}");
        for word in words {
            assert!(said.contains(word), "{args:?}: {word:?} is not in {said:?}");
        }
        said
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(self.says(&[args, &["--json"]].concat(), 0, &[]).lines().last().unwrap()).unwrap()
    }

    fn start(&self) -> Served<'_> {
        let config = self.site.path("skerry.toml");
        let args = ["serve", "--config", config.to_str().unwrap()];
        let running = Running::start_with(&args, "ready", &[("SOFTHSM2_CONF", &self.conf())]);
        let line = running.said.iter().find_map(|line| line.strip_prefix("listening on ")).unwrap();
        let port = line.rsplit(':').next().unwrap().to_owned();
        Served { site: &self.site, running, port }
    }

    /// The root that seals the root key, and its generation.
    fn sealed_under(&self) -> (Value, u64) {
        let status = self.json(&["hsm", "status"]);
        let mut roots = status["roots"].as_array().unwrap().iter();
        let root = roots.find(|root| root["seals_root_key"] == true).unwrap();
        (root["root"].clone(), root["generation"].as_u64().unwrap())
    }

    /// How far the server says that it is with a rotation.
    fn progress(&self) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.site.path("data/hsm-rotation.json")).ok()?).ok()
    }

    /// How often the log has a release of this key, whose public half names its version.
    fn releases(&self, public: &Value) -> usize {
        let version = public["kid"].as_str().unwrap().rsplit('/').next().unwrap();
        let records = skerry_audit::read(&self.site.path("data/audit")).unwrap();
        let records = records.map(|record| serde_json::from_slice::<Value>(record.unwrap().body()).unwrap());
        records.filter(|record| record["event"] == "release" && record["version"] == version).count()
    }
}

impl Served<'_> {
    fn operator(&self, path: &str, body: Value) -> Answer {
        let answer = self.post(path, &self.site.fetched("operator"), body);
        assert_eq!(answer.status, 200, "{path}: {}", answer.json);
        answer
    }

    /// A key that signs and is released to the measurement `good`; its public half.
    fn make(&self, name: &str, kind: Value) -> Value {
        let policy = json!({"version": "1.0.0", "anyOf": [
            {"authority": AUTHORITY, "allOf": [{"claim": MEASUREMENT, "equals": "good"}]}
        ]});
        let mut body = json!({
            "key_ops": ["sign", "verify"], "attributes": {"exportable": true},
            "release_policy": {"data": skerry_jose::b64::encode(policy.to_string())},
        });
        body.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        self.operator(&format!("/keys/{name}/create"), body).json["key"].clone()
    }

    /// A signature by the server, which verifies there, and another text's does not.
    fn signs(&self, name: &str, alg: &str) {
        let digest = |octet: u8| skerry_jose::b64::encode([octet; 32]);
        let signed = self.operator(&format!("/keys/{name}/sign"), json!({"alg": alg, "value": digest(5)}));
        let verified = |octet| {
            let body = json!({"alg": alg, "digest": digest(octet), "value": signed.json["value"]});
            self.operator(&format!("/keys/{name}/verify"), body).json["value"].clone()
        };
        assert_eq!((verified(5), verified(6)), (json!(true), json!(false)), "{name}");
    }

    /// What a TEE gets of a key, by the wrapping that is asked for or by the one that is meant if none is.
    fn released_by(&self, name: &str, enc: Option<Wrapping>) -> Vec<u8> {
        let (key, good) = attested("good");
        let mut body = json!({"target": good, "nonce": "n"});
        if let Some(enc) = enc {
            body["enc"] = json!(enc.as_str());
        }
        let answer = self.post(&format!("/keys/{name}/release"), &tee(), body);
        assert_eq!(answer.status, 200, "{}", answer.json);
        let kid = format!("{}/keys/{name}", self.url(HOST));
        let algorithm = enc.unwrap_or(SHA1);
        let asked = Asked { host: HOST, kid: &kid, nonce: Some("n"), algorithm, token: &good, target_kid: "tee" };
        let roots = Roots::from_pem(&std::fs::read(self.site.path("ca.pem")).unwrap()).unwrap();
        let value = answer.json["value"].as_str().unwrap();
        let release = VerifiedRelease::verify(value, &asked, &roots, SystemTime::now()).unwrap();
        release.unwrap(&key).unwrap().expose().to_vec()
    }

    fn attributes(&self, name: &str) -> Value {
        let answer = self.get(HOST, &format!("/keys/{name}"), Some(&self.site.fetched("operator")));
        assert_eq!(answer.status, 200, "{}", answer.json);
        answer.json["attributes"].clone()
    }

    fn stopped(self) {
        let (status, complaints) = self.running.stop("TERM");
        assert_eq!(status.code(), Some(0), "{complaints}");
    }
}

/// Whether PKCS#8 is of the private half of this key. SoftHSM leaves zeros behind it (docs/divergences.md).
fn is_of(pkcs8: &[u8], algorithm: Algorithm, public: &Value) -> bool {
    let document = SliceReader::new(pkcs8).unwrap().tlv_bytes().unwrap();
    assert!(pkcs8.len() - document.len() < 8 && pkcs8[document.len()..].iter().all(|octet| *octet == 0));
    let own = SigningKey::from_pkcs8(algorithm, document).unwrap().public().to_jwk().to_json();
    let own: Value = serde_json::from_str(&own).unwrap();
    ["crv", "x", "y", "n"].iter().all(|member| own[member] == public[member])
}

/// In strict custody keys are made and sign in the token, across a restart; a TEE gets the key that was made; a wrapping that the
/// token does not do is refused with the reason, and nothing is on record as released.
#[test]
#[ignore = "needs softhsm2"]
fn strict_keys_serve_from_the_token() {
    let held = Held::new("hsm-strict");
    held.says(&["serve"], 2, &["root.key"]);
    held.says(&["hsm", "init"], 0, &["root key sealed into", "back up the token"]);
    held.says(&["hsm", "init"], 1, &["nothing is put in its place"]);
    held.says(&["hsm", "status"], 0, &["token \"skerry\"", "of generation 1, seals the root key"]);
    let served = held.start();
    let ec = served.make("ec", json!({"kty": "EC-HSM", "crv": "P-256"}));
    let rsa = served.make("rsa", json!({"kty": "RSA-HSM", "key_size": 2048}));
    served.stopped();
    let served = held.start();
    for (name, alg) in [("ec", "ES256"), ("rsa", "RS256"), ("rsa", "PS256")] {
        served.signs(name, alg);
        let attributes = served.attributes(name);
        assert_eq!(attributes["hsmPlatform"], "1", "{attributes}");
        assert_eq!(attributes["x-skerry-custody"], "hsm-strict", "{attributes}");
    }

    let (_, good) = attested("good");
    for refused in [Wrapping::RsaAesKeyWrap256, Wrapping::RsaAesKeyWrap384] {
        let body = json!({"target": good, "nonce": "n", "enc": refused.as_str()});
        let answer = served.post("/keys/ec/release", &tee(), body);
        let error = &answer.json["error"];
        assert_eq!((answer.status, &error["code"]), (400, &json!("NotSupported")), "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("the token does not do"), "{message}");
    }
    assert_eq!(held.releases(&ec), 0);
    for enc in [Some(SHA1), None] {
        assert!(is_of(&served.released_by("ec", enc), Algorithm::Es256, &ec));
    }
    assert!(is_of(&served.released_by("rsa", None), Algorithm::Rs256, &rsa));
    assert_eq!((held.releases(&ec), held.releases(&rsa)), (2, 1));
    served.stopped();
}

/// An imported symmetric key comes out as it went in, to the octet.
#[test]
#[ignore = "needs softhsm2"]
fn strict_symmetric_keys_are_exact() {
    let held = Held::new("hsm-strict");
    let config = std::fs::read_to_string(held.site.path("skerry.toml")).unwrap();
    held.site.put("skerry.toml", &config.replacen("kind = \"premium\"", "kind = \"managed-hsm\"", 1));
    held.says(&["hsm", "init"], 0, &[]);
    let served = held.start();
    let policy = json!({"version": "1.0.0", "anyOf": [
        {"authority": AUTHORITY, "allOf": [{"claim": MEASUREMENT, "equals": "good"}]}
    ]});
    let body = json!({
        "key": {"kty": "oct-HSM", "k": skerry_jose::b64::encode([0x5a; 32]), "key_ops": ["encrypt", "decrypt"]},
        "hsm": true, "attributes": {"exportable": true},
        "release_policy": {"data": skerry_jose::b64::encode(policy.to_string())},
    });
    let (path, operator) = ("/keys/oct", held.site.fetched("operator"));
    let imported = served.ask(HOST, Method::PUT, path, Some(&operator), Some(body));
    assert_eq!(imported.status, 200, "{}", imported.json);
    assert_eq!(served.released_by("oct", None), [0x5a; 32]);
    served.stopped();
}

/// A root key that a token seals opens the server; keys are in the process, and are released as those of software are. Which level it
/// is, every key shows.
#[test]
#[ignore = "needs softhsm2"]
fn sealed_roots_open_the_server() {
    let held = Held::new("hsm-root");
    held.says(&["hsm", "init"], 0, &["root key sealed into"]);
    let served = held.start();
    let ec = served.make("ec", json!({"kty": "EC-HSM", "crv": "P-256"}));
    served.stopped();
    let served = held.start();
    served.signs("ec", "ES256");
    let attributes = served.attributes("ec");
    assert_eq!((&attributes["hsmPlatform"], &attributes["x-skerry-custody"]), (&json!("0"), &json!("hsm-root")));
    for enc in [SHA1, Wrapping::RsaAesKeyWrap256] {
        assert!(is_of(&served.released_by("ec", Some(enc)), Algorithm::Es256, &ec));
    }
    held.says(&["hsm", "rotate-root"], 0, &["of generation 2 seals the root key", "in software", "stay as they are"]);
    served.signs("ec", "ES256");
    served.stopped();
    let served = held.start();
    served.signs("ec", "ES256");
    served.stopped();
}

/// Another token opens nothing: one without our root, one whose serial is not that of the configuration. Where none is, that is what
/// is said. With the right one all is as before.
#[test]
#[ignore = "needs softhsm2"]
fn other_tokens_are_told_apart() {
    for level in ["hsm-root", "hsm-strict"] {
        let held = Held::new(level);
        held.says(&["hsm", "init"], 0, &[]);
        let status = held.json(&["hsm", "status"]);
        let (serial, root) = (status["serial"].as_str().unwrap(), status["roots"][0]["root"].as_str().unwrap());
        held.start().stopped();

        let missing = format!("root {root} is not in the token: it is another token, or the key was deleted");
        held.attach("empty");
        held.says(&["serve"], 3, &["no token has the label \"skerry\"", "attach and initialise the token"]);
        held.make_token();
        held.says(&["serve"], 4, &[&missing, "bring back the token's backup"]);
        let first = std::fs::read(held.site.path("root.key")).unwrap();
        std::fs::remove_file(held.site.path("root.key")).unwrap();
        held.says(&["hsm", "init"], 0, &[]);
        // In place, so that the file keeps its mode.
        std::fs::write(held.site.path("root.key"), &first).unwrap();
        held.says(&["serve"], 4, &[&missing]);
        held.configure(level, MODULE, &format!("serial = {serial:?}\n"));
        held.says(&["serve"], 4, &[&format!("and not {serial:?}: another token was put in its place")]);
        held.attach("tokens");
        held.start().stopped();
    }
}

/// A wrong PIN is tried once in a whole start, and said to be wrong in words of its own.
#[test]
#[ignore = "needs softhsm2"]
fn wrong_pins_are_tried_once() {
    for level in ["hsm-root", "hsm-strict"] {
        let held = Held::new(level);
        held.says(&["hsm", "init"], 0, &[]);
        let (module, logins) = counting(&held.site);
        held.configure(level, &module, "");
        held.start().stopped();
        assert_eq!(std::fs::read(&logins).unwrap().len(), 1);
        std::fs::remove_file(&logins).unwrap();
        held.site.put("pin", "not the PIN");
        let words = "skerry: the PIN is wrong; it was tried once and is not tried again by this process: correct the PIN's file \
                     before the next start, since tokens lock after a few attempts\n";
        let said = held.says(&["serve"], 2, &[words]);
        assert!(said.ends_with(words), "{said}");
        assert_eq!(std::fs::read(&logins).unwrap().len(), 1);
    }
}

/// New roots while the server serves, which is killed while it moves keys to them, and again, and is started again: every key signs
/// and is released all along, to what its public half says, and in the end no key needs an older root.
#[test]
#[ignore = "needs softhsm2"]
fn rotation_outlives_kills() {
    let held = Held::new("hsm-strict");
    held.says(&["hsm", "init"], 0, &[]);
    let served = held.start();
    let rsa = served.make("rsa", json!({"kty": "RSA-HSM", "key_size": 2048}));
    let made: Vec<_> = (0..MANY)
        .map(|number| {
            let name = format!("ec{number}");
            let public = served.make(&name, json!({"kty": "EC-HSM", "crv": "P-256"}));
            (name, public)
        })
        .collect();
    let all_serve = |served: &Served<'_>| {
        served.signs("rsa", "RS256");
        assert!(is_of(&served.released_by("rsa", None), Algorithm::Rs256, &rsa));
        for (name, public) in made.iter().step_by(9) {
            served.signs(name, "ES256");
            assert!(is_of(&served.released_by(name, None), Algorithm::Es256, public));
        }
    };
    let first = held.json(&["hsm", "status"])["roots"][0]["root"].clone();
    held.says(&["hsm", "rotate-root", "--no-wait"], 0, &["of generation 2 seals the root key"]);
    all_serve(&served);
    served.running.stop("KILL");

    let mut in_the_middle = 0;
    for _ in 0..ROTATIONS_MAX {
        // Keys are moved from the start on.
        let (root, _) = held.sealed_under();
        let served = held.start();
        let progress = loop {
            match held.progress().filter(|progress| progress["root"] == root) {
                Some(progress) => break progress,
                None => std::thread::yield_now(),
            }
        };
        served.running.stop("KILL");
        let progress = held.progress().unwrap_or(progress);
        if progress["finished"] == false && progress["keys"].as_u64() < progress["total"].as_u64() {
            in_the_middle += 1;
            break;
        }
        held.says(&["hsm", "rotate-root", "--no-wait"], 0, &[]);
    }
    assert_eq!(in_the_middle, 1, "the server was never killed while it moved keys");

    // Said again, it is the same rotation, which is seen to its end by the next server; meanwhile keys serve.
    let (root, generation) = held.sealed_under();
    assert_ne!(root, first);
    let (config, conf) = (held.site.path("skerry.toml"), held.conf());
    let args = ["hsm", "rotate-root", "--config", config.to_str().unwrap()];
    let line = format!("root {} of generation {generation} seals the root key", root.as_str().unwrap());
    let rotating = Running::start_with(&args, &line, &[("SOFTHSM2_CONF", &conf)]);
    let served = held.start();
    all_serve(&served);
    assert_eq!(rotating.ended(), (Some(0), String::new()));
    assert_eq!(held.progress().unwrap()["finished"], true);
    all_serve(&served);
    served.stopped();
    // The next start looks at all keys once more, and finds none under another root.
    let served = held.start();
    let expected = json!({"root": root, "total": MANY + 1, "keys": MANY + 1, "moved": 0, "finished": true});
    while held.progress().as_ref() != Some(&expected) {
        std::thread::yield_now();
    }
    all_serve(&served);
    served.stopped();
}

/// A server that runs finds new roots by itself within a minute, and moves every key while all of them serve, with nobody waiting for it;
/// keys that are made meanwhile are under the new one from then on.
#[test]
#[ignore = "needs softhsm2, and a minute"]
fn running_servers_find_new_roots() {
    let held = Held::new("hsm-strict");
    held.says(&["hsm", "init"], 0, &[]);
    let served = held.start();
    let before = served.make("before", json!({"kty": "EC-HSM", "crv": "P-256"}));
    held.says(&["hsm", "rotate-root", "--no-wait"], 0, &["a server moves its keys while it serves"]);
    let (root, generation) = held.sealed_under();
    assert_eq!(generation, 2);
    let (begun, mut signed) = (std::time::Instant::now(), 0_u32);
    let progress = loop {
        served.signs("before", "ES256");
        signed += 1;
        match held.progress().filter(|progress| progress["root"] == root && progress["finished"] == true) {
            Some(progress) => break progress,
            None => assert!(begun.elapsed() < Duration::from_secs(120), "not in two minutes: {:?}", held.progress()),
        }
    };
    assert_eq!((&progress["total"], &progress["moved"]), (&json!(1), &json!(1)), "after {signed} signatures");
    assert!(is_of(&served.released_by("before", None), Algorithm::Es256, &before));
    let after = served.make("after", json!({"kty": "EC-HSM", "crv": "P-256"}));
    assert!(is_of(&served.released_by("after", None), Algorithm::Es256, &after));
    served.stopped();
    // Nothing is under the first, by what the store says and not by what the server noted.
    held.says(&["hsm", "destroy-roots", "--for-good"], 0, &["of generation 1: destroyed"]);
    let served = held.start();
    for (name, public) in [("before", &before), ("after", &after)] {
        served.signs(name, "ES256");
        assert!(is_of(&served.released_by(name, None), Algorithm::Es256, public));
    }
    served.stopped();
}

/// Older roots go when nothing that is stored is under them, and not before: while one version of one key is, of a deleted one too,
/// while the root key is, while the server runs. What is destroyed is on record, and all goes on without it.
#[test]
#[ignore = "needs softhsm2"]
fn older_roots_are_destroyed_when_nothing_needs_them() {
    let held = Held::new("hsm-strict");
    held.says(&["hsm", "init"], 0, &[]);
    let sealed_first = std::fs::read(held.site.path("root.key")).unwrap();
    let first = held.json(&["hsm", "status"])["roots"][0]["root"].as_str().unwrap().to_owned();
    held.says(&["hsm", "destroy-roots", "--for-good"], 0, &["there are no older roots"]);
    let served = held.start();
    let ec = served.make("ec", json!({"kty": "EC-HSM", "crv": "P-256"}));
    let deleted = served.make("deleted", json!({"kty": "EC-HSM", "crv": "P-256"}));
    let operator = held.site.fetched("operator");
    assert_eq!(served.ask(HOST, Method::DELETE, "/keys/deleted", Some(&operator), None).status, 200, "{deleted}");
    held.says(&["hsm", "destroy-roots"], 3, &["is in use"]);
    served.stopped();
    held.says(&["hsm", "rotate-root", "--no-wait"], 0, &[]);
    let needed = format!(
        "root {first} of generation 1 is needed: 2 versions of keys are wrapped under it; nothing is destroyed"
    );
    held.says(&["hsm", "destroy-roots", "--for-good"], 1, &[&needed]);

    let (root, _) = held.sealed_under();
    let served = held.start();
    while held.progress().is_none_or(|progress| progress["root"] != root || progress["finished"] != true) {
        std::thread::yield_now();
    }
    served.stopped();
    let unneeded = format!("root {first} of generation 1: not needed by what is stored");
    let of_backups = "backups of the server and of keys from before the last rotation are under them";
    held.says(&["hsm", "destroy-roots"], 0, &[&unneeded, of_backups, "--for-good destroys them"]);
    let sealed = std::fs::read(held.site.path("root.key")).unwrap();
    std::fs::write(held.site.path("root.key"), sealed_first).unwrap();
    let words = "the root key is sealed under an older root: skerry hsm rotate-root";
    held.says(&["hsm", "destroy-roots", "--for-good"], 1, &[words]);
    std::fs::write(held.site.path("root.key"), sealed).unwrap();
    assert_eq!(held.json(&["hsm", "status"])["roots"].as_array().unwrap().len(), 2);
    held.says(&["hsm", "destroy-roots", "--for-good"], 0, &[&format!("root {first} of generation 1: destroyed")]);
    let roots = held.json(&["hsm", "status"])["roots"].clone();
    assert_eq!((roots.as_array().unwrap().len(), &roots[0]["root"]), (1, &root));
    let records = skerry_audit::read(&held.site.path("data/audit")).unwrap();
    let records = records.map(|record| serde_json::from_slice::<Value>(record.unwrap().body()).unwrap());
    let destroyed: Vec<_> = records.filter(|record| record["event"] == "roots-destroyed").collect();
    assert_eq!(destroyed.len(), 1, "a look is no destruction");
    assert!(
        destroyed[0]["explanation"].as_str().unwrap().ends_with(&first) && destroyed[0]["who"] != "",
        "{destroyed:?}"
    );

    let served = held.start();
    served.signs("ec", "ES256");
    assert!(is_of(&served.released_by("ec", None), Algorithm::Es256, &ec));
    let answer = served.post("/deletedkeys/deleted/recover", &held.site.fetched("operator"), json!({}));
    assert_eq!(answer.status, 403, "the operator may not: {}", answer.json);
    served.stopped();
}

/// Under hsm-root the store needs none of the roots but that which seals the root key.
#[test]
#[ignore = "needs softhsm2"]
fn older_roots_of_a_sealed_root_are_destroyed() {
    let held = Held::new("hsm-root");
    held.says(&["hsm", "init"], 0, &[]);
    let served = held.start();
    let ec = served.make("ec", json!({"kty": "EC-HSM", "crv": "P-256"}));
    served.stopped();
    held.says(&["hsm", "rotate-root"], 0, &[]);
    held.says(&["hsm", "rotate-root"], 0, &[]);
    let of_backups = "backups that are sealed to recovery certificates need none of them";
    held.says(&["hsm", "destroy-roots"], 0, &[of_backups, "copies of the sealed root key"]);
    let done = held.json(&["hsm", "destroy-roots", "--for-good"]);
    assert_eq!((&done["destroyed"], done["roots"].as_array().unwrap().len()), (&json!(true), 2));
    assert_eq!(held.sealed_under().1, 3);
    let served = held.start();
    served.signs("ec", "ES256");
    assert!(is_of(&served.released_by("ec", None), Algorithm::Es256, &ec));
    served.stopped();
}

/// A token that does not answer, and does not go away either: whoever needs it is told so in half a minute, and not by the limit of all
/// requests; who comes when all its sessions wait, too; what needs no token goes on; health says it. When it answers again all is as
/// before, and a server that is told to stop meanwhile does.
#[test]
#[ignore = "needs softhsm2, and a minute"]
fn tokens_that_do_not_answer_hold_up_nothing_else() {
    let held = Held::new("hsm-strict");
    held.says(&["hsm", "init"], 0, &[]);
    let (module, hangs) = hanging(&held.site);
    held.configure("hsm-strict", &module, "sessions = 2\n[operations]\naddress = \"127.0.0.1:0\"\n");
    let served = held.start();
    let operations = served.running.said.iter().find_map(|line| line.strip_prefix("operations on ")).unwrap();
    served.make("ec", json!({"kty": "EC-HSM", "crv": "P-256"}));
    let digest = skerry_jose::b64::encode([5; 32]);
    let text = json!({"alg": "ES256", "value": digest});
    let signature = served.operator("/keys/ec/sign", text.clone()).json["value"].clone();
    let operator = held.site.fetched("operator");
    let asks = |count: usize| {
        std::thread::scope(|scope| {
            let asks: Vec<_> = (0..count)
                .map(|_| {
                    scope.spawn(|| {
                        let begun = std::time::Instant::now();
                        let answer = served.post("/keys/ec/sign", &operator, text.clone());
                        (begun.elapsed(), answer.status, answer.json["error"]["message"].clone())
                    })
                })
                .collect();
            // Beside them, until the last is answered.
            let mut rounds = 0_u32;
            while !asks.iter().all(|ask| ask.is_finished()) || rounds == 0 {
                let begun = std::time::Instant::now();
                let body = json!({"alg": "ES256", "digest": digest, "value": signature});
                assert_eq!(served.operator("/keys/ec/verify", body).json["value"], json!(true));
                served.attributes("ec");
                assert!(begun.elapsed() < Duration::from_secs(10), "held up for {:?}", begun.elapsed());
                rounds += 1;
            }
            asks.into_iter().map(|ask| ask.join().unwrap()).collect::<Vec<_>>()
        })
    };
    let ready = (200, r#"{"ready":true}"#.to_owned());
    while get_plain(operations, "/health/ready") != ready {
        std::thread::yield_now();
    }
    for stop in [false, true] {
        std::fs::write(&hangs, "").unwrap();
        let said = "The token that holds the keys of this vault does not answer now.";
        // More than it has sessions, threads of the pool and cores.
        for (took, status, message) in asks(6) {
            assert_eq!((status, &message), (503, &json!(said)), "after {took:?}");
            assert!((28..55).contains(&took.as_secs()), "{took:?}");
        }
        let silent = (503, r#"{"ready":false,"reasons":["token-silent"]}"#.to_owned());
        assert_eq!(get_plain(operations, "/health/ready"), silent);
        if stop {
            break;
        }
        std::fs::remove_file(&hangs).unwrap();
        while get_plain(operations, "/health/ready") != ready {
            std::thread::yield_now();
        }
        served.signs("ec", "ES256");
        assert!(asks(3).iter().all(|(_, status, _)| *status == 200));
    }
    served.stopped();
}

/// A pass that ends with keys left is said to, and a rotation is not waited for that cannot be done.
#[test]
#[ignore = "needs softhsm2"]
fn keys_that_are_left_are_told() {
    let held = Held::new("hsm-strict");
    held.says(&["hsm", "init"], 0, &[]);
    let (root, generation) = held.sealed_under();
    // As a server notes it, which is not there.
    let note = |keys: u64| {
        let note = json!({"root": root, "total": 2, "keys": keys, "moved": 0, "finished": false});
        held.site.put("data/hsm-rotation.json", &note.to_string());
    };
    note(1);
    let line = format!("root {} of generation {generation} seals the root key", root.as_str().unwrap());
    let (config, conf) = (held.site.path("skerry.toml"), held.conf());
    let args = ["hsm", "rotate-root", "--config", config.to_str().unwrap()];
    let rotating = Running::start_with(&args, &line, &[("SOFTHSM2_CONF", &conf)]);
    note(2);
    let (code, complaints) = rotating.ended();
    assert_eq!(code, Some(1), "{complaints}");
    assert!(complaints.contains("keys are left under an older root"), "{complaints}");
    // Those are in no other rotation's way.
    held.says(&["hsm", "rotate-root", "--no-wait"], 0, &["of generation 2 seals the root key"]);
}

/// More than are moved between two notes of how far it is.
const MANY: usize = 96;
/// A kill that comes after the last key is no test: another rotation.
const ROTATIONS_MAX: usize = 6;

/// SoftHSM behind a module that writes an octet into a file with each login: the module, and the file.
fn counting(site: &Site) -> (String, PathBuf) {
    relay(site, "counting", COUNTING)
}

/// SoftHSM behind a module that unwraps no key, and looks for none, while a file is there: the module, and the file.
fn hanging(site: &Site) -> (String, PathBuf) {
    relay(site, "hanging", HANGING)
}

/// A module of this source, in which FILE is that of the second path.
fn relay(site: &Site, name: &str, source: &str) -> (String, PathBuf) {
    let (file, text) = (site.path(&format!("{name}.file")), format!("{source}{RELAY}"));
    let (source, module) = (site.path(&format!("{name}.c")), site.path(&format!("{name}.so")));
    std::fs::write(&source, text.replace("MODULE", MODULE).replace("FILE_NAME", file.to_str().unwrap())).unwrap();
    let mut cc = Command::new("cc");
    let done = cc.args(["-shared", "-fPIC", "-o"]).args([&module, &source]).arg("-ldl").output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    (module.to_str().unwrap().to_owned(), file)
}

/// C_Login is the nineteenth function of the list (PKCS#11 2.40, pkcs11f.h).
const COUNTING: &str = r#"
#include <stdio.h>
typedef unsigned long UL;
static UL (*real)(UL, UL, unsigned char *, UL);
static UL login(UL session, UL user, unsigned char *pin, UL len) {
    FILE *file = fopen("FILE_NAME", "a");
    fputc('1', file);
    fclose(file);
    return real(session, user, pin, len);
}
static void relay(void **f) {
    real = (UL (*)(UL, UL, unsigned char *, UL))f[18];
    f[18] = (void *)login;
}
"#;

/// C_FindObjectsInit is the 27th, C_UnwrapKey the 62nd.
const HANGING: &str = r#"
#include <unistd.h>
typedef unsigned long UL;
static UL (*find_init)(UL, void *, UL);
static UL (*unwrap)(UL, void *, UL, unsigned char *, UL, void *, UL, UL *);
static void hang(void) {
    while (access("FILE_NAME", F_OK) == 0) usleep(10000);
}
static UL find(UL session, void *template, UL count) {
    hang();
    return find_init(session, template, count);
}
static UL unwrap_key(UL session, void *mechanism, UL under, unsigned char *wrapped, UL len, void *template, UL count, UL *key) {
    hang();
    return unwrap(session, mechanism, under, wrapped, len, template, count, key);
}
static void relay(void **f) {
    find_init = (UL (*)(UL, void *, UL))f[26];
    f[26] = (void *)find;
    unwrap = (UL (*)(UL, void *, UL, unsigned char *, UL, void *, UL, UL *))f[61];
    f[61] = (void *)unwrap_key;
}
"#;

const RELAY: &str = r#"
#include <dlfcn.h>
typedef struct { unsigned char major, minor; void *f[68]; } List;
static List list;
UL C_GetFunctionList(List **out) {
    void *module = dlopen("MODULE", RTLD_NOW);
    UL (*get)(List **) = module ? (UL (*)(List **))dlsym(module, "C_GetFunctionList") : 0;
    List *found;
    if (!get || get(&found)) return 5;
    list = *found;
    relay(list.f);
    *out = &list;
    return 0;
}
"#;
