//! The credential that is the root: where it may lie, whose it is, and what is in it.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use skerry_unseal::{UnsealError, credential};
use zeroize::Zeroizing;

fn put(folder: &Path, name: &str, text: &str, mode: u32) -> u32 {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path.metadata().unwrap().uid()
}

/// 64 hex digits, with a line's end or without, in a file that others cannot read or change.
#[test]
fn credentials_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let text = "5a".repeat(32);
    for (text, mode) in [(text.clone(), 0o400), (format!("{text}\n"), 0o440), (text.to_uppercase(), 0o600)] {
        std::fs::remove_file(folder.path().join("skerry-root")).ok();
        let user = put(folder.path(), "skerry-root", &text, mode);
        assert_eq!(credential::read(folder.path(), "skerry-root", user).unwrap(), Zeroizing::new([0x5a; 32]));
    }
}

/// Each of the ways in which it is not one.
#[test]
fn credentials_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = "5a".repeat(32);
    let user = put(folder.path(), "root", &text, 0o400);
    let read = |name: &str| credential::read(folder.path(), name, user).unwrap_err();
    for name in ["", "../root", "a/b", ".root", "root\n", &"x".repeat(256)] {
        assert_eq!(read(name), UnsealError::CredentialName { name: name.to_owned() });
    }
    assert_eq!(read("other"), UnsealError::CredentialUnreadable(ErrorKind::NotFound));
    assert_eq!(
        read(&"x".repeat(255)),
        UnsealError::CredentialUnreadable(ErrorKind::NotFound),
        "a name that could be one"
    );
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    assert_eq!(read("folder"), UnsealError::CredentialNotFile);
    for mode in [0o404, 0o420, 0o402, 0o410, 0o644] {
        std::fs::remove_file(folder.path().join("open")).ok();
        put(folder.path(), "open", &text, mode);
        assert_eq!(read("open"), UnsealError::CredentialMode { mode });
    }
    for (name, text) in [
        ("short", &text[1..]),
        ("long", &format!("{text}5a")),
        ("word", &"x".repeat(64)),
        ("lines", &format!("{text}\n\n")),
    ] {
        put(folder.path(), name, text, 0o400);
        assert_eq!(read(name), UnsealError::CredentialText);
    }
}

/// A file of root's is anybody's credential; one of another user is nobody's.
#[test]
fn credentials_have_owners() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root");
    if put(folder.path(), "root", &"5a".repeat(32), 0o400) == 0 {
        assert!(credential::read(folder.path(), "root", 1000).is_ok(), "root's");
        std::os::unix::fs::chown(&path, Some(1001), None).unwrap();
    }
    let owner = path.metadata().unwrap().uid();
    assert!(credential::read(folder.path(), "root", owner).is_ok(), "the user's own");
    assert_eq!(credential::read(folder.path(), "root", owner + 1).unwrap_err(), UnsealError::CredentialOwner { owner });
}
