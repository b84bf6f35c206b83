//! What is permitted, and every reason for a denial, each beside the same request without its fault.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest;
use skerry_attestation_result::{AttestationResult, Authority, Provenance, TargetKeyError, TokenSigner, TrustedResult};
use skerry_jose::json::{Object, Value};
use skerry_jose::{Algorithm, JwkError, SigningKey, b64};
use skerry_policy::permit::{Denied, KeyRef, Permit, Terms, VaultFloor, Version, permit};
use skerry_policy::release::{Explanation, Operator, Policy, Seen};
use uuid::Uuid;

use crate::{AUTHORITY, issuer, one_clause, policy};

/// The control of every denial below: claims that meet the policy, a key to release to, real hardware.
#[test]
fn good_result_is_permitted() {
    let (case, result) = (Case::default(), trusted(&claims(), Provenance::Real));
    let permit = case.permit(&result).unwrap();
    assert_eq!(permit.key(), key_ref());
    assert_eq!(permit.policy_digest(), &case.policy.digest().0);
    assert_eq!(permit.generation(), 7);
    assert_eq!(permit.token_digest(), result.token_digest());
    assert_eq!(permit.target(), result.target().unwrap());
}

/// A simulated result is refused unless the vault was made to accept it, which is called danger.
#[test]
fn simulated_is_denied_unless_the_vault_says_danger() {
    let simulated = trusted(&claims(), Provenance::Simulated);
    assert_eq!(Case::default().permit(&simulated).unwrap_err(), Denied::Simulated);
    let danger = Case { floor: VaultFloor::default().danger().accept_simulated(), ..Case::default() };
    assert!(danger.permit(&simulated).is_ok());
    assert!(danger.permit(&trusted(&claims(), Provenance::Real)).is_ok());
}

/// Accepting simulated hardware loosens nothing else of the floor, in whichever order it is said.
#[test]
fn danger_keeps_the_rest_of_the_floor() {
    let result = trusted(&claims(), Provenance::Simulated);
    let before = VaultFloor::default().token_age_max_secs(9).danger().accept_simulated();
    let after = VaultFloor::default().danger().accept_simulated().token_age_max_secs(9);
    for floor in [before, after] {
        let denied = Case { floor, ..Case::default() }.permit(&result).unwrap_err();
        assert_eq!(denied, Denied::TokenTooOld { age_secs: 10, max_secs: 9 });
    }
}

/// Attack 20: a token of the very second of `min_iat` is good, one of the second before is revoked.
#[test]
fn token_before_min_iat_is_revoked() {
    let result = trusted(&claims(), Provenance::Real);
    let at = |min_iat| Case { min_iat, ..Case::default() }.permit(&result).map(drop);
    assert_eq!(at(IAT), Ok(()));
    assert_eq!(at(IAT + 1), Err(Denied::TokenRevoked { iat: IAT, min_iat: IAT + 1 }));
    assert_eq!(at(u64::MAX), Err(Denied::TokenRevoked { iat: IAT, min_iat: u64::MAX }));
}

/// A token of exactly the largest age is good, a second later it is not; one of the future (within skew) has no age.
#[test]
fn token_past_its_age_is_too_old() {
    let result = trusted(&claims(), Provenance::Real);
    let case = Case { floor: VaultFloor::default().token_age_max_secs(100), ..Case::default() };
    let at = |now| permit(&case.terms(), &result, at(now)).map(drop);
    assert_eq!(at(IAT + 100), Ok(()));
    assert_eq!(at(IAT + 101), Err(Denied::TokenTooOld { age_secs: 101, max_secs: 100 }));
    assert_eq!(at(IAT - 60), Ok(()));
}

/// The explanation of a policy that does not hold names the one failing clause, what it wants and what it saw.
#[test]
fn policy_that_does_not_hold_explains_itself() {
    let result = trusted(&claims().with("x-ms-attestation-type", "tdxvm"), Provenance::Real);
    let Denied::Policy(explanation) = Case::default().permit(&result).unwrap_err() else { panic!("another denial") };
    let clause = &explanation.entries[0].clauses[0];
    assert!(explanation.entries[0].issuer_matches && !clause.holds);
    assert_eq!((clause.path.as_str(), clause.operator), ("anyOf[0].allOf[0]", Operator::Equals));
    assert_eq!((clause.claim.as_str(), clause.expected.as_str()), ("x-ms-attestation-type", "sevsnpvm"));
    assert_eq!(clause.seen, Seen::Text { text: "tdxvm".into(), bytes: 5 });
    assert!(Case::default().permit(&trusted(&claims(), Provenance::Real)).is_ok());
}

