//! Certificates as evidence uses them: parsed once, kept as received, signatures checked over the received bytes.
//!
//! This is not a path validator. AMD's certificates have serial number 0, no key usage on leaves and two encodings of the
//! same PSS parameters, which web validators refuse; so each chain is walked by the module that knows its shape
//! ([`crate::snp`], [`crate::uvm`]) with the pieces here. What is deliberately not here: name constraints, policies, OCSP,
//! fetching of anything.

use std::time::SystemTime;

use aws_lc_rs::{
    digest,
    signature::{self, UnparsedPublicKey, VerificationAlgorithm},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use der::{
    Decode, Reader, SliceReader, Tag, TagMode, TagNumber, Tagged,
    asn1::{Any, BitStringRef},
};
use x509_cert::{
    ext::{
        Extension,
        pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage},
    },
    name::Name,
    spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef},
};

use crate::limits::Limits;

/// As errors and extension look-ups name extensions.
pub use der::asn1::ObjectIdentifier;

/// Why a certificate, a bundle or a signature was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum X509Error {
    /// More bytes than the limit allows.
    #[error("input of {len} bytes is over the limit of {len_max}")]
    TooLong {
        /// Bytes offered.
        len: usize,
        /// Bytes allowed.
        len_max: usize,
    },
    /// More certificates than the limit allows.
    #[error("more than {count_max} certificates")]
    TooMany {
        /// Certificates allowed.
        count_max: usize,
    },
    /// A bundle without a certificate.
    #[error("no certificate")]
    Empty,
    /// PEM armour is missing, unbalanced, of another label, or surrounded by something else than white space.
    #[error("malformed pem armour of block {block}")]
    PemArmour {
        /// Index of the block.
        block: usize,
    },
    /// The body of a PEM block is not base64.
    #[error("malformed base64 in pem block {block}")]
    PemBase64 {
        /// Index of the block.
        block: usize,
    },
    /// Not DER, or not the structure expected.
    #[error("malformed der")]
    Der,
    /// RFC 5280, 4.1.1.2: the algorithm inside the signed part differs from the one outside.
    #[error("signature algorithms inside and outside the signed part differ")]
    AlgorithmsDiffer,
    /// RFC 5280, 4.2: an extension occurs twice.
    #[error("extension {oid} occurs twice")]
    DuplicateExtension {
        /// Which extension.
        oid: ObjectIdentifier,
    },
    /// An extension whose content does not parse.
    #[error("extension {oid} is malformed")]
    MalformedExtension {
        /// Which extension.
        oid: ObjectIdentifier,
    },
    /// A signature algorithm, or parameters of one, that is not on the list.
    #[error("signature algorithm is not supported")]
    UnsupportedAlgorithm,
    /// A public key algorithm or curve that is not on the list.
    #[error("public key algorithm is not supported")]
    UnsupportedKey,
    /// The issuer's key cannot have made a signature of this algorithm.
    #[error("signature algorithm does not belong to the key of the issuer")]
    KeyMismatch,
    /// The signature does not verify.
    #[error("signature does not verify")]
    BadSignature,
    /// The budget of signature checks is used up.
    #[error("budget of signature checks is used up")]
    BudgetExhausted,
}

/// Signature checks that may still be made for one stranger.
#[derive(Debug)]
pub struct Budget {
    checks: u32,
}

impl Budget {
    /// A budget of `checks` signature checks.
    pub fn new(checks: u32) -> Self {
        Self { checks }
    }

    /// Takes one check from the budget.
    pub fn spend(&mut self) -> Result<(), X509Error> {
        self.checks = self.checks.checked_sub(1).ok_or(X509Error::BudgetExhausted)?;
        Ok(())
    }

    /// Checks left.
    pub fn remaining(&self) -> u32 {
        self.checks
    }
}

impl From<&Limits> for Budget {
    fn from(limits: &Limits) -> Self {
        Self::new(limits.signature_checks_max)
    }
}

