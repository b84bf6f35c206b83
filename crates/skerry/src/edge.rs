//! What every command does at its edge: exit codes, and errors printed once with their whole chain.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

/// Exit code of a refusal: the question was answered with no.
pub(crate) const REFUSED: u8 = 1;
/// Exit code of a command that could not be understood or read its files.
pub(crate) const USAGE: u8 = 2;

/// Prints an error with its causes on standard error; the exit code of a usage error.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    // A closed standard error leaves only the exit code to speak.
    let _ = writeln!(std::io::stderr(), "skerry: {error:#}");
    ExitCode::from(USAGE)
}

/// Prints text on standard output.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").map_err(Into::into)
}

/// An error and its causes as one line.
pub(crate) fn chain(error: impl Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::new(error))
}
