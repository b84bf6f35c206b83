//! The cache of verified tokens: it saves a signature check and decides nothing.

use skerry_attestation_result::TokenError;
use skerry_attestation_result::limits::{SKEW_SECS, TOKEN_LIFETIME_SECS};
use skerry_jose::{JwsError, b64};
use skerry_policy::permit::{Denied, VaultFloor};
use skerry_vault::Refusal;

use crate::support::*;

const EXP: u64 = IAT + TOKEN_LIFETIME_SECS;

/// A token that was believed ends when it ends: with the same skew as one that is seen for the first time.
#[test]
fn cached_token_expires() {
    let (cached, fresh) = (Scene::new(), Scene::new());
    assert!(cached.release(&good_token()).is_ok());
    for now in [EXP - 1, EXP, EXP + SKEW_SECS - 1] {
        assert!(cached.release_at(&good_token(), now).is_ok(), "{now}");
    }
    for scene in [&cached, &fresh] {
        for now in [EXP + SKEW_SECS, EXP + SKEW_SECS + 1, 10 * EXP] {
            let expired = TokenError::Expired { exp: EXP, now };
            assert_eq!(scene.release_at(&good_token(), now), Err(Refusal::Token(expired)));
        }
    }
    assert!(cached.release(&good_token()).is_ok(), "the control");
}

/// A token that was good for one key says nothing about another: its policy is asked anew.
#[test]
fn cached_token_is_judged_by_each_key() {
    let scene = Scene::new();
    scene.create_under("stricter", &entry(ISSUER, r#"{"claim":"x-ms-attestation-type","equals":"tdxvm"}"#)).unwrap();
    for _ in 0..2 {
        assert!(scene.release(&good_token()).is_ok());
        let refusal = scene.release_key("stricter", &good_token()).unwrap_err();
        assert!(matches!(refusal, Refusal::Denied(Denied::Policy(_))));
    }
}

/// A token that was denied by one key is still good for another.
#[test]
fn denial_is_not_cached() {
    let scene = Scene::new();
    scene.create_under("stricter", &entry(ISSUER, r#"{"claim":"x-ms-attestation-type","equals":"tdxvm"}"#)).unwrap();
    assert!(scene.release_key("stricter", &good_token()).is_err());
    assert!(scene.release(&good_token()).is_ok());
}

/// The vault's largest age counts from the token's own time, not from when it was cached.
#[test]
fn cached_token_grows_too_old() {
    let scene = Setup { floor: VaultFloor::default().token_age_max_secs(60), ..Setup::default() }.scene();
    assert!(scene.release(&good_token()).is_ok());
    assert!(scene.release_at(&good_token(), IAT + 60).is_ok());
    let denied = Denied::TokenTooOld { age_secs: 61, max_secs: 60 };
    assert_eq!(scene.release_at(&good_token(), IAT + 61), Err(Refusal::Denied(denied)));
}

/// A clock that steps back behind the verification has the token verified anew, and refused if it comes from the future.
#[test]
fn clock_stepping_back_verifies_anew() {
    let (scene, nbf) = (Scene::new(), NOW + SKEW_SECS);
    let token = signed(&payload().with("nbf", nbf));
    assert!(scene.release_at(&token, NOW).is_ok());
    let now = NOW - 1;
    let refused = TokenError::NotYetValid { nbf, now };
    assert_eq!(scene.release_at(&token, now), Err(Refusal::Token(refused)));
    assert!(scene.release_at(&token, NOW).is_ok());
}

/// Another token with the same claims is another token: the proof of the first is not lent to it.
#[test]
fn token_with_the_same_claims_is_verified_on_its_own() {
    let (scene, token) = (Scene::new(), good_token());
    assert!(scene.release(&token).is_ok());
    let (input, signature) = token.rsplit_once('.').unwrap();
    let mut other = b64::decode(signature).unwrap();
    other[0] ^= 1;
    let bad = Refusal::Token(TokenError::Jws(JwsError::Signature));
    assert_eq!(scene.release(&format!("{input}.{}", b64::encode(other))), Err(bad.clone()));
    let forged = signed_by(&signing_key(&ATTACKER), &part(&token, 0), &part(&token, 1));
    assert_eq!(scene.release(&forged), Err(bad.clone()));
    let swapped =
        format!("{}.{}.{signature}", b64::encode(part(&token, 0)), b64::encode(payload().with("x", 1_u64).to_json()));
    assert_eq!(scene.release(&swapped), Err(bad));
    assert!(
        scene.release(&signed(&payload())).is_ok(),
        "the same claims, signed by the authority under another header"
    );
}

/// What was refused stays refused after a good token, and does not spoil it.
#[test]
fn refusal_leaves_no_trace() {
    let scene = Scene::new();
    let forged = signed_by(&signing_key(&ATTACKER), &part(&good_token(), 0), &part(&good_token(), 1));
    for _ in 0..3 {
        assert_eq!(scene.release(&forged), Err(Refusal::Token(TokenError::Jws(JwsError::Signature))));
        assert!(scene.release(&good_token()).is_ok());
    }
}
