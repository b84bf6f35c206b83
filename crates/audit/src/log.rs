//! Writing the log: group commit among threads.
//!
//! A thread that finds nobody writing becomes the leader: it takes all that is queued, writes and syncs it without the
//! mutex held, and wakes the others. Threads that come meanwhile queue for the next group. There is no thread of the
//! log's own and no waiting but on the condition.

use crate::entry::{Entry, Event};
use crate::error::{AuditError, HistoryError, Step};
use crate::format::{Header, ID_LEN, Id, Place, record_len};
use crate::history::History;
use crate::limits::{Limits, PROVABLE_RECORDS};
use crate::open::OpenChanges;
use crate::reader::{Checkpoint, End, Head, Leaf, Reader, Record, Report};
use crate::segment::{self, Segment};
use rand_core::CryptoRng;
use skerry_tlog::{Frontier, Hash, Tree};
use std::fs::File;
use std::io::Seek as _;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

/// An audit log, open for writing and held against other writers. Shared between threads by reference.
pub struct Log {
    state: Mutex<State>,
    changed: Condvar,
    limits: Limits,
    torn_octets: u64,
}

/// What a log counts, at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSeen {
    /// Records that are durable.
    pub records: u64,
    /// Octets of the file.
    pub len: u64,
    /// Octets that the file may have.
    pub len_max: u64,
    /// Syncs since it was opened: records over syncs is how many share one.
    pub syncs: u64,
    /// Records that shared the last sync.
    pub last_group: u64,
    /// When that was; none before the first.
    pub synced: Option<Instant>,
}

/// Proof that one entry is durably in the log.
///
/// Made by [`Log::record`] alone, after the sync. It authorises one act, so it has no Clone.
#[derive(Debug)]
#[must_use]
pub struct Recorded {
    event: Event,
    subject: [u8; 32],
    leaf: Leaf,
    previous: Hash,
    body: Vec<u8>,
}

impl Recorded {
    /// What was recorded to happen.
    pub fn event(&self) -> Event {
        self.event
    }

    /// Digest of what was recorded.
    pub fn subject(&self) -> &[u8; 32] {
        &self.subject
    }

    /// Where it stands in the log.
    pub fn leaf(&self) -> Leaf {
        self.leaf
    }

    /// The octets that its hash covers: the record as an entry of the tree.
    pub fn entry_octets(&self) -> Vec<u8> {
        Place { log: self.leaf.log, index: self.leaf.index, previous: self.previous }.entry(&self.body)
    }

    fn of(entry: &Entry, body: Vec<u8>, Queued { leaf, previous }: Queued) -> Self {
        Self { event: entry.event, subject: entry.subject, leaf, previous, body }
    }
}

impl Log {
    /// Makes a log in `dir`, where none may be yet. Its id comes from `rng`.
    pub fn create(dir: &Path, limits: Limits, rng: &mut dyn CryptoRng) -> Result<Self, AuditError> {
        let mut id: Id = [0; ID_LEN];
        rng.fill_bytes(&mut id);
        let header = Header::new(id);
        let file = segment::create(dir, header)?;
        let head = Head { log: header.id, records: 0, hash: header.hash };
        let report = Report { head, tree: Frontier::empty(), torn_octets: 0 };
        Ok(Self::new(Box::new(file), Opened::of(report, segment::header_len()), limits))
    }

    /// Opens the log in `dir`, checks every record, and cuts off a record that a crash left incomplete.
    ///
    /// A log that was cut at the end of a record opens: see [`Log::open_against`].
    pub fn open(dir: &Path, limits: Limits) -> Result<Self, AuditError> {
        Self::open_visiting(dir, limits, None, |_| Ok(()))
    }

    /// Opens the log as [`Log::open`] does, iff it continues the one whose head is known.
    pub fn open_against(dir: &Path, limits: Limits, known: &Head) -> Result<Self, AuditError> {
        Self::open_visiting(dir, limits, Some(known), |_| Ok(()))
    }

