//! Signing and verifying digests: against another author's RSA, against known ECDSA signatures, and every refusal.

use crate::fixtures::{binding, custody, key_ref, material, rng};
use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::{Sha256, Sha384, Sha512};
use rsa::traits::SignatureScheme;
use skerry_keys::{
    Binding, Curve, CustodyError, ImportKey, KeyType, MlDsa, OctBits, OpenError, OpenedKey, PublicKey, PublicKeyError,
    RsaBits, SealedMaterial, SignAlgorithm, SignError, VerifyError, verify,
};
use skerry_policy::permit::{KeyRef, Version};
use std::sync::OnceLock;
use zeroize::Zeroizing;

const RSA: KeyType = KeyType::Rsa { bits: RsaBits::B2048 };
const OCT: KeyType = KeyType::Oct { bits: OctBits::B256 };
const RSA_ALGORITHMS: [SignAlgorithm; 6] = [
    SignAlgorithm::Rs256,
    SignAlgorithm::Rs384,
    SignAlgorithm::Rs512,
    SignAlgorithm::Ps256,
    SignAlgorithm::Ps384,
    SignAlgorithm::Ps512,
];

/// Public half and record of one RSA key that all tests share, since making one takes long.
fn rsa_key() -> &'static (PublicKey, SealedMaterial) {
    static KEY: OnceLock<(PublicKey, SealedMaterial)> = OnceLock::new();
    KEY.get_or_init(|| custody().generate(binding(RSA), &mut rng()).unwrap())
}

/// The same key as another author reads it.
fn rsa_oracle() -> &'static rsa::PrivateKey {
    static KEY: OnceLock<rsa::PrivateKey> = OnceLock::new();
    KEY.get_or_init(|| rsa::PrivateKey::from_pkcs8_der(material(&rsa_key().1, &binding(RSA)).expose()).unwrap())
}

fn signer(key_type: KeyType) -> (PublicKey, OpenedKey) {
    let (public, sealed) = match key_type {
        RSA => rsa_key().clone(),
        other => custody().generate(binding(other), &mut rng()).unwrap(),
    };
    (public, custody().open_for_use(&sealed, &binding(key_type)).unwrap())
}

fn hash(algorithm: SignAlgorithm) -> &'static Algorithm {
    match algorithm.digest_len() {
        Some(32) => &SHA256,
        Some(48) => &SHA384,
        _ => &SHA512,
    }
}

fn digest_of(algorithm: SignAlgorithm, text: &[u8]) -> Vec<u8> {
    digest(hash(algorithm), text).as_ref().to_vec()
}

fn oracle_verifies(algorithm: SignAlgorithm, digest: &[u8], signature: &[u8]) -> bool {
    let key = rsa_oracle().as_ref();
    let verified = match algorithm {
        SignAlgorithm::Rs256 => key.pkcs1v15_verify_prehash::<Sha256>(digest, signature),
        SignAlgorithm::Rs384 => key.pkcs1v15_verify_prehash::<Sha384>(digest, signature),
        SignAlgorithm::Rs512 => key.pkcs1v15_verify_prehash::<Sha512>(digest, signature),
        SignAlgorithm::Ps256 => key.pss_verify_prehash::<Sha256>(digest, signature),
        SignAlgorithm::Ps384 => key.pss_verify_prehash::<Sha384>(digest, signature),
        _ => key.pss_verify_prehash::<Sha512>(digest, signature),
    };
    verified.is_ok()
}

fn oracle_signs(algorithm: SignAlgorithm, digest: &[u8]) -> Vec<u8> {
    let key = rsa_oracle();
    match algorithm {
        SignAlgorithm::Rs256 => key.pkcs1v15_sign_prehash::<Sha256>(digest),
        SignAlgorithm::Rs384 => key.pkcs1v15_sign_prehash::<Sha384>(digest),
        SignAlgorithm::Rs512 => key.pkcs1v15_sign_prehash::<Sha512>(digest),
        SignAlgorithm::Ps256 => key.pss_sign_prehash_with_rng::<Sha256, _>(&mut rng(), digest),
        SignAlgorithm::Ps384 => key.pss_sign_prehash_with_rng::<Sha384, _>(&mut rng(), digest),
        _ => key.pss_sign_prehash_with_rng::<Sha512, _>(&mut rng(), digest),
    }
    .unwrap()
}

