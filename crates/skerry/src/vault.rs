//! `skerry vault`: what a vault says of itself, and its random octets.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use skerry_jose::b64;
use skerry_jose::json::{Object, Value};

use crate::edge::{self, Failure, say};
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
    /// Floors of a vault are in its configuration (skerry.toml), and it tells them to nobody.
    Show,
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

pub(crate) fn run(options: &Options) -> ExitCode {
    let outcome = match &options.command {
        Command::Show => show(&options.remote),
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
