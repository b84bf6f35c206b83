//! Who may do what in which vault: assignments of configuration, and the grant that comes of them.
//!
//! Default deny: what no assignment says is refused. Assignments add up and none takes away. Nothing is inherited from
//! roles or from claims of the token.

use std::collections::HashMap;

use crate::permission::{Permission, Permissions};
use crate::principal::Principal;

/// One line of configuration: these principals may do this there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The identity provider, in its first spelling.
    pub issuer: String,
    /// The provider's names for the callers: one, or a group.
    pub subjects: Vec<String>,
    /// Where.
    pub scope: Scope,
    /// What.
    pub permissions: Permissions,
}

/// Where an assignment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// In the vault of this id (the bytes of its UUID).
    Vault([u8; 16]),
    /// In every vault, those made later included.
    Every,
}

/// All assignments of an installation.
#[derive(Debug, Clone, Default)]
pub struct Access {
    by_principal: HashMap<Principal, HashMap<Scope, Permissions>>,
}

impl Access {
    /// Access as these assignments say. Whoever made the configuration vouches for them.
    pub fn new(assignments: Vec<Assignment>) -> Access {
        let mut access = Access::default();
        for Assignment { issuer, subjects, scope, permissions } in assignments {
            for subject in subjects {
                let scopes = access.by_principal.entry(Principal::new(issuer.as_str(), subject)).or_default();
                scopes.entry(scope).or_default().extend(permissions.iter());
            }
        }
        access
    }

    /// A grant iff some assignment gives `who` the `wanted` permission in this vault or in every one. The caller vouches
    /// that `who` was authenticated.
    pub fn grant(&self, who: &Principal, vault: [u8; 16], wanted: Permission) -> Result<Grant, Forbidden> {
        if !self.holds(who, vault, wanted) {
            return Err(Forbidden { principal: who.clone(), vault, permission: wanted });
        }
        let may_read = self.holds(who, vault, Permission::Get);
        Ok(Grant { principal: who.clone(), vault, permission: wanted, may_read })
    }

    fn holds(&self, who: &Principal, vault: [u8; 16], wanted: Permission) -> bool {
        let Some(scopes) = self.by_principal.get(who) else { return false };
        let within = |scope| scopes.get(&scope).is_some_and(|permissions| permissions.contains(wanted));
        within(Scope::Vault(vault)) || within(Scope::Every)
    }
}

/// That a principal may do one thing in one vault. Made by [`Access::grant`] alone; good for the request it was made for,
/// so it is not `Clone`.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    principal: Principal,
    vault: [u8; 16],
    permission: Permission,
    may_read: bool,
}

impl Grant {
    /// Who.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// In which vault: the bytes of its UUID.
    pub fn vault(&self) -> [u8; 16] {
        self.vault
    }

    /// What.
    pub fn permission(&self) -> Permission {
        self.permission
    }

    /// Whether the principal may also read keys there, and so may learn why it was denied something.
    pub fn may_read(&self) -> bool {
        self.may_read
    }
}

/// No assignment permits it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{principal} has no permission {permission} in vault {}", hyphenated(.vault))]
pub struct Forbidden {
    /// Who asked.
    pub principal: Principal,
    /// In which vault.
    pub vault: [u8; 16],
    /// For what.
    pub permission: Permission,
}

/// RFC 9562, 4: 8-4-4-4-12 in lower case.
fn hyphenated(id: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in id.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
