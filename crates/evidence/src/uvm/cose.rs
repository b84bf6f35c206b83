//! COSE_Sign1 (RFC 9052, 4.2) as UVM endorsements use it: parsing, the Sig_structure, and the
//! signature of the leaf.
//!
//! The object must carry tag 18. RFC 9052 lets a context do without it; here the bytes come from
//! strangers, and an untagged array of four could as well be a COSE_Mac0, so it is refused. Lengths
//! are definite, labels are unique, a label that is read here must be protected, and what `crit`
//! names must be understood. The whole object is walked once for depth and number of items before
//! anything is taken from it; nothing is allocated by a claimed length.
//!
//! Not here: receipts (label 394) and time stamps, which stand in the unprotected header. Receipts
//! are counted, never judged.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{self, EcdsaVerificationAlgorithm, RsaParameters, UnparsedPublicKey, VerificationAlgorithm};
use der::asn1::UintRef;
use der::{Encode, Sequence};
use minicbor::data::Type;
use minicbor::decode::Error as CborError;
use minicbor::{Decoder, Encoder};

use super::limits::{CHAIN_CERTS_MAX, COSE_BYTES_MAX, COSE_DEPTH_MAX, COSE_ITEMS_MAX, HEADERS_MAX, LABEL_BYTES_MAX};
use crate::x509::{KeyKind, PublicKey};

/// Why bytes are no COSE_Sign1 of the kind that UVM endorsements are, or why its signature does not hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoseError {
    /// More bytes than [`COSE_BYTES_MAX`].
    #[error("{len} bytes, at most {max}")]
    TooLong {
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The input ends inside an item.
    #[error("ends inside the item at {at}")]
    Truncated {
        /// Offset of the item.
        at: usize,
    },
    /// An item of another type than the place demands, or of a type never used here (floats, simple values).
    #[error("unexpected item at {at}")]
    Unexpected {
        /// Offset of the item.
        at: usize,
    },
    /// An item of indefinite length.
    #[error("indefinite length at {at}")]
    Indefinite {
        /// Offset of the item.
        at: usize,
    },
    /// Nested deeper than [`COSE_DEPTH_MAX`].
    #[error("nested deeper than {max}")]
    TooDeep {
        /// Levels allowed.
        max: usize,
    },
    /// More CBOR items than [`COSE_ITEMS_MAX`].
    #[error("more than {max} items")]
    TooManyItems {
        /// Items allowed.
        max: usize,
    },
    /// Bytes after the object.
    #[error("{count} bytes after the object")]
    TrailingBytes {
        /// Bytes left over.
        count: usize,
    },
    /// No tag in front.
    #[error("not tagged")]
    Untagged,
    /// Another tag than 18.
    #[error("tag {tag}, not 18")]
    WrongTag {
        /// The tag found.
        tag: u64,
    },
    /// Another number of elements than four.
    #[error("{found} elements, not 4")]
    Elements {
        /// The number found.
        found: u64,
    },
    /// The payload is nil: it travels apart, and nobody handed it in.
    #[error("payload is nil")]
    NilPayload,
    /// More entries in one map than [`HEADERS_MAX`].
    #[error("{found} headers, at most {max}")]
    TooManyHeaders {
        /// Entries found.
        found: u64,
        /// Entries allowed.
        max: usize,
    },
    /// A text label longer than [`LABEL_BYTES_MAX`].
    #[error("label of {len} bytes, at most {max}")]
    LabelTooLong {
        /// Bytes found.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A label twice, in one map or in both header maps (RFC 9052, 3).
    #[error("label {label} twice")]
    DuplicateLabel {
        /// The label.
        label: Label,
    },
    /// A label that must be protected stands in the unprotected header.
    #[error("label {label} is not protected")]
    Unprotected {
        /// The label.
        label: Label,
    },
    /// A header that is needed is absent.
    #[error("label {label} is missing")]
    MissingHeader {
        /// The label.
        label: Label,
    },
    /// A header has a value of the wrong shape.
    #[error("label {label} is malformed")]
    MalformedHeader {
        /// The label.
        label: Label,
    },
    /// `crit` names a header that is absent or not understood (RFC 9052, 3.1).
    #[error("critical label {label} is not understood")]
    UnknownCritical {
        /// The label.
        label: Label,
    },
    /// A claim that restricts use (aud, exp, nbf) in a place where nobody could honour it.
    #[error("claim {claim} is not supported")]
    UnsupportedClaim {
        /// Its label (RFC 8392, 4).
        claim: i64,
    },
    /// The text header and the CWT claim of the same meaning differ.
    #[error("label {label} disagrees with its claim")]
    Conflict {
        /// The text label.
        label: Label,
    },
    /// An algorithm outside the closed list.
    #[error("algorithm {alg} is not allowed")]
    Algorithm {
        /// Its number (IANA COSE Algorithms).
        alg: i64,
    },
    /// x5chain holds more certificates than [`CHAIN_CERTS_MAX`].
    #[error("{found} certificates, at most {max}")]
    TooManyCertificates {
        /// Certificates found.
        found: u64,
        /// Certificates allowed.
        max: usize,
    },
    /// x5t uses another hash than SHA-256.
    #[error("x5t hash algorithm {alg} is not allowed")]
    X5tAlgorithm {
        /// Its number (IANA COSE Algorithms).
        alg: i64,
    },
    /// The leaf's key is not of the kind that the algorithm signs with, or of an unknown curve.
    #[error("key does not fit algorithm {alg:?}")]
    KeyMismatch {
        /// The algorithm of the header.
        alg: Algorithm,
    },
    /// An ECDSA signature of another length than two coordinates of the key's curve.
    #[error("signature of {found} bytes, not {expected}")]
    SignatureLength {
        /// Bytes found.
        found: usize,
        /// Bytes of r and s.
        expected: usize,
    },
    /// The signature does not verify.
    #[error("signature does not verify")]
    Signature,
}

/// A header label or claim key (RFC 9052, 1.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Label {
    /// A registered label.
    Int(i64),
    /// A private label.
    Text(String),
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(n) => write!(f, "{n}"),
            Self::Text(s) => write!(f, "{s:?}"),
        }
    }
}

