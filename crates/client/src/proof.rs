//! The proof that a release is in the vault's audit log, under a checkpoint that the log's key signed.
//!
//! A receipt names the record; a proof shows that the log has it, and brings the record along. Whoever insists on one knows
//! that the release cannot be taken back out of the log without that showing to everybody who has seen a later checkpoint.

use skerry_jose::json::{self, Object, Value};
use skerry_tlog::{InclusionProof, InclusionProofError, SignedCheckpoint, VerifyingKey};

use crate::limits::RECORD;
use crate::receipt::Receipt;

/// Why a proof does not prove that this release is in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum RecordProofError {
    #[error("the answer carries no proof")]
    Missing,
    #[error("proof")]
    Proof(#[from] InclusionProofError),
    #[error("proof is of record {seen}, the receipt names {named}")]
    OtherRecord { named: u64, seen: u64 },
    #[error("proof comes without its record")]
    RecordMissing,
    #[error("the record is no entry of an audit log")]
    RecordForm,
    #[error("the record's {0} is not that of this release")]
    RecordOf(&'static str),
}

/// A release that is in the log: as its record says, and under which checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvedRelease {
    checkpoint: SignedCheckpoint,
    index: u64,
}

impl ProvedRelease {
    /// Checks a proof of the record that the receipt names. Configuration vouches for `key`, and the vault's signature for the
    /// receipt.
    pub(crate) fn verify(
        proof: Option<&str>,
        (receipt, version): (&Receipt, &str),
        key: &VerifyingKey,
    ) -> Result<ProvedRelease, RecordProofError> {
        let proof = InclusionProof::parse(proof.ok_or(RecordProofError::Missing)?)?;
        if proof.index != receipt.audit_index {
            return Err(RecordProofError::OtherRecord { named: receipt.audit_index, seen: proof.index });
        }
        let checkpoint = proof.verify(&receipt.audit_leaf, key)?;
        let entry = proof.entry.as_ref().ok_or(RecordProofError::RecordMissing)?;
        check_record(entry, receipt, version)?;
        Ok(ProvedRelease { checkpoint, index: proof.index })
    }

    /// The checkpoint that the proof leads to: worth keeping, since every later one has to continue it.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// Index of the record.
    pub fn index(&self) -> u64 {
        self.index
    }
}

/// The record, whose hash is the leaf's, is of a release of this version for the token and under the policy of the receipt.
fn check_record(entry: &[u8], receipt: &Receipt, version: &str) -> Result<(), RecordProofError> {
    // Log id, index, hash of the record before, then the body (crates/audit, format).
    let body = entry.get(PLACE_LEN..).ok_or(RecordProofError::RecordForm)?;
    let record = json::parse(body, &RECORD).ok().and_then(Value::into_object).ok_or(RecordProofError::RecordForm)?;
    let is = |member: &'static str, expected: &str| match record_text(&record, member) == Some(expected) {
        true => Ok(()),
        false => Err(RecordProofError::RecordOf(member)),
    };
    is("event", "release")?;
    is("verdict", "permitted")?;
    is("version", &version.to_ascii_lowercase())?;
    is("token", &hex::encode(receipt.token_digest))?;
    is("policy", &hex::encode(receipt.policy_digest))
}

fn record_text<'a>(record: &'a Object, member: &str) -> Option<&'a str> {
    record.get(member).and_then(Value::as_str)
}

/// Octets of an entry before its body.
const PLACE_LEN: usize = 56;
