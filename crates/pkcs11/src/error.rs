//! Why a token does not open, and why it does not do something.

use crate::capabilities::Ability;
use crate::root::RootId;
use core::fmt;
use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use std::path::PathBuf;

/// Why a token cannot be used at all. Every message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum TokenError {
    #[error("{path} is not there: install the token's PKCS#11 module, or correct hsm.module", path = .path.display())]
    ModuleMissing { path: PathBuf },
    #[error("{path} is no PKCS#11 module that can be loaded here ({reason}): see hsm.module", path = .path.display())]
    Module { path: PathBuf, reason: String },
    #[error(
        "no token has the label {label:?}; there are {found:?}: correct hsm.token, or attach and initialise the token"
    )]
    NoToken { label: String, found: Vec<String> },
    #[error("several tokens have the label {label:?}, of serials {serials:?}: say hsm.serial")]
    Ambiguous { label: String, serials: Vec<String> },
    #[error(
        "the token {label:?} has serial {found:?} and not {expected:?}: another token was put in its place; put the right one \
         back, or correct hsm.serial"
    )]
    OtherSerial { label: String, expected: String, found: String },
    #[error(
        "the token {label:?} has no user PIN yet: initialise it (softhsm2-util --init-token, or the vendor's tool), then \
         `skerry hsm init`"
    )]
    NotInitialised { label: String },
    #[error(
        "the PIN is wrong; it was tried once and is not tried again by this process: correct the PIN's file before the next \
         start, since tokens lock after a few attempts"
    )]
    PinWrong,
    #[error("the PIN is locked: the token's security officer has to set a new one; it is not tried again")]
    PinLocked,
    #[error(
        "the token allows one more attempt at its PIN, which is not spent by a program: log in once by hand with the right \
         PIN, then start again"
    )]
    PinLastTry,
    #[error("the PIN has expired, or has to be changed before it is used: set a new one with the vendor's tool")]
    PinExpired,
    #[error("the token takes no PIN of this length, or with these characters: see the PIN's file")]
    PinForm,
    #[error("the token has a PIN pad of its own, and nobody would be there to use it: turn that off")]
    PinPad,
    #[error("the token is not there, or does not answer: attach it, or start its service")]
    Gone,
    #[error("the token has no keys of this server: `skerry hsm init` makes them, once")]
    NoRoot,
    #[error(
        "the token has keys of this server already, of root {id}: `skerry hsm rotate-root` makes new ones beside them"
    )]
    RootThere { id: RootId },
    #[error(
        "root {id} is not in the token: it is another token, or the key was deleted; bring back the token's backup"
    )]
    RootMissing { id: RootId },
    #[error(
        "root {id} can be read out of the token, so it protects nothing: it was not made by `skerry hsm init`; take another \
         token"
    )]
    RootExtractable { id: RootId },
    #[error(
        "root {id} is no AES key for its one purpose, and one for several gives out what it wrapped: it was not made by \
         `skerry hsm init`; take another token"
    )]
    RootUses { id: RootId },
    #[error(
        "two keys in the token say that they are root {id}, of one purpose or of two rotations: delete the one that is not"
    )]
    RootTwice { id: RootId },
    #[error(
        "root {id} in the token is another key than it was: the token was put back or exchanged; bring back its backup"
    )]
    OtherRoot { id: RootId },
    #[error("root {id} is not one of the older ones: it stays")]
    NotOlder { id: RootId },
    #[error("more than {max} roots: delete those that nothing is wrapped under (skerry hsm destroy-roots)")]
    TooManyRoots { max: usize },
    #[error("the token")]
    Fault(#[source] Fault),
}

impl TokenError {
    /// Whether trying again would spend another attempt at the PIN, or be in vain.
    pub(crate) fn is_of_the_pin(&self) -> bool {
        matches!(
            self,
            Self::PinWrong
                | Self::PinLocked
                | Self::PinLastTry
                | Self::PinExpired
                | Self::PinForm
                | Self::PinPad
                | Self::NotInitialised { .. }
        )
    }
}

