use skerry_identity::{
    Client, Issuers, MintRefusal, Minted, Principal, Provider, SecretDigest, TokenService, TokenServiceError,
};
use skerry_jose::limits::{JSON, JwsLimits};
use skerry_jose::{Algorithm, JwkSet, SigningKey, Unverified};
use skerry_sources::KeySet;

use crate::support::{AUDIENCE, NOW, at};

const ISSUER: &str = "https://sts.windows.net/t1/";
const SECRET: &str = "correct horse";

fn service() -> TokenService {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let clients = vec![
        Client::with_secret("app", SecretDigest::of(SECRET)).object("app-object").resource(AUDIENCE),
        Client::with_secret("idle", SecretDigest::of(SECRET)),
        Client::managed("machine").resource(AUDIENCE).resource("https://other.example/"),
    ];
    TokenService::new(ISSUER, "t1", key, clients).unwrap()
}

fn refused(minted: Result<Minted, MintRefusal>) -> MintRefusal {
    minted.err().unwrap()
}

/// The token has the members of Entra's first version and no others, and its holder is told the same times.
#[test]
fn token_is_of_the_first_version() {
    let service = service();
    let minted = service.mint("app", SECRET, AUDIENCE, at(NOW)).ok().unwrap();
    let told = (minted.client_id.as_str(), minted.not_before, minted.expires_on);
    assert_eq!(told, ("app", NOW, NOW + 3600));
    let token = Unverified::parse(&minted.access_token, &JwsLimits::default()).unwrap();
    let kid = token.header().kid().unwrap().to_owned();
    assert_eq!(token.header().members().to_json(), format!(r#"{{"typ":"JWT","alg":"ES256","kid":"{kid}"}}"#));
    let expected = format!(
        r#"{{"aud":"{AUDIENCE}","iss":"{ISSUER}","iat":{NOW},"nbf":{NOW},"exp":{},"appid":"app","oid":"app-object","sub":"app-object","tid":"t1","ver":"1.0"}}"#,
        NOW + 3600
    );
    assert_eq!(token.claims_nobody_vouches_for().to_json(), expected);
    assert_eq!((service.issuer(), service.tenant()), (ISSUER, "t1"));
}

/// What the service signs is believed by who has its keys, at hand or as the published document.
#[tokio::test]
async fn minted_token_is_believed() {
    let service = service().lifetime_secs(10);
    let published = JwkSet::parse(service.jwks().to_json().as_bytes(), &JSON).unwrap();
    assert_eq!((published.len(), published.ignored().len()), (1, 0));
    for keys in [service.key_set().unwrap(), published] {
        let issuers = Issuers::new(vec![Provider::new(ISSUER, KeySet::fixed(keys)).tenant("t1")]).unwrap();
        let ask = async |minted: Result<Minted, MintRefusal>| {
            issuers.authenticate(&minted.ok().unwrap().access_token, &[AUDIENCE], at(NOW + 69)).await.unwrap()
        };
        let app = ask(service.mint("app", SECRET, AUDIENCE, at(NOW))).await;
        assert_eq!(app, Principal::new(ISSUER, "app-object"));
        let machine = ask(service.mint_managed("machine", AUDIENCE, at(NOW))).await;
        assert_eq!(machine, Principal::new(ISSUER, "machine"));
    }
}

/// Who does not prove to be a client gets the same refusal, whatever was wrong, and whatever is asked for.
#[test]
fn wrong_secret_and_unknown_client_are_refused_alike() {
    let service = service();
    for (client, secret) in [
        ("app", ""),
        ("app", "correct hors"),
        ("app", "correct horse "),
        ("app", "Correct horse"),
        ("App", SECRET),
        ("", SECRET),
        ("nobody", SECRET),
        ("nobody", ""),
        // A managed identity has no secret, so none is its own.
        ("machine", ""),
        ("machine", SECRET),
    ] {
        for resource in [AUDIENCE, "https://nowhere.example"] {
            let refusal = refused(service.mint(client, secret, resource, at(NOW)));
            assert_eq!(refusal, MintRefusal::Client, "{client} {secret}");
        }
    }
    for client in ["app", "idle", "nobody", ""] {
        assert_eq!(refused(service.mint_managed(client, AUDIENCE, at(NOW))), MintRefusal::Client, "{client}");
    }
}

/// Tokens are made for the resources of the client and for no others; a trailing slash is the same resource, and `aud` is
/// as configuration has it.
#[test]
fn resources_are_the_clients_own() {
    let service = service();
    for resource in ["", "https://vault.example.evil.example", "https://a.vault.example", "https://VAULT.example", "/"]
    {
        assert_eq!(refused(service.mint("app", SECRET, resource, at(NOW))), MintRefusal::Resource, "{resource}");
    }
    assert_eq!(refused(service.mint("idle", SECRET, AUDIENCE, at(NOW))), MintRefusal::Resource);
    assert_eq!(refused(service.mint("app", SECRET, "https://other.example/", at(NOW))), MintRefusal::Resource);
    for (asked, expected) in [
        ("https://vault.example/", AUDIENCE),
        ("https://other.example", "https://other.example/"),
        ("https://other.example/", "https://other.example/"),
    ] {
        let minted = service.mint_managed("machine", asked, at(NOW)).ok().unwrap();
        let token = Unverified::parse(&minted.access_token, &JwsLimits::default()).unwrap();
        let aud = token.claims_nobody_vouches_for().get("aud").and_then(|aud| aud.as_str()).map(str::to_owned);
        assert_eq!(aud.as_deref(), Some(expected));
    }
}

/// A secret may come as the digest that configuration has; a client is named once.
#[test]
fn clients_are_configuration() {
    // printf 'correct horse' | sha256sum
    let digest = "4104d36f8da2c254349f85836793ebe029e0c957063a34c91c2e9203187b5631";
    let digest: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&digest[2 * at..2 * at + 2], 16).unwrap()).collect();
    let digest: [u8; 32] = digest.try_into().unwrap();
    let key = || SigningKey::generate(Algorithm::Es256).unwrap();
    let client = || Client::with_secret("app", SecretDigest::from_bytes(digest)).resource(AUDIENCE);
    let service = TokenService::new(ISSUER, "t1", key(), vec![client()]).unwrap();
    assert!(service.mint("app", SECRET, AUDIENCE, at(NOW)).is_ok());
    let twice = TokenService::new(ISSUER, "t1", key(), vec![client(), Client::managed("app")]).err();
    assert_eq!(twice, Some(TokenServiceError::Twice("app".into())));
}
