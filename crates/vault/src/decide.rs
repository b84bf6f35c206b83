//! What a change makes of a key, and whether an operation may use it: pure functions over records, commands and a time.
//!
//! The vault reads what they need, calls one of them, and commits what it says under the condition that nothing it read
//! has changed. The caller's permission comes before and is not here; the release of a key has [`crate::release`].

use std::sync::Arc;

use skerry_keys::custody::SealedMaterial;
use skerry_keys::{KeyType, Level, PublicKey};
use skerry_policy::permit::Version;
use uuid::Uuid;

use crate::backup::{Backup, BackupError};
use crate::command::{AttributesInput, Changes, KeyOp, NewKey, Operation, PolicyInput};
use crate::limits::VERSIONS_MAX;
use crate::record::{Deletion, Key, KeyHead, KeyPolicy, KeyVersion, Origin, Slot, VersionRef};
use crate::refusal::Refusal;
use crate::rotation::RotationPolicy;
use crate::signer::VaultKind;
use crate::stored::Tombstone;
use crate::uses::{self, Nature, UsesError};

/// What configuration says of a vault, as far as it decides anything about keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Which of Azure's services it is like.
    pub kind: VaultKind,
    /// Who stands behind keys that are called HSM keys.
    pub hsm: HsmBacking,
    /// Days that a deleted key is kept, within [`RETENTION_DAYS`](crate::limits::RETENTION_DAYS).
    pub retention_days: u32,
    /// Whether a deleted key stays for all of them.
    pub purge_protection: bool,
}

/// Who stands behind keys that are called HSM keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HsmBacking {
    backing: Backing,
    level: Level,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Backing {
    #[default]
    None,
    Software,
}

impl HsmBacking {
    /// Keys are held at this level. Keys in a token are HSM keys without any danger; those of a root from a token are not, since
    /// they are in this process while they are used.
    pub fn held(level: Level) -> HsmBacking {
        HsmBacking { backing: Backing::None, level }
    }

    /// Where keys are held.
    pub fn level(self) -> Level {
        self.level
    }

    /// The loosenings.
    pub fn danger(self) -> danger::Loosen {
        danger::Loosen(self.level)
    }
}

/// What a vault that protects something does not have.
pub mod danger {
    use super::{Backing, HsmBacking};
    use skerry_keys::Level;

    /// Loosens an [`HsmBacking`].
    #[derive(Debug)]
    pub struct Loosen(pub(super) Level);

    impl Loosen {
        /// Keys in this process's memory are called HSM keys. They show `hsmPlatform` "0".
        pub fn software_hsm(self) -> HsmBacking {
            HsmBacking { backing: Backing::Software, level: self.0 }
        }
    }
}

/// A new version that may be made: of which key, and with what.
#[derive(Debug, Clone, PartialEq)]
pub struct Admitted {
    /// The key that there is already; none for a new one.
    pub key: Option<Arc<KeyHead>>,
    /// Whether its material may ever leave.
    pub exportable: bool,
    /// Whether it is called an HSM key.
    pub hsm: bool,
    /// The policy of a new key.
    pub policy: Option<KeyPolicy>,
    /// Whether that is fixed for good.
    pub immutable: bool,
}

/// What was made for a new version.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The key.
    pub id: Uuid,
    /// The version.
    pub version: Version,
    /// Public half.
    pub public: PublicKey,
    /// Sealed private half.
    pub material: SealedMaterial,
    /// Where that comes from.
    pub origin: Origin,
}

/// Whether a version can be made under this name, before any work is done for it.
pub fn admit(rules: &Rules, slot: &Slot, new: &NewKey) -> Result<Admitted, Refusal> {
    if let Slot::Deleted(head) = slot {
        return Err(Refusal::DeletedButRecoverable { name: head.name.to_string() });
    }
    if rules.kind == VaultKind::Standard && new.attributes.exportable == Some(true) {
        return Err(Refusal::ExportableOnStandard);
    }
    let hsm = hsm(rules, new)?;
    check_validity(new.attributes.not_before, new.attributes.expires)?;
    match slot {
        Slot::Live(head) => admit_version(rules, head, new, hsm),
        Slot::Free | Slot::Deleted(_) => admit_key(rules, new, hsm),
    }
}

/// Whether a key that was made elsewhere may have these operations. The rest is for [`admit`] to say.
pub fn check_imported(key_ops: Option<&[KeyOp]>) -> Result<(), Refusal> {
    let special = |op: &KeyOp| matches!(op, KeyOp::Import | KeyOp::SecureWrapKey | KeyOp::SecureUnwrapKey);
    match key_ops.unwrap_or_default().iter().find(|op| special(op)) {
        Some(KeyOp::Import) => Err(Refusal::Uses(UsesError::NoTransferKey)),
        Some(_) => Err(Refusal::Uses(UsesError::NoSecureKey)),
        None => Ok(()),
    }
}

