//! The classic payload: a JSON object (RFC 8259) of exactly two members, read by a reader that
//! knows nothing else.
//!
//! `{"x-ms-sevsnpvm-guestsvn": "22", "x-ms-sevsnpvm-launchmeasurement": "<96 hex>"}`, in any order
//! and with any white space; the version may be an integer (CCF has seen it so). Unknown members
//! are refused: an endorsement with a condition that is not understood must not pass as one
//! without. So are escapes, which nobody needs to write digits and these two names.

use super::limits::PAYLOAD_BYTES_MAX;

/// Why a payload is not the classic JSON object.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// Longer than [`PAYLOAD_BYTES_MAX`].
    #[error("{len} bytes, at most {max}")]
    TooLong {
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Not the JSON that is expected at this place.
    #[error("unexpected byte at {at}")]
    Syntax {
        /// Offset of the byte.
        at: usize,
    },
    /// A member of another name.
    #[error("unknown member before {at}")]
    UnknownMember {
        /// Offset after its name.
        at: usize,
    },
    /// A member twice.
    #[error("member twice before {at}")]
    DuplicateMember {
        /// Offset after its value.
        at: usize,
    },
    /// No security version.
    #[error("guestsvn is missing")]
    NoSvn,
    /// A security version that is no canonical decimal number of 64 bits.
    #[error("malformed guestsvn")]
    Svn,
    /// No launch measurement.
    #[error("launchmeasurement is missing")]
    NoMeasurement,
    /// A launch measurement that is not 96 hexadecimal digits.
    #[error("malformed launchmeasurement")]
    Measurement,
}

/// What the payload says; authentic if the bytes were.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Payload {
    pub(super) svn: u64,
    pub(super) measurement: [u8; 48],
}

impl Payload {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, PayloadError> {
        if bytes.len() > PAYLOAD_BYTES_MAX {
            return Err(PayloadError::TooLong { len: bytes.len(), max: PAYLOAD_BYTES_MAX });
        }
        let mut json = Json { bytes, at: 0 };
        let (mut svn, mut measurement) = (None, None);
        json.expect(b'{')?;
        loop {
            let name = json.string()?;
            let named_at = json.at;
            json.expect(b':')?;
            let replaced = match name {
                SVN => svn.replace(parse_svn(json.number_or_string()?)?).is_some(),
                MEASUREMENT => measurement.replace(parse_measurement(json.string()?)?).is_some(),
                _ => return Err(PayloadError::UnknownMember { at: named_at }),
            };
            if replaced {
                return Err(PayloadError::DuplicateMember { at: json.at });
            }
            if !json.another()? {
                break;
            }
        }
        json.end()?;
        Ok(Self { svn: svn.ok_or(PayloadError::NoSvn)?, measurement: measurement.ok_or(PayloadError::NoMeasurement)? })
    }
}

struct Json<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Json<'a> {
    fn peek(&mut self) -> Option<u8> {
        self.skip_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        self.bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Result<(), PayloadError> {
        match self.peek() {
            Some(found) if found == byte => self.at = self.at.saturating_add(1),
            _ => return Err(PayloadError::Syntax { at: self.at }),
        }
        Ok(())
    }

    /// The text between two quotes: printable ASCII, no escapes.
    fn string(&mut self) -> Result<&'a [u8], PayloadError> {
        self.expect(b'"')?;
        let text = self.skip_while(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'));
        if self.bytes.get(self.at) != Some(&b'"') {
            return Err(PayloadError::Syntax { at: self.at });
        }
        self.at = self.at.saturating_add(1);
        Ok(text)
    }

    fn number_or_string(&mut self) -> Result<&'a [u8], PayloadError> {
        match self.peek() {
            Some(b'0'..=b'9') => Ok(self.skip_while(|byte| byte.is_ascii_digit())),
            _ => self.string(),
        }
    }

    fn another(&mut self) -> Result<bool, PayloadError> {
        match self.peek() {
            Some(b',') => self.expect(b',').map(|()| true),
            _ => self.expect(b'}').map(|()| false),
        }
    }

    fn end(&mut self) -> Result<(), PayloadError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(PayloadError::Syntax { at: self.at }),
        }
    }

    fn skip_while(&mut self, wanted: impl Fn(&u8) -> bool) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (text, _) = rest.split_at(rest.iter().position(|byte| !wanted(byte)).unwrap_or(rest.len()));
        self.at = self.at.saturating_add(text.len());
        text
    }
}

fn parse_svn(digits: &[u8]) -> Result<u64, PayloadError> {
    let text = std::str::from_utf8(digits).map_err(|_| PayloadError::Svn)?;
    let svn: u64 = text.parse().map_err(|_| PayloadError::Svn)?;
    // One spelling only: no sign, no leading zero.
    if svn.to_string() == text { Ok(svn) } else { Err(PayloadError::Svn) }
}

