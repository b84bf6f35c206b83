//! Keys that only TEEs see: made wrapped, unwrapped to who attests himself, and every other way refused and on record.

use skerry_audit::AuditError;
use skerry_identity::Permission;
use skerry_jose::b64;
use skerry_jose::json::Object;
use skerry_keys::{CipherError, EncryptAlgorithm, KeyType, RsaBits, WrapAlgorithm};
use skerry_keywrap::{Algorithm, unwrap};
use skerry_policy::permit::Denied;
use skerry_vault::command::{
    AttributesInput, Changes, KeyOp, Named, NewKey, Operation, PolicyInput, SecureUnwrapCommand,
};
use skerry_vault::decide;
use skerry_vault::record::Key;
use skerry_vault::uses::UsesError;
use skerry_vault::{Refusal, VaultKind};

use crate::operations::*;
use crate::support::*;

const RSA: KeyType = KeyType::Rsa { bits: RsaBits::B2048 };
const SECURE: [KeyOp; 2] = [KeyOp::SecureWrapKey, KeyOp::SecureUnwrapKey];
const OAEP: WrapAlgorithm = WrapAlgorithm::RsaOaep256;

fn hsm() -> Scene {
    Setup { kind: VaultKind::ManagedHsm, ..Setup::default() }.bare()
}

/// A key that wraps securely under [`policy`].
fn securing(key_type: KeyType) -> NewKey {
    let policy = Some(PolicyInput { data: policy().into_bytes(), immutable: None });
    let attributes = AttributesInput::default();
    NewKey { key_ops: Some(SECURE.to_vec()), attributes, policy, ..CreateCommand { key_type, ..create(KEY) }.to_new() }
}

impl Scene {
    fn secure_wrap(&self, algorithm: WrapAlgorithm) -> Result<(Key, Vec<u8>), Refusal> {
        let (grant, name) = (grant(Permission::WrapKey), name(KEY));
        let named = Named { name: &name, version: None };
        wait(self.vault.secure_wrap(&context(&grant, "wrap-1", NOW), named, algorithm))
    }

    /// What a TEE with this token gets.
    fn secure_unwrap(&self, algorithm: WrapAlgorithm, wrapped: &[u8], target: &str) -> Result<String, Refusal> {
        self.secure_unwrap_for(algorithm, wrapped, target, None)
    }

    fn secure_unwrap_for(
        &self,
        algorithm: WrapAlgorithm,
        wrapped: &[u8],
        target: &str,
        issuer: Option<&str>,
    ) -> Result<String, Refusal> {
        let (grant, name) = (grant(Permission::UnwrapKey), name(KEY));
        let key = Named { name: &name, version: None };
        let command = SecureUnwrapCommand { key, algorithm, wrapped, target, issuer, proof: false };
        let answer = wait(self.vault.secure_unwrap(&context(&grant, "unwrap-1", NOW), &command))?;
        assert_eq!(answer.proof, None, "nobody asked for it");
        Ok(answer.envelope)
    }

    /// The refusal, which is the last thing on record, as a denial of this token; nothing was unwrapped since.
    fn not_unwrapped(&self, wrapped: &[u8], target: &str) -> Refusal {
        let before = self.records().len();
        let refusal = self.secure_unwrap(OAEP, wrapped, target).unwrap_err();
        let records = self.records();
        assert_eq!(records.len(), before + 1, "one denial");
        let last = records.last().unwrap();
        assert_eq!((text(last, "event"), text(last, "verdict")), ("secure-unwrap-denied", "denied"));
        assert_eq!(text(last, "token"), hex::encode(sha256(target)));
        refusal
    }
}

/// What the TEE makes of it.
fn opened(envelope: &str) -> Vec<u8> {
    let envelope = object(envelope);
    let header = envelope.get("header").and_then(|header| header.as_object()).unwrap();
    assert_eq!((text(header, "kid"), text(header, "alg")), (TARGET_KID, "dir"));
    let algorithm = Algorithm::parse(text(header, "enc")).unwrap();
    let ciphertext = b64::decode(text(&envelope, "ciphertext")).unwrap();
    unwrap(algorithm, tee(), &ciphertext).unwrap().expose().to_vec()
}

