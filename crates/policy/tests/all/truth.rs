//! Every operator against every kind of claim.

use super::{AUTHORITY, claims, holds, issuer, one_clause, policy};

/// One column per letter of the expectations in [`TABLE`].
const COLUMNS: [(&str, &str); 8] = [
    ("equals", "1"),
    ("notEquals", "1"),
    ("less", "1"),
    ("lessOrEquals", "1"),
    ("greater", "1"),
    ("greaterOrEquals", "1"),
    ("exists", "true"),
    ("exists", "false"),
];

/// Claims, the path asked for, and which columns hold.
const TABLE: &[(&str, &str, &str)] = &[
    ("{}", "c", ".......X"),
    (r#"{"C":1,"cc":1,"":{"c":1}}"#, "c", ".......X"),
    (r#"{"c":null}"#, "c", "........"),
    (r#"{"c":true}"#, "c", ".X....X."),
    (r#"{"c":false}"#, "c", ".X....X."),
    (r#"{"c":"true"}"#, "c", ".X....X."),
    (r#"{"c":1}"#, "c", "X..X.XX."),
    (r#"{"c":"1"}"#, "c", "X..X.XX."),
    (r#"{"c":0}"#, "c", ".XXX..X."),
    (r#"{"c":"0"}"#, "c", ".XXX..X."),
    (r#"{"c":2}"#, "c", ".X..XXX."),
    (r#"{"c":10}"#, "c", ".X..XXX."),
    (r#"{"c":-5}"#, "c", ".XXX..X."),
    (r#"{"c":"-5"}"#, "c", ".XXX..X."),
    (r#"{"c":18446744073709551616}"#, "c", ".X..XXX."),
    (r#"{"c":-99999999999999999999999999999999999999999}"#, "c", ".XXX..X."),
    (r#"{"c":-0}"#, "c", "......X."),
    (r#"{"c":1.0}"#, "c", "......X."),
    (r#"{"c":1e0}"#, "c", "......X."),
    (r#"{"c":0.5}"#, "c", "......X."),
    (r#"{"c":1e400}"#, "c", "......X."),
    (r#"{"c":"-0"}"#, "c", ".X....X."),
    (r#"{"c":"1.0"}"#, "c", ".X....X."),
    (r#"{"c":"01"}"#, "c", ".X....X."),
    (r#"{"c":"+1"}"#, "c", ".X....X."),
    (r#"{"c":"1 "}"#, "c", ".X....X."),
    (r#"{"c":" 1"}"#, "c", ".X....X."),
    (r#"{"c":"1\n"}"#, "c", ".X....X."),
    (r#"{"c":"1\u0000"}"#, "c", ".X....X."),
    (r#"{"c":"１"}"#, "c", ".X....X."),
    (r#"{"c":"2abc"}"#, "c", ".X....X."),
    (r#"{"c":"0x2"}"#, "c", ".X....X."),
    (r#"{"c":"NaN"}"#, "c", ".X....X."),
    (r#"{"c":""}"#, "c", ".X....X."),
    (r#"{"c":[]}"#, "c", "......X."),
    (r#"{"c":[1]}"#, "c", "......X."),
    (r#"{"c":{}}"#, "c", "......X."),
    (r#"{"c":{"c":1}}"#, "c", "......X."),
    (r#"{"c":{"d":1}}"#, "c.d", "X..X.XX."),
    (r#"{"c":{"d":{"e":2}}}"#, "c.d.e", ".X..XXX."),
    (r#"{"c":{}}"#, "c.d", ".......X"),
    (r#"{}"#, "c.d", ".......X"),
    (r#"{"c.d":1}"#, "c.d", ".......X"),
    (r#"{"c":[1]}"#, "c.0", "........"),
    (r#"{"c":[{"d":1}]}"#, "c.d", "........"),
    (r#"{"c":1}"#, "c.d", "........"),
    (r#"{"c":"d"}"#, "c.d", "........"),
    (r#"{"c":null}"#, "c.d", "........"),
    (r#"{"c":{"d":null}}"#, "c.d", "........"),
];

// A claim that is missing, or of a kind without text, satisfies nothing but the one question about its absence.
#[test]
fn every_operator_against_every_kind_of_claim() {
    for (token, path, expected) in TABLE {
        for ((operator, operand), want) in COLUMNS.iter().zip(expected.chars()) {
            for operand in [(*operand).to_owned(), format!("\"{operand}\"")] {
                let clause = format!(r#"{{"claim":"{path}","{operator}":{operand}}}"#);
                let policy = policy(one_clause(&clause));
                assert_eq!(holds(&policy, AUTHORITY, token), want == 'X', "{clause} {token}");
                assert!(!holds(&policy, "https://b.attest.example", token));
            }
        }
    }
}

// Text decides, not type: each spelling of a scalar equals the other type of the same text, and nothing else.
#[test]
fn equality_is_of_canonical_text() {
    for (operand, claim, expected) in [
        ("true", r#""true""#, true),
        (r#""true""#, "true", true),
        (r#""True""#, "true", false),
        ("true", r#""True""#, false),
        ("true", "1", false),
        (r#""false""#, "false", true),
        ("false", "0", false),
        ("false", "null", false),
        (r#""null""#, "null", false),
        (r#""""#, "null", false),
        (r#""""#, r#""""#, true),
        (r#""1.0""#, "1.0", false),
        (r#""1.0""#, r#""1.0""#, true),
        (r#""-0""#, "-0", false),
        ("-5", r#""-5""#, true),
        (r#""abcd""#, r#""ABCD""#, false),
        (r#""é""#, r#""e\u0301""#, false),
        (r#""\u0061""#, r#""a""#, true),
        (r#""a""#, r#""а""#, false),
        ("340282366920938463463374607431768211456", "340282366920938463463374607431768211456", true),
    ] {
        let policy = policy(one_clause(&format!(r#"{{"claim":"c","equals":{operand}}}"#)));
        assert_eq!(holds(&policy, AUTHORITY, &format!(r#"{{"c":{claim}}}"#)), expected, "{operand} {claim}");
    }
}

// A token of one authority does not satisfy the clauses of another, in either direction.
#[test]
fn an_entry_is_for_its_authority_only() {
    let policy = policy(
        r#"{"version":"1.0.0","anyOf":[
            {"authority":"https://a.example","allOf":[{"claim":"c","equals":"a"}]},
            {"authority":"https://b.example/","allOf":[{"claim":"c","equals":"b"}]}]}"#,
    );
    for (by, claim, expected) in [
        ("https://a.example", "a", true),
        ("https://A.example:443/", "a", true),
        ("https://b.example", "b", true),
        ("https://a.example", "b", false),
        ("https://b.example", "a", false),
        ("https://a.example.evil.example", "a", false),
        ("https://a.example:8443", "a", false),
        ("https://a.example/x", "a", false),
    ] {
        assert_eq!(holds(&policy, by, &format!(r#"{{"c":"{claim}"}}"#)), expected, "{by} {claim}");
    }
}

// An outermost allOf demands every entry, so entries of two authorities admit no token at all.
#[test]
fn an_outermost_all_of_demands_every_entry() {
    let entry =
        |by: &str, claim: &str| format!(r#"{{"authority":"https://{by}","allOf":[{{"claim":"{claim}","equals":1}}]}}"#);
    let all = |a: String, b: String| policy(format!(r#"{{"version":"1.0.0","allOf":[{a},{b}]}}"#));
    let one = all(entry("a.example", "x"), entry("A.example/", "y"));
    assert!(holds(&one, "https://a.example", r#"{"x":1,"y":1}"#));
    assert!(!holds(&one, "https://a.example", r#"{"x":1}"#));
    assert!(!holds(&one, "https://a.example", r#"{"y":1}"#));
    let two = all(entry("a.example", "x"), entry("b.example", "x"));
    assert!(!holds(&two, "https://a.example", r#"{"x":1}"#));
    assert!(!holds(&two, "https://b.example", r#"{"x":1}"#));
}

// The older form of a clause and keywords in any letter case mean the same as the documented form.
#[test]
fn older_and_oddly_cased_spellings_mean_the_same() {
    let documented = policy(one_clause(r#"{"claim":"c","greaterOrEquals":2}"#));
    for text in [
        one_clause(r#"{"claim":"c","condition":"greaterOrEquals","value":"2"}"#),
        one_clause(r#"{"value":2,"Condition":"GREATERorequals","CLAIM":"c"}"#),
        one_clause(r#"{"claim":"c","greaterorequals":"2"}"#),
        one_clause(r#"{"claim":"c","greaterOrEquals":2}"#).replace("anyOf", "anyof").replace("allOf", "ALLOF"),
        one_clause(r#"{"claim":"c","greaterOrEquals":2}"#).replace("version", "Version").replace("1.0.0", "0.2"),
    ] {
        let other = policy(&text);
        assert_eq!(other, documented, "{text}");
        assert!(holds(&other, AUTHORITY, r#"{"c":2}"#) && !holds(&other, AUTHORITY, r#"{"c":1}"#));
    }
    assert!(!documented.holds(&issuer(AUTHORITY), &claims(r#"{"C":2}"#)));
}
