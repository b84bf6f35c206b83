//! The attest request for SEV-SNP, as Microsoft's clients send it (attestation spec 1.3, 6; observed from the sidecar).
//!
//! `{"report": b64url(JSON {"SnpReport", "VcekCertChain", "Endorsements"}), "runtimeData"?, "initTimeData"?, "nonce"?,
//! "draftPolicyForAttestation"?}`.
//! Members are base64url or base64, padded or not; their names are compared without case, and unknown ones are ignored, as
//! the service does. A name that comes twice, in whatever case, is refused: two readers must not read two requests. What
//! the members hold is strict from there on.

use std::collections::HashSet;

use skerry_jose::b64;
use skerry_jose::json::{self, Object, Value};
use skerry_policy::attestation::{AppraisalPolicy, EvidenceType, PolicyParsingError};

use crate::limits;

/// Why a body is not an attest request. Member names are those of the wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum WireError {
    #[error("{member} is not acceptable JSON")]
    Json { member: &'static str, source: json::Error },
    #[error("{0} is not a JSON object")]
    NotAnObject(&'static str),
    #[error("a member of {0} comes twice in different case")]
    Duplicate(&'static str),
    #[error("member {0} is missing")]
    Missing(&'static str),
    #[error("member {0} has the wrong JSON type")]
    WrongType(&'static str),
    #[error("member {0} is not base64")]
    NotBase64(&'static str),
    #[error("member {name} has {len} bytes, more than {max}")]
    TooLarge { name: &'static str, len: usize, max: usize },
    #[error("member dataType is neither JSON nor Binary")]
    DataType,
    #[error("more than {} UVM endorsements", limits::UVM_MAX)]
    TooManyUvm,
    #[error("member draftPolicyForAttestation")]
    DraftPolicy(#[source] PolicyParsingError),
    #[error("member draftPolicyForAttestation asks for a draft, where a token is asked for")]
    Draft,
}

/// Data that evidence binds: the bytes that were hashed, and for JSON what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// The bytes as received, which the TEE hashed.
    pub bytes: Vec<u8>,
    /// The object, for `dataType` JSON; none for Binary.
    pub json: Option<Object>,
}

/// An attest request for SEV-SNP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnpRequest {
    /// The attestation report.
    pub report: Vec<u8>,
    /// VCEK or VLEK, then its CAs, as PEM.
    pub chain_pem: Vec<u8>,
    /// UVM endorsements (COSE_Sign1).
    pub uvm: Vec<Vec<u8>>,
    /// What the report's REPORT_DATA binds.
    pub runtime_data: Option<Data>,
    /// What the report's HOST_DATA binds.
    pub init_data: Option<Data>,
    /// Echoed in the token; bound to nothing.
    pub nonce: Option<String>,
}

/// What a body asks for. Whoever asks under a policy of their own gets nothing that is signed, so these are two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A token, by the policy that is configured.
    Token(SnpRequest),
    /// What a token would say, by this policy instead.
    Draft(SnpRequest, AppraisalPolicy),
}

impl Asked {
    /// Reads a request body. A draft policy is plain text (recorded).
    pub fn parse(body: &[u8]) -> Result<Asked, WireError> {
        let body = object("body", body, &limits::BODY)?;
        let body = Members::of("body", &body)?;
        let draft =
            text(body, "draftPolicyForAttestation")?.map(|text| AppraisalPolicy::parse(EvidenceType::SevSnpVm, text));
        let draft = draft.transpose().map_err(WireError::DraftPolicy)?;
        let request = SnpRequest::of(body)?;
        Ok(match draft {
            None => Asked::Token(request),
            Some(draft) => Asked::Draft(request, draft),
        })
    }
}

impl SnpRequest {
    /// Reads a request body that asks for a token.
    pub fn parse(body: &[u8]) -> Result<SnpRequest, WireError> {
        match Asked::parse(body)? {
            Asked::Token(request) => Ok(request),
            Asked::Draft(..) => Err(WireError::Draft),
        }
    }

    fn of(body: Members<'_>) -> Result<SnpRequest, WireError> {
        let report = bytes(body, "report")?.ok_or(WireError::Missing("report"))?;
        let report = object("report", &report, &limits::BODY)?;
        let report = Members::of("report", &report)?;
        Ok(SnpRequest {
            report: bytes(report, "SnpReport")?.ok_or(WireError::Missing("SnpReport"))?,
            chain_pem: bytes(report, "VcekCertChain")?.ok_or(WireError::Missing("VcekCertChain"))?,
            uvm: uvm(report)?,
            runtime_data: data(body, "runtimeData")?,
            init_data: data(body, "initTimeData")?,
            nonce: nonce(body)?,
        })
    }

    /// Writes a request body as the sidecar does; the other half of [`parse`](Self::parse).
    pub fn to_body(&self) -> String {
        let endorsements: Vec<String> = self.uvm.iter().map(b64::encode).collect();
        let mut report = Object::new().with("SnpReport", b64::encode(&self.report));
        report.insert("VcekCertChain", b64::encode(&self.chain_pem));
        if !endorsements.is_empty() {
            let uvm = Object::new().with("Uvm", endorsements).to_json();
            report.insert("Endorsements", b64::encode(uvm));
        }
        let mut body = Object::new().with("report", b64::encode(report.to_json()));
        for (name, data) in [("runtimeData", &self.runtime_data), ("initTimeData", &self.init_data)] {
            if let Some(data) = data {
                let kind = if data.json.is_some() { "JSON" } else { "Binary" };
                body.insert(name, Object::new().with("data", b64::encode(&data.bytes)).with("dataType", kind));
            }
        }
        if let Some(nonce) = &self.nonce {
            body.insert("nonce", nonce.as_str());
        }
        body.to_json()
    }
}

impl Data {
    /// JSON data: the bytes and the object that they are.
    pub fn json(bytes: &[u8]) -> Result<Data, WireError> {
        Ok(Data { bytes: bytes.to_vec(), json: Some(object("data", bytes, &limits::DATA)?) })
    }
}

/// An object of a request, whose names are compared without case (observed: clients and specification differ in it). Only
/// ASCII has case here, as every name that is looked for is ASCII.
#[derive(Clone, Copy)]
struct Members<'a>(&'a Object);

impl<'a> Members<'a> {
    /// The members of `object`, iff no two of their names differ in case only.
    fn of(name: &'static str, object: &'a Object) -> Result<Members<'a>, WireError> {
        let mut seen = HashSet::with_capacity(object.len());
        let distinct = object.iter().all(|(own, _)| seen.insert(own.to_ascii_lowercase()));
        distinct.then_some(Members(object)).ok_or(WireError::Duplicate(name))
    }

    fn get(self, name: &str) -> Option<&'a Value> {
        self.0.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Absent, null, or present and empty (the sidecar always sends `{"data":"","dataType":""}`) all mean no data.
fn data(body: Members<'_>, name: &'static str) -> Result<Option<Data>, WireError> {
    let member = match body.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(member)) => Members::of(name, member)?,
        Some(_) => return Err(WireError::WrongType(name)),
    };
    let Some(bytes) = bytes(member, "data")?.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
    if bytes.len() > limits::DATA_BYTES_MAX {
        return Err(WireError::TooLarge { name, len: bytes.len(), max: limits::DATA_BYTES_MAX });
    }
    match text(member, "dataType")?.ok_or(WireError::Missing("dataType"))? {
        kind if kind.eq_ignore_ascii_case("JSON") => {
            let json = Some(object(name, &bytes, &limits::DATA)?);
            Ok(Some(Data { bytes, json }))
        }
        kind if kind.eq_ignore_ascii_case("Binary") => Ok(Some(Data { bytes, json: None })),
        _ => Err(WireError::DataType),
    }
}

/// `Endorsements` may be missing or empty; else base64url of `{"Uvm": [base64url, ...]}`.
fn uvm(report: Members<'_>) -> Result<Vec<Vec<u8>>, WireError> {
    let Some(endorsements) = bytes(report, "Endorsements")?.filter(|bytes| !bytes.is_empty()) else {
        return Ok(Vec::new());
    };
    let endorsements = object("Endorsements", &endorsements, &limits::BODY)?;
    let endorsements = Members::of("Endorsements", &endorsements)?;
    let Some(uvm) = endorsements.get("Uvm") else { return Ok(Vec::new()) };
    let uvm = uvm.as_array().ok_or(WireError::WrongType("Uvm"))?;
    if uvm.len() > limits::UVM_MAX {
        return Err(WireError::TooManyUvm);
    }
    let decode = |one: &Value| {
        let text = one.as_str().ok_or(WireError::WrongType("Uvm"))?;
        b64::decode_either(text).map_err(|_| WireError::NotBase64("Uvm"))
    };
    uvm.iter().map(decode).collect()
}

/// A text, or a number as the sidecar sends it (up to 2^64-1), echoed as text.
fn nonce(body: Members<'_>) -> Result<Option<String>, WireError> {
    let nonce = match body.get("nonce") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if number.is_integer() => number.text().to_owned(),
        Some(_) => return Err(WireError::WrongType("nonce")),
    };
    match nonce.len() {
        len if len > limits::NONCE_BYTES_MAX => {
            Err(WireError::TooLarge { name: "nonce", len, max: limits::NONCE_BYTES_MAX })
        }
        _ => Ok(Some(nonce)),
    }
}

fn object(member: &'static str, bytes: &[u8], limits: &json::Limits) -> Result<Object, WireError> {
    let value = json::parse(bytes, limits).map_err(|source| WireError::Json { member, source })?;
    value.into_object().ok_or(WireError::NotAnObject(member))
}

fn text<'a>(members: Members<'a>, name: &'static str) -> Result<Option<&'a str>, WireError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(WireError::WrongType(name)),
    }
}

fn bytes(members: Members<'_>, name: &'static str) -> Result<Option<Vec<u8>>, WireError> {
    text(members, name)?.map(|text| b64::decode_either(text).map_err(|_| WireError::NotBase64(name))).transpose()
}