/// RSA and symmetric keys wrap fresh keys, which come to the TEE as they were, and to the record first.
#[test]
fn tees_get_what_was_wrapped() {
    let kw = [WrapAlgorithm::A256Kw, WrapAlgorithm::A256KwPad, WrapAlgorithm::CkmAesKeyWrap];
    for (key_type, algorithms) in [(RSA, &[OAEP][..]), (OCT, &kw)] {
        let scene = hsm();
        scene.make_new(&securing(key_type)).unwrap();
        for algorithm in algorithms {
            let (key, wrapped) = scene.secure_wrap(*algorithm).unwrap();
            assert_eq!(key.version.key_ops, SECURE);
            assert_eq!(wrapped.len(), if key_type == RSA { 256 } else { 40 });
            let own = opened(&scene.secure_unwrap(*algorithm, &wrapped, &good_token()).unwrap());
            assert_eq!(own.len(), 32);
            let last = scene.records().pop().unwrap();
            assert_eq!((text(&last, "event"), text(&last, "verdict")), ("secure-unwrap", "permitted"));
            assert!(text(&last, "explanation").contains(&hex::encode(sha256(&wrapped))), "{}", last.to_json());
            assert_eq!(text(&last, "token"), hex::encode(sha256(good_token())));
            let again = scene.secure_unwrap_for(*algorithm, &wrapped, &good_token(), Some(ISSUER)).unwrap();
            assert_eq!(opened(&again), own, "the same key");
            let (_, other) = scene.secure_wrap(*algorithm).unwrap();
            assert_ne!(opened(&scene.secure_unwrap(*algorithm, &other, &good_token()).unwrap()), own, "a fresh key");
        }
    }
}

/// A token that is not believed, claims that do not meet the policy, another authority than the application trusts, a key that
/// is disabled: each is its own refusal, and on record.
#[test]
fn others_get_nothing() {
    let scene = hsm();
    scene.make_new(&securing(RSA)).unwrap();
    let (_, wrapped) = scene.secure_wrap(OAEP).unwrap();
    let other = token(&claims().with("x-ms-sevsnpvm-launchmeasurement", "00"));
    assert!(matches!(scene.not_unwrapped(&wrapped, &other), Refusal::Denied(Denied::Policy(_))));
    let foreign = token_of(other_signer(), &claims(), skerry_attestation_result::Provenance::Real);
    assert!(matches!(scene.not_unwrapped(&wrapped, &foreign), Refusal::Denied(Denied::Policy(_))));
    let simulated = token_of(signer(), &claims(), skerry_attestation_result::Provenance::Simulated);
    assert_eq!(scene.not_unwrapped(&wrapped, &simulated), Refusal::Denied(Denied::Simulated));
    let no_target = token(&claims().with("x-ms-runtime", Object::new()));
    assert!(matches!(scene.not_unwrapped(&wrapped, &no_target), Refusal::Denied(Denied::Target(_))));
    let mut unsigned = good_token();
    unsigned.truncate(unsigned.len() - 4);
    assert!(matches!(scene.not_unwrapped(&wrapped, &unsigned), Refusal::Token(_)));
    for asked in [OTHER_ISSUER, "", "attest.example", "https://attest.example.evil.example"] {
        let refused = scene.secure_unwrap_for(OAEP, &wrapped, &good_token(), Some(asked));
        assert_eq!(refused, Err(Refusal::OtherIssuer { asked: asked.into(), issuer: ISSUER.into() }));
        assert_eq!(text(&scene.records().pop().unwrap(), "event"), "secure-unwrap-denied");
    }
    scene.enable(KEY, false).unwrap();
    let disabled = Refusal::KeyDisabled { name: KEY.into(), operation: Operation::SecureUnwrapKey };
    assert_eq!(scene.not_unwrapped(&wrapped, &good_token()), disabled);
    scene.enable(KEY, true).unwrap();
    scene.update(KEY, &Changes { min_iat: Some(IAT + 1), ..Changes::default() }).unwrap();
    let revoked = Refusal::Denied(Denied::TokenRevoked { iat: IAT, min_iat: IAT + 1 });
    assert_eq!(scene.not_unwrapped(&wrapped, &good_token()), revoked);
    assert!(!scene.story().iter().any(|(event, _)| event == "secure-unwrap"), "nothing left");
}

