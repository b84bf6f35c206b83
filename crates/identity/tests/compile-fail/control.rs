// The right way: a grant for one thing in one vault, from its maker.
use skerry_identity::{Access, Grant, Permission, Principal};

fn all_the_way(access: &Access, who: &Principal, vault: [u8; 16]) -> Option<Grant> {
    access.grant(who, vault, Permission::Release).ok()
}

fn main() {
    let _ = all_the_way;
}
