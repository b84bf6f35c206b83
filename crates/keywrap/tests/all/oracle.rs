//! Both directions against RustCrypto's `rsa` and `aes-kw`, every algorithm, every size of key.

use crate::fixtures::{Pair, key_data, pair_2048, pairs, plaintext, rng};
use aes_kw::{KeyInit, KwpAes128, KwpAes256};
use rand_chacha::rand_core::Rng;
use rsa::Oaep;
use rsa::traits::PublicKeyParts;
use sha1::Sha1;
use sha2::{Sha256, Sha384};
use skerry_keywrap::{Algorithm, unwrap, wrap};

#[test]
fn oracle_opens_what_we_wrap() {
    // A blob of ours opens in the other implementation, with a K of 32 octets.
    for pair in pairs() {
        for algorithm in Algorithm::ALL {
            for data in key_data() {
                let blob = wrap(algorithm, pair.ours.target(), &plaintext(&data), &mut rng()).unwrap();
                assert_eq!(their_unwrap(algorithm, pair, &blob), data);
            }
        }
    }
}

#[test]
fn we_open_what_the_oracle_wraps() {
    // A blob of the other implementation opens here, with a K of 16 or 32 octets.
    for pair in pairs() {
        for algorithm in Algorithm::ALL {
            for k_len in [16, 32] {
                let data = [0x42; 1217];
                let blob = their_wrap(algorithm, pair, k_len, &data);
                let opened = unwrap(algorithm, &pair.ours, &blob).unwrap();
                assert!(opened == plaintext(&data));
            }
        }
    }
}

#[test]
fn k_is_the_argument_randomness() {
    // K is the first 32 octets of the randomness handed in, and nothing else is taken from it.
    let pair = pair_2048();
    let mut used = rng();
    let blob = wrap(Algorithm::RsaAesKeyWrap256, pair.ours.target(), &plaintext(b"key"), &mut used).unwrap();
    let mut same = rng();
    let mut k = [0; 32];
    same.fill_bytes(&mut k);
    let opened = pair.theirs.decrypt(Oaep::<Sha256>::new(), &blob[..256]).unwrap();
    assert_eq!(opened, k);
    assert_eq!(used.next_u64(), same.next_u64());
}

#[test]
fn oaep_is_fresh() {
    // Two wraps under equal K differ in the first part, whose seed is not ours to repeat.
    let pair = pair_2048();
    let blob = || wrap(Algorithm::CkmRsaAesKeyWrap, pair.ours.target(), &plaintext(b"key"), &mut rng()).unwrap();
    let (one, two) = (blob(), blob());
    assert_ne!(one[..256], two[..256]);
    assert_eq!(one[256..], two[256..]);
}

pub(crate) fn their_wrap(algorithm: Algorithm, pair: &Pair, k_len: usize, data: &[u8]) -> Vec<u8> {
    let mut k = vec![0; k_len];
    rng().fill_bytes(&mut k);
    let mut kwp = vec![0; data.len().next_multiple_of(8) + 8];
    match k_len {
        16 => KwpAes128::new_from_slice(&k).unwrap().wrap_key(data, &mut kwp).unwrap(),
        24 => aes_kw::KwpAes192::new_from_slice(&k).unwrap().wrap_key(data, &mut kwp).unwrap(),
        _ => KwpAes256::new_from_slice(&k).unwrap().wrap_key(data, &mut kwp).unwrap(),
    };
    let public = pair.theirs.to_public_key();
    let mut rng = rng();
    let mut blob = match algorithm {
        Algorithm::CkmRsaAesKeyWrap => public.encrypt(&mut rng, Oaep::<Sha1>::new(), &k),
        Algorithm::RsaAesKeyWrap256 => public.encrypt(&mut rng, Oaep::<Sha256>::new(), &k),
        Algorithm::RsaAesKeyWrap384 => public.encrypt(&mut rng, Oaep::<Sha384>::new(), &k),
        other => panic!("no oracle for {other}"),
    }
    .unwrap();
    blob.extend(kwp);
    blob
}

fn their_unwrap(algorithm: Algorithm, pair: &Pair, blob: &[u8]) -> Vec<u8> {
    let (oaep, kwp) = blob.split_at(pair.theirs.size());
    let k = match algorithm {
        Algorithm::CkmRsaAesKeyWrap => pair.theirs.decrypt(Oaep::<Sha1>::new(), oaep),
        Algorithm::RsaAesKeyWrap256 => pair.theirs.decrypt(Oaep::<Sha256>::new(), oaep),
        Algorithm::RsaAesKeyWrap384 => pair.theirs.decrypt(Oaep::<Sha384>::new(), oaep),
        other => panic!("no oracle for {other}"),
    }
    .unwrap();
    assert_eq!(k.len(), 32);
    let mut data = vec![0; kwp.len() - 8];
    let kwp_key = KwpAes256::new_from_slice(&k).unwrap();
    kwp_key.unwrap_key(kwp, &mut data).unwrap().to_vec()
}
