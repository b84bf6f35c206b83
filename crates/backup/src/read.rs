//! A backup as it is read: what shows without a key, then what opens with one.

use crate::error::ReadError;
use crate::format::{
    About, CHUNK_HEAD_LEN, ChunkHead, ChunkKind, Counts, Header, Keys, START_LEN, TAG_LEN, TRAILER_LEN, TRAILER_MAGIC,
    associated_data, entries, finish, nonce, octets, ops, sha256,
};
use crate::limits::CHUNK_LEN_MAX;
use crate::recovery::RecoveryKey;
use crate::write::Summary;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use skerry_store::Exported;
use skerry_store::seal::Root;
use std::io::{self, Read, Seek, SeekFrom};
use zeroize::Zeroizing;

/// A backup that is whole and, bar intent, what was written.
pub struct Backup<R> {
    file: R,
    header: Header,
    bytes: Vec<u8>,
    digest: [u8; 32],
    chunks: u64,
    len: u64,
}

impl<R: Read + Seek> Backup<R> {
    /// Reads all of a file, which has to be one backup and nothing else: its form, lengths and digest. Whoever altered it with
    /// intent can have made a digest that fits; keys show that.
    ///
    /// `progress` is told of octets as they are read.
    pub fn open(file: R, mut progress: impl FnMut(u64)) -> Result<Self, ReadError> {
        let mut input = Counted { file, len: 0, sum: Context::new(&SHA256) };
        input.rewind()?;
        let mut bytes = input.up_to(START_LEN)?;
        let len = Header::len_of(&bytes)?;
        bytes.extend(input.exactly(len.saturating_sub(START_LEN))?);
        let header = Header::parse(&bytes)?;
        let (mut chunks, mut told) = (0_u64, 0);
        loop {
            let head = input.chunk_head(chunks)?;
            input.exactly(usize::try_from(head.len).unwrap_or(usize::MAX))?;
            progress(input.len.saturating_sub(told));
            told = input.len;
            chunks = chunks.saturating_add(1);
            if head.last {
                break;
            }
        }
        let digest = finish(input.sum.clone());
        let trailer = input.exactly(TRAILER_LEN)?;
        if !trailer.starts_with(TRAILER_MAGIC) || trailer.get(8..40) != Some(digest.as_slice()) {
            return Err(ReadError::Digest);
        }
        progress(input.len.saturating_sub(told));
        let len = input.len;
        match input.rest()? {
            0 => Ok(Self { file: input.file, header, bytes, digest, chunks, len }),
            octets => Err(ReadError::Trailing { octets }),
        }
    }

    /// What it says that it is of. Without a key nobody vouches for it.
    pub fn about(&self) -> &About {
        &self.header.about
    }

    /// SHA-256 of the certificates that it is sealed to.
    pub fn recipients(&self) -> Vec<[u8; 32]> {
        self.header.recipients.iter().map(|recipient| recipient.certificate).collect()
    }

    /// SHA-256 of all but the trailer.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// How many chunks it has.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Octets of the file.
    pub fn octets(&self) -> u64 {
        self.len
    }

    /// What is in it, from the beginning, if it is sealed to this key.
    pub fn unlock(&mut self, key: &RecoveryKey) -> Result<Contents<'_, R>, ReadError> {
        let header = sha256(&[&self.bytes]);
        let data_key = key.unwrap(&self.header.recipients)?;
        let keys = Keys::derive(&data_key, &header).map_err(|_| ReadError::DataKey)?;
        let chunk_key = UnboundKey::new(&AES_256_GCM, keys.chunks.as_slice()).map_err(|_| ReadError::DataKey)?;
        let mut input = Counted { file: &mut self.file, len: 0, sum: Context::new(&SHA256) };
        input.rewind()?;
        input.exactly(self.bytes.len())?;
        let mut contents = Contents {
            input,
            header,
            key: LessSafeKey::new(chunk_key),
            whole: hmac::Key::new(HMAC_SHA256, keys.whole.as_slice()),
            about: self.header.about.clone(),
            plain: Context::new(&SHA256),
            kind: ChunkKind::Root,
            index: 0,
            counts: Counts::default(),
            root: Root::new(Zeroizing::new([0; 32])),
            summary: None,
        };
        contents.root = contents.read_root()?;
        Ok(contents)
    }
}

