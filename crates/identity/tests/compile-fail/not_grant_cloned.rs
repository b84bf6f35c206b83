// A grant cannot be copied.
use skerry_identity::Grant;

fn copy(grant: &Grant) -> Grant {
    grant.clone()
}

fn main() {
    let _ = copy;
}
