//! Reports against AMD 56860, ATTESTATION_REPORT.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use der::{Decode, Encode};
use skerry_simulator::{Chip, Generation, REPORT_LEN, SIGNED_LEN, Tcb, TeeConfig, Version, VlekConfig};
use x509_cert::Certificate;

use crate::stock::{chip, made, rng, root, tee};

/// Each field lies where the specification has it, and nothing else is written.
#[test]
fn fields_lie_at_their_offsets() {
    let tcb = |level| Some(Tcb { fmc: 0, bootloader: level, tee: 2, snp: 3, microcode: 4 });
    let tcb_bytes = |level| vec![level, 2, 0, 0, 0, 0, 3, 4];
    let config = TeeConfig {
        version: Some(5),
        guest_svn: 0x0102_0304,
        policy: 0x1112_1314_1516_1718,
        family_id: [0x21; 16],
        image_id: [0x22; 16],
        vmpl: 3,
        signature_algo: 1,
        current_tcb: tcb(0x31),
        platform_info: 0x4142_4344_4546_4748,
        key_info: Some(0x5152_5354),
        measurement: [0x61; 48],
        host_data: [0x62; 32],
        id_key_digest: [0x63; 48],
        author_key_digest: [0x64; 48],
        report_id: Some([0x65; 32]),
        report_id_ma: [0x66; 32],
        reported_tcb: tcb(0x32),
        cpuid: Some([0x71, 0x72, 0x73]),
        chip_id: Some([0x74; 64]),
        committed_tcb: tcb(0x33),
        current_version: Version { build: 0x81, minor: 0x82, major: 0x83 },
        committed_version: Version { build: 0x84, minor: 0x85, major: 0x86 },
        launch_tcb: tcb(0x34),
        launch_mit_vector: 0x9192_9394_9596_9798,
        current_mit_vector: 0xa1a2_a3a4_a5a6_a7a8,
    };
    let expected: [(usize, Vec<u8>); 28] = [
        (0x000, vec![5, 0, 0, 0]),
        (0x004, vec![4, 3, 2, 1]),
        (0x008, vec![0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11]),
        (0x010, vec![0x21; 16]),
        (0x020, vec![0x22; 16]),
        (0x030, vec![3, 0, 0, 0]),
        (0x034, vec![1, 0, 0, 0]),
        (0x038, tcb_bytes(0x31)),
        (0x040, vec![0x48, 0x47, 0x46, 0x45, 0x44, 0x43, 0x42, 0x41]),
        (0x048, vec![0x54, 0x53, 0x52, 0x51]),
        (0x04c, vec![0; 4]),
        (0x050, vec![0x60; 64]),
        (0x090, vec![0x61; 48]),
        (0x0c0, vec![0x62; 32]),
        (0x0e0, vec![0x63; 48]),
        (0x110, vec![0x64; 48]),
        (0x140, vec![0x65; 32]),
        (0x160, vec![0x66; 32]),
        (0x180, tcb_bytes(0x32)),
        (0x188, vec![0x71, 0x72, 0x73]),
        (0x18b, vec![0; 21]),
        (0x1a0, vec![0x74; 64]),
        (0x1e0, tcb_bytes(0x33)),
        (0x1e8, vec![0x81, 0x82, 0x83, 0, 0x84, 0x85, 0x86, 0]),
        (0x1f0, tcb_bytes(0x34)),
        (0x1f8, vec![0x98, 0x97, 0x96, 0x95, 0x94, 0x93, 0x92, 0x91]),
        (0x200, vec![0xa8, 0xa7, 0xa6, 0xa5, 0xa4, 0xa3, 0xa2, 0xa1]),
        (0x208, vec![0; 152]),
    ];
    let report = tee(config).report([0x60; 64]).unwrap();
    let mut end = 0;
    for (offset, bytes) in expected {
        assert_eq!(offset, end, "the table is without gaps");
        end = offset + bytes.len();
        assert_eq!(report[offset..end], bytes, "at {offset:#x}");
    }
    assert_eq!(end, SIGNED_LEN);
}

