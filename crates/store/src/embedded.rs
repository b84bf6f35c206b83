//! The engine on redb: one file, one process, one writer thread, reads in place.
//!
//! Opening checks every page of the file against its checksum, since redb itself does so only after a crash and may
//! otherwise panic or show what was altered. While the file is open it is trusted: a page that something else alters
//! then is served as it is, if it can be read at all (sealed values show it), and a panic of redb becomes an error.
//!
//! Opened unverified, a file is read at once, and all its rows are summed up beside that, by the writer's thread before it
//! takes anything: so nothing is committed to what was not checked, and who asks [`Embedded::verified`] waits for it. redb
//! cannot check its checksums while it is read; the sum covers the same rows.
//!
//! Checksums are against accidents. Against intent all rows are summed up when the file is opened ([`crate::sum`]), and
//! each is looked up as well: redb does not check the order of its trees, and in one that was built to mislead, a row could
//! be there and not be found.

use crate::error::{Step, StoreError};
use crate::export::Export;
use crate::lease::Local;
use crate::limits::{CACHE_LEN, QUEUE_MAX};
use crate::model::{At, Entry, OpId, Outcome, Page, Revision, Row, Settled, Txn};
use crate::ops::Ops;
use crate::page;
use crate::published::Published;
use crate::row::{self, ENTRIES, FORMAT, FORMAT_NAME, META, OPS, SUM, SUM_LEN, TABLES};
use crate::seal::Root;
use crate::sum::Sum;
use crate::writer::{self, Request, Writer};
use redb::backends::FileBackend;
use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase as _, ReadableTable as _, StorageBackend, TableError,
    TableHandle as _, WriteTransaction,
};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tokio::sync::{mpsc, oneshot};

pub(crate) type EntryTable = ReadOnlyTable<&'static [u8], &'static [u8]>;
pub(crate) type OnFailure = Box<dyn FnOnce(StoreError) + Send>;

/// How a redb file is held.
pub struct Options {
    /// Octets of its page cache.
    pub cache_len: usize,
    on_failure: OnFailure,
}

impl Options {
    /// `on_failure` is called once, on the writer's thread, when a commit fails: after the store has begun to refuse
    /// everything and before anyone is answered. The process should end there, as what the operating system shows of a
    /// file after a failed sync need not be what is on the disk. It must not hold a handle of the store.
    pub fn new(on_failure: impl FnOnce(StoreError) + Send + 'static) -> Self {
        Self { cache_len: CACHE_LEN, on_failure: Box::new(on_failure) }
    }
}

