//! `skerry policy`: is a release policy sound, and what does it say of a token; the same of an appraisal policy and claims.
//!
//! A token's signature is checked only where `--jwks` brings the authority's keys; the output says whether it was.

mod appraisal;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use skerry_attestation_result::limits::TokenLimits;
use skerry_attestation_result::{Authority, IssuerUrl};
use skerry_jose::json::{self, Object, Value};
use skerry_jose::{JwkSet, Unverified, limits};
use skerry_policy::release::{ClauseFinding, EntryFinding, Policy, Verdict};

use crate::edge::{self, say, table};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Read a policy, warn of likely mistakes, and say whether claims meet it
    Check(Options),
    /// Show every clause: what it expects, what it saw, and what may be wrong
    Explain(Options),
}

#[derive(Args)]
pub(crate) struct Options {
    /// Release policy, JSON
    #[arg(long, value_name = "FILE", required_unless_present = "appraisal")]
    policy: Option<PathBuf>,
    /// Appraisal policy of the attestation service instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["policy", "token", "jwks", "issuer"])]
    appraisal: Option<PathBuf>,
    /// Type of evidence that an appraisal policy is for
    #[arg(long, value_name = "TYPE", default_value = "SevSnpVm", requires = "appraisal")]
    evidence_type: String,
    /// Attestation token (JWS compact form) to judge
    #[arg(long, value_name = "FILE", conflicts_with = "claims")]
    token: Option<PathBuf>,
    /// Claims (JSON object) to judge
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// Keys of the authority (JWK set): checks the token's signature and times
    #[arg(long, value_name = "FILE", requires = "token")]
    jwks: Option<PathBuf>,
    /// Issuer, if the claims have no iss
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Claims to judge, and how far they can be believed.
struct Subject {
    issuer: IssuerUrl,
    claims: Object,
    verified: bool,
}

pub(crate) fn run(command: &Command) -> ExitCode {
    let outcome = match command {
        Command::Check(Options { appraisal: Some(path), .. })
        | Command::Explain(Options { appraisal: Some(path), .. }) => appraisal::run(command, path),
        Command::Check(options) => check(options),
        Command::Explain(options) => explain(options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(edge::REFUSED),
        Err(error) => edge::fail(&error),
    }
}

fn check(options: &Options) -> anyhow::Result<bool> {
    let policy = match read_policy(options)? {
        Ok(policy) => policy,
        Err(error) => return refuse_policy(options, &error),
    };
    let verdict = subject(options)?.map(|subject| (policy.explain(&subject.issuer, &subject.claims), subject.verified));
    match options.json {
        true => say(&check_json(&policy, verdict.as_ref()).to_json())?,
        false => check_text(&policy, verdict.as_ref())?,
    }
    Ok(verdict.is_none_or(|(verdict, _)| verdict.allowed))
}

fn explain(options: &Options) -> anyhow::Result<bool> {
    let policy = match read_policy(options)? {
        Ok(policy) => policy,
        Err(error) => return refuse_policy(options, &error),
    };
    let subject = subject(options)?;
    let subject = subject.ok_or_else(|| anyhow!("nothing to judge: give --token FILE or --claims FILE"))?;
    let verdict = policy.explain(&subject.issuer, &subject.claims);
    match options.json {
        true => say(&verdict_json(&verdict, subject.verified).to_json())?,
        false => explain_text(&verdict, subject.verified)?,
    }
    Ok(verdict.allowed)
}

type Parsed = Result<Policy, skerry_policy::release::ParseError>;

fn read_policy(options: &Options) -> anyhow::Result<Parsed> {
    Ok(Policy::parse(&read(path(options)?)?, &Default::default()))
}

fn path(options: &Options) -> anyhow::Result<&Path> {
    options.policy.as_deref().context("no policy is named")
}

/// A policy that is refused is an answer, not a failure of the command.
fn refuse_policy(options: &Options, error: &skerry_policy::release::ParseError) -> anyhow::Result<bool> {
    match options.json {
        true => {
            let at = Object::new().with("line", int(error.at.line)).with("column", int(error.at.column));
            let error = at.with("clause", error.clause.as_str()).with("error", error.kind.to_string());
            say(&Object::new().with("policy", "refused").with("at", error).to_json())?;
        }
        false => {
            let place = format!("{}:{}:{}", path(options)?.display(), error.at.line, error.at.column);
            say(&format!("{place}: {}", error.kind))?;
            if !error.clause.is_empty() {
                say(&format!("  in {}", error.clause))?;
            }
            say("policy: refused")?;
        }
    }
    Ok(false)
}

fn subject(options: &Options) -> anyhow::Result<Option<Subject>> {
    match (&options.token, &options.claims) {
        (Some(path), _) => token(path, options).map(Some),
        (None, Some(path)) => {
            let claims = claims(path)?;
            Ok(Some(Subject { issuer: issuer(options, &claims)?, claims, verified: false }))
        }
        (None, None) => Ok(None),
    }
}

fn claims(path: &Path) -> anyhow::Result<Object> {
    let claims = json::parse(&read(path)?, &limits::JSON).with_context(|| path.display().to_string())?;
    claims.into_object().ok_or_else(|| anyhow!("{}: not a JSON object", path.display()))
}

fn token(path: &Path, options: &Options) -> anyhow::Result<Subject> {
    let text = String::from_utf8(read(path)?).with_context(|| path.display().to_string())?;
    let text = text.trim();
    let unverified =
        Unverified::parse(text, &TokenLimits::default().jws).with_context(|| path.display().to_string())?;
    let claims = unverified.claims_nobody_vouches_for().clone();
    let issuer = issuer(options, &claims)?;
    let Some(jwks) = &options.jwks else { return Ok(Subject { issuer, claims, verified: false }) };
    let keys = JwkSet::parse(&read(jwks)?, &limits::JSON).with_context(|| jwks.display().to_string())?;
    let result =
        Authority::with_keys(issuer, keys).verify(text, SystemTime::now()).context("the token does not hold")?;
    Ok(Subject { issuer: result.issuer().clone(), claims: result.claims().clone(), verified: true })
}

fn issuer(options: &Options, claims: &Object) -> anyhow::Result<IssuerUrl> {
    let claimed = claims.get("iss").and_then(Value::as_str);
    let text = options.issuer.as_deref().or(claimed);
    let text = text.ok_or_else(|| anyhow!("the claims have no iss: name the authority with --issuer URL"))?;
    IssuerUrl::parse(text).with_context(|| format!("issuer {text:?}"))
}

fn check_text(policy: &Policy, verdict: Option<&(Verdict, bool)>) -> anyhow::Result<()> {
    say(&format!("policy: {}", policy.canonical()))?;
    say(&format!("digest: {}", policy.digest()))?;
    for warning in policy.lint() {
        say(&format!("warning: {warning}"))?;
    }
    match verdict {
        None => say("policy: ok"),
        Some((verdict, verified)) => conclude(verdict, *verified),
    }
}

fn explain_text(verdict: &Verdict, verified: bool) -> anyhow::Result<()> {
    let mut table = table(["clause", "claim", "expected", "seen", "holds", "hint"]);
    for entry in &verdict.explanation.entries {
        table.add_row(entry_row(entry, &verdict.explanation.issuer));
        entry.clauses.iter().for_each(|clause| {
            table.add_row(clause_row(clause));
        });
    }
    say(&table.to_string())?;
    conclude(verdict, verified)
}

fn entry_row(entry: &EntryFinding, issuer: &str) -> [String; 6] {
    [
        entry.path.clone(),
        "authority".into(),
        entry.authority.clone(),
        issuer.to_owned(),
        yes(entry.issuer_matches),
        entry.hint.as_ref().map(ToString::to_string).unwrap_or_default(),
    ]
}

fn clause_row(clause: &ClauseFinding) -> [String; 6] {
    [
        clause.path.clone(),
        clause.claim.clone(),
        format!("{} {}", clause.operator.keyword(), clause.expected),
        clause.seen.to_string(),
        yes(clause.holds),
        clause.hint.as_ref().map(ToString::to_string).unwrap_or_default(),
    ]
}

fn yes(holds: bool) -> String {
    if holds { "yes" } else { "NO" }.to_owned()
}

fn conclude(verdict: &Verdict, verified: bool) -> anyhow::Result<()> {
    if !verified {
        say("note: nobody vouches for these claims, no signature was checked (--token FILE --jwks FILE does)")?;
    }
    say(if verdict.allowed { "policy: met" } else { "policy: not met" })
}

fn check_json(policy: &Policy, verdict: Option<&(Verdict, bool)>) -> Object {
    let warning = |warning: &skerry_policy::release::Warning| {
        Object::new().with("clause", warning.path.as_str()).with("warning", warning.kind.to_string())
    };
    let mut object = Object::new()
        .with("policy", policy.canonical())
        .with("digest", policy.digest().to_string())
        .with("warnings", policy.lint().iter().map(warning).collect::<Vec<_>>());
    if let Some((verdict, verified)) = verdict {
        object.insert("verdict", verdict_json(verdict, *verified));
    }
    object
}

fn verdict_json(verdict: &Verdict, verified: bool) -> Object {
    let entries: Vec<Object> = verdict.explanation.entries.iter().map(entry_json).collect();
    Object::new()
        .with("met", verdict.allowed)
        .with("signature_checked", verified)
        .with("issuer", verdict.explanation.issuer.as_str())
        .with("entries", entries)
}

fn entry_json(entry: &EntryFinding) -> Object {
    Object::new()
        .with("clause", entry.path.as_str())
        .with("authority", entry.authority.as_str())
        .with("authority_matches", entry.issuer_matches)
        .with("holds", entry.holds)
        .with("hint", hint(entry.hint.as_ref()))
        .with("clauses", entry.clauses.iter().map(clause_json).collect::<Vec<_>>())
}

fn clause_json(clause: &ClauseFinding) -> Object {
    Object::new()
        .with("clause", clause.path.as_str())
        .with("claim", clause.claim.as_str())
        .with("operator", clause.operator.keyword())
        .with("expected", clause.expected.as_str())
        .with("seen", clause.seen.to_string())
        .with("holds", clause.holds)
        .with("hint", hint(clause.hint.as_ref()))
}

fn hint(hint: Option<&skerry_policy::release::Hint>) -> Value {
    hint.map_or(Value::Null, |hint| hint.to_string().into())
}

fn int(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}
