//! Whether a request is sent again.

use std::time::Duration;

use http::HeaderValue;

use crate::limits::{RETRIES_MAX, RETRY_AFTER_MAX};

/// What is known of doing a request twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Twice is once: it reads, computes, or sets something to a value.
    Always,
    /// Only where the server says that it did nothing: 429. After 503 it may have been done.
    Refused,
}

/// How long to wait before the next try, iff there is to be one: the server asks for it, at a time that is not too far, and
/// the request may be repeated.
pub(super) fn again(status: u16, retry_after: Option<&HeaderValue>, repeat: Repeat, tries: u32) -> Option<Duration> {
    let repeatable = match status {
        429 => true,
        503 => repeat == Repeat::Always,
        _ => false,
    };
    // RFC 9110, 10.2.3: seconds, or a date, which no vault was seen to send.
    let wait = Duration::from_secs(retry_after?.to_str().ok()?.trim().parse().ok()?);
    (repeatable && tries < RETRIES_MAX && wait <= RETRY_AFTER_MAX).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reason not to try again, alone, beside the case in which there is none.
    #[test]
    fn it_is_sent_again_only_where_that_is_safe_and_asked_for() {
        let after = |text: &'static str| Some(HeaderValue::from_static(text));
        let secs = |secs| Some(Duration::from_secs(secs));
        for (status, header, repeat, tries, expected) in [
            (429, after("2"), Repeat::Refused, 0, secs(2)),
            (429, after("0"), Repeat::Always, RETRIES_MAX - 1, secs(0)),
            (503, after("60"), Repeat::Always, 0, secs(60)),
            (503, after("1"), Repeat::Refused, 0, None),
            (503, after("61"), Repeat::Always, 0, None),
            (503, None, Repeat::Always, 0, None),
            (503, after("soon"), Repeat::Always, 0, None),
            (503, after("-1"), Repeat::Always, 0, None),
            (503, after("Wed, 21 Oct 2015 07:28:00 GMT"), Repeat::Always, 0, None),
            (429, after("0"), Repeat::Always, RETRIES_MAX, None),
            (500, after("0"), Repeat::Always, 0, None),
            (408, after("0"), Repeat::Always, 0, None),
            (200, after("0"), Repeat::Always, 0, None),
        ] {
            assert_eq!(
                again(status, header.as_ref(), repeat, tries),
                expected,
                "{status} {header:?} {repeat:?} {tries}"
            );
        }
    }
}