/// Whether keys can be brought in that are wrapped to this one: it is enabled, valid, and for that alone. `now` in seconds
/// since the epoch.
pub fn takes_keys(key: &Key, now: u64) -> bool {
    let KeyVersion { enabled, not_before, expires, key_ops, .. } = &*key.version;
    let valid = not_before.is_none_or(|from| from <= now) && expires.is_none_or(|until| now < until);
    *enabled && valid && !key.head.exportable && key_ops == &[KeyOp::Import]
}

fn check_uses(rules: &Rules, new: &NewKey, (hsm, exportable, policy): (bool, bool, bool)) -> Result<(), Refusal> {
    let nature = Nature { kind: rules.kind, key_type: new.key_type, hsm, exportable, policy, imported: false };
    let key_ops = new.key_ops.as_deref().unwrap_or_else(|| KeyOp::defaults(new.key_type));
    uses::check(key_ops, &nature).map_err(Refusal::Uses)
}

fn hsm(rules: &Rules, new: &NewKey) -> Result<bool, Refusal> {
    // A Managed HSM takes RSA for RSA-HSM (recorded).
    let hsm = new.hsm || rules.kind == VaultKind::ManagedHsm;
    match hsm {
        true => check_hsm(rules).map(|()| true),
        false if matches!(new.key_type, KeyType::Oct { .. }) => Err(Refusal::SoftwareOct),
        false => Ok(false),
    }
}

fn check_hsm(rules: &Rules) -> Result<(), Refusal> {
    match (rules.kind, rules.hsm.backing) {
        (VaultKind::Standard, _) => Err(Refusal::HsmOnStandard),
        _ if rules.hsm.level == Level::HsmStrict => Ok(()),
        (_, Backing::None) => Err(Refusal::HsmInSoftware),
        (_, Backing::Software) => Ok(()),
    }
}

fn admit_key(rules: &Rules, new: &NewKey, hsm: bool) -> Result<Admitted, Refusal> {
    let exportable = new.attributes.exportable.unwrap_or(false);
    // Of keys that stay, only one that wraps securely has a policy, and a key vault has none of these.
    let governed = rules.kind == VaultKind::ManagedHsm && uses::are_secure(new.key_ops.as_deref().unwrap_or_default());
    match (exportable, &new.policy) {
        (true, None) => return Err(Refusal::ExportableWithoutPolicy),
        (false, Some(_)) if !governed => return Err(Refusal::PolicyWithoutExportable),
        (true, Some(_)) if !hsm => return Err(Refusal::ExportableSoftware),
        _ => check_uses(rules, new, (hsm, exportable, new.policy.is_some()))?,
    }
    match (exportable, &new.policy) {
        (_, None) => Ok(Admitted { key: None, exportable, hsm, policy: None, immutable: false }),
        (_, Some(input)) => {
            let policy = KeyPolicy::parse(&input.data).map_err(Refusal::Policy)?;
            let immutable = input.immutable.unwrap_or(false);
            Ok(Admitted { key: None, exportable, hsm, policy: Some(policy), immutable })
        }
    }
}

/// Exportable and its policy belong to the key: a new version repeats them or says nothing.
fn admit_version(rules: &Rules, head: &Arc<KeyHead>, new: &NewKey, hsm: bool) -> Result<Admitted, Refusal> {
    if new.attributes.exportable.is_some_and(|asked| asked != head.exportable) {
        return Err(Refusal::ExportableFixed);
    }
    if head.exportable && !hsm {
        return Err(Refusal::ExportableSoftware);
    }
    if let Some(input) = &new.policy {
        check_same_policy(head, input)?;
    }
    check_uses(rules, new, (hsm, head.exportable, head.policy.is_some()))?;
    if head.versions.len() >= VERSIONS_MAX {
        return Err(Refusal::TooManyVersions { name: head.name.to_string() });
    }
    let key = Some(Arc::clone(head));
    Ok(Admitted { key, exportable: head.exportable, hsm, policy: None, immutable: false })
}

fn check_same_policy(head: &KeyHead, input: &PolicyInput) -> Result<(), Refusal> {
    let Some(own) = &head.policy else { return Err(Refusal::PolicyWithoutExportable) };
    if head.immutable {
        return Err(Refusal::PolicyImmutable);
    }
    let given = KeyPolicy::parse(&input.data).map_err(Refusal::Policy)?;
    match given.digest() == own.digest() && !input.immutable.unwrap_or(false) {
        true => Ok(()),
        false => Err(Refusal::PolicyOfNewVersion),
    }
}

