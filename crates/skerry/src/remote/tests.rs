//! Words for people, and files for their owners.
#![allow(clippy::unwrap_used)] // reason: tests

use std::os::unix::fs::PermissionsExt as _;

use skerry_client::vault::{KeyName, VaultError};
use skerry_vault::record;

use super::*;

/// What a server sends cannot move a terminal's cursor or turn a line about.
#[test]
fn server_s_words_do_not_steer_the_terminal() {
    assert_eq!(shown("a\r\nb\n\u{e9}"), "a\nb\n\u{e9}");
    assert_eq!(shown("\u{1b}[2Jx\u{7f}\r\u{9b}\u{202e}"), r"\u{1b}[2Jx\u{7f}\u{d}\u{9b}\u{202e}");
}

/// A name is refused here iff the server would refuse it.
#[test]
fn names_are_those_of_the_server() {
    let long = "x".repeat(128);
    for name in ["a", "A-9", &long[1..], &long, "", "a_b", "a b", "a/b", ".", "\u{e9}", "a\0", "-", "a%20"] {
        assert_eq!(KeyName::parse(name).is_ok(), record::KeyName::parse(name).is_ok(), "{name}");
    }
}

/// Every kind of failure has its exit code, and says what to do next.
#[test]
fn failures_say_who_must_act() {
    let refusal = |status, code: &str, inner: Option<&str>| {
        Box::new(skerry_client::vault::Refusal {
            status,
            code: code.to_owned(),
            inner: inner.map(str::to_owned),
            message: "no\u{7}".to_owned(),
            request_id: Some("r-1".to_owned()),
        })
    };
    let refused = VaultError::Refused { operation: "sign", refusal: refusal(403, "Forbidden", Some("KeyDisabled")) };
    let failure = format!("{:?}", failure(refused));
    for part in ["exit: 1", "sign is refused: status 403 Forbidden (KeyDisabled): no", "request id: r-1", "key enable"]
    {
        assert!(failure.contains(part), "{part} is not in {failure}");
    }
    assert!(!failure.contains('\u{7}'));
    let busy = VaultError::Unavailable { operation: "sign", refusal: refusal(503, "", None) };
    assert!(format!("{:?}", super::failure(busy)).contains("exit: 3"));
}

/// A secret's file is new and its owner's alone; another file is left as it is unless it is to go.
#[test]
fn files_of_secrets_are_new_and_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let new = Output::new(&path, false);
    new.check().unwrap();
    new.write(b"one").unwrap();
    assert_eq!((mode(), std::fs::read(&path).unwrap()), (0o600, b"one".to_vec()));
    assert!(new.check().unwrap_err().to_string().contains("--force"));
    assert!(new.write(b"two").unwrap_err().to_string().contains("--force"));
    assert_eq!(std::fs::read(&path).unwrap(), b"one");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let forced = Output::new(&path, true);
    forced.check().unwrap();
    forced.write(b"three").unwrap();
    assert_eq!((mode(), std::fs::read(&path).unwrap()), (0o600, b"three".to_vec()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(Output::new(&folder.path().join("none/key"), false).check().is_err());
}
