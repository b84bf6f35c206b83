//! Recovery certificates and keys in files.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use skerry_backup::{Recipient, RecoveryKey, Warning};
use zeroize::{Zeroize as _, Zeroizing};

use super::rfc3339;
use crate::edge::Failure;

/// The certificates of one file, DER.
pub(super) struct Certificates {
    path: PathBuf,
    pub(super) certificates: Vec<Vec<u8>>,
}

/// Reads files of one or more certificates, each of which has to be fit for recovery.
pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Certificates>> {
    let read = |path: &PathBuf| {
        let text = std::fs::read(path).with_context(|| format!("recovery certificate {}", path.display()))?;
        let certificates: Result<Vec<Vec<u8>>, _> =
            CertificateDer::pem_slice_iter(&text).map(|der| der.map(|der| der.to_vec())).collect();
        let certificates = certificates.map_err(|_| anyhow!("recovery certificate {}: not PEM", path.display()))?;
        if certificates.is_empty() {
            return Err(anyhow!("recovery certificate {}: no certificate in PEM", path.display()));
        }
        for der in &certificates {
            Recipient::from_der(der).with_context(|| format!("recovery certificate {}", path.display()))?;
        }
        Ok(Certificates { path: path.clone(), certificates })
    };
    paths.iter().map(read).collect()
}

/// The recipients of certificates in DER.
pub(crate) fn recipients(certificates: &[Vec<u8>]) -> anyhow::Result<Vec<Recipient>> {
    certificates.iter().map(|der| Recipient::from_der(der).context("recovery certificate")).collect()
}

/// What is odd about them, and no reason to make no backup.
pub(super) fn warnings(files: &[Certificates], now: SystemTime) -> Vec<String> {
    let warning = |path: &Path, der: &[u8]| {
        let text = match Recipient::from_der(der).ok()?.warning(now)? {
            Warning::Expired { not_after } => format!(
                "its time was over at {}: the backup is sealed to it all the same; see that its key is still kept, and make a new one",
                rfc3339(not_after)
            ),
            Warning::NotYet { not_before } => format!("its time begins at {} only", rfc3339(not_before)),
            _ => return None,
        };
        Some(format!("recovery certificate {}: {text}", path.display()))
    };
    files.iter().flat_map(|file| file.certificates.iter().filter_map(|der| warning(&file.path, der))).collect()
}

/// A recovery key in PKCS#8, PEM.
pub(super) fn recovery_key(path: &Path) -> Result<RecoveryKey, Failure> {
    let context = || format!("recovery key {}", path.display());
    let mut file = std::fs::File::open(path).with_context(context)?;
    let mut text = Zeroizing::new(Vec::with_capacity(KEY_CAPACITY));
    file.by_ref().take(KEY_BYTES_MAX).read_to_end(&mut text).with_context(context)?;
    let pem = PrivatePkcs8KeyDer::from_pem_slice(&text);
    let mut der = pem.map_err(|_| anyhow!("no private key in PKCS#8, PEM")).with_context(context)?;
    let key = RecoveryKey::from_pkcs8(der.secret_pkcs8_der()).with_context(context);
    der.zeroize();
    Ok(key?)
}

/// An RSA key of 8192 bits has 6.4 kB in PEM.
const KEY_BYTES_MAX: u64 = 64 * 1024;
const KEY_CAPACITY: usize = 64 * 1024 + 1;
