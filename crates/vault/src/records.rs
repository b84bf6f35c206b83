//! Reading records: from the store each time, so that what was acknowledged is seen; decoded once per revision.
//!
//! A read asks the store for the entry and uses the decoded copy iff it is of that very revision. So no request works on
//! a state that a change acknowledged before it has replaced, and a record is opened and parsed only when it is new.

use std::sync::Arc;

use quick_cache::sync::Cache;
use skerry_meter::Counter;
use skerry_policy::permit::Version;
use skerry_store::seal::Sealer;
use skerry_store::{At, Entry, Revision, Row, Store};
use uuid::Uuid;

use crate::limits::RECORDS_CACHED_MAX;
use crate::meter::VaultSeen;
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
    hits: Counter,
    misses: Counter,
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
    /// The store's newest revision before they were read.
    pub(crate) seen: Revision,
}

impl FoundKey {
    /// A revision at which both were there, as new as any that the key was seen at.
    pub(crate) fn newest(&self) -> Revision {
        self.seen.max(self.head).max(self.version)
    }

    /// Whether another row, read at [`newest`](Self::newest) or later and put at `at`, if ever, was there as it is together with
    /// the key. One that was put since the key began to be read may have come after a change that the key has not.
    pub(crate) fn was_together_with(&self, at: Option<Revision>) -> bool {
        at.is_none_or(|at| at <= self.seen)
    }
}

impl Records {
    pub(crate) fn new(store: Store, sealer: Sealer, vault: Uuid) -> Records {
        let (heads, versions) = (Cache::new(RECORDS_CACHED_MAX), Cache::new(RECORDS_CACHED_MAX));
        let (hits, misses) = (Counter::default(), Counter::default());
        Records { store, sealer, place: Place::of(vault), heads, versions, hits, misses }
    }

    /// What was at hand and what was not, and how much is at hand now.
    pub(crate) fn seen(&self) -> VaultSeen {
        VaultSeen {
            record_hits: self.hits.value(),
            record_misses: self.misses.value(),
            records: self.heads.len().saturating_add(self.versions.len()),
            ..VaultSeen::default()
        }
    }

    fn hit<T>(&self, known: T) -> T {
        self.hits.count();
        known
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
        self.live_at(name, At::Linearizable).await
    }

    /// A revision that has all that was acknowledged by now. What is read at it or later is as good as what is asked of the
    /// store each time, and where the store is a round trip away it costs one for all reads of a request.
    pub(crate) async fn fence(&self) -> Result<Revision, Refusal> {
        Ok(self.store.fence().await?)
    }

    /// As it is, or as it was.
    pub(crate) async fn live_at(&self, name: &KeyName, when: At) -> Result<Option<Read<KeyHead>>, Refusal> {
        self.head(self.place.head(name), name, when).await
    }

    pub(crate) async fn deleted(&self, name: &KeyName) -> Result<Option<Read<KeyHead>>, Refusal> {
        self.deleted_at(name, At::Linearizable).await
    }

