//! The newest records of a log, without reading the others.
//!
//! A record does not say where the one before it begins, so the file is searched from its end for heads of records. A head has a
//! check over the log's id, so it is told from anything else; and it begins with a zero octet, which no body has, since JSON
//! escapes it. From the first head that is far enough back the records are read forwards as ever, so the chain is checked among
//! all that are shown and to the end of the file. What lies before is not read: that it is as it was says [`crate::verify`].

use crate::error::{AuditError, Step};
use crate::format::{self, Hash, Id, RECORD_HEAD_LEN};
use crate::limits::BODY_LEN_READ_MAX;
use crate::reader::{self, Reader, Record};
use crate::segment;
use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The newest records of a log in order, each whose place in the chain was checked among them.
#[derive(Debug)]
pub struct Last {
    records: VecDeque<Record>,
}

impl Iterator for Last {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        self.records.pop_front()
    }
}

/// Reads the newest `count` records of the log in `dir`, or all if there are fewer, beside its writer if there is one. Memory
/// and time are for these records, however many there are before them.
pub fn read_last(dir: &Path, count: usize) -> Result<Last, AuditError> {
    let file = segment::open_to_read(dir)?;
    let len = segment::len(&file)?;
    last(file, len, count)
}

fn last<F: Read + Seek>(mut file: F, len: u64, count: usize) -> Result<Last, AuditError> {
    let log = reader::header(&mut file)?.id;
    let first = first_of(&mut file, log, len, u64::try_from(count).unwrap_or(u64::MAX))?;
    let mut records = VecDeque::new();
    for record in Reader::at(file, log, &first, len)? {
        records.push_back(record?);
        if records.len() > count {
            records.pop_front();
        }
    }
    Ok(Last { records })
}

/// A head of a record that was found in a file.
pub(crate) struct FoundHead {
    pub(crate) offset: u64,
    pub(crate) index: u64,
    pub(crate) previous: Hash,
}

/// The head from which at least `count` records follow, if there are as many; else the start of the log. The newest head may
/// be of a record that is not whole, so one more is passed over.
fn first_of<F: Read + Seek>(file: &mut F, log: Id, len: u64, count: u64) -> Result<FoundHead, AuditError> {
    let start = segment::header_len();
    let mut wanted = None;
    let mut end = len;
    while end > start {
        let from = end.saturating_sub(BLOCK_LEN).max(start);
        let octets = block(file, from, len.min(end.saturating_add(OVERLAP)))?;
        let newest_first = (0..usize::try_from(end - from).unwrap_or(usize::MAX)).rev();
        for at in newest_first {
            let Some(found) = octets.get(at..).and_then(|octets| head(&log, octets)) else { continue };
            let wanted = *wanted.get_or_insert(found.0.saturating_sub(count));
            if found.0 == 0 {
                return Ok(beginning(log));
            }
            if found.0 <= wanted {
                let offset = from.saturating_add(u64::try_from(at).unwrap_or(u64::MAX));
                return Ok(FoundHead { offset, index: found.0, previous: found.1 });
            }
        }
        end = from;
    }
    // Nothing here is a record, which reading from the start tells of.
    Ok(beginning(log))
}

/// Where the first record is to be, which is known to follow the header.
fn beginning(log: Id) -> FoundHead {
    FoundHead { offset: segment::header_len(), index: 0, previous: format::Header::new(log).hash }
}

/// Index and previous hash of the head of a record of this log that begins here.
fn head(log: &Id, octets: &[u8]) -> Option<(u64, Hash)> {
    let head = octets.get(..RECORD_HEAD_LEN)?;
    // Before a hash is made for each octet of the file: nearly all of them end here.
    let len = u32::from_be_bytes(*head.first_chunk()?);
    if usize::try_from(len).ok()? > BODY_LEN_READ_MAX {
        return None;
    }
    let (_, index) = format::head_of(log, head)?;
    Some((index, *head.get(PREVIOUS_AT..)?.first_chunk()?))
}

fn block<F: Read + Seek>(file: &mut F, from: u64, to: u64) -> Result<Vec<u8>, AuditError> {
    let mut octets = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or_default()];
    file.seek(SeekFrom::Start(from)).and_then(|_| file.read_exact(&mut octets)).map_err(AuditError::io(Step::Read))?;
    Ok(octets)
}