/// A new version like the newest one: the same type, uses and tags, and lasting as long as the rotation policy says. `now` in
/// seconds since the epoch.
pub fn rotation(key: &Key, policy: &RotationPolicy, now: u64) -> NewKey {
    let (head, version) = (&key.head, &key.version);
    NewKey {
        name: head.name.clone(),
        key_type: version.key_type,
        hsm: version.hsm,
        key_ops: Some(version.key_ops.clone()),
        attributes: AttributesInput {
            expires: policy.lifetime.as_ref().map(|lifetime| lifetime.after(now)),
            ..AttributesInput::default()
        },
        tags: Some(version.tags.clone()),
        policy: None,
    }
}

/// Whether a key of a backup may be in this vault: the rules are those for making it here, and an older or looser state than
/// one that was purged does not come back.
pub fn admit_restored(rules: &Rules, slot: &Slot, known: Option<&Tombstone>, backup: &Backup) -> Result<(), Refusal> {
    match slot {
        Slot::Live(head) => return Err(Refusal::NameTaken { name: head.name.to_string() }),
        Slot::Deleted(head) => return Err(Refusal::DeletedButRecoverable { name: head.name.to_string() }),
        Slot::Free => {}
    }
    if rules.kind == VaultKind::Standard && backup.head.exportable {
        return Err(Refusal::ExportableOnStandard);
    }
    if backup.versions.iter().any(|version| version.hsm) {
        check_hsm(rules)?;
    }
    let Some(known) = known else { return Ok(()) };
    let (found, generation) = (backup.head.generation, known.generation);
    if found < generation {
        return Err(Refusal::Backup(BackupError::OlderGeneration { found, known: generation }));
    }
    if known.immutable && !backup.head.immutable {
        return Err(Refusal::Backup(BackupError::PolicyLoosened));
    }
    let (found, known) = (backup.head.min_iat, known.min_iat);
    match found < known {
        true => Err(Refusal::Backup(BackupError::MinIatLowered { found, known })),
        false => Ok(()),
    }
}

/// The key with the new version, which is its newest. `now` in seconds since the epoch.
pub fn assemble(new: &NewKey, admitted: Admitted, made: Made, now: u64) -> Key {
    let version = KeyVersion {
        version: made.version,
        hsm: admitted.hsm,
        enabled: new.attributes.enabled.unwrap_or(true),
        not_before: new.attributes.not_before,
        expires: new.attributes.expires,
        created: now,
        updated: now,
        key_type: new.key_type,
        public: made.public,
        key_ops: new.key_ops.clone().unwrap_or_else(|| KeyOp::defaults(new.key_type).to_vec()),
        tags: new.tags.clone().unwrap_or_default(),
        material: made.material,
        origin: made.origin,
    };
    let mut head = match admitted.key {
        Some(head) => KeyHead::clone(&head),
        None => KeyHead {
            id: made.id,
            name: new.name.clone(),
            exportable: admitted.exportable,
            immutable: admitted.immutable,
            generation: u64::from(admitted.policy.is_some()),
            policy: admitted.policy,
            min_iat: 0,
            versions: Vec::new(),
            deletion: None,
        },
    };
    head.versions.push(VersionRef { version: version.version, material: version.material.digest() });
    Key { head: Arc::new(head), version: Arc::new(version) }
}

/// The key after an update. A head or version that is not changed is the very same one.
pub fn update(key: &Key, version_named: bool, changes: &Changes, now: u64) -> Result<Key, Refusal> {
    if changes.policy.is_some() && version_named {
        return Err(Refusal::PolicyOnVersion);
    }
    if changes.policy.is_some() && key.head.immutable {
        return Err(Refusal::PolicyImmutable);
    }
    if changes.attributes.exportable.is_some_and(|asked| asked != key.head.exportable) {
        return Err(Refusal::ExportableFixed);
    }
    let head = match &changes.policy {
        Some(input) => Arc::new(with_policy(&key.head, input)?),
        None => Arc::clone(&key.head),
    };
    let head = match changes.min_iat {
        Some(_) if version_named => return Err(Refusal::MinIatOnVersion),
        Some(asked) => Arc::new(with_min_iat(&head, asked, now)?),
        None => head,
    };
    if let Some(key_ops) = &changes.key_ops {
        uses::check_change(&key.head, &key.version.key_ops, key_ops).map_err(Refusal::Uses)?;
    }
    Ok(Key { head, version: Arc::new(changed(&key.version, changes, now)?) })
}

fn with_policy(head: &KeyHead, input: &PolicyInput) -> Result<KeyHead, Refusal> {
    if head.policy.is_none() {
        return Err(Refusal::PolicyWithoutExportable);
    }
    let policy = KeyPolicy::parse(&input.data).map_err(Refusal::Policy)?;
    let generation = head.generation.saturating_add(1);
    Ok(KeyHead { policy: Some(policy), immutable: input.immutable.unwrap_or(false), generation, ..head.clone() })
}

