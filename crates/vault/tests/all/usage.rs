//! Uses of keys, denials past a budget and refusals at the door: on record one by one, or counted, and never unsaid.

use skerry_audit::{Entry, Event, Verdict};
use skerry_identity::Permission;
use skerry_keys::{EncryptAlgorithm, SignAlgorithm, WrapAlgorithm};
use skerry_tlog::{CheckpointError, NoteError, SignedCheckpoint, SigningKey};
use skerry_vault::command::{CipherCommand, KeyOp, Named, SignCommand, VerifyCommand};
use skerry_vault::{Refusal, WitnessError, origin};

use crate::support::*;

fn all(scene: &Scene) -> Vec<Entry> {
    skerry_audit::read(scene.folder()).unwrap().map(|record| record.unwrap().entry().unwrap()).collect()
}

fn of(scene: &Scene, events: &[Event]) -> Vec<Entry> {
    all(scene).into_iter().filter(|entry| events.contains(&entry.event)).collect()
}

/// Every use is on record with who, key, version and request, those that were refused with the reason; what is refused before
/// a key is used is none.
#[test]
fn uses_are_on_record() {
    let scene = Setup::default().scene();
    let key_ops = vec![KeyOp::Encrypt, KeyOp::WrapKey, KeyOp::UnwrapKey];
    let sealing = CreateCommand { key_type: OCT, key_ops, exportable: false, policy: None, ..create("sealing") };
    let key = scene.make(&sealing).unwrap();
    let (sealing, signing) = (name("sealing"), name(KEY));
    let named = |name| Named { name, version: None };
    let digest = [7; 32];
    let at = |permission, id: &'static str| (grant(permission), id);
    let (sign, verify) = (at(Permission::Sign, "sign-1"), at(Permission::Verify, "verify-1"));
    let command = SignCommand { key: named(&signing), algorithm: SignAlgorithm::Es256, digest: &digest };
    let signature = wait(scene.vault.sign(&context(&sign.0, sign.1, NOW), &command)).unwrap().value;
    let command =
        VerifyCommand { key: named(&signing), algorithm: SignAlgorithm::Es256, digest: &digest, signature: &signature };
    assert_eq!(wait(scene.vault.verify(&context(&verify.0, verify.1, NOW), &command)), Ok(true));
    let text =
        |algorithm, text| CipherCommand { key: named(&sealing), algorithm, text, iv: None, aad: None, tag: None };
    let wrap = at(Permission::WrapKey, "wrap-1");
    let wrapped = wait(scene.vault.wrap(&context(&wrap.0, wrap.1, NOW), &text(WrapAlgorithm::A256Kw, &digest)));
    let wrapped = wrapped.unwrap().1;
    for (id, octets, good) in [("unwrap-1", wrapped.as_slice(), true), ("unwrap-2", &[0; 40], false)] {
        let unwrap = at(Permission::UnwrapKey, id);
        let context = context(&unwrap.0, unwrap.1, NOW);
        assert_eq!(wait(scene.vault.unwrap(&context, &text(WrapAlgorithm::A256Kw, octets))).is_ok(), good);
    }
    let encrypt = at(Permission::Encrypt, "encrypt-1");
    let command = CipherCommand {
        key: Named { name: &name("nothing"), version: None },
        algorithm: EncryptAlgorithm::A256Gcm,
        text: &digest,
        iv: None,
        aad: None,
        tag: None,
    };
    let missing = wait(scene.vault.encrypt(&context(&encrypt.0, encrypt.1, NOW), &command));
    assert!(matches!(missing, Err(Refusal::KeyNotFound { .. })));
    scene.installation.stop();
    let uses = [Event::Sign, Event::Verify, Event::WrapKey, Event::UnwrapKey, Event::Encrypt, Event::UsesLost];
    let found = of(&scene, &uses);
    let said: Vec<_> = found.iter().map(|entry| (entry.event, entry.verdict, entry.request.as_str())).collect();
    assert_eq!(
        said,
        [
            (Event::Sign, Verdict::Permitted, "sign-1"),
            (Event::Verify, Verdict::Permitted, "verify-1"),
            (Event::WrapKey, Verdict::Permitted, "wrap-1"),
            (Event::UnwrapKey, Verdict::Permitted, "unwrap-1"),
            (Event::UnwrapKey, Verdict::Denied, "unwrap-2"),
        ]
    );
    assert!(found.iter().all(|entry| entry.who == CALLER && entry.vault == Some(VAULT_ID) && entry.at == at_now()));
    assert_eq!((found[2].key, found[2].version), (Some(key.head.id), Some(key.version.version.0)));
    assert!(!found[4].explanation.is_empty());
}

