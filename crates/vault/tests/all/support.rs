//! A vault, its audit log, two attestation authorities that it trusts, a TEE and a thief; and a fixed now.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use skerry_attestation_result::{
    AttestationResult, Authority, IssuerUrl, Provenance, TokenError, TokenSigner, TrustedResult,
};
use skerry_audit::Verdict;
use skerry_client::{Asked, ReleaseAnswerError, Roots, VerifiedRelease};
use skerry_identity::{Access, Assignment, Grant, Permission, Principal, Scope};
use skerry_jose::json::{self, Object, Value};
use skerry_jose::{Algorithm, ProtectedHeader, SigningKey, b64};
use skerry_keys::{Curve, ImportKey, KeyType, OctBits, Software};
use skerry_keywrap::{Algorithm as Wrap, UnwrapKey};
use skerry_policy::permit::VaultFloor;
use skerry_store::Store;
use skerry_store::seal::Root;
use skerry_store::stamp::Kind;
use skerry_vault::ca::Ca;
use skerry_vault::command::{
    AttributesInput, Changes, Context, ImportCommand, KeyOp, Named, NewKey, PolicyInput, Randomizer, ReleaseCommand,
    Tags,
};
use skerry_vault::decide::{HsmBacking, Rules};
use skerry_vault::pool::Pool;
use skerry_vault::record::{Key, KeyHead, KeyName, KeyVersion};
use skerry_vault::{
    Installation, Node, Pools, Refusal, ReleaseAnswer, ReleaseSigner, Stock, Throttling, TrustedAuthority, Vault,
    VaultConfig, VaultConfigError, VaultKind,
};
use tempfile::TempDir;
use uuid::Uuid;
use zeroize::Zeroizing;

pub(crate) const NOW: u64 = 1_800_000_000;
/// When tokens here are issued.
pub(crate) const IAT: u64 = NOW - 10;
pub(crate) const HOST: &str = "vault.example";
pub(crate) const ISSUER: &str = "https://attest.example";
pub(crate) const OTHER_ISSUER: &str = "https://other.example";
pub(crate) const KEY: &str = "payments";
pub(crate) const NONCE: &str = "ADE0101";
pub(crate) const TARGET_KID: &str = "tee-key";
pub(crate) const VAULT_ID: Uuid = Uuid::from_bytes([0x51; 16]);
pub(crate) const MEASUREMENT: [u8; 48] = [0xab; 48];
pub(crate) const ROOT: [u8; 32] = [0x77; 32];
/// Who asks for everything here.
pub(crate) const CALLER: &str = "https://login.example alice";
pub(crate) const EC: KeyType = KeyType::Ec { curve: Curve::P256 };
pub(crate) const OCT: KeyType = KeyType::Oct { bits: OctBits::B256 };

/// Which vault is made; the default is a premium vault that trusts both authorities and real hardware only.
pub(crate) struct Setup {
    pub(crate) kind: VaultKind,
    pub(crate) floor: VaultFloor,
    pub(crate) throttling: Throttling,
    pub(crate) hsm: HsmBacking,
    pub(crate) retention_days: u32,
    pub(crate) purge_protection: bool,
    pub(crate) authorities: Vec<TrustedAuthority>,
    pub(crate) log: skerry_audit::Limits,
    pub(crate) store: Store,
    pub(crate) pools: Pools,
    pub(crate) id: Uuid,
    pub(crate) root: [u8; 32],
    pub(crate) node: Node,
}

impl Default for Setup {
    fn default() -> Setup {
        let other = Authority::built_in(other_signer()).unwrap();
        Setup {
            kind: VaultKind::Premium,
            floor: VaultFloor::default(),
            throttling: Throttling::Off,
            hsm: HsmBacking::default().danger().software_hsm(),
            retention_days: 90,
            purge_protection: false,
            authorities: vec![TrustedAuthority::fixed(authority()), TrustedAuthority::fixed(other)],
            log: skerry_audit::Limits::default(),
            store: Store::memory(),
            pools: pools().clone(),
            id: VAULT_ID,
            root: ROOT,
            node: Node::Only,
        }
    }
}

