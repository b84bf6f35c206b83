//! Appraisal policies and the documents that set them: what is read is kept octet for octet, an appraisal of any claims
//! ends and is told alike with and without its findings, and issues no claim of the service's names. A text that is read for
//! one type of evidence and refused for another is refused for a property. An input is a policy, a NUL, claims, a NUL, and a
//! document.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skerry_fuzz::parts;
use skerry_jose::json::{self, Object};
use skerry_policy::attestation::{
    AppraisalPolicy, Claim, EvidenceType, PolicyDocument, PolicyParsingErrorKind as Kind, Reset, Trust, is_reserved,
};

fuzz_target!(|data: &[u8]| {
    let [policy, claims, document] = parts(data);
    let claims = json::parse(claims, &skerry_jose::limits::JSON).ok().and_then(json::Value::into_object);
    if let Ok(text) = std::str::from_utf8(policy) {
        read(text, &claims.unwrap_or_default());
    }
    if let Ok(text) = std::str::from_utf8(document) {
        signed(text);
    }
});

fn read(text: &str, claims: &Object) {
    let policy = AppraisalPolicy::parse(EvidenceType::SevSnpVm, text);
    let other = AppraisalPolicy::parse(EvidenceType::Tpm, text);
    match (&policy, &other) {
        (Ok(one), Ok(other)) => assert_eq!(one, other),
        (Err(one), Err(other)) if !is_of_type(&one.kind) && !is_of_type(&other.kind) => assert_eq!(one, other),
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => assert!(is_of_type(&error.kind), "{error}"),
        (Err(_), Err(_)) => {}
    }
    let Ok(policy) = policy else { return };
    assert_eq!(policy.text(), text);
    for claims in [Claim::of_service(&Object::new()), Claim::of_service(claims)] {
        let verdict = policy.explain(&claims);
        assert_eq!(verdict.outcome, policy.appraise(&claims));
        let permits = |section| verdict.findings.iter().any(|one| one.fired && one.action == section);
        if let Ok(appraised) = &verdict.outcome {
            assert!(permits("permit") && !permits("deny"));
            assert!(appraised.issued.iter().all(|(name, _)| !is_reserved(name)));
        }
    }
}

fn is_of_type(kind: &Kind) -> bool {
    matches!(kind, Kind::Property(_) | Kind::PropertyType { .. })
}

fn signed(text: &str) {
    let reset = Reset::parse(text, &Trust::Callers);
    let Ok(document) = PolicyDocument::parse(EvidenceType::SevSnpVm, text, &Trust::Callers) else { return };
    assert!(reset.is_err(), "a document sets and resets");
    assert_eq!(document.text(), text);
    let nobody = Trust::Signers(Vec::new());
    assert!(PolicyDocument::parse(EvidenceType::SevSnpVm, text, &nobody).is_err(), "nobody is a signer");
}
