//! Stored public keys: what is read is written as the same octets, and no key verifies what nobody signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skerry_keys::{PublicKey, SignAlgorithm, verify};

fuzz_target!(|data: &[u8]| {
    let Ok(key) = PublicKey::from_bytes(data) else { return };
    assert_eq!(key.to_bytes().as_deref(), Ok(data));
    let key_type = key.key_type().expect("a key that was read is canonical");
    for algorithm in SignAlgorithm::ALL {
        let digest = vec![1; algorithm.digest_len().unwrap_or_default()];
        // Two octets have the length of no key's signature; a key of the fuzzer's own could have signed a longer one.
        let verdict = verify(&key, algorithm, &digest, &[1, 1]);
        assert_ne!(verdict, Ok(true), "a signature that nobody made holds");
        let fits = key_type.is_some_and(|key_type| algorithm.fits(key_type));
        assert!(fits || verdict.is_err(), "an algorithm for another type is judged");
    }
});
