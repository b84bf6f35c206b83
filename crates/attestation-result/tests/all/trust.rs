use skerry_attestation_result::limits::{LIFETIME_MAX_SECS, SKEW_SECS, TokenLimits};
use skerry_attestation_result::{Authority, ClaimedToken, IssuerUrl, IssuerUrlError, Provenance, TokenError};
use skerry_jose::{Algorithm, JwkSet, JwsError, KeyLookupError, ProtectedHeader, SigningKey};

use crate::support::*;

/// The control of every refusal below.
#[test]
fn good_token_is_believed() {
    let result = verify(&good()).unwrap();
    assert_eq!(result.issuer().as_str(), ISSUER);
    assert_eq!(result.provenance(), Provenance::Real);
    assert_eq!((result.issued_at(), result.expires_at()), (NOW - 10, NOW + 100));
}

/// Attack 9: a time of another JSON type is refused, and never taken as absent.
#[test]
fn times_of_other_types_are_refused() {
    for name in ["exp", "iat", "nbf"] {
        for text in [
            "\"1800000100\"",
            "null",
            "1800000100.0",
            "1.8e9",
            "1e400",
            "-1",
            "[1800000100]",
            "{}",
            "true",
            "18446744073709551616",
            "\"\"",
        ] {
            assert_eq!(changed(name, text).unwrap_err(), TokenError::WrongType(name), "{name} {text}");
        }
    }
    assert_eq!(changed("exp", "").unwrap_err(), TokenError::Missing("exp"));
    assert_eq!(changed("iat", "").unwrap_err(), TokenError::Missing("iat"));
    assert!(changed("nbf", "").is_ok());
}

/// Attack 10: the edges of the times, with the skew that is allowed and a second more.
#[test]
fn times_hold_to_the_second() {
    let at = |name, secs: u64| changed(name, &secs.to_string()).map(drop);
    assert_eq!(at("exp", NOW - SKEW_SECS), Err(TokenError::Expired { exp: NOW - SKEW_SECS, now: NOW }));
    assert_eq!(changed("iat", &(NOW - 100).to_string()).map(drop), Ok(()));
    let old = good().with("iat", NOW - 1_000).with("exp", NOW - SKEW_SECS + 1);
    assert!(verify(&old).is_ok());
    assert_eq!(at("nbf", NOW + SKEW_SECS), Ok(()));
    assert_eq!(at("nbf", NOW + SKEW_SECS + 1), Err(TokenError::NotYetValid { nbf: NOW + 61, now: NOW }));
    assert_eq!(at("iat", NOW + SKEW_SECS), Ok(()));
    assert_eq!(at("iat", NOW + SKEW_SECS + 1), Err(TokenError::IssuedInFuture { iat: NOW + 61, now: NOW }));
    assert_eq!(
        verify(&good().with("exp", NOW - 10)).unwrap_err(),
        TokenError::EmptyLifetime { iat: NOW - 10, exp: NOW - 10 }
    );
    let exp = NOW - 10 + LIFETIME_MAX_SECS;
    assert_eq!(at("exp", exp), Ok(()));
    let over = TokenError::Lifetime { lifetime_secs: LIFETIME_MAX_SECS + 1, max_secs: LIFETIME_MAX_SECS };
    assert_eq!(at("exp", exp + 1), Err(over.clone()));
    assert_eq!(at("exp", u64::MAX).map_err(|error| matches!(error, TokenError::Lifetime { .. })), Err(true));
}

/// A clock that was set back makes tokens look as if they came from the future.
#[test]
fn clock_stepped_back_refuses() {
    let earlier = now() - std::time::Duration::from_secs(3_600);
    let error = authority().verify(&sign(&good().with("nbf", NOW - 4_000)), earlier).unwrap_err();
    assert_eq!(error, TokenError::IssuedInFuture { iat: NOW - 10, now: NOW - 3_600 });
}

/// Attack 20: raising the authority's earliest time revokes what was issued before.
#[test]
fn raised_min_iat_revokes() {
    let verify = |min_iat| authority().min_iat(min_iat).verify(&sign(&good()), now()).map(drop);
    assert_eq!(verify(NOW - 10), Ok(()));
    assert_eq!(verify(NOW - 9), Err(TokenError::Revoked { iat: NOW - 10, min_iat: NOW - 9 }));
}

/// Attack 14: issuers that look alike are not the same; one slash, the host's case and the default port make no difference.
#[test]
fn issuer_is_compared_whole() {
    for same in ["https://attest.example/", "https://ATTEST.example", "https://attest.example:443"] {
        assert!(changed("iss", &format!("\"{same}\"")).is_ok(), "{same}");
    }
    for other in [
        "https://attest.example.evil.example",
        "https://attest.exampl",
        "https://attest.example:444",
        "https://attest.example/x",
        "https://attest.example/X",
    ] {
        let expected = TokenError::Issuer { expected: ISSUER.into(), seen: other.into() };
        assert_eq!(changed("iss", &format!("\"{other}\"")).unwrap_err(), expected);
    }
    for malformed in [
        "http://attest.example",
        "https://a@attest.example",
        "https://attest.example?x",
        "https://attest\u{0435}.example",
        "",
        "attest.example",
    ] {
        let error = changed("iss", &format!("\"{malformed}\"")).unwrap_err();
        assert!(matches!(error, TokenError::IssuerForm(_)), "{malformed}: {error:?}");
    }
    assert_eq!(
        changed("iss", "\"http://attest.example\"").unwrap_err(),
        TokenError::IssuerForm(IssuerUrlError::NotHttps)
    );
    assert_eq!(changed("iss", "1").unwrap_err(), TokenError::WrongType("iss"));
    assert_eq!(changed("iss", "").unwrap_err(), TokenError::Missing("iss"));
}