/// What is searched at a time: some fifty records.
const BLOCK_LEN: u64 = 64 * 1024;
/// Octets of a head that may lie behind the block that it begins in.
const OVERLAP: u64 = 51;
const _: () = assert!(RECORD_HEAD_LEN == 52, "OVERLAP is one less");
/// Where a head has the previous hash.
const PREVIOUS_AT: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Entry, Event, Verdict};
    use crate::format::HEADER_LEN;
    use crate::limits::{BODY_LEN_MAX, Limits};
    use crate::log::Log;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng as _;
    use std::fs::File;
    use std::io;
    use std::time::{Duration, UNIX_EPOCH};
    use tempfile::TempDir;

    fn entry(number: u64, explanation: String) -> Entry {
        Entry {
            event: Event::Sign,
            at: UNIX_EPOCH + Duration::from_millis(number),
            subject: [7; 32],
            who: "https://issuer.example alice".to_owned(),
            request: number.to_string(),
            vault: None,
            key: None,
            version: None,
            token: None,
            evidence: None,
            measurement: None,
            policy: None,
            verdict: Verdict::Permitted,
            explanation,
        }
    }

    /// A log of records with explanations of these lengths.
    fn written(lens: impl Iterator<Item = usize>) -> TempDir {
        let dir = TempDir::new().unwrap();
        let log = Log::create(dir.path(), Limits::default(), &mut ChaCha20Rng::from_seed([3; 32])).unwrap();
        let entries: Vec<_> = (0..).zip(lens).map(|(number, len)| entry(number, "x".repeat(len))).collect();
        entries.chunks(1_000).for_each(|some| assert!(log.record_all(some).iter().all(Result::is_ok)));
        dir
    }

    fn whole(dir: &TempDir) -> Result<Vec<Record>, AuditError> {
        reader::read(dir.path())?.collect()
    }

    /// What is read from a file, counted.
    struct Counting {
        file: File,
        octets: u64,
    }

    impl Read for &mut Counting {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = self.file.read(buffer)?;
            self.octets += u64::try_from(len).unwrap();
            Ok(len)
        }
    }

    impl Seek for &mut Counting {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.file.seek(to)
        }
    }

    /// Of a log of ten thousand records the newest twenty cost what twenty cost, and of one ten times shorter as much.
    #[test]
    fn no_more_is_read_than_is_shown() {
        let read = |records| {
            let dir = written((0..records).map(|number| 500 + number % 7));
            let file = segment::open_to_read(dir.path()).unwrap();
            let len = segment::len(&file).unwrap();
            let mut counting = Counting { file, octets: 0 };
            let found: Vec<_> = last(&mut counting, len, 20).unwrap().collect();
            assert_eq!(found, whole(&dir).unwrap().split_off(records - 20));
            (counting.octets, len)
        };
        let ((short, _), (long, len)) = (read(1_000), read(10_000));
        assert!(len > 5_000_000, "{len}");
        assert!(short < 3 * BLOCK_LEN && long < 3 * BLOCK_LEN, "{short} and {long} octets of {len}");
    }

    /// The end of the log, whatever is asked for, and however records lie across blocks.
    #[test]
    fn any_number_is_the_end_of_all() {
        let block = usize::try_from(BLOCK_LEN).unwrap();
        let long = BODY_LEN_MAX - 400;
        let odd = [0, 10, long, long, 1, 300, block / 2, block / 2 - 400, 5, 6, 7];
        let near = (0..60).map(|more| block - 1_200 + more);
        for lens in [vec![], odd.to_vec(), vec![2_000; 70], near.collect()] {
            let dir = written(lens.iter().copied());
            let all = whole(&dir).unwrap();
            assert_eq!(all.len(), lens.len());
            for count in (0..12).chain([lens.len() - lens.len().min(1), lens.len(), lens.len() + 1, usize::MAX]) {
                let found: Vec<_> = read_last(dir.path(), count).unwrap().collect();
                assert_eq!(found, all[all.len().saturating_sub(count)..], "{count} of {}", lens.len());
            }
        }
    }

    /// A record that is being written is passed over, wherever it ends.
    #[test]
    fn torn_records_are_passed_over() {
        let dir = written([30; 4].into_iter());
        let octets = std::fs::read(segment::path(dir.path())).unwrap();
        for len in HEADER_LEN..octets.len() {
            std::fs::write(segment::path(dir.path()), &octets[..len]).unwrap();
            let all = whole(&dir).unwrap();
            let found: Vec<_> = read_last(dir.path(), 2).unwrap().collect();
            assert_eq!(found, all[all.len().saturating_sub(2)..], "{len} octets");
        }
    }

    /// An octet that was changed in the header or in what is shown is met with the error that reading all has. What lies before is not read.
    #[test]
    fn what_is_shown_is_checked() {
        let dir = written([30; 8].into_iter());
        let octets = std::fs::read(segment::path(dir.path())).unwrap();
        let ends: Vec<usize> = whole(&dir)
            .unwrap()
            .iter()
            .scan(HEADER_LEN, |end, record| {
                *end += format::record_len(record.body().len());
                Some(*end)
            })
            .collect();
        for at in (0..HEADER_LEN).chain(ends[5]..octets.len()) {
            let mut changed = octets.clone();
            changed[at] ^= 1;
            std::fs::write(segment::path(dir.path()), changed).unwrap();
            assert_eq!(read_last(dir.path(), 2).err(), Some(whole(&dir).unwrap_err()), "octet {at}");
        }
        let mut changed = octets;
        changed[ends[2] + RECORD_HEAD_LEN] ^= 1;
        std::fs::write(segment::path(dir.path()), changed).unwrap();
        assert_eq!(whole(&dir).err(), Some(AuditError::Corrupted { index: 3 }));
        assert_eq!(read_last(dir.path(), 2).unwrap().count(), 2);
    }
}