/// An X.509 certificate with the bytes as received (RFC 5280, 4.1).
///
/// Nobody vouches for it: it parses, its extensions are unique and its two algorithm identifiers agree, no more.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    signed: Signed,
    serial: Vec<u8>,
    issuer: DistinguishedName,
    subject: DistinguishedName,
    spki: Vec<u8>,
    not_before: SystemTime,
    not_after: SystemTime,
    extensions: Vec<Extension>,
}

impl Certificate {
    /// Parses one DER certificate without trailing bytes.
    pub fn from_der(der: &[u8], limits: &Limits) -> Result<Self, X509Error> {
        within(der.len(), limits.certificate_bytes_max)?;
        let parsed = x509_cert::Certificate::from_der(der).map_err(malformed)?;
        let tbs = parsed.tbs_certificate();
        let signed = Signed::from_der(der)?;
        let raw = RawTbs::from_der(&signed.tbs).map_err(malformed)?;
        if raw.algorithm != signed.algorithm.as_slice() {
            return Err(X509Error::AlgorithmsDiffer);
        }
        let extensions = tbs.extensions().cloned().unwrap_or_default();
        refuse_duplicates(&extensions)?;
        Ok(Self {
            der: der.to_vec(),
            serial: tbs.serial_number().as_bytes().to_vec(),
            issuer: DistinguishedName::new(raw.issuer, tbs.issuer()),
            subject: DistinguishedName::new(raw.subject, tbs.subject()),
            spki: raw.spki.to_vec(),
            not_before: tbs.validity().not_before.to_system_time(),
            not_after: tbs.validity().not_after.to_system_time(),
            extensions,
            signed,
        })
    }

    /// Parses a PEM bundle: `CERTIFICATE` blocks with LF or CRLF and white space around and between them, nothing else.
    pub fn from_pem_bundle(pem: &[u8], limits: &Limits) -> Result<Vec<Self>, X509Error> {
        within(pem.len(), limits.pem_bytes_max)?;
        let blocks = pem_blocks(pem, limits.certificates_max)?;
        blocks.iter().map(|der| Self::from_der(der, limits)).collect()
    }

    /// The certificate as received.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The signed part as received.
    pub fn tbs(&self) -> &[u8] {
        &self.signed.tbs
    }

    /// SubjectPublicKeyInfo as received.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of SubjectPublicKeyInfo as received: what anchors are pinned by.
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&self.spki)
    }

    /// Content octets of the serial number; one zero byte for AMD's VEKs.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// Issuer name.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.issuer
    }

    /// Subject name.
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// First second of validity.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// Last second of validity.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// The algorithm that the signature claims to be made with.
    pub fn signature_algorithm(&self) -> Result<SignatureAlgorithm, X509Error> {
        self.signed.signature_algorithm()
    }

    /// The public key's kind and bits.
    pub fn public_key(&self) -> Result<PublicKey<'_>, X509Error> {
        PublicKey::from_spki(&self.spki)
    }

    /// Content of the extension `oid`, if present.
    pub fn extension(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        let found = self.extensions.iter().find(|e| e.extn_id == oid)?;
        Some(found.extn_value.as_bytes())
    }

    /// The first critical extension that is not in `known`, if any. RFC 5280, 4.2 wants such a certificate refused.
    pub fn critical_extension_outside(&self, known: &[ObjectIdentifier]) -> Option<ObjectIdentifier> {
        critical_outside(&self.extensions, known)
    }

    /// RFC 5280, 4.2.1.9.
    pub fn basic_constraints(&self) -> Result<Option<BasicConstraints>, X509Error> {
        self.decode(BASIC_CONSTRAINTS)
    }

    /// RFC 5280, 4.2.1.3.
    pub fn key_usage(&self) -> Result<Option<KeyUsage>, X509Error> {
        self.decode(KEY_USAGE)
    }

    /// RFC 5280, 4.2.1.12; empty when absent.
    pub fn extended_key_usage(&self) -> Result<Vec<ObjectIdentifier>, X509Error> {
        Ok(self.decode::<ExtendedKeyUsage>(EXTENDED_KEY_USAGE)?.map(|e| e.0).unwrap_or_default())
    }

    /// Whether the certificate says it may issue others: basic constraints with `cA`, and `keyCertSign` where key usage is given.
    pub fn is_ca(&self) -> Result<bool, X509Error> {
        let ca = self.basic_constraints()?.is_some_and(|b| b.ca);
        let signs = self.key_usage()?.is_none_or(|u| u.key_cert_sign());
        Ok(ca && signs)
    }

    /// Whether the key may sign CRLs: `cRLSign` where key usage is given.
    pub fn may_sign_crl(&self) -> Result<bool, X509Error> {
        Ok(self.key_usage()?.is_none_or(|u| u.crl_sign()))
    }

    /// Whether this certificate names `issuer` as its issuer. Names are compared as received, byte for byte.
    pub fn names_as_issuer(&self, issuer: &Certificate) -> bool {
        self.issuer.der == issuer.subject.der
    }

    /// Whether subject and issuer are the same name.
    pub fn is_self_issued(&self) -> bool {
        self.issuer.der == self.subject.der
    }

    fn decode<'a, T: Decode<'a>>(&'a self, oid: ObjectIdentifier) -> Result<Option<T>, X509Error> {
        let Some(content) = self.extension(oid) else { return Ok(None) };
        T::from_der(content).map(Some).map_err(|_| X509Error::MalformedExtension { oid })
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.subject)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

