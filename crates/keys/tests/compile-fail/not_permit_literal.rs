// A permit cannot be written down.
fn main() {
    let _ = skerry_policy::permit::Permit {};
}
