// Trust in a token cannot be written down.
fn main() {
    let _ = skerry_attestation_result::TrustedResult {};
}
