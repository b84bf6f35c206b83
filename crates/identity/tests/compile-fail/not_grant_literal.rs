// A grant cannot be written down.
use skerry_identity::{Grant, Permission, Principal};

fn forge(principal: Principal, vault: [u8; 16]) -> Grant {
    Grant { principal, vault, permission: Permission::Release, may_read: true }
}

fn main() {
    let _ = forge;
}
