//! Secure wrapping in a Managed HSM, and statements about keys, as SDKs ask for them.

use skerry_client::{ProvedUnwrap, RecordProofError, UnwrapAsked};
use skerry_jose::json::{Object, Value};
use skerry_jose::{b64, json};
use skerry_keywrap::{Algorithm, unwrap};

use super::scene::{
    AUTHORITY, HSM, MEASUREMENT, PREMIUM, STANDARD, Scene, V, attested, inner, member, release_policy, tee, text,
};
use crate::support::{Response, runtime};

fn names(object: &Object) -> Vec<&str> {
    object.iter().map(|(name, _)| name).collect()
}

/// A request for a key that wraps securely, as the SDKs' samples make it.
fn securing() -> String {
    Object::new()
        .with("kty", "RSA-HSM")
        .with("key_ops", vec!["secureWrapKey", "secureUnwrapKey"])
        .with("release_policy", release_policy(MEASUREMENT, true))
        .to_json()
}

impl Scene {
    async fn of_hsm(&self, path: &str, body: &str) -> Response {
        self.ask_of(HSM, "POST", &format!("/keys/k/{path}?{V}"), body).await
    }
}

fn body(wrapped: &str, target: &str) -> Object {
    Object::new().with("alg", "RSA-OAEP-256").with("value", wrapped).with("target", target)
}

/// Who asks for a proof of an unwrapping gets one that holds for what he asked for; who does not has nothing of it in his answer. It
/// proves no unwrapping of another key, by another token, to another TEE or under another version.
#[test]
fn unwrappings_are_proved_to_who_asks() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let made = scene.of_hsm("create", &securing()).await.json();
        let version = text(&made, &["key", "kid"]).rsplit('/').next().unwrap().to_owned();
        let wrapped = scene.of_hsm("/securewrapkey", r#"{"alg":"RSA-OAEP-256"}"#).await.json();
        let (value, token) = (text(&wrapped, &["value"]), attested(MEASUREMENT));
        let plain = scene.of_hsm("secureunwrapkey", &body(value, &token).to_json()).await.json();
        assert_eq!(names(&plain), ["alg", "kid", "value"]);
        let asked = body(value, &token).with("x-skerry-proof", "inclusion").to_json();
        let answer = scene.of_hsm("secureunwrapkey", &asked).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer = answer.json();
        let proof = Some(text(&answer, &["x-skerry-proof"]));
        let (n, e) = tee().public_components();
        let public = skerry_jose::RsaPublicKey::new(n, e).unwrap();
        let thumbprint = skerry_jose::PublicKey::Rsa(public).thumbprint();
        let octets = b64::decode(value).unwrap();
        let asked = UnwrapAsked { version: &version, wrapped: &octets, token: &token, target_thumbprint: &thumbprint };
        let proved = ProvedUnwrap::verify(proof, &asked, &scene.log_key).unwrap();
        assert!(proved.index() < proved.checkpoint().size());
        assert_eq!(ProvedUnwrap::verify(None, &asked, &scene.log_key), Err(RecordProofError::Missing));
        let other = "0".repeat(32);
        for (asked, member) in [
            (UnwrapAsked { version: &other, ..asked }, "version"),
            (UnwrapAsked { wrapped: &octets[1..], ..asked }, "explanation"),
            (UnwrapAsked { token: "x", ..asked }, "token"),
            (UnwrapAsked { target_thumbprint: "x", ..asked }, "explanation"),
        ] {
            let refused = Err(RecordProofError::RecordOf(member));
            assert_eq!(ProvedUnwrap::verify(proof, &asked, &scene.log_key), refused);
        }
        let stranger = skerry_tlog::SigningKey::from_seed("log.example/one", &[7; 32]).unwrap();
        assert!(matches!(ProvedUnwrap::verify(proof, &asked, stranger.public()), Err(RecordProofError::Proof(_))));
        let odd = body(value, &token).with("x-skerry-proof", "consistency").to_json();
        assert_eq!(scene.of_hsm("secureunwrapkey", &odd).await.status, 400);
    });
}

