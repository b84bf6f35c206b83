//! Every way in which a text is refused, by what is wrong, line, column and symbol.

use skerry_policy::attestation::{AppraisalPolicy, EvidenceType, PolicyParsingErrorKind as Kind, Section, Version};
use skerry_policy::limits::{
    APPRAISAL_BYTES_MAX, APPRAISAL_CALLS_DEPTH_MAX, APPRAISAL_CONDITIONS_MAX, APPRAISAL_RULES_MAX,
    APPRAISAL_SYMBOLS_MAX,
};

use super::{parse, refused};

/// The one refusal that is recorded, in its form.
#[test]
fn the_recorded_refusal_has_its_form() {
    let error = parse("version=1.0\n[type==\"a\"] => permit();").unwrap_err();
    assert_eq!(
        error.to_string(),
        "Policy Parser Exception Thrown: Offending symbol: '['\nLine: '2', Column: '1'\n\
         Failure message: 'mismatched input '[' expecting ';''\nFailing rule: 'policy > versionInfo'"
    );
}

fn mismatched(found: &str, expected: &'static str) -> Kind {
    Kind::Mismatched { found: found.to_owned(), expected }
}

/// What a policy has around its rules.
#[test]
fn frame_is_asked_for() {
    const SECTIONS: &str = "'configurationrules', 'authorizationrules' or 'issuancerules'";
    for (text, kind, line, column, symbol) in [
        ("", mismatched("<EOF>", "'version'"), 1, 1, "<EOF>"),
        ("this is no policy", mismatched("this", "'version'"), 1, 1, "this"),
        ("Version=1.0;", mismatched("Version", "'version'"), 1, 1, "Version"),
        ("version 1.0;", mismatched("1", "'='"), 1, 9, "1"),
        ("version==1.0;", mismatched("==", "'='"), 1, 8, "=="),
        ("version=x;", mismatched("x", "an integer"), 1, 9, "x"),
        ("version=1;", mismatched(";", "'.'"), 1, 10, ";"),
        ("version=1.0", mismatched("<EOF>", "';'"), 1, 12, "<EOF>"),
        ("version=2.0;", Kind::Version { version: "2.0".into() }, 1, 9, "2"),
        ("version=1.3;", Kind::Version { version: "1.3".into() }, 1, 9, "1"),
        ("version=1.-1;", Kind::Version { version: "1.-1".into() }, 1, 9, "1"),
        ("version=1.0;", Kind::NoAuthorization, 1, 13, "<EOF>"),
        ("version=1.0;issuancerules{};", Kind::NoAuthorization, 1, 29, "<EOF>"),
        ("version=1.0;rules{};", mismatched("rules", SECTIONS), 1, 13, "rules"),
        ("version=1.0;authorizationrules{}", mismatched("<EOF>", "';'"), 1, 33, "<EOF>"),
        ("version=1.0;authorizationrules;", mismatched(";", "'{'"), 1, 31, ";"),
        ("version=1.0;authorizationrules{};;", mismatched(";", SECTIONS), 1, 34, ";"),
        (
            "version=1.0;authorizationrules{};authorizationrules{};",
            Kind::SectionTwice(Section::Authorization),
            1,
            34,
            "authorizationrules",
        ),
        (
            "version=1.0;issuancerules{};\nauthorizationrules{};",
            Kind::SectionOrder { section: Section::Authorization, after: Section::Issuance },
            2,
            1,
            "authorizationrules",
        ),
        (
            "version=1.0;configurationrules{};authorizationrules{};",
            Kind::Since { what: "configurationrules", since: Version::V1_1 },
            1,
            13,
            "configurationrules",
        ),
        ("\u{feff}version=1.0;", Kind::Character('\u{feff}'), 1, 1, "\u{feff}"),
        ("version=1.0;/* no */", Kind::Character('/'), 1, 13, "/"),
        ("version=1.0;authorizationrules{=>permit();}#;", Kind::Character('#'), 1, 44, "#"),
    ] {
        assert_eq!(refused(text), (kind, line, column, symbol.to_owned()), "{text:?}");
    }
}

