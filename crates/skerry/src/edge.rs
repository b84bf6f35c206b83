//! What every command does at its edge: exit codes, and errors printed once with their whole chain.

use std::error::Error;
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};

/// Exit code of a refusal: the question was answered with no.
pub(crate) const REFUSED: u8 = 1;
/// Exit code of a command that could not be understood or read its files.
pub(crate) const USAGE: u8 = 2;

/// Exit code when what is needed is not there: a server, a port, somebody who reads the output.
pub(crate) const UNAVAILABLE: u8 = 3;
/// Exit code when stored bytes are not what was stored.
pub(crate) const INTEGRITY: u8 = 4;

/// An error and the exit code that tells scripts who must act.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: u8,
    error: anyhow::Error,
}

impl Failure {
    /// The question was answered with no.
    pub(crate) fn refused(error: anyhow::Error) -> Failure {
        Failure { exit: REFUSED, error }
    }

    /// What is needed is not there now.
    pub(crate) fn unavailable(error: anyhow::Error) -> Failure {
        Failure { exit: UNAVAILABLE, error }
    }

    /// What is stored is not what was stored, or not for this.
    pub(crate) fn integrity(error: anyhow::Error) -> Failure {
        Failure { exit: INTEGRITY, error }
    }

    /// The same with what it is about in front.
    pub(crate) fn context(self, context: String) -> Failure {
        Failure { error: self.error.context(context), ..self }
    }

    /// What another process says that it ends with.
    pub(crate) fn of(exit: u8, error: anyhow::Error) -> Failure {
        Failure { exit, error }
    }

    /// Its exit code.
    pub(crate) fn exit(&self) -> u8 {
        self.exit
    }

    /// The error with its causes, in one line.
    pub(crate) fn text(&self) -> String {
        format!("{:#}", self.error)
    }

    /// Prints the error with its causes on standard error; its exit code.
    pub(crate) fn report(&self) -> ExitCode {
        complain(&self.error);
        ExitCode::from(self.exit)
    }
}

/// An error without a code of its own is one of usage: arguments, files, configuration.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure { exit: USAGE, error }
    }
}

/// Prints an error with its causes on standard error; the exit code of a usage error.
pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    complain(error);
    ExitCode::from(USAGE)
}

/// Prints one line of progress or warning on standard error.
pub(crate) fn note(text: &str) {
    // A closed standard error leaves only the exit code to speak.
    let _ = writeln!(std::io::stderr(), "skerry: {text}");
}

fn complain(error: &anyhow::Error) {
    note(&format!("{error:#}"));
}

/// Prints text on standard output. Whoever closed it wants no more of it, and no word about that.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(i32::from(UNAVAILABLE)),
        outcome => outcome.map_err(Into::into),
    }
}

/// An empty table with this header, as wide as the terminal, or 120 columns where there is none.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(120);
    }
    table.set_header(header);
    table
}

/// An error and its causes as one line.
pub(crate) fn chain(error: impl Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::new(error))
}
