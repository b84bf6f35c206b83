//! The CA of an installation that brings no certificates of its own: a root, an intermediate, and leaves for names.
//!
//! Microsoft's sidecar takes the last certificate of `x5c` for the root and those between for intermediates, and checks
//! the endpoint it was configured with, port and all, against the leaf's dNSNames. So the chain has three certificates,
//! and the leaf of the release JWS also carries `host:port` as a dNSName, which only a private CA can issue.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, SanType, date_time_ymd,
};
use skerry_jose::SigningKey;

/// Why a certificate was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum CaError {
    #[error("certificate")]
    Certificate(#[source] rcgen::Error),
    #[error("the leaf's key is not an RSA key of the service")]
    LeafKey,
    #[error("{0:?} is not a DNS name")]
    Name(String),
}

/// A root and an intermediate made for one installation. Their keys are P-256 and cannot be printed.
pub struct Ca {
    root_der: Vec<u8>,
    intermediate_der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    /// Makes a CA named after `installation`, valid from `now` for ten years.
    pub fn generate(installation: &str, now: SystemTime) -> Result<Ca, CaError> {
        let (root_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
        let root = ca_params(&format!("{installation} Root CA"), now, 1);
        let root_der = root.self_signed(&root_key)?.der().to_vec();
        let intermediate = ca_params(&format!("{installation} Issuing CA"), now, 0);
        let root = Issuer::new(root, root_key);
        let intermediate_der = intermediate.signed_by(&key, &root)?.der().to_vec();
        Ok(Ca { root_der, intermediate_der, issuer: Issuer::new(intermediate, key) })
    }

    /// The root certificate, DER: what clients of this installation must trust.
    pub fn root_der(&self) -> &[u8] {
        &self.root_der
    }

    /// A chain leaf, intermediate, root for an RSA key and these names, valid from `now` for a year.
    pub fn issue(&self, key: &SigningKey, names: &[&str], now: SystemTime) -> Result<Vec<Vec<u8>>, CaError> {
        let pkcs8 = key.to_pkcs8().map_err(|_| CaError::LeafKey)?;
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.as_slice().into(), &PKCS_RSA_SHA256);
        let key = key.map_err(|_| CaError::LeafKey)?;
        let mut params = params(names.first().unwrap_or(&"skerry"), now, LEAF_DAYS);
        params.subject_alt_names = names.iter().map(|name| dns_name(name)).collect::<Result<_, _>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key, &self.issuer)?.der().to_vec();
        Ok(vec![leaf, self.intermediate_der.clone(), self.root_der.clone()])
    }
}

impl From<rcgen::Error> for CaError {
    fn from(error: rcgen::Error) -> CaError {
        CaError::Certificate(error)
    }
}

fn ca_params(name: &str, now: SystemTime, path_len: u8) -> CertificateParams {
    let mut params = params(name, now, CA_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_len));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Five minutes back, for clients whose clocks are late.
fn params(name: &str, now: SystemTime, days: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).saturating_sub(Duration::from_secs(300));
    params.not_before = date_time_ymd(1970, 1, 1) + since;
    params.not_after = params.not_before + Duration::from_secs(days * 86_400);
    params
}

fn dns_name(name: &str) -> Result<SanType, CaError> {
    name.try_into().map(SanType::DnsName).map_err(|_| CaError::Name(name.to_owned()))
}

const LEAF_DAYS: u64 = 365;
const CA_DAYS: u64 = 3_650;
