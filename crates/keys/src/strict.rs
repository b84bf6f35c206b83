//! Custody in a PKCS#11 token: material is in the clear there and nowhere else.
//!
//! ```text
//! what our seal (crate::custody) goes around, 17 + len octets
//!    0   1  format, 1
//!    1  16  id of the root it is wrapped under (skerry_pkcs11::root)
//!   17 len  wrapped by the token: RFC 5649, under "stays" or, of an exportable key, "leaves";
//!           of RSA and EC keys PKCS#8 as the token writes it, of symmetric keys their octets
//! ```
//!
//! PKCS#11's wrapping has no associated data, so the seal around it says whose key it is; its number of custody is 2. For each
//! use the key is unwrapped into a session, used or wrapped to a TEE's key there, and destroyed (docs/decisions/015). A key
//! that stays is unwrapped so that it cannot be wrapped again.
//!
//! What the token does not do is refused, never done here. An imported key was in this process while it was imported, and its
//! origin says so. Not here, and refused: ML-DSA; keys that come wrapped (BYOK), whose type and public half a token does not
//! show.

mod key;
mod made;

pub(crate) use key::TokenKey;

use crate::cipher::{CipherError, WrapAlgorithm, check_secure};
use crate::custody::{Binding, CustodyError, Level, SealedMaterial, Software};
use crate::import::{ImportError, ImportKey};
use crate::key_type::{KeyType, PublicKey};
use crate::material::Material;
use crate::opened::{OpenError, OpenedKey};
use crate::release::ReleaseError;
use rand_core::CryptoRng;
use skerry_keywrap::{Algorithm, TargetKey};
use skerry_pkcs11::{Ability, Fault, Hash, Purpose, RootId, RsaPublic, Token, TokenError, Wrapping};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Custody by a token. No Debug, no Clone.
pub struct Strict {
    seal: Software,
    token: Arc<Token>,
    /// KEK of records that are not of this custody, to tell which they are of.
    software: [u8; 16],
}

impl Strict {
    /// Whether a token can hold keys: it has roots, and wraps under them.
    pub fn admit(token: &Token) -> Result<(), TokenError> {
        for ability in [Ability::Kwp, Ability::GenerateAes] {
            token.capabilities().demand(ability)?;
        }
        token.run(|session| Ok(session.current_root()))?.map(drop).ok_or(TokenError::NoRoot)
    }

    /// Custody in a token, under a seal by this KEK. `software` is the id of the KEK that software custody has in the same place.
    ///
    /// The caller vouches for the KEK as in [`Software::new`], and that the token was [admitted](Self::admit).
    pub fn new(token: Arc<Token>, kek: (Zeroizing<[u8; 32]>, [u8; 16]), software: [u8; 16]) -> Self {
        Self { seal: Software::around_token(kek.0, kek.1), token, software }
    }

    /// Id of the KEK of the seal, as records name it.
    pub fn kek_id(&self) -> &[u8; 16] {
        self.seal.kek_id()
    }

    /// The token.
    pub fn token(&self) -> &Arc<Token> {
        &self.token
    }

    /// A fresh key of the binding's type, made in the token, and sealed once it was seen to come back whole.
    pub fn generate(
        &self,
        binding: Binding,
        rng: &mut dyn CryptoRng,
    ) -> Result<(PublicKey, SealedMaterial), CustodyError> {
        let (public, blob) =
            self.token.run(|session| made::generate(session, &binding)).map_err(CustodyError::Token)?;
        Ok((public, self.sealed(&binding, blob, rng)?))
    }

