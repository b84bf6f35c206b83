//! JSON: what is read is printed and read again as the same; both trees agree; what we accept, serde_json accepts, and what
//! only serde_json accepts we refuse for a stated strictness.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skerry_jose::json::{self, ErrorKind};
use skerry_jose::limits::JSON;

fuzz_target!(|data: &[u8]| {
    let plain = json::parse(data, &JSON);
    let positioned = json::parse_positioned(data, &JSON).map(json::Node::into_value);
    assert_eq!(plain, positioned);
    let oracle = serde_json::from_slice::<serde_json::Value>(data);
    match plain {
        Ok(value) => {
            oracle.expect("what we read is JSON");
            let text = value.to_json();
            assert_eq!(json::parse(text.as_bytes(), &JSON).as_ref(), Ok(&value));
            let mut sorted = value.clone();
            sorted.sort();
            let text = sorted.to_json();
            let mut again = json::parse(text.as_bytes(), &JSON).expect("sorted is still JSON");
            again.sort();
            assert_eq!(again.to_json(), text);
        }
        Err(error) => {
            assert!(error.at.offset <= data.len());
            assert!(oracle.is_err() || stricter(&error.kind), "{error:?}");
        }
    }
});

fn stricter(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::TooLarge { .. }
            | ErrorKind::TooDeep { .. }
            | ErrorKind::TooManyValues { .. }
            | ErrorKind::NumberTooLong { .. }
            | ErrorKind::DuplicateMember { .. }
    )
}
