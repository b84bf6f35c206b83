//! What a vault states of its keys: signed, true, and never more than software can say.

use skerry_client::{ReleaseAnswerError, StatementAsked, StatementError, VerifiedStatement};
use skerry_identity::Permission;
use skerry_jose::json::{Object, Value};
use skerry_jose::{JwsError, PublicKey as Jwk, RsaPublicKey, Unverified, b64};
use skerry_keys::{Curve, KeyType, MlDsa, PublicKey, RsaBits};
use skerry_vault::command::{Named, NewKey};
use skerry_vault::record::{Key, Origin};
use skerry_vault::stored::{decode_version, encode_version};
use skerry_vault::{KeyAttestation, Refusal, STATEMENT_TYPE, VaultKind, wire};

use crate::operations::*;
use crate::support::*;

impl Scene {
    fn attestation(&self, key: &str) -> Result<(Key, KeyAttestation), Refusal> {
        let (grant, name) = (grant(Permission::Get), name(key));
        let named = Named { name: &name, version: None };
        wait(self.vault.attestation(&context(&grant, "get-1", NOW), named, HOST))
    }
}

/// The claims of a statement that the key of releases signed, under a type of its own.
fn claims_of(statement: &str) -> Object {
    let parsed = Unverified::parse_typed(statement, STATEMENT_TYPE, &Default::default()).unwrap();
    let plain = Unverified::parse(statement, &Default::default()).map(drop);
    assert_eq!(plain, Err(JwsError::Type(STATEMENT_TYPE.into())), "no token");
    assert_eq!(text(parsed.header().members(), "typ"), STATEMENT_TYPE);
    let key = signing_key(&SERVICE).verifying_key("k").unwrap();
    parsed.verify(&key).unwrap().into_claims()
}

/// Each type of key is stated with ids, origin, custody and thumbprint; the public half in a statement of its own; a symmetric
/// key has the first alone. Nothing in it says hardware.
#[test]
fn keys_are_stated_as_they_are() {
    for kind in [VaultKind::Premium, VaultKind::ManagedHsm] {
        let scene = Setup { kind, ..Setup::default() }.bare();
        for key_type in [
            KeyType::Rsa { bits: RsaBits::B2048 },
            EC,
            KeyType::Ec { curve: Curve::P256K },
            OCT,
            KeyType::Akp { set: MlDsa::S44 },
        ] {
            let made = scene.create(KEY, key_type);
            let (key, stated) = scene.attestation(KEY).unwrap();
            assert_eq!(key, made);
            let claims = claims_of(&stated.private);
            for (name, expected) in [
                ("iss", "https://vault.example".to_owned()),
                ("half", "private".into()),
                ("kid", wire::version_url(HOST, &key)),
                ("vault", VAULT_ID.to_string()),
                ("key_id", key.head.id.to_string()),
                ("key_version", key.version.version.to_string()),
                ("origin", "generated".into()),
                ("custody", "software".into()),
                ("policy_digest", b64::encode(key.head.policy.as_ref().unwrap().digest().0)),
            ] {
                assert_eq!(text(&claims, name), expected, "{name}");
            }
            assert_eq!(claims.get("iat").and_then(Value::as_u64), Some(NOW));
            assert_eq!(claims.get("exportable"), Some(&Value::Bool(true)));
            assert_eq!(claims.get("policy_immutable"), Some(&Value::Bool(false)));
            let all = [Some(&stated.private), stated.public.as_ref()].into_iter().flatten();
            for statement in all {
                let said = without_octets(&part(statement, 1), &claims_of(statement)).to_ascii_lowercase();
                assert!(!said.contains("hsm") && !said.contains("hardware"), "{said}");
            }
            check_public(&key, &claims, stated.public.as_deref());
            assert!(stated.certificates.starts_with("-----BEGIN CERTIFICATE-----\n"));
            assert_eq!(stated.certificates.matches("BEGIN CERTIFICATE").count(), scene.chain.len());
        }
    }
}

