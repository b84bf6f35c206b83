// An opened key has one owner, who drops it.
use skerry_keys::OpenedKey;

fn twice(opened: &OpenedKey) -> (OpenedKey, OpenedKey) {
    (opened.clone(), opened.clone())
}

fn main() {
    let _ = twice;
}
