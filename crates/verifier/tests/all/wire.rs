use skerry_jose::b64;
use skerry_jose::json::{Object, Value};
use skerry_policy::attestation::{AppraisalPolicy, EvidenceType};
use skerry_verifier::limits;
use skerry_verifier::wire::{Asked, Data, SnpRequest, WireError};

fn report(members: Object) -> String {
    b64::encode(members.to_json())
}

fn inner() -> Object {
    Object::new().with("SnpReport", "AQ").with("VcekCertChain", "Ag")
}

fn parse(body: Object) -> Result<SnpRequest, WireError> {
    SnpRequest::parse(body.to_json().as_bytes())
}

fn body() -> Object {
    Object::new().with("report", report(inner()))
}

/// What Microsoft's sidecar sends: padded base64url, a numeric nonce, empty init data, no care for unknown members.
#[test]
fn sidecar_s_spelling_is_read() {
    let inner = Object::new().with("SnpReport", "AQ==").with("VcekCertChain", "Ag==").with("Endorsements", "");
    let padded = format!("{}==", report(inner).trim_end_matches('='));
    let runtime = Object::new().with("data", "e30=").with("dataType", "JSON");
    let init = Object::new().with("data", "").with("dataType", "");
    let body = Object::new()
        .with("report", padded.trim_end_matches('='))
        .with("runtimeData", runtime)
        .with("initTimeData", init)
        .with("nonce", u64::MAX)
        .with("other", 1u64);
    let request = parse(body).unwrap();
    assert_eq!((request.report.as_slice(), request.chain_pem.as_slice()), (&[1][..], &[2][..]));
    assert_eq!(request.runtime_data, Some(Data::json(b"{}").unwrap()));
    assert_eq!((request.init_data, request.nonce), (None, Some("18446744073709551615".into())));
    assert!(request.uvm.is_empty());
}

/// Names are compared without case at every level of the request (observed: `AttestationInfo` for `attestationInfo`).
#[test]
fn names_have_no_case() {
    let uvm = Object::new().with("UVM", vec!["Aw"]).to_json();
    let inner =
        Object::new().with("snpReport", "AQ").with("VCEKCERTCHAIN", "Ag").with("endorsements", b64::encode(uvm));
    let data = |json: &str| Object::new().with("Data", b64::encode(json)).with("DATATYPE", "JSON");
    let body = Object::new()
        .with("Report", report(inner))
        .with("RuntimeData", data("{}"))
        .with("INITTIMEDATA", data("{\"a\":1}"))
        .with("Nonce", "n");
    let spelled = SnpRequest {
        report: vec![1],
        chain_pem: vec![2],
        uvm: vec![vec![3]],
        runtime_data: Some(Data::json(b"{}").unwrap()),
        init_data: Some(Data::json(b"{\"a\":1}").unwrap()),
        nonce: Some("n".into()),
    };
    assert_eq!(parse(body.clone()), Ok(spelled));
    let draft = body.with("DraftPolicyForAttestation", AppraisalPolicy::snp_default().text());
    assert_eq!(parse(draft), Err(WireError::Draft));
}

