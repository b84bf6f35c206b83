//! Texts that are published or recorded are read, and say what they say for the service.

use skerry_policy::attestation::{
    AppraisalPolicy, Claim, DefaultPolicy, EvaluationErrorKind as Kind, EvidenceType, Finding, RulePlace, Section,
    Version,
};

use super::{parse, says};
use crate::claims;

const SNP: &str =
    r#"{"x-ms-attestation-type":"sevsnpvm","x-ms-sevsnpvm-guestsvn":2,"x-ms-sevsnpvm-is-debuggable":false}"#;

/// Texts with hashes of real tokens (2021 to 2025) permit, and issue nothing.
#[test]
fn texts_of_real_tokens_have_their_hashes_and_permit() {
    for (text, hash) in [
        ("version= 1.0;authorizationrules{=> permit();};", "9NY0VnTQ-IiBriBplVUpFbczcDaEBUwsiFYAzHu_gco"),
        ("version= 1.0;\n\nauthorizationrules\n{\n    => permit();\n};", "LTPRQQju-FejAwdYihF8YV_c2XWebG9joKvrHKc3bxs"),
        (
            "version= 1.0;\n\nauthorizationrules\n{\n    => permit();\n};\n\nissuancerules\n{\n};",
            "B56nbp5slhw66peoRYkpdq1WykMkEworvdol08hnMXE",
        ),
        (
            "version=1.0; authorizationrules{=> permit();}; issuancerules{};",
            "z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU",
        ),
    ] {
        let policy = parse(text).unwrap();
        assert_eq!((policy.hash(), policy.text(), policy.version()), (hash, text, Version::V1_0));
        assert_eq!(says(text, SNP), Ok("{}".to_owned()), "{text}");
        assert_eq!(says(text, "{}"), Ok("{}".to_owned()), "{text}");
    }
}

/// The default for enclaves issues the deprecated names beside those of the service, each with its JSON type (recorded).
#[test]
fn default_for_enclaves_issues_deprecated_names() {
    let Some(DefaultPolicy::Text(text)) = EvidenceType::SgxEnclave.default_policy() else { panic!("no text") };
    let evidence = r#"{"x-ms-sgx-is-debuggable":true,"x-ms-sgx-mrsigner":"ab","x-ms-sgx-mrenclave":"cd",
        "x-ms-sgx-product-id":1,"x-ms-sgx-svn":2,"x-ms-attestation-type":"sgx"}"#;
    let expected =
        r#"{"is-debuggable":true,"sgx-mrsigner":"ab","sgx-mrenclave":"cd","product-id":1,"svn":2,"tee":"sgx"}"#;
    assert_eq!(says(text, evidence), Ok(expected.to_owned()));
    let today = text.replace(
        "1.0;",
        "1.1;configurationrules{\n\t=> issueproperty(type=\"x-ms-sgx-tcbidentifier\", value=\"azuredefault\");\n};",
    );
    for kind in [EvidenceType::SgxEnclave, EvidenceType::OpenEnclave] {
        let policy = AppraisalPolicy::parse(kind, &today).unwrap();
        let appraised = policy.appraise(&Claim::of_service(&claims(evidence))).unwrap();
        assert_eq!(appraised.issued.to_json(), expected);
        assert_eq!(appraised.properties.to_json(), r#"{"x-ms-sgx-tcbidentifier":"azuredefault"}"#);
    }
}

