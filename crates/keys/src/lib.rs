//! Key material, its types, its custody, and its only exit.
//!
//! Material is made ([`Software::generate`], or beforehand: [`PreparedKey`]) or brought in ([`Software::import`]; wrapped, by
//! [`OpenedKey::unwrap_import`]), lives sealed ([`SealedMaterial`])
//! and bound to its key ([`Binding`]), is used where it lies ([`Software::open_for_use`]), and leaves by [`release()`]
//! alone, which spends a permit and its audit record, as [`secure_unwrap()`] does for keys wrapped under one that stays. In the clear it has no name outside this crate.
//!
//! [`Software`] holds material in this process, [`Strict`] in a PKCS#11 token, where all of this happens then; [`Custody`] is
//! whichever a server has.
//!
//! Deliberately not here: who may call, whether a key is enabled, storage, JWK and other spellings of the wire. Primality of imported RSA factors is not tested, only that all components fit.

mod aes;
mod cipher;
pub mod custody;
mod import;
mod keeper;
mod key_type;
pub mod limits;
mod material;
mod opened;
mod padding;
mod prepared;
mod release;
mod sign;
mod strict;
mod transfer;

pub use cipher::{
    CipherError, EncryptAlgorithm, Encrypted, Parameter, SECURE_KEY_LEN, WrapAlgorithm, encrypt, secure_wrap, wrap,
};
pub use custody::{Binding, CustodyError, Level, SealedMaterial, Software};
pub use import::{ImportError, ImportKey, RsaComponents};
pub use keeper::{Custody, Keeper};
pub use key_type::{Curve, KeyType, MlDsa, OctBits, PublicKey, PublicKeyError, RsaBits};
pub use opened::{OpenError, OpenedKey};
pub use prepared::PreparedKey;
pub use release::{ExportableKey, GuardingKey, ReleaseError, ReleasedKey, release, secure_unwrap};
pub use sign::{MlDsaText, SignAlgorithm, SignError, TextError, VerifyError, verify, verify_ml_dsa};
/// What a token says, for those who hold keys in one.
pub use skerry_pkcs11::{Fault, RootId, Token, TokenError};
pub use strict::Strict;
pub use transfer::{Family, TransferError, TransferredKey};
