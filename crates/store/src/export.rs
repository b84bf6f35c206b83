//! Everything of one revision, read while commits go on, and a new file of exactly that.
//!
//! Snapshots are of a bounded history, so whoever reads for minutes may find his compacted. An export holds the engine's own
//! state instead: of redb a read transaction, whose pages are not reused while it lasts, so the file grows by what is
//! written meanwhile; in memory a copy of pointers; of servers one revision of theirs, whose history they keep for so long. What
//! comes out are rows as they are stored, with their revisions, and the op ids, of which the newest is the revision and by which
//! changes without an outcome are settled.
//!
//! An export of a file adds up what it reads and compares at its end: rows that somebody put back while the file was open are
//! not given out as good. What comes from servers is held to its order, its number and its revision.

use crate::coming::{Coming, Exporting};
use crate::embedded::{self, Embedded, guarded};
use crate::error::{Step, StoreError};
use crate::limits::{OPS_MAX, PAGE_LEN_MAX, PAGE_ROWS_MAX, VALUE_LEN_MAX};
use crate::memory::Entries;
use crate::model::{OpId, Revision, Row, Settled, validate_key};
use crate::ops::Ops;
use crate::row::{self, ENTRIES, OPS, SUM_LEN};
use crate::seal::Root;
use crate::sum::Sum;
use redb::{Database, ReadTransaction, ReadableTableMetadata as _, WriteTransaction};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

/// One thing that a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exported {
    /// A key with what it holds.
    Entry(Row),
    /// An op id that is remembered.
    Op {
        /// The commit that has it, a transaction or an abort.
        revision: Revision,
        /// The id.
        op: OpId,
        /// What was decided under it.
        settled: Settled,
    },
}

/// All of a store at one revision: entries in the order of their keys, then op ids in that of their revisions. While it is
/// held the engine keeps what it shows, and a file is not free for another opener.
pub struct Export {
    revision: Revision,
    rows: u64,
    reading: Reading,
}

enum Reading {
    Held(Held),
    Remote(Coming),
}

/// What this process holds, and how far it was read.
struct Held {
    source: Source,
    next: Next,
}

enum Source {
    Memory(Entries, Vec<(Revision, OpId, Settled)>),
    File { read: ReadTransaction, stored: [u8; SUM_LEN], sum: Box<Sum> },
}

/// Where the next page begins.
enum Next {
    Entries(Option<Vec<u8>>),
    Ops(u64),
    End,
}

impl Export {
    /// Of entries and op ids in memory that are of one state.
    pub(crate) fn memory(entries: Entries, ops: &Ops) -> Self {
        let rows = entries.len().saturating_add(ops.len());
        let (revision, ops) = (ops.newest(), ops.iter().collect());
        Self::new(revision, u64::try_from(rows).unwrap_or(u64::MAX), Source::Memory(entries, ops))
    }

    /// Of one state of a file. The caller vouches that its rows were checked when it was opened.
    pub(crate) fn file(read: ReadTransaction, root: &Root) -> Result<Self, StoreError> {
        guarded(|| {
            let (stored, sum) = (embedded::stored_sum(&read)?, Sum::new(root));
            sum.check_root(&stored)?;
            let revision = embedded::newest_op(&read)?;
            let entries = read.open_table(ENTRIES).map_err(embedded::error(Step::Read))?.len();
            let ops = read.open_table(OPS).map_err(embedded::error(Step::Read))?.len();
            let rows = entries.map_err(embedded::error(Step::Read))?;
            let rows = rows.saturating_add(ops.map_err(embedded::error(Step::Read))?);
            Ok(Self::new(revision, rows, Source::File { read, stored, sum: Box::new(sum) }))
        })
    }

    /// Of what an engine elsewhere reads.
    pub(crate) fn remote(exporting: Exporting) -> Self {
        Self { revision: exporting.revision, rows: exporting.rows, reading: Reading::Remote(Coming::new(exporting)) }
    }

    fn new(revision: Revision, rows: u64, source: Source) -> Self {
        Self { revision, rows, reading: Reading::Held(Held { source, next: Next::Entries(None) }) }
    }

    /// The revision that it is of.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// How many entries and op ids there are.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The next of them, never an empty page; none after the last. Reads the disk, or waits for servers: not for a thread that
    /// serves.
    ///
    /// What was given counts only once there was none, which for a file is refused if the rows are not those last committed, and
    /// for servers if they are not as many as there were, up to the op id of the revision.
    pub fn page(&mut self) -> Result<Option<Vec<Exported>>, StoreError> {
        match &mut self.reading {
            Reading::Held(held) => held.page(),
            Reading::Remote(coming) => coming.page(),
        }
    }
}