/// Why a token did not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The token does not do this; the self-test at the start found out.
    #[error("the token does not do {}", .0.as_str())]
    Unsupported(Ability),
    /// The token went away, or another is in its place. It is looked for again at a later call.
    #[error("the token is away")]
    Gone,
    /// The module did not answer in time. What was asked of it may be done still, and nobody waits for it.
    #[error("the token does not answer")]
    Silent,
    /// No session was free in time.
    #[error("no session of the token was free in time")]
    Busy,
    /// The root is not in the token.
    #[error("root {0} is not in the token")]
    NoRoot(RootId),
    /// What was to be unwrapped, or decrypted, is not what was wrapped or encrypted under this key.
    #[error("the token does not open it ({function} gave {code})")]
    Invalid {
        /// The function of the token.
        function: &'static str,
        /// What it gave.
        code: Code,
    },
    /// The token refuses for another reason.
    #[error("the token refuses: {function} gave {code}")]
    Refused {
        /// The function of the token.
        function: &'static str,
        /// What it gave.
        code: Code,
    },
    /// The token did it, and what came is not what it has to be.
    #[error("what the token gave is no {0}")]
    Malformed(&'static str),
}

/// The return value of a PKCS#11 function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code(RvError);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            RvError::VendorDefined(code) | RvError::UnknownErrorCode(code) => write!(f, "0x{code:08x}"),
            known => {
                f.write_str("CKR")?;
                for letter in format!("{known:?}").chars() {
                    if letter.is_ascii_uppercase() {
                        f.write_str("_")?;
                    }
                    write!(f, "{}", letter.to_ascii_uppercase())?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        match error {
            Error::Pkcs11(code, function) => of_code(code, function),
            Error::NullFunctionPointer | Error::MissingSymbol(_) | Error::NotSupported => {
                Fault::Refused { function: "module", code: Code(RvError::FunctionNotSupported) }
            }
            _ => Fault::Malformed("answer of a PKCS#11 module"),
        }
    }
}

impl From<Fault> for TokenError {
    fn from(fault: Fault) -> TokenError {
        match fault {
            Fault::Gone => TokenError::Gone,
            Fault::NoRoot(id) => TokenError::RootMissing { id },
            fault => TokenError::Fault(fault),
        }
    }
}

fn of_code(code: RvError, function: Function) -> Fault {
    use RvError as R;
    let name = name(function);
    match code {
        // A handle that is not known any more is one of before the token went: handles are looked up when it is opened.
        R::DeviceRemoved
        | R::DeviceError
        | R::TokenNotPresent
        | R::TokenNotRecognized
        | R::SlotIdInvalid
        | R::SessionHandleInvalid
        | R::SessionClosed
        | R::CryptokiNotInitialized
        | R::UserNotLoggedIn
        | R::ObjectHandleInvalid
        | R::KeyHandleInvalid
        | R::WrappingKeyHandleInvalid
        | R::UnwrappingKeyHandleInvalid => Fault::Gone,
        R::SessionCount | R::DeviceMemory | R::HostMemory => Fault::Busy,
        R::WrappedKeyInvalid
        | R::WrappedKeyLenRange
        | R::EncryptedDataInvalid
        | R::EncryptedDataLenRange
        | R::SignatureInvalid => Fault::Invalid { function: name, code: Code(code) },
        // SoftHSM's word for a wrapped key or a ciphertext that does not open.
        R::GeneralError if matches!(function, Function::UnwrapKey | Function::Decrypt) => {
            Fault::Invalid { function: name, code: Code(code) }
        }
        _ => Fault::Refused { function: name, code: Code(code) },
    }
}

fn name(function: Function) -> &'static str {
    match function {
        Function::GenerateKey => "C_GenerateKey",
        Function::GenerateKeyPair => "C_GenerateKeyPair",
        Function::WrapKey => "C_WrapKey",
        Function::UnwrapKey => "C_UnwrapKey",
        Function::SignInit => "C_SignInit",
        Function::Sign => "C_Sign",
        Function::EncryptInit => "C_EncryptInit",
        Function::Encrypt => "C_Encrypt",
        Function::DecryptInit => "C_DecryptInit",
        Function::Decrypt => "C_Decrypt",
        Function::CreateObject => "C_CreateObject",
        Function::DestroyObject => "C_DestroyObject",
        Function::GetAttributeValue => "C_GetAttributeValue",
        Function::FindObjectsInit | Function::FindObjects | Function::FindObjectsFinal => "C_FindObjects",
        Function::OpenSession => "C_OpenSession",
        Function::Login => "C_Login",
        Function::Initialize => "C_Initialize",
        Function::GetSlotList | Function::GetSlotInfo | Function::GetTokenInfo => "C_GetTokenInfo",
        _ => "module",
    }
}
