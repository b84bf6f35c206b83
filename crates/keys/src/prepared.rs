//! RSA keys made before anybody asks for them, since making one takes from a tenth of a second to a few.
//!
//! They are in the clear, in memory alone, belong to no key yet, and are wiped when dropped: where [`Software::place`] seals
//! one is where it is from then on. Nothing else can be done with them.

use crate::custody::{Binding, CustodyError, SealedMaterial, Software};
use crate::key_type::{KeyType, PublicKey, RsaBits};
use crate::material::{self, Material};
use rand_core::CryptoRng;

/// An RSA key that is nobody's yet. No Debug, no Clone, no Serialize.
pub struct PreparedKey {
    bits: RsaBits,
    public: PublicKey,
    material: Material,
}

impl PreparedKey {
    /// A fresh key of this size, from the cryptographic library's own generator.
    pub fn generate(bits: RsaBits) -> Result<Self, CustodyError> {
        let (public, material) = material::generate_rsa(bits).map_err(|_| CustodyError::Library)?;
        Ok(Self { bits, public, material })
    }

    /// Its size.
    pub fn bits(&self) -> RsaBits {
        self.bits
    }
}

impl Software {
    /// A prepared key sealed under a binding, iff that is of its type. It is spent: no two keys have the same material.
    pub fn place(
        &self,
        binding: Binding,
        prepared: PreparedKey,
        rng: &mut dyn CryptoRng,
    ) -> Result<(PublicKey, SealedMaterial), CustodyError> {
        if binding.key_type != (KeyType::Rsa { bits: prepared.bits }) {
            return Err(CustodyError::OtherTerms);
        }
        let sealed = self.seal(&binding, &prepared.material, rng)?;
        Ok((prepared.public, sealed))
    }
}
