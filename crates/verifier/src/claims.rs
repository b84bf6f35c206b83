//! From a verified report to `x-ms-*` claims: one table, each row naming its bytes.
//!
//! Rows and JSON types are those of attestation results recorded from the real service, verified byte for byte with a real
//! report. On Turin the TCB bytes are in another order; there the claims follow the component's name, and the component
//! that Azure has no name for (fmc) gets ours. UNSURE how Azure does it: docs/divergences.md.

use skerry_attestation_result::names::{self, snp};
use skerry_evidence::snp::{Generation, Report};
use skerry_jose::json::{Object, Value};

/// Claims of one SEV-SNP report. Offsets: AMD 56860, ATTESTATION_REPORT. `generation` is that of the verified chain.
pub fn of_snp(report: &Report, generation: Generation) -> Object {
    let mut claims = Object::new().with(names::ATTESTATION_TYPE, "sevsnpvm");
    for (name, value) in SNP {
        claims.insert(*name, value(report));
    }
    let Ok(tcb) = report.reported_tcb().decode(generation) else { return claims };
    let components = [
        (snp::BOOTLOADER_SVN, tcb.bootloader),
        (snp::TEE_SVN, tcb.tee),
        (snp::SNPFW_SVN, tcb.snp),
        (snp::MICROCODE_SVN, tcb.microcode),
    ];
    for (name, svn) in components.into_iter().chain(tcb.fmc.map(|fmc| (snp::FMC_SVN, fmc))) {
        claims.insert(name, u64::from(svn));
    }
    claims
}

type Row = (&'static str, fn(&Report) -> Value);

const SNP: &[Row] = &[
    (snp::GUEST_SVN, |report| u64::from(report.guest_svn()).into()), // u32 @0x04
    (snp::SMT_ALLOWED, |report| report.policy().smt_allowed().into()), // POLICY @0x08, bit 16
    (snp::MIGRATION_ALLOWED, |report| report.policy().migrate_ma_allowed().into()), // bit 18
    (snp::IS_DEBUGGABLE, |report| report.policy().debug_allowed().into()), // bit 19
    (snp::FAMILY_ID, |report| hex(report.family_id())),              // 16 bytes @0x10
    (snp::IMAGE_ID, |report| hex(report.image_id())),                // 16 bytes @0x20
    (snp::VMPL, |report| u64::from(report.vmpl()).into()),           // u32 @0x30
    (snp::REPORT_DATA, |report| hex(report.report_data())),          // 64 bytes @0x50
    (snp::LAUNCH_MEASUREMENT, |report| hex(report.measurement())),   // 48 bytes @0x90
    (snp::HOST_DATA, |report| hex(report.host_data())),              // 32 bytes @0xC0
    (snp::ID_KEY_DIGEST, |report| hex(report.id_key_digest())),      // 48 bytes @0xE0
    (snp::AUTHOR_KEY_DIGEST, |report| hex(report.author_key_digest())), // 48 bytes @0x110
    (snp::REPORT_ID, |report| hex(report.report_id())),              // 32 bytes @0x140
];

fn hex(bytes: &[u8]) -> Value {
    hex::encode(bytes).into()
}
