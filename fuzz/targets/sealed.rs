//! Sealed records: none opens that custody did not seal, under whatever head it comes.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use skerry_keys::{Binding, Curve, KeyType, OctBits, RsaBits, SealedMaterial, Software};
use skerry_policy::permit::{KeyRef, Version};
use uuid::Uuid;
use zeroize::Zeroizing;

const KEK_ID: [u8; 16] = [2; 16];
const TYPES: [KeyType; 3] =
    [KeyType::Rsa { bits: RsaBits::B2048 }, KeyType::Ec { curve: Curve::P521 }, KeyType::Oct { bits: OctBits::B256 }];

static CUSTODY: LazyLock<Software> = LazyLock::new(|| Software::new(Zeroizing::new([1; 32]), KEK_ID));

fuzz_target!(|data: &[u8]| {
    refused(data.to_vec());
    let head = [[1].as_slice(), &KEK_ID].concat();
    refused([&head, data].concat());
});

fn refused(bytes: Vec<u8>) {
    let Ok(sealed) = SealedMaterial::from_bytes(bytes.clone()) else { return };
    assert_eq!(sealed.as_bytes(), bytes);
    for key_type in TYPES {
        for exportable in [false, true] {
            let key = KeyRef { vault: Uuid::nil(), key: Uuid::nil(), version: Version([0; 16]) };
            let opened = CUSTODY.check(&sealed, &Binding { key, key_type, exportable });
            assert!(opened.is_err(), "a record that was never sealed opens");
        }
    }
}
