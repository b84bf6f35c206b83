//! The release of a key over the wire: what the TEE gets, and what whoever gets nothing is told.

use skerry_client::{Asked, Roots, VerifiedRelease};
use skerry_jose::b64;
use skerry_jose::json::{self, Object};
use skerry_keywrap::Algorithm;

use super::scene::{HSM, MEASUREMENT, PREMIUM, Scene, V, attested, exportable, forged, inner, tee, text};
use crate::support::{Response, now, runtime};

async fn make(scene: &Scene, name: &str) -> String {
    let made = scene.good("POST", &format!("/keys/{name}/create?{V}"), &exportable("EC-HSM").to_json()).await;
    text(&made, &["key", "kid"]).to_owned()
}

fn payload(response: &Response) -> Object {
    assert_eq!(response.status, 200, "{}", response.body);
    let body = response.json();
    assert_eq!(body.len(), 1);
    let payload = b64::decode(text(&body, &["value"]).split('.').nth(1).unwrap()).unwrap();
    json::parse(&payload, &skerry_jose::limits::JSON).unwrap().into_object().unwrap()
}

/// The key that was made comes out at the TEE, under every form of the path, for each wrap, the sidecar's body included,
/// which says nothing but the token.
#[test]
fn the_tee_gets_the_key() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let kid = make(&scene, "pay").await;
        let (token, roots) = (attested(MEASUREMENT), Roots::new(&scene.root_der).unwrap());
        let base = kid.rsplit_once('/').unwrap().0;
        let versioned = kid.split_once(&scene.authority(PREMIUM)).unwrap().1;
        let plain = Object::new().with("target", token.as_str());
        for (path, asked, body, nonce, algorithm) in [
            ("/keys/pay/release", base, plain.clone(), None, Algorithm::CkmRsaAesKeyWrap),
            (
                "/keys/PAY//release",
                base,
                plain.clone().with("nonce", "ADE0101").with("enc", "RSA_AES_KEY_WRAP_256"),
                Some("ADE0101"),
                Algorithm::RsaAesKeyWrap256,
            ),
            (
                &format!("{versioned}/release"),
                &kid,
                plain.clone().with("enc", "RSA_AES_KEY_WRAP_384").with("nonce", json::Value::Null),
                None,
                Algorithm::RsaAesKeyWrap384,
            ),
        ] {
            let response = scene.ask_as("only-release", PREMIUM, "POST", &format!("{path}?{V}"), &body.to_json()).await;
            let payload = payload(&response);
            assert_eq!(text(&payload, &["request", "api-version"]), "7.4");
            assert_eq!(text(&payload, &["response", "key", "key", "kid"]), kid);
            // The name is the key's, in whatever case it was asked for.
            let asked = asked.replace("PAY", "pay");
            let request_kid = text(&payload, &["request", "kid"]).replace("PAY", "pay");
            assert_eq!(request_kid, asked);
            let answer = response.json();
            let asked = Asked {
                host: PREMIUM,
                kid: text(&payload, &["request", "kid"]),
                nonce,
                algorithm,
                token: &token,
                target_kid: "tee-key",
            };
            let verified = VerifiedRelease::verify(text(&answer, &["value"]), &asked, &roots, now()).unwrap();
            assert!(!verified.unwrap(tee()).unwrap().expose().is_empty());
        }
    });
}

/// Who asks for a proof gets one that holds for the answer beside it; who does not has nothing of it in his answer, and what
/// cannot be proved is no proof.
#[test]
fn proofs_are_for_who_asks() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let kid = make(&scene, "pay").await;
        let (token, roots) = (attested(MEASUREMENT), Roots::new(&scene.root_der).unwrap());
        let plain = Object::new().with("target", token.as_str()).with("enc", "RSA_AES_KEY_WRAP_256");
        for host in [PREMIUM, HSM] {
            if host == HSM {
                scene.ask_of(HSM, "POST", &format!("/keys/pay/create?{V}"), &exportable("EC-HSM").to_json()).await;
            }
            let path = format!("/keys/pay/release?{V}");
            let body = plain.clone().with("x-skerry-proof", "inclusion").to_json();
            let response = scene.ask_of(host, "POST", &path, &body).await;
            assert_eq!(response.status, 200, "{}", response.body);
            let answer = response.json();
            let kid = kid.rsplit_once('/').unwrap().0.replace(PREMIUM, host);
            let asked = Asked {
                host,
                kid: &kid,
                nonce: None,
                algorithm: Algorithm::RsaAesKeyWrap256,
                token: &token,
                target_kid: "tee-key",
            };
            let verified = VerifiedRelease::verify(text(&answer, &["value"]), &asked, &roots, now()).unwrap();
            let proved = verified.prove(Some(text(&answer, &["x-skerry-proof"])), &scene.log_key).unwrap();
            assert_eq!(proved.index(), verified.receipt().audit_index);
            payload(&scene.ask_of(host, "POST", &path, &plain.to_json()).await);
            let body = plain.clone().with("x-skerry-proof", "consistency").to_json();
            let refused = scene.ask_of(host, "POST", &path, &body).await;
            assert_eq!(refused.status, 400, "{}", refused.body);
        }
    });
}

