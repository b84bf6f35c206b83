//! Keys of AWS-LC (`EVP_PKEY`) and the few operations on them.
//!
//! Every pointer from the library is owned by a value here, which frees it once, or borrowed for one call. Lengths go with
//! the slices they are of. What is written is as long as the library says, which is checked.
#![allow(unsafe_code)] // reason: see the crate's head, and docs/decisions

use std::ffi::c_int;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use aws_lc_sys as sys;

/// A parameter set of ML-DSA (FIPS 204, 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is what its name says
pub enum MlDsa {
    S44,
    S65,
    S87,
}

impl MlDsa {
    fn nid(self) -> c_int {
        match self {
            Self::S44 => sys::NID_MLDSA44,
            Self::S65 => sys::NID_MLDSA65,
            Self::S87 => sys::NID_MLDSA87,
        }
    }
}

/// The library refuses: what is no key, a key of another type, a text or context that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused by the cryptographic library")]
pub struct Refused;

/// A private key. Threads may share it; the library wipes it when it is dropped. No Debug, no Clone.
pub struct PrivateKey(Key);

/// A public key. Threads may share it.
pub struct PublicKey(Key);

impl PrivateKey {
    /// The key of a PKCS#8 document (RFC 5208, RFC 5958), iff the library takes it and nothing follows.
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, Refused> {
        let mut input = sys::CBS { data: document.as_ptr(), len: document.len() };
        // SAFETY: `input` points to `document`, which outlives the call and is only read.
        let key = Key::own(unsafe { sys::EVP_parse_private_key(&mut input) })?;
        if input.len == 0 { Ok(Self(key)) } else { Err(Refused) }
    }

    /// Signs octets by RSASSA-PKCS1-v1_5 without a DigestInfo (RFC 8017, 8.2.1, steps 2 and 3, with the octets in place of
    /// T), iff the key is RSA and they leave room for 11 octets of padding. Blinded, constant in time.
    pub fn rsa_pkcs1(&self, octets: &[u8]) -> Result<Vec<u8>, Refused> {
        self.0.check(sys::EVP_PKEY_RSA)?;
        let operation = Operation::new(&self.0)?;
        // SAFETY: the context is live and of no operation yet.
        taken(unsafe { sys::EVP_PKEY_sign_init(operation.context()) })?;
        operation.pkcs1()?;
        operation.sign(octets)
    }

    /// Signs a message under a context of at most 255 octets (FIPS 204, 5.2), iff the key is ML-DSA.
    pub fn ml_dsa(&self, message: &[u8], context: &[u8]) -> Result<Vec<u8>, Refused> {
        self.0.check(sys::EVP_PKEY_PQDSA)?;
        let digest = Digest::new()?;
        let mut own = ptr::null_mut();
        // SAFETY: the digest context and the key are live; ML-DSA takes no digest, hence null; `own` gets a context that the
        // digest context owns.
        taken(unsafe {
            sys::EVP_DigestSignInit(digest.0.as_ptr(), &mut own, ptr::null(), ptr::null_mut(), self.0.0.as_ptr())
        })?;
        set_context(own, context)?;
        signature(|out, len| {
            // SAFETY: the digest context is initialised; `out` is null, which asks for the length, or has `len` octets.
            unsafe { sys::EVP_DigestSign(digest.0.as_ptr(), out, len, message.as_ptr(), message.len()) }
        })
    }

    /// Signs a message representative, mu (FIPS 204, 6.2, step 6), iff the key is ML-DSA.
    pub fn ml_dsa_mu(&self, mu: &[u8; 64]) -> Result<Vec<u8>, Refused> {
        self.0.check(sys::EVP_PKEY_PQDSA)?;
        let operation = Operation::new(&self.0)?;
        // SAFETY: as in rsa_pkcs1.
        taken(unsafe { sys::EVP_PKEY_sign_init(operation.context()) })?;
        operation.sign(mu)
    }
}