impl From<i64> for Label {
    fn from(label: i64) -> Self {
        Self::Int(label)
    }
}

impl From<&str> for Label {
    fn from(label: &str) -> Self {
        Self::Text(label.to_owned())
    }
}

/// The algorithms an endorsement may be signed with (RFC 9053, 2.1; RFC 8230, 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// RSASSA-PSS with SHA-256 and a salt of 32 bytes.
    Ps256,
    /// RSASSA-PSS with SHA-384 and a salt of 48 bytes.
    Ps384,
    /// RSASSA-PSS with SHA-512 and a salt of 64 bytes.
    Ps512,
    /// ECDSA with SHA-256.
    Es256,
    /// ECDSA with SHA-384. Observed with a P-256 key: COSE does not tie the hash to the curve (RFC
    /// 9053, 2.1).
    Es384,
    /// ECDSA with SHA-512.
    Es512,
}

impl TryFrom<i64> for Algorithm {
    type Error = CoseError;

    fn try_from(alg: i64) -> Result<Self, CoseError> {
        let known = ALGORITHMS.iter().find(|(number, _)| *number == alg);
        known.map(|(_, algorithm)| *algorithm).ok_or(CoseError::Algorithm { alg })
    }
}

/// A parsed COSE_Sign1; nothing in it is authentic yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Sign1 {
    pub(super) headers: Headers,
    pub(super) payload: Vec<u8>,
    pub(super) receipts: usize,
    protected: Vec<u8>,
    signature: Vec<u8>,
}

/// What the protected header says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Headers {
    pub(super) alg: Algorithm,
    pub(super) content_type: Option<String>,
    /// Never empty; leaf first.
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) x5t: Option<Vec<u8>>,
    pub(super) issuer: String,
    pub(super) feed: String,
    pub(super) signed_at: Option<SystemTime>,
    pub(super) svn: Option<u64>,
    /// The payload is a digest of something that travels apart.
    pub(super) hash_envelope: bool,
}