/// Version 2 has no CPUID and versions below 5 no mitigation vectors.
#[test]
fn fields_of_later_versions_are_zero_before() {
    for version in [2, 3, 4, 5] {
        let config = TeeConfig { version: Some(version), ..TeeConfig::default() };
        let report = tee(config).report([0; 64]).unwrap();
        assert_eq!(report[0x188..0x18b] == [0x19, 1, 1], version >= 3);
        assert_eq!(report[0x188..0x18b] == [0; 3], version < 3);
        assert_eq!(report[0x1f8..0x208] == [0; 16], version < 5);
    }
}

/// r and s are 48 bytes little-endian in 72, the rest is zero, and the certified key signed.
#[test]
fn the_signature_is_little_endian_and_padded() {
    for generation in Generation::ALL {
        let chip = chip(generation);
        let report = chip.boot(TeeConfig::default(), &mut rng()).report([7; 64]).unwrap();
        assert_eq!(report.len(), REPORT_LEN);
        assert_eq!(report[0x2d0..0x2e8], [0; 24]);
        assert_eq!(report[0x318..], [0; 392]);
        assert!(verifies(&chip, &report));
    }
}

/// No signed byte can change.
#[test]
fn every_signed_byte_is_signed() {
    let tee = tee(TeeConfig::default());
    let report = tee.report([7; 64]).unwrap();
    for at in 0..SIGNED_LEN {
        let mut changed = report;
        changed[at] ^= 1;
        assert!(!verifies(tee.chip(), &changed), "byte {at:#x}");
    }
}

/// A chip with a VLEK shows no chip id and says which key signs.
#[test]
fn a_vlek_masks_the_chip_id() {
    let chip = root(Generation::Milan).vlek(VlekConfig::recent(Generation::Milan), made()).unwrap();
    let report = chip.boot(TeeConfig::default(), &mut rng()).report([0; 64]).unwrap();
    assert_eq!(report[0x48], 4);
    assert_eq!(report[0x1a0..0x1e0], [0; 64]);
    assert!(verifies(&chip, &report));
}

/// Runtime data is bound by its SHA-256 in the first half of report data.
#[test]
fn evidence_binds_runtime_data() {
    let evidence = tee(TeeConfig::default()).with_uvm(vec![1]).attest(b"abc").unwrap();
    let hash = hex::decode("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(evidence.report[0x50..0x70], hash.unwrap());
    assert_eq!(evidence.report[0x70..0x90], [0; 32]);
    assert_eq!(evidence.vek_chain_pem.matches("BEGIN CERTIFICATE").count(), 3);
    assert_eq!(evidence.uvm, Some(vec![1]));
}

/// The report id is drawn at boot and stays.
#[test]
fn each_boot_is_another_guest() {
    let chip = chip(Generation::Milan);
    let mut rng = rng();
    let first = chip.boot(TeeConfig::default(), &mut rng);
    let second = chip.boot(TeeConfig::default(), &mut rng);
    assert_eq!(first.signed([0; 64]), first.signed([0; 64]));
    assert_ne!(first.signed([0; 64])[0x140..0x160], second.signed([0; 64])[0x140..0x160]);
}

fn verifies(chip: &Chip, report: &[u8; REPORT_LEN]) -> bool {
    let certificate = Certificate::from_der(chip.vek_der()).unwrap();
    assert_eq!(certificate.to_der().unwrap(), chip.vek_der());
    let spki = certificate.tbs_certificate().subject_public_key_info();
    let key = spki.subject_public_key.raw_bytes();
    let scalar = |at: usize| report[at..at + 48].iter().rev().copied().collect::<Vec<u8>>();
    let signature = [scalar(0x2a0), scalar(0x2e8)].concat();
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key).verify(&report[..SIGNED_LEN], &signature).is_ok()
}
