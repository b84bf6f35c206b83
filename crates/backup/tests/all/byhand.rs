//! The octets of a backup, made and opened here from the drawing in docs/store-format.md alone. So what is written is what is drawn;
//! and who has the keys, and makes a backup otherwise, is refused too.

use std::io::Cursor;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use skerry_backup::{About, Backup, ReadError, Writer};
use skerry_store::stamp::Kind;

use crate::fixtures::*;

const TRAILER: usize = 72;
/// Where the first recipient is, and what of it is in front of its wrapped key.
const FIRST: usize = 138;
const RECIPIENT_HEAD: usize = 67;

struct Octets(usize);

impl KeyType for Octets {
    fn len(&self) -> usize {
        self.0
    }
}

fn hkdf(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> [u8; 32] {
    let mut key = [0; 32];
    Salt::new(HKDF_SHA256, salt).extract(secret).expand(info, Octets(32)).unwrap().fill(&mut key).unwrap();
    key
}

fn sha256(octets: &[u8]) -> [u8; 32] {
    digest(&SHA256, octets).as_ref().try_into().unwrap()
}

fn gcm(key: [u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap())
}

/// A backup of which the keys are known.
struct Forge {
    header: Vec<u8>,
    data_key: [u8; 32],
}

impl Forge {
    /// Of a backup to the RSA key of the fixtures, first of all.
    fn of(file: &[u8]) -> Forge {
        let len = u32::from_be_bytes(file[12..16].try_into().unwrap()) as usize;
        let wrapped = wrapped_key(file);
        let key = OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(&rsa().pkcs8).unwrap()).unwrap();
        let mut out = vec![0; key.min_output_size()];
        let data_key = key.decrypt(&OAEP_SHA256_MGF1SHA256, &wrapped, &mut out, None).unwrap();
        Forge { header: file[..len].to_vec(), data_key: (&*data_key).try_into().unwrap() }
    }

    fn key(&self, info: &[u8]) -> [u8; 32] {
        hkdf(&sha256(&self.header), &self.data_key, &[info])
    }

    fn nonce(index: u64, last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[3..11].copy_from_slice(&index.to_be_bytes());
        nonce[11] = u8::from(last);
        Nonce::assume_unique_for_key(nonce)
    }

    fn sealed(&self, index: u64, last: bool, plain: &[u8]) -> Vec<u8> {
        let len = u32::try_from(plain.len() + 16).unwrap().to_be_bytes();
        let head = [[u8::from(last)].as_slice(), &len].concat();
        let aad = [sha256(&self.header).as_slice(), &head].concat();
        let mut text = plain.to_vec();
        let key = gcm(self.key(b"skerry backup chunks"));
        key.seal_in_place_append_tag(Self::nonce(index, last), Aad::from(aad), &mut text).unwrap();
        [head, text].concat()
    }

    /// The plaintexts of a backup's chunks, each with whether it says that it is the last.
    fn opened(&self, file: &[u8]) -> Vec<(bool, Vec<u8>)> {
        let (mut rest, mut chunks) = (&file[self.header.len()..file.len() - TRAILER], Vec::new());
        while !rest.is_empty() {
            let (head, after) = rest.split_at(5);
            let (text, after) = after.split_at(u32::from_be_bytes(head[1..].try_into().unwrap()) as usize);
            let aad = [sha256(&self.header).as_slice(), head].concat();
            let (index, last) = (u64::try_from(chunks.len()).unwrap(), head[0] == 1);
            let mut text = text.to_vec();
            let key = gcm(self.key(b"skerry backup chunks"));
            let plain = key.open_in_place(Self::nonce(index, last), Aad::from(aad), &mut text).unwrap();
            chunks.push((last, plain.to_vec()));
            rest = after;
        }
        chunks
    }

    /// A file of these chunks, with a trailer that fits.
    fn file(&self, chunks: &[(bool, Vec<u8>)]) -> Vec<u8> {
        let mut file = self.header.clone();
        for (index, (last, plain)) in (0..).zip(chunks) {
            file.extend(self.sealed(index, *last, plain));
        }
        let digest = sha256(&file);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.key(b"skerry backup whole")), &digest);
        [file.as_slice(), b"SKERRYBE", &digest, tag.as_ref()].concat()
    }

    /// The same, with an end behind that says what is right of these.
    fn ended(&self, chunks: &[Vec<u8>], [entries, ops, log]: [u64; 3]) -> Vec<u8> {
        let mut chunks: Vec<_> = chunks.iter().map(|plain| (false, plain.clone())).collect();
        chunks.push((true, end(&chunks, [entries, ops, log])));
        self.file(&chunks)
    }
}

