//! Custody in a token (SoftHSM2): what is made there serves like what is made here, and leaves wrapped or not at all.

use crate::fixtures::{audit, binding, custody, material, permit_for, released, rng, tee};
use crate::import::components;
use crate::place::{Place, alone};
use rand_chacha::rand_core::Rng as _;
use skerry_audit::Event;
use skerry_keys::{
    Binding, CipherError, Custody, CustodyError, EncryptAlgorithm, ExportableKey, Family, GuardingKey, ImportError,
    ImportKey, KeyType, Level, MlDsa, OctBits, OpenError, OpenedKey, PreparedKey, PublicKey, ReleaseError, RsaBits,
    SealedMaterial, SignAlgorithm, SignError, Strict, TransferError, WrapAlgorithm, release, secure_unwrap, verify,
};
use skerry_keywrap::{Algorithm, Plaintext, unwrap};
use skerry_pkcs11::{Ability, Fault, Hash, Token, TokenError};
use std::sync::Arc;
use zeroize::Zeroizing;

const RSA: KeyType = KeyType::Rsa { bits: RsaBits::B2048 };
const OCT: KeyType = KeyType::Oct { bits: OctBits::B256 };
const KEK_ID: [u8; 16] = [0xdd; 16];

fn token(place: &Place) -> Arc<Token> {
    place.init("one");
    let token = place.open("one").unwrap();
    token.make_first_roots(&mut rng()).unwrap();
    Arc::new(token)
}

fn strict(token: &Arc<Token>) -> Strict {
    let kek = (Zeroizing::new([0x66; 32]), KEK_ID);
    Strict::new(Arc::clone(token), kek, *custody().kek_id())
}

fn stays(key_type: KeyType) -> Binding {
    Binding { exportable: false, ..binding(key_type) }
}

fn made(custody: &Strict, binding: &Binding) -> (PublicKey, SealedMaterial, OpenedKey) {
    let (public, sealed) = custody.generate(*binding, &mut rng()).unwrap();
    let opened = custody.open_for_use(&sealed, binding).unwrap();
    (public, sealed, opened)
}

fn does(fault: Fault) -> Option<Ability> {
    match fault {
        Fault::Unsupported(ability) => Some(ability),
        _ => None,
    }
}

/// Every algorithm that fits a key signs in the token what its public half verifies, or is refused as what the token does not do.
#[test]
#[ignore = "needs softhsm2"]
fn signatures_hold() {
    alone("strict::signatures_hold", |place| {
        let custody = strict(&token(place));
        for key_type in KeyType::ALL {
            if let KeyType::Akp { .. } = key_type {
                let refused = custody.generate(binding(key_type), &mut rng()).err();
                assert_eq!(refused, Some(CustodyError::Token(Fault::Unsupported(Ability::MlDsa))));
                continue;
            }
            let (public, _, opened) = made(&custody, &stays(key_type));
            for algorithm in SignAlgorithm::ALL.into_iter().filter(|algorithm| algorithm.fits(key_type)) {
                let digest = vec![5; algorithm.digest_len().unwrap_or(40)];
                match opened.sign(algorithm, &digest, &mut rng()) {
                    Ok(signature) if key_type == RSA || !matches!(key_type, KeyType::Oct { .. }) => {
                        assert_eq!(verify(&public, algorithm, &digest, &signature), Ok(true), "{algorithm:?}");
                    }
                    Ok(signature) => {
                        assert_eq!(opened.verify(algorithm, &digest, &signature), Ok(true), "{algorithm:?}");
                        assert_eq!(opened.verify(algorithm, &digest, &signature[1..]), Ok(false));
                    }
                    // SoftHSM takes no key that is shorter than the hash.
                    Err(SignError::Token(fault)) => {
                        let hash = does(fault);
                        let expected = [Some(Ability::Hmac(Hash::Sha384)), Some(Ability::Hmac(Hash::Sha512))];
                        let shorter = matches!(fault, Fault::Refused { .. }) && key_type != OCT;
                        assert!(expected.contains(&hash) || shorter, "{algorithm:?} {fault:?}");
                    }
                    Err(error) => panic!("{algorithm:?}: {error:?}"),
                }
            }
            let wrong = opened.sign(SignAlgorithm::MlDsa44, b"", &mut rng());
            let (algorithm, key_type) = (SignAlgorithm::MlDsa44, opened.key_type());
            assert_eq!(wrong, Err(SignError::Algorithm { algorithm, key_type }));
        }
    });
}

