//! Proofs from the tiles of a published log.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use clap::Args;
use skerry_audit::Published;
use skerry_jose::b64;
use skerry_jose::json::{Object, Value};
use skerry_tlog::{Hash, SignedCheckpoint, VerifyingKey, leaf_hash};

use super::{key_text, known_key, log_in, refuse};
use crate::edge::{self, Failure, say};

#[derive(Args)]
pub(crate) struct Options {
    /// Data folder of a server, or the folder of its log
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The record that is to be proved to be in the log
    #[arg(value_name = "INDEX", required_unless_present = "from", conflicts_with = "from")]
    index: Option<u64>,
    /// An older checkpoint of the log, that it is to be proved to continue
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// The log's key; without it the key beside the log is believed
    #[arg(long, value_name = "KEY", value_parser = key_text)]
    log_key: Option<VerifyingKey>,
}

pub(super) fn prove(options: &Options) -> Result<(), Failure> {
    let folder = log_in(&options.folder);
    let key = known_key(&folder, options.log_key.as_ref())?;
    let published = Published::open(&folder, &key).map_err(|error| refuse(error, &folder))?;
    let proof = match (&options.index, &options.from) {
        (_, Some(from)) => {
            let note = fs::read(from).with_context(|| from.display().to_string())?;
            let older = SignedCheckpoint::verify(&note, &key)
                .map_err(|error| Failure::integrity(anyhow!("{}: {}", from.display(), edge::chain(error))))?;
            let path = published.consistency(&older).map_err(|error| refuse(error, &folder))?;
            Object::new()
                .with("from_size", older.size())
                .with("from_root", b64::encode_standard(older.root()))
                .with("path", hashes(&path))
        }
        (Some(index), None) => {
            let proof = published.inclusion(*index).map_err(|error| refuse(error, &folder))?;
            let leaf = proof.entry.as_deref().map(leaf_hash).unwrap_or_default();
            Object::new()
                .with("index", *index)
                .with("leaf", b64::encode_standard(leaf))
                .with("path", hashes(&proof.path))
                .with("proof", proof.to_string())
        }
        // Infallible: one of the two is demanded.
        (None, None) => return Err(anyhow!("nothing to prove").into()),
    };
    let checkpoint = published.checkpoint();
    let proof = proof
        .with("size", checkpoint.size())
        .with("root", b64::encode_standard(checkpoint.root()))
        .with("checkpoint", checkpoint.note());
    Ok(say(&proof.to_json())?)
}

fn hashes(path: &[Hash]) -> Vec<Value> {
    path.iter().map(|hash| Value::from(b64::encode_standard(hash))).collect()
}
