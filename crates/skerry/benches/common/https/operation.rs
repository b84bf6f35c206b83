//! What is asked of the server.

/// An operation, on the wire and by hand.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether it is on record before it is answered.
    pub(crate) syncs: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Release,
    Get,
    SignRsa,
    SignEc,
    Attest,
    List,
    Wrap,
    Unwrap,
    Encrypt,
    CreateRsa,
    CreateEc,
}

/// What the bench of the release path asks for.
pub(crate) const SERVER: [Operation; 5] = [
    Operation { name: "release", kind: Kind::Release, syncs: true },
    Operation { name: "get key", kind: Kind::Get, syncs: false },
    Operation { name: "sign RS256", kind: Kind::SignRsa, syncs: false },
    Operation { name: "sign ES256", kind: Kind::SignEc, syncs: false },
    Operation { name: "attest SNP", kind: Kind::Attest, syncs: false },
];

/// What the bench of a vault's operations asks for. Unwrapping is given what wrapping answered, so that comes before.
pub(crate) const VAULT: [Operation; 9] = [
    Operation { name: "get key", kind: Kind::Get, syncs: false },
    Operation { name: "list page", kind: Kind::List, syncs: false },
    Operation { name: "sign RS256", kind: Kind::SignRsa, syncs: false },
    Operation { name: "sign ES256", kind: Kind::SignEc, syncs: false },
    Operation { name: "wrap RSA-OAEP-256", kind: Kind::Wrap, syncs: false },
    Operation { name: "unwrap RSA-OAEP-256", kind: Kind::Unwrap, syncs: false },
    Operation { name: "encrypt A256GCM", kind: Kind::Encrypt, syncs: false },
    Operation { name: "create RSA-2048", kind: Kind::CreateRsa, syncs: true },
    Operation { name: "create EC P-256", kind: Kind::CreateEc, syncs: true },
];

impl Operation {
    pub(crate) fn of(name: &str) -> Option<&'static Operation> {
        SERVER.iter().chain(&VAULT).find(|operation| operation.name == name)
    }

    /// Of so many requests in a block, those that are made of this one: it may take a hundred times as long.
    pub(crate) fn share(&self, count: usize) -> usize {
        match self.kind {
            Kind::CreateRsa => count.div_ceil(100),
            _ => count,
        }
    }
}