fn parse_measurement(digits: &[u8]) -> Result<[u8; 48], PayloadError> {
    let mut measurement = [0; 48];
    hex::decode_to_slice(digits, &mut measurement).map_err(|_| PayloadError::Measurement)?;
    Ok(measurement)
}

const SVN: &[u8] = b"x-ms-sevsnpvm-guestsvn";
const MEASUREMENT: &[u8] = b"x-ms-sevsnpvm-launchmeasurement";

#[cfg(test)]
mod tests {
    use super::{Payload, PayloadError};

    fn parse(text: &str) -> Result<Payload, PayloadError> {
        Payload::parse(text.as_bytes())
    }

    fn object(svn: &str, measurement: &str) -> String {
        format!(r#"{{"x-ms-sevsnpvm-guestsvn": {svn}, "x-ms-sevsnpvm-launchmeasurement": "{measurement}"}}"#)
    }

    /// Both spellings of the version, both cases of hex, any white space and either order are read.
    #[test]
    fn reads_what_is_in_use() {
        let wanted = Payload { svn: 100, measurement: [0xab; 48] };
        for (svn, hex) in [("\"100\"", "ab"), ("100", "ab"), ("\"100\"", "AB"), (" \r\n\t100\n", "aB")] {
            assert_eq!(parse(&object(svn, &hex.repeat(48))), Ok(wanted.clone()));
        }
        let hex = "ab".repeat(48);
        let other = format!(r#" {{"x-ms-sevsnpvm-launchmeasurement":"{hex}","x-ms-sevsnpvm-guestsvn":"100"}} "#);
        assert_eq!(parse(&other), Ok(wanted));
        assert_eq!(parse(&object("\"18446744073709551615\"", &hex)).map(|p| p.svn), Ok(u64::MAX));
        assert_eq!(parse(&object("0", &hex)).map(|p| p.svn), Ok(0));
    }

    /// A version has one spelling and fits 64 bits.
    #[test]
    fn refuses_other_versions() {
        for svn in
            ["\"\"", "\"+1\"", "\"-1\"", "\"01\"", "01", "\" 1\"", "\"1.0\"", "\"18446744073709551616\"", "\"0x1\""]
        {
            assert_eq!(parse(&object(svn, &"ab".repeat(48))), Err(PayloadError::Svn), "{svn}");
        }
        for svn in ["-1", "true", "null", "[1]", "{}"] {
            assert_eq!(parse(&object(svn, &"ab".repeat(48))), Err(PayloadError::Syntax { at: 27 }), "{svn}");
        }
        for svn in ["1.5", "1e3"] {
            assert_eq!(parse(&object(svn, &"ab".repeat(48))), Err(PayloadError::Syntax { at: 28 }), "{svn}");
        }
    }

    /// A measurement is 48 bytes of hex, not one digit more or less.
    #[test]
    fn refuses_other_measurements() {
        for hex in ["".to_owned(), "ab".repeat(47), "ab".repeat(49), "a".repeat(95), "zz".repeat(48)] {
            assert_eq!(parse(&object("1", &hex)), Err(PayloadError::Measurement), "{hex}");
        }
    }

    /// Members are exactly the two, once each.
    #[test]
    fn refuses_other_members() {
        let hex = "ab".repeat(48);
        let twice = r#"{"x-ms-sevsnpvm-guestsvn":1,"x-ms-sevsnpvm-guestsvn":1}"#;
        assert_eq!(parse(twice), Err(PayloadError::DuplicateMember { at: 54 }));
        assert_eq!(parse(r#"{"debug":"1"}"#), Err(PayloadError::UnknownMember { at: 8 }));
        assert_eq!(parse(r#"{"x-ms-sevsnpvm-guestsvn":1}"#), Err(PayloadError::NoMeasurement));
        let no_svn = format!(r#"{{"x-ms-sevsnpvm-launchmeasurement":"{hex}"}}"#);
        assert_eq!(parse(&no_svn), Err(PayloadError::NoSvn));
        let escaped = format!(r#"{{"x-ms-sevsnpvm-guest\u0073vn":1,"x-ms-sevsnpvm-launchmeasurement":"{hex}"}}"#);
        assert_eq!(parse(&escaped), Err(PayloadError::Syntax { at: 21 }));
    }

    /// Every truncation is refused, and so is anything behind the object.
    #[test]
    fn refuses_truncation_and_trailing_bytes() {
        let whole = object("\"100\"", &"ab".repeat(48));
        for (len, _) in whole.char_indices() {
            assert!(matches!(parse(&whole[..len]), Err(PayloadError::Syntax { .. })), "{len}");
        }
        assert_eq!(parse(&format!("{whole},")), Err(PayloadError::Syntax { at: whole.len() }));
        assert_eq!(parse("{}"), Err(PayloadError::Syntax { at: 1 }));
        assert_eq!(parse(&format!("\u{feff}{whole}")), Err(PayloadError::Syntax { at: 0 }));
        let long = " ".repeat(1025);
        assert_eq!(parse(&long), Err(PayloadError::TooLong { len: 1025, max: 1024 }));
    }
}
