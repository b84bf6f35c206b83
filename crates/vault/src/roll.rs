//! Who belongs to an installation: its servers as the store knows them, those that were forgotten, and times that are taken back.
//!
//! A node that does not come back leaves a row that says what its clock said last; and a clock that was ahead leaves a time that has not come.
//! Both are for whoever holds the root key to take back, and to answer for: what is forgotten of a node is its row, and not that its log was
//! there and where it ended. That stays in the store, and goes on record in the logs of the nodes that are left.

use std::path::Path;
use std::time::SystemTime;

use minicbor::{Decoder, Encoder};
use skerry_attestation_result::unix_secs;
use skerry_audit::{Entry, Event, Head, Limits, Log, Verdict};
use skerry_store::seal::{Root, Sealer};
use skerry_store::stamp::Kind;
use skerry_store::{Check, Op, OpId, Outcome, Row, Settled, Store, Txn};

use crate::clock::is_later;
use crate::command::Randomizer;
use crate::entries::{self, sha256};
use crate::installation::{Installation, InstallationError, META, Memory, rows_under};
use crate::node::{FORGOTTEN, MEMORY, Node, NodeName};
use crate::refusal::Refusal;
use crate::vault::{op_id_of, random};

/// The servers of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roll {
    /// Those that the store knows, by their names.
    pub nodes: Vec<Member>,
    /// Those that were forgotten.
    pub forgotten: Vec<Forgotten>,
}

/// A server as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, or the only one.
    pub node: Node,
    /// The last time that it vouches for, in seconds since the epoch.
    pub seen: u64,
    /// What its clock said when it last put its row; of a node among several.
    pub says: Option<u64>,
    /// How far its log had come by then.
    pub head: Head,
}

/// A node that was forgotten: what the store has of it for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// The name that it had.
    pub node: NodeName,
    /// How far its log had come when it last put its row.
    pub head: Head,
    /// The last time that it vouched for.
    pub seen: u64,
    /// When it was forgotten, by the clock of the machine that did.
    pub at: u64,
    /// Who did.
    pub who: String,
}

/// Why a node is not forgotten. Nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum ForgetError {
    #[error("the store knows no node {node}")]
    Unknown { node: NodeName },
    #[error("node {node} runs")]
    Runs { node: NodeName },
    #[error(transparent)]
    Installation(InstallationError),
}

/// Why a time is not taken back. Nothing was changed, unless it says so.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum ForgetTimeError {
    #[error("the last time seen, {seen}, is not ahead of the clock, which says {now}")]
    NotAhead { seen: u64, now: u64 },
    #[error("the last time seen is {seen}, and {accepted} was to be taken back")]
    Other { seen: u64, accepted: u64 },
    #[error(transparent)]
    Refused(Refusal),
}

impl Installation {
    /// Every server that the store knows, and those that it was told to forget.
    pub async fn roll(store: &Store, root: &Root, kind: Kind) -> Result<Roll, InstallationError> {
        store.stamped(kind, root).await.map_err(InstallationError::Stamp)?;
        let meta = root.sealer(META, &[0; 16]);
        let rows = Memory::rows(store, &meta).await?;
        let member = |(at, _, Memory { seen, says, head, .. }): (Vec<u8>, _, Memory)| {
            let node = Node::at(&at).ok_or(InstallationError::MemoryForm)?;
            Ok(Member { node, seen, says, head })
        };
        let nodes = rows.into_iter().map(member).collect::<Result<_, _>>()?;
        Ok(Roll { nodes, forgotten: forgotten(store, &meta).await? })
    }

