//! Notes and checkpoints: as other implementations sign them, and every octet counts.

use skerry_tlog::{Checkpoint, CheckpointError, KeyError, NoteError, SignedCheckpoint, SigningKey, VerifyingKey};

fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(name, &[7; 32]).unwrap()
}

/// The example of Go's golang.org/x/mod/sumdb/note: another implementation's key and signature.
#[test]
fn published_note_verifies() {
    let key = VerifyingKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
    assert_eq!(key.to_string(), "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
    let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    let note = format!(
        "{text}\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    );
    assert_eq!(key.verify(note.as_bytes()), Ok(text));
}

/// The text of a key has one spelling, its id is the key's, and only Ed25519 is taken.
#[test]
fn keys_are_read_strictly() {
    let text = key("log.example/one").public().to_string();
    assert_eq!(VerifyingKey::parse(&text).unwrap(), *key("log.example/one").public());
    let other = key("log.example/two").public().to_string();
    let (id, octets) = (text.split('+').nth(1).unwrap(), other.splitn(3, '+').nth(2).unwrap());
    assert_eq!(VerifyingKey::parse(&format!("log.example/two+{id}+{octets}")), Err(KeyError::Id));
    for (odd, error) in [
        ("", KeyError::Form),
        ("name", KeyError::Form),
        ("name+00000000", KeyError::Form),
        ("name+00000000+!", KeyError::Form),
        ("name+00000000+", KeyError::Form),
        ("name+00000000+AQ==", KeyError::Key),
        ("name+00000000+Ag==", KeyError::Algorithm { found: 2 }),
        ("+00000000+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyError::Name),
        ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", KeyError::Id),
    ] {
        assert_eq!(VerifyingKey::parse(odd), Err(error), "{odd}");
    }
    for name in ["", "a b", "a+b", "a\u{a0}b", "a\nb", &"x".repeat(513)] {
        assert_eq!(SigningKey::from_seed(name, &[7; 32]).err(), Some(KeyError::Name), "{name}");
    }
}

/// A checkpoint has the lines of tlog-checkpoint, and what it says comes out again.
#[test]
fn checkpoints_come_out_again() {
    let key = key("log.example/one");
    let signed = SignedCheckpoint::sign(&key, 70_000, [9; 32]);
    let note = signed.note();
    assert!(note.starts_with(
        "log.example/one\n70000\nCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n\n\u{2014} log.example/one "
    ));
    let read = SignedCheckpoint::verify(note.as_bytes(), key.public()).unwrap();
    assert_eq!(read, signed);
    assert_eq!((read.origin(), read.size(), read.root()), ("log.example/one", 70_000, &[9; 32]));
    let said = Checkpoint::parse_unverified(note.as_bytes()).unwrap();
    assert_eq!((said.origin.as_str(), said.size, said.root), ("log.example/one", 70_000, [9; 32]));
    // Witnesses sign below, and are passed over.
    let cosigned = format!("{note}\u{2014} witness.example AAAAAAAA\n");
    assert!(SignedCheckpoint::verify(cosigned.as_bytes(), key.public()).is_ok());
}

/// Every bit of a signed checkpoint counts, and so does every cut.
#[test]
fn altered_checkpoints_are_refused() {
    let key = key("log.example/one");
    let note = SignedCheckpoint::sign(&key, 256, [9; 32]).note().as_bytes().to_vec();
    for at in 0..note.len() {
        for bit in 0..8 {
            let mut altered = note.clone();
            altered[at] ^= 1 << bit;
            assert!(SignedCheckpoint::verify(&altered, key.public()).is_err(), "octet {at}, bit {bit}");
        }
        assert!(SignedCheckpoint::verify(&note[..at], key.public()).is_err(), "cut at {at}");
    }
    let other = SigningKey::from_seed("log.example/one", &[8; 32]).unwrap();
    let refused = SignedCheckpoint::verify(&note, other.public());
    assert_eq!(refused, Err(CheckpointError::Note(NoteError::OtherKey)));
}

/// Each way in which a note or checkpoint is malformed has its error, signed or not.
#[test]
fn forms_are_checked() {
    let parse = |note: &str| Checkpoint::parse_unverified(note.as_bytes()).unwrap_err();
    let root = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";
    let signed = |text: &str| format!("{text}\n\u{2014} a AAAAAAAA\n");
    let line = |line| CheckpointError::Line { line };
    for (text, error) in [
        (format!("\n1\n{root}\n"), line(1)),
        ("a\n".to_owned(), line(2)),
        (format!("a\n01\n{root}\n"), line(2)),
        (format!("a\n+1\n{root}\n"), line(2)),
        (format!("a\n18446744073709551616\n{root}\n"), line(2)),
        ("a\n1\n".to_owned(), line(3)),
        ("a\n1\nAAAA\n".to_owned(), line(3)),
        (format!("a\n1\n{root}\n\nextension\n"), line(4)),
    ] {
        assert_eq!(parse(&signed(&text)), error, "{text}");
    }
    assert!(Checkpoint::parse_unverified(signed(&format!("a\n1\n{root}\nextension\n")).as_bytes()).is_ok());
    let note = |error| CheckpointError::Note(error);
    for (text, error) in [
        (format!("a\n1\n{root}\n"), NoteError::NoSignatures),
        (format!("a\n1\n{root}\n\n"), NoteError::NoSignatures),
        (format!("a\n1\n{root}\n\n- a AAAAAAAA\n"), NoteError::SignatureForm { line: 0 }),
        (format!("a\n1\n{root}\n\n\u{2014} a AAAAAAAA"), NoteError::SignatureForm { line: 0 }),
        (format!("a\n1\n{root}\n\n\u{2014} a AAAAAAAA\n\u{2014} a b AAAAAAAA\n"), NoteError::SignatureForm { line: 1 }),
        (format!("a\n1\n{root}\n\n\u{2014} a AAAA\n"), NoteError::SignatureForm { line: 0 }),
        (format!("a\t\n1\n{root}\n\n\u{2014} a AAAAAAAA\n"), NoteError::Text),
        (
            signed(&format!("a\n1\n{root}\n")) + &"\u{2014} a AAAAAAAA\n".repeat(64),
            NoteError::TooManySignatures { max: 64 },
        ),
    ] {
        assert_eq!(parse(&text), note(error), "{text}");
    }
    let long = vec![b'a'; 128 * 1024 + 1];
    assert_eq!(Checkpoint::parse_unverified(&long), Err(note(NoteError::TooLong { len: long.len() })));
    assert_eq!(Checkpoint::parse_unverified(&[0xff]), Err(note(NoteError::Text)));
}

/// A key of one log signs for no other: the origin is the key's name.
#[test]
fn origin_is_the_key_s_name() {
    let one = key("log.example/one");
    let note = SignedCheckpoint::sign(&one, 1, [9; 32]).note().to_owned();
    let two = VerifyingKey::new("log.example/two", *one.public().key()).unwrap();
    // The name is in the signature line, and its id in the key's.
    let refused = SignedCheckpoint::verify(note.as_bytes(), &two);
    assert_eq!(refused, Err(CheckpointError::Note(NoteError::OtherKey)));
}
