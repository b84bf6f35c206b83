//! ML-DSA keys: made, brought in, released and used, against another author; and every refusal.

use crate::fixtures::{binding, custody, material, rng};
use ml_dsa::{KeyExport, Keypair, MlDsa44, MlDsa65, MlDsa87, MlDsaParams, Signature, SigningKey};
use rand_chacha::rand_core::Rng;
use skerry_keys::limits::MESSAGE_LEN_MAX;
use skerry_keys::{
    CipherError, Curve, EncryptAlgorithm, ImportError, ImportKey, KeyType, MlDsa, MlDsaText, OpenedKey, PublicKey,
    SignAlgorithm, SignError, TextError, VerifyError, WrapAlgorithm, verify, verify_ml_dsa,
};
use zeroize::Zeroizing;

const ALL: [(MlDsa, SignAlgorithm, usize); 3] = [
    (MlDsa::S44, SignAlgorithm::MlDsa44, 2420),
    (MlDsa::S65, SignAlgorithm::MlDsa65, 3309),
    (MlDsa::S87, SignAlgorithm::MlDsa87, 4627),
];
const SEED: [u8; 32] = [0x5e; 32];

/// The key of a seed, opened, with its public half.
fn key(set: MlDsa) -> (PublicKey, OpenedKey) {
    let binding = binding(KeyType::Akp { set });
    let (public, sealed) = custody().import(binding, &import(set, &SEED, &public_of(set, SEED)), &mut rng()).unwrap();
    (public, custody().open_for_use(&sealed, &binding).unwrap())
}

fn import(set: MlDsa, seed: &[u8], public: &[u8]) -> ImportKey {
    ImportKey::Akp { set, seed: Zeroizing::new(seed.to_vec()), public: public.to_vec() }
}

/// The public half as another author has it.
fn public_of(set: MlDsa, seed: [u8; 32]) -> Vec<u8> {
    fn of<P: MlDsaParams>(seed: [u8; 32]) -> Vec<u8> {
        SigningKey::<P>::from_seed(&seed.into()).verifying_key().to_bytes().to_vec()
    }
    match set {
        MlDsa::S44 => of::<MlDsa44>(seed),
        MlDsa::S65 => of::<MlDsa65>(seed),
        MlDsa::S87 => of::<MlDsa87>(seed),
    }
}

/// What another author signs with the key of the seed, under a context.
fn oracle_signs(set: MlDsa, message: &[u8], context: &[u8]) -> Vec<u8> {
    fn of<P: MlDsaParams>(message: &[u8], context: &[u8]) -> Vec<u8> {
        let key = SigningKey::<P>::from_seed(&SEED.into());
        key.expanded_key().sign_deterministic(message, context).unwrap().encode().to_vec()
    }
    match set {
        MlDsa::S44 => of::<MlDsa44>(message, context),
        MlDsa::S65 => of::<MlDsa65>(message, context),
        MlDsa::S87 => of::<MlDsa87>(message, context),
    }
}

/// Whether another author takes a signature, with an empty context.
fn oracle_verifies(set: MlDsa, message: &[u8], signature: &[u8]) -> bool {
    fn of<P: MlDsaParams>(message: &[u8], signature: &[u8]) -> bool {
        let key = SigningKey::<P>::from_seed(&SEED.into()).verifying_key();
        Signature::<P>::try_from(signature).is_ok_and(|signature| key.verify_with_context(message, b"", &signature))
    }
    match set {
        MlDsa::S44 => of::<MlDsa44>(message, signature),
        MlDsa::S65 => of::<MlDsa65>(message, signature),
        MlDsa::S87 => of::<MlDsa87>(message, signature),
    }
}

#[test]
fn contexts_and_representatives_are_signed() {
    // Another author takes what is signed under a context, as we take his; a representative is that of message and context.
    for (set, _, _) in ALL {
        let (public, opened) = key(set);
        for context in [&b""[..], b"c", &[9; 255]] {
            let text = MlDsaText::Message { message: b"message", context };
            assert_eq!(verify_ml_dsa(&public, &text, &oracle_signs(set, b"message", context)), Ok(true));
            let signature = opened.sign_ml_dsa(&text).unwrap();
            assert_eq!(verify_ml_dsa(&public, &text, &signature), Ok(true));
            assert_eq!(oracle_verifies(set, b"message", &signature), context.is_empty());
            for other in [
                MlDsaText::Message { message: b"massage", context },
                MlDsaText::Message { message: b"message", context: b"other" },
                MlDsaText::Mu(&[0; 64]),
            ] {
                assert_eq!(verify_ml_dsa(&public, &other, &signature), Ok(false));
            }
        }
        let mu = MlDsaText::Mu(&[5; 64]);
        let signature = opened.sign_ml_dsa(&mu).unwrap();
        assert_eq!(verify_ml_dsa(&public, &mu, &signature), Ok(true));
        assert_eq!(verify_ml_dsa(&public, &MlDsaText::Mu(&[6; 64]), &signature), Ok(false));
    }
}

