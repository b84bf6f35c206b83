//! Keys made once for a run, and seeded randomness.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use rsa::pkcs8::DecodePrivateKey;
use skerry_keywrap::{Plaintext, UnwrapKey};
use std::sync::OnceLock;
use zeroize::Zeroizing;

/// One key pair in both implementations.
pub(crate) struct Pair {
    pub(crate) pkcs8: Vec<u8>,
    pub(crate) ours: UnwrapKey,
    pub(crate) theirs: rsa::PrivateKey,
}

pub(crate) fn pairs() -> [&'static Pair; 3] {
    [pair_2048(), pair_3072(), pair_4096()]
}

pub(crate) fn pair_2048() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| pair(KeySize::Rsa2048))
}

fn pair_3072() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| pair(KeySize::Rsa3072))
}

fn pair_4096() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| pair(KeySize::Rsa4096))
}

fn pair(size: KeySize) -> Pair {
    let pkcs8 = pkcs8(size);
    Pair {
        ours: UnwrapKey::from_pkcs8(&pkcs8).unwrap(),
        theirs: rsa::PrivateKey::from_pkcs8_der(&pkcs8).unwrap(),
        pkcs8,
    }
}

pub(crate) fn pkcs8(size: KeySize) -> Vec<u8> {
    let key = PrivateDecryptingKey::generate(size).unwrap();
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    der.as_ref().to_vec()
}

pub(crate) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([7; 32])
}

pub(crate) fn plaintext(octets: &[u8]) -> Plaintext {
    Plaintext::new(Zeroizing::new(octets.to_vec()))
}

/// Key data of every padding, one block, and the sizes that releases have.
pub(crate) fn key_data() -> Vec<Vec<u8>> {
    [1, 7, 8, 9, 15, 16, 17, 20, 32, 138, 1218, 2376, 4096]
        .into_iter()
        .map(|len| (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect())
        .collect()
}