    /// A key brought in, iff its components are consistent and of the binding's type.
    pub fn import(
        &self,
        binding: Binding,
        key: &ImportKey,
        rng: &mut dyn CryptoRng,
    ) -> Result<(PublicKey, SealedMaterial), ImportError> {
        let custody = |error| ImportError::Custody(error);
        let (public, material) = binding.admit(key)?;
        let mut transport = Zeroizing::new([0; 32]);
        rng.fill_bytes(transport.as_mut_slice());
        let take_in = |session: &skerry_pkcs11::Session<'_>| {
            made::import(session, &binding, (&public, &material), transport.as_slice())
        };
        let blob = self.token.run(take_in).map_err(|fault| custody(CustodyError::Token(fault)))?;
        let sealed = self.sealed(&binding, blob, rng).map_err(custody)?;
        Ok((public, sealed))
    }

    /// The same key sealed for another place, as [`Software::reseal`], wrapped anew under the newest root there is.
    pub fn reseal(
        &self,
        sealed: &SealedMaterial,
        binding: &Binding,
        to: (&Strict, &Binding),
        rng: &mut dyn CryptoRng,
    ) -> Result<SealedMaterial, CustodyError> {
        let (custody, place) = to;
        binding.check_terms(place)?;
        let blob = self.blob(sealed, binding)?;
        let anew = self.token.run(|session| made::rewrap(session, binding, &blob)).map_err(CustodyError::Token)?;
        custody.sealed(place, anew, rng)
    }

    /// The same key in the same place under the newest root; none if that is the one it is under.
    pub fn rewrap(
        &self,
        sealed: &SealedMaterial,
        binding: &Binding,
        rng: &mut dyn CryptoRng,
    ) -> Result<Option<SealedMaterial>, CustodyError> {
        let blob = self.blob(sealed, binding)?;
        let current = self.token.run(|session| Ok(session.current_root())).map_err(CustodyError::Token)?;
        match current {
            Some(current) if current.id != blob.root => self.reseal(sealed, binding, (self, binding), rng).map(Some),
            _ => Ok(None),
        }
    }

    /// Which root a record is wrapped under.
    pub fn root_of(&self, sealed: &SealedMaterial, binding: &Binding) -> Result<RootId, CustodyError> {
        self.blob(sealed, binding).map(|blob| blob.root)
    }

    /// Checks that a record opens under this binding, in the token too.
    pub fn check(&self, sealed: &SealedMaterial, binding: &Binding) -> Result<(), CustodyError> {
        let blob = self.blob(sealed, binding)?;
        self.token.run(|session| made::check(session, binding, &blob)).map_err(CustodyError::Token)
    }

    /// Opens our seal. The key itself is unwrapped at each use.
    pub fn open_for_use(&self, sealed: &SealedMaterial, binding: &Binding) -> Result<OpenedKey, OpenError> {
        let blob = self.blob(sealed, binding).map_err(OpenError::Custody)?;
        Ok(OpenedKey::in_token(binding.key_type, TokenKey::new(Arc::clone(&self.token), *binding, blob)))
    }

    /// As [`secure_wrap`](crate::secure_wrap()), of a key that is made in the token.
    pub fn secure_wrap(&self, public: &PublicKey, algorithm: WrapAlgorithm) -> Result<Vec<u8>, CipherError> {
        check_secure(algorithm, public.key_type().map_err(CipherError::Key)?)?;
        match (public, algorithm.in_token()) {
            (PublicKey::Rsa { n, e }, Some(Wrapping::Oaep(hash))) => {
                let public = RsaPublic { n: n.clone(), e: e.clone() };
                let wrap = |session: &skerry_pkcs11::Session<'_>| made::wrap_fresh_to(session, hash, &public);
                self.token.run(wrap).map_err(CipherError::Token)
            }
            _ => Err(CipherError::Library),
        }
    }

    /// Whether keys can be released so: known before anything is put on record.
    pub fn check_release(&self, algorithm: Algorithm) -> Result<(), ReleaseError> {
        let hash = hash(algorithm).ok_or(ReleaseError::UnknownWrap)?;
        self.token.capabilities().demand(Ability::WrapOaep(hash)).map_err(ReleaseError::Token)
    }

    /// Called only by what consumes a permit.
    pub(crate) fn wrap_to(
        &self,
        (sealed, binding): (&SealedMaterial, &Binding),
        target: &TargetKey,
        algorithm: Algorithm,
    ) -> Result<Vec<u8>, ReleaseError> {
        let hash = hash(algorithm).ok_or(ReleaseError::UnknownWrap)?;
        let blob = self.blob(sealed, binding).map_err(ReleaseError::Custody)?;
        let released = |session: &skerry_pkcs11::Session<'_>| {
            let key = blob.unwrapped(session, binding, made::EXTRACTABLE)?;
            made::envelope(session, hash, target, &key)
        };
        self.token.run(released).map_err(ReleaseError::Token)
    }

    /// Called only by what consumes a permit: what is wrapped under this key, unwrapped in the token and wrapped to the target
    /// there. Whatever is wrong with what is wrapped is one error.
    pub(crate) fn unwrap_to(
        &self,
        (sealed, binding): (&SealedMaterial, &Binding),
        (by, wrapped): (WrapAlgorithm, &[u8]),
        target: &TargetKey,
        algorithm: Algorithm,
    ) -> Result<Vec<u8>, ReleaseError> {
        let hash = hash(algorithm).ok_or(ReleaseError::UnknownWrap)?;
        let by = by.in_token().ok_or(ReleaseError::UnknownWrap)?;
        let blob = self.blob(sealed, binding).map_err(ReleaseError::Custody)?;
        self.token
            .run(|session| made::unwrap_to(session, (&blob, binding), (by, wrapped), (hash, target)))
            .map_err(ReleaseError::Token)?
            .ok_or(ReleaseError::Unwrap(CipherError::Refused))
    }

    fn sealed(&self, binding: &Binding, blob: Blob, rng: &mut dyn CryptoRng) -> Result<SealedMaterial, CustodyError> {
        self.seal.seal(binding, &Material::opened(Zeroizing::new(blob.to_bytes())), rng)
    }

    fn blob(&self, sealed: &SealedMaterial, binding: &Binding) -> Result<Blob, CustodyError> {
        let opened = self.seal.open(sealed, binding).map_err(|error| match error {
            CustodyError::OtherKek { kek } if kek == self.software => {
                CustodyError::OtherCustody { found: Level::Software }
            }
            error => error,
        })?;
        Blob::parse(opened.expose()).ok_or(CustodyError::Integrity)
    }
}

