//! The self-test: what a token does, by doing it, against what AWS-LC computes.
//!
//! Everything is done with keys of the session, which are gone at its end. What is wrapped in the token is unwrapped here and the
//! other way round, signatures are verified here, and so on: a mechanism that gives something else than its name says is one that
//! the token does not do. One key pair of a few hundred milliseconds is made on either side.

use crate::capabilities::{Ability, Capabilities, Kwp};
use crate::error::{Fault, TokenError};
use crate::mechanism::{Curve, Hash, Wrapping};
use crate::object::{Object, Shape, Use};
use crate::root::Roots;
use crate::session::{RsaPublic, Session};
use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap, KeyWrapPadded};
use aws_lc_rs::rsa::{
    KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepAlgorithm, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey, PublicKeyComponents,
};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256K1_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, KeyPair as _,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters,
};
use aws_lc_rs::{aead, hmac};
use der::asn1::UintRef;
use der::{Decode, Reader, Sequence, SliceReader};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Tries everything. An error is one of the token, which then cannot be used at all.
pub(crate) fn probe(raw: &cryptoki::session::Session) -> Result<Capabilities, TokenError> {
    let (roots, none) = (Roots::default(), Capabilities { found: BTreeMap::new(), kwp: None });
    let session = Session::new(raw, &roots, &none, None);
    let here = Here::new().map_err(TokenError::Fault)?;
    let mut found = BTreeMap::new();
    let kwp = here.wraps(&session, &mut found);
    here.rsa(&session, kwp, &mut found);
    for curve in Curve::ALL {
        let (made, signed) = ec(&session, curve);
        found.insert(Ability::GenerateEc(curve), made);
        found.insert(Ability::SignEc(curve), signed);
    }
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        found.insert(Ability::Hmac(hash), keyed_hash(&session, hash));
    }
    found.insert(Ability::Gcm, gcm(&session));
    found.insert(Ability::Cbc, cbc(&session));
    // No token that could be tried has it.
    found.insert(Ability::MlDsa, Err(Fault::Unsupported(Ability::MlDsa)));
    match found.values().any(|found| *found == Err(Fault::Gone)) {
        true => Err(TokenError::Gone),
        false => Ok(Capabilities { found, kwp }),
    }
}

type Found = BTreeMap<Ability, Result<(), Fault>>;

/// What this process has: an RSA key pair of its own.
struct Here {
    public: RsaPublic,
    private: OaepPrivateDecryptingKey,
}