/// One symmetric key, in a token and here, computes the same.
#[test]
#[ignore = "needs softhsm2"]
fn symmetric_keys_agree_with_software() {
    alone("strict::symmetric_keys_agree_with_software", |place| {
        let held = strict(&token(place));
        for bits in OctBits::ALL {
            let binding = stays(KeyType::Oct { bits });
            let key = ImportKey::Oct { k: Zeroizing::new(vec![0x5a; bits.bits() / 8]) };
            let (_, sealed) = held.import(binding, &key, &mut rng()).unwrap();
            let there = held.open_for_use(&sealed, &binding).unwrap();
            let (_, sealed) = custody().import(binding, &key, &mut rng()).unwrap();
            let here = custody().open_for_use(&sealed, &binding).unwrap();
            for algorithm in EncryptAlgorithm::ALL.into_iter().filter(|one| one.fits(binding.key_type)) {
                let gcm = algorithm.as_str().ends_with("GCM");
                let (iv, aad) = (if gcm { vec![1; 12] } else { vec![1; 16] }, gcm.then_some(b"beside".as_slice()));
                let text = [7; 32];
                let [one, other] =
                    [&there, &here].map(|key| key.encrypt(algorithm, &text, Some(&iv), aad, &mut rng()).unwrap());
                assert_eq!(one, other, "{algorithm:?}");
                let back = there.decrypt(algorithm, &one.ciphertext, Some(&iv), aad, one.tag.as_deref()).unwrap();
                assert_eq!(back.as_slice(), text);
                if gcm {
                    let found = there.decrypt(algorithm, &one.ciphertext, Some(&iv), None, one.tag.as_deref());
                    assert_eq!(found.err(), Some(CipherError::Refused));
                }
            }
            for algorithm in WrapAlgorithm::ALL.into_iter().filter(|one| one.fits(binding.key_type)) {
                if algorithm.as_str().contains("PAD") {
                    // SoftHSM fills such texts up before it wraps them, which gives something else.
                    let refused = CipherError::Token(Fault::Unsupported(Ability::KwpOdd));
                    assert_eq!(there.wrap(algorithm, &[9; 21]), Err(refused));
                    let odd = here.wrap(algorithm, &[9; 21]).unwrap();
                    assert_eq!(there.unwrap(algorithm, &odd).unwrap().as_slice(), [9; 21]);
                }
                let data = vec![9; 24];
                let [one, other] = [&there, &here].map(|key| key.wrap(algorithm, &data).unwrap());
                assert_eq!(one, other, "{algorithm:?}");
                assert_eq!(there.unwrap(algorithm, &one).unwrap().as_slice(), data);
                let mut altered = one.clone();
                altered[3] ^= 1;
                assert_eq!(there.unwrap(algorithm, &altered).err(), Some(CipherError::Refused));
                let fresh = there.secure_wrap(algorithm, &mut rng()).unwrap();
                assert_eq!(here.unwrap(algorithm, &fresh).unwrap().len(), 32);
            }
        }
    });
}

/// RSA decrypts in the token what is encrypted here; OAEP with SHA-256, which SoftHSM does not do, is refused by its name.
#[test]
#[ignore = "needs softhsm2"]
fn rsa_decrypts_what_it_can() {
    alone("strict::rsa_decrypts_what_it_can", |place| {
        let custody = strict(&token(place));
        let (public, _, opened) = made(&custody, &stays(RSA));
        for (algorithm, wrap) in [
            (EncryptAlgorithm::Rsa15, WrapAlgorithm::Rsa15),
            (EncryptAlgorithm::RsaOaep, WrapAlgorithm::RsaOaep),
            (EncryptAlgorithm::RsaOaep256, WrapAlgorithm::RsaOaep256),
        ] {
            let there = skerry_keys::encrypt(&public, algorithm, b"text", None, None).unwrap().ciphertext;
            let back = opened.decrypt(algorithm, &there, None, None, None);
            let unwrapped = opened.unwrap(wrap, &there);
            if algorithm == EncryptAlgorithm::RsaOaep256 {
                let expected = CipherError::Token(Fault::Unsupported(Ability::DecryptOaep(Hash::Sha256)));
                assert_eq!([back.err(), unwrapped.err()], [Some(expected); 2]);
                continue;
            }
            assert_eq!([back.unwrap().as_slice(), unwrapped.unwrap().as_slice()], [b"text"; 2]);
            let wrong = opened.decrypt(algorithm, &vec![3; 256], None, None, None);
            assert_eq!(wrong.err(), Some(CipherError::Refused));
            let (min, max, found) = (256, 256, 255);
            let short = opened.decrypt(algorithm, &[3; 255], None, None, None);
            assert_eq!(short.err(), Some(CipherError::Length { min, max, found }));
        }
        let refused = opened.unwrap_import(Family::Oct, &[0; 300]).err();
        assert_eq!(refused, Some(TransferError::InToken));
    });
}

