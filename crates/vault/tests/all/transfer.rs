//! Keys that come wrapped to a key of the vault: what they are wrapped to, what becomes of them, and every refusal.

use skerry_identity::Permission;
use skerry_keys::{
    Curve, EncryptAlgorithm, Family, KeyType, OctBits, PublicKey, RsaBits, SignAlgorithm, TransferError,
};
use skerry_keywrap::{Algorithm, Plaintext, TargetKey, wrap};
use skerry_policy::permit::Version;
use skerry_vault::command::{AttributesInput, Changes, Claimed, KeyOp, NewKey, Operation, PolicyInput};
use skerry_vault::command::{TransferCommand, Untyped};
use skerry_vault::record::Key;
use skerry_vault::uses::UsesError;
use skerry_vault::{Refusal, VaultKind};
use zeroize::Zeroizing;

use crate::operations::*;
use crate::support::*;

const RSA: KeyType = KeyType::Rsa { bits: RsaBits::B2048 };
const K: [u8; 32] = [0x4b; 32];

fn plain_new(key: &str, key_type: KeyType, key_ops: &[KeyOp]) -> NewKey {
    NewKey {
        key_ops: Some(key_ops.to_vec()),
        attributes: AttributesInput::default(),
        policy: None,
        ..CreateCommand { key_type, ..create(key) }.to_new()
    }
}

fn importing(key: &str) -> NewKey {
    plain_new(key, RSA, &[KeyOp::Import])
}

/// What a tool elsewhere makes for this key of the vault.
fn wrapped_to(kek: &Key, octets: &[u8]) -> Vec<u8> {
    let PublicKey::Rsa { n, e } = &kek.version.public else { panic!("not RSA") };
    let target = TargetKey::from_components(n, e).unwrap();
    let plain = Plaintext::new(Zeroizing::new(octets.to_vec()));
    wrap(Algorithm::CkmRsaAesKeyWrap, &target, &plain, &mut *randomness()).unwrap()
}

/// A request to bring in `octets`, wrapped to this key, as a symmetric one named `brought`.
fn transfer(kek: &Key, octets: &[u8]) -> TransferCommand {
    TransferCommand {
        new: Untyped {
            name: name("brought"),
            hsm: true,
            key_ops: None,
            attributes: AttributesInput::default(),
            tags: None,
            policy: None,
        },
        family: Family::Oct,
        claimed: Claimed::default(),
        kek: (kek.head.name.clone(), kek.version.version),
        wrapped: wrapped_to(kek, octets),
    }
}

impl Scene {
    fn transfer(&self, command: TransferCommand) -> Result<Key, Refusal> {
        self.transfer_at(command, NOW)
    }

    fn transfer_at(&self, command: TransferCommand, secs: u64) -> Result<Key, Refusal> {
        let grant = grant(Permission::Import);
        wait(self.vault.import_wrapped(&context(&grant, "import-1", secs), command))
    }
}

/// In both kinds of vault a wrapped key becomes one that works, under a type that it shows, and the log says so.
#[test]
fn wrapped_keys_become_keys() {
    for kind in [VaultKind::Premium, VaultKind::ManagedHsm] {
        let scene = Setup { kind, ..Setup::default() }.bare();
        let kek = scene.make_new(&importing("kek")).unwrap();
        assert_eq!(kek.version.key_ops, [KeyOp::Import]);
        let key = scene.transfer(transfer(&kek, &K)).unwrap();
        assert_eq!((key.version.key_type, key.version.hsm), (KeyType::Oct { bits: OctBits::B256 }, true));
        assert_eq!(key.version.key_ops, KeyOp::defaults(key.version.key_type));
        let text = Text { iv: Some(&[0; 16]), ..Text::new(EncryptAlgorithm::A256Cbc, &[0; 16]) };
        let encrypted = scene.encrypt_at("brought", &text, NOW).unwrap().1;
        let own = scene.import(&CreateCommand { key_ops: vec![KeyOp::Encrypt], ..oct("same") }, &K).unwrap();
        assert_eq!(own.version.key_type, key.version.key_type);
        assert_eq!(scene.encrypt_at("same", &text, NOW).unwrap().1, encrypted, "the very key that was wrapped");
        let story = scene.story();
        assert_eq!(story.iter().filter(|(event, _)| event == "key-imported").count(), 4, "{story:?}");
        let again = scene.transfer(transfer(&kek, &K)).unwrap();
        assert_eq!((again.head.id, again.head.versions.len()), (key.head.id, 2), "a new version");
    }
}

