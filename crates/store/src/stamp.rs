//! Whose store this is: a record that every program checks before it reads or writes any other.
//!
//! ```text
//! key "meta/stamp", sealed under the root's KEK of label "installation" and an id of zeros
//!    0   1  kind: 1 dev, 2 serve
//!    1   2  format of all other records, big endian
//!    3  16  installation, random
//! ```
//!
//! It opens under its root alone, so a store with another root is told apart from a damaged one before anything else is
//! tried. A store that holds something but no stamp is refused rather than stamped.

use crate::error::StoreError;
use crate::model::{At, Check, Entry, Op, OpId, Outcome, Settled, Txn};
use crate::seal::{Root, SealError, Sealer};
use crate::store::Store;
use rand_core::CryptoRng;

/// The key that the stamp is stored under.
pub const STAMP_KEY: &[u8] = b"meta/stamp";

/// The key of the mark that says that the rows of this store are those of another now: see [`crate::migrate`].
pub const MOVED_KEY: &[u8] = b"meta/moved";

/// The format of records that this version reads and writes.
pub const FORMAT: u16 = 1;

/// What kind of program a store belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `skerry dev`: simulated anchors, a root that lies beside it.
    Dev,
    /// `skerry serve`.
    Serve,
}

/// Whose store this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The kind of program.
    pub kind: Kind,
    /// The format of all other records.
    pub format: u16,
    /// The installation, made at random with the store.
    pub installation: [u8; 16],
}

impl Stamp {
    /// The stamp of a row of [`STAMP_KEY`], whatever its kind, iff it was sealed under this root.
    pub fn read(root: &Root, entry: &Entry) -> Result<Self, StampError> {
        open(&root.sealer(INSTALLATION, &[0; 16]), entry)
    }
}

impl Store {
    /// The store's stamp, iff it is of this kind, of a format that is known, and under this root. An empty store is
    /// stamped, with an installation from `rng`.
    ///
    /// One whose rows were moved to another store is refused, so that there are never two that are served.
    pub async fn stamp(&self, kind: Kind, root: &Root, rng: &mut (dyn CryptoRng + Send)) -> Result<Stamp, StampError> {
        self.not_moved().await?;
        let sealer = root.sealer(INSTALLATION, &[0; 16]);
        let stamp = match self.get(STAMP_KEY, At::Linearizable).await? {
            Some(entry) => open(&sealer, &entry)?,
            None => self.first_stamp(kind, &sealer, rng).await?,
        };
        of_kind(stamp, kind)
    }

    /// The store's stamp, as [`Store::stamp`] gives it, of a store that has one.
    pub async fn stamped(&self, kind: Kind, root: &Root) -> Result<Stamp, StampError> {
        self.not_moved().await?;
        self.stamp_as_it_is(kind, root).await
    }

    /// The stamp, also of a store whose rows were moved.
    pub(crate) async fn stamp_as_it_is(&self, kind: Kind, root: &Root) -> Result<Stamp, StampError> {
        let sealer = root.sealer(INSTALLATION, &[0; 16]);
        let entry = self.get(STAMP_KEY, At::Linearizable).await?.ok_or(StampError::Missing)?;
        of_kind(open(&sealer, &entry)?, kind)
    }

    /// Whatever the mark says: it is there or not.
    async fn not_moved(&self) -> Result<(), StampError> {
        match self.get(MOVED_KEY, At::Linearizable).await? {
            Some(_) => Err(StampError::Moved),
            None => Ok(()),
        }
    }