    /// Opens the log as [`Log::open`] or [`Log::open_against`] do, and tells what it says of changes, from the same pass
    /// over the file; at most `unsettled_max` of them are kept ([`crate::limits::UNSETTLED_MAX`]).
    pub fn open_with_history(
        dir: &Path,
        limits: Limits,
        known: Option<&Head>,
        unsettled_max: usize,
    ) -> Result<(Self, History), HistoryError> {
        let (file, mut history) = (segment::open(dir)?, History::new(unsettled_max));
        let reader = Reader::new(copy(&file)?)?;
        let start = start_of(&reader);
        let report = reader.finish_visiting(known, |record| history.observe(record))?;
        let log = Self::opened(file, report, limits)?;
        log.lock()?.expect(&history, &start);
        Ok((log, history))
    }

    /// Opens the log as [`Log::open_with_history`] does, but reads only what follows a checkpoint that [`Log::checkpoint`]
    /// gave. The header, and the hash at the checkpoint, are those of the log that it is of.
    ///
    /// A log that ends before the checkpoint, or has something else there, is read whole to say what is wrong with it; so
    /// is one whose known head lies below. The caller vouches for both, and for what the records below the checkpoint say:
    /// an altered one is found by [`crate::verify`].
    pub fn open_after(
        dir: &Path,
        limits: Limits,
        checkpoint: &Checkpoint,
        known: &Head,
        unsettled_max: usize,
    ) -> Result<(Self, History), HistoryError> {
        if known.records < checkpoint.head.records {
            return Self::open_with_history(dir, limits, Some(known), unsettled_max);
        }
        let (file, mut history) = (segment::open(dir)?, History::new(unsettled_max));
        let Some(reader) = Reader::after(copy(&file)?, checkpoint)? else {
            return Err(misplaced(file, checkpoint, known)?.into());
        };
        let report = reader.finish_visiting(Some(known), |record| history.observe(record))?;
        let log = Self::opened(file, report, limits)?;
        log.lock()?.expect(&history, checkpoint);
        Ok((log, history))
    }

    /// Opens the log and shows every record on the way, in order, after its place in the chain was checked.
    ///
    /// What was shown counts only if the log opens: a later record may be corrupted, or not reach the known head. The
    /// first error of `visit` is passed on; the file is not touched then.
    pub fn open_visiting<E: From<AuditError>>(
        dir: &Path,
        limits: Limits,
        known: Option<&Head>,
        visit: impl FnMut(&Record) -> Result<(), E>,
    ) -> Result<Self, E> {
        let file = segment::open(dir)?;
        let reader = Reader::new(copy(&file)?)?;
        let start = start_of(&reader);
        let report = reader.finish_visiting(known, visit)?;
        let log = Self::opened(file, report, limits)?;
        // What is open in it nobody asked: a start from a later place might miss it.
        log.lock()?.floor = Some(start);
        Ok(log)
    }

    fn opened(file: File, report: Report, limits: Limits) -> Result<Self, AuditError> {
        let len = segment::len(&file)?.saturating_sub(report.torn_octets);
        if report.torn_octets > 0 {
            segment::cut(&file, len)?;
        }
        Ok(Self::new(Box::new(file), Opened::of(report, len), limits))
    }

    fn new(segment: Box<dyn Segment>, opened: Opened, limits: Limits) -> Self {
        let Opened { end, torn_octets } = opened;
        Self {
            state: Mutex::new(State {
                segment: Some(segment),
                queue: Vec::new(),
                next: Place { log: end.head.log, index: end.head.records, previous: end.head.hash },
                len: end.len,
                tree: Tree::new(&end.tree),
                durable: End { head: end.head, len: end.len },
                open: OpenChanges::default(),
                floor: None,
                failure: None,
                syncs: 0,
                synced: None,
                group: 0,
            }),
            changed: Condvar::new(),
            limits,
            torn_octets,
        }
    }

