use skerry_identity::{Issuers, IssuersError, Principal, Provider, SubjectClaim, Unauthorized};

use crate::support::{
    AUDIENCE, ISSUER, ISSUER_V2, NOW, alice, ask, at, changed, ec, good, issuers, keys_of, refused, rsa, sign, sign_by,
};

/// The control of everything here: unspoilt claims are believed, signed by RSA or ECDSA, at first and again.
#[tokio::test]
async fn good_token_is_its_subject() {
    let issuers = issuers();
    let token = sign(&good());
    for _ in 0..3 {
        assert_eq!(ask(&issuers, &token).await, Ok(alice()));
    }
    let by_ec = Issuers::new(vec![Provider::new(ISSUER, keys_of(ec()))]).unwrap();
    assert_eq!(ask(&by_ec, &sign_by(ec(), &good())).await, Ok(alice()));
    assert_eq!(alice().to_string(), "https://sts.example/t/ alice");
}

/// A caller is the same principal under each spelling of its provider.
#[tokio::test]
async fn spellings_of_one_provider_give_one_principal() {
    let token = sign(&good().with("iss", ISSUER_V2));
    assert_eq!(ask(&issuers(), &token).await, Ok(alice()));
    assert!(issuers().issuers().eq([ISSUER, ISSUER_V2]));
    assert_eq!(issuers().first_spelling(ISSUER_V2), Some(ISSUER));
    assert_eq!(issuers().first_spelling("https://sts.example/t"), None);
}

/// A spelling belongs to one provider.
#[test]
fn providers_share_no_spelling() {
    let provider = |issuer: &str| Provider::new(issuer, keys_of(rsa()));
    let refused = |providers| Issuers::new(providers).err();
    let twice = Some(IssuersError::Twice(ISSUER.into()));
    assert_eq!(refused(vec![provider(ISSUER), provider(ISSUER)]), twice);
    assert_eq!(refused(vec![provider(ISSUER), provider(ISSUER_V2).also(ISSUER)]), twice);
    assert_eq!(refused(vec![provider(ISSUER).also(ISSUER)]), twice);
    assert_eq!(refused(vec![provider("")]), Some(IssuersError::Empty));
    assert_eq!(refused(vec![]), None);
}

/// Attack 9: claims of another JSON type are refused, never taken as absent.
#[tokio::test]
async fn attack_09_wrong_json_types() {
    for name in ["exp", "iat", "nbf"] {
        for json in ["\"1800000050\"", "null", "1800000050.0", "1.8e9", "1e400", "-1", "[]", "{}", "true", "\"\""] {
            assert_eq!(refused(&changed(name, json)).await, Unauthorized::WrongType(name), "{name} {json}");
        }
    }
    for name in ["iss", "sub", "oid"] {
        for json in ["1", "null", "[\"alice\"]", "{}", "true"] {
            assert_eq!(refused(&changed(name, json)).await, Unauthorized::WrongType(name), "{name} {json}");
        }
    }
    for json in ["1", "null", "{}", "[1]", "[\"https://vault.example\",1]", "[[\"https://vault.example\"]]"] {
        assert_eq!(refused(&changed("aud", json)).await, Unauthorized::WrongType("aud"), "{json}");
    }
}

/// What a token must say: leave out any one, and it is refused.
#[tokio::test]
async fn missing_claims_are_refused() {
    for name in ["iss", "aud", "exp", "iat", "sub"] {
        assert_eq!(refused(&changed(name, "")).await, Unauthorized::Missing(name));
    }
    assert_eq!(ask(&issuers(), &sign(&changed("nbf", ""))).await, Ok(alice()));
}

