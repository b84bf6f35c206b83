//! Warnings about policies that are grammatical.

use skerry_attestation_result::IssuerUrl;
use skerry_jose::json::Object;
use skerry_policy::release::WarningKind;

use super::{AUTHORITY, one_clause, policy};

fn warnings(text: &str) -> Vec<(String, WarningKind)> {
    policy(text).lint().into_iter().map(|warning| (warning.path, warning.kind)).collect()
}

/// Warnings of a policy of one entry with these clauses beside a pinned measurement and excluded debug mode.
fn beside_good_ones(clauses: &str) -> Vec<(String, WarningKind)> {
    warnings(&one_clause(&format!("{HOST},{NO_DEBUG},{clauses}")))
}

const HOST: &str = r#"{"claim":"x-ms-sevsnpvm-hostdata","equals":"ab"}"#;
const NO_DEBUG: &str = r#"{"claim":"x-ms-sevsnpvm-is-debuggable","equals":false}"#;
const OTHER: &str = r#"{"claim":"c","equals":"v"}"#;

fn at(path: &str, kind: WarningKind) -> (String, WarningKind) {
    (path.to_owned(), kind)
}

fn never(path: &str, other: &str) -> (String, WarningKind) {
    at(path, WarningKind::NeverHolds { other: other.to_owned() })
}

// An authority with a port that no URL has is taken, warned of, and never met: not even by the host in front of it.
#[test]
fn an_authority_that_nobody_can_be() {
    for nobody in ["https://a.example:0", "https://a.example:8444.evil.example", "https://a.example:x"] {
        let text = one_clause(&format!("{HOST},{NO_DEBUG}")).replace(AUTHORITY, nobody);
        assert!(text.contains(nobody));
        assert_eq!(warnings(&text), [at("anyOf[0]", WarningKind::AuthorityImpossible)], "{nobody}");
        let claims = Object::new().with("x-ms-sevsnpvm-hostdata", "ab").with("x-ms-sevsnpvm-is-debuggable", false);
        for issuer in ["https://a.example", "https://a.example:8444", "https://evil.example", AUTHORITY] {
            let issuer = IssuerUrl::parse(issuer).unwrap();
            assert!(!policy(&text).holds(&issuer, &claims), "{nobody} {issuer}");
            assert!(policy(text.replace(nobody, issuer.as_str())).holds(&issuer, &claims), "the control");
        }
        assert!(IssuerUrl::parse(nobody).is_err(), "no token can have it as its issuer");
    }
}