    /// Records one entry and returns once it is durable.
    ///
    /// An error says that the entry may or may not be in the file, and that nothing was authorised by it. After the
    /// first failure of the file every call is refused with [`AuditError::Closed`]. The process should end then: a log
    /// opened anew on the same running system may be shown octets that never reached the disk.
    pub fn record(&self, entry: &Entry) -> Result<Recorded, AuditError> {
        let body = entry.body()?;
        let mut state = self.lock()?;
        let queued = state.enqueue(entry, &body, &self.limits)?;
        self.finish(state, queued.leaf.index)?;
        Ok(Recorded::of(entry, body, queued))
    }

    /// Records entries in their order, in one write and one sync if nobody else writes, and returns once they are durable.
    ///
    /// An entry that cannot be in the log is refused by itself; for the others it is as with [`Log::record`].
    pub fn record_all(&self, entries: &[Entry]) -> Vec<Result<Recorded, AuditError>> {
        let bodies: Vec<_> = entries.iter().map(Entry::body).collect();
        let Ok(mut state) = self.lock() else { return entries.iter().map(|_| Err(AuditError::Closed)).collect() };
        let enqueue = |(entry, body): (&Entry, Result<Vec<u8>, AuditError>)| {
            let body = body?;
            state.enqueue(entry, &body, &self.limits).map(|queued| (body, queued))
        };
        let queued: Vec<_> = entries.iter().zip(bodies).map(enqueue).collect();
        let last = queued.iter().flatten().map(|(_, queued)| queued.leaf.index).max();
        let failed = last.and_then(|last| self.finish(state, last).err());
        let recorded = |(entry, queued): (&Entry, Result<(Vec<u8>, Queued), AuditError>)| match (queued, failed) {
            (Ok(_), Some(error)) => Err(error),
            (queued, _) => queued.map(|(body, queued)| Recorded::of(entry, body, queued)),
        };
        entries.iter().zip(queued).map(recorded).collect()
    }

    /// The last durable record.
    pub fn head(&self) -> Result<Head, AuditError> {
        Ok(self.lock()?.durable.head)
    }

    /// The last durable record, and where in the file it ends.
    pub fn end(&self) -> Result<End, AuditError> {
        Ok(self.lock()?.durable)
    }

    /// The last place below which every record is durable and no change is open: [`Log::open_after`] it misses nothing that
    /// a start asks for. Of a log that was opened without its history that is its beginning.
    pub fn checkpoint(&self) -> Result<Checkpoint, AuditError> {
        let state = self.lock()?;
        let places = [Some(state.durable()), state.open.earliest(), state.floor.clone()];
        let first = places.into_iter().flatten().min_by_key(|place| place.head.records);
        Ok(first.unwrap_or_else(|| state.durable()))
    }

    /// The place after the last durable record: how large the tree is, and its root.
    pub fn durable(&self) -> Result<Checkpoint, AuditError> {
        Ok(self.lock()?.durable())
    }

