//! Reports of simulated chips, each authentic and wrong in one way; and bytes that are no reports.

use skerry_evidence::snp::{
    CpuId, FirmwareVersion, Generation, ParseError, RawTcb, Report, ReportError, TcbReserved, TcbVersion,
    UnsupportedProcessor, VekKind,
};
use skerry_simulator::{Tcb, TeeConfig};

use crate::support::{DAY, judge, made, milan_chip, milan_vlek, rng, simulated_vek, soon};

fn refusal(config: TeeConfig) -> ReportError {
    judge(&milan_chip(), config).unwrap_err()
}

fn milan_tcb() -> Tcb {
    Tcb::recent(skerry_simulator::Generation::Milan)
}

fn version_of(tcb: Tcb) -> TcbVersion {
    TcbVersion { fmc: None, bootloader: tcb.bootloader, tee: tcb.tee, snp: tcb.snp, microcode: tcb.microcode }
}

/// An ordinary report of every version verifies, with a VCEK and with a VLEK.
#[test]
fn simulated_reports_verify() {
    for version in 2..=5 {
        let config = || TeeConfig { version: Some(version), ..TeeConfig::default() };
        let verified = judge(&milan_chip(), config()).unwrap();
        assert_eq!((verified.kind(), verified.report().version()), (VekKind::Vcek, version));
        assert_eq!(judge(&milan_vlek(), config()).unwrap().csp_id(), Some("CN=cc-simulated.example"));
    }
}

/// Only 1184 bytes are a report: every other length up to and past it is refused, and none of them panics.
#[test]
fn other_lengths_are_refused() {
    let mut bytes = milan_chip().boot(TeeConfig::default(), &mut rng()).report([0; 64]).unwrap().to_vec();
    for len in 0..bytes.len() {
        assert_eq!(Report::parse(&bytes[..len]), Err(ParseError::Length { len }));
    }
    bytes.push(0);
    assert_eq!(Report::parse(&bytes), Err(ParseError::Length { len: 1185 }));
}

/// Versions outside of 2 to 5 are refused before anything else is read.
#[test]
fn other_versions_are_refused() {
    for version in [0, 1, 6, 0x0200_0000, u32::MAX] {
        let mut bytes = [0xFF; 1184];
        bytes[..4].copy_from_slice(&version.to_le_bytes());
        assert_eq!(Report::parse(&bytes), Err(ParseError::UnsupportedVersion { version }));
    }
}

/// Each reserved byte must be zero, each version has its own, and the refusal says where.
#[test]
fn reserved_bytes_are_refused() {
    let always = [(0x4C, 0x50), (0x18B, 0x1A0), (0x1EB, 0x1EC), (0x1EF, 0x1F0), (0x208, 0x2A0), (0x330, 0x4A0)];
    for (version, own) in
        [(2, &[(0x188, 0x18B), (0x1F8, 0x208)][..]), (3, &[(0x1F8, 0x208)]), (4, &[(0x1F8, 0x208)]), (5, &[])]
    {
        let config = TeeConfig { version: Some(version), ..TeeConfig::default() };
        let report = milan_chip().boot(config, &mut rng()).report([0; 64]).unwrap();
        for offset in always.iter().chain(own).flat_map(|(from, until)| *from..*until) {
            let mut bytes = report;
            bytes[offset] = 1;
            assert_eq!(Report::parse(&bytes), Err(ParseError::ReservedNotZero { offset }), "version {version}");
        }
        for offset in (0x2D0..0x2E8).chain(0x318..0x330) {
            let mut bytes = report;
            bytes[offset] = 0x80;
            assert_eq!(Report::parse(&bytes), Err(ParseError::SignaturePadding { offset }));
        }
    }
}

/// The reserved bits beside AUTHOR_KEY_EN, MASK_CHIP_KEY and SIGNING_KEY are refused when parsing.
#[test]
fn reserved_key_info_is_refused() {
    for bit in 5..32 {
        let config = TeeConfig { key_info: Some(1 << bit), ..TeeConfig::default() };
        let report = milan_chip().boot(config, &mut rng()).report([0; 64]).unwrap();
        assert_eq!(Report::parse(&report), Err(ParseError::ReservedNotZero { offset: 0x48 }));
    }
}

