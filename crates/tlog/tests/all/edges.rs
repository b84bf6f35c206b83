//! What is just within a limit is taken and what is just beyond is not; and what one key signs counts for its own log alone.

use aws_lc_rs::signature::Ed25519KeyPair;
use skerry_jose::b64;
use skerry_tlog::limits::{NAME_LEN_MAX, NOTE_LEN_MAX, PROOF_HASHES_MAX, PROOF_TEXT_LEN_MAX, SIGNATURES_MAX};
use skerry_tlog::{
    Checkpoint, CheckpointError, InclusionProof, InclusionProofError, KeyError, NoteError, SignedCheckpoint,
    SigningKey, VerifyingKey,
};

const ROOT: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";

fn key() -> SigningKey {
    SigningKey::from_seed("log.example/one", &[7; 32]).unwrap()
}

/// A note of any text, signed by that key.
fn signed(text: &str) -> String {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let key = key().public().to_string();
    let id = hex::decode(key.split('+').nth(1).unwrap()).unwrap();
    let signature = b64::encode_standard([id.as_slice(), pair.sign(text.as_bytes()).as_ref()].concat());
    format!("{text}\n\u{2014} log.example/one {signature}\n")
}

/// A key that signs a checkpoint of another log than the one it is named for vouches for nothing.
#[test]
fn signed_for_another_log() {
    let verify =
        |text: &str| SignedCheckpoint::verify(signed(text).as_bytes(), key().public()).map(|found| found.size());
    assert_eq!(verify(&format!("log.example/one\n1\n{ROOT}\n")), Ok(1), "the control");
    assert_eq!(verify(&format!("log.example/two\n1\n{ROOT}\n")), Err(CheckpointError::OtherOrigin));
    assert_eq!(verify(&format!("log.example/one\n01\n{ROOT}\n")), Err(CheckpointError::Line { line: 2 }));
}

/// Of two signatures by the key both have to hold (signed-note, "Signatures").
#[test]
fn every_signature_by_the_key_holds() {
    let note = signed(&format!("log.example/one\n1\n{ROOT}\n"));
    let line = note.rsplit_once("\n\n").unwrap().1;
    let twice = format!("{note}{line}");
    assert!(SignedCheckpoint::verify(twice.as_bytes(), key().public()).is_ok());
    let octets = b64::decode_standard(line.trim_end().rsplit_once(' ').unwrap().1).unwrap();
    let mut altered = octets;
    *altered.last_mut().unwrap() ^= 1;
    let altered = format!("\u{2014} log.example/one {}\n", b64::encode_standard(altered));
    let (text, _) = note.rsplit_once("\n\n").unwrap();
    for lines in [format!("{line}{altered}"), format!("{altered}{line}")] {
        let refused = SignedCheckpoint::verify(format!("{text}\n\n{lines}").as_bytes(), key().public());
        assert_eq!(refused, Err(CheckpointError::Note(NoteError::Signature)));
    }
}

/// Names are as long as they may be, without spaces, pluses and what does not show, in keys and under notes.
#[test]
fn names_are_whole_words() {
    let longest = "x".repeat(NAME_LEN_MAX);
    assert!(VerifyingKey::new(&longest, [1; 32]).is_ok());
    for name in ["a\u{7f}b", "a\u{1}b", "a\u{85}b", &"x".repeat(NAME_LEN_MAX + 1)] {
        assert_eq!(VerifyingKey::new(name, [1; 32]), Err(KeyError::Name), "{name:?}");
    }
    let parse = |name: &str| {
        let note = format!("a\n1\n{ROOT}\n\n\u{2014} {name} AAAAAAAA\n");
        Checkpoint::parse_unverified(note.as_bytes()).map(|found| found.size)
    };
    assert_eq!(parse(&longest), Ok(1));
    for name in ["a+b", "", "a\u{7f}b", "a\u{a0}b", &"x".repeat(NAME_LEN_MAX + 1)] {
        let refused = Err(CheckpointError::Note(NoteError::SignatureForm { line: 0 }));
        assert_eq!(parse(name), refused, "{name:?}");
    }
}

/// A signature has more than the key's id.
#[test]
fn signatures_are_more_than_an_id() {
    let parse = |octets: &[u8]| {
        let note = format!("a\n1\n{ROOT}\n\n\u{2014} a {}\n", b64::encode_standard(octets));
        Checkpoint::parse_unverified(note.as_bytes()).map(|found| found.size)
    };
    assert_eq!(parse(&[0; 5]), Ok(1));
    assert_eq!(parse(&[0; 4]), Err(CheckpointError::Note(NoteError::SignatureForm { line: 0 })));
}

/// Notes are as long, and have as many signatures, as is said, and no more.
#[test]
fn notes_have_a_size() {
    let (text, line) = (format!("a\n1\n{ROOT}\n"), "\u{2014} a AAAAAAAA\n");
    let of = |count: usize| Checkpoint::parse_unverified(format!("{text}\n{}", line.repeat(count)).as_bytes());
    assert!(of(SIGNATURES_MAX).is_ok());
    let max = SIGNATURES_MAX;
    assert_eq!(of(SIGNATURES_MAX + 1), Err(CheckpointError::Note(NoteError::TooManySignatures { max })));
    let of = |len: usize| {
        let rest = len - text.len() - 1 - line.len();
        let note = format!("{text}{}\n\n{line}", "x".repeat(rest - 1));
        assert_eq!(note.len(), len);
        Checkpoint::parse_unverified(note.as_bytes()).map(|found| found.size)
    };
    assert_eq!(of(NOTE_LEN_MAX), Ok(1));
    let len = NOTE_LEN_MAX + 1;
    assert_eq!(of(len), Err(CheckpointError::Note(NoteError::TooLong { len })));
}

/// A proof has at most so many hashes, and its text so many octets.
#[test]
fn proofs_have_a_size() {
    let of = |hashes: usize, note: &str| {
        let text = format!("c2sp.org/tlog-proof@v1\nindex 0\n{}\n{note}", format!("{ROOT}\n").repeat(hashes));
        InclusionProof::parse(&text).map(|proof| proof.path.len())
    };
    assert_eq!(of(PROOF_HASHES_MAX, "note"), Ok(PROOF_HASHES_MAX));
    let line = 3 + PROOF_HASHES_MAX;
    assert_eq!(of(PROOF_HASHES_MAX + 1, "note"), Err(InclusionProofError::Line { line }));
    let rest = PROOF_TEXT_LEN_MAX - "c2sp.org/tlog-proof@v1\nindex 0\n\n".len();
    assert_eq!(of(0, &"x".repeat(rest)), Ok(0));
    let len = PROOF_TEXT_LEN_MAX + 1;
    assert_eq!(of(0, &"x".repeat(rest + 1)), Err(InclusionProofError::TooLong { len }));
}
