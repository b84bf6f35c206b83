//! Chores of the workspace: `cargo xtask layers`.
//!
//! Exit codes: 0 as it should be, 1 not, 2 usage or no answer from cargo.

mod layers;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["layers"] => layers::run().map_or_else(|error| stop(&format!("{error:#}")), report),
        _ => stop("usage: cargo xtask layers"),
    }
}

fn report(report: layers::Report) -> ExitCode {
    let written = std::io::stdout().lock().write_all(report.text().as_bytes());
    match (written, report.is_clean()) {
        (Ok(()), true) => ExitCode::SUCCESS,
        (Ok(()), false) => ExitCode::FAILURE,
        (Err(_), _) => ExitCode::from(2),
    }
}

fn stop(message: &str) -> ExitCode {
    // Infallible: there is nothing left to do when standard error is closed.
    let _ = writeln!(std::io::stderr(), "xtask: {message}");
    ExitCode::from(2)
}
