//! Checks 32 to 38: what is released to whom, and what is said to those who get nothing.

use std::time::Duration;

use skerry_client::{Asked, Roots, VerifiedRelease};
use skerry_jose::json::{self, Object, Value};
use skerry_jose::{Algorithm as Jose, PublicKey, SigningKey, b64};
use skerry_keywrap::{Algorithm, UnwrapKey};

use super::super::scene::{
    AUTHORITY, HSM, MEASUREMENT, PREMIUM, Scene, V, attest, attest_as, attested, evidence, exportable, forged, inner,
    jwk, member, policy_text, tee, text,
};
use super::{kid, names, object, refused};
use crate::support::{Response, now, runtime};

const NOT_VERIFIED: &str = "Target environment attestation statement cannot be verified.";
const NOT_MET: &str = "Target environment attestation does not meet key release policy requirements.";

fn part(answer: &Object, at: usize) -> Object {
    let octets = b64::decode(text(answer, &["value"]).split('.').nth(at).unwrap()).unwrap();
    json::parse(&octets, &skerry_jose::limits::JSON).unwrap().into_object().unwrap()
}

/// What a release says.
pub(super) fn payload(answer: &Object) -> Object {
    part(answer, 1)
}

impl Scene {
    /// Asks for the release of a key to whom this token is for, as somebody who may do that and nothing else.
    async fn release(&self, name: &str, token: &str) -> Response {
        let body = Object::new().with("target", token).to_json();
        self.ask_as("only-release", PREMIUM, "POST", &format!("/keys/{name}/release?{V}"), &body).await
    }

    /// Makes a key under these conditions.
    async fn make_under(&self, name: &str, conditions: &str) -> Object {
        let policy = Object::new().with("data", b64::encode(policy_text(conditions)));
        self.make(name, &exportable("EC-HSM").with("release_policy", policy).to_json()).await
    }

    /// The answer to a release as the client believes it, and the key in it.
    fn unwrapped(&self, host: &str, answer: &Object, token: &str, algorithm: Algorithm, key: &UnwrapKey) -> Vec<u8> {
        let payload = payload(answer);
        let key_hsm = key_hsm(&payload);
        let asked = Asked {
            host,
            kid: text(&payload, &["request", "kid"]),
            nonce: None,
            algorithm,
            token,
            target_kid: text(&key_hsm, &["header", "kid"]),
        };
        let verified =
            VerifiedRelease::verify(text(answer, &["value"]), &asked, &Roots::new(&self.root_der).unwrap(), now());
        verified.unwrap().unwrap(key).unwrap().expose().to_vec()
    }
}

/// The envelope of the wrapped key.
fn key_hsm(payload: &Object) -> Object {
    let octets = b64::decode(text(payload, &["response", "key", "key", "key_hsm"])).unwrap();
    json::parse(&octets, &skerry_jose::limits::JSON).unwrap().into_object().unwrap()
}

