//! The octets of a sealed root, made here from the drawing in docs/store-format.md alone: what is written is what is drawn, and who
//! has the secret, and makes a file otherwise, is refused too.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use skerry_testkit::seeded;
use skerry_unseal::tpm::{TpmError, read_answer};
use skerry_unseal::{Kind, Passphrase, RootId, SealedRoot, Secret, UnsealError};
use zeroize::Zeroizing;

use crate::{passphrase, root, sealed};

struct Octets;

impl KeyType for Octets {
    fn len(&self) -> usize {
        32
    }
}

fn hkdf(secret: &[u8], info: &[&[u8]]) -> [u8; 32] {
    let mut key = [0; 32];
    Salt::new(HKDF_SHA256, &[]).extract(secret).expand(info, Octets).unwrap().fill(&mut key).unwrap();
    key
}

/// A file of this kind, id and parameters with this root, under a secret.
fn made(kind: u8, id: &[u8; 16], parameters: &[u8], text: &[u8; 32], secret: &[u8; 32]) -> Vec<u8> {
    let len = u16::try_from(parameters.len()).unwrap().to_be_bytes();
    let head = [b"SKRYROOT".as_slice(), &[0, 1, kind], id, &len, parameters, &[3; 12]].concat();
    let key = hkdf(secret, &[b"skerry sealed root:", &[kind]]);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
    let mut sealed = text.to_vec();
    let nonce = Nonce::assume_unique_for_key([3; 12]);
    key.seal_in_place_append_tag(nonce, Aad::from(&head), &mut sealed).unwrap();
    [head, sealed].concat()
}

fn open(file: &[u8]) -> Result<Zeroizing<[u8; 32]>, UnsealError> {
    SealedRoot::parse(file)?.open(&Secret::new(Zeroizing::new([9; 32])))
}

fn id() -> [u8; 16] {
    *RootId::of(&root(7)).octets()
}

/// What is drawn opens; another root in it than its head says does not, though the seal around it holds.
#[test]
fn files_are_as_they_are_drawn() {
    assert_eq!(open(&made(4, &id(), b"blob", &[7; 32], &[9; 32])).unwrap(), root(7));
    assert_eq!(open(&made(4, &id(), b"blob", &[8; 32], &[9; 32])), Err(UnsealError::OtherRoot));
    assert_eq!(open(&made(4, &[0; 16], b"blob", &[7; 32], &[9; 32])), Err(UnsealError::OtherRoot));
    assert_eq!(open(&made(4, &id(), b"blob", &[7; 32], &[1; 32])), Err(UnsealError::Altered));
    // The id is that of a key which derives from the root as all others do.
    let expected = hkdf_of_id();
    assert_eq!(id(), expected);
}

fn hkdf_of_id() -> [u8; 16] {
    struct Short;
    impl KeyType for Short {
        fn len(&self) -> usize {
            16
        }
    }
    let (mut id, info) = ([0; 16], [b"skerry kek id:".as_slice(), b"sealed root", &[0; 16]]);
    Salt::new(HKDF_SHA256, &[]).extract(&[7; 32]).expand(&info, Short).unwrap().fill(&mut id).unwrap();
    id
}

/// Parameters are as long as they may be, by whoever has the secret; and so is a file.
#[test]
fn parameters_and_files_have_a_size() {
    assert_eq!(open(&made(4, &id(), &[1; 8 * 1024], &[7; 32], &[9; 32])).unwrap(), root(7));
    let long = made(4, &id(), &[1; 8 * 1024 + 1], &[7; 32], &[9; 32]);
    assert_eq!(open(&long), Err(UnsealError::Parameters { kind: 4 }));
    let parse = |len: usize| SealedRoot::parse(&vec![0; len]).unwrap_err();
    assert_eq!(parse(16 * 1024), UnsealError::NotASeal);
    assert_eq!(parse(16 * 1024 + 1), UnsealError::Length { len: 16 * 1024 + 1 });
}

