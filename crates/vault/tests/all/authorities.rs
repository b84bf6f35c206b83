//! Authorities whose keys are fetched: a token is good while its key is published, and not because it once was.

use skerry_attestation_result::{Provenance, TokenError, TokenSigner};
use skerry_jose::KeyLookupError;
use skerry_jose::json::Object;
use skerry_sources::limits::Terms;
use skerry_sources::{FetchError, SourceError};
use skerry_vault::{Refusal, TrustedAuthority};

use crate::issuer::KeyServer;
use crate::support::*;

/// A vault that believes this authority's server and, with keys that it knows, another one.
fn scene(server: &KeyServer) -> Scene {
    let other = skerry_attestation_result::Authority::built_in(other_signer()).unwrap();
    let authorities = vec![server.authority(ISSUER), TrustedAuthority::fixed(other)];
    let scene = Setup { authorities, ..Setup::default() }.scene();
    scene.create_under("others", &policy().replace(ISSUER, OTHER_ISSUER)).unwrap();
    scene
}

/// Another key of the same authority.
fn next_signer() -> TokenSigner {
    TokenSigner::new(issuer(ISSUER), signing_key(&SERVICE))
}

fn age_max() -> u64 {
    Terms::default().age_max.as_secs()
}

fn unknown(signer: &TokenSigner) -> Refusal {
    Refusal::Token(TokenError::Key(KeyLookupError::Unknown { kid: signer.kid().to_owned() }))
}

/// The last record is the denial of this token, by this text.
fn assert_on_record(scene: &Scene, token: &str, refusal: &Refusal) {
    let last = scene.records().pop().unwrap();
    assert_eq!((text(&last, "event"), text(&last, "verdict")), ("release-denied", "denied"));
    assert_eq!(text(&last, "token"), hex::encode(sha256(token)));
    assert!(text(&last, "explanation").starts_with(&refusal.to_string()), "{}", text(&last, "explanation"));
}

/// Keys are fetched once and serve many releases.
#[test]
fn fetched_keys_are_kept() {
    let server = KeyServer::with(&[signer()]);
    let scene = scene(&server);
    assert_eq!(server.requests(), 0, "nobody is asked before there is a reason");
    for round in 0..5_u64 {
        assert!(scene.release(&token(&claims().with("round", round))).is_ok());
        assert!(scene.release(&good_token()).is_ok());
    }
    assert_eq!(server.requests(), 1);
}

/// Attack 16: a key that the authority has taken back is good until its keys are fetched again and not after, also for a
/// token that was verified before and is kept; it is denied on record.
#[test]
fn attack_16_key_taken_back() {
    let server = KeyServer::with(&[signer()]);
    let scene = scene(&server);
    let (token, next) = (good_token(), next_signer());
    assert!(scene.release(&token).is_ok());
    server.publish(&[&next]);
    assert!(scene.release_at(&token, NOW + 10).is_ok(), "still kept");
    for now in [NOW + age_max(), NOW + age_max() + 1] {
        assert_eq!(scene.release_at(&token, now), Err(unknown(signer())));
        assert_on_record(&scene, &token, &unknown(signer()));
    }
    let control = token_of(&next, &claims(), Provenance::Real);
    assert!(scene.release_at(&control, NOW + age_max() + 2).is_ok());
    server.publish(&[signer(), &next]);
    assert!(scene.release_at(&token, NOW + 2 * age_max() + 1).is_ok(), "given back");
}

/// A key under the old one's name is another key: what the old one signed is not believed, though it was and is kept.
#[test]
fn attack_16_key_replaced_under_its_name() {
    use skerry_jose::JwsError;
    let server = KeyServer::with(&[signer()]);
    let scene = scene(&server);
    assert!(scene.release(&good_token()).is_ok());
    server.publish_raw(&Object::new().with("keys", vec![next_signer().public_jwk().with("kid", signer().kid())]));
    let refused = Refusal::Token(TokenError::Jws(JwsError::Signature));
    assert_eq!(scene.release_at(&good_token(), NOW + age_max()), Err(refused));
    server.publish(&[signer()]);
    assert!(scene.release_at(&good_token(), NOW + 2 * age_max()).is_ok(), "the control");
}

