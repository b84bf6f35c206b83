//! Encrypting and wrapping: every algorithm with every type of key, the states that forbid it, what is refused alike, and
//! opened keys that are kept in memory.

use skerry_keys::{
    CipherError, Curve, CustodyError, EncryptAlgorithm, KeyType, MlDsa, OctBits, OpenError, Parameter, PublicKey,
    RsaBits, WrapAlgorithm,
};
use skerry_policy::permit::Version;
use skerry_vault::Refusal;
use skerry_vault::command::{AttributesInput, Changes, KeyOp, Operation};
use skerry_vault::record::Key;

use crate::operations::*;
use crate::support::*;

const SECRET: &[u8; 32] = b"a text of two blocks, thirty-two";
const IV: [u8; 16] = [0x1e; 16];
const RSA: KeyType = KeyType::Rsa { bits: RsaBits::B2048 };
const TYPES: [KeyType; 6] = [
    RSA,
    KeyType::Oct { bits: OctBits::B128 },
    KeyType::Oct { bits: OctBits::B192 },
    KeyType::Oct { bits: OctBits::B256 },
    KeyType::Ec { curve: Curve::P256 },
    KeyType::Akp { set: MlDsa::S44 },
];
const OPS: [KeyOp; 4] = [KeyOp::Encrypt, KeyOp::Decrypt, KeyOp::WrapKey, KeyOp::UnwrapKey];

/// A key that may do all this, whether its type can or not.
fn make(scene: &Scene, key: &str, key_type: KeyType) -> Key {
    let command = CreateCommand { key_type, key_ops: OPS.to_vec(), exportable: false, policy: None, ..create(key) };
    scene.make(&command).unwrap()
}

fn is_gcm(algorithm: EncryptAlgorithm) -> bool {
    algorithm.as_str().ends_with("GCM")
}

fn is_cbc(algorithm: EncryptAlgorithm) -> bool {
    algorithm.as_str().contains("CBC")
}

/// What is encrypted so, with what this algorithm takes beside the text.
fn text(algorithm: EncryptAlgorithm) -> Text<'static, EncryptAlgorithm> {
    let aad: Option<&[u8]> = is_gcm(algorithm).then_some(b"beside");
    let iv = is_cbc(algorithm).then_some(IV.as_slice());
    Text { iv, aad, ..Text::new(algorithm, SECRET) }
}

/// The refusal of an algorithm for a key that it does not fit.
fn unfit(algorithm: &'static str, key_type: KeyType) -> Refusal {
    let size = algorithm.strip_prefix('A').and_then(|rest| rest.get(..3)).and_then(|bits| bits.parse().ok());
    Refusal::Cipher(match (key_type, size.and_then(OctBits::from_bits)) {
        (KeyType::Oct { bits: found }, Some(expected)) => CipherError::KeySize { algorithm, expected, found },
        _ => CipherError::Algorithm { algorithm, key_type: Some(key_type) },
    })
}

/// Every encryption algorithm with every type of key: what fits comes back, under the key that is named in the answer;
/// what does not is refused both ways with its reason.
#[test]
fn every_encryption_with_every_type() {
    let scene = Setup::default().bare();
    for (index, key_type) in TYPES.into_iter().enumerate() {
        let name = format!("key-{index}");
        let key = make(&scene, &name, key_type);
        for algorithm in EncryptAlgorithm::ALL {
            let given = text(algorithm);
            if !algorithm.fits(key_type) {
                let refused = unfit(algorithm.as_str(), key_type);
                assert_eq!(scene.encrypt_at(&name, &given, NOW).err(), Some(refused.clone()), "{key_type:?}");
                assert_eq!(scene.decrypt_at(&name, &given, NOW).err(), Some(refused), "{key_type:?}");
                continue;
            }
            let (used, encrypted) = scene.encrypt_at(&name, &given, NOW).unwrap();
            let (iv, tag) = (encrypted.iv.as_deref(), encrypted.tag.as_deref());
            assert_eq!(used, key);
            assert_ne!(encrypted.ciphertext, SECRET);
            let expected = if is_gcm(algorithm) { (Some(12), Some(16)) } else { (given.iv.map(<[u8]>::len), None) };
            assert_eq!((iv.map(<[u8]>::len), tag.map(<[u8]>::len)), expected, "{algorithm:?}");
            let back = Text { text: &encrypted.ciphertext, iv, tag, ..given };
            assert_eq!(scene.decrypt_at(&name, &back, NOW).as_deref(), Ok(SECRET.as_slice()), "{algorithm:?}");
        }
    }
    assert_eq!(scene.story(), made("key-created", TYPES.len()), "what is encrypted is not on record so far");
}

