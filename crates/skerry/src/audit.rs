//! `skerry audit`: an audit log read, held against what was signed for, and proofs of what is in it.
//!
//! It reads a folder, beside its server or in a copy, needs no key and changes nothing. What it prints of a log is what the log
//! says; that the log is the one that was signed for is `verify`'s to say.

mod look;
mod prove;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use skerry_audit::{AuditError, CheckError};
use skerry_tlog::VerifyingKey;

use crate::edge::{Failure, say};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show the newest records
    ///
    /// The log is read from its end, so the chain is checked among the records that are shown; `verify` checks all of it.
    Tail(look::Tail),
    /// Show the records that are asked for, oldest first
    Query(look::Query),
    /// Check the whole log: chain, tree, tiles, and every signed checkpoint, also one that was kept elsewhere
    ///
    /// Of several folders, the logs of one installation's nodes, it also checks that each is the log that the others have seen.
    /// Exit code 0: all holds, 2: a file is wrong or cannot be read, 4: the log is not the one that was signed for.
    Verify(verify::Options),
    /// Prove that a record is in the log, or that the log continues an older checkpoint; prints JSON
    Prove(prove::Options),
    /// Print the public key that the log's checkpoints are checked with: NAME+ID+KEY
    Key(Folder),
}

/// The folder of a log.
#[derive(Args)]
pub(crate) struct Folder {
    /// Data folder of a server, or the folder of its log
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) fn run(command: &Command) -> ExitCode {
    let outcome = match command {
        Command::Tail(options) => look::tail(options),
        Command::Query(options) => look::query(options),
        Command::Verify(options) => verify::verify(options),
        Command::Prove(options) => prove::prove(options),
        Command::Key(folder) => key(folder),
    };
    outcome.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

fn key(folder: &Folder) -> Result<(), Failure> {
    Ok(say(&known_key(&log_in(&folder.folder), None)?.to_string())?)
}

/// Where the log is: in the folder, or in `audit` below it.
fn log_in(folder: &Path) -> PathBuf {
    let below = folder.join("audit");
    if below.join("audit.log").exists() { below } else { folder.to_owned() }
}

/// The key that was given, or the one beside the log.
fn known_key(folder: &Path, given: Option<&VerifyingKey>) -> Result<VerifyingKey, Failure> {
    if let Some(given) = given {
        return Ok(given.clone());
    }
    let beside = skerry_audit::key_beside(folder).map_err(|error| refuse(error, folder))?;
    beside.ok_or_else(|| {
        anyhow!("{}: no key is there, since no server has published this log yet", folder.display()).into()
    })
}

/// What cannot be read is a matter of files; everything else of integrity.
fn refuse(error: CheckError, folder: &Path) -> Failure {
    let unread = matches!(
        error,
        CheckError::Audit(AuditError::Missing | AuditError::Io { .. }) | CheckError::NotPublished { .. }
    );
    let error = anyhow::Error::new(error).context(folder.display().to_string());
    if unread { error.into() } else { Failure::integrity(error) }
}

fn key_text(text: &str) -> Result<VerifyingKey, String> {
    VerifyingKey::parse(text).map_err(|error| error.to_string())
}
