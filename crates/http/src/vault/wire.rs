//! Bodies of requests to a vault: from JSON as clients spell it to commands (key-vault spec 2.2).
//!
//! Names of members are compared byte for byte, but for `Hsm`, which clients spell in two ways (observed). Members that are
//! not known are ignored and null is absent, as the service does; a name that comes twice is refused. Octets are read
//! with and without padding and in both alphabets (observed); what is in them is strict from there on.

use bytes::Bytes;
use skerry_jose::b64;
use skerry_jose::json::{self, Object, Value};
use skerry_keys::{
    Curve, EncryptAlgorithm, ImportError, ImportKey, KeyType, MlDsa, MlDsaText, OctBits, RsaBits, SignAlgorithm,
    WrapAlgorithm,
};
use skerry_keywrap::Algorithm;
use skerry_policy::permit::Version;
use skerry_vault::Refusal;
use skerry_vault::command::{
    AttributesInput, Changes, CipherCommand, Claimed, ImportCommand, KeyOp, MlDsaCommand, Named, NewKey, PolicyInput,
    SecureUnwrapCommand, Tags, TagsError, TransferCommand, Untyped,
};
use skerry_vault::floor::FloorChanges;
use skerry_vault::jwk::{self, JwkImportError};
use skerry_vault::record::KeyName;
use skerry_vault::rotation::{Action, Period, RotationInput, Trigger};
use skerry_vault::wire::MIN_IAT;
use zeroize::{Zeroize as _, Zeroizing};

use crate::limits::VAULT_JSON;
use crate::vault::refusal::Refused;

