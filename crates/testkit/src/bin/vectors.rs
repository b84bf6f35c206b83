//! `vectors DIR...`: judges every vector in these folders and says which came out as they say.
//!
//! Exit codes: 0 all did, 1 some did not, 2 there was nothing that could be judged.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use comfy_table::{Table, presets};
use serde_json::{Value, json};
use skerry_testkit::vectors::{self, Agreement, Line, RunError};

/// Judges evidence vectors.
#[derive(Parser)]
#[command(name = "vectors")]
struct Arguments {
    /// Folders with a vectors.json in them or below
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let run: Result<Vec<_>, RunError> = arguments.folders.iter().map(|folder| vectors::run(folder)).collect();
    let lines = match run {
        Ok(lines) => lines.concat(),
        Err(error) => return stop(&error.to_string()),
    };
    let count = Count::of(&lines);
    let text = if arguments.json { as_json(&lines, &count) } else { as_text(&lines, &count) };
    if std::io::stdout().lock().write_all(text.as_bytes()).is_err() {
        return ExitCode::from(USAGE);
    }
    match count {
        Count { failed: 1.., .. } => ExitCode::FAILURE,
        Count { passed: 0, .. } => stop("none of these vectors is of a kind that can be judged"),
        Count { .. } => ExitCode::SUCCESS,
    }
}

fn stop(message: &str) -> ExitCode {
    // Infallible: there is nothing left to do when standard error is closed.
    let _ = writeln!(std::io::stderr(), "vectors: {message}");
    ExitCode::from(USAGE)
}

struct Count {
    passed: usize,
    failed: usize,
    not_supported: usize,
}

impl Count {
    fn of(lines: &[Line]) -> Count {
        let count = |of: fn(&Line) -> bool| lines.iter().filter(|line| of(line)).count();
        let apart: usize = lines.iter().map(|line| line.apart.len()).sum();
        Count {
            passed: count(|line| line.result == Agreement::Ok),
            failed: count(|line| matches!(line.result, Agreement::Fail(_))),
            not_supported: apart + count(|line| matches!(line.result, Agreement::NotSupported(_))),
        }
    }
}

fn as_text(lines: &[Line], count: &Count) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["vector", "wanted", "decided", "deciding check", "result"]);
    for line in lines {
        table.add_row([&line.id, &line.wanted, &line.decided, &line.check, &result(line).to_owned()]);
    }
    let mut text = format!("{table}\n");
    for line in lines {
        let id = format!("{}/{}", line.folder.display(), line.id);
        match &line.result {
            Agreement::Fail(failures) => text.extend(failures.iter().map(|failure| format!("FAIL {id}: {failure}\n"))),
            Agreement::NotSupported(what) => text.push_str(&format!("not supported yet: {id}: {what}\n")),
            Agreement::Ok => text.extend(line.apart.iter().map(|what| format!("not supported yet: {id}: {what}\n"))),
        }
    }
    let Count { passed, failed, not_supported } = count;
    if *not_supported > 0 {
        text.push_str(&format!("{not_supported} not supported yet\n"));
    }
    text.push_str(&format!("{passed} passed, {failed} failed\n"));
    text
}

fn result(line: &Line) -> &'static str {
    match line.result {
        Agreement::Ok => "ok",
        Agreement::Fail(_) => "FAIL",
        Agreement::NotSupported(_) => "not supported yet",
    }
}

fn as_json(lines: &[Line], count: &Count) -> String {
    let vectors: Vec<Value> = lines.iter().map(line_json).collect();
    let all = json!({
        "vectors": vectors,
        "passed": count.passed,
        "failed": count.failed,
        "not_supported": count.not_supported,
    });
    format!("{all:#}\n")
}

fn line_json(line: &Line) -> Value {
    let failures = match &line.result {
        Agreement::Fail(failures) => failures.clone(),
        _ => Vec::new(),
    };
    let mut apart = line.apart.clone();
    if let Agreement::NotSupported(what) = line.result {
        apart.push(what);
    }
    json!({
        "folder": line.folder.display().to_string(),
        "id": line.id,
        "wanted": line.wanted,
        "decided": line.decided,
        "check": line.check,
        "error": line.code,
        "result": result(line),
        "failures": failures,
        "not_supported": apart,
    })
}

const USAGE: u8 = 2;