fn release_of(held: &Strict, made: &(SealedMaterial, Binding), by: Algorithm) -> Result<Vec<u8>, ReleaseError> {
    let permit = permit_for(made.1.key);
    let recorded = audit().record(Event::Release, permit.digest());
    let released = release(held, ExportableKey::new(&made.0, &made.1)?, permit, recorded, by, &mut rng())?;
    Ok(released.ciphertext().to_vec())
}

/// What a TEE unwraps of a released key is that key, in the envelope that software makes; other hashes are refused, by name,
/// before and at the release.
#[test]
#[ignore = "needs softhsm2"]
fn released_keys_are_those_made() {
    alone("strict::released_keys_are_those_made", |place| {
        let held = strict(&token(place));
        let sha1 = Algorithm::CkmRsaAesKeyWrap;
        for key_type in [RSA, OCT, KeyType::Ec { curve: skerry_keys::Curve::P521 }] {
            let binding = binding(key_type);
            let (public, sealed, opened) = made(&held, &binding);
            let made = (sealed, binding);
            let plain = unwrap(sha1, tee(), &release_of(&held, &made, sha1).unwrap()).unwrap();
            same_key(&plain, &public, &opened);
            for (algorithm, hash) in
                [(Algorithm::RsaAesKeyWrap256, Hash::Sha256), (Algorithm::RsaAesKeyWrap384, Hash::Sha384)]
            {
                let refused = ReleaseError::Token(Fault::Unsupported(Ability::WrapOaep(hash)));
                assert_eq!(held.check_release(algorithm), Err(refused.clone()));
                assert_eq!(release_of(&held, &made, algorithm), Err(refused));
            }
            assert_eq!(held.check_release(sha1), Ok(()));
        }
    });
}

/// Signs or computes with what came out, here, and compares.
fn same_key(plain: &Plaintext, public: &PublicKey, opened: &OpenedKey) {
    use der::{Reader as _, SliceReader};
    use rsa::pkcs8::DecodePrivateKey as _;
    use rsa::traits::PublicKeyParts as _;
    // SoftHSM leaves zeros behind PKCS#8.
    let document = |octets| SliceReader::new(octets).unwrap().tlv_bytes().unwrap();
    match public {
        PublicKey::Rsa { n, .. } => {
            let key = rsa::PrivateKey::from_pkcs8_der(document(plain.expose())).unwrap();
            assert_eq!(&*key.n_bytes(), n.as_slice());
        }
        PublicKey::Ec { x, y, .. } => {
            use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P521_SHA512_FIXED_SIGNING, document(plain.expose())).unwrap();
            assert_eq!(pair.public_key().as_ref(), [&[4], x.as_slice(), y].concat());
        }
        _ => {
            let key = ImportKey::Oct { k: Zeroizing::new(plain.expose().to_vec()) };
            let (_, sealed) = custody().import(stays(OCT), &key, &mut rng()).unwrap();
            let here = custody().open_for_use(&sealed, &stays(OCT)).unwrap();
            let wrapped = here.wrap(WrapAlgorithm::A256KwPad, b"data").unwrap();
            assert_eq!(opened.unwrap(WrapAlgorithm::A256KwPad, &wrapped).unwrap().as_slice(), b"data");
        }
    }
}