#[test]
fn names_are_a_closed_list() {
    // Each algorithm has one name, spelt exactly; what is not on the list is not an algorithm.
    for algorithm in SignAlgorithm::ALL {
        assert_eq!(SignAlgorithm::parse(algorithm.as_str()), Some(algorithm));
    }
    for odd in ["", "none", "rs256", "RS256 ", "HS1", "hs256", "ECDSA256", "ES256k", "EdDSA"] {
        assert_eq!(SignAlgorithm::parse(odd), None, "{odd:?}");
    }
}

#[test]
fn algorithms_fit_their_types() {
    // RSA keys take the RSA algorithms of any hash, a curve and a parameter set take
    // their one, symmetric keys HMAC with any hash.
    for algorithm in SignAlgorithm::ALL {
        let fitting: Vec<KeyType> = KeyType::ALL.into_iter().filter(|key_type| algorithm.fits(*key_type)).collect();
        let expected: Vec<KeyType> = match algorithm {
            SignAlgorithm::Es256 => vec![KeyType::Ec { curve: Curve::P256 }],
            SignAlgorithm::Es384 => vec![KeyType::Ec { curve: Curve::P384 }],
            SignAlgorithm::Es512 => vec![KeyType::Ec { curve: Curve::P521 }],
            SignAlgorithm::Es256K => vec![KeyType::Ec { curve: Curve::P256K }],
            SignAlgorithm::Hs256 | SignAlgorithm::Hs384 | SignAlgorithm::Hs512 => {
                OctBits::ALL.into_iter().map(|bits| KeyType::Oct { bits }).collect()
            }
            SignAlgorithm::MlDsa44 => vec![KeyType::Akp { set: MlDsa::S44 }],
            SignAlgorithm::MlDsa65 => vec![KeyType::Akp { set: MlDsa::S65 }],
            SignAlgorithm::MlDsa87 => vec![KeyType::Akp { set: MlDsa::S87 }],
            _ => RsaBits::ALL.into_iter().map(|bits| KeyType::Rsa { bits }).collect(),
        };
        assert_eq!(fitting, expected, "{algorithm:?}");
    }
    assert_eq!(SignAlgorithm::RsNull.digest_len(), None);
}

#[test]
fn rsa_agrees_with_another_author() {
    // What is signed here verifies there, the salt as long as the hash; and the other way round.
    let (public, signer) = signer(RSA);
    assert_eq!(signer.key_type(), RSA);
    for algorithm in RSA_ALGORITHMS {
        let digest = digest_of(algorithm, b"message");
        let signature = signer.sign(algorithm, &digest, &mut rng()).unwrap();
        assert_eq!(signature.len(), 256);
        assert!(oracle_verifies(algorithm, &digest, &signature), "{algorithm:?}");
        assert_eq!(verify(&public, algorithm, &digest, &signature), Ok(true), "{algorithm:?}");
        let theirs = oracle_signs(algorithm, &digest);
        assert_eq!(verify(&public, algorithm, &digest, &theirs), Ok(true), "{algorithm:?}");
    }
}

#[test]
fn pss_with_another_salt_is_false() {
    // The salt is as long as the hash, neither shorter nor longer, though such signatures are signatures elsewhere.
    let digest = digest_of(SignAlgorithm::Ps256, b"message");
    for (salt, holds) in [(0, false), (20, false), (31, false), (32, true), (33, false), (64, false)] {
        let scheme = rsa::Pss::<Sha256>::new_with_salt(salt);
        let signature = scheme.sign(Some(&mut rng()), rsa_oracle(), &digest).unwrap();
        assert_eq!(verify(&rsa_key().0, SignAlgorithm::Ps256, &digest, &signature), Ok(holds), "{salt}");
    }
}

