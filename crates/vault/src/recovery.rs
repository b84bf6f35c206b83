//! A server as a whole: taken out for a backup, and begun anew from one.
//!
//! The order of taking out is what makes a backup whole: first it is on record that a backup is made, then the rows of one
//! revision are held, then the log is taken as far as it has come by then. So every change that is in the rows is in the log; the
//! log may have some that came after, and [`lost`] counts these, by the op ids that the rows have. A restored server begins a log
//! of its own, which names the old one (docs/decisions/020).
//!
//! Of several nodes the one that is asked takes out the rows of all and its own log. How far the others' logs had come at least the
//! rows say ([`Known`]); what these logs have is not in the backup, and the restored server's log names them (docs/decisions/023).
//!
//! Deliberately not here: the file of a backup, and who may have one.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::SystemTime;

use skerry_attestation_result::unix_secs;
use skerry_audit::limits::UNSETTLED_MAX;
use skerry_audit::{AuditError, End, Entry, Event, Head, Limits, Log, Verdict};
use skerry_store::seal::{Root, SealError, Sealer};
use skerry_store::stamp::Kind;
use skerry_store::{Export, Op, OpId, Outcome, Row, Store, Txn};
use uuid::Uuid;

use crate::appraisal;
use crate::command::Randomizer;
use crate::entries::{self, sha256};
use crate::installation::{Installation, InstallationError, META, Memory, rows_under, was_made};
use crate::limits::RECOVERED_AT_ONCE;
use crate::node::{MEMORY, SHOWN};
use crate::publishing::origin;
use crate::refusal::Refusal;
use crate::vault::{op_id_of, random};
use crate::witness::Witnessed;

/// All of a server at one time: the rows, held still, and how far its log goes with them.
pub struct Whole {
    /// The rows.
    pub export: Export,
    /// The end of the log.
    pub log: End,
}

/// What is not done with an installation without a reason.
pub struct DangerousInstallation<'a>(&'a Installation);

impl<'a> DangerousInstallation<'a> {
    /// The root, to be sealed to somebody else.
    pub fn root(&self) -> &'a Root {
        self.0.root()
    }

    /// Everything, once it is on record that it leaves: in which backup, to whom (`sealed_to`), asked for by whom.
    pub async fn take_out(
        &self,
        backup: &[u8; 16],
        who: &str,
        sealed_to: &str,
        now: SystemTime,
    ) -> Result<Whole, Refusal> {
        // Servers that do not answer are found out before it is on record.
        self.0.store().fence().await?;
        let explanation = format!("backup {} sealed to {sealed_to}", hex::encode(backup));
        let entry = Entry {
            subject: sha256(&[b"skerry server backup v1\0", backup]),
            who: who.to_owned(),
            ..entries::service(Event::ServerBackedUp, now, Verdict::Permitted, explanation)
        };
        drop(self.0.record(entry).await?);
        let export = self.0.store().export(self.0.root()).await?;
        let log = self.0.log().end().map_err(Refusal::Audit)?;
        Ok(Whole { export, log })
    }
}