impl Setup {
    pub(crate) fn of_kind(kind: VaultKind) -> Scene {
        Setup { kind, ..Setup::default() }.scene()
    }

    /// The vault without keys.
    pub(crate) fn bare(self) -> Scene {
        self.try_bare().unwrap()
    }

    /// The vault without keys, or why its configuration makes none.
    pub(crate) fn try_bare(self) -> Result<Scene, VaultConfigError> {
        self.try_in(TempDir::new().unwrap())
    }

    /// The vault whose log is in this folder.
    pub(crate) fn try_in(self, dir: TempDir) -> Result<Scene, VaultConfigError> {
        let root = Root::new(Zeroizing::new(self.root));
        let store = self.store.clone();
        let (parts, log) = ((store.clone(), root, Kind::Serve), (dir.path(), self.log));
        let opening = Installation::open_as(&self.node, parts, log, at(NOW), &randomness);
        let (installation, _) = wait(opening).unwrap();
        let started = read_records(dir.path()).len();
        let installation = Arc::new(installation);
        let (vault, chain, root) = self.try_vault(&installation)?;
        Ok(Scene { vault, installation, store, roots: Roots::new(&root).unwrap(), chain, started, dir })
    }

    /// A vault of this installation, the chain that its answers are signed under, and the root of that.
    pub(crate) fn try_vault(self, installation: &Arc<Installation>) -> Result<Served, VaultConfigError> {
        let Setup { kind, floor, throttling, hsm, retention_days, purge_protection, authorities, pools, id, .. } = self;
        let ca = Ca::generate("Skerry tests", at(NOW)).unwrap();
        let key = signing_key(&SERVICE);
        let chain = ca.issue(&key, &[HOST], at(NOW)).unwrap();
        let signer = Arc::new(ReleaseSigner::new(key, &chain).unwrap());
        let rules = Rules { kind, hsm, retention_days, purge_protection };
        let config = VaultConfig { id, rules, authorities, floor, throttling };
        let vault = Vault::new(config, Arc::clone(installation), signer, pools)?;
        Ok((vault, chain, ca.root_der().to_vec()))
    }

    /// The vault with an exportable EC key [`KEY`] under [`policy`].
    pub(crate) fn scene(self) -> Scene {
        let scene = self.bare();
        scene.create(KEY, EC);
        scene
    }
}

/// A vault, the chain that its answers are signed under, and the root of that.
pub(crate) type Served = (Vault, Vec<Vec<u8>>, Vec<u8>);

/// A vault with what is around it.
pub(crate) struct Scene {
    pub(crate) vault: Vault,
    pub(crate) installation: Arc<Installation>,
    pub(crate) store: Store,
    pub(crate) roots: Roots,
    pub(crate) chain: Vec<Vec<u8>>,
    started: usize,
    dir: TempDir,
}

/// A request to make a key, as most tests make it.
#[derive(Clone)]
pub(crate) struct CreateCommand<'a> {
    pub(crate) name: KeyName,
    pub(crate) key_type: KeyType,
    pub(crate) key_ops: Vec<KeyOp>,
    pub(crate) exportable: bool,
    pub(crate) policy: Option<&'a [u8]>,
    pub(crate) immutable: bool,
}

impl CreateCommand<'_> {
    pub(crate) fn to_new(&self) -> NewKey {
        let policy = self.policy.map(|data| PolicyInput { data: data.to_vec(), immutable: Some(self.immutable) });
        NewKey {
            name: self.name.clone(),
            key_type: self.key_type,
            hsm: true,
            key_ops: Some(self.key_ops.clone()),
            attributes: AttributesInput { exportable: Some(self.exportable), ..AttributesInput::default() },
            tags: None,
            policy,
        }
    }
}

impl Scene {
    /// The default vault and key.
    pub(crate) fn new() -> Scene {
        Setup::default().scene()
    }

    /// Another server of the same vault, which remembers by itself what it read. The log is the first one's.
    pub(crate) fn beside(&self) -> Scene {
        let (vault, chain, root) = Setup::default().try_vault(&self.installation).unwrap();
        let (installation, store) = (Arc::clone(&self.installation), self.store.clone());
        let dir = TempDir::new().unwrap();
        Scene { vault, installation, store, roots: Roots::new(&root).unwrap(), chain, started: 0, dir }
    }