/// What is wrapped has to open, under an algorithm of the list, and to be a key of 256 bits.
#[test]
fn only_what_was_wrapped_securely_is_unwrapped() {
    let scene = hsm();
    let key = scene.make_new(&securing(RSA)).unwrap();
    let (_, wrapped) = scene.secure_wrap(OAEP).unwrap();
    let mut flipped = wrapped.clone();
    flipped[100] ^= 1;
    let closed = Err(Refusal::Cipher(CipherError::Refused));
    assert_eq!(scene.secure_unwrap(OAEP, &flipped, &good_token()), closed);
    for len in [0, 16, 31, 33] {
        let other = skerry_keys::wrap(&key.version.public, OAEP, &vec![7; len]).unwrap();
        assert_eq!(scene.secure_unwrap(OAEP, &other, &good_token()), closed, "{len} octets");
    }
    let length = CipherError::Length { min: 256, max: 256, found: 255 };
    assert_eq!(scene.secure_unwrap(OAEP, &wrapped[1..], &good_token()), Err(Refusal::Cipher(length)));
    for weak in [WrapAlgorithm::Rsa15, WrapAlgorithm::RsaOaep, WrapAlgorithm::A256Kw] {
        let refused = Refusal::Cipher(CipherError::Algorithm { algorithm: weak.as_str(), key_type: Some(RSA) });
        assert_eq!(scene.secure_unwrap(weak, &wrapped, &good_token()), Err(refused.clone()), "{weak:?}");
        assert_eq!(scene.secure_wrap(weak).unwrap_err(), refused);
    }
    assert!(scene.secure_unwrap(OAEP, &wrapped, &good_token()).is_ok(), "the control");
}

/// A key that wraps securely does nothing else, is not released, and is not made to by a change; its policy changes like any
/// other, and is fixed like any other.
#[test]
fn keys_that_wrap_securely_do_nothing_else() {
    let scene = hsm();
    scene.make_new(&securing(RSA)).unwrap();
    let (_, wrapped) = scene.secure_wrap(OAEP).unwrap();
    let lacks = |operation| Refusal::OperationNotPermitted { name: KEY.into(), operation };
    let unwrapping = scene.unwrap_at(KEY, &Text::new(OAEP, &wrapped), NOW);
    assert_eq!(unwrapping, Err(lacks(Operation::UnwrapKey)));
    let decrypting = scene.decrypt_at(KEY, &Text::new(EncryptAlgorithm::RsaOaep256, &wrapped), NOW);
    assert_eq!(decrypting, Err(lacks(Operation::Decrypt)));
    assert_eq!(scene.release(&good_token()), Err(Refusal::NotExportable { name: KEY.into() }));
    let uses = |key_ops: &[KeyOp]| Changes { key_ops: Some(key_ops.to_vec()), ..Changes::default() };
    for key_ops in [&[KeyOp::UnwrapKey][..], &[KeyOp::SecureUnwrapKey, KeyOp::Decrypt], &[KeyOp::Export]] {
        assert_eq!(scene.update(KEY, &uses(key_ops)), Err(Refusal::Uses(UsesError::SecureNotAlone)), "{key_ops:?}");
    }
    scene.update(KEY, &uses(&[KeyOp::SecureWrapKey])).unwrap();
    assert_eq!(scene.not_unwrapped(&wrapped, &good_token()), lacks(Operation::SecureUnwrapKey));
    scene.update(KEY, &uses(&[])).unwrap();
    assert_eq!(scene.update(KEY, &uses(&[KeyOp::UnwrapKey])), Err(Refusal::Uses(UsesError::SecureNotAlone)));
    scene.update(KEY, &uses(&SECURE)).unwrap();
    let plain = NewKey { key_ops: Some(vec![KeyOp::UnwrapKey]), policy: None, ..securing(RSA) };
    assert_eq!(scene.make_new(&plain), Err(Refusal::Uses(UsesError::SecureNotAlone)), "a version of other use");
    let fixed = Changes {
        policy: Some(PolicyInput { data: policy().into_bytes(), immutable: Some(true) }),
        ..Changes::default()
    };
    scene.update(KEY, &fixed).unwrap();
    assert_eq!(scene.update(KEY, &fixed), Err(Refusal::PolicyImmutable));
    assert!(scene.secure_unwrap(OAEP, &wrapped, &good_token()).is_ok(), "the control");
    scene.make_new(&NewKey { name: name("plain"), ..plain }).unwrap();
    assert_eq!(scene.update("plain", &uses(&SECURE)), Err(Refusal::Uses(UsesError::NoSecureKey)));
}

