// An opened key cannot be printed.
use skerry_keys::OpenedKey;

fn print(opened: &OpenedKey) -> String {
    format!("{opened:?}")
}

fn main() {
    let _ = print;
}
