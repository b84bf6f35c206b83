//! The CA of an installation that brings no certificates of its own: a root, an issuing CA below it, and leaves.
//!
//! Microsoft's sidecar takes the last certificate of `x5c` for the root and those between for intermediates, and checks
//! the endpoint it was configured with, port and all, against the leaf's dNSNames. So chains of the release JWS have three
//! certificates, and off port 443 their leaf also carries `host:port` as a dNSName, which only a private CA can issue.
//!
//! No verifier accepts such a name below a CA that is constrained in its DNS names. Where both are wanted, a second CA
//! without constraints, a [`PortIssuer`], signs one certificate and is gone. The root's key is never kept either, so what
//! can be stored ([`Ca::to_pem`]), or stolen, issues only what its constraints permit: docs/decisions/006.
//!
//! Keys of CAs and of TLS leaves are P-256. All chains pass OpenSSL with X509_V_FLAG_X509_STRICT, as Python 3.13 sets it:
//! key usages, critical basic constraints, and key identifiers in every certificate but the root's own. Not here:
//! revocation, and certificates for clients.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, PublicKeyData, SanType, SerialNumber,
    SignatureAlgorithm, date_time_ymd,
};
use skerry_jose::{PublicKey, SigningKey};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::spki::SubjectPublicKeyInfoRef;
use zeroize::Zeroizing;

mod name;
mod pem;

use name::{Name, Permitted};

/// Why a certificate or a CA was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum CaError {
    #[error("certificate")]
    Certificate(#[source] rcgen::Error),
    #[error("key generation failed")]
    Generation,
    #[error("the leaf's key is not an RSA key of the service")]
    LeafKey,
    #[error("{0:?} is not a name for a certificate")]
    Name(String),
    #[error("a certificate needs a name")]
    NoName,
    #[error("{name:?} is outside the name constraints")]
    NotPermitted { name: String },
    #[error("{name:?} has a port, which no certificate below name constraints can have")]
    Port { name: String },
    #[error("name constraints permit no DNS name")]
    NoSubtree,
    #[error("{0:?} is not a subtree of DNS names")]
    Subtree(String),
    #[error("{address}/{prefix} is not a range of addresses")]
    Range { address: IpAddr, prefix: u8 },
    #[error("the CA ended at {not_after_secs} and it is {now_secs}")]
    Expired { not_after_secs: u64, now_secs: u64 },
    #[error("stored CA is not two certificates and a private key in PEM")]
    Pem,
    #[error("stored CA's certificate cannot be read")]
    Unreadable,
    #[error("stored CA's key is not that of its certificate")]
    OtherKey,
    #[error("stored CA's root did not issue the other certificate")]
    OtherRoot,
}

/// The root's certificate, and the CA below it with its key. Cannot be printed; the key is wiped when dropped.
pub struct Ca {
    root_der: Vec<u8>,
    issuer: IssuingCa,
}

/// A CA beside [`Ca`], below the same root and without name constraints, for one certificate.
///
/// It exists from [`Ca::generate_constrained`] until it is used or dropped, and cannot be stored.
pub struct PortIssuer {
    root_der: Vec<u8>,
    issuer: IssuingCa,
    permitted: Permitted,
}

/// A certificate for TLS and its key. No Debug; the key is wiped when dropped.
pub struct TlsLeaf {
    /// Leaf, then the issuing CA, DER. Not the root, which a client has or does not trust (RFC 8446, 4.4.2).
    pub chain_der: Vec<Vec<u8>>,
    /// The leaf's P-256 key, PKCS#8.
    pub key_pkcs8: Zeroizing<Vec<u8>>,
}

impl Ca {
    /// Makes a CA named after `installation`, valid from `now` for ten years, that issues for any name.
    pub fn generate(installation: &str, now: SystemTime) -> Result<Ca, CaError> {
        let (root_der, root) = root(installation, now)?;
        let issuer = IssuingCa::generate(&format!("{installation} Issuing CA"), None, &root, now)?;
        Ok(Ca { root_der, issuer })
    }

    /// As [`Ca::generate`], constrained to DNS names in these subtrees and to addresses in these ranges (RFC 5280,
    /// 4.2.1.10); with no range, to no address. The second CA signs the one certificate with `host:port` names.
    pub fn generate_constrained(
        installation: &str,
        permitted_dns: &[&str],
        permitted_ip: &[(IpAddr, u8)],
        now: SystemTime,
    ) -> Result<(Ca, PortIssuer), CaError> {
        let permitted = Permitted::new(permitted_dns, permitted_ip)?;
        let (root_der, root) = root(installation, now)?;
        let issuer = IssuingCa::generate(&format!("{installation} Issuing CA"), Some(permitted.clone()), &root, now)?;
        let ports = IssuingCa::generate(&format!("{installation} Release CA"), None, &root, now)?;
        Ok((Ca { root_der: root_der.clone(), issuer }, PortIssuer { root_der, issuer: ports, permitted }))
    }

