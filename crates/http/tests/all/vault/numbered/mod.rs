//! The forty-two conformance checks of a vault (key-vault spec 9), one test for each under its number, over the wire: status,
//! code, inner code, message, members and their order, as the specification says them.
//!
//! The last of them needs unmodified SDKs for its other half: see [`door`].

use skerry_jose::json::{Object, Value};

use super::scene::{Scene, V, member, text};
use crate::support::Response;

mod crypto;
mod door;
mod keys;
mod life;
mod release;
mod rules;

/// The whole of a refusal: its status, and a body that has these members in this order and nothing else.
fn refused(response: &Response, status: u16, code: &str, inner: Option<&str>, message: &str) {
    let mut error = Object::new().with("code", code).with("message", message);
    if let Some(inner) = inner {
        error.insert("innererror", Object::new().with("code", inner));
    }
    let expected = Object::new().with("error", error).to_json();
    assert_eq!((response.status, response.body.as_str()), (status, expected.as_str()));
}

/// 404 in the words that Azure has for a key that is not there.
fn not_found(response: &Response, name_or_id: &str) {
    let message = format!(
        "A key with (name/id) {name_or_id} was not found in this key vault. If you recently deleted this key you may be \
         able to recover it using the correct recovery command."
    );
    refused(response, 404, "KeyNotFound", None, &message);
}

fn names(object: &Object) -> Vec<&str> {
    object.iter().map(|(name, _)| name).collect()
}

fn object<'a>(bundle: &'a Object, path: &[&str]) -> &'a Object {
    member(bundle, path).and_then(Value::as_object).unwrap()
}

fn number(object: &Object, path: &[&str]) -> u64 {
    member(object, path).and_then(Value::as_u64).unwrap()
}

fn flag(object: &Object, path: &[&str]) -> Option<bool> {
    member(object, path).and_then(Value::as_bool)
}

fn rows(page: &Object) -> Vec<&Object> {
    let rows = page.get("value").and_then(Value::as_array).unwrap();
    rows.iter().map(|row| row.as_object().unwrap()).collect()
}

fn version_of(kid: &str) -> &str {
    kid.rsplit('/').next().unwrap()
}

fn kid(bundle: &Object) -> &str {
    text(bundle, &["key", "kid"])
}

impl Scene {
    /// Makes a key of this body.
    async fn make(&self, name: &str, body: &str) -> Object {
        self.good("POST", &format!("/keys/{name}/create?{V}"), body).await
    }

    async fn patch(&self, path: &str, body: &str) -> Response {
        self.ask("PATCH", &format!("{path}?{V}"), body).await
    }

    async fn get(&self, path: &str) -> Object {
        self.good("GET", &format!("{path}?{V}"), "").await
    }
}

/// No number is missing, none comes twice, and none is passed over when tests are run.
#[test]
fn all_numbers_are_there() {
    let sources = [
        include_str!("door.rs"),
        include_str!("keys.rs"),
        include_str!("crypto.rs"),
        include_str!("life.rs"),
        include_str!("rules.rs"),
        include_str!("release.rs"),
    ];
    let mut found = Vec::new();
    for source in sources {
        assert!(!source.contains("#[ignore"));
        for (before, function) in source.lines().zip(source.lines().skip(1)) {
            if let Some(rest) = function.strip_prefix("fn check_") {
                assert_eq!(before, "#[test]", "{function}");
                found.push(rest.split('_').next().unwrap().parse::<u8>().unwrap());
            }
        }
    }
    found.sort_unstable();
    assert_eq!(found, (1..=42).collect::<Vec<_>>());
}
