//! What is made in a session: keys, what is wrapped of them, and envelopes for TEEs.

use super::{Blob, demand, is_akp, purpose};
use crate::aes;
use crate::cipher::SECURE_KEY_LEN;
use crate::custody::Binding;
use crate::key_type::{Curve, KeyType, OctBits, PublicKey};
use crate::material::Material;
use crate::sign::{SignAlgorithm, verify};
use skerry_keywrap::TargetKey;
use skerry_pkcs11::{Ability, Curve as InCurve, Fault, Hash, Object, RootId, RsaPublic, Session, Shape, Use, Wrapping};

pub(super) const EXTRACTABLE: Use =
    Use { extractable: true, readable: false, sign: false, decrypt: false, encrypt: false, wrap: false, unwrap: false };

/// Makes a key and wraps it.
pub(super) fn generate(session: &Session<'_>, binding: &Binding) -> Result<(PublicKey, Blob), Fault> {
    let (public, key) = match binding.key_type {
        KeyType::Rsa { bits } => {
            demand(session, Ability::GenerateRsa)?;
            let bits = u16::try_from(bits.bits()).map_err(|_| Fault::Malformed("size of an RSA key"))?;
            let (key, RsaPublic { n, e }) = session.generate_rsa(bits, EXTRACTABLE)?;
            (PublicKey::Rsa { n, e }, key)
        }
        KeyType::Ec { curve } => {
            demand(session, Ability::GenerateEc(in_token(curve)))?;
            let (key, point) = session.generate_ec(in_token(curve), EXTRACTABLE)?;
            let coordinates = point.get(1..).unwrap_or_default();
            let (x, y) = coordinates.split_at_checked(curve.field_len()).ok_or(Fault::Malformed("point"))?;
            (PublicKey::Ec { curve, x: x.to_vec(), y: y.to_vec() }, key)
        }
        KeyType::Oct { bits } => (PublicKey::Oct, session.generate_aes(octets(bits)?, EXTRACTABLE)?),
        KeyType::Akp { .. } => return Err(Fault::Unsupported(Ability::MlDsa)),
    };
    let blob = wrapped(session, binding, &key)?;
    drop(key);
    comes_back(session, binding, &public, &blob)?;
    Ok((public, blob))
}

/// Takes a key in that this process has: wrapped here under a key for this once, which the token is given, and unwrapped there, so
/// that it comes in by the way that it comes in for each use.
pub(super) fn import(
    session: &Session<'_>,
    binding: &Binding,
    (public, material): (&PublicKey, &Material),
    transport: &[u8],
) -> Result<Blob, Fault> {
    if is_akp(binding.key_type) {
        return Err(Fault::Unsupported(Ability::MlDsa));
    }
    demand(session, Ability::CreateSecret)?;
    let under = aes::Key { bits: OctBits::B256, octets: transport };
    let given = aes::wrap_padded(under, material.expose()).map_err(|_| Fault::Malformed("key for AWS-LC"))?;
    let under = session.create_secret(transport, Shape::Aes, Use { unwrap: true, ..Use::default() })?;
    let key = session.unwrap((Wrapping::Kwp, &under), &given, shape(binding.key_type), EXTRACTABLE)?;
    let blob = wrapped(session, binding, &key)?;
    drop(key);
    comes_back(session, binding, public, &blob)?;
    Ok(blob)
}

/// Wraps anew what is wrapped, under the newest root.
pub(super) fn rewrap(session: &Session<'_>, binding: &Binding, blob: &Blob) -> Result<Blob, Fault> {
    let key = blob.unwrapped(session, binding, EXTRACTABLE)?;
    wrapped(session, binding, &key)
}

pub(super) fn check(session: &Session<'_>, binding: &Binding, blob: &Blob) -> Result<(), Fault> {
    blob.unwrapped(session, binding, Use::default()).map(drop)
}

/// OAEP(target, K) || KWP(K, key), as `skerry_keywrap` makes it, with a K of the token.
pub(super) fn envelope(
    session: &Session<'_>,
    hash: Hash,
    target: &TargetKey,
    key: &Object<'_>,
) -> Result<Vec<u8>, Fault> {
    demand(session, Ability::WrapOaep(hash))?;
    let public = RsaPublic { n: target.modulus().to_vec(), e: target.exponent().to_vec() };
    let to = session.create_rsa_public(&public)?;
    let k = session.generate_aes(32, Use { extractable: true, wrap: true, ..Use::default() })?;
    let first = session.wrap(Wrapping::Oaep(hash), &to, &k)?;
    let second = session.wrap(Wrapping::Kwp, &k, key)?;
    if first.len() != public.n.len() || !second.len().is_multiple_of(8) {
        return Err(Fault::Malformed("wrapped key"));
    }
    Ok([first, second].concat())
}