impl Here {
    fn new() -> Result<Here, Fault> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| library())?;
        let public = RsaPublicKey::from_der(pair.public_key().as_ref()).map_err(|_| library())?;
        let public = RsaPublic { n: public.n.as_bytes().to_vec(), e: public.e.as_bytes().to_vec() };
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| library())?;
        let private = PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).map_err(|_| library())?;
        Ok(Here { public, private: OaepPrivateDecryptingKey::new(private).map_err(|_| library())? })
    }

    /// Which mechanism is RFC 5649, and what else wraps.
    fn wraps(&self, session: &Session<'_>, found: &mut Found) -> Option<Kwp> {
        let key = |uses| session.generate_aes(32, uses);
        found.insert(Ability::GenerateAes, key(Use::default()).map(drop));
        found.insert(Ability::CreateSecret, created(session));
        for hash in Hash::ALL {
            found.insert(Ability::WrapOaep(hash), self.oaep(session, hash).map(drop));
        }
        found.insert(Ability::Kw, self.kw(session));
        let standard = self.kwp(&session.with_kwp(Kwp::Standard));
        let (result, kwp) = match standard {
            Ok(()) => (Ok(()), Some(Kwp::Standard)),
            Err(first) => match self.kwp(&session.with_kwp(Kwp::Pad)) {
                Ok(()) => (Ok(()), Some(Kwp::Pad)),
                Err(second) if is_unknown(first) => (Err(second), None),
                Err(_) => (Err(first), None),
            },
        };
        found.insert(Ability::Kwp, result);
        let (odd, private) = match kwp {
            Some(kwp) => (self.kwp_odd(&session.with_kwp(kwp)), self.kwp_private(&session.with_kwp(kwp))),
            None => (Err(Fault::Unsupported(Ability::Kwp)), Err(Fault::Unsupported(Ability::Kwp))),
        };
        found.insert(Ability::KwpOdd, odd);
        found.insert(Ability::KwpPrivate, private);
        let unextractable = match kwp {
            Some(kwp) => unextractable(&session.with_kwp(kwp)),
            None => Err(Fault::Unsupported(Ability::Kwp)),
        };
        found.insert(Ability::Unextractable, unextractable);
        kwp
    }

    /// A key that the token made and wrapped to us: its octets, by which the token's other wraps can be checked.
    fn oaep(&self, session: &Session<'_>, hash: Hash) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let key = session.generate_aes(32, Use { extractable: true, ..Use::default() })?;
        self.opened(session, hash, &key)
    }

    fn opened(&self, session: &Session<'_>, hash: Hash, key: &Object<'_>) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let target = session.create_rsa_public(&self.public)?;
        let wrapped = session.wrap(Wrapping::Oaep(hash), &target, key)?;
        let mut out = Zeroizing::new(vec![0; self.private.min_output_size()]);
        let opened = self.private.decrypt(algorithm(hash), &wrapped, &mut out, None);
        let len = opened.map_err(|_| Fault::Malformed("RSA-OAEP ciphertext of that hash"))?.len();
        out.truncate(len);
        if len == 32 { Ok(out) } else { Err(Fault::Malformed("AES-256 key")) }
    }

    /// A key in the token that wraps, and the same here. By OAEP, so that no token has to take a key from outside.
    fn shared<'s>(&self, session: &'s Session<'s>) -> Result<(Object<'s>, Zeroizing<Vec<u8>>), Fault> {
        let key = session.generate_aes(32, Use { extractable: true, wrap: true, unwrap: true, ..Use::default() })?;
        let octets = self.opened(session, Hash::Sha1, &key)?;
        Ok((key, octets))
    }

    fn kw(&self, session: &Session<'_>) -> Result<(), Fault> {
        let (under, octets) = self.shared(session)?;
        let key = session.generate_aes(16, Use { extractable: true, ..Use::default() })?;
        let wrapped = session.wrap(Wrapping::Kw, &under, &key)?;
        let mut out = Zeroizing::new(vec![0; wrapped.len()]);
        let len = kek(&octets)?.unwrap(&wrapped, &mut out).map_err(|_| Fault::Malformed("key wrap of RFC 3394"))?.len();
        if len == 16 { Ok(()) } else { Err(Fault::Malformed("key wrap of RFC 3394")) }
    }

    /// RFC 5649 both ways for whole semiblocks, and for private keys as far as they come back: SoftHSM fills them up with zeros
    /// before it wraps them, which does no harm where it unwraps them.
    fn kwp(&self, session: &Session<'_>) -> Result<(), Fault> {
        let (under, octets) = self.shared(session)?;
        let secret = session.generate_aes(16, Use { extractable: true, ..Use::default() })?;
        let there = session.wrap(Wrapping::Kwp, &under, &secret)?;
        let value = unwrapped(&octets, &there)?;
        if value.len() != 16 || wrapped(&octets, &value)? != there {
            return Err(NOT_KWP);
        }
        let (private, point) = session.generate_ec(Curve::P256, Use { extractable: true, ..Use::default() })?;
        let there = session.wrap(Wrapping::Kwp, &under, &private)?;
        let uses = Use { sign: true, ..Use::default() };
        let pkcs8 = pkcs8(&unwrapped(&octets, &there)?)?;
        // Ours, which has nothing behind it, comes in as well as theirs.
        for wrapped in [&there, &wrapped(&octets, &pkcs8)?] {
            let back = session.unwrap((Wrapping::Kwp, &under), wrapped, Shape::Ec, uses)?;
            check_ec(session, Curve::P256, &back, &point)?;
        }
        let mut altered = there;
        if let Some(last) = altered.last_mut() {
            *last ^= 1;
        }
        match session.unwrap((Wrapping::Kwp, &under), &altered, Shape::Ec, uses) {
            Ok(_) => Err(NOT_KWP),
            Err(Fault::Gone) => Err(Fault::Gone),
            Err(_) => Ok(()),
        }
    }

    fn kwp_odd(&self, session: &Session<'_>) -> Result<(), Fault> {
        let (under, octets) = self.shared(session)?;
        let given = session.create_secret(&[6; 21], Shape::Generic, Use { extractable: true, ..Use::default() })?;
        let there = session.wrap(Wrapping::Kwp, &under, &given)?;
        if there == wrapped(&octets, &[6; 21])? { Ok(()) } else { Err(NOT_KWP) }
    }

    fn kwp_private(&self, session: &Session<'_>) -> Result<(), Fault> {
        let (under, octets) = self.shared(session)?;
        let (private, _) = session.generate_ec(Curve::P256, Use { extractable: true, ..Use::default() })?;
        let found = unwrapped(&octets, &session.wrap(Wrapping::Kwp, &under, &private)?)?;
        match pkcs8(&found)?.len() == found.len() {
            true => Ok(()),
            false => Err(Fault::Malformed("PKCS#8 alone: zeros stand behind it")),
        }
    }

    fn rsa(&self, session: &Session<'_>, kwp: Option<Kwp>, found: &mut Found) {
        let uses = Use { sign: true, decrypt: true, unwrap: true, extractable: true, ..Use::default() };
        let (private, public) = match session.generate_rsa(2048, uses) {
            Ok(made) => made,
            Err(fault) => {
                found.insert(Ability::GenerateRsa, Err(fault));
                return;
            }
        };
        found.insert(Ability::GenerateRsa, kwp.map_or(Ok(()), |kwp| self.rsa_kwp(session, kwp, &private, &public)));
        found.insert(Ability::SignPkcs1, rsa_pkcs1(session, &private, &public));
        found.insert(Ability::DecryptPkcs1, decrypt_pkcs1(session, &private, &public));
        for hash in Hash::ALL {
            found.insert(Ability::DecryptOaep(hash), decrypt_oaep(session, hash, &private, &public));
            found.insert(Ability::UnwrapOaep(hash), unwrap_oaep(session, hash, &private, &public));
        }
        for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            found.insert(Ability::SignPss(hash), rsa_pss(session, hash, &private, &public));
        }
    }

    /// What the token wraps of an RSA key is PKCS#8 of that key.
    fn rsa_kwp(&self, session: &Session<'_>, kwp: Kwp, private: &Object<'_>, public: &RsaPublic) -> Result<(), Fault> {
        let session = session.with_kwp(kwp);
        let (under, octets) = self.shared(&session)?;
        let pkcs8 = pkcs8(&unwrapped(&octets, &session.wrap(Wrapping::Kwp, &under, private)?)?)?;
        let pair = KeyPair::from_pkcs8(&pkcs8).map_err(|_| Fault::Malformed("PKCS#8 of an RSA key"))?;
        let found = RsaPublicKey::from_der(pair.public_key().as_ref()).map_err(|_| library())?;
        match found.n.as_bytes() == public.n {
            true => Ok(()),
            false => Err(Fault::Malformed("PKCS#8 of that RSA key")),
        }
    }
}

