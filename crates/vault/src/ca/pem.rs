//! A CA as text: three blocks of PEM (RFC 7468), in this order and nothing between.

use x509_cert::der::pem::{LineEnding, decode_vec, encode_string};
use zeroize::Zeroizing;

use super::CaError;

/// What the text holds.
pub(super) struct Stored {
    pub(super) root_der: Vec<u8>,
    pub(super) issuing_der: Vec<u8>,
    pub(super) key_pkcs8: Zeroizing<Vec<u8>>,
}

pub(super) fn encode(root: &[u8], issuing: &[u8], key: &[u8]) -> Result<Zeroizing<String>, CaError> {
    let block = |label, der| encode_string(label, LineEnding::LF, der).map(Zeroizing::new).map_err(|_| CaError::Pem);
    let blocks = [block(CERTIFICATE, root)?, block(CERTIFICATE, issuing)?, block(KEY, key)?];
    // Room for all, so that growing leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(blocks.iter().map(|block| block.len()).sum()));
    blocks.iter().for_each(|block| text.push_str(block));
    Ok(text)
}

pub(super) fn decode(text: &str) -> Result<Stored, CaError> {
    if text.len() > PEM_LEN_MAX {
        return Err(CaError::Pem);
    }
    let (root_der, rest) = first(text, CERTIFICATE)?;
    let (issuing_der, rest) = first(rest, CERTIFICATE)?;
    let (key_pkcs8, rest) = first(rest, KEY)?;
    if !rest.is_empty() {
        return Err(CaError::Pem);
    }
    Ok(Stored { root_der: root_der.to_vec(), issuing_der: issuing_der.to_vec(), key_pkcs8 })
}

/// The first block, which has this label, and what follows it.
fn first<'a>(text: &'a str, label: &str) -> Result<(Zeroizing<Vec<u8>>, &'a str), CaError> {
    if !text.starts_with(&format!("-----BEGIN {label}-----\n")) {
        return Err(CaError::Pem);
    }
    let end = format!("-----END {label}-----\n");
    let at = text.find(&end).ok_or(CaError::Pem)?.saturating_add(end.len());
    let (block, rest) = text.split_at_checked(at).ok_or(CaError::Pem)?;
    let (found, der) = decode_vec(block.as_bytes()).map_err(|_| CaError::Pem)?;
    let der = Zeroizing::new(der);
    if found == label { Ok((der, rest)) } else { Err(CaError::Pem) }
}

const CERTIFICATE: &str = "CERTIFICATE";
const KEY: &str = "PRIVATE KEY";
/// Two certificates of about 600 octets with a dozen constraints, and a key of 140; the rest is room.
const PEM_LEN_MAX: usize = 16 * 1024;
