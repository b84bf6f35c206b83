//! A folder that a server is started on, with so many keys in it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use anyhow::ensure;
use indicatif::{ProgressBar, ProgressStyle};
use skerry_audit::{Entry, Event, Verdict};
use skerry_jose::SigningKey;
use skerry_jose::json::Object;
use skerry_keys::custody::Binding;
use skerry_keys::{Curve, KeyType, Software};
use skerry_policy::permit::{KeyRef, Version};
use skerry_store::seal::{Root, Sealer};
use skerry_store::stamp::Kind;
use skerry_store::{Op, OpId, Options, Outcome, Store, Txn};
use skerry_vault::Installation;
use skerry_vault::ca::Ca;
use skerry_vault::command::{KeyOp, Tags};
use skerry_vault::record::{KeyHead, KeyName, KeyVersion, Origin, VersionRef};
use skerry_vault::stored::{encode_head, encode_version};
use tokio::runtime::Runtime;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::common::site::randomizer;
use crate::common::{AUDIENCE, CALLER, TENANT, random, rng, rs256, token, unix_secs};

/// A configuration with all that it names, and what a client needs.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
    config: &'static str,
    pub(crate) root: Vec<u8>,
    pub(crate) bearer: String,
}

impl Folder {
    pub(crate) fn filled(keys: u32) -> anyhow::Result<Folder> {
        let (now, folder) = (SystemTime::now(), tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?);
        let (ca, principals) = (Ca::generate("Skerry bench", now)?, rs256()?);
        let bearer = token::bearer(&principals, now)?.text;
        let folder = Folder { folder, config: "skerry.toml", root: ca.root_der().to_vec(), bearer };
        let octets = Zeroizing::new(random::<32>());
        folder.configure(&ca, &principals, &octets, now)?;
        DirBuilder::new().mode(0o700).create(folder.path("data"))?;
        DirBuilder::new().mode(0o700).create(folder.path("data/audit"))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        folder.fill(&runtime, keys, &octets, now)?;
        Ok(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it is served with.
    pub(crate) fn config(&self) -> PathBuf {
        self.path(self.config)
    }

    /// It is served from another store from now on.
    pub(crate) fn configure_store(&mut self, store: &str) -> anyhow::Result<()> {
        let config = std::fs::read_to_string(self.config())?;
        self.config = "other.toml";
        self.put(self.config, &format!("{config}{store}"))
    }

    pub(crate) fn mib(&self, name: &str) -> anyhow::Result<f64> {
        let octets = std::fs::metadata(self.path("data").join(name))?.len();
        Ok(f64::from(u32::try_from(octets / 1024)?) / 1024.0)
    }

    fn configure(
        &self,
        ca: &Ca,
        principals: &SigningKey,
        root: &Zeroizing<[u8; 32]>,
        now: SystemTime,
    ) -> anyhow::Result<()> {
        let leaf = ca.issue_tls(&[HOST], &[], now)?;
        let release = rs256()?;
        self.put("tls.pem", &chain(&leaf.chain_der)?)?;
        self.put("tls.key", &pem("PRIVATE KEY", &leaf.key_pkcs8)?)?;
        self.put("release.pem", &chain(&ca.issue(&release, &[HOST], now)?)?)?;
        self.put("release.key", &pem("PRIVATE KEY", &release.to_pkcs8()?)?)?;
        self.put("root.key", &hex::encode(root.as_slice()))?;
        let jwk = principals.public().to_jwk().with("kid", "principals").with("use", "sig");
        self.put("callers.json", &Object::new().with("keys", vec![jwk]).to_json())?;
        let id = VAULT.to_string();
        let config = [("AUDIENCE", AUDIENCE), ("TENANT/", TENANT), ("CALLER", CALLER), ("ID", &id)];
        let config = config.iter().fold(CONFIG.to_owned(), |config, (name, value)| config.replace(name, value));
        self.put("skerry.toml", &config.replace("AUTHORIZATION", TENANT.trim_end_matches('/')))
    }

    pub(crate) fn put(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(name))?;
        Ok(file.write_all(text.as_bytes())?)
    }

    fn fill(&self, runtime: &Runtime, keys: u32, octets: &Zeroizing<[u8; 32]>, now: SystemTime) -> anyhow::Result<()> {
        let root = || Root::new(octets.clone());
        let store = Store::create(&self.path("data/store.redb"), &root(), Options::new(|_| std::process::abort()))?;
        let (limits, log) = (skerry_audit::Limits::default(), self.path("data/audit"));
        let opening = Installation::open(store.clone(), root(), Kind::Serve, &log, limits, now, &randomizer);
        let (installation, _) = runtime.block_on(opening)?;
        let maker = Maker::new(&root(), now);
        in_turn("commits", MAKERS, keys.div_ceil(KEYS_PER_COMMIT), |number| {
            let first = number * KEYS_PER_COMMIT;
            let numbers = first..keys.min(first + KEYS_PER_COMMIT);
            let rows = numbers.map(|number| maker.rows(number)).collect::<anyhow::Result<Vec<_>>>()?;
            let txn = Txn { op: OpId(random()), checks: Vec::new(), ops: rows.into_iter().flatten().collect() };
            ensure!(matches!(runtime.block_on(store.commit(&txn))?, Outcome::Committed(_)), "not committed");
            Ok(())
        })?;
        // Two records for each key.
        in_turn("records of keys", RECORDERS, keys, |number| {
            for verdict in [Verdict::Intended, Verdict::Committed] {
                drop(installation.log().record(&entry(number, verdict, now))?);
            }
            Ok(())
        })?;
        runtime.block_on(installation.tick(now, &randomizer))?;
        Ok(())
    }
}

/// Makes what a vault stores of a key.
struct Maker {
    records: Sealer,
    custody: Software,
    now: u64,
}

impl Maker {
    fn new(root: &Root, now: SystemTime) -> Maker {
        let (kek, id) = root.kek(Root::VAULT_MATERIAL, VAULT.as_bytes());
        let records = root.sealer(Root::VAULT_RECORDS, VAULT.as_bytes());
        Maker { records, custody: Software::new(kek, id), now: unix_secs(now) }
    }

