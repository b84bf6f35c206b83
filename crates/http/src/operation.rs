//! What a request asked for, as it is counted: one of a closed set, so that no stranger can make a new name.
//!
//! Each surface says of a request what it is as soon as it knows, and before it asks who calls: a challenge is counted where
//! it was given. Names of keys, vaults and callers are in no name here.

use crate::vault;

/// An operation of a surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operation(usize);

impl Operation {
    /// How many there are.
    pub(crate) const COUNT: usize = VAULT_FIRST + vault::OPERATIONS;

    /// Nothing that the surface of this name knows, or refused before it was asked.
    pub(crate) fn none_of(surface: &str) -> Operation {
        let own = |(of, name): &(&str, &str)| *of == surface && *name == NONE;
        NAMES.iter().position(own).map_or(OTHER, Operation)
    }

    /// An operation of a vault, by its place among them.
    pub(crate) fn of_vault(at: usize) -> Operation {
        if at < vault::OPERATIONS { Operation(VAULT_FIRST.saturating_add(at)) } else { OTHER }
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Operation> {
        (0..Self::COUNT).map(Operation)
    }

    /// The surface: `vault`, `attestation`, `identity`, `metadata`, `operations`, `other`.
    pub fn surface(self) -> &'static str {
        NAMES.get(self.0).map_or("vault", |(surface, _)| surface)
    }

    /// Its name, as the OpenAPI document has it; `None` for what no route is for.
    pub fn name(self) -> &'static str {
        match NAMES.get(self.0) {
            Some((_, name)) => name,
            None => vault::operation_name(self.0.saturating_sub(VAULT_FIRST)),
        }
    }

    /// The one of this [`index`](Self::index).
    pub(crate) fn at(index: usize) -> Operation {
        Operation(index.min(Self::COUNT - 1))
    }

    pub(crate) fn index(self) -> usize {
        self.0
    }
}

pub(crate) const OTHER: Operation = Operation(0);
pub(crate) const ATTEST: Operation = Operation(5);
pub(crate) const CERTS: Operation = Operation(6);
pub(crate) const ATTESTATION_METADATA: Operation = Operation(7);
pub(crate) const GET_POLICY: Operation = Operation(8);
pub(crate) const SET_POLICY: Operation = Operation(9);
pub(crate) const RESET_POLICY: Operation = Operation(10);
pub(crate) const POLICY_CERTIFICATES: Operation = Operation(11);
pub(crate) const CHANGE_POLICY_CERTIFICATES: Operation = Operation(12);
pub(crate) const DISCOVERY: Operation = Operation(13);
pub(crate) const IDENTITY_KEYS: Operation = Operation(14);
pub(crate) const TOKEN: Operation = Operation(15);
pub(crate) const DESCRIPTION: Operation = Operation(16);
pub(crate) const MANAGED_TOKEN: Operation = Operation(17);
pub(crate) const INSTANCE: Operation = Operation(18);
pub(crate) const HEALTH: Operation = Operation(20);
pub(crate) const TOOL: Operation = Operation(21);

const NONE: &str = "None";

/// All but those of vaults, which come after. The constants above are places in it.
const NAMES: [(&str, &str); 22] = [
    ("other", NONE),
    ("vault", NONE),
    ("attestation", NONE),
    ("identity", NONE),
    ("metadata", NONE),
    ("attestation", "Attest"),
    ("attestation", "Certs"),
    ("attestation", "Metadata"),
    ("attestation", "GetPolicy"),
    ("attestation", "SetPolicy"),
    ("attestation", "ResetPolicy"),
    ("attestation", "PolicyCertificates"),
    ("attestation", "ChangePolicyCertificates"),
    ("identity", "Discovery"),
    ("identity", "Keys"),
    ("identity", "Token"),
    ("identity", "Description"),
    ("metadata", "Token"),
    ("metadata", "Instance"),
    ("operations", NONE),
    ("operations", "Health"),
    ("operations", "Tool"),
];

const VAULT_FIRST: usize = NAMES.len();

#[cfg(test)]
mod tests {
    use super::*;

    /// No two operations have one name, and each constant is what it says.
    #[test]
    fn names_are_told_apart() {
        let names: std::collections::BTreeSet<_> = Operation::all().map(|one| (one.surface(), one.name())).collect();
        assert_eq!(names.len(), Operation::COUNT);
        for (operation, surface, name) in [
            (OTHER, "other", NONE),
            (ATTEST, "attestation", "Attest"),
            (CERTS, "attestation", "Certs"),
            (ATTESTATION_METADATA, "attestation", "Metadata"),
            (GET_POLICY, "attestation", "GetPolicy"),
            (SET_POLICY, "attestation", "SetPolicy"),
            (RESET_POLICY, "attestation", "ResetPolicy"),
            (POLICY_CERTIFICATES, "attestation", "PolicyCertificates"),
            (CHANGE_POLICY_CERTIFICATES, "attestation", "ChangePolicyCertificates"),
            (DISCOVERY, "identity", "Discovery"),
            (IDENTITY_KEYS, "identity", "Keys"),
            (TOKEN, "identity", "Token"),
            (DESCRIPTION, "identity", "Description"),
            (MANAGED_TOKEN, "metadata", "Token"),
            (INSTANCE, "metadata", "Instance"),
            (HEALTH, "operations", "Health"),
            (TOOL, "operations", "Tool"),
            (Operation::none_of("vault"), "vault", NONE),
            (Operation::of_vault(0), "vault", "Create"),
            (Operation::of_vault(1_000), "other", NONE),
        ] {
            assert_eq!((operation.surface(), operation.name()), (surface, name));
        }
    }
}
