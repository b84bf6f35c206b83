//! Encrypting and wrapping, both ways: the closed lists of Azure's algorithms, and every refusal.
//!
//! RSA encrypts and wraps under the public half ([`encrypt()`], [`wrap()`]); symmetric keys, and RSA on the way back,
//! need an [`OpenedKey`]. Under RSA the two are one operation with two names and two permissions.
//!
//! What a ciphertext holds is no reason for an error of its own: a length, a missing iv or an algorithm that does not
//! fit are told from public facts before a secret is touched, and whatever fails after that is
//! [`CipherError::Refused`]. Who may decrypt still learns one bit of a ciphertext that he made up. Under RSA1_5 that
//! bit, asked often enough, decrypts and even signs (Bleichenbacher 1998), under CBCPAD it decrypts (Vaudenay 2002): it
//! is in the schemes and Azure has it too. Give such keys the operations of one purpose only, and prefer RSA-OAEP-256
//! and GCM.
//!
//! One symmetric key under several modes keeps its permissions apart no better. Who may encrypt by CBC has AES of any
//! block, hence GCM's key stream and hash key and the steps of wrapping: with CBC, `encrypt` alone opens and forges what
//! GCM made under the same key and forges wrapped keys, and `decrypt` unwraps them. So too an iv given to GCM: given
//! again, it opens. Azure lets any symmetric key do all of it; a vault that wants the permissions to mean something
//! keeps a key to one mode.
//!
//! Deliberately not here: which of these a key may do; a limit to how often a key may draw ivs of its own (SP 800-38D,
//! 8.3: 2^32 for random ones), and RSA1_5 with an answer made up in place of a refusal, which clients would take for a
//! key.

use crate::aes::{self, BLOCK_LEN, GCM_IV_LEN, SEMIBLOCK_LEN};
use crate::key_type::{KeyType, OctBits, PublicKey, PublicKeyError};
use crate::limits::{TEXT_LEN_MAX, WRAPPED_KEY_LEN_MAX};
use crate::opened::{OpenedKey, RsaSecret, Secret};
use crate::padding::{self, Padding};
use crate::strict::TokenKey;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{PublicEncryptingKey, PublicKeyComponents};
use core::fmt;
use rand_core::CryptoRng;
use skerry_pkcs11::{Fault, Hash, Wrapping as InWrap};
use zeroize::Zeroizing;

/// How a text is encrypted: the closed list, by Azure's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EncryptAlgorithm {
    /// RSAES-PKCS1-v1_5 (RFC 8017, 7.2). Not recommended: see the module's head.
    Rsa15,
    /// RSAES-OAEP with SHA-1 and MGF1 of the same.
    RsaOaep,
    /// RSAES-OAEP with SHA-256 and MGF1 of the same.
    RsaOaep256,
    /// AES-GCM with 128 bits, an iv of 12 octets, a tag of 16.
    A128Gcm,
    /// AES-GCM with 192 bits, likewise.
    A192Gcm,
    /// AES-GCM with 256 bits, likewise.
    A256Gcm,
    /// AES-CBC with 128 bits over whole blocks. Not authenticated.
    A128Cbc,
    /// AES-CBC with 192 bits, likewise.
    A192Cbc,
    /// AES-CBC with 256 bits, likewise.
    A256Cbc,
    /// AES-CBC with 128 bits, padded (RFC 5652, 6.3). Not authenticated.
    A128CbcPad,
    /// AES-CBC with 192 bits, likewise.
    A192CbcPad,
    /// AES-CBC with 256 bits, likewise.
    A256CbcPad,
}

