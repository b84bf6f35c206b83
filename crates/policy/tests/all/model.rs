//! Generated policies and claims against a second evaluator, which walks serde_json values and knows no types of ours.

use proptest::prelude::*;
use serde_json::{Value, json};
use skerry_jose::json::Object;

use super::{issuer, parse, policy};

const ISSUERS: [&str; 3] = ["https://a.example", "https://a.example:8443", "https://b.example/x"];
const PATHS: [&str; 9] = ["a", "b", "A", "a.b", "a.b.a", "b.a", "b.0", "b.b", "c"];
const SCALARS: [&str; 20] = [
    "true",
    "false",
    "0",
    "1",
    "-1",
    "2",
    "10",
    "-10",
    "\"true\"",
    "\"false\"",
    "\"0\"",
    "\"1\"",
    "\"-1\"",
    "\"10\"",
    "\"01\"",
    "\"+1\"",
    "\"x\"",
    "\"X\"",
    "\"\"",
    "100000000000000000000000000",
];
const OTHERS: [&str; 8] = ["null", "[]", "[1]", "1.0", "1e1", "-0", "0.5", "{}"];

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn operand() -> impl Strategy<Value = Value> {
    prop::sample::select(&SCALARS[..]).prop_map(read)
}

fn integer() -> impl Strategy<Value = Value> {
    let texts = SCALARS.iter().filter(|text| naive_integer(&naive_text(&read(text)).unwrap()).is_some());
    prop::sample::select(texts.copied().collect::<Vec<_>>()).prop_map(read)
}

fn clause() -> impl Strategy<Value = Value> {
    let path = || prop::sample::select(&PATHS[..]);
    let orderings = prop::sample::select(vec!["less", "lessOrEquals", "greater", "greaterOrEquals"]);
    let equality = prop::sample::select(vec!["equals", "notEquals"]);
    let presence = prop::sample::select(vec![json!(true), json!(false), json!("true"), json!("false")]);
    prop_oneof![
        (path(), equality, operand()).prop_map(|(path, operator, value)| json!({"claim": path, operator: value})),
        (path(), orderings, integer()).prop_map(|(path, operator, value)| json!({"claim": path, operator: value})),
        (path(), presence).prop_map(|(path, value)| json!({"claim": path, "exists": value})),
    ]
}

fn list(of: impl Strategy<Value = Value>) -> impl Strategy<Value = (&'static str, Vec<Value>)> {
    (prop::sample::select(vec!["allOf", "anyOf"]), prop::collection::vec(of, 1..4))
}

fn document() -> impl Strategy<Value = Value> {
    let condition =
        clause().prop_recursive(3, 12, 3, |inner| list(inner).prop_map(|(how, items)| json!({ how: items })));
    let entry = (prop::sample::select(&ISSUERS[..]), list(condition))
        .prop_map(|(authority, (how, items))| json!({"authority": authority, how: items}));
    list(entry).prop_map(|(how, entries)| json!({"version": "1.0.0", how: entries}))
}

fn token() -> impl Strategy<Value = Value> {
    let leaf = prop::sample::select([&SCALARS[..], &OTHERS[..]].concat()).prop_map(read);
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop::collection::hash_map(prop::sample::select(vec!["a", "b", "A", "0"]), inner, 0..4)
            .prop_map(|members| json!(members))
    });
    prop::collection::hash_map(prop::sample::select(vec!["a", "b", "A", "a.b", "c"]), value, 0..5)
        .prop_map(|members| json!(members))
}

fn ours(claims: &Value) -> Object {
    super::claims(&claims.to_string())
}

fn naive_policy(document: &Value, by: &str, claims: &Value) -> bool {
    let entry = |entry: &Value| entry["authority"] == by && naive_condition(entry, claims);
    match document.get("anyOf") {
        Some(entries) => entries.as_array().unwrap().iter().filter(|own| entry(own)).count() > 0,
        None => document["allOf"].as_array().unwrap().iter().filter(|own| !entry(own)).count() == 0,
    }
}

fn naive_condition(condition: &Value, claims: &Value) -> bool {
    let mut results = Vec::new();
    for how in ["allOf", "anyOf"] {
        for inner in condition.get(how).and_then(Value::as_array).into_iter().flatten() {
            results.push(naive_condition(inner, claims));
        }
    }
    if condition.get("allOf").is_some() {
        return !results.contains(&false);
    }
    if condition.get("anyOf").is_some() {
        return results.contains(&true);
    }
    naive_clause(condition, claims)
}