pub(crate) struct Embedded {
    pub(crate) published: Arc<Published<Arc<EntryTable>>>,
    pub(crate) leases: Local,
    /// Both are there until the engine is dropped.
    queue: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Embedded {
    pub(crate) fn create(path: &Path, root: &Root, options: Options) -> Result<Self, StoreError> {
        let beside = beside(path);
        let engine = Self::create_on(empty(path, &beside)?, root, options)?;
        let named = std::fs::rename(&beside, path).and_then(|()| sync_dir(path));
        named.map_err(StoreError::io(Step::Create))?;
        Ok(engine)
    }

    pub(crate) fn open(path: &Path, root: &Root, options: Options, verify: Verify) -> Result<Self, StoreError> {
        let file = private(&mut OpenOptions::new()).open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Missing,
            _ => StoreError::io(Step::Open)(error),
        })?;
        Self::open_on(backend(file, Step::Open)?, root, options, verify)
    }

    pub(crate) fn create_on(backend: impl StorageBackend, root: &Root, options: Options) -> Result<Self, StoreError> {
        if backend.len().map_err(StoreError::io(Step::Create))? > 0 {
            return Err(StoreError::Exists);
        }
        guarded(|| {
            let database = database(backend, false, &options)?;
            let sum = Sum::new(root);
            make_tables(&database, &sum)?;
            Self::start(database, Rows::Checked(Ops::default(), sum), options.on_failure, Step::Create)
        })
    }

    pub(crate) fn open_on(
        backend: impl StorageBackend,
        root: &Root,
        options: Options,
        verify: Verify,
    ) -> Result<Self, StoreError> {
        // redb would make a new file of an empty one.
        if backend.len().map_err(StoreError::io(Step::Open))? == 0 {
            return Err(StoreError::NotAStore);
        }
        guarded(|| {
            let database = database(backend, verify == Verify::First, &options)?;
            let read = database.begin_read().map_err(error(Step::Open))?;
            check_format(&read)?;
            let unchecked = Unchecked::new(read, root)?;
            let rows = match verify {
                Verify::First => {
                    let (ops, sum) = unchecked.check(|| false)?.ok_or(StoreError::Failed)?;
                    Rows::Checked(ops, sum)
                }
                Verify::Beside => Rows::Unchecked(unchecked),
            };
            Self::start(database, rows, options.on_failure, Step::Open)
        })
    }

    fn start(database: Database, rows: Rows, on_failure: OnFailure, step: Step) -> Result<Self, StoreError> {
        let table = Arc::new(entry_table(&database)?);
        let published = Arc::new(Published::new(rows.newest()?, table));
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let shown = Arc::clone(&published);
        let work = move || match rows.checked(&requests) {
            Ok(Some((ops, sum))) => {
                shown.verified();
                drop(Writer { database, ops, sum, published: shown, on_failure }.run(requests));
            }
            // Nobody is left who could want to know.
            Ok(None) => {}
            Err(failure) => {
                shown.refuse(failure.clone());
                on_failure(failure);
                writer::refuse(requests);
            }
        };
        let thread = thread::Builder::new().name("store".to_owned());
        let thread = thread.spawn(work).map_err(StoreError::io(step))?;
        Ok(Self { published, leases: Local::default(), queue: Some(queue), thread: Some(thread) })
    }

    pub(crate) fn get(&self, key: &[u8], at: At) -> Result<Option<Entry>, StoreError> {
        let look = self.published.look(at)?;
        if let Some(before) = look.before(key) {
            return Ok(before.as_deref().cloned());
        }
        let table = Arc::clone(look.view());
        drop(look);
        guarded(|| {
            let row = table.get(key).map_err(error(Step::Read))?;
            row.map(|row| row::decode(row.value())).transpose()
        })
    }

    pub(crate) fn range(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize, at: At) -> Result<Page, StoreError> {
        let look = self.published.look(at)?;
        let from = page::from(prefix, after);
        let (revision, overlay) = (look.revision(), look.overlay(from, prefix));
        let table = Arc::clone(look.view());
        drop(look);
        let rest = |key: &[u8]| {
            let look = self.published.look(At::Snapshot(revision))?;
            Ok(look.overlay(Bound::Included(key), prefix))
        };
        guarded(|| {
            let rows = table.range::<&[u8]>((from, Bound::Unbounded)).map_err(error(Step::Read))?;
            let rows = rows.map(|row| {
                let (key, entry) = row.map_err(error(Step::Read))?;
                Ok(Row { key: key.value().to_vec(), entry: row::decode(entry.value())? })
            });
            let rows = rows.take_while(|row| row.as_ref().map_or(true, |row: &Row| row.key.starts_with(prefix)));
            page::page(rows, overlay, rest, limit, revision)
        })
    }

    /// Dropped while it waits, the transaction may still be committed: its outcome is unknown.
    pub(crate) async fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Commit(txn.clone(), reply)).await?;
        answer.await.unwrap_or(Ok(Outcome::Unknown))
    }

    pub(crate) async fn settle(&self, op: OpId) -> Result<Settled, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Settle(op, reply)).await?;
        answer.await.unwrap_or(Err(StoreError::Failed))
    }

    pub(crate) async fn settled(&self, op: OpId) -> Result<Option<Settled>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Settled(op, reply)).await?;
        answer.await.unwrap_or(Err(StoreError::Failed))
    }

    /// Everything as of a commit that no later one of those that were acknowledged before the call is missing from. The writer
    /// gives the state, so it is asked only once the rows were checked.
    pub(crate) async fn export(&self, root: &Root) -> Result<Export, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Export(reply)).await?;
        Export::file(answer.await.unwrap_or(Err(StoreError::Failed))?, root)
    }

    /// A new file of redb without a table, where nothing may be yet.
    pub(crate) fn new_file(path: &Path) -> Result<Database, StoreError> {
        let file = create_new(path)?;
        let database = guarded(|| database(backend(file, Step::Create)?, false, &Options::new(drop)))?;
        sync_dir(path).map_err(StoreError::io(Step::Create))?;
        Ok(database)
    }

    /// Once all rows are known to be those last committed.
    pub(crate) async fn verified(&self) -> Result<(), StoreError> {
        self.published.until_verified().await
    }

    pub(crate) fn is_verified(&self) -> bool {
        self.published.is_verified()
    }

    async fn ask(&self, request: Request) -> Result<(), StoreError> {
        self.published.check()?;
        let queue = self.queue.as_ref().ok_or(StoreError::Failed)?;
        queue.send(request).await.map_err(|_| StoreError::Failed)
    }
}