impl EncryptAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 12] = [
        Self::Rsa15,
        Self::RsaOaep,
        Self::RsaOaep256,
        Self::A128Gcm,
        Self::A192Gcm,
        Self::A256Gcm,
        Self::A128Cbc,
        Self::A192Cbc,
        Self::A256Cbc,
        Self::A128CbcPad,
        Self::A192CbcPad,
        Self::A256CbcPad,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rsa15 => "RSA1_5",
            Self::RsaOaep => "RSA-OAEP",
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::A128Gcm => "A128GCM",
            Self::A192Gcm => "A192GCM",
            Self::A256Gcm => "A256GCM",
            Self::A128Cbc => "A128CBC",
            Self::A192Cbc => "A192CBC",
            Self::A256Cbc => "A256CBC",
            Self::A128CbcPad => "A128CBCPAD",
            Self::A192CbcPad => "A192CBCPAD",
            Self::A256CbcPad => "A256CBCPAD",
        }
    }

    /// The algorithm of exactly this name; letter case counts (RFC 7515, 4.1.1).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// Whether a key of this type can encrypt so.
    pub fn fits(self, key_type: KeyType) -> bool {
        self.cipher().takes().fits(key_type)
    }

    fn cipher(self) -> Cipher {
        match self {
            Self::Rsa15 => Cipher::Rsa(Padding::Pkcs1),
            Self::RsaOaep => Cipher::Rsa(Padding::OaepSha1),
            Self::RsaOaep256 => Cipher::Rsa(Padding::OaepSha256),
            Self::A128Gcm => Cipher::Gcm(OctBits::B128),
            Self::A192Gcm => Cipher::Gcm(OctBits::B192),
            Self::A256Gcm => Cipher::Gcm(OctBits::B256),
            Self::A128Cbc => Cipher::Cbc(OctBits::B128),
            Self::A192Cbc => Cipher::Cbc(OctBits::B192),
            Self::A256Cbc => Cipher::Cbc(OctBits::B256),
            Self::A128CbcPad => Cipher::CbcPad(OctBits::B128),
            Self::A192CbcPad => Cipher::CbcPad(OctBits::B192),
            Self::A256CbcPad => Cipher::CbcPad(OctBits::B256),
        }
    }
}

/// How a key is wrapped: the closed list, by Azure's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WrapAlgorithm {
    /// RSAES-PKCS1-v1_5 (RFC 8017, 7.2). Not recommended: see the module's head.
    Rsa15,
    /// RSAES-OAEP with SHA-1 and MGF1 of the same.
    RsaOaep,
    /// RSAES-OAEP with SHA-256 and MGF1 of the same.
    RsaOaep256,
    /// AES key wrap with 128 bits (RFC 3394).
    A128Kw,
    /// AES key wrap with 192 bits, likewise.
    A192Kw,
    /// AES key wrap with 256 bits, likewise.
    A256Kw,
    /// AES key wrap with padding and 128 bits (RFC 5649).
    A128KwPad,
    /// AES key wrap with padding and 192 bits, likewise.
    A192KwPad,
    /// AES key wrap with padding and 256 bits, likewise.
    A256KwPad,
    /// AES key wrap with as many bits as the key has (RFC 3394).
    CkmAesKeyWrap,
    /// The same with padding. Taken for that of RFC 5649, as SoftHSM, nShield and Luna do; PKCS#11 3.0 takes the name
    /// for PKCS#7 padding under RFC 3394. Which of them Azure means is not known.
    CkmAesKeyWrapPad,
}