#[test]
fn signatures_have_the_length_of_their_key() {
    // As many octets as the modulus; for a curve twice its field, also when R or S begins with zero octets.
    for (bits, len) in [(RsaBits::B2048, 256), (RsaBits::B3072, 384)] {
        let (public, signer) = signer(KeyType::Rsa { bits });
        let digest = digest_of(SignAlgorithm::Ps512, b"message");
        let signature = signer.sign(SignAlgorithm::Ps512, &digest, &mut rng()).unwrap();
        assert_eq!(signature.len(), len);
        assert_eq!(verify(&public, SignAlgorithm::Ps512, &digest, &signature), Ok(true));
    }
    let curves = [
        (Curve::P256, SignAlgorithm::Es256, 64),
        (Curve::P256K, SignAlgorithm::Es256K, 64),
        (Curve::P384, SignAlgorithm::Es384, 96),
        (Curve::P521, SignAlgorithm::Es512, 132),
    ];
    for (curve, algorithm, len) in curves {
        let (public, signer) = signer(KeyType::Ec { curve });
        let digest = digest_of(algorithm, b"message");
        // One in 128 begins so: that none of 5000 does is not to be met.
        let short = (0..5000).map(|_| signer.sign(algorithm, &digest, &mut rng()).unwrap()).find(|signature| {
            assert_eq!(signature.len(), len);
            signature[0] == 0 || signature[len / 2] == 0
        });
        assert_eq!(verify(&public, algorithm, &digest, &short.unwrap()), Ok(true), "{curve:?}");
    }
}

/// RFC 6979, A.2.5 to A.2.7, message "sample" under the hash of the curve. The last is the key of A.2.5 as a scalar of
/// secp256k1, its signature made as RFC 6979 says by hand and confirmed by OpenSSL.
const KNOWN: [(SignAlgorithm, Curve, &str, &str, &str, &str); 4] = [
    (
        SignAlgorithm::Es256,
        Curve::P256,
        "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
        "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
        "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
         f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
    ),
    (
        SignAlgorithm::Es384,
        Curve::P384,
        "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5",
        "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13",
        "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720",
        "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46\
         99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
    ),
    (
        SignAlgorithm::Es512,
        Curve::P521,
        "00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75ca\
         a896eb32f1f47c70855836a6d16fcc1466f6d8fbec67db89ec0c08b0e996b83538",
        "01894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd37\
         1123d46e45db6b5d5370a7f20fb633155d38ffa16d2bd761dcac474b9a2f5023a4",
        "00493101c962cd4d2fddf782285e64584139c2f91b47f87ff82354d6630f746a28\
         a0db25741b5b34a828008b22acc23f924faafbd4d33f81ea66956dfeaa2bfdfcf5",
        "00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f17\
         4e25a1ee9017b5d450606add152b534931d7d4e8455cc91f9b15bf05ec36e377fa\
         00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af28\
         2623eaa63e5b5c0723d8b8c37ff0777b1a20f8ccb1dccc43997f1ee0e44da4a67a",
    ),
    (
        SignAlgorithm::Es256K,
        Curve::P256K,
        "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
        "2c8c31fc9f990c6b55e3865a184a4ce50e09481f2eaeb3e60ec1cea13a6ae645",
        "64b95e4fdb6948c0386e189b006a29f686769b011704275e4459822dc3328085",
        "432310e32cb80eb6503a26ce83cc165c783b870845fb8aad6d970889fcd7a6c8\
         530128b6b81c548874a6305d93ed071ca6e05074d85863d4056ce89b02bfab69",
    ),
];

fn octets(hex_text: &str) -> Vec<u8> {
    hex::decode(hex_text.replace(' ', "")).unwrap()
}

#[test]
fn known_ecdsa_signatures_verify() {
    // Signatures made elsewhere hold; those made here with the same imported key hold too.
    for (algorithm, curve, d, x, y, signature) in KNOWN {
        let (x, y) = (octets(x), octets(y));
        let public = PublicKey::Ec { curve, x: x.clone(), y: y.clone() };
        let digest = digest_of(algorithm, b"sample");
        assert_eq!(verify(&public, algorithm, &digest, &octets(signature)), Ok(true), "{curve:?}");
        let binding = binding(KeyType::Ec { curve });
        let key = ImportKey::Ec { curve, d: Zeroizing::new(octets(d)), x, y };
        let (imported, sealed) = custody().import(binding, &key, &mut rng()).unwrap();
        assert_eq!(imported, public);
        let signature = custody().sign(&sealed, &binding, algorithm, &digest, &mut rng()).unwrap();
        assert_eq!(verify(&public, algorithm, &digest, &signature), Ok(true), "{curve:?}");
    }
}

