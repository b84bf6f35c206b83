// Custody opens nothing for others.
use skerry_keys::{Binding, SealedMaterial, Software};

fn open(custody: &Software, sealed: &SealedMaterial, binding: &Binding) {
    let _ = custody.open(sealed, binding);
}

fn main() {
    let _ = open;
}
