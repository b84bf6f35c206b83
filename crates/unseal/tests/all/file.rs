//! The file of a sealed root: what opens it, what of it can be altered unnoticed (nothing), and what it may ask for.

use skerry_testkit::seeded;
use skerry_unseal::{Kind, Passphrase, RootId, SealedRoot, Secret, UnsealError};
use zeroize::Zeroizing;

use crate::{WORDS, passphrase, root, sealed};

fn refused(octets: &[u8]) -> UnsealError {
    SealedRoot::parse(octets).unwrap_err()
}

fn with(octets: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
    let mut octets = octets.to_vec();
    octets[at..at + new.len()].copy_from_slice(new);
    octets
}

fn secret(octet: u8) -> Secret {
    Secret::new(Zeroizing::new([octet; 32]))
}

/// What was sealed comes out under its passphrase, also when that was typed with a line's end, and under no other.
#[test]
fn passphrase_opens_what_it_sealed() {
    let octets = sealed(7).to_bytes();
    assert_eq!(octets.len(), 89 + 44);
    let read = SealedRoot::parse(&octets).unwrap();
    assert_eq!((read.to_bytes(), read.id(), read.kind().word()), (octets, RootId::of(&root(7)), "passphrase"));
    for words in [WORDS.to_owned(), format!("{WORDS}\n"), format!("{WORDS}\r\n")] {
        assert_eq!(passphrase(&words).open(&read).unwrap(), root(7));
    }
    for words in ["correct horse battery stapl", "Correct horse battery staple", "correct horse battery staple "] {
        assert_eq!(passphrase(words).open(&read).unwrap_err(), UnsealError::Passphrase);
    }
}

/// The same root sealed twice has one id and nothing else in common; another root has another id.
#[test]
fn seals_differ_and_ids_do_not() {
    let [one, other] = [1, 2].map(|seed| passphrase(WORDS).seal(&root(7), &mut seeded(seed)).unwrap());
    let [a, b] = [one.to_bytes(), other.to_bytes()];
    assert_eq!(a[..41], b[..41], "head, and parameters but for the salt");
    assert!(a[41..].iter().zip(&b[41..]).filter(|(a, b)| a == b).count() < 10);
    assert_ne!(RootId::of(&root(7)), RootId::of(&root(8)));
    assert!(!a.windows(16).any(|window| window == [7; 16]));
}

/// Every octet of the file is under the seal: of any that is altered the file is not read, or does not open, even under the very
/// secret, since parameters are associated data; and by way of the passphrase another salt is another secret.
#[test]
fn every_octet_counts() {
    let by_passphrase = sealed(7);
    for (kind, refusal) in
        [(by_passphrase.kind().clone(), UnsealError::Passphrase), (Kind::Token(vec![3; 20]), UnsealError::Altered)]
    {
        let octets = SealedRoot::seal(&root(7), kind, &secret(9), &mut seeded(1)).unwrap().to_bytes();
        let open = |octets: &[u8]| SealedRoot::parse(octets).and_then(|read| read.open(&secret(9)));
        assert_eq!(open(&octets).unwrap(), root(7));
        assert_eq!(SealedRoot::parse(&octets).unwrap().open(&secret(8)).unwrap_err(), refusal);
        for (at, bit) in (0..octets.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let altered = with(&octets, at, &[octets[at] ^ (1 << bit)]);
            let error = open(&altered).unwrap_err();
            let is_expected = match at {
                0..8 => error == UnsealError::NotASeal,
                8..10 => error == UnsealError::UnknownFormat { format: u16::from_be_bytes([altered[8], altered[9]]) },
                10 => matches!(error, UnsealError::UnknownKind { .. } | UnsealError::Parameters { .. }),
                27..29 => matches!(error, UnsealError::Length { .. } | UnsealError::Parameters { .. }),
                // Numbers for Argon2id, which are out of range or another.
                29..41 if octets[10] == 1 => error == refusal || matches!(error, UnsealError::OutOfRange { .. }),
                _ => error == refusal,
            };
            assert!(is_expected, "octet {at}, bit {bit}: {error:?}");
        }
    }
    for at in [41, 72] {
        let octets = by_passphrase.to_bytes();
        let altered = SealedRoot::parse(&with(&octets, at, &[octets[at] ^ 1])).unwrap();
        assert_eq!(passphrase(WORDS).open(&altered).unwrap_err(), UnsealError::Passphrase);
    }
}