#[test]
fn every_bit_of_a_signature_and_digest_counts() {
    // One changed bit anywhere, and the signature does not hold.
    for (algorithm, curve, _, x, y, signature) in KNOWN {
        let public = PublicKey::Ec { curve, x: octets(x), y: octets(y) };
        let digest = digest_of(algorithm, b"sample");
        every_flip_is_false(&public, algorithm, &digest, &octets(signature));
    }
    let (public, signer) = signer(RSA);
    for algorithm in RSA_ALGORITHMS {
        let digest = digest_of(algorithm, b"sample");
        let signature = signer.sign(algorithm, &digest, &mut rng()).unwrap();
        every_flip_is_false(&public, algorithm, &digest, &signature);
    }
}

fn every_flip_is_false(public: &PublicKey, algorithm: SignAlgorithm, digest: &[u8], signature: &[u8]) {
    for bit in 0..signature.len() * 8 {
        let mut changed = signature.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verify(public, algorithm, digest, &changed), Ok(false), "{algorithm:?} signature bit {bit}");
    }
    for bit in 0..digest.len() * 8 {
        let mut changed = digest.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verify(public, algorithm, &changed, signature), Ok(false), "{algorithm:?} digest bit {bit}");
    }
}

#[test]
fn every_octet_of_a_key_counts() {
    // Under a changed modulus a signature is false or the key no longer one; a changed point is on no curve.
    let (public, signer) = signer(RSA);
    let PublicKey::Rsa { n, e } = public else { panic!("no rsa key") };
    let digest = digest_of(SignAlgorithm::Rs256, b"sample");
    let signature = signer.sign(SignAlgorithm::Rs256, &digest, &mut rng()).unwrap();
    for at in 1..n.len() - 1 {
        let mut n = n.clone();
        n[at] ^= 0x10;
        let changed = PublicKey::Rsa { n, e: e.clone() };
        assert_eq!(verify(&changed, SignAlgorithm::Rs256, &digest, &signature), Ok(false), "octet {at}");
    }
    let other = PublicKey::Rsa { n, e: vec![1, 0, 3] };
    assert_eq!(verify(&other, SignAlgorithm::Rs256, &digest, &signature), Ok(false));
    for (algorithm, curve, _, x, y, signature) in KNOWN {
        let (x, y) = (octets(x), octets(y));
        for at in 0..2 * curve.field_len() {
            let mut point = [x.clone(), y.clone()].concat();
            point[at] ^= 0x10;
            let (x, y) = point.split_at(curve.field_len());
            let changed = PublicKey::Ec { curve, x: x.to_vec(), y: y.to_vec() };
            let verdict = verify(&changed, algorithm, &digest_of(algorithm, b"sample"), &octets(signature));
            assert_eq!(verdict, Err(VerifyError::Refused), "{curve:?} octet {at}");
        }
    }
}

#[test]
fn signature_of_another_length_or_key_is_false() {
    // No length but one is right: never padded, cut, or taken for DER; and zeros are no signature.
    for (algorithm, curve, _, x, y, signature) in KNOWN {
        let public = PublicKey::Ec { curve, x: octets(x), y: octets(y) };
        let digest = digest_of(algorithm, b"sample");
        let whole = octets(signature);
        let (r, s) = whole.split_at(curve.field_len());
        let wider = [&[0], r, &[0], s].concat();
        let longer = [whole.as_slice(), &[0]].concat();
        let zero = vec![0; whole.len()];
        let zero_s = [r, &vec![0; s.len()]].concat();
        for odd in [&[][..], &whole[1..], &whole[..whole.len() - 1], &wider, &longer, &zero, &zero_s, r] {
            assert_eq!(verify(&public, algorithm, &digest, odd), Ok(false), "{curve:?} {} octets", odd.len());
        }
        let (other, _) = custody().generate(binding(KeyType::Ec { curve }), &mut rng()).unwrap();
        assert_eq!(verify(&other, algorithm, &digest, &whole), Ok(false), "{curve:?}");
    }
    let (public, signer) = signer(RSA);
    for algorithm in RSA_ALGORITHMS {
        let digest = digest_of(algorithm, b"sample");
        let whole = signer.sign(algorithm, &digest, &mut rng()).unwrap();
        let longer = [whole.as_slice(), &[0]].concat();
        let wider = [&[0], whole.as_slice()].concat();
        for odd in [&[][..], &whole[1..], &whole[..255], &longer, &wider, &[0; 256], &[0xff; 256]] {
            assert_eq!(verify(&public, algorithm, &digest, odd), Ok(false), "{algorithm:?} {} octets", odd.len());
        }
        for other in RSA_ALGORITHMS.into_iter().filter(|other| *other != algorithm) {
            let digest = digest_of(other, b"sample");
            assert_eq!(verify(&public, other, &digest, &whole), Ok(false), "{algorithm:?} as {other:?}");
        }
    }
}

