//! The end of a file after a loss of power: which octets were on their way to the disk.
//!
//! A file system may make a file longer before what was written there is on the disk: then it ends in zeros, or has zeros
//! between octets that did arrive. That is told from a record that was altered by three marks, all of which it must have:
//! the record overlaps a sector that is nothing but zeros behind the record before; what is outside of such holes is as it
//! must be; and there is no whole record behind. Nothing acknowledged has the first, since no record has so many
//! zeros; and since one group at a time is on its way, nothing acknowledged is behind a hole.
//!
//! So a record that was acknowledged can pass for lost only if something made zeros of its sectors or took away what was
//! behind it, who could as well have cut the file: a known head shows both. A hole with a whole record behind may be of one
//! group that arrived in part, and may be damage in the middle of the log: it stays corrupted.

use crate::format::{HASH_LEN, Hash, PREFIX_LEN, Place, RECORD_HEAD_LEN, record_len};
use crate::limits::BODY_LEN_READ_MAX;
use std::ops::Range;

/// The octets of a file behind its last good record.
pub(crate) struct Tail<'a> {
    /// Where that record ends.
    pub(crate) place: Place,
    /// In the file.
    pub(crate) offset: u64,
    /// All to the end of the file; whoever read them had a limit.
    pub(crate) octets: &'a [u8],
}

impl Tail<'_> {
    /// Whether they are what a loss of power left of records that were on their way.
    pub(crate) fn is_lost(&self) -> bool {
        self.first_has_a_hole() && !self.has_a_record()
    }

    /// Whether holes explain that the first record does not hold, and nothing else is wrong with it.
    fn first_has_a_hole(&self) -> bool {
        let holes: Vec<_> = self.sectors().filter(|sector| self.is_zero(sector)).collect();
        let head = self.octets.get(..RECORD_HEAD_LEN.min(self.octets.len())).unwrap_or_default();
        let len = head.first_chunk().map_or(0, |len| u32::from_be_bytes(*len));
        let expected = self.place.head(len);
        if head == expected {
            return self.rest_has_a_hole(usize::try_from(len).unwrap_or(usize::MAX), &holes);
        }
        // What arrived of the head is as it must be; its length and its check nobody knows.
        let known = LEN_LEN..PREFIX_LEN.min(head.len());
        let differs = |at: usize| head.get(at) != expected.get(at) && !holes.iter().any(|hole| hole.contains(&at));
        !known.into_iter().any(differs)
            && (holes.iter().any(|hole| hole.start < head.len() && hole.end >= LEN_LEN) || self.length_is_lost(head))
    }

    /// The same of body and hash behind a head that holds. Bodies are text without zeros.
    fn rest_has_a_hole(&self, len: usize, holes: &[Range<usize>]) -> bool {
        let end = RECORD_HEAD_LEN.saturating_add(len);
        if holes.iter().any(|hole| hole.start < end && hole.end > RECORD_HEAD_LEN) {
            return true;
        }
        let (Some(body), Some(hash)) = (self.octets.get(RECORD_HEAD_LEN..end), self.octets.get(end..end + HASH_LEN))
        else {
            return false;
        };
        let hashes = hash.iter().zip(self.place.hash(body)).zip(end..);
        let mut differ = hashes.filter(|((own, hash), _)| *own != hash).map(|(_, at)| at).peekable();
        // One that holds and is refused all the same was not lost.
        differ.peek().is_some() && differ.all(|at| holes.iter().any(|hole| hole.contains(&at)))
    }

    /// Whether the sector that ends within the length's octets was lost, and with it what the check says was there. Zeros at
    /// the start of a length are no hole by themselves, and octets of it behind that sector are as they were.
    fn length_is_lost(&self, head: &[u8]) -> bool {
        let first = self.sectors().next().filter(|first| first.len() < LEN_LEN && self.is_zero(first));
        let (Some(first), Some(len), Some(check)) = (first, head.first_chunk(), head.get(PREFIX_LEN..RECORD_HEAD_LEN))
        else {
            return false;
        };
        let (low, behind) = (u32::from_be_bytes(*len), 8 * (LEN_LEN - first.len()));
        (1..=BODY_LEN_READ_MAX >> behind).any(|high| {
            let len = u32::try_from(high << behind).unwrap_or(u32::MAX) | low;
            self.place.head(len).get(PREFIX_LEN..) == Some(check)
        })
    }

    fn is_zero(&self, range: &Range<usize>) -> bool {
        self.octets.get(range.clone()).is_some_and(|octets| octets.iter().all(|octet| *octet == 0))
    }

    /// The octets by the sectors of the file that they are in.
    fn sectors(&self) -> impl Iterator<Item = Range<usize>> {
        let used = usize::try_from(self.offset % SECTOR).unwrap_or_default();
        let sector = usize::try_from(SECTOR).unwrap_or(usize::MAX);
        let len = self.octets.len();
        let starts = std::iter::once(0).chain((sector - used..len).step_by(sector));
        starts.map(move |start| start..len.min(start + sector - if start == 0 { used } else { 0 }))
    }

    /// Whether a whole record of this log is anywhere behind the first octet.
    fn has_a_record(&self) -> bool {
        (1..self.octets.len()).any(|at| self.octets.get(at..).is_some_and(|octets| self.is_record(octets)))
    }

    /// Whether a whole record of this log begins here, wherever it was written.
    fn is_record(&self, octets: &[u8]) -> bool {
        let Some((place, len)) = self.place_of(octets) else { return false };
        let body = octets.get(RECORD_HEAD_LEN..).and_then(|rest| rest.split_at_checked(len));
        body.is_some_and(|(body, rest)| rest.get(..HASH_LEN) == Some(&place.hash(body)))
    }

    fn place_of(&self, octets: &[u8]) -> Option<(Place, usize)> {
        let (len, rest) = octets.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let previous: &Hash = rest.first_chunk()?;
        let len = u32::from_be_bytes(*len);
        let body = usize::try_from(len).ok().filter(|len| *len <= BODY_LEN_READ_MAX)?;
        let index = u64::from_be_bytes(*index);
        // Behind this place, and not further than records fit: nearly all other octets end here.
        let most = u64::try_from(self.octets.len() / record_len(0)).unwrap_or(u64::MAX);
        let ahead = index.checked_sub(self.place.index).filter(|ahead| *ahead <= most)?;
        let place = Place { log: self.place.log, index: self.place.index.saturating_add(ahead), previous: *previous };
        let head = octets.get(..RECORD_HEAD_LEN)?;
        (place.head(len) == head).then_some((place, body))
    }
}

/// Octets that a disk writes whole or not at all; pages of the file system are whole numbers of them.
const SECTOR: u64 = 512;
/// Octets of a record's length.
const LEN_LEN: usize = 4;