impl Held {
    fn page(&mut self) -> Result<Option<Vec<Exported>>, StoreError> {
        loop {
            let page = match &self.next {
                Next::Entries(after) => self.source.entries(after.as_deref())?,
                Next::Ops(after) => self.source.ops(*after)?,
                Next::End => return Ok(None),
            };
            match (page.last(), &self.next) {
                (Some(Exported::Entry(row)), _) => self.next = Next::Entries(Some(row.key.clone())),
                (Some(Exported::Op { revision, .. }), _) => self.next = Next::Ops(revision.0),
                (None, Next::Entries(_)) => self.next = Next::Ops(0),
                (None, _) => {
                    self.source.check()?;
                    self.next = Next::End;
                }
            }
            if !page.is_empty() {
                return Ok(Some(page));
            }
        }
    }
}

impl Source {
    fn entries(&mut self, after: Option<&[u8]>) -> Result<Vec<Exported>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        match self {
            Self::Memory(entries, _) => {
                let rows = entries.range::<[u8], _>((from, Bound::Unbounded));
                cut(rows.map(|(key, entry)| Ok(Row { key: key.to_vec(), entry: entry.as_ref().clone() })))
            }
            Self::File { read, sum, .. } => guarded(|| {
                let table = read.open_table(ENTRIES).map_err(embedded::error(Step::Read))?;
                let rows = table.range::<&[u8]>((from, Bound::Unbounded)).map_err(embedded::error(Step::Read))?;
                let page = cut(rows.map(|row| {
                    let (key, entry) = row.map_err(embedded::error(Step::Read))?;
                    Ok(Row { key: key.value().to_vec(), entry: row::decode(entry.value())? })
                }))?;
                for exported in &page {
                    if let Exported::Entry(row) = exported {
                        sum.add_entry(&row.key, &row::encode(&row.entry));
                    }
                }
                Ok(page)
            }),
        }
    }

    fn ops(&mut self, after: u64) -> Result<Vec<Exported>, StoreError> {
        match self {
            Self::Memory(_, ops) => {
                let first = ops.partition_point(|(revision, ..)| revision.0 <= after);
                let rows = ops.iter().skip(first).take(PAGE_ROWS_MAX);
                Ok(rows.map(|&(revision, op, settled)| Exported::Op { revision, op, settled }).collect())
            }
            Self::File { read, sum, .. } => guarded(|| {
                let table = read.open_table(OPS).map_err(embedded::error(Step::Read))?;
                let from = (Bound::Excluded(after), Bound::Unbounded);
                let rows = table.range::<u64>(from).map_err(embedded::error(Step::Read))?;
                let mut page = Vec::new();
                for row in rows.take(PAGE_ROWS_MAX) {
                    let (revision, row) = row.map_err(embedded::error(Step::Read))?;
                    let revision = Revision(revision.value());
                    sum.add_op(revision.0, &row.value());
                    let (op, settled) = row::decode_op(revision, row.value())?;
                    page.push(Exported::Op { revision, op, settled });
                }
                Ok(page)
            }),
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        match self {
            Self::Memory(..) => Ok(()),
            Self::File { stored, sum, .. } => sum.check(stored),
        }
    }
}

/// The first rows, as many as a page takes.
fn cut(rows: impl Iterator<Item = Result<Row, StoreError>>) -> Result<Vec<Exported>, StoreError> {
    let (mut page, mut len) = (Vec::new(), 0_usize);
    for row in rows {
        let row = row?;
        len = len.saturating_add(row.key.len()).saturating_add(row.entry.value.len());
        if page.len() == PAGE_ROWS_MAX || (len > PAGE_LEN_MAX && !page.is_empty()) {
            break;
        }
        page.push(Exported::Entry(row));
    }
    Ok(page)
}

/// A store in a file that is being made of what an export gave. Until it is [finished](Import::finish) the file has no table, so
/// that what a crash leaves is refused as [`StoreError::NotAStore`].
pub struct Import {
    // In this order: the transaction is given up before the file is closed.
    transaction: WriteTransaction,
    _database: Database,
    sum: Sum,
    last: Last,
}

impl Import {
    pub(crate) fn create(path: &Path, root: &Root) -> Result<Self, StoreError> {
        let database = Embedded::new_file(path)?;
        let transaction = database.begin_write().map_err(embedded::error(Step::Create))?;
        let sum = Sum::new(root);
        Ok(Self { transaction, _database: database, sum, last: Last::default() })
    }

