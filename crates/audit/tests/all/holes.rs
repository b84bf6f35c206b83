//! What a hole excuses, octet by octet, wherever the sectors of a record end: what is in it, and nothing beside it.

use crate::fixtures::{create, entry, file};
use skerry_audit::{AuditError, Entry, verify};
use std::fs;
use tempfile::TempDir;

const SECTOR: usize = 512;
/// Of a record, in front of its body: length 4, index 8, hash before 32, check 8.
const HEAD: usize = 52;

fn in_memory() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

fn sized(number: u8, len: usize) -> Entry {
    Entry { explanation: "x".repeat(len), ..entry(number) }
}

/// A log whose second record begins so many octets into a sector, and has a body of this length; where it begins.
struct Placed {
    dir: TempDir,
    octets: Vec<u8>,
    start: usize,
}

impl Placed {
    fn new(into: usize, body: usize, more: &[usize]) -> Placed {
        let least = {
            let dir = in_memory();
            let log = create(&dir);
            assert!(log.record(&sized(0, 0)).is_ok());
            usize::try_from(log.end().unwrap().len).unwrap()
        };
        let dir = in_memory();
        let log = create(&dir);
        let gap = (into + 2 * SECTOR - least % SECTOR) % SECTOR;
        assert!(log.record(&sized(0, gap)).is_ok());
        let start = usize::try_from(log.end().unwrap().len).unwrap();
        assert_eq!(start % SECTOR, into);
        let text = body - (least - 60 - 84);
        assert!(log.record(&sized(0, text)).is_ok());
        assert_eq!(usize::try_from(log.end().unwrap().len).unwrap(), start + 84 + body);
        more.iter().for_each(|len| assert!(log.record(&sized(0, *len)).is_ok()));
        drop(log);
        let octets = fs::read(file(&dir)).unwrap();
        Placed { dir, octets, start }
    }

    /// With the sector lost in which this octet of the record is, so much of it as is the record's or behind it.
    fn holed(&self, at: usize) -> Vec<u8> {
        let sector = (self.start + at) / SECTOR * SECTOR;
        let mut octets = self.octets.clone();
        let end = octets.len().min(sector + SECTOR);
        octets[sector.max(self.start)..end].fill(0);
        octets
    }

    /// How many records there are; the second is lost, or it is damaged.
    fn verdict(&self, octets: &[u8]) -> Result<u64, AuditError> {
        fs::write(file(&self.dir), octets).unwrap();
        verify(self.dir.path()).map(|report| report.head.records)
    }

    /// With one octet of the record altered.
    fn altered(&self, mut octets: Vec<u8>, at: usize) -> Result<u64, AuditError> {
        octets[self.start + at] ^= 0x40;
        self.verdict(&octets)
    }
}

const DAMAGED: Result<u64, AuditError> = Err(AuditError::Corrupted { index: 1 });

/// A sector's end within the head: what arrived of index and hash on either side of it has to be right. Length and check cannot be
/// held against each other where one of them is lost.
#[test]
fn a_hole_in_the_head_excuses_its_own_octets() {
    for into in [SECTOR - 10, SECTOR - 20, SECTOR - 40, SECTOR - 44, SECTOR - 48] {
        let placed = Placed::new(into, 1_500, &[]);
        let border = SECTOR - into;
        assert_eq!(placed.verdict(&placed.octets), Ok(2));
        // The second part is lost.
        assert_eq!(placed.verdict(&placed.holed(border)), Ok(1), "{into}");
        for at in 4..border.min(44) {
            assert_eq!(placed.altered(placed.holed(border), at), DAMAGED, "{into}, octet {at}");
        }
        // The first part is lost.
        assert_eq!(placed.verdict(&placed.holed(0)), Ok(1), "{into}");
        for at in border..44 {
            assert_eq!(placed.altered(placed.holed(0), at), DAMAGED, "{into}, octet {at}");
        }
    }
}

/// A hole behind the head, also right behind it, excuses nothing of the head.
#[test]
fn a_hole_in_the_body_excuses_nothing_of_the_head() {
    for into in [0, 100, SECTOR - HEAD] {
        let placed = Placed::new(into, 2_000, &[]);
        let hole = || placed.holed(if into == SECTOR - HEAD { HEAD } else { HEAD + SECTOR });
        assert_eq!(placed.verdict(&hole()), Ok(1), "{into}");
        for at in 2..HEAD {
            assert_eq!(placed.altered(hole(), at), DAMAGED, "{into}, octet {at}");
        }
    }
}

/// A hole in a record behind excuses nothing of the one before it.
#[test]
fn a_hole_in_the_next_record_excuses_nothing() {
    let placed = Placed::new(0, 700, &[2_000]);
    let whole = 84 + 700;
    let hole = || placed.holed(whole + SECTOR);
    assert_eq!(placed.verdict(&hole()), Ok(2), "the control: the third is lost");
    for at in [HEAD, HEAD + 200, HEAD + 699, HEAD + 700, whole - 1] {
        assert_eq!(placed.altered(hole(), at), DAMAGED, "octet {at}");
    }
}

/// A sector that ends within the length: what is lost of that is told by the check, and a length that is another is damage.
#[test]
fn a_hole_in_the_length_is_told_by_the_check() {
    // 0x07d0: the third octet is 7, and is lost with the two before it.
    let placed = Placed::new(SECTOR - 3, 0x07d0, &[]);
    assert_eq!(placed.octets[placed.start..placed.start + 4], [0, 0, 7, 0xd0]);
    assert_eq!(placed.verdict(&placed.holed(0)), Ok(1));
    for third in [3, 5, 6, 0x0f, 0x47] {
        let mut octets = placed.octets.clone();
        octets[placed.start + 2] = third;
        assert_eq!(placed.verdict(&octets), DAMAGED, "{third}");
    }
    for at in 3..HEAD {
        assert_eq!(placed.altered(placed.holed(0), at), DAMAGED, "octet {at}");
    }
    // Elsewhere in a sector a zero there is no hole.
    for into in [0, 1, SECTOR - 2, SECTOR - 52] {
        let placed = Placed::new(into, 0x07d0, &[]);
        let mut octets = placed.octets.clone();
        octets[placed.start + 2] = 0;
        assert_eq!(placed.verdict(&octets), DAMAGED, "{into}");
    }
    // The whole of the length, and nothing else.
    let placed = Placed::new(SECTOR - 4, 0x07d0, &[]);
    assert_eq!(placed.verdict(&placed.holed(0)), Ok(1));
}

/// Nothing but zeros is nothing, however many they are.
#[test]
fn zeros_alone_are_nothing() {
    for into in [0, 7, SECTOR - 2, SECTOR - 4] {
        let placed = Placed::new(into, 700, &[]);
        for len in [0, 1, 3, 4, 5, 52, 300, SECTOR, 3 * SECTOR, 70_000] {
            let octets = [&placed.octets[..placed.start], &vec![0; len]].concat();
            assert_eq!(placed.verdict(&octets), Ok(1), "{into}, {len} zeros");
        }
    }
}
