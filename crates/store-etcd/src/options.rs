//! How etcd is reached.

use crate::limits::{CACHE_LEN, COMMIT_TIMEOUT, ENDPOINTS_MAX, HISTORY_KEPT, PREFIX_LEN_MAX, TIMEOUT};
use std::net::IpAddr;
use std::time::Duration;
use tonic::transport::Uri;

/// Where the servers are, how they are to be trusted, and what a node keeps.
pub struct Options {
    /// URLs of the servers, each a scheme, a host and a port. One that does not answer is passed over.
    pub endpoints: Vec<String>,
    /// What the keys of this store begin with.
    pub prefix: String,
    /// Who is trusted, and who this node is.
    pub trust: Trust,
    /// Octets of entries that are kept to answer reads without asking for them again.
    pub cache_len: usize,
    /// How long a call may try.
    pub timeout: Duration,
    /// How long a commit is waited for, before its outcome is unknown.
    pub commit_timeout: Duration,
    /// How old history has to be to be compacted by us; `None` where somebody else does it, who vouches to keep what is
    /// [`HISTORY_KEPT`].
    pub history_kept: Option<Duration>,
}

/// How servers and node know each other.
#[derive(Clone)]
pub enum Trust {
    /// TLS on both sides, PEM: the servers' own roots, which are no others, and this node's certificates and key.
    Mutual {
        /// Roots of the servers' certificates.
        roots: Vec<u8>,
        /// This node's certificate, and those up to its root.
        certificates: Vec<u8>,
        /// Its private key.
        key: Vec<u8>,
    },
    /// Nothing is sealed and nobody is known: whoever reaches the port reads and writes. For loopback, and nothing else.
    DangerNone,
}

/// Why options are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// There is no endpoint, or more than [`ENDPOINTS_MAX`].
    #[error("{count} endpoints, not 1 to {ENDPOINTS_MAX}")]
    Endpoints {
        /// How many.
        count: usize,
    },
    /// It is no URL of a scheme, a host and a port.
    #[error("endpoint {endpoint} is not https://host:port")]
    Endpoint {
        /// As it was given.
        endpoint: String,
    },
    /// It says http, and TLS is asked for.
    #[error("endpoint {endpoint} has no TLS")]
    NoTls {
        /// As it was given.
        endpoint: String,
    },
    /// Without TLS only loopback addresses are spoken to.
    #[error("endpoint {endpoint} has no TLS and is not a loopback address")]
    NotLoopback {
        /// As it was given.
        endpoint: String,
    },
    /// The prefix is longer than [`PREFIX_LEN_MAX`], or does not end in a `/`.
    #[error("prefix {prefix} is not 1 to {PREFIX_LEN_MAX} octets that end in /")]
    Prefix {
        /// As it was given.
        prefix: String,
    },
    /// Roots, certificates or key are not PEM of what they should be.
    #[error("roots, certificates or key cannot be read: {detail}")]
    Certificates {
        /// What the TLS library said.
        detail: String,
    },
}

impl Options {
    /// These servers, and for the rest what [`crate::limits`] says.
    pub fn new(endpoints: Vec<String>, trust: Trust) -> Self {
        Self {
            endpoints,
            prefix: "skerry/".to_owned(),
            trust,
            cache_len: CACHE_LEN,
            timeout: TIMEOUT,
            commit_timeout: COMMIT_TIMEOUT,
            history_kept: Some(HISTORY_KEPT),
        }
    }

    /// The endpoints, iff these options may be used.
    pub(crate) fn check(&self) -> Result<Vec<Uri>, OptionsError> {
        if self.endpoints.is_empty() || self.endpoints.len() > ENDPOINTS_MAX {
            return Err(OptionsError::Endpoints { count: self.endpoints.len() });
        }
        if self.prefix.len() > PREFIX_LEN_MAX || !self.prefix.ends_with('/') {
            return Err(OptionsError::Prefix { prefix: self.prefix.clone() });
        }
        self.endpoints.iter().map(|endpoint| check_endpoint(endpoint, &self.trust)).collect()
    }
}

fn check_endpoint(endpoint: &str, trust: &Trust) -> Result<Uri, OptionsError> {
    let malformed = || OptionsError::Endpoint { endpoint: endpoint.to_owned() };
    let uri: Uri = endpoint.parse().map_err(|_| malformed())?;
    let (Some(scheme), Some(host), Some(_)) = (uri.scheme_str(), uri.host(), uri.port_u16()) else {
        return Err(malformed());
    };
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(malformed());
    }
    match (scheme, trust) {
        ("https", Trust::Mutual { .. }) => Ok(uri),
        ("http", Trust::Mutual { .. }) => Err(OptionsError::NoTls { endpoint: endpoint.to_owned() }),
        ("http", Trust::DangerNone) if is_loopback(host) => Ok(uri),
        ("http", Trust::DangerNone) => Err(OptionsError::NotLoopback { endpoint: endpoint.to_owned() }),
        _ => Err(malformed()),
    }
}

/// An address: a name could come to mean another one.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback())
}