/// What a token has wrapped.
pub(crate) struct Blob {
    root: RootId,
    wrapped: Vec<u8>,
}

impl Blob {
    fn to_bytes(&self) -> Vec<u8> {
        [[FORMAT].as_slice(), &self.root.0, &self.wrapped].concat()
    }

    fn parse(bytes: &[u8]) -> Option<Blob> {
        let (&FORMAT, rest) = bytes.split_first()? else { return None };
        let (&root, wrapped) = rest.split_first_chunk()?;
        (!wrapped.is_empty()).then(|| Blob { root: RootId(root), wrapped: wrapped.to_vec() })
    }
}

fn purpose(binding: &Binding) -> Purpose {
    if binding.exportable { Purpose::Leaves } else { Purpose::Stays }
}

fn hash(algorithm: Algorithm) -> Option<Hash> {
    match algorithm {
        Algorithm::CkmRsaAesKeyWrap => Some(Hash::Sha1),
        Algorithm::RsaAesKeyWrap256 => Some(Hash::Sha256),
        Algorithm::RsaAesKeyWrap384 => Some(Hash::Sha384),
        _ => None,
    }
}

fn demand(session: &skerry_pkcs11::Session<'_>, ability: Ability) -> Result<(), Fault> {
    session.capabilities().demand(ability)
}

fn is_akp(key_type: KeyType) -> bool {
    matches!(key_type, KeyType::Akp { .. })
}

const FORMAT: u8 = 1;
