//! The disk below a folder: how much room it has, and what to do when it has none, or cannot be written.
//!
//! A disk that is full in the middle of a change closes the log, or ends the process, for good; one that is nearly full is
//! noticed here first, and then nothing new is begun until there is room again. Reading goes on.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use skerry_vault::Installation;
use skerry_vault::limits::DISK_FREE_MIN;
use tokio::time::sleep;

use crate::edge;

/// Looks now, and then every second for as long as the installation is there.
pub(crate) fn watch(installation: &Arc<Installation>, folder: &Path) {
    let mut watched = Watched::new(folder);
    watched.look(installation);
    let installation = Arc::downgrade(installation);
    tokio::spawn(keep_looking(installation, watched));
}

async fn keep_looking(installation: Weak<Installation>, mut watched: Watched) {
    loop {
        sleep(EVERY).await;
        let Some(installation) = installation.upgrade() else { return };
        watched.look(&installation);
    }
}

/// What was said of a folder's disk, so that it is said once.
struct Watched {
    folder: PathBuf,
    full: bool,
    log_failed: bool,
}

impl Watched {
    fn new(folder: &Path) -> Watched {
        Watched { folder: folder.to_owned(), full: false, log_failed: false }
    }

    fn look(&mut self, installation: &Installation) {
        // A file system that does not say is not known to be full.
        let free = free(&self.folder).unwrap_or(u64::MAX);
        installation.has_room(free);
        let folder = self.folder.display();
        let full = free < DISK_FREE_MIN;
        if full != self.full {
            self.full = full;
            match full {
                true => edge::note(&format!(
                    "the disk of {folder} has {} MiB left: changes and releases are refused until it has {}; reading goes on",
                    mib(free),
                    mib(DISK_FREE_MIN)
                )),
                false => edge::note(&format!("the disk of {folder} has room again: changes and releases are taken")),
            }
        }
        if installation.log_failed() && !self.log_failed {
            self.log_failed = true;
            edge::note(&format!(
                "the audit log in {folder} could not be written and takes no more records: changes and releases are refused, \
                 reading goes on. See to the disk, then start this process anew: what was acknowledged is there"
            ));
        }
    }
}

/// Octets that a process without privileges may still write.
fn free(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

fn mib(octets: u64) -> u64 {
    octets / (1024 * 1024)
}

/// What to do about a disk that refused; nothing known is said of other errors.
pub(crate) fn way_forward(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "no room: make some (`df -h` says how much there is), then start it anew; what was acknowledged is there"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only: `findmnt -T FOLDER` says why, the kernel's log whether its disk is failing; make it \
             writable, then start it anew"
        }
        ErrorKind::PermissionDenied => "it belongs to somebody else: run this as its owner",
        _ => "the disk refuses: the kernel's log says more; if it is failing, restore a backup on another",
    }
}

const EVERY: Duration = Duration::from_secs(1);
