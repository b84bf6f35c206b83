use crate::support::*;

/// The example differs from its claims in letter case only, and the hint says so.
#[test]
fn explain_hints_at_what_may_be_wrong() {
    let output = skerry(&[
        "policy",
        "explain",
        "--policy",
        "examples/policy.json",
        "--claims",
        "examples/claims.json",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let verdict: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&verdict["met"], &verdict["signature_checked"]), (&false.into(), &false.into()));
    let clauses = verdict["entries"][0]["clauses"].as_array().unwrap();
    let failing: Vec<_> = clauses.iter().filter(|clause| clause["holds"] == false).collect();
    let [failing] = failing.as_slice() else { panic!("{verdict}") };
    assert_eq!(failing["claim"], "x-ms-sevsnpvm-hostdata");
    assert_eq!(failing["hint"], "differs only in letter case");
}

/// The control: with the value spelt as the token spells it, the policy is met.
#[test]
fn met_policy_exits_with_zero() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/policy.json");
    let policy = std::fs::read_to_string(root).unwrap();
    let (_folder, path) = file(&policy.replace(
        "4F4448C67F3C8DFC8DE8A5E37125D807DADCC41F06CF23F615DBD52EEC777D10",
        "4f4448c67f3c8dfc8de8a5e37125d807dadcc41f06cf23f615dbd52eec777d10",
    ));
    let output = skerry(&["policy", "explain", "--policy", &path, "--claims", "examples/claims.json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).ends_with("policy: met\n"));
    let output = skerry(&["policy", "check", "--policy", &path, "--claims", "examples/claims.json"]);
    assert_eq!(output.status.code(), Some(0));
}

/// A policy that is refused names line, column and clause.
#[test]
fn refused_policy_names_its_place() {
    let text = "{\"version\":\"1.0.0\",\"anyOf\":[{\"authority\":\"https://a.example\",\n \"allOf\":[{\"claim\":\"c\",\"equal\":1}]}]}";
    let (_folder, path) = file(text);
    let output = skerry(&["policy", "check", "--policy", &path]);
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    assert!(
        said.contains(":2:24: unknown operator \"equal\"") && said.contains("in anyOf[0].allOf[0].equal"),
        "{said}"
    );
}

/// What cannot be read or understood is a usage error, said on standard error.
#[test]
fn unreadable_files_are_usage_errors() {
    for args in [
        &["policy", "check", "--policy", "no-such-file"][..],
        &["policy", "explain", "--policy", "examples/policy.json"],
        &["policy", "explain", "--policy", "examples/policy.json", "--claims", "README.md"],
        &["no-such-command"],
    ] {
        let output = skerry(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{args:?}");
    }
}

/// An appraisal policy is read, and told rule by rule what it makes of claims; one that is refused names line and column.
#[test]
fn appraisal_policies_are_checked_and_explained() {
    let text = "version=1.0;\nauthorizationrules\n{\n [type==\"x-ms-sevsnpvm-guestsvn\", value>=2] => permit();\n};\n\
        issuancerules{=> issue(type=\"level\", value=7);};";
    let (_folder, path) = file(text);
    let (_claims_folder, claims) = file(r#"{"x-ms-sevsnpvm-guestsvn":2}"#);
    let checked = skerry(&["policy", "check", "--appraisal", &path]);
    assert_eq!(checked.status.code(), Some(0), "{}", stdout(&checked));
    assert!(stdout(&checked).starts_with("version: 1.0\nhash: ") && stdout(&checked).ends_with("policy: ok\n"));
    let explained = skerry(&["policy", "explain", "--appraisal", &path, "--claims", &claims]);
    assert_eq!(explained.status.code(), Some(0));
    let said = stdout(&explained);
    assert!(said.contains("rule 1 of authorizationrules, line 4"), "{said}");
    assert!(said.ends_with("issues: {\"level\":7}\npolicy: permits\n"), "{said}");
    let (_old_folder, old) = file(r#"{"x-ms-sevsnpvm-guestsvn":1}"#);
    let denied = skerry(&["policy", "check", "--appraisal", &path, "--claims", &old, "--json"]);
    assert_eq!(denied.status.code(), Some(1));
    let verdict: serde_json::Value = serde_json::from_slice(&denied.stdout).unwrap();
    assert_eq!((&verdict["permits"], &verdict["rules"][0]["fires"]), (&false.into(), &false.into()));
    let (_bad_folder, bad) = file("version=1.0;\nauthorizationrules{=> permit()};");
    let refused = skerry(&["policy", "check", "--appraisal", &bad]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stdout(&refused).contains(":2:31: mismatched input '}' expecting ';'"), "{}", stdout(&refused));
    for args in [
        &["policy", "explain", "--appraisal", &path][..],
        &["policy", "check", "--appraisal", &path, "--evidence-type", "Vbs"],
        &["policy", "check"],
        &["policy", "check", "--appraisal", &path, "--policy", "examples/policy.json"],
    ] {
        assert_eq!(skerry(args).status.code(), Some(2), "{args:?}");
    }
}
