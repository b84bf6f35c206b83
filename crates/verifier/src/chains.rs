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
    verified: Mutex<HashMap<Digest, Arc<VerifiedVek>>>,
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
        verified.get(digest).filter(|vek| holds(vek, now)).cloned()
    }

    fn keep(&self, digest: Digest, vek: &Arc<VerifiedVek>, now: SystemTime) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= CHAINS_MAX {
            verified.retain(|_, vek| holds(vek, now));
        }
        if verified.len() >= CHAINS_MAX {
            verified.clear();
        }
        verified.insert(digest, Arc::clone(vek));
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