#[test]
fn texts_have_their_lengths() {
    // A context too long, a representative of another length, a message too long, and keys of other types.
    let (public, opened) = key(MlDsa::S44);
    let long = vec![0; MESSAGE_LEN_MAX + 1];
    for (text, error) in [
        (MlDsaText::Mu(&[]), TextError::Mu { found: 0 }),
        (MlDsaText::Mu(&[1; 63]), TextError::Mu { found: 63 }),
        (MlDsaText::Mu(&[1; 65]), TextError::Mu { found: 65 }),
        (MlDsaText::Message { message: b"", context: &[1; 256] }, TextError::Context { found: 256 }),
        (MlDsaText::Message { message: &long, context: b"" }, TextError::Message { found: long.len() }),
    ] {
        assert_eq!(opened.sign_ml_dsa(&text), Err(SignError::Text(error)));
        assert_eq!(verify_ml_dsa(&public, &text, &[0; 2420]), Err(VerifyError::Text(error)));
    }
    let key_type = KeyType::Ec { curve: Curve::P256 };
    let (public, sealed) = custody().generate(binding(key_type), &mut rng()).unwrap();
    let ec = custody().open_for_use(&sealed, &binding(key_type)).unwrap();
    let mu = MlDsaText::Mu(&[1; 64]);
    assert_eq!(ec.sign_ml_dsa(&mu), Err(SignError::NotMlDsa { key_type }));
    let refused = VerifyError::NotMlDsa { key_type: Some(key_type) };
    assert_eq!(verify_ml_dsa(&public, &mu, &[0; 64]), Err(refused));
}

#[test]
fn names_are_a_closed_list() {
    // A parameter set and its algorithm have one name.
    for (set, algorithm, _) in ALL {
        assert_eq!(MlDsa::parse(set.as_str()), Some(set));
        assert_eq!(SignAlgorithm::parse(set.as_str()), Some(algorithm));
        assert_eq!(algorithm.digest_len(), None);
    }
    for odd in ["", "ML-DSA", "ML-DSA-45", "ml-dsa-44", "HashML-DSA-44", "SLH-DSA-SHA2-128s"] {
        assert_eq!(MlDsa::parse(odd), None, "{odd:?}");
    }
}

#[test]
fn made_keys_are_those_of_their_seed() {
    // The seed is the first that the caller's randomness gives, the released PKCS#8 is the seed in its drawing (RFC
    // 9881, 6), and another author finds the public half from it.
    let mut seed = [0; 32];
    rng().fill_bytes(&mut seed);
    for ((set, ..), oid) in ALL.into_iter().zip(17..) {
        let binding = binding(KeyType::Akp { set });
        let (public, sealed) = custody().generate(binding, &mut rng()).unwrap();
        assert_eq!(public, PublicKey::Akp { set, key: public_of(set, seed) });
        assert_eq!(public.key_type(), Ok(Some(KeyType::Akp { set })));
        let head = hex::decode("303402010030 0b0609608648016503040300 04228020".replace(' ', "")).unwrap();
        let mut expected = [head.as_slice(), &seed].concat();
        expected[17] = oid;
        assert_eq!(hex::encode(material(&sealed, &binding).expose()), hex::encode(expected));
    }
}

#[test]
fn signatures_agree_with_another_author() {
    // Of any message, an empty one too: signed here and taken there, and the other way round.
    for (set, algorithm, len) in ALL {
        let (public, key) = key(set);
        for message in [&b""[..], b"message", &[7; 64], &[1; MESSAGE_LEN_MAX]] {
            let signature = key.sign(algorithm, message, &mut rng()).unwrap();
            assert_eq!(signature.len(), len);
            assert!(oracle_verifies(set, message, &signature), "{set:?} {}", message.len());
            assert_eq!(verify(&public, algorithm, message, &signature), Ok(true));
            let theirs = oracle_signs(set, message, b"");
            assert_eq!(verify(&public, algorithm, message, &theirs), Ok(true), "{set:?} {}", message.len());
        }
    }
}

