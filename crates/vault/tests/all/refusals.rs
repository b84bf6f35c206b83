//! Every refusal by its exact variant, beside a control that succeeds.
//!
//! Not reached from outside, hence not here: `Refusal::Release` (custody and target are checked before), `Refusal::Signing`,
//! `Refusal::Custody` and `Refusal::Failed` (the cryptographic library would have to fail).

use skerry_attestation_result::{Provenance, TargetKeyError, TokenError};
use skerry_audit::{AuditError, Limits};
use skerry_jose::json;
use skerry_keys::ImportError;
use skerry_policy::permit::{Denied, VaultFloor, Version};
use skerry_policy::release::ParseErrorKind;
use skerry_vault::Refusal;
use skerry_vault::command::Operation;
use skerry_vault::command::ReleaseCommand;
use skerry_vault::limits::NONCE_BYTES_MAX;
use skerry_vault::release::{Circumstances, decide, releasable};

use crate::support::*;

/// A key that is not there.
#[test]
fn key_not_found() {
    let (scene, token) = (Scene::new(), good_token());
    let refusal = scene.release_key("other", &token).unwrap_err();
    assert_eq!(refusal, Refusal::KeyNotFound { name: "other".into() });
    assert!(scene.release(&token).is_ok());
}

/// A version that is not there: never another one in its place.
#[test]
fn version_not_found() {
    let (scene, token) = (Scene::new(), good_token());
    let at = |version| scene.answer(&ReleaseCommand { version: Some(version), ..command(&token) }).map(drop);
    let version = "00".repeat(16);
    assert_eq!(at(Version([0; 16])), Err(Refusal::VersionNotFound { name: KEY.into(), version }));
    assert_eq!(at(scene.key(KEY).version.version), Ok(()));
}

/// A disabled version is not released.
#[test]
fn key_disabled() {
    let scene = Scene::new();
    let record = scene.key(KEY);
    let disabled = edited(&record, |_, version| version.enabled = false);
    let refused = Refusal::KeyDisabled { name: KEY.into(), operation: Operation::Release };
    assert_eq!(releasable(&disabled).err(), Some(refused));
    assert!(releasable(&record).is_ok());
}

/// A key that was not made exportable is not released, whatever the token.
#[test]
fn not_exportable() {
    let scene = Scene::new();
    scene.make(&CreateCommand { exportable: false, policy: None, ..create("kept") }).unwrap();
    let refusal = scene.release_key("kept", &good_token()).unwrap_err();
    assert_eq!(refusal, Refusal::NotExportable { name: "kept".into() });
    assert!(scene.release(&good_token()).is_ok());
}

/// A record that says exportable and has lost its policy is not released: no policy is not an empty one.
#[test]
fn no_policy() {
    let scene = Scene::new();
    let record = scene.key(KEY);
    let lost = edited(&record, |head, _| head.policy = None);
    let (floor, result) = (VaultFloor::default(), trusted(&good_token()));
    let circumstances = Circumstances { vault: VAULT_ID, floor: &floor, result: &result, now: at(NOW) };
    let refusal = decide(&lost, &circumstances).unwrap_err();
    assert_eq!(refusal, Refusal::NoPolicy { name: KEY.into() });
    assert!(decide(&record, &circumstances).is_ok());
}

/// A nonce of the largest size is echoed, one byte more is refused.
#[test]
fn nonce_too_long() {
    let (scene, token) = (Scene::new(), good_token());
    let with = |len| {
        let nonce = "n".repeat(len);
        scene.answer(&ReleaseCommand { nonce: Some(&nonce), ..command(&token) }).map(drop)
    };
    let (len, max) = (NONCE_BYTES_MAX + 1, NONCE_BYTES_MAX);
    assert_eq!(with(len), Err(Refusal::Nonce { len, max }));
    assert_eq!(with(max), Ok(()));
}

/// No token, and one whose issuer the vault does not know.
#[test]
fn token_of_nobody() {
    let scene = Scene::new();
    assert_eq!(scene.denied(""), Refusal::Token(TokenError::Empty));
    let stranger = signed(&payload().with("iss", "https://stranger.example"));
    assert_eq!(scene.denied(&stranger), Refusal::UnknownAuthority { issuer: "https://stranger.example".into() });
}

