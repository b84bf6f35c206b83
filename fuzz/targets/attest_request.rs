//! Attest requests for SEV-SNP: what is read is written and read again as the same, one that has a draft policy asks for no
//! token, and nothing is real hardware's.
//!
//! Without NUL an input is a body. With one it is report, PEM chain, UVM endorsement, runtime data, init data and nonce,
//! before they are encoded.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use skerry_attestation_result::{IssuerUrl, TokenSigner};
use skerry_fuzz::{now, parts};
use skerry_jose::json::Object;
use skerry_jose::{Algorithm, SigningKey, b64};
use skerry_verifier::wire::{Asked, SnpRequest, WireError};
use skerry_verifier::{Verifier, VerifierConfig};

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let issuer = IssuerUrl::parse("https://attest.example").expect("an issuer");
    let key = SigningKey::generate(Algorithm::Es256).expect("a key");
    Verifier::new(VerifierConfig::real(), TokenSigner::new(issuer, key))
});

fuzz_target!(|data: &[u8]| {
    read(data);
    if data.contains(&0) {
        read(body(data).as_bytes());
    }
});

fn read(body: &[u8]) {
    let request = match Asked::parse(body) {
        Ok(Asked::Token(request)) => request,
        Ok(Asked::Draft(request, _)) => {
            assert_eq!(SnpRequest::parse(body), Err(WireError::Draft));
            request
        }
        Err(error) => return assert_eq!(SnpRequest::parse(body), Err(error)),
    };
    let again = SnpRequest::parse(request.to_body().as_bytes()).expect("a request that was read is written and read");
    assert_eq!(again, request);
    assert!(VERIFIER.verify(&request, now()).is_err(), "taken for real hardware");
}

fn body(data: &[u8]) -> String {
    let [kinds, report, chain, uvm, runtime, init, nonce] = parts(data);
    let endorsements = Object::new().with("Uvm", vec![b64::encode(uvm)]).to_json();
    let mut inner = Object::new().with("SnpReport", b64::encode(report)).with("VcekCertChain", b64::encode(chain));
    if !uvm.is_empty() {
        inner.insert("Endorsements", b64::encode(endorsements));
    }
    let mut body = Object::new().with("report", b64::encode(inner.to_json()));
    for (place, (name, bytes)) in [("runtimeData", runtime), ("initTimeData", init)].into_iter().enumerate() {
        let kind = if kinds.get(place) == Some(&b'b') { "Binary" } else { "JSON" };
        body.insert(name, Object::new().with("data", b64::encode(bytes)).with("dataType", kind));
    }
    if let Ok(nonce) = std::str::from_utf8(nonce) {
        body.insert("nonce", nonce);
    }
    body.to_json()
}
