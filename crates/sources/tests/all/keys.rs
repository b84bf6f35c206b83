use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use skerry_jose::json::Object;
use skerry_jose::{Algorithm, JwkSet, KeyLookupError, SigningKey};
use skerry_sources::{
    FetchError, FetchLimits, KeySet, KeySource, MetadataError, Oidc, SourceError, Stage, Terms, Url, UrlError,
};
use tokio::sync::Semaphore;

use crate::server::{Answer, Server, ok};

const METADATA: &str = "/t/.well-known/openid-configuration";
const TERMS: Terms = Terms {
    refresh_age: Duration::from_secs(300),
    age_max: Duration::from_secs(900),
    stale_max: Duration::from_secs(3600),
    interval_min: Duration::from_secs(60),
    retry_min: Duration::from_secs(5),
};

fn at(secs: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000 + secs)
}

fn document(kids: &[&str]) -> String {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    let key = KEY.get_or_init(|| SigningKey::generate(Algorithm::Es256).unwrap());
    let keys = kids.iter().map(|kid| key.public().to_jwk().with("kid", *kid)).collect::<Vec<_>>();
    Object::new().with("keys", keys).to_json()
}

fn publish(server: &Server, kids: &[&str]) {
    server.answer("/keys", Answer::ok(document(kids)));
}

fn key_set(server: &Server, terms: Terms) -> KeySet {
    KeySet::fetched(server.fetcher(), KeySource::At(server.url("/keys")), terms)
}

async fn has(keys: &KeySet, kid: &str, secs: u64) -> bool {
    let keys = keys.with_kid(Some(kid), at(secs)).await.unwrap();
    match keys.find(kid, Algorithm::Es256) {
        Ok(_) => true,
        Err(KeyLookupError::Unknown { .. }) => false,
        Err(other) => panic!("{other:?}"),
    }
}

/// Waits for what goes on aside: the server has been asked, and the answer has been taken.
async fn settled(keys: &KeySet, fetched: SystemTime) {
    while keys.state().fetched != Some(fetched) {
        tokio::task::yield_now().await;
    }
}

/// Keys at hand are there at any time, and nothing is fetched for them.
#[tokio::test]
async fn fixed_keys_are_never_fetched() {
    let keys = KeySet::fixed(JwkSet::parse(document(&["a"]).as_bytes(), &skerry_jose::limits::JSON).unwrap());
    assert!(has(&keys, "a", 0).await);
    assert!(!has(&keys, "b", u32::MAX.into()).await);
    assert_eq!((keys.state().keys, keys.state().fetched, keys.state().failure), (1, None, None));
}

/// By metadata: first the document, then the keys where it says.
#[tokio::test]
async fn metadata_leads_to_keys() {
    let server = Server::start().await;
    let issuer = server.url("/t");
    let metadata = Object::new().with("issuer", issuer.to_string()).with("jwks_uri", server.url("/keys").to_string());
    server.answer(METADATA, Answer::ok(metadata.to_json()));
    publish(&server, &["a"]);
    let keys = KeySet::fetched(server.fetcher(), KeySource::Discovered(Oidc::new(issuer).unwrap()), TERMS);
    assert!(has(&keys, "a", 0).await);
    assert_eq!((server.count(METADATA), server.count("/keys"), server.connections()), (1, 1, 2));
}

/// Attack 17: metadata that leads to another server, or is another issuer's: nobody is asked for keys.
#[tokio::test]
async fn attack_17_metadata_leads_elsewhere() {
    let (server, trap) = (Server::start().await, Server::start().await);
    let (issuer, own) = (server.url("/t"), server.origin("idp.example"));
    let oidc = Oidc::new(issuer.clone()).unwrap();
    let refused = async |issuer: &Url, jwks: &str| {
        let metadata = Object::new().with("issuer", issuer.to_string()).with("jwks_uri", jwks);
        server.answer(METADATA, Answer::ok(metadata.to_json()));
        let keys = KeySet::fetched(server.fetcher(), KeySource::Discovered(oidc.clone()), TERMS);
        keys.with_kid(None, at(0)).await.unwrap_err()
    };
    let expected = MetadataError::KeysOrigin { expected: own, found: trap.origin("idp.example") };
    assert_eq!(refused(&issuer, &trap.url("/keys").to_string()).await, SourceError::Metadata(expected));
    let expected = MetadataError::Url { name: "jwks_uri", source: UrlError::NotHttps };
    assert_eq!(refused(&issuer, "http://idp.example/keys").await, SourceError::Metadata(expected));
    let other = server.url("/u");
    let expected = MetadataError::Issuer { expected: issuer.to_string(), found: other.to_string() };
    assert_eq!(refused(&other, &server.url("/keys").to_string()).await, SourceError::Metadata(expected));
    assert_eq!((server.count("/keys"), trap.connections()), (0, 0));
}

