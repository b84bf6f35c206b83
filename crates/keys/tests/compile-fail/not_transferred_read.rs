// A key that came wrapped is taken into custody, and read by nobody.
use skerry_keys::TransferredKey;

fn read(key: TransferredKey) {
    let _ = key.material;
}

fn main() {
    let _ = read;
}
