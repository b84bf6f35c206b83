//! Private keys of the simulated authorities and chips. None is printable; aws-lc wipes them.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PSS_SHA384, RsaKeyPair};
use der::asn1::ObjectIdentifier;
use zeroize::Zeroizing;

use crate::SimulatorError;
use crate::encode::{bits, oid, sequence, unsigned};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// PrivateKeyInfo (RFC 5208, 5) of P-384 up to the scalar: version 0, algorithm, and an
/// ECPrivateKey (RFC 5915, 3) of version 1 without its public key, which follows from the scalar.
const PKCS8_PREFIX: [u8; 32] = [
    0x30, 0x4e, 0x02, 0x01, 0x00, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
    0x81, 0x04, 0x00, 0x22, 0x04, 0x37, 0x30, 0x35, 0x02, 0x01, 0x01, 0x04, 0x30,
];

/// An RSA-4096 key that signs RSASSA-PSS with SHA-384, salt 48.
pub(crate) struct RsaKey(RsaKeyPair);

impl RsaKey {
    pub(crate) fn generate() -> Result<Self, SimulatorError> {
        RsaKeyPair::generate(KeySize::Rsa4096).map(Self).map_err(|_| SimulatorError::KeyGeneration)
    }

    pub(crate) fn from_pkcs8(der: &[u8], index: usize) -> Result<Self, SimulatorError> {
        RsaKeyPair::from_pkcs8(der).map(Self).map_err(|_| SimulatorError::KeyRejected { index })
    }

    pub(crate) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, SimulatorError> {
        let der: Pkcs8V1Der<'_> = self.0.as_der().map_err(|_| SimulatorError::KeyExport)?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    /// SubjectPublicKeyInfo.
    pub(crate) fn spki(&self) -> Result<Vec<u8>, SimulatorError> {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().map_err(|_| SimulatorError::KeyExport)?;
        Ok(der.as_ref().to_vec())
    }

    /// Key identifier (RFC 7093, 2, method 1).
    pub(crate) fn id(&self) -> Vec<u8> {
        key_id(self.0.public_key().as_ref())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SimulatorError> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(&RSA_PSS_SHA384, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| SimulatorError::Signing)?;
        Ok(signature)
    }
}

/// A P-384 key that signs ECDSA with SHA-384.
pub(crate) struct EcKey(EcdsaKeyPair);

impl EcKey {
    /// From a big-endian scalar; rejected iff it is zero or not below the order of the curve.
    pub(crate) fn from_scalar(scalar: &[u8; 48]) -> Result<Self, SimulatorError> {
        let mut pkcs8 = Zeroizing::new([0; PKCS8_PREFIX.len() + 48]);
        pkcs8.iter_mut().zip(PKCS8_PREFIX.iter().chain(scalar)).for_each(|(to, from)| *to = *from);
        Self::from_pkcs8(pkcs8.as_slice(), 0).map_err(|_| SimulatorError::KeyGeneration)
    }

    pub(crate) fn from_pkcs8(der: &[u8], index: usize) -> Result<Self, SimulatorError> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der)
            .map(Self)
            .map_err(|_| SimulatorError::KeyRejected { index })
    }

    pub(crate) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, SimulatorError> {
        let der = self.0.to_pkcs8v1().map_err(|_| SimulatorError::KeyExport)?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    /// SubjectPublicKeyInfo (RFC 5480, 2) with an uncompressed point.
    pub(crate) fn spki(&self) -> Vec<u8> {
        sequence(&[&algorithm(), &bits(0, self.0.public_key().as_ref())])
    }

    /// Key identifier (RFC 7093, 2, method 1).
    pub(crate) fn id(&self) -> Vec<u8> {
        key_id(self.0.public_key().as_ref())
    }

    /// r and s, 48 bytes each, big-endian.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<[u8; 96], SimulatorError> {
        let signature = self.0.sign(&SystemRandom::new(), message).map_err(|_| SimulatorError::Signing)?;
        signature.as_ref().try_into().map_err(|_| SimulatorError::Signing)
    }

    /// ECDSA-Sig-Value (RFC 5480, Appendix A).
    pub(crate) fn sign_der(&self, message: &[u8]) -> Result<Vec<u8>, SimulatorError> {
        let signature = self.sign(message)?;
        let (r, s) = signature.split_at(48);
        Ok(sequence(&[&unsigned(r), &unsigned(s)]))
    }
}

fn algorithm() -> Vec<u8> {
    sequence(&[&oid(&EC_PUBLIC_KEY), &oid(&SECP384R1)])
}

fn key_id(public: &[u8]) -> Vec<u8> {
    digest(&SHA256, public).as_ref().iter().copied().take(20).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scalar outside 1..n is no key.
    #[test]
    fn scalars_out_of_range_are_refused() {
        let refused = Some(SimulatorError::KeyGeneration);
        assert_eq!(EcKey::from_scalar(&[0; 48]).err(), refused);
        assert_eq!(EcKey::from_scalar(&[0xff; 48]).err(), refused);
        assert_eq!(EcKey::from_scalar(&[1; 48]).err(), None);
    }

    /// What is no PKCS#8 is refused, and the message says which key.
    #[test]
    fn other_bytes_are_no_key() {
        let refused = Some(SimulatorError::KeyRejected { index: 3 });
        assert_eq!(EcKey::from_pkcs8(&[], 3).err(), refused);
        assert_eq!(RsaKey::from_pkcs8(&[], 3).err(), refused);
    }
}
