//! The OpenAPI document as a person gets it.

use crate::support::*;

/// What is printed is the file in docs, byte for byte, and JSON.
#[test]
fn the_document_is_the_one_in_docs() {
    let output = skerry(&["openapi"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), include_str!("../../../../docs/openapi.json"));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
}