/// Each denial by the key's terms, as the policy crate makes it.
#[test]
fn denied_by_the_terms() {
    let scene = Scene::new();
    let simulated = token_of(signer(), &claims(), Provenance::Simulated);
    assert_eq!(scene.denied(&simulated), Refusal::Denied(Denied::Simulated));
    let other = token(&claims().with("x-ms-attestation-type", "tdxvm"));
    assert!(matches!(scene.denied(&other), Refusal::Denied(Denied::Policy(_))));
    let mut without = claims();
    without.remove("x-ms-runtime");
    assert_eq!(scene.denied(&token(&without)), Refusal::Denied(Denied::Target(TargetKeyError::NoKeys)));
}

/// A vault that accepts simulated hardware, and takes no token older than its limit.
#[test]
fn denied_by_the_floor() {
    let floor = VaultFloor::default().token_age_max_secs(60).danger().accept_simulated();
    let scene = Setup { floor, ..Setup::default() }.scene();
    assert!(scene.release(&token_of(signer(), &claims(), Provenance::Simulated)).is_ok());
    assert!(scene.release_at(&good_token(), IAT + 60).is_ok());
    let denied = Denied::TokenTooOld { age_secs: 61, max_secs: 60 };
    assert_eq!(scene.release_at(&good_token(), IAT + 61), Err(Refusal::Denied(denied)));
}

/// Attack 60: a full log ends releases and denials alike; nothing is released first and recorded later.
#[test]
fn nothing_is_released_when_the_log_is_full() {
    let roomy = Scene::new();
    let created = roomy.log_bytes().len();
    roomy.release(&good_token()).unwrap();
    let released = roomy.log_bytes().len();
    let limited = |len: usize| {
        let log_len_max = u64::try_from(len).unwrap();
        (
            Setup { log: Limits { log_len_max }, ..Setup::default() }.scene(),
            Refusal::Audit(AuditError::Full { log_len_max }),
        )
    };
    let (scene, full) = limited(released - 1);
    for _ in 0..2 {
        assert_eq!(scene.release(&good_token()), Err(full.clone()));
        assert_eq!(scene.log_bytes().len(), created);
    }
    let (scene, full) = limited(released);
    assert!(scene.release(&good_token()).is_ok(), "the control");
    assert_eq!(scene.release(&good_token()), Err(full.clone()));
    assert_eq!(scene.release(""), Err(full), "a denial that is not on record is not answered as one");
    assert_eq!(scene.log_bytes().len(), released);
}

/// What is wrong with the request or the key shows before the token is looked at. A key that is not there is no denial; one
/// that may not leave is, and is on record.
#[test]
fn request_is_checked_before_the_token() {
    let scene = Scene::new();
    scene.make(&CreateCommand { exportable: false, policy: None, ..create("kept") }).unwrap();
    let before = scene.records().len();
    assert!(!scene.release_key("other", "not a token").unwrap_err().is_denial());
    assert_eq!(scene.records().len(), before);
    let refusal = scene.release_key("kept", "not a token").unwrap_err();
    assert_eq!((refusal.is_denial(), refusal), (true, Refusal::NotExportable { name: "kept".into() }));
    assert_eq!(scene.records().len(), before + 1);
    assert!(scene.release("not a token").unwrap_err().is_denial());
    assert_eq!(scene.records().len(), before + 2);
}

/// Exportable and a policy come together or not at all.
#[test]
fn policy_iff_exportable() {
    let scene = Setup::default().bare();
    let without = scene.make(&CreateCommand { policy: None, ..create(KEY) }).err();
    assert_eq!(without, Some(Refusal::ExportableWithoutPolicy));
    let policy = scene.make(&CreateCommand { exportable: false, ..create(KEY) }).err();
    assert_eq!(policy, Some(Refusal::PolicyWithoutExportable));
    assert!(scene.records().is_empty());
    assert!(scene.make(&create(KEY)).is_ok());
    assert!(scene.make(&CreateCommand { exportable: false, policy: None, ..create("kept") }).is_ok());
}