/// What a TPM's object may be: one octet more of either part, or behind them, is refused before a TPM is asked.
#[test]
fn objects_have_a_size() {
    let parse = |public: usize, private: usize, flags: u8, behind: &[u8]| {
        let sized = |len: usize| [u16::try_from(len).unwrap().to_be_bytes().as_slice(), &vec![5; len]].concat();
        let object = [[2; 34].as_slice(), &[flags, 0x80, 0, 1], &sized(public), &sized(private), behind].concat();
        SealedRoot::parse(&made(3, &id(), &object, &[7; 32], &[9; 32])).map(|read| read.kind().clone())
    };
    let Kind::Tpm(object) = parse(512, 1024, 1, &[]).unwrap() else { panic!("a TPM's") };
    assert_eq!((object.has_pin(), object.registers().numbers()), (true, vec![7, 16]));
    for (public, private, flags, behind) in [
        (513, 1024, 0, [].as_slice()),
        (512, 1025, 0, &[]),
        (46, 190, 0, &[0]),
        (46, 190, 2, &[]),
        (46, 190, 0x81, &[]),
    ] {
        assert_eq!(parse(public, private, flags, behind), Err(UnsealError::Parameters { kind: 3 }));
    }
}

/// A passphrase just long enough to seal with seals, and no two seals have a salt or a nonce in common.
#[test]
fn the_shortest_passphrase_seals() {
    let shortest = passphrase("twelve chars");
    assert_eq!(shortest.octets().len(), 12);
    let one = shortest.seal(&root(7), &mut seeded(1)).unwrap();
    assert_eq!(shortest.open(&one).unwrap(), root(7));
    let octets = one.to_bytes();
    let other =
        Passphrase::new(Zeroizing::new(b"twelve chars\r\n".to_vec())).map_err(|error| error.to_string()).unwrap();
    assert_eq!(other.open(&one).unwrap(), root(7));
    let again = sealed(7).to_bytes();
    assert_ne!((&octets[41..73], &octets[73..85]), (&again[41..73], &again[73..85]));
}

/// What a TPM answers, as it is read: whole, of the size that it says and no longer, under the tag it has to have; and its refusals,
/// each of which asks for somebody else to act (TPM 2.0 Library, Part 2, 6.6).
#[test]
fn answers_are_read_strictly() {
    let answer = |tag: u16, len: u32, code: u32, body: &[u8]| {
        [tag.to_be_bytes().as_slice(), &len.to_be_bytes(), &code.to_be_bytes(), body].concat()
    };
    let whole = |code: u32, body: &[u8]| answer(0x8002, 10 + u32::try_from(body.len()).unwrap(), code, body);
    let right = [[1, 2, 3, 4, 0, 0, 0, 2].as_slice(), b"ab", b"area"].concat();
    assert_eq!(read_answer(&whole(0, &right)), Ok(()));
    assert_eq!(read_answer(&answer(0x8001, 24, 0, &right)), Err(TpmError::Malformed), "no sessions");
    for len in [23, 25, 0, u32::MAX] {
        assert_eq!(read_answer(&answer(0x8002, len, 0, &right)), Err(TpmError::Malformed), "{len}");
    }
    let most = [right.as_slice(), &vec![0; 4096 - 10 - right.len()]].concat();
    assert_eq!(read_answer(&whole(0, &most)), Ok(()));
    assert_eq!(read_answer(&whole(0, &[most.as_slice(), &[0]].concat())), Err(TpmError::Malformed));
    for len in 0..18 {
        assert_eq!(read_answer(&whole(0, &right)[..len]), Err(TpmError::Malformed), "{len}");
    }
    for (code, error) in [
        (0x98e, TpmError::Pin),
        (0x08e, TpmError::Pin),
        (0x9a2, TpmError::Pin),
        (0x99d, TpmError::Pcr),
        (0x128, TpmError::Pcr),
        (0x1df, TpmError::Altered),
        (0x921, TpmError::Lockout),
        (0x922, TpmError::Refused(0x922)),
        (0x101, TpmError::Refused(0x101)),
        (0x18b, TpmError::Refused(0x18b)),
        // Of format zero, where the same bits say something else.
        (0x10e, TpmError::Refused(0x10e)),
        (0x11d, TpmError::Refused(0x11d)),
        (0x11f, TpmError::Refused(0x11f)),
    ] {
        assert_eq!(read_answer(&whole(code, &[])), Err(error), "{code:03x}");
    }
}
