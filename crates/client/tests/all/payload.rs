//! What the answer says, against what was asked.

use skerry_client::{Asked, ReleaseAnswerError};
use skerry_jose::b64;
use skerry_jose::json::{Object, Value};
use skerry_keywrap::{Algorithm as Wrap, UnwrapError, UnwrapKey};

use crate::support::*;

/// The control of every refusal here: all of it is read, and the key opens.
#[test]
fn whole_answer_is_believed() {
    let release = verify(&answer(&payload())).unwrap();
    assert_eq!((release.kid(), release.kty()), (format!("{KID}/{VERSION}").as_str(), "oct-HSM"));
    assert_eq!(release.key_ops(), ["encrypt".to_owned()]);
    assert_eq!(release.unwrap(tee()).unwrap().expose(), SECRET);
    assert_eq!((release.policy(), release.signer()), (None, "CN=rcgen self signed cert"));
}

/// The policy is the text that the answer repeats; it may be absent, and half of one is refused.
#[test]
fn policy_is_what_the_answer_repeats() {
    let with = |policy: Value| {
        let mut payload = payload();
        at_path(&mut payload, &["response", "key"]).insert("release_policy", policy);
        payload
    };
    let policy = |data: &str| Value::Object(Object::new().with("data", data));
    let release = verify(&answer(&with(policy("e30")))).unwrap();
    assert_eq!(release.policy(), Some(&b"{}"[..]));
    for odd in [Value::Null, "e30".into(), Object::new().into(), policy("?")] {
        assert_eq!(refused(&with(odd)), ReleaseAnswerError::Member("release_policy"));
    }
}