/// Every wrapping algorithm with every type of key, likewise.
#[test]
fn every_wrapping_with_every_type() {
    let scene = Setup::default().bare();
    for (index, key_type) in TYPES.into_iter().enumerate() {
        let name = format!("key-{index}");
        let key = make(&scene, &name, key_type);
        for algorithm in WrapAlgorithm::ALL {
            let given = Text::new(algorithm, SECRET);
            if !algorithm.fits(key_type) {
                let refused = unfit(algorithm.as_str(), key_type);
                assert_eq!(scene.wrap_at(&name, &given, NOW).err(), Some(refused.clone()), "{key_type:?}");
                assert_eq!(scene.unwrap_at(&name, &given, NOW).err(), Some(refused), "{key_type:?}");
                continue;
            }
            let (used, wrapped) = scene.wrap_at(&name, &given, NOW).unwrap();
            assert_eq!((used, wrapped.len()), (key.clone(), if key_type == RSA { 256 } else { 40 }), "{algorithm:?}");
            let back = Text::new(algorithm, &wrapped);
            assert_eq!(scene.unwrap_at(&name, &back, NOW).as_deref(), Ok(SECRET.as_slice()), "{algorithm:?}");
        }
    }
}

/// RSA encrypts and wraps with the public half that the vault shows: what anybody encrypts under it the vault decrypts,
/// and material that does not open is not looked at.
#[test]
fn rsa_needs_its_public_half_alone() {
    let scene = Setup::default().bare();
    let key = make(&scene, KEY, RSA);
    assert!(matches!(key.version.public, PublicKey::Rsa { .. }));
    let own = skerry_keys::encrypt(&key.version.public, EncryptAlgorithm::RsaOaep256, SECRET, None, None).unwrap();
    let back = Text::new(EncryptAlgorithm::RsaOaep256, &own.ciphertext);
    assert_eq!(scene.decrypt_at(KEY, &back, NOW).as_deref(), Ok(SECRET.as_slice()));
    let own = skerry_keys::wrap(&key.version.public, WrapAlgorithm::RsaOaep, SECRET).unwrap();
    assert_eq!(scene.unwrap_at(KEY, &Text::new(WrapAlgorithm::RsaOaep, &own), NOW).as_deref(), Ok(SECRET.as_slice()));
    swap_material(&scene, KEY);
    let encrypted = scene.encrypt_at(KEY, &Text::new(EncryptAlgorithm::RsaOaep256, SECRET), NOW);
    assert!(encrypted.is_ok());
    assert!(scene.wrap_at(KEY, &Text::new(WrapAlgorithm::RsaOaep256, SECRET), NOW).is_ok());
    let refused = Refusal::Open(OpenError::Custody(CustodyError::Integrity));
    assert_eq!(scene.decrypt_at(KEY, &back, NOW).err(), Some(refused), "the control");
}

/// Gives a key's newest version the material of another key, which does not open there.
fn swap_material(scene: &Scene, key: &str) {
    let other = make(scene, "other-material", OCT);
    let material = other.version.material.clone();
    let swapped = edited(&scene.key(key), |head, version| {
        head.versions.last_mut().unwrap().material = material.digest();
        version.material = material;
    });
    crate::database::write(&scene.store, &swapped);
}

/// An iv that is given to GCM is never used: each text has another, and the one that was given is not in the answer. That
/// of CBC is the caller's, and used.
#[test]
fn given_iv_is_not_used_for_gcm() {
    let scene = Setup::default().bare();
    make(&scene, KEY, OCT);
    let mut seen = std::collections::BTreeSet::new();
    for iv in [None, Some([0x1e; 12].as_slice()), Some(&[0x1e; 12]), Some(&[1; 3]), Some(&[])] {
        let given = Text { iv, ..Text::new(EncryptAlgorithm::A256Gcm, SECRET) };
        let (_, encrypted) = scene.encrypt_at(KEY, &given, NOW).unwrap();
        let used = encrypted.iv.unwrap();
        assert!(used.len() == 12 && Some(used.as_slice()) != iv);
        assert!(seen.insert(used));
    }
    let given = Text { iv: Some(&IV), ..Text::new(EncryptAlgorithm::A256CbcPad, SECRET) };
    let [one, two] = [(); 2].map(|()| scene.encrypt_at(KEY, &given, NOW).unwrap().1);
    assert_eq!((one.iv.as_deref(), &one), (Some(IV.as_slice()), &two), "the control");
}