/// Checks the signature of `cert` over its signed bytes as received with the key `issuer_spki`.
///
/// `Ok` iff algorithm and key belong together and the signature verifies. The caller vouches for the key, and checks names,
/// dates and CA-ness.
pub fn verify_signature(cert: &Certificate, issuer_spki: &[u8], budget: &mut Budget) -> Result<(), X509Error> {
    cert.signed.verify(issuer_spki, budget)
}

/// A name as received, and its common name if it has exactly one.
#[derive(Clone, PartialEq, Eq)]
pub struct DistinguishedName {
    der: Vec<u8>,
    common_name: Option<String>,
}

impl DistinguishedName {
    pub(crate) fn new(der: &[u8], name: &Name) -> Self {
        Self { der: der.to_vec(), common_name: only_common_name(name) }
    }

    /// The name as received, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The common name, iff there is exactly one and it is a UTF8String, PrintableString or IA5String.
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }
}

impl std::fmt::Debug for DistinguishedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DistinguishedName").field(&self.common_name).finish()
    }
}

/// Signature algorithms that certificates of evidence are made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// RFC 4055, 3.1: RSASSA-PSS with SHA-384, MGF1-SHA-384, salt of 48 bytes.
    RsaPssSha384,
    /// RFC 4055, 5: sha256WithRSAEncryption.
    RsaPkcs1Sha256,
    /// RFC 4055, 5: sha384WithRSAEncryption.
    RsaPkcs1Sha384,
    /// RFC 4055, 5: sha512WithRSAEncryption.
    RsaPkcs1Sha512,
    /// RFC 5758, 3.2: ecdsa-with-SHA256.
    EcdsaSha256,
    /// RFC 5758, 3.2: ecdsa-with-SHA384.
    EcdsaSha384,
    /// RFC 5758, 3.2: ecdsa-with-SHA512.
    EcdsaSha512,
}