/// Attack 10: times hold to the second, with the skew and not a second more; also for a token that was believed before.
#[tokio::test]
async fn attack_10_times() {
    let issuers = issuers();
    let token = sign(&good().with("nbf", NOW - 5));
    let ask = async |now| issuers.authenticate(&token, &[AUDIENCE], at(now)).await;
    let (nbf, iat, exp) = (NOW - 5, NOW - 10, NOW + 100);
    for _ in 0..2 {
        assert_eq!(ask(exp + 59).await, Ok(alice()));
        assert_eq!(ask(exp + 60).await, Err(Unauthorized::Expired { exp, now: exp + 60 }));
        assert_eq!(ask(nbf - 60).await, Ok(alice()));
        assert_eq!(ask(nbf - 61).await, Err(Unauthorized::NotYetValid { nbf, now: nbf - 61 }));
        assert_eq!(ask(0).await, Err(Unauthorized::NotYetValid { nbf, now: 0 }));
    }
    let early = sign(&changed("nbf", ""));
    let now = iat - 61;
    let refusal = issuers.authenticate(&early, &[AUDIENCE], at(now)).await;
    assert_eq!(refusal, Err(Unauthorized::IssuedInFuture { iat, now }));
    assert!(issuers.authenticate(&early, &[AUDIENCE], at(now + 1)).await.is_ok());
}

/// Attack 10: a token that lives too long, or not at all.
#[tokio::test]
async fn attack_10_lifetime() {
    let max_secs = skerry_identity::limits::LIFETIME_MAX_SECS;
    let (iat, exp) = (NOW - 10, NOW - 10 + max_secs);
    assert_eq!(ask(&issuers(), &sign(&good().with("exp", exp))).await, Ok(alice()));
    let long = Unauthorized::Lifetime { lifetime_secs: max_secs + 1, max_secs };
    assert_eq!(refused(&good().with("exp", exp + 1)).await, long);
    let endless = Unauthorized::Lifetime { lifetime_secs: u64::MAX - iat, max_secs };
    assert_eq!(refused(&good().with("exp", u64::MAX)).await, endless);
    for exp in [iat, iat - 1] {
        assert_eq!(refused(&good().with("exp", exp)).await, Unauthorized::EmptyLifetime { iat, exp });
    }
    let strict = Issuers::new(vec![Provider::new(ISSUER, keys_of(rsa())).lifetime_max_secs(109)]).unwrap();
    let refusal = ask(&strict, &sign(&good())).await.unwrap_err();
    assert_eq!(refusal, Unauthorized::Lifetime { lifetime_secs: 110, max_secs: 109 });
}

/// Attack 14: what only looks like the issuer is none.
#[tokio::test]
async fn attack_14_issuer_confusion() {
    for found in [
        "https://sts.example/t",
        "https://sts.example/t//",
        "https://sts.example/T/",
        "https://STS.example/t/",
        "https://sts.example:443/t/",
        "https://sts.example/t/v2.0",
        "https://sts.example/",
        "https://sts.example.evil.example/t/",
        "https://sts.example@evil.example/t/",
        "https://evil.example/https://sts.example/t/",
        "http://sts.example/t/",
        "https://ѕts.example/t/",
        " https://sts.example/t/",
        "https://sts.example/t/\u{0}",
        "https://login.example/t/v2.0/",
        "",
    ] {
        let expected = vec![ISSUER.to_owned(), ISSUER_V2.to_owned()];
        let expected = Unauthorized::UnknownIssuer { expected, found: found.to_owned() };
        assert_eq!(refused(&good().with("iss", found)).await, expected, "{found}");
    }
}