/// Nothing said but the token: the whole answer, member for member as recorded, its certificates, and the key in it.
#[test]
fn check_32_a_release() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let made = scene.make("k", &exportable("RSA-HSM").to_json()).await;
        let token = attested(MEASUREMENT);
        let response = scene.release("k", &token).await;
        assert_eq!(response.status, 200, "{}", response.body);
        let answer = response.json();
        assert_eq!(names(&answer), ["value"]);
        let header = part(&answer, 0);
        assert_eq!(names(&header), ["alg", "kid", "x5t", "typ", "x5t#S256", "x5c"]);
        assert_eq!((text(&header, &["alg"]), text(&header, &["typ"])), ("RS256", "JWT"));
        let thumbprint = text(&header, &["kid"]);
        assert!(thumbprint.len() == 40 && thumbprint.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F')));
        let payload = payload(&answer);
        let base = format!("https://{}/keys/k", scene.authority(PREMIUM));
        let request = object(&payload, &["request"]);
        assert_eq!(names(request), ["api-version", "enc", "kid"]);
        assert_eq!((text(request, &["enc"]), text(request, &["kid"])), ("CKM_RSA_AES_KEY_WRAP", base.as_str()));
        let key = object(&payload, &["response", "key"]);
        assert_eq!(names(key), ["key", "attributes", "release_policy"]);
        assert_eq!(names(object(key, &["key"])), ["kid", "kty", "key_ops", "n", "e", "key_hsm"]);
        assert_eq!((text(key, &["key", "kty"]), text(key, &["key", "e"])), ("RSA-HSM", "AAEAAQ"));
        assert_eq!((kid(key), text(key, &["key", "n"])), (kid(&made), text(&made, &["key", "n"])));
        assert_eq!(names(object(key, &["release_policy"])), ["data"]);
        let key_hsm = key_hsm(&payload);
        assert_eq!(names(&key_hsm), ["schema_version", "header", "ciphertext"]);
        assert_eq!(text(&key_hsm, &["schema_version"]), "1.0");
        let expected = Object::new().with("kid", "tee-key").with("alg", "dir").with("enc", "CKM_RSA_AES_KEY_WRAP");
        assert_eq!(object(&key_hsm, &["header"]), &expected);
        // The client checks the signature, the chain of x5c and that its leaf names the host.
        let pkcs8 = scene.unwrapped(PREMIUM, &answer, &token, Algorithm::CkmRsaAesKeyWrap, tee());
        let released = SigningKey::from_pkcs8(Jose::Rs256, &pkcs8).unwrap();
        let PublicKey::Rsa(public) = released.public() else { panic!("not RSA") };
        assert_eq!(b64::encode(public.modulus()), text(&made, &["key", "n"]));
    });
}

/// Every wrap by its name; symmetric keys as they are, elliptic curve keys as PKCS#8.
#[test]
fn check_33_wraps_and_kinds_of_keys() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let ec = scene.make("ec", &exportable("EC-HSM").to_json()).await;
        let octets = [0x5a; 32];
        let jwk = Object::new().with("kty", "oct-HSM").with("k", b64::encode(octets));
        let import = exportable("oct-HSM").with("key", jwk).to_json();
        scene.good("PUT", &format!("/keys/oct?{V}"), &import).await;
        let token = attested(MEASUREMENT);
        for (enc, algorithm) in [
            ("CKM_RSA_AES_KEY_WRAP", Algorithm::CkmRsaAesKeyWrap),
            ("RSA_AES_KEY_WRAP_256", Algorithm::RsaAesKeyWrap256),
            ("RSA_AES_KEY_WRAP_384", Algorithm::RsaAesKeyWrap384),
        ] {
            let body = Object::new().with("target", token.as_str()).with("enc", enc).to_json();
            let answer = scene.good("POST", &format!("/keys/oct/release?{V}"), &body).await;
            assert_eq!(text(&payload(&answer), &["request", "enc"]), enc);
            assert_eq!(scene.unwrapped(PREMIUM, &answer, &token, algorithm, tee()), octets);
            // 256 octets of OAEP, then as many as the key has and eight (RFC 5649).
            let ciphertext = b64::decode(text(&key_hsm(&payload(&answer)), &["ciphertext"])).unwrap();
            assert_eq!(ciphertext.len(), 256 + 32 + 8);
            let answer = scene.good("POST", &format!("/keys/ec/release?{V}"), &body).await;
            let pkcs8 = scene.unwrapped(PREMIUM, &answer, &token, algorithm, tee());
            let released = SigningKey::from_pkcs8(Jose::Es256, &pkcs8).unwrap();
            let shown = released.public().to_jwk();
            assert_eq!(text(&shown, &["x"]), text(&ec, &["key", "x"]));
        }
    });
}

