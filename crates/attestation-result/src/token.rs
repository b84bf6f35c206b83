//! The attestation token: an attestation result as a signed JWT, byte for byte in the form of Microsoft Azure Attestation.
//!
//! Header of exactly four members `alg, jku, kid, typ`; payload members sorted by byte order, compact; `exp - iat` is
//! 28800 s, `nbf` equals `iat`, `jti` is 32 random bytes in lower-case hex; `kid` is base64 of
//! SHA-256(PEM of the public key || 0x00) (observed on two keys of three instances).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use skerry_jose::json::Object;
use skerry_jose::{JwkSet, ProtectedHeader, SigningError, SigningKey, VerifyingKey, b64};

use crate::issuer::IssuerUrl;
use crate::limits::TOKEN_LIFETIME_SECS;
use crate::names;
use crate::result::AttestationResult;

/// A signed token in compact form, made by [`TokenSigner::sign`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationToken(String);

impl AttestationToken {
    /// The compact form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The compact form, owned.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// What a token would say, in its form and signed by nobody, made by [`TokenSigner::draft`]. Its `alg` is `none`, so that
/// no Relying Party believes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftToken(String);

impl DraftToken {
    /// The compact form, whose last part is empty.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The compact form, owned.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// An issuer's name and key, and what follows from them for every token.
pub struct TokenSigner {
    issuer: IssuerUrl,
    key: SigningKey,
    kid: String,
    header: ProtectedHeader,
}

impl TokenSigner {
    /// Binds a signing key to an issuer. `jku` is `<issuer>/certs`.
    pub fn new(issuer: IssuerUrl, key: SigningKey) -> TokenSigner {
        let kid = key_id(key.spki_der());
        let header = ProtectedHeader::new(&header(key.algorithm().name(), &issuer, &kid));
        TokenSigner { issuer, key, kid, header }
    }

    /// The issuer.
    pub fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    /// The key id in every token's header.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half as a key set, for a Relying Party in the same process.
    pub fn key_set(&self) -> Result<JwkSet, SigningError> {
        let key: VerifyingKey = self.key.verifying_key(&self.kid)?;
        Ok(JwkSet::of(vec![key]))
    }

    /// The public half as JWK with its kid.
    pub fn public_jwk(&self) -> Object {
        let mut jwk = self.key.public().to_jwk();
        jwk.insert("kid", self.kid.as_str());
        jwk
    }

    /// Signs a result. `jti` is 32 random bytes of the caller's.
    pub fn sign(&self, result: &AttestationResult, jti: [u8; 32]) -> Result<AttestationToken, SigningError> {
        self.header.sign(self.payload(result, jti).as_bytes(), &self.key).map(AttestationToken)
    }

    /// Writes a result for nobody to believe, as the service answers for a draft policy: `alg` is `none`, `jku` and `kid`
    /// are those of signed tokens, the signature is empty (recorded). `jti` is 32 random bytes of the caller's.
    pub fn draft(&self, result: &AttestationResult, jti: [u8; 32]) -> DraftToken {
        let header = header("none", &self.issuer, &self.kid);
        DraftToken(format!("{}.{}.", b64::encode(header), b64::encode(self.payload(result, jti))))
    }

    fn payload(&self, result: &AttestationResult, jti: [u8; 32]) -> String {
        let issued = unix_secs(result.issued());
        let mut claims = result.claims().clone();
        claims.insert("exp", issued.saturating_add(TOKEN_LIFETIME_SECS));
        claims.insert("iat", issued);
        claims.insert("iss", self.issuer.as_str());
        claims.insert("jti", hex::encode(jti));
        claims.insert("nbf", issued);
        claims.insert(names::VERSION, "1.0");
        claims.sort();
        claims.to_json()
    }
}

/// Four members, sorted.
fn header(algorithm: &str, issuer: &IssuerUrl, kid: &str) -> String {
    let jku = format!("{}/certs", issuer.as_str().trim_end_matches('/'));
    Object::new().with("alg", algorithm).with("jku", jku).with("kid", kid).with("typ", "JWT").to_json()
}

/// Seconds since the epoch, as NumericDate counts them (RFC 7519, 2); times before it count as the epoch itself.
pub fn unix_secs(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// Key id of a public key as the attestation service makes it: base64 of SHA-256(PEM of the SubjectPublicKeyInfo || 0x00).
pub fn key_id(spki_der: &[u8]) -> String {
    let mut text = pem(spki_der).into_bytes();
    text.push(0);
    b64::encode_standard(digest::digest(&digest::SHA256, &text))
}

/// RFC 7468 with 64 columns, LF and a last LF: the form that is hashed.
fn pem(spki_der: &[u8]) -> String {
    let body = b64::encode_standard(spki_der);
    let lines = body.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let lines = lines.fold(String::new(), |text, line| text + &line + "\n");
    format!("-----BEGIN PUBLIC KEY-----\n{lines}-----END PUBLIC KEY-----\n")
}