/// An imported RSA key comes out as it went in; one that is inconsistent, of another type, or ML-DSA does not go in.
#[test]
#[ignore = "needs softhsm2"]
fn imported_keys() {
    alone("strict::imported_keys", |place| {
        let held = strict(&token(place));
        let key = ImportKey::Rsa(Box::new(components()));
        let (public, sealed) = held.import(binding(RSA), &key, &mut rng()).unwrap();
        let opened = held.open_for_use(&sealed, &binding(RSA)).unwrap();
        let made = (sealed, binding(RSA));
        let sha1 = Algorithm::CkmRsaAesKeyWrap;
        same_key(&unwrap(sha1, tee(), &release_of(&held, &made, sha1).unwrap()).unwrap(), &public, &opened);
        let mut wrong = components();
        wrong.d[3] ^= 1;
        let refused = held.import(binding(RSA), &ImportKey::Rsa(Box::new(wrong)), &mut rng()).err();
        assert_eq!(refused, Some(ImportError::RsaInconsistent));
        let refused = held.import(binding(OCT), &key, &mut rng()).err();
        assert_eq!(refused, Some(ImportError::OtherType { expected: OCT, found: RSA }));
        let akp = KeyType::Akp { set: MlDsa::S44 };
        let (public, sealed) = custody().generate(binding(akp), &mut rng()).unwrap();
        let PublicKey::Akp { set, key } = public else { panic!("ML-DSA") };
        let seed = Zeroizing::new(material(&sealed, &binding(akp)).expose().last_chunk::<32>().unwrap().to_vec());
        let refused = held.import(binding(akp), &ImportKey::Akp { set, seed, public: key }, &mut rng()).err();
        let expected = CustodyError::Token(Fault::Unsupported(Ability::MlDsa));
        assert_eq!(refused, Some(ImportError::Custody(expected)));
    });
}

/// No bit of a record can change, no other key's binding opens it, and records of software and of a token are told apart.
#[test]
#[ignore = "needs softhsm2"]
fn every_byte_of_the_record_counts() {
    alone("strict::every_byte_of_the_record_counts", |place| {
        let held = strict(&token(place));
        let (_, sealed, _) = made(&held, &binding(OCT));
        assert_eq!(held.check(&sealed, &binding(OCT)), Ok(()), "the control");
        for at in 0..sealed.as_bytes().len() {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[at] ^= 1;
            let expected = match at {
                0 => CustodyError::UnknownFormat { format: bytes[0] },
                1..17 => CustodyError::OtherKek { kek: *bytes[1..].first_chunk().unwrap() },
                _ => CustodyError::Integrity,
            };
            let altered = SealedMaterial::from_bytes(bytes).unwrap();
            assert_eq!(held.check(&altered, &binding(OCT)), Err(expected), "octet {at}");
            assert_eq!(held.open_for_use(&altered, &binding(OCT)).err(), Some(OpenError::Custody(expected)));
        }
        let other = Binding { key_type: KeyType::Oct { bits: OctBits::B128 }, ..binding(OCT) };
        for binding in [stays(OCT), other] {
            assert_eq!(held.check(&sealed, &binding), Err(CustodyError::Integrity));
        }
        let (_, of_software) = custody().generate(binding(OCT), &mut rng()).unwrap();
        let told = CustodyError::OtherCustody { found: Level::Software };
        assert_eq!(held.check(&of_software, &binding(OCT)), Err(told));
        assert_eq!(custody().check(&sealed, &binding(OCT)), Err(CustodyError::OtherKek { kek: KEK_ID }));
        // Under one KEK they would still not open as each other: the number of custody is under the seal.
        let same = skerry_keys::Software::new(Zeroizing::new([0x66; 32]), KEK_ID);
        assert_eq!(same.check(&sealed, &binding(OCT)), Err(CustodyError::Integrity));
        let refused = released(&sealed, &binding(OCT), Algorithm::CkmRsaAesKeyWrap).err();
        assert_eq!(refused, Some(ReleaseError::Custody(CustodyError::OtherKek { kek: KEK_ID })));
    });
}

