//! base64 in its uses: strict for what is signed or is a key, lenient for members of requests, standard for x5c.
//!
//! Strict means RFC 7515's form: url-safe alphabet, no padding, no white space, unused bits zero. So every byte string
//! has exactly one text.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE_NO_PAD};

/// Why a text is not base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not base64 of the form asked for")]
pub struct NotBase64;

/// base64url without padding (RFC 7515, 2).
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Appends base64url without padding to `text`.
pub fn encode_to(bytes: impl AsRef<[u8]>, text: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// Decodes base64url, strictly: one text per value.
pub fn decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, NotBase64> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| NotBase64)
}

/// Decodes base64url with or without padding, as members of requests come
/// (observed: Microsoft's sidecar sends padded base64url, the SDKs unpadded).
pub fn decode_lenient(text: impl AsRef<[u8]>) -> Result<Vec<u8>, NotBase64> {
    LENIENT.decode(text).map_err(|_| NotBase64)
}

/// Decodes base64 of one alphabet or the other, with or without padding, as members of attest requests come
/// (observed: padded and unpadded base64url; the service's specification has an example in the standard alphabet).
pub fn decode_either(text: impl AsRef<[u8]>) -> Result<Vec<u8>, NotBase64> {
    let text = text.as_ref();
    let standard = text.iter().any(|octet| matches!(octet, b'+' | b'/'));
    let engine = if standard { LENIENT_STANDARD } else { LENIENT };
    engine.decode(text).map_err(|_| NotBase64)
}

/// base64 with the standard alphabet and padding (RFC 4648, 4), as `x5c` and the attestation service's `kid` have it.
pub fn encode_standard(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// Decodes base64 with the standard alphabet and padding, strictly.
pub fn decode_standard(text: impl AsRef<[u8]>) -> Result<Vec<u8>, NotBase64> {
    STANDARD.decode(text).map_err(|_| NotBase64)
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, PADDED_OR_NOT);
const LENIENT_STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, PADDED_OR_NOT);
const PADDED_OR_NOT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_form_has_one_text_per_value() {
        assert_eq!(decode("AQAB"), Ok(vec![1, 0, 1]));
        for other in ["AQ==", "AQ=", "AR", "A+", "A/", " AQ", "AQ ", "AQ\n", "A", "AQé"] {
            assert_eq!(decode(other), Err(NotBase64), "{other:?}");
        }
    }

    #[test]
    fn lenient_form_takes_padding_but_no_other_alphabet_and_no_stray_bits() {
        assert_eq!(decode_lenient("_w=="), Ok(vec![255]));
        assert_eq!(decode_lenient("_w"), Ok(vec![255]));
        for other in ["/w==", "_x==", "_w= =", "_w\n"] {
            assert_eq!(decode_lenient(other), Err(NotBase64), "{other:?}");
        }
    }

    #[test]
    fn either_form_takes_each_alphabet_but_not_both_and_no_stray_bits() {
        for text in ["_-8=", "_-8", "/+8=", "/+8"] {
            assert_eq!(decode_either(text), Ok(vec![255, 239]), "{text:?}");
        }
        assert_eq!(decode_either(""), Ok(Vec::new()));
        for other in ["_+8=", "/-8", "/+9=", "_-9", "/+8==", "/+ 8", "/+8\n", "/", "/+8=A"] {
            assert_eq!(decode_either(other), Err(NotBase64), "{other:?}");
        }
    }

    #[test]
    fn standard_form_is_strict_too() {
        assert_eq!(decode_standard("/w=="), Ok(vec![255]));
        for other in ["/w", "_w==", "/x=="] {
            assert_eq!(decode_standard(other), Err(NotBase64), "{other:?}");
        }
    }
}
