// Verified evidence cannot be written down.
fn main() {
    let _ = skerry_evidence::evidence::VerifiedEvidence {};
}
