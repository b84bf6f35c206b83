//! What the operations of a key demand of the key, where Azure keeps them apart from all others.
//!
//! A key that takes in other keys (`import`; BYOK) or wraps what only a TEE may see (`secureWrapKey`, `secureUnwrapKey`) does
//! nothing else, now or later: with `decrypt` or `unwrapKey` beside or after it, whoever may use that would read what it
//! guards. So such operations stand alone, and a change of a key's operations neither gives nor takes them.

use skerry_keys::KeyType;

use crate::command::KeyOp;
use crate::record::KeyHead;
use crate::signer::VaultKind;

/// What a key is, as far as its operations depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nature {
    /// Which of Azure's services its vault is like.
    pub kind: VaultKind,
    /// Kind and size.
    pub key_type: KeyType,
    /// Whether it is called an HSM key.
    pub hsm: bool,
    /// Whether it may ever leave.
    pub exportable: bool,
    /// Whether it has a release policy.
    pub policy: bool,
    /// Whether it was made elsewhere.
    pub imported: bool,
}

/// Why a key does not have these operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum UsesError {
    #[error("a key that imports others does nothing else")]
    ImportNotAlone,
    #[error("a key that imports others is an RSA-HSM key, made here and not exportable")]
    NoTransferKey,
    #[error("a key that wraps securely does nothing else")]
    SecureNotAlone,
    #[error(
        "a key that wraps securely is an RSA-HSM or oct-HSM key of a Managed HSM, made here, with a release policy and not exportable"
    )]
    NoSecureKey,
    #[error("whether a key imports others is not changed")]
    ImportFixed,
}

/// Whether these are for keys that wrap securely: all of them, and there is one.
pub fn are_secure(key_ops: &[KeyOp]) -> bool {
    !key_ops.is_empty() && key_ops.iter().all(|op| is_secure(*op))
}

/// Whether a key wraps securely: it has a release policy and can never be released.
pub fn is_secure_key(head: &KeyHead) -> bool {
    head.policy.is_some() && !head.exportable
}

/// Whether a new version may have these operations.
pub fn check(key_ops: &[KeyOp], nature: &Nature) -> Result<(), UsesError> {
    let Nature { kind, key_type, hsm, exportable, policy, imported } = *nature;
    if key_ops.contains(&KeyOp::Import) {
        if key_ops != [KeyOp::Import] {
            return Err(UsesError::ImportNotAlone);
        }
        let fits = matches!(key_type, KeyType::Rsa { .. }) && hsm && !exportable && !policy && !imported;
        return if fits { Ok(()) } else { Err(UsesError::NoTransferKey) };
    }
    let governed = policy && !exportable;
    match (key_ops.iter().any(|op| is_secure(*op)), are_secure(key_ops)) {
        (false, _) if governed => Err(UsesError::SecureNotAlone),
        (false, _) => Ok(()),
        (true, false) => Err(UsesError::SecureNotAlone),
        (true, true) => {
            let fits = matches!(key_type, KeyType::Rsa { .. } | KeyType::Oct { .. });
            let fits = fits && kind == VaultKind::ManagedHsm && hsm && governed && !imported;
            if fits { Ok(()) } else { Err(UsesError::NoSecureKey) }
        }
    }
}

/// Whether a version of this key may have `to` in place of `from`.
pub fn check_change(head: &KeyHead, from: &[KeyOp], to: &[KeyOp]) -> Result<(), UsesError> {
    let imports = |key_ops: &[KeyOp]| key_ops.contains(&KeyOp::Import);
    if (imports(from) || imports(to)) && from != to {
        return Err(UsesError::ImportFixed);
    }
    let secure = to.iter().filter(|op| is_secure(**op)).count();
    match (is_secure_key(head), secure) {
        (true, secure) if secure != to.len() => Err(UsesError::SecureNotAlone),
        (false, secure) if secure > 0 => Err(UsesError::NoSecureKey),
        _ => Ok(()),
    }
}

fn is_secure(op: KeyOp) -> bool {
    matches!(op, KeyOp::SecureWrapKey | KeyOp::SecureUnwrapKey)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skerry_keys::{Curve, OctBits, RsaBits};

    const RSA: KeyType = KeyType::Rsa { bits: RsaBits::B2048 };
    const PLAIN: Nature = Nature {
        kind: VaultKind::ManagedHsm,
        key_type: RSA,
        hsm: true,
        exportable: false,
        policy: false,
        imported: false,
    };
    const SECURE: Nature = Nature { policy: true, ..PLAIN };

    /// A key that imports is RSA-HSM, made here, stays here, and does nothing else; one clause at a time.
    #[test]
    fn import_stands_alone() {
        use KeyOp::*;
        assert_eq!(check(&[Import], &PLAIN), Ok(()));
        assert_eq!(check(&[Import], &Nature { kind: VaultKind::Premium, ..PLAIN }), Ok(()));
        for key_ops in [&[Import, Decrypt][..], &[Encrypt, Import], &[Import, Import], &[Import, SecureUnwrapKey]] {
            assert_eq!(check(key_ops, &PLAIN), Err(UsesError::ImportNotAlone), "{key_ops:?}");
        }
        for nature in [
            Nature { key_type: KeyType::Ec { curve: Curve::P256 }, ..PLAIN },
            Nature { key_type: KeyType::Oct { bits: OctBits::B256 }, ..PLAIN },
            Nature { hsm: false, ..PLAIN },
            Nature { exportable: true, policy: true, ..PLAIN },
            Nature { policy: true, ..PLAIN },
            Nature { imported: true, ..PLAIN },
        ] {
            assert_eq!(check(&[Import], &nature), Err(UsesError::NoTransferKey), "{nature:?}");
        }
    }

    /// A key that wraps securely has a policy, is in a Managed HSM, stays there, and does nothing else; a key that has a
    /// policy and stays does nothing else either.
    #[test]
    fn secure_wrapping_stands_alone() {
        use KeyOp::*;
        let oct = Nature { key_type: KeyType::Oct { bits: OctBits::B256 }, ..SECURE };
        for nature in [SECURE, oct] {
            for key_ops in [&[SecureWrapKey, SecureUnwrapKey][..], &[SecureWrapKey], &[SecureUnwrapKey]] {
                assert_eq!(check(key_ops, &nature), Ok(()), "{key_ops:?}");
            }
        }
        for key_ops in [&[SecureUnwrapKey, UnwrapKey][..], &[SecureWrapKey, Export], &[UnwrapKey], &[]] {
            assert_eq!(check(key_ops, &SECURE), Err(UsesError::SecureNotAlone), "{key_ops:?}");
        }
        for nature in [
            Nature { policy: false, ..SECURE },
            Nature { exportable: true, ..SECURE },
            Nature { hsm: false, ..SECURE },
            Nature { imported: true, ..SECURE },
            Nature { kind: VaultKind::Premium, ..SECURE },
            Nature { key_type: KeyType::Ec { curve: Curve::P256 }, ..SECURE },
        ] {
            assert_eq!(check(&[SecureUnwrapKey], &nature), Err(UsesError::NoSecureKey), "{nature:?}");
        }
        assert_eq!(check(&[Decrypt, UnwrapKey], &PLAIN), Ok(()));
        assert_eq!(check(&[], &PLAIN), Ok(()));
    }
}
