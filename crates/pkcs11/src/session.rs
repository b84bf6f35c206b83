//! What is done in a session: thin, typed, with every answer of the module looked at.

use crate::capabilities::{Capabilities, Kwp};
use crate::error::Fault;
use crate::limits::{TEXT_LEN_MAX, WRAPPED_LEN_MAX};
use crate::mechanism::{Curve, Hash, Wrapping};
use crate::object::{Object, Shape, Use};
use crate::root::{Purpose, RootId, RootSet, Roots};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use der::Decode;
use der::asn1::OctetStringRef;
use std::cell::Cell;
use zeroize::Zeroizing;

/// A session of a token, for one caller at a time. See [`Token::run`](crate::Token::run).
pub struct Session<'a> {
    raw: &'a cryptoki::session::Session,
    roots: &'a Roots,
    capabilities: &'a Capabilities,
    kwp: Option<Kwp>,
    /// Something that was made in it could not be destroyed: closing it will.
    tainted: Cell<bool>,
}

/// The public half of an RSA key: big-endian, without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaPublic {
    /// Modulus.
    pub n: Vec<u8>,
    /// Public exponent.
    pub e: Vec<u8>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        raw: &'a cryptoki::session::Session,
        roots: &'a Roots,
        capabilities: &'a Capabilities,
        kwp: Option<Kwp>,
    ) -> Self {
        Self { raw, roots, capabilities, kwp, tainted: Cell::new(false) }
    }

    /// What the token does.
    pub fn capabilities(&self) -> &Capabilities {
        self.capabilities
    }

    /// The newest roots.
    pub fn current_root(&self) -> Option<RootSet> {
        self.roots.sets().last().copied()
    }

    /// All roots that are whole, oldest first.
    pub fn roots(&self) -> &[RootSet] {
        self.roots.sets()
    }

    /// A fresh AES key of this many octets.
    pub fn generate_aes(&'a self, len: u8, uses: Use) -> Result<Object<'a>, Fault> {
        let mut template = uses.of_secret();
        template.push(Attribute::ValueLen(std::ffi::c_ulong::from(len).into()));
        Ok(Object::new(self, self.raw.generate_key(&Mechanism::AesKeyGen, &template)?))
    }

    /// A fresh RSA key of this many bits, with the exponent 65537.
    pub fn generate_rsa(&'a self, bits: u16, uses: Use) -> Result<(Object<'a>, RsaPublic), Fault> {
        let public = [
            Attribute::Token(false),
            Attribute::ModulusBits(std::ffi::c_ulong::from(bits).into()),
            Attribute::PublicExponent(vec![1, 0, 1]),
        ];
        let (public, private) =
            self.raw.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &uses.of_private())?;
        let (public, private) = (Object::new(self, public), Object::new(self, private));
        let (mut n, mut e) = (None, None);
        for attribute in
            self.raw.get_attributes(public.handle, &[AttributeType::Modulus, AttributeType::PublicExponent])?
        {
            match attribute {
                Attribute::Modulus(octets) => n = Some(trimmed(octets)),
                Attribute::PublicExponent(octets) => e = Some(trimmed(octets)),
                _ => {}
            }
        }
        match (n, e) {
            (Some(n), Some(e)) if n.len() == usize::from(bits / 8) => Ok((private, RsaPublic { n, e })),
            _ => Err(Fault::Malformed("RSA public half of that size")),
        }
    }

    /// A fresh key on a curve, and its point: uncompressed (SEC 1, 2.3.3).
    pub fn generate_ec(&'a self, curve: Curve, uses: Use) -> Result<(Object<'a>, Vec<u8>), Fault> {
        let public = [Attribute::Token(false), Attribute::EcParams(curve.params().to_vec())];
        let (public, private) = self.raw.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &uses.of_private())?;
        let (public, private) = (Object::new(self, public), Object::new(self, private));
        for attribute in self.raw.get_attributes(public.handle, &[AttributeType::EcPoint])? {
            if let Attribute::EcPoint(octets) = attribute {
                return Ok((private, point(curve, &octets)?));
            }
        }
        Err(Fault::Malformed("point on that curve"))
    }

    /// A key of octets that this process has.
    pub fn create_secret(&'a self, octets: &[u8], shape: Shape, uses: Use) -> Result<Object<'a>, Fault> {
        let mut template = uses.of(shape);
        template.extend(shape.attributes());
        template.push(Attribute::Value(octets.to_vec()));
        let created = self.raw.create_object(&template);
        wipe(&mut template);
        Ok(Object::new(self, created?))
    }

    /// An RSA public key that keys are wrapped to.
    pub fn create_rsa_public(&'a self, public: &RsaPublic) -> Result<Object<'a>, Fault> {
        let template = [
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(KeyType::RSA),
            Attribute::Token(false),
            Attribute::Private(false),
            Attribute::Wrap(true),
            Attribute::Encrypt(false),
            Attribute::Verify(false),
            Attribute::Modulus(public.n.clone()),
            Attribute::PublicExponent(public.e.clone()),
        ];
        Ok(Object::new(self, self.raw.create_object(&template)?))
    }

    /// Wraps a key under a root, by RFC 5649.
    pub fn wrap_under_root(&self, root: RootId, purpose: Purpose, key: &Object<'_>) -> Result<Vec<u8>, Fault> {
        self.wrap_by(Wrapping::Kwp, self.roots.get(root, purpose)?, key.handle)
    }

    /// Unwraps a key that was wrapped under a root.
    pub fn unwrap_under_root(
        &'a self,
        (root, purpose): (RootId, Purpose),
        wrapped: &[u8],
        shape: Shape,
        uses: Use,
    ) -> Result<Object<'a>, Fault> {
        self.unwrap_by((Wrapping::Kwp, self.roots.get(root, purpose)?), wrapped, shape, uses)
    }

    /// Wraps a key under another.
    pub fn wrap(&self, wrapping: Wrapping, under: &Object<'_>, key: &Object<'_>) -> Result<Vec<u8>, Fault> {
        self.wrap_by(wrapping, under.handle, key.handle)
    }

    /// Unwraps a key that was wrapped under another.
    pub fn unwrap(
        &'a self,
        (wrapping, under): (Wrapping, &Object<'_>),
        wrapped: &[u8],
        shape: Shape,
        uses: Use,
    ) -> Result<Object<'a>, Fault> {
        self.unwrap_by((wrapping, under.handle), wrapped, shape, uses)
    }

    /// RSASSA-PKCS1-v1_5 over octets as they are: with a DigestInfo in front of a digest it is the scheme of RFC 8017, 8.2.
    pub fn sign_pkcs1(&self, key: &Object<'_>, octets: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(self.raw.sign(&Mechanism::RsaPkcs, key.handle, octets)?)
    }

    /// RSASSA-PSS over a digest, with a salt as long as it.
    pub fn sign_pss(&self, key: &Object<'_>, hash: Hash, digest: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(self.raw.sign(&hash.pss(), key.handle, digest)?)
    }

    /// ECDSA over a digest: R and S, each as long as the field.
    pub fn sign_ec(&self, key: &Object<'_>, curve: Curve, digest: &[u8]) -> Result<Vec<u8>, Fault> {
        let signature = self.raw.sign(&Mechanism::Ecdsa, key.handle, digest)?;
        match signature.len() == curve.field_len().saturating_mul(2) {
            true => Ok(signature),
            false => Err(Fault::Malformed("ECDSA signature on that curve")),
        }
    }

    /// HMAC over octets.
    pub fn hmac(&self, key: &Object<'_>, hash: Hash, octets: &[u8]) -> Result<Vec<u8>, Fault> {
        let tag = self.raw.sign(&hash.hmac(), key.handle, octets)?;
        if tag.len() == usize::from(hash.output_len()) { Ok(tag) } else { Err(Fault::Malformed("HMAC of that hash")) }
    }

    /// RSAES-PKCS1-v1_5.
    pub fn decrypt_pkcs1(&self, key: &Object<'_>, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.decrypt(&Mechanism::RsaPkcs, key, ciphertext)
    }

    /// RSAES-OAEP.
    pub fn decrypt_oaep(&self, key: &Object<'_>, hash: Hash, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.decrypt(&hash.oaep(), key, ciphertext)
    }

    /// AES-GCM: ciphertext and tag of 16 octets.
    pub fn encrypt_gcm(&self, key: &Object<'_>, iv: [u8; 12], aad: &[u8], text: &[u8]) -> Result<Vec<u8>, Fault> {
        self.gcm_encrypt(key.handle, iv, aad, text)
    }

    /// AES-GCM, of ciphertext and tag.
    pub fn decrypt_gcm(
        &self,
        key: &Object<'_>,
        iv: [u8; 12],
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.gcm_decrypt(key.handle, iv, aad, sealed)
    }

    /// AES-CBC over whole blocks.
    pub fn encrypt_cbc(&self, key: &Object<'_>, iv: [u8; 16], blocks: &[u8]) -> Result<Vec<u8>, Fault> {
        let out = self.raw.encrypt(&Mechanism::AesCbc(iv), key.handle, blocks)?;
        if out.len() == blocks.len() { Ok(out) } else { Err(Fault::Malformed("AES-CBC ciphertext")) }
    }

    /// AES-CBC over whole blocks.
    pub fn decrypt_cbc(&self, key: &Object<'_>, iv: [u8; 16], blocks: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let out = self.decrypt(&Mechanism::AesCbc(iv), key, blocks)?;
        if out.len() == blocks.len() { Ok(out) } else { Err(Fault::Malformed("AES-CBC text")) }
    }

    /// Seals octets under a root of that purpose: AES-GCM, ciphertext and tag.
    pub fn seal(&self, root: RootId, iv: [u8; 12], aad: &[u8], text: &[u8]) -> Result<Vec<u8>, Fault> {
        self.gcm_encrypt(self.roots.get(root, Purpose::Seal)?, iv, aad, text)
    }

    /// Opens what [`seal`](Self::seal) made.
    pub fn unseal(&self, root: RootId, iv: [u8; 12], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.gcm_decrypt(self.roots.get(root, Purpose::Seal)?, iv, aad, sealed)
    }

    /// The octets of a key that was made readable.
    pub fn value(&self, key: &Object<'_>) -> Result<Zeroizing<Vec<u8>>, Fault> {
        for attribute in self.raw.get_attributes(key.handle, &[AttributeType::Value])? {
            if let Attribute::Value(octets) = attribute {
                return Ok(Zeroizing::new(octets));
            }
        }
        Err(Fault::Malformed("value of a key"))
    }

    /// How many octets a symmetric key has.
    pub fn value_len(&self, key: &Object<'_>) -> Result<usize, Fault> {
        for attribute in self.raw.get_attributes(key.handle, &[AttributeType::ValueLen])? {
            if let Attribute::ValueLen(len) = attribute {
                return usize::try_from(*len).map_err(|_| Fault::Malformed("length of a key"));
            }
        }
        Err(Fault::Malformed("length of a key"))
    }

    pub(crate) fn with_kwp(&self, kwp: Kwp) -> Session<'a> {
        Session { kwp: Some(kwp), tainted: Cell::new(false), ..*self }
    }

    pub(crate) fn is_tainted(&self) -> bool {
        self.tainted.get()
    }

    pub(crate) fn destroy(&self, handle: ObjectHandle) {
        if self.raw.destroy_object(handle).is_err() {
            self.tainted.set(true);
        }
    }

    fn wrap_by(&self, wrapping: Wrapping, under: ObjectHandle, key: ObjectHandle) -> Result<Vec<u8>, Fault> {
        let mechanism = self.mechanism(wrapping)?;
        let wrapped = self.raw.wrap_key(&mechanism, under, key)?;
        match wrapped.is_empty() || wrapped.len() > WRAPPED_LEN_MAX {
            true => Err(Fault::Malformed("wrapped key")),
            false => Ok(wrapped),
        }
    }

    fn unwrap_by(
        &'a self,
        (wrapping, under): (Wrapping, ObjectHandle),
        wrapped: &[u8],
        shape: Shape,
        uses: Use,
    ) -> Result<Object<'a>, Fault> {
        if wrapped.is_empty() || wrapped.len() > WRAPPED_LEN_MAX {
            return Err(Fault::Malformed("wrapped key"));
        }
        let mechanism = self.mechanism(wrapping)?;
        let mut template = uses.of(shape);
        template.extend(shape.attributes());
        Ok(Object::new(self, self.raw.unwrap_key(&mechanism, under, wrapped, &template)?))
    }

    fn mechanism(&self, wrapping: Wrapping) -> Result<Mechanism<'static>, Fault> {
        wrapping.mechanism(self.kwp).ok_or(Fault::Unsupported(crate::Ability::Kwp))
    }

    fn decrypt(
        &self,
        mechanism: &Mechanism<'_>,
        key: &Object<'_>,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        Ok(Zeroizing::new(self.raw.decrypt(mechanism, key.handle, ciphertext)?))
    }

    fn gcm_encrypt(&self, key: ObjectHandle, mut iv: [u8; 12], aad: &[u8], text: &[u8]) -> Result<Vec<u8>, Fault> {
        check_text(text.len())?;
        let given = iv;
        let params = GcmParams::new(&mut iv, aad, GCM_TAG_BITS.into())?;
        let sealed = self.raw.encrypt(&Mechanism::AesGcm(params), key, text)?;
        // Tokens may put an iv of their own in the place of ours.
        if sealed.len() != text.len().saturating_add(GCM_TAG_LEN) || iv != given {
            return Err(Fault::Malformed("AES-GCM ciphertext under that iv"));
        }
        Ok(sealed)
    }

    fn gcm_decrypt(
        &self,
        key: ObjectHandle,
        mut iv: [u8; 12],
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Fault> {
        check_text(sealed.len().saturating_sub(GCM_TAG_LEN))?;
        let params = GcmParams::new(&mut iv, aad, GCM_TAG_BITS.into())?;
        let text = Zeroizing::new(self.raw.decrypt(&Mechanism::AesGcm(params), key, sealed)?);
        match text.len().saturating_add(GCM_TAG_LEN) == sealed.len() {
            true => Ok(text),
            false => Err(Fault::Malformed("AES-GCM text")),
        }
    }
}

