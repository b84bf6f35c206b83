//! Private keys as JWK (RFC 7518, 6), for import: from JSON members to components.
//!
//! Strict base64url throughout. Azure takes a modulus with a leading zero octet and echoes it; custody knows one form only, so
//! it is dropped here, and noted beside the key by whoever read the request. The type's name may carry `-HSM`; every key is
//! kept as one. What the components must satisfy is custody's to check. The caller's text is not wiped: it was on the wire and
//! in the request's buffer.

use skerry_jose::b64;
use skerry_jose::json::{Object, Value};
use skerry_keys::{Curve, ImportKey, RsaComponents};
use zeroize::Zeroizing;

/// Why a JWK is not a private key that can be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum JwkImportError {
    #[error("member {0} is missing")]
    Missing(&'static str),
    #[error("member {0} is not a text")]
    WrongType(&'static str),
    #[error("member {0} is not strict base64url")]
    NotBase64(&'static str),
    #[error("key type {0:?} is not supported")]
    KeyType(String),
    #[error("curve {0:?} is not supported")]
    Curve(String),
}

/// Reads the private key of a JWK.
pub fn import_key(jwk: &Object) -> Result<ImportKey, JwkImportError> {
    match text(jwk, "kty")? {
        "RSA" | "RSA-HSM" => rsa(jwk),
        "EC" | "EC-HSM" => ec(jwk),
        "oct" | "oct-HSM" => Ok(ImportKey::Oct { k: secret(jwk, "k")? }),
        other => Err(JwkImportError::KeyType(other.to_owned())),
    }
}

fn rsa(jwk: &Object) -> Result<ImportKey, JwkImportError> {
    Ok(ImportKey::Rsa(Box::new(RsaComponents {
        n: significant(&bytes(jwk, "n")?),
        e: significant(&bytes(jwk, "e")?),
        d: secret(jwk, "d")?,
        p: secret(jwk, "p")?,
        q: secret(jwk, "q")?,
        dp: secret(jwk, "dp")?,
        dq: secret(jwk, "dq")?,
        qi: secret(jwk, "qi")?,
    })))
}

fn ec(jwk: &Object) -> Result<ImportKey, JwkImportError> {
    let name = text(jwk, "crv")?;
    let curve = CURVES.into_iter().find(|(known, _)| *known == name).map(|(_, curve)| curve);
    let curve = curve.ok_or_else(|| JwkImportError::Curve(name.to_owned()))?;
    Ok(ImportKey::Ec { curve, d: secret(jwk, "d")?, x: bytes(jwk, "x")?, y: bytes(jwk, "y")? })
}

fn text<'a>(jwk: &'a Object, name: &'static str) -> Result<&'a str, JwkImportError> {
    match jwk.get(name) {
        None | Some(Value::Null) => Err(JwkImportError::Missing(name)),
        Some(value) => value.as_str().ok_or(JwkImportError::WrongType(name)),
    }
}

fn bytes(jwk: &Object, name: &'static str) -> Result<Vec<u8>, JwkImportError> {
    b64::decode(text(jwk, name)?).map_err(|_| JwkImportError::NotBase64(name))
}

fn secret(jwk: &Object, name: &'static str) -> Result<Zeroizing<Vec<u8>>, JwkImportError> {
    bytes(jwk, name).map(Zeroizing::new)
}

fn significant(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().skip_while(|byte| *byte == 0).collect()
}

/// Azure's names of curves; P-256K is secp256k1, which RFC 8812 calls so too.
const CURVES: [(&str, Curve); 5] = [
    ("P-256", Curve::P256),
    ("P-384", Curve::P384),
    ("P-521", Curve::P521),
    ("P-256K", Curve::P256K),
    ("secp256k1", Curve::P256K),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(jwk: Object) -> JwkImportError {
        import_key(&jwk).map(drop).unwrap_err()
    }

    /// Every private member is needed, and each one that is missing or malformed is named.
    #[test]
    fn members_are_needed_and_named() {
        let names = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
        let rsa = names.iter().fold(Object::new().with("kty", "RSA-HSM"), |jwk, name| jwk.with(*name, "AQ"));
        assert!(matches!(import_key(&rsa), Ok(ImportKey::Rsa(_))));
        for name in names {
            let mut without = rsa.clone();
            without.remove(name);
            assert_eq!(refused(without), JwkImportError::Missing(name));
            assert_eq!(refused(rsa.clone().with(name, 1u64)), JwkImportError::WrongType(name));
            assert_eq!(refused(rsa.clone().with(name, "AQ==")), JwkImportError::NotBase64(name));
        }
        assert_eq!(refused(Object::new()), JwkImportError::Missing("kty"));
        assert_eq!(refused(Object::new().with("kty", "OKP")), JwkImportError::KeyType("OKP".into()));
        assert_eq!(refused(Object::new().with("kty", "oct")), JwkImportError::Missing("k"));
        let ec = Object::new().with("kty", "EC").with("crv", "P-224");
        assert_eq!(refused(ec), JwkImportError::Curve("P-224".into()));
    }

    /// A modulus with the leading zero octet that Azure tolerates is the same modulus.
    #[test]
    fn leading_zeros_of_public_numbers_are_dropped() {
        assert_eq!(significant(&[0, 0, 1, 0]), [1, 0]);
        assert_eq!(significant(&[0]), [0; 0]);
    }
}