fn oct(key: &str) -> CreateCommand<'_> {
    CreateCommand { key_type: OCT, exportable: false, policy: None, ..create(key) }
}

/// An EC key in PKCS#8 signs, and agrees with the public half that came along, or is refused.
#[test]
fn what_is_said_of_the_key_has_to_hold() {
    let scene = Setup::default().bare();
    let kek = scene.make_new(&importing("kek")).unwrap();
    let pair = aws_lc_rs::signature::EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING);
    let pair = pair.unwrap();
    let point = aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref()[1..].to_vec();
    let (x, y) = point.split_at(32);
    let pkcs8 = pair.to_pkcs8v1().unwrap();
    let ec = |claimed| TransferCommand { family: Family::Ec, claimed, ..transfer(&kek, pkcs8.as_ref()) };
    let whole = Claimed { curve: Some(Curve::P256), x: Some(x.into()), y: Some(y.into()), ..Claimed::default() };
    for wrong in [
        Claimed { curve: Some(Curve::P384), ..whole.clone() },
        Claimed { x: Some(y.into()), ..whole.clone() },
        Claimed { y: Some(x.into()), ..whole.clone() },
        Claimed { n: Some(x.into()), ..whole.clone() },
    ] {
        assert_eq!(scene.transfer(ec(wrong)), Err(Refusal::Transfer(TransferError::Refused)));
    }
    assert!(!scene.has("brought"));
    for right in [Claimed::default(), whole] {
        let key = scene.transfer(ec(right)).unwrap();
        assert_eq!(key.version.key_type, EC);
        let signature = scene.sign_at("brought", None, SignAlgorithm::Es256, &DIGEST, NOW).unwrap();
        assert_eq!(scene.check("brought", &signature.value), Ok(true));
    }
}

/// An imported key obeys the rules of all keys: exportable needs a policy, and is released under it.
#[test]
fn wrapped_keys_obey_the_rules() {
    let scene = Setup::default().bare();
    let kek = scene.make_new(&importing("kek")).unwrap();
    let with = |edit: fn(&mut Untyped)| {
        let mut command = transfer(&kek, &K);
        edit(&mut command.new);
        scene.transfer(command)
    };
    assert_eq!(with(|new| new.attributes.exportable = Some(true)), Err(Refusal::ExportableWithoutPolicy));
    let data = || policy().into_bytes();
    assert_eq!(
        with(|new| new.policy = Some(PolicyInput { data: policy().into_bytes(), immutable: None })),
        Err(Refusal::PolicyWithoutExportable)
    );
    assert_eq!(with(|new| new.hsm = false), Err(Refusal::SoftwareOct));
    for key_ops in [vec![KeyOp::Import], vec![KeyOp::Import, KeyOp::Sign]] {
        let mut command = transfer(&kek, &K);
        command.new.key_ops = Some(key_ops);
        assert_eq!(scene.transfer(command), Err(Refusal::Uses(UsesError::NoTransferKey)));
    }
    assert_eq!(
        with(|new| new.key_ops = Some(vec![KeyOp::SecureUnwrapKey])),
        Err(Refusal::Uses(UsesError::NoSecureKey))
    );
    let mut command = transfer(&kek, &K);
    command.new.name = name(KEY);
    command.new.attributes.exportable = Some(true);
    command.new.policy = Some(PolicyInput { data: data(), immutable: None });
    scene.transfer(command).unwrap();
    let answer = scene.release(&good_token()).unwrap();
    let released = scene.verify(&answer.value, &asked(&good_token())).unwrap();
    assert_eq!(released.unwrap(tee()).unwrap().expose(), K);
}

/// A blob goes by a key that is for that, enabled, valid and here, in the version that is named; everything else is one
/// refusal.
#[test]
fn other_keys_take_nothing_in() {
    let scene = Setup::default().bare();
    let kek = scene.make_new(&importing("kek")).unwrap();
    let plain = scene.make_new(&plain_new("plain", RSA, &[KeyOp::Decrypt, KeyOp::UnwrapKey])).unwrap();
    assert_eq!(scene.transfer(transfer(&plain, &K)), Err(Refusal::TransferKey));
    let named = |key: &str, version| TransferCommand { kek: (name(key), version), ..transfer(&kek, &K) };
    for (key, version) in [("none", kek.version.version), ("kek", Version([0; 16])), ("kek", plain.version.version)] {
        assert_eq!(scene.transfer(named(key, version)), Err(Refusal::TransferKey), "{key}");
    }
    let validity = |not_before, expires| {
        let attributes = AttributesInput { not_before, expires, ..AttributesInput::default() };
        scene.update("kek", &Changes { attributes, ..Changes::default() }).unwrap();
    };
    validity(Some(NOW), Some(NOW + 10));
    assert_eq!(scene.transfer_at(transfer(&kek, &K), NOW - 1), Err(Refusal::TransferKey));
    assert_eq!(scene.transfer_at(transfer(&kek, &K), NOW + 10), Err(Refusal::TransferKey));
    scene.enable("kek", false).unwrap();
    assert_eq!(scene.transfer(transfer(&kek, &K)), Err(Refusal::TransferKey));
    scene.enable("kek", true).unwrap();
    scene.delete("kek").unwrap();
    assert_eq!(scene.transfer(transfer(&kek, &K)), Err(Refusal::TransferKey));
    scene.recover("kek").unwrap();
    assert!(scene.transfer(transfer(&kek, &K)).is_ok(), "the control");
}

