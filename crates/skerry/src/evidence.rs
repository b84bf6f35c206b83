//! `skerry evidence`: fields and checks of evidence files.
//!
//! What a file is, its content says ([`piece`]). `show` prints what it says ([`show`]), `verify` whether that is so
//! ([`verify`]); both only print what the libraries decide. The machine's clock is asked here, and nowhere below.

mod piece;
mod show;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::edge;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Prints the fields of evidence files, judging nothing but UVM endorsements
    ///
    /// Knows by content: SEV-SNP reports (raw, hex or base64), certificates and bundles (PEM, DER), AMD revocation
    /// lists, UVM endorsements (COSE_Sign1), Azure's host-amd-cert.json.
    Show {
        /// Files, in any order
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Verifies evidence files and prints every check
    ///
    /// Give a report with its certificates, and what else came with it; or certificates alone; or a UVM endorsement
    /// alone. Exit code 0: accepted, 1: refused, 2: a file cannot be read or there is nothing to verify.
    Verify(Box<verify::Options>),
}

pub(crate) fn run(command: Command) -> ExitCode {
    let said = match command {
        Command::Show { files } => show::show(&files),
        Command::Verify(options) => verify::verify(&options, std::time::SystemTime::now()),
    };
    match said.and_then(|(text, holds)| edge::say(&text).map(|()| holds)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(edge::REFUSED),
        Err(error) => edge::fail(&error),
    }
}

/// A time as RFC 3339 has it, to the second.
fn time_text(time: std::time::SystemTime) -> String {
    der::DateTime::from_system_time(time).map_or_else(|_| "out of range".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests;
