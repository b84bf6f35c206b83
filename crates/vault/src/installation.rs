//! What all vaults of an installation share: the store, the audit log, the root of all keys, and the last time seen.
//!
//! Opening one compares what it finds: the store's stamp and the log's head that the store remembers. So a store of
//! another kind or root, a log that lost its end, and a store that is older than its log are noticed. Changes whose outcome
//! a crash kept from the log are settled then. That store and log were put back together shows only against a head kept
//! elsewhere.
//!
//! Of the log it reads what follows the checkpoint that the store remembers with the head: every commit remembers the newest,
//! so that is what a crash left, or nothing ([`Log::open_after`], docs/decisions/010). Below it a change of the log shows when
//! all is read ([`skerry_audit::verify`]), which a server does beside its work.
//!
//! A store may come here whose rows are still being checked (docs/decisions/011). It answers who looks a key up; releases,
//! their denials, private keys and changes wait.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use minicbor::{Decoder, Encoder};
use skerry_attestation_result::unix_secs;
use skerry_audit::limits::UNSETTLED_MAX;
use skerry_audit::{
    AuditError, Checkpoint, Entry, Event, Head, History, HistoryError, Leaf, Limits, Log, PublishError, Recorded,
    Report, Verdict,
};
use skerry_identity::Principal;
use skerry_keys::{Custody, Software, Strict, Token, TokenError};
use skerry_store::limits::PAGE_ROWS_MAX;
use skerry_store::seal::{Root, SealError, Sealer};
use skerry_store::stamp::{Kind, Stamp, StampError};
use skerry_store::{At, Check, Op, OpId, Outcome, Revision, Row, Settled, Store, StoreError, Txn};
use skerry_tlog::{Frontier, KeyError, SignedCheckpoint, VerifyingKey};
use uuid::Uuid;

use crate::budget::Budgets;
use crate::clock::{Look, Peers, Said, Standing, is_later};
use crate::command::{Randomizer, Randomness};
use crate::entries;
use crate::held::Held;
use crate::limits::DISK_FREE_MIN;
use crate::node::{MEMORY, Node, NodeName, SHOWN};
use crate::pool::Pool;
use crate::publishing::{Publishing, Signing, StartError, signing_key};
use crate::recorder::Recorder;
use crate::refusal::Refusal;
use crate::roll::check_not_forgotten;
use crate::stored::Corrupted;
use crate::usage::{Usage, UsesSeen};
use crate::vault::{Keks, op_id_of, random};
use crate::witness::{PutBack, WitnessError, Witnessed};