/// A time to come would stop all releases until then, and could not be taken back.
fn with_min_iat(head: &KeyHead, asked: u64, now: u64) -> Result<KeyHead, Refusal> {
    if head.policy.is_none() {
        return Err(Refusal::MinIatWithoutExportable);
    }
    if asked < head.min_iat {
        return Err(Refusal::MinIatLowered { known: head.min_iat, asked });
    }
    match asked > now {
        true => Err(Refusal::MinIatInFuture { asked, now }),
        false => Ok(KeyHead { min_iat: asked, ..head.clone() }),
    }
}

fn changed(version: &KeyVersion, changes: &Changes, now: u64) -> Result<KeyVersion, Refusal> {
    let AttributesInput { enabled, not_before, expires, .. } = changes.attributes;
    let (not_before, expires) = (not_before.or(version.not_before), expires.or(version.expires));
    check_validity(not_before, expires)?;
    Ok(KeyVersion {
        enabled: enabled.unwrap_or(version.enabled),
        not_before,
        expires,
        updated: now.max(version.updated),
        key_ops: changes.key_ops.clone().unwrap_or_else(|| version.key_ops.clone()),
        tags: changes.tags.clone().unwrap_or_else(|| version.tags.clone()),
        ..version.clone()
    })
}

fn check_validity(not_before: Option<u64>, expires: Option<u64>) -> Result<(), Refusal> {
    match (not_before, expires) {
        (Some(not_before), Some(expires)) if expires <= not_before => {
            Err(Refusal::EmptyValidity { not_before, expires })
        }
        _ => Ok(()),
    }
}

/// The head of the key once it is deleted. `now` in seconds since the epoch.
pub fn delete(rules: &Rules, head: &KeyHead, now: u64) -> KeyHead {
    let kept_secs = u64::from(rules.retention_days).saturating_mul(DAY_SECS);
    let deletion = Deletion { deleted: now, purge: now.saturating_add(kept_secs) };
    KeyHead { deletion: Some(deletion), ..head.clone() }
}

/// The head of the key once it is recovered.
pub fn recover(head: &KeyHead) -> KeyHead {
    KeyHead { deletion: None, ..head.clone() }
}

/// What stays of a deleted key that is purged by a caller. `now` in seconds since the epoch.
pub fn purge(rules: &Rules, head: &KeyHead, now: u64) -> Result<Tombstone, Refusal> {
    if rules.purge_protection && head.deletion.is_none_or(|deletion| now < deletion.purge) {
        return Err(Refusal::PurgeProtected { name: head.name.to_string() });
    }
    let KeyHead { id, generation, immutable, min_iat, .. } = *head;
    Ok(Tombstone { id, generation, immutable, min_iat, purged: now })
}

/// Whether this version may be used so (key-vault spec 2.5): a version that has ended still decrypts, unwraps, verifies and
/// is released, a disabled one does nothing. `now` in seconds since the epoch.
pub fn usable(key: &Key, operation: Operation, now: u64) -> Result<(), Refusal> {
    let (version, name) = (&key.version, || key.head.name.to_string());
    if !version.enabled {
        return Err(Refusal::KeyDisabled { name: name(), operation });
    }
    if matches!(operation, Operation::Sign | Operation::Encrypt | Operation::WrapKey | Operation::SecureWrapKey) {
        if let Some(not_before) = version.not_before.filter(|not_before| now < *not_before) {
            return Err(Refusal::KeyNotYetValid { name: name(), operation, not_before, now });
        }
        if let Some(expires) = version.expires.filter(|expires| *expires <= now) {
            return Err(Refusal::KeyExpired { name: name(), operation, expires, now });
        }
    }
    let needed = match operation {
        Operation::Encrypt => KeyOp::Encrypt,
        Operation::Decrypt => KeyOp::Decrypt,
        Operation::WrapKey => KeyOp::WrapKey,
        Operation::UnwrapKey => KeyOp::UnwrapKey,
        Operation::Sign => KeyOp::Sign,
        Operation::Verify => KeyOp::Verify,
        Operation::SecureWrapKey => KeyOp::SecureWrapKey,
        Operation::SecureUnwrapKey => KeyOp::SecureUnwrapKey,
        Operation::Get | Operation::Release | Operation::Rotate => return Ok(()),
    };
    // What a key that wraps securely guards would be read by any other use of it, whatever its record says.
    let secure = matches!(needed, KeyOp::SecureWrapKey | KeyOp::SecureUnwrapKey);
    match version.key_ops.contains(&needed) && secure == uses::is_secure_key(&key.head) {
        true => Ok(()),
        false => Err(Refusal::OperationNotPermitted { name: name(), operation }),
    }
}

const DAY_SECS: u64 = 86_400;
