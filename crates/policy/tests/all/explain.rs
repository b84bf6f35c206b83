//! Explanations: what was seen, and hints at likely mistakes.

use skerry_policy::limits::SEEN_BYTES_MAX;
use skerry_policy::release::{Explanation, Hint, NotScalar, Operator, Seen};

use super::{AUTHORITY, claims, issuer, one_clause, policy};

fn explain(text: &str, by: &str, token: &str) -> Explanation {
    policy(text).explain(&issuer(by), &claims(token)).explanation
}

fn hint(clause: &str, token: &str) -> Option<Hint> {
    let found = explain(&one_clause(clause), AUTHORITY, token).entries.remove(0).clauses.remove(0);
    assert!(!found.holds);
    found.hint
}

// Every clause is evaluated and named with its place, even where the verdict was clear before.
#[test]
fn every_clause_is_named_and_evaluated() {
    let text = r#"{"version":"1.0.0","anyOf":[
        {"authority":"https://b.example","allOf":[{"claim":"x","equals":1}]},
        {"authority":"https://a.example","allOf":[{"claim":"x","equals":2},{"anyOf":[{"claim":"y","exists":true},{"claim":"z","greater":"3"}]}]}]}"#;
    let found = explain(text, "https://a.example/", r#"{"x":1,"z":{}}"#);
    assert_eq!(found.issuer, "https://a.example/");
    let entries: Vec<_> =
        found.entries.iter().map(|entry| (entry.path.as_str(), entry.issuer_matches, entry.holds)).collect();
    assert_eq!(entries, [("anyOf[0]", false, false), ("anyOf[1]", true, false)]);
    let clauses: Vec<_> = found
        .entries
        .iter()
        .flat_map(|entry| &entry.clauses)
        .map(|clause| {
            (clause.path.as_str(), clause.operator, clause.expected.as_str(), clause.seen.clone(), clause.holds)
        })
        .collect();
    let one = || Seen::Text { text: "1".to_owned(), bytes: 1 };
    assert_eq!(
        clauses,
        [
            ("anyOf[0].allOf[0]", Operator::Equals, "1", one(), true),
            ("anyOf[1].allOf[0]", Operator::Equals, "2", one(), false),
            ("anyOf[1].allOf[1].anyOf[0]", Operator::Exists, "true", Seen::Missing, false),
            ("anyOf[1].allOf[1].anyOf[1]", Operator::Greater, "3", Seen::NotScalar(NotScalar::Object), false),
        ]
    );
}