/// A blob that was altered, or made for another version, is one refusal, and nothing is made.
#[test]
fn altered_blobs_are_refused() {
    let scene = Setup::default().bare();
    let kek = scene.make_new(&importing("kek")).unwrap();
    let newer = scene.make_new(&importing("kek")).unwrap();
    let good = transfer(&kek, &K);
    let cut = good.wrapped[..good.wrapped.len() - 8].to_vec();
    let flipped = |at: usize| {
        let mut wrapped = good.wrapped.clone();
        wrapped[at] ^= 1;
        wrapped
    };
    let blobs = [flipped(0), flipped(255), flipped(256), flipped(280), cut, vec![], wrapped_to(&newer, &K)];
    for wrapped in blobs {
        let command = TransferCommand { wrapped, ..good.clone() };
        assert_eq!(scene.transfer(command), Err(Refusal::Transfer(TransferError::Refused)));
    }
    assert!(!scene.has("brought"));
    assert!(scene.transfer(good).is_ok(), "the control");
}

/// A key that takes others in does nothing else, from its making on: no other operation beside it, none after it, no export,
/// no release; and other keys do not become one.
#[test]
fn keys_that_import_do_nothing_else() {
    let scene = Setup::default().bare();
    let refused = |new: &NewKey| scene.make_new(new).unwrap_err();
    for key_ops in [&[KeyOp::Import, KeyOp::Decrypt][..], &[KeyOp::UnwrapKey, KeyOp::Import]] {
        assert_eq!(refused(&plain_new("kek", RSA, key_ops)), Refusal::Uses(UsesError::ImportNotAlone));
    }
    for new in [
        NewKey { hsm: false, ..importing("kek") },
        plain_new("kek", EC, &[KeyOp::Import]),
        NewKey { key_ops: Some(vec![KeyOp::Import]), ..CreateCommand { key_type: RSA, ..create("kek") }.to_new() },
    ] {
        assert_eq!(refused(&new), Refusal::Uses(UsesError::NoTransferKey));
    }
    let kek = scene.make_new(&importing("kek")).unwrap();
    let uses = |key_ops: &[KeyOp]| Changes { key_ops: Some(key_ops.to_vec()), ..Changes::default() };
    for key_ops in [&[KeyOp::Decrypt][..], &[KeyOp::Import, KeyOp::Decrypt], &[]] {
        assert_eq!(scene.update("kek", &uses(key_ops)), Err(Refusal::Uses(UsesError::ImportFixed)), "{key_ops:?}");
    }
    assert!(scene.update("kek", &uses(&[KeyOp::Import])).is_ok(), "as it is");
    let blob = wrapped_to(&kek, &K);
    let text = Text::new(EncryptAlgorithm::RsaOaep, &blob[..256]);
    let lacks = |operation| Refusal::OperationNotPermitted { name: "kek".into(), operation };
    assert_eq!(scene.decrypt_at("kek", &text, NOW), Err(lacks(Operation::Decrypt)));
    assert_eq!(scene.encrypt_at("kek", &text, NOW).unwrap_err(), lacks(Operation::Encrypt));
    assert_eq!(scene.sign_at("kek", None, SignAlgorithm::Rs256, &DIGEST, NOW).unwrap_err(), lacks(Operation::Sign));
    assert_eq!(scene.release_key("kek", &good_token()), Err(Refusal::NotExportable { name: "kek".into() }));
    scene.create("other", EC);
    assert_eq!(scene.update("other", &uses(&[KeyOp::Import])), Err(Refusal::Uses(UsesError::ImportFixed)));
    let imported = scene.import(&CreateCommand { key_ops: vec![KeyOp::Import], ..oct("in") }, &K);
    assert_eq!(imported, Err(Refusal::Uses(UsesError::NoTransferKey)));
}
