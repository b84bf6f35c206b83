//! The answer's JWS text for text: header and payload as recorded from Azure's two services (key-vault spec, 3.2), with
//! our receipt at the end.

use aws_lc_rs::digest;
use skerry_jose::b64;
use skerry_keys::{Curve, KeyType, OctBits, PublicKey, RsaBits};
use skerry_keywrap::Algorithm as Wrap;
use skerry_vault::VaultKind;
use skerry_vault::command::ReleaseCommand;
use skerry_vault::record::Key;

use crate::support::*;

const RSA: KeyType = KeyType::Rsa { bits: RsaBits::B2048 };

/// The header of a key vault names its certificate three times, by SHA-1 in upper-case hex first.
#[test]
fn header_of_a_key_vault() {
    let (scene, token) = (Scene::new(), good_token());
    let leaf = &scene.chain[0];
    let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, leaf);
    let expected = format!(
        r#"{{"alg":"RS256","kid":"{}","x5t":"{}","typ":"JWT","x5t#S256":"{}","x5c":[{}]}}"#,
        hex::encode_upper(sha1),
        b64::encode(sha1),
        b64::encode(sha256(leaf)),
        x5c(&scene)
    );
    assert_eq!(part(&scene.release(&token).unwrap().value, 0), expected);
}

/// The header of a Managed HSM has neither typ nor x5t, and its kid is the SHA-256 thumbprint.
#[test]
fn header_of_a_managed_hsm() {
    let (scene, token) = (Setup::of_kind(VaultKind::ManagedHsm), good_token());
    let thumbprint = b64::encode(sha256(&scene.chain[0]));
    let expected =
        format!(r#"{{"alg":"RS256","kid":"{thumbprint}","x5c":[{}],"x5t#S256":"{thumbprint}"}}"#, x5c(&scene));
    assert_eq!(part(&scene.release(&token).unwrap().value, 0), expected);
}

/// x5c is leaf, intermediate, root, in base64 with padding; the root is sent although no client uses it.
fn x5c(scene: &Scene) -> String {
    assert_eq!(scene.chain.len(), 3);
    scene.chain.iter().map(|der| format!("\"{}\"", b64::encode_standard(der))).collect::<Vec<_>>().join(",")
}

/// The payload of a key vault: Azure's order of members, RSA-HSM, an exponent of four octets, no content type.
#[test]
fn payload_of_a_key_vault() {
    let scene = Setup::default().bare();
    let record = scene.create(KEY, RSA);
    let token = good_token();
    let seen = part(&scene.release(&token).unwrap().value, 1);
    let expected = format!(
        concat!(
            r#"{{"request":{{"api-version":"7.4","enc":"RSA_AES_KEY_WRAP_256","kid":"https://vault.example/keys/payments","#,
            r#""nonce":"ADE0101"}},"response":{{"key":{{"key":{{"kid":"https://vault.example/keys/payments/{version}","#,
            r#""kty":"RSA-HSM","key_ops":["sign","verify"],"n":"{n}","e":"AAEAAQ","key_hsm":"{key_hsm}"}},"#,
            r#""attributes":{{"enabled":true,"created":{now},"updated":{now},"recoveryLevel":"Recoverable+Purgeable","#,
            r#""recoverableDays":90,"exportable":true}},"release_policy":{{"data":"{policy}"}}}}}},"#,
            r#""x-skerry-receipt":{{"token_digest":"{token}","policy_digest":"{digest}","policy_generation":1,"#,
            r#""target_thumbprint":"{target}","audit_index":3,"audit_leaf":"{leaf}"}}}}"#
        ),
        version = record.version.version,
        n = modulus(&record),
        key_hsm = key_hsm(&seen),
        now = NOW,
        policy = b64::encode(policy()),
        token = b64::encode(sha256(&token)),
        digest = b64::encode(sha256(policy())),
        target = tee_thumbprint(),
        leaf = last_leaf(&scene),
    );
    assert_eq!(seen, expected);
}

/// The payload of a Managed HSM: members sorted all the way down, RSA, AQAB, content type.
#[test]
fn payload_of_a_managed_hsm() {
    let scene = Setup { kind: VaultKind::ManagedHsm, ..Setup::default() }.bare();
    let record = scene.create(KEY, RSA);
    let token = good_token();
    let seen = part(&scene.release(&token).unwrap().value, 1);
    let expected = format!(
        concat!(
            r#"{{"request":{{"api-version":"7.4","enc":"RSA_AES_KEY_WRAP_256","kid":"https://vault.example/keys/payments","#,
            r#""nonce":"ADE0101"}},"response":{{"key":{{"attributes":{{"created":{now},"enabled":true,"exportable":true,"#,
            r#""recoverableDays":90,"recoveryLevel":"Recoverable+Purgeable","updated":{now}}},"key":{{"e":"AQAB","#,
            r#""key_hsm":"{key_hsm}","key_ops":["sign","verify"],"kid":"https://vault.example/keys/payments/{version}","#,
            r#""kty":"RSA","n":"{n}"}},"release_policy":{{"contentType":"application/json; charset=utf-8","data":"{policy}"}}}}}},"#,
            r#""x-skerry-receipt":{{"audit_index":3,"audit_leaf":"{leaf}","policy_digest":"{digest}","policy_generation":1,"#,
            r#""target_thumbprint":"{target}","token_digest":"{token}"}}}}"#
        ),
        version = record.version.version,
        n = modulus(&record),
        key_hsm = key_hsm(&seen),
        now = NOW,
        policy = b64::encode(policy()),
        token = b64::encode(sha256(&token)),
        digest = b64::encode(sha256(policy())),
        target = tee_thumbprint(),
        leaf = last_leaf(&scene),
    );
    assert_eq!(seen, expected);
}

/// The envelope of the wrapped key is the same in both forms, and its ciphertext has the length of both legs.
#[test]
fn envelope_of_the_wrapped_key() {
    for kind in [VaultKind::Premium, VaultKind::ManagedHsm] {
        let scene = Setup { kind, ..Setup::default() }.bare();
        scene.create(KEY, KeyType::Oct { bits: OctBits::B256 });
        let payload = part(&scene.release(&good_token()).unwrap().value, 1);
        let envelope = String::from_utf8(b64::decode(key_hsm(&payload)).unwrap()).unwrap();
        let ciphertext = text(&object(&envelope), "ciphertext").to_owned();
        let expected = format!(
            r#"{{"schema_version":"1.0","header":{{"kid":"tee-key","alg":"dir","enc":"RSA_AES_KEY_WRAP_256"}},"ciphertext":"{ciphertext}"}}"#
        );
        assert_eq!(envelope, expected);
        assert_eq!(b64::decode(ciphertext).unwrap().len(), 256 + 40);
    }
}

/// Public members of the other types of key.
#[test]
fn members_of_elliptic_curve_and_symmetric_keys() {
    let scene = Setup::default().bare();
    for (curve, name) in
        [(Curve::P256, "P-256"), (Curve::P384, "P-384"), (Curve::P521, "P-521"), (Curve::P256K, "P-256K")]
    {
        let record = scene.create(name, KeyType::Ec { curve });
        let PublicKey::Ec { x, y, .. } = &record.version.public else { panic!("not EC") };
        let jwk = released_jwk(&scene, name);
        let kid = format!("https://vault.example/keys/{name}/{}", record.version.version);
        let expected = format!(
            r#"{{"kid":"{kid}","kty":"EC-HSM","key_ops":["sign","verify"],"crv":"{name}","x":"{}","y":"{}","key_hsm":"#,
            b64::encode(x),
            b64::encode(y)
        );
        assert!(jwk.starts_with(&expected), "{jwk}");
    }
    let record = scene.create("oct", KeyType::Oct { bits: OctBits::B128 });
    let kid = format!("https://vault.example/keys/oct/{}", record.version.version);
    let expected = format!(r#"{{"kid":"{kid}","kty":"oct-HSM","key_ops":["sign","verify"],"key_hsm":"#);
    assert!(released_jwk(&scene, "oct").starts_with(&expected));
}

fn released_jwk(scene: &Scene, key: &str) -> String {
    let payload = decoded(&scene.release_key(key, &good_token()).unwrap().value, 1);
    path(&payload, &["response", "key", "key"]).to_json()
}

/// Without `enc` the key is wrapped with, and the answer says, CKM_RSA_AES_KEY_WRAP (recorded).
#[test]
fn default_wrap_is_ckm_rsa_aes_key_wrap() {
    let (scene, token) = (Scene::new(), good_token());
    let answer = scene.answer(&ReleaseCommand { enc: None, ..command(&token) }).unwrap().value;
    assert_eq!(path(&decoded(&answer, 1), &["request", "enc"]).as_str(), Some("CKM_RSA_AES_KEY_WRAP"));
    let ckm = skerry_client::Asked { algorithm: Wrap::CkmRsaAesKeyWrap, ..asked(&token) };
    assert!(scene.verify(&answer, &ckm).unwrap().unwrap(tee()).is_ok());
}

/// The request is repeated as it was addressed: the version, the case and the port that the caller wrote; the response
/// names the key as it was made.
#[test]
fn request_is_repeated_as_addressed() {
    let (scene, token) = (Scene::new(), good_token());
    let version = scene.key(KEY).version.version;
    let shouted = name("PAYMENTS");
    let addressed =
        ReleaseCommand { version: Some(version), name: &shouted, host: "vault.example:8443", ..command(&token) };
    let payload = decoded(&scene.answer(&addressed).unwrap().value, 1);
    let kid = format!("https://vault.example:8443/keys/PAYMENTS/{version}");
    assert_eq!(path(&payload, &["request", "kid"]).as_str(), Some(kid.as_str()));
    let kid = format!("https://vault.example:8443/keys/payments/{version}");
    assert_eq!(path(&payload, &["response", "key", "key", "kid"]).as_str(), Some(kid.as_str()));
}

/// The nonce stands in the answer iff one was sent, letter for letter, the empty one too.
#[test]
fn nonce_is_repeated_iff_sent() {
    let (scene, token) = (Scene::new(), good_token());
    for nonce in [None, Some(""), Some("x"), Some("\"},\"enc\":\"none\u{e9}\n")] {
        let answer = scene.answer(&ReleaseCommand { nonce, ..command(&token) }).unwrap().value;
        let request = decoded(&answer, 1);
        assert_eq!(
            path(&request, &["request"]).as_object().unwrap().get("nonce").and_then(|seen| seen.as_str()),
            nonce
        );
        assert_eq!(request.get("request").unwrap().as_object().unwrap().contains("nonce"), nonce.is_some());
        assert!(scene.verify(&answer, &skerry_client::Asked { nonce, ..asked(&token) }).is_ok());
    }
}

/// An immutable policy says so in the answer, in both forms.
#[test]
fn immutable_policy_says_so() {
    for kind in [VaultKind::Premium, VaultKind::ManagedHsm] {
        let scene = Setup { kind, ..Setup::default() }.bare();
        scene.make(&CreateCommand { immutable: true, ..create(KEY) }).unwrap();
        let payload = decoded(&scene.release(&good_token()).unwrap().value, 1);
        let policy = path(&payload, &["response", "key", "release_policy"]).as_object().unwrap();
        assert_eq!(policy.get("immutable").and_then(|immutable| immutable.as_bool()), Some(true));
    }
}

/// A policy's scalars come back as text from a key vault, and with their types from a Managed HSM, version 1.0.0.
#[test]
fn policy_comes_back_in_each_service_s_form() {
    let sent =
        r#"{"version":"1.0","anyOf":[{"authority":"https://attest.example","allOf":[{"claim":"x","equals":true}]}]}"#;
    let cases = [
        (VaultKind::Premium, sent.replace("true", "\"true\"")),
        (VaultKind::ManagedHsm, sent.replace("\"1.0\"", "\"1.0.0\"")),
    ];
    for (kind, expected) in cases {
        let scene = Setup { kind, ..Setup::default() }.bare();
        scene.create_under(KEY, sent).unwrap();
        let payload = decoded(&scene.release(&token(&claims().with("x", true))).unwrap().value, 1);
        let data = path(&payload, &["response", "key", "release_policy", "data"]).as_str().unwrap();
        assert_eq!(String::from_utf8(b64::decode(data).unwrap()).unwrap(), expected);
    }
}

/// The receipt says what the client reads, and where the log has the release.
#[test]
fn receipt_is_what_the_log_says() {
    let (scene, token) = (Scene::new(), good_token());
    let answer = scene.release(&token).unwrap().value;
    let receipt = scene.verify(&answer, &asked(&token)).unwrap().receipt().clone();
    assert_eq!(receipt.token_digest, sha256(&token));
    assert_eq!(receipt.policy_digest, sha256(policy()));
    assert_eq!((receipt.policy_generation, receipt.audit_index), (1, 3));
    assert_eq!(receipt.target_thumbprint, tee_thumbprint());
    assert_eq!(b64::encode(receipt.audit_leaf), last_leaf(&scene));
}

fn modulus(record: &Key) -> String {
    let PublicKey::Rsa { n, .. } = &record.version.public else { panic!("not RSA") };
    b64::encode(n)
}

/// The one member that nobody can foretell.
fn key_hsm(payload: &str) -> String {
    path(&object(payload), &["response", "key", "key", "key_hsm"]).as_str().unwrap().to_owned()
}

fn last_leaf(scene: &Scene) -> String {
    let last = skerry_audit::read(scene.folder()).unwrap().last().unwrap().unwrap();
    b64::encode(last.leaf().hash())
}
