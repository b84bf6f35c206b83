//! What fuzz targets share: cutting an input into parts, a fixed time, and the simulated vectors.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Cuts an input at its NUL octets, which no JSON document has; what is missing is empty.
pub fn parts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut rest = data.splitn(N, |octet| *octet == 0);
    std::array::from_fn(|_| rest.next().unwrap_or_default())
}

/// The time at which every target judges. The simulated certificates are valid then.
pub fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_769_817_600)
}

/// The files of `vectors/simulated` with this ending, in its folder or in `certs`.
pub fn vectors(ending: &str) -> Vec<Vec<u8>> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/simulated"));
    let folders = [root.clone(), root.join("certs")];
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let files = files.filter(|file| file.file_name().to_string_lossy().ends_with(ending));
    files.filter_map(|file| fs::read(file.path()).ok()).collect()
}

/// One file of `vectors/simulated`.
pub fn vector(name: &str) -> Vec<u8> {
    let path = format!("{}/../vectors/simulated/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Hash of the simulated Milan root's key: the last certificate authority of the Milan chain that signs itself.
pub fn milan_root() -> [u8; 32] {
    let limits = skerry_evidence::limits::Limits::default();
    let chain = vector("certs/milan_ask_ark_asvk.pem");
    let chain = skerry_evidence::x509::Certificate::from_pem_bundle(&chain, &limits).expect("the vector parses");
    let ark = chain.iter().find(|one| one.subject().common_name().is_some_and(|name| name == "ARK-Milan"));
    ark.expect("the vector has a root").spki_sha256()
}