#[test]
fn digest_of_another_length_is_refused() {
    // A digest is as long as its hash; a message, an empty text or another hash's digest is not signed.
    for key_type in [RSA].into_iter().chain(Curve::ALL.map(|curve| KeyType::Ec { curve })) {
        let (public, signer) = signer(key_type);
        for algorithm in SignAlgorithm::ALL {
            let Some(expected) = algorithm.digest_len().filter(|_| algorithm.fits(key_type)) else { continue };
            for found in [0, 1, 20, expected - 1, expected + 1, 65, 256].into_iter().filter(|len| *len != expected) {
                let digest = vec![1; found];
                let refused = SignError::DigestLength { algorithm, expected, found };
                assert_eq!(signer.sign(algorithm, &digest, &mut rng()).err(), Some(refused));
                let refused = VerifyError::DigestLength { algorithm, expected, found };
                assert_eq!(verify(&public, algorithm, &digest, &[]), Err(refused));
            }
        }
    }
}

#[test]
fn algorithm_of_another_type_is_refused() {
    // Neither signed nor verified, and not called a false signature either.
    for key_type in [RSA].into_iter().chain(Curve::ALL.map(|curve| KeyType::Ec { curve })) {
        let (public, signer) = signer(key_type);
        for algorithm in SignAlgorithm::ALL.into_iter().filter(|algorithm| !algorithm.fits(key_type)) {
            let digest = vec![1; algorithm.digest_len().unwrap_or(32)];
            let refused = SignError::Algorithm { algorithm, key_type };
            assert_eq!(signer.sign(algorithm, &digest, &mut rng()).err(), Some(refused));
            let refused = VerifyError::Algorithm { algorithm, key_type: Some(key_type) };
            assert_eq!(verify(&public, algorithm, &digest, &[]), Err(refused));
        }
    }
    for algorithm in SignAlgorithm::ALL {
        let refused = VerifyError::Algorithm { algorithm, key_type: None };
        assert_eq!(verify(&PublicKey::Oct, algorithm, &[1; 32], &[]), Err(refused));
    }
}

#[test]
fn rsnull_signs_octets_as_they_are() {
    // Another author makes the same signature of octets without a DigestInfo, whatever their length; too many are refused.
    let (public, signer) = signer(RSA);
    let algorithm = SignAlgorithm::RsNull;
    let sealed = &rsa_key().1;
    let oracle = rsa::PrivateKey::from_pkcs8_der(material(sealed, &binding(RSA)).expose()).unwrap();
    for len in [0, 1, 32, 51, 245] {
        let octets = vec![7; len];
        let signature = signer.sign(algorithm, &octets, &mut rng()).unwrap();
        assert_eq!(signature, oracle.sign(rsa::Pkcs1v15Sign::new_unprefixed(), &octets).unwrap(), "{len} octets");
        assert_eq!(verify(&public, algorithm, &octets, &signature), Ok(true));
        assert_eq!(verify(&public, algorithm, b"other", &signature), Ok(false));
        assert_eq!(verify(&public, algorithm, &octets, &signature[1..]), Ok(false));
    }
    for found in [246, 256, 300] {
        let octets = vec![7; found];
        assert_eq!(signer.sign(algorithm, &octets, &mut rng()).err(), Some(SignError::MessageLength { found }));
        assert_eq!(verify(&public, algorithm, &octets, &[1; 256]), Err(VerifyError::MessageLength { found }));
    }
    // With the DigestInfo of SHA-256 (RFC 8017, 9.2, note 1) it is RS256.
    let info = [hex::decode("3031300d060960864801650304020105000420").unwrap(), vec![7; 32]].concat();
    let signature = signer.sign(algorithm, &info, &mut rng()).unwrap();
    assert_eq!(verify(&public, SignAlgorithm::Rs256, &[7; 32], &signature), Ok(true));
}

