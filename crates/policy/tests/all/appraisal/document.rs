//! Documents that set or reset a policy: their form, and those that nobody signed. Signed ones are tested where certificates
//! are made (`vault appraisal`), and recorded ones here where they are.

use skerry_jose::b64;
use skerry_policy::attestation::{DocumentError, EvidenceType, PolicyDocument, PolicyParsingErrorKind, Reset, Trust};
use skerry_policy::limits::DOCUMENT_BYTES_MAX;

const TEXT: &str = "version=1.0; authorizationrules{=> permit();}; issuancerules{};";
/// `{"alg":"none"}`.
const UNSIGNED: &str = "eyJhbGciOiJub25lIn0";

fn document(header: &str, payload: &str, signature: &str) -> String {
    format!("{}.{}.{signature}", b64::encode(header), b64::encode(payload))
}

fn payload(text: &str) -> String {
    format!(r#"{{"AttestationPolicy": "{}"}}"#, b64::encode(text))
}

fn parse(text: &str) -> Result<PolicyDocument, DocumentError> {
    PolicyDocument::parse(EvidenceType::SevSnpVm, text, &Trust::Callers)
}

/// The recorded unsigned document, whose hash the service answered with.
#[test]
fn the_recorded_document_has_its_hash() {
    let recorded = "eyJhbGciOiJub25lIn0.eyJBdHRlc3RhdGlvblBvbGljeSI6ICJkbVZ5YzJsdmJqMHhMakE3SUdGMWRHaHZjbWw2WVhScGIyNXlkV3hsYzNzOVBpQndaWEp0YVhRb0tUdDlPeUJwYzNOMVlXNWpaWEoxYkdWemUzMDcifQ.";
    let document = parse(recorded).unwrap();
    assert_eq!(document.hash(), "pyhI2FKMjRkvpvwS07hLclAyvsi5O4TrnzL5OPsIxzM");
    assert_eq!((document.text(), document.policy().text()), (recorded, TEXT));
    assert_eq!(document.policy().hash(), "z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU");
    assert!(document.signer().is_none());
    assert_eq!(recorded, document_of(TEXT));
}

fn document_of(text: &str) -> String {
    document(r#"{"alg":"none"}"#, &payload(text), "")
}

/// Whatever is not of the form is refused by its name.
#[test]
fn forms_are_checked() {
    let good = document_of(TEXT);
    let large = format!("{UNSIGNED}.{}.", "A".repeat(DOCUMENT_BYTES_MAX));
    for (text, error) in [
        ("garbage".to_owned(), DocumentError::NoFirstPeriod),
        (String::new(), DocumentError::NoFirstPeriod),
        (format!("{UNSIGNED}."), DocumentError::Parts { parts: 2 }),
        (format!("{good}."), DocumentError::Parts { parts: 4 }),
        (format!("{good}\n"), DocumentError::NotBase64 { part: "signature" }),
        (format!(" {good}"), DocumentError::NotBase64 { part: "header" }),
        (format!("{UNSIGNED}.){}", &good[UNSIGNED.len() + 2..]), DocumentError::NotBase64 { part: "payload" }),
        (large.clone(), DocumentError::TooLarge { len: large.len(), max: DOCUMENT_BYTES_MAX }),
        (document("[]", &payload(TEXT), ""), DocumentError::NotAnObject { part: "header" }),
        (document("{}", &payload(TEXT), ""), DocumentError::NoAlgorithm),
        (document(r#"{"alg":1}"#, &payload(TEXT), ""), DocumentError::NoAlgorithm),
        (document(r#"{"alg":"None"}"#, &payload(TEXT), ""), DocumentError::Algorithm("None".into())),
        (document(r#"{"alg":"HS256"}"#, &payload(TEXT), "AA"), DocumentError::Algorithm("HS256".into())),
        (document(r#"{"alg":"ES256","x5c":["AA=="]}"#, &payload(TEXT), "AA"), DocumentError::Algorithm("ES256".into())),
        (document(r#"{"alg":"ECDH256"}"#, &payload(TEXT), "AA"), DocumentError::Algorithm("ECDH256".into())),
        (document(r#"{"alg":"none","crit":["x"]}"#, &payload(TEXT), ""), DocumentError::HeaderMember("crit")),
        (document(r#"{"alg":"none","b64":false}"#, &payload(TEXT), ""), DocumentError::HeaderMember("b64")),
        (document(r#"{"alg":"none"}"#, &payload(TEXT), "AA"), DocumentError::UnsignedWithSignature),
        (document(r#"{"alg":"RS256"}"#, &payload(TEXT), "AA"), DocumentError::NoCertificate),
        (document(r#"{"alg":"RS256","jwk":{}}"#, &payload(TEXT), "AA"), DocumentError::NoCertificate),
        (document(r#"{"alg":"RS256","jwk":1}"#, &payload(TEXT), "AA"), DocumentError::Certificates),
        (
            document(r#"{"alg":"RS256","jwk":{"kty":"EC","x5c":["AA=="]}}"#, &payload(TEXT), "AA"),
            DocumentError::Certificates,
        ),
        (document(r#"{"alg":"RS256","x5c":[]}"#, &payload(TEXT), "AA"), DocumentError::Certificates),
        (document(r#"{"alg":"RS256","x5c":[1]}"#, &payload(TEXT), "AA"), DocumentError::Certificates),
        (document(r#"{"alg":"RS256","x5c":["_w"]}"#, &payload(TEXT), "AA"), DocumentError::Certificates),
        (
            document(r#"{"alg":"RS256","x5c":["AA=="],"jwk":{"x5c":["AA=="]}}"#, &payload(TEXT), "AA"),
            DocumentError::CertificatesTwice,
        ),
        (format!("{UNSIGNED}.."), DocumentError::NoPolicy),
        (document(r#"{"alg":"none"}"#, "{}", ""), DocumentError::NoPolicy),
        (document(r#"{"alg":"none"}"#, "[]", ""), DocumentError::NotAnObject { part: "payload" }),
        (document(r#"{"alg":"none"}"#, r#"{"AttestationPolicy":1}"#, ""), DocumentError::NoPolicy),
        (document(r#"{"alg":"none"}"#, r#"{"attestationPolicy":""}"#, ""), DocumentError::NoPolicy),
        (
            document(r#"{"alg":"none"}"#, r#"{"AttestationPolicy":"","exp":1}"#, ""),
            DocumentError::PayloadMember("exp".into()),
        ),
        (document(r#"{"alg":"none"}"#, r#"{"AttestationPolicy":")"}"#, ""), DocumentError::PolicyText),
        (document(r#"{"alg":"none"}"#, r#"{"AttestationPolicy":"AQ=="}"#, ""), DocumentError::PolicyText),
        (document(r#"{"alg":"none"}"#, r#"{"AttestationPolicy":"_w"}"#, ""), DocumentError::PolicyText),
    ] {
        assert_eq!(parse(&text).map(drop), Err(error), "{text}");
    }
    for (header, payload) in [("{", payload(TEXT)), (r#"{"alg":"none","alg":"none"}"#, payload(TEXT))] {
        assert!(matches!(parse(&document(header, &payload, "")), Err(DocumentError::Json { part: "header", .. })));
    }
    let twice = r#"{"AttestationPolicy":"","AttestationPolicy":""}"#;
    assert!(matches!(
        parse(&document(r#"{"alg":"none"}"#, twice, "")),
        Err(DocumentError::Json { part: "payload", .. })
    ));
    let Err(DocumentError::Policy(error)) = parse(&document_of("this is no policy")) else { panic!("a policy") };
    assert_eq!(error.kind, PolicyParsingErrorKind::Mismatched { found: "this".into(), expected: "'version'" });
    let certificate = parse(&document(r#"{"alg":"RS256","x5c":["AA=="]}"#, &payload(TEXT), "AA"));
    assert!(matches!(certificate, Err(DocumentError::Certificate(_))));
}

/// A reset has no payload; what sets a policy resets none, and the other way round.
#[test]
fn resets_are_empty() {
    let reset = format!("{UNSIGNED}..");
    assert!(Reset::parse(&reset, &Trust::Callers).is_ok());
    assert_eq!(parse(&reset), Err(DocumentError::NoPolicy));
    assert_eq!(Reset::parse(&document_of(TEXT), &Trust::Callers), Err(DocumentError::ResetPayload));
    assert_eq!(Reset::parse(&format!("{UNSIGNED}..AA"), &Trust::Callers), Err(DocumentError::UnsignedWithSignature));
    assert_eq!(Reset::parse("", &Trust::Callers), Err(DocumentError::NoFirstPeriod));
}

/// Where there are signers, what nobody signed is refused, whatever it says; no list of signers is empty.
#[test]
fn signers_leave_nothing_unsigned() {
    let none = Trust::Signers(Vec::new());
    assert_eq!(PolicyDocument::parse(EvidenceType::SevSnpVm, &document_of(TEXT), &none), Err(DocumentError::Unsigned));
    assert_eq!(Reset::parse(&format!("{UNSIGNED}.."), &none), Err(DocumentError::Unsigned));
    assert_eq!(Trust::signers(&[]), Err(DocumentError::Certificates));
    assert!(matches!(Trust::signers(&[vec![0]]), Err(DocumentError::Certificate(_))));
}

/// What clients sent signed and the service answered (recorded in 2021), where the recordings are at hand.
#[test]
fn recorded_signed_documents_hold() {
    let Some((aad, isolated)) = recorded("aad_set_policy_secured").zip(recorded("isolated_set_policy_secured")) else {
        return;
    };
    let document = parse(&aad).unwrap();
    assert_eq!(document.hash(), "lFJ61CzxskpJI4v_96DUFW8MVtXxR6IjagWoLOCDRWM");
    assert_eq!(document.policy().text(), TEXT);
    let signer = document.signer().unwrap();
    assert!(signer.claim().to_json().starts_with(r#"{"kty":"RSA","x5c":["MIIC1zCCAb"#));
    assert!(signer.result().to_json().starts_with(r#"{"alg":"RS256","kty":"RSA","use":"sig","x5c":["MIIC1zCCAb"#));
    assert_eq!(parse(&isolated).unwrap().hash(), "g4IzgroZn19ntHWCim0EY1eDdPcJkPQMDIeODZkHocM");
    let signers = |document: &str| Trust::Signers(vec![parse(document).unwrap().signer().unwrap().key().clone()]);
    let by = |trust: &Trust| PolicyDocument::parse(EvidenceType::Tpm, &aad, trust).map(drop);
    assert_eq!((by(&signers(&aad)), by(&signers(&isolated))), (Ok(()), Err(DocumentError::UnknownSigner)));
    // Another bit anywhere in payload or signature, and the signature does not hold.
    let payload_at = aad.find('.').unwrap() + 1;
    for at in (payload_at..aad.len()).step_by(7) {
        let mut altered = aad.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        assert!(parse(&altered).is_err(), "{at}");
    }
}

fn recorded(name: &str) -> Option<String> {
    let folder = std::env::var("SKERRY_VECTORS").unwrap_or_else(|_| "../../../shared/vectors".into());
    let path = std::path::Path::new(&folder).join(format!("maa/http/policy_getset.{name}.json"));
    let Ok(bytes) = std::fs::read(&path) else {
        eprintln!("SKIPPED: {} is not there (set SKERRY_VECTORS)", path.display());
        return None;
    };
    let exchanges: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    Some(exchanges[0]["request_body"].as_str().unwrap().to_owned())
}
