//! Bearer tokens whose signature was verified, kept so that a caller who comes again costs none.
//!
//! What is kept is the proof, found by the digest of the whole token, with the keys that it was made by. Times and
//! audience are judged anew each time; the proof is worth nothing once its issuer has other keys.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use skerry_jose::JwkSet;

use crate::limits::VERIFIED_MAX;
use crate::principal::Principal;

pub(crate) type Digest = [u8; 32];

/// What a verified token says, as far as it matters. Made by `Issuers` alone.
pub(crate) struct Proven {
    /// The provider, by its place in the configuration.
    pub(crate) provider: usize,
    pub(crate) kid: String,
    /// The keys by which the signature was verified.
    pub(crate) keys: Arc<JwkSet>,
    pub(crate) principal: Principal,
    pub(crate) audiences: Vec<String>,
    pub(crate) times: Times,
}

/// Seconds since the epoch.
pub(crate) struct Times {
    pub(crate) iat: u64,
    pub(crate) nbf: Option<u64>,
    pub(crate) exp: u64,
}

#[derive(Default)]
pub(crate) struct VerifiedTokens(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    proven: HashMap<Digest, Arc<Proven>>,
    oldest_first: VecDeque<Digest>,
}

impl VerifiedTokens {
    pub(crate) fn find(&self, digest: &Digest) -> Option<Arc<Proven>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).proven.get(digest).map(Arc::clone)
    }

    pub(crate) fn keep(&self, digest: Digest, proven: Proven) {
        let proven = Arc::new(proven);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.proven.insert(digest, proven).is_none() {
            kept.oldest_first.push_back(digest);
        }
        if kept.oldest_first.len() > VERIFIED_MAX
            && let Some(oldest) = kept.oldest_first.pop_front()
        {
            kept.proven.remove(&oldest);
        }
    }
}
