//! Where a key is: in strict custody, with the token in another process, nowhere in the memory of this one.
//!
//! A process holds keys: makes them, signs with them, releases them. The test around it knows what nobody else does, the token's
//! roots, which it put there; so it opens the records that the process wrote, has the keys in the clear, and looks for them in
//! all memory of the process that can be read. In software custody it finds them, by the same way.

use crate::fixtures::{audit, binding, custody, permit_for, rng};
use crate::place::{MODULE, PIN, Place, alone, settings};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use cryptoki::object::{Attribute, KeyType as InKeyType, ObjectClass};
use der::{Reader as _, SliceReader};
use rand_chacha::rand_core::Rng as _;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::traits::PrivateKeyParts as _;
use skerry_audit::Event;
use skerry_keys::{
    Binding, Curve, Custody, ExportableKey, KeyType, OctBits, OpenedKey, RsaBits, SignAlgorithm, Software, Strict,
    WrapAlgorithm, release,
};
use skerry_keywrap::Algorithm;
use skerry_pkcs11::Token;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use zeroize::Zeroizing;

const KEK: [u8; 32] = [0x66; 32];
const KEK_ID: [u8; 16] = [0xdd; 16];
const LEAVES: [u8; 32] = *b"the root of keys that may leave.";
const HELD: [KeyType; 3] =
    [KeyType::Rsa { bits: RsaBits::B2048 }, KeyType::Ec { curve: Curve::P256 }, KeyType::Oct { bits: OctBits::B256 }];

/// In strict custody nothing of a key is in the process, while and after it signs with it and releases it; in software custody it is.
#[test]
#[ignore = "needs softhsm2"]
fn keys_are_in_the_token_alone() {
    alone("memory::keys_are_in_the_token_alone", |place| {
        place.init("one");
        put_roots();
        place.relay();
        let held = Held::start("strict", place);
        assert_eq!(held.search(2), ["marker"], "the search works in that process, and finds no key");
        drop(held);
        let held = Held::start("software", place);
        let found = held.search(1);
        for expected in ["marker", "RSA", "EC", "oct"] {
            assert!(found.contains(&expected), "the control: {expected} not in {found:?}");
        }
    });
}

/// The process that holds keys: nothing to do when it is run for itself.
#[test]
#[ignore = "needs softhsm2"]
fn holder() {
    let Ok(kind) = std::env::var(HOLD) else { return };
    let kek = || (Zeroizing::new(KEK), KEK_ID);
    let held = match kind.as_str() {
        "strict" => {
            let module = std::env::var_os(RELAY).unwrap().into();
            let token = Token::open(settings(module, "one", None, PIN)).unwrap();
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            assert!(maps.contains("relay.so") && !maps.contains("softhsm"), "the token is elsewhere");
            Custody::Strict(Strict::new(Arc::new(token), kek(), *custody().kek_id()))
        }
        _ => Custody::Software(Box::new(Software::new(kek().0, kek().1))),
    };
    let mut keys: Vec<OpenedKey> = Vec::new();
    let mut seed = rng();
    seed.fill_bytes(&mut [0; 8]);
    for key_type in HELD {
        let binding = binding(key_type);
        let (_, sealed) = held.generate(binding, &mut seed).unwrap();
        let opened = held.open_for_use(&sealed, &binding).unwrap();
        for _ in 0..3 {
            use_once(&opened);
        }
        let permit = permit_for(binding.key);
        let recorded = audit().record(Event::Release, permit.digest());
        let key = ExportableKey::new(&sealed, &binding).unwrap();
        release(&held, key, permit, recorded, Algorithm::CkmRsaAesKeyWrap, &mut seed).unwrap();
        println!("\nkey {}", hex::encode(sealed.as_bytes()));
        keys.push(opened);
    }
    let mut marker = [0; 32];
    seed.fill_bytes(&mut marker);
    println!("\nmarker {}", hex::encode(marker.map(|octet| !octet)));
    // Until the other has looked.
    let _ = std::io::stdin().read(&mut [0; 1]).unwrap();
    for (key, marker) in keys.iter().zip(marker) {
        use_once(key);
        std::hint::black_box(marker);
    }
}

