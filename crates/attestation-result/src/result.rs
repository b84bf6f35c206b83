//! The attestation result before it is signed.

use std::time::SystemTime;

use skerry_jose::json::Object;

use crate::issuer::IssuerUrl;
use crate::names;

/// Which kind of anchor the evidence's chains ended at. The worst of all chains counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Provenance {
    /// Every chain ended at a hardware vendor's root.
    Real,
    /// Some chain ended at a root that configuration or a simulator brought.
    Simulated,
}

/// What a Verifier asserts: claims that passed appraisal, by whom, when, and from which kind of hardware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationResult {
    issuer: IssuerUrl,
    claims: Object,
    provenance: Provenance,
    issued: SystemTime,
}

impl AttestationResult {
    /// Asserts `claims`. Only a Verifier's appraisal calls this (grep for `assertion` finds every origin); it vouches that
    /// the claims come from evidence that was verified and appraised. `x-skerry-simulated` is set here and nowhere else.
    pub fn assertion(issuer: IssuerUrl, mut claims: Object, provenance: Provenance, issued: SystemTime) -> Self {
        match provenance {
            Provenance::Real => claims.remove(names::SIMULATED),
            Provenance::Simulated => claims.insert(names::SIMULATED, true),
        };
        AttestationResult { issuer, claims, provenance, issued }
    }

    /// Who asserts.
    pub fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    /// The asserted claims, without those of the token's envelope.
    pub fn claims(&self) -> &Object {
        &self.claims
    }

    /// Real or simulated hardware.
    pub fn provenance(&self) -> Provenance {
        self.provenance
    }

    /// When.
    pub fn issued(&self) -> SystemTime {
        self.issued
    }
}
