//! The store, the audit log and the root of their keys, in one folder.
//!
//! Opening a folder of `serve` takes as long however much is in it: the store's rows are checked beside what is served, and so
//! is the log from its beginning. Until the first is done no key is used and nothing changed; if one of the two is not what it
//! was, the process ends. A folder of `dev` has little in it, and is checked first.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use skerry_audit::{AuditError, HistoryError, Record, Report};
use skerry_http::Machine;
use skerry_keys::Token;
use skerry_store::seal::Root;
use skerry_store::stamp::{Kind, MOVED_KEY, StampError};
use skerry_store::{At, Options, Store, StoreError};
use skerry_store_etcd::Make;
use skerry_vault::{Installation, InstallationError, Node, PutBack};
use zeroize::Zeroizing;

use super::shared::{self, Name};
use super::{etcd, room};
use crate::config::StoreSettings;
use crate::edge::{self, Failure};
use crate::machine::random;

/// Where what is stored is: the audit log in a folder, and the store there too, unless it is shared.
pub(crate) struct Site<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) store: &'a StoreSettings,
}

impl Site<'_> {
    /// Which of an installation's servers it is of.
    pub(crate) fn node(&self) -> Node {
        match self.store {
            StoreSettings::Embedded => Node::Only,
            StoreSettings::Etcd(etcd) => Node::Named(etcd.node.clone()),
        }
    }
}

/// Opens what is in the folder, or makes it where there is nothing; with the name that is held, where there are several servers.
pub(crate) async fn open(
    site: &Site<'_>,
    root: Zeroizing<[u8; 32]>,
    (kind, token): (Kind, Option<Arc<Token>>),
    machine: &Machine,
) -> Result<(Arc<Installation>, Option<Name>), Failure> {
    let (folder, node) = (site.folder, site.node());
    let (path, log) = (folder.join(STORE), folder.join(AUDIT));
    let root = Root::new(root);
    let store = match site.store {
        StoreSettings::Embedded => store(&path, &root, kind).map_err(|error| unopened(error, &path, folder))?,
        StoreSettings::Etcd(settings) => etcd::open(settings, Make::Either(random())).await?,
    };
    let name = match &node {
        Node::Only => None,
        Node::Named(name) => Some(Name::keep(store.clone(), shared::hold(&store, name).await?, name.clone())),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(&log).with_context(|| format!("{}", log.display()))?;
    let limits = skerry_audit::Limits::default();
    let (now, randomizer) = (machine.now(), machine.randomizer());
    let opened = Installation::open_as(&node, (store, root, kind), (&log, limits), now, randomizer).await;
    let (installation, opened) = opened.map_err(|error| refuse(error, folder))?;
    if opened.torn_octets > 0 || opened.settled_committed > 0 || opened.settled_aborted > 0 {
        edge::note(&format!(
            "after an unclean stop: {} changes had been made, {} had not, {} octets of a torn record were cut",
            opened.settled_committed, opened.settled_aborted, opened.torn_octets
        ));
    }
    installation.publish(&log).map_err(|error| refuse(error, folder))?;
    let installation = match token {
        Some(token) => installation.held_in(token).map_err(super::hsm::refuse_held)?,
        None => installation,
    };
    let installation = Arc::new(installation);
    check_log(&installation, &log).context("threads cannot be started")?;
    room::watch(&installation, folder);
    Ok((installation, name))
}

/// Checks all of a folder, and changes nothing in it: the store whole, and the log from its first record to the last that the
/// store knows of. The log, and the store's newest revision.
pub(crate) async fn verify(
    site: &Site<'_>,
    root: Zeroizing<[u8; 32]>,
    kind: Kind,
) -> Result<(Report, Option<u64>), Failure> {
    let (folder, node) = (site.folder, site.node());
    let (path, log) = (folder.join(STORE), folder.join(AUDIT));
    let root = Root::new(root);
    let store = stored(site, &root).await?;
    let report =
        Installation::verify(&node, (&store, &root, kind), &log).await.map_err(|error| refuse(error, folder))?;
    let revision = store.fence().await.map_err(|error| unopened(error, &path, folder))?;
    Ok((report, Some(revision.0)))
}

/// The store that is there, every row checked, with nothing beside it.
pub(crate) async fn stored(site: &Site<'_>, root: &Root) -> Result<Store, Failure> {
    match site.store {
        StoreSettings::Embedded => embedded(site.folder, root, false),
        StoreSettings::Etcd(settings) => etcd::open(settings, Make::Existing).await,
    }
}

/// Settles what was in doubt when a server of this folder last stopped, as its next start would, and lets go of everything.
pub(crate) async fn settled(
    node: &Node,
    store: Store,
    folder: &Path,
    root: Zeroizing<[u8; 32]>,
    machine: &Machine,
) -> Result<(), Failure> {
    let (limits, now) = (skerry_audit::Limits::default(), machine.now());
    let stored = (store, Root::new(root), Kind::Serve);
    let opened = Installation::open_as(node, stored, (&folder.join(AUDIT), limits), now, machine.randomizer()).await;
    opened.map(drop).map_err(|error| refuse(error, folder))
}

/// Refused where the rows are those of another store by now.
pub(super) async fn not_moved(installation: &Installation, folder: &Path) -> Result<(), Failure> {
    match installation.store().get(MOVED_KEY, At::Linearizable).await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(refuse(InstallationError::Stamp(StampError::Moved), folder)),
        Err(error) => Err(refuse(InstallationError::Store(error), folder)),
    }
}