/// Why nothing is released goes to callers who may read the key; others get Azure's sentence alone.
#[test]
fn denials_are_explained_to_readers() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        make(&scene, "pay").await;
        let verified = "Target environment attestation statement cannot be verified.";
        let met = "Target environment attestation does not meet key release policy requirements.";
        let good = attested(MEASUREMENT);
        let forged = forged(&good);
        for (token, sentence, clause) in [
            (attested("cdcd"), met, "x-ms-sevsnpvm-launchmeasurement"),
            (forged, verified, "token: "),
            ("x".to_owned(), verified, "token: "),
            ("eyJhbGciOiJub25lIn0.e30.".to_owned(), verified, "token: "),
        ] {
            let body = Object::new().with("target", token).to_json();
            let path = format!("/keys/pay//release?{V}");
            let blind = scene.ask_as("only-release", PREMIUM, "POST", &path, &body).await;
            assert_eq!((blind.status, blind.code().as_str(), blind.message().as_str()), (403, "Forbidden", sentence));
            assert_eq!((inner(&blind), blind.header("retry-after")), (None, None));
            let reader = scene.ask("POST", &path, &body).await;
            assert_eq!((reader.status, reader.code().as_str()), (403, "Forbidden"));
            let explanation = reader.message().strip_prefix(sentence).unwrap().to_owned();
            assert!(explanation.starts_with('\n') && explanation.contains(clause), "{}", reader.body);
        }
    });
}

/// Requests that are none, and keys that never leave.
#[test]
fn what_cannot_be_released() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        make(&scene, "pay").await;
        scene.create("stays").await;
        let token = attested(MEASUREMENT);
        let plain = Object::new().with("target", token.as_str());
        for (body, message) in [
            (Object::new(), "Property target is missing."),
            (Object::new().with("target", ""), "Property target is missing."),
            (plain.clone().with("enc", "ROT13"), "Property enc has invalid value ROT13"),
            (plain.clone().with("nonce", 7_u64), "Property nonce has the wrong JSON type."),
            (plain.clone().with("nonce", "n".repeat(2_000)), "nonce has 2000 bytes, more than 1024"),
        ] {
            let response = scene.ask("POST", &format!("/keys/pay/release?{V}"), &body.to_json()).await;
            assert_eq!((response.status, response.code().as_str()), (400, "BadParameter"), "{}", response.body);
            assert_eq!(response.message(), message);
        }
        let response = scene.ask("POST", &format!("/keys/stays/release?{V}"), &plain.to_json()).await;
        assert_eq!((response.status, inner(&response).as_deref()), (403, Some("KeyNotExportable")));
        scene.good("PATCH", &format!("/keys/pay/?{V}"), r#"{"attributes":{"enabled":false}}"#).await;
        let response = scene.ask("POST", &format!("/keys/pay/release?{V}"), &plain.to_json()).await;
        assert_eq!((response.status, inner(&response).as_deref()), (403, Some("KeyDisabled")));
    });
}

/// A Managed HSM releases in its own form, and names the request in its denials.
#[test]
fn managed_hsms_release_in_their_own_form() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let path = format!("/keys/pay/create?{V}");
        assert_eq!(scene.ask_of(HSM, "POST", &path, &exportable("EC-HSM").to_json()).await.status, 200);
        let path = format!("/keys/pay/release?{V}");
        let body = Object::new().with("target", attested(MEASUREMENT)).to_json();
        let payload = payload(&scene.ask_of(HSM, "POST", &path, &body).await);
        assert_eq!(text(&payload, &["response", "key", "key", "kty"]), "EC");
        let body = Object::new().with("target", attested("cdcd")).to_json();
        let denied = scene.ask_as("only-release", HSM, "POST", &path, &body).await;
        let id = denied.header("x-ms-request-id").unwrap();
        let expected = format!(
            "Target environment attestation does not meet key release policy requirements. (Activity ID: {id})"
        );
        assert_eq!((denied.status, denied.message().as_str()), (403, expected.as_str()));
    });
}