    /// The proof that a record is among the first `size` (RFC 9162, 2.1.3), all of them durable, from its sibling up. None if
    /// it is not, or if it is too old for what is kept in memory: then tiles have it.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Option<Vec<Hash>>, AuditError> {
        let state = self.lock()?;
        Ok(if size <= state.durable.head.records { state.tree.inclusion(index, size) } else { None })
    }

    /// Octets of an incomplete record that opening cut off; zero after an orderly end.
    pub fn torn_octets(&self) -> u64 {
        self.torn_octets
    }

    /// Syncs so far: how well records share them is a matter for metrics.
    pub fn syncs(&self) -> Result<u64, AuditError> {
        Ok(self.lock()?.syncs)
    }

    /// How much there is in it, and how much may be.
    pub fn seen(&self) -> Result<LogSeen, AuditError> {
        let state = self.lock()?;
        let State { durable, syncs, synced, group, .. } = &*state;
        let (records, len, len_max) = (durable.head.records, durable.len, self.limits.log_len_max);
        Ok(LogSeen { records, len, len_max, syncs: *syncs, last_group: *group, synced: *synced })
    }

    /// Returns once a record that is queued is durable.
    fn finish<'a>(&'a self, mut state: MutexGuard<'a, State>, index: u64) -> Result<(), AuditError> {
        while !state.is_durable(index) {
            state = self.advance(state)?;
        }
        Ok(())
    }

    /// Leads a group if nobody does, else waits for the one that is being written.
    fn advance<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Result<MutexGuard<'a, State>, AuditError> {
        if let Some(failure) = state.failure {
            return Err(failure);
        }
        let Some(segment) = state.segment.take() else {
            return self.changed.wait(state).map_err(|_| AuditError::Closed);
        };
        let group = state.take_group();
        drop(state);
        let outcome = write(segment, group);
        let mut state = self.lock()?;
        state.settle(outcome);
        self.changed.notify_all();
        Ok(state)
    }

    fn lock(&self) -> Result<MutexGuard<'_, State>, AuditError> {
        self.state.lock().map_err(|_| AuditError::Closed)
    }
}

/// What the mutex guards. The segment is away while a leader writes.
struct State {
    segment: Option<Box<dyn Segment>>,
    /// Records that wait for the next group.
    queue: Vec<u8>,
    /// Place of the next record, after those that wait.
    next: Place,
    /// Octets of the file, with those that wait.
    len: u64,
    /// Over all records, those that wait too.
    tree: Tree,
    durable: End,
    open: OpenChanges,
    /// A place that no checkpoint may be after.
    floor: Option<Checkpoint>,
    failure: Option<AuditError>,
    syncs: u64,
    /// When the last group was durable, and how many records it had.
    synced: Option<Instant>,
    group: u64,
}

/// A record that waits for its group.
struct Queued {
    leaf: Leaf,
    previous: Hash,
}

/// What opening found.
struct Opened {
    end: Checkpoint,
    torn_octets: u64,
}

impl Opened {
    fn of(report: Report, len: u64) -> Self {
        let torn_octets = report.torn_octets;
        Self { end: Checkpoint { head: report.head, len, tree: report.tree }, torn_octets }
    }
}

/// Records that share one write and one sync.
struct Group {
    octets: Vec<u8>,
    end: End,
}

/// How a group went: the segment and its new end, or the failure that closes the log.
type Outcome = Result<(Box<dyn Segment>, End), AuditError>;

impl State {
    /// What a history has open is met from this place on.
    fn expect(&mut self, history: &History, from: &Checkpoint) {
        for change in history.unsettled() {
            self.open.intended(change.entry.subject, change.leaf.index, from.clone());
        }
    }

    fn enqueue(&mut self, entry: &Entry, body: &[u8], limits: &Limits) -> Result<Queued, AuditError> {
        if self.failure.is_some() {
            return Err(AuditError::Closed);
        }
        let (Ok(len), Ok(record)) = (u32::try_from(body.len()), u64::try_from(record_len(body.len()))) else {
            return Err(AuditError::EntryTooLong { len: body.len() });
        };
        let grown = self.len.saturating_add(record);
        if grown > limits.log_len_max {
            return Err(AuditError::Full { log_len_max: limits.log_len_max });
        }
        let before = self.end();
        self.open.note(entry, self.next.index, || place(&self.tree, before));
        self.len = grown;
        Ok(self.append(body, len))
    }

    fn append(&mut self, body: &[u8], len: u32) -> Queued {
        let place = self.next;
        let leaf = Leaf { log: place.log, index: place.index, hash: place.hash(body) };
        self.queue.extend(place.head(len));
        self.queue.extend(body);
        self.queue.extend(leaf.hash);
        self.next = Place { log: place.log, index: place.index.saturating_add(1), previous: leaf.hash };
        self.tree.push(leaf.hash);
        Queued { leaf, previous: place.previous }
    }

    fn durable(&self) -> Checkpoint {
        place(&self.tree, self.durable)
    }

