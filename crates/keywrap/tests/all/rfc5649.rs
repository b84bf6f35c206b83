//! The vectors of RFC 5649, 6. They use a 192-bit key, which aws-lc lacks, so they anchor the oracle, and the
//! oracle anchors our use of aws-lc on 128 and 256 bits.

use aes_kw::{KeyInit, KwpAes128, KwpAes192, KwpAes256};
use aws_lc_rs::key_wrap::{AES_128, AES_256, AesBlockCipher, AesKek, KeyWrapPadded};

const KEK: &str = "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8";

const VECTORS: [(&str, &str); 2] = [
    ("c37b7e6492584340bed12207808941155068f738", "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"),
    ("466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"),
];

#[test]
fn oracle_agrees_with_the_rfc() {
    // The oracle of the other tests gives the octets of the RFC, both ways.
    let kwp = KwpAes192::new_from_slice(&hex::decode(KEK).unwrap()).unwrap();
    for (data, wrapped) in VECTORS {
        let (data, wrapped) = (hex::decode(data).unwrap(), hex::decode(wrapped).unwrap());
        let mut buffer = vec![0; wrapped.len()];
        assert_eq!(kwp.wrap_key(&data, &mut buffer).unwrap(), wrapped);
        let mut buffer = vec![0; wrapped.len() - 8];
        assert_eq!(kwp.unwrap_key(&wrapped, &mut buffer).unwrap(), data);
    }
}

#[test]
fn aws_lc_agrees_with_the_oracle() {
    // KWP is deterministic: both implementations give the same octets for every padding.
    for data in crate::fixtures::key_data() {
        let k = [0x5c; 16];
        let theirs = wrapped(
            |buffer| {
                let kwp = KwpAes128::new_from_slice(&k).unwrap();
                kwp.wrap_key(&data, buffer).unwrap();
            },
            data.len(),
        );
        assert_eq!(ours(&AES_128, &k, &data), theirs);

        let k = [0xa3; 32];
        let theirs = wrapped(
            |buffer| {
                let kwp = KwpAes256::new_from_slice(&k).unwrap();
                kwp.wrap_key(&data, buffer).unwrap();
            },
            data.len(),
        );
        assert_eq!(ours(&AES_256, &k, &data), theirs);
    }
}

fn ours(cipher: &'static AesBlockCipher, k: &[u8], data: &[u8]) -> Vec<u8> {
    wrapped(
        |buffer| {
            let len = buffer.len();
            let kek = AesKek::new(cipher, k).unwrap();
            assert_eq!(kek.wrap_with_padding(data, buffer).unwrap().len(), len);
        },
        data.len(),
    )
}

fn wrapped(fill: impl FnOnce(&mut [u8]), len: usize) -> Vec<u8> {
    let mut buffer = vec![0; len.next_multiple_of(8) + 8];
    fill(&mut buffer);
    buffer
}
