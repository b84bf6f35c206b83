//! `skerry node`: the servers of an installation, those that do not come back, and times that are taken back.
//!
//! Each command reads the store itself, as `skerry verify` does, with the root key of the configuration: no server is asked, since what is
//! to be mended here may keep all of them from releasing. A node is forgotten under the lease of its name, so that it does not run; a
//! time is taken back by a server's own configuration, with the server stopped, so that it is in its own log.

mod forget;
mod list;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use skerry_store::StoreError;
use skerry_store::seal::Root;
use skerry_store::stamp::Kind;
use skerry_vault::{Installation, Node, Roll};
use x509_cert::der::DateTime;

use crate::config::{self, Settings};
use crate::edge::Failure;
use crate::server::{self, Site};

#[derive(Subcommand)]
pub(crate) enum Command {
    List(list::Options),
    Forget(forget::Options),
    ForgetTime(forget::TimeOptions),
}

pub(crate) fn run(command: &Command) -> ExitCode {
    let done = match command {
        Command::List(options) => list::list(options),
        Command::Forget(options) => forget::forget(options),
        Command::ForgetTime(options) => forget::forget_time(options),
    };
    done.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

/// Where the store is, and how the root key comes out of its seal.
#[derive(Args)]
struct Where {
    /// Configuration of a server of the installation
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// File with the passphrase of the root key, or - for standard input, instead of typing it
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Where {
    fn settings(&self) -> Result<Settings, Failure> {
        Ok(config::load(&self.config, SystemTime::now()).map_err(anyhow::Error::new)?)
    }

    fn passphrase_file(&self) -> Option<&Path> {
        self.passphrase_file.as_deref()
    }
}

/// All servers, as the store has them.
async fn roll(site: &Site<'_>, store: &skerry_store::Store, root: &Root) -> Result<Roll, Failure> {
    Installation::roll(store, root, Kind::Serve).await.map_err(|error| server::refuse(error, site.folder))
}

/// What a lease of a node's name is called, and what a server alone is.
fn name(node: &Node) -> String {
    match node {
        Node::Only => "-".to_owned(),
        Node::Named(name) => name.to_string(),
    }
}

fn unreached(error: StoreError) -> Failure {
    Failure::unavailable(anyhow::Error::new(error).context("store"))
}

/// A time as a person types it.
fn rfc3339(secs: u64) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(secs));
    let time = time.and_then(|time| DateTime::from_system_time(time).ok());
    time.map_or_else(|| secs.to_string(), |time| time.to_string())
}