/// Rotation: what is under an older root serves, is wrapped anew once, and then does without the older one.
#[test]
#[ignore = "needs softhsm2"]
fn keys_move_to_the_newest_root() {
    alone("strict::keys_move_to_the_newest_root", |place| {
        let token = token(place);
        let held = strict(&token);
        let (public, sealed, _) = made(&held, &binding(RSA));
        assert_eq!(held.rewrap(&sealed, &binding(RSA), &mut rng()), Ok(None), "it is under the newest");
        let mut seed = rng();
        seed.fill_bytes(&mut [0; 64]);
        let newest = token.make_next_roots(&mut seed).unwrap();
        assert_ne!(held.root_of(&sealed, &binding(RSA)), Ok(newest.id));
        assert_eq!(held.check(&sealed, &binding(RSA)), Ok(()), "older roots serve");
        let moved = held.rewrap(&sealed, &binding(RSA), &mut rng()).unwrap().unwrap();
        assert_eq!(held.root_of(&moved, &binding(RSA)), Ok(newest.id));
        assert_eq!(held.rewrap(&moved, &binding(RSA), &mut rng()), Ok(None));
        let signature = held.open_for_use(&moved, &binding(RSA)).unwrap();
        let signature = signature.sign(SignAlgorithm::Ps256, &[1; 32], &mut rng()).unwrap();
        assert_eq!(verify(&public, SignAlgorithm::Ps256, &[1; 32], &signature), Ok(true));
        // To another place: the same, and on no other terms.
        let elsewhere = Strict::new(Arc::clone(&token), (Zeroizing::new([0x11; 32]), [0x22; 16]), [0; 16]);
        let there = held.reseal(&sealed, &binding(RSA), (&elsewhere, &binding(RSA)), &mut rng()).unwrap();
        assert_eq!(elsewhere.root_of(&there, &binding(RSA)), Ok(newest.id));
        let refused = held.reseal(&sealed, &binding(RSA), (&elsewhere, &stays(RSA)), &mut rng());
        assert_eq!(refused, Err(CustodyError::OtherTerms));
    });
}

/// Custodies do not mix, and a token without roots, or that a key was not made in, is no custody.
#[test]
#[ignore = "needs softhsm2"]
fn custodies_do_not_mix() {
    alone("strict::custodies_do_not_mix", |place| {
        place.init("one");
        let token = Arc::new(place.open("one").unwrap());
        assert_eq!(Strict::admit(&token), Err(TokenError::NoRoot));
        token.make_first_roots(&mut rng()).unwrap();
        assert_eq!(Strict::admit(&token), Ok(()));
        let held = Custody::Strict(strict(&token));
        let here = Custody::Software(Box::new(custody()));
        let prepared = PreparedKey::generate(RsaBits::B2048).unwrap();
        assert_eq!(held.place(binding(RSA), prepared, &mut rng()), Err(CustodyError::MadeOutside));
        let (_, sealed) = held.generate(binding(OCT), &mut rng()).unwrap();
        let found = held.reseal(&sealed, &binding(OCT), (&here, &binding(OCT)), &mut rng());
        assert_eq!(found, Err(CustodyError::OtherCustody { found: Level::HsmStrict }));
        let (_, sealed) = here.generate(binding(OCT), &mut rng()).unwrap();
        let found = here.reseal(&sealed, &binding(OCT), (&held, &binding(OCT)), &mut rng());
        assert_eq!(found, Err(CustodyError::OtherCustody { found: Level::Software }));
    });
}

/// What is wrapped securely is unwrapped in the token, to the TEE alone.
#[test]
#[ignore = "needs softhsm2"]
fn secure_unwrapping() {
    alone("strict::secure_unwrapping", |place| {
        let held = strict(&token(place));
        let (_, sealed, opened) = made(&held, &stays(OCT));
        let to_tee = |by, wrapped: &[u8], algorithm| {
            let permit = permit_for(stays(OCT).key);
            let recorded = audit().record(Event::SecureUnwrap, permit.digest());
            let binding = stays(OCT);
            let key = GuardingKey::new(&sealed, &binding)?;
            secure_unwrap(&held, key, (by, wrapped), permit, recorded, algorithm, &mut rng())
        };
        let (kwp, sha1) = (WrapAlgorithm::A256KwPad, Algorithm::CkmRsaAesKeyWrap);
        let wrapped = opened.wrap(kwp, &[8; 32]).unwrap();
        let unwrapped = to_tee(kwp, &wrapped, sha1).unwrap();
        assert_eq!(unwrap(sha1, tee(), unwrapped.ciphertext()).unwrap().expose(), [8; 32]);
        let short = opened.wrap(kwp, &[8; 16]).unwrap();
        for wrong in [short.as_slice(), &[0; 40]] {
            assert_eq!(to_tee(kwp, wrong, sha1).err(), Some(ReleaseError::Unwrap(CipherError::Refused)));
        }
        let refused = ReleaseError::Token(Fault::Unsupported(Ability::WrapOaep(Hash::Sha256)));
        assert_eq!(to_tee(kwp, &wrapped, Algorithm::RsaAesKeyWrap256).err(), Some(refused));
        let (public, ..) = made(&held, &stays(RSA));
        let refused = CipherError::Token(Fault::Unsupported(Ability::WrapOaep(Hash::Sha256)));
        assert_eq!(held.secure_wrap(&public, WrapAlgorithm::RsaOaep256), Err(refused));
    });
}
