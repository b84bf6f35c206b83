use skerry_attestation_result::{Authority, TokenError};
use skerry_evidence::evidence::{BindingError, UvmMismatch};
use skerry_evidence::limits::Limits;
use skerry_evidence::snp::{
    ChainError, Crl, CrlPolicy, Generation, Options, ParseError, ReportError, Role, TcbVersion,
};
use skerry_evidence::uvm::UvmError;
use skerry_jose::{JwsError, b64};
use skerry_policy::attestation::{AppraisalPolicy, EvidenceType};
use skerry_simulator::{ChipConfig, TeeConfig, UVM_FEED};
use skerry_verifier::wire::Data;
use skerry_verifier::{AttestError, ChainsSeen, Floor, FloorRefusal, VerifierConfig};

use crate::support::*;

const DEBUG: u64 = 0x3001f | 1 << 19;
const MIGRATION: u64 = 0x3001f | 1 << 18;

/// The control of every refusal below: the same TEE, unspoilt, gets a token that says what it is.
#[test]
fn unspoilt_evidence_gets_a_token() {
    let claims = attest(config(), &request(TeeConfig::default())).unwrap();
    let text = |name| claims.get(name).and_then(|value| value.as_str());
    assert_eq!(text("x-ms-attestation-type"), Some("sevsnpvm"));
    assert_eq!(text("x-ms-policy-hash"), Some(AppraisalPolicy::snp_default().hash()));
    assert_eq!(text("iss"), Some(ISSUER));
    assert_eq!(claims.get("x-ms-runtime").unwrap().to_json(), r#"{"b":{"a":2,"z":1},"keys":[]}"#);
    assert_eq!(claims.get("x-skerry-simulated").and_then(|value| value.as_bool()), Some(true));
    assert!(claims.get("x-ms-compliance-status").is_none());
}

/// Under a draft policy the answer is the token's payload but for the policy's hash, no authority believes it, and nothing
/// that is refused without a draft is let through with one.
#[test]
fn a_draft_changes_the_hash_and_nothing_else() {
    let text = "version= 1.0;\n\nauthorizationrules\n{\n    => permit();\n};";
    let draft = AppraisalPolicy::parse(EvidenceType::SevSnpVm, text).unwrap();
    let verifier = verifier(config());
    let good = request(TeeConfig::default());
    let token = verifier.attest(&good, now(), &mut rng()).unwrap();
    let drafted = verifier.attest_draft(&good, &draft, now(), &mut rng()).unwrap();
    let [_, body, signature] = drafted.as_str().split('.').collect::<Vec<_>>().try_into().unwrap();
    let body = String::from_utf8(b64::decode(body).unwrap()).unwrap();
    assert_eq!(body, payload(&token).replace(AppraisalPolicy::snp_default().hash(), draft.hash()));
    assert!(body.contains("\"x-ms-policy-hash\":\"LTPRQQju-FejAwdYihF8YV_c2XWebG9joKvrHKc3bxs\""));
    assert_eq!(signature, "");
    let authority = Authority::built_in(verifier.signer()).unwrap();
    let none = TokenError::Jws(JwsError::Algorithm("none".into()));
    assert_eq!(authority.verify(drafted.as_str(), now()).err(), Some(none));
    assert!(authority.verify(token.as_str(), now()).is_ok());
    let debug = request(TeeConfig { policy: DEBUG, ..TeeConfig::default() });
    let mut spliced = good.clone();
    spliced.runtime_data = Some(Data::json(b"{}").unwrap());
    let foreign = request_of(&chip(other_root()), TeeConfig::default());
    for refused in [debug, spliced, foreign] {
        let error = verifier.attest(&refused, now(), &mut rng()).unwrap_err();
        assert_eq!(verifier.attest_draft(&refused, &draft, now(), &mut rng()), Err(error));
    }
}

/// Authentic but not acceptable, rule by rule: refused by the floor's rule of that name, accepted when it is loosened.
#[test]
fn floor_refuses_by_name_and_only_by_what_is_configured() {
    let cases = [
        (
            TeeConfig { policy: DEBUG, ..TeeConfig::default() },
            FloorRefusal::Debug,
            Floor::default().danger().allow_debug(),
        ),
        (
            TeeConfig { policy: MIGRATION, ..TeeConfig::default() },
            FloorRefusal::Migration,
            Floor::default().danger().allow_migration(),
        ),
        (
            TeeConfig { vmpl: 2, ..TeeConfig::default() },
            FloorRefusal::Vmpl { vmpl: 2, max: 0 },
            Floor::default().vmpl_max(2),
        ),
    ];
    for (tee, refusal, loosened) in cases {
        assert_eq!(attest(config(), &request(tee.clone())), Err(AttestError::Floor(refusal.clone())));
        assert!(attest(config().floor(loosened), &request(tee)).is_ok(), "{refusal}");
    }
}

/// TCB and SVN minimums are compared component by component, never as one number.
#[test]
fn minimums_hold_for_each_component() {
    let seen = chip(root()).reported_tcb();
    let at = |change: fn(&mut TcbVersion)| {
        let mut min = TcbVersion {
            fmc: None,
            bootloader: seen.bootloader,
            tee: seen.tee,
            snp: seen.snp,
            microcode: seen.microcode,
        };
        change(&mut min);
        attest(config().floor(Floor::default().tcb_min(Generation::Milan, min)), &request(TeeConfig::default()))
    };
    assert!(at(|_| ()).is_ok());
    let low = |component, seen: u8| {
        Err(AttestError::Floor(FloorRefusal::Tcb { which: "reported", component, seen, min: seen + 1 }))
    };
    assert_eq!(at(|min| min.bootloader += 1).map(drop), low("bootloader", seen.bootloader));
    assert_eq!(at(|min| min.tee += 1).map(drop), low("tee", seen.tee));
    assert_eq!(at(|min| min.snp += 1).map(drop), low("snp", seen.snp));
    assert_eq!(at(|min| min.microcode += 1).map(drop), low("microcode", seen.microcode));
    let older = skerry_simulator::Tcb { snp: seen.snp - 1, ..seen };
    let launched = TeeConfig { launch_tcb: Some(older), ..TeeConfig::default() };
    let min = TcbVersion { fmc: None, bootloader: 0, tee: 0, snp: seen.snp, microcode: 0 };
    let floor = Floor::default().tcb_min(Generation::Milan, min);
    let refusal = FloorRefusal::Tcb { which: "launch", component: "snp", seen: seen.snp - 1, min: seen.snp };
    assert_eq!(attest(config().floor(floor), &request(launched)), Err(AttestError::Floor(refusal)));
    let svn = |min| attest(config().floor(Floor::default().guest_svn_min(min)), &request(TeeConfig::default()));
    assert!(svn(2).is_ok());
    assert_eq!(svn(3), Err(AttestError::Floor(FloorRefusal::GuestSvn { seen: 2, min: 3 })));
}

fn unknown_root(root: &skerry_simulator::Root) -> AttestError {
    AttestError::Chain(ChainError::UnknownRoot { spki_sha256: root.ark_spki_sha256().unwrap() })
}

/// Attack 26: a chain that is whole, under a root that is not trusted; and simulated evidence for a real instance.
#[test]
fn foreign_roots_are_refused() {
    let foreign = request_of(&chip(other_root()), TeeConfig::default());
    assert_eq!(attest(config(), &foreign), Err(unknown_root(other_root())));
    let simulated = request(TeeConfig::default());
    assert_eq!(attest(VerifierConfig::real(), &simulated), Err(unknown_root(root())));
}

/// Attack 36: evidence of one TEE with the runtime data of another; and init data that HOST_DATA does not cover.
#[test]
fn spliced_data_is_refused() {
    let mut spliced = request(TeeConfig::default());
    spliced.runtime_data = Some(Data::json(br#"{"keys":[{}]}"#).unwrap());
    assert_eq!(attest(config(), &spliced), Err(AttestError::Binding(BindingError::RuntimeData)));
    let mut init = request(TeeConfig::default());
    init.init_data = Some(Data { bytes: b"policy".to_vec(), json: None });
    assert_eq!(attest(config(), &init), Err(AttestError::Binding(BindingError::InitData)));
}

/// Init data that HOST_DATA covers shows in the token when it is JSON.
#[test]
fn covered_init_data_is_a_claim() {
    let bytes = br#"{"x":1}"#;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let tee = TeeConfig { host_data: digest.as_ref().try_into().unwrap(), ..TeeConfig::default() };
    let mut request = request(tee);
    request.init_data = Some(Data::json(bytes).unwrap());
    let claims = attest(config(), &request).unwrap();
    assert_eq!(claims.get("x-ms-inittime").unwrap().to_json(), r#"{"x":1}"#);
}

/// Without runtime data there is a token, and it names no key to release to.
#[test]
fn absent_runtime_data_gives_no_runtime_claim() {
    let mut bare = request(TeeConfig::default());
    bare.runtime_data = None;
    assert!(attest(config(), &bare).unwrap().get("x-ms-runtime").is_none());
}

/// Binary runtime data is bound but says nothing that a token of SEV-SNP could carry.
#[test]
fn binary_runtime_data_is_refused() {
    let mut binary = request(TeeConfig::default());
    binary.runtime_data = Some(Data { bytes: RUNTIME.to_vec(), json: None });
    assert_eq!(attest(config(), &binary), Err(AttestError::BinaryRuntimeData));
}

/// A tampered report, a truncated one, and a chain that cannot be read.
#[test]
fn tampered_evidence_is_refused_by_its_step() {
    let mut flipped = request(TeeConfig::default());
    flipped.report[0x90] ^= 1;
    assert_eq!(attest(config(), &flipped), Err(AttestError::Report(ReportError::BadSignature)));
    let mut short = request(TeeConfig::default());
    short.report.pop();
    assert!(matches!(attest(config(), &short), Err(AttestError::Parse(ParseError::Length { .. }))));
    let mut unreadable = request(TeeConfig::default());
    unreadable.chain_pem.truncate(100);
    assert!(matches!(attest(config(), &unreadable), Err(AttestError::Endorsements(_))));
    let mut other_chip = request(TeeConfig::default());
    let other = root().chip(ChipConfig::numbered(Generation::Milan, 2), now()).unwrap();
    other_chip.chain_pem = other.vek_chain_pem().unwrap().into_bytes();
    assert_eq!(attest(config(), &other_chip), Err(AttestError::Report(ReportError::ChipIdMismatch)));
}

/// Where a revocation list is demanded, evidence without one is refused.
#[test]
fn missing_revocation_list_is_refused_where_demanded() {
    let strict = config().options(Options { crl: CrlPolicy::Required });
    assert_eq!(attest(strict.clone(), &request(TeeConfig::default())), Err(AttestError::Chain(ChainError::CrlMissing)));
    let list = |revoked: &[u32]| {
        let next_update = now() + std::time::Duration::from_secs(86_400);
        Crl::from_der(&root().crl(revoked, now(), next_update).unwrap(), &Limits::default()).unwrap()
    };
    assert!(attest(strict.clone().crl(list(&[])), &request(TeeConfig::default())).is_ok());
    let [_, ask, _] = root().serials();
    let revoked = AttestError::Chain(ChainError::Revoked { role: Role::Ask });
    assert_eq!(attest(strict.crl(list(&[ask])), &request(TeeConfig::default())), Err(revoked));
}

/// Attack 35: an endorsement must hold, be of a trusted issuer and feed, be recent enough, and be about this measurement.
#[test]
fn uvm_endorsements_must_hold() {
    let measurement = TeeConfig::default().measurement;
    let with = |measurement, svn, feed: &str| {
        let mut request = request(TeeConfig::default());
        request.uvm = vec![uvm().endorse(measurement, svn, feed).unwrap()];
        request
    };
    let good = attest(config(), &with(measurement, 10, UVM_FEED)).unwrap();
    assert_eq!(good.get("x-ms-compliance-status").and_then(|status| status.as_str()), Some("azure-compliant-uvm"));
    let refused = |request| attest(config(), &request).unwrap_err();
    assert!(matches!(
        refused(with(measurement, 9, UVM_FEED)),
        AttestError::Uvm(UvmError::SvnBelowMinimum { svn: 9, svn_min: 10 })
    ));
    assert_eq!(refused(with(measurement, 10, "x")), AttestError::Uvm(UvmError::UnknownFeed { feed: "x".into() }));
    assert_eq!(refused(with([7; 48], 10, UVM_FEED)), AttestError::UvmMismatch(UvmMismatch));
    let mut flipped = with(measurement, 10, UVM_FEED);
    let last = flipped.uvm[0].len() - 1;
    flipped.uvm[0][last] ^= 1;
    assert!(matches!(refused(flipped), AttestError::Uvm(UvmError::Cose(_))));
}

/// A chain is verified once and then remembered, but not beyond its certificates' time.
#[test]
fn remembered_chain_expires() {
    let verifier = verifier(config());
    let request = request(TeeConfig::default());
    assert_eq!(verifier.chains(now()), ChainsSeen::default());
    assert!(verifier.attest(&request, now(), &mut rng()).is_ok());
    let soon = now() + std::time::Duration::from_secs(60);
    assert!(verifier.attest(&request, soon, &mut rng()).is_ok());
    let seen = verifier.chains(soon);
    assert_eq!((seen.kept, seen.oldest), (1, Some(now())), "since it was verified, and not since it was used");
    let ends = seen.ends.unwrap();
    let second = std::time::Duration::from_secs(1);
    assert_eq!((verifier.chains(ends).kept, verifier.chains(ends + second)), (1, ChainsSeen::default()));
    let later = now() + std::time::Duration::from_secs(8 * 366 * 86_400);
    let error = verifier.attest(&request, later, &mut rng()).unwrap_err();
    assert!(matches!(error, AttestError::Chain(ChainError::Expired { .. })), "{error:?}");
}

/// What is remembered is found by all bytes of the chain: another chain is verified anew.
#[test]
fn remembered_chain_vouches_for_no_other() {
    let verifier = verifier(config());
    assert!(verifier.attest(&request(TeeConfig::default()), now(), &mut rng()).is_ok());
    let foreign = request_of(&chip(other_root()), TeeConfig::default());
    let error = verifier.attest(&foreign, now(), &mut rng()).unwrap_err();
    assert_eq!(error, unknown_root(other_root()));
}
