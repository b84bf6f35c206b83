//! Whether the time of a refusal tells why: ciphertexts that fail in different ways, timed in turns.
//!
//! For each scheme, ciphertexts of several kinds take turns in random order, from one place in memory; the faster half
//! of each kind's times is held against that of all other failing kinds by Welch's t (as dudect does; Reparaz, Balasch,
//! Verbauwhede 2017). Above 4.5 in size a difference is there, below it none was seen in so many samples, which is not
//! that there is none. Of the kind in which nothing is right there are two, which differ in nothing: their t is what
//! the measurement itself makes up. What opens is shown for comparison only: the answer tells it anyway.
//!
//! `cargo bench -p skerry-keys --bench padding` measures, `-- 20000` so often for each kind. Without `--bench`
//! (`cargo test --benches`) each kind runs a few times. A large t is printed and never fails the run.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)] // what is printed is the purpose

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rsa::BoxedUint;
use rsa::traits::PublicKeyParts;
use skerry_keys::{
    Binding, CipherError, EncryptAlgorithm, ImportKey, KeyType, OctBits, OpenedKey, PublicKey, RsaBits, Software,
    WrapAlgorithm,
};
use skerry_policy::permit::{KeyRef, Version};
use std::hint::black_box;
use std::time::Instant;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Different ciphertexts of one kind, so that no single value is measured.
const VARIANTS: usize = 64;

/// A kind of ciphertext: its name, whether it opens, and some of it.
struct Kind {
    name: &'static str,
    opens: bool,
    inputs: Vec<Vec<u8>>,
}

fn main() {
    let asked = std::env::args().filter_map(|arg| arg.parse().ok()).next();
    let measured = std::env::args().any(|arg| arg == "--bench");
    let samples = asked.unwrap_or(if measured { 10_000 } else { 20 });
    let mut rng = ChaCha20Rng::from_seed([23; 32]);
    println!("{samples} samples of each kind; t between failing kinds, |t| > 4.5 is a difference\n");
    rsa(samples, &mut rng);
    symmetric(samples, &mut rng);
}

fn rsa(samples: usize, rng: &mut ChaCha20Rng) {
    let binding = binding(KeyType::Rsa { bits: RsaBits::B2048 });
    let (public, sealed) = custody().generate(binding, rng).unwrap();
    let key = custody().open_for_use(&sealed, &binding).unwrap();
    let PublicKey::Rsa { n, e } = public else { return };
    let number = |octets: &[u8]| BoxedUint::from_be_slice_vartime(octets);
    let oracle = rsa::PublicKey::new(number(&n), number(&e)).unwrap();
    let raw = |encoded: &[u8]| {
        let message = BoxedUint::from_be_slice(encoded, oracle.n().as_ref().bits_precision()).unwrap();
        rsa::hazmat::rsa_encrypt(&oracle, &message).unwrap().to_be_bytes().to_vec()
    };
    let schemes = [
        (EncryptAlgorithm::Rsa15, None),
        (EncryptAlgorithm::RsaOaep, Some(&SHA1_FOR_LEGACY_USE_ONLY)),
        (EncryptAlgorithm::RsaOaep256, Some(&SHA256)),
    ];
    for (algorithm, hash) in schemes {
        let encodings = match hash {
            None => pkcs1(rng),
            Some(hash) => oaep(hash, rng),
        };
        let kinds: Vec<Kind> = encodings
            .into_iter()
            .map(|kind| Kind { inputs: kind.inputs.iter().map(|encoded| raw(encoded)).collect(), ..kind })
            .collect();
        let open = |input: &[u8]| key.decrypt(algorithm, input, None, None, None).map(drop);
        measure(algorithm.as_str(), &kinds, samples, rng, open);
    }
}

/// So many octets, none of them zero.
fn filler(rng: &mut ChaCha20Rng, len: usize) -> Vec<u8> {
    let mut octets = vec![0; len];
    rng.fill_bytes(&mut octets);
    octets.iter_mut().for_each(|octet| *octet |= 1);
    octets
}

fn kind(name: &'static str, opens: bool, mut make: impl FnMut() -> Vec<u8>) -> Kind {
    Kind { name, opens, inputs: (0..VARIANTS).map(|_| make()).collect() }
}

