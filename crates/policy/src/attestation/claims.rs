//! Claims as rules see them: type, value, type of the value, issuer.

use std::sync::Arc;

use skerry_jose::json::{self, Object};

/// The value of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text; JSON that evidence carries is a text too.
    String(Arc<str>),
    /// An integer. Those of a policy's text are of 64 bits with a sign, those of evidence may be of 64 without.
    Integer(i128),
    /// True or false.
    Boolean(bool),
}

impl Value {
    /// Its type, by the name that `valueType` has for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "String",
            Self::Integer(_) => "Integer",
            Self::Boolean(_) => "Boolean",
        }
    }

    pub(super) fn text(text: &str) -> Value {
        Self::String(text.into())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::String(text) => text.len(),
            Self::Integer(_) | Self::Boolean(_) => 8,
        }
    }

    /// None for an integer that no JSON of ours has: none is made.
    pub(super) fn to_json(&self) -> Option<json::Value> {
        match self {
            Self::String(text) => Some(json::Value::from(&**text)),
            Self::Boolean(value) => Some(json::Value::from(*value)),
            Self::Integer(value) => {
                let signed = i64::try_from(*value).map(json::Value::from);
                signed.or_else(|_| u64::try_from(*value).map(json::Value::from)).ok()
            }
        }
    }

    /// None for null, arrays and objects, and for numbers that are no integers of 64 bits.
    pub(super) fn of_scalar(value: &json::Value) -> Option<Value> {
        match value {
            json::Value::Bool(value) => Some(Self::Boolean(*value)),
            json::Value::String(text) => Some(Self::text(text)),
            json::Value::Number(number) => {
                number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)).map(Self::Integer)
            }
            json::Value::Null | json::Value::Array(_) | json::Value::Object(_) => None,
        }
    }
}

/// Who says a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimIssuer {
    /// The verifier, of evidence that holds.
    AttestationService,
    /// A rule of the policy.
    AttestationPolicy,
}

impl ClaimIssuer {
    /// The name that `issuer` has for it. `CustomClaim`, what a client adds, is nobody's here.
    pub fn name(self) -> &'static str {
        match self {
            Self::AttestationService => "AttestationService",
            Self::AttestationPolicy => "AttestationPolicy",
        }
    }
}

/// A claim before the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its type, which is its name.
    pub kind: Arc<str>,
    /// Its value.
    pub value: Value,
    /// Who says it.
    pub issuer: ClaimIssuer,
}

impl Claim {
    /// The claims of these members, said by the service: an object, and whatever else is no scalar, is a text that holds JSON;
    /// an array of scalars is one claim for each; null is none. The caller vouches that they come from evidence that was
    /// verified.
    pub fn of_service(members: &Object) -> Vec<Claim> {
        members.iter().flat_map(|(name, value)| of_member(name, value)).collect()
    }
}

fn of_member(name: &str, value: &json::Value) -> Vec<Claim> {
    let kind: Arc<str> = name.into();
    let values = match value {
        json::Value::Null => Vec::new(),
        json::Value::Array(items) => {
            let scalars: Option<Vec<_>> = items.iter().map(Value::of_scalar).collect();
            scalars.unwrap_or_else(|| vec![as_text(value)])
        }
        _ => vec![Value::of_scalar(value).unwrap_or_else(|| as_text(value))],
    };
    let claim = |value| Claim { kind: Arc::clone(&kind), value, issuer: ClaimIssuer::AttestationService };
    values.into_iter().map(claim).collect()
}

/// Members sorted, as the token has them.
fn as_text(value: &json::Value) -> Value {
    let mut value = value.clone();
    value.sort();
    Value::text(&value.to_json())
}

/// Whether the name is the service's, so that no rule makes a claim of it: what the verifier says of evidence, what the
/// frame of a token says, and what Relying Parties take keys from. Case makes no difference.
pub fn is_reserved(name: &str) -> bool {
    let begins = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    RESERVED_PREFIXES.into_iter().any(begins) || RESERVED.into_iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Claims of the service for all types of evidence, and ours.
const RESERVED_PREFIXES: [&str; 5] = ["x-ms-", "x-skerry-", "tdx_", "maa-", "aas-"];

/// RFC 7519, 4.1; RFC 7800 (`cnf`); further claims that the service's own tokens have (attestation specification, 4). The
/// deprecated names that its default policy for SGX issues are not among these.
const RESERVED: [&str; 23] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "cnf",
    "nonce",
    "ver",
    "policy_hash",
    "policy_signer",
    "rp_data",
    "eat_profile",
    "intuse",
    "dbgstat",
    "attester_tcb_status",
    "secureboot",
    "keys",
    "alg",
    "jku",
    "kid",
    "x5c",
];