// A guest is pinned when whatever satisfies the entry satisfies a pinning clause, in any branch.
#[test]
fn an_entry_that_pins_no_guest() {
    let any = |a: &str, b: &str| format!(r#"{{"anyOf":[{a},{b}]}}"#);
    let nothing = [at("anyOf[0]", WarningKind::NothingPinned)];
    let measured = r#"{"claim":"x-ms-isolation-tee.x-ms-sevsnpvm-launchmeasurement","equals":"ab"}"#;
    let enclave = r#"{"claim":"x-ms-sgx-mrenclave","equals":"ab"}"#;
    for good in
        [HOST, measured, enclave, &any(HOST, measured), &any(HOST, &format!(r#"{{"allOf":[{OTHER},{measured}]}}"#))]
    {
        assert_eq!(warnings(&one_clause(&format!("{NO_DEBUG},{good}"))), [], "{good}");
    }
    let not_equal = HOST.replace("equals", "notEquals");
    for bad in [OTHER, &any(HOST, OTHER), &not_equal, &HOST.replace("hostdata", "reportdata")] {
        assert_eq!(warnings(&one_clause(&format!("{NO_DEBUG},{bad}"))), nothing, "{bad}");
    }
}

// Debug mode is excluded when each branch excludes it.
#[test]
fn an_entry_that_admits_debug_mode() {
    let missing = [at("anyOf[0]", WarningKind::DebugNotExcluded)];
    for good in [
        NO_DEBUG,
        r#"{"claim":"x-ms-sgx-is-debuggable","notEquals":"true"}"#,
        r#"{"claim":"t.is-debuggable","equals":"false"}"#,
    ] {
        assert_eq!(warnings(&one_clause(&format!("{HOST},{good}"))), [], "{good}");
    }
    let or_not = format!(r#"{{"anyOf":[{NO_DEBUG},{OTHER}]}}"#);
    for bad in [
        OTHER,
        &or_not,
        r#"{"claim":"is-debuggable","equals":"true"}"#,
        r#"{"claim":"is-debuggable","exists":"false"}"#,
    ] {
        assert_eq!(warnings(&one_clause(&format!("{HOST},{bad}"))), missing, "{bad}");
    }
}

// A measurement of zeros is a mistake; host data of zeros is what every confidential VM of Azure has.
#[test]
fn a_measurement_of_zeros() {
    let zeros = "0".repeat(96);
    let measured = format!(r#"{{"claim":"x-ms-sevsnpvm-launchmeasurement","equals":"{zeros}"}}"#);
    assert_eq!(beside_good_ones(&measured), [at("anyOf[0].allOf[2]", WarningKind::ZeroMeasurement)]);
    let nested = format!(r#"{{"anyOf":[{OTHER},{measured}]}}"#);
    assert_eq!(beside_good_ones(&nested), [at("anyOf[0].allOf[2].anyOf[1]", WarningKind::ZeroMeasurement)]);
    let host = HOST.replace("ab", &zeros);
    assert_eq!(warnings(&one_clause(&format!("{NO_DEBUG},{host}"))), []);
}

// Entries that name one authority twice, or must all hold and name two.
#[test]
fn authorities_of_several_entries() {
    let entry = |by: &str| format!(r#"{{"authority":"https://{by}","allOf":[{HOST},{NO_DEBUG}]}}"#);
    let of = |outer: &str, a: &str, b: &str| {
        warnings(&format!(r#"{{"version":"1.0.0","{outer}":[{},{}]}}"#, entry(a), entry(b)))
    };
    assert_eq!(of("anyOf", "a.example", "b.example"), []);
    assert_eq!(of("anyOf", "a.example", "A.example/"), [at("anyOf[1]", WarningKind::AuthorityRepeated)]);
    assert_eq!(of("allOf", "a.example", "a.example"), []);
    assert_eq!(of("allOf", "a.example", "b.example"), [at("allOf[1]", WarningKind::AuthoritiesDiffer)]);
}

// Clauses that contradict one another are named in pairs; alternatives do not contradict.
#[test]
fn clauses_that_can_never_hold_together() {
    let clause = |claim: &str, operator: &str, value: &str| format!(r#"{{"claim":"{claim}","{operator}":"{value}"}}"#);
    let table = [
        (("c", "equals", "1"), ("c", "equals", "2"), true),
        (("c", "equals", "1"), ("c", "equals", "1"), false),
        (("c", "equals", "1"), ("C", "equals", "2"), false),
        (("c", "equals", "1"), ("c", "notEquals", "1"), true),
        (("c", "equals", "1"), ("c", "notEquals", "2"), false),
        (("c", "notEquals", "1"), ("c", "notEquals", "2"), false),
        (("c", "equals", "1"), ("c", "greater", "1"), true),
        (("c", "equals", "2"), ("c", "greater", "1"), false),
        (("c", "equals", "x"), ("c", "greater", "1"), true),
        (("c", "equals", "1"), ("c", "exists", "false"), true),
        (("c", "equals", "1"), ("c", "exists", "true"), false),
        (("c", "exists", "true"), ("c", "exists", "false"), true),
        (("c", "exists", "false"), ("c", "exists", "false"), false),
        (("c", "greater", "5"), ("c", "less", "3"), true),
        (("c", "greater", "5"), ("c", "less", "5"), true),
        (("c", "greaterOrEquals", "5"), ("c", "lessOrEquals", "5"), false),
        (("c", "greaterOrEquals", "5"), ("c", "less", "5"), true),
        (("c", "greater", "3"), ("c", "less", "5"), false),
        (("c", "less", "3"), ("c", "less", "5"), false),
        (("c", "exists", "false"), ("c.d", "equals", "1"), true),
        (("c", "exists", "false"), ("c.d", "exists", "false"), false),
        (("c", "exists", "true"), ("c.d", "equals", "1"), false),
        (("c", "equals", "1"), ("c.d", "equals", "1"), true),
        (("c", "equals", "1"), ("c.d", "exists", "false"), true),
        (("c", "equals", "1"), ("cd", "equals", "1"), false),
    ];
    for (a, b, expected) in table {
        for ((c1, o1, v1), (c2, o2, v2)) in [(a, b), (b, a)] {
            let both = format!("{},{}", clause(c1, o1, v1), clause(c2, o2, v2));
            let wanted = if expected { vec![never("anyOf[0].allOf[3]", "anyOf[0].allOf[2]")] } else { vec![] };
            assert_eq!(beside_good_ones(&both), wanted, "{both}");
            assert_eq!(beside_good_ones(&format!(r#"{{"anyOf":[{both}]}}"#)), [], "{both}");
        }
    }
    let deep = format!(
        r#"{OTHER},{{"anyOf":[{{"allOf":[{}]}},{}]}}"#,
        OTHER.replace("\"v\"", "\"w\""),
        clause("d", "equals", "1")
    );
    assert_eq!(beside_good_ones(&deep), [never("anyOf[0].allOf[3].anyOf[0].allOf[0]", "anyOf[0].allOf[2]")]);
}
