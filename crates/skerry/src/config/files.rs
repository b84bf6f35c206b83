//! Files that the configuration names: secrets, certificates, key sets, the data folder.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use skerry_http::tls::{self, TlsError};
use skerry_jose::{JwkSet, limits};
use x509_cert::Certificate;
use x509_cert::der::{DateTime, Decode as _, Encode as _};
use zeroize::{Zeroize as _, Zeroizing};

use super::file::{KeyPair, Server};
use super::{Check, ConfigError, Refusal};

/// A certificate chain and its key: leaf first, DER.
pub(super) struct Certified {
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) key: Zeroizing<Vec<u8>>,
    /// SubjectPublicKeyInfo of the leaf.
    pub(super) spki: Vec<u8>,
    pub(super) tls: Arc<ServerConfig>,
}

impl Check<'_> {
    /// The folder in which everything is stored. It is made by whoever installs the server, who knows whose it is.
    pub(super) fn data(&self, section: &Server) -> Result<PathBuf, ConfigError> {
        let (key, path) = ("server.data", self.resolve(&section.data));
        let metadata = std::fs::metadata(&path);
        let metadata = metadata.map_err(|_| self.refuse(key, Refusal::DataMissing { path: path.clone() }))?;
        if !metadata.is_dir() {
            return Err(self.refuse(key, Refusal::DataNotFolder { path }));
        }
        let mode = metadata.mode() & MODE;
        if mode & OTHERS != 0 {
            return Err(self.refuse(key, Refusal::DataMode { path, mode }));
        }
        if path.join(crate::dev::MARK).exists() {
            return Err(self.refuse(key, Refusal::DataOfDev { path }));
        }
        Ok(path)
    }

    /// The bytes of a file that nobody but its owner may change, and at most its group read: systemd and Kubernetes give
    /// secrets to a service through its group.
    pub(super) fn secret(&self, key: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let path = self.resolve(path);
        let unreadable = |error: std::io::Error| {
            self.refuse(key, Refusal::FileUnreadable { path: path.clone(), kind: error.kind() })
        };
        let mut file = std::fs::File::open(&path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let mode = metadata.mode() & MODE;
        if mode & MORE_THAN_GROUP_READS != 0 {
            return Err(self.refuse(key, Refusal::SecretMode { path, mode }));
        }
        if metadata.len() > SECRET_BYTES_MAX {
            let (bytes, max) = (metadata.len(), SECRET_BYTES_MAX);
            return Err(self.refuse(key, Refusal::FileTooLarge { path, bytes, max }));
        }
        // Filled in place: a buffer that grows leaves copies behind.
        let mut secret = Zeroizing::new(Vec::with_capacity(SECRET_CAPACITY));
        file.by_ref().take(SECRET_BYTES_MAX).read_to_end(&mut secret).map_err(unreadable)?;
        Ok(secret)
    }

    /// The bytes of a file that anybody may know.
    pub(super) fn public(&self, key: &str, path: &Path) -> Result<Vec<u8>, ConfigError> {
        let path = self.resolve(path);
        let unreadable = |error: std::io::Error| {
            self.refuse(key, Refusal::FileUnreadable { path: path.clone(), kind: error.kind() })
        };
        let bytes = std::fs::metadata(&path).map_err(unreadable)?.len();
        if bytes > PUBLIC_BYTES_MAX {
            return Err(self.refuse(key, Refusal::FileTooLarge { path, bytes, max: PUBLIC_BYTES_MAX }));
        }
        std::fs::read(&path).map_err(unreadable)
    }

    /// The certificates of a PEM file, DER, in their order; at least one.
    pub(super) fn certificates(&self, key: &str, path: &Path) -> Result<Vec<Vec<u8>>, ConfigError> {
        let text = self.public(key, path)?;
        let path = self.resolve(path);
        let read = |(index, der): (usize, Result<CertificateDer<'_>, _>)| {
            let refuse = || self.refuse(key, Refusal::Certificate { path: path.clone(), index });
            let der = der.map_err(|_| refuse())?.to_vec();
            Certificate::from_der(&der).map_err(|_| refuse())?;
            Ok(der)
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&text).enumerate().map(read).collect::<Result<_, _>>()?;
        if chain.is_empty() { Err(self.refuse(key, Refusal::NoCertificate { path })) } else { Ok(chain) }
    }

    /// A PKCS#8 private key in PEM, as DER.
    pub(super) fn private_key(&self, key: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let text = self.secret(key, path)?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(&text);
        let mut der = der.map_err(|_| self.refuse(key, Refusal::PrivateKey { path: self.resolve(path) }))?;
        let secret = Zeroizing::new(der.secret_pkcs8_der().to_vec());
        der.zeroize();
        Ok(secret)
    }

    /// A chain whose leaf is of this key, for these names, and good now.
    pub(super) fn certified(&self, key: &str, pair: &KeyPair, hosts: &[String]) -> Result<Certified, ConfigError> {
        let (at, path) = (format!("{key}.certificates"), self.resolve(&pair.certificates));
        let chain = self.certificates(&at, &pair.certificates)?;
        let private = self.private_key(&format!("{key}.key"), &pair.key)?;
        let unreadable = || self.refuse(&at, Refusal::Certificate { path: path.clone(), index: 0 });
        let leaf = Certificate::from_der(chain.first().ok_or_else(unreadable)?).map_err(|_| unreadable())?;
        let tls = tls::server_config(&chain, &private).map_err(|error| match error {
            TlsError::Certificate(rustls::Error::InconsistentKeys(_)) => {
                self.refuse(&at, Refusal::KeyMismatch { path: path.clone() })
            }
            _ => self.refuse(&format!("{key}.key"), Refusal::PrivateKey { path: self.resolve(&pair.key) }),
        })?;
        self.good_now(&at, &path, &leaf)?;
        for host in hosts {
            if !names(&chain, host) {
                return Err(self.refuse(&at, Refusal::CertificateName { path, name: host.clone() }));
            }
        }
        let spki = leaf.tbs_certificate().subject_public_key_info().to_der().map_err(|_| unreadable())?;
        Ok(Certified { chain, key: private, spki, tls })
    }

    /// A JWK set in which at least one key verifies.
    pub(super) fn key_set(&self, key: &str, path: &Path) -> Result<JwkSet, ConfigError> {
        let set = JwkSet::parse(&self.public(key, path)?, &limits::JSON).ok().filter(|set| !set.is_empty());
        set.ok_or_else(|| self.refuse(key, Refusal::KeySet { path: self.resolve(path) }))
    }

    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    fn good_now(&self, key: &str, path: &Path, leaf: &Certificate) -> Result<(), ConfigError> {
        let validity = leaf.tbs_certificate().validity();
        let [not_before, not_after] = [validity.not_before, validity.not_after].map(|time| time.to_system_time());
        if (not_before..=not_after).contains(&self.now) {
            return Ok(());
        }
        let [not_before, not_after] = [not_before, not_after].map(rfc3339);
        Err(self.refuse(key, Refusal::CertificateTime { path: path.to_owned(), not_before, not_after }))
    }
}

/// Whether the leaf is for this name or address, as a TLS client decides it (RFC 9525).
fn names(chain: &[Vec<u8>], host: &str) -> bool {
    let Some(leaf) = chain.first().map(|der| CertificateDer::from(der.as_slice())) else { return false };
    let Ok(leaf) = webpki::EndEntityCert::try_from(&leaf) else { return false };
    ServerName::try_from(host).is_ok_and(|name| leaf.verify_is_valid_for_subject_name(&name).is_ok())
}

fn rfc3339(time: SystemTime) -> String {
    DateTime::from_system_time(time).map_or_else(|_| "out of range".to_owned(), |time| time.to_string())
}

/// Permission bits of a mode.
const MODE: u32 = 0o7777;
const OTHERS: u32 = 0o077;
const MORE_THAN_GROUP_READS: u32 = 0o037;
/// An RSA key of 4096 bits has 3.3 kB in PEM.
const SECRET_BYTES_MAX: u64 = 64 * 1024;
const SECRET_CAPACITY: usize = 64 * 1024 + 1;
/// Debian's ca-certificates.crt has 220 kB.
const PUBLIC_BYTES_MAX: u64 = 4 * 1024 * 1024;