    pub(crate) async fn deleted_at(&self, name: &KeyName, when: At) -> Result<Option<Read<KeyHead>>, Refusal> {
        self.head(self.place.deleted_head(name), name, when).await
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

    /// The version that a head names, as it is, or as it was when the head was so.
    pub(crate) async fn version_at(
        &self,
        head: &KeyHead,
        of: &VersionRef,
        when: At,
    ) -> Result<Read<KeyVersion>, Refusal> {
        let at = self.place.version(head.id, of.version);
        let entry = self.store.get(&at, when).await?;
        let entry = entry.ok_or_else(|| Corrupted::VersionMissing { version: of.version.to_string() })?;
        if let Some(known) = self.versions.get(&at).filter(|known| known.1 == entry.modified) {
            return Ok(self.hit(known));
        }
        let version = stored::decode_version(&self.open(&at, &entry.value)?)?;
        let found = (stored::check_version(of, version)?, entry.modified);
        keep(&self.versions, at, &found);
        Ok(found)
    }

    /// The key at that version, of a head that was read at `seen` or later; none if the head was replaced while the version was
    /// read.
    ///
    /// So what is seen was there at one time: a release must not meet the policy from before a change and the version from
    /// after the next, which were never together. And a purge takes the head first and its versions later; a version that
    /// is missing under a head that still stands is an integrity error.
    pub(crate) async fn at_version(
        &self,
        head: Read<KeyHead>,
        version: Option<Version>,
        seen: Revision,
    ) -> Result<Option<FoundKey>, Refusal> {
        let (head, revision) = head;
        let found = |version, at| {
            Some(FoundKey { key: Key { head: Arc::clone(&head), version }, head: revision, version: at, seen })
        };
        let missing = || match version {
            Some(version) => Refusal::VersionNotFound { name: head.name.to_string(), version: version.to_string() },
            None => Refusal::KeyNotFound { name: head.name.to_string() },
        };
        let of = *head.version(version).ok_or_else(missing)?;
        // The head was there at this revision. The version is not to be as it was before it.
        let least = seen.max(revision);
        match self.version_at(&head, &of, At::Cached(least)).await {
            // Not put since, so it was there at that revision too.
            Ok((version, at)) if at <= least => Ok(found(version, at)),
            Ok((version, at)) => match self.stands(&head, revision, At::Cached(at)).await? {
                true => Ok(found(version, at)),
                false => Ok(None),
            },
            Err(Refusal::Corrupted(Corrupted::VersionMissing { version })) => {
                match self.stands(&head, revision, At::Linearizable).await? {
                    true => Err(Corrupted::VersionMissing { version }.into()),
                    false => Ok(None),
                }
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Whether the head is still the one of this revision.
    async fn stands(&self, head: &KeyHead, revision: Revision, when: At) -> Result<bool, Refusal> {
        let standing = match head.deletion {
            Some(_) => self.deleted_at(&head.name, when).await?,
            None => self.live_at(&head.name, when).await?,
        };
        Ok(standing.is_some_and(|(_, at)| at == revision))
    }

    /// Opens a row that was read from the store in a range.
    pub(crate) fn head_of(&self, row: &Row) -> Result<Arc<KeyHead>, Refusal> {
        Ok(Arc::new(stored::decode_head(&self.open(&row.key, &row.entry.value)?)?))
    }

    /// As [`head_of`](Self::head_of), for lists, which are asked for again: what was opened once is kept.
    pub(crate) fn listed(&self, row: &Row) -> Result<Arc<KeyHead>, Refusal> {
        if let Some((known, _)) = self.heads.get(&row.key).filter(|known| known.1 == row.entry.modified) {
            return Ok(self.hit(known));
        }
        let name = self.place.name_in(&row.key).unwrap_or_default();
        let found = self.open_head(&row.key, name, &row.entry)?;
        keep(&self.heads, row.key.clone(), &found);
        Ok(found.0)
    }

    /// Opens a version's row that was read from the store in a range, if the head knows it.
    pub(crate) fn version_of(&self, head: &KeyHead, row: &Row) -> Result<Option<Arc<KeyVersion>>, Refusal> {
        let version = stored::decode_version(&self.open(&row.key, &row.entry.value)?)?;
        match head.version(Some(version.version)).copied() {
            Some(of) => Ok(Some(stored::check_version(&of, version)?)),
            None => Ok(None),
        }
    }

    async fn head(&self, at: Vec<u8>, name: &KeyName, when: At) -> Result<Option<Read<KeyHead>>, Refusal> {
        let Some(entry) = self.store.get(&at, when).await? else { return Ok(None) };
        if let Some(known) = self.heads.get(&at).filter(|known| known.1 == entry.modified) {
            return Ok(Some(self.hit(known)));
        }
        let found = self.open_head(&at, name.as_str(), &entry)?;
        keep(&self.heads, at, &found);
        Ok(Some(found))
    }

    /// The head of this name, in any case: what is kept under a name is of that name.
    fn open_head(&self, at: &[u8], name: &str, entry: &Entry) -> Result<Read<KeyHead>, Refusal> {
        let head = stored::decode_head(&self.open(at, &entry.value)?)?;
        if !head.name.as_str().eq_ignore_ascii_case(name) {
            let (expected, found) = (name.to_owned(), head.name.to_string());
            return Err(Corrupted::OtherName { expected, found }.into());
        }
        Ok((Arc::new(head), entry.modified))
    }

    fn open(&self, at: &[u8], sealed: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, Corrupted> {
        self.misses.count();
        self.sealer.open(at, sealed).map_err(Corrupted::Seal)
    }
}

/// What is of the past is not kept in the place of what is.
fn keep<T>(cache: &Cache<Vec<u8>, Read<T>>, at: Vec<u8>, found: &Read<T>) {
    if cache.get(&at).is_none_or(|known| known.1 < found.1) {
        cache.insert(at, found.clone());
    }
}

#[cfg(test)]
mod tests {
    use skerry_keys::{KeyType, OctBits, PublicKey, SealedMaterial};
    use skerry_store::engine::{Answer, Exporting, Remote};
    use skerry_store::{Lease, Op, OpId, Outcome, Page, Settled, StoreError, Txn, Watch};
    use std::time::Duration;
    use zeroize::Zeroizing;

    use super::*;
    use crate::command::Tags;
    use crate::stored::{encode_head, encode_version};

    const VAULT: Uuid = Uuid::from_bytes([1; 16]);
    const VERSION: Version = Version([3; 16]);

    /// A vault's records, and one key that is put there in states of the test's choice.
    struct Scene {
        runtime: tokio::runtime::Runtime,
        records: Records,
        head: KeyHead,
        version: KeyVersion,
    }

    /// A store whose cache lags behind as far as it may: a read that asks for a revision at least sees that one, but for keys
    /// that are not in the cache, which it sees as they are. So does a node that reads one of two keys for the first time.
    struct Lagging {
        inner: Store,
        newest: Vec<Vec<u8>>,
    }

    impl Remote for Lagging {
        fn get<'a>(&'a self, key: &'a [u8], at: At) -> Answer<'a, Option<Entry>> {
            let is_cached = !self.newest.iter().any(|newest| newest == key);
            Box::pin(async move {
                match at {
                    At::Cached(least) if is_cached => self.inner.get(key, At::Snapshot(least)).await,
                    At::Cached(_) => self.inner.get(key, At::Linearizable).await,
                    at => self.inner.get(key, at).await,
                }
            })
        }

        fn range<'a>(&'a self, prefix: &'a [u8], after: Option<&'a [u8]>, limit: usize, at: At) -> Answer<'a, Page> {
            Box::pin(self.inner.range(prefix, after, limit, at))
        }

        fn commit<'a>(&'a self, txn: &'a Txn) -> Answer<'a, Outcome> {
            Box::pin(self.inner.commit(txn))
        }

        fn settle(&self, op: OpId) -> Answer<'_, Settled> {
            Box::pin(self.inner.settle(op))
        }

        fn export(&self) -> Answer<'_, Exporting> {
            Box::pin(async { Err(StoreError::Failed) })
        }

        fn settled(&self, op: OpId) -> Answer<'_, Option<Settled>> {
            Box::pin(self.inner.settled(op))
        }

        fn watch(&self, prefix: &[u8], from: Revision) -> Result<Watch, StoreError> {
            self.inner.watch(prefix, from)
        }

        fn fence(&self) -> Answer<'_, Revision> {
            Box::pin(self.inner.fence())
        }