impl Installation {
    /// The way to what opens everything.
    pub fn danger(&self) -> DangerousInstallation<'_> {
        DangerousInstallation(self)
    }

    /// Makes an installation of a store that a backup had: with a new log in `log_folder`, where none may be yet, whose first
    /// record says so, and which the store remembers from then on. Changes that the old log, in `before`, has without an outcome
    /// are settled, and put on record in the new one. The caller vouches that store and old log are of one backup.
    #[expect(clippy::too_many_arguments, reason = "each is given once, by the one who restores")]
    pub async fn recover(
        store: &Store,
        root: &Root,
        kind: Kind,
        (before, log_folder): (&[&Path], &Path),
        limits: Limits,
        restored: &Restored<'_>,
        now: SystemTime,
        randomness: &Randomizer,
    ) -> Result<Recovered, InstallationError> {
        store.stamped(kind, root).await.map_err(InstallationError::Stamp)?;
        let meta = root.sealer(META, &[0; 16]);
        let known = Memory::all(store, &meta).await?;
        let read = |before: &&Path| skerry_audit::history(before, UNSETTLED_MAX).map_err(InstallationError::History);
        let histories = before.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let shown = shown(store, &meta).await?;
        let log = Log::create(log_folder, limits, &mut *randomness()).map_err(InstallationError::Audit)?;
        drop(log.record(&restored.entry(now)).map_err(InstallationError::Audit)?);
        let mut recovered = Recovered { head: restored.head, settled_committed: 0, settled_aborted: 0 };
        let own = origin(&log.head().map_err(InstallationError::Audit)?.log);
        for (_, note) in &shown {
            // Each by itself: a node that was renamed has shown its log in two places.
            let seen = Witnessed::default().entry(root, &own, note, now).map_err(InstallationError::Shown)?;
            if let Some((_, entry)) = seen {
                drop(log.record(&entry).map_err(InstallationError::Audit)?);
            }
        }
        for change in histories.iter().flat_map(|history| history.unsettled()) {
            let made = was_made(store, &change.entry.subject).await?;
            let verdict = if made { Verdict::Committed } else { Verdict::Aborted };
            let outcome = Entry { at: now, verdict, ..change.entry.clone() };
            drop(log.record(&outcome).map_err(InstallationError::Audit)?);
            let count = if made { &mut recovered.settled_committed } else { &mut recovered.settled_aborted };
            *count = count.saturating_add(1);
        }
        recovered.head = log.head().map_err(InstallationError::Audit)?;
        let checkpoint = Some(log.checkpoint().map_err(InstallationError::Audit)?);
        let seen = known.values().map(|memory| memory.seen).max().unwrap_or(0).max(unix_secs(now));
        let memory = Memory { seen, says: None, head: recovered.head, checkpoint }.to_bytes();
        let sealed = meta.seal(MEMORY, &memory, &mut *randomness()).map_err(InstallationError::Memory)?;
        // Nodes that shared the store have not come along: this server has it to itself.
        let nodes = known.into_keys().filter(|at| at != MEMORY);
        let gone: Vec<Op> = nodes.chain(shown.into_iter().map(|(at, _)| at)).map(Op::Delete).collect();
        let own = vec![Op::Put(MEMORY.to_vec(), sealed)];
        for ops in gone.chunks(RECOVERED_AT_ONCE).map(<[Op]>::to_vec).chain([own]) {
            let txn = Txn { op: OpId(random(&mut randomness())), checks: Vec::new(), ops };
            match store.commit(&txn).await.map_err(InstallationError::Store)? {
                Outcome::Committed(_) => {}
                Outcome::Conflict(_) | Outcome::Unknown => return Err(InstallationError::Unsettled),
            }
        }
        Ok(recovered)
    }
}

/// A server of an installation, as the rows of a revision know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name, if it was one of several.
    pub node: Option<String>,
    /// How far its log had come at least. Below, every change that the log has an outcome of was made in the rows.
    pub head: Head,
    /// The last time that it has seen, in seconds since 1970.
    pub seen: u64,
}

impl Known {
    /// What this row says of a server; none if it is about something else.
    pub fn of(root: &Root, row: &Row) -> Result<Option<Known>, InstallationError> {
        let Some(rest) = row.key.strip_prefix(MEMORY) else { return Ok(None) };
        let plain = root.sealer(META, &[0; 16]).open(&row.key, &row.entry.value).map_err(InstallationError::Memory)?;
        let Memory { seen, head, .. } = Memory::from_bytes(&plain).ok_or(InstallationError::MemoryForm)?;
        let node = rest.strip_prefix(b"/").map(|name| String::from_utf8_lossy(name).into_owned());
        Ok(Some(Known { node, head, seen }))
    }
}

/// The checkpoints that nodes have shown each other, with where they are.
async fn shown(store: &Store, meta: &Sealer) -> Result<Vec<(Vec<u8>, Vec<u8>)>, InstallationError> {
    let rows = rows_under(store, SHOWN).await.map_err(InstallationError::Store)?;
    let opened = |Row { key, entry }: Row| {
        let note = meta.open(&key, &entry.value).map_err(InstallationError::Memory)?;
        Ok((key, note.to_vec()))
    };
    rows.into_iter().map(opened).collect()
}

/// What the first record of a restored server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored<'a> {
    /// The backup.
    pub backup: [u8; 16],
    /// Digest of its file.
    pub digest: [u8; 32],
    /// The revision of its rows.
    pub revision: u64,
    /// The head of the old log.
    pub head: Head,
    /// The node whose log that is, if it was one of several.
    pub node: Option<&'a str>,
    /// The other servers, and how far their logs are known to have come.
    pub others: &'a [Known],
    /// Who restored.
    pub who: &'a str,
    /// What is lost, as far as it is known, and was accepted.
    pub lost: &'a str,
}

impl Restored<'_> {
    fn entry(&self, now: SystemTime) -> Entry {
        let Restored { backup, digest, revision, head, node, others, who, lost } = self;
        let text = |head: &Head| format!("{}:{}:{}", hex::encode(head.log), head.records, hex::encode(head.hash));
        let before = match node {
            None => text(head),
            Some(node) => format!("{} of node {node}", text(head)),
        };
        let others: String = others
            .iter()
            .map(|Known { node, head, .. }| {
                let name = node.as_ref().map_or_else(String::new, |node| format!(" of node {node}"));
                format!("another{name} is {}; ", text(head))
            })
            .collect();
        let explanation = format!(
            "restored from backup {} of digest {} at revision {revision}; the log before is {before}; {others}{lost}",
            hex::encode(backup),
            hex::encode(digest)
        );
        Entry {
            subject: sha256(&[b"skerry server restored v1\0", backup, digest]),
            who: (*who).to_owned(),
            ..entries::service(Event::ServerRestored, now, Verdict::Permitted, explanation)
        }
    }
}

