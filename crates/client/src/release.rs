//! The release answer: a JWS over the wrapped key, in the vault's or the Managed HSM's form.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use skerry_jose::json::{self, Object, Value};
use skerry_jose::{Algorithm, JwkError, JwsError, PublicKey, Unverified, VerifyingKey, b64};
use skerry_keywrap::{Algorithm as WrapAlgorithm, Plaintext, UnwrapError, UnwrapKey};
use subtle::ConstantTimeEq as _;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};

use crate::limits;
use crate::proof::{ProvedRelease, RecordProofError};
use crate::receipt::{Receipt, ReceiptError};

/// Why a release answer is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum ReleaseAnswerError {
    #[error("the root certificate cannot be read")]
    Root,
    #[error("{0:?} is not a host name")]
    Host(String),
    #[error("answer")]
    Jws(#[from] JwsError),
    #[error("header x5c is missing, empty, too long or malformed")]
    Chain,
    #[error("certificate chain: {0}")]
    Untrusted(String),
    #[error("the certificate is not for {host}")]
    Name { host: String },
    #[error("key {kid} is not of the vault {asked}")]
    OtherHost { asked: String, kid: String },
    #[error("the certificate's key")]
    LeafKey(#[source] JwkError),
    #[error("payload member {0} is missing or malformed")]
    Member(&'static str),
    #[error("answer is for key {seen}, asked for {asked}")]
    Key { asked: String, seen: String },
    #[error("answer repeats another nonce than the one sent")]
    Nonce,
    #[error("answer is wrapped with {0:?}, which is not a known algorithm")]
    WrapAlgorithm(String),
    #[error("answer is wrapped with {seen}, asked for {asked}")]
    OtherWrapAlgorithm { asked: &'static str, seen: &'static str },
    #[error("answer is wrapped to key {seen:?}, not to {asked:?}")]
    TargetKid { asked: String, seen: String },
    #[error("receipt")]
    Receipt(#[from] ReceiptError),
    #[error("receipt is for another token")]
    OtherToken,
    #[error("receipt is for another target key")]
    OtherTarget,
    #[error("unwrap")]
    Unwrap(#[source] UnwrapError),
}

/// The roots under which a vault's certificate must be. Configuration inside the TEE vouches for them.
#[derive(Debug, Clone)]
pub struct Roots(Vec<TrustAnchor<'static>>);

impl Roots {
    /// Reads one root certificate, DER.
    pub fn new(root_der: &[u8]) -> Result<Roots, ReleaseAnswerError> {
        let der = CertificateDer::from(root_der);
        let anchor = anchor_from_trusted_cert(&der).map_err(|_| ReleaseAnswerError::Root)?;
        Ok(Roots(vec![anchor.to_owned()]))
    }

    /// Reads one root certificate or several, PEM.
    pub fn from_pem(text: &[u8]) -> Result<Roots, ReleaseAnswerError> {
        let anchor = |der: Result<CertificateDer<'_>, _>| {
            let der = der.map_err(|_| ReleaseAnswerError::Root)?;
            anchor_from_trusted_cert(&der).map(|anchor| anchor.to_owned()).map_err(|_| ReleaseAnswerError::Root)
        };
        let anchors: Vec<_> = CertificateDer::pem_slice_iter(text).map(anchor).collect::<Result<_, _>>()?;
        if anchors.is_empty() { Err(ReleaseAnswerError::Root) } else { Ok(Roots(anchors)) }
    }

    /// Reads what can be read of a system's bundle of roots, PEM: some have certificates of forms that nobody needs here. One
    /// at least there must be.
    pub fn from_bundle(text: &[u8]) -> Result<Roots, ReleaseAnswerError> {
        let anchor = |der: CertificateDer<'_>| anchor_from_trusted_cert(&der).map(|anchor| anchor.to_owned()).ok();
        let anchors: Vec<_> = CertificateDer::pem_slice_iter(text).flatten().filter_map(anchor).collect();
        if anchors.is_empty() { Err(ReleaseAnswerError::Root) } else { Ok(Roots(anchors)) }
    }

    pub(crate) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.0
    }
}

/// What was asked for, by which the answer is judged.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Host name of the vault, without port.
    pub host: &'a str,
    /// Key identifier as addressed, with or without version: `https://host[:port]/keys/name[/version]`.
    pub kid: &'a str,
    /// The nonce that was sent, if one was.
    pub nonce: Option<&'a str>,
    /// The wrapping that was asked for.
    pub algorithm: WrapAlgorithm,
    /// The attestation token that was sent.
    pub token: &'a str,
    /// The kid under which the TEE's key stands in that token.
    pub target_kid: &'a str,
}

/// An answer that holds, with the key still wrapped.
#[derive(Debug)]
pub struct VerifiedRelease {
    kid: String,
    kty: String,
    key_ops: Vec<String>,
    algorithm: WrapAlgorithm,
    ciphertext: Vec<u8>,
    policy: Option<Vec<u8>>,
    signer: String,
    receipt: Receipt,
}

impl VerifiedRelease {
    /// Checks everything in `answer` against what was asked. `now` is the caller's clock.
    pub fn verify(answer: &str, asked: &Asked<'_>, roots: &Roots, now: SystemTime) -> Result<Self, ReleaseAnswerError> {
        let unverified = Unverified::parse(answer, &limits::jws())?;
        let chain = chain(unverified.header().members())?;
        let (leaf, signer) = trusted_leaf(&chain, asked.host, roots, now)?;
        check_host(asked.host, asked.kid)?;
        let key = VerifyingKey::new("x5c", &leaf, Some(Algorithm::Rs256)).map_err(ReleaseAnswerError::LeafKey)?;
        let payload = unverified.verify(&key)?.into_claims();
        Self::read(&payload, asked, signer)
    }

    /// The key identifier, with version.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key's type as the answer says: `RSA-HSM`, `EC`, ...
    pub fn kty(&self) -> &str {
        &self.kty
    }

    /// What the key may be used for.
    pub fn key_ops(&self) -> &[String] {
        &self.key_ops
    }

    /// The text of the release policy that the answer repeats. The receipt has the digest of the one that held.
    pub fn policy(&self) -> Option<&[u8]> {
        self.policy.as_deref()
    }

    /// Whom the signer's certificate is for (RFC 4514); it is under a root, and names the host.
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// The receipt.
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// Checks the proof that came with the answer: that the log with this key has the record which the receipt names, and that
    /// this is the record of this release. Configuration inside the TEE vouches for the key.
    pub fn prove(
        &self,
        proof: Option<&str>,
        log: &skerry_tlog::VerifyingKey,
    ) -> Result<ProvedRelease, RecordProofError> {
        let version = self.kid.rsplit('/').next().unwrap_or_default();
        ProvedRelease::verify(proof, (&self.receipt, version), log)
    }

    /// Unwraps the key with the TEE's private key: PKCS#8 for RSA and EC, raw octets for oct. The receipt must name the
    /// public half of that very key.
    pub fn unwrap(&self, key: &UnwrapKey) -> Result<Plaintext, ReleaseAnswerError> {
        let (n, e) = key.public_components();
        let public = skerry_jose::RsaPublicKey::new(n, e).map_err(ReleaseAnswerError::LeafKey)?;
        if PublicKey::Rsa(public).thumbprint() != self.receipt.target_thumbprint {
            return Err(ReleaseAnswerError::OtherTarget);
        }
        skerry_keywrap::unwrap(self.algorithm, key, &self.ciphertext).map_err(ReleaseAnswerError::Unwrap)
    }

    fn read(payload: &Object, asked: &Asked<'_>, signer: String) -> Result<Self, ReleaseAnswerError> {
        let request = member_object(payload, "request")?;
        check_request(request, asked)?;
        let bundle = member_object(member_object(payload, "response")?, "key")?;
        let key = member_object(bundle, "key")?;
        let kid = member_text(key, "kid")?;
        if !is_version_of(kid, asked.kid) {
            return Err(ReleaseAnswerError::Key { asked: asked.kid.to_owned(), seen: kid.to_owned() });
        }
        let algorithm = wrap_algorithm(member_text(request, "enc")?, asked)?;
        let receipt = Receipt::read(payload)?;
        let sent = digest::digest(&digest::SHA256, asked.token.as_bytes());
        if !bool::from(receipt.token_digest.ct_eq(sent.as_ref())) {
            return Err(ReleaseAnswerError::OtherToken);
        }
        Ok(VerifiedRelease {
            kid: kid.to_owned(),
            kty: member_text(key, "kty")?.to_owned(),
            key_ops: key_ops(key)?,
            algorithm,
            ciphertext: ciphertext(member_text(key, "key_hsm")?, asked)?,
            policy: policy(bundle)?,
            signer,
            receipt,
        })
    }
}

fn chain(header: &Object) -> Result<Vec<Vec<u8>>, ReleaseAnswerError> {
    let chain = header.get("x5c").and_then(Value::as_array).ok_or(ReleaseAnswerError::Chain)?;
    if chain.is_empty() || chain.len() > limits::CERTIFICATES_MAX {
        return Err(ReleaseAnswerError::Chain);
    }
    let decode = |one: &Value| one.as_str().and_then(|text| b64::decode_standard(text).ok());
    chain.iter().map(decode).collect::<Option<_>>().ok_or(ReleaseAnswerError::Chain)
}

/// The leaf's key and subject iff the chain ends at a root, is in date, is for servers, and names the host.
pub(crate) fn trusted_leaf(
    chain: &[Vec<u8>],
    host: &str,
    roots: &Roots,
    now: SystemTime,
) -> Result<(PublicKey, String), ReleaseAnswerError> {
    let name = ServerName::try_from(host).map_err(|_| ReleaseAnswerError::Host(host.to_owned()))?;
    let (leaf, rest) = chain.split_first().ok_or(ReleaseAnswerError::Chain)?;
    let rest: Vec<CertificateDer<'_>> = rest.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let leaf_der = CertificateDer::from(leaf.as_slice());
    let leaf_cert = EndEntityCert::try_from(&leaf_der).map_err(|_| ReleaseAnswerError::Chain)?;
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    leaf_cert
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &roots.0,
            &rest,
            UnixTime::since_unix_epoch(since),
            KeyUsage::server_auth(),
            None,
            None,
        )
        .map_err(|error| ReleaseAnswerError::Untrusted(error.to_string()))?;
    leaf_cert
        .verify_is_valid_for_subject_name(&name)
        .map_err(|_| ReleaseAnswerError::Name { host: host.to_owned() })?;
    let leaf = Certificate::from_der(leaf).map_err(|_| ReleaseAnswerError::Chain)?;
    let spki = leaf.tbs_certificate().subject_public_key_info().to_der().map_err(|_| ReleaseAnswerError::Chain)?;
    let key = PublicKey::from_spki_der(&spki).map_err(ReleaseAnswerError::LeafKey)?;
    Ok((key, leaf.tbs_certificate().subject().to_string()))
}

fn check_request(request: &Object, asked: &Asked<'_>) -> Result<(), ReleaseAnswerError> {
    let seen = member_text(request, "kid")?;
    if seen != asked.kid {
        return Err(ReleaseAnswerError::Key { asked: asked.kid.to_owned(), seen: seen.to_owned() });
    }
    match request.get("nonce").map(Value::as_str) {
        None if asked.nonce.is_none() => Ok(()),
        Some(seen) if seen == asked.nonce && seen.is_some() => Ok(()),
        _ => Err(ReleaseAnswerError::Nonce),
    }
}

/// The answer's key is the one asked for, or a version of it. Names of hosts and keys do not differ by case.
pub(crate) fn is_version_of(seen: &str, asked: &str) -> bool {
    let Some((key, version)) = seen.split_at_checked(asked.len()) else { return false };
    let is_version = |version: &str| version.len() == 32 && version.bytes().all(|byte| byte.is_ascii_hexdigit());
    key.eq_ignore_ascii_case(asked) && (version.is_empty() || version.strip_prefix('/').is_some_and(is_version))
}

/// The key that is asked for must be the very vault's whose certificate is checked.
pub(crate) fn check_host(asked: &str, kid: &str) -> Result<(), ReleaseAnswerError> {
    let authority = kid.strip_prefix("https://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    match host.eq_ignore_ascii_case(asked) {
        true => Ok(()),
        false => Err(ReleaseAnswerError::OtherHost { asked: asked.to_owned(), kid: kid.to_owned() }),
    }
}

fn wrap_algorithm(name: &str, asked: &Asked<'_>) -> Result<WrapAlgorithm, ReleaseAnswerError> {
    let unknown = || ReleaseAnswerError::WrapAlgorithm(name.to_owned());
    let seen = WrapAlgorithm::parse(name).map_err(|_| unknown())?;
    match seen == asked.algorithm {
        true => Ok(seen),
        false => Err(ReleaseAnswerError::OtherWrapAlgorithm { asked: asked.algorithm.as_str(), seen: seen.as_str() }),
    }
}

fn ciphertext(key_hsm: &str, asked: &Asked<'_>) -> Result<Vec<u8>, ReleaseAnswerError> {
    let malformed = ReleaseAnswerError::Member("key_hsm");
    let blob = b64::decode(key_hsm).map_err(|_| malformed.clone())?;
    let blob = json::parse(&blob, &skerry_jose::limits::JSON).ok().and_then(Value::into_object).ok_or(malformed)?;
    let header = member_object(&blob, "header")?;
    let seen = member_text(header, "kid")?;
    if seen != asked.target_kid {
        return Err(ReleaseAnswerError::TargetKid { asked: asked.target_kid.to_owned(), seen: seen.to_owned() });
    }
    if member_text(header, "enc")? != asked.algorithm.as_str() {
        return Err(ReleaseAnswerError::Member("enc"));
    }
    b64::decode(member_text(&blob, "ciphertext")?).map_err(|_| ReleaseAnswerError::Member("ciphertext"))
}

fn policy(bundle: &Object) -> Result<Option<Vec<u8>>, ReleaseAnswerError> {
    let Some(policy) = bundle.get("release_policy") else { return Ok(None) };
    let data = policy.get(&["data"]).and_then(Value::as_str).and_then(|data| b64::decode_lenient(data).ok());
    data.map(Some).ok_or(ReleaseAnswerError::Member("release_policy"))
}

fn key_ops(key: &Object) -> Result<Vec<String>, ReleaseAnswerError> {
    let malformed = ReleaseAnswerError::Member("key_ops");
    let Some(operations) = key.get("key_ops") else { return Ok(Vec::new()) };
    let operations = operations.as_array().ok_or(malformed.clone())?;
    operations.iter().map(|one| one.as_str().map(str::to_owned)).collect::<Option<_>>().ok_or(malformed)
}

fn member_object<'a>(object: &'a Object, name: &'static str) -> Result<&'a Object, ReleaseAnswerError> {
    object.get(name).and_then(Value::as_object).ok_or(ReleaseAnswerError::Member(name))
}

fn member_text<'a>(object: &'a Object, name: &'static str) -> Result<&'a str, ReleaseAnswerError> {
    object.get(name).and_then(Value::as_str).ok_or(ReleaseAnswerError::Member(name))
}