    /// The CA as PEM: root, issuing CA, the issuing CA's private key. To be stored where nobody else reads it.
    ///
    /// The root's key is not in it, nor anywhere: with it the stored CA could be made to issue outside its constraints. A
    /// CA that ends, or whose key is lost, is replaced together with its root.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, CaError> {
        let key = self.issuer.issuer.key().to_pkcs8()?;
        pem::encode(&self.root_der, &self.issuer.der, &key)
    }

    /// The CA of [`Ca::to_pem`], iff root, issuing CA and key belong together. The place it was stored vouches for it.
    pub fn from_pem(text: &str) -> Result<Ca, CaError> {
        let stored = pem::decode(text)?;
        check_issued(&stored.issuing_der, &stored.root_der)?;
        let key = CaKey::from_pkcs8(&stored.key_pkcs8)?;
        Ok(Ca { root_der: stored.root_der, issuer: IssuingCa::read(stored.issuing_der, key)? })
    }

    /// The root certificate, DER: what clients of this installation must trust.
    pub fn root_der(&self) -> &[u8] {
        &self.root_der
    }

    /// When the CA and all that it issued end. Certificates issued less than a year before are shorter.
    pub fn not_after(&self) -> SystemTime {
        self.issuer.not_after
    }

    /// A chain leaf, issuing CA, root for the RSA key of the release JWS and these names, valid from `now` for a year.
    ///
    /// A name is a DNS name, perhaps with a wildcard, an address, or either with a port: `localhost:8443`. With a port it is
    /// written as a dNSName too. A constrained CA refuses ports: [`PortIssuer::issue`].
    pub fn issue(&self, key: &SigningKey, names: &[&str], now: SystemTime) -> Result<Vec<Vec<u8>>, CaError> {
        let names = parse_all(names)?;
        self.issuer.check(&names)?;
        let leaf = self.issuer.issue(release_params(&names)?, &RsaKey::new(key)?, now, LEAF_DAYS)?;
        Ok(vec![leaf, self.issuer.der.clone(), self.root_der.clone()])
    }

    /// A certificate for TLS servers, with a key of its own, for these DNS names and addresses; valid for a year.
    pub fn issue_tls(&self, names: &[&str], addresses: &[IpAddr], now: SystemTime) -> Result<TlsLeaf, CaError> {
        let dns = names.iter().map(|name| Name::dns(name));
        let names: Vec<Name> = dns.chain(addresses.iter().map(|ip| Ok(Name::Ip(*ip)))).collect::<Result<_, _>>()?;
        if names.is_empty() {
            return Err(CaError::NoName);
        }
        self.issuer.check(&names)?;
        let key = CaKey::generate()?;
        let mut params = server_params(&names)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = self.issuer.issue(params, &key, now, LEAF_DAYS)?;
        Ok(TlsLeaf { chain_der: vec![leaf, self.issuer.der.clone()], key_pkcs8: key.to_pkcs8()? })
    }

    /// A chain leaf, issuing CA, root for the RSA key of attestation tokens, for `x5c` in its key set; valid for a year.
    ///
    /// `name`, such as the issuer's URL, is the common name, of 64 characters at most (RFC 5280, A.1). The leaf has no
    /// other name and serves neither TLS servers nor clients.
    pub fn issue_signing(&self, key: &SigningKey, name: &str, now: SystemTime) -> Result<Vec<Vec<u8>>, CaError> {
        // OpenSSL applies constraints to a common name that looks like a host name, which takes a dot.
        if name.contains('.')
            && let Ok(name) = Name::dns(name)
        {
            self.issuer.check(&[name])?;
        }
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name(name)?);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let leaf = self.issuer.issue(params, &RsaKey::new(key)?, now, LEAF_DAYS)?;
        Ok(vec![leaf, self.issuer.der.clone(), self.root_der.clone()])
    }
}

impl PortIssuer {
    /// As [`Ca::issue`], with ports, valid as long as the CA is: it cannot be renewed. Hosts are held to the constraints
    /// of the CA beside, here by us, since the certificate says nothing of them.
    pub fn issue(self, key: &SigningKey, names: &[&str], now: SystemTime) -> Result<Vec<Vec<u8>>, CaError> {
        let names = parse_all(names)?;
        names.iter().try_for_each(|name| self.permitted.check(name))?;
        let leaf = self.issuer.issue(release_params(&names)?, &RsaKey::new(key)?, now, CA_DAYS)?;
        Ok(vec![leaf, self.issuer.der, self.root_der])
    }
}

