//! What is signed here holds under other people's code, and the other way round; and every refusal.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests: failing is what they are for")]

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use aws_lc_rs::signature::{KeyPair as _, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair};
use ml_dsa::{Keypair as _, MlDsaParams, Signature, SigningKey};
use rsa::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use skerry_lc::{MlDsa, PrivateKey, PublicKey, Refused};

/// PKCS#8 and SubjectPublicKeyInfo of one RSA key, which is slow to make.
fn rsa_pair() -> &'static (Vec<u8>, Vec<u8>) {
    static PAIR: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    PAIR.get_or_init(|| {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let pkcs8: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let spki: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        (pkcs8.as_ref().to_vec(), spki.as_ref().to_vec())
    })
}

/// Octets of any length that leaves room are signed as they are: the oracle makes the same signature, and takes ours.
#[test]
fn raw_rsa_is_what_another_library_makes() {
    let (pkcs8, spki) = rsa_pair();
    let (private, public) = (PrivateKey::from_pkcs8(pkcs8).unwrap(), PublicKey::from_spki(spki).unwrap());
    let oracle = rsa::PrivateKey::from_pkcs8_der(pkcs8).unwrap();
    let oracle_public = rsa::PublicKey::from_public_key_der(spki).unwrap();
    for len in [0, 1, 20, 51, 244, 245] {
        let octets = vec![0xa5; len];
        let signature = private.rsa_pkcs1(&octets).unwrap();
        assert_eq!(signature, oracle.sign(rsa::Pkcs1v15Sign::new_unprefixed(), &octets).unwrap(), "{len} octets");
        assert!(oracle_public.verify(rsa::Pkcs1v15Sign::new_unprefixed(), &octets, &signature).is_ok());
        assert_eq!(public.rsa_pkcs1(&octets, &signature), Ok(true));
    }
    for len in [246, 256, 4096] {
        assert_eq!(private.rsa_pkcs1(&vec![1; len]), Err(Refused), "{len} octets");
    }
}

/// A signature over other octets, one that was changed at any octet, or of another length, does not hold.
#[test]
fn raw_rsa_signatures_hold_whole() {
    let (pkcs8, spki) = rsa_pair();
    let (private, public) = (PrivateKey::from_pkcs8(pkcs8).unwrap(), PublicKey::from_spki(spki).unwrap());
    let signature = private.rsa_pkcs1(b"text").unwrap();
    for at in 0..signature.len() {
        let mut bad = signature.clone();
        bad[at] ^= 1;
        assert_eq!(public.rsa_pkcs1(b"text", &bad), Ok(false), "octet {at}");
    }
    for other in [&b"tex"[..], b"text\0", b"\0text", b""] {
        assert_eq!(public.rsa_pkcs1(other, &signature), Ok(false));
    }
    for bad in [&signature[..255], &[signature.as_slice(), &[0]].concat(), &[]] {
        assert_eq!(public.rsa_pkcs1(b"text", bad), Ok(false));
    }
}

/// PKCS#8 and the encoded public half of the key of this seed.
fn ml_dsa_pair(set: MlDsa) -> (Vec<u8>, Vec<u8>) {
    let algorithm = match set {
        MlDsa::S44 => &ML_DSA_44_SIGNING,
        MlDsa::S65 => &ML_DSA_65_SIGNING,
        MlDsa::S87 => &ML_DSA_87_SIGNING,
    };
    let pair = PqdsaKeyPair::from_seed(algorithm, &SEED).unwrap();
    (pair.to_pkcs8v1().unwrap().as_ref().to_vec(), pair.public_key().as_ref().to_vec())
}

const SEED: [u8; 32] = [7; 32];

