//! Writing DER (X.690). Only what certificates and CRLs need; odd certificates for negative tests
//! (duplicate extensions, two common names) are why no typed builder is used.

use der::asn1::ObjectIdentifier;

/// One tag, length, value; definite length in its shortest form (X.690, 10.1).
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend(length(content.len()));
    out.extend_from_slice(content);
    out
}

/// SEQUENCE of items that are already DER.
pub(crate) fn sequence(items: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &items.concat())
}

/// INTEGER from big-endian magnitude.
pub(crate) fn unsigned(magnitude: &[u8]) -> Vec<u8> {
    let trimmed: Vec<u8> = magnitude.iter().copied().skip_while(|byte| *byte == 0).collect();
    let sign = trimmed.first().is_none_or(|first| *first >= 0x80);
    let mut content = if sign { vec![0] } else { Vec::new() };
    content.extend(trimmed);
    tlv(0x02, &content)
}

/// OBJECT IDENTIFIER.
pub(crate) fn oid(oid: &ObjectIdentifier) -> Vec<u8> {
    tlv(0x06, oid.as_bytes())
}

/// OCTET STRING.
pub(crate) fn octets(content: &[u8]) -> Vec<u8> {
    tlv(0x04, content)
}

/// BIT STRING with `unused` bits at its end.
pub(crate) fn bits(unused: u8, content: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[unused], content].concat())
}

/// UTF8String.
pub(crate) fn utf8(text: &str) -> Vec<u8> {
    tlv(0x0c, text.as_bytes())
}

/// PrintableString.
pub(crate) fn printable(text: &str) -> Vec<u8> {
    tlv(0x13, text.as_bytes())
}

/// IA5String.
pub(crate) fn ia5(text: &str) -> Vec<u8> {
    tlv(0x16, text.as_bytes())
}

/// Extension (RFC 5280, 4.1).
pub(crate) fn extension(id: &ObjectIdentifier, critical: bool, value: &[u8]) -> Vec<u8> {
    let flag: &[u8] = if critical { &[0x01, 0x01, 0xff] } else { &[] };
    sequence(&[&oid(id), flag, &octets(value)])
}

fn length(len: usize) -> Vec<u8> {
    let bytes: Vec<u8> = len.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    match u8::try_from(len) {
        Ok(short) if short < 0x80 => vec![short],
        // Infallible: a usize has at most eight bytes, so the fallback is never taken.
        _ => [vec![0x80 | u8::try_from(bytes.len()).unwrap_or(8)], bytes].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths and integers take their shortest form.
    #[test]
    fn der_is_distinguished() {
        assert_eq!(tlv(4, &[]), [4, 0]);
        assert_eq!(tlv(4, &[7; 127])[..2], [4, 127]);
        assert_eq!(tlv(4, &[7; 128])[..3], [4, 0x81, 128]);
        assert_eq!(tlv(4, &[7; 300])[..4], [4, 0x82, 1, 44]);
        assert_eq!(unsigned(&[0, 0]), [2, 1, 0]);
        assert_eq!(unsigned(&[0x7f]), [2, 1, 0x7f]);
        assert_eq!(unsigned(&[0, 0xdb]), [2, 2, 0, 0xdb]);
    }
}
