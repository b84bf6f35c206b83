//! The release that happens, and the six that do not, each with its control.
//!
//! A refusal comes over the wire as a status and a sentence. What it must be is the sentence of the very error, so that
//! another check that says no makes the demo fail.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use skerry_attestation_result::limits::TOKEN_LIFETIME_SECS;
use skerry_attestation_result::{TokenError, names, unix_secs};
use skerry_evidence::evidence::BindingError;
use skerry_evidence::snp::{ChainError, Report, ReportError};
use skerry_jose::{Algorithm, ProtectedHeader, SigningKey, Unverified, VerifyingKey};
use skerry_simulator::TeeConfig;
use skerry_vault::explained;
use skerry_verifier::wire::{Data, SnpRequest};
use skerry_verifier::{AttestError, FloorRefusal};

use super::scene::{Scene, Workload, rng, trusted_guest};
use super::show::{Refused, Shown};
use crate::edge;

/// Why an attempt ended without a key, in the services' words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The attestation service gave no token: status 400.
    #[error("attestation: {code}: {message}")]
    Attest { code: String, message: String },
    /// The vault gave no key.
    #[error("vault: {status}: {message}")]
    Release { status: u16, message: String },
}

impl Refusal {
    fn attest(code: &str, error: AttestError) -> Refusal {
        Refusal::Attest { code: code.to_owned(), message: edge::chain(error) }
    }

    /// A denial as it is explained to callers who may read the key.
    fn denied(sentence: &str, why: &str) -> Refusal {
        Refusal::Release { status: 403, message: format!("{sentence}\n{why}") }
    }
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
    let token = scene.attest(&request)?.context("attestation refused")?;
    shown.step("verified", "root, chain, signature, chip and TCB hold; no debug, no migration, VMPL 0")?;
    shown.step(
        "token",
        &format!("attestation token of {} bytes, good for {} h", token.len(), TOKEN_LIFETIME_SECS / 3_600),
    )?;
    let answer = scene.release(&token)?.context("release refused")?;
    shown
        .step("released", &format!("policy holds; on record, then wrapped to the TEE's key: {} bytes", answer.len()))?;
    let release = scene.verify(&answer, &token).context("the answer does not hold")?;
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
    let [expected, seen] = [&trusted_guest(), &other].map(|guest| hex::encode(guest.measurement));
    let clause = format!("anyOf[0].allOf[2]: {:?} equals {expected:?}, saw {seen:?}", names::snp::LAUNCH_MEASUREMENT);
    let outcome = whole(scene, &scene.boot(other)?)?;
    let as_expected = match &outcome {
        Err(Refusal::Release { status: 403, message }) => clauses_that_failed(message) == [clause.as_str()],
        _ => false,
    };
    refused(
        "another measurement",
        &outcome,
        as_expected,
        (&format!("anyOf[0].allOf[2] {}", names::snp::LAUNCH_MEASUREMENT), &short(&expected), &short(&seen)),
        &whole(scene, &scene.boot(trusted_guest())?)?,
    )
}

/// The clauses of an explanation that did not hold, as it writes them: two spaces and a minus.
fn clauses_that_failed(message: &str) -> Vec<&str> {
    message.lines().filter_map(|line| line.strip_prefix("  - ")).collect()
}

fn debug_tee(scene: &Scene) -> anyhow::Result<Refused> {
    let debug = TeeConfig { policy: trusted_guest().policy | DEBUG, ..trusted_guest() };
    let outcome = whole(scene, &scene.boot(debug)?)?;
    let must_be = Refusal::attest("PolicyEvaluationError", AttestError::Floor(FloorRefusal::Debug));
    refused(
        "a debug TEE",
        &outcome,
        outcome == Err(must_be),
        ("floor.debug", "DEBUG = 0", "DEBUG = 1"),
        &whole(scene, &scene.boot(trusted_guest())?)?,
    )
}

fn tampered_report(scene: &Scene) -> anyhow::Result<Refused> {
    let workload = scene.boot(trusted_guest())?;
    let good = workload.request()?;
    let mut tampered = good.clone();
    let byte = tampered.report.get_mut(HOST_DATA).context("report too short")?;
    *byte ^= 1;
    let outcome = attested(scene, &tampered, &workload)?;
    let must_be = Refusal::attest("InvalidQuote", AttestError::Report(ReportError::BadSignature));
    refused(
        "a tampered report",
        &outcome,
        outcome == Err(must_be),
        ("report-signature", "ECDSA P-384 by the VCEK", "one bit of HOST_DATA flipped"),
        &attested(scene, &good, &workload)?,
    )
}

