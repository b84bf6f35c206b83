//! What an engine in a crate of its own is made of, and the one door by which it comes in: [`Store::on`].
//!
//! A store is an enum of engines. Those that need nothing but a file are in this crate; one that speaks to servers brings
//! a stack of its own and may use this crate, so this crate cannot name it. What it implements is therefore a trait, with
//! one implementor on purpose ([why](../../../docs/decisions/016-why-the-joint-is-a-trait-for-one-engine.md)).
//!
//! Whoever calls has checked keys and transactions against [`crate::limits`] before an engine sees them.
//!
//! [`Store::on`]: crate::Store::on

pub use crate::coming::Exporting;
pub use crate::decide::Change;
pub use crate::history::Commit;
pub use crate::published::{Look, Published};

use crate::error::StoreError;
use crate::lease::Lease;
use crate::model::{At, Entry, OpId, Outcome, Page, Revision, Settled, Txn};
use crate::watch::Watch;
use std::pin::Pin;
use std::time::Duration;

/// What an engine answers, later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// An engine elsewhere. Each method is what the one of the same name of [`crate::Store`] promises.
pub trait Remote: Send + Sync {
    /// See [`crate::Store::get`].
    fn get<'a>(&'a self, key: &'a [u8], at: At) -> Answer<'a, Option<Entry>>;
    /// See [`crate::Store::range`].
    fn range<'a>(&'a self, prefix: &'a [u8], after: Option<&'a [u8]>, limit: usize, at: At) -> Answer<'a, Page>;
    /// See [`crate::Store::commit`].
    fn commit<'a>(&'a self, txn: &'a Txn) -> Answer<'a, Outcome>;
    /// See [`crate::Store::settle`].
    fn settle(&self, op: OpId) -> Answer<'_, Settled>;
    /// See [`crate::Store::export`].
    fn export(&self) -> Answer<'_, Exporting>;
    /// See [`crate::Store::settled`].
    fn settled(&self, op: OpId) -> Answer<'_, Option<Settled>>;
    /// See [`crate::Store::watch`].
    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, StoreError>;
    /// See [`crate::Store::fence`].
    fn fence(&self) -> Answer<'_, Revision>;
    /// See [`crate::Store::forget`].
    fn forget(&self) -> Answer<'_, Revision>;
    /// See [`crate::Store::lease`].
    fn lease<'a>(&'a self, name: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Option<Lease>>;
    /// See [`crate::Store::holder`].
    fn holder<'a>(&'a self, name: &'a str) -> Answer<'a, Option<String>>;
}
