//! `skerry vault`: what a vault says of itself, and its random octets.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use skerry_client::vault::FloorChanges;
use skerry_jose::b64;
use skerry_jose::json::{Object, Value};

use crate::edge::{self, Failure, say};
use crate::key::{make, show};
use crate::remote::{Output, Remote, shown};

/// Ask a vault about itself
///
/// Exit code 0: done, 1: the vault refuses, 2: an argument or file is wrong, 3: the vault cannot be reached or is busy,
/// 4: what came is not what a vault sends.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Whose tokens the vault takes, for what, and which service answers; says whether it takes yours
    ///
    Show,
    /// What the vault demands of every release, whatever a key's policy says
    #[command(subcommand)]
    Floor(Floor),
    /// Random octets, which Managed HSMs give, as base64url or into a file
    Random {
        /// How many, 1 to 128
        #[arg(value_parser = clap::value_parser!(u32).range(1..=128))]
        count: u32,
        /// File for the octets as they are, readable by its owner only
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Replace the file if it is there
        #[arg(long)]
        force: bool,
    },
}

#[derive(Subcommand)]
enum Floor {
    /// Show it, beside what the vault's configuration demands
    Show,
    /// Set what is named; the rest stays
    Set(SetFloor),
}

#[derive(Args)]
#[group(required = true, multiple = true)]
struct SetFloor {
    /// Revoke attestation tokens issued before: now, a time, or seconds since the epoch; it is never lowered
    #[arg(long, value_name = "TIME")]
    raise_min_iat: Option<String>,
    /// Take no attestation token that is older, in seconds
    #[arg(long, value_name = "SECONDS")]
    oldest_token: Option<u64>,
    /// Take attestation tokens of any age, as far as configuration does
    #[arg(long, conflicts_with = "oldest_token")]
    any_age: bool,
    /// Release policy that has to hold beside every key's own, JSON
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Take that policy back
    #[arg(long, conflicts_with = "policy")]
    no_policy: bool,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    let outcome = match &options.command {
        Command::Show => show(&options.remote),
        Command::Floor(Floor::Show) => floor(&options.remote, None),
        Command::Floor(Floor::Set(set)) => set.changes().and_then(|changes| floor(&options.remote, Some(&changes))),
        Command::Random { count, out, force } => random(&options.remote, *count, out.as_ref(), *force),
    };
    outcome.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

fn show(remote: &Remote) -> Result<(), Failure> {
    let session = remote.open()?;
    let about = session.run(session.vault.about())?;
    // A page of keys is the least that a token is good for.
    let taken = session.run(async { session.vault.keys().next().await }).map(drop);
    let url = format!("https://{}", session.vault.endpoint().authority());
    let authority = format!("https://{}/{}", about.challenge.authority().authority(), about.challenge.tenant());
    let rows = [
        ("vault", Some(url)),
        ("authority", Some(authority)),
        ("resource", Some(about.challenge.resource().to_owned())),
        ("region", about.region),
        ("service_version", about.service_version),
    ];
    match session.json {
        true => {
            let object = rows
                .into_iter()
                .fold(Object::new(), |object, (name, value)| object.with(name, value.map_or(Value::Null, Value::from)));
            say(&object.with("may_list", taken.is_ok()).to_json())?;
        }
        false => {
            let mut table = edge::table(["", "value"]);
            for (name, value) in rows {
                table.add_row([name.replace('_', " "), value.as_deref().map(shown).unwrap_or_default()]);
            }
            table.add_row(["your token may list", if taken.is_ok() { "yes" } else { "NO" }]);
            say(&table.to_string())?;
        }
    }
    taken
}

impl SetFloor {
    fn changes(&self) -> Result<FloorChanges, Failure> {
        let min_iat = self.raise_min_iat.as_deref().map(|text| make::moment("--raise-min-iat", text)).transpose()?;
        let policy = self.policy.as_deref().map(make::policy_text).transpose()?;
        Ok(FloorChanges {
            min_iat,
            token_age_max_secs: self.oldest_token.map(Some).or(self.any_age.then_some(None)),
            policy: policy.map(Some).or(self.no_policy.then_some(None)),
        })
    }
}

fn floor(remote: &Remote, changes: Option<&FloorChanges>) -> Result<(), Failure> {
    let session = remote.open()?;
    let floor = match changes {
        Some(changes) => session.run(session.vault.set_floor(changes))?,
        None => session.run(session.vault.floor())?,
    };
    let policy = floor.policy.as_deref().map(String::from_utf8_lossy);
    if session.json {
        let configured = Object::new()
            .with("token_age_max_secs", floor.configured_age_max_secs.map_or(Value::Null, Value::from))
            .with("simulated", floor.simulated);
        let object = Object::new()
            .with("generation", floor.generation)
            .with("min_iat", floor.min_iat)
            .with("token_age_max_secs", floor.token_age_max_secs.map_or(Value::Null, Value::from))
            .with("policy", policy.map_or(Value::Null, |policy| Value::from(policy.into_owned())))
            .with("updated", floor.updated.map_or(Value::Null, Value::from))
            .with("configured", configured);
        return Ok(say(&object.to_json())?);
    }
    let secs = |secs: Option<u64>| secs.map_or("any".to_owned(), |secs| format!("{secs} s"));
    let mut table = edge::table(["", "set", "by configuration"]);
    let from = if floor.min_iat == 0 { "any".to_owned() } else { show::date(floor.min_iat) };
    table.add_row(["tokens from", &from, ""]);
    table.add_row(["oldest token", &secs(floor.token_age_max_secs), &secs(floor.configured_age_max_secs)]);
    table.add_row(["simulated TEEs", "", if floor.simulated { "TAKEN" } else { "refused" }]);
    table.add_row(["policy", &policy.map_or("none".to_owned(), |policy| shown(&policy)), ""]);
    table.add_row(["set last", &floor.updated.map_or("never".to_owned(), show::date), ""]);
    Ok(say(&table.to_string())?)
}

fn random(remote: &Remote, count: u32, out: Option<&PathBuf>, force: bool) -> Result<(), Failure> {
    let out = out.map(|path| Output::new(path, force));
    out.iter().try_for_each(Output::check)?;
    let session = remote.open()?;
    let octets = session.run(session.vault.random(count))?;
    let Some(out) = out else {
        let text = b64::encode(octets.as_slice());
        return Ok(say(&if session.json { Object::new().with("value", text).to_json() } else { text })?);
    };
    out.write(&octets)?;
    let path = out.display().to_string();
    let words = match session.json {
        true => Object::new().with("out", path).with("bytes", u64::from(count)).to_json(),
        false => format!("{count} random octets are in {path}"),
    };
    Ok(say(&words)?)
}
