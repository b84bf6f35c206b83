//! The example loads, and each refusal comes from the example with one thing changed.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, KeyPair};
use skerry_attestation_result::IssuerUrlError;
use skerry_evidence::snp::Generation;
use skerry_identity::Principal;
use skerry_jose::json::{Object, Value};
use skerry_jose::{Algorithm, SigningKey};
use skerry_sources::UrlError;
use skerry_unseal::{Passphrase, Unreadable, UnsealError};
use zeroize::Zeroizing;

use super::*;
use crate::pem;

const EXAMPLE: &str = include_str!("../../../../examples/skerry.toml");

/// 2027, when rcgen's default certificates (1975 to 4096) are good.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// The example with all that it names, in a folder of its own.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Site {
        let site = Site { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(site.path("tls")).unwrap();
        std::fs::create_dir(site.path("data")).unwrap();
        site.mode("data", 0o700);
        site.put("skerry.toml", EXAMPLE);
        for (name, text) in files() {
            site.put(name, text);
        }
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Mode 0600, whatever the umask is.
    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
        self.mode(name, 0o600);
    }

    fn mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    /// With one piece of the configuration, which is there once, made another.
    fn edit(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("skerry.toml")).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from:?}");
        self.put("skerry.toml", &text.replace(from, to));
    }

    fn load(&self) -> Result<Settings, ConfigError> {
        load(&self.path("skerry.toml"), now())
    }

    fn refused(&self, key: &str, refusal: Refusal) {
        let error = self.load().map(drop).unwrap_err();
        assert_eq!((error.key.as_str(), &error.refusal), (key, &refusal), "{error}");
        // The line that an operator reads names the file and the key.
        let line = error.to_string();
        assert!(line.starts_with(&self.path("skerry.toml").display().to_string()) && line.contains(key), "{line}");
    }
}

/// The example with one edit, and what is said of it.
fn edited(from: &str, to: &str, key: &str, refusal: Refusal) {
    let site = Site::new();
    site.edit(from, to);
    site.refused(key, refusal);
}

/// Keys take a while, so all tests have the same ones.
fn files() -> &'static [(&'static str, String)] {
    static FILES: OnceLock<Vec<(&str, String)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let vault = ["*.vault.example.org", "keys.example.org", "192.0.2.7"];
        let (vault_pem, vault_key) = p256(&vault);
        let (release_pem, release_key) = rsa(&vault);
        let (attest_pem, attest_key) = p256(&["attest.example.org"]);
        let (login_pem, login_key) = p256(&["login.example.org"]);
        vec![
            ("root.key", "00ff".repeat(16) + "\n"),
            ("tls/vault.pem", vault_pem),
            ("tls/vault.key", vault_key),
            ("tls/release.pem", release_pem),
            ("tls/release.key", release_key),
            ("tls/attest.pem", attest_pem.clone()),
            ("tls/attest.key", attest_key),
            ("tls/login.pem", login_pem),
            ("tls/login.key", login_key),
            ("roots.pem", attest_pem),
            ("identity.key", rsa(&[]).1),
            ("attestation.key", rsa(&[]).1),
            ("backup.secret", "0123456789abcdef\n".to_owned()),
            ("ci-keys.json", jwks()),
            ("partner-keys.json", jwks()),
        ]
    })
}

fn p256(names: &[&str]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (certificate(names, &key), pem::block(pem::PRIVATE_KEY, key.serialized_der()).unwrap().to_string())
}

fn rsa(names: &[&str]) -> (String, String) {
    let key = SigningKey::generate(Algorithm::Rs256).unwrap().to_pkcs8().unwrap();
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&key.as_slice().into(), &rcgen::PKCS_RSA_SHA256).unwrap();
    (certificate(names, &key), pem::block(pem::PRIVATE_KEY, key.serialized_der()).unwrap().to_string())
}

fn certificate(names: &[&str], key: &KeyPair) -> String {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    pem::block(pem::CERTIFICATE, CertificateParams::new(names).unwrap().self_signed(key).unwrap().der())
        .unwrap()
        .to_string()
}

fn jwks() -> String {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let jwk = key.public().to_jwk().with("kid", "one");
    Object::new().with("keys", vec![Value::Object(jwk)]).to_json()
}

/// The annotated example means what its comments say.
#[test]
fn example_loads() {
    let site = Site::new();
    let settings = site.load().map_err(|error| error.to_string()).unwrap();
    assert_eq!(settings.data, site.path("data"));
    assert!(matches!(&settings.root, Source::Key(root) if root[..2] == [0, 0xff]));
    assert_eq!(settings.ready_rsa_keys, Wanted { b2048: 8, b3072: 2, b4096: 2 });
    let [vault, attestation, identity] = settings.listeners.as_slice() else { panic!("three listeners") };
    assert_eq!((vault.names.port, vault.address.port()), (443, 8443));
    let Serves::Vaults(served) = &vault.serves else { panic!("vaults") };
    assert_eq!((served.vaults.len(), served.default_vault.as_deref()), (2, Some("payments")));
    assert_eq!(served.release.chain.len(), 1);
    assert!(matches!((&attestation.serves, &identity.serves), (Serves::Attestation, Serves::Identity)));
    assert!(settings.listeners.iter().all(|listener| listener.tls.is_some()));
    assert_eq!(settings.warnings, [""; 0]);
    assert_eq!(settings.operations, Some(([127, 0, 0, 1], 9464).into()));
    // The token service is an issuer of callers without being listed.
    let [entra, ci, own] = settings.issuers.as_slice() else { panic!("three issuers") };
    assert!(matches!(own.keys, Keys::BuiltIn) && matches!(ci.keys, Keys::Fixed(_)));
    let Keys::Fetched(fetch) = &entra.keys else { panic!("fetched") };
    assert_eq!(fetch.source.metadata().to_string().matches("login.microsoftonline.com").count(), 1);
    assert_eq!(own.authorization.as_deref(), Some("https://login.example.org/skerry"));
    assert_eq!(Some(served.authorization.as_str()), entra.authorization.as_deref());
    let [built_in, azure, partner] = settings.authorities.as_slice() else { panic!("three authorities") };
    assert!(matches!(built_in.keys, Keys::BuiltIn) && matches!(partner.keys, Keys::Fixed(_)));
    let Keys::Fetched(fetch) = &azure.keys else { panic!("fetched") };
    assert_eq!(
        fetch.source.metadata().to_string(),
        "https://sharedweu.weu.attest.azure.net/.well-known/openid-configuration"
    );
    assert_eq!(azure.min_iat, 1_767_225_600);
    let attestation = settings.attestation.unwrap();
    assert_eq!((attestation.anchors, attestation.policy_readers.len()), (Anchors::Amd, 1));
    assert_eq!(attestation.policy_setters, [Principal::new("https://ci.example.org", "policy-pipeline")]);
    assert_eq!(attestation.policy_signers, Vec::<Vec<u8>>::new());
    let [payments, archive] = settings.vaults.as_slice() else { panic!("two vaults") };
    assert_eq!(
        (payments.kind, payments.purge_protection, payments.accept_simulated),
        (VaultKind::Premium, true, false)
    );
    assert_eq!((archive.kind, archive.retention_days, archive.authorities.len()), (VaultKind::Standard, 90, 0));
    assert_eq!(settings.access.len(), 3);
    assert_eq!(settings.identity.unwrap().clients.len(), 1);
}

