//! The release that happens, and the six that do not, each with its control.

use std::time::Duration;

use anyhow::{Context as _, bail};
use skerry_attestation_result::limits::TOKEN_LIFETIME_SECS;
use skerry_attestation_result::{TokenError, unix_secs};
use skerry_evidence::evidence::BindingError;
use skerry_evidence::snp::{ChainError, Report, ReportError};
use skerry_jose::{Algorithm, ProtectedHeader, SigningKey, Unverified, VerifyingKey};
use skerry_keys::PublicKey;
use skerry_policy::permit::Denied;
use skerry_policy::release::Seen;
use skerry_simulator::TeeConfig;
use skerry_vault::Refusal;
use skerry_verifier::wire::{Data, SnpRequest};
use skerry_verifier::{AttestError, FloorRefusal};

use super::scene::{Scene, Workload, rng, trusted_guest};
use super::show::{Refused, Shown};
use crate::edge;

/// Why an attempt ended without a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// The attestation service gave no token.
    Attest(AttestError),
    /// The vault gave no key.
    Release(Refusal),
}

/// From evidence to a key that signs.
pub(crate) fn release_once(scene: &Scene, shown: &mut Shown) -> anyhow::Result<()> {
    let workload = scene.boot(trusted_guest())?;
    let measurement = hex::encode(workload.tee.config().measurement);
    shown.step("TEE", &format!("simulated SEV-SNP guest booted, measurement {}...", &measurement[..16]))?;
    let request = workload.request()?;
    let sizes = (request.report.len(), request.chain_pem.len());
    shown.step(
        "evidence",
        &format!("report of {} bytes over the TEE's own RSA key, chain of {} bytes", sizes.0, sizes.1),
    )?;
    let token = scene.attest(&request, scene.now).context("attestation refused")?;
    shown.step("verified", "root, chain, signature, chip and TCB hold; no debug, no migration, VMPL 0")?;
    shown.step(
        "token",
        &format!("attestation token of {} bytes, good for {} h", token.as_str().len(), TOKEN_LIFETIME_SECS / 3_600),
    )?;
    let answer = scene.release(token.as_str()).context("release refused")?;
    shown.step(
        "released",
        &format!("policy holds; on record, then wrapped to the TEE's key: {} bytes", answer.value.len()),
    )?;
    let release = scene.verify(&answer, token.as_str()).context("the answer does not hold")?;
    let place = release.receipt().audit_index;
    shown.step("answer", &format!("signature, certificate, key id, nonce and receipt hold; audit record {place}"))?;
    let key = workload.unwrap(&release)?;
    shown.step("unwrapped", &format!("{} bytes of PKCS#8, in the TEE only", key.expose().len()))?;
    prove(scene, key.expose())?;
    shown.step("proof", "the TEE signs with it; the signature verifies with the vault's public half")
}

/// Every attempt that must fail, as it did.
pub(crate) fn refusals(scene: &Scene) -> anyhow::Result<Vec<Refused>> {
    Ok(vec![
        other_measurement(scene)?,
        debug_tee(scene)?,
        tampered_report(scene)?,
        expired_token(scene)?,
        stolen_evidence(scene)?,
        foreign_root(scene)?,
    ])
}

fn other_measurement(scene: &Scene) -> anyhow::Result<Refused> {
    let other = TeeConfig { measurement: [0x5a; 48], ..trusted_guest() };
    let seen = whole(scene, &scene.boot(other)?)?;
    let denied_by_clause = match &seen {
        Err(Failure::Release(Refusal::Denied(Denied::Policy(explanation)))) => {
            let clauses = explanation.entries.iter().flat_map(|entry| &entry.clauses);
            let mut failing = clauses.filter(|clause| !clause.holds);
            let clause = failing.next().filter(|_| failing.next().is_none());
            clause.map(|clause| {
                let seen = match &clause.seen {
                    Seen::Text { text, .. } => short(text),
                    other => format!("{other:?}"),
                };
                let as_expected = clause.claim == "x-ms-sevsnpvm-launchmeasurement" && seen.starts_with("5a5a");
                (clause.path.clone() + " " + &clause.claim, short(&clause.expected), seen, as_expected)
            })
        }
        _ => None,
    };
    let (check, expected, seen, as_expected) = denied_by_clause.unwrap_or_else(|| unexpected(&seen));
    let control = whole(scene, &scene.boot(trusted_guest())?)?;
    Ok(Refused { who: "another measurement", check, expected, seen, as_expected, control: control.is_ok() })
}

fn debug_tee(scene: &Scene) -> anyhow::Result<Refused> {
    let debug = TeeConfig { policy: trusted_guest().policy | DEBUG, ..trusted_guest() };
    refused(
        "a debug TEE",
        whole(scene, &scene.boot(debug)?)?,
        Failure::Attest(AttestError::Floor(FloorRefusal::Debug)),
        ("floor.debug", "DEBUG = 0", "DEBUG = 1"),
        whole(scene, &scene.boot(trusted_guest())?)?,
    )
}

fn tampered_report(scene: &Scene) -> anyhow::Result<Refused> {
    let workload = scene.boot(trusted_guest())?;
    let good = workload.request()?;
    let mut tampered = good.clone();
    let byte = tampered.report.get_mut(HOST_DATA).context("report too short")?;
    *byte ^= 1;
    refused(
        "a tampered report",
        attested(scene, &tampered, &workload)?,
        Failure::Attest(AttestError::Report(ReportError::BadSignature)),
        ("report-signature", "ECDSA P-384 by the VCEK", "one bit of HOST_DATA flipped"),
        attested(scene, &good, &workload)?,
    )
}

