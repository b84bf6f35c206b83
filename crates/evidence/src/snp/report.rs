//! ATTESTATION_REPORT of AMD 56860 (SEV-SNP firmware ABI): 1184 bytes, read into fields, kept as received.
//!
//! Syntax only. A parsed report may be anyone's invention: who made it is settled by [`crate::snp::VerifiedVek::verify_report`].
//! Reserved bytes must be zero, because ignoring them would either make reports malleable (outside of the signed part) or
//! accept a statement of a later version that this code cannot read (inside).

use super::{
    generation::{Generation, UnsupportedProcessor},
    tcb::RawTcb,
};

/// Length of a report, every version.
pub const REPORT_BYTES: usize = 1184;
/// Length of the signed part.
pub const SIGNED_BYTES: usize = 0x2A0;

/// Why bytes are not an attestation report that this code reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Not exactly 1184 bytes.
    #[error("report has {len} bytes")]
    Length {
        /// Bytes offered.
        len: usize,
    },
    /// VERSION is not 2 to 5; 0 and 1 are pre-release firmware.
    #[error("report version {version} is not supported")]
    UnsupportedVersion {
        /// As the report says.
        version: u32,
    },
    /// A reserved byte is not zero.
    #[error("reserved byte at {offset:#x} is not zero")]
    ReservedNotZero {
        /// Where in the report.
        offset: usize,
    },
    /// One of the 24 upper bytes of r or s is not zero.
    #[error("padding of the signature at {offset:#x} is not zero")]
    SignaturePadding {
        /// Where in the report.
        offset: usize,
    },
}

/// An SEV-SNP attestation report that parses; nobody vouches for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Report {
    raw: Box<[u8; REPORT_BYTES]>,
    version: u32,
    guest_svn: u32,
    policy: GuestPolicy,
    family_id: [u8; 16],
    image_id: [u8; 16],
    vmpl: u32,
    signature_algo: u32,
    current_tcb: RawTcb,
    platform_info: PlatformInfo,
    key_info: KeyInfo,
    report_data: [u8; 64],
    measurement: [u8; 48],
    host_data: [u8; 32],
    id_key_digest: [u8; 48],
    author_key_digest: [u8; 48],
    report_id: [u8; 32],
    report_id_ma: [u8; 32],
    reported_tcb: RawTcb,
    cpu_id: Option<CpuId>,
    chip_id: [u8; 64],
    committed_tcb: RawTcb,
    current_version: FirmwareVersion,
    committed_version: FirmwareVersion,
    launch_tcb: RawTcb,
    launch_mit_vector: Option<u64>,
    current_mit_vector: Option<u64>,
    r: [u8; 48],
    s: [u8; 48],
}

