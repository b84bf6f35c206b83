//! A vault's certificate, and an answer that holds.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, SanType, date_time_ymd,
};
use skerry_client::{Asked, ReleaseAnswerError, Roots, VerifiedRelease};
use skerry_jose::json::{self, Object};
use skerry_jose::{Algorithm, ProtectedHeader, PublicKey, RsaPublicKey, SigningKey, b64};
use skerry_keywrap::{Algorithm as Wrap, Plaintext, UnwrapKey};
use zeroize::Zeroizing;

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const HOST: &str = "vault.example";
pub(crate) const KID: &str = "https://vault.example/keys/payments";
pub(crate) const VERSION: &str = "0123456789abcdef0123456789ABCDEF";
pub(crate) const TOKEN: &str = "e30.e30.e30";
pub(crate) const SECRET: [u8; 32] = [0x5a; 32];

/// What the answers here were asked for by.
pub(crate) const ASKED: Asked<'static> = Asked {
    host: HOST,
    kid: KID,
    nonce: Some("nonce"),
    algorithm: Wrap::RsaAesKeyWrap256,
    token: TOKEN,
    target_kid: "tee-key",
};

pub(crate) type Outcome = Result<VerifiedRelease, ReleaseAnswerError>;

pub(crate) fn verify(answer: &str) -> Outcome {
    verify_as(answer, &ASKED)
}

pub(crate) fn verify_as(answer: &str, asked: &Asked<'_>) -> Outcome {
    VerifiedRelease::verify(answer, asked, &pki().roots, at(NOW))
}

/// The refusal of an answer with this payload.
pub(crate) fn refused(payload: &Object) -> ReleaseAnswerError {
    verify(&answer(payload)).unwrap_err()
}

/// A payload that holds, in the members that the client reads.
pub(crate) fn payload() -> Object {
    let key = Object::new()
        .with("kid", format!("{KID}/{VERSION}"))
        .with("kty", "oct-HSM")
        .with("key_ops", vec!["encrypt"])
        .with("key_hsm", b64::encode(key_hsm().to_json()));
    let request = Object::new().with("enc", ASKED.algorithm.as_str()).with("kid", KID).with("nonce", "nonce");
    Object::new()
        .with("request", request)
        .with("response", Object::new().with("key", Object::new().with("key", key)))
        .with("x-skerry-receipt", receipt())
}

pub(crate) fn key_hsm() -> Object {
    static CIPHERTEXT: OnceLock<String> = OnceLock::new();
    let ciphertext = CIPHERTEXT.get_or_init(|| {
        let secret = Plaintext::new(Zeroizing::new(SECRET.to_vec()));
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        b64::encode(skerry_keywrap::wrap(ASKED.algorithm, tee().target(), &secret, &mut rng).unwrap())
    });
    Object::new()
        .with("schema_version", "1.0")
        .with("header", Object::new().with("kid", "tee-key").with("enc", ASKED.algorithm.as_str()))
        .with("ciphertext", ciphertext.as_str())
}

pub(crate) fn receipt() -> Object {
    let (n, e) = tee().public_components();
    Object::new()
        .with("token_digest", b64::encode(digest::digest(&digest::SHA256, TOKEN.as_bytes())))
        .with("policy_digest", b64::encode([2; 32]))
        .with("policy_generation", 3_u64)
        .with("target_thumbprint", PublicKey::Rsa(RsaPublicKey::new(n, e).unwrap()).thumbprint())
        .with("audit_index", 4_u64)
        .with("audit_leaf", b64::encode([5; 32]))
}

/// A release that holds, whose receipt is for this policy and record.
pub(crate) fn release_with_receipt(policy: [u8; 32], index: u64, leaf: [u8; 32]) -> VerifiedRelease {
    let receipt = receipt().with("policy_digest", b64::encode(policy)).with("audit_index", index);
    let receipt = receipt.with("audit_leaf", b64::encode(leaf));
    verify(&answer(&payload().with("x-skerry-receipt", receipt))).unwrap()
}

pub(crate) fn digest_of_token() -> Vec<u8> {
    digest::digest(&digest::SHA256, TOKEN.as_bytes()).as_ref().to_vec()
}

pub(crate) fn tee() -> &'static UnwrapKey {
    static TEE: OnceLock<UnwrapKey> = OnceLock::new();
    TEE.get_or_init(|| UnwrapKey::generate(2048).unwrap())
}

/// The object at a path, to be spoilt.
pub(crate) fn at_path<'a>(object: &'a mut Object, path: &[&str]) -> &'a mut Object {
    path.iter().fold(object, |object, name| object.get_mut(name).unwrap().as_object_mut().unwrap())
}

/// An answer of the vault's key over this payload.
pub(crate) fn answer(payload: &Object) -> String {
    signed(&header(&pki().chain), &payload.to_json())
}

pub(crate) fn signed(header: &Object, payload: &str) -> String {
    ProtectedHeader::new(&header.to_json()).sign(payload.as_bytes(), &service()).unwrap()
}

pub(crate) fn header(chain: &[Vec<u8>]) -> Object {
    let x5c: Vec<String> = chain.iter().map(b64::encode_standard).collect();
    Object::new().with("alg", "RS256").with("x5c", x5c)
}

pub(crate) fn object(text: &str) -> Object {
    json::parse(text.as_bytes(), &skerry_jose::limits::JSON).unwrap().into_object().unwrap()
}

/// A root, and the vault's chain under it.
pub(crate) struct Pki {
    pub(crate) roots: Roots,
    pub(crate) root_der: Vec<u8>,
    pub(crate) chain: Vec<Vec<u8>>,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    /// Everything new, under a root of this name.
    pub(crate) fn new(name: &str) -> Pki {
        let key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::default();
        root.distinguished_name.push(DnType::CommonName, name);
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        in_date(&mut root, NOW - 100, NOW + 1_000);
        let root_der = root.self_signed(&key).unwrap().der().to_vec();
        let mut pki =
            Pki { roots: Roots::new(&root_der).unwrap(), root_der, chain: Vec::new(), issuer: Issuer::new(root, key) };
        pki.chain = pki.leaf(|_| {});
        pki
    }

    /// A chain for the vault's key, with some of the leaf changed.
    pub(crate) fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Vec<Vec<u8>> {
        let pkcs8 = service().to_pkcs8().unwrap();
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.as_slice().into(), &PKCS_RSA_SHA256).unwrap();
        self.leaf_for(&key, change)
    }

    pub(crate) fn leaf_for(&self, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Vec<Vec<u8>> {
        let mut leaf = CertificateParams::default();
        leaf.subject_alt_names = vec![SanType::DnsName(HOST.try_into().unwrap())];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        in_date(&mut leaf, NOW - 100, NOW + 100);
        change(&mut leaf);
        vec![leaf.signed_by(key, &self.issuer).unwrap().der().to_vec(), self.root_der.clone()]
    }
}

pub(crate) fn in_date(params: &mut CertificateParams, from: u64, to: u64) {
    params.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(from);
    params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(to);
}

pub(crate) fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| Pki::new("root"))
}

/// The vault's key, read anew each time, since it cannot be cloned.
pub(crate) fn service() -> SigningKey {
    static PKCS8: OnceLock<Zeroizing<Vec<u8>>> = OnceLock::new();
    let pkcs8 = PKCS8.get_or_init(|| SigningKey::generate(Algorithm::Rs256).unwrap().to_pkcs8().unwrap());
    SigningKey::from_pkcs8(Algorithm::Rs256, pkcs8).unwrap()
}

pub(crate) fn at(secs: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(secs)
}