fn expired_token(scene: &Scene) -> anyhow::Result<Refused> {
    let workload = scene.boot(trusted_guest())?;
    let request = workload.request()?;
    let before = SystemTime::now();
    let nine_hours_ago = before - Duration::from_secs(9 * 3_600);
    let old = scene.attested_at(&request, nine_hours_ago)?;
    let exp = unix_secs(nine_hours_ago) + TOKEN_LIFETIME_SECS;
    let outcome = presented(scene, &old, &workload)?;
    // The vault's clock is this machine's, and said a second between these two.
    let mut seconds = unix_secs(before)..=unix_secs(SystemTime::now());
    let must_be = |now| {
        let why = explained(&skerry_vault::Refusal::Token(TokenError::Expired { exp, now }));
        Refusal::denied("Target environment attestation statement cannot be verified.", &why)
    };
    refused(
        "an expired token",
        &outcome,
        seconds.any(|now| outcome == Err(must_be(now))),
        ("token exp", "exp after now", &format!("exp {} min ago", (unix_secs(before) - exp) / 60)),
        &attested(scene, &request, &workload)?,
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
    let outcome = attested(scene, &spliced, &thief)?;
    let must_be = Refusal::attest("InvalidParameter", AttestError::Binding(BindingError::RuntimeData));
    refused(
        "one TEE's evidence, another's key",
        &outcome,
        outcome == Err(must_be),
        ("binding REPORT_DATA", &bound, &short(&hex::encode(offered))),
        &attested(scene, &good, &victim)?,
    )
}

fn foreign_root(scene: &Scene) -> anyhow::Result<Refused> {
    let spki_sha256 = scene.foreign_spki_sha256()?;
    let outcome = whole(scene, &scene.boot_abroad(trusted_guest())?)?;
    let must_be = Refusal::attest("InvalidQuote", AttestError::Chain(ChainError::UnknownRoot { spki_sha256 }));
    refused(
        "a TEE of an untrusted root",
        &outcome,
        outcome == Err(must_be),
        ("root-pinned", "an ARK that is an anchor", &format!("ARK {}", short(&hex::encode(spki_sha256)))),
        &whole(scene, &scene.boot(trusted_guest())?)?,
    )
}

type Outcome = Result<(), Refusal>;

/// A refusal as it happened, whether it is what it must be, and its control.
fn refused(
    who: &'static str,
    outcome: &Outcome,
    as_expected: bool,
    (check, expected, seen): (&str, &str, &str),
    control: &Outcome,
) -> anyhow::Result<Refused> {
    let (check, expected, seen) = match (as_expected, outcome) {
        (true, _) => (check.to_owned(), expected.to_owned(), seen.to_owned()),
        (false, Ok(())) => unexpected("RELEASED"),
        (false, Err(refusal)) => unexpected(&refusal.to_string()),
    };
    Ok(Refused { who, check, expected, seen, as_expected, control: control.is_ok() })
}

fn unexpected(seen: &str) -> (String, String, String) {
    ("none that was expected".to_owned(), "a refusal by another check".to_owned(), seen.to_owned())
}

/// The whole flow of an honest workload, down to the proof.
fn whole(scene: &Scene, workload: &Workload) -> anyhow::Result<Outcome> {
    attested(scene, &workload.request()?, workload)
}

fn attested(scene: &Scene, request: &SnpRequest, workload: &Workload) -> anyhow::Result<Outcome> {
    match scene.attest(request)? {
        Ok(token) => presented(scene, &token, workload),
        Err(refusal) => Ok(Err(refusal)),
    }
}

fn presented(scene: &Scene, token: &str, workload: &Workload) -> anyhow::Result<Outcome> {
    let answer = match scene.release(token)? {
        Ok(answer) => answer,
        Err(refusal) => return Ok(Err(refusal)),
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
    let public = VerifyingKey::new("vault", &scene.key, Some(Algorithm::Rs256))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A refusal by another check than the one it must be is shown as what it is, and so is a release.
    #[test]
    fn other_refusals_are_not_as_expected() {
        let row =
            |outcome: &Outcome, as_expected| refused("x", outcome, as_expected, ("a", "b", "c"), &Ok(())).unwrap();
        let other = Err(Refusal::attest("InvalidQuote", AttestError::Report(ReportError::BadSignature)));
        let shown = row(&other, false);
        assert_eq!((shown.as_expected, shown.check.as_str()), (false, "none that was expected"));
        assert_eq!(shown.seen, other.clone().unwrap_err().to_string());
        assert_eq!(row(&Ok(()), false).seen, "RELEASED");
        let shown = row(&other, true);
        assert_eq!((shown.check.as_str(), shown.expected.as_str(), shown.seen.as_str()), ("a", "b", "c"));
    }

    /// Of an explanation only the clauses count that did not hold, with everything that is said of them.
    #[test]
    fn clauses_are_read_as_they_are_written() {
        let message = "Sentence.\npolicy\nissuer x\n- anyOf[0]: authority x matches\n  + anyOf[0].allOf[0]: a\n  - anyOf[0].allOf[1]: b; hint\n";
        assert_eq!(clauses_that_failed(message), ["anyOf[0].allOf[1]: b; hint"]);
    }
}