impl Sign1 {
    /// Syntax only.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, CoseError> {
        if bytes.len() > COSE_BYTES_MAX {
            return Err(CoseError::TooLong { len: bytes.len(), max: COSE_BYTES_MAX });
        }
        walk(bytes)?;
        let mut input = Decoder::new(bytes);
        open(&mut input)?;
        let protected = take(&mut input, Decoder::bytes)?;
        let unprotected = map(&mut input)?;
        if next(&input)? == Type::Null {
            return Err(CoseError::NilPayload);
        }
        let payload = take(&mut input, Decoder::bytes)?.to_vec();
        let signature = take(&mut input, Decoder::bytes)?.to_vec();
        let headers = protected_map(protected)?;
        check_buckets(&headers, &unprotected)?;
        let receipts = receipts(&unprotected)?;
        Ok(Self { headers: Headers::read(&headers)?, payload, receipts, protected: protected.to_vec(), signature })
    }

    /// Verifies the signature with the leaf's key, over the bytes as received.
    pub(super) fn verify(&self, key: PublicKey<'_>) -> Result<(), CoseError> {
        match self.rule(key.kind)? {
            Rule::Pss(params) => self.check(params, key, &self.signature),
            Rule::Ecdsa(params, width) => self.check(params, key, &ecdsa_der(&self.signature, width)?),
        }
    }

    fn rule(&self, kind: KeyKind) -> Result<Rule, CoseError> {
        let alg = self.headers.alg;
        let row = RULES.iter().find(|row| row.0 == alg && row.1 == kind);
        row.map(|row| row.2).ok_or(CoseError::KeyMismatch { alg })
    }

    fn check(
        &self,
        params: &'static dyn VerificationAlgorithm,
        key: PublicKey<'_>,
        signature: &[u8],
    ) -> Result<(), CoseError> {
        let verified = UnparsedPublicKey::new(params, key.bits).verify(&self.sig_structure(), signature);
        verified.map_err(|_| CoseError::Signature)
    }

    /// RFC 9052, 4.4, with an empty external_aad; the protected header as received.
    fn sig_structure(&self) -> Vec<u8> {
        let mut out = Encoder::new(Vec::new());
        let written = out
            .array(4)
            .and_then(|out| out.str("Signature1"))
            .and_then(|out| out.bytes(&self.protected))
            .and_then(|out| out.bytes(&[]))
            .and_then(|out| out.bytes(&self.payload))
            .map(drop);
        #[expect(clippy::expect_used, reason = "Infallible: a Vec takes every byte")]
        written.expect("a Vec takes every byte");
        out.into_writer()
    }
}

impl Headers {
    fn read(map: &Map<'_>) -> Result<Self, CoseError> {
        check_critical(map)?;
        let claims = Claims::read(map)?;
        let hash_envelope = header(map, PAYLOAD_HASH, Decoder::i64)?.is_some();
        let content_type = header(map, CONTENT_TYPE, text)?;
        check_envelope(map, hash_envelope)?;
        Ok(Self {
            alg: require(header(map, ALG, Decoder::i64)?, ALG)?.try_into()?,
            content_type,
            chain: chain(map)?,
            x5t: x5t(map)?,
            issuer: agree(ISS, header(map, ISS, text)?, claims.iss)?,
            feed: agree(FEED, header(map, FEED, text)?, claims.sub)?,
            signed_at: agree_if_any(SIGNING_TIME, header(map, SIGNING_TIME, tagged_epoch)?, claims.iat)?,
            svn: claims.svn,
            hash_envelope,
        })
    }
}

/// CWT claims in the header (RFC 9597), as far as endorsements use them.
#[derive(Default)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    iat: Option<SystemTime>,
    svn: Option<u64>,
}

impl Claims {
    fn read(map_of_header: &Map<'_>) -> Result<Self, CoseError> {
        let Some(value) = find(map_of_header, CWT_CLAIMS) else {
            return Ok(Self::default());
        };
        let claims = map(&mut Decoder::new(value)).map_err(|e| e.or_malformed(CWT_CLAIMS))?;
        if let Some(claim) = RESTRICTIONS.into_iter().find(|claim| find(&claims, *claim).is_some()) {
            return Err(CoseError::UnsupportedClaim { claim });
        }
        Ok(Self {
            iss: header(&claims, CLAIM_ISS, text)?,
            sub: header(&claims, CLAIM_SUB, text)?,
            iat: header(&claims, CLAIM_IAT, epoch)?,
            svn: header(&claims, CLAIM_SVN, Decoder::u64)?,
        })
    }
}

impl CoseError {
    /// A value that is not even a map is a malformed header; what is wrong inside a map keeps its own name.
    fn or_malformed(self, label: i64) -> Self {
        match self {
            Self::Unexpected { .. } => Self::MalformedHeader { label: label.into() },
            other => other,
        }
    }
}