fn is_unknown(fault: Fault) -> bool {
    matches!(fault, Fault::Refused { function: "C_WrapKey", .. })
}

fn kek(octets: &[u8]) -> Result<AesKek, Fault> {
    AesKek::new(&AES_256, octets).map_err(|_| library())
}

fn unwrapped(octets: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let mut out = Zeroizing::new(vec![0; wrapped.len()]);
    let len = kek(octets)?.unwrap_with_padding(wrapped, &mut out).map_err(|_| NOT_KWP)?.len();
    out.truncate(len);
    Ok(out)
}

fn wrapped(octets: &[u8], data: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut out = vec![0; data.len().next_multiple_of(8).saturating_add(8)];
    let len = kek(octets)?.wrap_with_padding(data, &mut out).map_err(|_| library())?.len();
    out.truncate(len);
    Ok(out)
}

/// The document without the zeros behind it, of which there are at most seven.
fn pkcs8(octets: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let none = Fault::Malformed("PKCS#8 of a private key");
    let mut reader = SliceReader::new(octets).map_err(|_| none)?;
    let document = reader.tlv_bytes().map_err(|_| none)?;
    let behind = octets.get(document.len()..).unwrap_or_default();
    match behind.len() < 8 && behind.iter().all(|octet| *octet == 0) {
        true => Ok(Zeroizing::new(document.to_vec())),
        false => Err(none),
    }
}

