//! Simulated SEV-SNP evidence, a verifier for it, and its signatures as the library takes them.

use std::time::SystemTime;

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, ParsedPublicKey, RSA_PSS_2048_8192_SHA384, VerificationAlgorithm};
use skerry_attestation_result::{IssuerUrl, TokenSigner};
use skerry_evidence::limits::Limits;
use skerry_evidence::snp::{Generation, Report};
use skerry_evidence::uvm::TrustList;
use skerry_evidence::x509;
use skerry_jose::SigningKey;
use skerry_simulator::{ChipConfig, Evidence, Root, TeeConfig};
use skerry_verifier::wire::{Data, SnpRequest};
use skerry_verifier::{Verifier, VerifierConfig};
use x509_cert::der::Decode as _;

use super::{ISSUER, MEASUREMENT, copy, rng};

/// What was signed, the signature, and the key where it is the processor's own.
pub(crate) struct Signature {
    pub(crate) message: Vec<u8>,
    signature: Vec<u8>,
    pub(crate) key: Option<ParsedPublicKey>,
}

impl Signature {
    /// With its own key if it has one, else with the authority's.
    pub(crate) fn verify(&self, authority: &ParsedPublicKey) -> anyhow::Result<()> {
        Ok(self.key.as_ref().unwrap_or(authority).verify_sig(&self.message, &self.signature)?)
    }
}

/// Evidence over this runtime data, of a processor of this number.
pub(crate) fn one_evidence(
    root: &Root,
    number: usize,
    runtime_data: &[u8],
    made: SystemTime,
) -> anyhow::Result<Evidence> {
    let chip = root.chip(ChipConfig::numbered(Generation::Milan, u32::try_from(number)?), made)?;
    Ok(chip.boot(TeeConfig { measurement: MEASUREMENT, ..TeeConfig::default() }, &mut rng()).attest(runtime_data)?)
}

pub(crate) fn request(evidence: &Evidence, runtime_data: Option<Data>) -> SnpRequest {
    SnpRequest {
        report: evidence.report.clone(),
        chain_pem: evidence.vek_chain_pem.clone().into_bytes(),
        uvm: Vec::new(),
        runtime_data,
        init_data: None,
        nonce: None,
    }
}

pub(crate) fn verifier(root: &Root, signing: &SigningKey) -> anyhow::Result<Verifier> {
    let config = VerifierConfig::simulated(&[(Generation::Milan, root.ark_spki_sha256()?)], TrustList::none());
    Ok(Verifier::new(config, TokenSigner::new(IssuerUrl::parse(ISSUER)?, copy(signing)?)))
}

/// The three certificates' signatures, root first, and the report's.
pub(crate) fn signatures(evidence: &Evidence) -> anyhow::Result<[Signature; 4]> {
    let chain = x509::Certificate::from_pem_bundle(evidence.vek_chain_pem.as_bytes(), &Limits::default())?;
    let [vek, ask, ark] = <[_; 3]>::try_from(chain).map_err(|_| anyhow::anyhow!("a chain has three certificates"))?;
    let report = Report::parse(&evidence.report)?;
    let number = |little_endian: &[u8]| little_endian.iter().rev().copied().collect::<Vec<u8>>();
    let report = Signature {
        message: report.signed().to_vec(),
        signature: [number(report.signature_r()), number(report.signature_s())].concat(),
        key: Some(certified(vek.der(), &ECDSA_P384_SHA384_FIXED)?),
    };
    Ok([certificate_signature(&ark)?, certificate_signature(&ask)?, certificate_signature(&vek)?, report])
}

fn certificate_signature(certificate: &x509::Certificate) -> anyhow::Result<Signature> {
    let parsed = x509_cert::Certificate::from_der(certificate.der())?;
    Ok(Signature { message: certificate.tbs().to_vec(), signature: parsed.signature().raw_bytes().to_vec(), key: None })
}

pub(crate) fn certified(der: &[u8], algorithm: &'static dyn VerificationAlgorithm) -> anyhow::Result<ParsedPublicKey> {
    let certificate = x509::Certificate::from_der(der, &Limits::default())?;
    let key = certificate.public_key()?;
    ParsedPublicKey::new(algorithm, key.bits).map_err(|_| anyhow::anyhow!("key refused"))
}

pub(crate) const PSS: &dyn VerificationAlgorithm = &RSA_PSS_2048_8192_SHA384;
