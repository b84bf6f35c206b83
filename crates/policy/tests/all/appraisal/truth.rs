//! When conditions hold, what rules see, and what they make: tables.

use skerry_policy::attestation::{Claim, ClaimIssuer, EvaluationErrorKind as Kind, Value, is_reserved};
use skerry_policy::limits::{APPRAISAL_CLAIMS_MAX, APPRAISAL_ISSUED_BYTES_MAX, APPRAISAL_STEPS_MAX};

use super::{holds, issues, says};
use crate::claims;

/// Every operator over integers, and the two that strings and booleans have.
#[test]
fn operators_compare_within_a_type() {
    let members = r#"{"i":5,"n":-5,"big":18446744073709551615,"s":"five","t":true}"#;
    for (claim, table) in [
        ("i", [("==", "5", true), ("==", "6", false), ("!=", "5", false), ("!=", "6", true)]),
        ("s", [("==", "\"five\"", true), ("==", "\"Five\"", false), ("!=", "\"five\"", false), ("!=", "\"x\"", true)]),
        ("t", [("==", "true", true), ("==", "false", false), ("!=", "true", false), ("!=", "false", true)]),
        ("n", [("<", "-4", true), ("<", "-5", false), (">", "-6", true), (">", "-5", false)]),
        ("i", [("<", "6", true), ("<", "5", false), (">", "4", true), (">", "5", false)]),
        ("i", [("<=", "5", true), ("<=", "4", false), (">=", "5", true), (">=", "6", false)]),
        ("big", [(">", "9223372036854775807", true), ("==", "-1", false), ("<", "0", false), ("=", "5", false)]),
    ] {
        for (operator, operand, expected) in table {
            let condition = format!(r#"[type=="{claim}", value{operator}{operand}]"#);
            assert_eq!(holds(&condition, members), Ok(expected), "{condition}");
        }
    }
}

/// A claim of another type than it is compared with is no answer, and so no token; unless another comparison is false of it.
#[test]
fn two_types_refuse() {
    let members = r#"{"i":5,"s":"5","t":true}"#;
    let types = |claim: &str, found, operator, expected| {
        Err(Kind::Types { claim: claim.into(), property: "value", found, operator, expected })
    };
    assert_eq!(holds(r#"[type=="i", value=="5"]"#, members), types("i", "Integer", "==", "String"));
    assert_eq!(holds(r#"[value!="5", type=="i"]"#, members), types("i", "Integer", "!=", "String"));
    assert_eq!(holds(r#"[type=="s", value>4]"#, members), types("s", "String", ">", "Integer"));
    assert_eq!(holds(r#"[type=="t", value==1]"#, members), types("t", "Boolean", "==", "Integer"));
    assert_eq!(holds(r#"![type=="t", value=="true"]"#, members), types("t", "Boolean", "==", "String"));
    assert_eq!(holds("[value==5]", members), types("s", "String", "==", "Integer"));
    // What makes it false of the claim comes after, and counts as well.
    assert_eq!(holds(r#"[value==5, type=="i"]"#, members), Ok(true));
    // A rule that denies is not stepped over by a wrong type.
    let deny = r#"version=1.0;authorizationrules{=> permit();[type=="i", value=="5"] => deny();};"#;
    assert_eq!(says(deny, members), types("i", "Integer", "==", "String").map(|_: bool| String::new()));
    assert_eq!(
        issues(r#"[type=="i", value=="5"] => issue(type="x", value=1);"#, members).map(|_| true),
        types("i", "Integer", "==", "String")
    );
}

/// Some claim has to satisfy all comparisons of a condition, and all conditions of a rule have to hold; under `!` none may.
#[test]
fn conditions_are_of_one_claim_each() {
    let members = r#"{"a":1,"b":2}"#;
    for (condition, expected) in [
        (r#"[type=="a", value==1]"#, true),
        (r#"[type=="a", value==2]"#, false),
        (r#"[type=="a"] && [value==2]"#, true),
        (r#"[type=="a"] && [type=="c"]"#, false),
        (r#"[type=="A"]"#, false),
        (r#"[type!="a", value==2]"#, true),
        (r#"![type=="c"]"#, true),
        (r#"![type=="a"]"#, false),
        (r#"![type=="a", value==2]"#, true),
        (r#"[type=="a"] && ![type=="c"] && [type=="b"]"#, true),
        (r#"[issuer=="AttestationService"]"#, true),
        (r#"[issuer=="AttestationPolicy"]"#, false),
        (r#"[issuer=="CustomClaim"]"#, false),
        (r#"[type=="a", valueType=="Integer"]"#, true),
        (r#"[type=="a", valueType!="Integer"]"#, false),
        (r#"[valueType=="String"]"#, false),
    ] {
        assert_eq!(holds(condition, members), Ok(expected), "{condition}");
    }
    assert_eq!(holds("", members), Ok(true));
    assert_eq!(holds(r#"[type=="a"]"#, "{}"), Ok(false));
}

/// Names stand for claims in later conditions, where there is one, and in actions, where each is taken in turn.
#[test]
fn names_stand_for_claims() {
    let members = r#"{"a":1,"b":1,"c":[1,2],"d":[10,20],"e":"c"}"#;
    assert_eq!(holds(r#"x:[type=="a"] && [type=="b", value==x.value]"#, members), Ok(true));
    assert_eq!(holds(r#"x:[type=="a"] && [type=="b", value!=x.value]"#, members), Ok(false));
    assert_eq!(holds(r#"x:[type=="e"] && [type==x.value, value==2]"#, members), Ok(true));
    assert_eq!(holds(r#"x:[type=="a"] && [type=="b", valueType==x.valueType, issuer==x.issuer]"#, members), Ok(true));
    let ambiguous = Err(Kind::Ambiguous { name: "x".into(), claims: 2 });
    assert_eq!(holds(r#"x:[type=="c"] && [type=="b", value==x.value]"#, members), ambiguous);
    let wrong =
        Err(Kind::Types { claim: "b".into(), property: "type", found: "String", operator: "==", expected: "Integer" });
    assert_eq!(
        holds(r#"x:[type=="a"] && [value==1, type==x.value]"#, members).map_err(|error| match error {
            Kind::Types { property, found, operator, expected, .. } =>
                Kind::Types { claim: "b".into(), property, found, operator, expected },
            other => other,
        }),
        wrong
    );
    for (rule, expected) in [
        (r#"x:[type=="c"] => issue(type="x", value=x.value);"#, r#"{"x":[1,2]}"#),
        (r#"x:[type=="c"] && y:[type=="d"] => issue(type="x", value=y.value);"#, r#"{"x":[10,20]}"#),
        (r#"x:[type=="c"] => issue(claim=x);"#, r#"{"c":[1,2]}"#),
        (r#"x:[type=="a"] => issue(type=x.issuer, value=x.valueType);"#, r#"{"AttestationService":"Integer"}"#),
        (r#"x:[type=="c"] && y:[type=="e"] => issue(type=y.value, value=x.type);"#, r#"{"c":["c","c"]}"#),
        (r#"x:[type=="c"] => issue(type="k", value=1);"#, r#"{"k":1}"#),
    ] {
        assert_eq!(issues(rule, members).as_deref(), Ok(expected), "{rule}");
    }
}

/// Two names in one action are every pair, in order.
#[test]
fn two_names_are_every_pair() {
    let members = r#"{"c":["p","q"],"d":[10,20]}"#;
    let rule = r#"x:[type=="c"] && y:[type=="d"] => issue(type=x.value, value=y.value);"#;
    assert_eq!(issues(rule, members).as_deref(), Ok(r#"{"p":[10,20],"q":[10,20]}"#));
}

/// What is added is seen by later rules alone, as the policy's, and is in no token; what is issued is in both.
#[test]
fn added_claims_are_for_rules_and_issued_ones_for_the_token() {
    let seen = r#"[type=="n", issuer=="AttestationPolicy", value==7]"#;
    for (rules, expected) in [
        (format!(r#"=> add(type="n", value=7); {seen} => issue(type="saw", value=true);"#), r#"{"saw":true}"#),
        (format!(r#"{seen} => issue(type="saw", value=true); => add(type="n", value=7);"#), "{}"),
        (format!(r#"=> issue(type="n", value=7); {seen} => issue(type="saw", value=true);"#), r#"{"n":7,"saw":true}"#),
        (r#"=> issue(type="n", value="a"); => issue(type="n", value="a");"#.to_owned(), r#"{"n":["a","a"]}"#),
    ] {
        assert_eq!(issues(&rules, "{}").as_deref(), Ok(expected), "{rules}");
    }
    // In authorization rules `issue` adds, and what was added there is seen in issuance.
    let text = r#"version=1.0;authorizationrules{=> issue(type="n", value=7);[type=="n", value==7] => permit();};
        issuancerules{c:[type=="n"] => issue(type="m", value=c.value);};"#;
    assert_eq!(says(text, "{}").as_deref(), Ok(r#"{"m":7}"#));
}

/// No rule makes a claim of the service's names, by whatever way it gets to the name; what the service says it may repeat.
#[test]
fn claims_of_the_service_are_not_forged() {
    let members =
        r#"{"x-ms-sevsnpvm-is-debuggable":true,"name":"x-ms-sevsnpvm-is-debuggable","n2":"X-Skerry-Simulated"}"#;
    let forged = |name: &str| Err(Kind::ReservedClaim(name.to_owned()));
    let debuggable = "x-ms-sevsnpvm-is-debuggable";
    for action in ["issue", "add"] {
        let rule = format!(r#"c:[type=="name"] => {action}(type=c.value, value=false);"#);
        assert_eq!(issues(&rule, members), forged(debuggable));
        let rule = format!(r#"c:[type=="n2"] => {action}(type=c.value, value=false);"#);
        assert_eq!(issues(&rule, members), forged("X-Skerry-Simulated"));
        let rule = format!(r#"=> {action}(type=AppendString("x-ms-", "runtime"), value="{{}}");"#);
        assert_eq!(issues(&rule, members), forged("x-ms-runtime"));
        let rule = format!(r#"c:[type=="{debuggable}"] => {action}(claim=c);"#);
        assert_eq!(issues(&rule, members).as_deref(), Ok("{}"), "a repetition changes nothing");
        let rule = format!(r#"c:[type=="{debuggable}"] => {action}(type=c.type, value=c.value);"#);
        assert_eq!(issues(&rule, members).as_deref(), Ok("{}"));
        let rule = format!(r#"c:[type=="{debuggable}"] => {action}(type=c.type, value=NegateBool(c.value));"#);
        assert_eq!(issues(&rule, members), forged(debuggable));
    }
    for name in
        ["x-ms-runtime", "X-MS-ver", "iss", "EXP", "cnf", "nonce", "tdx_mrtd", "maa-ehd", "x-skerry-a", "secureboot"]
    {
        assert!(is_reserved(name), "{name}");
    }
    for name in ["tee", "svn", "is-debuggable", "x-m", "expiry", "xms-a", "é"] {
        assert!(!is_reserved(name), "{name}");
    }
}

/// The type of a claim that is made is a text, and not an empty one.
#[test]
fn a_made_claim_has_a_type() {
    let members = r#"{"i":1,"e":""}"#;
    assert_eq!(issues(r#"c:[type=="i"] => issue(type=c.value, value=1);"#, members), Err(Kind::ClaimType));
    assert_eq!(issues(r#"c:[type=="e"] => issue(type=c.value, value=1);"#, members), Err(Kind::ClaimType));
}

/// Members of the service become claims: scalars as they are, arrays of them one by one, null none, the rest as JSON.
#[test]
fn members_become_claims() {
    let claims = Claim::of_service(&claims(
        r#"{"b":true,"i":-1,"u":18446744073709551615,"s":"x","a":[1,"y"],"z":null,"o":{"b":1,"a":[2]},"f":1.5,"m":[[1]],"e":[]}"#,
    ));
    let text = |text: &str| Value::String(text.into());
    let expected = [
        ("b", Value::Boolean(true)),
        ("i", Value::Integer(-1)),
        ("u", Value::Integer(18_446_744_073_709_551_615)),
        ("s", text("x")),
        ("a", Value::Integer(1)),
        ("a", text("y")),
        ("o", text(r#"{"a":[2],"b":1}"#)),
        ("f", text("1.5")),
        ("m", text("[[1]]")),
    ];
    let found: Vec<_> = claims.iter().map(|claim| (&*claim.kind, claim.value.clone())).collect();
    assert_eq!(found, expected);
    assert!(claims.iter().all(|claim| claim.issuer == ClaimIssuer::AttestationService));
}

/// A stranger's draft costs what it may cost: claims, comparisons and bytes are counted.
#[test]
fn work_is_bounded() {
    let members = r#"{"a":1,"long":"LONG"}"#;
    let double = r#"c:[value==1] => add(type="a", value=c.value);"#.repeat(16);
    assert_eq!(
        issues(&double, members.split(',').next().map(|one| format!("{one}}}")).as_deref().unwrap_or_default()),
        Err(Kind::TooManyClaims { max: APPRAISAL_CLAIMS_MAX })
    );
    let long = members.replace("LONG", &"x".repeat(APPRAISAL_ISSUED_BYTES_MAX / 2));
    let twice = r#"c:[type=="long"] => issue(type="l", value=c.value);"#;
    assert!(issues(twice, &long).is_ok());
    assert_eq!(issues(&twice.repeat(2), &long), Err(Kind::IssuedTooLarge { max: APPRAISAL_ISSUED_BYTES_MAX }));
    let forty: Vec<String> = (0..40).map(|number| format!("\"c{number}\":1")).collect();
    let rule = format!("[{}type!=\"a\"] => add(type=\"k\", value=1);", "type!=\"\",".repeat(169));
    let rules = |count| issues(&rule.repeat(count), &format!("{{{}}}", forty.join(","))).map(drop);
    assert_eq!(rules(10), Ok(()));
    assert_eq!(rules(20), Err(Kind::TooMuchWork { max: APPRAISAL_STEPS_MAX }));
}
