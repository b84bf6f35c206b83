//! The keys of an issuer: at hand, or fetched and kept for a while.
//!
//! Keys are read without a lock. Fetching is one at a time, begins at most once per interval, and goes on when the caller
//! that began it has gone, so that a stranger who hangs up cannot keep keys from being renewed. The clock is the caller's;
//! callers whose clocks differ by less than an interval share what one of them fetched.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use bytes::Bytes;
use skerry_jose::limits::JSON;
use skerry_jose::{Algorithm, JwkError, JwkSet, KeyLookupError};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::fetch::{FetchError, Fetcher};
use crate::limits::{KEY_SET_BYTES_MAX, METADATA_BYTES_MAX, Terms};
use crate::oidc::{MetadataError, Oidc};
use crate::url::Url;

/// Where an issuer publishes its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Where its metadata says.
    Discovered(Oidc),
    /// Here; metadata is not asked for.
    At(Url),
}

/// Keys of one issuer. Clones share everything.
#[derive(Clone)]
pub struct KeySet(Kind);

#[derive(Clone)]
enum Kind {
    Fixed(Arc<JwkSet>),
    Fetched(Arc<Fetched>),
}

impl KeySet {
    /// Keys that configuration, or a service in the same process, vouches for. They are never fetched.
    pub fn fixed(keys: JwkSet) -> KeySet {
        KeySet(Kind::Fixed(Arc::new(keys)))
    }

    /// Keys that are fetched when first asked for, and again as `terms` say. Configuration vouches for the source.
    pub fn fetched(fetcher: Fetcher, source: KeySource, terms: Terms) -> KeySet {
        let (state, turn) = (ArcSwap::default(), Arc::default());
        let (attempts, failures) = (AtomicU64::new(0), AtomicU64::new(0));
        KeySet(Kind::Fetched(Arc::new(Fetched { fetcher, source, terms, state, turn, attempts, failures })))
    }

    /// The issuer's keys, renewed before if a caller who looks for the key `kid` needs it. They need not have that key.
    ///
    /// Two answers that are the same `Arc` are the same keys: what was verified by one holds for the other.
    pub async fn with_kid(&self, kid: Option<&str>, now: SystemTime) -> Result<Arc<JwkSet>, SourceError> {
        match &self.0 {
            Kind::Fixed(keys) => Ok(Arc::clone(keys)),
            Kind::Fetched(fetched) => fetched.with_kid(kid, now).await,
        }
    }

    /// What an operator may want to know.
    pub fn state(&self) -> KeySetState {
        match &self.0 {
            Kind::Fixed(keys) => {
                KeySetState { keys: keys.len(), fetched: None, failure: None, attempts: 0, failures: 0 }
            }
            Kind::Fetched(fetched) => {
                let state = fetched.state.load();
                let kept = state.kept.as_ref();
                let keys = kept.map_or(0, |kept| kept.keys.len());
                KeySetState {
                    keys,
                    fetched: kept.map(|kept| kept.fetched),
                    failure: state.failure.clone(),
                    attempts: fetched.attempts.load(Ordering::Relaxed),
                    failures: fetched.failures.load(Ordering::Relaxed),
                }
            }
        }
    }
}

/// How it stands with a key set.
#[derive(Debug, Clone, PartialEq)]
pub struct KeySetState {
    /// Keys at hand, usable or too old.
    pub keys: usize,
    /// When they were fetched, if they were.
    pub fetched: Option<SystemTime>,
    /// Why the last attempt to renew them failed, if it did.
    pub failure: Option<SourceError>,
    /// How often they were fetched or tried to be.
    pub attempts: u64,
    /// How often that failed.
    pub failures: u64,
}

/// Why there are no keys. No `Eq`, since rustls' error has none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum SourceError {
    #[error("fetching {url}")]
    Fetch { url: Box<Url>, source: FetchError },
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error("key set")]
    Keys(#[source] JwkError),
    #[error("keys are {} s old, more than {} s", .age.as_secs(), .max.as_secs())]
    Stale { age: Duration, max: Duration },
    #[error("fetching was broken off")]
    BrokenOff,
}

struct Fetched {
    fetcher: Fetcher,
    source: KeySource,
    terms: Terms,
    state: ArcSwap<State>,
    /// Held by whoever fetches.
    turn: Arc<Mutex<()>>,
    attempts: AtomicU64,
    failures: AtomicU64,
}

#[derive(Default, Clone)]
struct State {
    kept: Option<Kept>,
    attempted: Option<SystemTime>,
    failure: Option<SourceError>,
}

#[derive(Clone)]
struct Kept {
    keys: Arc<JwkSet>,
    document: Bytes,
    fetched: SystemTime,
}

/// What a caller needs before it can be answered.
#[derive(PartialEq, Eq)]
enum Need {
    Nothing,
    /// New keys, some time soon.
    Soon,
    /// New keys.
    First,
}