/// Both libraries sign, and take each other's signatures and no others.
fn agree<P: MlDsaParams>(set: MlDsa) {
    let (pkcs8, encoded) = ml_dsa_pair(set);
    let (private, public) = (PrivateKey::from_pkcs8(&pkcs8).unwrap(), PublicKey::from_ml_dsa(set, &encoded).unwrap());
    let oracle = SigningKey::<P>::from_seed(&SEED.into());
    let parsed = |signature: &[u8]| Signature::<P>::try_from(signature).unwrap();
    for context in [&b""[..], b"c", &[9; 255]] {
        let signature = private.ml_dsa(b"message", context).unwrap();
        assert!(oracle.verifying_key().verify_with_context(b"message", context, &parsed(&signature)));
        assert_eq!(public.ml_dsa(b"message", context, &signature), Ok(true));
        let theirs = oracle.expanded_key().sign_deterministic(b"message", context).unwrap().encode();
        assert_eq!(public.ml_dsa(b"message", context, &theirs), Ok(true));
        for (message, other) in [(&b"message"[..], &b"other"[..]), (b"massage", context)] {
            assert_eq!(public.ml_dsa(message, other, &signature), Ok(false));
        }
        let mut bad = signature.clone();
        bad[100] ^= 1;
        assert_eq!(public.ml_dsa(b"message", context, &bad), Ok(false));
        assert_eq!(public.ml_dsa(b"message", context, &signature[1..]), Ok(false));
    }
    assert_eq!(private.ml_dsa(b"message", &[9; 256]), Err(Refused));
    assert_eq!(public.ml_dsa(b"message", &[9; 256], &[0; 10]), Err(Refused));
    let mu = [0x3c; 64];
    let signature = private.ml_dsa_mu(&mu).unwrap();
    assert!(oracle.verifying_key().verify_mu(&mu.into(), &parsed(&signature)));
    assert_eq!(public.ml_dsa_mu(&mu, &signature), Ok(true));
    assert_eq!(public.ml_dsa_mu(&mu, &oracle.expanded_key().sign_mu_deterministic(&mu.into()).encode()), Ok(true));
    assert_eq!(public.ml_dsa_mu(&[0x3d; 64], &signature), Ok(false));
    assert_eq!(public.ml_dsa(&mu, b"", &signature), Ok(false), "a representative is no message");
}

/// Each parameter set, contexts from empty to the longest, and message representatives.
#[test]
fn ml_dsa_is_what_another_library_makes() {
    agree::<ml_dsa::MlDsa44>(MlDsa::S44);
    agree::<ml_dsa::MlDsa65>(MlDsa::S65);
    agree::<ml_dsa::MlDsa87>(MlDsa::S87);
}

/// Keys of one type do nothing of the other's, and what is no key is none.
#[test]
fn keys_do_what_is_theirs() {
    let (rsa, rsa_public) = rsa_pair();
    let (akp, encoded) = ml_dsa_pair(MlDsa::S44);
    let private = PrivateKey::from_pkcs8(rsa).unwrap();
    assert_eq!(private.ml_dsa(b"", b""), Err(Refused));
    assert_eq!(private.ml_dsa_mu(&[0; 64]), Err(Refused));
    assert_eq!(PrivateKey::from_pkcs8(&akp).unwrap().rsa_pkcs1(b""), Err(Refused));
    let public = PublicKey::from_spki(rsa_public).unwrap();
    assert_eq!(public.ml_dsa(b"", b"", &[0; 2420]), Err(Refused));
    assert_eq!(public.ml_dsa_mu(&[0; 64], &[0; 2420]), Err(Refused));
    let public = PublicKey::from_ml_dsa(MlDsa::S44, &encoded).unwrap();
    assert_eq!(public.rsa_pkcs1(b"", &[0; 256]), Err(Refused));
    for document in [&b""[..], &rsa[..rsa.len() - 1], &[rsa.as_slice(), &[0]].concat(), rsa_public] {
        assert_eq!(PrivateKey::from_pkcs8(document).err(), Some(Refused));
    }
    for document in [&b""[..], &rsa_public[1..], &[rsa_public.as_slice(), &[0]].concat(), rsa] {
        assert_eq!(PublicKey::from_spki(document).err(), Some(Refused));
    }
    for (set, octets) in [(MlDsa::S65, &encoded[..]), (MlDsa::S44, &encoded[1..]), (MlDsa::S44, &[])] {
        assert_eq!(PublicKey::from_ml_dsa(set, octets).err(), Some(Refused));
    }
}
