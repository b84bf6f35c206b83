use std::time::Duration;

use http::StatusCode;
use skerry_identity::{Issuers, Principal, Provider, Unauthorized};
use skerry_jose::json::Object;
use skerry_jose::{JwsError, KeyLookupError, SigningKey};
use skerry_sources::{FetchError, KeySet, KeySource, SourceError, Terms};

use crate::server::{Answer, Server};
use crate::support::{AUDIENCE, ISSUER, KID, NOW, alice, at, attacker, good, header, key_refused, rsa, sign, sign_raw};

const TERMS: Terms = Terms {
    refresh_age: Duration::from_secs(900),
    age_max: Duration::from_secs(900),
    stale_max: Duration::from_secs(3600),
    interval_min: Duration::from_secs(60),
    retry_min: Duration::from_secs(5),
};

fn publish(server: &Server, keys: &[(&str, &SigningKey)]) {
    let keys: Vec<_> = keys.iter().map(|(kid, key)| key.public().to_jwk().with("kid", *kid)).collect();
    server.answer("/keys", Answer::ok(Object::new().with("keys", keys).to_json()));
}

fn believing(server: &Server) -> Issuers {
    let keys = KeySet::fetched(server.fetcher(), KeySource::At(server.url("/keys")), TERMS);
    Issuers::new(vec![Provider::new(ISSUER, keys)]).unwrap()
}

async fn ask(issuers: &Issuers, token: &str, secs: u64) -> Result<Principal, Unauthorized> {
    issuers.authenticate(token, &[AUDIENCE], at(NOW + secs)).await
}

/// A token that outlives everything here.
fn long(kid: &str, key: &SigningKey) -> String {
    sign_raw(&header(key, kid), &good().with("exp", NOW + 10_000).to_json(), key)
}

/// Attack 16: a token that was believed is refused within the keys' age once its key is gone, though it has not expired.
#[tokio::test]
async fn attack_16_removed_key_ends_kept_tokens() {
    let server = Server::start().await;
    publish(&server, &[(KID, rsa()), ("other", attacker())]);
    let issuers = believing(&server);
    let (removed, kept) = (long(KID, rsa()), long("other", attacker()));
    assert_eq!(ask(&issuers, &removed, 0).await, Ok(alice()));
    assert_eq!(ask(&issuers, &kept, 0).await, Ok(alice()));
    publish(&server, &[("other", attacker())]);
    assert_eq!(ask(&issuers, &removed, 899).await, Ok(alice()));
    let unknown = KeyLookupError::Unknown { kid: KID.into() };
    assert_eq!(ask(&issuers, &removed, 900).await, Err(key_refused(&removed, unknown)));
    assert_eq!(ask(&issuers, &kept, 900).await, Ok(alice()));
    assert_eq!(server.count("/keys"), 2);
}

/// Attack 16: a kid that now means another key does not carry old tokens over.
#[tokio::test]
async fn attack_16_kid_of_another_key() {
    let server = Server::start().await;
    publish(&server, &[(KID, rsa())]);
    let issuers = believing(&server);
    let token = long(KID, rsa());
    assert_eq!(ask(&issuers, &token, 0).await, Ok(alice()));
    publish(&server, &[(KID, attacker())]);
    assert_eq!(ask(&issuers, &token, 900).await, Err(key_refused(&token, JwsError::Signature)));
    assert_eq!(ask(&issuers, &long(KID, attacker()), 900).await, Ok(alice()));
}

/// Attack 16: tokens that name made-up keys cause one fetch per interval, and cost nobody else anything.
#[tokio::test]
async fn attack_16_flood_of_unknown_kids() {
    let server = Server::start().await;
    publish(&server, &[(KID, rsa())]);
    let issuers = believing(&server);
    let token = long(KID, rsa());
    let forged: Vec<_> = (0..20).map(|kid| long(&format!("x{kid}"), attacker())).collect();
    for secs in (0..180).step_by(10) {
        assert_eq!(ask(&issuers, &token, secs).await, Ok(alice()));
        for (kid, forged) in forged.iter().enumerate() {
            let unknown = KeyLookupError::Unknown { kid: format!("x{kid}") };
            assert_eq!(ask(&issuers, forged, secs).await, Err(key_refused(forged, unknown)));
        }
    }
    assert_eq!(server.count("/keys"), 3);
}

/// Attack 16: a token under a new key is believed as soon as an interval has passed.
#[tokio::test]
async fn attack_16_rotation() {
    let server = Server::start().await;
    publish(&server, &[(KID, rsa())]);
    let issuers = believing(&server);
    assert_eq!(ask(&issuers, &sign(&good()), 0).await, Ok(alice()));
    publish(&server, &[(KID, rsa()), ("new", attacker())]);
    let token = long("new", attacker());
    let unknown = KeyLookupError::Unknown { kid: "new".into() };
    assert_eq!(ask(&issuers, &token, 59).await, Err(key_refused(&token, unknown)));
    assert_eq!(ask(&issuers, &token, 60).await, Ok(alice()));
    assert_eq!(server.count("/keys"), 2);
}

/// A provider that is away: what was believed is believed until its keys are too old, then refused as nobody's fault.
#[tokio::test]
async fn outage_of_a_provider() {
    let server = Server::start().await;
    publish(&server, &[(KID, rsa())]);
    let issuers = believing(&server);
    let token = long(KID, rsa());
    assert_eq!(ask(&issuers, &token, 0).await, Ok(alice()));
    server.answer("/keys", Answer::head("500 X\r\nContent-Length: 0"));
    assert_eq!(ask(&issuers, &token, 3600).await, Ok(alice()));
    let source = FetchError::Status { status: StatusCode::INTERNAL_SERVER_ERROR };
    let source = SourceError::Fetch { url: Box::new(server.url("/keys")), source };
    let away = Unauthorized::Unavailable { issuer: ISSUER.into(), source };
    assert_eq!(ask(&issuers, &token, 3601).await, Err(away));
}
