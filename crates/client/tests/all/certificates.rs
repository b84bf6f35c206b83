//! Who signed the answer: root, chain, dates, name, key.

use rcgen::{ExtendedKeyUsagePurpose, KeyPair, SanType};
use skerry_client::limits::CERTIFICATES_MAX;
use skerry_client::{Asked, ReleaseAnswerError, Roots, VerifiedRelease};
use skerry_jose::json::Value;
use skerry_jose::{JwkError, JwsError};

use crate::support::*;

fn with_chain(chain: &[Vec<u8>]) -> Outcome {
    verify(&signed(&header(chain), &payload().to_json()))
}

fn untrusted(reason: &str) -> ReleaseAnswerError {
    ReleaseAnswerError::Untrusted(reason.into())
}

/// The control: the chain as the vault has it, and with room for more certificates.
#[test]
fn chain_of_the_vault_is_believed() {
    assert!(with_chain(&pki().chain).is_ok());
    assert!(with_chain(&pki().chain[..1]).is_ok());
    let filled = [pki().chain.clone(), vec![pki().root_der.clone(); CERTIFICATES_MAX - 2]].concat();
    assert!(with_chain(&filled).is_ok());
}

/// What is no certificate is no root.
#[test]
fn root_that_cannot_be_read() {
    for odd in [&[][..], b"-----BEGIN CERTIFICATE-----", &pki().root_der[1..], &pki().root_der[..100]] {
        assert_eq!(Roots::new(odd).err(), Some(ReleaseAnswerError::Root));
    }
    assert!(Roots::new(&pki().root_der).is_ok());
}

/// What is no host name is not compared with one.
#[test]
fn host_that_is_none() {
    for host in ["", "vault.example:8443", "https://vault.example", "vault example", "v\u{e4}ult.example"] {
        let error = verify_as(&answer(&payload()), &Asked { host, ..ASKED }).unwrap_err();
        assert_eq!(error, ReleaseAnswerError::Host(host.into()));
    }
    assert!(verify_as(&answer(&payload()), &ASKED).is_ok());
}

/// A header without a usable x5c: absent, empty, too long, not base64 of the standard alphabet, not certificates.
#[test]
fn chain_that_cannot_be_read() {
    let with = |x5c: Value| verify(&signed(&object(r#"{"alg":"RS256"}"#).with("x5c", x5c), "{}")).unwrap_err();
    let long: Vec<Vec<u8>> = vec![pki().chain[0].clone(); CERTIFICATES_MAX + 1];
    let padded = skerry_jose::b64::encode_standard(&pki().chain[0]);
    let odd: [Value; 7] = [
        Vec::<Value>::new().into(),
        "AA==".into(),
        Value::Null,
        vec![1_u64].into(),
        vec![format!("{padded}\n")].into(),
        vec!["AAAA"].into(),
        header(&long).get("x5c").cloned().unwrap(),
    ];
    for odd in odd {
        assert_eq!(with(odd.clone()), ReleaseAnswerError::Chain, "{odd:?}");
    }
    assert_eq!(verify(&signed(&object(r#"{"alg":"RS256"}"#), "{}")).unwrap_err(), ReleaseAnswerError::Chain);
}

/// A chain to another root, out of date by a second, or for clients only.
#[test]
fn chain_that_is_not_trusted() {
    assert_eq!(with_chain(&Pki::new("other root").chain).unwrap_err(), untrusted("UnknownIssuer"));
    let same_name = with_chain(&Pki::new("root").chain).unwrap_err();
    assert_eq!(same_name, untrusted("InvalidSignatureForPublicKey"));
    let clients = pki().leaf(|leaf| leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let error = with_chain(&clients).unwrap_err();
    assert!(
        matches!(&error, ReleaseAnswerError::Untrusted(reason) if reason.starts_with("RequiredEkuNotFound")),
        "{error:?}"
    );
    let at = |now| VerifiedRelease::verify(&answer(&payload()), &ASKED, &pki().roots, at(now)).map(drop);
    for (now, reason) in [(NOW - 101, "CertNotValidYet"), (NOW + 101, "CertExpired")] {
        let error = at(now).unwrap_err();
        assert!(matches!(&error, ReleaseAnswerError::Untrusted(seen) if seen.starts_with(reason)), "{error:?}");
    }
    assert_eq!((at(NOW - 100), at(NOW + 100)), (Ok(()), Ok(())));
}

/// A trusted certificate of another server; one label of a wildcard is one label.
#[test]
fn certificate_of_another_host() {
    let with_names = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
        with_chain(&pki().leaf(|leaf| leaf.subject_alt_names = names)).map(drop)
    };
    for names in [&["other.example"][..], &["*.vault.example"], &["example"], &["vault.example.evil.example"], &[]] {
        assert_eq!(with_names(names), Err(ReleaseAnswerError::Name { host: HOST.into() }), "{names:?}");
    }
    for names in [&["other.example", HOST][..], &["VAULT.example"]] {
        assert_eq!(with_names(names), Ok(()), "{names:?}");
    }
    let wildcard =
        pki().leaf(|leaf| leaf.subject_alt_names = vec![SanType::DnsName("*.vault.example".try_into().unwrap())]);
    let answer = signed(&header(&wildcard), &payload().to_json());
    let as_host = |host| verify_as(&answer, &Asked { host, ..ASKED }).map(drop);
    let deeper = "a.b.vault.example";
    assert_eq!(as_host(deeper), Err(ReleaseAnswerError::Name { host: deeper.into() }));
    let (asked, kid) = ("a.vault.example".to_owned(), ASKED.kid.to_owned());
    assert_eq!(as_host("a.vault.example"), Err(ReleaseAnswerError::OtherHost { asked, kid }));
}

/// A leaf whose key is not RSA, which no real client would take.
#[test]
fn key_of_the_leaf_must_be_rsa() {
    let chain = pki().leaf_for(&KeyPair::generate().unwrap(), |_| {});
    let error = with_chain(&chain).unwrap_err();
    assert_eq!(error, ReleaseAnswerError::LeafKey(JwkError::AlgorithmForKey("RS256")));
}

/// The signature is RS256 of the leaf's key and of no other, over these very bytes.
#[test]
fn signature_of_another_key_or_algorithm() {
    let spoilt = answer(&payload().with("x", 1_u64));
    let (input, _) = spoilt.rsplit_once('.').unwrap();
    let whole = answer(&payload());
    let (_, signature) = whole.rsplit_once('.').unwrap();
    let error = verify(&format!("{input}.{signature}")).unwrap_err();
    assert_eq!(error, ReleaseAnswerError::Jws(JwsError::Signature));
    for alg in ["none", "HS256"] {
        let error = verify(&signed(&header(&pki().chain).with("alg", alg), "{}")).unwrap_err();
        assert_eq!(error, ReleaseAnswerError::Jws(JwsError::Algorithm(alg.into())));
    }
    let other = verify(&signed(&header(&pki().chain).with("alg", "PS256"), &payload().to_json())).unwrap_err();
    assert!(matches!(other, ReleaseAnswerError::Jws(JwsError::KeyAlgorithm { .. })), "{other:?}");
    assert_eq!(verify("x").unwrap_err(), ReleaseAnswerError::Jws(JwsError::Parts { parts: 1 }));
    assert!(verify(&whole).is_ok());
}