/// Attack 15: the right claims from an authority that the policy does not name.
#[test]
fn policy_of_another_authority_does_not_hold() {
    let text = one_clause(CLAUSE).replace(AUTHORITY, "https://b.attest.example");
    let case = Case { policy: policy(&text), ..Case::default() };
    let result = trusted(&claims(), Provenance::Real);
    let Denied::Policy(explanation) = case.permit(&result).unwrap_err() else { panic!("another denial") };
    let Explanation { issuer, entries } = *explanation;
    assert_eq!((issuer.as_str(), entries[0].authority.as_str()), (AUTHORITY, "https://b.attest.example"));
    assert!(!entries[0].issuer_matches && entries[0].clauses[0].holds);
    assert!(Case::default().permit(&result).is_ok());
}

/// Attack 45: every reason for which a token has no key to release to.
#[test]
fn no_target_is_denied() {
    let jwk = || jwk("tee");
    let keys = |keys: Value| claims().with("x-ms-runtime", Object::new().with("keys", keys));
    let short = jwk().with("n", b64::encode([0xff; 128]));
    let unusable = |reason| TargetKeyError::Unusable { kid: "tee".into(), reason };
    let mut without = claims();
    without.remove("x-ms-runtime");
    let cases = [
        (without, TargetKeyError::NoKeys),
        (keys(Value::from("x")), TargetKeyError::NotAKeySet),
        (keys(vec![jwk().with("key_ops", vec!["sign"])].into()), TargetKeyError::NoneSuitable),
        (keys(vec![jwk(), jwk()].into()), TargetKeyError::Ambiguous { kid: "tee".into() }),
        (keys(vec![short].into()), unusable(JwkError::ModulusSize { bits: 1024 })),
        (keys(vec![jwk().with("e", "Aw")].into()), unusable(JwkError::Exponent)),
    ];
    for (claims, reason) in cases {
        let denied = Case::default().permit(&trusted(&claims, Provenance::Real)).unwrap_err();
        assert_eq!(denied, Denied::Target(reason));
    }
    assert!(Case::default().permit(&trusted(&keys(vec![jwk()].into()), Provenance::Real)).is_ok());
}

/// With every fault at once they show in order, floor before policy before target, as one after the other is mended.
#[test]
fn floor_is_before_policy_is_before_target() {
    let mut wrong = claims().with("x-ms-attestation-type", "tdxvm");
    wrong.remove("x-ms-runtime");
    let floor = VaultFloor::default().token_age_max_secs(9);
    let mut case = Case { min_iat: IAT + 1, floor: floor.clone(), ..Case::default() };
    let result = trusted(&wrong, Provenance::Simulated);
    assert_eq!(case.permit(&result).unwrap_err(), Denied::Simulated);
    case.floor = floor.danger().accept_simulated();
    assert_eq!(case.permit(&result).unwrap_err(), Denied::TokenRevoked { iat: IAT, min_iat: IAT + 1 });
    case.min_iat = 0;
    assert_eq!(case.permit(&result).unwrap_err(), Denied::TokenTooOld { age_secs: 10, max_secs: 9 });
    case.floor = VaultFloor::default().danger().accept_simulated();
    assert!(matches!(case.permit(&result).unwrap_err(), Denied::Policy(_)));
    wrong.insert("x-ms-attestation-type", "sevsnpvm");
    let result = trusted(&wrong, Provenance::Simulated);
    assert_eq!(case.permit(&result).unwrap_err(), Denied::Target(TargetKeyError::NoKeys));
    assert!(case.permit(&trusted(&claims(), Provenance::Simulated)).is_ok());
}

/// The digest is SHA-256 over exactly vault, key, version, policy, generation, token and target, in that order.
#[test]
fn digest_covers_every_field_of_the_permit() {
    let permit = Case::default().permit(&trusted(&claims(), Provenance::Real)).unwrap();
    let KeyRef { vault, key, version } = permit.key();
    let covered = [
        b"skerry permit v1\0".as_slice(),
        vault.as_bytes(),
        key.as_bytes(),
        &version.0,
        permit.policy_digest(),
        &permit.generation().to_be_bytes(),
        permit.token_digest(),
        permit.target().thumbprint().as_bytes(),
        b"\0",
        permit.target().kid().as_bytes(),
    ];
    assert_eq!(permit.digest().as_slice(), digest::digest(&digest::SHA256, &covered.concat()).as_ref());
}