impl SignatureAlgorithm {
    fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        let identifier = AlgorithmIdentifierRef::from_der(der).map_err(malformed)?;
        if identifier.oid == RSASSA_PSS {
            return pss_algorithm(&identifier);
        }
        let (_, null_allowed, algorithm) =
            ALGORITHMS.iter().find(|(oid, ..)| *oid == identifier.oid).ok_or(X509Error::UnsupportedAlgorithm)?;
        let fits = identifier.parameters.is_none_or(|p| *null_allowed && p.is_null());
        fits.then_some(*algorithm).ok_or(X509Error::UnsupportedAlgorithm)
    }

    fn verification(self, key: KeyKind) -> Option<&'static dyn VerificationAlgorithm> {
        use SignatureAlgorithm as S;
        Some(match (self, key) {
            (S::RsaPssSha384, KeyKind::Rsa) => &signature::RSA_PSS_2048_8192_SHA384,
            (S::RsaPkcs1Sha256, KeyKind::Rsa) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (S::RsaPkcs1Sha384, KeyKind::Rsa) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (S::RsaPkcs1Sha512, KeyKind::Rsa) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (S::EcdsaSha256, KeyKind::P256) => &signature::ECDSA_P256_SHA256_ASN1,
            (S::EcdsaSha384, KeyKind::P256) => &signature::ECDSA_P256_SHA384_ASN1,
            (S::EcdsaSha512, KeyKind::P256) => &signature::ECDSA_P256_SHA512_ASN1,
            (S::EcdsaSha256, KeyKind::P384) => &signature::ECDSA_P384_SHA256_ASN1,
            (S::EcdsaSha384, KeyKind::P384) => &signature::ECDSA_P384_SHA384_ASN1,
            (S::EcdsaSha512, KeyKind::P384) => &signature::ECDSA_P384_SHA512_ASN1,
            (S::EcdsaSha256, KeyKind::P521) => &signature::ECDSA_P521_SHA256_ASN1,
            (S::EcdsaSha384, KeyKind::P521) => &signature::ECDSA_P521_SHA384_ASN1,
            (S::EcdsaSha512, KeyKind::P521) => &signature::ECDSA_P521_SHA512_ASN1,
            _ => return None,
        })
    }
}

/// Kinds of public key that certificates of evidence carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyKind {
    /// RFC 8017 RSA; 2048 to 8192 bits when a signature is checked.
    Rsa,
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

/// A public key out of a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey<'a> {
    /// What it is.
    pub kind: KeyKind,
    /// RSAPublicKey DER for RSA, the encoded point for a curve.
    pub bits: &'a [u8],
}

impl<'a> PublicKey<'a> {
    /// Takes the key out of `spki`; its numbers are not looked at yet.
    pub fn from_spki(spki: &'a [u8]) -> Result<Self, X509Error> {
        let info = SubjectPublicKeyInfoRef::from_der(spki).map_err(malformed)?;
        let kind = key_kind(&info.algorithm)?;
        let bits = info.subject_public_key.as_bytes().ok_or(X509Error::Der)?;
        Ok(Self { kind, bits })
    }
}

/// `SEQUENCE { signed part, algorithm, signature }`: what certificates and CRLs have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) tbs: Vec<u8>,
    pub(crate) algorithm: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        let mut reader = SliceReader::new(der).map_err(malformed)?;
        let signed = reader.sequence(read_signed).map_err(malformed)?;
        reader.finish().map_err(malformed)?;
        Ok(signed)
    }

    pub(crate) fn signature_algorithm(&self) -> Result<SignatureAlgorithm, X509Error> {
        SignatureAlgorithm::from_der(&self.algorithm)
    }

    pub(crate) fn verify(&self, issuer_spki: &[u8], budget: &mut Budget) -> Result<(), X509Error> {
        let key = PublicKey::from_spki(issuer_spki)?;
        let verification = self.signature_algorithm()?.verification(key.kind).ok_or(X509Error::KeyMismatch)?;
        budget.spend()?;
        UnparsedPublicKey::new(verification, key.bits)
            .verify(&self.tbs, &self.signature)
            .map_err(|_| X509Error::BadSignature)
    }
}

fn read_signed(reader: &mut SliceReader<'_>) -> der::Result<Signed> {
    let tbs = reader.tlv_bytes()?.to_vec();
    let algorithm = reader.tlv_bytes()?.to_vec();
    let signature = BitStringRef::decode(reader)?;
    let signature = signature.as_bytes().ok_or_else(|| der::Error::from(Tag::BitString.value_error()))?.to_vec();
    Ok(Signed { tbs, algorithm, signature })
}