/// Off port 443 one client needs a name that only a private CA certifies, which is worth a word.
#[test]
fn other_ports_are_warned_of() {
    let site = Site::new();
    site.edit("public_port = 443             # what", "# what");
    let warnings = site.load().map_err(|error| error.to_string()).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("host:8443"), "{warnings:?}");
}

/// The operations listener is an address like others; one that the network reaches is worth a word, and none is fine.
#[test]
fn operations_are_anywhere_and_warned_of() {
    let (from, key) = (r#"address = "127.0.0.1:9464""#, "operations.address");
    edited(from, r#"address = "9464""#, key, Refusal::ListenAddress("9464".to_owned()));
    let twice = Refusal::ListenAddressTwice { address: "0.0.0.0:8443".to_owned(), first: 0 };
    edited(from, r#"address = "0.0.0.0:8443""#, key, twice);
    let site = Site::new();
    site.edit(from, r#"address = "0.0.0.0:9464""#);
    let warnings = site.load().map_err(|error| error.to_string()).unwrap().warnings;
    assert!(warnings.len() == 1 && warnings[0].starts_with(key), "{warnings:?}");
    site.edit("[operations]\naddress = \"0.0.0.0:9464\"", "");
    assert_eq!(site.load().map_err(|error| error.to_string()).unwrap().operations, None);
}

/// What cannot be read as a configuration at all.
#[test]
fn file_is_refused() {
    let site = Site::new();
    std::fs::remove_file(site.path("skerry.toml")).unwrap();
    site.refused("", Refusal::Unreadable(ErrorKind::NotFound));
    site.put("skerry.toml", &"#".repeat(1024 * 1024 + 1));
    site.refused("", Refusal::TooLarge { bytes: 1024 * 1024 + 1, max: 1024 * 1024 });
}

/// A misspelt key, a value of another type, a missing key and broken TOML are shown with line and column.
#[test]
fn syntax_is_refused_with_its_place() {
    for (from, to, at, word) in [
        ("root_key = ", "rootkey = ", "rootkey", "unknown field `rootkey`"),
        ("vmpl_max = 0", "vmpl_max = \"0\"", "vmpl_max = \"0\"", "invalid type: string \"0\", expected u32"),
        ("kind = \"standard\"\n", "", "[[vault]]\nname = \"archive\"", "missing field `kind`"),
        ("kind = \"identity\"", "kind = \"admin\"", "kind = \"admin\"", "unknown variant `admin`"),
        ("[server]", "[server", "[server\n", ""),
    ] {
        let site = Site::new();
        site.edit(from, to);
        let error = site.load().map(drop).unwrap_err();
        let Refusal::Syntax(said) = &error.refusal else { panic!("{error}") };
        assert!(said.contains(word), "{said}");
        let text = std::fs::read_to_string(site.path("skerry.toml")).unwrap();
        let line = text.split(at).next().unwrap().matches('\n').count() + 1;
        assert!(error.key.starts_with(&format!("{line}:")), "{error}");
    }
}

/// Files that are not there, too large, or open to others.
#[test]
fn files_are_refused() {
    let site = Site::new();
    let path = site.path("root.key");
    site.mode("root.key", 0o644);
    site.refused("server.root_key", Refusal::SecretMode { path: path.clone(), mode: 0o644 });
    site.mode("root.key", 0o660);
    site.refused("server.root_key", Refusal::SecretMode { path: path.clone(), mode: 0o660 });
    site.mode("root.key", 0o640);
    assert!(site.load().is_ok());
    site.put("root.key", &"0".repeat(65_537));
    site.refused("server.root_key", Refusal::FileTooLarge { path: path.clone(), bytes: 65_537, max: 65_536 });
    std::fs::remove_file(&path).unwrap();
    site.refused("server.root_key", Refusal::FileUnreadable { path, kind: ErrorKind::NotFound });
}

/// Each secret's mode is looked at, not only the first one's.
#[test]
fn every_secret_is_looked_at() {
    for (name, key) in [
        ("tls/vault.key", "listener[0].tls.key"),
        ("tls/release.key", "listener[0].release.key"),
        ("tls/attest.key", "listener[1].tls.key"),
        ("identity.key", "identity.signing_key"),
        ("backup.secret", "identity.client[0].secret"),
        ("attestation.key", "attestation.signing_key"),
    ] {
        let site = Site::new();
        site.mode(name, 0o604);
        site.refused(key, Refusal::SecretMode { path: site.path(name), mode: 0o604 });
    }
}

/// Certificates and keys that cannot be read, or are not each other's.
#[test]
fn certificates_are_refused() {
    let site = Site::new();
    let (pem, key) = (site.path("tls/vault.pem"), site.path("tls/vault.key"));
    site.put("tls/vault.pem", "no certificate");
    site.refused("listener[0].tls.certificates", Refusal::NoCertificate { path: pem.clone() });
    site.put("tls/vault.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    site.refused("listener[0].tls.certificates", Refusal::Certificate { path: pem.clone(), index: 0 });
    let text = |name: &str| files().iter().find(|(own, _)| *own == name).unwrap().1.clone();
    site.put("tls/vault.pem", &text("tls/release.pem"));
    site.refused("listener[0].tls.certificates", Refusal::KeyMismatch { path: pem.clone() });
    site.put("tls/vault.pem", &text("tls/vault.pem"));
    site.put("tls/vault.key", "no key");
    site.refused("listener[0].tls.key", Refusal::PrivateKey { path: key.clone() });
    site.put("tls/vault.key", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n");
    site.refused("listener[0].tls.key", Refusal::PrivateKey { path: key });
}

/// A certificate has to be for every name, as a TLS client would say.
#[test]
fn certificate_has_to_be_for_every_name() {
    for (names, missing) in [
        (&["*.vault.example.org", "192.0.2.7"][..], "keys.example.org"),
        (&["*.example.org", "192.0.2.7"], "payments.vault.example.org"),
        (&["payments.vault.example.org", "keys.example.org", "192.0.2.7"], "archive.vault.example.org"),
        (&["*.vault.example.org", "keys.example.org"], "192.0.2.7"),
    ] {
        let site = Site::new();
        let (pem, key) = p256(names);
        site.put("tls/vault.pem", &pem);
        site.put("tls/vault.key", &key);
        let (path, name) = (site.path("tls/vault.pem"), missing.to_owned());
        site.refused("listener[0].tls.certificates", Refusal::CertificateName { path, name });
    }
}

/// A certificate that no client would take any more, or yet.
#[test]
fn certificate_has_to_be_good_now() {
    for (from, to) in [(2020, 2026), (2028, 2030)] {
        let site = Site::new();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["login.example.org".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        site.put("tls/login.pem", &pem::block(pem::CERTIFICATE, params.self_signed(&key).unwrap().der()).unwrap());
        site.put("tls/login.key", &pem::block(pem::PRIVATE_KEY, key.serialized_der()).unwrap());
        let day = |year| format!("{year}-01-01T00:00:00Z");
        let (path, not_before, not_after) = (site.path("tls/login.pem"), day(from), day(to));
        site.refused("listener[2].tls.certificates", Refusal::CertificateTime { path, not_before, not_after });
    }
}

/// A set in which no key can verify would refuse everybody, later and without a word.
#[test]
fn key_sets_are_refused() {
    for text in ["", "[]", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","k":"AAAA","kid":"one"}]}"#] {
        let site = Site::new();
        site.put("ci-keys.json", text);
        site.refused("issuer[1].jwks", Refusal::KeySet { path: site.path("ci-keys.json") });
        site.put("ci-keys.json", &jwks());
        site.put("partner-keys.json", text);
        site.refused("authority[2].jwks", Refusal::KeySet { path: site.path("partner-keys.json") });
    }
}

/// A passphrase's seal takes its time, so all tests have the same one.
fn sealed_root() -> &'static [u8] {
    static SEALED: OnceLock<Vec<u8>> = OnceLock::new();
    SEALED.get_or_init(|| {
        let passphrase = Passphrase::new(Zeroizing::new(b"correct horse battery staple".to_vec()));
        let passphrase = passphrase.map_err(|error| error.to_string()).unwrap();
        passphrase.seal(&Zeroizing::new([7; 32]), &mut crate::machine::rng()).unwrap().to_bytes()
    })
}

const ROOT_KEY: &str =
    "root_key = \"root.key\"         # openssl rand -hex 32 > root.key; without it nothing stored can be read again\n";

/// The example with a `[root]` in the place of its root key, and a sealed file.
fn sealed(section: &str) -> Site {
    let site = Site::new();
    site.edit(ROOT_KEY, "");
    site.edit("[operations]\n", &format!("[root]\n{section}\n[operations]\n"));
    std::fs::write(site.path("root.sealed"), sealed_root()).unwrap();
    site.mode("root.sealed", 0o600);
    site
}

/// The root key is in exactly one place; what is sealed is read, and opened by nobody yet.
#[test]
fn roots_are_in_one_place() {
    let site = sealed("seal = \"passphrase\"\nfile = \"root.sealed\"");
    let Source::Passphrase(file) = site.load().map_err(|error| error.to_string()).unwrap().root else {
        panic!("sealed")
    };
    assert_eq!((file.path, file.sealed.to_bytes()), (site.path("root.sealed"), sealed_root().to_vec()));
    let site = sealed("seal = \"credential\"\ncredential = \"skerry-root\"");
    let root = site.load().map_err(|error| error.to_string()).unwrap().root;
    assert!(matches!(root, Source::Credential(name) if name == "skerry-root"));
    edited(ROOT_KEY, "", "server.root_key", Refusal::NoRoot);
    let both = "[root]\nseal = \"credential\"\ncredential = \"skerry-root\"\n[operations]\n";
    edited("[operations]\n", both, "root", Refusal::TwoRoots);
}

/// A TPM's seal has a device, which is the kernel's if nothing is said, and a PIN in a file that others cannot read.
#[test]
fn tpms_have_a_device() {
    let object = [[0, 0x0b].as_slice(), &[1; 32], &[0, 0x81, 0, 0], &[0, 1, 9], &[0, 1, 9]].concat();
    let head = [b"SKRYROOT".as_slice(), &[0, 1, 3], &[2; 16], &[0, u8::try_from(object.len()).unwrap()]].concat();
    let octets = [head.as_slice(), &object, &[3; 60]].concat();
    let site = |more: &str| {
        let site = sealed(&format!("seal = \"tpm\"\nfile = \"root.sealed\"\n{more}"));
        std::fs::write(site.path("root.sealed"), &octets).unwrap();
        site
    };
    let Source::Tpm { device, pin, .. } = site("").load().map_err(|error| error.to_string()).unwrap().root else {
        panic!("a TPM's")
    };
    assert_eq!((device, pin), ("/dev/tpmrm0".into(), None));
    let other = site("device = \"tpm.sock\"\npin_file = \"backup.secret\"");
    let Source::Tpm { device, pin, .. } = other.load().map_err(|error| error.to_string()).unwrap().root else {
        panic!("a TPM's")
    };
    assert_eq!((device, pin), (other.path("tpm.sock"), Some(other.path("backup.secret"))));
    other.mode("backup.secret", 0o644);
    other.refused("root.pin_file", Refusal::SecretMode { path: other.path("backup.secret"), mode: 0o644 });
    let refusal = Refusal::OtherSeal { path: site("").path("root.sealed"), found: "passphrase" };
    let passphrase = sealed("seal = \"tpm\"\nfile = \"root.sealed\"");
    let error = passphrase.load().map(drop).unwrap_err();
    assert_eq!(std::mem::discriminant(&error.refusal), std::mem::discriminant(&refusal), "{error}");
    for (more, what) in [("device = \"x\"", "device"), ("pin_file = \"x\"", "pin_file")] {
        let section = format!("seal = \"passphrase\"\nfile = \"root.sealed\"\n{more}");
        sealed(&section).refused(&format!("root.{what}"), Refusal::OfOtherSeal("passphrase"));
    }
}

/// A seal has its own keys and no others', and its file is what it says.
#[test]
fn seals_are_refused() {
    let passphrase = "seal = \"passphrase\"\nfile = \"root.sealed\"";
    sealed("seal = \"passphrase\"").refused("root.file", Refusal::SealWants("a file"));
    sealed("seal = \"credential\"").refused("root.credential", Refusal::SealWants("the name of a credential"));
    let more = format!("{passphrase}\ncredential = \"x\"");
    sealed(&more).refused("root.credential", Refusal::OfOtherSeal("passphrase"));
    sealed("seal = \"credential\"\nfile = \"x\"").refused("root.file", Refusal::OfOtherSeal("credential"));
    let site = sealed(passphrase);
    let refused = |error| site.refused("root.file", Refusal::SealedRoot { path: site.path("root.sealed"), error });
    std::fs::write(site.path("root.sealed"), [sealed_root(), &[0]].concat()).unwrap();
    refused(Unreadable::Content(UnsealError::Length { len: 89 + 44 + 1 }));
    site.mode("root.sealed", 0o620);
    refused(Unreadable::Mode { mode: 0o620 });
    std::fs::remove_file(site.path("root.sealed")).unwrap();
    refused(Unreadable::Read(ErrorKind::NotFound));
    // Octet 10 is the kind: 4 is a token, whose parameters are its own affair.
    let mut token = sealed_root().to_vec();
    token[10] = 4;
    site.put("root.sealed", "");
    std::fs::write(site.path("root.sealed"), token).unwrap();
    let refusal = Refusal::OtherSeal { path: site.path("root.sealed"), found: "token" };
    site.refused("root.seal", refusal);
}

/// Traces are of a build that makes them, and go to a URL.
#[test]
fn traces_are_of_their_build() {
    let section = |endpoint: &str| format!("[traces]\nendpoint = \"{endpoint}\"\n\n[operations]\n");
    if !cfg!(feature = "otel") {
        return edited("[operations]\n", &section("http://127.0.0.1:4318/v1/traces"), "traces", Refusal::NoTraces);
    }
    for bad in ["https://127.0.0.1:4318/v1/traces", "/v1/traces", "127.0.0.1:4318", ""] {
        edited("[operations]\n", &section(bad), "traces.endpoint", Refusal::TracesEndpoint(bad.to_owned()));
    }
    let site = Site::new();
    site.edit("[operations]\n", &section("http://127.0.0.1:4318/v1/traces"));
    let traces = site.load().map_err(|error| error.to_string()).unwrap().traces;
    assert_eq!(traces.as_deref(), Some("http://127.0.0.1:4318/v1/traces"));
}

/// How long stopping may take is bounded, and nothing said is as before there was anything to say.
#[test]
fn time_to_stop_is_bounded() {
    for (from, key) in
        [("drain_delay_secs = 0 ", "server.drain_delay_secs"), ("drain_max_secs = 25\n", "server.drain_max_secs")]
    {
        let to = from.replace('0', "3601").replace("25", "3601");
        edited(from, &to, key, Refusal::DrainTime { seen: 3_601, max: 3_600 });
    }
    let site = Site::new();
    site.edit("drain_max_secs = 25\n", "");
    let settings = site.load().map_err(|error| error.to_string()).unwrap();
    assert_eq!(settings.drain, Drain::default());
    assert_eq!(settings.diagnostics, Some(site.path("diagnostics.jsonl")));
}

/// Ready-made keys are a few of each size.
#[test]
fn many_ready_keys_are_refused() {
    let refusal = || Refusal::TooManyReady { seen: 65, max: 64 };
    edited("3072 = 2", "3072 = 65", "server.ready_rsa_keys.3072", refusal());
    edited("4096 = 2", "4096 = 65", "server.ready_rsa_keys.4096", refusal());
    edited("2048 = 8", "2048 = 65", "server.ready_rsa_keys.2048", refusal());
}

/// The root key is 64 hex digits, exactly.
#[test]
fn root_key_is_refused() {
    let site = Site::new();
    for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"x".repeat(64), &format!(" {}", "0".repeat(64))] {
        site.put("root.key", text);
        site.refused("server.root_key", Refusal::RootKey { path: site.path("root.key") });
    }
}

/// The data folder is there, is a folder, is one's own, and is not that of `skerry dev`.
#[test]
fn data_folder_is_refused() {
    let site = Site::new();
    let path = site.path("data");
    site.mode("data", 0o750);
    site.refused("server.data", Refusal::DataMode { path: path.clone(), mode: 0o750 });
    site.mode("data", 0o700);
    std::fs::write(path.join("dev.lock"), "").unwrap();
    site.refused("server.data", Refusal::DataOfDev { path: path.clone() });
    std::fs::remove_dir_all(&path).unwrap();
    site.refused("server.data", Refusal::DataMissing { path: path.clone() });
    std::fs::write(&path, "").unwrap();
    site.refused("server.data", Refusal::DataNotFolder { path });
}

/// Addresses, names and ports of listeners.
#[test]
fn listeners_are_refused() {
    let text = str::to_owned;
    edited(
        "address = \"0.0.0.0:8445\"",
        "address = \"0.0.0.0\"",
        "listener[2].address",
        Refusal::ListenAddress(text("0.0.0.0")),
    );
    let twice = Refusal::ListenAddressTwice { address: text("0.0.0.0:8443"), first: 0 };
    edited("0.0.0.0:8445", "0.0.0.0:8443", "listener[2].address", twice);
    edited("names = [\"attest.example.org\"]", "", "listener[1].names", Refusal::NoName);
    for name in ["", "Login.example.org", "login..org", "-a.org", "a-.org", "log_in", "*.example.org"] {
        let (names, refusal) = (format!("[{name:?}]"), Refusal::Name(text(name)));
        edited("[\"login.example.org\"]", &names, "listener[2].names[0]", refusal);
    }
    edited("[\"vault.example.org\"]", "[\".org\"]", "listener[0].domains[0]", Refusal::Name(text(".org")));
    edited("[\"192.0.2.7\"]", "[\"192.0.2\"]", "listener[0].addresses[0]", Refusal::Address(text("192.0.2")));
    edited(
        "public_port = 443             # what",
        "public_port = 0 # what",
        "listener[0].public_port",
        Refusal::PublicPort,
    );
    let site = Site::new();
    let server = EXAMPLE.split("# --- Where").next().unwrap();
    site.put("skerry.toml", server);
    site.refused("listener", Refusal::NoListener);
}

/// What belongs to vaults is not silently passed over elsewhere.
#[test]
fn other_listeners_have_nothing_of_vaults() {
    for (line, key) in [
        ("domains = [\"example.org\"]", "domains"),
        ("release = { certificates = \"tls/release.pem\", key = \"tls/release.key\" }", "release"),
        ("vaults = [\"attic\"]", "vaults"),
        ("default_vault = \"payments\"", "default_vault"),
        ("audiences = [\"x\"]", "audiences"),
        ("danger = { shared_release_key = true }", "danger.shared_release_key"),
    ] {
        let to = format!("names = [\"attest.example.org\"]\n{line}");
        edited("names = [\"attest.example.org\"]", &to, &format!("listener[1].{key}"), Refusal::VaultOnly);
    }
}

/// Release answers have a key of their own, RSA, unless the configuration says otherwise in so many words.
#[test]
fn release_keys_are_refused() {
    const RELEASE: &str = "release = { certificates = \"tls/release.pem\", key = \"tls/release.key\" }";
    edited(RELEASE, "", "listener[0].release", Refusal::NoReleaseKey);
    let site = Site::new();
    let (pem, key) = p256(&["*.vault.example.org", "keys.example.org", "192.0.2.7"]);
    site.put("tls/release.pem", &pem);
    site.put("tls/release.key", &key);
    site.refused("listener[0].release.key", Refusal::ReleaseKeyNotRsa);
    let site = Site::new();
    site.edit(
        "tls = { certificates = \"tls/vault.pem\", key = \"tls/vault.key\" }",
        &RELEASE.replace("release =", "tls ="),
    );
    site.refused("listener[0].release.key", Refusal::SharedReleaseKey);
    site.edit("shared_release_key = false", "shared_release_key = true");
    assert!(site.load().is_ok());
}

/// Which vaults a listener serves, and which of them a bare name means.
#[test]
fn vaults_of_listeners_are_refused() {
    const VAULTS: &str = "vaults = [\"payments\", \"archive\"]";
    edited(VAULTS, "", "listener[0].vaults", Refusal::NoVaultServed);
    let unknown = Refusal::UnknownVault("other".into());
    edited(VAULTS, "vaults = [\"payments\", \"archive\", \"other\"]", "listener[0].vaults[2]", unknown);
    let again = Refusal::VaultServedTwice { vault: "archive".into(), first: 0 };
    edited(VAULTS, "vaults = [\"archive\", \"payments\", \"archive\"]", "listener[0].vaults[2]", again.clone());
    let other = "names = [\"attest.example.org\"]";
    edited(other, &format!("{other}\nvaults = [\"archive\"]"), "listener[1].vaults[0]", again);
    edited("default_vault = \"payments\"", "", "listener[0].default_vault", Refusal::NoDefaultVault);
    let elsewhere = Refusal::DefaultVaultElsewhere("other".into());
    edited("default_vault = \"payments\"", "default_vault = \"other\"", "listener[0].default_vault", elsewhere);
    edited(VAULTS, "vaults = [\"payments\"]", "vault[1]", Refusal::NotServed("vault"));
}

/// Listeners without their section, and sections without a listener.
#[test]
fn listeners_and_sections_belong_together() {
    let site = Site::new();
    let without = |text: &str, from: &str, to: &str| {
        let (before, rest) = text.split_once(from).unwrap();
        format!("{before}{}", &rest[rest.find(to).unwrap()..])
    };
    site.put("skerry.toml", &without(EXAMPLE, "[identity]", "# --- Who vouches for TEEs"));
    site.refused("listener[2]", Refusal::SectionMissing("identity"));
    let text = without(EXAMPLE, "[attestation]", "# Authorities that");
    site.put("skerry.toml", &without(&text, "[[authority]]", "[[authority]]"));
    site.refused("listener[1]", Refusal::SectionMissing("attestation"));
    site.put("skerry.toml", &without(EXAMPLE, "[[vault]]", "# --- Who may"));
    site.refused("listener[0]", Refusal::SectionMissing("[vault]"));
    site.put("skerry.toml", &without(EXAMPLE, "[[listener]]\nkind = \"identity\"", "# --- Who vouches for callers"));
    site.refused("identity", Refusal::NotServed("identity"));
    site.put(
        "skerry.toml",
        &without(EXAMPLE, "[[listener]]\nkind = \"attestation\"", "[[listener]]\nkind = \"identity\""),
    );
    site.refused("attestation", Refusal::NotServed("attestation"));
}

/// An issuer of callers and an authority for TEEs are never one and the same, in whatever spelling.
#[test]
fn issuers_are_not_authorities() {
    const CI: &str = "url = \"https://ci.example.org\"";
    for url in
        ["https://attest.example.org", "https://attest.partner.example/", "https://SHAREDWEU.weu.attest.azure.net:443"]
    {
        let refusal = Refusal::IssuerIsAuthority(url.to_owned());
        edited(CI, &format!("url = {url:?}"), "issuer[1].url", refusal.clone());
        edited(CI, &format!("{CI}\nalso = [{url:?}]"), "issuer[1].also", refusal);
    }
    let refusal = Refusal::IssuerIsAuthority("https://attest.example.org".into());
    edited(
        "issuer = \"https://login.example.org/skerry\"\ntenant",
        "issuer = \"https://attest.example.org\"\ntenant",
        "identity.issuer",
        refusal,
    );
}

/// URLs that are none, that come twice, and keys from nowhere or from two places.
#[test]
fn issuers_and_authorities_are_refused() {
    const CI: &str = "url = \"https://ci.example.org\"\njwks = \"ci-keys.json\"";
    let url = |url: &str, source| Refusal::Url { url: url.to_owned(), source };
    edited(
        CI,
        "url = \"http://ci.example.org\"",
        "issuer[1].url",
        url("http://ci.example.org", IssuerUrlError::NotHttps),
    );
    let refusal = url("ftp:", IssuerUrlError::NotHttps);
    edited("url = \"https://attest.partner.example\"", "url = \"ftp:\"", "authority[2].url", refusal);
    let own = "https://login.example.org/skerry";
    edited(CI, &format!("url = {own:?}\njwks = \"ci-keys.json\""), "identity.issuer", Refusal::IssuerTwice(own.into()));
    let weu = "https://sharedweu.weu.attest.azure.net";
    edited(
        "url = \"https://attest.partner.example\"",
        &format!("url = {weu:?}"),
        "authority[2].url",
        Refusal::IssuerTwice(weu.into()),
    );
    let source = |given, choices| Refusal::KeySource { given, choices };
    edited(CI, "url = \"https://ci.example.org\"", "issuer[1]", source(0, "jwks, fetch"));
    let both = format!("{CI}\nfetch = {{ roots = \"roots.pem\" }}");
    edited(CI, &both, "issuer[1]", source(2, "jwks, fetch"));
    edited("jwks = \"partner-keys.json\"", "", "authority[2]", source(0, "built_in, jwks, fetch"));
    let both = "jwks = \"partner-keys.json\"\nbuilt_in = true";
    edited("jwks = \"partner-keys.json\"", both, "authority[2]", source(2, "built_in, jwks, fetch"));
    edited("jwks = \"partner-keys.json\"", "built_in = true", "authority[2]", Refusal::NotBuiltIn);
    edited("built_in = true", "jwks = \"partner-keys.json\"", "authority[0]", Refusal::BuiltInElsewhere);
}

/// What is fetched, and from where, is https and nothing ambiguous; the roots are certificates.
#[test]
fn fetching_is_refused() {
    let metadata = EXAMPLE.lines().find(|line| line.starts_with("metadata = ")).unwrap();
    let refusal = |url: &str, source| Refusal::FetchUrl { url: url.to_owned(), source };
    let url = "http://login.microsoftonline.com/x";
    edited(metadata, &format!("metadata = {url:?}"), "issuer[0].fetch.metadata", refusal(url, UrlError::NotHttps));
    let origin = "# keys_origin = \"https://keys.example.org\"";
    edited(
        origin,
        "keys_origin = \"http://x\"",
        "issuer[0].fetch.keys_origin",
        refusal("http://x", UrlError::NotHttps),
    );
    let site = Site::new();
    site.edit(origin, "keys_origin = \"https://keys.example.org\"");
    assert!(site.load().is_ok());
    site.put("roots.pem", "");
    site.refused("authority[1].fetch.roots", Refusal::Roots { path: site.path("roots.pem") });
    site.edit("[authority.fetch]\nroots = \"roots.pem\"", "jwks = \"partner-keys.json\"");
    site.refused("issuer[0].fetch.roots", Refusal::Roots { path: site.path("roots.pem") });
}

/// A vault that nobody can call is a mistake.
#[test]
fn vaults_need_an_issuer() {
    let site = Site::new();
    let text = std::fs::read_to_string(site.path("skerry.toml")).unwrap();
    let (before, rest) = text.split_once("[[listener]]\nkind = \"identity\"").unwrap();
    let tail = rest.split_once("# --- Who vouches for TEEs").unwrap().1;
    site.put("skerry.toml", &format!("{before}#{tail}"));
    site.refused("issuer", Refusal::NoIssuer);
}

/// Challenges say where to get a token, in the one form that clients read.
#[test]
fn challenges_say_where_to_go() {
    let line = EXAMPLE.lines().find(|line| line.starts_with("authorization = ")).unwrap();
    for text in ["https://login.example.org", "https://login.example.org/a/b", "https://login.example.org/"] {
        let to = format!("authorization = {text:?}");
        edited(line, &to, "issuer[0].authorization", Refusal::Authorization(text.to_owned()));
    }
    // Without an issuer that says it, it is where the token service listens; without that too, nowhere.
    let site = Site::new();
    site.edit(line, "");
    let settings = site.load().map_err(|error| error.to_string()).unwrap();
    let Serves::Vaults(served) = &settings.listeners[0].serves else { panic!("vaults") };
    assert_eq!(served.authorization, "https://login.example.org/skerry");
    let text = std::fs::read_to_string(site.path("skerry.toml")).unwrap();
    let (before, rest) = text.split_once("[[listener]]\nkind = \"identity\"").unwrap();
    let (_, callers) = rest.split_once("# --- Who vouches for callers").unwrap();
    let (callers, rest) = callers.split_once("[identity]").unwrap();
    let (_, rest) = rest.split_once("# --- Who vouches for TEEs").unwrap();
    site.put("skerry.toml", &format!("{before}#{callers}#{rest}"));
    site.refused("issuer", Refusal::NoAuthorization);
}

/// The anchors of the attestation service: one kind, and said in so many words.
#[test]
fn anchors_are_refused() {
    const AMD: &str = "anchors = \"amd\"";
    const SIMULATED: &str = "# simulated = [{ generation = \"milan\", spki_sha256 = \"64 hex digits\" }]";
    let key = "attestation.anchors";
    edited(AMD, "", key, Refusal::NoAnchors);
    edited(AMD, "anchors = \"intel\"", key, Refusal::Anchors("intel".into()));
    let site = Site::new();
    site.edit(SIMULATED, &format!("simulated = [{{ generation = \"milan\", spki_sha256 = {:?} }}]", "0a".repeat(32)));
    site.refused(key, Refusal::RealAndSimulated);
    site.edit(AMD, "");
    let anchors = site.load().map_err(|error| error.to_string()).unwrap().attestation.unwrap().anchors;
    assert_eq!(anchors, Anchors::Simulated(vec![(Generation::Milan, [0x0a; 32])]));
    site.edit(&"0a".repeat(32), &"0a".repeat(31));
    let digest = Refusal::AnchorDigest("0a".repeat(31));
    site.refused("attestation.danger.simulated[0].spki_sha256", digest);
}

/// The floor, the key and the readers of the attestation service.
#[test]
fn attestation_is_refused() {
    edited("vmpl_max = 0", "vmpl_max = 4", "attestation.floor.vmpl_max", Refusal::Vmpl { seen: 4, max: 3 });
    edited("milan = { ", "milan = { fmc = 1, ", "attestation.floor.tcb_min.milan", Refusal::TcbFmc);
    edited("turin = { fmc = 1, ", "turin = { ", "attestation.floor.tcb_min.turin", Refusal::TcbFmc);
    let site = Site::new();
    let (_, key) = p256(&[]);
    site.put("attestation.key", &key);
    site.refused("attestation.signing_key", Refusal::SigningKeyNotRsa);
    let site = Site::new();
    site.put("identity.key", &key);
    site.refused("identity.signing_key", Refusal::SigningKeyNotRsa);
    const READER: &str = "{ issuer = \"https://ci.example.org\", subject = \"auditor\" }";
    let unknown = Refusal::UnknownIssuer("https://x.example".into());
    edited(
        READER,
        "{ issuer = \"https://x.example\", subject = \"a\" }",
        "attestation.policy_readers[0].issuer",
        unknown,
    );
    let to = "{ issuer = \"https://ci.example.org\", subject = \"\" }";
    edited(READER, to, "attestation.policy_readers[0].subject", Refusal::Empty);
    const SETTER: &str = "{ issuer = \"https://ci.example.org\", subject = \"policy-pipeline\" }";
    edited(SETTER, to, "attestation.policy_setters[0].subject", Refusal::Empty);
}

/// Signers of appraisal policies are certificates of RSA keys, and nothing else makes a list of them.
#[test]
fn policy_signers_are_certificates() {
    const ANCHORS: &str = "anchors = \"amd\"\n";
    let with = |text: &str| {
        let site = Site::new();
        site.edit(ANCHORS, &format!("{ANCHORS}policy_signers = \"signers.pem\"\n"));
        site.put("signers.pem", text);
        site
    };
    let key = "attestation.policy_signers";
    let (one, two) = (rsa(&[]).0, rsa(&[]).0);
    let signers = with(&(one.clone() + &two)).load().map_err(|error| error.to_string()).unwrap().attestation.unwrap();
    assert_eq!(signers.policy_signers.len(), 2);
    let path = |site: &Site| site.path("signers.pem");
    let site = with("");
    site.refused(key, Refusal::NoCertificate { path: path(&site) });
    let site = with(&(one + &p256(&[]).0));
    site.refused(key, Refusal::PolicySigner { path: path(&site) });
}

/// Backups are sealed to certificates that are fit for it.
#[test]
fn recovery_certificates_are_fit() {
    const IDENTITY: &str = "[identity]\n";
    let with = |files: &str, text: &str| {
        let site = Site::new();
        site.edit(IDENTITY, &format!("[backup]\nrecovery = [{files}]\n{IDENTITY}"));
        site.put("recovery.pem", text);
        site
    };
    const FILE: &str = "\"recovery.pem\"";
    let good = with(FILE, &(rsa(&[]).0 + &p256(&[]).0)).load().map_err(|error| error.to_string()).unwrap();
    assert_eq!(good.recovery.map(|certificates| certificates.len()), Some(2));
    assert_eq!(Site::new().load().map_err(|error| error.to_string()).unwrap().recovery, None);
    with("", "").refused("backup.recovery", Refusal::Empty);
    let (key, path) = ("backup.recovery[0]", |site: &Site| site.path("recovery.pem"));
    let site = with(FILE, "");
    site.refused(key, Refusal::NoCertificate { path: path(&site) });
    let site = with(FILE, include_str!("../../../backup/tests/all/weak.pem"));
    let why = skerry_backup::RecipientError::RsaBits { bits: 1024 };
    site.refused(key, Refusal::RecoveryCertificate { path: path(&site), why });
}

/// The token service and its clients.
#[test]
fn identity_is_refused() {
    for tenant in ["", "a/b", "-a", "a b", "a,b"] {
        let to = format!("tenant = {tenant:?}\nsigning_key");
        edited("tenant = \"skerry\"\nsigning_key", &to, "identity.tenant", Refusal::Tenant(tenant.to_owned()));
    }
    let tenant = "tenant = \"0f3c1b52-6d4e-4b8e-9a0e-1c2d3e4f5a6b\"";
    edited(tenant, "tenant = \"a=b\"", "issuer[0].tenant", Refusal::Tenant("a=b".into()));
    for seen in [59, 86_401] {
        let to = format!("token_lifetime_secs = {seen}");
        let refusal = Refusal::Lifetime { seen, min: 60, max: 86_400 };
        edited("token_lifetime_secs = 3600", &to, "identity.token_lifetime_secs", refusal);
    }
    edited("id = \"nightly-backup\"", "id = \"\"", "identity.client[0].id", Refusal::Empty);
    let resources = "resources = [\"https://vault.example.org\"]";
    edited(resources, "resources = []", "identity.client[0].resources", Refusal::Empty);
    let again =
        format!("{resources}\n[[identity.client]]\nid = \"nightly-backup\"\nsecret = \"backup.secret\"\n{resources}");
    edited(resources, &again, "identity.client[1].id", Refusal::ClientTwice("nightly-backup".into()));
    let site = Site::new();
    std::fs::write(site.path("backup.secret"), [0xff; 32]).unwrap();
    site.refused("identity.client[0].secret", Refusal::SecretText { path: site.path("backup.secret") });
    site.put("backup.secret", "0123456789abcde\n");
    let path = site.path("backup.secret");
    site.refused("identity.client[0].secret", Refusal::SecretShort { path, bytes: 15, min: 16 });
}

/// Names, ids, kinds and terms of vaults.
#[test]
fn vaults_are_refused() {
    for name in ["", "ab", "1ab", "ab-", "a--b", "Payments", "a.b", &"a".repeat(25)] {
        let to = format!("name = {name:?}");
        edited("name = \"archive\"", &to, "vault[1].name", Refusal::VaultName(name.to_owned()));
    }
    edited("name = \"archive\"", "name = \"payments\"", "vault[1].name", Refusal::VaultTwice("payments".into()));
    const ID: &str = "d0a7c1c2-58e3-4c37-8a53-7f7e0f6f2b90";
    for id in ["", "archive", "00000000-0000-0000-0000-000000000000"] {
        edited(ID, id, "vault[1].id", Refusal::VaultId(id.into()));
    }
    let other = "6b1f0c1e-3f0f-4f43-9d7e-0b8a3d2f9c11";
    edited(ID, &other.to_uppercase(), "vault[1].id", Refusal::VaultTwice(other.into()));
    for seen in [6, 91] {
        let to = format!("retention_days = {seen}");
        let refusal = Refusal::Retention { seen, min: 7, max: 90 };
        edited("retention_days = 90", &to, "vault[0].retention_days", refusal);
    }
    let site = Site::new();
    site.edit("kind = \"premium\" ", "kind = \"managed-hsm\" ");
    site.edit("throttling = \"off\"", "throttling = \"azure\"");
    site.refused("vault[0].throttling", Refusal::ThrottledHsm);
    edited(
        "token_age_max_secs = 28800",
        "token_age_max_secs = 0",
        "vault[0].floor.token_age_max_secs",
        Refusal::TokenAge,
    );
    let unknown = "https://elsewhere.example";
    let from = "authorities = [\"https://attest.example.org\", ";
    edited(
        from,
        &format!("authorities = [{unknown:?}, "),
        "vault[0].authorities[0]",
        Refusal::UnknownAuthority(unknown.into()),
    );
    let twice = "authorities = [\"https://attest.example.org\", \"https://attest.example.org/\", ";
    edited(from, twice, "vault[0].authorities[1]", Refusal::IssuerTwice("https://attest.example.org/".into()));
}

/// What promises an HSM is refused where there is none, unless the configuration says that it knows.
#[test]
fn hsm_key_types_need_an_hsm() {
    edited(", software_hsm = true", "", "vault[0].kind", Refusal::SoftwareHsm("premium"));
    edited("kind = \"standard\"\n", "kind = \"managed-hsm\"\n", "vault[1].kind", Refusal::SoftwareHsm("managed-hsm"));
}

/// The example with a store said, and what is made of it.
fn stored(section: &str) -> Result<StoreSettings, ConfigError> {
    let site = Site::new();
    site.put("etcd.pem", &files()[1].1);
    site.put("etcd.key", &files()[2].1);
    site.edit("# [store]\n", &format!("[store]\n{section}\n"));
    site.load().map(|settings| settings.store)
}

/// Where things are stored is said once, and how etcd is reached wholly.
#[test]
fn stores_are_refused() {
    let refused = |section: &str, key: &str, refusal: Refusal| {
        let error = stored(section).map(drop).unwrap_err();
        assert_eq!((error.key.as_str(), error.refusal), (key, refusal), "{section}");
    };
    assert!(matches!(stored("engine = \"redb\""), Ok(StoreSettings::Embedded)));
    for (line, key) in [
        ("node = \"a\"", "store.node"),
        ("endpoints = [\"https://a:1\"]", "store.endpoints"),
        ("prefix = \"a/\"", "store.prefix"),
        ("roots = \"roots.pem\"", "store.roots"),
        ("client = { certificates = \"etcd.pem\", key = \"etcd.key\" }", "store.client"),
        ("danger = { plain = true }", "store.danger.plain"),
    ] {
        refused(&format!("engine = \"redb\"\n{line}"), key, Refusal::EtcdOnly);
    }
    const TLS: &str = "roots = \"roots.pem\"\nclient = { certificates = \"etcd.pem\", key = \"etcd.key\" }\n";
    let with = |node: &str, endpoint: &str, rest: &str| {
        format!("engine = \"etcd\"\nnode = {node:?}\nendpoints = [{endpoint:?}]\n{rest}")
    };
    let good = "https://etcd-1.example.org:2379";
    let Ok(StoreSettings::Etcd(etcd)) = stored(&with("a", good, TLS)) else { panic!() };
    assert_eq!(
        (etcd.node.as_str(), etcd.prefix.as_str(), etcd.tls.map(|tls| tls.roots.len())),
        ("a", "skerry/", Some(1))
    );
    refused("engine = \"etcd\"\nendpoints = []", "store.node", Refusal::NoNode);
    refused(&with("A", good, TLS), "store.node", Refusal::NodeName("A".into()));
    refused(&with("a", good, ""), "store.roots", Refusal::EtcdTls);
    refused(&with("a", good, "roots = \"roots.pem\""), "store.client", Refusal::EtcdTls);
    let other = stored(&with("a", good, &TLS.replace("etcd.key", "ci-keys.json"))).map(drop).unwrap_err();
    assert!(matches!(&other.refusal, Refusal::PrivateKey { path } if path.ends_with("ci-keys.json")), "{other}");
    let plain = "danger = { plain = true }";
    refused(&with("a", good, &format!("{TLS}{plain}")), "store.danger.plain", Refusal::EtcdPlainAndTls);
    assert!(stored(&with("a", "http://[::1]:2379", plain)).is_ok());
    let elsewhere = "http://192.0.2.1:2379";
    refused(&with("a", elsewhere, plain), "store.endpoints[0]", Refusal::EtcdPlainElsewhere(elsewhere.into()));
    for seen in ["http://a:1", "https://a", "https://a:1/b", "https://u@a:1", "https://a:1?b", "a:1", ""] {
        let refusal = Refusal::Endpoint { seen: seen.into(), scheme: "https" };
        refused(&with("a", seen, TLS), "store.endpoints[0]", refusal);
    }
    for prefix in ["", "a", "ä/", &("a".repeat(64) + "/")] {
        let section = with("a", good, &format!("prefix = {prefix:?}\n{TLS}"));
        refused(&section, "store.prefix", Refusal::Prefix(prefix.to_owned()));
    }
}

/// Who may do what names an issuer, a vault and permissions that exist.
#[test]
fn access_is_refused() {
    let from = "issuer = \"https://ci.example.org\"\nsubjects = [\"tee\"]";
    let with = |issuer: &str, subjects: &str| format!("issuer = {issuer:?}\nsubjects = {subjects}");
    let unknown = "https://attest.example.org";
    edited(from, &with(unknown, "[\"tee\"]"), "access[2].issuer", Refusal::UnknownIssuer(unknown.into()));
    edited(from, &with("https://ci.example.org", "[]"), "access[2].subjects", Refusal::Empty);
    edited(from, &with("https://ci.example.org", "[\"\"]"), "access[2].subjects", Refusal::Empty);
    let vault = "vault = \"archive\"\npermissions";
    edited(vault, "vault = \"attic\"\npermissions", "access[0].vault", Refusal::UnknownVault("attic".into()));
    edited("permissions = [\"release\"]", "permissions = []", "access[2].permissions", Refusal::Empty);
    let refusal = Refusal::Permission("all".into());
    edited("permissions = [\"release\"]", "permissions = [\"release\", \"all\"]", "access[2].permissions[1]", refusal);
}

const STRICT: &str = r#"[custody]
level = "hsm-strict"
[hsm]
module = "none.so"
token = "one"
pin_file = "pin"
"#;

/// A token is configured whole, its PIN is in one place that others cannot read, and the root key is what it sealed.
#[test]
fn tokens_are_refused() {
    let site = Site::new();
    let with = |section: &str| {
        site.put("skerry.toml", &EXAMPLE.replacen("[[listener]]", &format!("{section}\n[[listener]]"), 1))
    };
    let pin = || site.path("pin");
    site.put("pin", "1234\n");
    with(&STRICT.replace("hsm-strict", "strict"));
    site.refused("custody.level", Refusal::Level("strict".to_owned()));
    with("[custody]\nlevel = \"hsm-root\"");
    site.refused("custody.level", Refusal::NoHsm("hsm-root"));
    with(&STRICT.replace("hsm-strict", "software"));
    site.refused("hsm", Refusal::HsmUnused);
    with(&STRICT.replace("pin_file = \"pin\"", ""));
    site.refused("hsm", Refusal::PinSource { given: 0 });
    with(&format!("{STRICT}pin_credential = \"pin\"\n"));
    site.refused("hsm", Refusal::PinSource { given: 2 });
    for name in ["", "../pin", ".pin", "a/b"] {
        with(&STRICT.replace("pin_file = \"pin\"", &format!("pin_credential = {name:?}")));
        site.refused("hsm.pin_credential", Refusal::PinCredential(name.to_owned()));
    }
    with(&STRICT.replace("pin_file", "pin_credential"));
    site.refused("hsm.pin_credential", Refusal::NoCredentials);
    for seen in [0, 1025] {
        with(&format!("{STRICT}sessions = {seen}\n"));
        site.refused("hsm.sessions", Refusal::Sessions { seen, max: 1024 });
    }
    with(STRICT);
    for text in ["", "\n", "12\n34", "1234\r\n"] {
        site.put("pin", text);
        site.refused("hsm.pin_file", Refusal::Pin { path: pin() });
    }
    site.put("pin", "1234\n");
    site.mode("pin", 0o644);
    site.refused("hsm.pin_file", Refusal::SecretMode { path: pin(), mode: 0o644 });
    site.mode("pin", 0o600);
    let path = site.path("root.key");
    let error = Box::new(skerry_unseal::TokenSealError::NotASeal);
    site.refused("server.root_key", Refusal::RootKeySeal { path: path.clone(), error });
    site.put("root.key", &format!("SKRYTOKN{}\u{1}{}", "i".repeat(16), "s".repeat(60)));
    let settings = site.load().unwrap();
    assert_eq!(settings.custody, skerry_keys::Level::HsmStrict);
    assert!(matches!(settings.root, Source::Token(_)) && settings.hsm.is_some());
    with(&format!("{STRICT}[root]\nseal = \"credential\"\ncredential = \"root\"\n"));
    site.refused("root", Refusal::RootNotInToken);
    site.put("skerry.toml", EXAMPLE);
    site.refused("server.root_key", Refusal::RootKeyInToken { path });
}

/// docs/operate.md lists every refusal by its name, and no others.
#[test]
fn every_refusal_is_documented() {
    let source = include_str!("error.rs");
    let variants: Vec<&str> = source
        .split_once("pub(crate) enum Refusal {")
        .unwrap()
        .1
        .lines()
        .filter_map(|line| line.strip_prefix("    ")?.split(['(', '{', ',', ' ']).next())
        .filter(|word| word.starts_with(|first: char| first.is_ascii_uppercase()))
        .collect();
    assert!(variants.len() > 60, "{variants:?}");
    let docs = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operate.md")).unwrap();
    let (_, docs) = docs.split_once("\n## What serve refuses to start with\n").unwrap();
    let docs = docs.split("\n## ").next().unwrap();
    for variant in &variants {
        assert!(docs.contains(&format!("| `{variant}` |")), "{variant} is not in docs/operate.md");
    }
    let rows = docs.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, variants.len(), "docs/operate.md has rows that are no refusals");
}
