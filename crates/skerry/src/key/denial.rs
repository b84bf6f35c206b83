//! Why a release was denied, as a table. A Skerry explains it to callers who may read the key, clause by clause, in lines that
//! are read here; what does not look like one of them is shown as it is, and an Azure vault says its sentence alone.

use skerry_client::vault::{Refusal, VaultError};
use skerry_jose::json::{Object, Value};

use crate::edge::{self, Failure, say};
use crate::remote::{failure, shown};

/// A line of the explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    place: String,
    claim: String,
    expected: String,
    seen: String,
    holds: bool,
}

/// Prints the explanation if there is one; the failure without it.
pub(super) fn explain(json: bool, error: VaultError) -> Failure {
    let VaultError::Refused { operation, refusal } = error else { return failure(error) };
    let (sentence, explanation) = refusal.message.split_once('\n').unwrap_or((&refusal.message, ""));
    let lines = lines(explanation);
    let printed = match (json, lines.is_empty()) {
        (true, _) => say(&refusal_json(&refusal, sentence, &lines).to_json()),
        (false, true) => return failure(VaultError::Refused { operation, refusal }),
        (false, false) => say(&table(&lines)),
    };
    if let Err(error) = printed {
        return error.into();
    }
    // What is in the table need not be said again; what is not in it is.
    let said = |text: &&str| line(text).is_none() && !text.starts_with(ISSUER);
    let rest = explanation.lines().filter(said).collect::<Vec<_>>().join("\n");
    let message = if rest.is_empty() { sentence.to_owned() } else { format!("{sentence}\n{rest}") };
    failure(VaultError::Refused { operation, refusal: Box::new(Refusal { message, ..*refusal }) })
}

fn table(lines: &[Line]) -> String {
    let mut table = edge::table(["clause", "claim", "expected", "seen", "holds"]);
    for line in lines {
        let holds = if line.holds { "yes" } else { "NO" };
        let cells = [&line.place, &line.claim, &line.expected, &line.seen].map(|cell| shown(cell));
        table.add_row(cells.iter().map(String::as_str).chain([holds]));
    }
    table.to_string()
}

fn refusal_json(refusal: &Refusal, sentence: &str, lines: &[Line]) -> Object {
    let clause = |line: &Line| {
        Object::new()
            .with("clause", line.place.as_str())
            .with("claim", line.claim.as_str())
            .with("expected", line.expected.as_str())
            .with("seen", line.seen.as_str())
            .with("holds", line.holds)
    };
    Object::new()
        .with("released", false)
        .with("status", u64::from(refusal.status))
        .with("code", refusal.code.as_str())
        .with("message", sentence)
        .with("request_id", refusal.request_id.as_deref().map_or(Value::Null, Value::from))
        .with("clauses", lines.iter().map(clause).collect::<Vec<_>>())
}

/// The lines of an explanation. Of an authority the row says whether it is the token's issuer, as `skerry policy explain` does,
/// and not whether all below it holds.
fn lines(explanation: &str) -> Vec<Line> {
    let issuer = explanation.lines().find_map(|line| line.strip_prefix(ISSUER)).unwrap_or_default();
    let of_issuer = |line: Line| match line.claim.as_str() {
        "authority" if line.seen.starts_with("matches") => Line { seen: issuer.to_owned(), holds: true, ..line },
        "authority" => Line { seen: line.seen.replacen("differs", issuer, 1), holds: false, ..line },
        _ => line,
    };
    explanation.lines().filter_map(line).map(of_issuer).collect()
}

/// How the line begins that names the token's issuer.
const ISSUER: &str = "issuer ";

/// `- anyOf[0]: authority URL differs`, or `  + anyOf[0].allOf[1]: "claim" equals "value", saw "value" (hint)`.
fn line(text: &str) -> Option<Line> {
    let text = text.trim_start();
    let (mark, rest) = text.split_once(' ')?;
    let holds = match mark {
        "+" => true,
        "-" => false,
        _ => return None,
    };
    let (place, finding) = rest.split_once(": ")?;
    let line = |claim: &str, expected: &str, seen: &str| {
        let [place, claim, expected, seen] = [place, claim, expected, seen].map(str::to_owned);
        Some(Line { place, claim, expected, seen, holds })
    };
    if let Some(authority) = finding.strip_prefix("authority ") {
        let (authority, verdict) = authority.split_once(' ')?;
        return line("authority", authority, verdict);
    }
    let (claim, rest) = quoted(finding)?;
    let (operator, rest) = rest.trim_start().split_once(' ')?;
    let (expected, rest) = quoted(rest)?;
    let seen = rest.strip_prefix(", saw ")?;
    line(claim, &format!("{operator} {expected}"), seen)
}

/// The text between a quote and the next that is not escaped, and the rest.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = inner.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((inner.get(..end)?, inner.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // reason: tests

    use skerry_attestation_result::IssuerUrl;
    use skerry_policy::release::Policy;

    use super::*;

    /// Every line of an explanation that the policy crate writes is read, whatever is in the values.
    #[test]
    fn explanations_are_read_as_they_are_written() {
        let policy = r#"{"version":"1.0.0","anyOf":[
            {"authority":"https://a.example","allOf":[{"claim":"c","equals":"x\", saw \"y"},{"claim":"d","greater":4}]},
            {"authority":"https://b.example","allOf":[{"claim":"e","exists":true}]}]}"#;
        let policy = Policy::parse(policy.as_bytes(), &Default::default()).unwrap();
        let claims = Object::new().with("c", "z\\").with("d", 5_u64);
        let verdict = policy.explain(&IssuerUrl::parse("https://a.example").unwrap(), &claims);
        let text = verdict.explanation.to_string();
        let lines = lines(&text);
        let row = |place: &str, claim: &str, expected: &str, seen: &str, holds| {
            let [place, claim, expected, seen] = [place, claim, expected, seen].map(str::to_owned);
            Line { place, claim, expected, seen, holds }
        };
        assert_eq!(lines.len(), 5, "{text}");
        assert_eq!(lines[0], row("anyOf[0]", "authority", "https://a.example", "https://a.example", true));
        assert_eq!(lines[1], row("anyOf[0].allOf[0]", "c", r#"equals x\", saw \"y"#, r#""z\\""#, false));
        assert_eq!(lines[2], row("anyOf[0].allOf[1]", "d", "greater 4", r#""5""#, true));
        assert_eq!(lines[3], row("anyOf[1]", "authority", "https://b.example", "https://a.example", false));
        assert_eq!(lines[4], row("anyOf[1].allOf[0]", "e", "exists true", "nothing", false));
    }

    /// Other lines are not made into rows.
    #[test]
    fn other_lines_are_left() {
        for text in ["", "issuer https://a", "- ", "-", "- anyOf[0]", "- a: b", "- a: \"c equals", "* a: authority b c"]
        {
            assert_eq!(line(text), None, "{text}");
        }
    }
}