/// Whatever is wrong with a ciphertext of the right form, the refusal is one and the same: it is no oracle.
#[test]
fn bad_ciphertexts_are_refused_alike() {
    let scene = Setup::default().bare();
    make(&scene, "oct", OCT);
    make(&scene, "rsa", RSA);
    let refused = Some(Refusal::Cipher(CipherError::Refused));
    let gcm = text(EncryptAlgorithm::A256Gcm);
    let good = scene.encrypt_at("oct", &gcm, NOW).unwrap().1;
    let (iv, tag) = (good.iv.clone().unwrap(), good.tag.clone().unwrap());
    let whole = Text { text: &good.ciphertext, iv: Some(&iv), tag: Some(&tag), ..gcm };
    let flip = |octets: &[u8], at: usize| {
        let mut octets = octets.to_vec();
        octets[at] ^= 1;
        octets
    };
    let (text_1, iv_1, tag_1) = (flip(&good.ciphertext, 0), flip(&iv, 11), flip(&tag, 15));
    for bad in [
        Text { text: &text_1, ..whole },
        Text { text: &good.ciphertext[1..], ..whole },
        Text { text: &[], ..whole },
        Text { iv: Some(&iv_1), ..whole },
        Text { tag: Some(&tag_1), ..whole },
        Text { aad: None, ..whole },
        Text { aad: Some(b"besides"), ..whole },
    ] {
        assert_eq!(scene.decrypt_at("oct", &bad, NOW).err(), refused);
    }
    assert!(scene.decrypt_at("oct", &whole, NOW).is_ok(), "the control");

    let pad = text(EncryptAlgorithm::A256CbcPad);
    let good = scene.encrypt_at("oct", &pad, NOW).unwrap().1.ciphertext;
    let last = good.len() - 17;
    for bad in [flip(&good, last), good[..16].to_vec()] {
        assert_eq!(scene.decrypt_at("oct", &Text { text: &bad, ..pad }, NOW).err(), refused);
    }

    for algorithm in [EncryptAlgorithm::Rsa15, EncryptAlgorithm::RsaOaep, EncryptAlgorithm::RsaOaep256] {
        let good = scene.encrypt_at("rsa", &Text::new(algorithm, SECRET), NOW).unwrap().1.ciphertext;
        for bad in [flip(&good, 255), flip(&good, 0), vec![0; 256], vec![0xff; 256]] {
            assert_eq!(scene.decrypt_at("rsa", &Text::new(algorithm, &bad), NOW).err(), refused, "{algorithm:?}");
        }
        for other in [EncryptAlgorithm::RsaOaep, EncryptAlgorithm::RsaOaep256] {
            let decrypted = scene.decrypt_at("rsa", &Text::new(other, &good), NOW);
            assert_eq!(decrypted.err(), refused.clone().filter(|_| other != algorithm), "{algorithm:?} {other:?}");
        }
    }

    for algorithm in [WrapAlgorithm::A256Kw, WrapAlgorithm::A256KwPad, WrapAlgorithm::CkmAesKeyWrap] {
        let good = scene.wrap_at("oct", &Text::new(algorithm, SECRET), NOW).unwrap().1;
        for at in 0..good.len() {
            let bad = flip(&good, at);
            assert_eq!(scene.unwrap_at("oct", &Text::new(algorithm, &bad), NOW).err(), refused, "{algorithm:?} {at}");
        }
        assert_eq!(scene.unwrap_at("oct", &Text::new(algorithm, &good[..32]), NOW).err(), refused);
    }
}

