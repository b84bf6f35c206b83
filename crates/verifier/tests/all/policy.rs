//! Appraisal policies over evidence: what they see, what they add to a token, and what they cannot do.

use skerry_attestation_result::names;
use skerry_jose::b64;
use skerry_jose::json::Object;
use skerry_policy::attestation::{AppraisalPolicy, EvaluationErrorKind, EvidenceType, PolicyDocument, Trust};
use skerry_simulator::TeeConfig;
use skerry_verifier::{AttestError, FloorRefusal};

use crate::support::*;

const SNP: EvidenceType = EvidenceType::SevSnpVm;

fn policy(text: &str) -> AppraisalPolicy {
    AppraisalPolicy::parse(SNP, text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// The claims of a token by this policy.
fn by(text: &str) -> Result<Object, AttestError> {
    attest(config().policy(policy(text)), &request(TeeConfig::default()))
}

fn refusal(text: &str) -> EvaluationErrorKind {
    match by(text) {
        Err(AttestError::Policy(error)) => error.kind,
        other => panic!("{text}: {other:?}"),
    }
}

const PERMIT: &str = "version=1.0;authorizationrules{=>permit();};";

/// Every claim of the evidence is before the rules with its name and type, and whether it is simulated as well; what
/// nothing binds is not.
#[test]
fn rules_see_what_evidence_says() {
    let token = by(PERMIT).unwrap();
    let mut seen = 0;
    for (name, value) in
        token.iter().filter(|(name, _)| name.starts_with("x-ms-sevsnpvm-") || *name == names::SIMULATED)
    {
        let text = format!(
            "version=1.0;authorizationrules{{[type==\"{name}\", value=={}, issuer==\"AttestationService\"]=>permit();}};",
            value.to_json()
        );
        assert!(by(&text).is_ok(), "{text}");
        let denied = text.replace("permit", "deny");
        assert_eq!(refusal(&denied), EvaluationErrorKind::Denied);
        seen += 1;
    }
    assert_eq!(seen, 18, "17 claims and the mark of simulated evidence");
    let runtime = r#"{\"b\":{\"a\":2,\"z\":1},\"keys\":[]}"#;
    assert!(
        by(&format!("version=1.0;authorizationrules{{[type==\"x-ms-runtime\", value==\"{runtime}\"]=>permit();}};"))
            .is_ok()
    );
    for name in ["nonce", "iss", "x-ms-policy-hash", "x-ms-ver"] {
        let text = format!("version=1.0;authorizationrules{{[type==\"{name}\"]=>permit();}};");
        let mut request = request(TeeConfig::default());
        request.nonce = Some("n".into());
        assert!(matches!(attest(config().policy(policy(&text)), &request), Err(AttestError::Policy(_))), "{name}");
    }
}

/// What a policy issues stands beside the service's claims, which are what they are without it.
#[test]
fn issued_claims_stand_beside() {
    let text = "version=1.0;authorizationrules{=>permit();};issuancerules{\
        c:[type==\"x-ms-sevsnpvm-guestsvn\"] => issue(type=\"svn\", value=c.value);\
        c:[type==\"x-ms-sevsnpvm-hostdata\"] => issue(claim=c);};";
    let (with, without) = (by(text).unwrap(), by(PERMIT).unwrap());
    assert_eq!(with.get("svn"), without.get("x-ms-sevsnpvm-guestsvn"));
    for (name, value) in without.iter().filter(|(name, _)| !["x-ms-policy-hash", "jti"].contains(name)) {
        assert_eq!(with.get(name), Some(value), "{name}");
    }
    assert_eq!(with.len(), without.len() + 1);
}

/// A policy can neither say what the verifier says, nor take the mark of simulated evidence away.
#[test]
fn policies_cannot_speak_for_the_verifier() {
    for name in ["x-skerry-simulated", "x-ms-sevsnpvm-is-debuggable", "x-ms-runtime", "x-ms-policy-signer"] {
        let rules = format!(
            "version=1.2;authorizationrules{{=>permit();}};issuancerules{{\
             => issue(type=AppendString(\"{}\", \"{}\"), value=\"forged\");}};",
            &name[..3],
            &name[3..]
        );
        assert_eq!(refusal(&rules), EvaluationErrorKind::ReservedClaim(name.to_owned()));
    }
    let token = by("version=1.0;authorizationrules{=>permit();};issuancerules{\
        c:[type==\"x-skerry-simulated\"] => issue(claim=c);};");
    assert_eq!(token.unwrap().get(names::SIMULATED).and_then(|value| value.as_bool()), Some(true));
}

/// The floor refuses first, whatever a policy permits.
#[test]
fn no_policy_loosens_the_floor() {
    let debug = TeeConfig { policy: 0x3001f | 1 << 19, ..TeeConfig::default() };
    let text = "version=1.0;authorizationrules{[type==\"x-ms-sevsnpvm-is-debuggable\", value==true]=>permit();};";
    let refused = attest(config().policy(policy(text)), &request(debug));
    assert_eq!(refused, Err(AttestError::Floor(FloorRefusal::Debug)));
}

/// A policy that somebody set takes the configured one's place in full; a draft takes that of both, and is nobody's.
#[test]
fn a_set_policy_takes_the_place_of_the_configured_one() {
    let document = |text: &str| {
        let payload = Object::new().with("AttestationPolicy", b64::encode(text)).to_json();
        let document = format!("eyJhbGciOiJub25lIn0.{}.", b64::encode(payload));
        PolicyDocument::parse(SNP, &document, &Trust::Callers).unwrap()
    };
    let deny = "version=1.0;authorizationrules{=>deny();};";
    let issue = "version=1.0;authorizationrules{=>permit();};issuancerules{=>issue(type=\"level\", value=1);};";
    let verifier = verifier(config().policy(policy(deny)));
    let good = request(TeeConfig::default());
    assert!(matches!(verifier.attest(&good, now(), &mut rng()), Err(AttestError::Policy(_))));
    let set = document(issue);
    let claims = claims(&verifier.attest_under(&good, &set, now(), &mut rng()).unwrap());
    assert_eq!(claims.get("level").and_then(|value| value.as_u64()), Some(1));
    assert_eq!(claims.get("x-ms-policy-hash").and_then(|value| value.as_str()), Some(set.policy().hash()));
    assert!(claims.get("x-ms-policy-signer").is_none());
    assert!(matches!(verifier.attest_under(&good, &document(deny), now(), &mut rng()), Err(AttestError::Policy(_))));
    assert!(verifier.attest_draft(&good, &policy(PERMIT), now(), &mut rng()).is_ok());
    assert!(matches!(verifier.attest_draft(&good, &policy(deny), now(), &mut rng()), Err(AttestError::Policy(_))));
}