    pub(crate) fn create(&self, key: &str, key_type: KeyType) -> Key {
        self.make(&CreateCommand { key_type, ..create(key) }).unwrap()
    }

    pub(crate) fn create_under(&self, key: &str, policy: &str) -> Result<Key, Refusal> {
        self.make(&CreateCommand { policy: Some(policy.as_bytes()), ..create(key) })
    }

    pub(crate) fn make(&self, command: &CreateCommand<'_>) -> Result<Key, Refusal> {
        self.make_new(&command.to_new())
    }

    pub(crate) fn make_new(&self, new: &NewKey) -> Result<Key, Refusal> {
        let grant = grant(Permission::Create);
        wait(self.vault.create(&context(&grant, "create-1", NOW), new))
    }

    /// Imports a symmetric key.
    pub(crate) fn import(&self, command: &CreateCommand<'_>, k: &[u8]) -> Result<Key, Refusal> {
        let key = ImportKey::Oct { k: Zeroizing::new(k.to_vec()) };
        let grant = grant(Permission::Import);
        let command = ImportCommand { new: command.to_new(), key, padded: false };
        wait(self.vault.import(&context(&grant, "import-1", NOW), command))
    }

    /// The key of this name at its newest version, which is enabled.
    pub(crate) fn key(&self, key: &str) -> Key {
        self.get(key).unwrap()
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        !matches!(self.get(key), Err(Refusal::KeyNotFound { .. }))
    }

    pub(crate) fn get(&self, key: &str) -> Result<Key, Refusal> {
        let (grant, name) = (grant(Permission::Get), name(key));
        wait(self.vault.get(&context(&grant, "get-1", NOW), Named { name: &name, version: None }))
    }

    /// Changes the newest version of a key, and its policy.
    pub(crate) fn update(&self, key: &str, changes: &Changes) -> Result<Key, Refusal> {
        let (grant, name) = (grant(Permission::Update), name(key));
        let named = Named { name: &name, version: None };
        wait(self.vault.update(&context(&grant, "update-1", NOW), named, changes))
    }

    /// Releases [`KEY`] for this token, now.
    pub(crate) fn release(&self, token: &str) -> Result<ReleaseAnswer, Refusal> {
        self.release_at(token, NOW)
    }

    pub(crate) fn release_at(&self, token: &str, secs: u64) -> Result<ReleaseAnswer, Refusal> {
        self.answer_at(&command(token), "release-1", secs)
    }

    /// Releases as asked.
    pub(crate) fn answer(&self, command: &ReleaseCommand<'_>) -> Result<ReleaseAnswer, Refusal> {
        self.answer_at(command, "release-1", NOW)
    }

    /// Releases as asked, under this request id.
    pub(crate) fn answer_as(&self, request_id: &str, command: &ReleaseCommand<'_>) -> Result<ReleaseAnswer, Refusal> {
        self.answer_at(command, request_id, NOW)
    }

    fn answer_at(&self, command: &ReleaseCommand<'_>, id: &str, secs: u64) -> Result<ReleaseAnswer, Refusal> {
        let grant = grant(Permission::Release);
        wait(self.vault.release(&context(&grant, id, secs), command))
    }

    pub(crate) fn release_key(&self, key: &str, token: &str) -> Result<ReleaseAnswer, Refusal> {
        self.answer(&ReleaseCommand { name: &name(key), ..command(token) })
    }

    /// What the client says of an answer.
    pub(crate) fn verify(&self, answer: &str, asked: &Asked<'_>) -> Result<VerifiedRelease, ReleaseAnswerError> {
        VerifiedRelease::verify(answer, asked, &self.roots, at(NOW))
    }

    /// The denial of this token, beside a control that is released by the same vault.
    pub(crate) fn denied(&self, token: &str) -> Refusal {
        let refusal = self.release(token).unwrap_err();
        let last = self.records().pop().unwrap();
        assert_eq!(text(&last, "verdict"), Verdict::Denied.as_str());
        assert_eq!(text(&last, "token"), hex::encode(sha256(token)));
        assert!(self.release(&good_token()).is_ok(), "the control");
        refusal
    }