#[test]
fn key_opens_under_its_binding_alone() {
    // A record of another key, type or KEK is not opened for use.
    let sealed = &rsa_key().1;
    let refused = |binding: Binding| custody().open_for_use(sealed, &binding).err();
    let integrity = Some(OpenError::Custody(CustodyError::Integrity));
    let other = KeyRef { version: Version([9; 16]), ..key_ref() };
    assert_eq!(refused(Binding { key: other, ..binding(RSA) }), integrity);
    assert_eq!(refused(Binding { exportable: false, ..binding(RSA) }), integrity);
    assert_eq!(refused(binding(KeyType::Ec { curve: Curve::P256 })), integrity);
    assert_eq!(refused(binding(OCT)), integrity);
    let other_kek = skerry_keys::Software::new(Zeroizing::new([0x77; 32]), [1; 16]);
    let refused = other_kek.sign(sealed, &binding(RSA), SignAlgorithm::Rs256, &[1; 32], &mut rng());
    let kek = crate::fixtures::KEK_ID;
    assert_eq!(refused.err(), Some(SignError::Open(OpenError::Custody(CustodyError::OtherKek { kek }))));
}

#[test]
fn key_that_may_not_leave_signs() {
    // Signing gives no material out, so exportable or not is the same to it.
    let binding = Binding { exportable: false, ..binding(KeyType::Ec { curve: Curve::P256 }) };
    let (public, sealed) = custody().generate(binding, &mut rng()).unwrap();
    let signature = custody().sign(&sealed, &binding, SignAlgorithm::Es256, &[1; 32], &mut rng()).unwrap();
    assert_eq!(verify(&public, SignAlgorithm::Es256, &[1; 32], &signature), Ok(true));
}

#[test]
fn key_that_is_not_canonical_is_refused() {
    // Nothing is verified under a key that custody would not have made.
    let refused = |public: PublicKey, algorithm| verify(&public, algorithm, &[1; 32], &[1; 256]).unwrap_err();
    let PublicKey::Rsa { n, e } = rsa_key().0.clone() else { panic!("no rsa key") };
    let small = PublicKey::Rsa { n: n[..128].to_vec(), e: e.clone() };
    assert_eq!(refused(small, SignAlgorithm::Rs256), VerifyError::Key(PublicKeyError::RsaSize { len: 128 }));
    let low = PublicKey::Rsa { n, e: vec![3] };
    assert_eq!(refused(low, SignAlgorithm::Rs256), VerifyError::Key(PublicKeyError::RsaExponent { len: 1 }));
    let short = PublicKey::Ec { curve: Curve::P256, x: vec![1; 31], y: vec![1; 32] };
    let expected = VerifyError::Key(PublicKeyError::EcLength { component: "x", len: 31 });
    assert_eq!(refused(short, SignAlgorithm::Es256), expected);
}

/// Keys 00 01 02 ... and digests ff fe fd ..., signed by Python's hmac: no test case of RFC 4231 has such lengths.
const HMAC_KNOWN: [(OctBits, SignAlgorithm, &str); 5] = [
    (OctBits::B128, SignAlgorithm::Hs256, "d698a40d686ee838ae5b9c3053005f2d9e313ae88e292e537c2cd27d5c93758c"),
    (OctBits::B192, SignAlgorithm::Hs256, "600481cf29d3a3c5415d35cf06ff53c6ad726a494dc590687c33a28e91c4a9c8"),
    (OctBits::B256, SignAlgorithm::Hs256, "e859e9ccf8c926d30dbdd7e9f1a1256dd2ba046b67bef092a70347167be574fd"),
    (
        OctBits::B256,
        SignAlgorithm::Hs384,
        "d73cfcd5f3f2b4553214eda0a75d8924144eec9d5ea311def6ee815c8953286b3632a6f708ba5c1376c3b365c49d91df",
    ),
    (
        OctBits::B256,
        SignAlgorithm::Hs512,
        "3f396e57b5e4f0fac2a927be1b334b8b389f88ae42554c2a9b01d6f8698ad0b5\
         eec6a74b0271a343aa8a47c04913853a81b208082e34a513aa8998ea4d9a6827",
    ),
];

fn hmac_key(bits: OctBits) -> OpenedKey {
    let binding = binding(KeyType::Oct { bits });
    let k = Zeroizing::new((0..32).take(bits.bits() / 8).collect());
    let (_, sealed) = custody().import(binding, &ImportKey::Oct { k }, &mut rng()).unwrap();
    custody().open_for_use(&sealed, &binding).unwrap()
}