/// Bodies that ask for nothing that can be given.
#[test]
fn check_34_wrong_bodies() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.make("k", &exportable("EC-HSM").to_json()).await;
        for (body, message) in [
            (
                Object::new().with("target", attested(MEASUREMENT)).with("enc", "ROT13"),
                "Property enc has invalid value ROT13",
            ),
            (Object::new().with("target", ""), "Property target is missing."),
            (Object::new(), "Property target is missing."),
        ] {
            let response = scene.post("/keys/k/release", &body.to_json()).await;
            refused(&response, 400, "BadParameter", None, message);
        }
    });
}

/// Values compare as texts, exactly; what is not there holds nothing; claims are found behind dots, conditions within
/// conditions.
#[test]
fn check_35_policies_and_claims() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let clause = |claim: &str, value: &str| format!(r#"{{"claim":"{claim}","equals":"{value}"}}"#);
        scene.make_under("flag", &clause("sdk-test", "true")).await;
        scene.make_under("dotted", &clause("x-ms-isolation-tee.x-ms-compliance-status", "azure-compliant-cvm")).await;
        let either = format!(r#"{{"anyOf":[{},{}]}}"#, clause("a", "1"), clause("b", "2"));
        scene.make_under("nested", &format!("{},{either}", clause("sdk-test", "true"))).await;
        let nested = |status: &str| Object::new().with("x-ms-compliance-status", status);
        let with = |claims: &[(&str, Value)]| {
            claims.iter().fold(evidence(MEASUREMENT), |all, (name, value)| all.with(*name, value.clone()))
        };
        for (key, claims, released) in [
            ("flag", with(&[("sdk-test", true.into())]), true),
            ("flag", with(&[("sdk-test", "true".into())]), true),
            ("flag", with(&[]), false),
            ("flag", with(&[("sdk-test", "True".into())]), false),
            ("flag", with(&[("sdk-test", false.into())]), false),
            ("dotted", with(&[("x-ms-isolation-tee", nested("azure-compliant-cvm").into())]), true),
            ("dotted", with(&[("x-ms-isolation-tee", nested("other").into())]), false),
            ("dotted", with(&[("x-ms-isolation-tee.x-ms-compliance-status", "azure-compliant-cvm".into())]), false),
            ("nested", with(&[("sdk-test", true.into()), ("b", 2_u64.into())]), true),
            ("nested", with(&[("sdk-test", true.into()), ("a", "1".into())]), true),
            ("nested", with(&[("sdk-test", true.into()), ("a", "2".into())]), false),
            ("nested", with(&[("a", "1".into()), ("b", "2".into())]), false),
        ] {
            let response = scene.release(key, &attest(&claims, now())).await;
            match released {
                true => assert_eq!(response.status, 200, "{key} {}: {}", claims.to_json(), response.body),
                false => refused(&response, 403, "Forbidden", None, NOT_MET),
            }
        }
    });
}

/// Tokens that nobody need believe, among them those of an authority that the policy does not name: one sentence.
#[test]
fn check_36_tokens_that_are_not_believed() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.make("k", &exportable("EC-HSM").to_json()).await;
        let other =
            policy_text(r#"{"claim":"x-ms-attestation-type","exists":true}"#).replace(AUTHORITY, "https://other.test");
        let policy = Object::new().with("data", b64::encode(other));
        scene.make("other", &exportable("EC-HSM").with("release_policy", policy).to_json()).await;
        let good = attested(MEASUREMENT);
        let forged = forged(&good);
        let expired = attest(&evidence(MEASUREMENT), now() - Duration::from_secs(8 * 86_400));
        for (key, token) in [
            ("other", good.as_str()),
            ("k", &attest_as("https://other.test", &evidence(MEASUREMENT))),
            ("other", &attest_as("https://other.test", &evidence(MEASUREMENT))),
            ("k", &forged),
            ("k", &expired),
        ] {
            refused(&scene.release(key, token).await, 403, "Forbidden", None, NOT_VERIFIED);
        }
        assert_eq!(scene.release("k", &good).await.status, 200, "the control");
    });
}

