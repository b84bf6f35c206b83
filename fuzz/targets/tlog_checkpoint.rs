//! Signed notes and checkpoints: none is believed that the key did not sign; of signed ones each says one thing.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use skerry_tlog::{Checkpoint, SignedCheckpoint, SigningKey, VerifyingKey};

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_seed("log.example/one", &[7; 32]).expect("a name and a seed"));

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(key) = VerifyingKey::parse(text)
    {
        assert_eq!(VerifyingKey::parse(&key.to_string()), Ok(key));
    }
    let Ok(said) = Checkpoint::parse_unverified(data) else {
        assert!(SignedCheckpoint::verify(data, KEY.public()).is_err());
        return;
    };
    // Only what somebody signed with this key can hold: the seeds, with other signatures around.
    if let Ok(signed) = SignedCheckpoint::verify(data, KEY.public()) {
        assert_eq!((signed.origin(), signed.size(), signed.root()), (said.origin.as_str(), said.size, &said.root));
        assert_eq!((signed.size(), signed.root()), (70_000, &[9; 32]));
    }
    let ours = SignedCheckpoint::sign(&KEY, said.size, said.root);
    let read = SignedCheckpoint::verify(ours.note().as_bytes(), KEY.public()).expect("what was signed is read");
    assert_eq!((read.size(), *read.root()), (said.size, said.root));
});
