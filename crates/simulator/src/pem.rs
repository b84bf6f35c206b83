//! PEM (RFC 7468) with several blocks in one text.

use der::pem::{LineEnding, decode_vec, encode_string};
use zeroize::Zeroizing;

use crate::SimulatorError;

/// Label of a certificate.
pub(crate) const CERTIFICATE: &str = "CERTIFICATE";
/// Label of a PKCS#8 private key.
pub(crate) const PRIVATE_KEY: &str = "PRIVATE KEY";

const BEGIN: &str = "-----BEGIN ";

/// Blocks of a text, taken in order.
pub(crate) struct Blocks<'a> {
    texts: Vec<&'a str>,
    next: usize,
}

impl<'a> Blocks<'a> {
    /// Splits `text` at its BEGIN lines; what comes before the first is ignored (RFC 7468, 2).
    pub(crate) fn new(text: &'a str) -> Self {
        let starts: Vec<usize> = text.match_indices(BEGIN).map(|(at, _)| at).collect();
        let ends = starts.iter().copied().skip(1).chain([text.len()]);
        let texts = starts.iter().copied().zip(ends).filter_map(|(from, to)| text.get(from..to));
        Self { texts: texts.collect(), next: 0 }
    }

    /// The next block, which must have this label.
    pub(crate) fn take(&mut self, label: &str) -> Result<Zeroizing<Vec<u8>>, SimulatorError> {
        let malformed = SimulatorError::MalformedPem { index: self.next };
        let text = self.texts.get(self.next).ok_or_else(|| malformed.clone())?;
        let (found, bytes) = decode_vec(text.as_bytes()).map_err(|_| malformed.clone())?;
        let bytes = Zeroizing::new(bytes);
        if found != label {
            return Err(malformed);
        }
        self.next += 1;
        Ok(bytes)
    }

    /// True iff every block was taken.
    pub(crate) fn is_done(&self) -> bool {
        self.next == self.texts.len()
    }

    /// Iff every block was taken.
    pub(crate) fn finish(&self) -> Result<(), SimulatorError> {
        if self.is_done() { Ok(()) } else { Err(SimulatorError::MalformedPem { index: self.next }) }
    }
}

/// One block, ending in a line feed.
pub(crate) fn block(label: &str, bytes: &[u8]) -> Result<Zeroizing<String>, SimulatorError> {
    encode_string(label, LineEnding::LF, bytes).map(Zeroizing::new).map_err(|_| SimulatorError::KeyExport)
}

/// Blocks as one text, allocated once so that no copy of a secret stays behind.
pub(crate) fn join(blocks: &[Zeroizing<String>]) -> Zeroizing<String> {
    let len = blocks.iter().map(|block| block.len()).sum();
    let mut text = Zeroizing::new(String::with_capacity(len));
    blocks.iter().for_each(|block| text.push_str(block));
    text
}

/// Certificates as one bundle, in the order given.
pub(crate) fn certificates<'a>(ders: impl IntoIterator<Item = &'a [u8]>) -> Result<String, SimulatorError> {
    let mut text = String::new();
    for der in ders {
        text.push_str(&block(CERTIFICATE, der)?);
    }
    Ok(text)
}
