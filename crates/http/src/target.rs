//! The target of a request: path segments and query parameters, percent-decoded once.
//!
//! What could be read in two ways is refused: encoded slashes, dot segments, control characters, bytes that are not ASCII or,
//! once decoded, not UTF-8.
//! Empty segments are kept, since clients send them for "the latest version" (observed: `/keys/name//release`), but for
//! those that open the path (observed: `///providers/...`).

/// Why a target is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Neither absolute path nor absolute URI (RFC 9112, 3.2): CONNECT, or `OPTIONS *`.
    #[error("the request target is not a path")]
    Form,
    /// `%` without two hexadecimal digits (RFC 3986, 2.1).
    #[error("the request target has a malformed percent-encoding")]
    Percent,
    /// `%2F` or a backslash: one segment to some, two to others.
    #[error("a segment of the path holds a slash")]
    Slash,
    /// A control character, NUL included.
    #[error("the request target holds a control character")]
    Control,
    /// A byte outside ASCII that is not percent-encoded (RFC 3986, 2).
    #[error("the request target is not ascii")]
    NotAscii,
    /// Decoded bytes that are not UTF-8.
    #[error("the request target is not utf-8")]
    NotUtf8,
    /// `.` or `..`, encoded or not (RFC 3986, 3.3).
    #[error("the path has a dot segment")]
    DotSegment,
    /// More segments than the limit.
    #[error("the path has more than {max} segments")]
    Segments {
        /// The limit.
        max: usize,
    },
    /// More parameters than the limit.
    #[error("the query has more than {max} parameters")]
    Parameters {
        /// The limit.
        max: usize,
    },
}

/// A parameter that came more than once, and so has no one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the query parameter came more than once")]
pub struct Duplicate;

/// The segments of a path; none for the root.
pub(crate) fn segments(path: &str, max: usize) -> Result<Vec<String>, TargetError> {
    if !path.starts_with('/') {
        return Err(TargetError::Form);
    }
    let path = path.trim_start_matches('/');
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let segments: Vec<_> = path.split('/').take(max.saturating_add(1)).map(segment).collect::<Result<_, _>>()?;
    if segments.len() > max { Err(TargetError::Segments { max }) } else { Ok(segments) }
}

/// The parameters of a query or a form in their order (WHATWG URL, 5.1): `+` is a blank, a name without `=` has no value.
pub(crate) fn parameters(query: &str, max: usize) -> Result<Vec<(String, String)>, TargetError> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).take(max.saturating_add(1)).map(parameter);
    let pairs: Vec<_> = pairs.collect::<Result<_, _>>()?;
    if pairs.len() > max { Err(TargetError::Parameters { max }) } else { Ok(pairs) }
}

/// The one value under a name; names differ in more than case.
pub(crate) fn single<'a>(pairs: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, Duplicate> {
    let mut values = pairs.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(Duplicate),
    }
}

fn segment(raw: &str) -> Result<String, TargetError> {
    let segment = decode(raw, false)?;
    if segment.contains(['/', '\\']) {
        return Err(TargetError::Slash);
    }
    if matches!(segment.as_str(), "." | "..") { Err(TargetError::DotSegment) } else { Ok(segment) }
}

fn parameter(pair: &str) -> Result<(String, String), TargetError> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    Ok((decode(name, true)?, decode(value, true)?))
}

fn decode(raw: &str, plus_is_blank: bool) -> Result<String, TargetError> {
    let mut octets = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => hex_pair(rest.next(), rest.next()).ok_or(TargetError::Percent)?,
            b'+' if plus_is_blank => b' ',
            octet if !octet.is_ascii() => return Err(TargetError::NotAscii),
            octet => octet,
        });
    }
    let text = String::from_utf8(octets).map_err(|_| TargetError::NotUtf8)?;
    if text.chars().any(char::is_control) { Err(TargetError::Control) } else { Ok(text) }
}

fn hex_pair(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |octet: Option<u8>| char::from(octet?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Paths as clients send them keep every segment but the empty ones that open the path.
    #[test]
    fn segments_are_kept_as_sent() {
        for (path, expected) in [
            ("/", &[][..]),
            ("//", &[]),
            ("/keys", &["keys"]),
            ("/keys/", &["keys", ""]),
            ("/keys/a//release", &["keys", "a", "", "release"]),
            ("//keys/x", &["keys", "x"]),
            ("///providers/p", &["providers", "p"]),
            ("/policies/SevSnpVm:reset", &["policies", "SevSnpVm:reset"]),
            ("/.well-known/x", &[".well-known", "x"]),
            ("/a%20b/%C3%A9", &["a b", "é"]),
            ("/a+b", &["a+b"]),
            ("/%2525", &["%25"]),
            ("/...", &["..."]),
        ] {
            assert_eq!(segments(path, 8).unwrap(), expected, "{path}");
        }
    }

    /// Each ambiguous path has its refusal.
    #[test]
    fn each_refusal_has_its_variant() {
        use TargetError::*;
        for (path, expected) in [
            ("", Form),
            ("*", Form),
            ("keys", Form),
            ("/%", Percent),
            ("/%2", Percent),
            ("/%zz", Percent),
            ("/%+1", Percent),
            ("/a%2fb", Slash),
            ("/a%2Fb", Slash),
            ("/a%5cb", Slash),
            ("/a\\b", Slash),
            ("/%00", Control),
            ("/a%0d%0ab", Control),
            ("/%7f", Control),
            ("/%c2%85", Control),
            ("/é", NotAscii),
            ("/%ff", NotUtf8),
            ("/%c0%af", NotUtf8),
            ("/%ed%a0%80", NotUtf8),
            ("/a/./b", DotSegment),
            ("/a/../b", DotSegment),
            ("/%2e%2e", DotSegment),
            ("/.%2E/x", DotSegment),
            ("/a/b/c", Segments { max: 2 }),
        ] {
            assert_eq!(segments(path, 2), Err(expected), "{path}");
        }
        assert_eq!(parameters("a&b&c", 2), Err(Parameters { max: 2 }));
        assert_eq!(parameters("a=%0", 2), Err(Percent));
        assert_eq!(parameters("%00=1", 2), Err(Control));
    }

    /// Names are decoded as values are: one SDK sends `api%2Dversion`.
    #[test]
    fn names_and_values_are_decoded() {
        let pairs = parameters("api%2Dversion=7.4&x=a+b%2B&&empty&y==", 8).unwrap();
        let expected = [("api-version", "7.4"), ("x", "a b+"), ("empty", ""), ("y", "=")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(single(&pairs, "API-version"), Ok(Some("7.4")));
        assert_eq!(single(&pairs, "z"), Ok(None));
    }

    /// A parameter that came twice has no value, in whatever spelling it came.
    #[test]
    fn duplicates_are_refused() {
        let pairs = parameters("api-version=7.4&Api%2dVersion=7.4", 8).unwrap();
        assert_eq!(single(&pairs, "api-version"), Err(Duplicate));
    }

    proptest! {
        /// Whatever is accepted has no slash, no dot segment and no control character left in it.
        #[test]
        fn accepted_segments_are_harmless(path in "/([a./%2fFeE0\\\\+é-]|%2[eEfF]|%5[cC]){0,24}") {
            for segment in segments(&path, 64).unwrap_or_default() {
                prop_assert!(!segment.contains(['/', '\\']));
                prop_assert!(segment != "." && segment != "..");
                prop_assert!(!segment.chars().any(char::is_control));
            }
        }
    }
}
