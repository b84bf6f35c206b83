//! What the author of a clause that does not hold may have meant. Hints decide nothing.

use std::fmt;

use skerry_attestation_result::IssuerUrl;
use skerry_jose::b64;
use skerry_jose::json::{Object, Value};

use super::compare::{self, Integer, Shown};
use super::{Clause, Operator};

/// A likely mistake behind a clause or entry that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// The texts differ only in letter case.
    LetterCase,
    /// The texts differ only in white space at their ends.
    WhiteSpace,
    /// Both write the same number, one of them not canonically.
    NumberSpelling,
    /// The texts differ only in a slash at their end.
    TrailingSlash,
    /// Both write the same bytes in different encodings (hex, base64 or base64url, with or without padding).
    Encoding,
    /// The claim is there under a path that differs only in letter case.
    ClaimCase {
        /// That path.
        claim: String,
    },
    /// The claim is there under another path.
    ClaimElsewhere {
        /// That path, as a policy would write it.
        claim: String,
    },
    /// The claim is a top-level name with dots in it, which a policy cannot address.
    ClaimWithDots,
    /// The authority and the issuer differ only in letter case of the path.
    AuthorityCase,
    /// The authority and the issuer have the same host but another port or path.
    AuthoritySameHost,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LetterCase => "differs only in letter case",
            Self::WhiteSpace => "differs only in white space",
            Self::NumberSpelling => "the same number in another spelling",
            Self::TrailingSlash => "differs only in the last slash",
            Self::Encoding => "the same bytes in another encoding",
            Self::ClaimCase { claim } | Self::ClaimElsewhere { claim } => return write!(f, "the token has {claim:?}"),
            Self::ClaimWithDots => "the token has this name with its dots at the top, which no policy can address",
            Self::AuthorityCase => "differs from the issuer only in letter case",
            Self::AuthoritySameHost => "the issuer has the same host but another port or path",
        })
    }
}

pub(super) fn of_authority(authority: &IssuerUrl, issuer: &IssuerUrl) -> Option<Hint> {
    if authority.normal().eq_ignore_ascii_case(issuer.normal()) {
        return Some(Hint::AuthorityCase);
    }
    (host(authority) == host(issuer)).then_some(Hint::AuthoritySameHost)
}

/// Without port and path. An IPv6 literal is cut at its first colon, which a hint may be.
fn host(url: &IssuerUrl) -> Option<&str> {
    url.normal().strip_prefix("https://")?.split(['/', ':']).next()
}

/// For a clause that does not hold for what is shown.
pub(super) fn of_clause(clause: &Clause, shown: &Shown<'_>, claims: &Object) -> Option<Hint> {
    match shown {
        Shown::Missing | Shown::Blocked => of_path(&clause.claim, claims),
        Shown::Text(text) if text.len() > TEXT_BYTES_MAX => None,
        Shown::NotCanonical(text) => same_number(text, &clause.operand.text).then_some(Hint::NumberSpelling),
        Shown::Text(text) if clause.operator == Operator::Equals => of_texts(&clause.operand.text, text),
        Shown::Text(text) if clause.operator.is_ordering() => of_ordering(text),
        Shown::Text(_) | Shown::Null | Shown::Array | Shown::Object => None,
    }
}

/// Whether two texts that differ may mean the same.
type Same = fn(&str, &str) -> bool;

fn of_texts(a: &str, b: &str) -> Option<Hint> {
    let table: [(Same, Hint); 5] = [
        (|a, b| a.trim() == b.trim(), Hint::WhiteSpace),
        (|a, b| a.to_lowercase() == b.to_lowercase(), Hint::LetterCase),
        (|a, b| a.trim_end_matches('/') == b.trim_end_matches('/'), Hint::TrailingSlash),
        (same_number, Hint::NumberSpelling),
        (same_bytes, Hint::Encoding),
    ];
    table.into_iter().find(|(same, _)| same(a, b)).map(|(_, hint)| hint)
}

fn of_ordering(text: &str) -> Option<Hint> {
    let spelled = Integer::parse(text).is_none() && number(text).is_some();
    spelled.then_some(Hint::NumberSpelling)
}

fn same_number(a: &str, b: &str) -> bool {
    number(a).is_some_and(|a| number(b) == Some(a))
}

/// Sign and digits of a decimal integer, spelt with zeros, a plus sign, white space or an empty fraction around it.
fn number(text: &str) -> Option<(bool, &str)> {
    let text = text.trim();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let valid = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
    let magnitude = whole.trim_start_matches('0');
    let negative = text.starts_with('-') && !magnitude.is_empty();
    (valid && fraction.bytes().all(|byte| byte == b'0')).then_some((negative, magnitude))
}

fn same_bytes(a: &str, b: &str) -> bool {
    let b = readings(b);
    readings(a).iter().any(|bytes| b.contains(bytes))
}

/// The bytes a text may stand for; a text of hex digits may be base64 as well.
fn readings(text: &str) -> Vec<Vec<u8>> {
    let url_safe = text.replace('+', "-").replace('/', "_");
    let readings = [hex(text.strip_prefix("0x").unwrap_or(text)), b64::decode_lenient(url_safe).ok()];
    readings.into_iter().flatten().filter(|bytes| bytes.len() >= ENCODED_BYTES_MIN).collect()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

fn of_path(claim: &str, claims: &Object) -> Option<Hint> {
    let elsewhere =
        [format!("{ISOLATION_TEE}{claim}"), claim.strip_prefix(ISOLATION_TEE).unwrap_or_default().to_owned()];
    if claim.contains('.') && claims.contains(claim) {
        return Some(Hint::ClaimWithDots);
    }
    if let Some(found) = in_another_case(claim, claims) {
        return Some(Hint::ClaimCase { claim: found });
    }
    elsewhere.into_iter().find_map(|path| in_another_case(&path, claims)).map(|claim| Hint::ClaimElsewhere { claim })
}

/// The path as the token spells it, if all its names are there but for letter case.
fn in_another_case(claim: &str, claims: &Object) -> Option<String> {
    let trimmed = claim.trim();
    let (first, rest) = trimmed.split_once('.').unwrap_or((trimmed, ""));
    let (own, value) = claims.iter().find(|(own, _)| own.eq_ignore_ascii_case(first))?;
    match (rest, value) {
        ("", _) => Some(own.to_owned()),
        (rest, Value::Object(inner)) => in_another_case(rest, inner).map(|rest| format!("{own}.{rest}")),
        _ => None,
    }
    .filter(|path| !matches!(compare::look(claims, path), Shown::Missing))
}

/// Where tokens of Azure's confidential VMs keep the claims of the TEE.
const ISOLATION_TEE: &str = "x-ms-isolation-tee.";

/// Longer texts are not looked at: no digest or key is longer, and a token chooses them.
const TEXT_BYTES_MAX: usize = 4096;

/// Shorter texts are read as hex and base64 by accident.
const ENCODED_BYTES_MIN: usize = 16;
