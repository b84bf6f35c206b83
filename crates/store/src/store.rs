//! The store: one model, an enum of engines.

use crate::embedded::{Embedded, Options, Verify};
use crate::engine::Remote;
use crate::error::StoreError;
use crate::export::{Export, Import};
use crate::faults::Faults;
use crate::lease::Lease;
use crate::memory::Memory;
use crate::meter::{Meter, StoreSeen};
use crate::model::{At, Entry, OpId, Outcome, Page, Revision, Settled, Txn, validate_key};
use crate::seal::Root;
use crate::watch::Watch;
use redb::StorageBackend;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A handle on a store. Clones share it; the last one dropped closes it.
#[derive(Clone)]
pub struct Store(Arc<Engine>, Arc<Meter>);

enum Engine {
    Memory(Memory),
    Embedded(Embedded),
    Remote(Box<dyn Remote>),
}

impl Store {
    /// An empty store in memory.
    pub fn memory() -> Self {
        Self::memory_with(Faults::default())
    }

    /// An empty store in memory whose commits meet these faults. For tests.
    pub fn memory_with(faults: Faults) -> Self {
        Self::of(Engine::Memory(Memory::new(faults)))
    }

    /// Makes an empty store in a redb file, where nothing may be yet, and holds it against other openers. It opens under
    /// this root alone; the caller vouches that nobody who may write the file knows it.
    pub fn create(path: &Path, root: &Root, options: Options) -> Result<Self, StoreError> {
        Embedded::create(path, root, options).map(Self::embedded)
    }

    /// Opens the store in a redb file, iff its rows are exactly those that were last committed to it under this root, and
    /// holds it against other openers.
    ///
    /// An older state of the whole file opens as well: only a head kept elsewhere can tell. What something else writes
    /// into the file while it is open is served as it is; the next opening refuses.
    pub fn open(path: &Path, root: &Root, options: Options) -> Result<Self, StoreError> {
        Embedded::open(path, root, options, Verify::First).map(Self::embedded)
    }

    /// As [`Store::open`], but reads are answered at once and the rows are checked beside them: how long that takes grows with
    /// their number, how long opening takes does not.
    ///
    /// Until [`Store::verified`] what is read may be a row that was put back to an older state, or lack one; nothing that
    /// matters may rest on it. Commits and [`Store::settle`] wait for the check. If the rows are not those last committed,
    /// everything is refused from then on, and the options' `on_failure` is called: the process should end. A root that is
    /// another, and tables that are not those of a store, are refused here. Pages are not held against their checksums, which
    /// are no more than the sum shows, but for the engine's own list of free ones.
    pub fn open_unverified(path: &Path, root: &Root, options: Options) -> Result<Self, StoreError> {
        Embedded::open(path, root, options, Verify::Beside).map(Self::embedded)
    }

    /// As [`Store::open_unverified`], on a backend of redb.
    pub fn open_unverified_on(backend: impl StorageBackend, root: &Root, options: Options) -> Result<Self, StoreError> {
        Embedded::open_on(backend, root, options, Verify::Beside).map(Self::embedded)
    }

    /// As [`Store::create`], on an empty backend of redb. The backend's locks, if it has any, keep others away.
    pub fn create_on(backend: impl StorageBackend, root: &Root, options: Options) -> Result<Self, StoreError> {
        Embedded::create_on(backend, root, options).map(Self::embedded)
    }

    /// As [`Store::open`], on a backend of redb.
    pub fn open_on(backend: impl StorageBackend, root: &Root, options: Options) -> Result<Self, StoreError> {
        Embedded::open_on(backend, root, options, Verify::First).map(Self::embedded)
    }

    /// A store on an engine of another crate, which vouches for what it opened.
    pub fn on(engine: impl Remote + 'static) -> Self {
        Self::of(Engine::Remote(Box::new(engine)))
    }

    fn embedded(engine: Embedded) -> Self {
        Self::of(Engine::Embedded(engine))
    }

    fn of(engine: Engine) -> Self {
        Self(Arc::new(engine), Arc::default())
    }

    /// Returns once the rows that were there at the opening are known to be those last committed; at once where they were
    /// checked by then. What was read before is good then too.
    pub async fn verified(&self) -> Result<(), StoreError> {
        match self.0.as_ref() {
            // What is in memory was never anywhere else.
            // Of what servers hold there is no sum: whoever may write there can put a row back (docs/threats.md).
            Engine::Memory(_) | Engine::Remote(_) => Ok(()),
            Engine::Embedded(engine) => engine.verified().await,
        }
    }

    /// What the key holds.
    pub async fn get(&self, key: &[u8], at: At) -> Result<Option<Entry>, StoreError> {
        validate_key(key)?;
        match self.0.as_ref() {
            Engine::Memory(engine) => engine.get(key, at),
            Engine::Embedded(engine) => engine.get(key, at),
            Engine::Remote(engine) => engine.get(key, at).await,
        }
    }

    /// The first rows, in order, whose keys begin with `prefix` and come after `after`.
    ///
    /// At most `limit` of them, and at most [`crate::limits::PAGE_ROWS_MAX`], but at least one if there is any; fewer
    /// where they would be longer than [`crate::limits::PAGE_LEN_MAX`]. Only [`Page::more`] tells whether that was all.
    pub async fn range(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize, at: At) -> Result<Page, StoreError> {
        match self.0.as_ref() {
            Engine::Memory(engine) => engine.range(prefix, after, limit, at),
            Engine::Embedded(engine) => engine.range(prefix, after, limit, at),
            Engine::Remote(engine) => engine.range(prefix, after, limit, at).await,
        }
    }

