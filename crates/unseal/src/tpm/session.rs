//! A session with a TPM: salted, so that nobody who only listens knows its key; every command and answer under an HMAC; the first
//! parameter encrypted (TPM 2.0 Library, Part 1, 19 and 21).
//!
//! Who sits between and changes octets could put a key of his own in the place of the TPM's at the beginning. So the caller
//! compares the name of the key that salts with the one it noted when it sealed; while sealing the first time there is none yet.

use aws_lc_rs::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use aws_lc_rs::cipher::{
    AES_128, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rand::SystemRandom;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::TpmError;
use super::wire::{Reader, Writer};

/// An open session. Its key is wiped when it is dropped; the TPM's half is flushed by whoever opened it.
pub(crate) struct Session {
    pub(crate) handle: u32,
    key: Zeroizing<Vec<u8>>,
    caller: [u8; NONCE_LEN],
    tpm: Vec<u8>,
}

/// What a session begins with: the octets for the TPM, and what stays here.
pub(crate) struct Opening {
    pub(crate) nonce: [u8; NONCE_LEN],
    /// TPM2B_ENCRYPTED_SECRET's content: the ephemeral point.
    pub(crate) secret: Vec<u8>,
    salt: Zeroizing<[u8; 32]>,
}

impl Opening {
    /// Salted to a P-256 key of the TPM, given as its coordinates. The ephemeral key is the library's own randomness, since its
    /// agreement takes no other.
    pub(crate) fn new(x: &[u8; 32], y: &[u8; 32], rng: &mut dyn CryptoRng) -> Result<Opening, TpmError> {
        let own = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).map_err(|_| TpmError::Library)?;
        let public = own.compute_public_key().map_err(|_| TpmError::Library)?;
        // X9.62, uncompressed: 4, x, y.
        let point = public.as_ref().strip_prefix(&[4]).filter(|point| point.len() == 64).ok_or(TpmError::Library)?;
        let (own_x, own_y) = point.split_at(32);
        let peer = UnparsedPublicKey::new(&ECDH_P256, [[4].as_slice(), x, y].concat());
        // A point that is not on the curve is no key of a TPM's.
        let salt = agree_ephemeral(own, peer, TpmError::Malformed, |z| Ok(kdfe(z, own_x, x)))?;
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        Ok(Opening { nonce, secret: Writer::default().sized(own_x).sized(own_y).done(), salt })
    }

    /// The session, once the TPM has answered with its nonce.
    pub(crate) fn session(self, handle: u32, tpm: &[u8]) -> Session {
        let key = kdfa(self.salt.as_slice(), b"ATH", tpm, &self.nonce);
        Session { handle, key, caller: self.nonce, tpm: tpm.to_vec() }
    }
}