    /// As [`denied`](Self::denied), for the reasons of a token.
    pub(crate) fn denied_token(&self, token: &str) -> TokenError {
        match self.denied(token) {
            Refusal::Token(error) => error,
            other => panic!("{other:?}"),
        }
    }

    /// Every record of the audit log since the vault was opened; reading checks its chain.
    pub(crate) fn records(&self) -> Vec<Object> {
        self.all_records().split_off(self.started)
    }

    /// Every record of the log, the start of the service among them.
    pub(crate) fn all_records(&self) -> Vec<Object> {
        read_records(self.dir.path())
    }

    /// Closes everything, and keeps the log.
    pub(crate) fn into_folder(self) -> TempDir {
        self.dir
    }

    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// The log's file as it lies on disk.
    pub(crate) fn log_bytes(&self) -> Vec<u8> {
        std::fs::read(self.dir.path().join("audit.log")).unwrap()
    }
}

/// Every record of a log but those of uses of keys, which come when they come; reading checks its chain.
pub(crate) fn read_records(folder: &Path) -> Vec<Object> {
    let records = skerry_audit::read(folder).unwrap();
    let records = records.map(|record| record.unwrap().json().unwrap().into_object().unwrap());
    records.filter(|record| !USES.contains(&text(record, "event"))).collect()
}

const USES: [&str; 7] = ["sign", "verify", "encrypt", "decrypt", "wrap-key", "unwrap-key", "secure-wrap-key"];

pub(crate) fn tags(tags: &[(&str, &str)]) -> Tags {
    Tags::new(tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()).unwrap()
}

pub(crate) fn at(secs: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(secs)
}

/// Runs an operation to its end. Many threads may do so at once.
pub(crate) fn wait<T>(operation: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap())
        .block_on(operation)
}

pub(crate) fn pools() -> &'static Pools {
    static POOLS: OnceLock<Pools> = OnceLock::new();
    let pool = || Arc::new(Pool::new(NonZeroUsize::MIN, 1_024).unwrap());
    POOLS.get_or_init(|| Pools { work: pool(), generation: pool(), stock: Arc::new(Stock::none()) })
}

/// Randomness that no two requests share.
pub(crate) fn randomness() -> Box<dyn rand_core::CryptoRng + Send> {
    static SEED: AtomicU64 = AtomicU64::new(1);
    Box::new(ChaCha20Rng::seed_from_u64(SEED.fetch_add(1, Ordering::Relaxed)))
}

pub(crate) fn context<'a>(grant: &'a Grant, request_id: &'a str, now: u64) -> Context<'a> {
    let randomness: &'static Randomizer = &randomness;
    Context { grant, request_id, now: at(now), randomness }
}

/// A grant for one operation in [`VAULT_ID`], to somebody who may do all.
pub(crate) fn grant(permission: Permission) -> Grant {
    grant_in(VAULT_ID, permission)
}

pub(crate) fn grant_in(vault: Uuid, permission: Permission) -> Grant {
    let (issuer, subject) = CALLER.split_once(' ').unwrap();
    let everything = Assignment {
        issuer: issuer.into(),
        subjects: vec![subject.into()],
        scope: Scope::Vault(*vault.as_bytes()),
        permissions: Permission::ALL.into_iter().collect(),
    };
    Access::new(vec![everything]).grant(&Principal::new(issuer, subject), *vault.as_bytes(), permission).unwrap()
}

/// The root of every installation here.
pub(crate) fn root() -> Root {
    Root::new(Zeroizing::new(ROOT))
}

/// Custody of the vault here, from outside of it.
pub(crate) fn custody() -> Software {
    let (kek, id) = root().kek("vault material", VAULT_ID.as_bytes());
    Software::new(kek, id)
}

pub(crate) fn name(text: &str) -> KeyName {
    KeyName::parse(text).unwrap()
}

