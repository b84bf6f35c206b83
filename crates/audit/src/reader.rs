//! Reading a log back: the chain is checked as it is read.

use crate::entry::Entry;
use crate::error::{AuditError, EntryError, Step};
use crate::format::{self, HASH_LEN, HEADER_LEN, Hash, Header, HeaderFault, Id, Place, RECORD_HEAD_LEN, record_len};
use crate::last::FoundHead;
use crate::limits::{self, BODY_LEN_READ_MAX, LOST_LEN_MAX};
use crate::lost::Tail;
use crate::segment;
use skerry_jose::json::{self, Value};
use skerry_tlog::Frontier;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// The place of a record in its log, and its hash: what a receipt names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leaf {
    pub(crate) log: Id,
    pub(crate) index: u64,
    pub(crate) hash: Hash,
}

impl Leaf {
    /// Id of the log.
    pub fn log(&self) -> &[u8; 16] {
        &self.log
    }

    /// Records before this one.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// RFC 9162 leaf hash of the record.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

/// How far a log has come: kept elsewhere, it shows a log that was cut or forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    /// Id of the log.
    pub log: [u8; 16],
    /// Records in the log.
    pub records: u64,
    /// Hash of the last record, or of the header when there is none.
    pub hash: [u8; 32],
}

/// A place between two records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The record before it.
    pub head: Head,
    /// Octets of the file up to there.
    pub len: u64,
}

/// A place between two records up to which a log was read, or written, before: reading can begin there.
///
/// Whoever keeps one vouches for it as for what the records below it say: nothing below is read. Keep it where it cannot
/// be altered, with the head that is known at the time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// The record before it.
    pub head: Head,
    /// Octets of the file before it.
    pub len: u64,
    /// The tree over the records before it.
    pub tree: Frontier,
}

/// What reading a whole log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The last complete record.
    pub head: Head,
    /// The tree over all records.
    pub tree: Frontier,
    /// Octets of records after it that a crash left incomplete, or zeros of what did not reach the disk; none was
    /// acknowledged.
    pub torn_octets: u64,
}

/// One record, whose place in the chain was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    leaf: Leaf,
    previous: Hash,
    body: Vec<u8>,
}

impl Record {
    /// Where it stands.
    pub fn leaf(&self) -> Leaf {
        self.leaf
    }

    /// The JSON as written.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The octets that its hash covers: the record as an entry of the tree (RFC 9162).
    pub fn entry_octets(&self) -> Vec<u8> {
        Place { log: self.leaf.log, index: self.leaf.index, previous: self.previous }.entry(&self.body)
    }

    /// The entry, iff the body is exactly what this crate writes for one.
    pub fn entry(&self) -> Result<Entry, EntryError> {
        Entry::from_body(&self.body)
    }

    /// The entry's members, unless the writer was not this crate.
    pub fn json(&self) -> Result<Value, json::Error> {
        json::parse(&self.body, &limits::JSON)
    }
}

/// Reads the log in `dir` record by record, beside its writer if there is one; ends with the first fault.
pub fn read(dir: &Path) -> Result<Reader, AuditError> {
    Reader::new(segment::open_to_read(dir)?)
}

/// The octets of the log in `dir` up to an end that [`crate::Log::end`] told: a log of their own, which is not checked here.
pub fn octets_to(dir: &Path, end: &End) -> Result<impl Read + use<>, AuditError> {
    Ok(segment::open_to_read(dir)?.take(end.len))
}

/// Checks every record of the log in `dir`, beside its writer if there is one.
pub fn verify(dir: &Path) -> Result<Report, AuditError> {
    read(dir)?.finish(None)
}

/// Checks every record, and that the log continues the one whose head is known.
pub fn verify_against(dir: &Path, known: &Head) -> Result<Report, AuditError> {
    read(dir)?.finish(Some(known))
}

/// Checks as [`verify`] or [`verify_against`] do, and shows each record on the way, after its place in the chain was checked.
pub fn verify_visiting<E: From<AuditError>>(
    dir: &Path,
    known: Option<&Head>,
    visit: impl FnMut(&Record) -> Result<(), E>,
) -> Result<Report, E> {
    read(dir)?.finish_visiting(known, visit)
}

/// The records of a log in order. What the file holds when the reader is made is read, nothing later.
pub struct Reader<F: Read + Seek = File> {
    file: BufReader<F>,
    place: Place,
    /// Where the next record begins in the file.
    offset: u64,
    tree: Frontier,
    rest: u64,
    torn: u64,
    failed: bool,
}