    /// Forgets a node: its row and the checkpoint that it shows go, and where its log ended stays. The caller vouches that the node does
    /// not run, which he holds the lease of its name for, and for who he is.
    pub async fn forget_node(
        (store, root, kind): (&Store, &Root, Kind),
        name: &NodeName,
        who: &str,
        now: SystemTime,
        randomness: &Randomizer,
    ) -> Result<Forgotten, ForgetError> {
        store.stamped(kind, root).await.map_err(InstallationError::Stamp).map_err(ForgetError::Installation)?;
        let meta = root.sealer(META, &[0; 16]);
        let rows = Memory::rows(store, &meta).await.map_err(ForgetError::Installation)?;
        let node = Node::Named(name.clone());
        let place = node.memory();
        let Some((_, put, Memory { seen, head, .. })) = rows.into_iter().find(|(at, _, _)| *at == place) else {
            return Err(ForgetError::Unknown { node: name.clone() });
        };
        let forgotten = Forgotten { node: name.clone(), head, seen, at: unix_secs(now), who: who.to_owned() };
        let gone = [FORGOTTEN, hex::encode(head.log).as_bytes()].concat();
        let sealed = meta.seal(&gone, &forgotten.to_bytes(), &mut *randomness());
        let sealed = sealed.map_err(InstallationError::Memory).map_err(ForgetError::Installation)?;
        let deleted = [Some(place.clone()), node.shown()].into_iter().flatten().map(Op::Delete);
        let txn = Txn {
            op: OpId(random(&mut randomness())),
            checks: vec![Check::Unchanged(place, put)],
            ops: deleted.chain([Op::Put(gone, sealed)]).collect(),
        };
        let outcome = store.commit(&txn).await.map_err(InstallationError::Store).map_err(ForgetError::Installation)?;
        match outcome {
            Outcome::Committed(_) => Ok(forgotten),
            Outcome::Conflict(_) => Err(ForgetError::Runs { node: name.clone() }),
            Outcome::Unknown => match store.settle(txn.op).await {
                Ok(Settled::Committed(_)) => Ok(forgotten),
                _ => Err(ForgetError::Installation(InstallationError::Unsettled)),
            },
        }
    }

    /// Puts on record which nodes were forgotten, each once as long as this process runs; how many.
    pub async fn witness_forgotten(&self, now: SystemTime) -> Result<usize, Refusal> {
        let mut recorded = 0_usize;
        for gone in forgotten(self.store(), self.meta()).await.map_err(crate::installation::refuse)? {
            if self.is_known_gone(&gone.head.log) {
                continue;
            }
            drop(self.record(gone.entry(now)).await?);
            self.know_gone(gone.head.log);
            recorded = recorded.saturating_add(1);
        }
        Ok(recorded)
    }

    /// Takes back the last time that this server vouches for, which is ahead of its clock, and which the caller names. It is on record
    /// first. The caller vouches that the clock is right now, for who he is, and that nobody is served.
    pub async fn forget_time(
        &self,
        accepted: u64,
        who: &str,
        now: SystemTime,
        randomness: &Randomizer,
    ) -> Result<(), ForgetTimeError> {
        let (seen, secs) = (self.vouched(), unix_secs(now));
        if !is_later(seen, secs) {
            return Err(ForgetTimeError::NotAhead { seen, now: secs });
        }
        if seen != accepted {
            return Err(ForgetTimeError::Other { seen, accepted });
        }
        let unique: [u8; 16] = random(&mut randomness());
        let subject = sha256(&[b"skerry time forgotten v1\0", &unique]);
        let intent = Entry {
            subject,
            who: who.to_owned(),
            ..entries::service(
                Event::TimeForgotten,
                now,
                Verdict::Intended,
                format!("{seen} is taken back, the clock says {secs}"),
            )
        };
        drop(self.record(intent.clone()).await.map_err(ForgetTimeError::Refused)?);
        self.vouch_anew(secs);
        let txn = Txn { op: op_id_of(&subject), checks: Vec::new(), ops: Vec::new() };
        let committed = self.commit(txn, now, randomness()).await;
        if !matches!(committed, Ok(Outcome::Committed(_))) {
            // The next start finds out what became of it.
            self.vouch_anew(seen);
            return Err(ForgetTimeError::Refused(committed.err().unwrap_or(Refusal::Unsettled)));
        }
        let outcome = Entry { verdict: Verdict::Committed, ..intent };
        self.record(outcome).await.map(drop).map_err(ForgetTimeError::Refused)
    }
}