fn expired_token(scene: &Scene) -> anyhow::Result<Refused> {
    let workload = scene.boot(trusted_guest())?;
    let request = workload.request()?;
    let nine_hours_ago = scene.now - Duration::from_secs(9 * 3_600);
    let old = scene.attest(&request, nine_hours_ago).context("attestation refused")?;
    let now = unix_secs(scene.now);
    let exp = unix_secs(nine_hours_ago) + TOKEN_LIFETIME_SECS;
    refused(
        "an expired token",
        presented(scene, old.as_str(), &workload)?,
        Failure::Release(Refusal::Token(TokenError::Expired { exp, now })),
        ("token exp", "exp after now", &format!("exp {} min ago", (now - exp) / 60)),
        attested(scene, &request, &workload)?,
    )
}

fn stolen_evidence(scene: &Scene) -> anyhow::Result<Refused> {
    let (victim, thief) = (scene.boot(trusted_guest())?, scene.boot(trusted_guest())?);
    let good = victim.request()?;
    let runtime = thief.runtime_data()?;
    let spliced = SnpRequest { runtime_data: Some(Data::json(&runtime)?), ..good.clone() };
    let report = Report::parse(&good.report)?;
    let bound = short(&hex::encode(report.report_data()));
    let offered = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &runtime);
    refused(
        "one TEE's evidence, another's key",
        attested(scene, &spliced, &thief)?,
        Failure::Attest(AttestError::Binding(BindingError::RuntimeData)),
        ("binding REPORT_DATA", &bound, &short(&hex::encode(offered))),
        attested(scene, &good, &victim)?,
    )
}

fn foreign_root(scene: &Scene) -> anyhow::Result<Refused> {
    let spki_sha256 = scene.foreign_spki_sha256()?;
    refused(
        "a TEE of an untrusted root",
        whole(scene, &scene.boot_abroad(trusted_guest())?)?,
        Failure::Attest(AttestError::Chain(ChainError::UnknownRoot { spki_sha256 })),
        ("root-pinned", "an ARK that is an anchor", &format!("ARK {}", short(&hex::encode(spki_sha256)))),
        whole(scene, &scene.boot(trusted_guest())?)?,
    )
}

type Outcome = Result<(), Failure>;

/// A refusal as it happened, beside what it must be and its control.
fn refused(
    who: &'static str,
    outcome: Outcome,
    must_be: Failure,
    (check, expected, seen): (&str, &str, &str),
    control: Outcome,
) -> anyhow::Result<Refused> {
    let as_expected = outcome == Err(must_be);
    let (check, expected, seen, _) = match as_expected {
        true => (check.to_owned(), expected.to_owned(), seen.to_owned(), true),
        false => unexpected(&outcome),
    };
    Ok(Refused { who, check, expected, seen, as_expected, control: control.is_ok() })
}

fn unexpected(outcome: &Outcome) -> (String, String, String, bool) {
    let seen = match outcome {
        Ok(()) => "RELEASED".to_owned(),
        Err(Failure::Attest(error)) => edge::chain(error.clone()),
        Err(Failure::Release(error)) => edge::chain(error.clone()),
    };
    ("none that was expected".into(), "a refusal by another check".into(), seen, false)
}

/// The whole flow of an honest workload, down to the proof.
fn whole(scene: &Scene, workload: &Workload) -> anyhow::Result<Outcome> {
    attested(scene, &workload.request()?, workload)
}

fn attested(scene: &Scene, request: &SnpRequest, workload: &Workload) -> anyhow::Result<Outcome> {
    match scene.attest(request, scene.now) {
        Ok(token) => presented(scene, token.as_str(), workload),
        Err(error) => Ok(Err(Failure::Attest(error))),
    }
}

fn presented(scene: &Scene, token: &str, workload: &Workload) -> anyhow::Result<Outcome> {
    let answer = match scene.release(token) {
        Ok(answer) => answer,
        Err(refusal) => return Ok(Err(Failure::Release(refusal))),
    };
    let release = scene.verify(&answer, token)?;
    prove(scene, workload.unwrap(&release)?.expose())?;
    Ok(Ok(()))
}

/// Signs with the released key and verifies with the public half that the vault keeps.
fn prove(scene: &Scene, pkcs8: &[u8]) -> anyhow::Result<()> {
    let key = SigningKey::from_pkcs8(Algorithm::Rs256, pkcs8).context("what was released is no key")?;
    let mut challenge = [0; 32];
    rand_core::Rng::fill_bytes(&mut rng(), &mut challenge);
    let payload = format!(r#"{{"challenge":"{}"}}"#, hex::encode(challenge));
    let signed = ProtectedHeader::new(r#"{"alg":"RS256"}"#).sign(payload.as_bytes(), &key)?;
    let PublicKey::Rsa { n, e } = &scene.key.version.public else { bail!("the key is not RSA") };
    let public = skerry_jose::PublicKey::Rsa(skerry_jose::RsaPublicKey::new(n, e)?);
    let public = VerifyingKey::new("vault", &public, Some(Algorithm::Rs256))?;
    Unverified::parse(&signed, &Default::default())?.verify(&public)?;
    Ok(())
}

fn short(text: &str) -> String {
    text.get(..16).map_or_else(|| text.to_owned(), |start| format!("{start}..."))
}

/// AMD 56860, guest policy, bit 19.
const DEBUG: u64 = 1 << 19;
/// AMD 56860, ATTESTATION_REPORT.HOST_DATA.
const HOST_DATA: usize = 0xC0;