    /// Commits iff every check holds and the op id was not used before, by a commit or by [`Store::settle`].
    ///
    /// Committed means durable, and seen by every linearizable read that begins from now on. A future that is dropped
    /// before it is ready leaves the outcome unknown, as [`Outcome::Unknown`] does. It is never retried here.
    pub async fn commit(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        txn.validate()?;
        let begun = Instant::now();
        let outcome = match self.0.as_ref() {
            Engine::Memory(engine) => engine.commit(txn),
            Engine::Embedded(engine) => engine.commit(txn).await,
            Engine::Remote(engine) => engine.commit(txn).await,
        };
        self.1.commit(begun.elapsed(), &outcome);
        outcome
    }

    /// Finds out what became of a commit: it had happened, or it is aborted now and will conflict if it comes yet.
    ///
    /// An abort is a commit of its own, of the op id alone. The answer is right as long as fewer than
    /// [`crate::limits::OPS_MAX`] commits came between: what is older is forgotten, and would be found aborted although
    /// it happened. So settle at once, and after a crash before anything else is committed.
    pub async fn settle(&self, op: OpId) -> Result<Settled, StoreError> {
        match self.0.as_ref() {
            Engine::Memory(engine) => engine.settle(op),
            Engine::Embedded(engine) => engine.settle(op).await,
            Engine::Remote(engine) => engine.settle(op).await,
        }
    }

    /// What is known of a commit, without deciding it: none if it was neither committed nor settled, or is forgotten. Changes
    /// nothing, so a commit that is under way may come yet.
    pub async fn settled(&self, op: OpId) -> Result<Option<Settled>, StoreError> {
        match self.0.as_ref() {
            Engine::Memory(engine) => engine.settled(op),
            Engine::Embedded(engine) => engine.settled(op).await,
            Engine::Remote(engine) => engine.settled(op).await,
        }
    }

    /// Everything of the newest revision, as long as it takes to read it, while commits go on, on this node and on others: for
    /// backups. The root is the one that the store was opened under. What servers hold is given as they hold it: of that there is
    /// no sum.
    pub async fn export(&self, root: &Root) -> Result<Export, StoreError> {
        match self.0.as_ref() {
            Engine::Memory(engine) => engine.export(),
            Engine::Embedded(engine) => engine.export(root).await,
            Engine::Remote(engine) => engine.export().await.map(Export::remote),
        }
    }

    /// Begins a store in a redb file, where nothing may be yet, of what an export gave: with the same revisions and op ids. It opens
    /// under this root alone, which the caller vouches for as with [`Store::create`].
    pub fn import(path: &Path, root: &Root) -> Result<Import, StoreError> {
        Import::create(path, root)
    }

    /// The changes after revision `from` of keys that begin with `prefix`, those that come included.
    ///
    /// Listing at a revision and watching from it misses nothing and repeats nothing.
    pub fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, StoreError> {
        match self.0.as_ref() {
            Engine::Memory(engine) => engine.published.watch(prefix, from, Revision::default()),
            Engine::Embedded(engine) => engine.published.watch(prefix, from, Revision::default()),
            Engine::Remote(engine) => engine.watch(prefix, from),
        }
    }

    /// A revision that has every commit which was acknowledged, to anyone, before the call.
    ///
    /// A cache that has seen it ([`Watch::seen`]) may answer as if it read linearizably. On an embedded engine it costs
    /// nothing; on a distributed one a round trip, which all calls that wait share.
    pub async fn fence(&self) -> Result<Revision, StoreError> {
        let (at, begun) = (At::Linearizable, Instant::now());
        let fenced = match self.0.as_ref() {
            Engine::Memory(engine) => engine.published.look(at).map(|look| look.revision()),
            Engine::Embedded(engine) => engine.published.look(at).map(|look| look.revision()),
            Engine::Remote(engine) => engine.fence().await,
        };
        self.1.fence(begun.elapsed(), &fenced);
        fenced
    }

    /// What this store counted since it was opened.
    pub fn seen(&self) -> StoreSeen {
        let verified = match self.0.as_ref() {
            Engine::Memory(_) | Engine::Remote(_) => true,
            Engine::Embedded(engine) => engine.is_verified(),
        };
        self.1.seen(verified)
    }

    /// Forgets the history up to now, and gives the revision it ends at: a snapshot of what was before is compacted.
    pub async fn forget(&self) -> Result<Revision, StoreError> {
        match self.0.as_ref() {
            Engine::Memory(engine) => engine.published.forget(),
            Engine::Embedded(engine) => engine.published.forget(),
            Engine::Remote(engine) => engine.forget().await,
        }
    }

    /// The lease of this name, iff nobody holds it: among all that use the store, on all nodes. `holder` is who is told to
    /// others that look. It is kept until it is dropped; a node that does not come to keep it loses it after `ttl`.
    ///
    /// It saves work and protects nothing: see [`Lease`].
    pub async fn lease(&self, name: &str, holder: &str, ttl: Duration) -> Result<Option<Lease>, StoreError> {
        match self.0.as_ref() {
            Engine::Memory(engine) => Ok(engine.leases.lease(name, holder)),
            Engine::Embedded(engine) => Ok(engine.leases.lease(name, holder)),
            Engine::Remote(engine) => engine.lease(name, holder, ttl).await,
        }
    }

    /// Who holds the lease of this name, as it was told when it was taken; none if nobody does.
    pub async fn holder(&self, name: &str) -> Result<Option<String>, StoreError> {
        match self.0.as_ref() {
            Engine::Memory(engine) => Ok(engine.leases.holder(name)),
            Engine::Embedded(engine) => Ok(engine.leases.holder(name)),
            Engine::Remote(engine) => engine.holder(name).await,
        }
    }
}
