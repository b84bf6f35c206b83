//! Every type of key, wrapped in every way, from both kinds of vault, and used by the TEE that it was released to.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, UnparsedPublicKey, VerificationAlgorithm};
use skerry_client::Asked;
use skerry_jose::{Algorithm, RsaPublicKey, SigningKey, Unverified, VerifyingKey};
use skerry_keys::{Curve, KeyType, OctBits, PublicKey, RsaBits};
use skerry_keywrap::Algorithm as Wrap;
use skerry_vault::VaultKind;
use skerry_vault::command::ReleaseCommand;
use skerry_vault::record::Key;

use crate::support::*;

/// Every key of a key vault reaches its TEE and works there.
#[test]
fn key_vault_releases_every_type_in_every_wrap() {
    every_type_in_every_wrap(VaultKind::Premium, ["RSA-HSM", "EC-HSM", "oct-HSM"]);
}

/// Every key of a Managed HSM reaches its TEE and works there.
#[test]
fn managed_hsm_releases_every_type_in_every_wrap() {
    every_type_in_every_wrap(VaultKind::ManagedHsm, ["RSA", "EC", "oct"]);
}

fn every_type_in_every_wrap(kind: VaultKind, [rsa, ec, oct]: [&str; 3]) {
    let scene = Setup { kind, ..Setup::default() }.bare();
    for (index, key_type) in key_types().into_iter().enumerate() {
        let key = format!("key-{index}");
        let record = scene.create(&key, key_type);
        let kty = match key_type {
            KeyType::Rsa { .. } => rsa,
            KeyType::Ec { .. } => ec,
            KeyType::Oct { .. } => oct,
            KeyType::Akp { .. } => panic!("none is among them"),
        };
        let mut first: Option<Vec<u8>> = None;
        for enc in Wrap::ALL {
            let plaintext = released(&scene, &key, &record, enc, kty);
            prove(key_type, &record.version.public, &plaintext);
            assert_eq!(*first.get_or_insert_with(|| plaintext.clone()), plaintext, "{key_type:?} {enc}");
        }
    }
}

/// Releases a key the whole way and gives what the TEE finds in it.
fn released(scene: &Scene, key: &str, record: &Key, enc: Wrap, kty: &str) -> Vec<u8> {
    let token = good_token();
    let answer = scene.answer(&ReleaseCommand { name: &name(key), enc: Some(enc), ..command(&token) }).unwrap();
    let kid = format!("https://{HOST}/keys/{key}");
    let release = scene.verify(&answer.value, &Asked { kid: &kid, algorithm: enc, ..asked(&token) }).unwrap();
    assert_eq!(release.kid(), format!("{kid}/{}", record.version.version));
    assert_eq!((release.kty(), release.key_ops()), (kty, ["sign".to_owned(), "verify".to_owned()].as_slice()));
    release.unwrap(tee()).unwrap().expose().to_vec()
}

/// What was released is the private half of the public key that the vault shows, or octets of the right number.
fn prove(key_type: KeyType, public: &PublicKey, plaintext: &[u8]) {
    match (key_type, public) {
        (KeyType::Rsa { bits }, PublicKey::Rsa { n, e }) => {
            assert_eq!(n.len() * 8, bits.bits());
            rsa_signs(n, e, plaintext);
        }
        (KeyType::Ec { curve }, PublicKey::Ec { x, y, .. }) => {
            ec_signs(curve, &[&[4], x.as_slice(), y].concat(), plaintext)
        }
        (KeyType::Oct { bits }, PublicKey::Oct) => assert_eq!(plaintext.len() * 8, bits.bits()),
        other => panic!("{other:?}"),
    }
}

fn rsa_signs(n: &[u8], e: &[u8], pkcs8: &[u8]) {
    let key = SigningKey::from_pkcs8(Algorithm::Rs256, pkcs8).unwrap();
    let jws = signed_by(&key, r#"{"alg":"RS256"}"#, "{}");
    let public = skerry_jose::PublicKey::Rsa(RsaPublicKey::new(n, e).unwrap());
    let public = VerifyingKey::new("released", &public, None).unwrap();
    assert!(Unverified::parse(&jws, &Default::default()).unwrap().verify(&public).is_ok());
}

fn ec_signs(curve: Curve, point: &[u8], pkcs8: &[u8]) {
    let (signing, verifying) = ecdsa(curve);
    let key = EcdsaKeyPair::from_pkcs8(signing, pkcs8).unwrap();
    let signature = key.sign(&SystemRandom::new(), b"challenge").unwrap();
    UnparsedPublicKey::new(verifying, point).verify(b"challenge", signature.as_ref()).unwrap();
}

fn ecdsa(curve: Curve) -> (&'static EcdsaSigningAlgorithm, &'static dyn VerificationAlgorithm) {
    match curve {
        Curve::P256 => (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &signature::ECDSA_P256_SHA256_FIXED),
        Curve::P384 => (&signature::ECDSA_P384_SHA384_FIXED_SIGNING, &signature::ECDSA_P384_SHA384_FIXED),
        Curve::P521 => (&signature::ECDSA_P521_SHA512_FIXED_SIGNING, &signature::ECDSA_P521_SHA512_FIXED),
        Curve::P256K => (&signature::ECDSA_P256K1_SHA256_FIXED_SIGNING, &signature::ECDSA_P256K1_SHA256_FIXED),
    }
}

fn key_types() -> Vec<KeyType> {
    let rsa = RsaBits::ALL.map(|bits| KeyType::Rsa { bits });
    let ec = Curve::ALL.map(|curve| KeyType::Ec { curve });
    let oct = OctBits::ALL.map(|bits| KeyType::Oct { bits });
    [rsa.as_slice(), &ec, &oct].concat()
}

/// A TEE may hold a larger key; what is wrapped to it is longer by as much.
#[test]
fn larger_keys_of_a_tee_are_wrapped_to() {
    let (scene, large) = (Scene::new(), skerry_keywrap::UnwrapKey::generate(3072).unwrap());
    let keys = skerry_jose::json::Object::new().with("keys", vec![jwk(&large, TARGET_KID)]);
    let token = token(&claims().with("x-ms-runtime", keys));
    let answer = scene.release(&token).unwrap();
    let release = scene.verify(&answer.value, &asked(&token)).unwrap();
    let PublicKey::Ec { curve, x, y } = &scene.key(KEY).version.public.clone() else { panic!("not EC") };
    ec_signs(*curve, &[&[4], x.as_slice(), y].concat(), release.unwrap(&large).unwrap().expose());
}

/// A key that was brought in leaves as it came.
#[test]
fn imported_key_is_released_as_it_came() {
    let (scene, token) = (Setup::default().bare(), good_token());
    let secret: Vec<u8> = (0..32).collect();
    scene.import(&CreateCommand { key_type: OCT, ..create(KEY) }, &secret).unwrap();
    let release = scene.verify(&scene.release(&token).unwrap().value, &asked(&token)).unwrap();
    assert_eq!(release.unwrap(tee()).unwrap().expose(), secret);
}