/// A verified key is refused outside of the time its chain was verified for.
#[test]
fn vek_out_of_date_is_refused() {
    let chip = milan_chip();
    let vek = simulated_vek(&chip);
    let report = || Report::parse(&chip.boot(TeeConfig::default(), &mut rng()).report([0; 64]).unwrap()).unwrap();
    let (valid_from, valid_until) = (vek.valid_from(), vek.valid_until());
    assert_eq!(valid_from, made());
    assert!(vek.verify_report(report(), valid_from).is_ok() && vek.verify_report(report(), valid_until).is_ok());
    let now = valid_from - DAY;
    assert_eq!(vek.verify_report(report(), now).unwrap_err(), ReportError::VekNotYetValid { valid_from, now });
    let now = valid_until + DAY;
    assert_eq!(vek.verify_report(report(), now).unwrap_err(), ReportError::VekExpired { valid_until, now });
}

/// Who signed: another algorithm, nobody, an undefined key, the other kind of key, a masked key.
#[test]
fn signer_is_checked() {
    let algorithm = TeeConfig { signature_algo: 2, ..TeeConfig::default() };
    assert_eq!(refusal(algorithm), ReportError::UnsupportedSignatureAlgorithm { algorithm: 2 });
    let keys = |key_info| TeeConfig { key_info: Some(key_info), ..TeeConfig::default() };
    assert_eq!(refusal(keys(7 << 2)), ReportError::Unsigned);
    for value in 2..7 {
        assert_eq!(refusal(keys(u32::from(value) << 2)), ReportError::ReservedSigningKey { value });
    }
    let crossed = ReportError::SigningKeyMismatch { report: VekKind::Vlek, certificate: VekKind::Vcek };
    assert_eq!(refusal(keys(1 << 2)), crossed);
    let crossed = ReportError::SigningKeyMismatch { report: VekKind::Vcek, certificate: VekKind::Vlek };
    assert_eq!(judge(&milan_vlek(), keys(0)).unwrap_err(), crossed);
    assert_eq!(refusal(keys(0b10)), ReportError::ChipKeyMasked);
}

/// CPUID must belong to a known generation, and to that of the root.
#[test]
fn generation_is_checked() {
    let cpuid = |cpuid| TeeConfig { cpuid: Some(cpuid), ..TeeConfig::default() };
    for [family, model, stepping] in
        [[0x19, 0x20, 0], [0x19, 0xB0, 0], [0x1A, 0x12, 0], [0x1A, 0x50, 0], [0x17, 1, 0], [0, 0, 0]]
    {
        let cpu_id = CpuId { family, model, stepping };
        let expected = ReportError::UnsupportedProcessor(UnsupportedProcessor { cpu_id });
        assert_eq!(refusal(cpuid([family, model, stepping])), expected);
    }
    for (id, report) in
        [([0x19, 0x11, 1], Generation::Genoa), ([0x19, 0xA0, 1], Generation::Genoa), ([0x1A, 2, 1], Generation::Turin)]
    {
        let expected = ReportError::GenerationMismatch { report, certificate: Generation::Milan };
        assert_eq!(refusal(cpuid(id)), expected);
    }
}

/// The chip of the report must be the chip of the certificate; a VLEK has none.
#[test]
fn chip_id_is_checked() {
    let id = |chip_id| TeeConfig { chip_id: Some(chip_id), ..TeeConfig::default() };
    let mut other = milan_chip().chip_id();
    other[63] ^= 1;
    assert_eq!(refusal(id(other)), ReportError::ChipIdMismatch);
    assert_eq!(refusal(id([0; 64])), ReportError::ChipIdMasked);
    assert_eq!(judge(&milan_vlek(), id(other)).unwrap_err(), ReportError::ChipIdNotMasked);
}

/// On Turin eight bytes of the chip id count and the others must be zero.
#[test]
fn chip_id_of_turin_is_short() {
    use crate::support::{OPTIONAL_CRL, budget, endorsements, turin, turin_anchors};
    let chip =
        turin().chip(skerry_simulator::ChipConfig::numbered(skerry_simulator::Generation::Turin, 1), made()).unwrap();
    let given = endorsements(&chip);
    let vek = skerry_evidence::snp::VerifiedVek::verify(&given, &turin_anchors(), &OPTIONAL_CRL, soon(), &mut budget())
        .unwrap();
    let judge = |config| {
        let report = chip.boot(config, &mut rng()).report([0; 64]).unwrap();
        vek.verify_report(Report::parse(&report).unwrap(), soon())
    };
    assert_eq!(judge(TeeConfig::default()).unwrap().reported_tcb().fmc, Some(1));
    let mut tail = chip.chip_id();
    tail[8] = 1;
    let long = TeeConfig { chip_id: Some(tail), ..TeeConfig::default() };
    assert_eq!(judge(long).unwrap_err(), ReportError::ChipIdMismatch);
}

