//! A backup as it is written: forwards only, so that it can go over a socket.

use crate::error::{WriteError, unwritten};
use crate::format::{
    About, ChunkHead, ChunkKind, Counts, Header, Keys, TAG_LEN, TRAILER_MAGIC, associated_data, encode, finish, nonce,
    octets, sha256,
};
use crate::limits::{CHUNK_LEN, RECIPIENTS_MAX};
use crate::recipient::Recipient;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use rand_core::CryptoRng;
use skerry_store::Exported;
use skerry_store::seal::Root;
use std::collections::BTreeSet;
use std::io::Write;
use zeroize::Zeroizing;

/// Writes one backup: rows in the order of an export, then the log, then the end. One that was not finished is refused as cut off.
pub struct Writer<W> {
    out: W,
    about: About,
    header: [u8; 32],
    key: LessSafeKey,
    whole: hmac::Key,
    /// Of what is in the file, and of what is in its chunks.
    written: Context,
    plain: Context,
    chunk: Zeroizing<Vec<u8>>,
    kind: ChunkKind,
    index: u64,
    len: u64,
    counts: Counts,
}

/// What was written, or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What it is of.
    pub about: About,
    /// SHA-256 of all but the trailer: kept elsewhere, it says that a file is this backup.
    pub digest: [u8; 32],
    /// Entries of the store.
    pub entries: u64,
    /// Op ids.
    pub ops: u64,
    /// Octets of the file.
    pub len: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a backup that these recipients, each alone, can recover, and that has this root in it. The caller vouches that
    /// what is said of it is so.
    pub fn new(
        out: W,
        about: About,
        recipients: &[Recipient],
        root: &Root,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, WriteError> {
        if recipients.is_empty() {
            return Err(WriteError::NoRecipient);
        }
        if recipients.len() > RECIPIENTS_MAX {
            return Err(WriteError::TooManyRecipients { count: recipients.len() });
        }
        if recipients.iter().map(Recipient::key).collect::<BTreeSet<_>>().len() < recipients.len() {
            return Err(WriteError::RecipientTwice);
        }
        let mut data_key = Zeroizing::new([0; 32]);
        rng.fill_bytes(data_key.as_mut_slice());
        let recipients = recipients.iter().map(|one| one.wrap(&data_key)).collect::<Result<_, _>>()?;
        let header = Header { about, recipients };
        let bytes = header.to_bytes();
        let digest = sha256(&[&bytes]);
        let keys = Keys::derive(&data_key, &digest).map_err(|_| WriteError::Library)?;
        let key = UnboundKey::new(&AES_256_GCM, keys.chunks.as_slice()).map_err(|_| WriteError::Library)?;
        let mut writer = Self {
            out,
            about: header.about,
            header: digest,
            key: LessSafeKey::new(key),
            whole: hmac::Key::new(HMAC_SHA256, keys.whole.as_slice()),
            written: Context::new(&SHA256),
            plain: Context::new(&SHA256),
            chunk: Zeroizing::default(),
            kind: ChunkKind::Root,
            index: 0,
            len: 0,
            counts: Counts::default(),
        };
        writer.put(&bytes)?;
        writer.append(ChunkKind::Root, root.danger().octets())?;
        Ok(writer)
    }

    /// The next rows, as an export gives them.
    pub fn rows(&mut self, rows: &[Exported]) -> Result<(), WriteError> {
        for row in rows {
            let (kind, octets) = encode(row).ok_or(WriteError::Order)?;
            self.append(kind, &octets)?;
            let count = if kind == ChunkKind::Entries { &mut self.counts.entries } else { &mut self.counts.ops };
            *count = count.saturating_add(1);
        }
        Ok(())
    }

    /// The next octets of the log's file.
    pub fn log(&mut self, log: &[u8]) -> Result<(), WriteError> {
        self.counts.log = self.counts.log.saturating_add(octets(log.len()));
        if self.counts.log > self.about.log.len {
            return Err(self.log_length());
        }
        log.chunks(CHUNK_LEN).try_for_each(|part| self.append(ChunkKind::Log, part))
    }

    /// Ends the backup, once all of the log came that was announced. What is below is not made durable here.
    pub fn finish(mut self) -> Result<(W, Summary), WriteError> {
        if self.counts.log != self.about.log.len {
            return Err(self.log_length());
        }
        self.seal(false)?;
        let plain = finish(self.plain.clone());
        self.kind = ChunkKind::End;
        self.chunk.push(ChunkKind::End.octet());
        self.chunk.extend(self.counts.to_bytes());
        self.chunk.extend(plain);
        self.seal(true)?;
        let digest = finish(self.written.clone());
        let tag = hmac::sign(&self.whole, &digest);
        self.put(&[TRAILER_MAGIC.as_slice(), &digest, tag.as_ref()].concat())?;
        self.out.flush().map_err(unwritten)?;
        let Self { out, about, counts: Counts { entries, ops, .. }, len, .. } = self;
        Ok((out, Summary { about, digest, entries, ops, len }))
    }

    /// Octets that were written so far.
    pub fn written(&self) -> u64 {
        self.len
    }

    fn log_length(&self) -> WriteError {
        WriteError::LogLength { len: self.counts.log, announced: self.about.log.len }
    }

    /// Puts something into the chunk that is being filled, or into the next.
    fn append(&mut self, kind: ChunkKind, octets: &[u8]) -> Result<(), WriteError> {
        if kind < self.kind {
            return Err(WriteError::Order);
        }
        if kind != self.kind || self.chunk.len().saturating_add(octets.len()) > CHUNK_LEN {
            self.seal(false)?;
        }
        if self.chunk.is_empty() {
            self.kind = kind;
            self.chunk.push(kind.octet());
        }
        self.chunk.extend_from_slice(octets);
        Ok(())
    }

    fn seal(&mut self, last: bool) -> Result<(), WriteError> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        // Infallible: chunks are far shorter.
        let len = u32::try_from(self.chunk.len().saturating_add(TAG_LEN)).unwrap_or(u32::MAX);
        let head = ChunkHead { last, len };
        self.plain.update(&u32::try_from(self.chunk.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.plain.update(&self.chunk);
        let nonce = Nonce::assume_unique_for_key(nonce(self.index, last));
        let aad = Aad::from(associated_data(&self.header, head));
        let mut text = std::mem::take(&mut self.chunk);
        let tag = self.key.seal_in_place_separate_tag(nonce, aad, &mut text).map_err(|_| WriteError::Library)?;
        self.put(&head.to_bytes())?;
        self.put(&text)?;
        self.put(tag.as_ref())?;
        self.index = self.index.saturating_add(1);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.out.write_all(bytes).map_err(unwritten)?;
        self.written.update(bytes);
        self.len = self.len.saturating_add(octets(bytes.len()));
        Ok(())
    }
}
