//! What a file of evidence is, told by its content and never by its name.
//!
//! Telling is all that is done here: a piece that is told apart may still be malformed, and it is the parser's business
//! to say how. Text is decoded once (hex or base64), not again and again.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use der::Decode as _;
use skerry_evidence::snp::REPORT_BYTES;
use skerry_jose::{b64, json};
use x509_cert::crl::CertificateList;

/// One file of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// SEV-SNP attestation report.
    Report(Vec<u8>),
    /// One certificate in DER, or several in PEM.
    Certificates(Vec<u8>),
    /// Revocation list, DER.
    Crl(Vec<u8>),
    /// COSE_Sign1.
    Uvm(Vec<u8>),
    /// What Azure's host serves (THIM, host-amd-cert.json): certificates in PEM, and the TCB that they are for.
    Host { certificates: Vec<u8>, tcbm: Option<String> },
}

impl Piece {
    /// Reads a file and tells what it is.
    pub(super) fn read(path: &Path) -> Result<Piece> {
        let bytes = read_bytes(path)?;
        Piece::of(&bytes).with_context(|| path.display().to_string())
    }

    /// Tells what bytes are.
    pub(super) fn of(bytes: &[u8]) -> Result<Piece> {
        let text = bytes.trim_ascii();
        if text.starts_with(b"-----BEGIN") {
            return pem(text);
        }
        if text.starts_with(b"{") {
            return host(text);
        }
        if let Some(piece) = binary(bytes) {
            return Ok(piece);
        }
        match decoded(text).and_then(|bytes| binary(&bytes)) {
            Some(piece) => Ok(piece),
            None => bail!(
                "{} bytes of no kind that is known here; give an SEV-SNP report ({REPORT_BYTES} bytes, or those as hex or \
                 base64), a certificate or revocation list (PEM or DER), a UVM endorsement (COSE_Sign1) or host-amd-cert.json",
                bytes.len()
            ),
        }
    }
}

/// The bytes of a file, no more of them than evidence can have.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let named = || path.display().to_string();
    let len = std::fs::metadata(path).with_context(named)?.len();
    if len > FILE_BYTES_MAX {
        bail!("{}: {len} bytes, evidence has at most {FILE_BYTES_MAX}", path.display());
    }
    std::fs::read(path).with_context(named)
}

fn binary(bytes: &[u8]) -> Option<Piece> {
    match bytes {
        [DER_SEQUENCE, ..] if <CertificateList>::from_der(bytes).is_ok() => Some(Piece::Crl(bytes.to_vec())),
        // 0x30 is the digit 0 too; DER of any use has a length of two bytes after it.
        [DER_SEQUENCE, 0x81..=0x84, ..] => Some(Piece::Certificates(bytes.to_vec())),
        [COSE_SIGN1 | CBOR_ARRAY_OF_4, ..] => Some(Piece::Uvm(bytes.to_vec())),
        // After certificates, of which some are as long as a report.
        _ if bytes.len() == REPORT_BYTES => Some(Piece::Report(bytes.to_vec())),
        // A report of another length: VERSION is a small number in 32 bits, little-endian.
        [0..=VERSION_LOOK_MAX, 0, 0, 0, ..] => Some(Piece::Report(bytes.to_vec())),
        _ => None,
    }
}

fn pem(text: &[u8]) -> Result<Piece> {
    if !text.starts_with(b"-----BEGIN X509 CRL-----") {
        return Ok(Piece::Certificates(text.to_vec()));
    }
    let decoded = der::pem::decode_vec(text).map_err(|error| anyhow::anyhow!("PEM of a revocation list: {error}"))?;
    Ok(Piece::Crl(decoded.1))
}

fn host(text: &[u8]) -> Result<Piece> {
    let json = json::parse(text, &skerry_jose::limits::JSON)
        .context("JSON, but not host-amd-cert.json; give the file as the host serves it")?;
    let member = |name: &str| json.get(&[name]).and_then(json::Value::as_str);
    let Some(vcek) = member("vcekCert") else {
        bail!("JSON without a member vcekCert; of JSON files only host-amd-cert.json is evidence")
    };
    let chain = member("certificateChain").unwrap_or_default();
    let certificates = format!("{vcek}\n{chain}").into_bytes();
    Ok(Piece::Host { certificates, tcbm: member("tcbm").map(str::to_owned) })
}

fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let text = std::str::from_utf8(&text).ok()?;
    let hex = text.strip_prefix("0x").unwrap_or(text);
    hex::decode(hex).ok().or_else(|| b64::decode_standard(text).ok()).or_else(|| b64::decode_lenient(text).ok())
}

/// Runtime data is the largest piece, with 1 MiB (`Limits::bound_data_bytes_max`); as hex twice that.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024 + 4096;
const DER_SEQUENCE: u8 = 0x30;
/// RFC 9052, 2: tag 18.
const COSE_SIGN1: u8 = 0xd2;
/// COSE_Sign1 without its tag: the parser refuses it and says why.
const CBOR_ARRAY_OF_4: u8 = 0x84;
const VERSION_LOOK_MAX: u8 = 15;
