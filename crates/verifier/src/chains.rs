//! Certificate chains that were verified, kept so that a machine that attests often costs one signature check each time.
//!
//! An entry is good until the first of its certificates or lists runs out. The anchors belong to the verifier and never
//! change during its life; a new configuration makes a new verifier and so an empty cache.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_lc_rs::digest;
use skerry_evidence::snp::VerifiedVek;

use crate::limits::CHAINS_MAX;

type Digest = [u8; 32];

#[derive(Default)]
pub(crate) struct Chains {
    verified: Mutex<HashMap<Digest, Kept>>,
}

struct Kept {
    vek: Arc<VerifiedVek>,
    /// When it was verified.
    since: SystemTime,
}

/// Chains that are kept verified, at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChainsSeen {
    /// How many.
    pub kept: usize,
    /// When the first of them was verified.
    pub oldest: Option<SystemTime>,
    /// When the first of them ends: one of its certificates or lists runs out.
    pub ends: Option<SystemTime>,
}

impl Chains {
    /// The chain that came as these bytes, if it was verified before and still holds at `now`; else what `verify` makes.
    pub(crate) fn get_or_verify<E>(
        &self,
        bytes: &[u8],
        now: SystemTime,
        verify: impl FnOnce() -> Result<VerifiedVek, E>,
    ) -> Result<Arc<VerifiedVek>, E> {
        let digest = sha256(bytes);
        if let Some(vek) = self.find(&digest, now) {
            return Ok(vek);
        }
        let vek = Arc::new(verify()?);
        self.keep(digest, &vek, now);
        Ok(vek)
    }

    fn find(&self, digest: &Digest, now: SystemTime) -> Option<Arc<VerifiedVek>> {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.get(digest).filter(|kept| holds(&kept.vek, now)).map(|kept| Arc::clone(&kept.vek))
    }

    /// Those that hold at `now`.
    pub(crate) fn seen(&self, now: SystemTime) -> ChainsSeen {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: Vec<_> = verified.values().filter(|kept| holds(&kept.vek, now)).collect();
        let oldest = kept.iter().map(|kept| kept.since).min();
        let ends = kept.iter().map(|kept| kept.vek.valid_until()).min();
        ChainsSeen { kept: kept.len(), oldest, ends }
    }

    fn keep(&self, digest: Digest, vek: &Arc<VerifiedVek>, now: SystemTime) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= CHAINS_MAX {
            verified.retain(|_, kept| holds(&kept.vek, now));
        }
        if verified.len() >= CHAINS_MAX {
            verified.clear();
        }
        verified.insert(digest, Kept { vek: Arc::clone(vek), since: now });
    }
}

fn holds(vek: &VerifiedVek, now: SystemTime) -> bool {
    vek.valid_from() <= now && now <= vek.valid_until()
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    digest
}