/// Why a body is not what the operation takes. Members by their names on the wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum MemberError {
    #[error("The request body is not acceptable JSON: {0}.")]
    Json(json::Error),
    #[error("The request body is not a JSON object.")]
    NotAnObject,
    #[error("Property {0} is missing.")]
    Missing(&'static str),
    #[error("Property {0} is not supported.")]
    Unsupported(&'static str),
    #[error("Property {0} has the wrong JSON type.")]
    WrongType(&'static str),
    #[error("Property {0} is not base64url.")]
    NotBase64(&'static str),
    #[error("Property {0} came more than once.")]
    Twice(&'static str),
    #[error("Property {name} has invalid value {found}")]
    Value { name: &'static str, found: String },
    #[error("Property tags: {0}.")]
    Tags(TagsError),
    #[error("GetRandomBytesRequest: count cannot be greater than {RANDOM_BYTES_MAX} or less than 1")]
    Random,
    #[error("Property key: {0}.")]
    Jwk(JwkImportError),
    #[error("Property {0} is not known here.")]
    Unknown(String),
    #[error("JSON Web Key: k property of oct key is too large, maximum size is {OCT_OCTETS_MAX}")]
    OctTooLarge,
    #[error("Property {name} is not supported beside {other}.")]
    Beside { name: &'static str, other: &'static str },
    #[error("Property key_hsm is not a key transfer blob.")]
    TransferBlob,
}

impl From<MemberError> for Refused {
    fn from(error: MemberError) -> Refused {
        Refused::Member(error)
    }
}

/// An object with its members by name. Texts in it may be secrets: they are wiped when it is dropped.
pub(super) struct Members(Object);

impl Drop for Members {
    fn drop(&mut self) {
        for (_, value) in std::mem::take(&mut self.0) {
            if let Value::String(mut text) = value {
                text.zeroize();
            }
        }
    }
}

impl Members {
    pub(super) fn parse(body: &[u8]) -> Result<Members, MemberError> {
        let value = json::parse(body, &VAULT_JSON).map_err(MemberError::Json)?;
        value.into_object().map(Members).ok_or(MemberError::NotAnObject)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn required<T>(&self, name: &'static str, value: Option<T>) -> Result<T, MemberError> {
        value.ok_or(MemberError::Missing(name))
    }

    fn text(&self, name: &'static str) -> Result<Option<&str>, MemberError> {
        let as_text = |value: &'_ Value| value.as_str().is_some();
        match self.get(name) {
            Some(value) if !as_text(value) => Err(MemberError::WrongType(name)),
            value => Ok(value.and_then(Value::as_str)),
        }
    }

    fn flag(&self, name: &'static str) -> Result<Option<bool>, MemberError> {
        self.get(name).map(|value| value.as_bool().ok_or(MemberError::WrongType(name))).transpose()
    }

    /// A whole number that is not negative: sizes, and times in seconds.
    fn number(&self, name: &'static str) -> Result<Option<u64>, MemberError> {
        self.get(name).map(|value| value.as_u64().ok_or(MemberError::WrongType(name))).transpose()
    }

    fn octets(&self, name: &'static str) -> Result<Option<Vec<u8>>, MemberError> {
        self.text(name)?.map(|text| octets(text).ok_or(MemberError::NotBase64(name))).transpose()
    }

    fn members(&self, name: &'static str) -> Result<Option<Members>, MemberError> {
        let of = |value: &Value| value.as_object().cloned().map(Members).ok_or(MemberError::WrongType(name));
        self.get(name).map(of).transpose()
    }

    fn takes_back(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(Value::is_null)
    }

    /// An object that is needed, taken out rather than copied.
    fn take(&mut self, name: &'static str) -> Result<Members, MemberError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Err(MemberError::Missing(name)),
            Some(value) => value.into_object().map(Members).ok_or(MemberError::WrongType(name)),
        }
    }

    /// A member whose name clients spell in more than one case.
    fn any_case(&self, name: &'static str) -> Result<Option<bool>, MemberError> {
        let mut values = self.0.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let value = values.next().filter(|value| !value.is_null());
        if values.next().is_some() {
            return Err(MemberError::Twice(name));
        }
        value.map(|value| value.as_bool().ok_or(MemberError::WrongType(name))).transpose()
    }
}

/// `KeyCreate`.
pub(super) fn create(name: KeyName, body: &Members) -> Result<NewKey, MemberError> {
    let (family, hsm) = family("kty", body)?;
    check_exponent(body)?;
    let key_ops = key_ops(body)?;
    let key_type = key_type(family, body)?;
    untyped(name, hsm, key_ops, body).map(|new| new.of(key_type))
}

/// `KeyRotationPolicy`: what is read-only in it is passed over, as it comes back when a policy is changed.
pub(super) fn rotation_policy(body: &Members) -> Result<RotationInput, MemberError> {
    let attributes = body.members("attributes")?;
    let lifetime = attributes.map(|attributes| period("expiryTime", &attributes)).transpose()?.flatten();
    let actions = match body.get("lifetimeActions") {
        None => &[],
        Some(actions) => actions.as_array().ok_or(MemberError::WrongType("lifetimeActions"))?,
    };
    let actions = actions.iter().map(lifetime_action).collect::<Result<_, _>>()?;
    Ok(RotationInput { lifetime, actions })
}

fn lifetime_action(action: &Value) -> Result<(Action, Trigger), MemberError> {
    let member = action.as_object().cloned().map(Members).ok_or(MemberError::WrongType("lifetimeActions"))?;
    let (trigger, kind) = (member.members("trigger")?, member.members("action")?);
    let (trigger, kind) = (member.required("trigger", trigger)?, member.required("action", kind)?);
    let text = kind.required("type", kind.text("type")?)?;
    let action = [("rotate", Action::Rotate), ("notify", Action::Notify)].into_iter();
    let action = action.clone().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, action)| action);
    let action = action.ok_or_else(|| MemberError::Value { name: "type", found: text.to_owned() })?;
    match (period("timeAfterCreate", &trigger)?, period("timeBeforeExpiry", &trigger)?) {
        (Some(period), None) => Ok((action, Trigger::AfterCreate(period))),
        (None, Some(period)) => Ok((action, Trigger::BeforeExpiry(period))),
        (None, None) => Err(MemberError::Missing("trigger")),
        (Some(_), Some(_)) => Err(MemberError::Twice("trigger")),
    }
}

fn period(name: &'static str, members: &Members) -> Result<Option<Period>, MemberError> {
    let read = |text: &str| Period::parse(text).map_err(|_| MemberError::Value { name, found: text.to_owned() });
    members.text(name)?.map(read).transpose()
}

/// `KeyRestore`.
pub(super) fn restore(body: &Members) -> Result<Vec<u8>, MemberError> {
    body.required("value", body.octets("value")?)
}

/// `GetRandomBytesRequest`, and its one rule.
pub(super) fn random(body: &Members) -> Result<usize, MemberError> {
    let Some(count) = body.get("count") else { return Err(MemberError::Missing("count")) };
    let count = count.as_i64().ok_or(MemberError::Random)?;
    usize::try_from(count).ok().filter(|count| (1..=RANDOM_BYTES_MAX).contains(count)).ok_or(MemberError::Random)
}

/// Recorded from a Managed HSM.
pub(super) const RANDOM_BYTES_MAX: usize = 128;

/// A key that is to be brought in.
pub(super) enum ToImport {
    /// In the clear.
    Clear(ImportCommand),
    /// Wrapped to a key of the vault (BYOK).
    Wrapped(TransferCommand),
}

/// `KeyImport`, sent to this host.
pub(super) fn import(name: KeyName, host: &str, mut body: Members) -> Result<ToImport, Refused> {
    let jwk = body.take("key")?;
    let (family, hsm_by_type) = family("kty", &jwk)?;
    let hsm = body.any_case("Hsm")?.unwrap_or(false) || hsm_by_type;
    let key_ops = key_ops(&jwk)?;
    let new = untyped(name, hsm, key_ops, &body)?;
    if jwk.get("key_hsm").is_some() {
        return transfer(new, family, host, &jwk).map(ToImport::Wrapped);
    }
    check_oct_size(&jwk)?;
    let padded = jwk.octets("n")?.is_some_and(|n| n.first() == Some(&0));
    let key = jwk.private_key()?;
    let key_type =
        type_of(&key).map_err(|error| Refused::Vault { refusal: Refusal::Import(error), may_read: false })?;
    Ok(ToImport::Clear(ImportCommand { new: new.of(key_type), key, padded }))
}

/// A Managed HSM's sentence for a symmetric key that is longer than any (documented).
fn check_oct_size(jwk: &Members) -> Result<(), MemberError> {
    let k = jwk.text("k").ok().flatten().and_then(octets);
    match k.map(Zeroizing::new) {
        Some(k) if k.len() > OCT_OCTETS_MAX => Err(MemberError::OctTooLarge),
        _ => Ok(()),
    }
}

/// Documented, of a Managed HSM.
const OCT_OCTETS_MAX: usize = 64;

/// A key in Azure's transfer blob (BYOK specification; key-vault spec 2.3).
fn transfer(new: Untyped, family: Family, host: &str, jwk: &Members) -> Result<TransferCommand, Refused> {
    if let Some(name) = SECRET.into_iter().find(|name| jwk.get(name).is_some()) {
        return Err(MemberError::Beside { name, other: "key_hsm" }.into());
    }
    let family = match family {
        Family::Rsa => skerry_keys::Family::Rsa,
        Family::Ec => skerry_keys::Family::Ec,
        Family::Oct => skerry_keys::Family::Oct,
        Family::Akp => return Err(Refused::Absent { operation: "import of a wrapped ML-DSA key" }),
    };
    let claimed = Claimed {
        curve: jwk.text("crv")?.map(curve).transpose()?,
        n: jwk.octets("n")?.map(significant),
        e: jwk.octets("e")?.map(significant),
        x: jwk.octets("x")?,
        y: jwk.octets("y")?,
    };
    let blob = jwk.required("key_hsm", jwk.octets("key_hsm")?)?;
    let (kek, wrapped) = transfer_blob(&blob, host)?;
    Ok(TransferCommand { new, family, claimed, kek, wrapped })
}

fn transfer_blob(blob: &[u8], host: &str) -> Result<((KeyName, Version), Vec<u8>), Refused> {
    let blob = Members::parse(blob).map_err(|_| MemberError::TransferBlob)?;
    let version = blob.required("schema_version", blob.text("schema_version")?)?;
    let header = blob.required("header", blob.members("header")?)?;
    let named = |name: &'static str| header.required(name, header.text(name)?);
    for (name, found, only) in [
        ("schema_version", version, "1.0.0"),
        ("alg", named("alg")?, "dir"),
        ("enc", named("enc")?, Algorithm::CkmRsaAesKeyWrap.as_str()),
    ] {
        if found != only {
            return Err(invalid(name, found).into());
        }
    }
    let kek = kek(named("kid")?, host).ok_or(Refused::Vault { refusal: Refusal::TransferKey, may_read: false })?;
    Ok((kek, blob.required("ciphertext", blob.octets("ciphertext")?)?))
}

/// Name and version of a key of the very vault that is addressed. Without a version it would name another key tomorrow.
fn kek(kid: &str, host: &str) -> Option<(KeyName, Version)> {
    let (authority, path) = kid.strip_prefix("https://")?.split_once('/')?;
    let (name, version) = path.strip_prefix("keys/")?.split_once('/')?;
    let name = KeyName::parse(name).ok()?;
    authority.eq_ignore_ascii_case(host).then_some((name, version_of(version)?))
}

/// 32 hexadecimal digits, in any case as names are.
pub(super) fn version_of(digits: &str) -> Option<Version> {
    let digits = digits.as_bytes();
    let mut octets = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (octet, pair) in octets.iter_mut().zip(digits.chunks(2)) {
        *octet = pair.iter().try_fold(0_u8, |sum, digit| {
            let digit = char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())?;
            Some(sum << 4 | digit)
        })?;
    }
    Some(Version(octets))
}

/// A modulus comes with a leading zero octet too (observed).
fn significant(octets: Vec<u8>) -> Vec<u8> {
    octets.into_iter().skip_while(|octet| *octet == 0).collect()
}

/// `KeyUpdate`.
pub(super) fn update(body: &Members) -> Result<Changes, MemberError> {
    Ok(Changes {
        key_ops: key_ops(body)?,
        attributes: attributes(body)?,
        tags: tags(body)?,
        policy: release_policy(body)?,
        min_iat: min_iat(body)?,
    })
}

/// What is to be set of a vault's floor: null takes back. Ours alone, so a member that is not known is a mistake, and one that
/// is dropped silently would leave a vault less strict than somebody thinks.
pub(super) fn floor(body: &Members) -> Result<FloorChanges, MemberError> {
    let known = ["min_iat", "token_age_max_secs", "policy"];
    if let Some((name, _)) = body.0.iter().find(|(name, _)| !known.contains(name)) {
        return Err(MemberError::Unknown(name.to_owned()));
    }
    let policy = match body.members("policy")? {
        Some(policy) => Some(Some(policy.required("data", policy.octets("data")?)?)),
        None => body.takes_back("policy").then_some(None),
    };
    let token_age_max_secs = match body.number("token_age_max_secs")? {
        Some(secs) => Some(Some(secs)),
        None => body.takes_back("token_age_max_secs").then_some(None),
    };
    Ok(FloorChanges { min_iat: body.number("min_iat")?, token_age_max_secs, policy })
}

/// Our own attribute beside Azure's.
fn min_iat(body: &Members) -> Result<Option<u64>, MemberError> {
    match body.members("attributes")? {
        Some(attributes) => attributes.number(MIN_IAT),
        None => Ok(None),
    }
}

/// What is to be encrypted, decrypted, wrapped or unwrapped. The text may be a secret.
pub(super) struct ToCipher<A> {
    pub(super) algorithm: A,
    pub(super) text: Zeroizing<Vec<u8>>,
    pub(super) iv: Option<Vec<u8>>,
    pub(super) aad: Option<Vec<u8>>,
    pub(super) tag: Option<Vec<u8>>,
}

impl<A> ToCipher<A> {
    pub(super) fn command<'a>(&'a self, key: Named<'a>) -> CipherCommand<'a, A>
    where
        A: Copy,
    {
        let (iv, aad, tag) = (self.iv.as_deref(), self.aad.as_deref(), self.tag.as_deref());
        CipherCommand { key, algorithm: self.algorithm, text: &self.text, iv, aad, tag }
    }
}

pub(super) fn encrypt(body: &Members) -> Result<ToCipher<EncryptAlgorithm>, MemberError> {
    cipher(body, EncryptAlgorithm::parse)
}

pub(super) fn wrap(body: &Members) -> Result<ToCipher<WrapAlgorithm>, MemberError> {
    cipher(body, WrapAlgorithm::parse)
}

fn cipher<A>(body: &Members, parse: fn(&str) -> Option<A>) -> Result<ToCipher<A>, MemberError> {
    let found = body.required("alg", body.text("alg")?)?;
    let algorithm = parse(found).ok_or_else(|| invalid("alg", found))?;
    let text = Zeroizing::new(body.required("value", body.octets("value")?)?);
    let (iv, aad, tag) = (body.octets("iv")?, body.octets("aad")?, body.octets("tag")?);
    Ok(ToCipher { algorithm, text, iv, aad, tag })
}

/// `SecureKeyWrapOperationParameters`.
pub(super) fn secure_wrap(body: &Members) -> Result<WrapAlgorithm, MemberError> {
    let found = body.required("alg", body.text("alg")?)?;
    WrapAlgorithm::parse(found).filter(|algorithm| algorithm.is_secure()).ok_or_else(|| invalid("alg", found))
}

/// What is to be unwrapped to a TEE.
pub(super) struct ToSecureUnwrap<'a> {
    pub(super) algorithm: WrapAlgorithm,
    wrapped: Vec<u8>,
    target: &'a str,
    issuer: Option<&'a str>,
    proof: bool,
}

impl ToSecureUnwrap<'_> {
    pub(super) fn command<'a>(&'a self, key: Named<'a>) -> SecureUnwrapCommand<'a> {
        let ToSecureUnwrap { algorithm, wrapped, target, issuer, proof } = self;
        SecureUnwrapCommand { key, algorithm: *algorithm, wrapped, target, issuer: *issuer, proof: *proof }
    }
}