/// Why an installation does not open. Nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum InstallationError {
    #[error("stamp of the store")]
    Stamp(#[source] StampError),
    #[error("what the store remembers of the log does not open")]
    Memory(#[source] SealError),
    #[error("what the store remembers of the log is malformed")]
    MemoryForm,
    #[error("the store has {records} records on its mind, and there is no log")]
    LogMissing { records: u64 },
    #[error("the store is shared by nodes, and this server has no log of one of them")]
    OfNodes,
    #[error("what a node has shown of its log")]
    Shown(#[source] WitnessError),
    #[error("the log is of node {node}, which was forgotten at {at}: it has ended")]
    Forgotten { node: NodeName, at: u64 },
    #[error("the store does not know the last change that the log has: it is older than the log")]
    StoreBehindLog,
    #[error(transparent)]
    PutBack(PutBack),
    #[error("audit log")]
    History(#[source] HistoryError),
    #[error("audit log")]
    Audit(#[source] AuditError),
    #[error("store")]
    Store(#[source] StoreError),
    #[error("whether the last changes were made cannot be found out")]
    Unsettled,
    #[error("key of the audit log")]
    LogKey(#[source] KeyError),
    #[error("publishing the audit log")]
    Publish(#[source] PublishError),
    #[error("the thread of the audit log cannot be started ({0})")]
    Thread(std::io::ErrorKind),
}

/// How opening went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// Changes that had no outcome on record and turned out to be made.
    pub settled_committed: usize,
    /// Changes that had no outcome on record and were not made.
    pub settled_aborted: usize,
    /// Octets of an incomplete record that were cut off the log; nothing in them was acknowledged.
    pub torn_octets: u64,
}

/// A store, its log, and the root of their keys.
pub struct Installation {
    store: Store,
    log: Arc<Log>,
    recorder: Recorder,
    usage: Usage,
    denials: Budgets,
    refused: [AtomicU64; 2],
    witnessed: Arc<Witnessed>,
    signing: Signing,
    publishing: Mutex<Option<Publishing>>,
    root: Root,
    meta: Sealer,
    stamp: Stamp,
    /// Where the store remembers this server.
    place: Vec<u8>,
    /// Where a node shows others its log's checkpoint.
    shown_at: Option<Vec<u8>>,
    /// Where it remembered it when it had another name: to be taken away by the next commit.
    former: Mutex<Option<Vec<u8>>>,
    /// The last time that this server vouches for.
    seen: Arc<AtomicU64>,
    /// The other nodes, and what the last look at them has found.
    clocks: Mutex<(Peers, Look)>,
    /// Logs of forgotten nodes that this process put on record.
    gone: Mutex<BTreeSet<[u8; 16]>>,
    remembered: bool,
    held: Option<Held>,
    /// Octets that the disk had left when somebody looked.
    room: AtomicU64,
    log_failed: AtomicBool,
}

impl Installation {
    /// Opens or, where both store and log are new, makes an installation that has one server. The caller vouches that `root` is
    /// 32 octets of full entropy that nobody else holds.
    pub async fn open(
        store: Store,
        root: Root,
        kind: Kind,
        log_folder: &Path,
        limits: Limits,
        now: SystemTime,
        randomness: &Randomizer,
    ) -> Result<(Installation, Opened), InstallationError> {
        Self::open_as(&Node::Only, (store, root, kind), (log_folder, limits), now, randomness).await
    }

    /// As [`open`](Self::open), for this one of an installation's servers. A node that the store does not know and that has no
    /// log is a new one; one that has a log goes on under the name that is given, whatever it was called. The caller vouches
    /// that no other server runs under this name.
    pub async fn open_as(
        node: &Node,
        (store, root, kind): (Store, Root, Kind),
        (log_folder, limits): (&Path, Limits),
        now: SystemTime,
        randomness: &Randomizer,
    ) -> Result<(Installation, Opened), InstallationError> {
        let stamp = store.stamp(kind, &root, &mut *randomness()).await.map_err(InstallationError::Stamp)?;
        let meta = root.sealer(META, &[0; 16]);
        let place = node.memory();
        let rows = Memory::rows(&store, &meta).await?;
        let all = rows.iter().map(|(at, _, memory)| (at.clone(), memory.clone())).collect();
        let known = remembered(node, &all, log_folder)?;
        if known.is_none() && log_folder.join(LOG_FILE).exists() {
            check_not_forgotten(&store, &meta, (log_folder, limits)).await?;
        }
        let memory = known.map(|(_, memory)| memory);
        let (log, history) = open_log(log_folder, limits, memory, randomness)?;
        let id = log.head().map_err(InstallationError::Audit)?.log;
        let witnessed = Witnessed::load(log_folder, &id, &root).map_err(InstallationError::PutBack)?;
        // What a record of this log has under another root says nothing of nodes of this one.
        history.newest_witnessed().for_each(|note| drop(witnessed.learn(&root, &id, note)));
        not_put_back(&witnessed, memory, &store, (&meta, node)).await?;
        let opened = settle(&store, &log, &history, memory, now).await?;
        let former = known.map(|(at, _)| at.clone()).filter(|at| *at != place);
        let mut peers = Peers::default();
        let look = peers.look(of_others(&rows, [Some(&place), former.as_ref()]), unix_secs(now));
        let signing = Signing::new(signing_key(&root, &id).map_err(InstallationError::LogKey)?);
        let log = Arc::new(log);
        let recorder = Recorder::start(Arc::clone(&log)).map_err(|error| InstallationError::Thread(error.kind()))?;
        let usage = Usage::start(Arc::clone(&log)).map_err(|error| InstallationError::Thread(error.kind()))?;
        let (denials, refused, witnessed) = (Budgets::default(), Default::default(), Arc::new(witnessed));
        let installation = Installation {
            store,
            log,
            recorder,
            usage,
            denials,
            refused,
            witnessed,
            signing,
            publishing: Mutex::default(),
            root,
            meta,
            stamp,
            place,
            shown_at: node.shown(),
            former: Mutex::new(former),
            seen: Arc::new(AtomicU64::new(memory.map_or(0, |memory| memory.seen))),
            clocks: Mutex::new((peers, look)),
            gone: Mutex::default(),
            remembered: memory.is_some(),
            held: None,
            room: AtomicU64::new(u64::MAX),
            log_failed: AtomicBool::new(false),
        };
        installation.started(&opened, now).await?;
        Ok((installation, opened))
    }

    /// Checks, without changing anything, what [`open`](Self::open) leaves to others: that the whole log holds, from its first
    /// record, that it continues the one that the store remembers, and that the store is not older than what the log says of it
    /// and of other nodes. Of a store that was opened with [`Store::open`] all is checked then.
    pub async fn verify(
        node: &Node,
        (store, root, kind): (&Store, &Root, Kind),
        log_folder: &Path,
    ) -> Result<Report, InstallationError> {
        store.stamped(kind, root).await.map_err(InstallationError::Stamp)?;
        let meta = root.sealer(META, &[0; 16]);
        let all = Memory::all(store, &meta).await?;
        // As a start finds it: a log may have been another node's, or that of one of several.
        let memory = remembered(node, &all, log_folder)?.map(|(_, memory)| memory);
        if let (false, Some(memory)) = (log_folder.join(LOG_FILE).exists(), memory) {
            return Err(InstallationError::LogMissing { records: memory.head.records });
        }
        let (known, mut history) = (memory.map(|memory| &memory.head), History::new(UNSETTLED_MAX));
        let report = skerry_audit::verify_visiting(log_folder, known, |record| history.observe(record));
        let report = report.map_err(|error| match error {
            HistoryError::Audit(error) => InstallationError::Audit(error),
            error => InstallationError::History(error),
        })?;
        let id = report.head.log;
        let witnessed = Witnessed::load(log_folder, &id, root).map_err(InstallationError::PutBack)?;
        history.newest_witnessed().for_each(|note| drop(witnessed.learn(root, &id, note)));
        not_put_back(&witnessed, memory, store, (&meta, node)).await?;
        if let Some(subject) = unknown_to(memory, &history) {
            let settled = store.settled(op_id_of(subject)).await.map_err(InstallationError::Store)?;
            let Some(Settled::Committed(_)) = settled else { return Err(InstallationError::StoreBehindLog) };
        }
        Ok(report)
    }

    /// The same, with keys held in a token from here on: to be said before there are vaults. Keys that this process holds are
    /// not used then.
    pub fn held_in(self, token: Arc<Token>) -> Result<Installation, HeldError> {
        Strict::admit(&token).map_err(HeldError::Token)?;
        let held = Held::start(token).map_err(|error| HeldError::Thread(error.kind()))?;
        Ok(Installation { held: Some(held), ..self })
    }

    /// The token that holds the keys, if one does.
    pub fn token(&self) -> Option<&Arc<Token>> {
        self.held.as_ref().map(|held| &held.token)
    }

    /// The same, with the threads that call it.
    pub(crate) fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// Whose store it is.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    pub(crate) fn meta(&self) -> &Sealer {
        &self.meta
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The log.
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Publishes the log in its folder from now on, until [`stop_publishing`](Self::stop_publishing): tiles, and signed
    /// checkpoints. Refused where a checkpoint is there that the log's key did not sign, or that says more than the log has:
    /// then the log was put back.
    pub fn publish(&self, log_folder: &Path) -> Result<(), InstallationError> {
        let key = signing_key(&self.root, &self.log_id()?).map_err(InstallationError::LogKey)?;
        let kept = (Arc::clone(&self.seen), Arc::clone(&self.witnessed));
        let started = Publishing::start(Arc::clone(&self.log), log_folder, key, kept);
        let publishing = started.map_err(|error| match error {
            StartError::Publish(error) => InstallationError::Publish(error),
            StartError::Thread(kind) => InstallationError::Thread(kind),
        })?;
        *self.publishing.lock().unwrap_or_else(PoisonError::into_inner) = Some(publishing);
        Ok(())
    }

    /// Puts on record what waits for that, publishes what is durable, and ends both. Waits for the disk. What is used after it
    /// is not on record, so it is for when nobody is served any more.
    pub fn stop(&self) {
        self.usage.stop();
        self.witnessed.at_rest();
        self.stop_publishing();
    }

    /// Publishes what is durable and ends that. Waits for the disk.
    pub fn stop_publishing(&self) {
        let publishing = self.publishing.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(publishing);
    }

    /// Why the log could not be published the last time; none if it was, or if nobody asked for it.
    pub fn publishing_failure(&self) -> Option<PublishError> {
        self.publishing.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.failure()
    }

    /// The key that checks what the log signs.
    pub fn log_key(&self) -> &VerifyingKey {
        self.signing.key()
    }

    /// A signed checkpoint of all that is durable: for the store, where other nodes find it, and for witnesses.
    pub fn log_checkpoint(&self) -> Result<SignedCheckpoint, Refusal> {
        let records = self.log.head().map_err(Refusal::Audit)?.records;
        self.signing.checkpoint(&self.log, records)
    }

    /// Puts the newest checkpoint of another node's log on record in this one: which record it is, or none if what it says is on
    /// record already. One that contradicts what was seen is put on record as refused.
    pub async fn witness(&self, note: &[u8], now: SystemTime) -> Result<Option<Leaf>, WitnessError> {
        let own = self.log_key().name();
        let (said, entry) = match self.witnessed.entry(&self.root, own, note, now) {
            Ok(Some(new)) => new,
            Ok(None) => return Ok(None),
            Err(error) => {
                if let Some(entry) = self.witnessed.refusal(&error, note, now) {
                    drop(self.record(entry).await.map_err(WitnessError::Record)?);
                }
                return Err(error);
            }
        };
        let note = entry.explanation.clone();
        let recorded = self.record(entry).await.map_err(WitnessError::Record)?;
        self.witnessed.keep(said, &note);
        Ok(Some(recorded.leaf()))
    }

    /// How a reader of the whole log tells what this node has seen of others: to be given each note that
    /// [`skerry_audit::witnessed`] finds there. A start reads the end of the log only.
    pub fn learn_witnessed(&self, note: &[u8]) -> Result<(), WitnessError> {
        let log = self.log.head().map_err(|error| WitnessError::Record(Refusal::Audit(error)))?.log;
        self.witnessed.learn(&self.root, &log, note)
    }

    /// How many other logs this node has on record, and how often one was shown that contradicts that.
    pub fn witnessed(&self) -> (usize, u64) {
        self.witnessed.counted()
    }

    /// What shows other nodes, if there are others, how far this one's log has come.
    fn shown(&self, rng: &mut (dyn rand_core::CryptoRng + Send)) -> Result<Option<Op>, Refusal> {
        let Some(place) = &self.shown_at else { return Ok(None) };
        let note = self.log_checkpoint()?;
        let sealed = self.meta.seal(place, note.note().as_bytes(), rng).map_err(Refusal::Seal)?;
        Ok(Some(Op::Put(place.clone(), sealed)))
    }

    /// That nobody has shown a newer checkpoint of this log since.
    async fn shown_as_it_is(&self) -> Result<Option<Check>, Refusal> {
        let Some(place) = &self.shown_at else { return Ok(None) };
        let shown = self.store.get(place, At::Linearizable).await?;
        Ok(Some(match shown {
            Some(entry) => Check::Unchanged(place.clone(), entry.modified),
            None => Check::Absent(place.clone()),
        }))
    }

    /// The newest checkpoints that other nodes have shown, by their names; nobody vouches for them before
    /// [`witness`](Self::witness) has looked.
    pub async fn shown_checkpoints(&self) -> Result<Vec<(String, Vec<u8>)>, Refusal> {
        shown(&self.store, &self.meta, self.shown_at.as_ref()).await
    }

    /// The nodes that a store remembers. One that comes to be known is so before it answers anything.
    pub async fn nodes_of(store: &Store) -> Result<Vec<NodeName>, StoreError> {
        let rows = rows_under(store, MEMORY).await?;
        Ok(rows.iter().filter_map(|row| Node::of_memory(&row.key)).collect())
    }

    /// Counts a request that was refused before there was anything to put on record: 401 or 404. What was counted is put on
    /// record with the next [`tick`](Self::tick).
    pub fn count_refused(&self, status: u16) {
        let [unauthorized, not_found] = &self.refused;
        match status {
            401 => unauthorized.fetch_add(1, Ordering::Relaxed),
            404 => not_found.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    /// How far the log is behind what was done with keys.
    pub fn uses(&self) -> UsesSeen {
        self.usage.seen()
    }

    pub(crate) fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Puts a denial of this caller on record, durably; past his budget it is counted instead.
    pub(crate) async fn record_denial(
        &self,
        who: &Principal,
        now: SystemTime,
        entry: impl FnOnce() -> Entry,
    ) -> Result<(), Refusal> {
        match self.denials.spend(who, unix_secs(now)) {
            true => self.record(entry()).await.map(drop),
            false => Ok(()),
        }
    }

    /// What was counted since the last time, as entries.
    fn counted(&self, now: SystemTime) -> Vec<Entry> {
        let denials = self.denials.take(unix_secs(now)).into_iter().map(|(who, count)| {
            let text = format!("{count} denials of releases, past the caller's budget");
            let who = who.map_or_else(|| "many".to_owned(), |who| who.to_string());
            Entry { who, ..entries::service(Event::DenialsCounted, now, Verdict::Denied, text) }
        });
        let [unauthorized, not_found] = &self.refused;
        let (unauthorized, not_found) = (unauthorized.swap(0, Ordering::Relaxed), not_found.swap(0, Ordering::Relaxed));
        let refused = (unauthorized > 0 || not_found > 0).then(|| {
            let text =
                format!("{unauthorized} requests without a good token (401), {not_found} for what is not there (404)");
            entries::service(Event::RefusalsCounted, now, Verdict::Denied, text)
        });
        denials.chain(refused).collect()
    }

    /// The proof that a record is in the log, with the record, as text (C2SP tlog-proof).
    pub(crate) fn proof(&self, leaf: &Leaf, entry: Vec<u8>) -> Result<String, Refusal> {
        self.signing.proof(&self.log, leaf, entry)
    }

    fn log_id(&self) -> Result<[u8; 16], InstallationError> {
        Ok(self.log.head().map_err(InstallationError::Audit)?.log)
    }

    /// Whether the store knew of its log when it was opened. If not, [`tick`](Self::tick) before anything is answered.
    pub fn is_remembered(&self) -> bool {
        self.remembered
    }

    /// The key that seals what a service of this installation keeps under `label`: signing keys, authorities of its own.
    pub fn sealer(&self, label: &str, id: Uuid) -> Sealer {
        self.root.sealer(label, id.as_bytes())
    }

    /// Looks what time other nodes have, remembers that of this one, so that a clock that goes back is noticed after a restart too,
    /// and puts on record what was counted since the last time. To be called every [`CLOCK_LOOK`](crate::limits::CLOCK_LOOK)
    /// where there are several nodes, else every minute or so.
    pub async fn tick(&self, now: SystemTime, randomness: &Randomizer) -> Result<(), Refusal> {
        let rows = Memory::rows(&self.store, &self.meta).await.map_err(refuse)?;
        self.look(&rows, unix_secs(now));
        for entry in self.counted(now) {
            drop(self.record(entry).await?);
        }
        let records = self.log.head().map_err(Refusal::Audit)?.records;
        let op = OpId(random(&mut randomness()));
        // One that comes late, after a newer one, must not put an older checkpoint in its place: others would take that for a log
        // that was put back.
        let checks = self.shown_as_it_is().await?.into_iter().collect();
        let ops = self.shown(&mut *randomness())?.into_iter().collect();
        match self.commit(Txn { op, checks, ops }, now, randomness()).await? {
            Outcome::Committed(_) => {
                self.witnessed.acknowledged(records, unix_secs(now));
                Ok(())
            }
            Outcome::Conflict(_) | Outcome::Unknown => Err(Refusal::Unsettled),
        }
    }

    pub(crate) fn keks(&self, vault: Uuid) -> Keks {
        let id = vault.as_bytes();
        let sealer = |label| self.root.sealer(label, id);
        let (kek, kek_id) = self.root.kek("vault material", id);
        let material = match self.token() {
            None => Custody::Software(Box::new(Software::new(kek, kek_id))),
            Some(token) => {
                let own = self.root.kek("vault material in a token", id);
                Custody::Strict(Strict::new(Arc::clone(token), own, kek_id))
            }
        };
        Keks::new(sealer("vault records"), sealer("vault pages"), material)
    }

    /// Holds the clock against those of other nodes. Of several, one vouches for its time iff others do not contradict it, as
    /// far as there are any, and it has had time to hear of all.
    fn look(&self, rows: &[(Vec<u8>, Revision, Memory)], now: u64) {
        let former = self.former();
        // No code that panics runs under the lock.
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        let (peers, look) = &mut *clocks;
        // Anew each time: a row that is gone says nothing any more.
        *look = peers.look(of_others(rows, [Some(&self.place), former.as_ref()]), now);
        if look.known && look.standing == Standing::Agreed {
            self.seen.fetch_max(now, Ordering::Relaxed);
        }
    }

    fn looked(&self) -> Look {
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// The last time that this server vouches for.
    pub(crate) fn vouched(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// From now on it vouches for this time, also if that is earlier.
    pub(crate) fn vouch_anew(&self, time: u64) {
        self.seen.store(time, Ordering::Relaxed);
    }

    pub(crate) fn is_known_gone(&self, log: &[u8; 16]) -> bool {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).contains(log)
    }

    pub(crate) fn know_gone(&self, log: [u8; 16]) {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).insert(log);
    }

    /// Where this server's clock stands among those of the other nodes, as far as the last [`tick`](Self::tick) has seen.
    pub fn clock_standing(&self) -> Standing {
        self.looked().standing
    }

    /// A release needs a clock that has not gone back, behind what this server or any other vouches for, and that is in agreement
    /// with those of the other nodes: which of two is wrong is not known, and a token that is over for one of them must not be good
    /// for the other. So does a purge at a time.
    pub fn check_clock(&self, now: SystemTime) -> Result<(), Refusal> {
        let (Look { at, floor, standing, .. }, now) = (self.looked(), unix_secs(now));
        // Behind the last look it went back, whatever was vouched for by then.
        let seen = self.seen.load(Ordering::Relaxed).max(floor).max(at);
        match standing {
            _ if is_later(seen, now) => Err(Refusal::ClockBehind { now, seen }),
            Standing::Agreed => Ok(()),
            Standing::Tied { others } | Standing::Outvoted { others } if others > now => {
                Err(Refusal::ClockBehind { now, seen: others })
            }
            Standing::Tied { others } | Standing::Outvoted { others } => Err(Refusal::ClockAhead { now, others }),
        }
    }

    /// Returns once all rows of the store are known to be those last committed. What was read before is good then too, so
    /// whoever is about to act on it waits here: before a private key is used, before anything is put on record. Changes wait
    /// in the store.
    pub(crate) async fn verified(&self) -> Result<(), Refusal> {
        Ok(self.store.verified().await?)
    }

    /// Tells how many octets the disk of the log and the store has left. Below [`DISK_FREE_MIN`] nothing new is begun, since a
    /// disk that is full in the middle of a change closes the log, or the store, for good. To be called every second or so.
    pub fn has_room(&self, free: u64) {
        self.room.store(free, Ordering::Relaxed);
    }

    /// Whether the log met a failure of its disk: from then on it takes nothing more, until it is opened anew.
    pub fn log_failed(&self) -> bool {
        self.log_failed.load(Ordering::Relaxed)
    }

    /// Puts an entry on record, once the store is [verified](Self::verified). The disk is waited for by the log's thread.
    pub(crate) async fn record(&self, entry: Entry) -> Result<Recorded, Refusal> {
        self.check_room(entry.verdict)?;
        self.verified().await?;
        self.noting_failure(self.recorder.record(entry).await)
    }

    /// Puts an entry on record as [`record`](Self::record) does, and then runs a job with the proof on a pool.
    pub(crate) async fn record_then<T: Send + 'static>(
        &self,
        entry: Entry,
        pool: &Arc<Pool>,
        job: impl FnOnce(Recorded) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        self.check_room(entry.verdict)?;
        self.verified().await?;
        self.noting_failure(self.recorder.record_then(entry, pool, job).await)
    }

    fn noting_failure<T>(&self, recorded: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Err(Refusal::Audit(AuditError::Io { .. } | AuditError::Closed)) = &recorded {
            self.log_failed.store(true, Ordering::Relaxed);
        }
        recorded
    }

    /// What was begun may end; nothing else begins on a disk that is nearly full.
    fn check_room(&self, verdict: Verdict) -> Result<(), Refusal> {
        let (free, min) = (self.room.load(Ordering::Relaxed), DISK_FREE_MIN);
        let is_end = matches!(verdict, Verdict::Committed | Verdict::Aborted);
        if is_end || free >= min { Ok(()) } else { Err(Refusal::NoRoom { free, min }) }
    }

    /// Commits a transaction, and with it the time and how long the log is.
    pub(crate) async fn commit(&self, mut txn: Txn, now: SystemTime, mut rng: Randomness) -> Result<Outcome, Refusal> {
        let now = unix_secs(now);
        let (seen, says) = match self.shown_at {
            None => (self.seen.fetch_max(now, Ordering::Relaxed).max(now), None),
            // Of several, one vouches for its time only after it was held against the others'.
            Some(_) => (self.seen.load(Ordering::Relaxed), Some(now)),
        };
        // In this order: what is known of the log's end may not be older than where reading it begins.
        let checkpoint = Some(self.log.checkpoint().map_err(Refusal::Audit)?);
        let head = self.log.head().map_err(Refusal::Audit)?;
        let sealed = self.meta.seal(&self.place, &Memory { seen, says, head, checkpoint }.to_bytes(), &mut *rng);
        txn.ops.push(Op::Put(self.place.clone(), sealed.map_err(Refusal::Seal)?));
        let former = self.former();
        txn.ops.extend(former.clone().map(Op::Delete));
        let outcome = self.store.commit(&txn).await?;
        if former.is_some() && matches!(outcome, Outcome::Committed(_)) {
            *self.former.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(outcome)
    }

    fn former(&self) -> Option<Vec<u8>> {
        self.former.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn started(&self, opened: &Opened, now: SystemTime) -> Result<(), InstallationError> {
        let Opened { settled_committed, settled_aborted, torn_octets } = opened;
        let text = format!("settled: {settled_committed} made, {settled_aborted} not; {torn_octets} torn octets cut");
        let entry = entries::service(Event::Started, now, Verdict::Permitted, text);
        self.log.record(&entry).map(drop).map_err(InstallationError::Audit)
    }
}

/// Why a token cannot hold an installation's keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeldError {
    /// The token does not do what it takes.
    #[error(transparent)]
    Token(TokenError),
    /// Threads for it could not be started.
    #[error("threads that call the token cannot be started: {0}")]
    Thread(std::io::ErrorKind),
}

/// What the store remembers: the last time seen, in seconds since the epoch, how long the log was, and from where a start
/// has to read it.
#[derive(Clone)]
pub(crate) struct Memory {
    /// The last time that the server vouches for.
    pub(crate) seen: u64,
    /// What its clock said when this was put, be it right or wrong; of a node among several.
    pub(crate) says: Option<u64>,
    pub(crate) head: Head,
    /// None in what earlier versions wrote, without it or without the tree: then a start reads all.
    pub(crate) checkpoint: Option<Checkpoint>,
}

impl Memory {
    /// Of all servers of the installation, by where the store has them.
    pub(crate) async fn all(store: &Store, meta: &Sealer) -> Result<BTreeMap<Vec<u8>, Memory>, InstallationError> {
        Ok(Self::rows(store, meta).await?.into_iter().map(|(at, _, memory)| (at, memory)).collect())
    }

    /// The same, with the commit that put each.
    pub(crate) async fn rows(
        store: &Store,
        meta: &Sealer,
    ) -> Result<Vec<(Vec<u8>, Revision, Memory)>, InstallationError> {
        let rows = rows_under(store, MEMORY).await.map_err(InstallationError::Store)?;
        let opened = |Row { key, entry }: Row| {
            let plain = meta.open(&key, &entry.value).map_err(InstallationError::Memory)?;
            let memory = Memory::from_bytes(&plain).ok_or(InstallationError::MemoryForm)?;
            Ok((key, entry.modified, memory))
        };
        rows.into_iter().map(opened).collect()
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new(Vec::new());
        let mut write = || -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
            let (fields, format) = match (&self.checkpoint, self.says) {
                (None, _) => (5, WITHOUT_CHECKPOINT),
                (Some(_), None) => (9, OF_THE_ONLY),
                (Some(_), Some(_)) => (10, OF_SEVERAL),
            };
            out.array(fields)?.u8(format)?.u64(self.seen)?.bytes(&self.head.log)?;
            out.u64(self.head.records)?.bytes(&self.head.hash)?;
            if let Some(Checkpoint { head, len, tree }) = &self.checkpoint {
                out.u64(head.records)?.bytes(&head.hash)?.u64(*len)?.bytes(&tree.hashes().concat())?;
                self.says.map(|says| out.u64(says).map(drop)).transpose()?;
            }
            Ok(())
        };
        // Infallible: writing to a vector.
        let _ = write();
        out.into_writer()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Memory> {
        let mut input = Decoder::new(bytes);
        let format = match (input.array().ok()?, input.u8().ok()?) {
            known @ ((Some(5), WITHOUT_CHECKPOINT)
            | (Some(8), WITHOUT_TREE)
            | (Some(9), OF_THE_ONLY)
            | (Some(10), OF_SEVERAL)) => known.1,
            _ => return None,
        };
        let seen = input.u64().ok()?;
        let log = input.bytes().ok()?.try_into().ok()?;
        let head = read_head(&mut input, log)?;
        let place = match format {
            WITHOUT_CHECKPOINT => None,
            _ => Some((read_head(&mut input, log)?, input.u64().ok()?)),
        };
        let checkpoint = match place {
            Some((head, len)) if matches!(format, OF_THE_ONLY | OF_SEVERAL) => {
                Some(Checkpoint { head, len, tree: read_tree(&mut input, &head)? })
            }
            _ => None,
        };
        let says = if format == OF_SEVERAL { Some(input.u64().ok()?) } else { None };
        (input.position() == bytes.len()).then_some(Memory { seen, says, head, checkpoint })
    }
}

/// What rows say that are at none of these places.
fn of_others<'a>(
    rows: &'a [(Vec<u8>, Revision, Memory)],
    own: [Option<&Vec<u8>>; 2],
) -> impl Iterator<Item = (&'a [u8], Said)> {
    rows.iter().filter(move |(at, _, _)| !own.contains(&Some(at))).map(|(at, put, Memory { seen, says, .. })| {
        (at.as_slice(), Said { put: *put, seen: *seen, says: says.unwrap_or(*seen) })
    })
}

/// The newest checkpoints that nodes show, by their names, but for the one that is at `own`.
async fn shown(store: &Store, meta: &Sealer, own: Option<&Vec<u8>>) -> Result<Vec<(String, Vec<u8>)>, Refusal> {
    let rows = rows_under(store, SHOWN).await?;
    let opened = |Row { key, entry }: Row| {
        let note = meta.open(&key, &entry.value).map_err(Corrupted::Seal)?;
        let node = String::from_utf8_lossy(key.get(SHOWN.len()..).unwrap_or_default()).into_owned();
        Ok((node, note.to_vec()))
    };
    rows.into_iter().filter(|row| own != Some(&row.key)).map(opened).collect()
}

/// All rows whose keys begin so, of one revision: of nodes there are few.
pub(crate) async fn rows_under(store: &Store, prefix: &[u8]) -> Result<Vec<Row>, StoreError> {
    let (mut rows, mut at) = (Vec::new(), At::Linearizable);
    loop {
        let after = rows.last().map(|row: &Row| row.key.clone());
        let page = store.range(prefix, after.as_deref(), PAGE_ROWS_MAX, at).await?;
        rows.extend(page.rows);
        if !page.more {
            return Ok(rows);
        }
        at = At::Snapshot(page.revision);
    }
}

/// Refuses a store that says less of this node's log, or of others, than this node knows (docs/decisions/025).
async fn not_put_back(
    witnessed: &Witnessed,
    memory: Option<&Memory>,
    store: &Store,
    (meta, node): (&Sealer, &Node),
) -> Result<(), InstallationError> {
    let shown = shown(store, meta, node.shown().as_ref()).await.map_err(|refusal| match refusal {
        Refusal::Store(error) => InstallationError::Store(error),
        Refusal::Corrupted(Corrupted::Seal(error)) => InstallationError::Memory(error),
        _ => InstallationError::MemoryForm,
    })?;
    let notes: Vec<_> = shown.into_iter().map(|(_, note)| note).collect();
    let found = memory.map_or(0, |memory| memory.head.records);
    witnessed.check(found, &notes).map_err(InstallationError::PutBack)
}

/// What keeps the rows of all nodes from being read.
pub(crate) fn refuse(error: InstallationError) -> Refusal {
    match error {
        InstallationError::Store(error) => Refusal::Store(error),
        InstallationError::Memory(error) => Corrupted::Seal(error).into(),
        _ => Corrupted::Form("memory of a node").into(),
    }
}

/// What the store remembers of this server, and where: under its name, or under another if that has its log.
fn remembered<'a>(
    node: &Node,
    all: &'a BTreeMap<Vec<u8>, Memory>,
    log_folder: &Path,
) -> Result<Option<(&'a Vec<u8>, &'a Memory)>, InstallationError> {
    if let Some(own) = all.get_key_value(&node.memory()) {
        return Ok(Some(own));
    }
    if !log_folder.join(LOG_FILE).exists() {
        return match node {
            Node::Only if !all.is_empty() => Err(InstallationError::OfNodes),
            Node::Only | Node::Named(_) => Ok(None),
        };
    }
    // Its header says which log it is; it is read when it is opened.
    let log = skerry_audit::read(log_folder).map_err(InstallationError::Audit)?.head().log;
    match all.iter().find(|(_, memory)| memory.head.log == log) {
        None if *node == Node::Only && !all.is_empty() => Err(InstallationError::OfNodes),
        known => Ok(known),
    }
}

fn read_head(input: &mut Decoder<'_>, log: [u8; 16]) -> Option<Head> {
    Some(Head { log, records: input.u64().ok()?, hash: input.bytes().ok()?.try_into().ok()? })
}

fn read_tree(input: &mut Decoder<'_>, head: &Head) -> Option<Frontier> {
    let (hashes, rest) = input.bytes().ok()?.as_chunks();
    let tree = Frontier::new(head.records, hashes.to_vec()).ok()?;
    rest.is_empty().then_some(tree)
}

fn open_log(
    folder: &Path,
    limits: Limits,
    memory: Option<&Memory>,
    randomness: &Randomizer,
) -> Result<(Log, History), InstallationError> {
    let history = || History::new(UNSETTLED_MAX);
    match (folder.join(LOG_FILE).exists(), memory) {
        (false, None) => {
            let log = Log::create(folder, limits, &mut *randomness()).map_err(InstallationError::Audit)?;
            Ok((log, history()))
        }
        (false, Some(memory)) => Err(InstallationError::LogMissing { records: memory.head.records }),
        (true, Some(Memory { head, checkpoint: Some(checkpoint), .. })) => {
            Log::open_after(folder, limits, checkpoint, head, UNSETTLED_MAX).map_err(InstallationError::History)
        }
        (true, memory) => {
            let known = memory.map(|memory| &memory.head);
            Log::open_with_history(folder, limits, known, UNSETTLED_MAX).map_err(InstallationError::History)
        }
    }
}

/// Checks that the store is not older than the log, then finds out which changes without an outcome were made.
async fn settle(
    store: &Store,
    log: &Log,
    history: &History,
    memory: Option<&Memory>,
    now: SystemTime,
) -> Result<Opened, InstallationError> {
    if let Some(subject) = unknown_to(memory, history)
        && !was_made(store, subject).await?
    {
        return Err(InstallationError::StoreBehindLog);
    }
    let mut opened = Opened { torn_octets: log.torn_octets(), ..Opened::default() };
    for change in history.unsettled() {
        let made = was_made(store, &change.entry.subject).await?;
        let verdict = if made { Verdict::Committed } else { Verdict::Aborted };
        let outcome = Entry { at: now, verdict, ..change.entry.clone() };
        drop(log.record(&outcome).map_err(InstallationError::Audit)?);
        let count = if made { &mut opened.settled_committed } else { &mut opened.settled_aborted };
        *count = count.saturating_add(1);
    }
    Ok(opened)
}

/// The last change that the log says was made, if what the store remembers of the log is from before it.
fn unknown_to<'a>(memory: Option<&Memory>, history: &'a History) -> Option<&'a [u8; 32]> {
    let last = history.last_committed()?;
    memory.is_none_or(|memory| memory.head.records <= last.leaf.index()).then_some(&last.entry.subject)
}

/// Whether the store made the change of this digest. If it did not, it never will.
pub(crate) async fn was_made(store: &Store, subject: &[u8; 32]) -> Result<bool, InstallationError> {
    match store.settle(op_id_of(subject)).await {
        Ok(Settled::Committed(_)) => Ok(true),
        Ok(Settled::Aborted) => Ok(false),
        Err(_) => Err(InstallationError::Unsettled),
    }
}

/// Label of the KEK of what is remembered.
pub(crate) const META: &str = "skerry installation";
/// The name of the log's file in its folder.
const LOG_FILE: &str = "audit.log";
const OF_SEVERAL: u8 = 4;
const OF_THE_ONLY: u8 = 3;
const WITHOUT_TREE: u8 = 2;
const WITHOUT_CHECKPOINT: u8 = 1;
