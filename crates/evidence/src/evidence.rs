//! Evidence of any TEE once it is verified, and what it is bound to.
//!
//! [`VerifiedEvidence`] says that a TEE made a statement; [`BoundEvidence`] says in addition which runtime data (the public key
//! that only the TEE can use) and which init data (the policy it was started with) the statement covers. Acceptability is
//! not decided here, and neither is freshness: a nonce is part of the runtime data.

use std::time::SystemTime;

use subtle::ConstantTimeEq;

use crate::{anchors::Provenance, limits::Limits, snp, uvm, x509::sha256};

/// Evidence whose signatures and endorsements hold.
///
/// Made out of proofs only: [`snp::VerifiedReport`], and optionally [`uvm::VerifiedEndorsement`].
#[derive(Debug)]
pub struct VerifiedEvidence {
    tee: Tee,
    uvm: Option<uvm::VerifiedEndorsement>,
}

/// The endorsement is about another utility VM than the one that reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("endorsement is for another launch measurement")]
pub struct UvmMismatch;

/// What kind of TEE made the evidence, with its proof.
#[derive(Debug)]
enum Tee {
    Snp(snp::VerifiedReport),
}

impl VerifiedEvidence {
    /// Evidence of an SEV-SNP guest.
    pub fn snp(report: snp::VerifiedReport) -> Self {
        Self { tee: Tee::Snp(report), uvm: None }
    }

    /// Adds the endorsement of the utility VM; refused unless it is about the measurement that was reported.
    pub fn with_uvm(self, endorsement: uvm::VerifiedEndorsement) -> Result<Self, UvmMismatch> {
        let Tee::Snp(report) = &self.tee;
        if report.report().measurement() != endorsement.measurement() {
            return Err(UvmMismatch);
        }
        Ok(Self { uvm: Some(endorsement), ..self })
    }

    /// The report, if an SEV-SNP guest made the evidence.
    pub fn snp_report(&self) -> Option<&snp::VerifiedReport> {
        let Tee::Snp(report) = &self.tee;
        Some(report)
    }

    /// The endorsement of the utility VM, if one was added.
    pub fn uvm(&self) -> Option<&uvm::VerifiedEndorsement> {
        self.uvm.as_ref()
    }

    /// The worst of all chains.
    pub fn provenance(&self) -> Provenance {
        let Tee::Snp(report) = &self.tee;
        let uvm = self.uvm.as_ref().map_or(Provenance::Real, uvm::VerifiedEndorsement::provenance);
        Provenance::worst(report.provenance(), uvm)
    }

    /// When the first of the endorsements runs out.
    pub fn valid_until(&self) -> SystemTime {
        let Tee::Snp(report) = &self.tee;
        report.valid_until()
    }

    /// Binds the evidence to data that is hashed into it.
    ///
    /// `Ok` iff the measurement is not all zero, `runtime_data` (where given) hashes with SHA-256 to the first half of the report
    /// data and the second half is zero, and `init_data` (where given) hashes to the host data. Bytes are hashed as received.
    /// Absent data is allowed; the result then says that there is none. An all-zero host data is normal.
    pub fn bind(
        self,
        runtime_data: Option<&[u8]>,
        init_data: Option<&[u8]>,
        limits: &Limits,
    ) -> Result<BoundEvidence, BindingError> {
        let Tee::Snp(report) = &self.tee;
        let report = report.report();
        if report.measurement().iter().all(|b| *b == 0) {
            return Err(BindingError::ZeroMeasurement);
        }
        within(runtime_data, limits)?;
        within(init_data, limits)?;
        if !runtime_data.is_none_or(|data| covers(report.report_data(), data)) {
            return Err(BindingError::RuntimeData);
        }
        if !init_data.is_none_or(|data| covers(report.host_data(), data)) {
            return Err(BindingError::InitData);
        }
        Ok(BoundEvidence {
            runtime_data: runtime_data.map(<[u8]>::to_vec),
            init_data: init_data.map(<[u8]>::to_vec),
            evidence: self,
        })
    }
}

/// Why evidence does not cover the data that came with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindingError {
    /// The launch measurement is all zero: nothing was measured.
    #[error("launch measurement is zero")]
    ZeroMeasurement,
    /// Runtime or init data over the limit.
    #[error("data of {len} bytes is over the limit of {len_max}")]
    TooLong {
        /// Bytes offered.
        len: usize,
        /// Bytes allowed.
        len_max: usize,
    },
    /// REPORT_DATA is not SHA-256 of the runtime data followed by zeroes.
    #[error("report data does not cover the runtime data")]
    RuntimeData,
    /// HOST_DATA is not SHA-256 of the init data.
    #[error("host data does not cover the init data")]
    InitData,
}

/// Verified evidence and the data it covers. Made by [`VerifiedEvidence::bind`] only.
#[derive(Debug)]
pub struct BoundEvidence {
    evidence: VerifiedEvidence,
    runtime_data: Option<Vec<u8>>,
    init_data: Option<Vec<u8>>,
}

impl BoundEvidence {
    /// The evidence.
    pub fn evidence(&self) -> &VerifiedEvidence {
        &self.evidence
    }

    /// The runtime data as received, if there was any. Without it there is no key to release to.
    pub fn runtime_data(&self) -> Option<&[u8]> {
        self.runtime_data.as_deref()
    }

    /// The init data as received, if there was any.
    pub fn init_data(&self) -> Option<&[u8]> {
        self.init_data.as_deref()
    }
}

/// `field` is SHA-256 of `data` followed by zeroes.
fn covers<const N: usize>(field: &[u8; N], data: &[u8]) -> bool {
    let mut expected = [0; N];
    let Some((digest, _)) = expected.split_first_chunk_mut() else { return false };
    *digest = sha256(data);
    bool::from(expected.ct_eq(field))
}

fn within(data: Option<&[u8]>, limits: &Limits) -> Result<(), BindingError> {
    let (len, len_max) = (data.map_or(0, <[u8]>::len), limits.bound_data_bytes_max);
    if len > len_max { Err(BindingError::TooLong { len, len_max }) } else { Ok(()) }
}
