//! The name of a caller.

use std::fmt;
use std::sync::Arc;

/// Who a caller is: an identity provider and that provider's name for the caller, always both, so that equal subjects of
/// two issuers are two principals. Displayed as `issuer subject`, which is what logs get.
///
/// A name and no proof: configuration makes principals too. That a caller is one is what
/// [`Issuers::authenticate`](crate::Issuers::authenticate) says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal {
    issuer: Arc<str>,
    subject: Arc<str>,
}

impl Principal {
    /// A principal of these parts, taken byte for byte. `issuer` is the provider's first spelling where it has several.
    pub fn new(issuer: impl Into<Arc<str>>, subject: impl Into<Arc<str>>) -> Principal {
        Principal { issuer: issuer.into(), subject: subject.into() }
    }

    /// The identity provider.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The provider's name for the caller.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.issuer, self.subject)
    }
}