/// Claims that are others, callers who may not, keys that stay.
#[test]
fn check_37_what_is_not_released() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.make("k", &exportable("EC-HSM").to_json()).await;
        scene.create("stays").await;
        refused(&scene.release("k", &attested("cdcd")).await, 403, "Forbidden", None, NOT_MET);
        let body = Object::new().with("target", attested(MEASUREMENT)).to_json();
        for who in ["not-release", "nobody"] {
            let response = scene.ask_as(who, PREMIUM, "POST", &format!("/keys/k/release?{V}"), &body).await;
            assert_eq!((response.status, response.code().as_str()), (403, "Forbidden"));
            assert_eq!(inner(&response).as_deref(), Some("ForbiddenByPolicy"));
        }
        let message = "Operation release is not allowed on a key that is not exportable.";
        refused(
            &scene.release("stays", &attested(MEASUREMENT)).await,
            403,
            "Forbidden",
            Some("KeyNotExportable"),
            message,
        );
    });
}

/// The first key of the token that is for encryption is the one; without one nothing is released.
#[test]
fn check_38_keys_in_tokens() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.make("k", &exportable("EC-HSM").to_json()).await;
        let other = UnwrapKey::generate(2048).unwrap();
        let to_sign = jwk(&other, "sign").with("use", "sig");
        let ops = |key: &UnwrapKey, kid: &str| jwk(key, kid).with("key_ops", vec!["encrypt"]);
        let ec = Object::new()
            .with("kty", "EC")
            .with("kid", "ec")
            .with("use", "enc")
            .with("crv", "P-256")
            .with("x", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")
            .with("y", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        let with = |keys: Vec<Object>| {
            attest(&evidence(MEASUREMENT).with("x-ms-runtime", Object::new().with("keys", keys)), now())
        };
        let third = UnwrapKey::generate(2048).unwrap();
        for first in [ops(tee(), "A"), jwk(tee(), "A").with("use", "enc")] {
            let token = with(vec![to_sign.clone(), first, ops(&third, "B")]);
            let response = scene.release("k", &token).await;
            assert_eq!(response.status, 200, "{}", response.body);
            let answer = response.json();
            assert_eq!(text(&key_hsm(&payload(&answer)), &["header", "kid"]), "A");
            assert!(!scene.unwrapped(PREMIUM, &answer, &token, Algorithm::CkmRsaAesKeyWrap, tee()).is_empty());
        }
        for keys in [vec![to_sign], vec![ec], vec![]] {
            refused(&scene.release("k", &with(keys)).await, 403, "Forbidden", None, NOT_VERIFIED);
        }
    });
}

/// Of check 32 too: a Managed HSM's members are sorted, and its key has lost its -HSM.
#[test]
fn managed_hsms_answer_in_their_own_order() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let path = format!("/keys/k/create?{V}");
        assert_eq!(scene.ask_of(HSM, "POST", &path, &exportable("RSA-HSM").to_json()).await.status, 200);
        let token = attested(MEASUREMENT);
        let body = Object::new().with("target", token.as_str()).to_json();
        let answer = scene.ask_of(HSM, "POST", &format!("/keys/k/release?{V}"), &body).await.json();
        let header = part(&answer, 0);
        assert_eq!(names(&header), ["alg", "kid", "x5c", "x5t#S256"]);
        assert_eq!(text(&header, &["kid"]), text(&header, &["x5t#S256"]));
        let payload = payload(&answer);
        let key = object(&payload, &["response", "key"]);
        assert_eq!(names(key), ["attributes", "key", "release_policy"]);
        assert_eq!(names(object(key, &["key"])), ["e", "key_hsm", "key_ops", "kid", "kty", "n"]);
        assert_eq!((text(key, &["key", "kty"]), text(key, &["key", "e"])), ("RSA", "AQAB"));
        assert_eq!(names(object(key, &["release_policy"])), ["contentType", "data"]);
        assert!(member(&payload, &["request"]).is_some());
        assert!(!scene.unwrapped(HSM, &answer, &token, Algorithm::CkmRsaAesKeyWrap, tee()).is_empty());
    });
}