    fn is_durable(&self, index: u64) -> bool {
        index < self.durable.head.records
    }

    fn take_group(&mut self) -> Group {
        Group { octets: std::mem::take(&mut self.queue), end: self.end() }
    }

    /// After all records, those that wait too.
    fn end(&self) -> End {
        let Place { log, index, previous } = self.next;
        End { head: Head { log, records: index, hash: previous }, len: self.len }
    }

    fn settle(&mut self, outcome: Outcome) {
        match outcome {
            Ok((segment, end)) => {
                self.segment = Some(segment);
                self.group = end.head.records.saturating_sub(self.durable.head.records);
                self.synced = Some(Instant::now());
                self.durable = end;
                self.tree.forget_below(end.head.records.saturating_sub(PROVABLE_RECORDS));
                self.open.durable(end.head.records);
                self.syncs = self.syncs.saturating_add(1);
            }
            // After a failed sync the file's state is unknown, and asking again may lie: the segment is dropped.
            Err(failure) => self.failure = Some(failure),
        }
    }
}

fn write(mut segment: Box<dyn Segment>, group: Group) -> Outcome {
    segment.append(&group.octets).map_err(AuditError::io(Step::Write))?;
    segment.sync().map_err(AuditError::io(Step::Sync))?;
    Ok((segment, group.end))
}

/// What is wrong with a log that is not as its checkpoint says.
fn misplaced(mut file: File, checkpoint: &Checkpoint, known: &Head) -> Result<AuditError, AuditError> {
    file.rewind().map_err(AuditError::io(Step::Read))?;
    Reader::new(file)?.finish(Some(known))?;
    Ok(AuditError::Misplaced { records: checkpoint.head.records })
}

/// A place with the tree over what lies before, of which nothing from the last durable record on is forgotten.
fn place(tree: &Tree, End { head, len }: End) -> Checkpoint {
    // Infallible: nothing that a tree of so many leaves consists of was forgotten.
    let tree = tree.frontier(head.records).unwrap_or_else(Frontier::empty);
    Checkpoint { head, len, tree }
}

fn start_of(reader: &Reader) -> Checkpoint {
    Checkpoint { head: reader.head(), len: segment::header_len(), tree: reader.tree().clone() }
}

