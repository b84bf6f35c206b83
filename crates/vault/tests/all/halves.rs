//! The two halves of a release, which a bench puts a record between: they release what is on record here, and nothing else.
#![allow(clippy::disallowed_methods, reason = "they are what is tested")]

use skerry_audit::Recorded;
use skerry_identity::Permission;
use skerry_keys::ReleaseError;
use skerry_vault::{Decided, Refusal, ReleaseAnswer};

use crate::support::*;

fn decided(scene: &Scene, token: &str) -> Decided {
    wait(scene.vault.danger_decide(&context(&grant(Permission::Release), "release-1", NOW), &command(token))).unwrap()
}

/// What one decision wants on record, on record in another's log or its own.
fn recorded(of: &Decided, log: &Scene) -> Recorded {
    log.installation.log().record(&of.entry(&context(&grant(Permission::Release), "release-1", NOW))).unwrap()
}

fn carried_out(scene: &Scene, token: &str, decided: Decided, recorded: Recorded) -> Result<ReleaseAnswer, Refusal> {
    let grant = grant(Permission::Release);
    wait(scene.vault.danger_carry_out(&context(&grant, "release-1", NOW), &command(token), decided, recorded))
}

/// With its own record between them the halves are a release.
#[test]
fn halves_are_a_release() {
    let (scene, token) = (Scene::new(), good_token());
    let before = scene.records().len();
    let decided = decided(&scene, &token);
    assert_eq!(scene.records().len(), before, "the first half puts nothing on record that is permitted");
    let recorded = recorded(&decided, &scene);
    let answer = carried_out(&scene, &token, decided, recorded).unwrap();
    let release = scene.verify(&answer.value, &asked(&token)).unwrap();
    assert!(!release.unwrap(tee()).unwrap().expose().is_empty());
}

/// The record of one release is of no use to another, though both are on record.
#[test]
fn another_s_record_releases_nothing() {
    let scene = Scene::new();
    let (token, other) = (good_token(), token(&claims().with("another", "one")));
    assert_ne!(token, other);
    let (one, another) = (decided(&scene, &token), decided(&scene, &other));
    let recorded = recorded(&another, &scene);
    let refused = carried_out(&scene, &token, one, recorded);
    assert_eq!(refused.err(), Some(Refusal::Release(ReleaseError::NotRecorded)));
}

/// A record in another installation's log, of this very permit, is none here.
#[test]
fn another_log_s_record_releases_nothing() {
    let (scene, elsewhere, token) = (Scene::new(), Scene::new(), good_token());
    let decided = decided(&scene, &token);
    let recorded = recorded(&decided, &elsewhere);
    let refused = carried_out(&scene, &token, decided, recorded);
    assert_eq!(refused.err(), Some(Refusal::Release(ReleaseError::NotRecorded)));
}

/// A denial is on record when the first half says so.
#[test]
fn first_half_records_a_denial() {
    let (scene, token) = (Scene::new(), token(&claims().with("x-ms-attestation-type", "sgx")));
    let before = scene.records().len();
    let grant = grant(Permission::Release);
    let refused = wait(scene.vault.danger_decide(&context(&grant, "release-1", NOW), &command(&token)));
    assert!(refused.err().is_some_and(|refusal| refusal.is_denial()));
    assert_eq!(scene.records().len(), before + 1);
}
