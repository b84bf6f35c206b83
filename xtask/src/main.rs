//! Chores of the workspace: `cargo xtask layers`, `cargo xtask faults`.
//!
//! Exit codes: 0 as it should be, 1 not, 2 usage or no answer from cargo.

mod layers;

use std::io::Write as _;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["layers"] => layers::run().map_or_else(|error| stop(&format!("{error:#}")), report),
        ["faults", options @ ..] => faults(options),
        _ => {
            stop("usage: cargo xtask layers | cargo xtask faults [--for TIME] [--engine redb|etcd] (--help says more)")
        }
    }
}

/// The program of `crates/faults`, which needs much that `layers` does not: so it is built only when it is asked for.
fn faults(options: &[&str]) -> ExitCode {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--quiet", "--locked", "--package", "skerry-faults", "--bin", "faults", "--"]).args(options);
    match cargo.status().map(|status| status.code().and_then(|code| u8::try_from(code).ok())) {
        Ok(code) => ExitCode::from(code.unwrap_or(2)),
        Err(error) => stop(&format!("cargo: {error}")),
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