/// A document that says the same as the last is the same keys: what was verified is not verified again, and still ends.
#[test]
fn same_keys_keep_what_was_verified() {
    let server = KeyServer::with(&[signer()]);
    let scene = scene(&server);
    assert!(scene.release(&good_token()).is_ok());
    assert!(scene.release_at(&good_token(), NOW + age_max()).is_ok());
    assert_eq!(server.requests(), 2);
}

/// A new key is fetched when a token names it, at most once in an interval, however many tokens name keys that nobody has.
#[test]
fn attack_16_unknown_keys_cost_one_fetch() {
    let server = KeyServer::with(&[signer()]);
    let scene = scene(&server);
    assert!(scene.release(&good_token()).is_ok());
    let next = next_signer();
    server.publish(&[signer(), &next]);
    let interval = Terms::default().interval_min.as_secs();
    let tokens: Vec<String> =
        (0..20_u64).map(|index| token_of(&next, &claims().with("index", index), Provenance::Real)).collect();
    for token in &tokens {
        assert_eq!(scene.release_at(token, NOW + interval - 1), Err(unknown(&next)));
    }
    assert_eq!(server.requests(), 1);
    for token in &tokens {
        assert!(scene.release_at(token, NOW + interval).is_ok());
    }
    assert_eq!(server.requests(), 2);
}

/// An authority that cannot be asked is a denial of its own, on record, and no matter of other authorities; once it answers
/// its tokens are good.
#[test]
fn authority_that_cannot_be_asked() {
    let server = KeyServer::with(&[]);
    server.fail();
    let scene = scene(&server);
    let source = FetchError::Status { status: 503.try_into().unwrap() };
    let reason = SourceError::Fetch { url: Box::new(server.url()), source };
    let refused = Refusal::AuthorityUnavailable { issuer: ISSUER.into(), reason };
    assert_eq!(scene.release(&good_token()), Err(refused.clone()));
    assert_on_record(&scene, &good_token(), &refused);
    let others = token_of(other_signer(), &claims(), Provenance::Real);
    assert!(scene.release_key("others", &others).is_ok(), "the control");
    server.publish(&[signer()]);
    let retry = Terms::default().retry_min.as_secs();
    assert_eq!(scene.release_at(&good_token(), NOW + retry - 1), Err(refused), "not asked so soon");
    assert!(scene.release_at(&good_token(), NOW + retry).is_ok());
}

/// Keys that could not be renewed are used for a while and no longer: a token that is kept does not outlive them.
#[test]
fn keys_grow_too_old() {
    let server = KeyServer::with(&[signer()]);
    let scene = scene(&server);
    assert!(scene.release(&good_token()).is_ok());
    server.fail();
    let stale = Terms::default().stale_max.as_secs();
    assert!(scene.release_at(&good_token(), NOW + stale).is_ok());
    let refusal = scene.release_at(&good_token(), NOW + stale + 1).unwrap_err();
    let source = FetchError::Status { status: 503.try_into().unwrap() };
    let reason = SourceError::Fetch { url: Box::new(server.url()), source };
    assert_eq!(refusal, Refusal::AuthorityUnavailable { issuer: ISSUER.into(), reason });
    assert_on_record(&scene, &good_token(), &refusal);
    server.publish(&[signer()]);
    assert!(scene.release_at(&good_token(), NOW + stale + 1 + age_max()).is_ok(), "the control");
}

/// Nobody is asked for the keys of an issuer that the vault does not know, whatever the token says where they are.
#[test]
fn unknown_authority_is_not_asked_for() {
    let server = KeyServer::with(&[signer()]);
    let scene = scene(&server);
    for stranger in ["https://stranger.example", &format!("{ISSUER}.example"), &format!("{ISSUER}:8443")] {
        let token = signed(&payload().with("iss", stranger));
        let refused = Refusal::UnknownAuthority { issuer: stranger.to_owned() };
        assert_eq!(scene.release(&token), Err(refused.clone()));
        assert_on_record(&scene, &token, &refused);
    }
    assert_eq!(server.requests(), 0);
    assert!(scene.release(&good_token()).is_ok(), "the control");
    assert_eq!(server.requests(), 1);
}

/// The keys that an authority has of its own do not count where they are fetched.
#[test]
fn only_fetched_keys_count() {
    let server = KeyServer::with(&[&next_signer()]);
    let scene = scene(&server);
    assert_eq!(scene.release(&good_token()), Err(unknown(signer())));
    assert!(scene.release(&token_of(&next_signer(), &claims(), Provenance::Real)).is_ok(), "the control");
}