/// Attack 16: a new key is found by the token that names it, once an interval has passed since the last attempt.
#[tokio::test]
async fn attack_16_rotation() {
    let server = Server::start().await;
    publish(&server, &["old"]);
    let keys = key_set(&server, TERMS);
    assert!(has(&keys, "old", 0).await);
    publish(&server, &["old", "new"]);
    assert!(!has(&keys, "new", 59).await);
    assert_eq!(server.count("/keys"), 1);
    assert!(has(&keys, "new", 60).await);
    assert!(has(&keys, "old", 60).await);
    assert_eq!(server.count("/keys"), 2);
}

/// Attack 16: whatever tokens name, there is at most one attempt per interval, and known keys go on being found.
#[tokio::test]
async fn attack_16_flood_of_unknown_kids() {
    let server = Server::start().await;
    publish(&server, &["a"]);
    let keys = key_set(&server, TERMS);
    for secs in 0..240 {
        for at in 0..5 {
            assert!(!has(&keys, &format!("{secs}/{at}"), secs).await);
        }
        assert!(has(&keys, "a", secs).await);
    }
    assert_eq!(server.count("/keys"), 4);
}

/// Attack 16: callers who need keys at once share one fetch, strangers' kids included.
#[tokio::test]
async fn attack_16_single_flight() {
    let server = Server::start().await;
    let gate = Arc::new(Semaphore::new(0));
    server.answer("/keys", Answer::Gated(Arc::clone(&gate), ok(document(&["a"]))));
    let keys = key_set(&server, TERMS);
    let callers: Vec<_> = (0..50)
        .map(|caller| {
            let keys = keys.clone();
            // Clocks that differ a little do not make a second flight.
            let now = at(10) + Duration::from_millis(caller % 7);
            tokio::spawn(async move { keys.with_kid(Some(&format!("{caller}")), now).await.map(|keys| keys.len()) })
        })
        .collect();
    gate.add_permits(1);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), Ok(1));
    }
    assert_eq!(server.count("/keys"), 1);
}

/// A caller that goes away while it waits does not take the fetch with it, so hanging up renews nothing late.
#[tokio::test]
async fn fetch_outlives_its_caller() {
    let server = Server::start().await;
    let gate = Arc::new(Semaphore::new(0));
    server.answer("/keys", Answer::Gated(Arc::clone(&gate), ok(document(&["a"]))));
    let keys = key_set(&server, TERMS);
    let waiting = keys.clone();
    let caller = tokio::spawn(async move { waiting.with_kid(None, at(0)).await.map(|keys| keys.len()) });
    while server.count("/keys") == 0 {
        tokio::task::yield_now().await;
    }
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    gate.add_permits(1);
    assert!(has(&keys, "a", 1).await);
    assert_eq!(server.count("/keys"), 1);
}

/// Attack 16: a key that the issuer has removed is gone when the keys have reached their age, however often it is named.
#[tokio::test]
async fn attack_16_removed_key() {
    let server = Server::start().await;
    publish(&server, &["kept", "removed"]);
    let terms = Terms { refresh_age: TERMS.age_max, ..TERMS };
    let keys = key_set(&server, terms);
    assert!(has(&keys, "removed", 0).await);
    publish(&server, &["kept"]);
    assert!(has(&keys, "removed", 899).await);
    assert_eq!(server.count("/keys"), 1);
    assert!(!has(&keys, "removed", 900).await);
    assert!(has(&keys, "kept", 900).await);
    assert_eq!(server.count("/keys"), 2);
}

/// Before they reach their age keys are renewed aside, while the old ones are used.
#[tokio::test]
async fn keys_are_renewed_aside() {
    let server = Server::start().await;
    publish(&server, &["a"]);
    let keys = key_set(&server, TERMS);
    assert!(has(&keys, "a", 0).await);
    let gate = Arc::new(Semaphore::new(0));
    server.answer("/keys", Answer::Gated(Arc::clone(&gate), ok(document(&["b"]))));
    // The gate is shut: who waited here would wait for ever.
    assert!(has(&keys, "a", 300).await);
    assert!(has(&keys, "a", 301).await);
    gate.add_permits(1);
    settled(&keys, at(300)).await;
    assert!(!has(&keys, "a", 302).await);
    assert!(has(&keys, "b", 302).await);
    assert_eq!(server.count("/keys"), 2);
}

/// Keys that did not change are the same keys, so that nothing is verified again.
#[tokio::test]
async fn unchanged_document_gives_the_same_keys() {
    let server = Server::start().await;
    publish(&server, &["a"]);
    let keys = key_set(&server, TERMS);
    let first = keys.with_kid(None, at(0)).await.unwrap();
    let second = keys.with_kid(None, at(900)).await.unwrap();
    assert_eq!(server.count("/keys"), 2);
    assert!(Arc::ptr_eq(&first, &second));
    publish(&server, &["a", "b"]);
    let third = keys.with_kid(None, at(1800)).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &third));
}