    /// Head and version, as a vault that was asked for an EC key puts them (`skerry_vault::stored` says where).
    fn rows(&self, number: u32) -> anyhow::Result<[Op; 2]> {
        let (id, version) = (uuid::Builder::from_random_bytes(random()).into_uuid(), Version(random()));
        let key_type = KeyType::Ec { curve: Curve::P256 };
        let binding = Binding { key: KeyRef { vault: VAULT, key: id, version }, key_type, exportable: false };
        let (public, material) = self.custody.generate(binding, &mut rng())?;
        let head = KeyHead {
            id,
            name: KeyName::parse(&name(number))?,
            exportable: false,
            immutable: false,
            policy: None,
            generation: 0,
            min_iat: 0,
            versions: vec![VersionRef { version, material: material.digest() }],
            deletion: None,
        };
        let version = KeyVersion {
            version,
            hsm: true,
            enabled: true,
            not_before: None,
            expires: None,
            created: self.now,
            updated: self.now,
            key_type,
            public,
            key_ops: vec![KeyOp::Sign, KeyOp::Verify],
            tags: Tags::default(),
            material,
            origin: Origin::Generated,
        };
        let under = |kind: &[u8], rest: &[u8]| [b"v/", VAULT.as_bytes().as_slice(), kind, rest].concat();
        let head_at = under(b"/k/", head.name.folded().as_bytes());
        let version_at = under(b"/m/", &[id.as_bytes().as_slice(), &version.version.0].concat());
        Ok([self.put(head_at, &encode_head(&head))?, self.put(version_at, &encode_version(&version)?)?])
    }

    fn put(&self, at: Vec<u8>, plain: &[u8]) -> anyhow::Result<Op> {
        let sealed = self.records.seal(&at, plain, &mut rng())?;
        Ok(Op::Put(at, sealed))
    }
}

/// Does the work for every number below `end`, on so many threads.
fn in_turn(
    what: &'static str,
    threads: usize,
    end: u32,
    work: impl Fn(u32) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<()> {
    let (next, bar) = (AtomicU32::new(0), ProgressBar::new(end.into()));
    bar.set_style(ProgressStyle::with_template("{msg} {bar:40} {pos}/{len}, {eta} left")?);
    bar.set_message(what);
    let one = || {
        loop {
            match next.fetch_add(1, Ordering::Relaxed) {
                number if number < end => work(number)?,
                _ => return Ok(()),
            }
            bar.inc(1);
        }
    };
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let mut joined = threads.into_iter().map(|thread| thread.join());
        joined.try_for_each(|done| done.unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked"))))
    });
    bar.finish_and_clear();
    done
}

fn entry(number: u32, verdict: Verdict, now: SystemTime) -> Entry {
    let mut subject = [0; 32];
    subject.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    Entry {
        event: Event::KeyCreated,
        at: now,
        subject,
        who: format!("{TENANT} {CALLER}"),
        request: format!("request-{number}"),
        vault: Some(VAULT),
        key: Some(Uuid::from_u128(number.into())),
        version: Some([7; 16]),
        token: None,
        evidence: None,
        measurement: None,
        policy: None,
        verdict,
        explanation: "EC-HSM P-256".to_owned(),
    }
}

/// The name of the key of this number: in order of neither the numbers nor the letters that a load asks for.
pub(crate) fn name(number: u32) -> String {
    format!("key-{:08x}", number.wrapping_mul(0x9e37_79b1))
}

fn chain(certificates: &[Vec<u8>]) -> anyhow::Result<String> {
    certificates.iter().map(|der| pem("CERTIFICATE", der)).collect()
}

pub(crate) fn pem(label: &'static str, der: &[u8]) -> anyhow::Result<String> {
    let pem = der::pem::encode_string(label, der::pem::LineEnding::LF, der);
    pem.map_err(|error| anyhow::anyhow!("no PEM: {error}"))
}

pub(crate) const HOST: &str = "scale.vault.localhost";
const VAULT: Uuid = Uuid::from_bytes([0x51; 16]);
/// Two operations each, of the 127 that a transaction has.
const KEYS_PER_COMMIT: u32 = 63;
/// Threads whose commits, and whose records, share a sync.
const MAKERS: usize = 16;
const RECORDERS: usize = 64;

const CONFIG: &str = r#"
[server]
data = "data"
root_key = "root.key"
[[listener]]
kind = "vault"
address = "127.0.0.1:0"
public_port = 443
domains = ["vault.localhost"]
vaults = ["scale"]
audiences = ["AUDIENCE"]
tls = { certificates = "tls.pem", key = "tls.key" }
release = { certificates = "release.pem", key = "release.key" }
[[issuer]]
url = "TENANT/"
authorization = "AUTHORIZATION"
jwks = "callers.json"
[[vault]]
name = "scale"
id = "ID"
kind = "premium"
danger = { software_hsm = true }
[[access]]
issuer = "TENANT/"
subjects = ["CALLER"]
vault = "scale"
permissions = ["get", "list", "sign", "create"]
"#;