fn use_once(key: &OpenedKey) {
    match key.key_type() {
        KeyType::Rsa { .. } => drop(key.sign(SignAlgorithm::Ps256, &[1; 32], &mut rng()).unwrap()),
        KeyType::Ec { .. } => drop(key.sign(SignAlgorithm::Es256, &[1; 32], &mut rng()).unwrap()),
        _ => drop(key.wrap(WrapAlgorithm::A256Kw, &[1; 32]).unwrap()),
    }
}

/// Roots that this test knows, where `skerry hsm init` makes such as nobody knows.
fn put_roots() {
    let library = cryptoki::context::Pkcs11::new(MODULE).unwrap();
    let flags = cryptoki::context::CInitializeFlags::OS_LOCKING_OK;
    library.initialize(cryptoki::context::CInitializeArgs::new(flags)).unwrap();
    let session = library.open_rw_session(library.get_slots_with_initialized_token().unwrap()[0]).unwrap();
    session.login(cryptoki::session::UserType::User, Some(&cryptoki::types::AuthPin::new(PIN.into()))).unwrap();
    for (label, value, wraps) in
        [("skerry seal 1", [1; 32], false), ("skerry stays 1", [2; 32], true), ("skerry leaves 1", LEAVES, true)]
    {
        let mut template = vec![
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(InKeyType::AES),
            Attribute::Label(label.into()),
            Attribute::Id(vec![9; 16]),
            Attribute::Value(value.to_vec()),
        ];
        let flags = [Attribute::Token(true), Attribute::Private(true), Attribute::Sensitive(true)];
        template.extend(flags.into_iter().chain([Attribute::Extractable(false)]));
        template.extend([Attribute::Wrap(wraps), Attribute::Unwrap(wraps)]);
        template.extend([Attribute::Encrypt(!wraps), Attribute::Decrypt(!wraps)]);
        session.create_object(&template).unwrap();
    }
}

/// A process that holds keys, and what to look for in it.
struct Held {
    child: Child,
    records: Vec<Vec<u8>>,
    marker: Vec<u8>,
}

impl Held {
    fn start(kind: &str, place: &Place) -> Held {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "memory::holder", "--include-ignored", "--nocapture"])
            .env(HOLD, kind)
            .env(RELAY, place.path().join("relay.so"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut held = Held { child, records: Vec::new(), marker: Vec::new() };
        let mut said = String::new();
        for line in BufReader::new(held.child.stdout.take().unwrap()).lines().map(Result::unwrap) {
            if let Some(record) = line.strip_prefix("key ") {
                held.records.push(hex::decode(record).unwrap());
            }
            if let Some(marker) = line.strip_prefix("marker ") {
                held.marker = hex::decode(marker).unwrap().into_iter().map(|octet| !octet).collect();
                return held;
            }
            said.push_str(&line);
        }
        panic!("{said}")
    }

    /// What of the keys, or of the marker, is in the memory of the process.
    fn search(&self, number: u8) -> Vec<&'static str> {
        let mut patterns = vec![("marker", self.marker.clone())];
        for (record, key_type) in self.records.iter().zip(HELD) {
            let sealed = opened_record(record, &binding(key_type), number);
            let plain = if number == 2 { opened_blob(&sealed) } else { sealed };
            patterns.extend(parts(key_type, &plain));
        }
        search(self.child.id(), &patterns)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.child.stdin.take().map(|mut stdin| stdin.write_all(b"\n"));
        let _ = self.child.wait();
    }
}

/// By the drawing at the head of `custody.rs`, in other words than its code.
fn opened_record(record: &[u8], binding: &Binding, number: u8) -> Vec<u8> {
    let (head, ciphertext) = record.split_at(61);
    let place = [binding.key.vault.as_bytes().as_slice(), binding.key.key.as_bytes(), &binding.key.version.0].concat();
    let aad = [&head[..17], &place, &binding.key_type.tag(), &[u8::from(binding.exportable), number, 0, 0]].concat();
    let mut key = [0; 32];
    let label = [b"skerry material key".as_slice(), &place];
    let prk = Salt::new(HKDF_SHA256, &head[17..49]).extract(&KEK);
    prk.expand(&label, HKDF_SHA256).unwrap().fill(&mut key).unwrap();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
    let mut text = ciphertext.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(&head[49..]).unwrap();
    key.open_in_place(nonce, Aad::from(aad), &mut text).unwrap().to_vec()
}

