//! Reading records: from the store each time, so that what was acknowledged is seen; decoded once per revision.
//!
//! A read asks the store for the entry and uses the decoded copy iff it is of that very revision. So no request works on
//! a state that a change acknowledged before it has replaced, and a record is opened and parsed only when it is new.

use std::sync::Arc;

use quick_cache::sync::Cache;
use skerry_store::seal::Sealer;
use skerry_store::{At, Entry, Revision, Row, Store};
use uuid::Uuid;

use crate::limits::RECORDS_CACHED_MAX;
use crate::record::{Key, KeyHead, KeyName, KeyVersion, Slot, VersionRef};
use crate::refusal::Refusal;
use crate::stored::{self, Corrupted, Place};

/// A record and the revision it was read at.
pub(crate) type Read<T> = (Arc<T>, Revision);

/// The records of one vault.
pub(crate) struct Records {
    store: Store,
    sealer: Sealer,
    place: Place,
    heads: Cache<Vec<u8>, Read<KeyHead>>,
    versions: Cache<Vec<u8>, Read<KeyVersion>>,
}

/// What is under a name, and the revisions on which a change of it depends.
pub(crate) struct Found {
    pub(crate) slot: Slot,
    pub(crate) revision: Option<Revision>,
}

/// A key at one version, with the revisions of both records.
pub(crate) struct FoundKey {
    pub(crate) key: Key,
    pub(crate) head: Revision,
    pub(crate) version: Revision,
}

impl Records {
    pub(crate) fn new(store: Store, sealer: Sealer, vault: Uuid) -> Records {
        let (heads, versions) = (Cache::new(RECORDS_CACHED_MAX), Cache::new(RECORDS_CACHED_MAX));
        Records { store, sealer, place: Place::of(vault), heads, versions }
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    pub(crate) async fn live(&self, name: &KeyName) -> Result<Option<Read<KeyHead>>, Refusal> {
        self.head(self.place.head(name), name).await
    }

    pub(crate) async fn deleted(&self, name: &KeyName) -> Result<Option<Read<KeyHead>>, Refusal> {
        self.head(self.place.deleted_head(name), name).await
    }

    /// What is under a name.
    pub(crate) async fn slot(&self, name: &KeyName) -> Result<Found, Refusal> {
        if let Some((head, revision)) = self.live(name).await? {
            return Ok(Found { slot: Slot::Live(head), revision: Some(revision) });
        }
        Ok(match self.deleted(name).await? {
            Some((head, revision)) => Found { slot: Slot::Deleted(head), revision: Some(revision) },
            None => Found { slot: Slot::Free, revision: None },
        })
    }

    /// The version that a head names.
    pub(crate) async fn version(&self, head: &KeyHead, of: &VersionRef) -> Result<Read<KeyVersion>, Refusal> {
        let at = self.place.version(head.id, of.version);
        let entry = self.store.get(&at, At::Linearizable).await?;
        let entry = entry.ok_or_else(|| Corrupted::VersionMissing { version: of.version.to_string() })?;
        if let Some(known) = self.versions.get(&at).filter(|known| known.1 == entry.modified) {
            return Ok(known);
        }
        let version = stored::decode_version(&self.open(&at, &entry.value)?)?;
        let found = (stored::check_version(of, version)?, entry.modified);
        self.versions.insert(at, found.clone());
        Ok(found)
    }

    /// Opens a row that was read from the store in a range.
    pub(crate) fn head_of(&self, row: &Row) -> Result<Arc<KeyHead>, Refusal> {
        Ok(Arc::new(stored::decode_head(&self.open(&row.key, &row.entry.value)?)?))
    }

    /// Opens a version's row that was read from the store in a range, if the head knows it.
    pub(crate) fn version_of(&self, head: &KeyHead, row: &Row) -> Result<Option<Arc<KeyVersion>>, Refusal> {
        let version = stored::decode_version(&self.open(&row.key, &row.entry.value)?)?;
        match head.version(Some(version.version)).copied() {
            Some(of) => Ok(Some(stored::check_version(&of, version)?)),
            None => Ok(None),
        }
    }

    async fn head(&self, at: Vec<u8>, name: &KeyName) -> Result<Option<Read<KeyHead>>, Refusal> {
        let Some(entry) = self.store.get(&at, At::Linearizable).await? else { return Ok(None) };
        if let Some(known) = self.heads.get(&at).filter(|known| known.1 == entry.modified) {
            return Ok(Some(known));
        }
        let found = self.open_head(&at, name, &entry)?;
        self.heads.insert(at, found.clone());
        Ok(Some(found))
    }

    fn open_head(&self, at: &[u8], name: &KeyName, entry: &Entry) -> Result<Read<KeyHead>, Refusal> {
        let head = stored::decode_head(&self.open(at, &entry.value)?)?;
        if head.name.folded() != name.folded() {
            let (expected, found) = (name.to_string(), head.name.to_string());
            return Err(Corrupted::OtherName { expected, found }.into());
        }
        Ok((Arc::new(head), entry.modified))
    }

    fn open(&self, at: &[u8], sealed: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, Corrupted> {
        self.sealer.open(at, sealed).map_err(Corrupted::Seal)
    }
}
