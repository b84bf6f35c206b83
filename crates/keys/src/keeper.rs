//! Custody, whichever a server has.

use crate::cipher::{CipherError, WrapAlgorithm, secure_wrap};
use crate::custody::{Binding, CustodyError, Level, SealedMaterial, Software};
use crate::import::{ImportError, ImportKey};
use crate::key_type::PublicKey;
use crate::opened::{OpenError, OpenedKey};
use crate::prepared::PreparedKey;
use crate::release::ReleaseError;
use crate::strict::Strict;
use rand_core::CryptoRng;
use skerry_keywrap::Algorithm;

/// Who holds the keys of a vault. No Debug, no Clone.
pub enum Custody {
    /// This process.
    Software(Box<Software>),
    /// A PKCS#11 token.
    Strict(Strict),
}

/// A custody that is lent.
#[derive(Clone, Copy)]
pub enum Keeper<'a> {
    /// This process.
    Software(&'a Software),
    /// A PKCS#11 token.
    Strict(&'a Strict),
}

impl<'a> From<&'a Software> for Keeper<'a> {
    fn from(custody: &'a Software) -> Self {
        Self::Software(custody)
    }
}

impl<'a> From<&'a Strict> for Keeper<'a> {
    fn from(custody: &'a Strict) -> Self {
        Self::Strict(custody)
    }
}

impl<'a> From<&'a Custody> for Keeper<'a> {
    fn from(custody: &'a Custody) -> Self {
        match custody {
            Custody::Software(custody) => Self::Software(custody),
            Custody::Strict(custody) => Self::Strict(custody),
        }
    }
}

impl Custody {
    /// The token, where there is one.
    pub fn strict(&self) -> Option<&Strict> {
        match self {
            Self::Software(_) => None,
            Self::Strict(custody) => Some(custody),
        }
    }

    /// See [`Software::generate`] and [`Strict::generate`].
    pub fn generate(
        &self,
        binding: Binding,
        rng: &mut dyn CryptoRng,
    ) -> Result<(PublicKey, SealedMaterial), CustodyError> {
        match self {
            Self::Software(custody) => custody.generate(binding, rng),
            Self::Strict(custody) => custody.generate(binding, rng),
        }
    }

    /// See [`Software::import`] and [`Strict::import`].
    pub fn import(
        &self,
        binding: Binding,
        key: &ImportKey,
        rng: &mut dyn CryptoRng,
    ) -> Result<(PublicKey, SealedMaterial), ImportError> {
        match self {
            Self::Software(custody) => custody.import(binding, key, rng),
            Self::Strict(custody) => custody.import(binding, key, rng),
        }
    }

    /// See [`Software::place`]. A token is not given what was made outside of it.
    pub fn place(
        &self,
        binding: Binding,
        prepared: PreparedKey,
        rng: &mut dyn CryptoRng,
    ) -> Result<(PublicKey, SealedMaterial), CustodyError> {
        match self {
            Self::Software(custody) => custody.place(binding, prepared, rng),
            Self::Strict(_) => Err(CustodyError::MadeOutside),
        }
    }

    /// See [`Software::reseal`] and [`Strict::reseal`]. Both have to be of one kind.
    pub fn reseal(
        &self,
        sealed: &SealedMaterial,
        binding: &Binding,
        to: (&Custody, &Binding),
        rng: &mut dyn CryptoRng,
    ) -> Result<SealedMaterial, CustodyError> {
        match (self, to.0) {
            (Self::Software(from), Self::Software(custody)) => from.reseal(sealed, binding, (custody, to.1), rng),
            (Self::Strict(from), Self::Strict(custody)) => from.reseal(sealed, binding, (custody, to.1), rng),
            (Self::Software(_), Self::Strict(_)) => Err(CustodyError::OtherCustody { found: Level::Software }),
            (Self::Strict(_), Self::Software(_)) => Err(CustodyError::OtherCustody { found: Level::HsmStrict }),
        }
    }

    /// See [`Software::check`] and [`Strict::check`].
    pub fn check(&self, sealed: &SealedMaterial, binding: &Binding) -> Result<(), CustodyError> {
        match self {
            Self::Software(custody) => custody.check(sealed, binding),
            Self::Strict(custody) => custody.check(sealed, binding),
        }
    }

    /// See [`Software::open_for_use`] and [`Strict::open_for_use`].
    pub fn open_for_use(&self, sealed: &SealedMaterial, binding: &Binding) -> Result<OpenedKey, OpenError> {
        match self {
            Self::Software(custody) => custody.open_for_use(sealed, binding),
            Self::Strict(custody) => custody.open_for_use(sealed, binding),
        }
    }

    /// A key of 256 bits wrapped to an RSA public half: made where keys are held. See [`secure_wrap()`].
    pub fn secure_wrap(
        &self,
        public: &PublicKey,
        algorithm: WrapAlgorithm,
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>, CipherError> {
        match self {
            Self::Software(_) => secure_wrap(public, algorithm, rng),
            Self::Strict(custody) => custody.secure_wrap(public, algorithm),
        }
    }

    /// Whether keys can be released so at all. What cannot be is refused before it is put on record.
    pub fn check_release(&self, algorithm: Algorithm) -> Result<(), ReleaseError> {
        match self {
            Self::Software(_) => Ok(()),
            Self::Strict(custody) => custody.check_release(algorithm),
        }
    }
}