impl Drop for Embedded {
    /// Waits for the writer, so that the file is closed and unlocked when the last handle is gone.
    fn drop(&mut self) {
        self.queue.take();
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != thread::current().id()) {
            // A panic of it was met by its callers.
            drop(thread.join());
        }
    }
}

/// When the rows of a file are checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verify {
    /// Before anything is read.
    First,
    /// Beside reads, before anything is committed.
    Beside,
}

/// The rows of a file, as far as is known.
enum Rows {
    Checked(Ops, Sum),
    Unchecked(Unchecked),
}

impl Rows {
    /// The newest revision; of unchecked rows, what they say.
    fn newest(&self) -> Result<Revision, StoreError> {
        match self {
            Self::Checked(ops, _) => Ok(ops.newest()),
            Self::Unchecked(Unchecked { read, .. }) => newest_op(read),
        }
    }

    /// Op ids and sum of rows that hold; nothing if the store is closed before that is known.
    fn checked(self, requests: &mpsc::Receiver<Request>) -> Result<Option<(Ops, Sum)>, StoreError> {
        match self {
            Self::Checked(ops, sum) => Ok(Some((ops, sum))),
            Self::Unchecked(unchecked) => guarded(|| unchecked.check(|| requests.is_closed())),
        }
    }
}

/// One state of a file, what it says its sum is, and the keys to add it up.
struct Unchecked {
    read: ReadTransaction,
    stored: [u8; SUM_LEN],
    sum: Sum,
}

impl Unchecked {
    /// Refuses what shows without looking at rows: no sum, another root, other tables.
    fn new(read: ReadTransaction, root: &Root) -> Result<Self, StoreError> {
        let stored = stored_sum(&read)?;
        let sum = Sum::new(root);
        // First, so that who comes with another root is not told that rows were altered.
        sum.check_root(&stored)?;
        check_tables(&read)?;
        Ok(Self { read, stored, sum })
    }

    /// Adds up all rows; nothing if it is to stop before that is done.
    fn check(self, stop: impl Fn() -> bool) -> Result<Option<(Ops, Sum)>, StoreError> {
        let Self { read, stored, mut sum } = self;
        if !add_entries(&mut sum, &read, stop)? {
            return Ok(None);
        }
        add_ops(&mut sum, &read)?;
        sum.check(&stored)?;
        Ok(Some((load_ops(&read)?, sum)))
    }
}

/// The newest entries of the file, for readers.
pub(crate) fn entry_table(database: &Database) -> Result<EntryTable, StoreError> {
    let read = database.begin_read().map_err(error(Step::Read))?;
    read.open_table(ENTRIES).map_err(error(Step::Read))
}

/// Makes an error of a panic: redb's way to say that a page is damaged, where it does not return one.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let caught = catch_unwind(AssertUnwindSafe(work));
    caught.unwrap_or_else(|_| Err(StoreError::Damaged { detail: "the engine panicked".to_owned() }))
}

/// Maps each of redb's error types to ours.
pub(crate) fn error<E: Into<redb::Error>>(step: Step) -> impl Fn(E) -> StoreError {
    move |error| match error.into() {
        redb::Error::Io(error) => StoreError::Io { step, kind: error.kind() },
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => StoreError::Locked,
        redb::Error::UpgradeRequired(version) => StoreError::UnknownEngineFormat { version },
        redb::Error::PreviousIo | redb::Error::DatabaseClosed => StoreError::Failed,
        other => StoreError::Damaged { detail: other.to_string() },
    }
}

fn database(backend: impl StorageBackend, check: bool, options: &Options) -> Result<Database, StoreError> {
    let mut builder = Database::builder();
    builder.set_cache_size(options.cache_len).set_check_integrity_on_open(check);
    builder.create_with_backend(backend).map_err(|failure| match error(Step::Open)(failure) {
        // redb's word for a file that does not begin like its own.
        StoreError::Io { kind: io::ErrorKind::InvalidData, .. } => StoreError::NotAStore,
        other => other,
    })
}

