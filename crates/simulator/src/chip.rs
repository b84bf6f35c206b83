//! A processor: an endorsement key, its certificate, and the power to sign reports.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA512, digest};
use rand_core::CryptoRng;

use crate::certificate::Oddities;
use crate::keys::EcKey;
use crate::report::{REPORT_LEN, SIGNED_LEN, TeeConfig};
use crate::{Generation, SimulatorError, Tcb, Tee, pem};

pub use skerry_evidence::snp::VekKind;

/// A processor with a VCEK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChipConfig {
    /// Its id; on Turin only the first eight bytes are certified and the rest should be zero.
    pub chip_id: [u8; 64],
    /// Its reported TCB, which the certificate names.
    pub reported_tcb: Tcb,
    /// What is wrong with its certificate.
    pub oddities: Oddities,
}

impl ChipConfig {
    /// Processor `number` of an imagined stock: an id of the right length, a recent TCB.
    pub fn numbered(generation: Generation, number: u32) -> Self {
        let label = format!("skerry simulated chip {} {number}", generation.name());
        let id = digest(&SHA512, label.as_bytes());
        let mut chip_id = [0; 64];
        let significant = id.as_ref().iter().take(generation.chip_id_bytes());
        chip_id.iter_mut().zip(significant).for_each(|(to, from)| *to = *from);
        let reported_tcb = Tcb::recent(generation);
        Self { chip_id, reported_tcb, oddities: Oddities::default() }
    }
}

/// A processor with a VLEK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VlekConfig {
    /// The cloud provider, as the csp_id extension has it.
    pub csp_id: String,
    /// Its reported TCB, which the certificate names.
    pub reported_tcb: Tcb,
    /// What is wrong with its certificate.
    pub oddities: Oddities,
}

impl VlekConfig {
    /// A provider that does not exist, at a recent TCB.
    pub fn recent(generation: Generation) -> Self {
        let csp_id = "CN=cc-simulated.example".to_owned();
        let reported_tcb = Tcb::recent(generation);
        Self { csp_id, reported_tcb, oddities: Oddities::default() }
    }
}

/// A simulated processor. Copies are the same processor.
#[derive(Clone)]
pub struct Chip(Arc<Inner>);

struct Inner {
    generation: Generation,
    kind: VekKind,
    key: EcKey,
    chip_id: [u8; 64],
    reported_tcb: Tcb,
    /// VEK, its issuer, ARK.
    chain: Vec<Vec<u8>>,
}

impl Chip {
    pub(crate) fn new(
        generation: Generation,
        kind: VekKind,
        key: EcKey,
        chip_id: [u8; 64],
        reported_tcb: Tcb,
        chain: Vec<Vec<u8>>,
    ) -> Self {
        Self(Arc::new(Inner { generation, kind, key, chip_id, reported_tcb, chain }))
    }

    /// Its generation.
    pub fn generation(&self) -> Generation {
        self.0.generation
    }

    /// The kind of key it signs with.
    pub fn kind(&self) -> VekKind {
        self.0.kind
    }

    /// The chip id reports show: zero with a VLEK.
    pub fn chip_id(&self) -> [u8; 64] {
        self.0.chip_id
    }

    /// The TCB reports show as reported_tcb.
    pub fn reported_tcb(&self) -> Tcb {
        self.0.reported_tcb
    }

    /// Certificate of the endorsement key.
    pub fn vek_der(&self) -> &[u8] {
        self.0.chain.first().map(Vec::as_slice).unwrap_or_default()
    }

    /// VEK, its issuer and ARK, as one bundle.
    pub fn vek_chain_pem(&self) -> Result<String, SimulatorError> {
        pem::certificates(self.0.chain.iter().map(Vec::as_slice))
    }

    /// Starts a guest; `rng` gives its report id unless the configuration does.
    pub fn boot(&self, config: TeeConfig, rng: &mut dyn CryptoRng) -> Tee {
        let mut report_id = [0; 32];
        rng.fill_bytes(&mut report_id);
        Tee::new(self.clone(), config, report_id)
    }

    /// The signature field over any 672 bytes, authentic however odd they are: r and s, each 72
    /// bytes little-endian, then 368 bytes zero (AMD 56860, ECDSA P-384 with SHA-384).
    pub fn sign(&self, signed: &[u8; SIGNED_LEN]) -> Result<[u8; 512], SimulatorError> {
        let signature = self.0.key.sign(signed)?;
        let (r, s) = signature.split_at(48);
        let mut field = [0; 512];
        for (offset, number) in [(0, r), (72, s)] {
            let slots = field.iter_mut().skip(offset);
            slots.zip(number.iter().rev()).for_each(|(to, from)| *to = *from);
        }
        Ok(field)
    }

    /// A whole report over any 672 bytes.
    pub fn sign_report(&self, signed: &[u8; SIGNED_LEN]) -> Result<[u8; REPORT_LEN], SimulatorError> {
        let report = [signed.as_slice(), &self.sign(signed)?].concat();
        report.try_into().map_err(|_| SimulatorError::Signing)
    }
}
