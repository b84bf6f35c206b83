// Custody, and a key to bring in, cannot be printed.
use skerry_keys::{ImportKey, Software};

fn print(custody: &Software, key: &ImportKey) -> String {
    format!("{custody:?} {key:?}")
}

fn main() {
    let _ = print;
}
