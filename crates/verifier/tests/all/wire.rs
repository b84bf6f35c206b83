use skerry_jose::b64;
use skerry_jose::json::Object;
use skerry_verifier::limits;
use skerry_verifier::wire::{Data, SnpRequest, WireError};

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
    assert_eq!(parse(body().with("draftPolicyForAttestation", "x")), Err(WireError::DraftPolicy));
}

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
