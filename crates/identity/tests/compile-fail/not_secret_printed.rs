// Neither a client's secret nor a minted token can be printed.
use skerry_identity::{Minted, SecretDigest};

fn print(digest: &SecretDigest, minted: &Minted) -> String {
    format!("{digest:?} {minted:?}")
}

fn main() {
    let _ = print;
}
