//! Limits of a vault that has them: which operations count as what, and what a refusal leaves undone.

use skerry_keys::{KeyType, RsaBits};
use skerry_vault::rotation::RotationInput;
use skerry_vault::{Refusal, Throttling, VaultConfigError, VaultKind};

use crate::support::*;

/// A span of ten seconds begins at [`NOW`].
const NEXT: u64 = NOW + 10;

fn limited() -> Scene {
    Setup { throttling: Throttling::Azure, ..Setup::default() }.scene()
}

/// Until the next span, from [`NOW`].
fn throttled<T>() -> Result<T, Refusal> {
    Err(Refusal::Throttled { retry_after_secs: 10 - NOW % 10 })
}

/// Making and releasing are one budget of ten; when it is spent neither is done, nothing of it is on record, and all else
/// goes on. In the next ten seconds it is there again.
#[test]
fn making_and_releasing_share_a_budget() {
    let scene = limited();
    assert!(scene.release(&good_token()).is_ok());
    for _ in 0..8 {
        scene.create("more", EC);
    }
    let before = scene.records().len();
    assert_eq!(scene.make(&create("more")).err(), throttled::<()>().err());
    assert_eq!(scene.release(&good_token()).err(), throttled::<()>().err());
    assert_eq!(scene.release("a.b.c").err(), throttled::<()>().err(), "nor is guessing free");
    assert_eq!(scene.rotate(KEY).err(), throttled::<()>().err());
    assert_eq!(scene.records().len(), before);
    assert!(scene.sign(KEY).is_ok() && scene.get(KEY).is_ok() && scene.enable(KEY, true).is_ok());
    assert!(scene.import(&CreateCommand { key_type: OCT, ..create("brought") }, &[7; 32]).is_ok());
    assert!(scene.release_at(&good_token(), NEXT).is_ok());
}

/// What a vault refuses for the state or the form of a key costs nothing.
#[test]
fn refusals_before_work_cost_nothing() {
    let scene = limited();
    for _ in 0..30 {
        let software = skerry_vault::command::NewKey { hsm: false, ..create("more").to_new() };
        assert_eq!(scene.make_new(&software).err(), Some(Refusal::ExportableSoftware));
        assert!(scene.release_key("missing", &good_token()).is_err());
    }
    for _ in 0..9 {
        scene.create("more", EC);
    }
    assert_eq!(scene.make(&create("more")).err(), throttled::<()>().err());
}

/// Signing, reading and the like share the larger budget, in which a larger key counts more; managing keys has its own.
#[test]
fn using_keys_is_limited_by_their_size() {
    let scene = limited();
    let rsa = CreateCommand { key_type: KeyType::Rsa { bits: RsaBits::B3072 }, ..create("large") };
    scene.make(&rsa).unwrap();
    for _ in 0..499 {
        scene.key("large");
    }
    for _ in 0..4 {
        scene.key(KEY);
    }
    assert_eq!(scene.get("large").err(), throttled::<()>().err());
    assert_eq!(scene.sign(KEY).err(), throttled::<()>().err());
    assert_eq!(
        scene.import(&CreateCommand { key_type: OCT, ..create("brought") }, &[7; 32]).err(),
        throttled::<()>().err()
    );
    assert!(scene.enable(KEY, true).is_ok() && scene.delete(KEY).is_ok() && scene.recover(KEY).is_ok());
    for _ in 0..3_997 {
        scene.rotation_policy(KEY).unwrap();
    }
    assert_eq!(scene.rotation_policy(KEY).err(), throttled::<()>().err());
    assert_eq!(scene.enable(KEY, false).err(), throttled::<()>().err());
    assert_eq!(scene.delete(KEY).err(), throttled::<()>().err());
    assert_eq!(scene.set_rotation_policy(KEY, &RotationInput::default()).err(), throttled::<()>().err());
}

/// A Managed HSM has no such limits, and configuration that says otherwise makes no vault.
#[test]
fn a_managed_hsm_has_no_limits() {
    let refused = Setup { throttling: Throttling::Azure, kind: VaultKind::ManagedHsm, ..Setup::default() }.try_bare();
    assert_eq!(refused.err(), Some(VaultConfigError::ThrottledHsm));
}
