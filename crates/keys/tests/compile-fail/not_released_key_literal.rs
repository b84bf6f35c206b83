// A released key cannot be written down.
fn main() {
    let _ = skerry_keys::ReleasedKey {};
}