fn check_text(len: usize) -> Result<(), Fault> {
    if len > TEXT_LEN_MAX { Err(Fault::Malformed("text of a length that a token is given")) } else { Ok(()) }
}

/// Big-endian numbers come with leading zeros from some tokens.
fn trimmed(octets: Vec<u8>) -> Vec<u8> {
    octets.into_iter().skip_while(|octet| *octet == 0).collect()
}

/// CKA_EC_POINT is a DER octet string; some tokens leave its head out.
fn point(curve: Curve, octets: &[u8]) -> Result<Vec<u8>, Fault> {
    let len = curve.field_len().saturating_mul(2).saturating_add(1);
    let inner = match octets.len() == len {
        true => octets.to_vec(),
        false => {
            let string = <&OctetStringRef>::from_der(octets).map_err(|_| Fault::Malformed("point on that curve"))?;
            string.as_bytes().to_vec()
        }
    };
    match inner.len() == len && inner.first() == Some(&4) {
        true => Ok(inner),
        false => Err(Fault::Malformed("point on that curve")),
    }
}

fn wipe(template: &mut [Attribute]) {
    for attribute in template {
        if let Attribute::Value(octets) = attribute {
            zeroize::Zeroize::zeroize(octets);
        }
    }
}

const GCM_TAG_LEN: usize = 16;
const GCM_TAG_BITS: std::ffi::c_ulong = 128;