#[test]
fn signature_that_does_not_hold_is_false() {
    // Changed, cut or longer, of another message or key, or under a context: false, and no error.
    for (set, algorithm, len) in ALL {
        let (public, key) = key(set);
        let signature = key.sign(algorithm, b"message", &mut rng()).unwrap();
        for at in (0..len).step_by(7).chain(len - 90..len) {
            let mut changed = signature.clone();
            changed[at] ^= 1 << (at % 8);
            assert_eq!(verify(&public, algorithm, b"message", &changed), Ok(false), "{set:?} octet {at}");
        }
        let longer = [signature.as_slice(), &[0]].concat();
        for odd in [&[][..], &signature[1..], &signature[..len - 1], &longer, &vec![0; len], &vec![0xff; len]] {
            assert_eq!(verify(&public, algorithm, b"message", odd), Ok(false), "{set:?} {} octets", odd.len());
        }
        assert_eq!(verify(&public, algorithm, b"messagf", &signature), Ok(false));
        let context = oracle_signs(set, b"message", b"context");
        assert_eq!(verify(&public, algorithm, b"message", &context), Ok(false));
        let (other, _) = custody().generate(binding(KeyType::Akp { set }), &mut rng()).unwrap();
        assert_eq!(verify(&other, algorithm, b"message", &signature), Ok(false));
    }
}

#[test]
fn refusals_are_told_apart() {
    // A message too long, an algorithm of another set or type, and all that such a key does not do.
    for (set, algorithm, _) in ALL {
        let key_type = KeyType::Akp { set };
        let (public, key) = key(set);
        let long = vec![0; MESSAGE_LEN_MAX + 1];
        let found = long.len();
        assert_eq!(key.sign(algorithm, &long, &mut rng()), Err(SignError::MessageLength { found }));
        assert_eq!(verify(&public, algorithm, &long, &[]), Err(VerifyError::MessageLength { found }));
        for other in SignAlgorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            let refused = SignError::Algorithm { algorithm: other, key_type };
            assert_eq!(key.sign(other, &[1; 32], &mut rng()), Err(refused));
            let refused = VerifyError::Algorithm { algorithm: other, key_type: Some(key_type) };
            assert_eq!(verify(&public, other, &[1; 32], &[]), Err(refused));
        }
        assert_eq!(key.verify(algorithm, b"", &[]), Err(VerifyError::PublicHalf { algorithm }));
        let refused = CipherError::Algorithm { algorithm: "A256GCM", key_type: Some(key_type) };
        assert_eq!(key.encrypt(EncryptAlgorithm::A256Gcm, b"", None, None, &mut rng()), Err(refused));
        let refused = CipherError::Algorithm { algorithm: "A256KW", key_type: Some(key_type) };
        assert_eq!(key.unwrap(WrapAlgorithm::A256Kw, b""), Err(refused));
    }
}

#[test]
fn imported_halves_must_fit() {
    // Lengths, halves of two keys or of two parameter sets, and the type of the binding.
    for (set, ..) in ALL {
        let key_type = KeyType::Akp { set };
        let public = public_of(set, SEED);
        let refused = |seed: &[u8], public: &[u8]| {
            custody().import(binding(key_type), &import(set, seed, public), &mut rng()).err()
        };
        for len in [0, 31, 33, 64] {
            let of = |component| Some(ImportError::AkpLength { component, len });
            assert_eq!(refused(&vec![0x5e; len], &public), of("priv"));
            assert_eq!(refused(&SEED, &vec![1; len]), of("pub"));
        }
        assert_eq!(refused(&[0x5f; 32], &public), Some(ImportError::AkpPair));
        for at in [0, public.len() / 2, public.len() - 1] {
            let mut changed = public.clone();
            changed[at] ^= 1;
            assert_eq!(refused(&SEED, &changed), Some(ImportError::AkpPair));
        }
        let expected = KeyType::Ec { curve: Curve::P256 };
        let found = custody().import(binding(expected), &import(set, &SEED, &public), &mut rng()).err();
        assert_eq!(found, Some(ImportError::OtherType { expected, found: key_type }));
    }
}
