//! Sealed roots on the disk: there is one that opens at every moment.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;

use skerry_unseal::{Unreadable, UnsealError, read, remove_old, replace};

use crate::sealed;

/// The new one takes the place of the old, which stays beside it until it is removed; others cannot read either.
#[test]
fn seals_are_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.sealed");
    let (one, two) = (sealed(1), sealed(2));
    assert_eq!(read(&path), Err(Unreadable::Read(ErrorKind::NotFound)));
    replace(&path, &one, |_| Ok::<(), Unreadable>(())).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(remove_old(&path), Ok(false));
    // What a run that was cut short left is in nobody's way.
    std::fs::write(folder.path().join("root.sealed.new"), "half").unwrap();
    replace(&path, &two, |written| {
        assert_eq!(
            (written, read(&path).unwrap()),
            (&two, one.clone()),
            "the old one is there until the new one opens"
        );
        Ok::<(), Unreadable>(())
    })
    .unwrap();
    let old = folder.path().join("root.sealed.old");
    assert_eq!((read(&path).unwrap(), read(&old).unwrap()), (two, one));
    assert_eq!(remove_old(&path), Ok(true));
    assert!(!old.exists());
}

/// One that does not open does not take the old one's place.
#[test]
fn what_does_not_open_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.sealed");
    let (one, two) = (sealed(1), sealed(2));
    replace(&path, &one, |_| Ok::<(), Unreadable>(())).unwrap();
    let refusal = replace(&path, &two, |_| Err(Unreadable::Content(UnsealError::Passphrase)));
    assert_eq!(refusal, Err(Unreadable::Content(UnsealError::Passphrase)));
    assert_eq!(read(&path).unwrap(), one);
}

/// A file that others could change, that is too long, or that is none, is told apart.
#[test]
fn files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.sealed");
    replace(&path, &sealed(1), |_| Ok::<(), Unreadable>(())).unwrap();
    for mode in [0o620, 0o602] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(read(&path), Err(Unreadable::Mode { mode }));
    }
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert_eq!(read(&path).unwrap(), sealed(1), "to read it helps nobody");
    std::fs::write(&path, vec![0; 16 * 1024 + 1]).unwrap();
    assert_eq!(read(&path), Err(Unreadable::TooLarge { bytes: 16 * 1024 + 1, max: 16 * 1024 }));
    std::fs::write(&path, "5a".repeat(32)).unwrap();
    assert_eq!(read(&path), Err(Unreadable::Content(UnsealError::NotASeal)));
}

/// A file as long as one may be is read, and is none; what cannot be removed is told as what it is, and the seal stays.
#[test]
fn what_is_in_the_way_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.sealed");
    let put = |seal: u8| replace(&path, &sealed(seal), |_| Ok::<(), Unreadable>(()));
    put(1).unwrap();
    let beside = |suffix: &str| folder.path().join(format!("root.sealed{suffix}"));
    std::fs::create_dir_all(beside(".new").join("x")).unwrap();
    assert_eq!(put(2), Err(Unreadable::Write(ErrorKind::IsADirectory)));
    std::fs::remove_dir_all(beside(".new")).unwrap();
    std::fs::create_dir_all(beside(".old").join("x")).unwrap();
    assert_eq!(put(2), Err(Unreadable::Write(ErrorKind::IsADirectory)));
    assert_eq!(remove_old(&path), Err(Unreadable::Write(ErrorKind::IsADirectory)));
    assert_eq!(read(&path), Ok(sealed(1)));
    std::fs::write(&path, vec![0; 16 * 1024]).unwrap();
    assert_eq!(read(&path), Err(Unreadable::Content(UnsealError::NotASeal)));
}