impl Report {
    /// Reads a report of version 2, 3, 4 or 5 out of exactly 1184 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let raw: &[u8; REPORT_BYTES] = bytes.try_into().map_err(|_| ParseError::Length { len: bytes.len() })?;
        let mut at = Cursor { rest: raw, len: REPORT_BYTES };
        let version = at.u32()?;
        if !(VERSION_MIN..=VERSION_MAX).contains(&version) {
            return Err(ParseError::UnsupportedVersion { version });
        }
        // Fields in the order of AMD 56860, ATTESTATION_REPORT; struct fields are evaluated in the order written.
        let report = Self {
            raw: Box::new(*raw),
            version,
            guest_svn: at.u32()?,
            policy: GuestPolicy(at.u64()?),
            family_id: at.take()?,
            image_id: at.take()?,
            vmpl: at.u32()?,
            signature_algo: at.u32()?,
            current_tcb: RawTcb(at.take()?),
            platform_info: PlatformInfo(at.u64()?),
            key_info: at.key_info()?,
            report_data: at.after_reserved::<4, _>(Cursor::take)?,
            measurement: at.take()?,
            host_data: at.take()?,
            id_key_digest: at.take()?,
            author_key_digest: at.take()?,
            report_id: at.take()?,
            report_id_ma: at.take()?,
            reported_tcb: RawTcb(at.take()?),
            cpu_id: at.cpu_id(version)?,
            chip_id: at.take()?,
            committed_tcb: RawTcb(at.take()?),
            current_version: at.firmware_version()?,
            committed_version: at.firmware_version()?,
            launch_tcb: RawTcb(at.take()?),
            launch_mit_vector: at.mit_vector(version)?,
            current_mit_vector: at.mit_vector(version)?,
            r: at.after_reserved::<152, _>(Cursor::scalar)?,
            s: at.scalar()?,
        };
        at.reserved::<368>()?;
        Ok(report)
    }

    /// The report as received.
    pub fn raw(&self) -> &[u8; REPORT_BYTES] {
        &self.raw
    }

    /// The signed part as received, bytes 0 to 0x29F.
    pub fn signed(&self) -> &[u8] {
        // Infallible: 0x2A0 lies inside of an array of 1184 bytes.
        self.raw.split_at(SIGNED_BYTES).0
    }

    /// VERSION: 2 to 5.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// GUEST_SVN, from the ID block.
    pub fn guest_svn(&self) -> u32 {
        self.guest_svn
    }

    /// POLICY that the guest was launched with.
    pub fn policy(&self) -> GuestPolicy {
        self.policy
    }

    /// FAMILY_ID, from the ID block.
    pub fn family_id(&self) -> &[u8; 16] {
        &self.family_id
    }

    /// IMAGE_ID, from the ID block.
    pub fn image_id(&self) -> &[u8; 16] {
        &self.image_id
    }

    /// VMPL of the requester; 0xFFFFFFFF when the host asked.
    pub fn vmpl(&self) -> u32 {
        self.vmpl
    }

    /// SIGNATURE_ALGO; 1 is ECDSA P-384 with SHA-384.
    pub fn signature_algo(&self) -> u32 {
        self.signature_algo
    }

    /// CURRENT_TCB: what runs now. The VEK is matched with [`Report::reported_tcb`], not with this.
    pub fn current_tcb(&self) -> RawTcb {
        self.current_tcb
    }

    /// PLATFORM_INFO.
    pub fn platform_info(&self) -> PlatformInfo {
        self.platform_info
    }

    /// The word that holds AUTHOR_KEY_EN, MASK_CHIP_KEY and SIGNING_KEY.
    pub fn key_info(&self) -> KeyInfo {
        self.key_info
    }

    /// REPORT_DATA: chosen by the requester.
    pub fn report_data(&self) -> &[u8; 64] {
        &self.report_data
    }

    /// MEASUREMENT: launch digest.
    pub fn measurement(&self) -> &[u8; 48] {
        &self.measurement
    }

    /// HOST_DATA: chosen by the host at launch.
    pub fn host_data(&self) -> &[u8; 32] {
        &self.host_data
    }

    /// ID_KEY_DIGEST.
    pub fn id_key_digest(&self) -> &[u8; 48] {
        &self.id_key_digest
    }

    /// AUTHOR_KEY_DIGEST.
    pub fn author_key_digest(&self) -> &[u8; 48] {
        &self.author_key_digest
    }

    /// REPORT_ID of the guest.
    pub fn report_id(&self) -> &[u8; 32] {
        &self.report_id
    }

    /// REPORT_ID_MA: report id of the migration agent, all ones without one.
    pub fn report_id_ma(&self) -> &[u8; 32] {
        &self.report_id_ma
    }

    /// REPORTED_TCB: the one that names the VEK.
    pub fn reported_tcb(&self) -> RawTcb {
        self.reported_tcb
    }

    /// CPUID, from version 3 on.
    pub fn cpu_id(&self) -> Option<CpuId> {
        self.cpu_id
    }

    /// The generation that CPUID says; `None` in version 2, which has no CPUID.
    pub fn generation(&self) -> Result<Option<Generation>, UnsupportedProcessor> {
        self.cpu_id.map(Generation::from_cpu_id).transpose()
    }

    /// CHIP_ID; zero when masked or when a VLEK signs.
    pub fn chip_id(&self) -> &[u8; 64] {
        &self.chip_id
    }

    /// COMMITTED_TCB: what the platform can no longer go behind.
    pub fn committed_tcb(&self) -> RawTcb {
        self.committed_tcb
    }

    /// CURRENT_MAJOR, CURRENT_MINOR, CURRENT_BUILD.
    pub fn current_version(&self) -> FirmwareVersion {
        self.current_version
    }

    /// COMMITTED_MAJOR, COMMITTED_MINOR, COMMITTED_BUILD.
    pub fn committed_version(&self) -> FirmwareVersion {
        self.committed_version
    }

    /// LAUNCH_TCB: current TCB when the guest was launched or imported.
    pub fn launch_tcb(&self) -> RawTcb {
        self.launch_tcb
    }

    /// LAUNCH_MIT_VECTOR, from version 5 on.
    pub fn launch_mit_vector(&self) -> Option<u64> {
        self.launch_mit_vector
    }

    /// CURRENT_MIT_VECTOR, from version 5 on.
    pub fn current_mit_vector(&self) -> Option<u64> {
        self.current_mit_vector
    }

    /// SIGNATURE.R as received: little-endian, the 48 bytes that count.
    pub fn signature_r(&self) -> &[u8; 48] {
        &self.r
    }

    /// SIGNATURE.S as received: little-endian, the 48 bytes that count.
    pub fn signature_s(&self) -> &[u8; 48] {
        &self.s
    }
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report")
            .field("version", &self.version)
            .field("measurement", &hex::encode(self.measurement))
            .finish_non_exhaustive()
    }
}