/// `SecureKeyUnWrapOperationParameters`.
pub(super) fn secure_unwrap(body: &Members) -> Result<ToSecureUnwrap<'_>, MemberError> {
    let target = body.text("target")?.filter(|target| !target.is_empty());
    Ok(ToSecureUnwrap {
        algorithm: secure_wrap(body)?,
        wrapped: body.required("value", body.octets("value")?)?,
        target: body.required("target", target)?,
        issuer: body.text("applicationTrustedIssuer")?,
        proof: proof(body)?,
    })
}

/// What is to be signed.
pub(super) struct ToSign {
    algorithm: Option<SignAlgorithm>,
    text: Vec<u8>,
    context: Option<Vec<u8>>,
    mu: Option<Vec<u8>>,
}

impl ToSign {
    /// Algorithm and digest, where nothing else is said.
    pub(super) fn digest(&self) -> Option<(SignAlgorithm, &[u8])> {
        match self {
            ToSign { algorithm: Some(algorithm), text, context: None, mu: None } => Some((*algorithm, text)),
            _ => None,
        }
    }

    /// What only ML-DSA signs: its algorithm need not be said, and there may be a context or a representative.
    pub(super) fn ml_dsa<'a>(&'a self, key: Named<'a>) -> MlDsaCommand<'a> {
        let context = self.context.as_deref().unwrap_or_default();
        let text = match &self.mu {
            Some(mu) => MlDsaText::Mu(mu),
            None => MlDsaText::Message { message: &self.text, context },
        };
        MlDsaCommand { key, algorithm: self.algorithm, text }
    }
}

