// A permit cannot be bent to another key.
use skerry_policy::permit::{KeyRef, Permit};

fn bend(permit: &mut Permit, key: KeyRef) {
    permit.key = key;
}

fn main() {
    let _ = bend;
}