/// POLICY (AMD 56860, 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GuestPolicy(pub u64);

impl GuestPolicy {
    /// ABI_MAJOR, bits 15:8.
    pub fn abi_major(self) -> u8 {
        self.0.to_le_bytes()[1]
    }

    /// ABI_MINOR, bits 7:0.
    pub fn abi_minor(self) -> u8 {
        self.0.to_le_bytes()[0]
    }

    /// SMT may be enabled on the host.
    pub fn smt_allowed(self) -> bool {
        bit(self.0, 16)
    }

    /// A migration agent may be associated.
    pub fn migrate_ma_allowed(self) -> bool {
        bit(self.0, 18)
    }

    /// The host may debug, that is read and write, the guest.
    pub fn debug_allowed(self) -> bool {
        bit(self.0, 19)
    }

    /// The guest may run on one socket only.
    pub fn single_socket(self) -> bool {
        bit(self.0, 20)
    }

    /// CXL devices and memory may be present.
    pub fn cxl_allowed(self) -> bool {
        bit(self.0, 21)
    }

    /// AES-256-XTS is demanded.
    pub fn mem_aes_256_xts(self) -> bool {
        bit(self.0, 22)
    }

    /// RAPL must be disabled.
    pub fn rapl_disabled(self) -> bool {
        bit(self.0, 23)
    }

    /// Ciphertext hiding is demanded.
    pub fn ciphertext_hiding(self) -> bool {
        bit(self.0, 24)
    }

    /// Moving and swapping of guest pages is disabled.
    pub fn page_swap_disabled(self) -> bool {
        bit(self.0, 25)
    }

    /// Bit 17 is one, bits 63:26 are zero.
    pub fn is_well_formed(self) -> bool {
        bit(self.0, 17) && self.0 >> 26 == 0
    }
}

/// PLATFORM_INFO (AMD 56860, ATTESTATION_REPORT). Bits without a method are carried unread: bit 6 is set by Turin in the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlatformInfo(pub u64);

impl PlatformInfo {
    /// SMT is enabled.
    pub fn smt_enabled(self) -> bool {
        bit(self.0, 0)
    }

    /// TSME is enabled.
    pub fn tsme_enabled(self) -> bool {
        bit(self.0, 1)
    }

    /// Memory has error correction.
    pub fn ecc_enabled(self) -> bool {
        bit(self.0, 2)
    }

    /// RAPL is disabled.
    pub fn rapl_disabled(self) -> bool {
        bit(self.0, 3)
    }

    /// Ciphertext hiding is enabled.
    pub fn ciphertext_hiding(self) -> bool {
        bit(self.0, 4)
    }

    /// Memory aliasing has been looked for, and none found, since reset (CVE-2024-21944).
    pub fn alias_check_complete(self) -> bool {
        bit(self.0, 5)
    }

    /// SEV-TIO is enabled.
    pub fn tio_enabled(self) -> bool {
        bit(self.0, 7)
    }
}

/// AUTHOR_KEY_EN, MASK_CHIP_KEY and SIGNING_KEY (AMD 56860, ATTESTATION_REPORT, offset 0x48).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyInfo(pub u32);

