// A signer has one owner, who drops it.
use skerry_keys::Signer;

fn twice(signer: &Signer) -> (Signer, Signer) {
    (signer.clone(), signer.clone())
}

fn main() {
    let _ = twice;
}