fn created(session: &Session<'_>) -> Result<(), Fault> {
    let key = session.create_secret(&[7; 32], Shape::Aes, Use { encrypt: true, ..Use::default() })?;
    let sealed = session.encrypt_gcm(&key, [1; 12], b"", b"text")?;
    if opened(&[7; 32], &sealed, b"")? == b"text" { Ok(()) } else { Err(Fault::Malformed("key of given octets")) }
}

fn unextractable(session: &Session<'_>) -> Result<(), Fault> {
    let under = session.generate_aes(32, Use { wrap: true, unwrap: true, ..Use::default() })?;
    let key = session.generate_aes(32, Use { extractable: true, ..Use::default() })?;
    let wrapped = session.wrap(Wrapping::Kwp, &under, &key)?;
    let back = session.unwrap((Wrapping::Kwp, &under), &wrapped, Shape::Aes, Use::default())?;
    match session.wrap(Wrapping::Kwp, &under, &back) {
        Ok(_) => Err(Fault::Malformed("key that stays")),
        Err(Fault::Gone) => Err(Fault::Gone),
        Err(_) => Ok(()),
    }
}

fn rsa_pkcs1(session: &Session<'_>, private: &Object<'_>, public: &RsaPublic) -> Result<(), Fault> {
    let digest = digest::digest(&digest::SHA256, TEXT);
    let info = [DIGEST_INFO_SHA256.as_slice(), digest.as_ref()].concat();
    let signature = session.sign_pkcs1(private, &info)?;
    verify_rsa(public, &RSA_PKCS1_2048_8192_SHA256, &digest, &signature)
}

fn rsa_pss(session: &Session<'_>, hash: Hash, private: &Object<'_>, public: &RsaPublic) -> Result<(), Fault> {
    let (algorithm, parameters): (&'static digest::Algorithm, &'static RsaParameters) = match hash {
        Hash::Sha384 => (&digest::SHA384, &RSA_PSS_2048_8192_SHA384),
        Hash::Sha512 => (&digest::SHA512, &RSA_PSS_2048_8192_SHA512),
        Hash::Sha1 | Hash::Sha256 => (&digest::SHA256, &RSA_PSS_2048_8192_SHA256),
    };
    let digest = digest::digest(algorithm, TEXT);
    let signature = session.sign_pss(private, hash, digest.as_ref())?;
    verify_rsa(public, parameters, &digest, &signature)
}

fn verify_rsa(
    public: &RsaPublic,
    parameters: &'static RsaParameters,
    digest: &Digest,
    signature: &[u8],
) -> Result<(), Fault> {
    let key = PublicKeyComponents { n: &public.n, e: &public.e }.to_parsed_public_key(parameters);
    let key = key.map_err(|_| Fault::Malformed("RSA public half"))?;
    key.verify_digest_sig(digest, signature).map_err(|_| Fault::Malformed("signature that holds"))
}

