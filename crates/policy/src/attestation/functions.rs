//! Functions of version 1.2, as far as it is known exactly what they do.
//!
//! `JmesPath` is not among them: which dialect the service evaluates, and how it prints results, no source says exactly.

use skerry_jose::json;

use super::claims::Value;
use crate::limits::{APPRAISAL_JSON, APPRAISAL_TEXT_BYTES_MAX};

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    /// Two strings, joined.
    AppendString,
    /// The other boolean.
    NegateBool,
    /// Whether every element of the first set is in the second.
    IsSubsetOf,
    /// Whether the set has elements, and each is the value.
    ContainsOnlyValue,
    /// What JSON says: a scalar, or each element of an array of scalars; of null nothing.
    JsonToClaimValue,
}

/// Why a function has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum FunctionError {
    #[error("{function} takes {expected}")]
    Type { function: &'static str, expected: &'static str },
    #[error("{function} of an empty set")]
    EmptySet { function: &'static str },
    #[error("a text of more than {max} bytes is made")]
    TooLong { max: usize },
    #[error("JsonToClaimValue of a text that is no JSON, or too much of it")]
    Json,
    #[error("JsonToClaimValue of JSON that is no scalar and no array of scalars; numbers are integers of 64 bits")]
    NotScalar,
}

impl Function {
    pub(super) const ALL: [Function; 5] =
        [Self::AppendString, Self::NegateBool, Self::IsSubsetOf, Self::ContainsOnlyValue, Self::JsonToClaimValue];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AppendString => "AppendString",
            Self::NegateBool => "NegateBool",
            Self::IsSubsetOf => "IsSubsetOf",
            Self::ContainsOnlyValue => "ContainsOnlyValue",
            Self::JsonToClaimValue => "JsonToClaimValue",
        }
    }

    /// For each argument whether it is a set.
    pub(super) fn sets(self) -> &'static [bool] {
        match self {
            Self::AppendString => &[false, false],
            Self::NegateBool | Self::JsonToClaimValue => &[false],
            Self::IsSubsetOf => &[true, true],
            Self::ContainsOnlyValue => &[true, false],
        }
    }

    /// The result, a set. The caller vouches that there are as many arguments as it takes, and that those which are no sets
    /// have one element.
    pub(super) fn apply(self, arguments: &[Vec<Value>]) -> Result<Vec<Value>, FunctionError> {
        let set = |at: usize| arguments.get(at).map(Vec::as_slice).unwrap_or_default();
        let one = |at| set(at).first();
        let wrong = |expected| FunctionError::Type { function: self.name(), expected };
        match self {
            Self::AppendString => match (one(0), one(1)) {
                (Some(Value::String(first)), Some(Value::String(second))) => append(first, second),
                _ => Err(wrong("two strings")),
            },
            Self::NegateBool => match one(0) {
                Some(Value::Boolean(value)) => Ok(vec![Value::Boolean(!value)]),
                _ => Err(wrong("a boolean")),
            },
            // Whether nothing is a subset no source says; the mathematical answer would let a missing claim pass.
            Self::IsSubsetOf if set(0).is_empty() => Err(FunctionError::EmptySet { function: self.name() }),
            Self::IsSubsetOf => Ok(vec![Value::Boolean(set(0).iter().all(|own| set(1).contains(own)))]),
            Self::ContainsOnlyValue => {
                let only = !set(0).is_empty() && set(0).iter().all(|own| Some(own) == one(1));
                Ok(vec![Value::Boolean(only)])
            }
            Self::JsonToClaimValue => match one(0) {
                Some(Value::String(text)) => json_to_claim_value(text),
                _ => Err(wrong("a string")),
            },
        }
    }
}

/// The name of a function that is documented and not here.
pub(super) fn unsupported(name: &str) -> Option<&'static str> {
    (name == JMES_PATH).then_some(JMES_PATH)
}

fn append(first: &str, second: &str) -> Result<Vec<Value>, FunctionError> {
    if first.len().saturating_add(second.len()) > APPRAISAL_TEXT_BYTES_MAX {
        return Err(FunctionError::TooLong { max: APPRAISAL_TEXT_BYTES_MAX });
    }
    Ok(vec![Value::String([first, second].concat().into())])
}

fn json_to_claim_value(text: &str) -> Result<Vec<Value>, FunctionError> {
    let value = json::parse(text.as_bytes(), &APPRAISAL_JSON).map_err(|_| FunctionError::Json)?;
    let scalar = |value| match Value::of_scalar(value) {
        Some(Value::Integer(value)) if i64::try_from(value).is_err() => Err(FunctionError::NotScalar),
        Some(value) => Ok(value),
        None => Err(FunctionError::NotScalar),
    };
    match &value {
        json::Value::Null => Ok(Vec::new()),
        json::Value::Array(items) => items.iter().map(scalar).collect(),
        one => Ok(vec![scalar(one)?]),
    }
}

const JMES_PATH: &str = "JmesPath";