impl WrapAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 11] = [
        Self::Rsa15,
        Self::RsaOaep,
        Self::RsaOaep256,
        Self::A128Kw,
        Self::A192Kw,
        Self::A256Kw,
        Self::A128KwPad,
        Self::A192KwPad,
        Self::A256KwPad,
        Self::CkmAesKeyWrap,
        Self::CkmAesKeyWrapPad,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rsa15 => "RSA1_5",
            Self::RsaOaep => "RSA-OAEP",
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::A128Kw => "A128KW",
            Self::A192Kw => "A192KW",
            Self::A256Kw => "A256KW",
            Self::A128KwPad => "A128KWPAD",
            Self::A192KwPad => "A192KWPAD",
            Self::A256KwPad => "A256KWPAD",
            Self::CkmAesKeyWrap => "CKM_AES_KEY_WRAP",
            Self::CkmAesKeyWrapPad => "CKM_AES_KEY_WRAP_PAD",
        }
    }

    /// The algorithm of exactly this name; letter case counts (RFC 7515, 4.1.1).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// Whether a key of this type can wrap so.
    pub fn fits(self, key_type: KeyType) -> bool {
        self.wrapping().takes().fits(key_type)
    }

    /// Whether it wraps securely: Azure's list of those leaves out RSA1_5 and RSA-OAEP with SHA-1.
    pub fn is_secure(self) -> bool {
        !matches!(self, Self::Rsa15 | Self::RsaOaep)
    }

    /// How a token is asked for it; RSA1_5 it is not.
    pub(crate) fn in_token(self) -> Option<InWrap> {
        match self.wrapping() {
            Wrapping::Rsa(Padding::Pkcs1) => None,
            Wrapping::Rsa(Padding::OaepSha1) => Some(InWrap::Oaep(Hash::Sha1)),
            Wrapping::Rsa(Padding::OaepSha256) => Some(InWrap::Oaep(Hash::Sha256)),
            Wrapping::Kw(_) => Some(InWrap::Kw),
            Wrapping::Kwp(_) => Some(InWrap::Kwp),
        }
    }

    fn wrapping(self) -> Wrapping {
        match self {
            Self::Rsa15 => Wrapping::Rsa(Padding::Pkcs1),
            Self::RsaOaep => Wrapping::Rsa(Padding::OaepSha1),
            Self::RsaOaep256 => Wrapping::Rsa(Padding::OaepSha256),
            Self::A128Kw => Wrapping::Kw(Some(OctBits::B128)),
            Self::A192Kw => Wrapping::Kw(Some(OctBits::B192)),
            Self::A256Kw => Wrapping::Kw(Some(OctBits::B256)),
            Self::A128KwPad => Wrapping::Kwp(Some(OctBits::B128)),
            Self::A192KwPad => Wrapping::Kwp(Some(OctBits::B192)),
            Self::A256KwPad => Wrapping::Kwp(Some(OctBits::B256)),
            Self::CkmAesKeyWrap => Wrapping::Kw(None),
            Self::CkmAesKeyWrapPad => Wrapping::Kwp(None),
        }
    }
}

/// An encrypted text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encrypted {
    /// The ciphertext.
    pub ciphertext: Vec<u8>,
    /// The iv that was used, where there is one: of AES.
    pub iv: Option<Vec<u8>>,
    /// The tag, where there is one: of GCM.
    pub tag: Option<Vec<u8>>,
}

impl Encrypted {
    fn rsa(ciphertext: Vec<u8>) -> Self {
        Self { ciphertext, iv: None, tag: None }
    }
}

/// Encrypts under an RSA public half; neither iv nor associated data can be given.
///
/// The text is at most as long as the modulus less 11 octets (RSA1_5), 42 (RSA-OAEP) or 66 (RSA-OAEP-256), and may be
/// empty. The caller vouches that the public key is that of the key meant. Padding comes from the library's own
/// generator.
pub fn encrypt(
    public: &PublicKey,
    algorithm: EncryptAlgorithm,
    plaintext: &[u8],
    iv: Option<&[u8]>,
    aad: Option<&[u8]>,
) -> Result<Encrypted, CipherError> {
    let padding = padding_for(public, algorithm.as_str(), algorithm.cipher().takes())?;
    absent(Parameter::Iv, iv)?;
    absent(Parameter::Aad, aad)?;
    rsa_encrypt(public, padding, plaintext).map(Encrypted::rsa)
}

/// Wraps a key under an RSA public half, as [`encrypt()`] encrypts it.
pub fn wrap(public: &PublicKey, algorithm: WrapAlgorithm, key: &[u8]) -> Result<Vec<u8>, CipherError> {
    let padding = padding_for(public, algorithm.as_str(), algorithm.wrapping().takes())?;
    rsa_encrypt(public, padding, key)
}

