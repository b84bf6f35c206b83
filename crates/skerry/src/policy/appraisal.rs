//! `skerry policy check|explain --appraisal FILE`: an appraisal policy of the attestation service, and what it makes of claims.
//!
//! Claims are what the service would put before the rules: those of a token under `x-ms-*` names, for instance. Nobody
//! vouches for them here, and the service's floor is not asked.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use skerry_jose::json::Object;
use skerry_policy::attestation::{AppraisalPolicy, Claim, EvidenceType, Finding, PolicyParsingError, Verdict};

use super::{Command, Options, claims, read};
use crate::edge::{say, table};

/// Whether the policy is one, and permits where there are claims.
pub(super) fn run(command: &Command, path: &Path) -> anyhow::Result<bool> {
    let (Command::Check(options) | Command::Explain(options)) = command;
    let kind = EvidenceType::parse(&options.evidence_type);
    let kind = kind.ok_or_else(|| anyhow!("{:?} is no type of evidence", options.evidence_type))?;
    let text = String::from_utf8(read(path)?).with_context(|| path.display().to_string())?;
    let policy = match AppraisalPolicy::parse(kind, &text) {
        Ok(policy) => policy,
        Err(error) => return refuse(options, path, &error),
    };
    let subject = options.claims.as_deref().map(claims).transpose()?;
    if subject.is_none() && matches!(command, Command::Explain(_)) {
        return Err(anyhow!("nothing to judge: give --claims FILE"));
    }
    let verdict = subject.map(|claims| policy.explain(&Claim::of_service(&claims)));
    match options.json {
        true => say(&json(&policy, verdict.as_ref()).to_json())?,
        false => text_of(&policy, verdict.as_ref(), matches!(command, Command::Explain(_)))?,
    }
    Ok(verdict.is_none_or(|verdict| verdict.outcome.is_ok()))
}

/// A policy that is refused is an answer, not a failure of the command.
fn refuse(options: &Options, path: &Path, error: &PolicyParsingError) -> anyhow::Result<bool> {
    let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    match options.json {
        true => {
            let at = Object::new().with("line", number(error.at.line)).with("column", number(error.at.column));
            let at = at.with("rule", error.rule).with("error", error.kind.to_string());
            say(&Object::new().with("policy", "refused").with("at", at).to_json())?;
        }
        false => {
            say(&format!("{}:{}:{}: {}", path.display(), error.at.line, error.at.column, error.kind))?;
            say(&format!("  in {}\npolicy: refused", error.rule))?;
        }
    }
    Ok(false)
}

fn text_of(policy: &AppraisalPolicy, verdict: Option<&Verdict>, rules: bool) -> anyhow::Result<()> {
    say(&format!("version: {}\nhash: {}", policy.version(), policy.hash()))?;
    let Some(verdict) = verdict else { return say("policy: ok") };
    if rules {
        let mut table = table(["rule", "action", "fires"]);
        verdict.findings.iter().for_each(|finding| {
            table.add_row(row(finding));
        });
        say(&table.to_string())?;
    }
    say("note: nobody vouches for these claims, and the floor was not asked")?;
    match &verdict.outcome {
        Ok(appraised) => say(&format!("issues: {}\npolicy: permits", appraised.issued.to_json())),
        Err(error) => say(&format!("{error}\npolicy: does not permit")),
    }
}

fn row(finding: &Finding) -> [String; 3] {
    let fires = if finding.fired { "yes" } else { "no" };
    [finding.rule.to_string(), finding.action.to_owned(), fires.to_owned()]
}

fn json(policy: &AppraisalPolicy, verdict: Option<&Verdict>) -> Object {
    let object = Object::new().with("version", policy.version().to_string()).with("hash", policy.hash());
    let Some(verdict) = verdict else { return object };
    let rule = |finding: &Finding| {
        let Finding { rule, action, fired } = finding;
        Object::new().with("rule", rule.to_string()).with("action", *action).with("fires", *fired)
    };
    let object = object.with("rules", verdict.findings.iter().map(rule).collect::<Vec<_>>());
    match &verdict.outcome {
        Ok(appraised) => object.with("permits", true).with("issues", appraised.issued.clone()),
        Err(error) => object.with("permits", false).with("error", error.to_string()),
    }
}