/// Who signed, according to the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SigningKey {
    /// Versioned Chip Endorsement Key.
    Vcek,
    /// Versioned Loaded Endorsement Key.
    Vlek,
    /// Nobody: the signature is zero.
    None,
    /// A value that AMD 56860 does not define.
    Reserved(u8),
}

impl KeyInfo {
    /// AUTHOR_KEY_EN: an author key signed the ID key.
    pub fn author_key_en(self) -> bool {
        bit(self.0.into(), 0)
    }

    /// MASK_CHIP_KEY: firmware was told not to sign with the VCEK.
    pub fn mask_chip_key(self) -> bool {
        bit(self.0.into(), 1)
    }

    /// SIGNING_KEY, bits 4:2.
    pub fn signing_key(self) -> SigningKey {
        match (self.0.to_le_bytes()[0] >> 2) & 0b111 {
            0 => SigningKey::Vcek,
            1 => SigningKey::Vlek,
            7 => SigningKey::None,
            other => SigningKey::Reserved(other),
        }
    }
}

/// Combined family, model and stepping of the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CpuId {
    /// CPUID_FAM_ID.
    pub family: u8,
    /// CPUID_MOD_ID.
    pub model: u8,
    /// CPUID_STEP.
    pub stepping: u8,
}

/// Version of the SNP firmware; ordered by major, minor, build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FirmwareVersion {
    /// Major.
    pub major: u8,
    /// Minor.
    pub minor: u8,
    /// Build.
    pub build: u8,
}

impl std::fmt::Display for FirmwareVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.build)
    }
}

/// Reads fields one after the other.
struct Cursor<'a> {
    rest: &'a [u8],
    len: usize,
}

impl Cursor<'_> {
    fn offset(&self) -> usize {
        self.len - self.rest.len()
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let (field, rest) = self.rest.split_first_chunk().ok_or(ParseError::Length { len: self.len })?;
        self.rest = rest;
        Ok(*field)
    }

    fn u32(&mut self) -> Result<u32, ParseError> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, ParseError> {
        self.take().map(u64::from_le_bytes)
    }

    fn zeroes<const N: usize>(&mut self, refusal: fn(usize) -> ParseError) -> Result<(), ParseError> {
        let start = self.offset();
        match self.take::<N>()?.iter().position(|b| *b != 0) {
            Some(index) => Err(refusal(start + index)),
            None => Ok(()),
        }
    }

    fn reserved<const N: usize>(&mut self) -> Result<(), ParseError> {
        self.zeroes::<N>(|offset| ParseError::ReservedNotZero { offset })
    }

    fn after_reserved<const N: usize, T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        self.reserved::<N>()?;
        read(self)
    }

    fn key_info(&mut self) -> Result<KeyInfo, ParseError> {
        let offset = self.offset();
        let word = self.u32()?;
        if word >> 5 == 0 { Ok(KeyInfo(word)) } else { Err(ParseError::ReservedNotZero { offset }) }
    }

    fn cpu_id(&mut self, version: u32) -> Result<Option<CpuId>, ParseError> {
        if version < VERSION_WITH_CPUID {
            return self.reserved::<24>().map(|()| None);
        }
        let [family, model, stepping] = self.take()?;
        self.reserved::<21>()?;
        Ok(Some(CpuId { family, model, stepping }))
    }

    fn firmware_version(&mut self) -> Result<FirmwareVersion, ParseError> {
        let [build, minor, major] = self.take()?;
        self.reserved::<1>()?;
        Ok(FirmwareVersion { major, minor, build })
    }

    fn mit_vector(&mut self, version: u32) -> Result<Option<u64>, ParseError> {
        if version < VERSION_WITH_MIT_VECTORS {
            return self.reserved::<8>().map(|()| None);
        }
        self.u64().map(Some)
    }

    fn scalar(&mut self) -> Result<[u8; 48], ParseError> {
        let scalar = self.take()?;
        self.zeroes::<24>(|offset| ParseError::SignaturePadding { offset })?;
        Ok(scalar)
    }
}

fn bit(word: u64, index: u32) -> bool {
    (word >> index) & 1 == 1
}

/// The first version of released firmware.
const VERSION_MIN: u32 = 2;
/// The last version whose layout is known here.
const VERSION_MAX: u32 = 5;
const VERSION_WITH_CPUID: u32 = 3;
const VERSION_WITH_MIT_VECTORS: u32 = 5;
