//! A small authority for tests: keys, certificates and signed statements, each part of which a test
//! may spoil first.
//!
//! DER and CBOR are written by hand here, so that what reads them is not tested against itself, and
//! so that nonsense can be written.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RsaSignatureEncoding};
use aws_lc_rs::{digest, encoding::AsDer, rsa};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::Encode;
use der::asn1::ObjectIdentifier;

// ---- Keys.

pub(super) enum Key {
    Ec { curve: &'static str, pkcs8: Vec<u8>, der: &'static EcdsaSigningAlgorithm, raw: &'static EcdsaSigningAlgorithm },
    Rsa(rsa::KeyPair),
}

impl Key {
    pub(super) fn p256() -> Self {
        Self::ec(
            "1.2.840.10045.3.1.7",
            &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        )
    }

    pub(super) fn p384() -> Self {
        Self::ec(
            "1.3.132.0.34",
            &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
            &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        )
    }

    pub(super) fn p521(raw: &'static EcdsaSigningAlgorithm) -> Self {
        Self::ec("1.3.132.0.35", &signature::ECDSA_P521_SHA512_ASN1_SIGNING, raw)
    }

    pub(super) fn rsa() -> Self {
        Self::Rsa(rsa::KeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    fn ec(curve: &'static str, der: &'static EcdsaSigningAlgorithm, raw: &'static EcdsaSigningAlgorithm) -> Self {
        let pkcs8 = EcdsaKeyPair::generate(der).unwrap().to_pkcs8v1().unwrap().as_ref().to_vec();
        Self::Ec { curve, pkcs8, der, raw }
    }

    fn spki(&self) -> Vec<u8> {
        match self {
            Self::Ec { curve, pkcs8, der, .. } => {
                let pair = EcdsaKeyPair::from_pkcs8(der, pkcs8).unwrap();
                let algorithm = sequence(&[&oid("1.2.840.10045.2.1"), &oid(curve)]);
                sequence(&[&algorithm, &bits(pair.public_key().as_ref())])
            }
            Self::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
        }
    }

    /// A signature as certificates carry it; authorities of this file have P-384 keys.
    fn sign_der(&self, message: &[u8]) -> Vec<u8> {
        let Self::Ec { pkcs8, der, .. } = self else { unreachable!("authorities have curve keys") };
        let pair = EcdsaKeyPair::from_pkcs8(der, pkcs8).unwrap();
        pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    /// A signature as COSE carries it.
    fn sign_cose(&self, pss: &'static RsaSignatureEncoding, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ec { pkcs8, raw, .. } => {
                let pair = EcdsaKeyPair::from_pkcs8(raw, pkcs8).unwrap();
                pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
            }
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(pss, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
        }
    }
}

// ---- Certificates.

pub(super) struct Cert {
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    pub(super) not_before: &'static str,
    pub(super) not_after: &'static str,
    pub(super) extensions: Vec<Vec<u8>>,
    pub(super) spki: Vec<u8>,
}

impl Cert {
    fn new(subject: &str, issuer: &str, key: &Key, extensions: Vec<Vec<u8>>) -> Self {
        Self {
            subject: common_name(subject),
            issuer: common_name(issuer),
            not_before: "200101000000Z",
            not_after: "300101000000Z",
            extensions,
            spki: key.spki(),
        }
    }

    pub(super) fn sign(&self, key: &Key) -> Vec<u8> {
        let algorithm = sequence(&[&oid("1.2.840.10045.4.3.3")]);
        let validity = sequence(&[&tlv(0x17, self.not_before.as_bytes()), &tlv(0x17, self.not_after.as_bytes())]);
        let extensions = tlv(0xa3, &sequence(&[&self.extensions.concat()]));
        let tbs = sequence(&[
            &tlv(0xa0, &[2, 1, 2]),
            &[2, 1, 7],
            &algorithm,
            &self.issuer,
            &validity,
            &self.subject,
            &self.spki,
            &extensions,
        ]);
        sequence(&[&tbs, &algorithm, &bits(&key.sign_der(&tbs))])
    }
}

pub(super) const DIGITAL_SIGNATURE: u8 = 0x80;
pub(super) const KEY_CERT_SIGN: u8 = 0x04;
pub(super) const EKU_OID: &str = "1.3.6.1.4.1.311.76.59.1.2";

/// Leaf, intermediate and root, all of them in order until a test changes a part.
pub(super) struct Pki {
    pub(super) leaf: Cert,
    pub(super) intermediate: Cert,
    pub(super) root: Cert,
    pub(super) leaf_key: Key,
    pub(super) intermediate_key: Key,
    pub(super) root_key: Key,
}

impl Pki {
    pub(super) fn new() -> Self {
        Self::with_leaf(Key::p384())
    }

    pub(super) fn with_leaf(leaf_key: Key) -> Self {
        let (intermediate_key, root_key) = (Key::p384(), Key::p384());
        let ca = || vec![constraints(true, None), key_usage(KEY_CERT_SIGN)];
        let leaf =
            vec![constraints(false, None), key_usage(DIGITAL_SIGNATURE), eku(&["1.3.6.1.4.1.311.76.59.1.1", EKU_OID])];
        Self {
            leaf: Cert::new("leaf", "intermediate", &leaf_key, leaf),
            intermediate: Cert::new("intermediate", "root", &intermediate_key, ca()),
            root: Cert::new("root", "root", &root_key, ca()),
            leaf_key,
            intermediate_key,
            root_key,
        }
    }

    pub(super) fn chain(&self) -> Vec<Vec<u8>> {
        let leaf = self.leaf.sign(&self.intermediate_key);
        vec![leaf, self.intermediate.sign(&self.root_key), self.root.sign(&self.root_key)]
    }
}

/// did:x509 of a chain's last certificate, and of a leaf with the usual EKU.
pub(super) fn did(chain: &[Vec<u8>]) -> String {
    did_of(&chain[chain.len() - 1], &format!("eku:{EKU_OID}"))
}

pub(super) fn did_of(cert: &[u8], policies: &str) -> String {
    let fingerprint = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, cert));
    format!("did:x509:0:sha256:{fingerprint}::{policies}")
}

pub(super) fn constraints(ca: bool, path_len: Option<u8>) -> Vec<u8> {
    let ca: &[u8] = if ca { &[1, 1, 0xff] } else { &[] };
    let path_len = path_len.map(|n| vec![2, 1, n]).unwrap_or_default();
    extension("2.5.29.19", true, &sequence(&[ca, &path_len]))
}

pub(super) fn key_usage(usage: u8) -> Vec<u8> {
    let unused = u8::try_from(usage.trailing_zeros()).unwrap();
    extension("2.5.29.15", true, &[3, 2, unused, usage])
}

pub(super) fn eku(oids: &[&str]) -> Vec<u8> {
    let oids: Vec<u8> = oids.iter().flat_map(|text| oid(text)).collect();
    extension("2.5.29.37", false, &sequence(&[&oids]))
}

/// `tag`: 0x81 rfc822Name, 0x82 dNSName, 0x86 uniformResourceIdentifier (RFC 5280, 4.2.1.6).
pub(super) fn san(tag: u8, name: &str) -> Vec<u8> {
    extension("2.5.29.17", false, &sequence(&[&tlv(tag, name.as_bytes())]))
}

pub(super) fn extension(id: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    sequence(&[&oid(id), critical, &tlv(4, value)])
}

pub(super) fn common_name(text: &str) -> Vec<u8> {
    name(&[("2.5.4.3", 0x0c, text)])
}

pub(super) fn name(attributes: &[(&str, u8, &str)]) -> Vec<u8> {
    let rdn = |(id, tag, text): &(&str, u8, &str)| tlv(0x31, &sequence(&[&oid(id), &tlv(*tag, text.as_bytes())]));
    tlv(0x30, &attributes.iter().flat_map(rdn).collect::<Vec<_>>())
}

pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub(super) fn oid(text: &str) -> Vec<u8> {
    ObjectIdentifier::new(text).unwrap().to_der().unwrap()
}

fn bits(content: &[u8]) -> Vec<u8> {
    tlv(3, &[&[0], content].concat())
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = match len {
        [0, short] if short < 0x80 => vec![tag, short],
        [0, long] => vec![tag, 0x81, long],
        [high, low] => vec![tag, 0x82, high, low],
    };
    [&head, content].concat()
}

// ---- Statements.

/// A COSE_Sign1 before it is signed: pairs of encoded label and encoded value.
#[derive(Clone)]
pub(super) struct Statement {
    pub(super) protected: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) unprotected: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) payload: Vec<u8>,
}

