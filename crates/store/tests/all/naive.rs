//! A file in which anything was done.

use crate::disk::Disk;
use crate::engines::*;
use crate::suite::naive::{check, run};
use skerry_store::Store;

#[test]
fn a_file_opens_again_whatever_was_done_in_it() {
    // Its sum is of what is in it.
    check(CASES, |steps| {
        let disk = Disk::new();
        run("disk", &Store::create_on(disk.clone(), &root(1), options()).unwrap(), steps);
        assert_eq!(Store::open_on(disk, &root(1), options()).err(), None);
    });
}
