//! Sealed root files: one that is read has one spelling and asks for no more than it may; none opens under another secret.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skerry_unseal::{SealedRoot, Secret};
use zeroize::Zeroizing;

fuzz_target!(|octets: &[u8]| {
    let Ok(sealed) = SealedRoot::parse(octets) else { return };
    assert_eq!(sealed.to_bytes(), octets, "another spelling");
    assert!(sealed.open(&Secret::new(Zeroizing::new([9; 32]))).is_err(), "opened");
});
