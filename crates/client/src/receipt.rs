//! The receipt in a release answer: which token, which policy, which key of the TEE, and where the release is on record.
//!
//! It is the member `x-skerry-receipt` of the payload; clients that do not know it ignore it. Members, all texts:
//! `token_digest`, `policy_digest` and `audit_leaf` are base64url of 32 bytes, `target_thumbprint` is the RFC 7638
//! thumbprint of the key the release is wrapped to; `policy_generation` and `audit_index` are integers.

use skerry_jose::b64;
use skerry_jose::json::{Object, Value};

/// Why a payload has no usable receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum ReceiptError {
    #[error("the answer carries no receipt")]
    Missing,
    #[error("receipt member {0} is missing or malformed")]
    Member(&'static str),
}

/// A receipt, as the vault signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// SHA-256 of the attestation token.
    pub token_digest: [u8; 32],
    /// Digest of the release policy that held.
    pub policy_digest: [u8; 32],
    /// How often that policy had been set.
    pub policy_generation: u64,
    /// Thumbprint of the key the release is wrapped to.
    pub target_thumbprint: String,
    /// Index of the record in the vault's audit log.
    pub audit_index: u64,
    /// Hash of the record.
    pub audit_leaf: [u8; 32],
}

impl Receipt {
    /// The name of the payload's member.
    pub const MEMBER: &'static str = "x-skerry-receipt";

    pub(crate) fn read(payload: &Object) -> Result<Receipt, ReceiptError> {
        let receipt = payload.get(Self::MEMBER).and_then(Value::as_object).ok_or(ReceiptError::Missing)?;
        Ok(Receipt {
            token_digest: digest(receipt, "token_digest")?,
            policy_digest: digest(receipt, "policy_digest")?,
            policy_generation: integer(receipt, "policy_generation")?,
            target_thumbprint: text(receipt, "target_thumbprint")?.to_owned(),
            audit_index: integer(receipt, "audit_index")?,
            audit_leaf: digest(receipt, "audit_leaf")?,
        })
    }
}

fn text<'a>(receipt: &'a Object, name: &'static str) -> Result<&'a str, ReceiptError> {
    receipt.get(name).and_then(Value::as_str).ok_or(ReceiptError::Member(name))
}

fn integer(receipt: &Object, name: &'static str) -> Result<u64, ReceiptError> {
    receipt.get(name).and_then(Value::as_u64).ok_or(ReceiptError::Member(name))
}

fn digest(receipt: &Object, name: &'static str) -> Result<[u8; 32], ReceiptError> {
    let bytes = b64::decode(text(receipt, name)?).map_err(|_| ReceiptError::Member(name))?;
    bytes.try_into().map_err(|_| ReceiptError::Member(name))
}