// ---- The one walk over everything.

/// Refuses what is not one well-formed item of bounded depth and size; afterwards every `skip` is bounded.
fn walk(bytes: &[u8]) -> Result<(), CoseError> {
    let mut walk = Walk { input: Decoder::new(bytes), items: 0 };
    walk.item(0)?;
    match bytes.len().saturating_sub(walk.input.position()) {
        0 => Ok(()),
        count => Err(CoseError::TrailingBytes { count }),
    }
}

struct Walk<'b> {
    input: Decoder<'b>,
    items: usize,
}

impl Walk<'_> {
    fn item(&mut self, depth: usize) -> Result<(), CoseError> {
        self.count(depth)?;
        let at = self.input.position();
        match next(&self.input)? {
            Type::Bytes => take(&mut self.input, Decoder::bytes).map(drop),
            Type::String => take(&mut self.input, Decoder::str).map(drop),
            Type::Bool => take(&mut self.input, Decoder::bool).map(drop),
            Type::Null => take(&mut self.input, Decoder::null),
            Type::Array => {
                let items = length(&mut self.input, Decoder::array)?;
                self.items(items, depth)
            }
            Type::Map => {
                let pairs = length(&mut self.input, Decoder::map)?;
                self.items(pairs.saturating_mul(2), depth)
            }
            Type::Tag => {
                take(&mut self.input, Decoder::tag)?;
                self.item(depth.saturating_add(1))
            }
            Type::BytesIndef | Type::StringIndef | Type::ArrayIndef | Type::MapIndef => {
                Err(CoseError::Indefinite { at })
            }
            number if INTEGERS.contains(&number) => take(&mut self.input, Decoder::int).map(drop),
            _ => Err(CoseError::Unexpected { at }),
        }
    }

    fn items(&mut self, count: u64, depth: usize) -> Result<(), CoseError> {
        // A claimed count costs nothing: each round consumes input or ends the walk.
        for _ in 0..count {
            self.item(depth.saturating_add(1))?;
        }
        Ok(())
    }

    fn count(&mut self, depth: usize) -> Result<(), CoseError> {
        self.items = self.items.saturating_add(1);
        if depth > COSE_DEPTH_MAX {
            return Err(CoseError::TooDeep { max: COSE_DEPTH_MAX });
        }
        if self.items > COSE_ITEMS_MAX {
            return Err(CoseError::TooManyItems { max: COSE_ITEMS_MAX });
        }
        Ok(())
    }
}

// ---- Reading after the walk.

type Map<'b> = Vec<(Label, &'b [u8])>;

fn next(input: &Decoder<'_>) -> Result<Type, CoseError> {
    input.datatype().map_err(|e| fault(&e, input.position()))
}

fn take<'b, T>(
    input: &mut Decoder<'b>,
    read: impl FnOnce(&mut Decoder<'b>) -> Result<T, CborError>,
) -> Result<T, CoseError> {
    let at = input.position();
    read(input).map_err(|e| fault(&e, at))
}

fn length<'b>(
    input: &mut Decoder<'b>,
    read: impl FnOnce(&mut Decoder<'b>) -> Result<Option<u64>, CborError>,
) -> Result<u64, CoseError> {
    let at = input.position();
    take(input, read)?.ok_or(CoseError::Indefinite { at })
}

fn fault(error: &CborError, at: usize) -> CoseError {
    if error.is_end_of_input() { CoseError::Truncated { at } } else { CoseError::Unexpected { at } }
}

fn open(input: &mut Decoder<'_>) -> Result<(), CoseError> {
    if next(input)? != Type::Tag {
        return Err(CoseError::Untagged);
    }
    match take(input, Decoder::tag)?.as_u64() {
        TAG_SIGN1 => {}
        tag => return Err(CoseError::WrongTag { tag }),
    }
    match length(input, Decoder::array)? {
        4 => Ok(()),
        found => Err(CoseError::Elements { found }),
    }
}

fn protected_map(protected: &[u8]) -> Result<Map<'_>, CoseError> {
    walk(protected)?;
    map(&mut Decoder::new(protected))
}