/// What is missing, of another length or has no place in an algorithm is said, before any secret has a part in it.
#[test]
fn forms_are_refused_by_their_reason() {
    let scene = Setup::default().bare();
    make(&scene, "oct", OCT);
    make(&scene, "rsa", RSA);
    let refused = |error| Some(Refusal::Cipher(error));
    let gcm = Text { iv: Some(&IV[..12]), tag: Some(&IV), ..Text::new(EncryptAlgorithm::A256Gcm, SECRET) };
    for (bad, error) in [
        (Text { iv: None, ..gcm }, CipherError::Missing { parameter: Parameter::Iv }),
        (Text { tag: None, ..gcm }, CipherError::Missing { parameter: Parameter::Tag }),
        (
            Text { iv: Some(&IV), ..gcm },
            CipherError::ParameterLength { parameter: Parameter::Iv, expected: 12, found: 16 },
        ),
        (
            Text { tag: Some(&IV[..15]), ..gcm },
            CipherError::ParameterLength { parameter: Parameter::Tag, expected: 16, found: 15 },
        ),
    ] {
        assert_eq!(scene.decrypt_at("oct", &bad, NOW).err(), refused(error));
    }
    let unexpected = |parameter| refused(CipherError::Unexpected { parameter });
    let cbc = text(EncryptAlgorithm::A256Cbc);
    let tagged = Text { tag: Some(&IV), ..gcm };
    assert_eq!(scene.encrypt_at("oct", &tagged, NOW).err(), unexpected(Parameter::Tag));
    assert_eq!(scene.encrypt_at("oct", &Text { aad: Some(&[]), ..cbc }, NOW).err(), unexpected(Parameter::Aad));
    assert_eq!(
        scene.encrypt_at("oct", &Text { iv: None, ..cbc }, NOW).err(),
        refused(CipherError::Missing { parameter: Parameter::Iv })
    );
    let multiple = CipherError::Multiple { of: 16, found: 31 };
    assert_eq!(scene.encrypt_at("oct", &Text { text: &SECRET[..31], ..cbc }, NOW).err(), refused(multiple));
    let rsa = Text::new(EncryptAlgorithm::RsaOaep, SECRET.as_slice());
    assert_eq!(scene.encrypt_at("rsa", &Text { iv: Some(&IV), ..rsa }, NOW).err(), unexpected(Parameter::Iv));
    assert_eq!(scene.encrypt_at("rsa", &Text { tag: Some(&IV), ..rsa }, NOW).err(), unexpected(Parameter::Tag));
    let long = CipherError::Length { min: 0, max: 214, found: 215 };
    assert_eq!(scene.encrypt_at("rsa", &Text { text: &[1; 215], ..rsa }, NOW).err(), refused(long));
    assert!(scene.encrypt_at("rsa", &Text { text: &[1; 214], ..rsa }, NOW).is_ok());
    let short = CipherError::Length { min: 256, max: 256, found: 32 };
    assert_eq!(scene.decrypt_at("rsa", &rsa, NOW).err(), refused(short));
    for (key, algorithm) in [("oct", WrapAlgorithm::A256Kw), ("rsa", WrapAlgorithm::RsaOaep)] {
        let key_text = Text::new(algorithm, SECRET.as_slice());
        for (bad, parameter) in [
            (Text { iv: Some(&IV), ..key_text }, Parameter::Iv),
            (Text { aad: Some(&IV), ..key_text }, Parameter::Aad),
            (Text { tag: Some(&IV), ..key_text }, Parameter::Tag),
        ] {
            assert_eq!(scene.wrap_at(key, &bad, NOW).err(), unexpected(parameter));
            assert_eq!(scene.unwrap_at(key, &bad, NOW).err(), unexpected(parameter));
        }
    }
}

type Do = fn(&Scene, u64) -> Result<(), Refusal>;

/// Each operation on a symmetric key, with a text that it takes.
const OPERATIONS: [(Operation, KeyOp, Do); 4] = [
    (Operation::Encrypt, KeyOp::Encrypt, |scene, now| {
        scene.encrypt_at(KEY, &text(EncryptAlgorithm::A256Cbc), now).map(drop)
    }),
    (Operation::Decrypt, KeyOp::Decrypt, |scene, now| {
        scene.decrypt_at(KEY, &text(EncryptAlgorithm::A256Cbc), now).map(drop)
    }),
    (Operation::WrapKey, KeyOp::WrapKey, |scene, now| {
        scene.wrap_at(KEY, &Text::new(WrapAlgorithm::A256Kw, SECRET), now).map(drop)
    }),
    (Operation::UnwrapKey, KeyOp::UnwrapKey, |scene, now| {
        // RFC 3394, 4.6, under a key that is brought in.
        let wrapped = hex::decode("28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21");
        scene.unwrap_at(KEY, &Text::new(WrapAlgorithm::A256Kw, &wrapped.unwrap()), now).map(drop)
    }),
];