impl Forgotten {
    fn entry(&self, now: SystemTime) -> Entry {
        let Forgotten { node, head, seen, at, who } = self;
        let (log, hash) = (hex::encode(head.log), hex::encode(head.hash));
        let explanation = format!(
            "node {node} was forgotten at {at}; its log {log}:{}:{hash} ends, its last time is {seen}",
            head.records
        );
        Entry {
            subject: sha256(&[b"skerry node forgotten v1\0", &head.log]),
            who: who.clone(),
            ..entries::service(Event::NodeForgotten, now, Verdict::Committed, explanation)
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::new(Vec::new());
        let mut write = || -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
            out.array(8)?.u8(FORMAT)?.str(self.node.as_str())?.bytes(&self.head.log)?.u64(self.head.records)?;
            out.bytes(&self.head.hash)?.u64(self.seen)?.u64(self.at)?.str(&self.who)?;
            Ok(())
        };
        // Infallible: writing to a vector.
        let _ = write();
        out.into_writer()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Forgotten> {
        let mut input = Decoder::new(bytes);
        if (input.array().ok()?, input.u8().ok()?) != (Some(8), FORMAT) {
            return None;
        }
        let node = NodeName::parse(input.str().ok()?)?;
        let log = input.bytes().ok()?.try_into().ok()?;
        let head = Head { log, records: input.u64().ok()?, hash: input.bytes().ok()?.try_into().ok()? };
        let (seen, at, who) = (input.u64().ok()?, input.u64().ok()?, input.str().ok()?.to_owned());
        (input.position() == bytes.len()).then_some(Forgotten { node, head, seen, at, who })
    }
}

/// Those that the store was told to forget, by the ids of their logs.
async fn forgotten(store: &Store, meta: &Sealer) -> Result<Vec<Forgotten>, InstallationError> {
    let rows = rows_under(store, FORGOTTEN).await.map_err(InstallationError::Store)?;
    let opened = |Row { key, entry }: Row| {
        let plain = meta.open(&key, &entry.value).map_err(InstallationError::Memory)?;
        Forgotten::from_bytes(&plain).ok_or(InstallationError::MemoryForm)
    };
    rows.into_iter().map(opened).collect()
}

/// Refuses a log that was forgotten: it ended where the store says, and nothing goes on with it.
pub(crate) async fn check_not_forgotten(
    store: &Store,
    meta: &Sealer,
    (log_folder, limits): (&Path, Limits),
) -> Result<(), InstallationError> {
    let gone = forgotten(store, meta).await?;
    if gone.is_empty() {
        return Ok(());
    }
    let head = Log::open(log_folder, limits).and_then(|log| log.head()).map_err(InstallationError::Audit)?;
    match gone.into_iter().find(|gone| gone.head.log == head.log) {
        Some(gone) => Err(InstallationError::Forgotten { node: gone.node, at: gone.at }),
        None => Ok(()),
    }
}

impl Node {
    /// Whose memory is at this place of the store.
    fn at(place: &[u8]) -> Option<Node> {
        match place.strip_prefix(MEMORY)? {
            [] => Some(Node::Only),
            [b'/', name @ ..] => NodeName::parse(std::str::from_utf8(name).ok()?).map(Node::Named),
            _ => None,
        }
    }
}

const FORMAT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept of a forgotten node is read as it was written, and nothing else is.
    #[test]
    fn forgotten_is_read_back() {
        let node = NodeName::parse("a").unwrap();
        let head = Head { log: [7; 16], records: 300, hash: [9; 32] };
        let gone = Forgotten { node, head, seen: 1_800_000_000, at: 1_700_000_000, who: "unix:uid=0".to_owned() };
        let bytes = gone.to_bytes();
        assert_eq!(Forgotten::from_bytes(&bytes), Some(gone));
        for len in 0..bytes.len() {
            assert_eq!(Forgotten::from_bytes(&bytes[..len]), None, "{len}");
        }
        assert_eq!(Forgotten::from_bytes(&[bytes.as_slice(), &[0]].concat()), None);
        let other = [&bytes[..1], &[2], &bytes[2..]].concat();
        assert_eq!(Forgotten::from_bytes(&other), None, "another format");
    }

    /// Every place of a memory is that of one node.
    #[test]
    fn places_are_nodes() {
        for node in [Node::Only, Node::Named(NodeName::parse("node-1").unwrap())] {
            assert_eq!(Node::at(&node.memory()), Some(node));
        }
        for odd in [&b"meta/memoryx"[..], b"meta/memory/", b"meta/memory/A", b"meta/memory/\xff", b"meta"] {
            assert_eq!(Node::at(odd), None);
        }
    }
}