/// What is in a backup, in order. What came counts once [`Contents::part`] has answered that there is no more.
pub struct Contents<'a, R> {
    input: Counted<&'a mut R>,
    header: [u8; 32],
    key: LessSafeKey,
    whole: hmac::Key,
    about: About,
    plain: Context,
    kind: ChunkKind,
    index: u64,
    counts: Counts,
    root: Root,
    summary: Option<Summary>,
}

/// Some of what is in a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Rows, as an export gave them.
    Rows(Vec<Exported>),
    /// Octets of the log's file, after those that came before.
    Log(Vec<u8>),
}

impl Part {
    /// What the plaintext of a chunk has, if it is one of rows or of the log. Nobody vouches for it here.
    pub fn parse(chunk: &[u8]) -> Option<Self> {
        let (&kind, content) = chunk.split_first()?;
        match ChunkKind::parse(kind)? {
            ChunkKind::Entries => entries(content).map(Self::Rows),
            ChunkKind::Ops => ops(content).map(Self::Rows),
            ChunkKind::Log => Some(Self::Log(content.to_vec())),
            ChunkKind::Root | ChunkKind::End => None,
        }
    }

    fn count(&self, counts: &mut Counts, kind: ChunkKind) {
        let (count, more) = match (self, kind) {
            (Self::Log(log), _) => (&mut counts.log, log.len()),
            (Self::Rows(rows), ChunkKind::Entries) => (&mut counts.entries, rows.len()),
            (Self::Rows(rows), _) => (&mut counts.ops, rows.len()),
        };
        *count = count.saturating_add(octets(more));
    }
}

