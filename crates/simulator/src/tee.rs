//! A guest that asks its processor for reports.

use aws_lc_rs::digest::{SHA256, digest};

use crate::report::{REPORT_LEN, SIGNED_LEN, TeeConfig};
use crate::{Chip, SimulatorError};

/// What a guest sends to an attestation service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The report.
    pub report: Vec<u8>,
    /// VEK, its issuer and ARK as one bundle.
    pub vek_chain_pem: String,
    /// Endorsement of the utility VM, COSE_Sign1.
    pub uvm: Option<Vec<u8>>,
}

/// A simulated guest.
#[derive(Clone)]
pub struct Tee {
    chip: Chip,
    config: TeeConfig,
    report_id: [u8; 32],
    uvm: Option<Vec<u8>>,
}

impl Tee {
    pub(crate) fn new(chip: Chip, config: TeeConfig, report_id: [u8; 32]) -> Self {
        Self { chip, config, report_id, uvm: None }
    }

    /// The same guest, with an endorsement of its utility VM.
    #[must_use]
    pub fn with_uvm(mut self, endorsement: Vec<u8>) -> Self {
        self.uvm = Some(endorsement);
        self
    }

    /// The processor it runs on.
    pub fn chip(&self) -> &Chip {
        &self.chip
    }

    /// What it says in reports.
    pub fn config(&self) -> &TeeConfig {
        &self.config
    }

    /// The part of a report that is signed, for tests that change it before [`Chip::sign_report`].
    pub fn signed(&self, report_data: [u8; 64]) -> [u8; SIGNED_LEN] {
        self.config.signed(&self.chip, self.report_id, report_data)
    }

    /// A report with `report_data` (SNP_GUEST_REQUEST, MSG_REPORT_REQ).
    pub fn report(&self, report_data: [u8; 64]) -> Result<[u8; REPORT_LEN], SimulatorError> {
        self.chip.sign_report(&self.signed(report_data))
    }

    /// Evidence bound to `runtime_data`: report data is its SHA-256, then 32 bytes zero.
    pub fn attest(&self, runtime_data: &[u8]) -> Result<Evidence, SimulatorError> {
        let mut report_data = [0; 64];
        let hash = digest(&SHA256, runtime_data);
        report_data.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
        Ok(Evidence {
            report: self.report(report_data)?.to_vec(),
            vek_chain_pem: self.chip.vek_chain_pem()?,
            uvm: self.uvm.clone(),
        })
    }
}