/// The default for TDX, which is ours, permits what says that it is TDX.
#[test]
fn default_for_tdx_asks_for_the_type() {
    let Some(DefaultPolicy::Text(text)) = EvidenceType::TdxVm.default_policy() else { panic!("no text") };
    assert_eq!(says(text, r#"{"x-ms-attestation-type":"tdxvm"}"#), Ok("{}".to_owned()));
    assert_eq!(says(text, SNP), Err(Kind::NotPermitted));
    assert_eq!(says(text, "{}"), Err(Kind::NotPermitted));
}

/// A published sample: what is debuggable, of another product or another signer is not permitted.
#[test]
fn sample_for_enclaves() {
    let text = "version= 1.0;\nauthorizationrules\n{\n\
        \t[ type==\"x-ms-sgx-is-debuggable\", value==false ]\n\
        \t&& [ type==\"x-ms-sgx-product-id\", value==7 ]\n\
        \t&& [ type==\"x-ms-sgx-svn\", value>= 0 ]\n\
        \t&& [ type==\"x-ms-sgx-mrsigner\", value==\"ab\"]\n => permit();\n};\n\
        issuancerules {\nc:[type==\"x-ms-sgx-mrsigner\"] => issue(type=\"signer\", value=c.value);\n};\n";
    let good = r#"{"x-ms-sgx-is-debuggable":false,"x-ms-sgx-product-id":7,"x-ms-sgx-svn":0,"x-ms-sgx-mrsigner":"ab"}"#;
    assert_eq!(says(text, good), Ok(r#"{"signer":"ab"}"#.to_owned()));
    for (from, to) in [("false", "true"), ("7", "8"), ("\"ab\"", "\"ac\""), ("\"x-ms-sgx-svn\":0,", "")] {
        assert_eq!(says(text, &good.replace(from, to)), Err(Kind::NotPermitted), "{to}");
    }
}

/// The style of the portal and of Constellation: what is false is denied, whatever permits after it.
#[test]
fn a_deny_is_not_overruled() {
    let text =
        "version= 1.0;authorizationrules{[type==\"secureboot\", value==false] => deny();=> permit();};issuancerules{};";
    assert_eq!(says(text, r#"{"secureboot":true}"#), Ok("{}".to_owned()));
    assert_eq!(says(text, r#"{"secureboot":false}"#), Err(Kind::Denied));
    let after = text.replace(
        "[type==\"secureboot\", value==false] => deny();=> permit();",
        "=> permit();[type==\"secureboot\", value==false] => deny();",
    );
    assert_eq!(says(&after, r#"{"secureboot":false}"#), Err(Kind::Denied), "also when it comes later");
}

/// Published samples of the signing tool: deny all, permit what booted securely, add a claim.
#[test]
fn samples_of_the_signing_tool() {
    let deny = "version=1.0;\n\nauthorizationrules\n{\n=>deny();\n};\n\nissuancerules\n{\n};";
    assert_eq!(says(deny, SNP), Err(Kind::Denied));
    let secure = "version=1.0;\n\nauthorizationrules\n{\n\
        [type==\"secureBootEnabled\", value==true, issuer==\"AttestationService\"]=>permit();\n};\n\n\
        issuancerules\n{\n=> issue(type=\"SecurityLevelValue\", value=100);\n};";
    assert_eq!(says(secure, r#"{"secureBootEnabled":true}"#), Ok(r#"{"SecurityLevelValue":100}"#.to_owned()));
    assert_eq!(says(secure, r#"{"secureBootEnabled":false}"#), Err(Kind::NotPermitted));
}

/// White space, comments, a single `=` in a condition and capitals in a section's word make no difference.
#[test]
fn spellings_are_one() {
    let text = "// first\r\nversion\t=\n1.0 ;AuthorizationRules // second\n{[type=\"a\",value=1]=>permit( ) ;} ;//";
    assert_eq!(says(text, r#"{"a":1}"#), Ok("{}".to_owned()));
    assert_eq!(says(text, r#"{"a":2}"#), Err(Kind::NotPermitted));
    let quoted = r#"version=1.0;authorizationrules{[type=="a", value=="say \"\\\" // no comment"]=>permit();};"#;
    assert_eq!(says(quoted, r#"{"a":"say \"\\\" // no comment"}"#), Ok("{}".to_owned()));
}

/// A verdict says of each rule where it stands and whether it fired; issuance is not looked at where nothing is permitted.
#[test]
fn verdicts_name_rules() {
    let text = "version=1.0;\nauthorizationrules\n{\n [type==\"a\"] => permit();\n => add(type=\"b\", value=1);\n};\n\
        issuancerules\n{\n => issue(type=\"c\", value=1);\n};";
    let policy = parse(text).unwrap();
    let place = |section, number, line| RulePlace { section, number, line };
    let (permit, add) = (place(Section::Authorization, 1, 4), place(Section::Authorization, 2, 5));
    let issue = place(Section::Issuance, 1, 9);
    let finding = |rule, action, fired| Finding { rule, action, fired };
    let verdict = policy.explain(&Claim::of_service(&claims(r#"{"a":1}"#)));
    assert_eq!(
        verdict.findings,
        [finding(permit, "permit", true), finding(add, "add", true), finding(issue, "issue", true)]
    );
    let verdict = policy.explain(&[]);
    assert_eq!(verdict.findings, [finding(permit, "permit", false), finding(add, "add", true)]);
    assert_eq!(
        verdict.outcome.unwrap_err().to_string(),
        "Policy Engine Exception: A Deny claim was issued, authorization failed. (no rule permits)"
    );
    let denied = text.replace("permit", "deny");
    let error = parse(&denied).unwrap().appraise(&Claim::of_service(&claims(r#"{"a":1}"#))).unwrap_err();
    assert_eq!((error.kind.clone(), error.rule), (Kind::Denied, Some(permit)));
    assert_eq!(
        error.to_string(),
        "Policy Engine Exception: A Deny claim was issued, authorization failed. (rule 1 of authorizationrules, line 4)"
    );
}
