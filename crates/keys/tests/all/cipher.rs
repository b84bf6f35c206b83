//! Encrypting and wrapping, both ways: against other authors, published vectors, and every refusal.

use crate::fixtures::{binding, custody, material, rng};
use aes_kw::aes::{Aes128, Aes192, Aes256};
use aes_kw::cipher::{Array, BlockCipherEncrypt};
use aes_kw::{KeyInit, KwAes128, KwAes192, KwAes256, KwpAes128, KwpAes192, KwpAes256};
use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rand_chacha::rand_core::Rng;
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::Sha256;
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, Oaep, Pkcs1v15Encrypt};
use skerry_keys::limits::{TEXT_LEN_MAX, WRAPPED_KEY_LEN_MAX};
use skerry_keys::{
    CipherError, Curve, EncryptAlgorithm, Encrypted, ImportKey, KeyType, OctBits, OpenedKey, Parameter, PublicKey,
    PublicKeyError, RsaBits, WrapAlgorithm, encrypt, wrap,
};
use std::sync::OnceLock;
use zeroize::Zeroizing;

const RSA: KeyType = KeyType::Rsa { bits: RsaBits::B2048 };
const EC: KeyType = KeyType::Ec { curve: Curve::P256 };
const PAIRS: [(EncryptAlgorithm, WrapAlgorithm, usize); 3] = [
    (EncryptAlgorithm::Rsa15, WrapAlgorithm::Rsa15, 11),
    (EncryptAlgorithm::RsaOaep, WrapAlgorithm::RsaOaep, 42),
    (EncryptAlgorithm::RsaOaep256, WrapAlgorithm::RsaOaep256, 66),
];
const GCM: [EncryptAlgorithm; 3] = [EncryptAlgorithm::A128Gcm, EncryptAlgorithm::A192Gcm, EncryptAlgorithm::A256Gcm];
const CBC: [EncryptAlgorithm; 3] = [EncryptAlgorithm::A128Cbc, EncryptAlgorithm::A192Cbc, EncryptAlgorithm::A256Cbc];
const CBC_PAD: [EncryptAlgorithm; 3] =
    [EncryptAlgorithm::A128CbcPad, EncryptAlgorithm::A192CbcPad, EncryptAlgorithm::A256CbcPad];
const KW: [WrapAlgorithm; 3] = [WrapAlgorithm::A128Kw, WrapAlgorithm::A192Kw, WrapAlgorithm::A256Kw];
const KWP: [WrapAlgorithm; 3] = [WrapAlgorithm::A128KwPad, WrapAlgorithm::A192KwPad, WrapAlgorithm::A256KwPad];

/// One RSA key that all tests share: public half, opened, and as another author reads it.
fn rsa_key() -> &'static (PublicKey, OpenedKey, rsa::PrivateKey) {
    static KEY: OnceLock<(PublicKey, OpenedKey, rsa::PrivateKey)> = OnceLock::new();
    KEY.get_or_init(|| {
        let (public, sealed) = custody().generate(binding(RSA), &mut rng()).unwrap();
        let oracle = rsa::PrivateKey::from_pkcs8_der(material(&sealed, &binding(RSA)).expose()).unwrap();
        (public, custody().open_for_use(&sealed, &binding(RSA)).unwrap(), oracle)
    })
}

fn opened(key_type: KeyType) -> OpenedKey {
    let (_, sealed) = custody().generate(binding(key_type), &mut rng()).unwrap();
    custody().open_for_use(&sealed, &binding(key_type)).unwrap()
}

/// A symmetric key of these octets.
fn symmetric(octets: &[u8]) -> OpenedKey {
    let binding = binding(KeyType::Oct { bits: OctBits::from_bits(octets.len() * 8).unwrap() });
    let key = ImportKey::Oct { k: Zeroizing::new(octets.to_vec()) };
    let (_, sealed) = custody().import(binding, &key, &mut rng()).unwrap();
    custody().open_for_use(&sealed, &binding).unwrap()
}