/// Makes a key of 256 bits and gives its wrapped form under an RSA public half, as [`wrap()`]; the key itself is given to
/// nobody, and wiped.
pub fn secure_wrap(
    public: &PublicKey,
    algorithm: WrapAlgorithm,
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, CipherError> {
    check_secure(algorithm, public.key_type().map_err(CipherError::Key)?)?;
    wrap(public, algorithm, fresh(rng).as_slice())
}

/// Whether a key of this type can wrap securely so.
pub(crate) fn check_secure(algorithm: WrapAlgorithm, key_type: Option<KeyType>) -> Result<(), CipherError> {
    match algorithm.is_secure() {
        true => algorithm.wrapping().takes().check(algorithm.as_str(), key_type),
        false => Err(CipherError::Algorithm { algorithm: algorithm.as_str(), key_type }),
    }
}

fn fresh(rng: &mut dyn CryptoRng) -> Zeroizing<[u8; SECURE_KEY_LEN]> {
    let mut key = Zeroizing::new([0; SECURE_KEY_LEN]);
    rng.fill_bytes(key.as_mut_slice());
    key
}

/// Octets of a key that is made to be wrapped: AES-256.
pub const SECURE_KEY_LEN: usize = 32;

impl OpenedKey {
    /// Makes a key of 256 bits and gives its wrapped form under a symmetric key, as [`secure_wrap()`] under an RSA public
    /// half.
    pub fn secure_wrap(&self, algorithm: WrapAlgorithm, rng: &mut dyn CryptoRng) -> Result<Vec<u8>, CipherError> {
        check_secure(algorithm, Some(self.key_type()))?;
        if let Secret::Token(key) = &self.secret {
            let wrapping = algorithm.in_token().ok_or(CipherError::Library)?;
            return key.wrap_fresh(wrapping).map_err(CipherError::Token);
        }
        self.wrap(algorithm, fresh(rng).as_slice())
    }

    /// Encrypts under a symmetric key.
    ///
    /// GCM takes any text up to [`TEXT_LEN_MAX`]. An iv that is not given is 12 octets of `rng`; one that is given is
    /// used, and the caller vouches that no other text is ever encrypted under it (Azure's Managed HSM never uses a
    /// given one: pass none). CBC takes whole blocks, CBCPAD any text, both an iv of 16 octets, for which the caller
    /// vouches that it is random, and no associated data. RSA encrypts under its public half: [`encrypt()`].
    pub fn encrypt(
        &self,
        algorithm: EncryptAlgorithm,
        plaintext: &[u8],
        iv: Option<&[u8]>,
        aad: Option<&[u8]>,
        rng: &mut dyn CryptoRng,
    ) -> Result<Encrypted, CipherError> {
        let cipher = algorithm.cipher();
        let key = self.symmetric(algorithm.as_str(), cipher.takes())?;
        match cipher {
            Cipher::Rsa(_) => Err(CipherError::PublicHalf { algorithm: algorithm.as_str() }),
            Cipher::Gcm(_) => {
                let iv = iv.map_or_else(|| Ok(drawn(rng)), |iv| exact(Parameter::Iv, Some(iv)))?;
                let aad = associated(aad)?;
                check_text(plaintext.len())?;
                let (ciphertext, tag) = key.gcm_seal(iv, aad, plaintext).map_err(failed)?;
                Ok(Encrypted { ciphertext, iv: Some(iv.to_vec()), tag: Some(tag.to_vec()) })
            }
            Cipher::Cbc(_) => {
                let iv = cbc_iv(iv, aad)?;
                check_blocks(plaintext.len(), TEXT_LEN_MAX)?;
                cbc_encrypt(key, iv, plaintext)
            }
            Cipher::CbcPad(_) => {
                let iv = cbc_iv(iv, aad)?;
                check_text(plaintext.len())?;
                cbc_encrypt(key, iv, &aes::pad(plaintext).map_err(|_| CipherError::Library)?)
            }
        }
    }

    /// Decrypts.
    ///
    /// RSA takes a ciphertext as long as its modulus and nothing else; GCM needs an iv of 12 octets and a tag of 16;
    /// CBC and CBCPAD need an iv of 16 octets and take neither tag nor associated data. Only what GCM gives is
    /// authentic.
    pub fn decrypt(
        &self,
        algorithm: EncryptAlgorithm,
        ciphertext: &[u8],
        iv: Option<&[u8]>,
        aad: Option<&[u8]>,
        tag: Option<&[u8]>,
    ) -> Result<Zeroizing<Vec<u8>>, CipherError> {
        let cipher = algorithm.cipher();
        let takes = cipher.takes();
        if let Cipher::Rsa(padding) = cipher {
            takes.check(algorithm.as_str(), Some(self.key_type()))?;
            absent(Parameter::Iv, iv)?;
            absent(Parameter::Aad, aad)?;
            absent(Parameter::Tag, tag)?;
            return self.rsa_decrypt(padding, ciphertext);
        }
        let key = self.symmetric(algorithm.as_str(), takes)?;
        if let Cipher::Gcm(_) = cipher {
            let (iv, tag) = (exact(Parameter::Iv, iv)?, exact(Parameter::Tag, tag)?);
            let aad = associated(aad)?;
            check_text(ciphertext.len())?;
            return key.gcm_open(iv, aad, ciphertext, &tag).map_err(refusal);
        }
        absent(Parameter::Tag, tag)?;
        let iv = cbc_iv(iv, aad)?;
        check_blocks(ciphertext.len(), TEXT_LEN_MAX + BLOCK_LEN)?;
        let blocks = key.cbc_decrypt(iv, ciphertext).map_err(refusal)?;
        if let Cipher::CbcPad(_) = cipher { refused(aes::unpad(blocks)) } else { Ok(blocks) }
    }

    /// Wraps a key under a symmetric key: KW whole semiblocks of 8 octets, two at least, its padded kind one octet at
    /// least, both [`WRAPPED_KEY_LEN_MAX`] at most. RSA wraps under its public half: [`wrap()`].
    pub fn wrap(&self, algorithm: WrapAlgorithm, key: &[u8]) -> Result<Vec<u8>, CipherError> {
        let wrapping = algorithm.wrapping();
        let kek = self.symmetric(algorithm.as_str(), wrapping.takes())?;
        let wrapped = match wrapping {
            Wrapping::Rsa(_) => return Err(CipherError::PublicHalf { algorithm: algorithm.as_str() }),
            Wrapping::Kw(_) => {
                check_semiblocks(key.len(), 2, WRAPPED_KEY_LEN_MAX)?;
                kek.wrap(key)
            }
            Wrapping::Kwp(_) => {
                check_len(key.len(), 1, WRAPPED_KEY_LEN_MAX)?;
                kek.wrap_padded(key)
            }
        };
        wrapped.map_err(failed)
    }

    /// Unwraps a key. What a symmetric key gives is authentic; under a public half anybody wraps.
    pub fn unwrap(&self, algorithm: WrapAlgorithm, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
        let wrapping = algorithm.wrapping();
        if let Wrapping::Rsa(padding) = wrapping {
            wrapping.takes().check(algorithm.as_str(), Some(self.key_type()))?;
            return self.rsa_decrypt(padding, wrapped);
        }
        let kek = self.symmetric(algorithm.as_str(), wrapping.takes())?;
        if let Wrapping::Kwp(_) = wrapping {
            check_semiblocks(wrapped.len(), 2, WRAPPED_KEY_LEN_MAX + SEMIBLOCK_LEN)?;
            return kek.unwrap_padded(wrapped).map_err(refusal);
        }
        check_semiblocks(wrapped.len(), 3, WRAPPED_KEY_LEN_MAX + SEMIBLOCK_LEN)?;
        kek.unwrap(wrapped).map_err(refusal)
    }

    /// Of a key that an RSA algorithm takes.
    fn rsa_decrypt(&self, padding: Padding, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
        match (&self.secret, self.key_type()) {
            (Secret::Rsa(key), _) => rsa_decrypt(key, padding, ciphertext),
            (Secret::Token(key), KeyType::Rsa { bits }) => {
                let len = bits.bits() / 8;
                check_len(ciphertext.len(), len, len)?;
                key.rsa_decrypt(padding, ciphertext).map_err(|fault| refusal(Trouble::Fault(fault)))
            }
            _ => Err(CipherError::Library),
        }
    }

    /// The key as AES, iff it is what the algorithm takes; an RSA algorithm that fits is for the public half.
    fn symmetric(&self, algorithm: &'static str, takes: Takes) -> Result<Symmetric<'_>, CipherError> {
        takes.check(algorithm, Some(self.key_type()))?;
        match (&self.secret, self.key_type()) {
            (Secret::Oct(material), KeyType::Oct { bits }) => {
                Ok(Symmetric::Here(aes::Key { bits, octets: material.expose() }))
            }
            (Secret::Token(key), KeyType::Oct { .. }) => Ok(Symmetric::Token(key)),
            _ => Err(CipherError::PublicHalf { algorithm }),
        }
    }
}

/// AES, here or in a token.
#[derive(Clone, Copy)]
enum Symmetric<'a> {
    Here(aes::Key<'a>),
    Token(&'a TokenKey),
}

/// What came in between, before it is said in the one way that an operation has.
pub(crate) enum Trouble {
    Library,
    Fault(Fault),
}

impl From<Unspecified> for Trouble {
    fn from(_: Unspecified) -> Trouble {
        Trouble::Library
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Trouble {
        Trouble::Fault(fault)
    }
}

type Done<T> = Result<T, Trouble>;

impl Symmetric<'_> {
    fn gcm_seal(self, iv: [u8; GCM_IV_LEN], aad: &[u8], text: &[u8]) -> Done<(Vec<u8>, [u8; aes::TAG_LEN])> {
        match self {
            Self::Here(key) => Ok(aes::gcm_seal(key, iv, aad, text)?),
            Self::Token(key) => {
                let mut sealed = key.gcm_seal(iv, aad, text)?;
                let tag = sealed.split_off(sealed.len().saturating_sub(aes::TAG_LEN));
                Ok((sealed, tag.try_into().map_err(|_| Trouble::Library)?))
            }
        }
    }

    fn gcm_open(
        self,
        iv: [u8; GCM_IV_LEN],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8; aes::TAG_LEN],
    ) -> Done<Zeroizing<Vec<u8>>> {
        match self {
            Self::Here(key) => Ok(aes::gcm_open(key, iv, aad, ciphertext, tag)?),
            Self::Token(key) => Ok(key.gcm_open(iv, aad, &[ciphertext, tag].concat())?),
        }
    }

    fn cbc_encrypt(self, iv: [u8; BLOCK_LEN], blocks: &[u8]) -> Done<Vec<u8>> {
        match self {
            Self::Here(key) => Ok(aes::cbc_encrypt(key, iv, blocks)?),
            Self::Token(key) => Ok(key.cbc_encrypt(iv, blocks)?),
        }
    }

    fn cbc_decrypt(self, iv: [u8; BLOCK_LEN], blocks: &[u8]) -> Done<Zeroizing<Vec<u8>>> {
        match self {
            Self::Here(key) => Ok(aes::cbc_decrypt(key, iv, blocks)?),
            Self::Token(key) => Ok(key.cbc_decrypt(iv, blocks)?),
        }
    }

    fn wrap(self, data: &[u8]) -> Done<Vec<u8>> {
        match self {
            Self::Here(key) => Ok(aes::wrap(key, data)?),
            Self::Token(key) => Ok(key.wrap(InWrap::Kw, data)?),
        }
    }

    fn wrap_padded(self, data: &[u8]) -> Done<Vec<u8>> {
        match self {
            Self::Here(key) => Ok(aes::wrap_padded(key, data)?),
            Self::Token(key) => Ok(key.wrap(InWrap::Kwp, data)?),
        }
    }

    fn unwrap(self, wrapped: &[u8]) -> Done<Zeroizing<Vec<u8>>> {
        match self {
            Self::Here(key) => Ok(aes::unwrap(key, wrapped)?),
            Self::Token(key) => Ok(key.unwrap(InWrap::Kw, wrapped)?),
        }
    }

    fn unwrap_padded(self, wrapped: &[u8]) -> Done<Zeroizing<Vec<u8>>> {
        match self {
            Self::Here(key) => Ok(aes::unwrap_padded(key, wrapped)?),
            Self::Token(key) => Ok(key.unwrap(InWrap::Kwp, wrapped)?),
        }
    }
}

/// Where nothing that a caller sent can be the reason.
fn failed(trouble: Trouble) -> CipherError {
    match trouble {
        Trouble::Library => CipherError::Library,
        Trouble::Fault(fault) => CipherError::Token(fault),
    }
}

/// Where what a caller sent can be the reason: then it is the one answer. What a token says of such a text differs from token
/// to token.
fn refusal(trouble: Trouble) -> CipherError {
    match trouble {
        Trouble::Fault(fault @ (Fault::Gone | Fault::Busy | Fault::NoRoot(_) | Fault::Unsupported(_))) => {
            CipherError::Token(fault)
        }
        Trouble::Library | Trouble::Fault(_) => CipherError::Refused,
    }
}

/// What an encryption algorithm does.
#[derive(Clone, Copy)]
enum Cipher {
    Rsa(Padding),
    Gcm(OctBits),
    Cbc(OctBits),
    CbcPad(OctBits),
}

impl Cipher {
    fn takes(self) -> Takes {
        match self {
            Self::Rsa(padding) => Takes::Rsa(padding),
            Self::Gcm(bits) | Self::Cbc(bits) | Self::CbcPad(bits) => Takes::Aes(Some(bits)),
        }
    }
}

/// What a wrapping algorithm does; without bits it takes any.
#[derive(Clone, Copy)]
enum Wrapping {
    Rsa(Padding),
    Kw(Option<OctBits>),
    Kwp(Option<OctBits>),
}

impl Wrapping {
    fn takes(self) -> Takes {
        match self {
            Self::Rsa(padding) => Takes::Rsa(padding),
            Self::Kw(bits) | Self::Kwp(bits) => Takes::Aes(bits),
        }
    }
}

/// Which keys an algorithm takes.
#[derive(Clone, Copy)]
enum Takes {
    Rsa(Padding),
    Aes(Option<OctBits>),
}

impl Takes {
    fn fits(self, key_type: KeyType) -> bool {
        self.check("", Some(key_type)).is_ok()
    }

    fn check(self, algorithm: &'static str, key_type: Option<KeyType>) -> Result<(), CipherError> {
        match (self, key_type) {
            (Self::Rsa(_), Some(KeyType::Rsa { .. })) | (Self::Aes(None), Some(KeyType::Oct { .. })) => Ok(()),
            (Self::Aes(Some(expected)), Some(KeyType::Oct { bits: found })) if expected == found => Ok(()),
            (Self::Aes(Some(expected)), Some(KeyType::Oct { bits: found })) => {
                Err(CipherError::KeySize { algorithm, expected, found })
            }
            _ => Err(CipherError::Algorithm { algorithm, key_type }),
        }
    }
}

/// The one answer to every failure that a secret has a part in.
fn refused<T>(result: Result<T, Unspecified>) -> Result<T, CipherError> {
    result.map_err(|_| CipherError::Refused)
}

fn padding_for(public: &PublicKey, algorithm: &'static str, takes: Takes) -> Result<Padding, CipherError> {
    let key_type = public.key_type().map_err(CipherError::Key)?;
    takes.check(algorithm, key_type)?;
    match takes {
        Takes::Rsa(padding) => Ok(padding),
        Takes::Aes(_) => Err(CipherError::Algorithm { algorithm, key_type }),
    }
}

fn rsa_encrypt(public: &PublicKey, padding: Padding, text: &[u8]) -> Result<Vec<u8>, CipherError> {
    let PublicKey::Rsa { n, e } = public else {
        return Err(CipherError::PublicRefused);
    };
    check_len(text.len(), 0, n.len().saturating_sub(padding.overhead()))?;
    let key: Result<PublicEncryptingKey, _> = PublicKeyComponents { n, e }.try_into();
    padding::encrypt(padding, key.map_err(|_| CipherError::PublicRefused)?, text).map_err(|_| CipherError::Library)
}

fn rsa_decrypt(key: &RsaSecret, padding: Padding, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
    let len = key.pair.public_modulus_len();
    check_len(ciphertext.len(), len, len)?;
    let key = key.decrypting().map_err(|_| CipherError::Library)?;
    refused(key.decrypt(padding, ciphertext))
}

fn cbc_encrypt(key: Symmetric<'_>, iv: [u8; BLOCK_LEN], blocks: &[u8]) -> Result<Encrypted, CipherError> {
    let ciphertext = key.cbc_encrypt(iv, blocks).map_err(failed)?;
    Ok(Encrypted { ciphertext, iv: Some(iv.to_vec()), tag: None })
}

fn cbc_iv(iv: Option<&[u8]>, aad: Option<&[u8]>) -> Result<[u8; BLOCK_LEN], CipherError> {
    absent(Parameter::Aad, aad)?;
    exact(Parameter::Iv, iv)
}

fn drawn(rng: &mut dyn CryptoRng) -> [u8; GCM_IV_LEN] {
    let mut iv = [0; GCM_IV_LEN];
    rng.fill_bytes(&mut iv);
    iv
}

/// None is no octets: GCM cannot tell them apart.
fn associated(aad: Option<&[u8]>) -> Result<&[u8], CipherError> {
    let aad = aad.unwrap_or_default();
    if aad.len() > TEXT_LEN_MAX {
        return Err(CipherError::ParameterLength {
            parameter: Parameter::Aad,
            expected: TEXT_LEN_MAX,
            found: aad.len(),
        });
    }
    Ok(aad)
}

fn exact<const LEN: usize>(parameter: Parameter, octets: Option<&[u8]>) -> Result<[u8; LEN], CipherError> {
    let octets = octets.ok_or(CipherError::Missing { parameter })?;
    let wrong = CipherError::ParameterLength { parameter, expected: LEN, found: octets.len() };
    octets.try_into().map_err(|_| wrong)
}

fn absent(parameter: Parameter, octets: Option<&[u8]>) -> Result<(), CipherError> {
    if octets.is_some() { Err(CipherError::Unexpected { parameter }) } else { Ok(()) }
}

fn check_text(len: usize) -> Result<(), CipherError> {
    check_len(len, 0, TEXT_LEN_MAX)
}

fn check_len(found: usize, min: usize, max: usize) -> Result<(), CipherError> {
    if (min..=max).contains(&found) { Ok(()) } else { Err(CipherError::Length { min, max, found }) }
}

fn check_blocks(len: usize, max: usize) -> Result<(), CipherError> {
    check_len(len, BLOCK_LEN, max)?;
    check_multiple(len, BLOCK_LEN)
}

fn check_semiblocks(len: usize, least: usize, max: usize) -> Result<(), CipherError> {
    check_len(len, least * SEMIBLOCK_LEN, max)?;
    check_multiple(len, SEMIBLOCK_LEN)
}

fn check_multiple(found: usize, of: usize) -> Result<(), CipherError> {
    if found.is_multiple_of(of) { Ok(()) } else { Err(CipherError::Multiple { of, found }) }
}

/// What stands beside a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// The initialization vector.
    Iv,
    /// Associated data, authenticated and not encrypted.
    Aad,
    /// The tag that authenticates.
    Tag,
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iv => "iv",
            Self::Aad => "aad",
            Self::Tag => "tag",
        })
    }
}

