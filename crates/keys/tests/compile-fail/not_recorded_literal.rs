// A record cannot be written down.
fn main() {
    let _ = skerry_audit::Recorded {};
}
