// A grant for one thing cannot be made into one for another.
use skerry_identity::{Grant, Permission};

fn widen(mut grant: Grant) -> Grant {
    grant.permission = Permission::Release;
    grant
}

fn main() {
    let _ = widen;
}
