//! Private keys in files, as the members of a JWK that a vault takes.
//!
//! PKCS#8 (RFC 5958) in PEM or DER, JWK (RFC 7518, 6), or the octets of a symmetric key. Encrypted and older forms are not
//! read: `openssl pkey` turns them into this one. What is read is wiped when it goes.

use anyhow::{Context as _, anyhow, bail};
use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _,
};
use der::asn1::{ObjectIdentifier, OctetStringRef, UintRef};
use der::{AnyRef, Decode as _, Reader as _, Sequence, SliceReader};
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use skerry_client::vault::PrivateJwk;
use skerry_jose::b64;
use skerry_jose::json::{self, Object, Value};
use zeroize::{Zeroize as _, Zeroizing};

use crate::remote::Input;

type Octets = Zeroizing<Vec<u8>>;

/// The private key in a file.
pub(super) fn read(file: &Input, raw: bool, hsm: bool) -> anyhow::Result<PrivateJwk> {
    let bytes = file.read().context("private key")?;
    private_key(&bytes, raw, hsm).context("private key")
}

fn private_key(bytes: &Octets, raw: bool, hsm: bool) -> anyhow::Result<PrivateJwk> {
    if raw {
        let kty = if hsm { "oct-HSM" } else { "oct" };
        return Ok(PrivateJwk::new(kty, None, vec![("k", bytes.clone())]));
    }
    match bytes.trim_ascii_start() {
        [b'{', ..] => jwk(bytes, hsm),
        [b'-', ..] => pkcs8(&from_pem(bytes)?, hsm),
        [0x30, ..] => pkcs8(bytes, hsm),
        _ => bail!("it is neither PEM, nor DER, nor a JWK; the octets of a symmetric key need --raw"),
    }
}

/// The DER in the first PEM block, which has to be of the right kind.
pub(super) fn from_pem(bytes: &[u8]) -> anyhow::Result<Octets> {
    if bytes.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED) {
        bail!("it is encrypted: openssl pkey -in FILE -out OTHER decrypts it");
    }
    let (kind, der) = <(SectionKind, Vec<u8>)>::from_pem_slice(bytes).map_err(|_| anyhow!("it has no PEM block"))?;
    let der = Zeroizing::new(der);
    match kind {
        SectionKind::PrivateKey => Ok(der),
        SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
            bail!("it is in an older form: openssl pkcs8 -topk8 -nocrypt -in FILE -out OTHER makes it PKCS#8")
        }
        _ => bail!("it is no private key"),
    }
}

const ENCRYPTED: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// RFC 5958, 2.
fn pkcs8(der: &[u8], hsm: bool) -> anyhow::Result<PrivateJwk> {
    let (algorithm, parameters, key) = one_asymmetric_key(der).map_err(|_| anyhow!("it is not PKCS#8"))?;
    match algorithm {
        RSA_ENCRYPTION => rsa(key, hsm),
        EC_PUBLIC_KEY => {
            let curve = CURVES.into_iter().find(|(oid, ..)| Some(*oid) == parameters);
            let (_, name, field_len, signing) = curve.ok_or_else(|| anyhow!("its curve is none that vaults have"))?;
            ec(der, name, field_len, signing, hsm)
        }
        other => bail!("it is a key of the algorithm {other}, which vaults do not import"),
    }
}

type Asymmetric<'a> = (ObjectIdentifier, Option<ObjectIdentifier>, &'a [u8]);

fn one_asymmetric_key(der: &[u8]) -> der::Result<Asymmetric<'_>> {
    let mut reader = SliceReader::new(der)?;
    let key = reader.sequence(|reader| -> der::Result<Asymmetric<'_>> {
        let _version: u8 = reader.decode()?;
        let (algorithm, parameters) = reader.sequence(|reader| {
            let algorithm: ObjectIdentifier = reader.decode()?;
            let parameters: Option<AnyRef<'_>> = if reader.is_finished() { None } else { Some(reader.decode()?) };
            der::Result::Ok((algorithm, parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok())))
        })?;
        let key: &OctetStringRef = reader.decode()?;
        // Attributes, and the public half, which the private one gives anyway.
        reader.read_slice(reader.remaining_len())?;
        Ok((algorithm, parameters, key.as_bytes()))
    })?;
    reader.finish()?;
    Ok(key)
}

