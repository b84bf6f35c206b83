//! Canonical forms and the digest.

use super::{one_clause, policy};

const SPACIOUS: &str = r#" { "anyOf" : [ { "ANYOF" : [ { "equals" : true , "claim" : "sdk-test" } ,
    { "allof" : [ { "claim" : "n" , "greater" : 1 }, {"value":"x","condition":"NOTEQUALS","claim":"c\u002ed"} ] } ] ,
    "authority" : "https://A.example/" } ] , "version" : "1.0" } "#;

// A vault minifies, orders members and turns scalars to text; it keeps version and authority as written.
#[test]
fn the_vault_form() {
    assert_eq!(
        policy(SPACIOUS).canonical(),
        concat!(
            r#"{"version":"1.0","anyOf":[{"authority":"https://A.example/","anyOf":[{"claim":"sdk-test","equals":"true"},"#,
            r#"{"allOf":[{"claim":"n","greater":"1"},{"claim":"c.d","notEquals":"x"}]}]}]}"#
        )
    );
}

// A managed HSM keeps the type of scalars and normalises the version.
#[test]
fn the_hsm_form() {
    assert_eq!(
        policy(SPACIOUS).canonical_hsm(),
        concat!(
            r#"{"version":"1.0.0","anyOf":[{"authority":"https://A.example/","anyOf":[{"claim":"sdk-test","equals":true},"#,
            r#"{"allOf":[{"claim":"n","greater":1},{"claim":"c.d","notEquals":"x"}]}]}]}"#
        )
    );
}

// An outermost allOf and every operator survive, and text is escaped no more than needed.
#[test]
fn every_keyword_is_written_as_documented() {
    let clauses = [
        r#"{"claim":"a","equals":"\" \\ / é \n"}"#,
        r#"{"claim":"a","notEquals":"b"}"#,
        r#"{"claim":"a","less":"-1"}"#,
        r#"{"claim":"a","lessOrEquals":"1"}"#,
        r#"{"claim":"a","greater":"1"}"#,
        r#"{"claim":"a","greaterOrEquals":"340282366920938463463374607431768211456"}"#,
        r#"{"claim":"a","exists":"false"}"#,
    ];
    for text in [one_clause(&clauses.join(",")), one_clause(&clauses.join(",")).replace("anyOf", "allOf")] {
        assert_eq!(policy(&text).canonical(), text);
        assert_eq!(policy(&text).canonical_hsm(), text);
    }
}

// The digest is SHA-256 of the vault form, so spelling does not change it and meaning does.
#[test]
fn the_digest_is_of_the_vault_form() {
    let text = one_clause(r#"{"claim":"a","equals":"1"}"#);
    let digest = policy(&text).digest();
    assert_eq!(digest.to_string(), "929a7e6daa0129db4a6548b5e682cb6f9c82c2bfa6b035e42635275d975b63e5");
    assert_eq!(policy(one_clause(r#"{"equals":1, "claim":"a"}"#)).digest(), digest);
    for other in [r#"{"claim":"a","equals":"2"}"#, r#"{"claim":"b","equals":"1"}"#, r#"{"claim":"a","notEquals":"1"}"#]
    {
        assert_ne!(policy(one_clause(other)).digest(), digest);
    }
}

// Equality ignores version and JSON types, and nothing that changes a verdict.
#[test]
fn equality_is_of_meaning() {
    let text = one_clause(r#"{"claim":"a","equals":"1"}"#);
    assert_eq!(policy(text.replace("1.0.0", "1.0")), policy(&text));
    assert_eq!(policy(text.replace("\"1\"", "1")), policy(&text));
    assert_eq!(policy(text.replace("https://a", "https://A")), policy(&text));
    for (from, to) in [
        ("\"1\"", "\"01\""),
        ("\"a\"", "\"A\""),
        ("equals", "exists"),
        ("allOf", "anyOf"),
        ("anyOf", "allOf"),
        ("https://a", "https://b"),
    ] {
        let text = text.replace("\"1\"", if to == "exists" { "\"true\"" } else { "\"1\"" });
        let other = if to == "exists" { text.replace("equals", "exists") } else { text.replacen(from, to, 1) };
        assert_ne!(policy(&other), policy(&text), "{other}");
    }
}
