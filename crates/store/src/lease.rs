//! Leases: a job that several nodes could do is done by one of them at a time.
//!
//! A lease saves work and is no lock: a holder that was stopped learns that it lost the lease only when it goes on. So what
//! a holder commits rests on the checks of its transactions, as everything does; with a lease or without, nothing is done
//! twice that must not be.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// A lease that is held until this is dropped, or is lost. Made by [`crate::Store::lease`].
pub struct Lease {
    lost: watch::Receiver<bool>,
    _held: Box<dyn Any + Send + Sync>,
}

impl Lease {
    /// For engines: `lost` becomes true, or its sender goes, when the lease is lost; `held` gives it back when dropped.
    pub fn new(lost: watch::Receiver<bool>, held: impl Any + Send + Sync) -> Self {
        Self { lost, _held: Box::new(held) }
    }

    /// Whether the lease is lost: another may hold it. To be asked before each piece of work.
    pub fn is_lost(&self) -> bool {
        *self.lost.borrow() || self.lost.has_changed().is_err()
    }

    /// Gives it back, and returns when that is done or nobody can do it: then its time goes by.
    pub async fn release(self) {
        let Self { mut lost, _held } = self;
        drop(_held);
        while lost.changed().await.is_ok() {}
    }

    /// Returns when the lease is lost. May be dropped while it waits.
    pub async fn lost(&mut self) {
        // A sender that is gone cannot keep it any more.
        let _gone = self.lost.wait_for(|lost| *lost).await;
    }
}

/// Leases among those that share one process: all there can be of a store that one process holds. Never lost.
#[derive(Default)]
pub(crate) struct Local(Arc<Mutex<BTreeMap<String, String>>>);

impl Local {
    /// The lease of this name, unless it is held.
    pub(crate) fn lease(&self, name: &str, holder: &str) -> Option<Lease> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.contains_key(name) {
            return None;
        }
        names.insert(name.to_owned(), holder.to_owned());
        let (keep, lost) = watch::channel(false);
        Some(Lease::new(lost, Held { names: Arc::clone(&self.0), name: name.to_owned(), _keep: keep }))
    }

    /// Who holds it.
    pub(crate) fn holder(&self, name: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

struct Held {
    names: Arc<Mutex<BTreeMap<String, String>>>,
    name: String,
    _keep: watch::Sender<bool>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}