/// An issuer that is away: its keys go on being used up to their last age, and not a second more; then the reason is given.
#[tokio::test]
async fn outage_is_survived_for_a_while() {
    let server = Server::start().await;
    publish(&server, &["a"]);
    let keys = key_set(&server, TERMS);
    assert!(has(&keys, "a", 0).await);
    server.answer("/keys", Answer::head("503 X\r\nContent-Length: 0"));
    let status = FetchError::Status { status: StatusCode::SERVICE_UNAVAILABLE };
    let away = SourceError::Fetch { url: Box::new(server.url("/keys")), source: status };
    assert!(has(&keys, "a", 900).await);
    assert_eq!((keys.state().keys, keys.state().failure), (1, Some(away.clone())));
    assert!(has(&keys, "a", 3600).await);
    assert_eq!(keys.with_kid(Some("a"), at(3601)).await.unwrap_err(), away);
    publish(&server, &["a"]);
    assert_eq!(keys.with_kid(Some("a"), at(3604)).await.unwrap_err(), away);
    assert!(has(&keys, "a", 3606).await);
    assert_eq!(keys.state().failure, None);
}

/// An issuer that did not answer last time is asked again aside: nobody waits for it while its keys may be used.
#[tokio::test]
async fn outage_is_not_waited_for() {
    let server = Server::start().await;
    publish(&server, &["a"]);
    let keys = key_set(&server, TERMS);
    assert!(has(&keys, "a", 0).await);
    server.answer("/keys", Answer::head("503 X\r\nContent-Length: 0"));
    assert!(has(&keys, "a", 900).await);
    assert!(keys.state().failure.is_some());
    let gate = Arc::new(Semaphore::new(0));
    server.answer("/keys", Answer::Gated(Arc::clone(&gate), ok(document(&["b"]))));
    // The gate is shut: who waited here would wait for ever.
    assert!(has(&keys, "a", 960).await);
    gate.add_permits(1);
    settled(&keys, at(960)).await;
    assert!(has(&keys, "b", 960).await);
}

/// Without keys attempts are made more often, but not for every caller.
#[tokio::test]
async fn first_failure_does_not_cost_an_interval() {
    let server = Server::start().await;
    let keys = key_set(&server, TERMS);
    for secs in [0, 1, 4, 5, 9] {
        assert!(keys.with_kid(Some("a"), at(secs)).await.is_err());
    }
    assert_eq!(server.count("/keys"), 2);
    publish(&server, &["a"]);
    assert!(has(&keys, "a", 10).await);
}

/// A clock that was set back does not make old keys young.
#[tokio::test]
async fn clock_set_back() {
    let server = Server::start().await;
    publish(&server, &["removed"]);
    let keys = key_set(&server, TERMS);
    assert!(has(&keys, "removed", 10_000).await);
    publish(&server, &["a"]);
    assert!(!has(&keys, "removed", 9_100).await);
    publish(&server, &["b"]);
    assert!(!has(&keys, "a", 0).await);
    assert_eq!(server.count("/keys"), 3);
}

/// Attack 16: what is published in a key set's stead does not take the place of good keys; an empty set does, since it is
/// the issuer's word.
#[tokio::test]
async fn attack_16_poisoned_key_set() {
    let server = Server::start().await;
    publish(&server, &["a"]);
    let keys = key_set(&server, TERMS);
    assert!(has(&keys, "a", 0).await);
    for (secs, poison) in [
        (900, "<html>"),
        (960, "[]"),
        (1020, "{}"),
        (1080, r#"{"keys":{}}"#),
        (1140, r#"{"keys":[],"keys":[]}"#),
        (1200, r#"{"issuer":"https://idp.example","jwks_uri":"https://idp.example/keys"}"#),
    ] {
        server.answer("/keys", Answer::ok(poison));
        assert!(!has(&keys, "unknown", secs).await);
        assert!(has(&keys, "a", secs).await, "{poison}");
        assert!(matches!(keys.state().failure, Some(SourceError::Keys(_))), "{poison}");
    }
    let oversize = "x".repeat(skerry_sources::limits::KEY_SET_BYTES_MAX + 1);
    server.answer("/keys", Answer::ok(oversize));
    assert!(!has(&keys, "unknown", 1260).await);
    let source = FetchError::BodyTooLarge { max: skerry_sources::limits::KEY_SET_BYTES_MAX };
    let expected = SourceError::Fetch { url: Box::new(server.url("/keys")), source };
    assert_eq!(keys.state().failure, Some(expected));
    server.answer("/keys", Answer::ok(r#"{"keys":[]}"#));
    assert!(!has(&keys, "unknown", 1320).await);
    assert!(!has(&keys, "a", 1320).await);
    assert_eq!((keys.state().keys, keys.state().failure), (0, None));
}

/// Attack 59: an issuer that stalls costs a caller the time of one fetch.
#[tokio::test]
async fn attack_59_stalling_issuer() {
    let server = Server::start().await;
    server.answer("/keys", Answer::Stalls(b"HTTP/1.1 200 OK\r\n\r\n{".to_vec()));
    let limits = FetchLimits { time_max: Duration::from_secs(1), ..FetchLimits::default() };
    let keys = KeySet::fetched(server.fetcher_with(limits), KeySource::At(server.url("/keys")), TERMS);
    let source = FetchError::Timeout { stage: Stage::Body };
    let expected = SourceError::Fetch { url: Box::new(server.url("/keys")), source };
    for secs in 0..5 {
        assert_eq!(keys.with_kid(Some("a"), at(secs)).await.unwrap_err(), expected);
    }
    assert_eq!(server.count("/keys"), 1);
}