/// The fields of a TBSCertificate that are compared or hashed as received.
struct RawTbs<'a> {
    algorithm: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
    spki: &'a [u8],
}

impl<'a> RawTbs<'a> {
    fn from_der(tbs: &'a [u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(tbs)?;
        reader.sequence(|r| {
            if r.peek_byte() == Some(VERSION_TAG) {
                r.tlv_bytes()?;
            }
            let _serial = r.tlv_bytes()?;
            let (algorithm, issuer) = (r.tlv_bytes()?, r.tlv_bytes()?);
            let _validity = r.tlv_bytes()?;
            let (subject, spki) = (r.tlv_bytes()?, r.tlv_bytes()?);
            while !r.is_finished() {
                r.tlv_bytes()?;
            }
            Ok(Self { algorithm, issuer, subject, spki })
        })
    }
}

/// RFC 4055, 3.1. Values are matched, not bytes: AMD's older certificates encode the default trailer field, newer ones leave it out.
fn pss_algorithm(identifier: &AlgorithmIdentifierRef<'_>) -> Result<SignatureAlgorithm, X509Error> {
    let parameters = identifier.parameters.ok_or(X509Error::UnsupportedAlgorithm)?;
    let pss: PssParameters<'_> = parameters.sequence(read_pss).map_err(malformed)?;
    pss.is_sha384_salt_48().then_some(SignatureAlgorithm::RsaPssSha384).ok_or(X509Error::UnsupportedAlgorithm)
}

struct PssParameters<'a> {
    hash: Option<AlgorithmIdentifierRef<'a>>,
    mask: Option<AlgorithmIdentifierRef<'a>>,
    salt: Option<u32>,
    trailer: Option<u32>,
}

impl PssParameters<'_> {
    fn is_sha384_salt_48(&self) -> bool {
        self.hash.as_ref().is_some_and(is_sha384)
            && self.mask.as_ref().is_some_and(is_mgf1_sha384)
            && self.salt == Some(48)
            && self.trailer.is_none_or(|t| t == 1)
    }
}

fn read_pss<'a>(r: &mut SliceReader<'a>) -> der::Result<PssParameters<'a>> {
    Ok(PssParameters {
        hash: r.context_specific(TagNumber(0), TagMode::Explicit)?,
        mask: r.context_specific(TagNumber(1), TagMode::Explicit)?,
        salt: r.context_specific(TagNumber(2), TagMode::Explicit)?,
        trailer: r.context_specific(TagNumber(3), TagMode::Explicit)?,
    })
}

fn is_sha384(identifier: &AlgorithmIdentifierRef<'_>) -> bool {
    identifier.oid == SHA384 && identifier.parameters.is_none_or(|p| p.is_null())
}