impl Reader {
    pub(crate) fn new(file: File) -> Result<Self, AuditError> {
        let len = segment::len(&file)?;
        let mut file = BufReader::new(file);
        let header = header(&mut file)?;
        Ok(Self {
            file,
            place: Place { log: header.id, index: 0, previous: header.hash },
            offset: segment::header_len(),
            tree: Frontier::empty(),
            rest: len.saturating_sub(segment::header_len()),
            torn: 0,
            failed: false,
        })
    }

    /// Begins after a checkpoint, iff there is a record, or the header, that ends there and has the checkpoint's hash.
    /// Nothing below it is read.
    pub(crate) fn after(mut file: File, checkpoint: &Checkpoint) -> Result<Option<Self>, AuditError> {
        let len = segment::len(&file)?;
        let header = header(&mut file)?;
        if header.id != checkpoint.head.log {
            return Err(AuditError::OtherLog);
        }
        let end = hash_before(&mut file, checkpoint.len, len)?;
        let records = checkpoint.head.records;
        let at_start = checkpoint.len == segment::header_len();
        if end != Some(checkpoint.head.hash) || at_start != (records == 0) || checkpoint.tree.size() != records {
            return Ok(None);
        }
        let place = Place { log: header.id, index: checkpoint.head.records, previous: checkpoint.head.hash };
        let rest = len.saturating_sub(checkpoint.len);
        let (file, offset, tree) = (BufReader::new(file), checkpoint.len, checkpoint.tree.clone());
        Ok(Some(Self { file, place, offset, tree, rest, torn: 0, failed: false }))
    }
}

impl<F: Read + Seek> Reader<F> {
    /// Begins with the record whose head this is, of which nobody says that it is where it was written but its own check.
    /// The tree is not that of the log.
    pub(crate) fn at(mut file: F, log: Id, head: &FoundHead, len: u64) -> Result<Self, AuditError> {
        file.seek(SeekFrom::Start(head.offset)).map_err(AuditError::io(Step::Read))?;
        let place = Place { log, index: head.index, previous: head.previous };
        let (offset, rest) = (head.offset, len.saturating_sub(head.offset));
        Ok(Self { file: BufReader::new(file), place, offset, tree: Frontier::empty(), rest, torn: 0, failed: false })
    }

    /// Reads no further than this octet of the file, where a record ends.
    pub(crate) fn until(mut self, from: u64, end: u64) -> Self {
        self.rest = self.rest.min(end.saturating_sub(from));
        self
    }

    /// The tree over what was read so far, and what lies before.
    pub fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// The head after what was read so far.
    pub fn head(&self) -> Head {
        Head { log: self.place.log, records: self.place.index, hash: self.place.previous }
    }

    /// Reads the rest, and compares with a known head.
    pub(crate) fn finish(self, known: Option<&Head>) -> Result<Report, AuditError> {
        self.finish_visiting(known, |_| Ok(()))
    }

    /// Reads the rest, shows each record, and compares with a known head.
    pub(crate) fn finish_visiting<E: From<AuditError>>(
        mut self,
        known: Option<&Head>,
        mut visit: impl FnMut(&Record) -> Result<(), E>,
    ) -> Result<Report, E> {
        self.check(known)?;
        while let Some(record) = self.next() {
            let record = record?;
            self.check(known)?;
            visit(&record)?;
        }
        if let Some(known) = known
            && known.records > self.place.index
        {
            return Err(AuditError::Truncated { known: known.records, found: self.place.index }.into());
        }
        Ok(Report { head: self.head(), tree: self.tree, torn_octets: self.torn })
    }

    fn check(&self, known: Option<&Head>) -> Result<(), AuditError> {
        let head = self.head();
        match known {
            Some(known) if known.log != head.log => Err(AuditError::OtherLog),
            Some(known) if known.records == head.records && known.hash != head.hash => {
                Err(AuditError::Forked { known: known.records })
            }
            _ => Ok(()),
        }
    }

    /// The next record; none at the end, whole, torn or lost.
    fn record(&mut self) -> Result<Option<Record>, AuditError> {
        let rest = self.rest;
        match self.whole_record() {
            Err(AuditError::Corrupted { .. }) if self.is_lost(rest)? => {
                self.torn = rest;
                Ok(None)
            }
            outcome => outcome,
        }
    }

    /// Whether a loss of power explains what is here instead of a record, with all that is behind it.
    fn is_lost(&mut self, rest: u64) -> Result<bool, AuditError> {
        let len = usize::try_from(rest).ok().filter(|len| *len <= LOST_LEN_MAX);
        let Some(mut octets) = len.map(|len| vec![0; len]) else { return Ok(false) };
        self.file.seek(SeekFrom::Start(self.offset)).map_err(AuditError::io(Step::Read))?;
        self.fill(&mut octets)?;
        Ok(Tail { place: self.place, offset: self.offset, octets: &octets }.is_lost())
    }