/// Whether the store answers. A process whose store was moved meanwhile ends: what it would do from then on nobody would see.
pub(super) async fn is_reached(installation: &Installation) -> bool {
    match installation.store().get(MOVED_KEY, At::Linearizable).await {
        Ok(Some(_)) => {
            end(MOVED);
            false
        }
        Ok(None) => true,
        Err(_) => false,
    }
}

/// The folder's store, with nothing beside it, every row checked; or a new one, where there is none and one may be made.
pub(crate) fn embedded(folder: &Path, root: &Root, make: bool) -> Result<Store, Failure> {
    let path = folder.join(STORE);
    let opened = match make && !path.exists() {
        true => Store::create(&path, root, Options::new(give_up)),
        false => Store::open(&path, root, Options::new(give_up)),
    };
    opened.map_err(|error| unopened(error, &path, folder))
}

fn store(path: &Path, root: &Root, kind: Kind) -> Result<Store, StoreError> {
    let options = Options::new(give_up);
    match (path.exists(), kind) {
        (true, Kind::Serve) => Store::open_unverified(path, root, options),
        (true, Kind::Dev) => Store::open(path, root, options),
        (false, _) => Store::create(path, root, options),
    }
}

/// Reads the whole log, as it is now, on a thread of its own: opening read its end. What it has of other nodes' logs is known from
/// then on, if the file beside it did not say so at once.
fn check_log(installation: &Arc<Installation>, folder: &Path) -> anyhow::Result<()> {
    let (head, folder) = (installation.log().head().context("audit log")?, folder.to_owned());
    // Not held: who stops meanwhile is not waited for.
    let installation = Arc::downgrade(installation);
    let learn = move |record: &Record| {
        if let (Some(note), Some(installation)) = (skerry_audit::witnessed(record), installation.upgrade()) {
            // One of another root says nothing of nodes of this one.
            let _ = installation.learn_witnessed(&note);
        }
        Ok(())
    };
    let check = move || match skerry_audit::verify_visiting(&folder, Some(&head), learn) {
        // A log that cannot be read now may be read by the next start; that it was altered is not known.
        Ok(_) | Err(AuditError::Io { .. }) => {}
        Err(error) => end(&format!("{}: {ALTERED}: {}", folder.display(), edge::chain(error))),
    };
    std::thread::Builder::new().name("audit-check".to_owned()).spawn(check)?;
    Ok(())
}

fn unopened(error: StoreError, path: &Path, folder: &Path) -> Failure {
    // That it is held, or refused by the disk, says nothing of what is stored.
    let unavailable = matches!(error, StoreError::Locked | StoreError::Io { .. });
    let context = match &error {
        StoreError::Io { kind, .. } => format!("{}: {}", path.display(), room::way_forward(*kind)),
        StoreError::Damaged { .. } => format!("{}: {DAMAGED}", path.display()),
        StoreError::Locked => {
            format!("{} is in use: {HELD}", path.display())
        }
        StoreError::OtherRoot => format!("{}: {OTHER_ROOT}", folder.display()),
        StoreError::Altered | StoreError::SumMissing => format!("{}: {ALTERED}", folder.display()),
        _ => format!("store {}", path.display()),
    };
    let error = anyhow::Error::new(error).context(context);
    if unavailable { Failure::unavailable(error) } else { Failure::integrity(error) }
}