/// The certificate is for one TCB: any component of the reported TCB that differs, up or down, is refused.
#[test]
fn reported_tcb_is_checked() {
    let tcb = milan_tcb();
    let others = [
        Tcb { bootloader: tcb.bootloader + 1, ..tcb },
        Tcb { tee: tcb.tee + 1, ..tcb },
        Tcb { snp: tcb.snp - 1, ..tcb },
        Tcb { microcode: tcb.microcode - 1, ..tcb },
    ];
    for other in others {
        let config = TeeConfig { reported_tcb: Some(other), ..TeeConfig::default() };
        let expected = ReportError::TcbMismatch { reported: version_of(other), certificate: version_of(tcb) };
        assert_eq!(refusal(config), expected);
    }
}

/// Committed is at most current and reported at most committed, component by component.
#[test]
fn tcb_order_is_checked() {
    let tcb = milan_tcb();
    let newer_and_older = Tcb { snp: tcb.snp + 1, microcode: tcb.microcode - 1, ..tcb };
    let higher = Tcb { snp: tcb.snp + 1, ..tcb };
    let lower = Tcb { bootloader: tcb.bootloader - 1, ..tcb };
    let config = TeeConfig { current_tcb: Some(newer_and_older), ..TeeConfig::default() };
    let expected =
        ReportError::CommittedAboveCurrent { committed: version_of(tcb), current: version_of(newer_and_older) };
    assert_eq!(refusal(config), expected);
    let config = TeeConfig { committed_tcb: Some(higher), ..TeeConfig::default() };
    let expected = ReportError::CommittedAboveCurrent { committed: version_of(higher), current: version_of(tcb) };
    assert_eq!(refusal(config), expected);
    let config = TeeConfig { committed_tcb: Some(lower), ..TeeConfig::default() };
    let expected = ReportError::ReportedAboveCommitted { reported: version_of(tcb), committed: version_of(lower) };
    assert_eq!(refusal(config), expected);
    let provisional = TeeConfig { current_tcb: Some(higher), launch_tcb: Some(higher), ..TeeConfig::default() };
    assert!(judge(&milan_chip(), provisional).is_ok());
}

/// A reserved byte of any of the four TCB versions is refused: its meaning is unknown.
#[test]
fn reserved_tcb_bytes_are_refused() {
    let chip = milan_chip();
    let vek = simulated_vek(&chip);
    for offset in [0x38, 0x180, 0x1E0, 0x1F0].into_iter().flat_map(|start| start + 2..start + 6) {
        let mut signed = chip.boot(TeeConfig::default(), &mut rng()).signed([0; 64]);
        signed[offset] = 1;
        let report = Report::parse(&chip.sign_report(&signed).unwrap()).unwrap();
        assert_eq!(vek.verify_report(report, soon()).unwrap_err(), ReportError::TcbReserved(TcbReserved));
    }
    assert_eq!(RawTcb([1, 1, 1, 4, 1, 0, 0, 81]).decode(Generation::Turin), Err(TcbReserved));
}

/// r and s must lie in 1 to n - 1; zero and n are refused before the signature is looked at.
#[test]
fn signature_range_is_checked() {
    let chip = milan_chip();
    let vek = simulated_vek(&chip);
    let report = chip.boot(TeeConfig::default(), &mut rng()).report([0; 64]).unwrap();
    let order =
        hex::decode("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973");
    let order: Vec<u8> = order.unwrap().into_iter().rev().collect();
    for (offset, scalar) in [(0x2A0, 'r'), (0x2E8, 's')] {
        for value in [&[0; 48][..], &order, &[0xFF; 48]] {
            let mut bytes = report;
            bytes[offset..offset + 48].copy_from_slice(value);
            let refused = vek.verify_report(Report::parse(&bytes).unwrap(), soon()).unwrap_err();
            assert_eq!(refused, ReportError::SignatureRange { scalar });
        }
        let mut below = order.clone();
        below[0] -= 1;
        let mut bytes = report;
        bytes[offset..offset + 48].copy_from_slice(&below);
        assert_eq!(vek.verify_report(Report::parse(&bytes).unwrap(), soon()).unwrap_err(), ReportError::BadSignature);
    }
}