fn naive_clause(clause: &Value, claims: &Value) -> bool {
    let path: Vec<&str> = clause["claim"].as_str().unwrap().split('.').collect();
    let found = naive_find(claims, &path);
    if let Some(wanted) = clause.get("exists") {
        let wanted = naive_text(wanted).unwrap() == "true";
        return match found {
            Ok(Some(value)) => wanted && !value.is_null(),
            Ok(None) => !wanted,
            Err(()) => false,
        };
    }
    let Ok(Some(value)) = found else { return false };
    let Some(text) = naive_text(value) else { return false };
    let (operator, operand) = clause.as_object().unwrap().iter().find(|(name, _)| *name != "claim").unwrap();
    let operand = naive_text(operand).unwrap();
    let numbers = naive_integer(&text).zip(naive_integer(&operand));
    match operator.as_str() {
        "equals" => text == operand,
        "notEquals" => text != operand,
        "less" => numbers.is_some_and(|(a, b)| a < b),
        "lessOrEquals" => numbers.is_some_and(|(a, b)| a <= b),
        "greater" => numbers.is_some_and(|(a, b)| a > b),
        "greaterOrEquals" => numbers.is_some_and(|(a, b)| a >= b),
        other => panic!("{other}"),
    }
}

/// `Err` when the path leads through something that is no object.
fn naive_find<'v>(value: &'v Value, path: &[&str]) -> Result<Option<&'v Value>, ()> {
    let Some((first, rest)) = path.split_first() else { return Ok(Some(value)) };
    match value.as_object().ok_or(())?.get(*first) {
        None => Ok(None),
        Some(inner) => naive_find(inner, rest),
    }
}

fn naive_text(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(format!("{value}")),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => naive_integer(number.as_str()).map(|number| number.to_string()),
        _ => None,
    }
}

/// Canonical iff printing it gives the text back.
fn naive_integer(text: &str) -> Option<i128> {
    text.parse::<i128>().ok().filter(|number| number.to_string() == text)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    // The verdict, and the one with explanation, are those of the naive evaluator.
    #[test]
    fn verdicts_are_those_of_the_naive_evaluator(document in document(), token in token()) {
        let policy = policy(document.to_string());
        for by in ISSUERS {
            let expected = naive_policy(&document, by, &token);
            let verdict = policy.explain(&issuer(by), &ours(&token));
            prop_assert_eq!(policy.holds(&issuer(by), &ours(&token)), expected);
            prop_assert_eq!(verdict.allowed, expected);
            for entry in &verdict.explanation.entries {
                prop_assert_eq!(entry.issuer_matches, entry.authority == by);
                prop_assert!(entry.issuer_matches || !entry.holds);
            }
            prop_assert!(!verdict.explanation.to_string().is_empty());
        }
    }

    // Both canonical forms mean the same as the original and are their own canonical form.
    #[test]
    fn canonical_forms_mean_the_same(document in document(), token in token()) {
        let original = policy(document.to_string());
        for text in [original.canonical(), original.canonical_hsm()] {
            let again = policy(&text);
            prop_assert_eq!(&again, &original);
            prop_assert_eq!(again.digest(), original.digest());
            prop_assert_eq!(again.holds(&issuer(ISSUERS[0]), &ours(&token)), original.holds(&issuer(ISSUERS[0]), &ours(&token)));
        }
        prop_assert_eq!(policy(original.canonical()).canonical(), original.canonical());
        prop_assert_eq!(policy(original.canonical_hsm()).canonical_hsm(), original.canonical_hsm());
    }

    // A clause that lint says can never hold does not hold in any explanation of an entry that holds.
    #[test]
    fn contradictions_are_real(document in document(), token in token()) {
        let policy = policy(document.to_string());
        let warnings = policy.lint();
        for by in ISSUERS {
            let verdict = policy.explain(&issuer(by), &ours(&token));
            let clauses: Vec<_> = verdict.explanation.entries.iter().flat_map(|entry| &entry.clauses).collect();
            let held = |path: &str| clauses.iter().any(|clause| clause.path == path && clause.holds);
            for warning in &warnings {
                if let skerry_policy::release::WarningKind::NeverHolds { other } = &warning.kind {
                    prop_assert!(!(held(&warning.path) && held(other)), "{warning} {token}");
                }
            }
        }
    }

    // Damaged policies never panic the parser, and what is accepted is accepted again in canonical form.
    #[test]
    fn damaged_policies_never_panic(document in document(), at in any::<prop::sample::Index>(), byte in any::<u8>(), how in 0..3) {
        let mut bytes = document.to_string().into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = byte,
            1 => { bytes.remove(at); }
            _ => bytes.insert(at, byte),
        }
        if let Ok(policy) = parse(&bytes) {
            prop_assert_eq!(parse(policy.canonical()).unwrap(), policy);
        }
    }

    // Arbitrary bytes never panic the parser.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
        let _ = parse(&bytes);
    }
}