/// Whatever a record says a key may do: one that wraps securely does nothing else, and no other does that.
#[test]
fn records_do_not_loosen_it() {
    let scene = hsm();
    let key = scene.make_new(&securing(RSA)).unwrap();
    let plain = NewKey { key_ops: None, policy: None, name: name("plain"), ..securing(RSA) };
    let plain = scene.make_new(&plain).unwrap();
    let all = |key: &Key| edited(key, |_, version| version.key_ops = KeyOp::ALL.to_vec());
    let usable = |key: &Key, operation| decide::usable(key, operation, NOW);
    let lacks = |name: &str, operation| Err(Refusal::OperationNotPermitted { name: name.into(), operation });
    for operation in [Operation::SecureWrapKey, Operation::SecureUnwrapKey] {
        assert_eq!(usable(&all(&key), operation), Ok(()));
        assert_eq!(usable(&all(&plain), operation), lacks("plain", operation));
    }
    for operation in [Operation::UnwrapKey, Operation::Decrypt, Operation::Sign, Operation::Encrypt, Operation::WrapKey]
    {
        assert_eq!(usable(&all(&key), operation), lacks(KEY, operation));
        assert_eq!(usable(&all(&plain), operation), Ok(()));
    }
}

/// Such keys are made in a Managed HSM, with a policy, and stay; nowhere else and in no other way.
#[test]
fn where_keys_wrap_securely() {
    let scene = hsm();
    let refused = |edit: fn(&mut NewKey)| {
        let mut new = securing(RSA);
        edit(&mut new);
        scene.make_new(&new).unwrap_err()
    };
    assert_eq!(refused(|new| new.policy = None), Refusal::Uses(UsesError::NoSecureKey));
    assert_eq!(refused(|new| new.attributes.exportable = Some(true)), Refusal::Uses(UsesError::NoSecureKey));
    assert_eq!(refused(|new| new.key_type = EC), Refusal::Uses(UsesError::NoSecureKey));
    assert_eq!(
        refused(|new| new.key_ops = Some(vec![KeyOp::SecureWrapKey, KeyOp::WrapKey])),
        Refusal::PolicyWithoutExportable
    );
    assert_eq!(refused(|new| new.key_ops = None), Refusal::PolicyWithoutExportable);
    let premium = Setup::default().bare();
    assert_eq!(premium.make_new(&securing(RSA)), Err(Refusal::PolicyWithoutExportable));
    let bare = NewKey { policy: None, ..securing(RSA) };
    assert_eq!(premium.make_new(&bare), Err(Refusal::Uses(UsesError::NoSecureKey)));
}

/// A rotated key wraps under its newest version; a backup comes back as it was. What was wrapped before opens under the version
/// it was wrapped under.
#[test]
fn keys_that_wrap_securely_are_kept_like_others() {
    let scene = hsm();
    scene.make_new(&securing(RSA)).unwrap();
    let (first, wrapped) = scene.secure_wrap(OAEP).unwrap();
    let blob = scene.backup(KEY).unwrap();
    scene.remove(KEY);
    let restored = scene.restore(&blob).unwrap();
    assert_eq!((restored.head.exportable, restored.head.policy.is_some()), (false, true));
    assert_eq!(restored.version.version, first.version.version);
    assert_eq!(opened(&scene.secure_unwrap(OAEP, &wrapped, &good_token()).unwrap()).len(), 32);
}

/// While nothing can be put on record, nothing is unwrapped.
#[test]
fn what_is_not_on_record_does_not_happen() {
    let log = skerry_audit::Limits { log_len_max: 8_000 };
    let scene = Setup { kind: VaultKind::ManagedHsm, log, ..Setup::default() }.bare();
    scene.make_new(&securing(OCT)).unwrap();
    let (_, wrapped) = scene.secure_wrap(WrapAlgorithm::A256Kw).unwrap();
    let mut attempts = (0..64).map(|_| scene.secure_unwrap(WrapAlgorithm::A256Kw, &wrapped, &good_token()));
    let full = attempts.find(Result::is_err);
    assert!(matches!(full, Some(Err(Refusal::Audit(AuditError::Full { .. })))), "{full:?}");
}
