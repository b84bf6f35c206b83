use proptest::prelude::*;
use skerry_jose::json::{ErrorKind, Object, Value};
use skerry_sources::{MetadataError, Oidc, Origin, Url, UrlError};

const ISSUER: &str = "https://idp.example/tenant";

fn oidc() -> Oidc {
    Oidc::new(Url::parse(ISSUER).unwrap()).unwrap()
}

fn document(issuer: impl Into<Value>, keys: impl Into<Value>) -> String {
    Object::new().with("issuer", issuer).with("jwks_uri", keys).to_json()
}

fn refused(document: &str) -> MetadataError {
    oidc().keys_url(document.as_bytes()).unwrap_err()
}

/// Metadata is asked for below the issuer, with or without its trailing slash.
#[test]
fn metadata_is_at_the_well_known_place() {
    for issuer in [ISSUER, "https://idp.example/tenant/"] {
        let oidc = Oidc::new(Url::parse(issuer).unwrap()).unwrap();
        assert_eq!(oidc.metadata().to_string(), "https://idp.example/tenant/.well-known/openid-configuration");
    }
    let root = Oidc::new(Url::parse("https://idp.example").unwrap()).unwrap();
    assert_eq!(root.metadata().to_string(), "https://idp.example/.well-known/openid-configuration");
    assert_eq!(Oidc::new(Url::parse("https://idp.example/?x").unwrap()).unwrap_err(), UrlError::Query);
}

/// The configured issuer, in either spelling, and keys at the same origin are believed.
#[test]
fn good_metadata_gives_the_place_of_keys() {
    for issuer in [ISSUER, "https://idp.example/tenant/", "https://IDP.example:443/tenant"] {
        let keys = oidc().keys_url(document(issuer, "https://idp.example/other/keys?x=1").as_bytes()).unwrap();
        assert_eq!(keys.to_string(), "https://idp.example/other/keys?x=1");
    }
}

/// Attack 14: what only looks like the issuer is another one.
#[test]
fn attack_14_metadata_of_another_issuer() {
    for found in [
        "https://idp.example/",
        "https://idp.example/Tenant",
        "https://idp.example/tenant/v2.0",
        "https://idp.example/tenant?",
        "https://idp.example/tenant/x",
        "https://idp.example:8443/tenant",
        "https://idp.example.evil.example/tenant",
        "https://evil.example/tenant",
    ] {
        let expected = MetadataError::Issuer { expected: ISSUER.into(), found: found.into() };
        assert_eq!(refused(&document(found, "https://idp.example/keys")), expected);
    }
    for (issuer, source) in [
        ("https://idp.example@evil.example/tenant", UrlError::UserInfo),
        ("https://idp.example/tenant//", UrlError::Path),
        ("http://idp.example/tenant", UrlError::NotHttps),
        ("https://{tenantid}.example", UrlError::Host),
        ("https://idp.example/{tenantid}/v2.0", UrlError::Path),
    ] {
        let expected = MetadataError::Url { name: "issuer", source };
        assert_eq!(refused(&document(issuer, "https://idp.example/keys")), expected, "{issuer}");
    }
}

/// Attack 17: keys elsewhere than configuration expects them, inside above all.
#[test]
fn attack_17_keys_of_another_origin() {
    let own = Origin::parse("https://idp.example").unwrap();
    for found in ["https://evil.example", "https://127.0.0.1", "https://169.254.169.254", "https://idp.example:8443"] {
        let found = Origin::parse(found).unwrap();
        let expected = MetadataError::KeysOrigin { expected: own.clone(), found: found.clone() };
        assert_eq!(refused(&document(ISSUER, format!("{found}/keys"))), expected);
    }
    let plain = MetadataError::Url { name: "jwks_uri", source: UrlError::NotHttps };
    assert_eq!(refused(&document(ISSUER, "http://idp.example/keys")), plain);
}

/// Keys, or metadata and keys, may be elsewhere where configuration says so, and then only there.
#[test]
fn keys_may_be_elsewhere_by_configuration() {
    let keys = Origin::parse("https://keys.example").unwrap();
    let moved = oidc().keys_on(keys.clone());
    assert!(moved.keys_url(document(ISSUER, "https://keys.example/k").as_bytes()).is_ok());
    let found = Origin::parse("https://idp.example").unwrap();
    let refusal = moved.keys_url(document(ISSUER, "https://idp.example/k").as_bytes()).unwrap_err();
    assert_eq!(refusal, MetadataError::KeysOrigin { expected: keys, found });

    let sts = Oidc::new(Url::parse("https://sts.windows.net/t/").unwrap()).unwrap();
    let login = "https://login.microsoftonline.com/t/.well-known/openid-configuration";
    let sts = sts.metadata_at(Url::parse(login).unwrap());
    let v1 = document("https://sts.windows.net/t/", "https://login.microsoftonline.com/common/discovery/keys");
    assert!(sts.keys_url(v1.as_bytes()).is_ok());
}

/// Attacks 9, 11, 12: documents that are none, or too much of one.
#[test]
fn attack_12_malformed_metadata() {
    use MetadataError::*;
    assert_eq!(refused("[]"), NotAnObject);
    assert_eq!(refused("{}"), Missing("issuer"));
    assert_eq!(refused(r#"{"issuer":"https://idp.example/tenant"}"#), Missing("jwks_uri"));
    assert_eq!(refused(r#"{"issuer":null}"#), WrongType("issuer"));
    assert_eq!(refused(r#"{"issuer":["https://idp.example/tenant"]}"#), WrongType("issuer"));
    assert_eq!(refused(&document(ISSUER, 1_u64)), WrongType("jwks_uri"));
    let kind = |document: &str| match refused(document) {
        Json(error) => error.kind,
        other => panic!("{other:?}"),
    };
    let twice = r#"{"issuer":"https://idp.example/tenant","issuer":"https://evil.example"}"#;
    assert_eq!(kind(twice), ErrorKind::DuplicateMember { name: "issuer".into() });
    assert_eq!(kind(""), ErrorKind::UnexpectedEnd);
    assert_eq!(kind(&"[".repeat(100)), ErrorKind::TooDeep { max: 16 });
    let large = document(ISSUER, "x".repeat(65_536));
    assert_eq!(kind(&large), ErrorKind::TooLarge { bytes: large.len(), max: 65_536 });
}

proptest! {
    /// Arbitrary bytes are judged without panic.
    #[test]
    fn arbitrary_documents_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(oidc().keys_url(&bytes).is_err());
    }

    /// Whatever the members say: keys are accepted for this issuer and at this origin only.
    #[test]
    fn accepted_keys_are_at_the_origin(
        issuer in "https://(idp|evil)\\.example(:443|:8443)?(/tenant)?/?",
        keys in "https?://(idp|evil)\\.example(:443|:8443)?(/[a-z.]{0,4}){0,2}",
    ) {
        if let Ok(url) = oidc().keys_url(document(issuer.as_str(), keys.as_str()).as_bytes()) {
            let issuer = issuer.replace(":443", "");
            prop_assert_eq!(issuer.trim_end_matches('/'), ISSUER);
            prop_assert_eq!(url.origin(), &Origin::parse("https://idp.example").unwrap());
        }
    }
}
