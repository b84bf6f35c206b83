// A signer cannot be printed.
use skerry_keys::Signer;

fn print(signer: &Signer) -> String {
    format!("{signer:?}")
}

fn main() {
    let _ = print;
}
