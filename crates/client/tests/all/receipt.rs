//! The receipt: without it, or with another one, no answer is believed.

use skerry_client::{Receipt, ReceiptError, ReleaseAnswerError};
use skerry_jose::b64;
use skerry_jose::json::Value;

use crate::support::*;

fn with(receipt: impl Into<Value>) -> Result<Receipt, ReleaseAnswerError> {
    verify(&answer(&payload().with(Receipt::MEMBER, receipt))).map(|release| release.receipt().clone())
}

/// The control: each member as it was written.
#[test]
fn receipt_is_read_as_written() {
    let read = with(receipt()).unwrap();
    assert_eq!((read.policy_digest, read.audit_leaf), ([2; 32], [5; 32]));
    assert_eq!((read.policy_generation, read.audit_index), (3, 4));
    assert_eq!(b64::encode(read.token_digest), receipt().get("token_digest").unwrap().as_str().unwrap());
    assert_eq!(read.target_thumbprint, receipt().get("target_thumbprint").unwrap().as_str().unwrap());
}

/// An answer of a foreign vault carries none; what is no object is none either.
#[test]
fn receipt_that_is_missing() {
    let missing = ReleaseAnswerError::Receipt(ReceiptError::Missing);
    let mut without = payload();
    without.remove(Receipt::MEMBER);
    assert_eq!(refused(&without), missing);
    for odd in [Value::Null, "x".into(), vec![receipt()].into()] {
        assert_eq!(with(odd), Err(missing.clone()));
    }
}

/// Every member, absent and malformed.
#[test]
fn members_are_needed_and_of_their_form() {
    let digests: [Value; 5] =
        [Value::Null, b64::encode([1; 31]).into(), b64::encode([1; 33]).into(), "%".into(), 1_u64.into()];
    let integers: [Value; 4] =
        [Value::Null, "1".into(), Value::from(-1_i64), object(r#"{"v":1.0}"#).get("v").cloned().unwrap()];
    let texts: [Value; 2] = [Value::Null, 1_u64.into()];
    let members: [(&'static str, &[Value]); 6] = [
        ("token_digest", &digests),
        ("policy_digest", &digests),
        ("audit_leaf", &digests),
        ("policy_generation", &integers),
        ("audit_index", &integers),
        ("target_thumbprint", &texts),
    ];
    for (name, odd) in members {
        let error = Err(ReleaseAnswerError::Receipt(ReceiptError::Member(name)));
        let mut without = receipt();
        without.remove(name);
        assert_eq!(with(without), error);
        for odd in odd {
            assert_eq!(with(receipt().with(name, odd.clone())), error, "{name} {odd:?}");
        }
    }
}

/// A receipt for another token.
#[test]
fn receipt_for_another_token() {
    let other = receipt().with("token_digest", b64::encode([9; 32]));
    assert_eq!(with(other), Err(ReleaseAnswerError::OtherToken));
    assert!(with(receipt()).is_ok());
}