impl Fetched {
    async fn with_kid(self: &Arc<Self>, kid: Option<&str>, now: SystemTime) -> Result<Arc<JwkSet>, SourceError> {
        let need = self.state.load().need(kid, now, &self.terms);
        match need {
            Need::Nothing => {}
            Need::Soon => self.refresh_aside(now),
            Need::First => self.refresh(now).await,
        }
        self.state.load().answer(now, &self.terms)
    }

    /// Returns when keys were fetched, by this caller or by the one before it, or may not be fetched now.
    async fn refresh(self: &Arc<Self>, now: SystemTime) {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        if self.state.load().may_attempt(now, &self.terms) {
            // A task that ends badly leaves the state as it was, and that is what is answered from.
            let _ = tokio::spawn(Arc::clone(self).attempt(now, turn)).await;
        }
    }

    fn refresh_aside(self: &Arc<Self>, now: SystemTime) {
        let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() else { return };
        if self.state.load().may_attempt(now, &self.terms) {
            tokio::spawn(Arc::clone(self).attempt(now, turn));
        }
    }

    async fn attempt(self: Arc<Self>, now: SystemTime, turn: OwnedMutexGuard<()>) {
        let document = self.document().await;
        let before = self.state.load_full();
        let kept = document.and_then(|document| Kept::parse(document, now, before.kept.as_ref()));
        self.attempts.fetch_add(1, Ordering::Relaxed);
        self.failures.fetch_add(u64::from(kept.is_err()), Ordering::Relaxed);
        let state = match kept {
            Ok(kept) => State { kept: Some(kept), attempted: Some(now), failure: None },
            Err(error) => State { kept: before.kept.clone(), attempted: Some(now), failure: Some(error) },
        };
        self.state.store(Arc::new(state));
        drop(turn);
    }

    async fn document(&self) -> Result<Bytes, SourceError> {
        let keys = match &self.source {
            KeySource::At(url) => url.clone(),
            KeySource::Discovered(oidc) => {
                let metadata = self.get(oidc.metadata(), METADATA_BYTES_MAX).await?;
                oidc.keys_url(&metadata)?
            }
        };
        self.get(&keys, KEY_SET_BYTES_MAX).await
    }

    async fn get(&self, url: &Url, body_bytes_max: usize) -> Result<Bytes, SourceError> {
        let failed = |source| SourceError::Fetch { url: Box::new(url.clone()), source };
        self.fetcher.get(url, body_bytes_max).await.map_err(failed)
    }
}

impl State {
    fn need(&self, kid: Option<&str>, now: SystemTime, terms: &Terms) -> Need {
        let Some(kept) = self.usable(now, terms) else { return Need::First };
        let age = apart(now, kept.fetched);
        if kid.is_some_and(|kid| !knows(&kept.keys, kid)) {
            return Need::First;
        }
        match age {
            // An issuer that did not answer last time is not waited for while its keys may still be used.
            age if age >= terms.age_max && self.failure.is_none() => Need::First,
            age if age >= terms.refresh_age => Need::Soon,
            _ => Need::Nothing,
        }
    }

    fn answer(&self, now: SystemTime, terms: &Terms) -> Result<Arc<JwkSet>, SourceError> {
        if let Some(kept) = self.usable(now, terms) {
            return Ok(Arc::clone(&kept.keys));
        }
        let stale = |kept: &Kept| SourceError::Stale { age: apart(now, kept.fetched), max: terms.stale_max };
        let old = self.kept.as_ref().map_or(SourceError::BrokenOff, stale);
        Err(self.failure.clone().unwrap_or(old))
    }

    fn usable(&self, now: SystemTime, terms: &Terms) -> Option<&Kept> {
        self.kept.as_ref().filter(|kept| apart(now, kept.fetched) <= terms.stale_max)
    }

    fn may_attempt(&self, now: SystemTime, terms: &Terms) -> bool {
        let interval = if self.usable(now, terms).is_some() { terms.interval_min } else { terms.retry_min };
        self.attempted.is_none_or(|attempted| apart(now, attempted) >= interval)
    }
}

impl Kept {
    /// A document that says what the last one said gives the same keys, so that what they verified need not be verified
    /// again.
    fn parse(document: Bytes, now: SystemTime, before: Option<&Kept>) -> Result<Kept, SourceError> {
        let keys = match before.filter(|before| before.document == document) {
            Some(before) => Arc::clone(&before.keys),
            None => Arc::new(JwkSet::parse(&document, &JSON).map_err(SourceError::Keys)?),
        };
        Ok(Kept { keys, document, fetched: now })
    }
}

fn knows(keys: &JwkSet, kid: &str) -> bool {
    !matches!(keys.find(kid, Algorithm::Rs256), Err(KeyLookupError::Unknown { .. }))
}

/// Forwards or backwards: a clock that was set back does not make keys young.
fn apart(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|error| error.duration())
}