/// A file of any other length is none, whichever part is missing or too much.
#[test]
fn every_length_counts() {
    let octets = sealed(7).to_bytes();
    for len in 0..octets.len() {
        assert_eq!(refused(&octets[..len]), UnsealError::Length { len });
    }
    let long = [octets.as_slice(), &[0]].concat();
    assert_eq!(refused(&long), UnsealError::Length { len: octets.len() + 1 });
    assert_eq!(refused(&vec![0; 16 * 1024 + 1]), UnsealError::Length { len: 16 * 1024 + 1 });
    assert_eq!(refused(&[0; 100]), UnsealError::NotASeal);
}

/// A file that says what this version does not know is refused by what it says.
#[test]
fn unknown_versions_are_refused() {
    let octets = sealed(7).to_bytes();
    assert_eq!(refused(&with(&octets, 8, &[0, 2])), UnsealError::UnknownFormat { format: 2 });
    for kind in [0, 2, 5, 255] {
        assert_eq!(refused(&with(&octets, 10, &[kind])), UnsealError::UnknownKind { kind });
    }
    let short = [&octets[..27], &[0, 43], &octets[29..72], &octets[73..]].concat();
    assert_eq!(refused(&short), UnsealError::Parameters { kind: 1 });
}

/// A file made by somebody else can neither take a machine's memory nor make guessing cheap: what it asks for is in bounds, or it
/// is not even read.
#[test]
fn parameters_are_bounded() {
    let octets = sealed(7).to_bytes();
    let ranges = [("KiB of memory", 29, 65_536, 1_048_576), ("passes", 33, 3, 16), ("lanes", 37, 1, 16)];
    for (what, at, min, max) in ranges {
        for seen in [0, min - 1, max + 1, u32::MAX] {
            let error = refused(&with(&octets, at, &seen.to_be_bytes()));
            assert_eq!(error, UnsealError::OutOfRange { what, seen, min, max });
        }
        for seen in [min, max] {
            SealedRoot::parse(&with(&octets, at, &seen.to_be_bytes())).unwrap();
        }
    }
}

/// Passphrases have a length: to open none is too short that has one octet, to seal a short one is refused.
#[test]
fn passphrases_have_lengths() {
    let new = |len: usize| Passphrase::new(Zeroizing::new(vec![b'x'; len]));
    for len in [0, 1025] {
        let error = new(len).map(drop).unwrap_err();
        assert_eq!(error, UnsealError::PassphraseLength { len, min: 1, max: 1024 });
    }
    assert_eq!(new(1024).map_err(|error| error.to_string()).unwrap().octets().len(), 1024);
    let short = new(11).map_err(|error| error.to_string()).unwrap();
    let error = short.seal(&root(7), &mut seeded(1)).unwrap_err();
    assert_eq!(error, UnsealError::PassphraseLength { len: 11, min: 12, max: 1024 });
    let empty = Passphrase::new(Zeroizing::new(b"\n".to_vec())).map(drop).unwrap_err();
    assert_eq!(empty, UnsealError::PassphraseLength { len: 0, min: 1, max: 1024 });
}

/// Parameters that no file could have are not sealed with, and a passphrase opens no other kind.
#[test]
fn kinds_are_told_apart() {
    let seal = |len| SealedRoot::seal(&root(7), Kind::Token(vec![0; len]), &secret(1), &mut seeded(1));
    assert_eq!(seal(8 * 1024 + 1).unwrap_err(), UnsealError::Parameters { kind: 4 });
    let token = seal(8 * 1024).unwrap();
    assert_eq!(SealedRoot::parse(&token.to_bytes()).unwrap(), token);
    let error = passphrase(WORDS).open(&token).unwrap_err();
    assert_eq!(error, UnsealError::OtherKind { expected: "passphrase", found: "token" });
}
