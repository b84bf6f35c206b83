//! The services that sign: attestation, and tokens for callers.

use std::sync::Arc;

use anyhow::Context as _;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, date_time_ymd};
use skerry_attestation_result::TokenSigner;
use skerry_evidence::uvm::TrustList;
use skerry_http::attestation::ResultSigner;
use skerry_identity::{Principal, TokenService};
use skerry_jose::json::Object;
use skerry_jose::{Algorithm, SigningKey, b64};
use skerry_policy::attestation::Trust;
use skerry_vault::Installation;
use skerry_vault::appraisal::AppraisalPolicies;
use skerry_verifier::{Verifier, VerifierConfig};

use crate::config::{self, Anchors, Identity};

/// The attestation service, and what its surface says of it.
pub(crate) struct Attestation {
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) certs: Object,
    pub(crate) signing_key: zeroize::Zeroizing<Vec<u8>>,
    pub(crate) policy_readers: Arc<[Principal]>,
    pub(crate) policy_setters: Arc<[Principal]>,
    /// Certificates, DER.
    pub(crate) policy_signers: Vec<Vec<u8>>,
}

impl Attestation {
    /// Signs what is said about policies. Made anew for each listener, since a key of the service is not copied.
    pub(crate) fn results(&self) -> anyhow::Result<ResultSigner> {
        let signer = self.verifier.signer();
        Ok(ResultSigner::new(signer.issuer(), signer.kid(), rs256(&self.signing_key)?))
    }

    /// The policies that callers set, which are kept in this installation.
    pub(crate) fn policies(&self, installation: &Arc<Installation>) -> anyhow::Result<Arc<AppraisalPolicies>> {
        let trust = match self.policy_signers.as_slice() {
            [] => Trust::Callers,
            certificates => Trust::signers(certificates).context("signers of appraisal policies")?,
        };
        Ok(Arc::new(AppraisalPolicies::new(Arc::clone(installation), trust)))
    }
}

pub(crate) fn attestation(settings: config::Attestation) -> anyhow::Result<Attestation> {
    let config::Attestation { issuer, signing_key, anchors, floor, policy_readers, policy_setters, policy_signers } =
        settings;
    let signer = TokenSigner::new(issuer, rs256(&signing_key)?);
    let certs = certs(&signer, &signing_key).context("certificate of the attestation service")?;
    let config = match &anchors {
        Anchors::Amd => VerifierConfig::real(),
        Anchors::Simulated(roots) => VerifierConfig::simulated(roots, TrustList::none()),
    };
    let verifier = Arc::new(Verifier::new(config.floor(floor), signer));
    let (policy_readers, policy_setters) = (policy_readers.into(), policy_setters.into());
    Ok(Attestation { verifier, certs, signing_key, policy_readers, policy_setters, policy_signers })
}

/// The token service, and who it is to whom.
pub(crate) struct Tokens {
    pub(crate) service: TokenService,
    /// Names of its tenant in paths.
    pub(crate) tenants: Vec<String>,
    /// The managed identity of this machine.
    pub(crate) managed: Option<String>,
}

pub(crate) fn tokens(settings: Identity) -> anyhow::Result<Tokens> {
    let Identity { issuer, tenant, signing_key, token_lifetime_secs, clients, also_tenants, managed } = settings;
    let tenants = std::iter::once(tenant.clone()).chain(also_tenants).collect();
    let service = TokenService::new(issuer.as_str(), tenant, rs256(&signing_key)?, clients)?;
    Ok(Tokens { service: service.lifetime_secs(token_lifetime_secs), tenants, managed })
}

fn rs256(pkcs8: &[u8]) -> anyhow::Result<SigningKey> {
    Ok(SigningKey::from_pkcs8(Algorithm::Rs256, pkcs8)?)
}

/// The JWKS of the service's signing certificates, member for member (recorded): a certificate that signs itself, whose
/// names are the service's URL, with the same serial number and times for every service. So it is the same at every start.
fn certs(signer: &TokenSigner, pkcs8: &[u8]) -> anyhow::Result<Object> {
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.into(), &PKCS_RSA_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, signer.issuer().as_str());
    params.serial_number = Some(1_u64.into());
    params.not_before = date_time_ymd(2019, 5, 1);
    params.not_after = date_time_ymd(2050, 12, 31);
    let certificate = params.self_signed(&key)?;
    let entry = Object::new()
        .with("x5c", vec![b64::encode_standard(certificate.der())])
        .with("kid", signer.kid())
        .with("kty", "RSA");
    Ok(Object::new().with("keys", vec![entry]))
}