impl Session {
    /// The authorization area, and the parameters as they go: the first one encrypted where `attributes` say so. `auth` is the
    /// authorization value of what is authorized, which the TPM has without trailing zeros.
    pub(crate) fn authorize(
        &mut self,
        code: u32,
        names: &[&[u8]],
        parameters: &mut [u8],
        auth: &[u8],
        attributes: u8,
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>, TpmError> {
        rng.fill_bytes(&mut self.caller);
        if attributes & DECRYPT != 0 {
            let (key, iv) = self.cipher(auth, &self.caller, &self.tpm)?;
            let text = first_parameter(parameters)?;
            let key = EncryptingKey::cfb128(key).map_err(|_| TpmError::Library)?;
            key.less_safe_encrypt(text, EncryptionContext::Iv128(FixedLength::from(iv)))
                .map_err(|_| TpmError::Library)?;
        }
        let hash = digest(&[&[code.to_be_bytes().as_slice()], names, &[parameters]].concat());
        let mac = self.mac(auth, &hash, &self.caller, &self.tpm, attributes);
        Ok(Writer::default().u32(self.handle).sized(&self.caller).u8(attributes).sized(&mac).done())
    }

    /// The parameters of an answer, iff it is the TPM's: decrypted where `attributes` said so.
    pub(crate) fn verify(
        &mut self,
        code: u32,
        parameters: &[u8],
        area: &[u8],
        auth: &[u8],
        attributes: u8,
    ) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        let mut reader = Reader::new(area);
        let (nonce, told, mac) = (reader.sized()?, reader.u8()?, reader.sized()?);
        reader.end()?;
        let hash = digest(&[&[0; 4], &code.to_be_bytes(), parameters]);
        let key = Zeroizing::new([self.key.as_slice(), auth].concat());
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signed = [hash.as_slice(), nonce, &self.caller, &[told]].concat();
        hmac::verify(&key, &signed, mac).map_err(|_| TpmError::NotAuthentic)?;
        self.tpm = nonce.to_vec();
        let mut parameters = Zeroizing::new(parameters.to_vec());
        if attributes & ENCRYPT != 0 {
            let (key, iv) = self.cipher(auth, &self.tpm, &self.caller)?;
            let key = DecryptingKey::cfb128(key).map_err(|_| TpmError::Library)?;
            let text = first_parameter(&mut parameters)?;
            key.decrypt(text, DecryptionContext::Iv128(FixedLength::from(iv))).map_err(|_| TpmError::Library)?;
        }
        Ok(parameters)
    }

    fn mac(&self, auth: &[u8], hash: &[u8], newer: &[u8], older: &[u8], attributes: u8) -> Vec<u8> {
        let key = Zeroizing::new([self.key.as_slice(), auth].concat());
        hmac(&key, &[hash, newer, older, &[attributes]])
    }

    /// Part 1, 21.3: AES-128 in CFB mode, under a key of its own in each direction.
    fn cipher(&self, auth: &[u8], newer: &[u8], older: &[u8]) -> Result<(UnboundCipherKey, [u8; 16]), TpmError> {
        let value = Zeroizing::new([self.key.as_slice(), auth].concat());
        let made = kdfa(&value, b"CFB", newer, older);
        let (key, iv) = made.split_at_checked(16).ok_or(TpmError::Library)?;
        let key = UnboundCipherKey::new(&AES_128, key).map_err(|_| TpmError::Library)?;
        Ok((key, iv.try_into().map_err(|_| TpmError::Library)?))
    }
}

/// The content of the TPM2B that parameters begin with.
fn first_parameter(parameters: &mut [u8]) -> Result<&mut [u8], TpmError> {
    let (len, rest) = parameters.split_first_chunk_mut::<2>().ok_or(TpmError::Malformed)?;
    rest.get_mut(..usize::from(u16::from_be_bytes(*len))).ok_or(TpmError::Malformed)
}

/// Part 1, 11.4.10.2: SP 800-108 in counter mode; of 32 octets, which is all that is asked here, the first block is all.
fn kdfa(key: &[u8], label: &[u8], u: &[u8], v: &[u8]) -> Zeroizing<Vec<u8>> {
    let (counter, bits) = (1_u32.to_be_bytes(), 256_u32.to_be_bytes());
    Zeroizing::new(hmac(key, &[&counter, label, &[0], u, v, &bits]))
}

/// Part 1, 11.4.10.3, for a salt: SP 800-56A, one block of SHA-256.
fn kdfe(z: &[u8], u: &[u8], v: &[u8]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(digest(&[&1_u32.to_be_bytes(), z, b"SECRET\0", u, v]))
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().to_vec()
}

/// SHA-256 of parts.
pub(crate) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 32];
    // Infallible: SHA-256 has 32 octets.
    out.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    out
}

/// Part 2, 8.4: the session goes on.
pub(crate) const CONTINUE: u8 = 0x01;
/// The first parameter of the command is encrypted.
pub(crate) const DECRYPT: u8 = 0x20;
/// The first parameter of the answer is encrypted.
pub(crate) const ENCRYPT: u8 = 0x40;
const NONCE_LEN: usize = 32;
