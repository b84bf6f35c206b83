//! The seal of the system: a credential that systemd decrypted for this service alone (systemd.exec(5), `LoadCredentialEncrypted=`).
//!
//! The credential is the root itself, as 64 hex digits, so what seals it is systemd's: a key of the machine, its TPM, or both. It is
//! read from the folder that systemd names in `CREDENTIALS_DIRECTORY`, which is not swapped out and goes when the service ends.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::UnsealError;
use crate::limits::ROOT_TEXT_BYTES_MAX;

/// The root in the credential of this name, iff it is a file that its owner, who is root or `user`, alone can change, and that
/// nobody but its group can read besides. The caller vouches that the folder is systemd's.
pub fn read(folder: &Path, name: &str, user: u32) -> Result<Zeroizing<[u8; 32]>, UnsealError> {
    if !is_name(name) {
        return Err(UnsealError::CredentialName { name: name.to_owned() });
    }
    let unreadable = |error: std::io::Error| UnsealError::CredentialUnreadable(error.kind());
    let path = folder.join(name);
    // Looked at before it is opened: opening a pipe would wait.
    if !std::fs::metadata(&path).map_err(unreadable)?.is_file() {
        return Err(UnsealError::CredentialNotFile);
    }
    let mut file = File::open(&path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    if mode & MORE_THAN_GROUP_READS != 0 {
        return Err(UnsealError::CredentialMode { mode });
    }
    if owner != 0 && owner != user {
        return Err(UnsealError::CredentialOwner { owner });
    }
    // As long as may be, so that it does not grow and leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(128));
    file.by_ref().take(ROOT_TEXT_BYTES_MAX).read_to_end(&mut text).map_err(unreadable)?;
    root_of(&text).ok_or(UnsealError::CredentialText)
}

/// The root that is written as 64 hex digits, with one line's end at most.
pub fn root_of(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut root = Zeroizing::new([0; 32]);
    hex::decode_to_slice(text, root.as_mut_slice()).ok()?;
    Some(root)
}

/// systemd.exec(5): a name is one of a file, without a path.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && name.bytes().all(plain)
}

const MORE_THAN_GROUP_READS: u32 = 0o037;
