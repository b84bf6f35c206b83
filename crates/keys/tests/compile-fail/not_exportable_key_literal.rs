// A key cannot be called exportable by hand.
use skerry_keys::{Binding, ExportableKey, SealedMaterial};

fn call<'a>(sealed: &'a SealedMaterial, binding: &'a Binding) -> ExportableKey<'a> {
    ExportableKey { sealed, binding }
}

fn main() {
    let _ = call;
}