/// Format, root, and what the root has wrapped.
fn opened_blob(blob: &[u8]) -> Vec<u8> {
    assert_eq!((blob[0], &blob[1..17]), (1, [9; 16].as_slice()));
    let mut out = vec![0; blob.len()];
    let kek = AesKek::new(&AES_256, &LEAVES).unwrap();
    kek.unwrap_with_padding(&blob[17..], &mut out).unwrap().to_vec()
}

/// The secret numbers of a key, whole and in pieces, from either end: as a document has them, and as limbs do.
fn parts(key_type: KeyType, plain: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let document = |octets| SliceReader::new(octets).unwrap().tlv_bytes().unwrap().to_vec();
    let (name, numbers) = match key_type {
        KeyType::Rsa { .. } => {
            let key = rsa::PrivateKey::from_pkcs8_der(&document(plain)).unwrap();
            let octets = |number: &rsa::BoxedUint| number.to_be_bytes_trimmed_vartime().to_vec();
            let mut numbers: Vec<_> = key.primes().iter().map(|prime| octets(prime)).collect();
            numbers.extend([octets(key.d()), octets(key.dp().unwrap()), octets(key.dq().unwrap())]);
            ("RSA", numbers)
        }
        // ECPrivateKey: the scalar follows its version.
        KeyType::Ec { .. } => {
            let at = plain.windows(5).position(|octets| octets == [2, 1, 1, 4, 32]).unwrap();
            ("EC", vec![plain[at + 5..at + 37].to_vec()])
        }
        _ => ("oct", vec![plain.to_vec()]),
    };
    let pieces = |number: Vec<u8>| {
        let reversed: Vec<u8> = number.iter().rev().copied().collect();
        [number, reversed].map(|order| order.chunks_exact(32).map(<[u8]>::to_vec).collect::<Vec<_>>()).concat()
    };
    numbers.into_iter().flat_map(pieces).map(|piece| (name, piece)).collect()
}

fn search(process: u32, patterns: &[(&'static str, Vec<u8>)]) -> Vec<&'static str> {
    let word = |octets: &[u8]| u64::from_ne_bytes(*octets.first_chunk().unwrap());
    let mut by_start: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, (_, octets)) in patterns.iter().enumerate() {
        by_start.entry(word(octets)).or_default().push(at);
    }
    // Most places are passed over by two octets.
    let mut begins = vec![false; 1 << 16];
    for (_, octets) in patterns {
        begins[usize::from(u16::from_ne_bytes([octets[0], octets[1]]))] = true;
    }
    let mut counts = vec![0_usize; patterns.len()];
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut read = 0;
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        if !rest.starts_with('r') || rest.ends_with("[vvar]") || rest.ends_with("[vsyscall]") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut octets = vec![0; usize::try_from(to - from).unwrap()];
        if memory.read_exact_at(&mut octets, from).is_err() {
            assert!(rest.contains("[vvar"), "unread: {line}");
            continue;
        }
        // Pages that were never written are zeros, which nothing looked for begins with.
        read += octets.len();
        for (at, two) in octets.windows(2).enumerate().take(octets.len().saturating_sub(8)) {
            if two == [0, 0] || !begins[usize::from(u16::from_ne_bytes([two[0], two[1]]))] {
                continue;
            }
            for pattern in by_start.get(&word(&octets[at..])).into_iter().flatten() {
                counts[*pattern] += usize::from(octets[at..].starts_with(&patterns[*pattern].1));
            }
        }
    }
    assert!(read > 1 << 20, "{read} octets are not the memory of a process");
    let mut found: Vec<_> = patterns.iter().zip(counts).filter(|(_, count)| *count > 0).map(|(one, _)| one.0).collect();
    found.dedup();
    found
}

const HOLD: &str = "SKERRY_TEST_HOLD";
const RELAY: &str = "SKERRY_TEST_RELAY";