fn hmac_digest(algorithm: SignAlgorithm) -> Vec<u8> {
    (0..=255).rev().take(algorithm.digest_len().unwrap()).collect()
}

#[test]
fn hmac_agrees_with_another_author() {
    // Of each hash and each size of key; a signature verifies under the key that made it, and repeats.
    for (bits, algorithm, expected) in HMAC_KNOWN {
        let (key, digest) = (hmac_key(bits), hmac_digest(algorithm));
        let signature = key.sign(algorithm, &digest, &mut rng()).unwrap();
        assert_eq!(hex::encode(&signature), expected, "{bits:?} {algorithm:?}");
        assert_eq!(key.verify(algorithm, &digest, &signature), Ok(true));
    }
}

#[test]
fn every_bit_of_an_hmac_counts() {
    // Changed, cut or longer, of another key, hash or digest, it is false.
    for (bits, algorithm, signature) in HMAC_KNOWN {
        let (key, digest, signature) = (hmac_key(bits), hmac_digest(algorithm), octets(signature));
        for bit in 0..signature.len() * 8 {
            let (mut changed, mut other) = (signature.clone(), digest.clone());
            changed[bit / 8] ^= 1 << (bit % 8);
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.verify(algorithm, &digest, &changed), Ok(false), "{algorithm:?} bit {bit}");
            assert_eq!(key.verify(algorithm, &other, &signature), Ok(false), "{algorithm:?} digest bit {bit}");
        }
        let longer = [signature.as_slice(), &[0]].concat();
        for odd in [&[][..], &signature[1..], &signature[..signature.len() - 1], &signature[..16], &longer] {
            assert_eq!(key.verify(algorithm, &digest, odd), Ok(false), "{algorithm:?} {} octets", odd.len());
        }
        for other in OctBits::ALL.into_iter().filter(|other| *other != bits) {
            assert_eq!(hmac_key(other).verify(algorithm, &digest, &signature), Ok(false), "{bits:?} {other:?}");
        }
    }
}

#[test]
fn hmac_refusals_are_told_apart() {
    // A digest of another length, an algorithm of another type, an opened key asked for what its public half suffices
    // for.
    let key = hmac_key(OctBits::B256);
    for algorithm in [SignAlgorithm::Hs256, SignAlgorithm::Hs384, SignAlgorithm::Hs512] {
        let expected = algorithm.digest_len().unwrap();
        for found in [0, 1, expected - 1, expected + 1, 65] {
            let refused = SignError::DigestLength { algorithm, expected, found };
            assert_eq!(key.sign(algorithm, &vec![1; found], &mut rng()), Err(refused));
            let refused = VerifyError::DigestLength { algorithm, expected, found };
            assert_eq!(key.verify(algorithm, &vec![1; found], &[]), Err(refused));
        }
    }
    for algorithm in SignAlgorithm::ALL.into_iter().filter(|algorithm| !algorithm.fits(OCT)) {
        let refused = SignError::Algorithm { algorithm, key_type: OCT };
        assert_eq!(key.sign(algorithm, &[1; 32], &mut rng()), Err(refused));
        let refused = VerifyError::Algorithm { algorithm, key_type: Some(OCT) };
        assert_eq!(key.verify(algorithm, &[1; 32], &[]), Err(refused));
    }
    let (_, key) = signer(RSA);
    for algorithm in SignAlgorithm::ALL {
        let refused = match algorithm.fits(RSA) {
            true => VerifyError::PublicHalf { algorithm },
            false => VerifyError::Algorithm { algorithm, key_type: Some(RSA) },
        };
        assert_eq!(key.verify(algorithm, &[1; 32], &[]), Err(refused));
    }
}

#[test]
fn threads_share_an_opened_key() {
    // An opened key is kept once and used by all threads.
    let (public, signer) = signer(KeyType::Ec { curve: Curve::P256 });
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (public, signer) = (&public, &signer);
            scope.spawn(move || {
                let digest = [number; 32];
                let signature = signer.sign(SignAlgorithm::Es256, &digest, &mut rng()).unwrap();
                assert_eq!(verify(public, SignAlgorithm::Es256, &digest, &signature), Ok(true));
            });
        }
    });
}