fn copy(file: &File) -> Result<File, AuditError> {
    file.try_clone().map_err(AuditError::io(Step::Open))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Verdict;
    use crate::limits::BODY_LEN_MAX;
    use std::collections::BTreeSet;
    use std::io;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;
    use std::time::UNIX_EPOCH;

    /// What a disk does next.
    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        None,
        Write,
        Sync,
    }

    /// A disk that fails on demand, and whose syncs wait for a word from the test.
    struct Disk {
        fault: Fault,
        gate: Option<(Sender<()>, Receiver<()>)>,
    }

    impl Segment for Disk {
        fn append(&mut self, _: &[u8]) -> io::Result<()> {
            refuse(self.fault == Fault::Write, io::ErrorKind::StorageFull)
        }

        fn sync(&mut self) -> io::Result<()> {
            if let Some((entered, go)) = &self.gate {
                entered.send(()).unwrap();
                go.recv().unwrap();
            }
            refuse(self.fault == Fault::Sync, io::ErrorKind::Other)
        }
    }

    fn refuse(fails: bool, kind: io::ErrorKind) -> io::Result<()> {
        if fails { Err(kind.into()) } else { Ok(()) }
    }

    fn log(disk: Disk) -> Log {
        let header = Header::new([9; ID_LEN]);
        let head = Head { log: header.id, records: 0, hash: header.hash };
        let report = Report { head, tree: Frontier::empty(), torn_octets: 0 };
        Log::new(Box::new(disk), Opened::of(report, segment::header_len()), Limits::default())
    }

    fn entry() -> Entry {
        Entry {
            event: Event::Release,
            at: UNIX_EPOCH,
            subject: [1; 32],
            who: String::new(),
            request: String::new(),
            vault: None,
            key: None,
            version: None,
            token: None,
            evidence: None,
            measurement: None,
            policy: None,
            verdict: Verdict::Permitted,
            explanation: String::new(),
        }
    }

    #[test]
    fn failed_write_closes_the_log() {
        // The call that met the failure learns it; every later one is refused.
        let log = log(Disk { fault: Fault::Write, gate: None });
        let met = AuditError::Io { step: Step::Write, kind: io::ErrorKind::StorageFull };
        assert_eq!(log.record(&entry()).err(), Some(met));
        assert_eq!(log.record(&entry()).err(), Some(AuditError::Closed));
        assert_eq!(log.head().unwrap().records, 0);
    }

    #[test]
    fn failed_sync_closes_the_log() {
        // Written but not synced is not recorded.
        let log = log(Disk { fault: Fault::Sync, gate: None });
        let met = AuditError::Io { step: Step::Sync, kind: io::ErrorKind::Other };
        assert_eq!(log.record(&entry()).err(), Some(met));
        assert_eq!(log.record(&entry()).err(), Some(AuditError::Closed));
        assert_eq!(log.head().unwrap().records, 0);
    }

    #[test]
    fn failure_reaches_all_who_wait() {
        // Threads that queued behind a failing group are refused too, rather than left waiting.
        let (log, entered, go) = gated(Fault::Sync);
        let outcomes = thread::scope(|scope| {
            let threads = queue_32(scope, &log, &entered);
            go.send(()).unwrap();
            threads.map(|thread| thread.join().unwrap())
        });
        assert!(outcomes.iter().all(|outcome| outcome.is_err()));
    }

    #[test]
    fn waiting_threads_share_one_sync() {
        // While one record is being synced 31 more queue, and these take one sync together.
        let (log, entered, go) = gated(Fault::None);
        let leaves: BTreeSet<u64> = thread::scope(|scope| {
            let threads = queue_32(scope, &log, &entered);
            go.send(()).unwrap();
            entered.recv().unwrap();
            go.send(()).unwrap();
            threads.map(|thread| thread.join().unwrap().unwrap().leaf().index())
        })
        .into();
        assert_eq!(leaves, (0..32).collect());
        assert_eq!(log.syncs().unwrap(), 2);
        assert_eq!(log.head().unwrap().records, 32);
        let seen = log.seen().unwrap();
        assert_eq!((seen.records, seen.syncs, seen.last_group, seen.synced.is_some()), (32, 2, 31, true));
    }

    #[test]
    fn entries_given_together_share_one_sync_and_keep_their_order() {
        // One that cannot be in the log is refused by itself, and takes no place in the chain.
        let log = log(Disk { fault: Fault::None, gate: None });
        let long = Entry { explanation: "x".repeat(BODY_LEN_MAX), ..entry() };
        let outcomes = log.record_all(&[entry(), long, entry()]);
        let indices: Vec<_> =
            outcomes.iter().map(|outcome| outcome.as_ref().ok().map(|proof| proof.leaf().index())).collect();
        assert_eq!(indices, [Some(0), None, Some(1)]);
        assert!(matches!(outcomes[1], Err(AuditError::EntryTooLong { .. })));
        assert_eq!((log.syncs().unwrap(), log.head().unwrap().records), (1, 2));
        assert!(log.record_all(&[]).is_empty());
        assert_eq!(log.syncs().unwrap(), 1);
    }

    #[test]
    fn entries_given_together_fail_together() {
        // The failure of the file reaches every entry of the group, and closes the log.
        let log = log(Disk { fault: Fault::Sync, gate: None });
        let met = AuditError::Io { step: Step::Sync, kind: io::ErrorKind::Other };
        let errors =
            |outcomes: Vec<Result<Recorded, AuditError>>| outcomes.into_iter().map(Result::err).collect::<Vec<_>>();
        assert_eq!(errors(log.record_all(&[entry(), entry()])), [Some(met), Some(met)]);
        assert_eq!(errors(log.record_all(&[entry()])), [Some(AuditError::Closed)]);
    }

    #[test]
    fn nothing_is_recorded_before_the_sync() {
        // Until the sync returns the head does not move.
        let (log, entered, go) = gated(Fault::None);
        thread::scope(|scope| {
            let thread = scope.spawn(|| log.record(&entry()));
            entered.recv().unwrap();
            assert_eq!(log.head().unwrap().records, 0);
            assert_eq!(log.inclusion(0, 1).unwrap(), None, "nor is it proved to be there");
            assert!(!thread.is_finished());
            go.send(()).unwrap();
            assert_eq!(thread.join().unwrap().unwrap().leaf().index(), 0);
        });
        assert_eq!(log.inclusion(0, 1).unwrap(), Some(Vec::new()));
        assert_eq!(log.head().unwrap().records, 1);
    }

    #[test]
    fn outcome_that_is_not_durable_keeps_its_change_open() {
        // A crash can take the outcome back, so a checkpoint stays before the intent until the sync of the outcome.
        let (log, entered, go) = gated(Fault::None);
        let change = |verdict| Entry { verdict, ..entry() };
        thread::scope(|scope| {
            let intent = scope.spawn(|| log.record(&change(Verdict::Intended)));
            entered.recv().unwrap();
            go.send(()).unwrap();
            assert!(intent.join().unwrap().is_ok());
            let before = log.checkpoint().unwrap();
            assert_eq!((before.head.records, before.len), (0, segment::header_len()));
            let outcome = scope.spawn(|| log.record(&change(Verdict::Committed)));
            entered.recv().unwrap();
            assert_eq!((log.head().unwrap().records, log.checkpoint().unwrap()), (1, before));
            go.send(()).unwrap();
            assert!(outcome.join().unwrap().is_ok());
        });
        assert_eq!(log.checkpoint().unwrap().head, log.head().unwrap());
    }

    #[test]
    fn outcome_that_waits_for_the_next_group_settles_nothing_with_this_one() {
        // It is behind the records whose sync returned, and is not among them.
        let (log, entered, go) = gated(Fault::None);
        let change = |verdict| Entry { verdict, ..entry() };
        thread::scope(|scope| {
            let intent = scope.spawn(|| log.record(&change(Verdict::Intended)));
            entered.recv().unwrap();
            let outcome = scope.spawn(|| log.record(&change(Verdict::Committed)));
            while log.lock().unwrap().next.index < 2 {
                thread::yield_now();
            }
            go.send(()).unwrap();
            entered.recv().unwrap();
            assert_eq!((log.head().unwrap().records, log.checkpoint().unwrap().head.records), (1, 0));
            go.send(()).unwrap();
            assert!(intent.join().unwrap().is_ok() && outcome.join().unwrap().is_ok());
        });
        assert_eq!(log.checkpoint().unwrap().head.records, 2);
    }

    fn gated(fault: Fault) -> (Log, Receiver<()>, Sender<()>) {
        let (enter, entered) = channel();
        let (go, gate) = channel();
        let log = log(Disk { fault, gate: Some((enter, gate)) });
        (log, entered, go)
    }

    type Handle<'scope> = thread::ScopedJoinHandle<'scope, Result<Recorded, AuditError>>;

    /// One thread in its sync, 31 queued behind it.
    fn queue_32<'scope, 'env>(
        scope: &'scope thread::Scope<'scope, 'env>,
        log: &'env Log,
        entered: &Receiver<()>,
    ) -> [Handle<'scope>; 32] {
        let mut threads = vec![scope.spawn(|| log.record(&entry()))];
        entered.recv().unwrap();
        threads.extend((1..32).map(|_| scope.spawn(|| log.record(&entry()))));
        while log.lock().unwrap().next.index < 32 {
            thread::yield_now();
        }
        threads.try_into().ok().unwrap()
    }
}