impl PublicKey {
    /// The key of a SubjectPublicKeyInfo (RFC 5280, 4.1), iff the library takes it and nothing follows.
    pub fn from_spki(document: &[u8]) -> Result<Self, Refused> {
        let mut input = sys::CBS { data: document.as_ptr(), len: document.len() };
        // SAFETY: `input` points to `document`, which outlives the call and is only read.
        let key = Key::own(unsafe { sys::EVP_parse_public_key(&mut input) })?;
        if input.len == 0 { Ok(Self(key)) } else { Err(Refused) }
    }

    /// An ML-DSA key from its encoding (FIPS 204, 7.2), iff it is as long as those of this parameter set.
    pub fn from_ml_dsa(set: MlDsa, encoded: &[u8]) -> Result<Self, Refused> {
        // SAFETY: pointer and length are those of a slice that is only read.
        Key::own(unsafe { sys::EVP_PKEY_pqdsa_new_raw_public_key(set.nid(), encoded.as_ptr(), encoded.len()) })
            .map(Self)
    }

    /// Whether a signature is one by [`PrivateKey::rsa_pkcs1`] over exactly these octets.
    pub fn rsa_pkcs1(&self, octets: &[u8], signature: &[u8]) -> Result<bool, Refused> {
        self.0.check(sys::EVP_PKEY_RSA)?;
        let operation = Operation::new(&self.0)?;
        // SAFETY: the context is live and of no operation yet.
        taken(unsafe { sys::EVP_PKEY_verify_init(operation.context()) })?;
        operation.pkcs1()?;
        Ok(operation.verify(octets, signature))
    }

    /// Whether a signature is one by [`PrivateKey::ml_dsa`] over this message under this context.
    pub fn ml_dsa(&self, message: &[u8], context: &[u8], signature: &[u8]) -> Result<bool, Refused> {
        self.0.check(sys::EVP_PKEY_PQDSA)?;
        let digest = Digest::new()?;
        let mut own = ptr::null_mut();
        // SAFETY: as in PrivateKey::ml_dsa.
        taken(unsafe {
            sys::EVP_DigestVerifyInit(digest.0.as_ptr(), &mut own, ptr::null(), ptr::null_mut(), self.0.0.as_ptr())
        })?;
        set_context(own, context)?;
        let (sig, text) = (signature, message);
        // SAFETY: the digest context is initialised; pointers and lengths are those of slices that are only read.
        let holds =
            unsafe { sys::EVP_DigestVerify(digest.0.as_ptr(), sig.as_ptr(), sig.len(), text.as_ptr(), text.len()) };
        Ok(taken(holds).is_ok())
    }

    /// Whether a signature is one by [`PrivateKey::ml_dsa_mu`] over this message representative.
    pub fn ml_dsa_mu(&self, mu: &[u8; 64], signature: &[u8]) -> Result<bool, Refused> {
        self.0.check(sys::EVP_PKEY_PQDSA)?;
        let operation = Operation::new(&self.0)?;
        // SAFETY: as in rsa_pkcs1.
        taken(unsafe { sys::EVP_PKEY_verify_init(operation.context()) })?;
        Ok(operation.verify(mu, signature))
    }
}

/// One reference to a key, given back when it is dropped.
struct Key(NonNull<sys::EVP_PKEY>);

// SAFETY: the key is not changed once it is made, its count of references is atomic, and what RSA caches for blinding is under
// a lock of its own: the library lets many threads use one key (openssl/evp.h, "EVP_PKEY" and openssl/rsa.h, "RSA").
unsafe impl Send for Key {}
// SAFETY: as for Send.
unsafe impl Sync for Key {}

impl Key {
    fn own(key: *mut sys::EVP_PKEY) -> Result<Self, Refused> {
        NonNull::new(key).map(Self).ok_or_else(refused)
    }

    fn check(&self, expected: c_int) -> Result<(), Refused> {
        // SAFETY: the key is live and only read.
        let found = unsafe { sys::EVP_PKEY_id(self.0.as_ptr()) };
        if found == expected { Ok(()) } else { Err(Refused) }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: this value owns one reference and gives it back once.
        unsafe { sys::EVP_PKEY_free(self.0.as_ptr()) }
    }
}