        fn forget(&self) -> Answer<'_, Revision> {
            Box::pin(self.inner.forget())
        }

        fn lease<'a>(&'a self, name: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Option<Lease>> {
            Box::pin(self.inner.lease(name, holder, ttl))
        }

        fn holder<'a>(&'a self, name: &'a str) -> Answer<'a, Option<String>> {
            Box::pin(self.inner.holder(name))
        }
    }

    impl Scene {
        fn new() -> Scene {
            Scene::on(Store::memory())
        }

        /// What is at these places is not in the cache; all else is as old as it may be.
        fn lagging(newest: impl Fn(&Place, &KeyHead) -> Vec<Vec<u8>>) -> Scene {
            let inner = Store::memory();
            let scene = Scene::on(inner.clone());
            let newest = newest(&scene.records.place, &scene.head);
            let records = Records::new(Store::on(Lagging { inner, newest }), sealer(), VAULT);
            Scene { records, ..scene }
        }

        fn on(store: Store) -> Scene {
            let material = SealedMaterial::from_bytes(vec![0; 100]).unwrap();
            let of = VersionRef { version: VERSION, material: material.digest() };
            let head = KeyHead {
                id: Uuid::from_bytes([2; 16]),
                name: KeyName::parse("a").unwrap(),
                exportable: false,
                immutable: false,
                policy: None,
                generation: 0,
                min_iat: 0,
                versions: vec![of],
                deletion: None,
            };
            let version = KeyVersion {
                version: of.version,
                hsm: true,
                enabled: false,
                not_before: None,
                expires: None,
                created: 0,
                updated: 0,
                key_type: KeyType::Oct { bits: OctBits::B256 },
                public: PublicKey::Oct,
                key_ops: Vec::new(),
                tags: Tags::default(),
                material,
                origin: crate::record::Origin::Generated,
            };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let scene = Scene { runtime, records: Records::new(store, sealer(), VAULT), head, version };
            scene.commit(vec![scene.head(0), scene.version(false)]);
            scene
        }

        /// The head, whose generation stands for its policy.
        fn head(&self, generation: u64) -> Op {
            let head = KeyHead { generation, ..self.head.clone() };
            self.put(self.records.place.head(&head.name), &encode_head(&head))
        }

        fn version(&self, enabled: bool) -> Op {
            let version = KeyVersion { enabled, ..self.version.clone() };
            self.put(self.version_at(), &encode_version(&version).unwrap())
        }

        fn version_at(&self) -> Vec<u8> {
            self.records.place.version(self.head.id, self.version.version)
        }

        fn put(&self, at: Vec<u8>, plain: &[u8]) -> Op {
            let sealed = self.records.sealer.seal(&at, plain, &mut rng()).unwrap();
            Op::Put(at, sealed)
        }

        fn commit(&self, ops: Vec<Op>) -> Revision {
            let txn = Txn { op: OpId::random(&mut rng()), checks: Vec::new(), ops };
            match self.runtime.block_on(self.records.store.commit(&txn)) {
                Ok(Outcome::Committed(revision)) => revision,
                other => panic!("{other:?}"),
            }
        }

        fn fence(&self) -> Revision {
            self.runtime.block_on(self.records.fence()).unwrap()
        }

        fn read_at(&self, seen: Revision) -> Read<KeyHead> {
            self.runtime.block_on(self.records.live_at(&self.head.name, At::Cached(seen))).unwrap().unwrap()
        }

        fn read(&self) -> Read<KeyHead> {
            self.runtime.block_on(self.records.live(&self.head.name)).unwrap().unwrap()
        }

        /// Generation and whether it is enabled, as seen with a head that was read before.
        fn seen(&self, head: Read<KeyHead>) -> Result<Option<(u64, bool)>, Refusal> {
            self.seen_at(head, Revision(0))
        }

        fn seen_at(&self, head: Read<KeyHead>, seen: Revision) -> Result<Option<(u64, bool)>, Refusal> {
            let found = self.runtime.block_on(self.records.at_version(head, None, seen))?;
            Ok(found.map(|found| (found.key.head.generation, found.key.version.enabled)))
        }

        /// The key, and when the floor was put that is read with it.
        fn with_floor(&self, seen: Revision) -> (FoundKey, Option<Revision>) {
            let found =
                self.runtime.block_on(self.records.at_version(self.read_at(seen), None, seen)).unwrap().unwrap();
            let place = self.records.place.floor();
            let floor = self.runtime.block_on(self.records.store.get(&place, At::Cached(found.newest()))).unwrap();
            (found, floor.map(|row| row.modified))
        }
    }

    fn sealer() -> Sealer {
        Sealer::new(Zeroizing::new([4; 32]), [5; 16])
    }

    fn rng() -> impl rand_core::CryptoRng {
        use rand_chacha::rand_core::SeedableRng as _;
        use std::sync::atomic::{AtomicU64, Ordering};
        static SEED: AtomicU64 = AtomicU64::new(0);
        rand_chacha::ChaCha20Rng::seed_from_u64(SEED.fetch_add(1, Ordering::Relaxed))
    }

    /// A key that is disabled, put under another policy and enabled again, each acknowledged, is never seen enabled under the
    /// old policy, however late its version is read.
    #[test]
    fn head_and_version_are_of_one_time() {
        let scene = Scene::new();
        let head = scene.read();
        scene.commit(vec![scene.head(1)]);
        assert_eq!(scene.seen(head.clone()), Ok(Some((0, false))), "as it was when the head was read");
        scene.commit(vec![scene.version(true)]);
        assert_eq!(scene.seen(head), Ok(None));
        assert_eq!(scene.seen(scene.read()), Ok(Some((1, true))), "the control");
    }

    /// A key that is disabled before its policy is loosened, both while it is read, is not seen enabled under the loose policy: the
    /// version is not taken from a cache that has neither. Nor from one that has not what was acknowledged before.
    #[test]
    fn a_version_is_not_older_than_its_head() {
        let scene = Scene::lagging(|place, head| vec![place.head(&head.name)]);
        scene.commit(vec![scene.version(true)]);
        let seen = scene.fence();
        scene.commit(vec![scene.version(false)]);
        scene.commit(vec![scene.head(1)]);
        assert_eq!(scene.seen_at(scene.read_at(seen), seen), Ok(Some((1, false))));
        let scene = Scene::lagging(|place, head| vec![place.head(&head.name)]);
        scene.commit(vec![scene.head(1), scene.version(true)]);
        scene.commit(vec![scene.version(false)]);
        let seen = scene.fence();
        assert_eq!(scene.seen_at(scene.read_at(seen), seen), Ok(Some((1, false))));
    }

    /// A policy that is tightened before the key is enabled, both after the head was read, is seen: whether the head still stands
    /// is not asked of a cache that has neither.
    #[test]
    fn a_head_that_stands_is_not_older_than_the_version() {
        let scene = Scene::lagging(|place, head| vec![place.version(head.id, VERSION)]);
        let seen = scene.fence();
        let head = scene.read_at(seen);
        scene.commit(vec![scene.head(1)]);
        scene.commit(vec![scene.version(true)]);
        assert_eq!(scene.seen_at(head, seen), Ok(None));
        let seen = scene.fence();
        assert_eq!(scene.seen_at(scene.read_at(seen), seen), Ok(Some((1, true))), "the control");
    }

    /// A floor that is tightened before the key's policy is loosened or the key is enabled is met by whoever sees that, and by
    /// whoever comes after it: it is not taken from a cache that has not what the key is seen with.
    #[test]
    fn a_floor_is_not_older_than_its_key() {
        let scene = || Scene::lagging(|place, head| vec![place.head(&head.name), place.version(head.id, VERSION)]);
        for loosen in [|scene: &Scene| scene.head(1), |scene: &Scene| scene.version(true)] {
            let scene = scene();
            let seen = scene.fence();
            let tight = scene.commit(vec![scene.put(scene.records.place.floor(), b"tight")]);
            scene.commit(vec![loosen(&scene)]);
            let (found, floor) = scene.with_floor(seen);
            assert_eq!(floor, Some(tight));
            assert!(!found.was_together_with(floor));
        }
        let scene = scene();
        let tight = scene.commit(vec![scene.put(scene.records.place.floor(), b"tight")]);
        let (found, floor) = scene.with_floor(scene.fence());
        assert_eq!(floor, Some(tight));
        assert!(found.was_together_with(floor));
    }

    /// A policy that is tightened and then a floor that is loosened, each acknowledged, are never met by a request that read the
    /// policy of before.
    #[test]
    fn key_and_another_row_are_of_one_time() {
        let scene = Scene::new();
        let found = |scene: &Scene| {
            let seen = scene.runtime.block_on(scene.records.fence()).unwrap();
            scene.runtime.block_on(scene.records.at_version(scene.read(), None, seen)).unwrap().unwrap()
        };
        let floor = || {
            let floor = scene.records.place.floor();
            scene.runtime.block_on(scene.records.store.get(&floor, At::Linearizable)).unwrap().map(|row| row.modified)
        };
        let early = found(&scene);
        assert!(early.was_together_with(floor()), "there is none");
        scene.commit(vec![scene.head(1)]);
        scene.commit(vec![scene.put(scene.records.place.floor(), b"loose")]);
        assert!(!early.was_together_with(floor()));
        let late = found(&scene);
        assert!(late.was_together_with(floor()), "the control");
        assert_eq!((early.key.head.generation, late.key.head.generation), (0, 1));
        assert!(late.newest() >= floor().unwrap());
    }

    /// A version that changes under a head that stays is seen as it is.
    #[test]
    fn version_changes_under_its_head() {
        let scene = Scene::new();
        let head = scene.read();
        for enabled in [true, false, true] {
            scene.commit(vec![scene.version(enabled)]);
            assert_eq!(scene.seen(head.clone()), Ok(Some((0, enabled))));
        }
    }

    /// A version that went with its head is gone; one that went alone is damage.
    #[test]
    fn version_that_went_away() {
        let scene = Scene::new();
        let head = scene.read();
        scene.commit(vec![Op::Delete(scene.version_at())]);
        let version = scene.version.version.to_string();
        assert_eq!(scene.seen(head.clone()), Err(Corrupted::VersionMissing { version }.into()));
        scene.commit(vec![Op::Delete(scene.records.place.head(&scene.head.name))]);
        assert_eq!(scene.seen(head), Ok(None));
    }
}