/// Attack 19: a token for others is refused, whatever it resembles; one of several audiences is enough.
#[tokio::test]
async fn attack_19_audience() {
    let several = [AUDIENCE, "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"];
    let ask = async |aud: &str| issuers().authenticate(&sign(&changed("aud", aud)), &several, at(NOW)).await;
    for aud in
        ["\"https://vault.example\"", "\"cfa8b339-82a2-471a-a3c9-0fc0be7a4093\"", "[\"x\",\"https://vault.example\"]"]
    {
        assert_eq!(ask(aud).await, Ok(alice()), "{aud}");
    }
    for found in [
        "https://management.azure.com",
        "https://vault.example/",
        "https://VAULT.example",
        "https://a.vault.example",
        "https://vault.example.evil.example",
        "https://vault.example,https://management.azure.com",
        "",
    ] {
        let expected = several.map(str::to_owned).to_vec();
        let one = Unauthorized::Audience { expected: expected.clone(), found: vec![found.to_owned()] };
        assert_eq!(ask(&format!("\"{found}\"")).await, Err(one));
        let two = Unauthorized::Audience { expected, found: vec!["x".into(), found.to_owned()] };
        assert_eq!(ask(&format!("[\"x\",\"{found}\"]")).await, Err(two));
    }
    let none = Unauthorized::Audience { expected: several.map(str::to_owned).to_vec(), found: vec![] };
    assert_eq!(ask("[]").await, Err(none));
}

/// Attack 19: that a token was believed for one audience does not make it good for another, or for none.
#[tokio::test]
async fn attack_19_audience_of_a_kept_token() {
    let issuers = issuers();
    let token = sign(&good());
    assert_eq!(ask(&issuers, &token).await, Ok(alice()));
    for other in [&["https://other.example"][..], &[]] {
        let expected = other.iter().map(|one| (*one).to_owned()).collect();
        let expected = Unauthorized::Audience { expected, found: vec![AUDIENCE.to_owned()] };
        assert_eq!(issuers.authenticate(&token, other, at(NOW)).await, Err(expected));
    }
    assert_eq!(ask(&issuers, &token).await, Ok(alice()));
}

/// A provider of one tenant believes no other's tokens, nor one without.
#[tokio::test]
async fn tenant_is_demanded_where_configured() {
    let issuers = Issuers::new(vec![Provider::new(ISSUER, keys_of(rsa())).tenant("t1")]).unwrap();
    let ask = async |tid: &str| ask(&issuers, &sign(&changed("tid", tid))).await;
    assert_eq!(ask("\"t1\"").await, Ok(alice()));
    assert_eq!(ask("").await, Err(Unauthorized::Missing("tid")));
    assert_eq!(ask("[\"t1\"]").await, Err(Unauthorized::WrongType("tid")));
    for found in ["t2", "T1", "t1 ", ""] {
        let expected = Unauthorized::Tenant { expected: "t1".into(), found: found.into() };
        assert_eq!(ask(&format!("\"{found}\"")).await, Err(expected));
    }
}

/// The subject is `oid`, else `sub`; a bad `oid` is not passed over. Where others write `oid`, configuration says `sub`.
#[tokio::test]
async fn subject_is_oid_or_sub() {
    let both = sign(&good().with("oid", "bob"));
    assert_eq!(ask(&issuers(), &both).await, Ok(Principal::new(ISSUER, "bob")));
    let only_oid = sign(&changed("sub", "").with("oid", "bob"));
    assert_eq!(ask(&issuers(), &only_oid).await, Ok(Principal::new(ISSUER, "bob")));
    let by_sub = Issuers::new(vec![Provider::new(ISSUER, keys_of(rsa())).subject(SubjectClaim::Sub)]).unwrap();
    assert_eq!(ask(&by_sub, &both).await, Ok(alice()));
    assert_eq!(ask(&by_sub, &only_oid).await, Err(Unauthorized::Missing("sub")));
    let longest = "x".repeat(255);
    assert_eq!(
        ask(&issuers(), &sign(&good().with("sub", longest.as_str()))).await,
        Ok(Principal::new(ISSUER, longest))
    );
    for subject in ["", " ", "a b", "a\nb", "a\u{0}", "ä", "alice\u{200b}", &"x".repeat(256)] {
        assert_eq!(refused(&good().with("sub", subject)).await, Unauthorized::Subject("sub"), "{subject:?}");
        assert_eq!(refused(&good().with("oid", subject)).await, Unauthorized::Subject("oid"), "{subject:?}");
    }
}