fn end(chunks: &[(bool, Vec<u8>)], counts: [u64; 3]) -> Vec<u8> {
    let framed = |plain: &Vec<u8>| [u32::try_from(plain.len()).unwrap().to_be_bytes().as_slice(), plain].concat();
    let plain: Vec<u8> = chunks.iter().flat_map(|(_, plain)| framed(plain)).collect();
    [[5].as_slice(), &counts.map(u64::to_be_bytes).concat(), &sha256(&plain)].concat()
}

fn wrapped_key(file: &[u8]) -> Vec<u8> {
    let len = u16::from_be_bytes(file[FIRST + 65..FIRST + RECIPIENT_HEAD].try_into().unwrap());
    file[FIRST + RECIPIENT_HEAD..FIRST + RECIPIENT_HEAD + usize::from(len)].to_vec()
}

/// Root, entries, op ids, log: what the small backup has, its end apart.
fn parts(forge: &Forge, file: &[u8]) -> [Vec<u8>; 4] {
    let plain: Vec<_> = forge.opened(file).into_iter().map(|(_, plain)| plain).collect();
    plain[..4].to_vec().try_into().unwrap()
}

const COUNTS: [u64; 3] = [2, 2, LOG.len() as u64];

fn refusal(file: &[u8]) -> Option<ReadError> {
    read(file, &rsa().key()).err()
}

/// What is written is what is drawn, to the octet: keys, nonces, associated data, plaintexts, trailer.
#[test]
fn backups_are_as_they_are_drawn() {
    let file = small(&[rsa().recipient(), p256().recipient()]);
    let forge = Forge::of(&file);
    let chunks = forge.opened(&file);
    assert_eq!(forge.file(&chunks), file);
    let kinds: Vec<_> = chunks.iter().map(|(last, plain)| (*last, plain[0])).collect();
    assert_eq!(kinds, [(false, 1), (false, 2), (false, 3), (false, 4), (true, 5)]);
    assert_eq!(chunks[0].1[1..], [9; 32]);
    assert_eq!(chunks[3].1[1..], *LOG);
    assert_eq!(forge.ended(&parts(&forge, &file), COUNTS), file);
    assert_eq!((&file[48..49], &file[138..170]), ([2].as_slice(), rsa().recipient().certificate().as_slice()));
}

/// Each backup has a data key of its own, of whatever gives randomness.
#[test]
fn data_keys_are_fresh() {
    let of = |seed: u8| {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        Forge::of(&write(Vec::new(), &rows(), &[rsa().recipient()], &mut rng).unwrap().0).data_key
    };
    let keys = [of(1), of(2), [0; 32]];
    assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
}

/// The data key under what two points agree on, as drawn.
#[test]
fn agreed_keys_are_as_they_are_drawn() {
    let custodian = p256();
    let file = small(&[custodian.recipient(), rsa().recipient()]);
    let wrapped = wrapped_key(&file);
    assert_eq!(wrapped.len(), 65 + 32 + 16);
    let own = PrivateKey::from_private_key_der(&ECDH_P256, &custodian.pkcs8).unwrap();
    let point = own.compute_public_key().unwrap();
    let info = [b"skerry backup recipient".as_slice(), &wrapped[..65], point.as_ref()].concat();
    let peer = UnparsedPublicKey::new(&ECDH_P256, &wrapped[..65]);
    let key = agree(&own, peer, (), |x| Ok(hkdf(&[], x, &[&info]))).unwrap();
    let mut text = wrapped[65..].to_vec();
    let data_key = gcm(key).open_in_place(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut text).unwrap();
    let len = u32::from_be_bytes(file[12..16].try_into().unwrap()) as usize;
    let forge = Forge { header: file[..len].to_vec(), data_key: (&*data_key).try_into().unwrap() };
    assert_eq!(forge.file(&forge.opened(&file)), file);
}

