// A plaintext cannot be printed.
use skerry_keywrap::Plaintext;

fn print(plaintext: &Plaintext) -> String {
    format!("{plaintext:?}")
}

fn main() {
    let _ = print;
}
