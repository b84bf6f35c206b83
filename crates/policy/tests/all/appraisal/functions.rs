//! Functions of version 1.2: what each makes of its arguments, and what it makes nothing of.

use skerry_policy::attestation::{EvaluationErrorKind as Kind, FunctionError};
use skerry_policy::limits::APPRAISAL_TEXT_BYTES_MAX;

use super::{holds, issues};

const MEMBERS: &str = r#"{"a":[1,2],"b":[1,2,3],"s":"x","t":true,"ones":[1,1],"nums":"[1,2,2]","obj":"{\"k\":1}"}"#;

/// Whether an expression equals a value.
fn is(names: &str, expression: &str, value: &str) -> Result<bool, Kind> {
    let rule = format!(
        "{names} => add(type=\"r\", value={expression}); [type==\"r\", value=={value}] => issue(type=\"is\", value=true);"
    );
    issues(&rule, MEMBERS).map(|issued| issued == r#"{"is":true}"#)
}

#[test]
fn append_string_joins() {
    assert_eq!(is("", r#"AppendString("a", "b")"#, "\"ab\""), Ok(true));
    assert_eq!(is("", r#"AppendString("", "")"#, "\"\""), Ok(true));
    assert_eq!(is(r#"s:[type=="s"]"#, r#"AppendString(s.value, AppendString("-", s.type))"#, "\"x-s\""), Ok(true));
    let wrong = Kind::Function(FunctionError::Type { function: "AppendString", expected: "two strings" });
    assert_eq!(is("", r#"AppendString("a", 1)"#, "1"), Err(wrong.clone()));
    assert_eq!(is("", r#"AppendString(true, "a")"#, "1"), Err(wrong));
    let long = format!(r#"{{"s":"{}"}}"#, "x".repeat(APPRAISAL_TEXT_BYTES_MAX / 2 + 1));
    let rule = r#"s:[type=="s"] => add(type="r", value=AppendString(s.value, s.value));"#;
    assert_eq!(issues(rule, &long), Err(Kind::Function(FunctionError::TooLong { max: APPRAISAL_TEXT_BYTES_MAX })));
}

#[test]
fn negate_bool_is_the_other() {
    assert_eq!(is("", "NegateBool(true)", "false"), Ok(true));
    assert_eq!(is("", "NegateBool(NegateBool(true))", "true"), Ok(true));
    let wrong = Kind::Function(FunctionError::Type { function: "NegateBool", expected: "a boolean" });
    assert_eq!(is("", r#"NegateBool("true")"#, "false"), Err(wrong));
}

/// As a set a name stands for all of its claims at once; two types are two elements.
#[test]
fn is_subset_of_looks_at_all_claims() {
    let names = r#"a:[type=="a"] && b:[type=="b"]"#;
    assert_eq!(is(names, "IsSubsetOf(a.value, b.value)", "true"), Ok(true));
    assert_eq!(is(names, "IsSubsetOf(b.value, a.value)", "false"), Ok(true));
    assert_eq!(is(names, "IsSubsetOf(1, a.value)", "true"), Ok(true));
    assert_eq!(is(names, r#"IsSubsetOf("1", a.value)"#, "false"), Ok(true));
    let empty = Kind::Function(FunctionError::EmptySet { function: "IsSubsetOf" });
    assert_eq!(is(names, r#"IsSubsetOf(JsonToClaimValue("[]"), a.value)"#, "true"), Err(empty));
    assert_eq!(is(names, r#"IsSubsetOf(a.value, JsonToClaimValue("[]"))"#, "false"), Ok(true));
}

#[test]
fn contains_only_value_needs_an_element() {
    let names = r#"a:[type=="a"] && o:[type=="ones"]"#;
    assert_eq!(is(names, "ContainsOnlyValue(o.value, 1)", "true"), Ok(true));
    assert_eq!(is(names, "ContainsOnlyValue(a.value, 1)", "false"), Ok(true));
    assert_eq!(is(names, r#"ContainsOnlyValue(o.value, "1")"#, "false"), Ok(true));
    assert_eq!(is(names, r#"ContainsOnlyValue(JsonToClaimValue("[]"), 1)"#, "false"), Ok(true));
    // The second argument is one value: a name that stands for two claims is taken twice.
    assert_eq!(
        issues(&format!("{names} => issue(type=\"r\", value=ContainsOnlyValue(o.value, a.value));"), MEMBERS)
            .as_deref(),
        Ok(r#"{"r":[true,false]}"#)
    );
    let two = r#"[type=="s", value==AppendString("x", JsonToClaimValue("[\"a\",\"b\"]"))]"#;
    assert_eq!(holds(two, MEMBERS), Err(Kind::NotOne { values: 2 }));
}

/// Scalars and arrays of them, duplicates kept; null is nothing, and all else is refused.
#[test]
fn json_to_claim_value_takes_scalars() {
    for (json, issued) in [
        ("1", r#"{"r":1}"#),
        ("-7", r#"{"r":-7}"#),
        ("true", r#"{"r":true}"#),
        (r#"\"x\""#, r#"{"r":"x"}"#),
        ("null", "{}"),
        ("[]", "{}"),
        ("[1,true,\\\"x\\\",1]", r#"{"r":[1,true,"x",1]}"#),
        (" [ 5 ] ", r#"{"r":5}"#),
    ] {
        let rule = format!("=> issue(type=\"r\", value=JsonToClaimValue(\"{json}\"));");
        assert_eq!(issues(&rule, "{}").as_deref(), Ok(issued), "{json}");
    }
    for (json, error) in [
        ("1.5", FunctionError::NotScalar),
        ("1e3", FunctionError::NotScalar),
        ("9223372036854775808", FunctionError::NotScalar),
        ("{}", FunctionError::NotScalar),
        ("[[1]]", FunctionError::NotScalar),
        ("[null]", FunctionError::NotScalar),
        ("", FunctionError::Json),
        ("x", FunctionError::Json),
        ("[1,]", FunctionError::Json),
    ] {
        let rule = format!("=> issue(type=\"r\", value=JsonToClaimValue(\"{json}\"));");
        assert_eq!(issues(&rule, "{}"), Err(Kind::Function(error)), "{json}");
    }
    let wrong = Kind::Function(FunctionError::Type { function: "JsonToClaimValue", expected: "a string" });
    assert_eq!(issues("=> issue(type=\"r\", value=JsonToClaimValue(1));", "{}"), Err(wrong));
    // A claim that holds JSON is a text.
    let rule = r#"n:[type=="nums"] => issue(type="r", value=JsonToClaimValue(n.value));"#;
    assert_eq!(issues(rule, MEMBERS).as_deref(), Ok(r#"{"r":[1,2,2]}"#));
}

/// A comparison is with one value: nothing and several are refused.
#[test]
fn comparisons_take_one_value() {
    assert_eq!(holds(r#"[type=="s", value==AppendString("x", "")]"#, MEMBERS), Ok(true));
    assert_eq!(holds(r#"[type=="s", value==JsonToClaimValue("null")]"#, MEMBERS), Err(Kind::NotOne { values: 0 }));
    assert_eq!(holds(r#"[type=="s", value==JsonToClaimValue("[1,2]")]"#, MEMBERS), Err(Kind::NotOne { values: 2 }));
}
