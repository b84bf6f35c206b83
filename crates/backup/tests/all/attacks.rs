//! Backups that were cut, altered, put together, or are for somebody else.

use std::io::Cursor;

use aws_lc_rs::digest;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use skerry_backup::{Backup, Part, ReadError};

use crate::fixtures::*;

const TRAILER: usize = 72;

fn refusal(file: &[u8]) -> Option<ReadError> {
    read(file, &rsa().key()).err()
}

/// Without a key.
fn outside(file: &[u8]) -> Option<ReadError> {
    Backup::open(Cursor::new(file), |_| ()).err()
}

/// As one does who altered a file with intent: the digest at its end fits again.
fn mended(mut file: Vec<u8>) -> Vec<u8> {
    let end = file.len() - TRAILER;
    let sum = digest::digest(&digest::SHA256, &file[..end]);
    file[end + 8..end + 40].copy_from_slice(sum.as_ref());
    file
}

/// Header, chunks and trailer of a backup.
fn parts(file: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>, Vec<u8>) {
    let len = u32::from_be_bytes(file[12..16].try_into().unwrap()) as usize;
    let (header, mut rest) = file.split_at(len);
    let mut chunks = Vec::new();
    while rest.len() > TRAILER {
        let len = 5 + u32::from_be_bytes(rest[1..5].try_into().unwrap()) as usize;
        chunks.push(rest[..len].to_vec());
        rest = &rest[len..];
    }
    (header.to_vec(), chunks, rest.to_vec())
}

fn joined(header: &[u8], chunks: &[Vec<u8>], trailer: &[u8]) -> Vec<u8> {
    mended([header, &chunks.concat(), trailer].concat())
}

/// No octet can be changed: by accident it shows without a key, and with intent with one.
#[test]
fn every_octet_counts() {
    let file = small(&[rsa().recipient(), p256().recipient()]);
    assert_eq!(refusal(&file), None);
    for at in 0..file.len() {
        for bit in [0, 7] {
            let mut altered = file.clone();
            altered[at] ^= 1 << bit;
            // The tag at the very end is all that takes a key.
            assert_eq!(outside(&altered).is_some(), at < file.len() - 32, "octet {at}");
            assert!(refusal(&altered).is_some(), "octet {at}");
            if at < file.len() - TRAILER {
                assert!(refusal(&mended(altered)).is_some(), "octet {at}, with a digest that fits");
            }
        }
    }
}

/// Cut at any octet, or with something behind it.
#[test]
fn every_length_counts() {
    let file = small(&[rsa().recipient()]);
    for len in 0..file.len() {
        let cut = if len < 8 { ReadError::NotABackup } else { ReadError::Truncated { len: len as u64 } };
        assert_eq!(outside(&file[..len]), Some(cut), "{len} octets");
    }
    let longer = [file.as_slice(), b"x"].concat();
    assert_eq!(outside(&longer), Some(ReadError::Trailing { octets: 1 }));
    assert_eq!(outside(&[file.as_slice(), &file].concat()), Some(ReadError::Trailing { octets: file.len() as u64 }));
}

/// Whole chunks that are left out, doubled, put in another order or into another backup do not open, though the file's digest fits.
#[test]
fn chunks_keep_their_place() {
    let file = small(&[rsa().recipient()]);
    let (header, chunks, trailer) = parts(&file);
    assert_eq!(chunks.len(), 5);
    assert_eq!(joined(&header, &chunks, &trailer), file);
    for at in 0..4 {
        let mut without = chunks.clone();
        without.remove(at);
        assert_eq!(refusal(&joined(&header, &without, &trailer)), Some(ReadError::Chunk { index: at as u64 }));
        let mut twice = chunks.clone();
        twice.insert(at, chunks[at].clone());
        assert_eq!(refusal(&joined(&header, &twice, &trailer)), Some(ReadError::Chunk { index: at as u64 + 1 }));
        let mut swapped = chunks.clone();
        swapped.swap(at, at + 1);
        // The last chunk in the place of the one before ends the chunks there, and what follows is no trailer.
        let refused = if at == 3 { ReadError::Digest } else { ReadError::Chunk { index: at as u64 } };
        assert_eq!(refusal(&joined(&header, &swapped, &trailer)), Some(refused));
    }
    // A shorter backup that ends properly: the last chunk stands in another place.
    assert_eq!(
        refusal(&joined(&header, &[chunks[..1].to_vec(), chunks[4..].to_vec()].concat(), &trailer)),
        Some(ReadError::Chunk { index: 1 })
    );
}