fn octets(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

/// So many octets, no two neighbours alike.
fn text(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn key_octets(bits: OctBits) -> Vec<u8> {
    text(bits.bits() / 8)
}

#[test]
fn names_are_a_closed_list() {
    // Each algorithm has one name, spelt exactly; what is not on a list is not an algorithm, nor what is on the other.
    for algorithm in EncryptAlgorithm::ALL {
        assert_eq!(EncryptAlgorithm::parse(algorithm.as_str()), Some(algorithm));
    }
    for algorithm in WrapAlgorithm::ALL {
        assert_eq!(WrapAlgorithm::parse(algorithm.as_str()), Some(algorithm));
    }
    for odd in ["", "RSA_15", "rsa-oaep", "RSA-OAEP-512", "A256KW", "A256GCM ", "A256CBC-HS512", "A256CTR", "dir"] {
        assert_eq!(EncryptAlgorithm::parse(odd), None, "{odd:?}");
    }
    for odd in ["", "A256GCM", "A256GCMKW", "a256kw", "A256KWP", "CKM_AES_KEY_WRAP_KWP", "ECDH-ES+A256KW"] {
        assert_eq!(WrapAlgorithm::parse(odd), None, "{odd:?}");
    }
}

#[test]
fn algorithms_fit_their_types() {
    // RSA algorithms take RSA of any size, AES algorithms the size in their name, PKCS#11's any; curves take none.
    let oct = OctBits::ALL.map(|bits| KeyType::Oct { bits });
    let rsa = RsaBits::ALL.map(|bits| KeyType::Rsa { bits });
    let expected = |name: &str| match name {
        name if name.starts_with("RSA") => rsa.to_vec(),
        name if name.starts_with("A128") => vec![oct[0]],
        name if name.starts_with("A192") => vec![oct[1]],
        name if name.starts_with("A256") => vec![oct[2]],
        _ => oct.to_vec(),
    };
    for algorithm in EncryptAlgorithm::ALL {
        let fitting: Vec<KeyType> = KeyType::ALL.into_iter().filter(|key_type| algorithm.fits(*key_type)).collect();
        assert_eq!(fitting, expected(algorithm.as_str()), "{algorithm:?}");
    }
    for algorithm in WrapAlgorithm::ALL {
        let fitting: Vec<KeyType> = KeyType::ALL.into_iter().filter(|key_type| algorithm.fits(*key_type)).collect();
        assert_eq!(fitting, expected(algorithm.as_str()), "{algorithm:?}");
    }
}

fn oracle_decrypts(algorithm: EncryptAlgorithm, ciphertext: &[u8]) -> Vec<u8> {
    let key = &rsa_key().2;
    match algorithm {
        EncryptAlgorithm::Rsa15 => key.decrypt(Pkcs1v15Encrypt, ciphertext),
        EncryptAlgorithm::RsaOaep => key.decrypt(Oaep::<sha1::Sha1>::new(), ciphertext),
        _ => key.decrypt(Oaep::<Sha256>::new(), ciphertext),
    }
    .unwrap()
}

fn oracle_encrypts(algorithm: EncryptAlgorithm, text: &[u8]) -> Vec<u8> {
    let (key, rng) = (rsa_key().2.as_ref(), &mut rng());
    match algorithm {
        EncryptAlgorithm::Rsa15 => key.encrypt(rng, Pkcs1v15Encrypt, text),
        EncryptAlgorithm::RsaOaep => key.encrypt(rng, Oaep::<sha1::Sha1>::new(), text),
        _ => key.encrypt(rng, Oaep::<Sha256>::new(), text),
    }
    .unwrap()
}

#[test]
fn rsa_agrees_with_another_author() {
    // What is encrypted here is decrypted there and the other way round; wrapping is the same operation; the longest
    // text is what the padding leaves, the shortest empty.
    let (public, key, _) = rsa_key();
    for (algorithm, wrapping, overhead) in PAIRS {
        for len in [0, 1, 32, 256 - overhead] {
            let text = text(len);
            let Encrypted { ciphertext, iv, tag } = encrypt(public, algorithm, &text, None, None).unwrap();
            assert_eq!((ciphertext.len(), iv, tag), (256, None, None));
            assert_eq!(oracle_decrypts(algorithm, &ciphertext), text, "{algorithm:?} {len}");
            assert_eq!(*key.decrypt(algorithm, &ciphertext, None, None, None).unwrap(), text, "{algorithm:?} {len}");
            let wrapped = wrap(public, wrapping, &text).unwrap();
            assert_ne!(wrapped, ciphertext);
            assert_eq!(oracle_decrypts(algorithm, &wrapped), text, "{wrapping:?} {len}");
            let theirs = oracle_encrypts(algorithm, &text);
            assert_eq!(*key.decrypt(algorithm, &theirs, None, None, None).unwrap(), text, "{algorithm:?} {len}");
            assert_eq!(*key.unwrap(wrapping, &theirs).unwrap(), text, "{wrapping:?} {len}");
        }
    }
}

#[test]
fn rsa_lengths_are_exact() {
    // A text of one octet more than the padding leaves, and a ciphertext of another length than the modulus, are told
    // apart from what does not open: both are seen without the key. Of any size of modulus.
    for bits in [RsaBits::B2048, RsaBits::B3072] {
        let key_type = KeyType::Rsa { bits };
        let (public, sealed) = custody().generate(binding(key_type), &mut rng()).unwrap();
        let key = custody().open_for_use(&sealed, &binding(key_type)).unwrap();
        let len = bits.bits() / 8;
        for (algorithm, wrapping, overhead) in PAIRS {
            let max = len - overhead;
            let whole = encrypt(&public, algorithm, &text(max), None, None).unwrap().ciphertext;
            assert_eq!(*key.decrypt(algorithm, &whole, None, None, None).unwrap(), text(max));
            for found in [max + 1, len, 2 * len] {
                let refused = CipherError::Length { min: 0, max, found };
                assert_eq!(encrypt(&public, algorithm, &text(found), None, None), Err(refused));
                assert_eq!(wrap(&public, wrapping, &text(found)), Err(refused));
            }
            let longer = [whole.as_slice(), &[0]].concat();
            let wider = [&[0], whole.as_slice()].concat();
            for odd in [&[][..], b"short", &whole[1..], &whole[..len - 1], &longer, &wider] {
                let refused = CipherError::Length { min: len, max: len, found: odd.len() };
                assert_eq!(key.decrypt(algorithm, odd, None, None, None), Err(refused));
                assert_eq!(key.unwrap(wrapping, odd), Err(refused));
            }
        }
    }
}

#[test]
fn every_bit_of_an_oaep_ciphertext_counts() {
    // Wherever it was changed, it does not open, and not for a reason of its own.
    let (public, key, _) = rsa_key();
    for algorithm in [EncryptAlgorithm::RsaOaep, EncryptAlgorithm::RsaOaep256] {
        let whole = encrypt(public, algorithm, b"a key", None, None).unwrap().ciphertext;
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            let refused = key.decrypt(algorithm, &changed, None, None, None);
            assert_eq!(refused, Err(CipherError::Refused), "{algorithm:?} octet {at}");
        }
    }
    let other = encrypt(public, EncryptAlgorithm::RsaOaep, b"a key", None, None).unwrap().ciphertext;
    let refused = key.decrypt(EncryptAlgorithm::RsaOaep256, &other, None, None, None);
    assert_eq!(refused, Err(CipherError::Refused));
}

/// The ciphertext of an encoded message, whatever it is (RFC 8017, 5.1.1).
fn raw(encoded: &[u8]) -> Vec<u8> {
    let key = rsa_key().2.as_ref();
    let message = BoxedUint::from_be_slice(encoded, key.n().as_ref().bits_precision()).unwrap();
    rsa::hazmat::rsa_encrypt(key, &message).unwrap().to_be_bytes().to_vec()
}

#[test]
fn rsa15_padding_has_one_refusal() {
    // Every way in which RFC 8017, 7.2.2 is not met is the same error; at its edges what meets it opens.
    let (_, key, _) = rsa_key();
    let good = [&[0, 2][..], &[0xaa; 221], &[0], &[7; 32]].concat();
    let with = |at: usize, octet: u8| {
        let mut encoded = good.clone();
        encoded[at] = octet;
        encoded
    };
    let ours = |encoded: &[u8]| {
        let ciphertext = raw(encoded);
        let unwrapped = key.unwrap(WrapAlgorithm::Rsa15, &ciphertext);
        assert_eq!(key.decrypt(EncryptAlgorithm::Rsa15, &ciphertext, None, None, None), unwrapped);
        unwrapped.map(|text| text.to_vec())
    };
    assert_eq!(ours(&good), Ok(vec![7; 32]));
    assert_eq!(ours(&with(10, 0)), Ok([&[0xaa; 212][..], &[0], &[7; 32]].concat()));
    assert_eq!(ours(&[&[0, 2][..], &[0xaa; 253], &[0]].concat()), Ok(vec![]));
    for first in 1..=9 {
        // Fewer than eight octets of padding, a leading octet that is not zero, another block type.
        let at = usize::from(first);
        let encoded = if at == 1 { with(1, 0) } else { with(at, 0) };
        assert_eq!(ours(&encoded), Err(CipherError::Refused), "zero at {at}");
        assert_eq!(ours(&with(0, first)), Err(CipherError::Refused), "leading {first}");
        let kind = if first == 2 { 0x82 } else { first };
        assert_eq!(ours(&with(1, kind)), Err(CipherError::Refused), "type {kind}");
    }
    let endless = [&[0, 2][..], &[0xaa; 254]].concat();
    assert_eq!(ours(&endless), Err(CipherError::Refused));
    assert_eq!(ours(&[0; 256]), Err(CipherError::Refused));
}

/// MGF1 (RFC 8017, B.2.1), applied to a part of an encoded message.
fn mask(hash: &'static Algorithm, seed: &[u8], part: &mut [u8]) {
    for (count, chunk) in (0u32..).zip(part.chunks_mut(hash.output_len())) {
        let block = digest(hash, &[seed, &count.to_be_bytes()].concat());
        chunk.iter_mut().zip(block.as_ref()).for_each(|(octet, mask)| *octet ^= mask);
    }
}

#[test]
fn oaep_padding_has_one_refusal() {
    // Every way in which RFC 8017, 7.1.2 is not met is the same error: Manger's oracle has nothing to say.
    let (_, key, _) = rsa_key();
    let schemes = [
        (EncryptAlgorithm::RsaOaep, WrapAlgorithm::RsaOaep, &SHA1_FOR_LEGACY_USE_ONLY),
        (EncryptAlgorithm::RsaOaep256, WrapAlgorithm::RsaOaep256, &SHA256),
    ];
    for (algorithm, wrapping, hash) in schemes {
        let len = hash.output_len();
        let label = digest(hash, b"");
        let zeros = vec![0; 256 - 2 * len - 2 - 32];
        let good = [label.as_ref(), &zeros, &[1], &[7; 32]].concat();
        let ours = |first: u8, data: &[u8]| {
            let (mut seed, mut data) = (vec![0x5a; len], data.to_vec());
            mask(hash, &seed, &mut data);
            mask(hash, &data, &mut seed);
            let ciphertext = raw(&[&[first], seed.as_slice(), &data].concat());
            let unwrapped = key.unwrap(wrapping, &ciphertext);
            assert_eq!(key.decrypt(algorithm, &ciphertext, None, None, None), unwrapped);
            unwrapped.map(|text| text.to_vec())
        };
        assert_eq!(ours(0, &good), Ok(vec![7; 32]));
        assert_eq!(ours(1, &good), Err(CipherError::Refused), "{algorithm:?}: leading octet");
        let separator = len + zeros.len();
        for at in 0..=separator {
            let mut data = good.clone();
            data[at] ^= 2;
            assert_eq!(ours(0, &data), Err(CipherError::Refused), "{algorithm:?}: octet {at}");
        }
        let mut endless = good.clone();
        endless[separator..].fill(0);
        assert_eq!(ours(0, &endless), Err(CipherError::Refused), "{algorithm:?}: no separator");
        assert_eq!(ours(1, &endless), Err(CipherError::Refused), "{algorithm:?}: nothing right");
    }
}

#[test]
fn number_above_the_modulus_is_refused() {
    // It is no ciphertext under the key, which anybody can see; the answer is still the one.
    let (public, key, _) = rsa_key();
    let PublicKey::Rsa { n, .. } = public else { panic!("no rsa key") };
    for (algorithm, wrapping, _) in PAIRS {
        for odd in [n.as_slice(), &[0xff; 256], &[0; 256]] {
            let refused = key.decrypt(algorithm, odd, None, None, None);
            assert_eq!(refused, Err(CipherError::Refused), "{algorithm:?}");
            assert_eq!(key.unwrap(wrapping, odd), Err(CipherError::Refused), "{wrapping:?}");
        }
    }
}

/// McGrew and Viega, The Galois/Counter Mode of Operation, appendix B, test cases 4, 10 and 16.
const GCM_KNOWN: [(EncryptAlgorithm, &str, &str, &str); 3] = [
    (
        EncryptAlgorithm::A128Gcm,
        "feffe9928665731c6d6a8f9467308308",
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
         21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
        "5bc94fbc3221a5db94fae95ae7121a47",
    ),
    (
        EncryptAlgorithm::A192Gcm,
        "feffe9928665731c6d6a8f9467308308feffe9928665731c",
        "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c\
         7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710",
        "2519498e80f1478f37ba55bd6d27618c",
    ),
    (
        EncryptAlgorithm::A256Gcm,
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
         8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        "76fc6ece0f4e1768cddf8853bb2d551b",
    ),
];
const GCM_IV: &str = "cafebabefacedbaddecaf888";
const GCM_AAD: &str = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
const GCM_TEXT: &str = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                        1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";

#[test]
fn gcm_matches_published_vectors() {
    // Under a given iv, ciphertext and tag are the published ones, and open.
    let (iv, aad, text) = (octets(GCM_IV), octets(GCM_AAD), octets(GCM_TEXT));
    for (algorithm, key, ciphertext, tag) in GCM_KNOWN {
        let key = symmetric(&octets(key));
        let made = key.encrypt(algorithm, &text, Some(&iv), Some(&aad), &mut rng()).unwrap();
        let expected = Encrypted { ciphertext: octets(ciphertext), iv: Some(iv.clone()), tag: Some(octets(tag)) };
        assert_eq!(made, expected, "{algorithm:?}");
        let back = key.decrypt(algorithm, &octets(ciphertext), Some(&iv), Some(&aad), Some(&octets(tag)));
        assert_eq!(*back.unwrap(), text, "{algorithm:?}");
    }
}

#[test]
fn gcm_draws_an_iv_that_is_not_given() {
    // It comes from the caller's randomness, anew each time, and the ciphertext opens under it.
    let mut expected = [0; 12];
    rng().fill_bytes(&mut expected);
    let mut rng = rng();
    for (algorithm, bits) in GCM.into_iter().zip(OctBits::ALL) {
        let key = symmetric(&key_octets(bits));
        let first = key.encrypt(algorithm, b"text", None, None, &mut rng).unwrap();
        let second = key.encrypt(algorithm, b"text", None, None, &mut rng).unwrap();
        if algorithm == GCM[0] {
            assert_eq!(first.iv.as_deref(), Some(expected.as_slice()));
        }
        assert_ne!(first.iv, second.iv);
        assert_ne!(first.ciphertext, second.ciphertext);
        for Encrypted { ciphertext, iv, tag } in [first, second] {
            let back = key.decrypt(algorithm, &ciphertext, iv.as_deref(), None, tag.as_deref());
            assert_eq!(back.unwrap().as_slice(), b"text");
        }
    }
}

#[test]
fn every_bit_of_a_gcm_message_counts() {
    // Ciphertext, iv, associated data and tag: whatever is changed or cut, it does not open.
    let (iv, aad) = (octets(GCM_IV), octets(GCM_AAD));
    for (algorithm, key, ciphertext, tag) in GCM_KNOWN {
        let key = symmetric(&octets(key));
        let parts = [octets(ciphertext), iv.clone(), aad.clone(), octets(tag)];
        let refused = |parts: &[Vec<u8>; 4]| {
            let [ciphertext, iv, aad, tag] = parts;
            assert_eq!(
                key.decrypt(algorithm, ciphertext, Some(iv), Some(aad), Some(tag)),
                Err(CipherError::Refused),
                "{algorithm:?}"
            );
        };
        for part in 0..parts.len() {
            for bit in 0..parts[part].len() * 8 {
                let mut changed = parts.clone();
                changed[part][bit / 8] ^= 1 << (bit % 8);
                refused(&changed);
            }
        }
        for part in [0, 2] {
            let mut changed = parts.clone();
            changed[part].pop();
            refused(&changed);
            changed[part].clear();
            refused(&changed);
            changed[part].extend_from_slice(&parts[part]);
            changed[part].push(0);
            refused(&changed);
        }
    }
}

#[test]
fn gcm_authenticates_an_empty_text() {
    // No text and no associated data still have a tag that counts; no associated data is empty associated data.
    let key = symmetric(&key_octets(OctBits::B256));
    let Encrypted { ciphertext, iv, tag } = key.encrypt(GCM[2], b"", None, None, &mut rng()).unwrap();
    assert_eq!(ciphertext, b"");
    let iv = iv.as_deref();
    assert_eq!(key.decrypt(GCM[2], b"", iv, Some(b""), tag.as_deref()).unwrap().as_slice(), b"");
    let refused = |aad: Option<&[u8]>, tag: &[u8]| key.decrypt(GCM[2], b"", iv, aad, Some(tag)).err();
    assert_eq!(refused(None, &[0; 16]), Some(CipherError::Refused));
    assert_eq!(refused(Some(b"x"), tag.as_deref().unwrap()), Some(CipherError::Refused));
}

/// SP 800-38A, F.2.
const CBC_KNOWN: [(EncryptAlgorithm, &str, &str); 3] = [
    (
        EncryptAlgorithm::A128Cbc,
        "2b7e151628aed2a6abf7158809cf4f3c",
        "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2\
         73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
    ),
    (
        EncryptAlgorithm::A192Cbc,
        "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
        "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a\
         571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
    ),
    (
        EncryptAlgorithm::A256Cbc,
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
        "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d\
         39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
    ),
];
const CBC_IV: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const CBC_TEXT: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                        30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";

#[test]
fn cbc_matches_published_vectors() {
    // Whole blocks give the published ones and come back; the iv is the given one.
    for (algorithm, key, ciphertext) in CBC_KNOWN {
        let key = symmetric(&octets(key));
        let made = key.encrypt(algorithm, &octets(CBC_TEXT), Some(&CBC_IV), None, &mut rng()).unwrap();
        let expected = Encrypted { ciphertext: octets(ciphertext), iv: Some(CBC_IV.to_vec()), tag: None };
        assert_eq!(made, expected, "{algorithm:?}");
        let back = key.decrypt(algorithm, &made.ciphertext, Some(&CBC_IV), None, None).unwrap();
        assert_eq!(*back, octets(CBC_TEXT), "{algorithm:?}");
    }
}

/// CBC (SP 800-38A, 6.2) over another author's AES, padded (RFC 5652, 6.3).
fn oracle_cbc_pad(key: &[u8], text: &[u8]) -> Vec<u8> {
    let missing = 16 - text.len() % 16;
    let padded = [text, &vec![u8::try_from(missing).unwrap(); missing]].concat();
    let mut chain = CBC_IV;
    let mut out = Vec::new();
    for block in padded.chunks(16) {
        chain.iter_mut().zip(block).for_each(|(octet, text)| *octet ^= text);
        let mut block = Array::from(chain);
        match key.len() {
            16 => Aes128::new_from_slice(key).unwrap().encrypt_block(&mut block),
            24 => Aes192::new_from_slice(key).unwrap().encrypt_block(&mut block),
            _ => Aes256::new_from_slice(key).unwrap().encrypt_block(&mut block),
        }
        chain = block.into();
        out.extend_from_slice(&chain);
    }
    out
}

#[test]
fn padded_cbc_agrees_with_another_author() {
    // Of every length within three blocks; a text of whole blocks gets one more.
    for (algorithm, bits) in CBC_PAD.into_iter().zip(OctBits::ALL) {
        let octets = key_octets(bits);
        let key = symmetric(&octets);
        for len in 0..=48 {
            let text = text(len);
            let made = key.encrypt(algorithm, &text, Some(&CBC_IV), None, &mut rng()).unwrap();
            assert_eq!(made.ciphertext, oracle_cbc_pad(&octets, &text), "{algorithm:?} {len}");
            assert_eq!(made.ciphertext.len(), (len / 16 + 1) * 16);
            let back = key.decrypt(algorithm, &made.ciphertext, Some(&CBC_IV), None, None).unwrap();
            assert_eq!(*back, text, "{algorithm:?} {len}");
        }
    }
}

#[test]
fn every_wrong_padding_is_refused() {
    // The last octet says how many octets there are that say so: all 256 values, and each of those octets changed.
    let key = symmetric(&key_octets(OctBits::B256));
    let ours = |last: [u8; 16]| {
        let blocks = [&[9; 16], &last[..]].concat();
        let made = key.encrypt(CBC[2], &blocks, Some(&CBC_IV), None, &mut rng()).unwrap();
        let back = key.decrypt(CBC_PAD[2], &made.ciphertext, Some(&CBC_IV), None, None);
        back.map(|text| text.len())
    };
    for len in 0..=255_u8 {
        let holds = (1..=16).contains(&len);
        let expected = if holds { Ok(32 - usize::from(len)) } else { Err(CipherError::Refused) };
        assert_eq!(ours([len; 16]), expected, "{len}");
        let mut last = [0x77; 16];
        last.iter_mut().rev().take(usize::from(len)).for_each(|octet| *octet = len);
        if holds {
            assert_eq!(ours(last), expected, "{len}");
            for at in 16 - usize::from(len)..15 {
                let mut changed = last;
                changed[at] ^= 0x80;
                assert_eq!(ours(changed), Err(CipherError::Refused), "{len} at {at}");
            }
        }
    }
}

/// RFC 3394, 4.1 to 4.6: bits of the key that wraps, octets of the key that is wrapped.
const KW_KNOWN: [(OctBits, usize, &str); 6] = [
    (OctBits::B128, 16, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"),
    (OctBits::B192, 16, "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d"),
    (OctBits::B256, 16, "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"),
    (OctBits::B192, 24, "031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2"),
    (OctBits::B256, 24, "a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1"),
    (OctBits::B256, 32, "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"),
];
const KW_KEY: &str = "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f";

fn kw(bits: OctBits) -> WrapAlgorithm {
    KW[OctBits::ALL.into_iter().position(|other| other == bits).unwrap()]
}

#[test]
fn key_wrap_matches_published_vectors() {
    // RFC 3394 and RFC 5649 under Azure's names and under PKCS#11's.
    for (bits, len, wrapped) in KW_KNOWN {
        let (key, data, wrapped) = (symmetric(&key_octets(bits)), &octets(KW_KEY)[..len], octets(wrapped));
        for algorithm in [kw(bits), WrapAlgorithm::CkmAesKeyWrap] {
            assert_eq!(key.wrap(algorithm, data).unwrap(), wrapped, "{algorithm:?} {len}");
            assert_eq!(*key.unwrap(algorithm, &wrapped).unwrap(), data, "{algorithm:?} {len}");
        }
    }
    let key = symmetric(&octets("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8"));
    let known = [
        (
            "c37b7e6492584340bed12207808941155068f738",
            "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
        ),
        ("466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"),
    ];
    for (data, wrapped) in known {
        for algorithm in [WrapAlgorithm::A192KwPad, WrapAlgorithm::CkmAesKeyWrapPad] {
            assert_eq!(key.wrap(algorithm, &octets(data)).unwrap(), octets(wrapped), "{algorithm:?}");
            assert_eq!(*key.unwrap(algorithm, &octets(wrapped)).unwrap(), octets(data), "{algorithm:?}");
        }
    }
}

fn oracle_wraps(key: &[u8], data: &[u8]) -> Vec<u8> {
    let out = &mut vec![0; data.len() + 8];
    match key.len() {
        16 => KwAes128::new_from_slice(key).unwrap().wrap_key(data, out),
        24 => KwAes192::new_from_slice(key).unwrap().wrap_key(data, out),
        _ => KwAes256::new_from_slice(key).unwrap().wrap_key(data, out),
    }
    .unwrap()
    .to_vec()
}

fn oracle_wraps_padded(key: &[u8], data: &[u8]) -> Vec<u8> {
    let out = &mut vec![0; data.len().next_multiple_of(8) + 8];
    match key.len() {
        16 => KwpAes128::new_from_slice(key).unwrap().wrap_key(data, out),
        24 => KwpAes192::new_from_slice(key).unwrap().wrap_key(data, out),
        _ => KwpAes256::new_from_slice(key).unwrap().wrap_key(data, out),
    }
    .unwrap()
    .to_vec()
}

#[test]
fn key_wrap_agrees_with_another_author() {
    // Of every length within nine semiblocks and the longest; what is wrapped comes back. (For 192 bits the other
    // author is the same, and the published vectors are the oracle.)
    for ((bits, kw), kwp) in OctBits::ALL.into_iter().zip(KW).zip(KWP) {
        let octets = key_octets(bits);
        let key = symmetric(&octets);
        for len in (1..=72).chain([1218, WRAPPED_KEY_LEN_MAX - 1, WRAPPED_KEY_LEN_MAX]) {
            let data = text(len);
            let padded = key.wrap(kwp, &data).unwrap();
            assert_eq!(padded, oracle_wraps_padded(&octets, &data), "{kwp:?} {len}");
            assert_eq!(*key.unwrap(kwp, &padded).unwrap(), data, "{kwp:?} {len}");
            if len.is_multiple_of(8) && len > 8 {
                let wrapped = key.wrap(kw, &data).unwrap();
                assert_eq!(wrapped, oracle_wraps(&octets, &data), "{kw:?} {len}");
                assert_eq!(*key.unwrap(kw, &wrapped).unwrap(), data, "{kw:?} {len}");
            }
        }
    }
}

#[test]
fn every_bit_of_a_wrapped_key_counts() {
    // Changed anywhere, cut by a semiblock, or of the other kind, it does not open.
    for ((bits, kw), kwp) in OctBits::ALL.into_iter().zip(KW).zip(KWP) {
        let key = symmetric(&key_octets(bits));
        for (algorithm, other, len) in [(kw, kwp, 32), (kw, kwp, 16), (kwp, kw, 7), (kwp, kw, 20), (kwp, kw, 32)] {
            let whole = key.wrap(algorithm, &text(len)).unwrap();
            for bit in 0..whole.len() * 8 {
                let mut changed = whole.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let refused = key.unwrap(algorithm, &changed);
                assert_eq!(refused, Err(CipherError::Refused), "{algorithm:?} {len} bit {bit}");
            }
            let longer = [whole.as_slice(), &[0; 8]].concat();
            assert_eq!(key.unwrap(algorithm, &longer), Err(CipherError::Refused), "{algorithm:?} {len}");
            if whole.len() >= 32 {
                let cut = &whole[..whole.len() - 8];
                assert_eq!(key.unwrap(algorithm, cut), Err(CipherError::Refused), "{algorithm:?} {len}");
            }
            if whole.len() >= 24 {
                assert_eq!(key.unwrap(other, &whole), Err(CipherError::Refused), "{other:?} {len}");
                assert_eq!(key.unwrap(algorithm, &[0; 40]), Err(CipherError::Refused), "{algorithm:?}");
            }
        }
    }
}

#[test]
fn wrapped_lengths_are_exact() {
    // KW takes two semiblocks and more, KWP an octet and more; neither more than the longest; the way back likewise.
    for ((bits, kw), kwp) in OctBits::ALL.into_iter().zip(KW).zip(KWP) {
        let key = symmetric(&key_octets(bits));
        let max = WRAPPED_KEY_LEN_MAX;
        for found in [0, 1, 8, 15, max + 1, max + 8] {
            let refused = CipherError::Length { min: 16, max, found };
            assert_eq!(key.wrap(kw, &text(found)), Err(refused));
        }
        for found in [17, 23, 25, max - 1] {
            assert_eq!(key.wrap(kw, &text(found)), Err(CipherError::Multiple { of: 8, found }));
        }
        for found in [0, max + 1] {
            assert_eq!(key.wrap(kwp, &text(found)), Err(CipherError::Length { min: 1, max, found }));
        }
        for (algorithm, min) in [(kw, 24), (kwp, 16)] {
            for found in [0, 1, 8, min - 8, min - 1, max + 9, max + 16] {
                let refused = CipherError::Length { min, max: max + 8, found };
                assert_eq!(key.unwrap(algorithm, &text(found)), Err(refused), "{algorithm:?}");
            }
            for found in [min + 1, min + 7, max + 7] {
                let refused = CipherError::Multiple { of: 8, found };
                assert_eq!(key.unwrap(algorithm, &text(found)), Err(refused), "{algorithm:?}");
            }
        }
    }
}

#[test]
fn text_lengths_are_exact() {
    // The longest text goes both ways, one octet more neither; CBC takes whole blocks and at least one.
    let key = symmetric(&key_octets(OctBits::B256));
    let (gcm, cbc, pad) = (GCM[2], CBC[2], CBC_PAD[2]);
    let (max, iv) = (TEXT_LEN_MAX, Some(CBC_IV.as_slice()));
    let sealed = key.encrypt(gcm, &text(max), None, Some(&text(max)), &mut rng()).unwrap();
    let back = key.decrypt(gcm, &sealed.ciphertext, sealed.iv.as_deref(), Some(&text(max)), sealed.tag.as_deref());
    assert_eq!(*back.unwrap(), text(max));
    for algorithm in [cbc, pad] {
        let made = key.encrypt(algorithm, &text(max), iv, None, &mut rng()).unwrap().ciphertext;
        assert_eq!(*key.decrypt(algorithm, &made, iv, None, None).unwrap(), text(max), "{algorithm:?}");
        let longest = max + 16;
        let refused = CipherError::Length { min: 16, max: longest, found: longest + 16 };
        assert_eq!(key.decrypt(algorithm, &text(longest + 16), iv, None, None), Err(refused));
        let refused = CipherError::Length { min: 16, max: longest, found: 0 };
        assert_eq!(key.decrypt(algorithm, b"", iv, None, None), Err(refused));
        for found in [17, 31, max - 1] {
            let refused = CipherError::Multiple { of: 16, found };
            assert_eq!(key.decrypt(algorithm, &text(found), iv, None, None), Err(refused));
        }
    }
    let refused = |algorithm, len: usize, iv| key.encrypt(algorithm, &text(len), iv, None, &mut rng()).err();
    let long = CipherError::Length { min: 0, max, found: max + 1 };
    assert_eq!(refused(gcm, max + 1, None), Some(long));
    assert_eq!(refused(pad, max + 1, iv), Some(long));
    for found in [0, 15, max + 1, max + 16] {
        assert_eq!(refused(cbc, found, iv), Some(CipherError::Length { min: 16, max, found }));
    }
    for found in [17, 31, max - 1] {
        assert_eq!(refused(cbc, found, iv), Some(CipherError::Multiple { of: 16, found }));
    }
    let long = CipherError::ParameterLength { parameter: Parameter::Aad, expected: max, found: max + 1 };
    let aad = text(max + 1);
    assert_eq!(key.encrypt(gcm, b"", None, Some(&aad), &mut rng()), Err(long));
    assert_eq!(key.decrypt(gcm, b"", Some(&[0; 12]), Some(&aad), Some(&[0; 16])), Err(long));
    let long = CipherError::Length { min: 0, max, found: max + 1 };
    assert_eq!(key.decrypt(gcm, &aad, Some(&[0; 12]), None, Some(&[0; 16])), Err(long));
}

#[test]
fn parameters_are_exact() {
    // What an algorithm needs must be there in its length; what it has no use for must not be there.
    let key = symmetric(&key_octets(OctBits::B256));
    let missing = |parameter| Some(CipherError::Missing { parameter });
    let unexpected = |parameter| Some(CipherError::Unexpected { parameter });
    let wrong = |parameter, expected, found| Some(CipherError::ParameterLength { parameter, expected, found });
    let (iv12, iv16, tag) = (Some([1; 12].as_slice()), Some([1; 16].as_slice()), Some([1; 16].as_slice()));
    let made =
        |algorithm, iv: Option<&[u8]>, aad: Option<&[u8]>| key.encrypt(algorithm, &[1; 16], iv, aad, &mut rng()).err();
    let read = |algorithm, iv: Option<&[u8]>, aad: Option<&[u8]>, tag: Option<&[u8]>| {
        key.decrypt(algorithm, &[1; 16], iv, aad, tag).err()
    };

    for len in [0, 8, 11, 13, 16] {
        assert_eq!(made(GCM[2], Some(&text(len)), None), wrong(Parameter::Iv, 12, len));
        assert_eq!(read(GCM[2], Some(&text(len)), None, tag), wrong(Parameter::Iv, 12, len));
    }
    for len in [0, 4, 8, 12, 15, 17] {
        assert_eq!(read(GCM[2], iv12, None, Some(&text(len))), wrong(Parameter::Tag, 16, len));
    }
    assert_eq!(read(GCM[2], None, None, tag), missing(Parameter::Iv));
    assert_eq!(read(GCM[2], iv12, None, None), missing(Parameter::Tag));
    for algorithm in [CBC[2], CBC_PAD[2]] {
        assert_eq!(made(algorithm, None, None), missing(Parameter::Iv));
        assert_eq!(read(algorithm, None, None, None), missing(Parameter::Iv));
        assert_eq!(made(algorithm, iv16, Some(b"")), unexpected(Parameter::Aad));
        assert_eq!(read(algorithm, iv16, Some(b""), None), unexpected(Parameter::Aad));
        assert_eq!(read(algorithm, iv16, None, tag), unexpected(Parameter::Tag));
        for len in [0, 12, 15, 17] {
            assert_eq!(made(algorithm, Some(&text(len)), None), wrong(Parameter::Iv, 16, len));
            assert_eq!(read(algorithm, Some(&text(len)), None, None), wrong(Parameter::Iv, 16, len));
        }
    }
    let (public, key, _) = rsa_key();
    for (algorithm, ..) in PAIRS {
        assert_eq!(encrypt(public, algorithm, b"x", iv12, None).err(), unexpected(Parameter::Iv));
        assert_eq!(encrypt(public, algorithm, b"x", None, Some(b"")).err(), unexpected(Parameter::Aad));
        let refused = |iv, aad, tag| key.decrypt(algorithm, &[1; 256], iv, aad, tag).err();
        assert_eq!(refused(iv12, None, None), unexpected(Parameter::Iv));
        assert_eq!(refused(None, Some(b""), None), unexpected(Parameter::Aad));
        assert_eq!(refused(None, None, tag), unexpected(Parameter::Tag));
    }
}

#[test]
fn algorithm_of_another_type_is_refused() {
    // Neither way, under no half; a symmetric key of another size is told apart from no symmetric key.
    let types = [RSA, EC].into_iter().chain(OctBits::ALL.map(|bits| KeyType::Oct { bits }));
    for key_type in types {
        let key = if key_type == RSA { None } else { Some(opened(key_type)) };
        let key = key.as_ref().unwrap_or(&rsa_key().1);
        let refusal = |name: &'static str| match (key_type, name.get(1..4).and_then(|bits| bits.parse().ok())) {
            (KeyType::Oct { bits: found }, Some(bits)) => {
                let expected = OctBits::from_bits(bits).unwrap();
                CipherError::KeySize { algorithm: name, expected, found }
            }
            _ => CipherError::Algorithm { algorithm: name, key_type: Some(key_type) },
        };
        for algorithm in EncryptAlgorithm::ALL.into_iter().filter(|algorithm| !algorithm.fits(key_type)) {
            let refused = refusal(algorithm.as_str());
            assert_eq!(key.encrypt(algorithm, b"x", None, None, &mut rng()), Err(refused));
            assert_eq!(key.decrypt(algorithm, b"x", None, None, None), Err(refused));
        }
        for algorithm in WrapAlgorithm::ALL.into_iter().filter(|algorithm| !algorithm.fits(key_type)) {
            let refused = refusal(algorithm.as_str());
            assert_eq!(key.wrap(algorithm, b"x"), Err(refused));
            assert_eq!(key.unwrap(algorithm, b"x"), Err(refused));
        }
    }
}

#[test]
fn public_halves_take_rsa_alone() {
    // A public half encrypts as RSA and nothing else; an opened RSA key points to its public half.
    let (public, key, _) = rsa_key();
    let (ec, _) = custody().generate(binding(EC), &mut rng()).unwrap();
    let halves = [(public, Some(RSA)), (&ec, Some(EC)), (&PublicKey::Oct, None)];
    for (public, key_type) in halves {
        let fits = |fits: bool| fits && key_type.is_some();
        for algorithm in EncryptAlgorithm::ALL {
            if fits(algorithm.fits(key_type.unwrap_or(EC))) {
                let refused = CipherError::PublicHalf { algorithm: algorithm.as_str() };
                assert_eq!(key.encrypt(algorithm, b"x", None, None, &mut rng()), Err(refused));
                continue;
            }
            let refused = CipherError::Algorithm { algorithm: algorithm.as_str(), key_type };
            assert_eq!(encrypt(public, algorithm, b"x", None, None), Err(refused));
        }
        for algorithm in WrapAlgorithm::ALL {
            if fits(algorithm.fits(key_type.unwrap_or(EC))) {
                let refused = CipherError::PublicHalf { algorithm: algorithm.as_str() };
                assert_eq!(key.wrap(algorithm, b"x"), Err(refused));
                continue;
            }
            let refused = CipherError::Algorithm { algorithm: algorithm.as_str(), key_type };
            assert_eq!(wrap(public, algorithm, b"x"), Err(refused));
        }
    }
}

#[test]
fn key_that_is_not_canonical_is_refused() {
    // Nothing is encrypted under a key that custody would not have made.
    let PublicKey::Rsa { n, e } = rsa_key().0.clone() else { panic!("no rsa key") };
    let small = PublicKey::Rsa { n: n[..128].to_vec(), e };
    let refused = CipherError::Key(PublicKeyError::RsaSize { len: 128 });
    assert_eq!(encrypt(&small, EncryptAlgorithm::RsaOaep, b"x", None, None), Err(refused));
    assert_eq!(wrap(&small, WrapAlgorithm::RsaOaep, b"x"), Err(refused));
    let low = PublicKey::Rsa { n, e: vec![3] };
    let refused = CipherError::Key(PublicKeyError::RsaExponent { len: 1 });
    assert_eq!(encrypt(&low, EncryptAlgorithm::RsaOaep, b"x", None, None), Err(refused));
}

#[test]
fn threads_share_an_opened_key() {
    // The half that decrypts is made when first asked for, by whichever thread is first.
    let (public, sealed) = custody().generate(binding(RSA), &mut rng()).unwrap();
    let key = custody().open_for_use(&sealed, &binding(RSA)).unwrap();
    let ciphertext = encrypt(&public, EncryptAlgorithm::RsaOaep256, b"a key", None, None).unwrap().ciphertext;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (key, ciphertext) = (&key, &ciphertext);
            scope.spawn(move || {
                let back = key.decrypt(EncryptAlgorithm::RsaOaep256, ciphertext, None, None, None);
                assert_eq!(back.unwrap().as_slice(), b"a key");
            });
        }
    });
}
