//! Sizes and counts that a stranger's endorsements and evidence may reach, each with the source of its number.
//!
//! A caller may lower them; nothing in this crate raises one by itself. Fixed sizes that a format dictates (a report is
//! 1184 bytes) are not limits and live with their parser.

/// What parsing and verifying one piece of evidence may cost.
///
/// Whoever admits the request chooses the values; [`Limits::default`] holds the measured ones below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// DER bytes of one certificate.
    pub certificate_bytes_max: usize,
    /// Certificates in one bundle.
    pub certificates_max: usize,
    /// Bytes of one PEM bundle, armour and white space included.
    pub pem_bytes_max: usize,
    /// DER bytes of one certificate revocation list.
    pub crl_bytes_max: usize,
    /// Entries of one certificate revocation list.
    pub crl_entries_max: usize,
    /// Bytes of runtime data or of init data that evidence is bound to.
    pub bound_data_bytes_max: usize,
    /// Signatures checked for one piece of evidence, CRL included.
    pub signature_checks_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            certificate_bytes_max: CERTIFICATE_BYTES_MAX,
            certificates_max: CERTIFICATES_MAX,
            pem_bytes_max: PEM_BYTES_MAX,
            crl_bytes_max: CRL_BYTES_MAX,
            crl_entries_max: CRL_ENTRIES_MAX,
            bound_data_bytes_max: BOUND_DATA_BYTES_MAX,
            signature_checks_max: SIGNATURE_CHECKS_MAX,
        }
    }
}

/// Observed: AMD's CA certificates are 1.7 KiB, Microsoft's supply chain ones 2.1 KiB; four times that.
const CERTIFICATE_BYTES_MAX: usize = 8 * 1024;
/// Observed: VEK, ASK, ARK and ASVK in one bundle, three certificates in a COSE `x5chain`; twice that.
const CERTIFICATES_MAX: usize = 8;
/// Eight certificates in base64 with generous white space: 8 * 8 KiB * 4 / 3, rounded up.
const PEM_BYTES_MAX: usize = 96 * 1024;
/// AMD 57230, 4: a product's list holds revoked ASKs and ASVKs, a handful; sized for a thousand entries.
const CRL_BYTES_MAX: usize = 64 * 1024;
/// What fits into `CRL_BYTES_MAX` at the shortest possible entry is more; a thousand revoked CAs is not plausible.
const CRL_ENTRIES_MAX: usize = 1024;
/// Azure limits a request to the attestation service to 1 MiB of body.
const BOUND_DATA_BYTES_MAX: usize = 1024 * 1024;
/// SNP needs ARK, intermediate, VEK and CRL (4); a UVM endorsement five more; the rest is slack.
const SIGNATURE_CHECKS_MAX: u32 = 16;