    async fn first_stamp(
        &self,
        kind: Kind,
        sealer: &Sealer,
        rng: &mut (dyn CryptoRng + Send),
    ) -> Result<Stamp, StampError> {
        if !self.range(b"", None, 1, At::Linearizable).await?.rows.is_empty() {
            // Another program may have stamped it since the stamp was looked for.
            let entry = self.get(STAMP_KEY, At::Linearizable).await?.ok_or(StampError::Missing)?;
            return open(sealer, &entry);
        }
        let mut stamp = Stamp { kind, format: FORMAT, installation: [0; 16] };
        rng.fill_bytes(&mut stamp.installation);
        let sealed = sealer.seal(STAMP_KEY, &encode(&stamp), rng).map_err(StampError::Seal)?;
        let txn = Txn {
            op: OpId::random(rng),
            checks: vec![Check::Absent(STAMP_KEY.to_vec())],
            ops: vec![Op::Put(STAMP_KEY.to_vec(), sealed)],
        };
        match self.commit(&txn).await? {
            Outcome::Committed(_) => return Ok(stamp),
            Outcome::Unknown if matches!(self.settle(txn.op).await?, Settled::Committed(_)) => return Ok(stamp),
            Outcome::Unknown | Outcome::Conflict(_) => {}
        }
        // Another program may have been first; what it wrote is checked as if it had always been there.
        let entry = self.get(STAMP_KEY, At::Linearizable).await?.ok_or(StampError::Unsettled)?;
        open(sealer, &entry)
    }
}

fn of_kind(stamp: Stamp, kind: Kind) -> Result<Stamp, StampError> {
    match stamp.kind == kind {
        true => Ok(stamp),
        false => Err(StampError::OtherKind { expected: kind, found: stamp.kind }),
    }
}

fn open(sealer: &Sealer, entry: &Entry) -> Result<Stamp, StampError> {
    let plain = sealer.open(STAMP_KEY, &entry.value).map_err(|error| match error {
        SealError::OtherKek { .. } => StampError::OtherRoot,
        other => StampError::Seal(other),
    })?;
    decode(&plain)
}

fn encode(stamp: &Stamp) -> Vec<u8> {
    let kind = match stamp.kind {
        Kind::Dev => DEV,
        Kind::Serve => SERVE,
    };
    [[kind].as_slice(), &stamp.format.to_be_bytes(), &stamp.installation].concat()
}

/// The format is looked at first: what else there is, and how long it is, depends on it.
fn decode(plain: &[u8]) -> Result<Stamp, StampError> {
    let malformed = StampError::Malformed { len: plain.len() };
    let (&kind, rest) = plain.split_first().ok_or(malformed.clone())?;
    let (&format, rest) = rest.split_first_chunk().ok_or(malformed.clone())?;
    let format = u16::from_be_bytes(format);
    if format != FORMAT {
        return Err(StampError::UnknownFormat { format });
    }
    let installation = rest.try_into().map_err(|_| malformed)?;
    let kind = match kind {
        DEV => Kind::Dev,
        SERVE => Kind::Serve,
        _ => return Err(StampError::UnknownKind { kind }),
    };
    Ok(Stamp { kind, format, installation })
}

/// Why a store is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StampError {
    /// The store belongs to the other kind of program.
    #[error("store is of kind {found:?}, not {expected:?}")]
    OtherKind {
        /// The kind asked for.
        expected: Kind,
        /// The kind found.
        found: Kind,
    },
    /// The stamp names a kind that this version does not know.
    #[error("unknown kind {kind} of store")]
    UnknownKind {
        /// The kind found.
        kind: u8,
    },
    /// The records have a format that this version does not know.
    #[error("unknown format {format} of records")]
    UnknownFormat {
        /// The format found.
        format: u16,
    },
    /// The store is sealed under another root.
    #[error("store is sealed under another root")]
    OtherRoot,
    /// What was in this store is in another since it was migrated.
    #[error("store was migrated to another")]
    Moved,
    /// The store holds records but no stamp.
    #[error("store has no stamp")]
    Missing,
    /// The stamp opened and has no such length.
    #[error("stamp of {len} octets")]
    Malformed {
        /// Its octets.
        len: usize,
    },
    /// The stamp was altered, or could not be sealed.
    #[error("stamp does not open")]
    Seal(#[source] SealError),
    /// The stamp could not be written now; try again.
    #[error("stamp is not written yet")]
    Unsettled,
    /// The store refused.
    #[error("store refused")]
    Store(#[from] StoreError),
}

/// Label of the KEK of the stamp alone.
pub(crate) const INSTALLATION: &str = "installation";
const DEV: u8 = 1;
const SERVE: u8 = 2;