/// A statement's text without octets in base64, in which any word may stand by chance.
fn without_octets(said: &str, claims: &Object) -> String {
    let jwk = claims.get("jwk").and_then(Value::as_object);
    let of_jwk = ["n", "x", "y", "pub"].into_iter().filter_map(|name| jwk?.get(name));
    let octets = ["jkt", "policy_digest"].into_iter().filter_map(|name| claims.get(name)).chain(of_jwk);
    octets.filter_map(Value::as_str).fold(said.to_owned(), |said, octets| said.replace(octets, ""))
}

fn check_public(key: &Key, private: &Object, public: Option<&str>) {
    let PublicKey::Oct = key.version.public else {
        let claims = claims_of(public.unwrap());
        assert_eq!(text(&claims, "half"), "public");
        let jwk = claims.get("jwk").and_then(Value::as_object).unwrap();
        let thumbprint = b64::encode(sha256(jwk.to_json()));
        assert_eq!((text(private, "jkt"), text(&claims, "jkt")), (thumbprint.as_str(), thumbprint.as_str()));
        let known = match &key.version.public {
            PublicKey::Rsa { n, e } => Some(Jwk::Rsa(RsaPublicKey::new(n, e).unwrap())),
            PublicKey::Ec { curve: Curve::P256, .. } => Some(Jwk::from_jwk(jwk).unwrap()),
            _ => None,
        };
        assert!(known.is_none_or(|known| known.thumbprint() == thumbprint), "as another crate makes it");
        return;
    };
    assert_eq!((public, private.get("jkt")), (None, None));
    assert_eq!(private.get("key_size").and_then(Value::as_u64), Some(256));
}

/// The client believes a statement for the key and vault that it asked, signed as it says, and nothing else; each bit counts.
#[test]
fn clients_check_statements() {
    let scene = Scene::new();
    let (key, stated) = scene.attestation(KEY).unwrap();
    let kid = wire::version_url(HOST, &key);
    let asked = StatementAsked { host: HOST, kid: &kid };
    let check = |statement: &str, asked: &StatementAsked<'_>, secs| {
        VerifiedStatement::verify(statement, stated.certificates.as_bytes(), asked, &scene.roots, at(secs))
    };
    let public = stated.public.unwrap();
    for statement in [&stated.private, &public] {
        let believed = check(statement, &asked, NOW).unwrap();
        assert_eq!((believed.kid.as_str(), believed.origin.as_str()), (kid.as_str(), "generated"));
        assert_eq!(
            (believed.custody.as_str(), believed.exportable, believed.policy_immutable),
            ("software", true, false)
        );
        assert_eq!((believed.issued_at, believed.thumbprint.is_some()), (NOW, true));
    }
    assert!(check(&public, &StatementAsked { kid: "https://vault.example/keys/payments", ..asked }, NOW).is_ok());
    for (other, error) in [
        (
            "https://vault.example/keys/other",
            StatementError::Key { asked: "https://vault.example/keys/other".into(), seen: kid.clone() },
        ),
        (
            "https://other.example/keys/payments",
            StatementError::Certificates(ReleaseAnswerError::OtherHost {
                asked: HOST.into(),
                kid: "https://other.example/keys/payments".into(),
            }),
        ),
    ] {
        assert_eq!(check(&public, &StatementAsked { kid: other, ..asked }, NOW), Err(error));
    }
    let early = StatementError::Future { issued_at: NOW, now: NOW - 61 };
    assert_eq!(check(&public, &asked, NOW - 61), Err(early));
    for at in (0..public.len()).step_by(97) {
        let mut bad = public.clone().into_bytes();
        bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
        assert!(check(&String::from_utf8(bad).unwrap(), &asked, NOW).is_err(), "octet {at}");
    }
    let signed = |header: String, claims: &Object| signed_by(&signing_key(&SERVICE), &header, &claims.to_json());
    let (header, claims) = (decoded(&public, 0), decoded(&public, 1));
    assert!(check(&signed(header.to_json(), &claims), &asked, NOW).is_ok(), "the control");
    let typ = header.clone().with("typ", "JWT").to_json();
    assert_eq!(check(&signed(typ, &claims), &asked, NOW), Err(StatementError::Jws(JwsError::Type("JWT".into()))));
    let other = header.clone().with("x5t#S256", "AA").to_json();
    assert_eq!(check(&signed(other, &claims), &asked, NOW), Err(StatementError::OtherCertificate));
    let jkt = claims.clone().with("jkt", "AA");
    assert_eq!(check(&signed(header.to_json(), &jkt), &asked, NOW), Err(StatementError::Thumbprint));
    for name in ["kid", "iat", "origin", "custody", "exportable", "policy_immutable"] {
        let mut without = claims.clone();
        without.remove(name);
        assert_eq!(check(&signed(header.to_json(), &without), &asked, NOW), Err(StatementError::Member(name)));
    }
    let thief = signed_by(&signing_key(&ATTACKER), &header.to_json(), &claims.to_json());
    assert!(matches!(check(&thief, &asked, NOW), Err(StatementError::Jws(_))));
    let release = scene.release(&good_token()).unwrap().value;
    assert_eq!(
        check(&release, &asked, NOW),
        Err(StatementError::Jws(JwsError::Type("JWT".into()))),
        "a release is no statement"
    );
    let none = VerifiedStatement::verify(&public, b"", &asked, &scene.roots, at(NOW));
    assert_eq!(none, Err(StatementError::Certificates(ReleaseAnswerError::Chain)));
    let stranger = Setup::default().bare();
    let theirs = VerifiedStatement::verify(&public, stated.certificates.as_bytes(), &asked, &stranger.roots, at(NOW));
    assert!(matches!(theirs, Err(StatementError::Certificates(ReleaseAnswerError::Untrusted(_)))));
}