/// Encoded messages of RFC 8017, 7.2.1, right and wrong.
fn pkcs1(rng: &mut ChaCha20Rng) -> Vec<Kind> {
    let mut encoded = |first: u8, block: u8, separator: Option<usize>| {
        let mut octets = [&[first, block][..], &filler(rng, 254)].concat();
        if let Some(at) = separator {
            octets[at] = 0;
        }
        octets
    };
    vec![
        kind("opens", true, || encoded(0, 2, Some(223))),
        kind("leading octet", false, || encoded(1, 2, Some(223))),
        kind("block type", false, || encoded(0, 1, Some(223))),
        kind("no separator", false, || encoded(0, 2, None)),
        kind("early separator", false, || encoded(0, 2, Some(5))),
        kind("nothing right", false, || encoded(0x55, 0x55, None)),
        kind("nothing, again", false, || encoded(0x55, 0x55, None)),
    ]
}

/// Encoded messages of RFC 8017, 7.1.1, right and wrong.
fn oaep(hash: &'static Algorithm, rng: &mut ChaCha20Rng) -> Vec<Kind> {
    let len = hash.output_len();
    let mut encoded = |first: u8, label: u8, padding: u8, separator: u8| {
        let mut seed = filler(rng, len);
        let zeros = vec![padding; 256 - 2 * len - 2 - 32];
        let mut data = [digest(hash, b"").as_ref(), &zeros, &[separator], &filler(rng, 32)].concat();
        data[0] ^= label;
        mask(hash, &seed, &mut data);
        mask(hash, &data, &mut seed);
        [&[first], seed.as_slice(), &data].concat()
    };
    vec![
        kind("opens", true, || encoded(0, 0, 0, 1)),
        kind("leading octet", false, || encoded(1, 0, 0, 1)),
        kind("label", false, || encoded(0, 1, 0, 1)),
        kind("padding", false, || encoded(0, 0, 2, 1)),
        kind("separator", false, || encoded(0, 0, 0, 2)),
        kind("nothing right", false, || encoded(0x55, 1, 2, 2)),
        kind("nothing, again", false, || encoded(0x55, 1, 2, 2)),
    ]
}

/// MGF1 (RFC 8017, B.2.1).
fn mask(hash: &'static Algorithm, seed: &[u8], part: &mut [u8]) {
    for (count, chunk) in (0u32..).zip(part.chunks_mut(hash.output_len())) {
        let block = digest(hash, &[seed, &count.to_be_bytes()].concat());
        chunk.iter_mut().zip(block.as_ref()).for_each(|(octet, mask)| *octet ^= mask);
    }
}

fn symmetric(samples: usize, rng: &mut ChaCha20Rng) {
    let iv = [7; 16];
    for bits in [OctBits::B192, OctBits::B256] {
        let key = symmetric_key(bits, rng);
        let (cbc, pad, kw, kwp) = match bits {
            OctBits::B192 => (
                EncryptAlgorithm::A192Cbc,
                EncryptAlgorithm::A192CbcPad,
                WrapAlgorithm::A192Kw,
                WrapAlgorithm::A192KwPad,
            ),
            _ => (
                EncryptAlgorithm::A256Cbc,
                EncryptAlgorithm::A256CbcPad,
                WrapAlgorithm::A256Kw,
                WrapAlgorithm::A256KwPad,
            ),
        };
        let kinds = cbc_kinds(&key, cbc, &iv, rng);
        measure(pad.as_str(), &kinds, samples, rng, |input| key.decrypt(pad, input, Some(&iv), None, None).map(drop));
        for algorithm in [kw, kwp] {
            let kinds = wrapped_kinds(&key, algorithm, rng);
            measure(algorithm.as_str(), &kinds, samples, rng, |input| key.unwrap(algorithm, input).map(drop));
        }
    }
}

/// Texts of eight blocks whose padding is right or wrong.
fn cbc_kinds(key: &OpenedKey, cbc: EncryptAlgorithm, iv: &[u8], rng: &mut ChaCha20Rng) -> Vec<Kind> {
    let mut of = |last: [u8; 16]| {
        let text = [filler(rng, 112).as_slice(), &last].concat();
        key.encrypt(cbc, &text, Some(iv), None, &mut ChaCha20Rng::from_seed([1; 32])).unwrap().ciphertext
    };
    let mut first_wrong = [16; 16];
    first_wrong[0] = 9;
    let mut second_last_wrong = [16; 16];
    second_last_wrong[14] = 9;
    vec![
        kind("opens", true, || of([16; 16])),
        kind("length 0", false, || of([0; 16])),
        kind("length 200", false, || of([200; 16])),
        kind("200, again", false, || of([200; 16])),
        kind("farthest octet", false, || of(first_wrong)),
        kind("nearest octet", false, || of(second_last_wrong)),
    ]
}