/// The round trip of the samples: a key is made and wrapped, and comes to the TEE whose token meets the policy, wrapped to it.
#[test]
fn tees_get_what_was_wrapped() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let made = scene.of_hsm("create", &securing()).await;
        assert_eq!(made.status, 200, "{}", made.body);
        let bundle = made.json();
        assert_eq!(member(&bundle, &["key", "key_ops"]).unwrap().to_json(), r#"["secureWrapKey","secureUnwrapKey"]"#);
        assert_eq!(member(&bundle, &["attributes", "exportable"]), None);
        let kid = text(&bundle, &["key", "kid"]);
        let wrapped = scene.of_hsm("/securewrapkey", r#"{"alg":"RSA-OAEP-256"}"#).await.json();
        assert_eq!(names(&wrapped), ["alg", "kid", "value"]);
        assert_eq!((text(&wrapped, &["alg"]), text(&wrapped, &["kid"])), ("RSA-OAEP-256", kid));
        let value = text(&wrapped, &["value"]);
        assert_eq!(b64::decode(value).unwrap().len(), 256);
        let token = attested(MEASUREMENT);
        for issuer in [None, Some(AUTHORITY)] {
            let mut body = body(value, &token);
            if let Some(issuer) = issuer {
                body.insert("applicationTrustedIssuer", issuer);
            }
            let answer = scene.of_hsm("secureunwrapkey", &body.to_json()).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            let answer = answer.json();
            assert_eq!((text(&answer, &["alg"]), text(&answer, &["kid"])), ("RSA-OAEP-256", kid));
            let envelope = b64::decode(text(&answer, &["value"])).unwrap();
            let envelope = json::parse(&envelope, &skerry_jose::limits::JSON).unwrap().into_object().unwrap();
            let enc = Algorithm::parse(text(&envelope, &["header", "enc"])).unwrap();
            let ciphertext = b64::decode(text(&envelope, &["ciphertext"])).unwrap();
            assert_eq!(unwrap(enc, tee(), &ciphertext).unwrap().expose().len(), 32);
        }
    });
}