/// A key that was brought in says so, and one from before that was noted says that it is not known; the bytes of such a
/// version stay as they are.
#[test]
fn origins_are_kept() {
    let scene = Setup::default().bare();
    let plain = NewKey { policy: None, attributes: Default::default(), ..create(KEY).to_new() };
    scene.import_key(plain, generator()).unwrap();
    let (key, stated) = scene.attestation(KEY).unwrap();
    assert_eq!(key.version.origin, Origin::Imported);
    let claims = claims_of(&stated.private);
    assert_eq!(text(&claims, "origin"), "imported");
    assert_eq!((claims.get("exportable"), claims.get("policy_digest")), (Some(&Value::Bool(false)), None));
    let old = edited(&key, |_, version| version.origin = Origin::Unknown);
    let bytes = encode_version(&old.version).unwrap();
    assert_eq!((bytes[0], bytes[1]), (0x8d, 1), "format 1, 13 fields");
    let read = decode_version(&bytes).unwrap();
    assert_eq!((read.origin, encode_version(&read).unwrap()), (Origin::Unknown, bytes.clone()));
    assert_eq!(
        text(&wire::key_statement(scene.vault.rules(), (HOST, VAULT_ID), &old, false, NOW), "origin"),
        "unknown"
    );
    let new = encode_version(&key.version).unwrap();
    assert_eq!((new[0], new[1], new.last()), (0x8e, 2, Some(&2)), "format 2, 14 fields");
    for odd in [
        [&[0x8e, 1], &new[2..]].concat(),
        [&[0x8d, 2], &bytes[2..]].concat(),
        [&[0x8e, 3], &new[2..]].concat(),
        [&new[..new.len() - 1], &[0]].concat(),
        [&new[..new.len() - 1], &[4]].concat(),
    ] {
        assert!(decode_version(&odd).is_err());
    }
}

/// Nothing is stated of keys that are not there or disabled.
#[test]
fn nothing_is_stated_of_keys_that_are_not_seen() {
    let scene = Scene::new();
    assert_eq!(scene.attestation("none").unwrap_err(), Refusal::KeyNotFound { name: "none".into() });
    scene.enable(KEY, false).unwrap();
    assert!(matches!(scene.attestation(KEY), Err(Refusal::KeyDisabled { .. })));
    scene.enable(KEY, true).unwrap();
    assert!(scene.attestation(KEY).is_ok(), "the control");
}