/// A policy that cannot be read makes no key.
#[test]
fn policy_that_cannot_be_read() {
    let scene = Setup::default().bare();
    let kind = |policy| match scene.create_under(KEY, policy) {
        Err(Refusal::Policy(error)) => error.kind,
        other => panic!("{:?}", other.err()),
    };
    assert_eq!(kind("{}"), ParseErrorKind::VersionMissing);
    assert_eq!(kind(""), ParseErrorKind::Json(json::ErrorKind::UnexpectedEnd));
    assert!(!scene.has(KEY));
    assert!(scene.create_under(KEY, &policy()).is_ok());
}

/// A name that is taken, in whatever case, keeps its key and its spelling, and gets a new version.
#[test]
fn name_that_is_taken_gets_a_new_version() {
    let scene = Scene::new();
    let first = scene.key(KEY);
    let second = scene.make(&create("PayMents")).unwrap();
    assert_eq!((second.head.id, second.head.name.as_str()), (first.head.id, KEY));
    assert_eq!(second.head.versions.len(), 2);
    assert_eq!(second.head.versions[0].version, first.version.version);
    assert_eq!(scene.key(KEY), second);
    let verdicts: Vec<String> = scene.records().iter().map(|record| text(record, "verdict").to_owned()).collect();
    assert_eq!(verdicts, ["intended", "committed", "intended", "committed"]);
}

/// A key brought in as what it is not; nothing is on record of it, since nothing was about to happen.
#[test]
fn import_of_another_type() {
    let scene = Setup::default().bare();
    let other = ImportError::OtherType { expected: EC, found: OCT };
    assert_eq!(scene.import(&create(KEY), &[7; 32]).err(), Some(Refusal::Import(other)));
    assert!(!scene.has(KEY) && scene.records().is_empty());
    assert!(scene.import(&CreateCommand { key_type: OCT, ..create(KEY) }, &[7; 32]).is_ok());
}

/// A key whose making cannot be put on record is not made.
#[test]
fn key_is_not_made_when_the_log_is_full() {
    let log_len_max = u64::try_from(Setup::default().bare().log_bytes().len()).unwrap();
    let scene = Setup { log: Limits { log_len_max }, ..Setup::default() }.bare();
    let refusal = scene.make(&create(KEY)).err();
    assert_eq!(refusal, Some(Refusal::Audit(AuditError::Full { log_len_max })));
    assert!(!scene.has(KEY));
}

/// Azure's two sentences, letter for letter (AKV.SKR.1004 and 1005).
#[test]
fn sentences_are_azure_s() {
    assert_eq!(Refusal::ExportableWithoutPolicy.to_string(), "Exportable keys must have release policy.");
    assert_eq!(Refusal::PolicyWithoutExportable.to_string(), "Non-exportable keys must not have release policy.");
}

/// Two authorities of one issuer, or more than a vault takes: no vault, since order would decide whose keys count.
#[test]
fn authorities_are_bounded_and_distinct() {
    use skerry_attestation_result::{Authority, IssuerUrl};
    use skerry_jose::JwkSet;
    use skerry_vault::limits::AUTHORITIES_MAX;
    use skerry_vault::{TrustedAuthority, VaultConfigError};
    let authority = |issuer: &str| Authority::with_keys(IssuerUrl::parse(issuer).unwrap(), JwkSet::default());
    let vault_with = |authorities: Vec<Authority>| {
        let authorities = authorities.into_iter().map(TrustedAuthority::fixed).collect();
        Setup { authorities, ..Setup::default() }.try_bare().map(drop)
    };
    let many = |count: usize| (0..count).map(|index| authority(&format!("https://a{index}.example"))).collect();
    assert_eq!(vault_with(many(AUTHORITIES_MAX)).err(), None);
    let count = AUTHORITIES_MAX + 1;
    assert_eq!(vault_with(many(count)).err(), Some(VaultConfigError::TooManyAuthorities { count }));
    let twice = vec![authority("https://a.example"), authority("https://A.example/")];
    let issuer = "https://A.example/".to_owned();
    assert_eq!(vault_with(twice).err(), Some(VaultConfigError::AuthorityTwice { issuer }));
}
