//! Signed notes (signed-note): text, and under it lines of signatures; keys of Ed25519 by their texts.

use crate::hash::sha256;
use crate::limits::{NAME_LEN_MAX, NOTE_LEN_MAX, SIGNATURES_MAX};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use skerry_jose::b64;
use std::fmt;

/// Why a key is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A name is empty, too long, or has a space, a plus or a control character.
    #[error("not a key's name")]
    Name,
    /// The text is not NAME+ID+KEY.
    #[error("not the text of a key: NAME+ID+KEY")]
    Form,
    /// The key is of another algorithm than Ed25519.
    #[error("key of type {found}, where only Ed25519 is known")]
    Algorithm {
        /// The octet that says which.
        found: u8,
    },
    /// The id in the text is that of another key.
    #[error("key's id is that of another key")]
    Id,
    /// The octets are no key.
    #[error("not a key")]
    Key,
}

/// Why a note is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// The note is longer than anything that is read here.
    #[error("note of {len} octets is too long")]
    TooLong {
        /// Its octets.
        len: usize,
    },
    /// It is not text, or has control characters.
    #[error("not the text of a note")]
    Text,
    /// There is no empty line between text and signatures, or there is no signature.
    #[error("note has no signatures")]
    NoSignatures,
    /// A line under the text is no signature.
    #[error("line {line} of the signatures is none")]
    SignatureForm {
        /// From 0.
        line: usize,
    },
    /// There are more lines than are looked at.
    #[error("note has more than {max} signatures")]
    TooManySignatures {
        /// How many are.
        max: usize,
    },
    /// None of the signatures is by the key.
    #[error("note is not signed by this key")]
    OtherKey,
    /// The signature by the key does not hold.
    #[error("signature does not hold")]
    Signature,
}

/// A key that notes are checked with. Whoever configured it vouches for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VerifyingKey {
    name: String,
    id: [u8; 4],
    key: [u8; 32],
}

impl VerifyingKey {
    /// The key of this name.
    pub fn new(name: &str, key: [u8; 32]) -> Result<Self, KeyError> {
        check_name(name)?;
        let id = key_id(name, &key);
        Ok(Self { name: name.to_owned(), id, key })
    }

    /// The key of a text `NAME+ID+KEY`, as `skerry audit key` prints it and other logs' tools take it: the id in hex, the
    /// algorithm and the key in base64 (Go's sumdb/note).
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, rest) = text.split_once('+').ok_or(KeyError::Form)?;
        let (id, key) = rest.split_once('+').ok_or(KeyError::Form)?;
        let key = b64::decode_standard(key).map_err(|_| KeyError::Form)?;
        let (algorithm, key) = key.split_first().ok_or(KeyError::Form)?;
        if *algorithm != ALGORITHM_ED25519 {
            return Err(KeyError::Algorithm { found: *algorithm });
        }
        let key = Self::new(name, key.try_into().map_err(|_| KeyError::Key)?)?;
        match hex::encode(key.id) == id {
            true => Ok(key),
            false => Err(KeyError::Id),
        }
    }

    /// Its name, which is the origin of the log that signs with it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The octets of the key (RFC 8032).
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The text of a note that this key signed. Signatures of other keys are passed over (signed-note, "Signatures").
    pub fn verify<'a>(&self, note: &'a [u8]) -> Result<&'a str, NoteError> {
        let Note { text, signatures } = Note::parse(note)?;
        let mut found = false;
        for (name, signature) in &signatures {
            let Some((id, signature)) = signature.split_first_chunk::<4>() else { return Err(NoteError::Signature) };
            if *name != self.name || *id != self.id {
                continue;
            }
            let key = UnparsedPublicKey::new(&ED25519, self.key.as_slice());
            key.verify(text.as_bytes(), signature).map_err(|_| NoteError::Signature)?;
            found = true;
        }
        if found { Ok(text) } else { Err(NoteError::OtherKey) }
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = b64::encode_standard([&[ALGORITHM_ED25519][..], &self.key].concat());
        write!(f, "{}+{}+{key}", self.name, hex::encode(self.id))
    }
}

/// A key that signs notes.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: VerifyingKey,
}

impl SigningKey {
    /// The key of this name whose seed (RFC 8032, 5.1.5) these octets are. The caller vouches for their entropy.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Key)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Key)?;
        Ok(Self { public: VerifyingKey::new(name, public)?, pair })
    }

    /// The public half.
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// The note of this text, which ends with a line end, signed.
    pub(crate) fn sign(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let signature = b64::encode_standard([&self.public.id[..], signature.as_ref()].concat());
        format!("{text}\n\u{2014} {} {signature}\n", self.public.name)
    }
}

/// A note taken apart; nobody vouches for it.
pub(crate) struct Note<'a> {
    /// With the line end before the empty line.
    pub(crate) text: &'a str,
    /// Names of keys, and what they signed with, the key's id in front.
    pub(crate) signatures: Vec<(&'a str, Vec<u8>)>,
}

impl<'a> Note<'a> {
    pub(crate) fn parse(note: &'a [u8]) -> Result<Self, NoteError> {
        if note.len() > NOTE_LEN_MAX {
            return Err(NoteError::TooLong { len: note.len() });
        }
        let note = std::str::from_utf8(note).map_err(|_| NoteError::Text)?;
        if note.chars().any(|char| char < ' ' && char != '\n') {
            return Err(NoteError::Text);
        }
        let end = note.rfind("\n\n").ok_or(NoteError::NoSignatures)?;
        let (text, signatures) = note.split_at_checked(end + 1).ok_or(NoteError::NoSignatures)?;
        let signatures =
            signatures.strip_prefix('\n').filter(|lines| !lines.is_empty()).ok_or(NoteError::NoSignatures)?;
        let lines = signatures.split_inclusive('\n').enumerate();
        if lines.clone().count() > SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures { max: SIGNATURES_MAX });
        }
        let signatures = lines.map(|(line, text)| signature(text).ok_or(NoteError::SignatureForm { line }));
        Ok(Self { text, signatures: signatures.collect::<Result<_, _>>()? })
    }
}

fn signature(line: &str) -> Option<(&str, Vec<u8>)> {
    let rest = line.strip_prefix("\u{2014} ")?.strip_suffix('\n')?;
    let (name, signature) = rest.split_once(' ')?;
    check_name(name).ok()?;
    let signature = b64::decode_standard(signature).ok()?;
    (signature.len() > 4).then_some((name, signature))
}

fn check_name(name: &str) -> Result<(), KeyError> {
    let odd = |char: char| char.is_whitespace() || char.is_control() || char == '+';
    if name.is_empty() || name.len() > NAME_LEN_MAX || name.contains(odd) { Err(KeyError::Name) } else { Ok(()) }
}

/// signed-note, "Signatures".
fn key_id(name: &str, key: &[u8; 32]) -> [u8; 4] {
    let hash = sha256(&[name.as_bytes(), b"\n", &[ALGORITHM_ED25519], key]);
    let [a, b, c, d, ..] = hash;
    [a, b, c, d]
}

/// signed-note, "Signature types".
const ALGORITHM_ED25519: u8 = 1;
