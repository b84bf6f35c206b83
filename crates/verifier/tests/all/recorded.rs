use std::time::{Duration, UNIX_EPOCH};

use skerry_attestation_result::{Authority, Provenance};
use skerry_evidence::evidence::BindingError;
use skerry_jose::b64;
use skerry_verifier::wire::{Data, SnpRequest};
use skerry_verifier::{AttestError, VerifierConfig};

use crate::support::*;

fn vector(name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var("SKERRY_VECTORS").unwrap_or_else(|_| "../../../shared/vectors".into());
    let path = std::path::Path::new(&folder).join(name);
    let bytes = std::fs::read(&path);
    if bytes.is_err() {
        eprintln!("SKIPPED: {} is not there (set SKERRY_VECTORS)", path.display());
    }
    bytes.ok()
}

/// Real evidence sent to the real service in 2025, and the token it gave: ours has the same payload, byte for byte.
#[test]
fn payload_equals_that_of_the_real_service() {
    let (Some(body), Some(theirs)) = (vector("maa/sevsnp/request-aci.json"), vector("maa/sevsnp/token-aci.jwt")) else {
        return;
    };
    let theirs = String::from_utf8(theirs).unwrap();
    let theirs = String::from_utf8(b64::decode(theirs.trim().split('.').nth(1).unwrap()).unwrap()).unwrap();
    let member = |name: &str| theirs.split(&format!("\"{name}\":\"")).nth(1).unwrap().split('"').next().unwrap();
    let issued = UNIX_EPOCH + Duration::from_secs(1_744_085_700);
    let verifier = skerry_verifier::Verifier::new(VerifierConfig::real(), signer(member("iss")));
    let request = SnpRequest::parse(&body).unwrap();
    let token = verifier.attest(&request, issued, &mut rng()).unwrap();
    let ours = payload(&token);
    let jti = claims(&token).get("jti").unwrap().as_str().unwrap().to_owned();
    assert_eq!(ours.replace(&jti, member("jti")), theirs);
    let result = Authority::built_in(verifier.signer()).unwrap().verify(token.as_str(), issued).unwrap();
    assert_eq!(result.provenance(), Provenance::Real);
}

/// Real evidence with runtime data that it does not cover.
#[test]
fn real_evidence_with_other_runtime_data_is_refused() {
    let Some(body) = vector("maa/sevsnp/request-aci.json") else { return };
    let mut request = SnpRequest::parse(&body).unwrap();
    request.runtime_data = Some(Data::json(b"{}").unwrap());
    let issued = UNIX_EPOCH + Duration::from_secs(1_744_085_700);
    let error = verifier(VerifierConfig::real()).attest(&request, issued, &mut rng()).unwrap_err();
    assert_eq!(error, AttestError::Binding(BindingError::RuntimeData));
}

/// The full set of a confidential container of 2023: chain, UVM endorsement, runtime data and policy hash all bound.
#[test]
fn container_evidence_is_compliant() {
    let files = ["report.bin", "certs.pem", "cose", "runtime-data.json", "policy.rego"];
    let files: Vec<_> = files.iter().filter_map(|file| vector(&format!("uvm/caci-milan-2023.{file}"))).collect();
    let [report, chain_pem, cose, runtime, policy] = files.as_slice() else { return };
    let request = SnpRequest {
        report: report.clone(),
        chain_pem: chain_pem.clone(),
        uvm: vec![cose.clone()],
        runtime_data: Data::json(runtime).ok(),
        init_data: Some(Data { bytes: policy.clone(), json: None }),
        nonce: None,
    };
    let at = UNIX_EPOCH + Duration::from_secs(1_772_323_200);
    let claims = claims(&verifier(VerifierConfig::real()).attest(&request, at, &mut rng()).unwrap());
    let status = claims.get("x-ms-compliance-status").and_then(|status| status.as_str());
    assert_eq!(status, Some("azure-compliant-uvm"));
    assert!(claims.get("x-skerry-simulated").is_none());
}