impl<R: Read + Seek> Contents<'_, R> {
    /// The root that the rows are sealed under.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Octets that were read so far.
    pub fn read(&self) -> u64 {
        self.input.len
    }

    /// The next part. None once the end was reached and it vouches for everything before.
    pub fn part(&mut self) -> Result<Option<Part>, ReadError> {
        if self.summary.is_some() {
            return Ok(None);
        }
        let (index, chunk) = (self.index, self.chunk()?);
        let wrong = |what| ReadError::Content { index, what };
        let (kind, content) = self.kind_of(&chunk)?;
        if kind < self.kind || (kind == ChunkKind::Root) {
            return Err(wrong("its kind is not next"));
        }
        self.kind = kind;
        if kind == ChunkKind::End {
            self.end(index, content)?;
            return Ok(None);
        }
        let part = Part::parse(&chunk).ok_or(wrong("its rows"))?;
        part.count(&mut self.counts, kind);
        Ok(Some(part))
    }

    /// What was read, once all was.
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }

    fn read_root(&mut self) -> Result<Root, ReadError> {
        let wrong = ReadError::Content { index: 0, what: "no root" };
        let chunk = self.chunk()?;
        let (kind, content) = self.kind_of(&chunk)?;
        let mut root = Zeroizing::new([0; 32]);
        if kind != ChunkKind::Root || content.len() != root.len() {
            return Err(wrong);
        }
        // In its place: what is moved leaves a copy that nobody wipes.
        root.copy_from_slice(content);
        Ok(Root::new(root))
    }

    fn kind_of<'c>(&self, chunk: &'c [u8]) -> Result<(ChunkKind, &'c [u8]), ReadError> {
        let index = self.index.saturating_sub(1);
        let (&kind, content) = chunk.split_first().ok_or(ReadError::Content { index, what: "nothing" })?;
        let kind = ChunkKind::parse(kind).ok_or(ReadError::Content { index, what: "its kind is not known" })?;
        Ok((kind, content))
    }

    /// The next chunk, opened. The last is the end and no other is.
    fn chunk(&mut self) -> Result<Zeroizing<Vec<u8>>, ReadError> {
        let index = self.index;
        let head = self.input.chunk_head(index)?;
        let mut text = Zeroizing::new(self.input.exactly(usize::try_from(head.len).unwrap_or(usize::MAX))?);
        let nonce = Nonce::assume_unique_for_key(nonce(index, head.last));
        let aad = Aad::from(associated_data(&self.header, head));
        let len = self.key.open_in_place(nonce, aad, &mut text).map_err(|_| ReadError::Chunk { index })?.len();
        text.truncate(len);
        if head.last != (text.first() == Some(&ChunkKind::End.octet())) {
            return Err(ReadError::Content { index, what: "an end that is not last" });
        }
        if !head.last {
            self.plain.update(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
            self.plain.update(&text);
        }
        self.index = index.saturating_add(1);
        Ok(text)
    }

    fn end(&mut self, index: u64, content: &[u8]) -> Result<(), ReadError> {
        let plain = finish(self.plain.clone());
        let expected = [self.counts.to_bytes().as_slice(), &plain].concat();
        if content != expected {
            return Err(ReadError::Content { index, what: "counts and digest of what came before" });
        }
        let Counts { entries, ops, log } = self.counts;
        if entries.saturating_add(ops) != self.about.rows || log != self.about.log.len {
            return Err(ReadError::Content { index, what: "counts in the header" });
        }
        let digest = finish(self.input.sum.clone());
        let trailer = self.input.exactly(TRAILER_LEN)?;
        let tag = trailer.get(40..).unwrap_or_default();
        hmac::verify(&self.whole, &digest, tag).map_err(|_| ReadError::Whole)?;
        if trailer.get(..40) != Some([TRAILER_MAGIC.as_slice(), &digest].concat().as_slice()) {
            return Err(ReadError::Whole);
        }
        self.summary = Some(Summary { about: self.about.clone(), digest, entries, ops, len: self.input.len });
        Ok(())
    }
}

/// A file that is read forwards, with how far, and the digest of what was read.
struct Counted<R> {
    file: R,
    len: u64,
    sum: Context,
}

impl<R: Read + Seek> Counted<R> {
    fn rewind(&mut self) -> Result<(), ReadError> {
        self.file.seek(SeekFrom::Start(0)).map(drop).map_err(unread)
    }

    /// As many octets, or fewer where the file ends.
    fn up_to(&mut self, len: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::with_capacity(len);
        let read = self.file.by_ref().take(octets(len)).read_to_end(&mut bytes).map_err(unread)?;
        self.len = self.len.saturating_add(octets(read));
        self.sum.update(&bytes);
        Ok(bytes)
    }

    fn exactly(&mut self, len: usize) -> Result<Vec<u8>, ReadError> {
        let bytes = self.up_to(len)?;
        if bytes.len() < len { Err(ReadError::Truncated { len: self.len }) } else { Ok(bytes) }
    }

    fn chunk_head(&mut self, index: u64) -> Result<ChunkHead, ReadError> {
        let head = self.exactly(CHUNK_HEAD_LEN)?;
        let head = head.try_into().ok().and_then(ChunkHead::parse).ok_or(ReadError::ChunkForm { index })?;
        let len = usize::try_from(head.len).unwrap_or(usize::MAX);
        if len <= TAG_LEN || len > CHUNK_LEN_MAX {
            return Err(ReadError::ChunkForm { index });
        }
        Ok(head)
    }

    /// How many octets are left.
    fn rest(&mut self) -> Result<u64, ReadError> {
        let end = self.file.seek(SeekFrom::End(0)).map_err(unread)?;
        Ok(end.saturating_sub(self.len))
    }
}

fn unread(error: io::Error) -> ReadError {
    ReadError::Io { kind: error.kind() }
}