fn is_mgf1_sha384(identifier: &AlgorithmIdentifierRef<'_>) -> bool {
    let inner = identifier.parameters.and_then(|p| p.decode_as::<AlgorithmIdentifierRef<'_>>().ok());
    identifier.oid == MGF1 && inner.as_ref().is_some_and(is_sha384)
}

fn key_kind(identifier: &AlgorithmIdentifierRef<'_>) -> Result<KeyKind, X509Error> {
    let parameters = identifier.parameters;
    if identifier.oid == RSA_ENCRYPTION && parameters.is_some_and(|p| p.is_null()) {
        return Ok(KeyKind::Rsa);
    }
    if identifier.oid != EC_PUBLIC_KEY {
        return Err(X509Error::UnsupportedKey);
    }
    let curve = parameters.and_then(|p| p.decode_as::<ObjectIdentifier>().ok());
    let found = CURVES.iter().find(|(oid, _)| Some(*oid) == curve);
    found.map(|(_, kind)| *kind).ok_or(X509Error::UnsupportedKey)
}

fn only_common_name(name: &Name) -> Option<String> {
    let mut found = name.iter().filter(|a| a.oid == COMMON_NAME);
    let only = found.next()?;
    found.next().is_none().then(|| text(&only.value)).flatten()
}

fn text(value: &Any) -> Option<String> {
    matches!(value.tag(), Tag::Utf8String | Tag::PrintableString | Tag::Ia5String)
        .then(|| String::from_utf8(value.value().to_vec()).ok())
        .flatten()
}

pub(crate) fn refuse_duplicates(extensions: &[Extension]) -> Result<(), X509Error> {
    for (index, extension) in extensions.iter().enumerate() {
        if extensions.iter().skip(index + 1).any(|e| e.extn_id == extension.extn_id) {
            return Err(X509Error::DuplicateExtension { oid: extension.extn_id });
        }
    }
    Ok(())
}

pub(crate) fn critical_outside(extensions: &[Extension], known: &[ObjectIdentifier]) -> Option<ObjectIdentifier> {
    extensions.iter().find(|e| e.critical && !known.contains(&e.extn_id)).map(|e| e.extn_id)
}

pub(crate) fn within(len: usize, len_max: usize) -> Result<(), X509Error> {
    if len > len_max { Err(X509Error::TooLong { len, len_max }) } else { Ok(()) }
}

pub(crate) fn malformed(_: der::Error) -> X509Error {
    X509Error::Der
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    // Infallible: SHA-256 has 32 bytes of output (FIPS 180-4), and the slices are of equal length.
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// RFC 7468, 5.1, strictly one label, nothing but white space outside of blocks.
fn pem_blocks(pem: &[u8], count_max: usize) -> Result<Vec<Vec<u8>>, X509Error> {
    let mut rest = pem.trim_ascii();
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        if blocks.len() == count_max {
            return Err(X509Error::TooMany { count_max });
        }
        let (body, after) = pem_block(rest).ok_or(X509Error::PemArmour { block: blocks.len() })?;
        blocks.push(pem_body(body).ok_or(X509Error::PemBase64 { block: blocks.len() })?);
        rest = after.trim_ascii_start();
    }
    if blocks.is_empty() { Err(X509Error::Empty) } else { Ok(blocks) }
}

fn pem_block(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let inside = input.strip_prefix(PEM_BEGIN)?;
    let end = inside.windows(PEM_END.len()).position(|w| w == PEM_END)?;
    let (body, tail) = inside.split_at_checked(end)?;
    Some((body, tail.strip_prefix(PEM_END)?))
}

fn pem_body(body: &[u8]) -> Option<Vec<u8>> {
    let packed: Vec<u8> = body.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    STANDARD.decode(packed).ok()
}

/// RFC 5280, 4.2.1.9.
pub const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
/// RFC 5280, 4.2.1.3.
pub const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
/// RFC 5280, 4.2.1.12.
pub const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// RFC 5480, 2.1.1.1.
const CURVES: [(ObjectIdentifier, KeyKind); 3] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), KeyKind::P256),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), KeyKind::P384),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), KeyKind::P521),
];

/// Algorithm, whether a NULL parameter is allowed (RFC 4055, 5: yes; RFC 5758, 3.2: no), meaning.
const ALGORITHMS: [(ObjectIdentifier, bool, SignatureAlgorithm); 6] = [
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"), true, SignatureAlgorithm::RsaPkcs1Sha256),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"), true, SignatureAlgorithm::RsaPkcs1Sha384),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"), true, SignatureAlgorithm::RsaPkcs1Sha512),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"), false, SignatureAlgorithm::EcdsaSha256),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"), false, SignatureAlgorithm::EcdsaSha384),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"), false, SignatureAlgorithm::EcdsaSha512),
];

/// RFC 5280, 4.1: `[0] EXPLICIT Version`, constructed.
const VERSION_TAG: u8 = 0xA0;
const PEM_BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const PEM_END: &[u8] = b"-----END CERTIFICATE-----";
