//! Attestation tokens that were verified, kept until they expire, so that a TEE that asks again costs no signature check.
//!
//! What is kept is the proof, found by the token's own digest, with the authority and keys it was verified by: it is good
//! only while the authority still has those very keys. Whether it is fresh enough for a key, and what the policy says of
//! it, is decided anew each time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use skerry_attestation_result::{Authority, TrustedResult, unix_secs};

use crate::limits::TOKENS_MAX;

type Digest = [u8; 32];

#[derive(Default)]
pub(crate) struct Tokens(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    verified: HashMap<Digest, Entry>,
    oldest_first: VecDeque<Digest>,
}

/// A verified token and what it was verified by.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) result: Arc<TrustedResult>,
    pub(crate) authority: Arc<Authority>,
    verified_at: u64,
}

impl Entry {
    pub(crate) fn new(result: TrustedResult, authority: Arc<Authority>, now: SystemTime) -> Entry {
        Entry { result: Arc::new(result), authority, verified_at: unix_secs(now) }
    }
}

impl Tokens {
    /// The proof for the token of this digest, if it was verified before and `now` lies between then and its end.
    pub(crate) fn find(&self, digest: &Digest, now: SystemTime) -> Option<Entry> {
        let now = unix_secs(now);
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kept.verified.get(digest)?;
        (entry.verified_at <= now && now < entry.result.expires_at()).then(|| entry.clone())
    }

    pub(crate) fn keep(&self, digest: Digest, entry: Entry) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.verified.insert(digest, entry).is_none() {
            kept.oldest_first.push_back(digest);
        }
        if kept.oldest_first.len() > TOKENS_MAX
            && let Some(oldest) = kept.oldest_first.pop_front()
        {
            kept.verified.remove(&oldest);
        }
    }
}