fn make_tables(database: &Database, sum: &Sum) -> Result<(), StoreError> {
    let transaction = database.begin_write().map_err(error(Step::Create))?;
    fill_tables(&transaction, sum)?;
    transaction.commit().map_err(error(Step::Create))
}

/// Makes the tables that are not there, with format and sum.
pub(crate) fn fill_tables(transaction: &WriteTransaction, sum: &Sum) -> Result<(), StoreError> {
    transaction.open_table(ENTRIES).map_err(error(Step::Create))?;
    transaction.open_table(OPS).map_err(error(Step::Create))?;
    let mut meta = transaction.open_table(META).map_err(error(Step::Create))?;
    meta.insert(FORMAT_NAME, FORMAT).map_err(error(Step::Create))?;
    let mut sums = transaction.open_table(SUM).map_err(error(Step::Create))?;
    sums.insert((), sum.to_row()).map_err(error(Step::Create))?;
    Ok(())
}

fn check_format(read: &ReadTransaction) -> Result<(), StoreError> {
    let meta = read.open_table(META).map_err(|failure| match failure {
        TableError::Storage(failure) => error(Step::Open)(failure),
        _ => StoreError::NotAStore,
    })?;
    match meta.get(FORMAT_NAME).map_err(error(Step::Open))?.map(|row| row.value()) {
        Some(FORMAT) => Ok(()),
        Some(format) => Err(StoreError::UnknownFormat { format }),
        None => Err(StoreError::NotAStore),
    }
}

/// Refuses other tables than ours, and one that is there twice: which of the two is found might change.
fn check_tables(read: &ReadTransaction) -> Result<(), StoreError> {
    let tables = read.list_tables().map_err(error(Step::Open))?;
    match tables.map(|table| table.name().to_owned()).eq(TABLES) {
        true => Ok(()),
        false => Err(StoreError::Damaged { detail: "tables are not those of a store".to_owned() }),
    }
}

pub(crate) fn stored_sum(read: &ReadTransaction) -> Result<[u8; SUM_LEN], StoreError> {
    let table = read.open_table(SUM).map_err(|failure| match failure {
        TableError::TableDoesNotExist(_) => StoreError::SumMissing,
        failure => error(Step::Open)(failure),
    })?;
    let row = table.get(()).map_err(error(Step::Open))?;
    row.map(|row| row.value()).ok_or(StoreError::SumMissing)
}

/// Adds all entries, in order, each where one looks for it: then a lookup or a range of any key finds what the sum is of.
/// False if it was to stop.
fn add_entries(sum: &mut Sum, read: &ReadTransaction, stop: impl Fn() -> bool) -> Result<bool, StoreError> {
    let table = read.open_table(ENTRIES).map_err(error(Step::Open))?;
    let mut last = Vec::new();
    for row in table.iter().map_err(error(Step::Open))? {
        let (key, row) = row.map_err(error(Step::Open))?;
        if stop() {
            return Ok(false);
        }
        // No key is empty, and a key that is there twice is not in order.
        let key = key.value();
        if key <= last.as_slice() || table.get(key).map_err(error(Step::Open))?.is_none() {
            return Err(StoreError::Damaged { detail: "entries are not in order".to_owned() });
        }
        sum.add_entry(key, row.value());
        last.clear();
        last.extend_from_slice(key);
    }
    Ok(true)
}

/// Adds all op ids. These are looked up in memory and never in the file, so order alone matters: the last is the newest.
fn add_ops(sum: &mut Sum, read: &ReadTransaction) -> Result<(), StoreError> {
    let table = read.open_table(OPS).map_err(error(Step::Open))?;
    let mut last = 0;
    for row in table.iter().map_err(error(Step::Open))? {
        let (revision, row) = row.map_err(error(Step::Open))?;
        if revision.value() <= last {
            return Err(StoreError::Damaged { detail: "op ids are not in order".to_owned() });
        }
        last = revision.value();
        sum.add_op(last, &row.value());
    }
    Ok(())
}