/// Kinds come in their order, each as often as it may: by whoever has the keys, too.
#[test]
fn forged_orders_are_refused() {
    let file = small(&[rsa().recipient()]);
    let forge = Forge::of(&file);
    let [root, entries, ops, log] = parts(&forge, &file);
    let content = |index, what| Some(ReadError::Content { index, what });
    let of = |chunks: &[&Vec<u8>]| refusal(&forge.ended(&chunks.iter().copied().cloned().collect::<Vec<_>>(), COUNTS));
    assert_eq!(of(&[&root, &entries, &ops, &log]), None, "the control");
    assert_eq!(of(&[&root, &ops, &entries, &log]), content(2, "its kind is not next"));
    assert_eq!(of(&[&root, &entries, &log, &ops]), content(3, "its kind is not next"));
    assert_eq!(of(&[&root, &root, &entries, &ops, &log]), content(1, "its kind is not next"));
    assert_eq!(of(&[&root, &entries, &ops, &log, &root]), content(4, "its kind is not next"));
    assert_eq!(of(&[&entries, &ops, &log]), content(0, "no root"));
    // A chunk of another kind, with as many octets as a root.
    let log_of_32 = [[4].as_slice(), &[9; 32]].concat();
    assert_eq!(of(&[&log_of_32, &entries, &ops, &log]), content(0, "no root"));
    assert_eq!(of(&[&root[..32].to_vec(), &entries, &ops, &log]), content(0, "no root"));
    assert_eq!(of(&[&[root.as_slice(), &[0]].concat(), &entries, &ops, &log]), content(0, "no root"));
    assert_eq!(of(&[&root, &vec![6, 0], &entries, &ops, &log]), content(1, "its kind is not known"));
    assert_eq!(of(&[&root, &vec![2, 0], &ops, &log]), content(1, "its rows"));
}

/// The end is last, is the only one, and says of what came before what is so.
#[test]
fn forged_ends_are_refused() {
    let file = small(&[rsa().recipient()]);
    let forge = Forge::of(&file);
    let content = |index, what| Some(ReadError::Content { index, what });
    let chunks: Vec<_> = parts(&forge, &file).into_iter().map(|plain| (false, plain)).collect();
    let with = |more: &[(bool, Vec<u8>)]| refusal(&forge.file(&[chunks.as_slice(), more].concat()));
    let right = end(&chunks, COUNTS);
    assert_eq!(with(&[(true, right.clone())]), None, "the control");
    // One that does not say it is the last, with more behind it; another that says so and is no end.
    let odd = "an end that is not last";
    assert_eq!(with(&[(false, right.clone()), (true, right.clone())]), content(4, odd));
    assert_eq!(with(&[(true, [[4].as_slice(), LOG].concat())]), content(4, odd));
    // Counts and digest, each octet of them, one more, one less.
    let before = "counts and digest of what came before";
    for at in 1..right.len() {
        let mut altered = right.clone();
        altered[at] ^= 1;
        assert_eq!(with(&[(true, altered)]), content(4, before), "octet {at}");
    }
    assert_eq!(with(&[(true, right[..right.len() - 1].to_vec())]), content(4, before));
    assert_eq!(with(&[(true, [right.as_slice(), &[0]].concat())]), content(4, before));
    // Right of what came, which is not what the header says came.
    let header = "counts in the header";
    let [root, entries, ops, log] = parts(&forge, &file);
    let shorter = log[..log.len() - 1].to_vec();
    let [_, _, len] = COUNTS;
    let lacks = |chunks: &[&Vec<u8>], counts| {
        refusal(&forge.ended(&chunks.iter().copied().cloned().collect::<Vec<_>>(), counts))
    };
    assert_eq!(lacks(&[&root, &entries, &ops, &shorter], [2, 2, len - 1]), content(4, header));
    assert_eq!(lacks(&[&root, &entries, &ops], [2, 2, 0]), content(3, header));
    assert_eq!(lacks(&[&root, &entries, &log], [2, 0, len]), content(3, header));
    assert_eq!(lacks(&[&root, &ops, &log], [0, 2, len]), content(3, header));
}

/// A file that has other octets when it is read again is not believed for having been whole before.
#[test]
fn files_that_change_meanwhile_are_refused() {
    struct Twice(Vec<Cursor<Vec<u8>>>);
    impl std::io::Read for Twice {
        fn read(&mut self, octets: &mut [u8]) -> std::io::Result<usize> {
            self.0[0].read(octets)
        }
    }
    impl std::io::Seek for Twice {
        fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
            if to == std::io::SeekFrom::Start(0) {
                self.0.remove(0);
            }
            self.0[0].seek(to)
        }
    }
    let file = small(&[rsa().recipient()]);
    let header = u32::from_be_bytes(file[12..16].try_into().unwrap()) as usize;
    // In the header, a chunk, the trailer's magic, digest and tag.
    for (at, error) in [
        (20, Some(ReadError::Whole)),
        (header + 30, Some(ReadError::Chunk { index: 0 })),
        (file.len() - TRAILER + 3, Some(ReadError::Whole)),
        (file.len() - TRAILER + 8, Some(ReadError::Whole)),
        (file.len() - 1, Some(ReadError::Whole)),
        (file.len(), None),
    ] {
        let mut altered = file.clone();
        if let Some(octet) = altered.get_mut(at) {
            *octet ^= 1;
        }
        let twice = Twice([Vec::new(), file.clone(), altered].map(Cursor::new).into());
        let mut backup = Backup::open(twice, |_| ()).unwrap();
        let key = rsa().key();
        let found = backup.unlock(&key).and_then(|mut contents| {
            while contents.part()?.is_some() {}
            Ok(())
        });
        assert_eq!(found.err(), error, "octet {at}");
    }
}

