//! The layout of a report (AMD 56860, ATTESTATION_REPORT), and what a guest is configured to say.

use aws_lc_rs::digest::{SHA384, digest};

use crate::{Chip, Tcb, VekKind, generation};

/// Length of a report of any version.
pub const REPORT_LEN: usize = 1184;
/// Length of the part that is signed, which comes first.
pub const SIGNED_LEN: usize = 672;

/// A firmware version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Build number.
    pub build: u8,
    /// Minor API version.
    pub minor: u8,
    /// Major API version.
    pub major: u8,
}

/// What reports of a guest say. The default is like a confidential container on Azure; `None`
/// means what the chip has. Nothing is checked: odd guests are what tests of verifiers need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeeConfig {
    /// Report version; by default 3, on Turin 5. Version 2 has no CPUID, below 5 no mitigations.
    pub version: Option<u32>,
    /// Security version of the guest, from its ID block.
    pub guest_svn: u32,
    /// Guest policy.
    pub policy: u64,
    /// Family of the image, from the ID block.
    pub family_id: [u8; 16],
    /// The image, from the ID block.
    pub image_id: [u8; 16],
    /// Virtual machine privilege level of whoever asks.
    pub vmpl: u32,
    /// Signature algorithm; 1 is ECDSA P-384 with SHA-384.
    pub signature_algo: u32,
    /// TCB that runs.
    pub current_tcb: Option<Tcb>,
    /// Platform information.
    pub platform_info: u64,
    /// AUTHOR_KEY_EN, MASK_CHIP_KEY and SIGNING_KEY.
    pub key_info: Option<u32>,
    /// Launch digest.
    pub measurement: [u8; 48],
    /// Data from the host at launch.
    pub host_data: [u8; 32],
    /// SHA-384 of the key that signed the ID block.
    pub id_key_digest: [u8; 48],
    /// SHA-384 of the key that certified the ID key.
    pub author_key_digest: [u8; 48],
    /// Id of the guest; by default random at boot.
    pub report_id: Option<[u8; 32]>,
    /// Id of its migration agent; all ones for none.
    pub report_id_ma: [u8; 32],
    /// TCB that names the endorsement key.
    pub reported_tcb: Option<Tcb>,
    /// Family, model, stepping.
    pub cpuid: Option<[u8; 3]>,
    /// Id of the chip.
    pub chip_id: Option<[u8; 64]>,
    /// TCB below which the firmware cannot be rolled back.
    pub committed_tcb: Option<Tcb>,
    /// Firmware that runs.
    pub current_version: Version,
    /// Firmware below which there is no way back.
    pub committed_version: Version,
    /// TCB at launch.
    pub launch_tcb: Option<Tcb>,
    /// Mitigations at launch, version 5.
    pub launch_mit_vector: u64,
    /// Mitigations now, version 5.
    pub current_mit_vector: u64,
}

impl Default for TeeConfig {
    fn default() -> Self {
        let version = Version { build: 29, minor: 55, major: 1 };
        Self {
            version: None,
            guest_svn: 2,
            policy: 0x3001f,
            family_id: leading(1),
            image_id: leading(2),
            vmpl: 0,
            signature_algo: 1,
            current_tcb: None,
            platform_info: 0x25,
            key_info: None,
            measurement: sha384("skerry simulated utility vm"),
            host_data: [0; 32],
            id_key_digest: sha384("skerry simulated id key"),
            author_key_digest: [0; 48],
            report_id: None,
            report_id_ma: [0xff; 32],
            reported_tcb: None,
            cpuid: None,
            chip_id: None,
            committed_tcb: None,
            current_version: version,
            committed_version: version,
            launch_tcb: None,
            launch_mit_vector: 0x3f,
            current_mit_vector: 0x3f,
        }
    }
}

impl TeeConfig {
    /// The signed part of a report on `chip`.
    pub(crate) fn signed(&self, chip: &Chip, report_id: [u8; 32], report_data: [u8; 64]) -> [u8; SIGNED_LEN] {
        let version = self.version.unwrap_or(generation::report_version(chip.generation()));
        let tcb = |tcb: Option<Tcb>| tcb.unwrap_or(chip.reported_tcb()).to_bytes(chip.generation());
        let key_info = self.key_info.unwrap_or(signing_key(chip.kind()) << 2);
        let cpuid = self.cpuid.unwrap_or(generation::cpuid(chip.generation()));
        let mut signed = [0; SIGNED_LEN];
        let mut put = |offset: usize, bytes: &[u8]| {
            let slots = signed.iter_mut().skip(offset);
            slots.zip(bytes).for_each(|(to, from)| *to = *from);
        };
        put(0x000, &version.to_le_bytes());
        put(0x004, &self.guest_svn.to_le_bytes());
        put(0x008, &self.policy.to_le_bytes());
        put(0x010, &self.family_id);
        put(0x020, &self.image_id);
        put(0x030, &self.vmpl.to_le_bytes());
        put(0x034, &self.signature_algo.to_le_bytes());
        put(0x038, &tcb(self.current_tcb));
        put(0x040, &self.platform_info.to_le_bytes());
        put(0x048, &key_info.to_le_bytes());
        put(0x050, &report_data);
        put(0x090, &self.measurement);
        put(0x0c0, &self.host_data);
        put(0x0e0, &self.id_key_digest);
        put(0x110, &self.author_key_digest);
        put(0x140, &self.report_id.unwrap_or(report_id));
        put(0x160, &self.report_id_ma);
        put(0x180, &tcb(self.reported_tcb));
        if version >= 3 {
            put(0x188, &cpuid);
        }
        put(0x1a0, &self.chip_id.unwrap_or(chip.chip_id()));
        put(0x1e0, &tcb(self.committed_tcb));
        put(0x1e8, &self.current_version.to_bytes());
        put(0x1ec, &self.committed_version.to_bytes());
        put(0x1f0, &tcb(self.launch_tcb));
        if version >= 5 {
            put(0x1f8, &self.launch_mit_vector.to_le_bytes());
            put(0x200, &self.current_mit_vector.to_le_bytes());
        }
        signed
    }
}

impl Version {
    const fn to_bytes(self) -> [u8; 3] {
        [self.build, self.minor, self.major]
    }
}

/// SIGNING_KEY (AMD 56860, ATTESTATION_REPORT).
const fn signing_key(kind: VekKind) -> u32 {
    match kind {
        VekKind::Vcek => 0,
        VekKind::Vlek => 1,
    }
}

fn leading<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|at| if at == 0 { first } else { 0 })
}

fn sha384(label: &str) -> [u8; 48] {
    let mut out = [0; 48];
    let hash = digest(&SHA384, label.as_bytes());
    out.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    out
}