/// A CA that has its key.
struct IssuingCa {
    der: Vec<u8>,
    not_after: SystemTime,
    permitted: Option<Permitted>,
    issuer: Issuer<'static, CaKey>,
}

impl IssuingCa {
    fn generate(
        name: &str,
        permitted: Option<Permitted>,
        root: &Issuer<'_, CaKey>,
        now: SystemTime,
    ) -> Result<Self, CaError> {
        let key = CaKey::generate()?;
        let mut params = ca_params(name, now, 0)?;
        params.name_constraints = permitted.as_ref().map(constraints);
        params.use_authority_key_identifier_extension = true;
        let der = params.signed_by(&key, root)?.der().to_vec();
        Self::read(der, key)
    }

    /// The CA of this certificate: names, end and constraints are read from it, so that made and stored are one.
    fn read(der: Vec<u8>, key: CaKey) -> Result<Self, CaError> {
        let certificate = Certificate::from_der(&der).map_err(|_| CaError::Unreadable)?;
        let tbs = certificate.tbs_certificate();
        if tbs.subject_public_key_info().subject_public_key.raw_bytes() != key.der_bytes() {
            return Err(CaError::OtherKey);
        }
        let not_after = UNIX_EPOCH + tbs.validity().not_after.to_unix_duration();
        let permitted = Permitted::read(&certificate)?;
        let issuer = Issuer::new(issuer_params(&certificate)?, key);
        Ok(Self { not_after, permitted, issuer, der })
    }

    fn check(&self, names: &[Name]) -> Result<(), CaError> {
        let Some(permitted) = &self.permitted else { return Ok(()) };
        names.iter().try_for_each(|name| match name {
            Name::Port { text, .. } => Err(CaError::Port { name: text.clone() }),
            name => permitted.check(name),
        })
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        key: &impl PublicKeyData,
        now: SystemTime,
        days: u64,
    ) -> Result<Vec<u8>, CaError> {
        if now > self.not_after {
            return Err(CaError::Expired { not_after_secs: secs(self.not_after), now_secs: secs(now) });
        }
        valid(&mut params, now, days);
        let end = date_time_ymd(1970, 1, 1) + Duration::from_secs(secs(self.not_after));
        params.not_after = params.not_after.min(end);
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        params.serial_number = Some(serial(&params, key));
        Ok(params.signed_by(key, &self.issuer)?.der().to_vec())
    }
}

/// A P-256 key of a CA or a TLS leaf. The library wipes it; rcgen's own pair would keep an encoding that is not wiped.
struct CaKey(EcdsaKeyPair);

impl CaKey {
    fn generate() -> Result<Self, CaError> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map(Self).map_err(|_| CaError::Generation)
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, CaError> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der).map(Self).map_err(|_| CaError::OtherKey)
    }

    fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, CaError> {
        let der = self.0.to_pkcs8v1().map_err(|_| CaError::Generation)?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }
}

impl PublicKeyData for CaKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for CaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.0.sign(&SystemRandom::new(), message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(signature.as_ref().to_vec())
    }
}

/// The public half of an RSA key of the service: RSAPublicKey, DER.
struct RsaKey(Vec<u8>);

impl RsaKey {
    fn new(key: &SigningKey) -> Result<Self, CaError> {
        let PublicKey::Rsa(_) = key.public() else { return Err(CaError::LeafKey) };
        let spki = SubjectPublicKeyInfoRef::try_from(key.spki_der()).map_err(|_| CaError::LeafKey)?;
        Ok(Self(spki.subject_public_key.raw_bytes().to_vec()))
    }
}

impl PublicKeyData for RsaKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

impl From<rcgen::Error> for CaError {
    fn from(error: rcgen::Error) -> CaError {
        CaError::Certificate(error)
    }
}

/// A root and, for as long as its two CAs are being made, its key.
fn root(installation: &str, now: SystemTime) -> Result<(Vec<u8>, Issuer<'static, CaKey>), CaError> {
    let key = CaKey::generate()?;
    let params = ca_params(&format!("{installation} Root CA"), now, 1)?;
    let der = params.self_signed(&key)?.der().to_vec();
    Ok((der, Issuer::new(params, key)))
}

fn ca_params(name: &str, now: SystemTime, path_len: u8) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name(name)?);
    valid(&mut params, now, CA_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_len));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// What rcgen needs of an issuer: its name, as this module writes names, and its key usages.