/// Why nothing was encrypted, decrypted, wrapped or unwrapped. Algorithms are named as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CipherError {
    /// The public key is not in its canonical form.
    #[error("public key is not canonical")]
    Key(#[source] PublicKeyError),
    /// The library refuses the public key.
    #[error("public key is refused")]
    PublicRefused,
    /// The algorithm is one for keys of another type.
    #[error("{algorithm} does not fit {key_type:?}")]
    Algorithm {
        /// The algorithm asked for.
        algorithm: &'static str,
        /// What the key is; none for the public half of a symmetric one.
        key_type: Option<KeyType>,
    },
    /// The algorithm is one for symmetric keys of another size.
    #[error("{algorithm} takes a key of {} bits instead of {}", .expected.bits(), .found.bits())]
    KeySize {
        /// The algorithm asked for.
        algorithm: &'static str,
        /// The size it takes.
        expected: OctBits,
        /// The size of the key.
        found: OctBits,
    },
    /// The algorithm fits the key and takes its public half, not an opened key.
    #[error("{algorithm} takes the public half")]
    PublicHalf {
        /// The algorithm asked for.
        algorithm: &'static str,
    },
    /// The algorithm needs what was not given.
    #[error("{parameter} is missing")]
    Missing {
        /// What is missing.
        parameter: Parameter,
    },
    /// The algorithm has no use for what was given: taken silently, it would be thought to count.
    #[error("{parameter} has no place in this algorithm")]
    Unexpected {
        /// What was given.
        parameter: Parameter,
    },
    /// An iv or tag has not the length it must have, or associated data more than the longest.
    #[error("{parameter} has {found} octets instead of {expected}")]
    ParameterLength {
        /// What has the length.
        parameter: Parameter,
        /// The length it must have; of associated data the longest.
        expected: usize,
        /// The length it has.
        found: usize,
    },
    /// The text is shorter or longer than the algorithm takes.
    #[error("text of {found} octets instead of {min} to {max}")]
    Length {
        /// Octets at least.
        min: usize,
        /// Octets at most.
        max: usize,
        /// Octets of the text.
        found: usize,
    },
    /// The text does not consist of whole blocks.
    #[error("text of {found} octets is no multiple of {of}")]
    Multiple {
        /// Octets of a block.
        of: usize,
        /// Octets of the text.
        found: usize,
    },
    /// The token does not do it.
    #[error(transparent)]
    Token(Fault),
    /// It does not open. One word for every cause: wrong key, wrong algorithm, wrong iv, altered.
    #[error("ciphertext does not open")]
    Refused,
    /// The cryptographic library failed on what it must take.
    #[error("cryptographic library failed")]
    Library,
}