fn map<'b>(input: &mut Decoder<'b>) -> Result<Map<'b>, CoseError> {
    let found = length(input, Decoder::map)?;
    if usize::try_from(found).map_or(true, |found| found > HEADERS_MAX) {
        return Err(CoseError::TooManyHeaders { found, max: HEADERS_MAX });
    }
    let mut map = Map::new();
    for _ in 0..found {
        let label = label(input)?;
        if map.iter().any(|(other, _)| *other == label) {
            return Err(CoseError::DuplicateLabel { label });
        }
        map.push((label, raw(input)?));
    }
    Ok(map)
}

fn label(input: &mut Decoder<'_>) -> Result<Label, CoseError> {
    match next(input)? {
        Type::String => text_label(take(input, Decoder::str)?),
        _ => take(input, Decoder::i64).map(Label::Int),
    }
}

fn text_label(text: &str) -> Result<Label, CoseError> {
    match text.len() {
        0..=LABEL_BYTES_MAX => Ok(text.into()),
        len => Err(CoseError::LabelTooLong { len, max: LABEL_BYTES_MAX }),
    }
}

fn raw<'b>(input: &mut Decoder<'b>) -> Result<&'b [u8], CoseError> {
    let at = input.position();
    take(input, Decoder::skip)?;
    input.input().get(at..input.position()).ok_or(CoseError::Truncated { at })
}

fn find<'b>(map: &Map<'b>, label: impl Into<Label>) -> Option<&'b [u8]> {
    let label = label.into();
    map.iter().find(|(other, _)| *other == label).map(|(_, value)| *value)
}

fn header<'b, T>(
    map: &Map<'b>,
    label: impl Into<Label> + Copy,
    read: impl FnOnce(&mut Decoder<'b>) -> Result<T, CborError>,
) -> Result<Option<T>, CoseError> {
    let malformed = |_| CoseError::MalformedHeader { label: label.into() };
    find(map, label).map(|value| read(&mut Decoder::new(value)).map_err(malformed)).transpose()
}

fn require<T>(value: Option<T>, label: impl Into<Label>) -> Result<T, CoseError> {
    value.ok_or_else(|| CoseError::MissingHeader { label: label.into() })
}

fn agree<T: PartialEq>(label: &str, text: Option<T>, claim: Option<T>) -> Result<T, CoseError> {
    require(agree_if_any(label, text, claim)?, label)
}

fn agree_if_any<T: PartialEq>(label: &str, text: Option<T>, claim: Option<T>) -> Result<Option<T>, CoseError> {
    match (&text, &claim) {
        (Some(a), Some(b)) if a != b => Err(CoseError::Conflict { label: label.into() }),
        _ => Ok(text.or(claim)),
    }
}

fn text(input: &mut Decoder<'_>) -> Result<String, CborError> {
    input.str().map(str::to_owned)
}

/// RFC 8392 wants a bare number for `iat`; the signing service writes tag 1 in front. Both are read.
fn epoch(input: &mut Decoder<'_>) -> Result<SystemTime, CborError> {
    if input.datatype()? == Type::Tag {
        return tagged_epoch(input);
    }
    let seconds = Duration::from_secs(input.u64()?);
    SystemTime::UNIX_EPOCH.checked_add(seconds).ok_or_else(|| CborError::message("time"))
}

fn tagged_epoch(input: &mut Decoder<'_>) -> Result<SystemTime, CborError> {
    match input.tag()?.as_u64() {
        TAG_EPOCH if input.datatype()? != Type::Tag => epoch(input),
        _ => Err(CborError::message("tag")),
    }
}

// ---- Headers with rules of their own.

/// RFC 9052, 3: a label stands in one bucket only; what is read here stands in the protected one.
fn check_buckets(protected: &Map<'_>, unprotected: &Map<'_>) -> Result<(), CoseError> {
    for (label, _) in unprotected {
        if understood(label) || *label == Label::Int(CRIT) {
            return Err(CoseError::Unprotected { label: label.clone() });
        }
        if protected.iter().any(|(other, _)| other == label) {
            return Err(CoseError::DuplicateLabel { label: label.clone() });
        }
    }
    Ok(())
}

fn understood(label: &Label) -> bool {
    match label {
        Label::Int(label) => UNDERSTOOD.contains(label),
        Label::Text(label) => UNDERSTOOD_TEXT.contains(&label.as_str()),
    }
}

