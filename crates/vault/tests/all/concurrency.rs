//! Many callers at once.

use std::collections::BTreeSet;
use std::thread;

use skerry_policy::permit::Denied;
use skerry_vault::Refusal;
use skerry_vault::command::ReleaseCommand;

use crate::support::*;

const THREADS: usize = 16;
const ROUNDS: usize = 8;
/// The log begins with the start of the service.
const FIRST: u64 = 1;

/// Sixteen threads, half of them released to and half denied: every answer holds, every denial is the right one, and each
/// has a record of its own.
#[test]
fn releases_and_denials_side_by_side() {
    let scene = Scene::new();
    let wrong = token(&claims().with("x-ms-attestation-type", "tdxvm"));
    let leaves: Vec<u64> = thread::scope(|scope| {
        let worker = |number: usize| {
            let (scene, wrong) = (&scene, &wrong);
            move || if number.is_multiple_of(2) { released(scene, number) } else { denied(scene, wrong) }
        };
        let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(worker(number))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let unique: BTreeSet<_> = leaves.iter().collect();
    assert_eq!((leaves.len(), unique.len()), (THREADS / 2 * ROUNDS, THREADS / 2 * ROUNDS));
    let records = scene.records();
    let verdicts = |wanted: &str| records.iter().filter(|record| text(record, "verdict") == wanted).count();
    assert_eq!((verdicts("permitted"), verdicts("denied")), (THREADS / 2 * ROUNDS, THREADS / 2 * ROUNDS));
    for leaf in leaves {
        assert_eq!(text(&records[usize::try_from(leaf).unwrap()], "event"), "release");
    }
}

/// Half of the threads share one token, the others bring their own each time.
fn released(scene: &Scene, number: usize) -> Vec<u64> {
    let round = |round: usize| {
        let shared = number.is_multiple_of(4);
        let token = if shared { good_token() } else { token(&claims().with("n", format!("{number}-{round}"))) };
        let nonce = format!("{number}-{round}");
        let answer = scene.answer(&ReleaseCommand { nonce: Some(&nonce), ..command(&token) }).unwrap();
        let asked = skerry_client::Asked { nonce: Some(&nonce), ..asked(&token) };
        let release = scene.verify(&answer.value, &asked).unwrap();
        assert!(release.unwrap(tee()).is_ok());
        release.receipt().audit_index - FIRST
    };
    (0..ROUNDS).map(round).collect()
}

fn denied(scene: &Scene, wrong: &str) -> Vec<u64> {
    for _ in 0..ROUNDS {
        assert!(matches!(scene.release(wrong).unwrap_err(), Refusal::Denied(Denied::Policy(_))));
    }
    Vec::new()
}

/// Many who make a key of one name at once make as many versions of one key; none is lost.
#[test]
fn many_make_versions_of_one_key() {
    let scene = Setup::default().bare();
    let made: BTreeSet<[u8; 16]> = thread::scope(|scope| {
        let make = || scene.make(&create(KEY)).unwrap().version.version.0;
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let kept: BTreeSet<[u8; 16]> = scene.key(KEY).head.versions.iter().map(|one| one.version.0).collect();
    assert_eq!((made.len(), &made), (THREADS, &kept));
    let committed = scene.records().iter().filter(|record| text(record, "verdict") == "committed").count();
    assert_eq!(committed, THREADS);
    assert!(scene.release(&good_token()).is_ok());
}