    /// The next record; none at the end, whole or torn.
    fn whole_record(&mut self) -> Result<Option<Record>, AuditError> {
        let Some(len) = self.head_of_record()? else {
            return Ok(None);
        };
        if self.rest < octets(record_len(len)) {
            self.torn = self.rest;
            return Ok(None);
        }
        self.skip(RECORD_HEAD_LEN);
        let body = self.take(len)?;
        let hash = self.take(HASH_LEN)?;
        self.accept(body, &hash).map(Some)
    }

    /// Length of the next body, from a head that holds; none if the head is not all there.
    fn head_of_record(&mut self) -> Result<Option<usize>, AuditError> {
        let there = usize::try_from(self.rest).unwrap_or(usize::MAX).min(RECORD_HEAD_LEN);
        let mut head = vec![0; there];
        self.fill(&mut head)?;
        let expected = self.place.head(body_len(&head));
        if !same_start(&head, &expected) {
            return Err(self.misfit(&head));
        }
        if there < RECORD_HEAD_LEN {
            self.torn = self.rest;
            return Ok(None);
        }
        let len = usize::try_from(body_len(&head)).unwrap_or(usize::MAX);
        if len > BODY_LEN_READ_MAX {
            return Err(self.corrupted());
        }
        Ok(Some(len))
    }

    fn accept(&mut self, body: Vec<u8>, hash: &[u8]) -> Result<Record, AuditError> {
        let leaf = Leaf { log: self.place.log, index: self.place.index, hash: self.place.hash(&body) };
        if hash != leaf.hash {
            return Err(self.corrupted());
        }
        let previous = std::mem::replace(&mut self.place.previous, leaf.hash);
        self.place.index = leaf.index.saturating_add(1);
        self.offset = self.offset.saturating_add(octets(record_len(body.len())));
        self.tree.push(leaf.hash);
        Ok(Record { leaf, previous, body })
    }

    fn take(&mut self, len: usize) -> Result<Vec<u8>, AuditError> {
        let mut octets = vec![0; len];
        self.fill(&mut octets)?;
        self.skip(len);
        Ok(octets)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), AuditError> {
        self.file.read_exact(buffer).map_err(AuditError::io(Step::Read))
    }

    fn skip(&mut self, len: usize) {
        self.rest = self.rest.saturating_sub(octets(len));
    }

    /// What is wrong with a head that does not follow the record before it.
    fn misfit(&self, head: &[u8]) -> AuditError {
        let index = self.place.index;
        match format::head_of(&self.place.log, head) {
            Some((_, found)) if found != index => AuditError::Moved { index, found },
            _ => self.corrupted(),
        }
    }

    fn corrupted(&self) -> AuditError {
        AuditError::Corrupted { index: self.place.index }
    }
}

impl<F: Read + Seek> Iterator for Reader<F> {
    type Item = Result<Record, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.torn > 0 || self.rest == 0 {
            return None;
        }
        let record = self.record();
        self.failed = record.is_err();
        record.transpose()
    }
}

pub(crate) fn header(file: &mut impl Read) -> Result<Header, AuditError> {
    let mut bytes = Vec::with_capacity(HEADER_LEN);
    file.take(segment::header_len()).read_to_end(&mut bytes).map_err(AuditError::io(Step::Read))?;
    Header::parse(&bytes).map_err(|fault| match fault {
        HeaderFault::Magic => AuditError::NotALog,
        HeaderFault::Version(version) => AuditError::UnknownFormat { version },
        HeaderFault::Corrupted => AuditError::HeaderCorrupted,
    })
}

/// The hash that ends at this octet of the file, and the file with what follows to be read next.
fn hash_before(file: &mut File, end: u64, len: u64) -> Result<Option<Hash>, AuditError> {
    let Some(start) = end.checked_sub(octets(HASH_LEN)).filter(|_| end <= len) else { return Ok(None) };
    let mut hash = [0; HASH_LEN];
    file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut hash)).map_err(AuditError::io(Step::Read))?;
    Ok(Some(hash))
}

/// Length of the body that a head, perhaps cut short, states.
fn body_len(head: &[u8]) -> u32 {
    head.first_chunk().map_or(0, |len| u32::from_be_bytes(*len))
}

/// Whether a head, perhaps cut short, is the expected one for the length that it states. Short of a length it has nothing else.
fn same_start(head: &[u8], expected: &[u8]) -> bool {
    head.iter().zip(expected).skip(4).all(|(a, b)| a == b)
}

fn octets(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