/// Where a file is read from is its beginning, wherever whoever opened it had come to.
#[test]
fn files_are_read_from_their_beginning() {
    let mut file = Cursor::new(small(&[rsa().recipient()]));
    file.set_position(77);
    assert!(Backup::open(file, |_| ()).is_ok());
}

/// Both kinds of store, as many recipients as there may be, and a wrapped key as long as it may be.
#[test]
fn headers_of_all_sizes_are_read() {
    let dev = About { kind: Kind::Dev, ..about(0, 0) };
    let mut recipients = vec![rsa().recipient()];
    recipients.extend((1..16).map(|_| p256().recipient()));
    let file = Writer::new(Vec::new(), dev.clone(), &recipients, &root(), &mut rng()).unwrap().finish().unwrap().0;
    let backup = Backup::open(Cursor::new(&file), |_| ()).unwrap();
    assert_eq!((backup.about(), backup.recipients().len(), file[48]), (&dev, 16, 1));
    assert_eq!(refusal(&file), None);
    // The wrapped key of an RSA key of 8192 bits has 1024 octets, and none is longer.
    let file = small(&[rsa().recipient()]);
    let of = |len: u16| {
        let header = [&file[..FIRST + 65], &len.to_be_bytes(), &vec![7; usize::from(len)]].concat();
        let mut forge = Forge::of(&file);
        forge.header = header;
        let all = u32::try_from(forge.header.len()).unwrap();
        forge.header[12..16].copy_from_slice(&all.to_be_bytes());
        refusal(&forge.ended(&parts(&Forge::of(&file), &file), COUNTS))
    };
    assert_eq!(of(1024), Some(ReadError::DataKey));
    assert_eq!(of(1025), Some(ReadError::Header { what: "a wrapped key is too long" }));
}

/// A chunk as long as one may be is read; one octet more and it is not waited for.
#[test]
fn chunks_of_all_sizes_are_read() {
    let file = small(&[rsa().recipient()]);
    let forge = Forge::of(&file);
    let [root, ..] = parts(&forge, &file);
    let most = skerry_backup::limits::CHUNK_LEN_MAX - 16;
    let of = |len: usize| {
        let log = [[4].as_slice(), &vec![0; len - 1]].concat();
        refusal(&forge.ended(&[root.clone(), log], [0, 0, u64::try_from(len - 1).unwrap()]))
    };
    // Which is not what the header says, so that it is told at the end.
    assert_eq!(of(most), Some(ReadError::Content { index: 2, what: "counts in the header" }));
    assert_eq!(of(most + 1), Some(ReadError::ChunkForm { index: 1 }));
}

/// A data key of another length, wrapped as one is, is none.
#[test]
fn data_keys_have_a_length() {
    let file = small(&[rsa().recipient()]);
    let forge = Forge::of(&file);
    let public = PrivateDecryptingKey::from_pkcs8(&rsa().pkcs8).unwrap().public_key();
    let public = OaepPublicEncryptingKey::new(public).unwrap();
    let of = |octets: &[u8]| {
        let mut wrapped = vec![0; public.ciphertext_size()];
        public.encrypt(&OAEP_SHA256_MGF1SHA256, octets, &mut wrapped, None).unwrap();
        let header = [&file[..FIRST + RECIPIENT_HEAD], &wrapped].concat();
        let data_key = forge.data_key;
        refusal(&Forge { header, data_key }.ended(&parts(&forge, &file), COUNTS))
    };
    assert_eq!(of(&forge.data_key), None, "the control");
    let longer = [forge.data_key.as_slice(), &[0]].concat();
    for octets in [&forge.data_key[..31], &longer, &[]] {
        assert_eq!(of(octets), Some(ReadError::DataKey), "{} octets", octets.len());
    }
}
