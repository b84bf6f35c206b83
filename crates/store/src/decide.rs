//! What a transaction does, as a pure function: every engine commits exactly what it says.

use crate::error::StoreError;
use crate::model::{Entry, Op, Revision, Txn};
use std::sync::Arc;

/// One key before and after a commit. A key that was absent and is so still is not one.
#[derive(Clone, Debug)]
pub struct Change {
    /// The key.
    pub key: Arc<[u8]>,
    /// What it held, for snapshots of the past; an engine that shows none leaves it out.
    pub before: Option<Arc<Entry>>,
    /// What it holds.
    pub after: Option<Arc<Entry>>,
}

/// What becomes of a transaction.
pub(crate) enum Decision {
    Commit(Vec<Change>),
    /// The check of this key does not hold.
    Conflict(Vec<u8>),
}

/// Decides on a validated transaction that would be commit `revision`. `lookup` is the state just before it.
pub(crate) fn decide(
    txn: &Txn,
    revision: Revision,
    lookup: impl Fn(&[u8]) -> Result<Option<Arc<Entry>>, StoreError>,
) -> Result<Decision, StoreError> {
    for check in &txn.checks {
        if !check.holds(lookup(check.key())?.as_deref()) {
            return Ok(Decision::Conflict(check.key().to_vec()));
        }
    }
    let mut changes = Vec::with_capacity(txn.ops.len());
    for op in &txn.ops {
        let before = lookup(op.key())?;
        let after = after(op, before.as_deref(), revision);
        if before.is_some() || after.is_some() {
            changes.push(Change { key: op.key().into(), before, after });
        }
    }
    Ok(Decision::Commit(changes))
}

fn after(op: &Op, before: Option<&Entry>, revision: Revision) -> Option<Arc<Entry>> {
    let Op::Put(_, value) = op else { return None };
    let (created, version) = before.map_or((revision, 1), |entry| (entry.created, entry.version.saturating_add(1)));
    Some(Arc::new(Entry { value: value.clone(), created, modified: revision, version }))
}
