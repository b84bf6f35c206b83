//! Rows of the redb file.
//!
//! ```text
//! table "entries": key as the caller gave it, 1..=512 octets ->
//!    0   8  created, revision, big endian
//!    8   8  modified, revision, big endian
//!   16   8  version, big endian
//!   24 len  value
//!
//! table "ops": revision, u64 as redb has it -> 17 octets
//!    0   1  1 committed, 2 aborted
//!    1  16  op id
//!
//! table "meta": name, text -> u64 as redb has it
//!   "format"  2
//!
//! table "sum": () -> 48 octets
//!    see `sum`
//! ```
//!
//! Every commit has one row in `ops`, so the newest revision is that table's last key, and 0 if there is none.

use crate::error::StoreError;
use crate::model::{Entry, OpId, Revision, Settled};
use redb::TableDefinition;

pub(crate) const ENTRIES: TableDefinition<'static, &'static [u8], &'static [u8]> = TableDefinition::new("entries");
pub(crate) const OPS: TableDefinition<'static, u64, [u8; OP_LEN]> = TableDefinition::new("ops");
pub(crate) const SUM: TableDefinition<'static, (), [u8; SUM_LEN]> = TableDefinition::new("sum");
pub(crate) const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");
/// Their names, in order.
pub(crate) const TABLES: [&str; 4] = ["entries", "meta", "ops", "sum"];
/// Name of the row in `meta` that says how the other tables are to be read.
pub(crate) const FORMAT_NAME: &str = "format";
/// 1 had no sum. No version of ours reads it: a sum made of a file that had none would vouch for whatever is in it.
pub(crate) const FORMAT: u64 = 2;
pub(crate) const OP_LEN: usize = 17;
pub(crate) const SUM_LEN: usize = 48;

/// The row of an entry.
pub(crate) fn encode(entry: &Entry) -> Vec<u8> {
    [
        entry.created.0.to_be_bytes().as_slice(),
        &entry.modified.0.to_be_bytes(),
        &entry.version.to_be_bytes(),
        &entry.value,
    ]
    .concat()
}

/// The entry of a row.
pub(crate) fn decode(row: &[u8]) -> Result<Entry, StoreError> {
    let parse = || {
        let (created, rest) = row.split_first_chunk()?;
        let (modified, rest) = rest.split_first_chunk()?;
        let (version, value) = rest.split_first_chunk()?;
        Some(Entry {
            value: value.to_vec(),
            created: Revision(u64::from_be_bytes(*created)),
            modified: Revision(u64::from_be_bytes(*modified)),
            version: u64::from_be_bytes(*version),
        })
    };
    parse().ok_or_else(|| StoreError::Damaged { detail: format!("entry of {} octets", row.len()) })
}

/// The row of an op id.
pub(crate) fn encode_op(op: OpId, settled: Settled) -> [u8; OP_LEN] {
    let mut row = [0; OP_LEN];
    let state = match settled {
        Settled::Committed(_) => COMMITTED,
        Settled::Aborted => ABORTED,
    };
    let fields = [state].into_iter().chain(op.0);
    row.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    row
}

/// The op id of a row, and what was decided.
pub(crate) fn decode_op(revision: Revision, row: [u8; OP_LEN]) -> Result<(OpId, Settled), StoreError> {
    let [state, op @ ..] = row;
    let settled = match state {
        COMMITTED => Settled::Committed(revision),
        ABORTED => Settled::Aborted,
        _ => return Err(StoreError::Damaged { detail: format!("state {state} of op at revision {revision}") }),
    };
    Ok((OpId(op), settled))
}

const COMMITTED: u8 = 1;
const ABORTED: u8 = 2;
