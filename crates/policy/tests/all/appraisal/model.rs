//! A second evaluator, as plain as can be and over a form of its own, agrees about generated policies and claims. What it
//! evaluates is printed, so the reader is tested with it.

use proptest::prelude::*;
use skerry_policy::attestation::{Claim, ClaimIssuer, EvaluationErrorKind as Kind, Value};

use super::parse;

/// Names are few, so that rules meet.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Debug, Clone, PartialEq)]
enum Plain {
    Int(i64),
    Bool(bool),
    Text(String),
}

#[derive(Debug, Clone, PartialEq)]
struct PlainClaim {
    name: &'static str,
    value: Plain,
    own: bool,
}

#[derive(Debug, Clone)]
enum Test {
    Name(bool, &'static str),
    Own(bool),
    Value(&'static str, Plain),
}

#[derive(Debug, Clone)]
struct PlainCondition {
    not: bool,
    tests: Vec<Test>,
}

#[derive(Debug, Clone)]
enum Deed {
    Permit,
    Deny,
    Add(&'static str, Source),
    Issue(&'static str, Source),
    Copy(bool),
}

/// The value of a claim that is made: fixed, or that of the first condition's claims.
#[derive(Debug, Clone)]
enum Source {
    Fixed(Plain),
    First,
}

#[derive(Debug, Clone)]
struct PlainRule {
    conditions: Vec<PlainCondition>,
    deed: Deed,
}

fn value() -> impl Strategy<Value = Plain> {
    prop_oneof![
        (-1..2i64).prop_map(Plain::Int),
        any::<bool>().prop_map(Plain::Bool),
        prop_oneof![Just(String::new()), Just("x".to_owned()), Just("\"\\".to_owned())].prop_map(Plain::Text),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    let operator = |value: Plain| match value {
        Plain::Int(_) => proptest::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]),
        _ => proptest::sample::select(vec!["==", "!="]),
    };
    let compared = value().prop_flat_map(move |value| (operator(value.clone()), Just(value)));
    prop_oneof![
        4 => (any::<bool>(), proptest::sample::select(NAMES.to_vec())).prop_map(|(not, name)| Test::Name(not, name)),
        1 => any::<bool>().prop_map(Test::Own),
        2 => compared.prop_map(|(operator, value)| Test::Value(operator, value)),
    ]
}

fn condition() -> impl Strategy<Value = PlainCondition> {
    (proptest::bool::weighted(0.2), prop::collection::vec(test(), 1..3))
        .prop_map(|(not, tests)| PlainCondition { not, tests })
}

fn rule(issuing: bool) -> impl Strategy<Value = PlainRule> {
    let source = || prop_oneof![value().prop_map(Source::Fixed), Just(Source::First)];
    let name = || proptest::sample::select(NAMES.to_vec());
    let made = prop_oneof![
        (name(), source()).prop_map(|(name, source)| Deed::Add(name, source)),
        (name(), source()).prop_map(|(name, source)| Deed::Issue(name, source)),
        any::<bool>().prop_map(Deed::Copy),
    ];
    let decided = prop_oneof![3 => Just(Deed::Permit), 1 => Just(Deed::Deny)];
    let deed = if issuing { made.boxed() } else { prop_oneof![3 => decided, 1 => made].boxed() };
    (prop::collection::vec(condition(), 0..3), deed).prop_map(|(conditions, deed)| {
        // What speaks of the first condition needs one that binds.
        let binds = conditions.first().is_some_and(|first: &PlainCondition| !first.not);
        let deed = match deed {
            Deed::Add(name, Source::First) if !binds => Deed::Add(name, Source::Fixed(Plain::Int(1))),
            Deed::Issue(name, Source::First) if !binds => Deed::Issue(name, Source::Fixed(Plain::Int(1))),
            Deed::Copy(_) if !binds => Deed::Add("a", Source::Fixed(Plain::Bool(true))),
            other => other,
        };
        PlainRule { conditions, deed }
    })
}

fn text(value: &Plain) -> String {
    match value {
        Plain::Int(value) => value.to_string(),
        Plain::Bool(value) => value.to_string(),
        Plain::Text(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

fn print(rules: &[PlainRule]) -> String {
    rules.iter().map(print_rule).collect()
}

fn print_rule(rule: &PlainRule) -> String {
    let conditions = rule.conditions.iter().enumerate().map(|(at, condition)| {
        let tests = condition.tests.iter().map(|test| match test {
            Test::Name(false, name) => format!("type == \"{name}\""),
            Test::Name(true, name) => format!("type!=\"{name}\""),
            Test::Own(true) => "issuer==\"AttestationPolicy\"".to_owned(),
            Test::Own(false) => "issuer==\"AttestationService\"".to_owned(),
            Test::Value(operator, value) => format!("value{operator}{}", text(value)),
        });
        let name = if condition.not { "!".to_owned() } else { format!("c{at}:") };
        format!("{name}[{}]", tests.collect::<Vec<_>>().join(", "))
    });
    let value = |source: &Source| match source {
        Source::Fixed(value) => text(value),
        Source::First => "c0.value".to_owned(),
    };
    let deed = match &rule.deed {
        Deed::Permit => "permit()".to_owned(),
        Deed::Deny => "deny()".to_owned(),
        Deed::Add(name, source) => format!("add(type=\"{name}\", value={})", value(source)),
        Deed::Issue(name, source) => format!("issue(value={}, type=\"{name}\")", value(source)),
        Deed::Copy(true) => "issue(claim=c0)".to_owned(),
        Deed::Copy(false) => "add(claim = c0)".to_owned(),
    };
    format!("\n\t{} => {deed}; // rule", conditions.collect::<Vec<_>>().join("\n&& ")) + "\n"
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Permits(Vec<(String, Plain)>),
    Denied,
    NotPermitted,
    Types,
}

/// Whether a test holds of a claim; none for two types.
fn told(test: &Test, claim: &PlainClaim) -> Option<bool> {
    match test {
        Test::Name(not, name) => Some((claim.name == *name) != *not),
        Test::Own(own) => Some(claim.own == *own),
        Test::Value(operator, value) => {
            let order = match (&claim.value, value) {
                (Plain::Int(left), Plain::Int(right)) => left.cmp(right),
                (Plain::Bool(left), Plain::Bool(right)) => left.cmp(right),
                (Plain::Text(left), Plain::Text(right)) => left.cmp(right),
                _ => return None,
            };
            Some(match *operator {
                "==" => order.is_eq(),
                "!=" => order.is_ne(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            })
        }
    }
}

fn model(decide: &[PlainRule], issue: &[PlainRule], claims: &[PlainClaim]) -> Outcome {
    let mut claims = claims.to_vec();
    let (mut permits, mut denies, mut issued) = (0, 0, Vec::new());
    for (rules, issuing) in [(decide, false), (issue, true)] {
        for rule in rules {
            // Claims that satisfy the first condition.
            let mut first: Option<Vec<PlainClaim>> = None;
            let mut fires = true;
            for condition in &rule.conditions {
                let mut found = Vec::new();
                for claim in &claims {
                    let told: Vec<_> = condition.tests.iter().map(|test| told(test, claim)).collect();
                    if told.contains(&Some(false)) {
                        continue;
                    }
                    if told.contains(&None) {
                        return Outcome::Types;
                    }
                    found.push(claim.clone());
                }
                if found.is_empty() != condition.not {
                    fires = false;
                    break;
                }
                first.get_or_insert(found);
            }
            if !fires {
                continue;
            }
            let first = first.unwrap_or_default();
            let made = |name: &'static str, source: &Source| match source {
                Source::Fixed(value) => vec![(name, value.clone())],
                Source::First => first.iter().map(|claim| (name, claim.value.clone())).collect(),
            };
            let (made, out): (Vec<(&'static str, Plain)>, bool) = match &rule.deed {
                Deed::Permit => {
                    permits += 1;
                    continue;
                }
                Deed::Deny => {
                    denies += 1;
                    continue;
                }
                Deed::Add(name, source) => (made(name, source), false),
                Deed::Issue(name, source) => (made(name, source), issuing),
                Deed::Copy(out) => {
                    (first.iter().map(|claim| (claim.name, claim.value.clone())).collect(), *out && issuing)
                }
            };
            for (name, value) in made {
                if out {
                    issued.push((name.to_owned(), value.clone()));
                }
                claims.push(PlainClaim { name, value, own: true });
            }
        }
        if !issuing && denies > 0 {
            return Outcome::Denied;
        }
        if !issuing && permits == 0 {
            return Outcome::NotPermitted;
        }
    }
    Outcome::Permits(issued)
}

fn json(issued: Vec<(String, Plain)>) -> String {
    let mut names: Vec<&String> = Vec::new();
    issued.iter().for_each(|(name, _)| {
        if !names.contains(&name) {
            names.push(name)
        }
    });
    let mut text = Vec::new();
    for name in names {
        let values: Vec<serde_json::Value> = issued
            .iter()
            .filter(|(own, _)| own == name)
            .map(|(_, value)| match value {
                Plain::Int(value) => (*value).into(),
                Plain::Bool(value) => (*value).into(),
                Plain::Text(value) => value.as_str().into(),
            })
            .collect();
        let value = if values.len() == 1 { values[0].clone() } else { values.into() };
        text.push(format!("{}:{value}", serde_json::Value::from(name.as_str())));
    }
    format!("{{{}}}", text.join(","))
}

fn real(claim: &PlainClaim) -> Claim {
    let value = match &claim.value {
        Plain::Int(value) => Value::Integer(i128::from(*value)),
        Plain::Bool(value) => Value::Boolean(*value),
        Plain::Text(text) => Value::String(text.as_str().into()),
    };
    Claim { kind: claim.name.into(), value, issuer: ClaimIssuer::AttestationService }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn evaluators_agree(
        decide in prop::collection::vec(rule(false), 0..5),
        issue in prop::collection::vec(rule(true), 0..4),
        claims in prop::collection::vec((proptest::sample::select(NAMES.to_vec()), value()), 0..5),
    ) {
        let claims: Vec<_> = claims.into_iter().map(|(name, value)| PlainClaim { name, value, own: false }).collect();
        let text = format!("version = 1.2;\nauthorizationrules {{{}}};\nissuancerules {{{}}};", print(&decide), print(&issue));
        let policy = parse(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        let outcome = policy.appraise(&claims.iter().map(real).collect::<Vec<_>>());
        let outcome = match outcome.map(|appraised| appraised.issued.to_json()).map_err(|error| error.kind) {
            Ok(issued) => Ok(issued),
            Err(Kind::Denied) => Err(Outcome::Denied),
            Err(Kind::NotPermitted) => Err(Outcome::NotPermitted),
            Err(Kind::Types { .. }) => Err(Outcome::Types),
            Err(other) => panic!("{other}\n{text}"),
        };
        let expected = match model(&decide, &issue, &claims) {
            Outcome::Permits(issued) => Ok(json(issued)),
            other => Err(other),
        };
        prop_assert_eq!(outcome, expected, "{}", text);
    }
}
