//! The proof that a release, or an unwrapping to a TEE, is in the vault's audit log, under a checkpoint that the log's key signed.
//!
//! A receipt names the record; a proof shows that the log has it, and brings the record along. Whoever insists on one knows
//! that the release cannot be taken back out of the log without that showing to everybody who has seen a later checkpoint.
//! An unwrapping has no receipt: its record alone says which key was unwrapped to whom, and that what was asked for is on
//! record, be it from this time or an earlier one.

use aws_lc_rs::digest;
use skerry_jose::json::{self, Object, Value};
use skerry_tlog::{InclusionProof, InclusionProofError, SignedCheckpoint, VerifyingKey, leaf_hash};

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

/// What was asked for when a key was to be unwrapped to a TEE. The caller vouches for all of it.
#[derive(Debug, Clone, Copy)]
pub struct UnwrapAsked<'a> {
    /// The version of the key that it is wrapped under.
    pub version: &'a str,
    /// The wrapped key.
    pub wrapped: &'a [u8],
    /// The attestation token.
    pub token: &'a str,
    /// Thumbprint of the token's target key (RFC 7638).
    pub target_thumbprint: &'a str,
}

/// An unwrapping to a TEE that is in the log, and under which checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvedUnwrap {
    checkpoint: SignedCheckpoint,
    index: u64,
}

impl ProvedUnwrap {
    /// Checks the proof that came with the answer. Configuration inside the TEE vouches for the log's key.
    pub fn verify(
        proof: Option<&str>,
        asked: &UnwrapAsked<'_>,
        key: &VerifyingKey,
    ) -> Result<ProvedUnwrap, RecordProofError> {
        let proof = InclusionProof::parse(proof.ok_or(RecordProofError::Missing)?)?;
        let entry = proof.entry.as_ref().ok_or(RecordProofError::RecordMissing)?;
        let checkpoint = proof.verify(&leaf_hash(entry), key)?;
        check_unwrap(entry, asked)?;
        Ok(ProvedUnwrap { checkpoint, index: proof.index })
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
    let record = Record::of(entry)?;
    record.is("event", "release")?;
    record.is("verdict", "permitted")?;
    record.is("version", &version.to_ascii_lowercase())?;
    record.is("token", &hex::encode(receipt.token_digest))?;
    record.is("policy", &hex::encode(receipt.policy_digest))
}

/// The record is of an unwrapping of what was asked for. Which key, and to whom, is in its explanation (crates/vault, entries).
fn check_unwrap(entry: &[u8], asked: &UnwrapAsked<'_>) -> Result<(), RecordProofError> {
    let record = Record::of(entry)?;
    record.is("event", "secure-unwrap")?;
    record.is("verdict", "permitted")?;
    record.is("version", &asked.version.to_ascii_lowercase())?;
    record.is("token", &hex_sha256(asked.token.as_bytes()))?;
    let (to, wrapped) = (asked.target_thumbprint, hex_sha256(asked.wrapped));
    record.is("explanation", &format!("unwrapped to {to} what is wrapped in {wrapped}"))
}

/// The members of a record.
struct Record(Object);

impl Record {
    fn of(entry: &[u8]) -> Result<Record, RecordProofError> {
        // Log id, index, hash of the record before, then the body (crates/audit, format).
        let body = entry.get(PLACE_LEN..).ok_or(RecordProofError::RecordForm)?;
        let record = json::parse(body, &RECORD).ok().and_then(Value::into_object);
        record.map(Record).ok_or(RecordProofError::RecordForm)
    }

    fn is(&self, member: &'static str, expected: &str) -> Result<(), RecordProofError> {
        match self.0.get(member).and_then(Value::as_str) == Some(expected) {
            true => Ok(()),
            false => Err(RecordProofError::RecordOf(member)),
        }
    }
}

fn hex_sha256(octets: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, octets))
}

/// Octets of an entry before its body.
const PLACE_LEN: usize = 56;