fn encrypting(public: &RsaPublic) -> Result<PublicEncryptingKey, Fault> {
    let key: Result<PublicEncryptingKey, _> = PublicKeyComponents { n: &public.n, e: &public.e }.try_into();
    key.map_err(|_| Fault::Malformed("RSA public half"))
}

fn encrypted_oaep(public: &RsaPublic, hash: Hash, text: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut out = vec![0; public.n.len()];
    let key = OaepPublicEncryptingKey::new(encrypting(public)?).map_err(|_| library())?;
    key.encrypt(algorithm(hash), text, &mut out, None).map_err(|_| library())?;
    Ok(out)
}

fn decrypt_oaep(session: &Session<'_>, hash: Hash, private: &Object<'_>, public: &RsaPublic) -> Result<(), Fault> {
    let text = session.decrypt_oaep(private, hash, &encrypted_oaep(public, hash, TEXT)?)?;
    if text.as_slice() == TEXT { Ok(()) } else { Err(Fault::Malformed("text that was encrypted")) }
}

fn unwrap_oaep(session: &Session<'_>, hash: Hash, private: &Object<'_>, public: &RsaPublic) -> Result<(), Fault> {
    let wrapped = encrypted_oaep(public, hash, &[9; 32])?;
    let uses = Use { encrypt: true, ..Use::default() };
    let key = session.unwrap((Wrapping::Oaep(hash), private), &wrapped, Shape::Aes, uses)?;
    let sealed = session.encrypt_gcm(&key, [1; 12], b"", TEXT)?;
    if opened(&[9; 32], &sealed, b"")? == TEXT { Ok(()) } else { Err(Fault::Malformed("key that was wrapped")) }
}

fn decrypt_pkcs1(session: &Session<'_>, private: &Object<'_>, public: &RsaPublic) -> Result<(), Fault> {
    let mut out = vec![0; public.n.len()];
    let key = Pkcs1PublicEncryptingKey::new(encrypting(public)?).map_err(|_| library())?;
    key.encrypt(TEXT, &mut out).map_err(|_| library())?;
    let text = session.decrypt_pkcs1(private, &out)?;
    if text.as_slice() == TEXT { Ok(()) } else { Err(Fault::Malformed("text that was encrypted")) }
}

fn ec(session: &Session<'_>, curve: Curve) -> (Result<(), Fault>, Result<(), Fault>) {
    match session.generate_ec(curve, Use { sign: true, ..Use::default() }) {
        Ok((private, point)) => (Ok(()), check_ec(session, curve, &private, &point)),
        Err(fault) => (Err(fault), Err(fault)),
    }
}

fn check_ec(session: &Session<'_>, curve: Curve, private: &Object<'_>, point: &[u8]) -> Result<(), Fault> {
    let (hash, verification) = match curve {
        Curve::P256 => (&digest::SHA256, &ECDSA_P256_SHA256_FIXED),
        Curve::P256K => (&digest::SHA256, &ECDSA_P256K1_SHA256_FIXED),
        Curve::P384 => (&digest::SHA384, &ECDSA_P384_SHA384_FIXED),
        Curve::P521 => (&digest::SHA512, &ECDSA_P521_SHA512_FIXED),
    };
    let digest = digest::digest(hash, TEXT);
    let signature = session.sign_ec(private, curve, digest.as_ref())?;
    let key = ParsedPublicKey::new(verification, point).map_err(|_| Fault::Malformed("point on that curve"))?;
    key.verify_digest_sig(&digest, &signature).map_err(|_| Fault::Malformed("signature that holds"))
}

