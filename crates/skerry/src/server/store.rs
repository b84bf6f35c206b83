//! The store, the audit log and the root of their keys, in one folder.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use skerry_http::Machine;
use skerry_store::seal::Root;
use skerry_store::stamp::{Kind, StampError};
use skerry_store::{Options, Store, StoreError};
use skerry_vault::{Installation, InstallationError};
use zeroize::Zeroizing;

use crate::edge::{self, Failure};

/// Opens what is in the folder, or makes it where there is nothing.
pub(crate) async fn open(
    folder: &Path,
    root: Zeroizing<[u8; 32]>,
    kind: Kind,
    machine: &Machine,
) -> Result<Arc<Installation>, Failure> {
    let (path, log) = (folder.join(STORE), folder.join(AUDIT));
    let root = Root::new(root);
    let store = store(&path, &root).map_err(|error| unopened(error, &path, folder))?;
    DirBuilder::new().recursive(true).mode(0o700).create(&log).with_context(|| format!("{}", log.display()))?;
    let limits = skerry_audit::Limits::default();
    let (now, randomizer) = (machine.now(), machine.randomizer());
    let opened = Installation::open(store, root, kind, &log, limits, now, randomizer).await;
    let (installation, opened) = opened.map_err(|error| refuse(error, folder))?;
    if opened.torn_octets > 0 || opened.settled_committed > 0 || opened.settled_aborted > 0 {
        edge::note(&format!(
            "after an unclean stop: {} changes had been made, {} had not, {} octets of a torn record were cut",
            opened.settled_committed, opened.settled_aborted, opened.torn_octets
        ));
    }
    Ok(Arc::new(installation))
}

fn store(path: &Path, root: &Root) -> Result<Store, StoreError> {
    match path.exists() {
        true => Store::open(path, root, Options::new(give_up)),
        false => Store::create(path, root, Options::new(give_up)),
    }
}

fn unopened(error: StoreError, path: &Path, folder: &Path) -> Failure {
    let held = matches!(error, StoreError::Locked);
    let context = match &error {
        StoreError::Locked => {
            format!("{} is in use: another skerry runs on this folder, stop it first", path.display())
        }
        StoreError::OtherRoot => format!("{}: {OTHER_ROOT}", folder.display()),
        StoreError::Altered | StoreError::SumMissing => format!("{}: {ALTERED}", folder.display()),
        _ => format!("store {}", path.display()),
    };
    let error = anyhow::Error::new(error).context(context);
    if held { Failure::unavailable(error) } else { Failure::integrity(error) }
}

/// What the system shows of a file after a failed sync need not be what is on the disk, so nothing goes on from there.
fn give_up(error: StoreError) {
    edge::note(&format!("the store failed and this process ends: {}", edge::chain(error)));
    std::process::abort();
}

fn refuse(error: InstallationError, folder: &Path) -> Failure {
    let context = match &error {
        InstallationError::Stamp(StampError::OtherKind { .. }) => {
            "folders of `skerry dev` and `skerry serve` are not exchanged: take another folder"
        }
        InstallationError::Stamp(StampError::OtherRoot) => OTHER_ROOT,
        _ => ALTERED,
    };
    let context = format!("{}: {context}", folder.display());
    Failure::integrity(anyhow::Error::new(error).context(context))
}

const OTHER_ROOT: &str = "the root key is not the one this folder was made with";
const ALTERED: &str = "what is stored is not as it was left: restore it, or start with an empty folder";
/// The redb file.
const STORE: &str = "store.redb";
/// The folder of the audit log.
const AUDIT: &str = "audit";
