//! What can be permitted: the key permissions of Azure's access policies, by Azure's names.

use std::collections::BTreeSet;
use std::fmt;

/// One permission on the keys of a vault. None implies another; `Release` least of all is implied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // the operation of that name
pub enum Permission {
    Get,
    List,
    Create,
    Import,
    Update,
    Delete,
    Recover,
    Purge,
    Backup,
    Restore,
    Encrypt,
    Decrypt,
    WrapKey,
    UnwrapKey,
    Sign,
    Verify,
    Release,
    Rotate,
    GetRotationPolicy,
    SetRotationPolicy,
    /// Our own: to see what a vault demands of every release.
    GetVaultFloor,
    /// Our own: to set that.
    SetVaultFloor,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Permission; 22] = [
        Permission::Get,
        Permission::List,
        Permission::Create,
        Permission::Import,
        Permission::Update,
        Permission::Delete,
        Permission::Recover,
        Permission::Purge,
        Permission::Backup,
        Permission::Restore,
        Permission::Encrypt,
        Permission::Decrypt,
        Permission::WrapKey,
        Permission::UnwrapKey,
        Permission::Sign,
        Permission::Verify,
        Permission::Release,
        Permission::Rotate,
        Permission::GetRotationPolicy,
        Permission::SetRotationPolicy,
        Permission::GetVaultFloor,
        Permission::SetVaultFloor,
    ];

    /// The permission of this name, in any case (observed: `az` sends lower case, portals camel case).
    pub fn parse(name: &str) -> Option<Permission> {
        Self::ALL.into_iter().find(|permission| permission.as_str().eq_ignore_ascii_case(name))
    }

    /// Azure's name; of our own permissions ours.
    pub fn as_str(self) -> &'static str {
        match self {
            Permission::Get => "get",
            Permission::List => "list",
            Permission::Create => "create",
            Permission::Import => "import",
            Permission::Update => "update",
            Permission::Delete => "delete",
            Permission::Recover => "recover",
            Permission::Purge => "purge",
            Permission::Backup => "backup",
            Permission::Restore => "restore",
            Permission::Encrypt => "encrypt",
            Permission::Decrypt => "decrypt",
            Permission::WrapKey => "wrapKey",
            Permission::UnwrapKey => "unwrapKey",
            Permission::Sign => "sign",
            Permission::Verify => "verify",
            Permission::Release => "release",
            Permission::Rotate => "rotate",
            Permission::GetRotationPolicy => "getrotationpolicy",
            Permission::SetRotationPolicy => "setrotationpolicy",
            Permission::GetVaultFloor => "getvaultfloor",
            Permission::SetVaultFloor => "setvaultfloor",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of permissions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions(BTreeSet<Permission>);

impl Permissions {
    /// Whether the set has this one.
    pub fn contains(&self, permission: Permission) -> bool {
        self.0.contains(&permission)
    }

    /// The permissions, in the order of [`Permission::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = Permission> {
        self.0.iter().copied()
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Permissions(permissions.into_iter().collect())
    }
}

impl Extend<Permission> for Permissions {
    fn extend<I: IntoIterator<Item = Permission>>(&mut self, permissions: I) {
        self.0.extend(permissions);
    }
}