fn issuer_params(certificate: &Certificate) -> Result<CertificateParams, CaError> {
    let tbs = certificate.tbs_certificate();
    let name = name::common_name(tbs.subject()).ok_or(CaError::Unreadable)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn release_params(names: &[Name]) -> Result<CertificateParams, CaError> {
    let mut params = server_params(names)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

/// The first name that may be a common name is one; no client compares it, and OpenSSL shows it.
fn server_params(names: &[Name]) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    let common = names.iter().find_map(|name| match name {
        Name::Dns(name) => common_name(name).ok(),
        Name::Ip(_) | Name::Port { .. } => None,
    });
    params.distinguished_name.push(DnType::CommonName, common.unwrap_or("skerry"));
    params.subject_alt_names = names.iter().map(san).collect::<Result<_, _>>()?;
    Ok(params)
}

fn san(name: &Name) -> Result<SanType, CaError> {
    match name {
        Name::Dns(name) | Name::Port { text: name, .. } => {
            name.as_str().try_into().map(SanType::DnsName).map_err(|_| CaError::Name(name.clone()))
        }
        Name::Ip(address) => Ok(SanType::IpAddress(*address)),
    }
}

fn constraints(permitted: &Permitted) -> NameConstraints {
    let subnet = |octets: &name::Range| match octets {
        name::Range::V4(address, mask) => GeneralSubtree::IpAddress(CidrSubnet::V4(*address, *mask)),
        name::Range::V6(address, mask) => GeneralSubtree::IpAddress(CidrSubnet::V6(*address, *mask)),
    };
    let dns = permitted.dns.iter().map(|name| GeneralSubtree::DnsName(name.clone()));
    let none = [CidrSubnet::V4([0; 4], [0; 4]), CidrSubnet::V6([0; 16], [0; 16])].map(GeneralSubtree::IpAddress);
    NameConstraints {
        permitted_subtrees: dns.chain(permitted.ip.iter().map(subnet)).collect(),
        excluded_subtrees: if permitted.ip.is_empty() { none.to_vec() } else { Vec::new() },
    }
}

/// From five minutes back, for clients whose clocks are late.
fn valid(params: &mut CertificateParams, now: SystemTime, days: u64) {
    let since = Duration::from_secs(secs(now).saturating_sub(300));
    params.not_before = date_time_ymd(1970, 1, 1) + since;
    params.not_after = params.not_before + Duration::from_secs(days * 86_400);
}

fn parse_all(names: &[&str]) -> Result<Vec<Name>, CaError> {
    if names.is_empty() {
        return Err(CaError::NoName);
    }
    names.iter().map(|name| Name::parse(name)).collect()
}

fn common_name(name: &str) -> Result<&str, CaError> {
    if (1..=COMMON_NAME_MAX).contains(&name.chars().count()) { Ok(name) } else { Err(CaError::Name(name.to_owned())) }
}

/// One for each key and beginning, since a key may be certified again: rcgen's would be of the key alone, and an issuer
/// must not give one number twice (RFC 5280, 4.1.2.2).
fn serial(params: &CertificateParams, key: &impl PublicKeyData) -> SerialNumber {
    let begin = params.not_before.unix_timestamp_nanos().to_be_bytes();
    let names = format!("{:?}", params.subject_alt_names);
    let hash = digest(&SHA256, &[key.der_bytes(), &begin, names.as_bytes()].concat());
    let mut serial: Vec<u8> = hash.as_ref().iter().take(16).copied().collect();
    // Positive, and never shorter when encoded.
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    SerialNumber::from(serial)
}

/// That the root signed the certificate; both were stored by us, so this finds what was mixed up, not what was forged.
fn check_issued(der: &[u8], root: &[u8]) -> Result<(), CaError> {
    let read = |der| Certificate::from_der(der).map_err(|_| CaError::Unreadable);
    let (certificate, root) = (read(der)?, read(root)?);
    if certificate.tbs_certificate().issuer() != root.tbs_certificate().subject() {
        return Err(CaError::OtherRoot);
    }
    let signed = certificate.tbs_certificate().to_der().map_err(|_| CaError::Unreadable)?;
    let key = root.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
        .verify(&signed, certificate.signature().raw_bytes())
        .map_err(|_| CaError::OtherRoot)
}

fn secs(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

const LEAF_DAYS: u64 = 365;
const CA_DAYS: u64 = 3_650;
/// RFC 5280, A.1, ub-common-name.
const COMMON_NAME_MAX: usize = 64;

#[cfg(test)]
mod tests;