// What stands at a claim is told apart, and long texts are cut.
#[test]
fn what_was_seen_is_told_apart() {
    let seen = |token: &str, path: &str| {
        let clause = format!(r#"{{"claim":"{path}","equals":"x"}}"#);
        explain(&one_clause(&clause), AUTHORITY, token).entries.remove(0).clauses.remove(0).seen
    };
    assert_eq!(seen("{}", "c"), Seen::Missing);
    assert_eq!(seen(r#"{"c":null}"#, "c"), Seen::NotScalar(NotScalar::Null));
    assert_eq!(seen(r#"{"c":[]}"#, "c"), Seen::NotScalar(NotScalar::Array));
    assert_eq!(seen(r#"{"c":{}}"#, "c"), Seen::NotScalar(NotScalar::Object));
    assert_eq!(seen(r#"{"c":[]}"#, "c.d"), Seen::NotScalar(NotScalar::Blocked));
    assert_eq!(seen(r#"{"c":1.0}"#, "c"), Seen::NotCanonical { text: "1.0".to_owned() });
    let long = "é".repeat(SEEN_BYTES_MAX);
    let cut = Seen::Text { text: "é".repeat(SEEN_BYTES_MAX / 2), bytes: 2 * SEEN_BYTES_MAX };
    assert_eq!(seen(&format!(r#"{{"c":"{long}"}}"#), "c"), cut);
}

// Each likely mistake is recognised.
#[test]
fn likely_mistakes_are_recognised() {
    let hex = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abfbff";
    let standard = "ABEiM0RVZneImaq7zN3u/wEjRWeJq83vASNFZ4mr+/8=";
    let url_safe = "ABEiM0RVZneImaq7zN3u_wEjRWeJq83vASNFZ4mr-_8";
    let equals = |value: &str| format!(r#"{{"claim":"c","equals":"{value}"}}"#);
    let token = |value: &str| format!(r#"{{"c":"{value}"}}"#);
    for (expected, seen, hint) in [
        ("True", "true", Hint::LetterCase),
        (hex, &hex.to_uppercase(), Hint::LetterCase),
        ("x", " x", Hint::WhiteSpace),
        ("x\\n", "x", Hint::WhiteSpace),
        ("1", "01", Hint::NumberSpelling),
        ("1.0", "1", Hint::NumberSpelling),
        ("+0", "-00.00", Hint::NumberSpelling),
        ("https://x.example/", "https://x.example", Hint::TrailingSlash),
        (hex, standard, Hint::Encoding),
        (hex, url_safe, Hint::Encoding),
        (standard, hex, Hint::Encoding),
        (standard, url_safe, Hint::Encoding),
        (&format!("0x{hex}"), hex, Hint::Encoding),
    ] {
        assert_eq!(self::hint(&equals(expected), &token(seen)), Some(hint), "{expected} {seen}");
    }
    for (expected, seen) in
        [("x", "y"), ("1", "2"), ("-1", "1"), ("", "x"), (hex, &hex.replace('0', "1")), ("abcd", "q80=")]
    {
        assert_eq!(self::hint(&equals(expected), &token(seen)), None, "{expected} {seen}");
    }
    assert_eq!(hint(r#"{"claim":"c","equals":1}"#, r#"{"c":1.0}"#), Some(Hint::NumberSpelling));
    assert_eq!(hint(r#"{"claim":"c","greater":1}"#, r#"{"c":"05"}"#), Some(Hint::NumberSpelling));
    assert_eq!(hint(r#"{"claim":"c","greater":1}"#, r#"{"c":"1"}"#), None);
    assert_eq!(hint(r#"{"claim":"c","notEquals":1}"#, r#"{"c":1}"#), None);
    assert_eq!(hint(r#"{"claim":"c","exists":false}"#, r#"{"c":1}"#), None);
}

// A claim that stands elsewhere is found there.
#[test]
fn misplaced_claims_are_found() {
    let hint = |claim: &str, token: &str| hint(&format!(r#"{{"claim":"{claim}","equals":"x"}}"#), token);
    let elsewhere = |claim: &str| Some(Hint::ClaimElsewhere { claim: claim.to_owned() });
    let case = |claim: &str| Some(Hint::ClaimCase { claim: claim.to_owned() });
    assert_eq!(hint("x-ms-ver", r#"{"X-MS-ver":1}"#), case("X-MS-ver"));
    assert_eq!(hint("a.B.c", r#"{"A":{"b":{"c":1}}}"#), case("A.b.c"));
    assert_eq!(hint("a ", r#"{"a":1}"#), case("a"));
    let tee = r#"{"x-ms-isolation-tee":{"x-ms-attestation-type":1}}"#;
    assert_eq!(hint("x-ms-attestation-type", tee), elsewhere("x-ms-isolation-tee.x-ms-attestation-type"));
    assert_eq!(hint("X-MS-attestation-type", tee), elsewhere("x-ms-isolation-tee.x-ms-attestation-type"));
    assert_eq!(hint("x-ms-isolation-tee.x-ms-ver", r#"{"x-ms-ver":1}"#), elsewhere("x-ms-ver"));
    assert_eq!(hint("a.b", r#"{"a.b":1}"#), Some(Hint::ClaimWithDots));
    assert_eq!(hint("a.b", r#"{"a":1}"#), None);
    assert_eq!(hint("a", "{}"), None);
}

// An authority that differs says how.
#[test]
fn authorities_that_nearly_match_say_how() {
    let hint = |authority: &str, by: &str| {
        let text = one_clause(r#"{"claim":"c","equals":"x"}"#).replace(AUTHORITY, authority);
        explain(&text, by, "{}").entries.remove(0).hint
    };
    assert_eq!(hint("https://a.example/X", "https://a.example/x"), Some(Hint::AuthorityCase));
    assert_eq!(hint("https://a.example", "https://a.example:8443"), Some(Hint::AuthoritySameHost));
    assert_eq!(hint("https://a.example/x", "https://a.example/"), Some(Hint::AuthoritySameHost));
    assert_eq!(hint("https://a.example", "https://b.example"), None);
    assert_eq!(hint("https://a.example", "https://a.example/"), None);
}

// The text has a line for the issuer, each entry and each clause, with control characters escaped.
#[test]
fn the_text_has_a_line_for_each_finding() {
    let found = explain(
        &one_clause(r#"{"claim":"c","equals":"True"},{"claim":"d","exists":true}"#),
        AUTHORITY,
        r#"{"c":"true","d":"\u001b[2J"}"#,
    );
    assert_eq!(
        found.to_string(),
        "issuer https://a.attest.example\n\
         - anyOf[0]: authority https://a.attest.example matches\n  \
           - anyOf[0].allOf[0]: \"c\" equals \"True\", saw \"true\" (differs only in letter case)\n  \
           + anyOf[0].allOf[1]: \"d\" exists \"true\", saw \"\\u{1b}[2J\"\n"
    );
}
