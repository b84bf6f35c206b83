//! Attestation authorities that a vault believes, with keys that are fixed or fetched.
//!
//! Which authority a token is checked against follows from its `iss`; only keys of that authority are tried. Where keys
//! are fetched, configuration names the URL: nothing that a policy or a token says is ever fetched.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use skerry_attestation_result::{Authority, IssuerUrl};
use skerry_jose::JwkSet;
use skerry_sources::KeySet;

use crate::limits::AUTHORITIES_MAX;
use crate::refusal::Refusal;
use crate::vault::VaultConfigError;

/// One authority as configured.
pub struct TrustedAuthority {
    authority: Arc<Authority>,
    fetched: Option<Fetched>,
}

struct Fetched {
    keys: Arc<KeySet>,
    current: Mutex<Option<(Arc<JwkSet>, Arc<Authority>)>>,
}

impl TrustedAuthority {
    /// An authority whose keys configuration, or the verifier in this process, vouches for.
    pub fn fixed(authority: Authority) -> TrustedAuthority {
        TrustedAuthority { authority: Arc::new(authority), fetched: None }
    }

    /// An authority whose keys are `keys` at any time; what keys `authority` has itself does not count.
    pub fn fetched(authority: Authority, keys: Arc<KeySet>) -> TrustedAuthority {
        let fetched = Some(Fetched { keys, current: Mutex::default() });
        TrustedAuthority { authority: Arc::new(authority), fetched }
    }

    /// The issuer.
    pub fn issuer(&self) -> &IssuerUrl {
        self.authority.issuer()
    }

    /// The authority with its keys of now; with `kid` among them, if that can be had. The same `Arc` means the same keys.
    pub(crate) async fn current(&self, kid: Option<&str>, now: SystemTime) -> Result<Arc<Authority>, Refusal> {
        let Some(fetched) = &self.fetched else { return Ok(Arc::clone(&self.authority)) };
        let unavailable = |reason| Refusal::AuthorityUnavailable { issuer: self.issuer().to_string(), reason };
        let keys = fetched.keys.with_kid(kid, now).await.map_err(unavailable)?;
        let mut current = fetched.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((own, authority)) = &*current
            && Arc::ptr_eq(own, &keys)
        {
            return Ok(Arc::clone(authority));
        }
        let authority = Arc::new(self.authority.with_other_keys(JwkSet::clone(&keys)));
        *current = Some((keys, Arc::clone(&authority)));
        Ok(authority)
    }
}

/// All authorities of one vault.
pub(crate) struct Authorities(Vec<TrustedAuthority>);

impl Authorities {
    /// Two authorities of one issuer would make it a matter of order whose keys count, so they are refused.
    pub(crate) fn new(authorities: Vec<TrustedAuthority>) -> Result<Authorities, VaultConfigError> {
        let count = authorities.len();
        if count > AUTHORITIES_MAX {
            return Err(VaultConfigError::TooManyAuthorities { count });
        }
        let mut issuers = HashSet::new();
        if let Some(twice) = authorities.iter().find(|one| !issuers.insert(one.issuer().clone())) {
            return Err(VaultConfigError::AuthorityTwice { issuer: twice.issuer().to_string() });
        }
        Ok(Authorities(authorities))
    }

    pub(crate) fn find(&self, issuer: &IssuerUrl) -> Result<&TrustedAuthority, Refusal> {
        let known = self.0.iter().find(|one| one.issuer() == issuer);
        known.ok_or_else(|| Refusal::UnknownAuthority { issuer: issuer.to_string() })
    }
}