/// The newest revision that the file has.
pub(crate) fn newest_op(read: &ReadTransaction) -> Result<Revision, StoreError> {
    let table = read.open_table(OPS).map_err(error(Step::Open))?;
    let last = table.last().map_err(error(Step::Open))?;
    Ok(last.map_or(Revision::default(), |(revision, _)| Revision(revision.value())))
}

fn load_ops(read: &ReadTransaction) -> Result<Ops, StoreError> {
    let table = read.open_table(OPS).map_err(error(Step::Open))?;
    let mut ops = Ops::default();
    for row in table.iter().map_err(error(Step::Open))? {
        let (revision, row) = row.map_err(error(Step::Open))?;
        let revision = Revision(revision.value());
        let (op, settled) = row::decode_op(revision, row.value())?;
        ops.push(revision, op, settled);
    }
    Ok(ops)
}

/// Where a store is made: under its own name a file is whole, whenever the process ends.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".making");
    name.into()
}

/// The file beside a store that is not there yet, held and empty: what is in it a crash has left.
fn empty(path: &Path, beside: &Path) -> Result<FileBackend, StoreError> {
    let io = StoreError::io(Step::Create);
    if path.exists() {
        return Err(StoreError::Exists);
    }
    let file = private(OpenOptions::new().create(true).truncate(false)).open(beside).map_err(&io)?;
    // The engine locks it likewise, and later.
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(StoreError::Locked),
        Err(TryLockError::Error(error)) => return Err(io(error)),
        // Another may have made a store of it before it was held here.
        Ok(()) if path.exists() || !is_named(&file, beside).map_err(&io)? => return Err(StoreError::Exists),
        Ok(()) => file.set_len(0).map_err(&io)?,
    }
    backend(file, Step::Create)
}

#[cfg(unix)]
fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let (file, named) = (file.metadata()?, std::fs::metadata(path)?);
    Ok((file.dev(), file.ino()) == (named.dev(), named.ino()))
}

#[cfg(not(unix))]
fn is_named(_: &File, path: &Path) -> io::Result<bool> {
    std::fs::metadata(path).map(|_| true)
}

fn create_new(path: &Path) -> Result<File, StoreError> {
    private(&mut OpenOptions::new()).create_new(true).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => StoreError::Exists,
        _ => StoreError::io(Step::Create)(error),
    })
}

fn backend(file: File, step: Step) -> Result<FileBackend, StoreError> {
    FileBackend::new(file).map_err(error(step))
}

/// For reading and writing, by this user alone: values are sealed, but keys show what there is.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.read(true).write(true)
}

/// Makes the file's name durable.
fn sync_dir(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::ReadableTableMetadata as _;
    use redb::backends::InMemoryBackend;
    use zeroize::Zeroizing;

    #[test]
    fn old_op_ids_leave_the_file() {
        // The table holds as many as are remembered, and those are the newest; the sum is of no others.
        let options = Options::new(|failure| panic!("{failure}"));
        let database = database(InMemoryBackend::new(), false, &options).unwrap();
        let root = Root::new(Zeroizing::new([1; 32]));
        let sum = Sum::new(&root);
        make_tables(&database, &sum).unwrap();
        let ops = Ops::at_most(4);
        let table = Arc::new(entry_table(&database).unwrap());
        let published = Arc::new(Published::new(ops.newest(), table));
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let replies: Vec<_> = (0..10)
            .map(|number| {
                let (reply, answer) = oneshot::channel();
                let txn = Txn { op: OpId([number; 16]), checks: Vec::new(), ops: Vec::new() };
                queue.blocking_send(Request::Commit(txn, reply)).unwrap();
                answer
            })
            .collect();
        drop(queue);
        let writer = Writer { database, ops, sum, published, on_failure: options.on_failure };
        let database = writer.run(requests).unwrap();
        for (number, reply) in (1..).zip(replies) {
            assert_eq!(reply.blocking_recv().unwrap(), Ok(Outcome::Committed(Revision(number))));
        }
        let read = database.begin_read().unwrap();
        let table = read.open_table(OPS).unwrap();
        assert_eq!(table.len().unwrap(), 4);
        assert_eq!(table.first().unwrap().unwrap().0.value(), 7);
        drop(table);
        let (ops, _) = Unchecked::new(read, &root).unwrap().check(|| false).unwrap().unwrap();
        assert_eq!(ops.newest(), Revision(10));
    }
}