/// Rules, one wrong thing each. The place is that of the mark in the text, which is taken out of it.
#[test]
fn rules_are_checked() {
    let since = |what| Kind::Since { what, since: Version::V1_2 };
    let elsewhere = |action, section| Kind::ActionElsewhere { action, section };
    let (authorization, issuance) = (Section::Authorization, Section::Issuance);
    for (version, section, rule, kind) in [
        ("1.0", authorization, "=> permit()^", mismatched("}", "';'")),
        ("1.0", authorization, "[type==\"a\"] => permit()^ => permit();", mismatched("=>", "';'")),
        ("1.0", authorization, "[type==\"a\"]^ permit();", mismatched("permit", "'&&' or '=>'")),
        ("1.0", authorization, "[type==\"a\"] && ^=> permit();", mismatched("=>", "'['")),
        ("1.0", authorization, "[^] => permit();", mismatched("]", "'type', 'value', 'valueType' or 'issuer'")),
        (
            "1.0",
            authorization,
            "[^name==\"a\"] => permit();",
            mismatched("name", "'type', 'value', 'valueType' or 'issuer'"),
        ),
        ("1.0", authorization, "[type^ \"a\"] => permit();", mismatched("\"a\"", "'==', '!=', '<', '<=', '>' or '>='")),
        ("1.0", authorization, "[type==^] => permit();", mismatched("]", "a value")),
        ("1.0", authorization, "[type==\"a\"^ value==1] => permit();", mismatched("value", "',' or ']'")),
        ("1.0", authorization, "[type==^1] => permit();", Kind::NotAString { property: "type" }),
        ("1.0", authorization, "[issuer==^true] => permit();", Kind::NotAString { property: "issuer" }),
        ("1.0", authorization, "[valueType!=^2] => permit();", Kind::NotAString { property: "valueType" }),
        ("1.0", authorization, "[type^<\"a\"] => permit();", Kind::NotOrdered),
        ("1.0", authorization, "[value^>=\"a\"] => permit();", Kind::NotOrdered),
        ("1.0", authorization, "[value^<true] => permit();", Kind::NotOrdered),
        ("1.0", authorization, "c:[type==\"a\"] && [value^<c.type] => permit();", Kind::NotOrdered),
        ("1.0", authorization, "[value==^c.value] => permit();", Kind::IdentifierUnknown("c".into())),
        ("1.0", authorization, "c:[value==^c.value] => permit();", Kind::IdentifierUnknown("c".into())),
        ("1.0", authorization, "c:[value==1] && ^c:[value==2] => permit();", Kind::IdentifierTwice("c".into())),
        ("1.0", authorization, "^true:[value==1] => permit();", Kind::IdentifierReserved("true".into())),
        ("1.0", authorization, "^claim:[value==1] => permit();", Kind::IdentifierReserved("claim".into())),
        ("1.0", authorization, "^type:[value==1] => permit();", Kind::IdentifierReserved("type".into())),
        ("1.0", authorization, "c^[value==1] => permit();", mismatched("[", "':'")),
        ("1.0", authorization, "^![value==1] => permit();", since("a condition under !")),
        ("1.2", authorization, "!^c:[value==1] => permit();", Kind::IdentifierOfNone),
        ("1.1", authorization, "[value==^NegateBool(true)] => permit();", since("a function")),
        ("1.2", authorization, "[value==^Sum(1)] => permit();", Kind::FunctionUnknown("Sum".into())),
        ("1.2", authorization, "[value==^negateBool(true)] => permit();", Kind::FunctionUnknown("negateBool".into())),
        ("1.2", authorization, "[value==^JmesPath(\"{}\", \"a\")] => permit();", Kind::FunctionUnsupported("JmesPath")),
        (
            "1.2",
            authorization,
            "[value==^NegateBool()] => permit();",
            Kind::Arguments { function: "NegateBool", takes: 1, given: 0 },
        ),
        (
            "1.2",
            authorization,
            "[value==^AppendString(\"a\")] => permit();",
            Kind::Arguments { function: "AppendString", takes: 2, given: 1 },
        ),
        ("1.2", authorization, "[value==NegateBool(true,^)] => permit();", mismatched(")", "a value")),
        ("1.2", authorization, "[value==NegateBool(true^] => permit();", mismatched("]", "',' or ')'")),
        (
            "1.0",
            authorization,
            "=> ^allow();",
            mismatched("allow", "'permit', 'deny', 'add', 'issue' or 'issueproperty'"),
        ),
        ("1.0", authorization, "=> permit(^1);", mismatched("1", "')'")),
        ("1.0", authorization, "=> permit^;", mismatched(";", "'('")),
        ("1.0", authorization, "=> ^issueproperty(type=\"a\", value=1);", elsewhere("issueproperty", authorization)),
        ("1.0", issuance, "=> ^permit();", elsewhere("permit", issuance)),
        ("1.0", issuance, "=> ^deny();", elsewhere("deny", issuance)),
        ("1.1", Section::Configuration, "=> ^add(type=\"a\", value=1);", elsewhere("add", Section::Configuration)),
        ("1.0", issuance, "=> issue(^);", mismatched(")", "'type', 'value', 'valueType' or 'issuer'")),
        ("1.0", issuance, "=> issue(^type=\"a\");", Kind::NotAssigned("value")),
        ("1.0", issuance, "=> issue(^value=1);", Kind::NotAssigned("type")),
        ("1.0", issuance, "=> issue(type=\"a\", ^type=\"b\", value=1);", Kind::AssignedTwice("type")),
        ("1.0", issuance, "=> issue(type^==\"a\", value=1);", mismatched("==", "'='")),
        ("1.0", issuance, "=> issue(type=^1, value=1);", Kind::NotAString { property: "type" }),
        ("1.0", issuance, "=> issue(type=^\"\", value=1);", Kind::TypeEmpty),
        (
            "1.0",
            issuance,
            "=> issue(type=\"a\", value=1, ^issuer=\"AttestationService\");",
            Kind::NotAssignable("issuer"),
        ),
        ("1.0", issuance, "=> issue(type=\"a\", value=1, ^valueType=\"String\");", Kind::NotAssignable("valueType")),
        ("1.0", issuance, "=> issue(^type=\"x-ms-runtime\", value=1);", Kind::ReservedClaim("x-ms-runtime".into())),
        ("1.0", issuance, "=> add(^type=\"X-MS-a\", value=1);", Kind::ReservedClaim("X-MS-a".into())),
        (
            "1.0",
            issuance,
            "=> issue(^value=false, type=\"x-skerry-simulated\");",
            Kind::ReservedClaim("x-skerry-simulated".into()),
        ),
        ("1.0", issuance, "=> issue(^type=\"exp\", value=1);", Kind::ReservedClaim("exp".into())),
        ("1.0", issuance, "=> issue(claim^:c);", mismatched(":", "'='")),
        ("1.0", issuance, "=> issue(claim=^c);", Kind::IdentifierUnknown("c".into())),
        ("1.0", issuance, "=> issue(claim=^1);", mismatched("1", "an identifier")),
        ("1.0", issuance, "=> issueproperty(^type=\"omit_x5c\", value=true);", Kind::Property("omit_x5c".into())),
        ("1.0", authorization, "[type==^\"a] => permit();", Kind::Unterminated),
        ("1.0", authorization, "[type==^\"a\nb\"] => permit();", Kind::Control),
        ("1.0", authorization, "[type==^\"a\\nb\"] => permit();", Kind::Escape),
        ("1.0", authorization, "[value==^007] => permit();", Kind::Integer),
        ("1.0", authorization, "[value==^0x1f] => permit();", Kind::Integer),
        ("1.0", authorization, "[value==^-0] => permit();", Kind::Integer),
        ("1.0", authorization, "[value==^-] => permit();", Kind::Integer),
        ("1.0", authorization, "[value==^9223372036854775808] => permit();", Kind::Integer),
        ("1.0", authorization, "[type==^\u{201c}a\u{201d}] => permit();", Kind::Character('\u{201c}')),
        ("1.0", authorization, "[type==\"a\"] ^& [type==\"b\"] => permit();", Kind::Character('&')),
    ] {
        let (before, after) = rule.split_once('^').unwrap();
        let text = match section {
            Section::Authorization => format!("version={version};authorizationrules\n{{\n{before}{after}}};"),
            Section::Issuance => {
                format!("version={version};authorizationrules{{}};issuancerules\n{{\n{before}{after}}};")
            }
            Section::Configuration => {
                format!("version={version};configurationrules\n{{\n{before}{after}}};authorizationrules{{}};")
            }
        };
        let (found, line, _, symbol) = refused(&text);
        assert_eq!(found, kind, "{rule}");
        assert_eq!(line, 3, "{rule}");
        assert!(
            after.trim_start().starts_with(&symbol) || symbol == "}" || kind == Kind::Unterminated,
            "{rule}: {symbol}"
        );
    }
    let at = |rule: &str| refused(&format!("version=1.0;authorizationrules\n{{\n{rule}}};"));
    assert_eq!((at("  [type==1] => permit();").1, at("  [type==1] => permit();").2), (3, 10));
    assert_eq!(at("// \u{e9}\u{e9}\n \u{a0}").1, 4);
}