/// n - s is as good as s (ECDSA has two), so a high s is no reason to refuse.
#[test]
fn high_s_is_accepted() {
    let chip = milan_chip();
    let vek = simulated_vek(&chip);
    let mut bytes = chip.boot(TeeConfig::default(), &mut rng()).report([0; 64]).unwrap();
    let order =
        hex::decode("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973");
    let mut borrow = 0;
    for (byte, of_order) in bytes[0x2E8..0x318].iter_mut().zip(order.unwrap().into_iter().rev()) {
        let difference = 256 + i32::from(of_order) - i32::from(*byte) - borrow;
        borrow = i32::from(difference < 256);
        *byte = u8::try_from(difference % 256).unwrap();
    }
    assert!(vek.verify_report(Report::parse(&bytes).unwrap(), soon()).is_ok());
}

/// Policy bit 17 is one and bits 63:26 are zero.
#[test]
fn malformed_policy_is_refused() {
    for policy in (26..64).map(|bit| 0x3001F | 1 << bit).chain([0x1001F, 0]) {
        let config = TeeConfig { policy, ..TeeConfig::default() };
        assert_eq!(refusal(config), ReportError::MalformedPolicy { policy });
    }
}

/// Reports for the host are refused, VMPL 0 to 3 are all authentic, and so are debug and migration.
#[test]
fn reports_are_for_guests() {
    for vmpl in [4, u32::MAX] {
        let config = TeeConfig { vmpl, ..TeeConfig::default() };
        assert_eq!(refusal(config), ReportError::NotGuestRequested { vmpl });
    }
    for vmpl in 0..4 {
        assert_eq!(judge(&milan_chip(), TeeConfig { vmpl, ..TeeConfig::default() }).unwrap().report().vmpl(), vmpl);
    }
    let loose = judge(&milan_chip(), TeeConfig { policy: 0x0F_001F, ..TeeConfig::default() }).unwrap();
    assert!(loose.report().policy().debug_allowed() && loose.report().policy().migrate_ma_allowed());
}

/// The author key digest is present iff an author key was used.
#[test]
fn author_key_digest_agrees() {
    let config =
        |key_info, author_key_digest| TeeConfig { key_info: Some(key_info), author_key_digest, ..TeeConfig::default() };
    assert_eq!(refusal(config(0, [1; 48])), ReportError::AuthorKeyDigestUnexpected);
    assert_eq!(refusal(config(1, [0; 48])), ReportError::AuthorKeyDigestMissing);
    assert!(judge(&milan_chip(), config(1, [1; 48])).is_ok());
}

/// The committed firmware is at most the current one, by major, then minor, then build.
#[test]
fn firmware_order_is_checked() {
    let default = TeeConfig::default();
    for (major, minor, build) in [(1, 55, 30), (1, 56, 0), (2, 0, 0)] {
        let mut committed = default.committed_version;
        (committed.major, committed.minor, committed.build) = (major, minor, build);
        let config = TeeConfig { committed_version: committed, ..default.clone() };
        let committed = FirmwareVersion { major, minor, build };
        let current = FirmwareVersion { major: 1, minor: 55, build: 29 };
        assert_eq!(refusal(config), ReportError::CommittedVersionAboveCurrent { committed, current });
    }
}

/// Policy and platform bits are read at the positions of AMD 56860.
#[test]
fn bits_are_where_they_are() {
    use skerry_evidence::snp::{GuestPolicy, PlatformInfo};
    type Bit<T> = (fn(T) -> bool, u32);
    let policy: [Bit<GuestPolicy>; 9] = [
        (GuestPolicy::smt_allowed, 16),
        (GuestPolicy::migrate_ma_allowed, 18),
        (GuestPolicy::debug_allowed, 19),
        (GuestPolicy::single_socket, 20),
        (GuestPolicy::cxl_allowed, 21),
        (GuestPolicy::mem_aes_256_xts, 22),
        (GuestPolicy::rapl_disabled, 23),
        (GuestPolicy::ciphertext_hiding, 24),
        (GuestPolicy::page_swap_disabled, 25),
    ];
    for (read, position) in policy {
        assert!((0..64).all(|bit| read(GuestPolicy(1 << bit)) == (bit == position)), "{position}");
    }
    let platform: [Bit<PlatformInfo>; 7] = [
        (PlatformInfo::smt_enabled, 0),
        (PlatformInfo::tsme_enabled, 1),
        (PlatformInfo::ecc_enabled, 2),
        (PlatformInfo::rapl_disabled, 3),
        (PlatformInfo::ciphertext_hiding, 4),
        (PlatformInfo::alias_check_complete, 5),
        (PlatformInfo::tio_enabled, 7),
    ];
    for (read, position) in platform {
        assert!((0..64).all(|bit| read(PlatformInfo(1 << bit)) == (bit == position)), "{position}");
    }
}
