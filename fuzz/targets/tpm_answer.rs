//! Answers of a TPM, as each of the commands reads them: an end, and no more memory than they have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skerry_unseal::tpm::read_answer;

fuzz_target!(|octets: &[u8]| {
    let _ = read_answer(octets);
});
