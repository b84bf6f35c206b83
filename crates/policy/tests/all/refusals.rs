//! Each refusal of the parser, by kind and place.

use skerry_attestation_result::IssuerUrlError;
use skerry_jose::json;
use skerry_policy::limits::{
    CLAIM_BYTES_MAX, CLAUSES_MAX, GROUPS_DEPTH_MAX, INTEGER_DIGITS_MAX, POLICY_BYTES_MAX, VALUE_BYTES_MAX,
};
use skerry_policy::release::ParseErrorKind;

use super::{AUTHORITY, one_clause, parse};

fn refusal(text: &str) -> (ParseErrorKind, String) {
    let error = parse(text).unwrap_err();
    (error.kind, error.clause)
}

/// The same for a policy whose only clause is `clause`, with the path from there on.
fn clause_refusal(clause: &str) -> (ParseErrorKind, String) {
    let (kind, path) = refusal(&one_clause(clause));
    (kind, path.strip_prefix("anyOf[0].allOf[0]").unwrap().to_owned())
}

fn entries(text: &str) -> String {
    format!(r#"{{"version":"1.0.0","anyOf":{text}}}"#)
}

fn at(kind: ParseErrorKind, path: &str) -> (ParseErrorKind, String) {
    (kind, path.to_owned())
}

// What is wrong with the frame of a policy is refused, each in its own kind.
#[test]
fn the_frame_of_a_policy() {
    use ParseErrorKind::*;
    let unknown = |name: &str| UnknownMember { name: name.to_owned() };
    let twice = |name: &str| DuplicateKeyword { name: name.to_owned() };
    let version = |version: &str| VersionUnknown { version: version.to_owned() };
    let ok = r#"[{"authority":"https://a.example","allOf":[{"claim":"c","equals":"v"}]}]"#;
    for (text, expected) in [
        ("[]".to_owned(), at(NotAnObject, "")),
        ("null".to_owned(), at(NotAnObject, "")),
        ("{}".to_owned(), at(VersionMissing, "")),
        (format!(r#"{{"anyOf":{ok}}}"#), at(VersionMissing, "")),
        (format!(r#"{{"version":"2.0","anyOf":{ok}}}"#), at(version("2.0"), "version")),
        (format!(r#"{{"version":"1.0.0 ","anyOf":{ok}}}"#), at(version("1.0.0 "), "version")),
        (format!(r#"{{"version":"","anyOf":{ok}}}"#), at(version(""), "version")),
        (format!(r#"{{"version":1.0,"anyOf":{ok}}}"#), at(NotAString, "version")),
        (r#"{"version":"1.0.0"}"#.to_owned(), at(GroupMissing, "")),
        (format!(r#"{{"version":"1.0.0","anyOf":{ok},"allOf":{ok}}}"#), at(TwoGroups, "")),
        (format!(r#"{{"version":"1.0.0","anyOf":{ok},"anyof":{ok}}}"#), at(twice("anyof"), "anyof")),
        (format!(r#"{{"version":"1.0.0","anyOf":{ok},"VERSION":"1.0.0"}}"#), at(twice("VERSION"), "VERSION")),
        (format!(r#"{{"version":"1.0.0","anyOf":{ok},"x":1}}"#), at(unknown("x"), "x")),
        (format!(r#"{{"version":"1.0.0","anyOf":{ok},"claim":"c"}}"#), at(unknown("claim"), "claim")),
        (entries("[]"), at(EmptyGroup, "anyOf")),
        (entries("{}"), at(NotAList, "anyOf")),
        (entries("[1]"), at(NotAnObject, "anyOf[0]")),
        (entries("[{}]"), at(AuthorityMissing, "anyOf[0]")),
        (entries(r#"[{"allOf":[{"claim":"c","equals":"v"}]}]"#), at(AuthorityMissing, "anyOf[0]")),
        (entries(r#"[{"authority":1}]"#), at(NotAString, "anyOf[0].authority")),
        (entries(r#"[{"authority":"https://a.example"}]"#), at(GroupMissing, "anyOf[0]")),
        (entries(r#"[{"authority":"https://a.example","allOf":[]}]"#), at(EmptyGroup, "anyOf[0].allOf")),
        (entries(r#"[{"authority":"https://a.example","anyOf":[]}]"#), at(EmptyGroup, "anyOf[0].anyOf")),
        (entries(r#"[{"authority":"https://a.example","anyOf":"x"}]"#), at(NotAList, "anyOf[0].anyOf")),
        (entries(r#"[{"authority":"https://a.example","anyOf":[1],"allOf":[1]}]"#), at(TwoGroups, "anyOf[0]")),
        (
            entries(r#"[{"authority":"https://a.example","allOf":[1],"claim":"c"}]"#),
            at(unknown("claim"), "anyOf[0].claim"),
        ),
        (entries(r#"[{"authority":"https://a.example","allOf":[1],"Why":0}]"#), at(unknown("Why"), "anyOf[0].Why")),
    ] {
        assert_eq!(refusal(&text), expected, "{text}");
    }
}

// An authority is refused with the reason its URL is.
#[test]
fn authorities_that_are_no_urls() {
    for (text, error) in [
        ("http://a.example", IssuerUrlError::NotHttps),
        ("http://localhost", IssuerUrlError::NotHttps),
        ("a.example", IssuerUrlError::NotHttps),
        ("", IssuerUrlError::NotHttps),
        ("https://a@b.example", IssuerUrlError::UserInfo),
        ("https://a.example?x", IssuerUrlError::Query),
        ("https://a.example#x", IssuerUrlError::Fragment),
        ("https://bücher.example", IssuerUrlError::NotPrintableAscii { byte: 0xC3 }),
    ] {
        let policy = entries(&format!(r#"[{{"authority":"{text}","allOf":[{{"claim":"c","equals":"v"}}]}}]"#));
        assert_eq!(refusal(&policy), at(ParseErrorKind::Authority(error), "anyOf[0].authority"), "{text}");
    }
}

// What is wrong with a clause is refused, each in its own kind.
#[test]
fn clauses() {
    use ParseErrorKind::*;
    let unknown = |name: &str| UnknownMember { name: name.to_owned() };
    let operator = |name: &str| OperatorUnknown { name: name.to_owned() };
    for (clause, expected) in [
        ("1", at(NotAnObject, "")),
        ("[]", at(NotAnObject, "")),
        ("{}", at(ClaimMissing, "")),
        (r#"{"equals":"v"}"#, at(ClaimMissing, "")),
        (r#"{"claim":1,"equals":"v"}"#, at(NotAString, ".claim")),
        (r#"{"claim":"","equals":"v"}"#, at(ClaimSegmentEmpty, ".claim")),
        (r#"{"claim":"a..b","equals":"v"}"#, at(ClaimSegmentEmpty, ".claim")),
        (r#"{"claim":".a","equals":"v"}"#, at(ClaimSegmentEmpty, ".claim")),
        (r#"{"claim":"a.","equals":"v"}"#, at(ClaimSegmentEmpty, ".claim")),
        (r#"{"claim":"c"}"#, at(OperatorMissing, "")),
        (r#"{"claim":"c","value":"v"}"#, at(OperatorMissing, "")),
        (r#"{"claim":"c","like":"v"}"#, at(operator("like"), ".like")),
        (r#"{"claim":"c","equal":"v"}"#, at(operator("equal"), ".equal")),
        (r#"{"claim":"c","equals":"v","like":"v"}"#, at(unknown("like"), ".like")),
        (r#"{"claim":"c","equals":"v","value":"v"}"#, at(unknown("value"), ".value")),
        (r#"{"claim":"c","equals":"v","authority":"x"}"#, at(unknown("authority"), ".authority")),
        (r#"{"claim":"c","equals":"v","notEquals":"w"}"#, at(TwoOperators, "")),
        (r#"{"claim":"c","exists":true,"less":1,"greater":1}"#, at(TwoOperators, "")),
        (r#"{"claim":"c","equals":"v","condition":"equals","value":"v"}"#, at(TwoOperators, "")),
        (r#"{"claim":"c","equals":"v","EQUALS":"v"}"#, at(DuplicateKeyword { name: "EQUALS".into() }, ".EQUALS")),
        (r#"{"claim":"c","condition":"like","value":"v"}"#, at(operator("like"), ".condition")),
        (r#"{"claim":"c","condition":1,"value":"v"}"#, at(NotAString, ".condition")),
        (r#"{"claim":"c","condition":"equals"}"#, at(OperandMissing, "")),
        (r#"{"claim":"c","condition":"equals","value":"v","x":1}"#, at(unknown("x"), ".x")),
        (r#"{"claim":"c","equals":null}"#, at(OperandNotScalar, ".equals")),
        (r#"{"claim":"c","equals":[]}"#, at(OperandNotScalar, ".equals")),
        (r#"{"claim":"c","equals":["v"]}"#, at(OperandNotScalar, ".equals")),
        (r#"{"claim":"c","notEquals":{}}"#, at(OperandNotScalar, ".notEquals")),
        (r#"{"claim":"c","exists":null}"#, at(OperandNotScalar, ".exists")),
        (r#"{"claim":"c","less":null}"#, at(OperandNotScalar, ".less")),
        (r#"{"claim":"c","equals":1.0}"#, at(OperandNotCanonical, ".equals")),
        (r#"{"claim":"c","notEquals":1e3}"#, at(OperandNotCanonical, ".notEquals")),
        (r#"{"claim":"c","equals":-0}"#, at(OperandNotCanonical, ".equals")),
        (r#"{"claim":"c","less":0.5}"#, at(OperandNotCanonical, ".less")),
        (r#"{"claim":"c","exists":1}"#, at(OperandNotBoolean, ".exists")),
        (r#"{"claim":"c","exists":"True"}"#, at(OperandNotBoolean, ".exists")),
        (r#"{"claim":"c","exists":""}"#, at(OperandNotBoolean, ".exists")),
        (r#"{"claim":"c","condition":"exists","value":"yes"}"#, at(OperandNotBoolean, ".value")),
        (r#"{"claim":"c","less":"x"}"#, at(OperandNotInteger, ".less")),
        (r#"{"claim":"c","lessOrEquals":"05"}"#, at(OperandNotInteger, ".lessOrEquals")),
        (r#"{"claim":"c","greater":"+5"}"#, at(OperandNotInteger, ".greater")),
        (r#"{"claim":"c","GREATEROREQUALS":"5 "}"#, at(OperandNotInteger, ".greaterOrEquals")),
        (r#"{"claim":"c","greater":true}"#, at(OperandNotInteger, ".greater")),
        (r#"{"claim":"c","greater":""}"#, at(OperandNotInteger, ".greater")),
        (r#"{"claim":"c","allOf":[{"claim":"c","equals":"v"}]}"#, at(ClauseAndGroup, "")),
        (r#"{"anyOf":[]}"#, at(EmptyGroup, ".anyOf")),
        (r#"{"allOf":[]}"#, at(EmptyGroup, ".allOf")),
        (r#"{"allOf":[1],"anyOf":[1]}"#, at(TwoGroups, "")),
        (r#"{"allOf":[1],"equals":"v"}"#, at(unknown("equals"), ".equals")),
        (r#"{"allOf":[1],"x":"v"}"#, at(unknown("x"), ".x")),
        (r#"{"authority":"https://a.example","allOf":[1]}"#, at(unknown("authority"), ".authority")),
        (r#"{"anyOf":[{"allOf":[{"claim":"c"}]}]}"#, at(OperatorMissing, ".anyOf[0].allOf[0]")),
    ] {
        assert_eq!(clause_refusal(clause), expected, "{clause}");
    }
}

// The text itself is strict JSON: no trailing commas, comments, duplicates, or bytes after it.
#[test]
fn the_text_is_strict_json() {
    use json::ErrorKind;
    let clause = one_clause(r#"{"claim":"c","equals":"v"}"#);
    for (text, expected) in [
        ("", ErrorKind::UnexpectedEnd),
        ("not json", ErrorKind::UnexpectedByte { byte: b'o' }),
        (&clause.replace("\"v\"", "\"v\","), ErrorKind::UnexpectedByte { byte: b'}' }),
        (&clause.replace("}]}]}", "},]}]}"), ErrorKind::UnexpectedByte { byte: b']' }),
        (&clause.replace("\"claim\"", "// x\n\"claim\""), ErrorKind::UnexpectedByte { byte: b'/' }),
        (
            &clause.replace("\"claim\"", "\"claim\":\"d\",\"claim\""),
            ErrorKind::DuplicateMember { name: "claim".into() },
        ),
        (
            &clause.replace("\"equals\"", "\"equals\":1,\"\\u0065quals\""),
            ErrorKind::DuplicateMember { name: "equals".into() },
        ),
        (&format!("{clause}x"), ErrorKind::TrailingBytes),
        (&format!("\u{feff}{clause}"), ErrorKind::ByteOrderMark),
        (&"[".repeat(1000), ErrorKind::TooDeep { max: 2 * GROUPS_DEPTH_MAX + 8 }),
    ] {
        assert_eq!(refusal(text), at(ParseErrorKind::Json(expected), ""), "{text}");
    }
}

// A policy cut anywhere is refused as text.
#[test]
fn truncation_at_each_byte_is_refused() {
    let text = one_clause(r#"{"claim":"c","equals":"v"},{"anyOf":[{"claim":"d","greater":-5}]}"#);
    assert!(parse(&text).is_ok());
    for length in 0..text.len() {
        assert_eq!(refusal(&text[..length]), at(ParseErrorKind::Json(json::ErrorKind::UnexpectedEnd), ""), "{length}");
    }
}

// Every limit holds exactly: its value passes, one more does not.
#[test]
fn limits_hold_exactly() {
    let clause = |claim: &str, value: &str| one_clause(&format!(r#"{{"claim":"{claim}","equals":"{value}"}}"#));
    let clauses = |count| one_clause(&vec![r#"{"claim":"c","equals":"v"}"#; count].join(","));
    let nested = |depth: usize| {
        let inner = format!(
            "{}{}{}",
            r#"{"allOf":["#.repeat(depth - 1),
            r#"{"claim":"c","equals":"v"}"#,
            "]}".repeat(depth - 1)
        );
        one_clause(&inner)
    };
    let ordering = |digits: usize| one_clause(&format!(r#"{{"claim":"c","less":{}}}"#, "9".repeat(digits)));
    let padded = |bytes: usize| clauses(1) + &" ".repeat(bytes - clauses(1).len());
    assert!(parse(clause(&"c".repeat(CLAIM_BYTES_MAX), "v")).is_ok());
    assert!(parse(clause("c", &"v".repeat(VALUE_BYTES_MAX))).is_ok());
    assert!(parse(clauses(CLAUSES_MAX)).is_ok());
    assert!(parse(nested(GROUPS_DEPTH_MAX)).is_ok());
    assert!(parse(ordering(INTEGER_DIGITS_MAX)).is_ok());
    assert!(parse(padded(POLICY_BYTES_MAX)).is_ok());

    let kind = |text: String| refusal(&text).0;
    let claim = ParseErrorKind::ClaimTooLong { bytes: CLAIM_BYTES_MAX + 1, max: CLAIM_BYTES_MAX };
    assert_eq!(kind(clause(&"c".repeat(CLAIM_BYTES_MAX + 1), "v")), claim);
    let value = ParseErrorKind::OperandTooLong { bytes: VALUE_BYTES_MAX + 1, max: VALUE_BYTES_MAX };
    assert_eq!(kind(clause("c", &"v".repeat(VALUE_BYTES_MAX + 1))), value);
    assert_eq!(kind(clauses(CLAUSES_MAX + 1)), ParseErrorKind::TooManyClauses { max: CLAUSES_MAX });
    assert_eq!(kind(nested(GROUPS_DEPTH_MAX + 1)), ParseErrorKind::TooDeep { max: GROUPS_DEPTH_MAX });
    assert_eq!(kind(ordering(INTEGER_DIGITS_MAX + 1)), ParseErrorKind::OperandNotInteger);
    // What fits as written, and not with the two quotes that its canonical form puts around each number.
    let numbers = |total: usize| {
        let clause = |letters: usize| format!(r#"{{"claim":"{}","equals":1}}"#, "c".repeat(letters));
        let spare = total - one_clause(&vec![clause(1); 400].join(",")).len();
        let clauses: Vec<_> =
            (0..400).map(|index| clause(1 + spare / 400 + usize::from(index < spare % 400))).collect();
        one_clause(&clauses.join(","))
    };
    assert!(parse(numbers(POLICY_BYTES_MAX - 800)).is_ok());
    let too_long = ParseErrorKind::CanonicalTooLong { bytes: POLICY_BYTES_MAX + 1, max: POLICY_BYTES_MAX };
    assert_eq!(kind(numbers(POLICY_BYTES_MAX - 799)), too_long);
    let bytes = json::ErrorKind::TooLarge { bytes: POLICY_BYTES_MAX + 1, max: POLICY_BYTES_MAX };
    assert_eq!(kind(padded(POLICY_BYTES_MAX + 1)), ParseErrorKind::Json(bytes));
}

// A refusal points at the line and column, names the clause, and says so in one sentence.
#[test]
fn a_refusal_says_where() {
    let text = format!(
        "{{\n  \"version\": \"1.0.0\",\n  \"anyOf\": [{{\n    \"authority\": \"{AUTHORITY}\",\n    \"allOf\": [\n      \
         {{\"claim\": \"é\", \"equals\": 1}},\n      {{\"claim\": \"ü\", \"greater\": \"many\"}}\n    ]\n  }}]\n}}"
    );
    let error = parse(text).unwrap_err();
    assert_eq!((error.at.line, error.at.column), (7, 33));
    assert_eq!(error.clause, "anyOf[0].allOf[1].greater");
    assert_eq!(error.to_string(), "value is not an integer at line 7 column 33 in anyOf[0].allOf[1].greater");
    let error = parse("{\n\"version\":\"1.0.0\",\n \"anyOff\":[]}").unwrap_err();
    assert_eq!(error.to_string(), "unknown member \"anyOff\" at line 3 column 2 in anyOff");
}