/// RFC 9052, 3.1: not empty; every label named is present and understood.
fn check_critical(map: &Map<'_>) -> Result<(), CoseError> {
    let Some(value) = find(map, CRIT) else {
        return Ok(());
    };
    let malformed = |_| CoseError::MalformedHeader { label: CRIT.into() };
    let mut input = Decoder::new(value);
    let count = length(&mut input, Decoder::array).map_err(malformed)?;
    if count == 0 {
        return Err(CoseError::MalformedHeader { label: CRIT.into() });
    }
    for _ in 0..count {
        let label = label(&mut input).map_err(malformed)?;
        if !understood(&label) || find(map, label.clone()).is_none() {
            return Err(CoseError::UnknownCritical { label });
        }
    }
    Ok(())
}

/// COSE hash envelope: 258 excludes 3, and 259 speaks only of a preimage that 258 announces.
fn check_envelope(map: &Map<'_>, hash_envelope: bool) -> Result<(), CoseError> {
    if hash_envelope && find(map, CONTENT_TYPE).is_some() {
        return Err(CoseError::MalformedHeader { label: CONTENT_TYPE.into() });
    }
    if !hash_envelope && find(map, PREIMAGE_TYPE).is_some() {
        return Err(CoseError::MissingHeader { label: PAYLOAD_HASH.into() });
    }
    Ok(())
}

/// RFC 9360, 2: one certificate as bytes, or an array of them, leaf first.
fn chain(map: &Map<'_>) -> Result<Vec<Vec<u8>>, CoseError> {
    let value = require(find(map, X5CHAIN), X5CHAIN)?;
    let malformed = |_| CoseError::MalformedHeader { label: X5CHAIN.into() };
    let mut input = Decoder::new(value);
    if next(&input)? == Type::Bytes {
        return Ok(vec![input.bytes().map_err(malformed)?.to_vec()]);
    }
    let found = input.array().map_err(malformed)?.unwrap_or(0);
    match usize::try_from(found) {
        Ok(0) => {
            return Err(CoseError::MalformedHeader { label: X5CHAIN.into() });
        }
        Ok(1..=CHAIN_CERTS_MAX) => {}
        _ => {
            return Err(CoseError::TooManyCertificates { found, max: CHAIN_CERTS_MAX });
        }
    }
    (0..found).map(|_| input.bytes().map(<[u8]>::to_vec).map_err(malformed)).collect()
}

/// RFC 9360, 2: [hash algorithm, digest]; only SHA-256 is read.
fn x5t(map: &Map<'_>) -> Result<Option<Vec<u8>>, CoseError> {
    let Some((alg, digest)) = header(map, X5T, x5t_pair)? else {
        return Ok(None);
    };
    if alg != SHA_256 {
        return Err(CoseError::X5tAlgorithm { alg });
    }
    Ok(Some(digest))
}

fn x5t_pair(input: &mut Decoder<'_>) -> Result<(i64, Vec<u8>), CborError> {
    match input.array()? {
        Some(2) => Ok((input.i64()?, input.bytes()?.to_vec())),
        _ => Err(CborError::message("pair")),
    }
}

fn receipts(unprotected: &Map<'_>) -> Result<usize, CoseError> {
    let count = header(unprotected, RECEIPTS, Decoder::array)?.map_or(Some(0), |count| count);
    count.and_then(|count| usize::try_from(count).ok()).ok_or(CoseError::MalformedHeader { label: RECEIPTS.into() })
}

// ---- Signatures.