/// A request for an exportable EC key under [`policy`].
pub(crate) fn create(key: &str) -> CreateCommand<'static> {
    static POLICY: OnceLock<String> = OnceLock::new();
    CreateCommand {
        name: name(key),
        key_type: EC,
        key_ops: vec![KeyOp::Sign, KeyOp::Verify],
        exportable: true,
        policy: Some(POLICY.get_or_init(policy).as_bytes()),
        immutable: false,
    }
}

/// A request to release [`KEY`], as most tests make it.
pub(crate) fn command(token: &str) -> ReleaseCommand<'_> {
    static NAME: OnceLock<KeyName> = OnceLock::new();
    ReleaseCommand {
        name: NAME.get_or_init(|| name(KEY)),
        version: None,
        target: token,
        nonce: Some(NONCE),
        enc: Some(Wrap::RsaAesKeyWrap256),
        api_version: "7.4",
        host: HOST,
        proof: false,
    }
}

/// By what the client judges the answer to [`command`].
pub(crate) fn asked(token: &str) -> Asked<'_> {
    Asked {
        host: HOST,
        kid: "https://vault.example/keys/payments",
        nonce: Some(NONCE),
        algorithm: Wrap::RsaAesKeyWrap256,
        token,
        target_kid: TARGET_KID,
    }
}

/// Whose word, which kind of TEE, which measurement.
pub(crate) fn policy() -> String {
    let measurement = hex::encode(MEASUREMENT);
    entry(
        ISSUER,
        &format!(
            r#"{{"claim":"x-ms-attestation-type","equals":"sevsnpvm"}},{{"claim":"x-ms-sevsnpvm-launchmeasurement","equals":"{measurement}"}}"#
        ),
    )
}

/// A policy of one authority and these clauses, all of them to hold.
pub(crate) fn entry(authority: &str, clauses: &str) -> String {
    format!(r#"{{"version":"1.0.0","anyOf":[{{"authority":"{authority}","allOf":[{clauses}]}}]}}"#)
}

pub(crate) fn tee() -> &'static UnwrapKey {
    static TEE: OnceLock<UnwrapKey> = OnceLock::new();
    TEE.get_or_init(|| UnwrapKey::generate(2048).unwrap())
}

/// Somebody else's TEE.
pub(crate) fn thief() -> &'static UnwrapKey {
    static THIEF: OnceLock<UnwrapKey> = OnceLock::new();
    THIEF.get_or_init(|| UnwrapKey::generate(2048).unwrap())
}

/// The public half of a TEE's key, for encryption.
pub(crate) fn jwk(key: &UnwrapKey, kid: &str) -> Object {
    let (n, e) = key.public_components();
    Object::new()
        .with("e", b64::encode(e))
        .with("key_ops", vec!["encrypt"])
        .with("kid", kid)
        .with("kty", "RSA")
        .with("n", b64::encode(n))
}

/// The thumbprint of [`tee`]'s key (RFC 7638).
pub(crate) fn tee_thumbprint() -> String {
    let (n, e) = tee().public_components();
    skerry_jose::PublicKey::Rsa(skerry_jose::RsaPublicKey::new(n, e).unwrap()).thumbprint()
}

/// Claims that meet [`policy`], with the TEE's key.
pub(crate) fn claims() -> Object {
    Object::new()
        .with("x-ms-attestation-type", "sevsnpvm")
        .with("x-ms-runtime", Object::new().with("keys", vec![jwk(tee(), TARGET_KID)]))
        .with("x-ms-sevsnpvm-launchmeasurement", hex::encode(MEASUREMENT))
}

/// The token that is released for.
pub(crate) fn good_token() -> String {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| token(&claims())).clone()
}

/// A token of the authority, issued at [`IAT`], as it makes them.
pub(crate) fn token(claims: &Object) -> String {
    token_of(signer(), claims, Provenance::Real)
}

pub(crate) fn token_of(signer: &TokenSigner, claims: &Object, provenance: Provenance) -> String {
    let result = AttestationResult::assertion(signer.issuer().clone(), claims.clone(), provenance, at(IAT));
    signer.sign(&result, [9; 32]).unwrap().into_string()
}

/// Claims as [`token`] signs them, envelope included, to be spoilt.
pub(crate) fn payload() -> Object {
    decoded(&good_token(), 1)
}