/// What the system shows of a file after a failed sync need not be what is on the disk, and rows that were altered are not
/// ours: nothing goes on from there.
fn give_up(error: StoreError) {
    match &error {
        StoreError::Altered | StoreError::Damaged { .. } => end(&format!("{ALTERED}: {}", edge::chain(error))),
        _ => {
            let forward = match &error {
                StoreError::Io { kind, .. } => room::way_forward(*kind),
                _ => "start it anew: what was acknowledged is there",
            };
            edge::note(&format!("the store failed and this process ends: {}. {forward}", edge::chain(error)));
            std::process::abort();
        }
    }
}

/// What is stored is not what was stored, and this process has found out while it served.
fn end(text: &str) {
    edge::note(&format!("this process ends: {text}"));
    std::process::exit(i32::from(edge::INTEGRITY));
}

/// Who has to act on what an installation refuses, and how.
pub(crate) fn refuse(error: InstallationError, folder: &Path) -> Failure {
    if let Some(kind) = refused_by_the_disk(&error) {
        let context = format!("{}: {}", folder.display(), room::way_forward(kind));
        return Failure::unavailable(anyhow::Error::new(error).context(context));
    }
    if matches!(
        error,
        InstallationError::Audit(AuditError::Locked)
            | InstallationError::History(HistoryError::Audit(AuditError::Locked))
    ) {
        let context = format!("{} is in use: {HELD}", folder.display());
        return Failure::unavailable(anyhow::Error::new(error).context(context));
    }
    let context = match &error {
        InstallationError::Stamp(StampError::OtherKind { .. }) => {
            "folders of `skerry dev` and `skerry serve` are not exchanged: take another folder"
        }
        InstallationError::Stamp(StampError::OtherRoot) => OTHER_ROOT,
        InstallationError::Stamp(StampError::Moved) => MOVED,
        InstallationError::LogMissing { .. } => LOG_MISSING,
        InstallationError::OfNodes => OF_NODES,
        InstallationError::PutBack(PutBack::Form) => KEPT_ALTERED,
        InstallationError::PutBack(_) | InstallationError::StoreBehindLog => PUT_BACK,
        InstallationError::Forgotten { .. } => FORGOTTEN,
        _ => ALTERED,
    };
    let context = format!("{}: {context}", folder.display());
    Failure::integrity(anyhow::Error::new(error).context(context))
}

/// What the disk said, where that is all that is wrong.
fn refused_by_the_disk(error: &InstallationError) -> Option<ErrorKind> {
    match error {
        InstallationError::Audit(AuditError::Io { kind, .. })
        | InstallationError::PutBack(PutBack::Unread(AuditError::Io { kind, .. }))
        | InstallationError::History(HistoryError::Audit(AuditError::Io { kind, .. }))
        | InstallationError::Store(StoreError::Io { kind, .. }) => Some(*kind),
        _ => None,
    }
}

const HELD: &str = "another skerry runs on this folder, stop it first";
const DAMAGED: &str = "the disk gave back other octets than were written: restore a backup (docs/operate.md)";
const OTHER_ROOT: &str = "the root key is not the one this folder was made with";
const LOG_MISSING: &str = "what is stored is not as it was left: restore its audit log, or start with an empty folder; where the \
                           store is shared, give this node a name of its own instead ([store] node)";
const OF_NODES: &str = "the store was shared by nodes, and this is the folder of none of them: take that of one";
const FORGOTTEN: &str = "keep this folder for what its log says, and start this node with an empty one";
const MOVED: &str = "this store was migrated: take the configuration of the one it was migrated to";
const PUT_BACK: &str = "what is stored is not as it was left: the store is an older one. Bring back a newer, restore a backup, or start \
                        with an empty folder; of a shared store nodes take new names then, and this folder is kept for what its log \
                        says came after (docs/operate.md, Backup of etcd)";
const KEPT_ALTERED: &str =
    "what is kept beside the log of other nodes was altered: move the file `witnessed` away, it is made again";
const ALTERED: &str = "what is stored is not as it was left: restore it, or start with an empty folder";
/// The redb file.
pub(crate) const STORE: &str = "store.redb";
/// The folder of the audit log.
pub(crate) const AUDIT: &str = "audit";