/// How a signature is checked: aws-lc-rs demands a salt as long as the hash, as RFC 8230, 2 does;
/// ECDSA comes with the width of a coordinate.
#[derive(Clone, Copy)]
enum Rule {
    Pss(&'static RsaParameters),
    Ecdsa(&'static EcdsaVerificationAlgorithm, usize),
}

/// Raw r and s as DER, since aws-lc-rs has no raw form for a hash wider than the curve. Range is
/// its business.
fn ecdsa_der(raw: &[u8], width: usize) -> Result<Vec<u8>, CoseError> {
    let expected = width.saturating_mul(2);
    let wrong = CoseError::SignatureLength { found: raw.len(), expected };
    let Some((r, s)) = raw.split_at_checked(width) else {
        return Err(wrong);
    };
    if raw.len() != expected {
        return Err(wrong);
    }
    let encode = || RawSignature { r: UintRef::new(r)?, s: UintRef::new(s)? }.to_der();
    encode().map_err(|_| CoseError::Signature)
}

#[derive(Sequence)]
struct RawSignature<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

// ---- Numbers.

/// IANA CBOR Tags: COSE_Sign1.
const TAG_SIGN1: u64 = 18;
/// RFC 8949, 3.4.2: seconds since 1970.
const TAG_EPOCH: u64 = 1;

// IANA COSE Header Parameters.
const ALG: i64 = 1;
const CRIT: i64 = 2;
const CONTENT_TYPE: i64 = 3;
const CWT_CLAIMS: i64 = 15;
const X5CHAIN: i64 = 33;
const X5T: i64 = 34;
const PAYLOAD_HASH: i64 = 258;
const PREIMAGE_TYPE: i64 = 259;
const RECEIPTS: i64 = 394;
// Observed in endorsements of 2023.
const ISS: &str = "iss";
const FEED: &str = "feed";
const SIGNING_TIME: &str = "signingtime";

const UNDERSTOOD: [i64; 7] = [ALG, CONTENT_TYPE, CWT_CLAIMS, X5CHAIN, X5T, PAYLOAD_HASH, PREIMAGE_TYPE];
const UNDERSTOOD_TEXT: [&str; 3] = [ISS, FEED, SIGNING_TIME];

// RFC 8392, 4; `svn` is Microsoft's.
const CLAIM_ISS: i64 = 1;
const CLAIM_SUB: i64 = 2;
const CLAIM_IAT: i64 = 6;
const CLAIM_SVN: &str = "svn";
/// aud, exp, nbf: RFC 8392 obliges a reader to honour them; there is neither a name nor a clock here.
const RESTRICTIONS: [i64; 3] = [3, 4, 5];

/// IANA COSE Algorithms.
const SHA_256: i64 = -16;
const ALGORITHMS: [(i64, Algorithm); 6] = [
    (-7, Algorithm::Es256),
    (-35, Algorithm::Es384),
    (-36, Algorithm::Es512),
    (-37, Algorithm::Ps256),
    (-38, Algorithm::Ps384),
    (-39, Algorithm::Ps512),
];

static RULES: [(Algorithm, KeyKind, Rule); 12] = [
    (Algorithm::Ps256, KeyKind::Rsa, Rule::Pss(&signature::RSA_PSS_2048_8192_SHA256)),
    (Algorithm::Ps384, KeyKind::Rsa, Rule::Pss(&signature::RSA_PSS_2048_8192_SHA384)),
    (Algorithm::Ps512, KeyKind::Rsa, Rule::Pss(&signature::RSA_PSS_2048_8192_SHA512)),
    (Algorithm::Es256, KeyKind::P256, Rule::Ecdsa(&signature::ECDSA_P256_SHA256_ASN1, 32)),
    (Algorithm::Es384, KeyKind::P256, Rule::Ecdsa(&signature::ECDSA_P256_SHA384_ASN1, 32)),
    (Algorithm::Es512, KeyKind::P256, Rule::Ecdsa(&signature::ECDSA_P256_SHA512_ASN1, 32)),
    (Algorithm::Es256, KeyKind::P384, Rule::Ecdsa(&signature::ECDSA_P384_SHA256_ASN1, 48)),
    (Algorithm::Es384, KeyKind::P384, Rule::Ecdsa(&signature::ECDSA_P384_SHA384_ASN1, 48)),
    (Algorithm::Es512, KeyKind::P384, Rule::Ecdsa(&signature::ECDSA_P384_SHA512_ASN1, 48)),
    (Algorithm::Es256, KeyKind::P521, Rule::Ecdsa(&signature::ECDSA_P521_SHA256_ASN1, 66)),
    (Algorithm::Es384, KeyKind::P521, Rule::Ecdsa(&signature::ECDSA_P521_SHA384_ASN1, 66)),
    (Algorithm::Es512, KeyKind::P521, Rule::Ecdsa(&signature::ECDSA_P521_SHA512_ASN1, 66)),
];

const INTEGERS: [Type; 9] =
    [Type::U8, Type::U16, Type::U32, Type::U64, Type::I8, Type::I16, Type::I32, Type::I64, Type::Int];
