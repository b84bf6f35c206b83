// A plaintext cannot be copied.
use skerry_keywrap::Plaintext;

fn copy(plaintext: &Plaintext) -> Plaintext {
    plaintext.clone()
}

fn main() {
    let _ = copy;
}
