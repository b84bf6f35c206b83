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
}

pub(crate) const OPERATIONS: [Operation; 5] = [
    Operation { name: "release", kind: Kind::Release, syncs: true },
    Operation { name: "get key", kind: Kind::Get, syncs: false },
    Operation { name: "sign RS256", kind: Kind::SignRsa, syncs: false },
    Operation { name: "sign ES256", kind: Kind::SignEc, syncs: false },
    Operation { name: "attest SNP", kind: Kind::Attest, syncs: false },
];

impl Operation {
    pub(crate) fn of(name: &str) -> Option<&'static Operation> {
        OPERATIONS.iter().find(|operation| operation.name == name)
    }
}