/// The states of a version (key-vault spec 2.5): disabled it does nothing; outside of its time it neither encrypts nor
/// wraps, and still decrypts and unwraps; and each operation has a key_op of its own.
#[test]
fn states_of_a_version() {
    let scene = Setup::default().bare();
    let command = CreateCommand { key_type: OCT, key_ops: OPS.to_vec(), ..create(KEY) };
    scene
        .import(&command, &hex::decode("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f").unwrap())
        .unwrap();
    let (not_before, expires) = (NOW + 10, NOW + 20);
    let times = AttributesInput { not_before: Some(not_before), expires: Some(expires), ..AttributesInput::default() };
    scene.update(KEY, &Changes { attributes: times, ..Changes::default() }).unwrap();
    let name = || KEY.to_owned();
    for (operation, _, run) in OPERATIONS {
        let bounded = matches!(operation, Operation::Encrypt | Operation::WrapKey);
        for now in [NOW, NOW + 9, NOW + 10, NOW + 19, NOW + 20, NOW + 21] {
            let expected = match now {
                _ if !bounded => Ok(()),
                now if now < not_before => Err(Refusal::KeyNotYetValid { name: name(), operation, not_before, now }),
                now if now >= expires => Err(Refusal::KeyExpired { name: name(), operation, expires, now }),
                _ => Ok(()),
            };
            assert_eq!(run(&scene, now), expected, "{operation:?} {now}");
        }
    }
    let now = NOW + 15;
    for allowed in OPS {
        let ops = Changes { key_ops: Some(vec![allowed, KeyOp::Export]), ..Changes::default() };
        scene.update(KEY, &ops).unwrap();
        for (operation, needed, run) in OPERATIONS {
            let expected = match needed == allowed {
                true => Ok(()),
                false => Err(Refusal::OperationNotPermitted { name: name(), operation }),
            };
            assert_eq!(run(&scene, now), expected, "{operation:?} where {allowed:?}");
        }
    }
    let all = Changes { key_ops: Some(OPS.to_vec()), ..enabled_is(false) };
    scene.update(KEY, &all).unwrap();
    for (operation, _, run) in OPERATIONS {
        assert_eq!(run(&scene, now), Err(Refusal::KeyDisabled { name: name(), operation }));
    }
    scene.enable(KEY, true).unwrap();
    scene.delete(KEY).unwrap();
    for (_, _, run) in OPERATIONS {
        assert_eq!(run(&scene, now), Err(Refusal::KeyNotFound { name: name() }));
    }
    scene.recover(KEY).unwrap();
    for (operation, _, run) in OPERATIONS {
        assert_eq!(run(&scene, now), Ok(()), "{operation:?}");
    }
}

/// Without a version the newest encrypts and is named; a version that is named decrypts what it encrypted, and no other.
#[test]
fn version_that_decrypts() {
    let scene = Setup::default().bare();
    let (old, new) = (make(&scene, KEY, OCT), make(&scene, KEY, OCT));
    let gcm = text(EncryptAlgorithm::A256Gcm);
    let (used, encrypted) = scene.encrypt_at(KEY, &gcm, NOW).unwrap();
    assert_eq!(used, new);
    let back = |version| {
        let (iv, tag) = (encrypted.iv.as_deref(), encrypted.tag.as_deref());
        scene.decrypt_at(KEY, &Text { text: &encrypted.ciphertext, iv, tag, version, ..gcm }, NOW)
    };
    assert_eq!(back(None).as_deref(), Ok(SECRET.as_slice()));
    assert_eq!(back(Some(new.version.version)).as_deref(), Ok(SECRET.as_slice()));
    assert_eq!(back(Some(old.version.version)), Err(Refusal::Cipher(CipherError::Refused)));
    let missing = Refusal::VersionNotFound { name: KEY.into(), version: Version([3; 16]).to_string() };
    assert_eq!(back(Some(Version([3; 16]))), Err(missing));
}

/// An opened key is not used for records that are not those it was opened under, whatever operation opened it: after the
/// key was disabled, deleted or replaced it is opened anew. Seen by putting material there that does not open.
#[test]
fn opened_key_goes_with_the_right_to_use_it() {
    type Way = (&'static str, fn(&Scene));
    let ways: [Way; 3] = [
        ("replaced", |_| {}),
        ("disabled", |scene| {
            scene.enable(KEY, false).unwrap();
            scene.enable(KEY, true).unwrap();
        }),
        ("deleted", |scene| {
            scene.delete(KEY).unwrap();
            scene.recover(KEY).unwrap();
        }),
    ];
    for (way, back) in ways {
        let scene = Setup::default().bare();
        make(&scene, KEY, OCT);
        let encrypt = || scene.encrypt_at(KEY, &text(EncryptAlgorithm::A256Gcm), NOW).map(drop);
        let unwrap = || scene.unwrap_at(KEY, &Text::new(WrapAlgorithm::A256Kw, &[7; 40]), NOW).map(drop);
        assert_eq!((encrypt(), unwrap()), (Ok(()), Err(Refusal::Cipher(CipherError::Refused))));
        back(&scene);
        assert_eq!(encrypt(), Ok(()), "the control");
        swap_material(&scene, KEY);
        let refused = Err(Refusal::Open(OpenError::Custody(CustodyError::Integrity)));
        assert_eq!((encrypt(), unwrap()), (refused.clone(), refused), "{way}");
    }
}