    /// Takes the next rows, as [`Export::page`] gave them and in that order: other orders, and what no store holds, are refused.
    pub fn put(&mut self, rows: &[Exported]) -> Result<(), StoreError> {
        let Self { transaction, sum, last, .. } = self;
        guarded(|| {
            // Opened once for many rows: opening one looks its root up.
            let mut entries = transaction.open_table(ENTRIES).map_err(embedded::error(Step::Write))?;
            let mut ops = transaction.open_table(OPS).map_err(embedded::error(Step::Write))?;
            for exported in rows {
                last.row(exported)?;
                match exported {
                    Exported::Entry(row) => {
                        let (key, row) = (row.key.as_slice(), row::encode(&row.entry));
                        sum.add_entry(key, &row);
                        entries.insert(key, row.as_slice()).map_err(embedded::error(Step::Write))?;
                    }
                    Exported::Op { revision, op, settled } => {
                        let row = row::encode_op(*op, *settled);
                        sum.add_op(revision.0, &row);
                        ops.insert(revision.0, row).map_err(embedded::error(Step::Write))?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Makes the file a store, durable with its name; its newest revision.
    pub fn finish(self) -> Result<Revision, StoreError> {
        let Self { transaction, _database, sum, last } = self;
        guarded(|| {
            embedded::fill_tables(&transaction, &sum)?;
            transaction.commit().map_err(embedded::error(Step::Write))
        })?;
        Ok(last.revision())
    }
}

/// The last rows that came, which hold the next ones to their order.
#[derive(Default)]
pub(crate) struct Last {
    key: Vec<u8>,
    revision: u64,
    ops: usize,
}

impl Last {
    /// Takes note of the next.
    pub(crate) fn row(&mut self, exported: &Exported) -> Result<(), StoreError> {
        match exported {
            Exported::Entry(row) => self.entry(row),
            Exported::Op { revision, .. } => self.op(*revision),
        }
    }

    /// The newest revision that came.
    pub(crate) fn revision(&self) -> Revision {
        Revision(self.revision)
    }

    fn entry(&mut self, Row { key, entry }: &Row) -> Result<(), StoreError> {
        validate_key(key)?;
        if entry.value.len() > VALUE_LEN_MAX {
            return Err(StoreError::ValueLength { len: entry.value.len() });
        }
        if self.ops > 0 || *key <= self.key {
            return Err(disorder());
        }
        self.key.clone_from(key);
        Ok(())
    }

    fn op(&mut self, revision: Revision) -> Result<(), StoreError> {
        self.ops = self.ops.saturating_add(1);
        if revision.0 <= self.revision || self.ops > OPS_MAX {
            return Err(disorder());
        }
        self.revision = revision.0;
        Ok(())
    }
}

fn disorder() -> StoreError {
    StoreError::Damaged { detail: "rows are not in the order of an export".to_owned() }
}

/// Pointers to the entries that a store in memory has now.
pub(crate) fn pointers(entries: &Entries) -> Entries {
    entries.iter().map(|(key, entry)| (Arc::clone(key), Arc::clone(entry))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::ReadableDatabase as _;
    use redb::backends::InMemoryBackend;
    use zeroize::Zeroizing;

    #[test]
    fn rows_that_are_not_in_the_sum_are_not_given_as_good() {
        // Somebody else put one back while the file was open: the export says so at its end, whoever reads it.
        let root = Root::new(Zeroizing::new([1; 32]));
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let write = database.begin_write().unwrap();
        embedded::fill_tables(&write, &Sum::new(&root)).unwrap();
        write.commit().unwrap();
        let mut good = Export::file(database.begin_read().unwrap(), &root).unwrap();
        assert_eq!(good.page(), Ok(None));
        let write = database.begin_write().unwrap();
        write.open_table(ENTRIES).unwrap().insert(b"key".as_slice(), [0; 24].as_slice()).unwrap();
        write.commit().unwrap();
        let mut altered = Export::file(database.begin_read().unwrap(), &root).unwrap();
        assert_eq!(altered.page().unwrap().map(|page| page.len()), Some(1));
        assert_eq!(altered.page(), Err(StoreError::Altered));
        let other = Root::new(Zeroizing::new([2; 32]));
        assert_eq!(Export::file(database.begin_read().unwrap(), &other).err(), Some(StoreError::OtherRoot));
    }
}