/// Each field that changes gives another digest; what is no part of a permit gives the same.
#[test]
fn digest_changes_with_each_field_and_with_nothing_else() {
    let result = trusted(&claims(), Provenance::Real);
    let digest = |case: Case| *case.permit(&result).unwrap().digest();
    let with_key = |change: fn(&mut KeyRef)| {
        let mut case = Case::default();
        change(&mut case.key);
        digest(case)
    };
    let same = digest(Case::default());
    let others = [
        with_key(|key| key.vault = Uuid::from_bytes([9; 16])),
        with_key(|key| key.key = Uuid::from_bytes([9; 16])),
        with_key(|key| key.version = Version([9; 16])),
        digest(Case {
            policy: policy(one_clause(r#"{"claim":"x-ms-attestation-type","exists":true}"#)),
            ..Case::default()
        }),
        digest(Case { generation: 8, ..Case::default() }),
        *Case::default().permit(&signed(&claims(), Provenance::Real, [2; 32])).unwrap().digest(),
        *Case::default().permit(&trusted(&to_key(jwk("other")), Provenance::Real)).unwrap().digest(),
        *Case::default().permit(&trusted(&to_key(other_jwk("tee")), Provenance::Real)).unwrap().digest(),
    ];
    for (index, other) in others.iter().enumerate() {
        assert!(*other != same && !others[..index].contains(other), "{index}");
    }
    // Spelling of the policy, floor, earliest token and clock are terms of the decision, not of what was decided.
    let spelt = policy(one_clause(&CLAUSE.replace(":", " : ")));
    let floor = VaultFloor::default().token_age_max_secs(1_000);
    let terms = Case { policy: spelt, floor, min_iat: IAT, ..Case::default() };
    assert_eq!(*permit(&terms.terms(), &result, at(NOW + 5)).unwrap().digest(), same);
}

struct Case {
    key: KeyRef,
    policy: Policy,
    generation: u64,
    min_iat: u64,
    floor: VaultFloor,
}

impl Default for Case {
    fn default() -> Case {
        let floor = VaultFloor::default();
        Case { key: key_ref(), policy: policy(one_clause(CLAUSE)), generation: 7, min_iat: 0, floor }
    }
}

impl Case {
    fn terms(&self) -> Terms<'_> {
        let Case { key, policy, generation, min_iat, floor } = self;
        Terms { key: *key, policy, generation: *generation, min_iat: *min_iat, floor }
    }

    fn permit(&self, result: &TrustedResult) -> Result<Permit, Denied> {
        permit(&self.terms(), result, at(NOW))
    }
}

fn key_ref() -> KeyRef {
    KeyRef { vault: Uuid::from_bytes([1; 16]), key: Uuid::from_bytes([2; 16]), version: Version([3; 16]) }
}

fn claims() -> Object {
    to_key(jwk("tee"))
}

fn to_key(jwk: Object) -> Object {
    let runtime = Object::new().with("keys", vec![jwk]);
    Object::new().with("x-ms-attestation-type", "sevsnpvm").with("x-ms-runtime", runtime)
}

/// A public key of 2048 bits; nobody needs its private half here.
fn jwk(kid: &str) -> Object {
    rsa_jwk(kid, 0xff)
}

fn other_jwk(kid: &str) -> Object {
    rsa_jwk(kid, 0xfd)
}

fn rsa_jwk(kid: &str, octet: u8) -> Object {
    Object::new()
        .with("e", "AQAB")
        .with("key_ops", vec!["encrypt"])
        .with("kid", kid)
        .with("kty", "RSA")
        .with("n", b64::encode([octet; 256]))
}

fn trusted(claims: &Object, provenance: Provenance) -> TrustedResult {
    signed(claims, provenance, [1; 32])
}

/// A token of the authority for these claims, made and believed by the whole way.
fn signed(claims: &Object, provenance: Provenance, jti: [u8; 32]) -> TrustedResult {
    let result = AttestationResult::assertion(issuer(AUTHORITY), claims.clone(), provenance, at(IAT));
    let token = signer().sign(&result, jti).unwrap();
    Authority::built_in(signer()).unwrap().verify(token.as_str(), at(NOW)).unwrap()
}

fn signer() -> &'static TokenSigner {
    static SIGNER: OnceLock<TokenSigner> = OnceLock::new();
    SIGNER.get_or_init(|| TokenSigner::new(issuer(AUTHORITY), SigningKey::generate(Algorithm::Es256).unwrap()))
}

fn at(secs: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(secs)
}

const NOW: u64 = 1_800_000_000;
const IAT: u64 = NOW - 10;
const CLAUSE: &str = r#"{"claim":"x-ms-attestation-type","equals":"sevsnpvm"}"#;