/// Properties belong to a section and a type of evidence, and have a type of value.
#[test]
fn properties_belong_somewhere() {
    let text = |section: &str, name: &str, value: &str| {
        let rule = format!("{section}{{=> issueproperty(type=\"{name}\", value={value});}};");
        match section {
            "configurationrules" => format!("version=1.1;{rule}authorizationrules{{=>permit();}};"),
            _ => format!("version=1.1;authorizationrules{{=>permit();}};{rule}"),
        }
    };
    for (section, name, value, kinds) in [
        (
            "configurationrules",
            "x-ms-sgx-tcbidentifier",
            "\"11\"",
            vec![EvidenceType::SgxEnclave, EvidenceType::OpenEnclave],
        ),
        ("configurationrules", "require_valid_aik_cert", "false", vec![EvidenceType::Tpm]),
        ("configurationrules", "required_pcr_mask", "15", vec![EvidenceType::Tpm]),
        ("issuancerules", "report_validity_in_minutes", "60", vec![EvidenceType::Tpm]),
        ("issuancerules", "omit_x5c", "true", vec![EvidenceType::Tpm]),
    ] {
        for kind in EvidenceType::ALL {
            let parsed =
                AppraisalPolicy::parse(kind, &text(section, name, value)).map(drop).map_err(|error| error.kind);
            let expected = if kinds.contains(&kind) { Ok(()) } else { Err(Kind::Property(name.to_owned())) };
            assert_eq!(parsed, expected, "{kind:?} {name}");
        }
        let elsewhere = if section == "issuancerules" { "configurationrules" } else { "issuancerules" };
        let parsed = AppraisalPolicy::parse(kinds[0], &text(elsewhere, name, value));
        assert_eq!(parsed.unwrap_err().kind, Kind::Property(name.to_owned()));
        let other = if value.starts_with('"') { "1" } else { "\"x\"" };
        let parsed = AppraisalPolicy::parse(kinds[0], &text(section, name, other));
        assert!(matches!(parsed.unwrap_err().kind, Kind::PropertyType { .. }), "{name}");
    }
}