/// Every member that is read, absent and of another type.
#[test]
fn members_are_needed_and_of_their_type() {
    let members: [(&[&str], &'static str); 9] = [
        (&[], "request"),
        (&[], "response"),
        (&["response"], "key"),
        (&["response", "key"], "key"),
        (&["request"], "kid"),
        (&["request"], "enc"),
        (&["response", "key", "key"], "kid"),
        (&["response", "key", "key"], "kty"),
        (&["response", "key", "key"], "key_hsm"),
    ];
    for (path, name) in members {
        let mut without = payload();
        at_path(&mut without, path).remove(name);
        assert_eq!(refused(&without), ReleaseAnswerError::Member(name), "{path:?}");
        for odd in [Value::Null, Value::Bool(true), vec!["x"].into()] {
            let mut other = payload();
            at_path(&mut other, path).insert(name, odd);
            assert_eq!(refused(&other), ReleaseAnswerError::Member(name), "{path:?}");
        }
    }
}

/// `key_ops` may be absent; if it is there it is a list of texts.
#[test]
fn key_ops_are_a_list_of_texts_or_absent() {
    let with = |odd: Option<Value>| {
        let mut payload = payload();
        let key = at_path(&mut payload, &["response", "key", "key"]);
        match odd {
            Some(odd) => key.insert("key_ops", odd),
            None => key.remove("key_ops"),
        };
        verify(&answer(&payload)).map(|release| release.key_ops().len())
    };
    for odd in [Value::from("encrypt"), vec![1_u64].into(), Value::Null] {
        assert_eq!(with(Some(odd)), Err(ReleaseAnswerError::Member("key_ops")));
    }
    assert_eq!((with(None), with(Some(vec!["a", "b"].into()))), (Ok(0), Ok(2)));
}

/// The key that was asked for, or a version of it; a version has 32 hexadecimal digits.
#[test]
fn answer_for_another_key() {
    let with = |path: &[&str], kid: &str| {
        let mut payload = payload();
        at_path(&mut payload, path).insert("kid", kid);
        verify(&answer(&payload)).map(drop)
    };
    let other = |seen: &str| Err(ReleaseAnswerError::Key { asked: KID.into(), seen: seen.into() });
    let versioned = format!("{KID}/{VERSION}");
    for seen in [
        "https://vault.example/keys/other",
        "https://vault.example/keys/Payments",
        "http://vault.example/keys/payments",
        &versioned,
        "",
    ] {
        assert_eq!(with(&["request"], seen), other(seen));
    }
    let key = ["response", "key", "key"];
    let odd = [
        format!("{KID}2/{VERSION}"),
        format!("{KID}/{VERSION}0"),
        format!("{KID}/"),
        format!("{KID}/{}", "g".repeat(32)),
        format!("x{versioned}"),
    ];
    for seen in odd {
        assert_eq!(with(&key, &seen), other(&seen));
    }
    assert_eq!((with(&key, KID), with(&key, &versioned)), (Ok(()), Ok(())));
}

/// Who asks for a version gets that one.
#[test]
fn answer_for_another_version() {
    let asked = format!("{KID}/{}", "00".repeat(16));
    let with = |seen: &str| {
        let mut payload = payload();
        at_path(&mut payload, &["request"]).insert("kid", asked.as_str());
        at_path(&mut payload, &["response", "key", "key"]).insert("kid", seen);
        verify_as(&answer(&payload), &Asked { kid: &asked, ..ASKED }).map(drop)
    };
    let seen = format!("{KID}/{VERSION}");
    assert_eq!(with(&seen), Err(ReleaseAnswerError::Key { asked: asked.clone(), seen: seen.clone() }));
    assert_eq!(with(&asked), Ok(()));
}

/// The nonce as sent, present iff sent, and a text.
#[test]
fn answer_with_another_nonce() {
    let with = |sent: Option<&str>, seen: Option<Value>| {
        let mut payload = payload();
        let request = at_path(&mut payload, &["request"]);
        match seen {
            Some(seen) => request.insert("nonce", seen),
            None => request.remove("nonce"),
        };
        verify_as(&answer(&payload), &Asked { nonce: sent, ..ASKED }).map(drop)
    };
    let bad = [
        (Some("a"), Some("b".into())),
        (Some("a"), None),
        (None, Some("a".into())),
        (None, Some("".into())),
        (None, Some(Value::Null)),
        (Some("1"), Some(1_u64.into())),
        (Some(""), None),
    ];
    for (sent, seen) in bad {
        assert_eq!(with(sent, seen.clone()), Err(ReleaseAnswerError::Nonce), "{sent:?} {seen:?}");
    }
    assert_eq!((with(Some("a"), Some("a".into())), with(None, None)), (Ok(()), Ok(())));
}

/// The wrapping that was asked for, by its exact name.
#[test]
fn answer_in_another_wrap() {
    let with = |enc: &str| {
        let mut payload = payload();
        at_path(&mut payload, &["request"]).insert("enc", enc);
        verify(&answer(&payload)).map(drop)
    };
    for unknown in ["RSA1_5", "none", "", "rsa_aes_key_wrap_256"] {
        assert_eq!(with(unknown), Err(ReleaseAnswerError::WrapAlgorithm(unknown.into())));
    }
    for other in [Wrap::CkmRsaAesKeyWrap, Wrap::RsaAesKeyWrap384] {
        let (asked, seen) = (ASKED.algorithm.as_str(), other.as_str());
        assert_eq!(with(seen), Err(ReleaseAnswerError::OtherWrapAlgorithm { asked, seen }));
    }
    assert_eq!(with(ASKED.algorithm.as_str()), Ok(()));
}

/// The envelope: base64url of a JSON object with a header that names the TEE's key, and a ciphertext.
#[test]
fn envelope_that_is_malformed_or_for_another_key() {
    let with_text = |text: String| {
        let mut payload = payload();
        at_path(&mut payload, &["response", "key", "key"]).insert("key_hsm", text);
        verify(&answer(&payload)).map(drop)
    };
    let with = |envelope: Object| with_text(b64::encode(envelope.to_json()));
    for odd in [
        "".to_owned(),
        "%".into(),
        b64::encode("[]"),
        b64::encode("x"),
        format!("{}=", b64::encode(key_hsm().to_json())),
    ] {
        assert_eq!(with_text(odd), Err(ReleaseAnswerError::Member("key_hsm")));
    }
    let mut without = key_hsm();
    without.remove("header");
    assert_eq!(with(without), Err(ReleaseAnswerError::Member("header")));
    assert_eq!(with(key_hsm().with("header", Object::new())), Err(ReleaseAnswerError::Member("kid")));
    let kid_only = Object::new().with("kid", "tee-key");
    assert_eq!(with(key_hsm().with("header", kid_only.clone())), Err(ReleaseAnswerError::Member("enc")));
    let downgraded = kid_only.with("enc", "CKM_RSA_AES_KEY_WRAP");
    assert_eq!(with(key_hsm().with("header", downgraded)), Err(ReleaseAnswerError::Member("enc")));
    let other = Object::new().with("kid", "other");
    let error = ReleaseAnswerError::TargetKid { asked: "tee-key".into(), seen: "other".into() };
    assert_eq!(with(key_hsm().with("header", other)), Err(error));
    for odd in [Value::Null, "A".into(), "AA==".into()] {
        assert_eq!(with(key_hsm().with("ciphertext", odd)), Err(ReleaseAnswerError::Member("ciphertext")));
    }
    assert_eq!(with(key_hsm()), Ok(()));
}

/// A ciphertext that does not open, or cannot be one, although all around it holds.
#[test]
fn ciphertext_that_does_not_open() {
    let with = |ciphertext: Vec<u8>| {
        let mut payload = payload();
        let envelope = key_hsm().with("ciphertext", b64::encode(ciphertext));
        at_path(&mut payload, &["response", "key", "key"]).insert("key_hsm", b64::encode(envelope.to_json()));
        verify(&answer(&payload)).unwrap().unwrap(tee()).map(drop)
    };
    let good = b64::decode(key_hsm().get("ciphertext").unwrap().as_str().unwrap()).unwrap();
    for at in [0, 255, 256, good.len() - 1] {
        let mut altered = good.clone();
        altered[at] ^= 1;
        assert_eq!(with(altered), Err(ReleaseAnswerError::Unwrap(UnwrapError::Refused)));
    }
    let len = good.len() - 1;
    assert_eq!(with(good[..len].to_vec()), Err(ReleaseAnswerError::Unwrap(UnwrapError::Malformed { len })));
    assert_eq!(with(good), Ok(()));
}

/// The key to unwrap with must be the one that the receipt names, before anything is decrypted.
#[test]
fn key_of_another_tee() {
    let release = verify(&answer(&payload())).unwrap();
    let other = UnwrapKey::generate(2048).unwrap();
    assert_eq!(release.unwrap(&other).err(), Some(ReleaseAnswerError::OtherTarget));
    let renamed = payload().with("x-skerry-receipt", receipt().with("target_thumbprint", "x"));
    let release = verify(&answer(&renamed)).unwrap();
    assert_eq!(release.unwrap(tee()).err(), Some(ReleaseAnswerError::OtherTarget));
}
