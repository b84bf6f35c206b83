//! Why a TPM does not give a root.

use std::io::ErrorKind;

/// Why a TPM does not give, or does not take, a root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum TpmError {
    #[error("no TPM at this place ({0})")]
    Absent(ErrorKind),
    #[error("the TPM does not answer ({0})")]
    Io(ErrorKind),
    #[error("the TPM's answer is malformed")]
    Malformed,
    #[error("the TPM's answer is not authentic: something between changes it")]
    NotAuthentic,
    #[error("another TPM than the one it was sealed by, or one that was cleared since")]
    OtherTpm,
    #[error("the registers (PCR) are not as they were when it was sealed: other firmware, boot loader or settings")]
    Pcr,
    #[error("the PIN is wrong, or there is one and none was given")]
    Pin,
    #[error(
        "the TPM is locked out after too many wrong PINs: wait, or clear the lockout with its owner's authorization"
    )]
    Lockout,
    #[error("the sealed object was altered")]
    Altered,
    #[error("the TPM's owner hierarchy asks for an authorization, which is not supported")]
    Owner,
    #[error("register {0} is not one of PCR 0 to 23")]
    Register(u8),
    #[error("the TPM has no such registers: the SHA-256 bank is not allocated")]
    Bank,
    #[error("the TPM refuses (0x{0:03x})")]
    Refused(u32),
    #[error("cryptographic library failed")]
    Library,
}

impl TpmError {
    /// Part 2, 6.6: which of the codes have a way forward of their own. The lower bits of a format-one code say what it is about.
    pub(crate) fn of(code: u32) -> TpmError {
        if code == RC_LOCKOUT {
            return TpmError::Lockout;
        }
        match if code & FORMAT_ONE == 0 { code } else { code & FORMAT_ONE_MASK } {
            RC_AUTH_FAIL | RC_BAD_AUTH => TpmError::Pin,
            RC_POLICY_FAIL | RC_PCR_CHANGED => TpmError::Pcr,
            RC_INTEGRITY => TpmError::Altered,
            _ => TpmError::Refused(code),
        }
    }
}

const FORMAT_ONE: u32 = 0x080;
/// Without the number of the handle, parameter or session.
const FORMAT_ONE_MASK: u32 = 0x0bf;
const RC_LOCKOUT: u32 = 0x921;
const RC_AUTH_FAIL: u32 = 0x08e;
const RC_BAD_AUTH: u32 = 0x0a2;
const RC_POLICY_FAIL: u32 = 0x09d;
const RC_PCR_CHANGED: u32 = 0x128;
const RC_INTEGRITY: u32 = 0x09f;