/// Who is not attested as the policy wants, or trusts another authority, gets Azure's sentences; what is asked wrongly is 400,
/// and key vaults have none of it.
#[test]
fn others_get_nothing() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        assert_eq!(scene.of_hsm("create", &securing()).await.status, 200);
        let wrapped = scene.of_hsm("securewrapkey", r#"{"alg":"RSA-OAEP-256"}"#).await.json();
        let value = text(&wrapped, &["value"]);
        let token = attested(MEASUREMENT);
        let statement = "Target environment attestation statement cannot be verified.";
        let policy = "Target environment attestation does not meet key release policy requirements.";
        for (body, sentence) in [
            (body(value, &attested("cdcd")), policy),
            (body(value, "a.b.c"), statement),
            (body(value, &token).with("applicationTrustedIssuer", "https://other.test"), statement),
        ] {
            let refused = scene
                .ask_as("only-unwrapKey", HSM, "POST", &format!("/keys/k/secureunwrapkey?{V}"), &body.to_json())
                .await;
            assert_eq!((refused.status, refused.code().as_str()), (403, "Forbidden"), "{}", refused.body);
            assert!(refused.message().starts_with(&format!("{sentence} (Activity ID: ")), "{}", refused.body);
        }
        for (path, body, message) in [
            ("securewrapkey", "{}".to_owned(), "Property alg is missing."),
            ("securewrapkey", r#"{"alg":"RSA1_5"}"#.into(), "Property alg has invalid value RSA1_5"),
            ("securewrapkey", r#"{"alg":"RSA-OAEP"}"#.into(), "Property alg has invalid value RSA-OAEP"),
            ("securewrapkey", r#"{"alg":"A256KW"}"#.into(), "cipher: A256KW does not fit"),
            ("secureunwrapkey", body(value, "").to_json(), "Property target is missing."),
            ("secureunwrapkey", r#"{"alg":"RSA-OAEP-256","target":"t"}"#.into(), "Property value is missing."),
            ("secureunwrapkey", body("AQ", &token).to_json(), "cipher: text of 1 octets instead of 256 to 256"),
        ] {
            let refused = scene.of_hsm(path, &body).await;
            assert_eq!((refused.status, refused.code().as_str()), (400, "BadParameter"), "{path} {body}");
            assert!(refused.message().starts_with(message), "{}", refused.body);
        }
        let plain = scene.of_hsm("unwrapkey", &format!(r#"{{"alg":"RSA-OAEP-256","value":"{value}"}}"#)).await;
        assert_eq!((plain.status, inner(&plain).as_deref()), (403, Some("KeyOperationForbidden")));
        assert!(plain.message().starts_with("Operation unwrapKey is not permitted on this key."), "{}", plain.body);
        let released = scene.of_hsm("release", &format!(r#"{{"target":"{token}"}}"#)).await;
        assert_eq!((released.status, inner(&released).as_deref()), (403, Some("KeyNotExportable")));
        for host in [PREMIUM, STANDARD] {
            let refused = scene.ask_of(host, "POST", &format!("/keys/k/securewrapkey?{V}"), "{}").await;
            assert_eq!((refused.status, refused.code().as_str()), (400, "NotSupported"));
        }
        let made = scene.ask("POST", &format!("/keys/k/create?{V}"), &securing()).await;
        assert_eq!(made.message(), "AKV.SKR.1005: Non-exportable keys must not have release policy.");
    });
}

/// The bundle of a key comes with what is stated of it; a symmetric key's size shows, in every answer.
#[test]
fn keys_are_attested() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        for host in [PREMIUM, HSM] {
            for (kty, public) in [("EC-HSM", true), ("oct-HSM", false)] {
                let path = format!("/keys/k/create?{V}");
                let made = scene.ask_of(host, "POST", &path, &format!(r#"{{"kty":"{kty}"}}"#)).await.json();
                assert_eq!(
                    member(&made, &["attributes", "key_size"]).and_then(Value::as_u64),
                    (!public).then_some(256),
                    "{kty}"
                );
                let kid = text(&made, &["key", "kid"]);
                let version = kid.rsplit('/').next().unwrap();
                let path = format!("/keys/k/{version}/attestation?api-version=7.6-preview.2");
                let answer = scene.ask_as("only-get", host, "GET", &path, "").await;
                assert_eq!(answer.status, 200, "{}", answer.body);
                let mut bundle = answer.json();
                let attributes = bundle.get_mut("attributes").unwrap();
                let Value::Object(attributes) = attributes else { panic!("no object") };
                let stated = attributes.remove("attestation").and_then(Value::into_object).unwrap();
                assert_eq!(bundle, made, "the bundle");
                let expected = ["certificatePemFile", "privateKeyAttestation", "publicKeyAttestation", "version"];
                let expected: Vec<_> =
                    expected.into_iter().filter(|name| public || !name.starts_with("public")).collect();
                assert_eq!(names(&stated), expected);
                let octets = |name| String::from_utf8(b64::decode(text(&stated, &[name])).unwrap()).unwrap();
                assert!(octets("certificatePemFile").starts_with("-----BEGIN CERTIFICATE-----"));
                let claims = b64::decode(octets("privateKeyAttestation").split('.').nth(1).unwrap()).unwrap();
                let claims = json::parse(&claims, &skerry_jose::limits::JSON).unwrap().into_object().unwrap();
                assert_eq!((text(&claims, &["kid"]), text(&claims, &["custody"])), (kid, "software"));
            }
            let missing = scene.ask_of(host, "GET", &format!("/keys/none/attestation?{V}"), "").await;
            assert_eq!((missing.status, missing.code().as_str()), (404, "KeyNotFound"));
        }
    });
}