/// RFC 8017, A.1.2, two primes.
#[derive(Sequence)]
struct RsaPrivateKey<'a> {
    version: u8,
    n: UintRef<'a>,
    e: UintRef<'a>,
    d: UintRef<'a>,
    p: UintRef<'a>,
    q: UintRef<'a>,
    dp: UintRef<'a>,
    dq: UintRef<'a>,
    qi: UintRef<'a>,
}

fn rsa(der: &[u8], hsm: bool) -> anyhow::Result<PrivateJwk> {
    let key = RsaPrivateKey::from_der(der).map_err(|_| anyhow!("it is not an RSA key of two primes"))?;
    if key.version != 0 {
        bail!("it is an RSA key of more than two primes");
    }
    let members = [
        ("n", key.n),
        ("e", key.e),
        ("d", key.d),
        ("p", key.p),
        ("q", key.q),
        ("dp", key.dp),
        ("dq", key.dq),
        ("qi", key.qi),
    ];
    let members = members.map(|(name, number)| (name, Zeroizing::new(number.as_bytes().to_vec())));
    Ok(PrivateJwk::new(if hsm { "RSA-HSM" } else { "RSA" }, None, members.into()))
}

/// The library computes the public half where the file has none, and refuses one that is not of this key.
fn ec(
    der: &[u8],
    name: &'static str,
    field_len: usize,
    signing: &'static EcdsaSigningAlgorithm,
    hsm: bool,
) -> anyhow::Result<PrivateJwk> {
    let refused = || anyhow!("it is not a sound EC key on {name}");
    let pair = EcdsaKeyPair::from_pkcs8(signing, der).map_err(|_| refused())?;
    let d = pair.private_key().as_be_bytes().map_err(|_| refused())?;
    // SEC 1, 2.3.3: 04, x, y.
    let point = pair.public_key().as_ref();
    let (x, y) = point.get(1..).and_then(|point| point.split_at_checked(field_len)).ok_or_else(refused)?;
    let octets = |octets: &[u8]| Zeroizing::new(octets.to_vec());
    let members = vec![("x", octets(x)), ("y", octets(y)), ("d", octets(d.as_ref()))];
    Ok(PrivateJwk::new(if hsm { "EC-HSM" } else { "EC" }, Some(name), members))
}

/// RFC 7518, 6. Members that a vault does not need are passed over.
fn jwk(bytes: &[u8], hsm: bool) -> anyhow::Result<PrivateJwk> {
    let value = json::parse(bytes, &skerry_jose::limits::JSON).map_err(|error| anyhow!("it is no JSON: {error}"))?;
    let mut jwk = value.into_object().ok_or_else(|| anyhow!("it is no JWK"))?;
    let read = of_jwk(&jwk, hsm);
    for name in PRIVATE {
        if let Some(Value::String(text)) = jwk.get_mut(name) {
            text.zeroize();
        }
    }
    read
}

fn of_jwk(jwk: &Object, hsm: bool) -> anyhow::Result<PrivateJwk> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str).ok_or_else(|| anyhow!("it has no member {name}"));
    let found = text("kty")?;
    let (family, names) = match found.strip_suffix("-HSM").unwrap_or(found) {
        "RSA" => ("RSA", &["n", "e", "d", "p", "q", "dp", "dq", "qi"][..]),
        "EC" => ("EC", &["x", "y", "d"][..]),
        "oct" => ("oct", &["k"][..]),
        _ => bail!("its type {found:?} is none that vaults import"),
    };
    let hsm = hsm || found.ends_with("-HSM");
    let kty = TYPES.into_iter().find(|(own, of_hsm, _)| *own == family && *of_hsm == hsm).map(|(.., kty)| kty);
    let crv = match family {
        "EC" => Some(curve(text("crv")?)?),
        _ => None,
    };
    let octets = |name: &&'static str| {
        let octets = b64::decode_lenient(text(name)?).map_err(|_| anyhow!("its member {name} is not base64url"))?;
        anyhow::Ok((*name, Zeroizing::new(octets)))
    };
    let members = names.iter().map(octets).collect::<Result<_, _>>()?;
    Ok(PrivateJwk::new(kty.unwrap_or_default(), crv, members))
}

/// RFC 8812 has another name for one of them.
fn curve(found: &str) -> anyhow::Result<&'static str> {
    let found = if found == "secp256k1" { "P-256K" } else { found };
    let known = CURVES.into_iter().find(|(_, name, ..)| *name == found);
    known.map(|(_, name, ..)| name).ok_or_else(|| anyhow!("its curve {found:?} is none that vaults have"))
}