/// Two backups of one store to one recovery key, of which the second half of one is put behind the first half of the other.
#[test]
fn two_backups_are_not_put_together() {
    let one = small(&[rsa().recipient()]);
    let other = write(Vec::new(), &rows(), &[rsa().recipient()], &mut ChaCha20Rng::from_seed([7; 32])).unwrap().0;
    let ((header, chunks, trailer), (_, others, other_trailer)) = (parts(&one), parts(&other));
    for at in 0..chunks.len() {
        let spliced = [chunks[..at].to_vec(), others[at..].to_vec()].concat();
        let index = at as u64;
        assert_eq!(refusal(&joined(&header, &spliced, &other_trailer)), Some(ReadError::Chunk { index }));
    }
    assert_eq!(refusal(&joined(&header, &chunks, &other_trailer)), Some(ReadError::Whole));
    assert_eq!(refusal(&joined(&header, &chunks, &trailer)), None);
}

/// Another person's key is told apart from an altered file.
#[test]
fn other_recovery_keys_are_told() {
    let file = small(&[rsa().recipient()]);
    assert_eq!(read(&file, &p256().key()).err(), Some(ReadError::OtherRecoveryKey));
    // The wrapped key itself, after 138 octets and the recipient's first 67.
    let mut altered = file.clone();
    altered[138 + 67 + 9] ^= 1;
    assert_eq!(refusal(&altered), Some(ReadError::Digest));
    assert_eq!(refusal(&mended(altered)), Some(ReadError::DataKey));
    // How it is wrapped, which is not how this key unwraps.
    let curve = p256();
    for (file, custodian, how) in [(file, rsa(), 2), (small(&[curve.recipient()]), &curve, 3)] {
        let mut altered = file;
        altered[138 + 64] = how;
        assert_eq!(read(&mended(altered), &custodian.key()).err(), Some(ReadError::DataKey));
    }
}

/// Other files, and formats that are not known, each by its name.
#[test]
fn foreign_and_newer_files_are_told_apart() {
    assert_eq!(outside(b""), Some(ReadError::NotABackup));
    assert_eq!(outside(b"SKERRYAL and a log's header"), Some(ReadError::NotABackup));
    assert_eq!(outside(&[0; 4096]), Some(ReadError::NotABackup));
    let mut newer = small(&[rsa().recipient()]);
    newer[11] = 2;
    assert_eq!(outside(&newer), Some(ReadError::UnknownFormat { format: 2 }));
    for (at, octet, what) in [
        (15, 3, "its length"),
        (48, 3, "the kind of store"),
        (137, 0, "the number of recipients"),
        (137, 17, "the number of recipients"),
        (138 + 64, 4, "how a recipient's key is wrapped"),
        (138 + 65, 5, "a wrapped key is too long"),
        (138 + 66, 0xff, "a recipient is too short"),
        (138 + 65, 0, "it is too long"),
    ] {
        let mut file = small(&[rsa().recipient()]);
        file[at] = octet;
        if at == 15 {
            file[14] = 0;
        }
        assert_eq!(outside(&file), Some(ReadError::Header { what }), "octet {at}");
    }
    // A chunk that says it is longer than any, or shorter than its tag, is not waited for.
    let file = small(&[rsa().recipient()]);
    let header = u32::from_be_bytes(file[12..16].try_into().unwrap()) as usize;
    for (at, octet) in [(0, 2), (1, 1), (4, 16)] {
        let mut file = file.clone();
        file[header + at] = octet;
        assert_eq!(outside(&file), Some(ReadError::ChunkForm { index: 0 }));
    }
}

/// What is in a chunk is read to its last octet or not at all, whoever sealed it.
#[test]
fn chunks_have_no_loose_ends() {
    let entry = [&[2, 0, 1, b'k', 0, 0, 0, 25], [0; 24].as_slice(), b"v"].concat();
    let op = [&[3], [0; 8].as_slice(), &[1], &[7; 16]].concat();
    for chunk in [&entry, &op] {
        assert!(matches!(Part::parse(chunk), Some(Part::Rows(rows)) if rows.len() == 1));
        for len in 2..chunk.len() {
            assert_eq!(Part::parse(&chunk[..len]), None, "{len} octets of {chunk:?}");
        }
        let one_more = [chunk.as_slice(), &[0]].concat();
        assert_eq!(Part::parse(&one_more), None);
    }
    // A row that is shorter than its own head, an op id in no known state, and kinds that are no part.
    let short = [[2, 0, 1, b'k', 0, 0, 0, 23].as_slice(), &[0; 23]].concat();
    let mut state = op;
    state[9] = 3;
    for chunk in [short, state, vec![], vec![0], vec![1; 33], vec![5; 57], vec![6]] {
        assert_eq!(Part::parse(&chunk), None, "{chunk:?}");
    }
    assert_eq!(Part::parse(&[4, 1, 2]), Some(Part::Log(vec![1, 2])));
}
