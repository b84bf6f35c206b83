//! Attestation tokens that were verified, kept until they expire, so that a TEE that asks again costs no signature check.
//!
//! What is kept is the proof, found by the token's own digest; whether it is fresh enough for a key, and what the policy
//! says of it, is decided anew each time. The authorities belong to the vault and do not change during its life.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use skerry_attestation_result::{TrustedResult, unix_secs};

use crate::limits::TOKENS_MAX;

type Digest = [u8; 32];

#[derive(Default)]
pub(crate) struct Tokens(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    verified: HashMap<Digest, Entry>,
    oldest_first: VecDeque<Digest>,
}

struct Entry {
    result: Arc<TrustedResult>,
    verified_at: u64,
}

impl Tokens {
    /// The proof for the token of this digest, if it was verified before and `now` lies between then and its end; else what `verify` makes.
    pub(crate) fn get_or_verify<E>(
        &self,
        digest: Digest,
        now: SystemTime,
        verify: impl FnOnce() -> Result<TrustedResult, E>,
    ) -> Result<Arc<TrustedResult>, E> {
        let now = unix_secs(now);
        if let Some(result) = self.find(&digest, now) {
            return Ok(result);
        }
        let result = Arc::new(verify()?);
        self.keep(digest, Entry { result: Arc::clone(&result), verified_at: now });
        Ok(result)
    }

    fn find(&self, digest: &Digest, now: u64) -> Option<Arc<TrustedResult>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kept.verified.get(digest)?;
        (entry.verified_at <= now && now < entry.result.expires_at()).then(|| Arc::clone(&entry.result))
    }

    fn keep(&self, digest: Digest, entry: Entry) {
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
