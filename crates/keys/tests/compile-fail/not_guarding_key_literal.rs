// A key that may leave does not become one that guards others.
use skerry_keys::{Binding, GuardingKey, SealedMaterial};

fn forge<'a>(sealed: &'a SealedMaterial, binding: &'a Binding) -> GuardingKey<'a> {
    GuardingKey { sealed, binding }
}

fn main() {
    let _ = forge;
}
