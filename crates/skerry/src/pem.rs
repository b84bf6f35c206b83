//! PEM (RFC 7468) as this program writes it.

use der::pem::{LineEnding, encode_string};
use zeroize::Zeroizing;

/// One block, ending in a line feed.
pub(crate) fn block(label: &'static str, der: &[u8]) -> anyhow::Result<Zeroizing<String>> {
    let text = encode_string(label, LineEnding::LF, der);
    text.map(Zeroizing::new).map_err(|error| anyhow::anyhow!("{label}: {error}"))
}

/// Label of a certificate.
pub(crate) const CERTIFICATE: &str = "CERTIFICATE";
/// Label of a PKCS#8 private key.
pub(crate) const PRIVATE_KEY: &str = "PRIVATE KEY";