/// Members that are secret (RFC 7518, 6.2.2, 6.3.2, 6.4.1).
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];

const TYPES: [(&str, bool, &str); 6] = [
    ("RSA", false, "RSA"),
    ("RSA", true, "RSA-HSM"),
    ("EC", false, "EC"),
    ("EC", true, "EC-HSM"),
    ("oct", false, "oct"),
    ("oct", true, "oct-HSM"),
];

/// RFC 8017, A.1.
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// RFC 5480, 2.1.1.
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

type Known = (ObjectIdentifier, &'static str, usize, &'static EcdsaSigningAlgorithm);

/// RFC 5480, 2.1.1.1; SEC 2, A.2.1.
const CURVES: [Known; 4] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"), "P-256", 32, &ECDSA_P256_SHA256_FIXED_SIGNING),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), "P-384", 48, &ECDSA_P384_SHA384_FIXED_SIGNING),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), "P-521", 66, &ECDSA_P521_SHA512_FIXED_SIGNING),
    (ObjectIdentifier::new_unwrap("1.3.132.0.10"), "P-256K", 32, &ECDSA_P256K1_SHA256_FIXED_SIGNING),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // reason: tests

    use super::*;
    use crate::pem;

    fn refused(bytes: &[u8], raw: bool) -> String {
        let read = private_key(&Zeroizing::new(bytes.to_vec()), raw, false);
        format!("{:#}", read.map(|key| key.kty()).unwrap_err())
    }

    /// Every curve, in PEM and DER, is read as what it is; a key of one curve is not taken for another's.
    #[test]
    fn pkcs8_is_read() {
        for (_, name, field_len, signing) in CURVES {
            let der = EcdsaKeyPair::generate(signing).unwrap().to_pkcs8v1().unwrap().as_ref().to_vec();
            for text in [pem::block(pem::PRIVATE_KEY, &der).unwrap().as_bytes().to_vec(), der.clone()] {
                let key = private_key(&Zeroizing::new(text), false, true).unwrap();
                assert_eq!(key.kty(), "EC-HSM", "{name}");
            }
            let key = ec(&der, name, field_len, signing, false).unwrap();
            assert_eq!(key.kty(), "EC");
        }
        let rsa = skerry_jose::SigningKey::generate(skerry_jose::Algorithm::Rs256).unwrap().to_pkcs8().unwrap();
        assert_eq!(private_key(&rsa, false, false).unwrap().kty(), "RSA");
        assert_eq!(private_key(&Zeroizing::new(vec![0x30; 16]), true, false).unwrap().kty(), "oct");
    }

    /// What cannot be read says what it is, and what to do about it.
    #[test]
    fn other_files_are_named() {
        let label = |label: &'static str| pem::block(label, &[0x30, 0]).unwrap().as_bytes().to_vec();
        for (bytes, why) in [
            (b"secret".to_vec(), "need --raw"),
            (Vec::new(), "need --raw"),
            (label("ENCRYPTED PRIVATE KEY"), "it is encrypted"),
            (label("RSA PRIVATE KEY"), "older form"),
            (label("CERTIFICATE"), "it is no private key"),
            (label("PRIVATE KEY"), "it is not PKCS#8"),
            (b"-----BEGIN".to_vec(), "it has no PEM block"),
            (vec![0x30, 0], "it is not PKCS#8"),
            (b"{".to_vec(), "it is no JSON"),
            (b"{}".to_vec(), "it has no member kty"),
            (br#"{"kty":"OKP"}"#.to_vec(), "\"OKP\" is none"),
            (br#"{"kty":"EC","crv":"P-224"}"#.to_vec(), "\"P-224\" is none"),
            (br#"{"kty":"oct"}"#.to_vec(), "it has no member k"),
            (br#"{"kty":"oct","k":"?"}"#.to_vec(), "member k is not base64url"),
        ] {
            let said = refused(&bytes, false);
            assert!(said.contains(why), "{said:?} does not say {why:?}");
        }
        let ed25519 = hex::decode(concat!(
            "302e020100300506032b657004220420",
            "0000000000000000000000000000000000000000000000000000000000000001"
        ));
        assert!(refused(&ed25519.unwrap(), false).contains("1.3.101.112"));
    }
}