/// One operation with a key.
struct Operation<'a>(NonNull<sys::EVP_PKEY_CTX>, PhantomData<&'a Key>);

impl<'a> Operation<'a> {
    fn new(key: &'a Key) -> Result<Self, Refused> {
        // SAFETY: the key is live; the context takes a reference of its own. Null means no engine.
        let context = unsafe { sys::EVP_PKEY_CTX_new(key.0.as_ptr(), ptr::null_mut()) };
        NonNull::new(context).map(|context| Self(context, PhantomData)).ok_or_else(refused)
    }

    fn context(&self) -> *mut sys::EVP_PKEY_CTX {
        self.0.as_ptr()
    }

    /// PKCS#1 v1.5, and no digest is set, so that no DigestInfo is put before the octets.
    fn pkcs1(&self) -> Result<(), Refused> {
        // SAFETY: the context is live.
        taken(unsafe { sys::EVP_PKEY_CTX_set_rsa_padding(self.context(), sys::RSA_PKCS1_PADDING) })
    }

    fn sign(&self, octets: &[u8]) -> Result<Vec<u8>, Refused> {
        signature(|out, len| {
            // SAFETY: the context was initialised for signing; `out` is null, which asks for the length, or has `len`
            // octets.
            unsafe { sys::EVP_PKEY_sign(self.context(), out, len, octets.as_ptr(), octets.len()) }
        })
    }

    fn verify(&self, octets: &[u8], signature: &[u8]) -> bool {
        let (sig, text) = (signature, octets);
        // SAFETY: the context was initialised for verifying; pointers and lengths are those of slices that are only read.
        let holds = unsafe { sys::EVP_PKEY_verify(self.context(), sig.as_ptr(), sig.len(), text.as_ptr(), text.len()) };
        taken(holds).is_ok()
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        // SAFETY: this value owns the context and frees it once.
        unsafe { sys::EVP_PKEY_CTX_free(self.0.as_ptr()) }
    }
}

/// A context of operations that take whole messages.
struct Digest(NonNull<sys::EVP_MD_CTX>);

impl Digest {
    fn new() -> Result<Self, Refused> {
        // SAFETY: takes nothing.
        NonNull::new(unsafe { sys::EVP_MD_CTX_new() }).map(Self).ok_or_else(refused)
    }
}

impl Drop for Digest {
    fn drop(&mut self) {
        // SAFETY: this value owns the context, with the one inside, and frees it once.
        unsafe { sys::EVP_MD_CTX_free(self.0.as_ptr()) }
    }
}

/// Sets what is signed beside the message. The library takes 255 octets at most.
fn set_context(operation: *mut sys::EVP_PKEY_CTX, context: &[u8]) -> Result<(), Refused> {
    if operation.is_null() {
        return Err(Refused);
    }
    // SAFETY: the operation is live, being its digest context's own; the library copies the octets.
    taken(unsafe { sys::EVP_PKEY_CTX_set_signature_context(operation, context.as_ptr(), context.len()) })
}

/// A signature, made in two steps: how long, then what. As long as was said, or refused.
fn signature(sign: impl Fn(*mut u8, &mut usize) -> c_int) -> Result<Vec<u8>, Refused> {
    let mut len = 0;
    taken(sign(ptr::null_mut(), &mut len))?;
    let mut out = vec![0; len];
    taken(sign(out.as_mut_ptr(), &mut len))?;
    if len == out.len() { Ok(out) } else { Err(Refused) }
}

/// The library says 1 for good, and leaves notes of errors with the thread, which nobody reads.
fn taken(status: c_int) -> Result<(), Refused> {
    if status == 1 { Ok(()) } else { Err(refused()) }
}

fn refused() -> Refused {
    // SAFETY: takes nothing; concerns this thread alone.
    unsafe { sys::ERR_clear_error() };
    Refused
}