fn keyed_hash(session: &Session<'_>, hash: Hash) -> Result<(), Fault> {
    let algorithm = match hash {
        Hash::Sha384 => hmac::HMAC_SHA384,
        Hash::Sha512 => hmac::HMAC_SHA512,
        Hash::Sha1 | Hash::Sha256 => hmac::HMAC_SHA256,
    };
    let key = session.create_secret(&[5; 32], Shape::Generic, Use { sign: true, ..Use::default() })?;
    let tag = session.hmac(&key, hash, TEXT)?;
    hmac::verify(&hmac::Key::new(algorithm, &[5; 32]), TEXT, &tag).map_err(|_| Fault::Malformed("HMAC of that hash"))
}

fn gcm(session: &Session<'_>) -> Result<(), Fault> {
    let key = session.create_secret(&[3; 32], Shape::Aes, Use { encrypt: true, decrypt: true, ..Use::default() })?;
    let sealed = session.encrypt_gcm(&key, [1; 12], b"beside", TEXT)?;
    if opened(&[3; 32], &sealed, b"beside")? != TEXT {
        return Err(Fault::Malformed("AES-GCM ciphertext"));
    }
    if session.decrypt_gcm(&key, [1; 12], b"beside", &sealed)?.as_slice() != TEXT {
        return Err(Fault::Malformed("AES-GCM text"));
    }
    match session.decrypt_gcm(&key, [1; 12], b"beyond", &sealed) {
        Ok(_) => Err(Fault::Malformed("refusal of what is not authentic")),
        Err(Fault::Gone) => Err(Fault::Gone),
        Err(_) => Ok(()),
    }
}

fn opened(key: &[u8], sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, Fault> {
    let key = aead::UnboundKey::new(&aead::AES_256_GCM, key).map_err(|_| library())?;
    let mut text = sealed.to_vec();
    let nonce = aead::Nonce::assume_unique_for_key([1; 12]);
    let opened = aead::LessSafeKey::new(key).open_in_place(nonce, aead::Aad::from(aad), &mut text);
    opened.map(|text| text.to_vec()).map_err(|_| Fault::Malformed("AES-GCM ciphertext"))
}

fn cbc(session: &Session<'_>) -> Result<(), Fault> {
    use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
    let key = session.create_secret(&[3; 32], Shape::Aes, Use { encrypt: true, decrypt: true, ..Use::default() })?;
    let blocks = session.encrypt_cbc(&key, [2; 16], &[1; 32])?;
    let unbound = UnboundCipherKey::new(&AES_256, &[3; 32]).map_err(|_| library())?;
    let mut text = blocks.clone();
    let context = DecryptionContext::Iv128(aws_lc_rs::iv::FixedLength::from([2; 16]));
    let here = DecryptingKey::cbc(unbound).and_then(|key| key.decrypt(&mut text, context).map(|text| text.to_vec()));
    let there = session.decrypt_cbc(&key, [2; 16], &blocks)?;
    match here.is_ok_and(|here| here == [1; 32]) && there.as_slice() == [1; 32] {
        true => Ok(()),
        false => Err(Fault::Malformed("AES-CBC text")),
    }
}

fn algorithm(hash: Hash) -> &'static OaepAlgorithm {
    match hash {
        Hash::Sha1 => &OAEP_SHA1_MGF1SHA1,
        Hash::Sha256 => &OAEP_SHA256_MGF1SHA256,
        Hash::Sha384 => &OAEP_SHA384_MGF1SHA384,
        Hash::Sha512 => &OAEP_SHA512_MGF1SHA512,
    }
}

fn library() -> Fault {
    Fault::Malformed("key for AWS-LC")
}

const NOT_KWP: Fault = Fault::Malformed("key wrap of RFC 5649");
const TEXT: &[u8] = b"what a token is asked to do";

/// RFC 8017, 9.2, note 1.
const DIGEST_INFO_SHA256: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// RSAPublicKey (RFC 8017, A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    n: UintRef<'a>,
    e: UintRef<'a>,
}
