//! The octets of a backup. Numbers are big endian.
//!
//! ```text
//! header
//!    0   8  magic "SKERRYBU"
//!    8   4  format, 1
//!   12   4  octets of the header
//!   16  16  backup, random
//!   32  16  installation, as in the store's stamp
//!   48   1  kind, as in the stamp: 1 dev, 2 serve
//!   49   8  made, seconds since 1970
//!   57   8  revision
//!   65   8  entries and op ids
//!   73  16  log                     `
//!   89   8  records of it            | the head of the audit log at that time
//!   97  32  hash of the last of them '
//!  129   8  octets of the log to there
//!  137   1  recipients, 1 to 16, each:
//!            0  32  SHA-256 of the certificate
//!           32  32  SHA-256 of its SubjectPublicKeyInfo
//!           64   1  how: 1 RSA-OAEP-SHA256, 2 ECDH on P-256, 3 ECDH on P-384
//!           65   2  length
//!           67 len  the data key, wrapped
//!
//! chunks, until one that is the last
//!    0   1  1 the last, 0 another
//!    1   4  length, 17 or more
//!    5 len  ciphertext and tag
//!
//! trailer, 72 octets
//!    0   8  magic "SKERRYBE"
//!    8  32  SHA-256 of everything before the trailer: the backup's digest
//!   40  32  HMAC-SHA256(whole key, that digest)
//! ```
//!
//! ```text
//! chunk key        HKDF-SHA256(salt = SHA-256(header), secret = data key, info = "skerry backup chunks")
//! whole key        HKDF-SHA256(salt = SHA-256(header), secret = data key, info = "skerry backup whole")
//! nonce            chunks before it, 11 octets || 1 the last, 0 another
//! associated data  SHA-256(header) || the chunk's first 5 octets
//!
//! plaintext of a chunk: its kind, then
//!    1  root      32 octets; the first chunk and no other
//!    2  entries   each: length of the key, 2 octets || key || length of the row, 4 octets || row as in the store's file
//!    3  op ids    each: revision, 8 octets || row as in the store's file, 17 octets
//!    4  log       octets of the log's file
//!    5  end       entries 8, op ids 8, octets of the log 8, SHA-256 of the plaintexts before, each after its length in 4
//!                 octets; the last chunk and no other
//! ```

use crate::error::ReadError;
use crate::limits::{HEADER_LEN_MAX, RECIPIENTS_MAX, WRAPPED_LEN_MAX};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use skerry_audit::{End, Head};
use skerry_store::stamp::Kind;
use skerry_store::{Exported, OpId, Revision, Row, Settled};
use zeroize::Zeroizing;

/// What a backup is of: in the clear, and vouched for by its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Names the backup, at random.
    pub id: [u8; 16],
    /// The installation, as its stamp names it.
    pub installation: [u8; 16],
    /// The kind of program that the store is of.
    pub kind: Kind,
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// The revision that its rows are of.
    pub revision: u64,
    /// Entries and op ids.
    pub rows: u64,
    /// How far the audit log had come, and how long it is to there.
    pub log: End,
}

/// A recipient as the header has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrapped {
    pub(crate) certificate: [u8; 32],
    pub(crate) key: [u8; 32],
    pub(crate) how: How,
    pub(crate) octets: Vec<u8>,
}

/// How a data key is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    RsaOaepSha256,
    EcdhP256,
    EcdhP384,
}

impl How {
    const ALL: [(Self, u8); 3] = [(Self::RsaOaepSha256, 1), (Self::EcdhP256, 2), (Self::EcdhP384, 3)];

    fn octet(self) -> u8 {
        Self::ALL.into_iter().find_map(|(how, octet)| (how == self).then_some(octet)).unwrap_or_default()
    }

    fn parse(octet: u8) -> Option<Self> {
        Self::ALL.into_iter().find_map(|(how, is)| (is == octet).then_some(how))
    }
}

pub(crate) struct Header {
    pub(crate) about: About,
    pub(crate) recipients: Vec<Wrapped>,
}