/// `KeySignParameters`.
pub(super) fn sign(body: &Members) -> Result<ToSign, MemberError> {
    to_sign("value", body)
}

/// A signature that is to be checked.
pub(super) struct ToVerify {
    pub(super) text: ToSign,
    pub(super) signature: Vec<u8>,
}

/// `KeyVerifyParameters`.
pub(super) fn verify(body: &Members) -> Result<ToVerify, MemberError> {
    let text = to_sign("digest", body)?;
    Ok(ToVerify { text, signature: body.required("value", body.octets("value")?)? })
}

/// Where there is a representative, nothing that it was made of may be said (the specification's rule).
fn to_sign(name: &'static str, body: &Members) -> Result<ToSign, MemberError> {
    let (context, mu) = (body.octets("context")?, body.octets("external_mu")?);
    if mu.is_some() {
        return match ["alg", name, "context"].into_iter().find(|name| body.get(name).is_some()) {
            Some(name) => Err(MemberError::Beside { name, other: "external_mu" }),
            None => Ok(ToSign { algorithm: None, text: Vec::new(), context, mu }),
        };
    }
    let algorithm = body.text("alg")?.map(algorithm).transpose()?;
    Ok(ToSign { algorithm, text: body.required(name, body.octets(name)?)?, context, mu })
}

/// Our own member of a release, and of an unwrapping to a TEE: that the proof of its record is wanted, and in the answer that proof.
pub(super) const PROOF: &str = "x-skerry-proof";

/// What is said of a release.
pub(super) struct ToRelease<'a> {
    pub(super) target: &'a str,
    pub(super) nonce: Option<&'a str>,
    pub(super) enc: Option<Algorithm>,
    pub(super) proof: bool,
}

pub(super) fn release(body: &Members) -> Result<ToRelease<'_>, MemberError> {
    let target = body.text("target")?.filter(|target| !target.is_empty());
    let enc = body.text("enc")?.map(|found| Algorithm::parse(found).map_err(|_| invalid("enc", found)));
    let (target, proof) = (body.required("target", target)?, proof(body)?);
    Ok(ToRelease { target, nonce: body.text("nonce")?, enc: enc.transpose()?, proof })
}

fn proof(body: &Members) -> Result<bool, MemberError> {
    match body.text(PROOF)? {
        None => Ok(false),
        Some("inclusion") => Ok(true),
        Some(found) => Err(invalid(PROOF, found)),
    }
}

/// Wipes a body that has a private key in it, as far as it is ours: hyper's buffers are not, nor what custody reads from.
pub(super) fn wipe(body: Bytes) {
    if let Ok(mut body) = body.try_into_mut() {
        body.as_mut().zeroize();
    }
}

