//! The runner of evidence vectors: folders with a `vectors.json`, judged as the README of the vectors says.
//!
//! A vector passes iff the outcome is what its verdict asks for and every claim that it names has the value it names. A
//! verdict that is not known, a file that is not there and a claim that no parser here reads are failures. Evidence of
//! kinds that nothing here verifies is counted apart, never as passed; so are the ledger receipts of endorsements that
//! otherwise pass. Deliberately not here: any check of evidence.

mod claims;
mod judge;
mod time;
mod vector;

use std::path::{Path, PathBuf};

use serde_json::Value;

pub use judge::judge;

/// How one vector came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agreement {
    /// As its verdict says.
    Ok,
    /// Otherwise; each reason in words.
    Fail(Vec<String>),
    /// Nothing here verifies this kind of evidence.
    NotSupported(&'static str),
}

/// One line of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The folder of the vector.
    pub folder: PathBuf,
    /// Its id.
    pub id: String,
    /// The verdict it wants.
    pub wanted: String,
    /// What was decided, in words.
    pub decided: String,
    /// The check that decided, or all of them.
    pub check: String,
    /// The error behind it, as type and variants; empty where there is none.
    pub code: String,
    /// Whether that is what was wanted.
    pub result: Agreement,
    /// Parts of a vector that passes which nothing here verifies.
    pub apart: Vec<&'static str>,
}

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// No `vectors.json` anywhere below.
    #[error("{0}: no vectors.json in it or below it")]
    NoVectors(PathBuf),
    /// A `vectors.json` that lists nothing.
    #[error("{0}: its member \"vectors\" lists no vector")]
    Empty(PathBuf),
    /// A file or folder that cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A `vectors.json` that is not JSON.
    #[error("{path}: {source}")]
    Json {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// Runs every vector in `folder` and below, in the order of paths.
pub fn run(folder: &Path) -> Result<Vec<Line>, RunError> {
    let mut lists = Vec::new();
    find_lists(folder, &mut lists)?;
    if lists.is_empty() {
        return Err(RunError::NoVectors(folder.to_owned()));
    }
    let mut lines = Vec::new();
    for list in lists {
        let folder = list.parent().unwrap_or(folder);
        lines.extend(read_list(&list)?.iter().map(|vector| judge(folder, vector)));
    }
    Ok(lines)
}

/// The vectors of one `vectors.json`.
pub fn read_list(path: &Path) -> Result<Vec<Value>, RunError> {
    let bytes = std::fs::read(path).map_err(|source| RunError::Read { path: path.to_owned(), source })?;
    let json: Value =
        serde_json::from_slice(&bytes).map_err(|source| RunError::Json { path: path.to_owned(), source })?;
    let vectors = json.get("vectors").and_then(Value::as_array).filter(|vectors| !vectors.is_empty());
    vectors.cloned().ok_or_else(|| RunError::Empty(path.to_owned()))
}

fn find_lists(folder: &Path, lists: &mut Vec<PathBuf>) -> Result<(), RunError> {
    let failed = |source| RunError::Read { path: folder.to_owned(), source };
    let entries = std::fs::read_dir(folder).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = entries.collect::<std::io::Result<Vec<PathBuf>>>().map_err(failed)?;
    paths.sort();
    for path in paths {
        // A link to a folder above would never end; vectors are plain files in plain folders.
        match path.symlink_metadata().map_err(failed)?.is_dir() {
            true => find_lists(&path, lists)?,
            false if path.ends_with(LIST) => lists.push(path),
            false => {}
        }
    }
    Ok(())
}

const LIST: &str = "vectors.json";