impl Header {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let About { id, installation, kind, made, revision, rows, log } = &self.about;
        let mut rest = Vec::new();
        rest.extend(id);
        rest.extend(installation);
        rest.push(if *kind == Kind::Dev { DEV } else { SERVE });
        [made, revision, rows].into_iter().for_each(|number| rest.extend(number.to_be_bytes()));
        rest.extend(log.head.log);
        rest.extend(log.head.records.to_be_bytes());
        rest.extend(log.head.hash);
        rest.extend(log.len.to_be_bytes());
        // Infallible: 16 are the most, and their keys below 64 KiB.
        rest.push(u8::try_from(self.recipients.len()).unwrap_or(u8::MAX));
        for Wrapped { certificate, key, how, octets } in &self.recipients {
            rest.extend(certificate);
            rest.extend(key);
            rest.push(how.octet());
            rest.extend(u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes());
            rest.extend(octets);
        }
        let len = u32::try_from(START_LEN.saturating_add(rest.len())).unwrap_or(u32::MAX);
        [MAGIC.as_slice(), &FORMAT.to_be_bytes(), &len.to_be_bytes(), &rest].concat()
    }

    /// How many octets the header has, of its first 16.
    pub(crate) fn len_of(start: &[u8]) -> Result<usize, ReadError> {
        let mut input = Input(start);
        // A file that is shorter than the magic is somebody else's, or nothing.
        if input.take(MAGIC.len()) != Some(MAGIC.as_slice()) {
            return Err(ReadError::NotABackup);
        }
        let truncated = || ReadError::Truncated { len: octets(start.len()) };
        let format = u32::from_be_bytes(input.array().ok_or_else(truncated)?);
        if format != FORMAT {
            return Err(ReadError::UnknownFormat { format });
        }
        let len = u32::from_be_bytes(input.array().ok_or_else(truncated)?);
        usize::try_from(len)
            .ok()
            .filter(|len| (START_LEN..=HEADER_LEN_MAX).contains(len))
            .ok_or(ReadError::Header { what: "its length" })
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ReadError> {
        let mut input = Input(bytes.get(START_LEN..).unwrap_or_default());
        let short = ReadError::Header { what: "it is too short" };
        let (id, installation) = (input.array().ok_or(short.clone())?, input.array().ok_or(short.clone())?);
        let kind = match input.array::<1>().ok_or(short.clone())? {
            [DEV] => Kind::Dev,
            [SERVE] => Kind::Serve,
            _ => return Err(ReadError::Header { what: "the kind of store" }),
        };
        let mut number = || Some(u64::from_be_bytes(input.array()?));
        let (made, revision) = (number().ok_or(short.clone())?, number().ok_or(short.clone())?);
        let rows = number().ok_or(short.clone())?;
        let log = input.array().ok_or(short.clone())?;
        let records = u64::from_be_bytes(input.array().ok_or(short.clone())?);
        let hash = input.array().ok_or(short.clone())?;
        let len = u64::from_be_bytes(input.array().ok_or(short.clone())?);
        let log = End { head: Head { log, records, hash }, len };
        let [count] = input.array().ok_or(short.clone())?;
        if count == 0 || usize::from(count) > RECIPIENTS_MAX {
            return Err(ReadError::Header { what: "the number of recipients" });
        }
        let recipients = (0..count).map(|_| Wrapped::parse(&mut input)).collect::<Result<_, _>>()?;
        if !input.0.is_empty() {
            return Err(ReadError::Header { what: "it is too long" });
        }
        Ok(Self { about: About { id, installation, kind, made, revision, rows, log }, recipients })
    }
}

impl Wrapped {
    fn parse(input: &mut Input<'_>) -> Result<Self, ReadError> {
        let short = ReadError::Header { what: "a recipient is too short" };
        let (certificate, key) = (input.array().ok_or(short.clone())?, input.array().ok_or(short.clone())?);
        let [how] = input.array().ok_or(short.clone())?;
        let how = How::parse(how).ok_or(ReadError::Header { what: "how a recipient's key is wrapped" })?;
        let len = usize::from(u16::from_be_bytes(input.array().ok_or(short.clone())?));
        if len > WRAPPED_LEN_MAX {
            return Err(ReadError::Header { what: "a wrapped key is too long" });
        }
        let octets = input.take(len).ok_or(short)?.to_vec();
        Ok(Self { certificate, key, how, octets })
    }
}

/// What stands in front of a chunk's ciphertext.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkHead {
    pub(crate) last: bool,
    pub(crate) len: u32,
}

impl ChunkHead {
    pub(crate) fn to_bytes(self) -> [u8; CHUNK_HEAD_LEN] {
        let [a, b, c, d] = self.len.to_be_bytes();
        [u8::from(self.last), a, b, c, d]
    }

    pub(crate) fn parse([last, a, b, c, d]: [u8; CHUNK_HEAD_LEN]) -> Option<Self> {
        let last = match last {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some(Self { last, len: u32::from_be_bytes([a, b, c, d]) })
    }
}

/// The keys of a backup.
pub(crate) struct Keys {
    pub(crate) chunks: Zeroizing<[u8; 32]>,
    pub(crate) whole: Zeroizing<[u8; 32]>,
}

impl Keys {
    pub(crate) fn derive(data_key: &[u8; 32], header: &[u8; 32]) -> Result<Self, Unspecified> {
        let prk = Salt::new(HKDF_SHA256, header).extract(data_key);
        let derive = |info: &[u8]| -> Result<Zeroizing<[u8; 32]>, Unspecified> {
            let mut key = Zeroizing::new([0; 32]);
            prk.expand(&[info], Octets)?.fill(key.as_mut_slice())?;
            Ok(key)
        };
        Ok(Self { chunks: derive(b"skerry backup chunks")?, whole: derive(b"skerry backup whole")? })
    }
}

pub(crate) struct Octets;

impl KeyType for Octets {
    fn len(&self) -> usize {
        32
    }
}

/// The nonce of a chunk: no two of one backup have the same, and the last is no other's.
pub(crate) fn nonce(index: u64, last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    let octets = index.to_be_bytes().into_iter().chain([u8::from(last)]);
    nonce.iter_mut().skip(3).zip(octets).for_each(|(to, from)| *to = from);
    nonce
}

pub(crate) fn associated_data(header: &[u8; 32], head: ChunkHead) -> Vec<u8> {
    [header.as_slice(), &head.to_bytes()].concat()
}

/// What a chunk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ChunkKind {
    Root = 1,
    Entries,
    Ops,
    Log,
    End,
}