impl Members {
    /// The private key in a JWK, whose members are wiped.
    fn private_key(mut self) -> Result<ImportKey, MemberError> {
        let mut jwk = Object::new();
        for (name, value) in std::mem::take(&mut self.0) {
            // What is a key is strict, but for the spelling of its octets.
            match value {
                Value::String(mut text) if PRIVATE.contains(&name.as_str()) => {
                    jwk.insert(name, spelled(&text));
                    text.zeroize();
                }
                value => drop(jwk.insert(name, value)),
            }
        }
        let jwk = Members(jwk);
        jwk::import_key(&jwk.0).map_err(MemberError::Jwk)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Rsa,
    Ec,
    Oct,
    Akp,
}

/// Azure's name of a type: its family, and whether it is an HSM key's.
fn family(name: &'static str, body: &Members) -> Result<(Family, bool), MemberError> {
    let found = body.required(name, body.text(name)?)?;
    let known = TYPES.into_iter().find(|(own, _, _)| *own == found);
    known.map(|(_, family, hsm)| (family, hsm)).ok_or_else(|| invalid(name, found))
}

fn key_type(family: Family, body: &Members) -> Result<KeyType, MemberError> {
    match family {
        Family::Rsa => size(body, RSA_BITS, RsaBits::from_bits).map(|bits| KeyType::Rsa { bits }),
        Family::Oct => size(body, OCT_BITS, OctBits::from_bits).map(|bits| KeyType::Oct { bits }),
        Family::Ec => curve(body.text("crv")?.unwrap_or(CRV)).map(|curve| KeyType::Ec { curve }),
        Family::Akp => {
            let found = body.required("alg", body.text("alg")?)?;
            MlDsa::parse(found).map(|set| KeyType::Akp { set }).ok_or_else(|| invalid("alg", found))
        }
    }
}

fn curve(found: &str) -> Result<Curve, MemberError> {
    let known = CURVES.into_iter().find(|(own, _)| *own == found).map(|(_, curve)| curve);
    known.ok_or_else(|| invalid("crv", found))
}

fn size<T>(body: &Members, default: u64, of_bits: fn(usize) -> Option<T>) -> Result<T, MemberError> {
    let found = body.number("key_size")?.unwrap_or(default);
    usize::try_from(found).ok().and_then(of_bits).ok_or_else(|| invalid("key_size", found))
}

fn type_of(key: &ImportKey) -> Result<KeyType, ImportError> {
    match key {
        ImportKey::Rsa(rsa) => {
            let bits = rsa.n.len().saturating_mul(8);
            RsaBits::from_bits(bits).map(|bits| KeyType::Rsa { bits }).ok_or(ImportError::RsaSize { bits })
        }
        ImportKey::Ec { curve, .. } => Ok(KeyType::Ec { curve: *curve }),
        ImportKey::Akp { set, .. } => Ok(KeyType::Akp { set: *set }),
        ImportKey::Oct { k } => {
            let bits = OctBits::from_bits(k.len().saturating_mul(8));
            bits.map(|bits| KeyType::Oct { bits }).ok_or(ImportError::OctSize { len: k.len() })
        }
        ImportKey::Transferred(key) => Ok(key.key_type()),
    }
}

/// Another exponent cannot be had, and a key that silently has another than was asked for is no help.
fn check_exponent(body: &Members) -> Result<(), MemberError> {
    match body.number("public_exponent")? {
        Some(found) if found != RSA_EXPONENT => Err(invalid("public_exponent", found)),
        _ => Ok(()),
    }
}

fn untyped(name: KeyName, hsm: bool, key_ops: Option<Vec<KeyOp>>, body: &Members) -> Result<Untyped, MemberError> {
    // The sidecar's tool sends an empty list and means the default (observed).
    let key_ops = key_ops.filter(|key_ops| !key_ops.is_empty());
    let (attributes, tags, policy) = (attributes(body)?, tags(body)?, release_policy(body)?);
    Ok(Untyped { name, hsm, key_ops, attributes, tags, policy })
}

/// Names of operations come in more than one case (observed: `unwrapkey`).
fn key_ops(body: &Members) -> Result<Option<Vec<KeyOp>>, MemberError> {
    let Some(value) = body.get("key_ops") else { return Ok(None) };
    let op = |value: &Value| {
        let found = value.as_str().ok_or(MemberError::WrongType("key_ops"))?;
        let known = KeyOp::ALL.into_iter().find(|op| op.as_str().eq_ignore_ascii_case(found));
        known.ok_or_else(|| invalid("key_ops", found))
    };
    value.as_array().ok_or(MemberError::WrongType("key_ops"))?.iter().map(op).collect::<Result<_, _>>().map(Some)
}

/// What is read-only among them is ignored: clients send back what they were given.
fn attributes(body: &Members) -> Result<AttributesInput, MemberError> {
    let Some(attributes) = body.members("attributes")? else { return Ok(AttributesInput::default()) };
    // A key that is kept elsewhere: one made here in its place would be another than was asked for.
    if attributes.get("external_key").is_some() {
        return Err(MemberError::Unsupported("external_key"));
    }
    Ok(AttributesInput {
        enabled: attributes.flag("enabled")?,
        not_before: attributes.number("nbf")?,
        expires: attributes.number("exp")?,
        exportable: attributes.flag("exportable")?,
    })
}

fn tags(body: &Members) -> Result<Option<Tags>, MemberError> {
    let Some(tags) = body.members("tags")? else { return Ok(None) };
    let pair = |(name, value): (&str, &Value)| {
        let value = value.as_str().ok_or(MemberError::WrongType("tags"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    let pairs = tags.0.iter().map(pair).collect::<Result<_, _>>()?;
    Tags::new(pairs).map(Some).map_err(MemberError::Tags)
}

fn release_policy(body: &Members) -> Result<Option<PolicyInput>, MemberError> {
    let Some(policy) = body.members("release_policy")? else { return Ok(None) };
    if let Some(found) = policy.text("contentType")?.filter(|found| !is_json(found)) {
        return Err(invalid("contentType", found));
    }
    let data = policy.required("data", policy.octets("data")?)?;
    Ok(Some(PolicyInput { data, immutable: policy.flag("immutable")? }))
}

/// RFC 9110, 8.3.1: type and subtype without case, whatever parameters.
fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn algorithm(found: &str) -> Result<SignAlgorithm, MemberError> {
    SignAlgorithm::parse(found).ok_or_else(|| invalid("alg", found))
}

fn invalid(name: &'static str, found: impl ToString) -> MemberError {
    MemberError::Value { name, found: found.to_string() }
}

fn octets(text: &str) -> Option<Vec<u8>> {
    b64::decode(Zeroizing::new(spelled(text)).as_str()).ok()
}

/// The text in the url-safe alphabet without padding. Nothing else about it is changed, and more padding than there can be
/// stays to be refused.
fn spelled(text: &str) -> String {
    let padding = text.len().saturating_sub(text.trim_end_matches('=').len());
    let unpadded = if padding <= 2 { text.trim_end_matches('=') } else { text };
    unpadded.replace('+', "-").replace('/', "_")
}

/// Azure's names (key-vault spec 2.3).
pub(super) const TYPES: [(&str, Family, bool); 8] = [
    ("RSA", Family::Rsa, false),
    ("RSA-HSM", Family::Rsa, true),
    ("EC", Family::Ec, false),
    ("EC-HSM", Family::Ec, true),
    ("oct", Family::Oct, false),
    ("oct-HSM", Family::Oct, true),
    ("AKP", Family::Akp, false),
    ("AKP-HSM", Family::Akp, true),
];

pub(super) const CURVES: [(&str, Curve); 4] =
    [("P-256", Curve::P256), ("P-384", Curve::P384), ("P-521", Curve::P521), ("P-256K", Curve::P256K)];

/// Recorded: what is made when nothing is said.
const RSA_BITS: u64 = 2_048;
/// The documentation's default.
const OCT_BITS: u64 = 256;
/// Recorded.
const CRV: &str = "P-256";
/// The one that keys here are made with.
const RSA_EXPONENT: u64 = 65_537;

/// Members of a JWK that are octets (RFC 7518, 6).
pub(super) const PRIVATE: [&str; 11] = ["n", "e", "d", "p", "q", "dp", "dq", "qi", "k", "x", "y"];

/// Those that are secret: a key that comes wrapped has none of them.
const SECRET: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "k", "priv"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)] // reason: tests

    use super::*;

    const HOST: &str = "kv.test:8443";

    fn members(json: &str) -> Members {
        Members::parse(json.as_bytes()).unwrap()
    }

    fn name() -> KeyName {
        KeyName::parse("k").unwrap()
    }

    fn created(json: &str) -> Result<NewKey, MemberError> {
        create(name(), &members(json))
    }

    /// What is not said is Azure's default, or is not said.
    #[test]
    fn little_need_be_said() {
        for (json, key_type, hsm) in [
            (r#"{"kty":"RSA"}"#, KeyType::Rsa { bits: RsaBits::B2048 }, false),
            (r#"{"kty":"RSA-HSM","key_size":3072}"#, KeyType::Rsa { bits: RsaBits::B3072 }, true),
            (r#"{"kty":"EC","key_size":null}"#, KeyType::Ec { curve: Curve::P256 }, false),
            (r#"{"kty":"EC-HSM","crv":"P-256K"}"#, KeyType::Ec { curve: Curve::P256K }, true),
            (r#"{"kty":"oct-HSM"}"#, KeyType::Oct { bits: OctBits::B256 }, true),
            (r#"{"kty":"oct","key_size":128}"#, KeyType::Oct { bits: OctBits::B128 }, false),
        ] {
            let new = created(json).unwrap();
            assert_eq!((new.key_type, new.hsm), (key_type, hsm), "{json}");
            assert_eq!((new.key_ops, new.tags, new.policy), (None, None, None));
            assert_eq!(new.attributes, AttributesInput::default());
        }
    }

    /// Everything that a client may say, in the spellings that were seen.
    #[test]
    fn everything_may_be_said() {
        let json = r#"{"kty":"RSA-HSM","public_exponent":65537,"key_ops":["wrapKey","unwrapkey","SIGN"],
            "attributes":{"enabled":false,"nbf":1,"exp":2,"exportable":true,"created":3,"recoveryLevel":"x"},
            "tags":{"a":"1","b":""},"other":{"x":[1]},
            "release_policy":{"contentType":"Application/JSON; charset=utf-8","data":"_-8=","immutable":true}}"#;
        let new = created(json).unwrap();
        assert_eq!(new.key_ops, Some(vec![KeyOp::WrapKey, KeyOp::UnwrapKey, KeyOp::Sign]));
        let expected =
            AttributesInput { enabled: Some(false), not_before: Some(1), expires: Some(2), exportable: Some(true) };
        assert_eq!(new.attributes, expected);
        assert_eq!(new.tags.unwrap().iter().collect::<Vec<_>>(), [("a", "1"), ("b", "")]);
        assert_eq!(new.policy, Some(PolicyInput { data: vec![0xff, 0xef], immutable: Some(true) }));
    }

    /// Each member that is wrong is named.
    #[test]
    fn wrong_members_are_named() {
        use MemberError::*;
        let value = |name, found: &str| Value { name, found: found.to_owned() };
        for (json, expected) in [
            (r#"{}"#, Missing("kty")),
            (r#"{"kty":null}"#, Missing("kty")),
            (r#"{"KTY":"RSA"}"#, Missing("kty")),
            (r#"{"kty":5}"#, WrongType("kty")),
            (r#"{"kty":"rsa"}"#, value("kty", "rsa")),
            (r#"{"kty":"DSA"}"#, value("kty", "DSA")),
            (r#"{"kty":"RSA","key_size":1000}"#, value("key_size", "1000")),
            (r#"{"kty":"RSA","key_size":"2048"}"#, WrongType("key_size")),
            (r#"{"kty":"RSA","key_size":-1}"#, WrongType("key_size")),
            (r#"{"kty":"RSA","key_size":2048.0}"#, WrongType("key_size")),
            (r#"{"kty":"RSA","public_exponent":3}"#, value("public_exponent", "3")),
            (r#"{"kty":"EC","crv":"P-999"}"#, value("crv", "P-999")),
            (r#"{"kty":"RSA","key_ops":"sign"}"#, WrongType("key_ops")),
            (r#"{"kty":"RSA","key_ops":["fly"]}"#, value("key_ops", "fly")),
            (r#"{"kty":"RSA","key_ops":[1]}"#, WrongType("key_ops")),
            (r#"{"kty":"RSA","attributes":[]}"#, WrongType("attributes")),
            (r#"{"kty":"RSA","attributes":{"enabled":"true"}}"#, WrongType("enabled")),
            (r#"{"kty":"RSA","attributes":{"exp":1e9}}"#, WrongType("exp")),
            (r#"{"kty":"RSA","attributes":{"external_key":{"id":"a"}}}"#, Unsupported("external_key")),
            (r#"{"kty":"RSA","tags":{"a":1}}"#, WrongType("tags")),
            (r#"{"kty":"RSA","tags":[]}"#, WrongType("tags")),
            (r#"{"kty":"RSA","release_policy":{}}"#, Missing("data")),
            (r#"{"kty":"RSA","release_policy":{"data":"{}"}}"#, NotBase64("data")),
            (r#"{"kty":"RSA","release_policy":{"data":"e30==="}}"#, NotBase64("data")),
            (
                r#"{"kty":"RSA","release_policy":{"data":"e30","contentType":"text/plain"}}"#,
                value("contentType", "text/plain"),
            ),
            (r#"{"kty":"RSA","release_policy":{"data":"e30","immutable":"yes"}}"#, WrongType("immutable")),
        ] {
            assert_eq!(created(json).map(drop), Err(expected), "{json}");
        }
        let long = format!(r#"{{"kty":"RSA","tags":{{"{}":""}}}}"#, "x".repeat(257));
        assert_eq!(created(&long).map(drop), Err(Tags(TagsError::TooLong { chars: 257 })));
    }

    /// Bodies that are no object, and a name that comes twice.
    #[test]
    fn bodies_are_objects_with_unique_names() {
        for body in ["", "{", "nil", "\u{feff}{}", r#"{"kty":"RSA","kty":"EC"}"#, r#"{"a":{"b":1,"b":2}}"#] {
            assert!(matches!(Members::parse(body.as_bytes()), Err(MemberError::Json(_))), "{body}");
        }
        for body in ["[]", "\"x\"", "1", "null"] {
            assert_eq!(Members::parse(body.as_bytes()).map(drop), Err(MemberError::NotAnObject), "{body}");
        }
    }

    /// The type that an imported key is stored as follows from its material, whatever spelling; `Hsm` has two.
    #[test]
    fn imports_are_read() {
        let k = format!("{}==", b64::encode([0xfb; 16]).replace('-', "+").replace('_', "/"));
        for (json, hsm) in [
            (format!(r#"{{"key":{{"kty":"oct","k":"{k}"}},"Hsm":true}}"#), true),
            (format!(r#"{{"key":{{"kty":"oct","k":"{k}","key_ops":[]}},"hsm":true}}"#), true),
            (format!(r#"{{"key":{{"kty":"oct-HSM","k":"{k}","key_size":128}}}}"#), true),
            (format!(r#"{{"key":{{"kty":"oct","k":"{k}"}},"hsm":false}}"#), false),
        ] {
            let Ok(ToImport::Clear(command)) = import(name(), HOST, members(&json)) else { panic!("{json}") };
            assert_eq!((command.new.key_type, command.new.hsm), (KeyType::Oct { bits: OctBits::B128 }, hsm), "{json}");
            assert_eq!(command.new.key_ops, None);
            let ImportKey::Oct { k } = command.key else { panic!("not symmetric") };
            assert_eq!(k.as_slice(), [0xfb; 16]);
        }
    }

    /// What cannot be imported says what is wrong with it.
    #[test]
    fn wrong_imports_are_named() {
        let refused = |json: &str| import(name(), HOST, members(json)).map(drop).unwrap_err();
        for (json, expected) in [
            (r#"{}"#, MemberError::Missing("key")),
            (r#"{"key":"x"}"#, MemberError::WrongType("key")),
            (r#"{"key":{}}"#, MemberError::Missing("kty")),
            (r#"{"key":{"kty":"OKP"}}"#, MemberError::Value { name: "kty", found: "OKP".into() }),
            (r#"{"key":{"kty":"oct"}}"#, MemberError::Jwk(JwkImportError::Missing("k"))),
            (r#"{"key":{"kty":"oct","k":"A"}}"#, MemberError::Jwk(JwkImportError::NotBase64("k"))),
            (r#"{"key":{"kty":"oct","k":"AA"},"Hsm":true,"hsm":true}"#, MemberError::Twice("Hsm")),
            (r#"{"key":{"kty":"oct","k":"AA"},"Hsm":1}"#, MemberError::WrongType("Hsm")),
        ] {
            assert!(matches!(refused(json), Refused::Member(error) if error == expected), "{json}");
        }
        let small = refused(r#"{"key":{"kty":"oct","k":"AA"}}"#);
        let expected = Refusal::Import(ImportError::OctSize { len: 1 });
        assert!(matches!(small, Refused::Vault { refusal, .. } if refusal == expected));
        let long = format!(r#"{{"key":{{"kty":"oct","k":"{}"}}}}"#, b64::encode([1; 65]));
        assert!(matches!(refused(&long), Refused::Member(MemberError::OctTooLarge)));
        let akp = refused(r#"{"key":{"kty":"AKP-HSM","key_hsm":"e30"}}"#);
        assert!(matches!(akp, Refused::Absent { operation: "import of a wrapped ML-DSA key" }));
    }

    fn wrapped(kid: &str, edit: impl Fn(String) -> String) -> Members {
        let blob = format!(
            r#"{{"schema_version":"1.0.0","header":{{"kid":"{kid}","alg":"dir","enc":"CKM_RSA_AES_KEY_WRAP"}},"ciphertext":"AQI","generator":"a tool"}}"#
        );
        let key_hsm = b64::encode(edit(blob));
        members(&format!(r#"{{"key":{{"kty":"RSA-HSM","key_hsm":"{key_hsm}","n":"AAED","key_ops":["sign"]}}}}"#))
    }

    /// A transfer blob is taken as Azure's specification has it; what is said of the public half comes along.
    #[test]
    fn transfer_blobs_are_read() {
        let version = "0123456789ABCDEF0123456789abcdef";
        for kid in
            [format!("https://{HOST}/keys/Kek-1/{version}"), format!("https://KV.test:8443/keys/Kek-1/{version}")]
        {
            let Ok(ToImport::Wrapped(command)) = import(name(), HOST, wrapped(&kid, |blob| blob)) else {
                panic!("{kid}")
            };
            assert_eq!(command.kek.0.as_str(), "Kek-1");
            assert_eq!(command.kek.1.to_string(), version.to_ascii_lowercase());
            assert_eq!((command.wrapped, command.new.hsm), (vec![1, 2], true));
            assert_eq!(command.claimed, Claimed { n: Some(vec![1, 3]), ..Claimed::default() });
            assert_eq!(command.new.key_ops, Some(vec![KeyOp::Sign]));
        }
    }

    /// Another schema, another algorithm, a key of another vault or without a version, and secrets beside a blob.
    #[test]
    fn wrong_transfer_blobs_are_named() {
        let kid = format!("https://{HOST}/keys/kek/0123456789abcdef0123456789abcdef");
        let refused =
            |edit: &dyn Fn(String) -> String| import(name(), HOST, wrapped(&kid, edit)).map(drop).unwrap_err();
        let value = |name, found: &str| MemberError::Value { name, found: found.to_owned() };
        for (from, to, expected) in [
            ("1.0.0", "1.0", value("schema_version", "1.0")),
            ("1.0.0", "2.0.0", value("schema_version", "2.0.0")),
            ("dir", "RSA-OAEP", value("alg", "RSA-OAEP")),
            ("CKM_RSA_AES_KEY_WRAP", "RSA_AES_KEY_WRAP_256", value("enc", "RSA_AES_KEY_WRAP_256")),
            ("schema_version", "schema", MemberError::Missing("schema_version")),
            ("\"header\"", "\"head\"", MemberError::Missing("header")),
            ("\"alg\"", "\"algo\"", MemberError::Missing("alg")),
            ("\"kid\"", "\"id\"", MemberError::Missing("kid")),
            ("ciphertext", "text", MemberError::Missing("ciphertext")),
            ("\"AQI\"", "\"?\"", MemberError::NotBase64("ciphertext")),
            ("{\"schema", "[\"schema", MemberError::TransferBlob),
        ] {
            let found = refused(&|blob| blob.replace(from, to));
            assert!(matches!(&found, Refused::Member(error) if *error == expected), "{found:?}");
        }
        for other in [
            "http://kv.test:8443/keys/kek/0123456789abcdef0123456789abcdef",
            "https://kv.test/keys/kek/0123456789abcdef0123456789abcdef",
            "https://kv.test:8443.evil.test/keys/kek/0123456789abcdef0123456789abcdef",
            "https://kv.test:8443/keys/kek",
            "https://kv.test:8443/keys/kek/",
            "https://kv.test:8443/keys/kek/0123456789abcdef0123456789abcde",
            "https://kv.test:8443/keys/kek/0123456789abcdef0123456789abcdef/",
            "https://kv.test:8443/keys//0123456789abcdef0123456789abcdef",
            "https://kv.test:8443/deletedkeys/kek/0123456789abcdef0123456789abcdef",
            "kek",
        ] {
            let found = import(name(), HOST, wrapped(other, |blob| blob)).map(drop).unwrap_err();
            assert!(matches!(found, Refused::Vault { refusal: Refusal::TransferKey, .. }), "{other}");
        }
        for secret in SECRET {
            let both = members(&format!(r#"{{"key":{{"kty":"RSA-HSM","key_hsm":"e30","{secret}":"AQ"}}}}"#));
            let found = import(name(), HOST, both).map(drop).unwrap_err();
            let expected = MemberError::Beside { name: secret, other: "key_hsm" };
            assert!(matches!(found, Refused::Member(error) if error == expected), "{secret}");
        }
    }

    /// Signing, verifying and releasing: what they need, and what a release may leave out.
    #[test]
    fn operations_are_read() {
        let signed = sign(&members(r#"{"alg":"ES256K","value":"AQI="}"#)).unwrap();
        assert_eq!(signed.digest(), Some((SignAlgorithm::Es256K, &[1, 2][..])));
        let verified = verify(&members(r#"{"alg":"PS512","digest":"","value":"Aw"}"#)).unwrap();
        assert_eq!((verified.text.digest(), verified.signature), (Some((SignAlgorithm::Ps512, &[][..])), vec![3]));
        for (json, expected) in [
            (r#"{"alg":"ES256"}"#, MemberError::Missing("value")),
            (r#"{"alg":"es256","value":"AQ"}"#, MemberError::Value { name: "alg", found: "es256".into() }),
            (r#"{"alg":"ES256","value":"?"}"#, MemberError::NotBase64("value")),
        ] {
            assert_eq!(sign(&members(json)).map(drop), Err(expected), "{json}");
        }
        let name = name();
        let named = Named { name: &name, version: None };
        for (json, algorithm, text) in [
            (r#"{"value":"AQ"}"#, None, MlDsaText::Message { message: &[1], context: &[] }),
            (
                r#"{"alg":"ML-DSA-44","value":"AQ","context":"Ag"}"#,
                Some(SignAlgorithm::MlDsa44),
                MlDsaText::Message { message: &[1], context: &[2] },
            ),
            (
                r#"{"value":"AQ","context":"","external_mu":null}"#,
                None,
                MlDsaText::Message { message: &[1], context: &[] },
            ),
            (r#"{"external_mu":"Aw","context":null,"alg":null}"#, None, MlDsaText::Mu(&[3])),
        ] {
            let signed = sign(&members(json)).unwrap();
            assert_eq!(signed.digest(), None, "{json}");
            assert_eq!(signed.ml_dsa(named), MlDsaCommand { key: named, algorithm, text }, "{json}");
        }
        for beside in ["alg", "value", "context"] {
            let json = format!(r#"{{"external_mu":"Aw","{beside}":"AQ"}}"#);
            let expected = MemberError::Beside { name: beside, other: "external_mu" };
            assert_eq!(sign(&members(&json)).map(drop), Err(expected));
        }
        let json = r#"{"external_mu":"Aw","digest":"AQ","value":"AQ"}"#;
        let expected = MemberError::Beside { name: "digest", other: "external_mu" };
        assert_eq!(verify(&members(json)).map(drop), Err(expected));
        assert!(verify(&members(r#"{"external_mu":"Aw","value":"AQ"}"#)).is_ok());
        assert_eq!(verify(&members(r#"{"external_mu":"Aw"}"#)).map(drop), Err(MemberError::Missing("value")));
        let only = members(r#"{"target":"a.b.c"}"#);
        let only = release(&only).unwrap();
        assert_eq!((only.target, only.nonce, only.enc), ("a.b.c", None, None));
        let all = members(r#"{"target":"t","nonce":"n","enc":"RSA_AES_KEY_WRAP_384"}"#);
        let all = release(&all).unwrap();
        assert_eq!((all.nonce, all.enc), (Some("n"), Some(Algorithm::RsaAesKeyWrap384)));
        for (json, expected) in [
            (r#"{}"#, MemberError::Missing("target")),
            (r#"{"target":""}"#, MemberError::Missing("target")),
            (r#"{"target":1}"#, MemberError::WrongType("target")),
            (r#"{"target":"t","nonce":1}"#, MemberError::WrongType("nonce")),
            (r#"{"target":"t","enc":"ROT13"}"#, MemberError::Value { name: "enc", found: "ROT13".into() }),
        ] {
            assert_eq!(release(&members(json)).map(drop), Err(expected), "{json}");
        }
    }
}