impl Statement {
    /// As the service wrote them in 2023.
    pub(super) fn classic(chain: &[Vec<u8>], issuer: &str) -> Self {
        let payload = format!(
            "{{\n  \"x-ms-sevsnpvm-guestsvn\": \"100\",\n  \"x-ms-sevsnpvm-launchmeasurement\": \"{}\"\n}}",
            "5a".repeat(48)
        );
        Self { protected: Vec::new(), unprotected: Vec::new(), payload: payload.into_bytes() }
            .set(int(1), int(-35))
            .set(int(3), text("application/json"))
            .set(int(33), array(&chain.iter().map(|der| bytes(der)).collect::<Vec<_>>()))
            .set(int(34), array(&[int(-16), bytes(digest::digest(&digest::SHA256, &chain[0]).as_ref())]))
            .set(text("iss"), text(issuer))
            .set(text("feed"), text("feed"))
            .set(text("signingtime"), tag(1, int(1_700_000_000)))
    }

    /// As the service writes them since 2025, with CWT claims; the payload still a JSON object.
    pub(super) fn with_claims(chain: &[Vec<u8>], issuer: &str) -> Self {
        let claims = [
            (int(1), text(issuer)),
            (int(2), text("feed")),
            (int(6), tag(1, int(1_700_000_000))),
            (text("svn"), int(100)),
        ];
        let classic = Self::classic(chain, issuer);
        classic.without(text("iss")).without(text("feed")).without(text("signingtime")).set(int(15), map(&claims))
    }

