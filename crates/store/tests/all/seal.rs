//! Sealing: what opens is what was sealed, there, under that key.

use crate::engines::rng;
use skerry_store::limits::VALUE_LEN_MAX;
use skerry_store::seal::{OVERHEAD, Root, SealError, Sealer};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

const KEY: &[u8] = b"vault/key";
const PLAIN: &[u8] = b"what nobody else may read";

fn sealer() -> Sealer {
    Sealer::new(Zeroizing::new([1; 32]), [2; 16])
}

fn sealed() -> Vec<u8> {
    sealer().seal(KEY, PLAIN, &mut rng()).unwrap()
}

#[test]
fn sealed_record_opens() {
    // From nothing to the longest that a value can hold.
    for plain in [vec![], PLAIN.to_vec(), vec![9; VALUE_LEN_MAX - OVERHEAD]] {
        let record = sealer().seal(KEY, &plain, &mut rng()).unwrap();
        assert_eq!(record.len(), plain.len() + OVERHEAD);
        assert_eq!(sealer().open(KEY, &record).unwrap().as_slice(), plain);
    }
}

#[test]
fn record_is_drawn_as_documented() {
    // Format, KEK id, then salt and nonce as they come from the source of randomness.
    let record = sealed();
    let mut random = [0; 44];
    rand_chacha::rand_core::Rng::fill_bytes(&mut rng(), &mut random);
    assert_eq!(record[0], 1);
    assert_eq!(record[1..17], [2; 16]);
    assert_eq!(record[17..61], random);
    assert!(!record.windows(4).any(|window| PLAIN.windows(4).any(|plain| plain == window)));
}

#[test]
fn every_altered_octet_is_refused() {
    // The format and the KEK id by name, all the rest by the tag.
    let record = sealed();
    for position in 0..record.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut altered = record.clone();
            altered[position] ^= flip;
            let expected = match position {
                0 => SealError::UnknownFormat { format: 1 ^ flip },
                1..17 => SealError::OtherKek { kek: altered[1..17].try_into().unwrap() },
                _ => SealError::Integrity,
            };
            assert_eq!(sealer().open(KEY, &altered).err(), Some(expected), "octet {position}");
        }
    }
}

#[test]
fn moved_record_is_refused() {
    // It belongs to its storage key, also against keys that begin alike.
    for key in [b"vault/other".as_slice(), b"vault/ke", b"vault/keyx", b"", b"Vault/key"] {
        assert_eq!(sealer().open(key, &sealed()).err(), Some(SealError::Integrity));
    }
}

#[test]
fn other_kek_is_named() {
    // By its id; one with the same id and other octets does not open.
    let other = Sealer::new(Zeroizing::new([1; 32]), [3; 16]);
    assert_eq!(other.open(KEY, &sealed()).err(), Some(SealError::OtherKek { kek: [2; 16] }));
    let same_id = Sealer::new(Zeroizing::new([9; 32]), [2; 16]);
    assert_eq!(same_id.open(KEY, &sealed()).err(), Some(SealError::Integrity));
}

#[test]
fn other_lengths_are_refused() {
    // Cut, extended, empty, or longer than any value.
    let record = sealed();
    for len in 0..OVERHEAD {
        assert_eq!(sealer().open(KEY, &record[..len]).err(), Some(SealError::Malformed { len }));
    }
    for len in OVERHEAD..record.len() {
        assert_eq!(sealer().open(KEY, &record[..len]).err(), Some(SealError::Integrity));
    }
    let extended = [record.as_slice(), &[0]].concat();
    assert_eq!(sealer().open(KEY, &extended).err(), Some(SealError::Integrity));
    let long = vec![1; VALUE_LEN_MAX + 1];
    assert_eq!(sealer().open(KEY, &long).err(), Some(SealError::Malformed { len: VALUE_LEN_MAX + 1 }));
}

#[test]
fn too_long_plaintext_is_refused() {
    // The record would not fit into a value.
    let len = VALUE_LEN_MAX - OVERHEAD + 1;
    let refused = sealer().seal(KEY, &vec![0; len], &mut rng());
    assert_eq!(refused, Err(SealError::PlainLength { len }));
}

#[test]
fn same_plaintext_seals_differently() {
    // Salt and nonce are of the record, so equal values do not show.
    let mut rng = rng();
    let records: BTreeSet<_> = (0..10).map(|_| sealer().seal(KEY, PLAIN, &mut rng).unwrap()[17..].to_vec()).collect();
    assert_eq!(records.len(), 10);
}

#[test]
fn derived_keys_differ() {
    // By root, label and id, the key as well as its id, also where label and id run into each other.
    let (one, other) = (Root::new(Zeroizing::new([1; 32])), Root::new(Zeroizing::new([2; 32])));
    let labels = [Root::VAULT_RECORDS, Root::VAULT_MATERIAL, Root::PAGE_TOKENS, Root::SERVICE_KEYS, "", "a", "aa"];
    let mut octets = BTreeSet::new();
    for root in [&one, &other] {
        for label in labels {
            for id in [[0; 16], [b'a'; 16]] {
                let (kek, kek_id) = root.kek(label, &id);
                octets.insert(kek.to_vec());
                octets.insert(kek[..16].to_vec());
                octets.insert(kek_id.to_vec());
            }
        }
    }
    assert_eq!(octets.len(), 2 * labels.len() * 2 * 3);
}

#[test]
fn derivation_stays_as_it_is() {
    // Stores outlive versions: the octets were computed with another implementation of HKDF.
    let (kek, kek_id) = Root::new(Zeroizing::new([7; 32])).kek(Root::VAULT_RECORDS, &[5; 16]);
    assert_eq!(hex(kek.as_slice()), KEK);
    assert_eq!(hex(&kek_id), KEK_ID);
    // Sealed with KEK 01.., id 02.., salt 03.., nonce 04.., under "vault/key".
    let record = [[1].as_slice(), &[2; 16], &[3; 32], &[4; 12], &unhex(SEALED)].concat();
    assert_eq!(sealer().open(KEY, &record).unwrap().as_slice(), PLAIN);
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

const KEK: &str = "eb459b6199fb1bef940a323f8e8baaa439a1b23c47cbeb687104769a1128b45b";
const KEK_ID: &str = "fb8f0bc2099d5f11b53a7bdbcbee42c9";
const SEALED: &str = "142662c94f49f687a3ea0328073c222ee647af7cef38f7d60bb63c90eb6d79eae63ecfb2bf34457543";