/// Wrapped keys of 32 octets, right, or changed in one place or all over.
fn wrapped_kinds(key: &OpenedKey, algorithm: WrapAlgorithm, rng: &mut ChaCha20Rng) -> Vec<Kind> {
    let mut of = |changed: &[usize]| {
        let mut wrapped = key.wrap(algorithm, &filler(rng, 32)).unwrap();
        changed.iter().for_each(|at| wrapped[*at] ^= 0x11);
        wrapped
    };
    let all: Vec<usize> = (0..40).collect();
    vec![
        kind("opens", true, || of(&[])),
        kind("first octet", false, || of(&[0])),
        kind("last octet", false, || of(&[39])),
        kind("nothing right", false, || of(&all)),
        kind("nothing, again", false, || of(&all)),
    ]
}

fn measure(
    name: &str,
    kinds: &[Kind],
    samples: usize,
    rng: &mut ChaCha20Rng,
    open: impl Fn(&[u8]) -> Result<(), CipherError>,
) {
    let mut times: Vec<Vec<f64>> = kinds.iter().map(|_| Vec::with_capacity(samples)).collect();
    let mut order: Vec<usize> = (0..kinds.len()).collect();
    let mut input = kinds[0].inputs[0].clone();
    for round in 0..samples {
        shuffle(&mut order, rng);
        for at in &order {
            input.copy_from_slice(&kinds[*at].inputs[round % VARIANTS]);
            let start = Instant::now();
            let verdict = black_box(open(black_box(&input)));
            let nanos = start.elapsed().as_secs_f64() * 1e9;
            let expected = if kinds[*at].opens { Ok(()) } else { Err(CipherError::Refused) };
            assert_eq!(verdict, expected, "{name}: {}", kinds[*at].name);
            times[*at].push(nanos);
        }
    }
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    println!("{name:<12}  {:<16} {:>12} {:>10} {:>10}", "kind", "median ns", "t of 1/2", "t of 9/10");
    let mut largest = [0.0_f64; 2];
    for (at, kind) in kinds.iter().enumerate() {
        let others = |keep: fn(&[f64]) -> &[f64]| -> Vec<f64> {
            let others = (0..kinds.len()).filter(|other| *other != at && !kinds[*other].opens);
            others.flat_map(|other| keep(&times[other]).to_vec()).collect()
        };
        let t = [half, most].map(|keep| welch(keep(&times[at]), &others(keep)));
        if !kind.opens {
            largest.iter_mut().zip(t).for_each(|(largest, t)| *largest = largest.max(t.abs()));
        }
        println!(
            "{:<12}  {:<16} {:>12.0} {:>10.2} {:>10.2}",
            "",
            kind.name,
            times[at][times[at].len() / 2],
            t[0],
            t[1]
        );
    }
    println!("{:<12}  largest |t| between failing kinds: {:.2}, {:.2}\n", "", largest[0], largest[1]);
}

/// Without the slower half: interrupts and other people's work.
fn half(times: &[f64]) -> &[f64] {
    &times[..times.len().div_ceil(2)]
}

/// Without the slowest tenth, should the difference be in the slower half.
fn most(times: &[f64]) -> &[f64] {
    &times[..times.len() - times.len() / 10]
}

fn welch(a: &[f64], b: &[f64]) -> f64 {
    let ((mean_a, error_a), (mean_b, error_b)) = (moments(a), moments(b));
    (mean_a - mean_b) / (error_a + error_b).sqrt()
}

/// Mean, and variance of the mean.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = f64::from(u32::try_from(values.len()).unwrap());
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, variance / count)
}

/// Fisher and Yates.
fn shuffle(order: &mut [usize], rng: &mut ChaCha20Rng) {
    for at in (1..order.len()).rev() {
        let other = usize::try_from(rng.next_u32()).unwrap() % (at + 1);
        order.swap(at, other);
    }
}

fn custody() -> Software {
    Software::new(Zeroizing::new([0x77; 32]), [0xee; 16])
}

fn binding(key_type: KeyType) -> Binding {
    let key = KeyRef { vault: Uuid::from_bytes([1; 16]), key: Uuid::from_bytes([2; 16]), version: Version([3; 16]) };
    Binding { key, key_type, exportable: false }
}

fn symmetric_key(bits: OctBits, rng: &mut ChaCha20Rng) -> OpenedKey {
    let binding = binding(KeyType::Oct { bits });
    let key = ImportKey::Oct { k: Zeroizing::new(filler(rng, bits.bits() / 8)) };
    let (_, sealed) = custody().import(binding, &key, rng).unwrap();
    custody().open_for_use(&sealed, &binding).unwrap()
}