fn at_now() -> std::time::SystemTime {
    crate::support::at(NOW)
}

/// Denials of one caller are on record one by one until his budget is spent, and counted from then on; the count is on record
/// with the next tick, and nothing is released meanwhile.
#[test]
fn denials_past_the_budget_are_counted() {
    let scene = Setup::default().scene();
    let most = usize::try_from(skerry_vault::limits::DENIALS_AT_ONCE).unwrap();
    for _ in 0..most + 7 {
        assert!(matches!(scene.release("nonsense"), Err(Refusal::Token(_))));
    }
    assert_eq!(of(&scene, &[Event::ReleaseDenied]).len(), most);
    assert!(scene.release(&good_token()).is_ok(), "a release is no denial");
    wait(scene.installation.tick(at_now(), &randomness)).unwrap();
    let counted = of(&scene, &[Event::DenialsCounted]);
    assert_eq!(counted.len(), 1);
    assert_eq!(counted[0].who, CALLER);
    assert!(counted[0].explanation.starts_with("7 denials"));
    wait(scene.installation.tick(at_now(), &randomness)).unwrap();
    assert_eq!(of(&scene, &[Event::DenialsCounted]).len(), 1, "counted once");
}

/// What is refused at the door is counted by status, and on record with the next tick if there was any.
#[test]
fn refusals_at_the_door_are_counted() {
    let scene = Setup::default().bare();
    wait(scene.installation.tick(at_now(), &randomness)).unwrap();
    assert_eq!(of(&scene, &[Event::RefusalsCounted]), []);
    [401, 404, 404, 403, 200].into_iter().for_each(|status| scene.vault.count_refused(status));
    wait(scene.installation.tick(at_now(), &randomness)).unwrap();
    wait(scene.installation.tick(at_now(), &randomness)).unwrap();
    let counted = of(&scene, &[Event::RefusalsCounted]);
    assert_eq!(counted.len(), 1);
    assert!(counted[0].explanation.starts_with("1 requests without a good token (401), 2 for"));
}

/// Another node's checkpoint is on record in this log as it was signed; what is known is not put there again, and what is not
/// another node's, or contradicts what was seen, is refused.
#[test]
fn other_nodes_are_witnessed() {
    let (scene, other) = (Setup::default().scene(), Setup::default().scene());
    let foreign = Setup { root: [0x78; 32], ..Setup::default() }.scene();
    let witness = |note: &str| wait(scene.installation.witness(note.as_bytes(), at_now()));
    let note = |scene: &Scene| scene.installation.log_checkpoint().unwrap().note().to_owned();
    let (early, own) = (note(&other), note(&scene));
    assert_eq!(witness(&own), Err(WitnessError::Own));
    let other_key = CheckpointError::Note(NoteError::OtherKey);
    assert_eq!(witness(&note(&foreign)), Err(WitnessError::Checkpoint(other_key)), "of another root");
    let no_note = CheckpointError::Note(NoteError::NoSignatures);
    assert_eq!(witness("nonsense"), Err(WitnessError::Checkpoint(no_note)));
    let public = SignedCheckpoint::sign(&SigningKey::from_seed("log.example/one", &[7; 32]).unwrap(), 1, [0; 32]);
    let foreign = WitnessError::Foreign { origin: "log.example/one".to_owned() };
    assert_eq!(witness(public.note()), Err(foreign));
    let place = witness(&early).unwrap().unwrap();
    assert_eq!(place.index() + 1, scene.installation.log().head().unwrap().records);
    assert_eq!(witness(&early), Ok(None), "it is known");
    assert!(other.release(&good_token()).is_ok());
    let late = note(&other);
    assert!(witness(&late).unwrap().is_some());
    let id = other.installation.log().head().unwrap().log;
    let (known, found) = (late.lines().nth(1).unwrap(), early.lines().nth(1).unwrap());
    let behind =
        WitnessError::Behind { origin: origin(&id), known: known.parse().unwrap(), found: found.parse().unwrap() };
    assert_eq!(witness(&early), Err(behind.clone()));
    let seen = of(&scene, &[Event::Witnessed]);
    let said: Vec<_> = seen.iter().map(|entry| (entry.who.as_str(), entry.explanation.as_str())).collect();
    let (origin, refused) = (origin(&id), format!("{behind}\n{early}"));
    let [first, second, third] = [early.as_str(), late.as_str(), refused.as_str()].map(|said| (origin.as_str(), said));
    assert_eq!(said, [first, second, third]);
}