/// How recovering went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The head of the new log.
    pub head: Head,
    /// Changes that had no outcome on record and are in the rows.
    pub settled_committed: usize,
    /// Changes that had no outcome on record and are not.
    pub settled_aborted: usize,
}

/// What a log has that a store has not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loss {
    /// Changes that were made and are lost, by event.
    pub changes: BTreeMap<&'static str, u64>,
    /// When the first of them was made, and the last.
    pub between: Option<(SystemTime, SystemTime)>,
    /// Releases and unwrappings on record after `from`: nothing is lost of them, they happened.
    pub releases: u64,
    /// The end of the log.
    pub head: Option<Head>,
}

impl Loss {
    /// How many changes are lost.
    pub fn count(&self) -> u64 {
        self.changes.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// What the log in `folder` says was changed, from record `from` on, and what by `made` is not in the store. The log is checked on
/// the way; that it continues another is for the caller to have checked.
pub fn lost(folder: &Path, from: u64, made: impl Fn(OpId) -> bool) -> Result<Loss, AuditError> {
    let mut reader = skerry_audit::read(folder)?;
    let mut loss = Loss::default();
    for record in reader.by_ref() {
        let record = record?;
        if record.leaf().index() < from {
            continue;
        }
        // What this version does not understand is a record of a later one, and counted as nothing that it knows.
        let Ok(entry) = record.entry() else { continue };
        match (entry.verdict, entry.event) {
            (Verdict::Permitted, Event::Release | Event::SecureUnwrap) => {
                loss.releases = loss.releases.saturating_add(1);
            }
            (Verdict::Committed, event) if !made(op_id_of(&entry.subject)) => {
                let count = loss.changes.entry(event.as_str()).or_default();
                *count = count.saturating_add(1);
                let first = loss.between.map_or(entry.at, |(first, _)| first.min(entry.at));
                loss.between = Some((first, loss.between.map_or(entry.at, |(_, last)| last.max(entry.at))));
            }
            _ => {}
        }
    }
    loss.head = Some(reader.head());
    Ok(loss)
}

/// Whether a row's seal opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// Under a key of the root.
    Opens,
    /// It is under a key that this version does not know of: whether it opens is not known.
    Unknown,
    /// It is under a key that is known, and does not open, or it is no sealed record.
    Broken(SealError),
}

/// The seals of all rows that an installation writes, under one root.
pub struct Seals<'a> {
    root: &'a Root,
    sealers: HashMap<[u8; 16], Sealer>,
    vaults: Vec<[u8; 16]>,
}

impl<'a> Seals<'a> {
    /// Those under this root.
    pub fn new(root: &'a Root) -> Seals<'a> {
        let mut seals = Seals { root, sealers: HashMap::new(), vaults: Vec::new() };
        for label in [META, STAMP, appraisal::LABEL] {
            seals.know(label, Uuid::nil().as_bytes());
        }
        seals
    }

    /// Whether the value of this row opens in its place.
    pub fn check(&mut self, row: &Row) -> Seal {
        if let Some(vault) = vault_of(&row.key)
            && !self.vaults.contains(&vault)
        {
            self.vaults.push(vault);
            self.know("vault records", &vault);
        }
        let Some((_, Some((kek, _)))) = row.entry.value.split_first().map(|(_, rest)| ((), rest.split_first_chunk()))
        else {
            return Seal::Broken(SealError::Malformed { len: row.entry.value.len() });
        };
        match self.sealers.get(kek).map(|sealer| sealer.open(&row.key, &row.entry.value)) {
            None => Seal::Unknown,
            Some(Ok(_)) => Seal::Opens,
            Some(Err(error)) => Seal::Broken(error),
        }
    }

    fn know(&mut self, label: &str, id: &[u8; 16]) {
        let (kek, kek_id) = self.root.kek(label, id);
        self.sealers.insert(kek_id, Sealer::new(kek, kek_id));
    }
}

fn vault_of(key: &[u8]) -> Option<[u8; 16]> {
    key.strip_prefix(b"v/")?.split_first_chunk().map(|(vault, _)| *vault)
}

/// Label of the stamp's KEK (docs/store-format.md, "A sealed record").
const STAMP: &str = "installation";
