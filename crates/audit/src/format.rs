//! The bytes of a log. Integers are big-endian; offsets are in octets.
//!
//! ```text
//! header, 60 octets
//!    0   8  magic "SKERRYAL"
//!    8   4  format version, 1
//!   12  16  log id, random
//!   28  32  SHA-256(01 || the 28 octets before)
//!
//! record, 84 + len octets
//!    0   4  len of the body, at most 65536
//!    4   8  index, from 0
//!   12  32  previous hash: of the record before, for record 0 that of the header
//!   44   8  SHA-256(02 || log id || the 44 octets before), its first 8 octets
//!   52 len  body, UTF-8 JSON
//!  +52  32  hash: SHA-256(00 || log id || index || previous hash || body)
//! ```
//!
//! A record's hash is the RFC 9162, 2.1.1 leaf hash of (log id, index, previous hash, body): those octets are its entry in
//! the tree over all records. The check in the record's head is there so that a length that was altered is not taken for a
//! record torn by a crash.
//!
//! A file may end inside a record: that record was never acknowledged. It may also end in zeros, or have sectors of zeros
//! between octets of its last records, where a loss of power kept what was written from the disk: neither were those. A
//! file never ends inside the header, except when its making failed.

use aws_lc_rs::digest::{Context, SHA256};

pub(crate) use skerry_tlog::HASH_LEN;
/// Octets of the header.
pub const HEADER_LEN: usize = 60;
/// Octets of a record in front of its body.
pub const RECORD_HEAD_LEN: usize = 52;

pub(crate) const ID_LEN: usize = 16;
/// Octets of a record's head below the check.
pub(crate) const PREFIX_LEN: usize = 44;
const MAGIC: &[u8; 8] = b"SKERRYAL";
const VERSION: u32 = 1;

const LEAF: u8 = 0;
const HEADER: u8 = 1;
const PREFIX: u8 = 2;

pub(crate) use skerry_tlog::Hash;
pub(crate) type Id = [u8; ID_LEN];

/// What the header says: which log this is, and what its first record follows.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    pub(crate) id: Id,
    pub(crate) hash: Hash,
}

/// Why a header is none.
pub(crate) enum HeaderFault {
    Magic,
    Version(u32),
    Corrupted,
}

impl Header {
    pub(crate) fn new(id: Id) -> Self {
        let hash = sha256(&[&[HEADER], MAGIC, &VERSION.to_be_bytes(), &id]);
        Self { id, hash }
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [MAGIC.as_slice(), &VERSION.to_be_bytes(), &self.id, &self.hash].concat()
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let (magic, rest) = bytes.split_first_chunk().ok_or(HeaderFault::Corrupted)?;
        let (version, rest) = rest.split_first_chunk().ok_or(HeaderFault::Corrupted)?;
        let (id, hash) = rest.split_first_chunk().ok_or(HeaderFault::Corrupted)?;
        if magic != MAGIC {
            return Err(HeaderFault::Magic);
        }
        let version = u32::from_be_bytes(*version);
        if version != VERSION {
            return Err(HeaderFault::Version(version));
        }
        let header = Self::new(*id);
        if hash != header.hash {
            return Err(HeaderFault::Corrupted);
        }
        Ok(header)
    }
}

/// Where a record stands: what its hash covers besides its body.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) log: Id,
    pub(crate) index: u64,
    pub(crate) previous: Hash,
}

impl Place {
    /// Hash of the record with this body at this place.
    pub(crate) fn hash(&self, body: &[u8]) -> Hash {
        let index = self.index.to_be_bytes();
        sha256(&[&[LEAF], &self.log, &index, &self.previous, body])
    }

    /// The octets that the hash covers: the record as an entry of the tree.
    pub(crate) fn entry(&self, body: &[u8]) -> Vec<u8> {
        [&self.log[..], &self.index.to_be_bytes(), &self.previous, body].concat()
    }

    /// Head of the record with a body of `len` octets at this place.
    pub(crate) fn head(&self, len: u32) -> Vec<u8> {
        let mut head = Vec::with_capacity(RECORD_HEAD_LEN);
        head.extend(len.to_be_bytes());
        head.extend(self.index.to_be_bytes());
        head.extend(self.previous);
        let check = sha256(&[&[PREFIX], &self.log, &head]);
        head.extend(check.iter().take(RECORD_HEAD_LEN - PREFIX_LEN));
        head
    }
}

/// Octets of a record with a body of `len`.
pub fn record_len(len: usize) -> usize {
    RECORD_HEAD_LEN + len + HASH_LEN
}

/// The head of a record, taken apart, if its check says that it was written as the head of a record of this log: its length
/// and index. That it stands where it was written is not asked.
pub(crate) fn head_of(log: &Id, head: &[u8]) -> Option<(u32, u64)> {
    let (prefix, check) = head.split_at_checked(PREFIX_LEN)?;
    let own = sha256(&[&[PREFIX], log, prefix]);
    if !own.starts_with(check) || check.len() != RECORD_HEAD_LEN - PREFIX_LEN {
        return None;
    }
    let (len, rest) = prefix.split_first_chunk()?;
    let (index, _) = rest.split_first_chunk()?;
    Some((u32::from_be_bytes(*len), u64::from_be_bytes(*index)))
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; HASH_LEN];
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    hash
}
