//! The one number that cryptoki has no name for.
#![allow(unsafe_code)] // reason: see below, and docs/decisions/015

use cryptoki::mechanism::MechanismType;

/// CKM_AES_KEY_WRAP_KWP, the number that PKCS#11 v3.0 gives RFC 5649 (pkcs11t.h).
const CKM_AES_KEY_WRAP_KWP: std::ffi::c_ulong = 0x210B;

/// The mechanism type of [`CKM_AES_KEY_WRAP_KWP`], which cryptoki neither has as a constant nor makes of a number below the
/// vendors' range.
pub(crate) fn kwp() -> MechanismType {
    // SAFETY: `MechanismType` is `repr(transparent)` over CK_MECHANISM_TYPE, which is CK_ULONG, and every value of that is one.
    unsafe { std::mem::transmute::<std::ffi::c_ulong, MechanismType>(CKM_AES_KEY_WRAP_KWP) }
}
