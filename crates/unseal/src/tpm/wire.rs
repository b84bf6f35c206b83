//! Octets of commands and responses (TPM 2.0 Library, Part 2: Structures, and Part 1, 18: Command and response structure).
//!
//! Written and read by hand: eight commands need no library. What a TPM answers is bounded and read whole; a TPM may be a process
//! at the end of a socket, and is not believed to be well-formed.

use super::TpmError;

/// What is written into a command. It has its room from the beginning: growing, it would leave copies of secrets behind.
pub(crate) struct Writer(Vec<u8>);

impl Default for Writer {
    fn default() -> Writer {
        Writer(Vec::with_capacity(COMMAND_LEN_MAX))
    }
}

impl Writer {
    pub(crate) fn u8(mut self, value: u8) -> Writer {
        self.0.push(value);
        self
    }

    pub(crate) fn u16(mut self, value: u16) -> Writer {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Writer {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn raw(mut self, octets: &[u8]) -> Writer {
        self.0.extend_from_slice(octets);
        self
    }

    /// A TPM2B: its length in front. Infallible for what is written here, which is far shorter than 64 KiB.
    pub(crate) fn sized(self, octets: &[u8]) -> Writer {
        let len = u16::try_from(octets.len()).unwrap_or(u16::MAX);
        self.u16(len).raw(octets)
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// What is read of a response: every octet once, in order.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Reader<'a> {
        Reader(octets)
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], TpmError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(TpmError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TpmError> {
        self.take(N)?.try_into().map_err(|_| TpmError::Malformed)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, TpmError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, TpmError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, TpmError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn sized(&mut self) -> Result<&'a [u8], TpmError> {
        let len = usize::from(self.u16()?);
        self.take(len)
    }

    /// Nothing is left.
    pub(crate) fn end(&self) -> Result<(), TpmError> {
        if self.0.is_empty() { Ok(()) } else { Err(TpmError::Malformed) }
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// A command with its header.
pub(crate) fn command(tag: u16, code: u32, body: &[u8]) -> Vec<u8> {
    // Infallible: commands here have less than a KiB.
    let len = u32::try_from(body.len().saturating_add(HEADER_LEN)).unwrap_or(u32::MAX);
    Writer::default().u16(tag).u32(len).u32(code).raw(body).done()
}

/// The body of a response, iff it is whole, and says success.
pub(crate) fn response(octets: &[u8]) -> Result<(u16, &[u8]), TpmError> {
    let mut reader = Reader::new(octets);
    let (tag, len, code) = (reader.u16()?, reader.u32()?, reader.u32()?);
    if usize::try_from(len) != Ok(octets.len()) || octets.len() > RESPONSE_LEN_MAX {
        return Err(TpmError::Malformed);
    }
    match code {
        SUCCESS => Ok((tag, reader.rest())),
        code => Err(TpmError::of(code)),
    }
}

/// Of a command or response: tag, size, code.
pub(crate) const HEADER_LEN: usize = 10;
/// TPM2_MAX_COMMAND_SIZE of the reference implementation.
const COMMAND_LEN_MAX: usize = 4096;
/// TPM2_MAX_RESPONSE_SIZE of the reference implementation, and of /dev/tpmrm0.
pub(crate) const RESPONSE_LEN_MAX: usize = 4096;
const SUCCESS: u32 = 0;