/// Each limit holds to the last that is allowed.
#[test]
fn limits_hold() {
    let policy = |rules: &str| format!("version=1.2;authorizationrules{{{rules}}};");
    let rules = |count: usize| policy(&"=>permit();".repeat(count));
    assert!(parse(&rules(APPRAISAL_RULES_MAX)).is_ok());
    assert_eq!(refused(&rules(APPRAISAL_RULES_MAX + 1)).0, Kind::TooManyRules { max: APPRAISAL_RULES_MAX });
    let conditions = |count: usize| policy(&format!("{}[value==1]=>permit();", "[value==1]&&".repeat(count - 1)));
    assert!(parse(&conditions(APPRAISAL_CONDITIONS_MAX)).is_ok());
    let too_many = Kind::TooManyConditions { max: APPRAISAL_CONDITIONS_MAX };
    assert_eq!(refused(&conditions(APPRAISAL_CONDITIONS_MAX + 1)).0, too_many);
    let calls =
        |depth: usize| policy(&format!("[value=={}true{}]=>permit();", "NegateBool(".repeat(depth), ")".repeat(depth)));
    assert!(parse(&calls(APPRAISAL_CALLS_DEPTH_MAX)).is_ok());
    let too_deep = Kind::TooDeep { max: APPRAISAL_CALLS_DEPTH_MAX };
    assert_eq!(refused(&calls(APPRAISAL_CALLS_DEPTH_MAX + 1)).0, too_deep);
    assert_eq!(refused(&calls(4_000)).0, too_deep);
    let padded = |len: usize| rules(1) + &" ".repeat(len - rules(1).len());
    assert!(parse(&padded(APPRAISAL_BYTES_MAX)).is_ok());
    let too_large = Kind::TooLarge { len: APPRAISAL_BYTES_MAX + 1, max: APPRAISAL_BYTES_MAX };
    assert_eq!(refused(&padded(APPRAISAL_BYTES_MAX + 1)), (too_large, 1, 1, String::new()));
    let symbols = policy(&format!("[{}value==1]=>permit();", "value==1,".repeat(APPRAISAL_SYMBOLS_MAX / 4)));
    assert_eq!(refused(&symbols).0, Kind::TooManySymbols { max: APPRAISAL_SYMBOLS_MAX });
    let long = policy(&format!("[type==\"{}\\x", "a".repeat(1_000)));
    assert_eq!(refused(&long).3.len(), 64);
}

/// A text that is cut anywhere is no policy, and says so at its end.
#[test]
fn every_cut_is_refused() {
    let text = "version=1.2; authorizationrules{ c:[type==\"a\", value>=1] && ![type==\"b\"] => permit(); }; \
        issuancerules{ => issue(type=\"c\", value=AppendString(\"x\", \"\\\"\")); };";
    assert!(parse(text).is_ok());
    let whole_without_issuance = text.find(" issuancerules").unwrap();
    for end in 0..text.len() {
        if end != whole_without_issuance && end != whole_without_issuance + 1 {
            assert!(parse(&text[..end]).is_err(), "{}", &text[..end]);
        }
    }
}