/// None if what is wrapped does not open to a key of that length.
pub(super) fn unwrap_to(
    session: &Session<'_>,
    (blob, binding): (&Blob, &Binding),
    (by, wrapped): (Wrapping, &[u8]),
    (hash, target): (Hash, &TargetKey),
) -> Result<Option<Vec<u8>>, Fault> {
    demand(session, of_unwrap(by))?;
    demand(session, Ability::WrapOaep(hash))?;
    let under = blob.unwrapped(session, binding, Use { unwrap: true, ..Use::default() })?;
    let key = match session.unwrap((by, &under), wrapped, Shape::Aes, EXTRACTABLE) {
        Ok(key) => key,
        Err(fault @ (Fault::Gone | Fault::Busy)) => return Err(fault),
        Err(_) => return Ok(None),
    };
    // Not every token says how long a key is that it has unwrapped; what it wraps of it does.
    if matches!(session.value_len(&key), Ok(len) if len > 0 && len != SECURE_KEY_LEN) {
        return Ok(None);
    }
    let envelope = envelope(session, hash, target, &key)?;
    let expected = target.modulus().len().saturating_add(SECURE_KEY_LEN).saturating_add(8);
    Ok((envelope.len() == expected).then_some(envelope))
}

/// A key that is made in the token, wrapped to an RSA public half.
pub(super) fn wrap_fresh_to(session: &Session<'_>, hash: Hash, public: &RsaPublic) -> Result<Vec<u8>, Fault> {
    demand(session, Ability::WrapOaep(hash))?;
    let to = session.create_rsa_public(public)?;
    let key = session.generate_aes(32, EXTRACTABLE)?;
    session.wrap(Wrapping::Oaep(hash), &to, &key)
}

pub(super) fn of_unwrap(by: Wrapping) -> Ability {
    match by {
        Wrapping::Kw => Ability::Kw,
        Wrapping::Kwp => Ability::Kwp,
        Wrapping::Oaep(hash) => Ability::UnwrapOaep(hash),
    }
}

impl Blob {
    pub(super) fn unwrapped<'s>(
        &self,
        session: &'s Session<'s>,
        binding: &Binding,
        uses: Use,
    ) -> Result<Object<'s>, Fault> {
        self.unwrapped_as(session, binding, shape(binding.key_type), uses)
    }

    pub(super) fn unwrapped_as<'s>(
        &self,
        session: &'s Session<'s>,
        binding: &Binding,
        shape: Shape,
        uses: Use,
    ) -> Result<Object<'s>, Fault> {
        session.unwrap_under_root((self.root, purpose(binding)), &self.wrapped, shape, uses)
    }
}

fn wrapped(session: &Session<'_>, binding: &Binding, key: &Object<'_>) -> Result<Blob, Fault> {
    let root = session.current_root().ok_or(Fault::NoRoot(RootId([0; 16])))?.id;
    Ok(Blob { root, wrapped: session.wrap_under_root(root, purpose(binding), key)? })
}

/// A key whose wrapped form does not open is lost: it is tried before anybody is told that there is a key. One with a public half
/// also has to sign for it.
fn comes_back(session: &Session<'_>, binding: &Binding, public: &PublicKey, blob: &Blob) -> Result<(), Fault> {
    let key = blob.unwrapped(session, binding, Use { sign: true, ..Use::default() })?;
    let digest = [7; 64];
    let (algorithm, signature) = match binding.key_type {
        KeyType::Rsa { .. } => {
            let digest = digest.get(..32).unwrap_or_default();
            (SignAlgorithm::RsNull, session.sign_pkcs1(&key, digest)?)
        }
        KeyType::Ec { curve } => {
            let algorithm = of_curve(curve);
            let digest = digest.get(..algorithm.digest_len().unwrap_or_default()).unwrap_or_default();
            (algorithm, session.sign_ec(&key, in_token(curve), digest)?)
        }
        KeyType::Oct { .. } | KeyType::Akp { .. } => return Ok(()),
    };
    let len = algorithm.digest_len().unwrap_or(32);
    match verify(public, algorithm, digest.get(..len).unwrap_or_default(), &signature) {
        Ok(true) => Ok(()),
        _ => Err(Fault::Malformed("key of that public half")),
    }
}

pub(super) fn shape(key_type: KeyType) -> Shape {
    match key_type {
        KeyType::Rsa { .. } => Shape::Rsa,
        KeyType::Ec { .. } => Shape::Ec,
        KeyType::Oct { .. } => Shape::Aes,
        KeyType::Akp { .. } => Shape::Generic,
    }
}

pub(super) fn in_token(curve: Curve) -> InCurve {
    match curve {
        Curve::P256 => InCurve::P256,
        Curve::P384 => InCurve::P384,
        Curve::P521 => InCurve::P521,
        Curve::P256K => InCurve::P256K,
    }
}

fn of_curve(curve: Curve) -> SignAlgorithm {
    match curve {
        Curve::P256 => SignAlgorithm::Es256,
        Curve::P384 => SignAlgorithm::Es384,
        Curve::P521 => SignAlgorithm::Es512,
        Curve::P256K => SignAlgorithm::Es256K,
    }
}

fn octets(bits: OctBits) -> Result<u8, Fault> {
    u8::try_from(bits.bits() / 8).map_err(|_| Fault::Malformed("size of an AES key"))
}
