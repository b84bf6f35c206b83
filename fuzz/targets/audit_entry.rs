//! Bodies of audit records: what is read has every member in its one spelling, and another entry has another body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skerry_audit::{Entry, Event, Verdict};
use skerry_jose::json::{self, Limits, Value};

/// Earlier builds wrote as much.
const BODY_LEN_MAX: usize = 64 * 1024;
const LIMITS: Limits = Limits { bytes_max: BODY_LEN_MAX, depth_max: 2, values_max: 32, number_digits_max: 20 };

fuzz_target!(|data: &[u8]| {
    let Ok(entry) = Entry::from_body(data) else { return };
    assert!(data.len() <= BODY_LEN_MAX);
    let value = json::parse(data, &LIMITS).expect("an entry is JSON");
    assert_eq!(value.to_json().as_bytes(), data, "an entry has one spelling");
    let mut sorted = value.clone();
    sorted.sort();
    assert_eq!(sorted, value, "members are in order");
    let text = |member: &str| value.get(&[member]).and_then(Value::as_str);
    assert_eq!(text("subject"), Some(hex::encode(entry.subject)).as_deref());
    assert_eq!(text("who"), Some(entry.who.as_str()));
    assert_eq!(text("vault"), entry.vault.map(|id| id.to_string()).as_deref());
    assert_eq!(text("measurement"), entry.measurement.as_ref().map(hex::encode).as_deref());
    assert_eq!(text("event"), Some(entry.event.as_str()));
    assert_eq!(text("verdict"), Some(entry.verdict.as_str()));
    assert_eq!(Event::parse(entry.event.as_str()), Some(entry.event));
    assert_eq!(Verdict::parse(entry.verdict.as_str()), Some(entry.verdict));
});