    pub(super) fn set(mut self, label: Vec<u8>, value: Vec<u8>) -> Self {
        match self.protected.iter_mut().find(|(other, _)| *other == label) {
            Some(header) => header.1 = value,
            None => self.protected.push((label, value)),
        }
        self
    }

    pub(super) fn add(mut self, label: Vec<u8>, value: Vec<u8>) -> Self {
        self.protected.push((label, value));
        self
    }

    pub(super) fn add_unprotected(mut self, label: Vec<u8>, value: Vec<u8>) -> Self {
        self.unprotected.push((label, value));
        self
    }

    pub(super) fn without(mut self, label: Vec<u8>) -> Self {
        self.protected.retain(|(other, _)| *other != label);
        self
    }

    pub(super) fn payload(mut self, payload: &str) -> Self {
        self.payload = payload.as_bytes().to_vec();
        self
    }

    pub(super) fn sign(&self, key: &Key) -> Vec<u8> {
        self.sign_pss(key, &signature::RSA_PSS_SHA384)
    }

    pub(super) fn sign_pss(&self, key: &Key, pss: &'static RsaSignatureEncoding) -> Vec<u8> {
        let protected = map(&self.protected);
        let message = array(&[text("Signature1"), bytes(&protected), bytes(b""), bytes(&self.payload)]);
        self.assemble(&key.sign_cose(pss, &message))
    }

    pub(super) fn assemble(&self, signature: &[u8]) -> Vec<u8> {
        let protected = bytes(&map(&self.protected));
        tag(18, array(&[protected, map(&self.unprotected), bytes(&self.payload), bytes(signature)]))
    }
}

pub(super) fn int(n: i64) -> Vec<u8> {
    if n < 0 { head(0x20, u64::try_from(-1 - n).unwrap()) } else { head(0, u64::try_from(n).unwrap()) }
}

pub(super) fn bytes(content: &[u8]) -> Vec<u8> {
    [head(0x40, u64::try_from(content.len()).unwrap()), content.to_vec()].concat()
}

pub(super) fn text(content: &str) -> Vec<u8> {
    [head(0x60, u64::try_from(content.len()).unwrap()), content.as_bytes().to_vec()].concat()
}

pub(super) fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(0x80, u64::try_from(items.len()).unwrap()), items.concat()].concat()
}

pub(super) fn map(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> = pairs.iter().flat_map(|(label, value)| [label.clone(), value.clone()].concat()).collect();
    [head(0xa0, u64::try_from(pairs.len()).unwrap()), items].concat()
}

pub(super) fn tag(tag: u64, item: Vec<u8>) -> Vec<u8> {
    [head(0xc0, tag), item].concat()
}

/// RFC 8949, 3: major type and argument, in the shortest form.
fn head(major: u8, argument: u64) -> Vec<u8> {
    let wide = argument.to_be_bytes();
    match argument {
        0..=23 => vec![major | wide[7]],
        24..=0xff => vec![major | 24, wide[7]],
        0x100..=0xffff => [&[major | 25], &wide[6..]].concat(),
        0x1_0000..=0xffff_ffff => [&[major | 26], &wide[4..]].concat(),
        _ => [&[major | 27], wide.as_slice()].concat(),
    }
}