/// A token of the authority's key over any payload text.
pub(crate) fn signed_text(payload: &str) -> String {
    signed_by(&signing_key(&ATTESTATION), &header(), payload)
}

pub(crate) fn signed(payload: &Object) -> String {
    signed_text(&payload.to_json())
}

/// A token of any key under any header.
pub(crate) fn signed_by(key: &SigningKey, header: &str, payload: &str) -> String {
    ProtectedHeader::new(header).sign(payload.as_bytes(), key).unwrap()
}

/// The header of the authority's tokens.
pub(crate) fn header() -> String {
    Object::new().with("alg", "RS256").with("kid", signer().kid()).to_json()
}

pub(crate) fn signer() -> &'static TokenSigner {
    static SIGNER: OnceLock<TokenSigner> = OnceLock::new();
    SIGNER.get_or_init(|| TokenSigner::new(issuer(ISSUER), signing_key(&ATTESTATION)))
}

/// Another authority that the vault trusts as well.
pub(crate) fn other_signer() -> &'static TokenSigner {
    static SIGNER: OnceLock<TokenSigner> = OnceLock::new();
    SIGNER.get_or_init(|| TokenSigner::new(issuer(OTHER_ISSUER), signing_key(&ATTACKER)))
}

pub(crate) fn authority() -> Authority {
    Authority::built_in(signer()).unwrap()
}

pub(crate) fn issuer(text: &str) -> IssuerUrl {
    IssuerUrl::parse(text).unwrap()
}

/// One of the RSA keys of these tests: made once, read anew each time, since it cannot be cloned.
pub(crate) fn signing_key(place: &OnceLock<Zeroizing<Vec<u8>>>) -> SigningKey {
    let pkcs8 = place.get_or_init(|| SigningKey::generate(Algorithm::Rs256).unwrap().to_pkcs8().unwrap());
    SigningKey::from_pkcs8(Algorithm::Rs256, pkcs8).unwrap()
}

/// Signs tokens of [`ISSUER`].
pub(crate) static ATTESTATION: OnceLock<Zeroizing<Vec<u8>>> = OnceLock::new();
/// Signs release answers.
pub(crate) static SERVICE: OnceLock<Zeroizing<Vec<u8>>> = OnceLock::new();
/// Signs what an attacker forges, and tokens of [`OTHER_ISSUER`].
pub(crate) static ATTACKER: OnceLock<Zeroizing<Vec<u8>>> = OnceLock::new();

/// A token as believed by the vault's own function.
pub(crate) fn trusted(token: &str) -> TrustedResult {
    authority().verify(token, at(NOW)).unwrap()
}

/// A key like this one, changed.
pub(crate) fn edited(key: &Key, edit: impl FnOnce(&mut KeyHead, &mut KeyVersion)) -> Key {
    let (mut head, mut version) = (KeyHead::clone(&key.head), KeyVersion::clone(&key.version));
    edit(&mut head, &mut version);
    Key { head: Arc::new(head), version: Arc::new(version) }
}

/// Part 0 (header) or 1 (payload) of a JWS, as the text it is.
pub(crate) fn part(jws: &str, index: usize) -> String {
    String::from_utf8(b64::decode(jws.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

pub(crate) fn decoded(jws: &str, index: usize) -> Object {
    object(&part(jws, index))
}

pub(crate) fn object(text: &str) -> Object {
    json::parse(text.as_bytes(), &skerry_jose::limits::JSON).unwrap().into_object().unwrap()
}

/// A value from its JSON.
pub(crate) fn value(text: &str) -> Value {
    object(&format!(r#"{{"v":{text}}}"#)).remove("v").unwrap()
}

/// The text at a path of members.
pub(crate) fn path<'a>(object: &'a Object, path: &[&str]) -> &'a Value {
    let (first, rest) = path.split_first().unwrap();
    object.get(first).and_then(|value| value.get(rest)).unwrap()
}

pub(crate) fn text<'a>(object: &'a Object, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn sha256(text: impl AsRef<[u8]>) -> [u8; 32] {
    digest::digest(&digest::SHA256, text.as_ref()).as_ref().try_into().unwrap()
}