/// A name that comes twice is refused, in one case or two, known or not; what differs in more than case is another name.
#[test]
fn a_name_comes_once() {
    for other in ["Report", "REPORT"] {
        assert_eq!(parse(body().with(other, report(inner()))), Err(WireError::Duplicate("body")));
        assert_eq!(parse(body().with(other, Value::Null)), Err(WireError::Duplicate("body")));
    }
    assert_eq!(parse(body().with("x", 1u64).with("X", 1u64)), Err(WireError::Duplicate("body")));
    let inner = inner().with("snpreport", "AQ");
    assert_eq!(parse(Object::new().with("report", report(inner))), Err(WireError::Duplicate("report")));
    let data = Object::new().with("data", "e30").with("dataType", "JSON");
    for name in ["runtimeData", "initTimeData"] {
        for other in ["Data", "DataType"] {
            let twice = data.clone().with(other, "");
            assert_eq!(parse(body().with(name, twice)), Err(WireError::Duplicate(name)));
        }
    }
    let uvm = Object::new().with("Uvm", vec!["AQ"]).with("uvm", vec!["AQ"]).to_json();
    let inner = self::inner().with("Endorsements", b64::encode(uvm));
    assert_eq!(parse(Object::new().with("report", report(inner))), Err(WireError::Duplicate("Endorsements")));
    let same = SnpRequest::parse(br#"{"report":"AA","report":"AA"}"#);
    assert!(matches!(same, Err(WireError::Json { member: "body", .. })));
    assert!(parse(body().with("report ", 1u64).with("\u{212a}", 1u64).with("k", 1u64)).is_ok());
}

/// The data is the TEE's and no part of the request: its names keep their case, and two that differ in it are two.
#[test]
fn names_in_data_keep_their_case() {
    let json = r#"{"Keys":[],"keys":[]}"#;
    let runtime = Object::new().with("data", b64::encode(json)).with("dataType", "JSON");
    let data = parse(body().with("runtimeData", runtime)).unwrap().runtime_data.unwrap();
    assert_eq!(data.json.unwrap().to_json(), json);
}

/// Every binary member is taken in either alphabet, with padding and without; the two do not mix.
#[test]
fn either_alphabet_is_read() {
    let spelled = |text: &str| {
        let uvm = Object::new().with("Uvm", vec![text]).to_json();
        let inner = Object::new().with("SnpReport", text).with("VcekCertChain", text);
        let inner = inner.with("Endorsements", b64::encode_standard(uvm));
        let runtime = Object::new().with("data", text).with("dataType", "Binary");
        parse(Object::new().with("report", b64::encode_standard(inner.to_json())).with("runtimeData", runtime))
    };
    let bytes = vec![255, 239];
    for text in ["_-8", "_-8=", "/+8", "/+8="] {
        let request = spelled(text).unwrap();
        assert_eq!((&request.report, &request.chain_pem), (&bytes, &bytes));
        assert_eq!(request.uvm, vec![bytes.clone()]);
        assert_eq!(request.runtime_data.unwrap().bytes, bytes);
    }
    for text in ["_+8", "/-8=", "/+9", "/+8==", "/+8\n", " /+8"] {
        assert_eq!(spelled(text), Err(WireError::NotBase64("SnpReport")), "{text:?}");
    }
}

/// What is written is what is read.
#[test]
fn body_round_trips() {
    let request = SnpRequest {
        report: vec![1],
        chain_pem: vec![2],
        uvm: vec![vec![3], vec![4]],
        runtime_data: Some(Data::json(b"{\"a\":1}").unwrap()),
        init_data: Some(Data { bytes: vec![5], json: None }),
        nonce: Some("n".into()),
    };
    assert_eq!(SnpRequest::parse(request.to_body().as_bytes()), Ok(request));
}

/// Each malformed member is named.
#[test]
fn malformed_members_are_named() {
    assert_eq!(parse(Object::new()), Err(WireError::Missing("report")));
    assert_eq!(SnpRequest::parse(b"[]"), Err(WireError::NotAnObject("body")));
    assert!(matches!(SnpRequest::parse(b"{"), Err(WireError::Json { member: "body", .. })));
    assert_eq!(parse(Object::new().with("report", 1u64)), Err(WireError::WrongType("report")));
    assert_eq!(parse(Object::new().with("report", "+")), Err(WireError::NotBase64("report")));
    assert!(matches!(parse(Object::new().with("report", "AQ")), Err(WireError::Json { member: "report", .. })));
    for name in ["SnpReport", "VcekCertChain"] {
        let mut inner = inner();
        inner.remove(name);
        assert_eq!(parse(Object::new().with("report", report(inner))), Err(WireError::Missing(name)));
    }
}

/// A draft that is a policy is that policy, whatever it says; any other text is refused as the language refuses it. Null is
/// none.
#[test]
fn drafts_are_policies() {
    let asked = |draft: &str| Asked::parse(body().with(DRAFT, draft).to_json().as_bytes());
    let request = parse(body()).unwrap();
    let recorded = "version=1.0; authorizationrules{=> permit();}; issuancerules{};";
    let deny = "version=1.2;authorizationrules{![type==\"a\"] => deny();};";
    for text in [AppraisalPolicy::snp_default().text(), recorded, deny] {
        let policy = AppraisalPolicy::parse(EvidenceType::SevSnpVm, text).unwrap();
        assert_eq!(policy.text(), text);
        assert_eq!(asked(text), Ok(Asked::Draft(request.clone(), policy)));
        assert_eq!(parse(body().with(DRAFT, text)), Err(WireError::Draft));
    }
    let long = "x".repeat(64 * 1024 + 1);
    let tcb = "version=1.1;configurationrules{=>issueproperty(type=\"x-ms-sgx-tcbidentifier\", value=\"10\");};authorizationrules{};";
    for text in ["", "x", "version= 1.0;", tcb, &long, &b64::encode(AppraisalPolicy::snp_default().text())] {
        let refused = AppraisalPolicy::parse(EvidenceType::SevSnpVm, text).unwrap_err();
        assert_eq!(asked(text), Err(WireError::DraftPolicy(refused)), "{text:?}");
    }
    let other_type = Asked::parse(body().with(DRAFT, 1u64).to_json().as_bytes());
    assert_eq!(other_type, Err(WireError::WrongType(DRAFT)));
    let null = Asked::parse(body().with(DRAFT, Value::Null).to_json().as_bytes());
    assert_eq!(null, Ok(Asked::Token(request)));
}

const DRAFT: &str = "draftPolicyForAttestation";

/// Runtime data: JSON must be an object, of bounded size, and its type must be known.
#[test]
fn runtime_data_is_checked() {
    let with = |data: &[u8], kind: &str| {
        parse(body().with("runtimeData", Object::new().with("data", b64::encode(data)).with("dataType", kind)))
    };
    assert!(with(b"{}", "json").is_ok());
    assert_eq!(with(b"\0", "BINARY").unwrap().runtime_data, Some(Data { bytes: vec![0], json: None }));
    assert_eq!(with(b"[]", "JSON"), Err(WireError::NotAnObject("runtimeData")));
    assert!(matches!(with(b"{\"a\":1,\"a\":2}", "JSON"), Err(WireError::Json { member: "runtimeData", .. })));
    assert_eq!(with(b"{}", "Text"), Err(WireError::DataType));
    let len = limits::DATA_BYTES_MAX + 1;
    let too_large = WireError::TooLarge { name: "runtimeData", len, max: limits::DATA_BYTES_MAX };
    assert_eq!(with(&vec![b' '; len], "Binary"), Err(too_large));
    assert_eq!(parse(body().with("runtimeData", "x")), Err(WireError::WrongType("runtimeData")));
    let untyped = Object::new().with("data", "e30");
    assert_eq!(parse(body().with("runtimeData", untyped)), Err(WireError::Missing("dataType")));
}

/// Nonces and endorsements have bounds; a nonce that is neither text nor integer is refused.
#[test]
fn nonce_and_endorsements_are_bounded() {
    let len = limits::NONCE_BYTES_MAX + 1;
    let too_large = WireError::TooLarge { name: "nonce", len, max: limits::NONCE_BYTES_MAX };
    assert_eq!(parse(body().with("nonce", "n".repeat(len))), Err(too_large));
    assert_eq!(parse(body().with("nonce", true)), Err(WireError::WrongType("nonce")));
    assert_eq!(
        SnpRequest::parse(body().to_json().replacen('{', "{\"nonce\":1.5,", 1).as_bytes()),
        Err(WireError::WrongType("nonce"))
    );
    let endorsed = |uvm: Object| {
        parse(Object::new().with("report", report(inner().with("Endorsements", b64::encode(uvm.to_json())))))
    };
    assert_eq!(endorsed(Object::new().with("Uvm", vec!["AQ"; limits::UVM_MAX])).unwrap().uvm.len(), limits::UVM_MAX);
    assert_eq!(endorsed(Object::new().with("Uvm", vec!["AQ"; limits::UVM_MAX + 1])), Err(WireError::TooManyUvm));
    assert_eq!(endorsed(Object::new().with("Uvm", "AQ")), Err(WireError::WrongType("Uvm")));
    assert_eq!(endorsed(Object::new().with("Uvm", vec![1u64])), Err(WireError::WrongType("Uvm")));
    assert_eq!(endorsed(Object::new().with("Uvm", vec!["+"])), Err(WireError::NotBase64("Uvm")));
    assert!(endorsed(Object::new()).unwrap().uvm.is_empty());
}
