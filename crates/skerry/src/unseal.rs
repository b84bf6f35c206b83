//! `skerry unseal`: gives a sealed server its passphrase.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use clap::Args;
use skerry_jose::json;
use zeroize::Zeroizing;

use crate::config;
use crate::edge::{Failure, say};
use crate::root;
use crate::server::unsealing::{self, Outcome};

/// Unseal the server that runs on this machine
///
/// Asks for the passphrase of the root key and hands it to the sealed server of this configuration, through a socket in its data
/// folder that nobody but its user can open. Exit code 0: it serves, 1: the passphrase is wrong, 3: no sealed server is there, 4: what
/// is stored does not open.
#[derive(Args)]
pub(crate) struct Options {
    /// Configuration of the server
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// File with the passphrase, or - for standard input, instead of typing it
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    unseal(options).map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

fn unseal(options: &Options) -> Result<(), Failure> {
    let data = config::data(&options.config, SystemTime::now()).map_err(anyhow::Error::new)?;
    let path = data.join(unsealing::SOCKET);
    // Nobody types a passphrase for a server that is not there.
    let absent = |error: std::io::Error| {
        let text = "no sealed server: it is open already, or does not run";
        Failure::unavailable(anyhow!("{}: {text} ({})", path.display(), error.kind()))
    };
    drop(UnixStream::connect(&path).map_err(absent)?);
    let passphrase = root::passphrase("Passphrase of the root key: ", options.passphrase_file.as_deref())?;
    let mut stream = UnixStream::connect(&path).map_err(absent)?;
    let told = tell(&mut stream, passphrase.octets()).context("the server did not answer to the end");
    match told.map_err(Failure::unavailable)? {
        Outcome::Opened => Ok(say("unsealed: the server is open")?),
        Outcome::Refused(text) => Err(Failure::refused(anyhow!("{text}"))),
        Outcome::Failed { exit, text } => {
            Err(Failure::of(exit, anyhow!("unsealed, and the server does not open: {text}")))
        }
    }
}

/// Opening a store after a crash takes as long as reading it.
fn tell(stream: &mut UnixStream, passphrase: &[u8]) -> anyhow::Result<Outcome> {
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    let len = u16::try_from(passphrase.len())?.to_be_bytes();
    let request = Zeroizing::new([len.as_slice(), passphrase].concat());
    stream.write_all(&request)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let answer = json::parse(&answer, &skerry_jose::limits::JSON)?.into_object().context("no object")?;
    Outcome::parse(&answer).context("an answer that this version does not know")
}

const ANSWER_TIME_MAX: Duration = Duration::from_secs(600);
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