impl ChunkKind {
    const ALL: [(Self, u8); 5] = [(Self::Root, 1), (Self::Entries, 2), (Self::Ops, 3), (Self::Log, 4), (Self::End, 5)];

    pub(crate) fn octet(self) -> u8 {
        Self::ALL.into_iter().find_map(|(kind, octet)| (kind == self).then_some(octet)).unwrap_or_default()
    }

    pub(crate) fn parse(octet: u8) -> Option<Self> {
        Self::ALL.into_iter().find_map(|(kind, is)| (is == octet).then_some(kind))
    }
}

/// A row as a chunk has it, with the kind of chunk that has it. None if it is longer than a row of a store can be.
pub(crate) fn encode(exported: &Exported) -> Option<(ChunkKind, Vec<u8>)> {
    match exported {
        Exported::Entry(Row { key, entry }) => {
            let row_len = entry.value.len().checked_add(ROW_HEAD_LEN)?;
            let row = [entry.created.0, entry.modified.0, entry.version].map(u64::to_be_bytes).concat();
            let (key_len, row_len) = (u16::try_from(key.len()).ok()?, u32::try_from(row_len).ok()?);
            let octets = [&key_len.to_be_bytes(), key.as_slice(), &row_len.to_be_bytes(), &row, &entry.value].concat();
            Some((ChunkKind::Entries, octets))
        }
        Exported::Op { revision, op, settled } => {
            let state = match settled {
                Settled::Committed(_) => COMMITTED,
                Settled::Aborted => ABORTED,
            };
            Some((ChunkKind::Ops, [&revision.0.to_be_bytes(), [state].as_slice(), &op.0].concat()))
        }
    }
}

/// The entries of a chunk.
pub(crate) fn entries(content: &[u8]) -> Option<Vec<Exported>> {
    let (mut input, mut rows) = (Input(content), Vec::new());
    while !input.0.is_empty() {
        let key_len = usize::from(u16::from_be_bytes(input.array()?));
        let key = input.take(key_len)?.to_vec();
        let row_len = usize::try_from(u32::from_be_bytes(input.array()?)).ok()?;
        let mut row = Input(input.take(row_len)?);
        let mut number = || Some(u64::from_be_bytes(row.array()?));
        let (created, modified, version) = (Revision(number()?), Revision(number()?), number()?);
        let entry = skerry_store::Entry { value: row.0.to_vec(), created, modified, version };
        rows.push(Exported::Entry(Row { key, entry }));
    }
    Some(rows)
}

/// The op ids of a chunk.
pub(crate) fn ops(content: &[u8]) -> Option<Vec<Exported>> {
    let (mut input, mut rows) = (Input(content), Vec::new());
    while !input.0.is_empty() {
        let revision = Revision(u64::from_be_bytes(input.array()?));
        let settled = match input.array::<1>()? {
            [COMMITTED] => Settled::Committed(revision),
            [ABORTED] => Settled::Aborted,
            _ => return None,
        };
        rows.push(Exported::Op { revision, op: OpId(input.array()?), settled });
    }
    Some(rows)
}

/// What the last chunk says of those before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) entries: u64,
    pub(crate) ops: u64,
    pub(crate) log: u64,
}

impl Counts {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [self.entries, self.ops, self.log].map(u64::to_be_bytes).concat()
    }
}

pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    finish(context)
}

pub(crate) fn finish(context: Context) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    digest
}

pub(crate) fn octets(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Octets that are taken from the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }
}

const MAGIC: &[u8; 8] = b"SKERRYBU";
const FORMAT: u32 = 1;
/// Magic, format and length.
pub(crate) const START_LEN: usize = 16;
pub(crate) const CHUNK_HEAD_LEN: usize = 5;
pub(crate) const TAG_LEN: usize = 16;
pub(crate) const TRAILER_MAGIC: &[u8; 8] = b"SKERRYBE";
pub(crate) const TRAILER_LEN: usize = 72;
/// Created, modified and version.
const ROW_HEAD_LEN: usize = 24;
const DEV: u8 = 1;
const SERVE: u8 = 2;
const COMMITTED: u8 = 1;
const ABORTED: u8 = 2;