/// Attack 15: a token of authority A never passes for authority B, with or without B's name in it.
#[test]
fn token_of_one_authority_is_not_another_s() {
    let other = SigningKey::generate(Algorithm::Rs256).unwrap();
    let kid = signer(ISSUER).kid().to_owned();
    let theirs = Authority::with_keys(
        IssuerUrl::parse("https://other.example").unwrap(),
        JwkSet::of(vec![other.verifying_key(&kid).unwrap()]),
    );
    let seen = TokenError::Issuer { expected: "https://other.example".into(), seen: ISSUER.into() };
    assert_eq!(theirs.verify(&sign(&good()), now()).unwrap_err(), seen);
    let header = ProtectedHeader::new(&format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#));
    let forged = header.sign(good().to_json().as_bytes(), &other).unwrap();
    assert_eq!(authority().verify(&forged, now()).unwrap_err(), TokenError::Jws(JwsError::Signature));
}

/// A kid that is absent, or not one of the authority's.
#[test]
fn key_must_be_the_authority_s() {
    let with_header = |header: &str| {
        let token = ProtectedHeader::new(header).sign(good().to_json().as_bytes(), &key()).unwrap();
        authority().verify(&token, now()).unwrap_err()
    };
    assert_eq!(with_header(r#"{"alg":"RS256"}"#), TokenError::NoKid);
    let unknown = KeyLookupError::Unknown { kid: "x".into() };
    assert_eq!(with_header(r#"{"alg":"RS256","kid":"x"}"#), TokenError::Key(unknown));
    assert_eq!(authority().verify("", now()).unwrap_err(), TokenError::Empty);
    assert_eq!(ClaimedToken::parse("", &TokenLimits::default()).unwrap_err(), TokenError::Empty);
}

/// An authority's own limit on the size of tokens holds, whoever parsed the token before.
#[test]
fn token_too_large_for_its_authority_is_refused() {
    let token = sign(&good());
    let verify = |token_bytes_max| {
        let jws = skerry_jose::limits::JwsLimits { token_bytes_max, ..Default::default() };
        let authority = authority().limits(TokenLimits { jws, ..TokenLimits::default() });
        let claimed = ClaimedToken::parse(token.as_str(), &TokenLimits::default()).unwrap();
        authority.verify_claimed(claimed, now()).map(drop)
    };
    assert_eq!(verify(token.len()), Ok(()));
    let (len, max) = (token.len(), token.len() - 1);
    assert_eq!(verify(max), Err(TokenError::Jws(JwsError::TooLarge { len, max })));
}

/// Attack 16: when a key has left the set, what it signed is worth nothing.
#[test]
fn removed_key_ends_its_tokens() {
    let emptied = Authority::with_keys(IssuerUrl::parse(ISSUER).unwrap(), JwkSet::default());
    let error = emptied.verify(&sign(&good()), now()).unwrap_err();
    assert_eq!(error, TokenError::Key(KeyLookupError::Unknown { kid: signer(ISSUER).kid().into() }));
}

/// Attack 19: where an audience is configured it must be named; as a text or in a list.
#[test]
fn audience_is_demanded_where_configured() {
    let verify = |text: &str| {
        let mut claims = good();
        if !text.is_empty() {
            claims.insert("aud", object(&format!("{{\"v\":{text}}}")).get("v").cloned().unwrap());
        }
        authority().audience("vault").verify(&sign(&claims), now()).map(drop)
    };
    assert_eq!(verify("\"vault\""), Ok(()));
    assert_eq!(verify("[\"other\",\"vault\"]"), Ok(()));
    assert_eq!(verify("\"vault2\""), Err(TokenError::Audience { expected: "vault".into() }));
    assert_eq!(verify("[]"), Err(TokenError::Audience { expected: "vault".into() }));
    assert_eq!(verify("1"), Err(TokenError::WrongType("aud")));
    assert_eq!(verify(""), Err(TokenError::Missing("aud")));
}

/// Provenance is a claim of the authority's; an odd value is not taken as absent.
#[test]
fn provenance_follows_the_claim() {
    let of = |text| changed("x-skerry-simulated", text).map(|result| result.provenance());
    assert_eq!(of("true"), Ok(Provenance::Simulated));
    assert_eq!(of("false"), Ok(Provenance::Real));
    for odd in ["\"false\"", "0", "null", "[]"] {
        assert_eq!(of(odd), Err(TokenError::WrongType("x-skerry-simulated")));
    }
}
