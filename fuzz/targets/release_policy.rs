//! Release policies: the canonical forms mean the same and are their own canonical form, and the explanation says what
//! the verdict is. An input is a policy, a NUL, and claims.
#![no_main]

use libfuzzer_sys::fuzz_target;
use skerry_attestation_result::IssuerUrl;
use skerry_fuzz::parts;
use skerry_jose::json::{self, Object};
use skerry_policy::limits::Limits;
use skerry_policy::release::Policy;

fuzz_target!(|data: &[u8]| {
    let [policy, claims] = parts(data);
    let limits = Limits::default();
    let Ok(policy) = Policy::parse(policy, &limits) else { return };
    let vault = policy.canonical();
    let hsm = policy.canonical_hsm();
    let again = Policy::parse(vault.as_bytes(), &limits).expect("the vault's form parses");
    assert_eq!(again, policy);
    assert_eq!(again.canonical(), vault);
    assert_eq!(again.digest(), policy.digest());
    let again_hsm = Policy::parse(hsm.as_bytes(), &limits).expect("the managed HSM's form parses");
    assert_eq!(again_hsm, policy);
    assert_eq!(again_hsm.canonical_hsm(), hsm);
    let _ = policy.lint();
    let claims = json::parse(claims, &skerry_jose::limits::JSON).ok().and_then(json::Value::into_object);
    let other = IssuerUrl::parse("https://other.example").expect("an issuer");
    for claims in [Object::new(), claims.unwrap_or_default()] {
        for issuer in policy.authorities().chain([&other]) {
            let holds = policy.holds(issuer, &claims);
            let verdict = policy.explain(issuer, &claims);
            assert_eq!(verdict.allowed, holds);
            assert_eq!(again.holds(issuer, &claims), holds);
            assert_eq!(again_hsm.holds(issuer, &claims), holds);
            assert!(!holds || policy.authorities().any(|authority| authority == issuer));
        }
    }
});
