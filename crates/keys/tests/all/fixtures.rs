//! A TEE, an authority that believes it, a log and a vault's key.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use skerry_attestation_result::{AttestationResult, Authority, IssuerUrl, Provenance, TokenSigner};
use skerry_audit::{Entry, Event, Limits, Log, Recorded, Verdict};
use skerry_jose::json::{Object, Value};
use skerry_jose::{Algorithm as Jwa, SigningKey, b64};
use skerry_keys::{Binding, ExportableKey, KeyType, ReleaseError, ReleasedKey, SealedMaterial, Software, release};
use skerry_keywrap::{Algorithm, Plaintext, UnwrapKey, unwrap};
use skerry_policy::permit::{Denied, KeyRef, Permit, Terms, VaultFloor, Version, permit};
use skerry_policy::release::Policy;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use uuid::Uuid;
use zeroize::Zeroizing;

pub(crate) const KEK_ID: [u8; 16] = [0xee; 16];
const ISSUER: &str = "https://attest.example";
const POLICY: &str = r#"{"version":"1.0.0","anyOf":[{"authority":"https://attest.example",
    "allOf":[{"claim":"x-ms-attestation-type","equals":"sevsnpvm"}]}]}"#;

pub(crate) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([11; 32])
}

pub(crate) fn custody() -> Software {
    Software::new(Zeroizing::new([0x77; 32]), KEK_ID)
}

pub(crate) fn key_ref() -> KeyRef {
    KeyRef { vault: Uuid::from_bytes([1; 16]), key: Uuid::from_bytes([2; 16]), version: Version([3; 16]) }
}

pub(crate) fn binding(key_type: KeyType) -> Binding {
    Binding { key: key_ref(), key_type, exportable: true }
}

/// The TEE's private key.
pub(crate) fn tee() -> &'static UnwrapKey {
    static TEE: OnceLock<UnwrapKey> = OnceLock::new();
    TEE.get_or_init(|| UnwrapKey::generate(2048).unwrap())
}

/// A permit for this key, to the TEE's key.
pub(crate) fn permit_for(key: KeyRef) -> Permit {
    let (n, e) = tee().public_components();
    permit_to(key, n, e)
}

/// A permit for this key, to any public key that a token may carry.
pub(crate) fn permit_to(key: KeyRef, n: &[u8], e: &[u8]) -> Permit {
    decide(key, n, e).unwrap()
}

/// The decision on this key, for a token that carries any public key.
pub(crate) fn decide(key: KeyRef, n: &[u8], e: &[u8]) -> Result<Permit, Denied> {
    let issuer = IssuerUrl::parse(ISSUER).unwrap();
    let result = AttestationResult::assertion(issuer, claims(n, e), Provenance::Real, now());
    let token = signer().sign(&result, [9; 32]).unwrap();
    let authority = Authority::built_in(signer()).unwrap();
    let result = authority.verify(token.as_str(), now()).unwrap();
    let terms = Terms {
        key,
        policy: &Policy::parse(POLICY.as_bytes(), &skerry_policy::limits::Limits::default()).unwrap(),
        generation: 1,
        min_iat: 0,
        floor: &VaultFloor::default(),
    };
    permit(&terms, &result, now())
}

fn claims(n: &[u8], e: &[u8]) -> Object {
    let jwk = Object::new()
        .with("e", b64::encode(e))
        .with("key_ops", vec!["encrypt"])
        .with("kid", "tee-key")
        .with("kty", "RSA")
        .with("n", b64::encode(n));
    let runtime = Object::new().with("keys", Value::Array(vec![jwk.into()]));
    Object::new().with("x-ms-attestation-type", "sevsnpvm").with("x-ms-runtime", runtime)
}

fn signer() -> &'static TokenSigner {
    static SIGNER: OnceLock<TokenSigner> = OnceLock::new();
    SIGNER.get_or_init(|| {
        let key = SigningKey::generate(Jwa::Rs256).unwrap();
        TokenSigner::new(IssuerUrl::parse(ISSUER).unwrap(), key)
    })
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

/// An audit log in a folder of its own.
pub(crate) struct Audit {
    log: Log,
    _dir: TempDir,
}

pub(crate) fn audit() -> Audit {
    let dir = TempDir::new().unwrap();
    Audit { log: Log::create(dir.path(), Limits::default(), &mut rng()).unwrap(), _dir: dir }
}

impl Audit {
    pub(crate) fn record(&self, event: Event, subject: &[u8; 32]) -> Recorded {
        let entry = Entry {
            event,
            at: now(),
            subject: *subject,
            who: "tester".to_owned(),
            request: "1".to_owned(),
            vault: None,
            key: None,
            version: None,
            token: None,
            evidence: None,
            measurement: None,
            policy: None,
            verdict: Verdict::Permitted,
            explanation: String::new(),
        };
        self.log.record(&entry).unwrap()
    }
}

/// Releases to the TEE what is sealed, by the whole way.
pub(crate) fn released(
    sealed: &SealedMaterial,
    binding: &Binding,
    algorithm: Algorithm,
) -> Result<ReleasedKey, ReleaseError> {
    let permit = permit_for(binding.key);
    let recorded = audit().record(Event::Release, permit.digest());
    let key = ExportableKey::new(sealed, binding)?;
    release(&custody(), key, permit, recorded, algorithm, &mut rng())
}

/// What the TEE finds in it.
pub(crate) fn material(sealed: &SealedMaterial, binding: &Binding) -> Plaintext {
    let algorithm = Algorithm::RsaAesKeyWrap256;
    let released = released(sealed, binding, algorithm).unwrap();
    unwrap(algorithm, tee(), released.ciphertext()).unwrap()
}
