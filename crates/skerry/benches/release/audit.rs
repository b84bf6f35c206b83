//! Releases with the audit log against the same without it: how many a second, with one caller, a few and many.
//!
//! *Without* is no way around the log: material leaves for a permit that is on record and for no other, here as anywhere. Its
//! releases were put on record before the clock runs, by another vault of the same id on the same log, all in one write; in
//! the block they are believed, decided and carried out by the very code of [`Vault::release`], and where that would wait for
//! the log the proof is at hand already. So what is left out is all that a record costs: its entry, the queue, the log's
//! thread and the way back, encoding, hashing, the tree, the write and its sync. Tiles are published apart, all
//! records of a block at a time, and have a row of their own.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::Context as _;
use skerry_audit::Recorded;
use skerry_identity::{Access, Permission};
use skerry_vault::command::{Context, ReleaseCommand};
use skerry_vault::record::KeyName;
use skerry_vault::{Installation, Pools, Vault};
use tokio::runtime::Runtime;

use crate::common::measure::cpu_time;
use crate::common::rate::{Rate, Took, timed};
use crate::common::site::{Actors, Site, caller, randomizer};
use crate::common::straight::{Straight, WRAP};
use crate::common::token::Token;
use crate::common::{HOST, NONCE};
use crate::{REQUEST_ID, Size};

/// A vault on a log, for each row one of its own, so that tokens are new to all of them.
pub(crate) struct Place {
    words: &'static str,
    site: Site,
    /// With and without, for each of [`CALLERS`].
    rows: Vec<[Arc<Vault>; 2]>,
    /// Decides what is put on record beforehand.
    before: Arc<Vault>,
    /// Records that are published.
    published: AtomicU64,
}

impl Place {
    pub(crate) async fn make(
        words: &'static str,
        folder: &Path,
        actors: &Actors,
        pools: &Pools,
    ) -> anyhow::Result<Place> {
        let site = Site::make(folder, actors, pools).await?;
        let vault = || site.again(actors, pools).map(Arc::new);
        let rows = CALLERS.iter().map(|_| Ok([vault()?, vault()?])).collect::<anyhow::Result<_>>()?;
        Ok(Place { words, rows, before: vault()?, published: AtomicU64::new(0), site })
    }
}

/// What all callers have.
pub(crate) struct Asking<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) now: SystemTime,
    pub(crate) straight: &'a Arc<Straight>,
    pub(crate) tokens: &'a Arc<Vec<Token>>,
}

pub(crate) fn rates<'a>(asking: &'a Asking<'a>, places: &'a [Place], size: &'a Size) -> Vec<Rate<'a>> {
    let mut rates = Vec::new();
    for place in places {
        for (callers, [with, without]) in CALLERS.into_iter().zip(&place.rows) {
            let row = |which: &str| format!("{which} the log, {}, {callers} callers", place.words);
            let run = move |block| asking.run(place, without, callers, size.share(block), true);
            rates.push(Rate::new(row("without"), run));
            let run = move |block| asking.run(place, with, callers, size.share(block), false);
            rates.push(Rate::new(row("with"), run).against(row("without"), AIM));
        }
        rates.push(Rate::new(format!("publishing what is in the log, {}", place.words), move |_| publish(place)));
    }
    rates
}

impl Asking<'_> {
    /// So many callers at a time release all these tokens, each as soon as it has its last answer.
    fn run(
        &self,
        place: &Place,
        vault: &Arc<Vault>,
        callers: usize,
        tokens: std::ops::Range<usize>,
        is_recorded: bool,
    ) -> anyhow::Result<Took> {
        let before = self.caller(place, &place.before);
        let proofs = match is_recorded {
            true => self.runtime.block_on(before.recorded(tokens.clone()))?.into_iter().map(Some).collect(),
            false => tokens.clone().map(|_| None).collect::<Vec<_>>(),
        };
        let count = tokens.len();
        let left = Arc::new(Mutex::new(tokens.zip(proofs).collect::<Vec<_>>().into_iter()));
        let log = place.site.installation.log();
        let syncs = log.syncs()?;
        let took = timed(cpu_time, || {
            self.runtime.block_on(async {
                let one = |_| {
                    let (caller, left) = (self.caller(place, vault), Arc::clone(&left));
                    tokio::spawn(async move {
                        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
                        while let Some((token, proof)) = next() {
                            std::hint::black_box(caller.release(token, proof).await?);
                        }
                        anyhow::Ok(())
                    })
                };
                let tasks: Vec<_> = (0..callers).map(one).collect();
                for task in tasks {
                    task.await??;
                }
                Ok(count)
            })
        })?;
        let syncs = u32::try_from(log.syncs()?.saturating_sub(syncs))?;
        let shared = f64::from(u32::try_from(count)?) / f64::from(syncs);
        Ok(Took { notes: (syncs > 0).then_some(("records a sync", shared)).into_iter().collect(), ..took })
    }

    fn caller(&self, place: &Place, vault: &Arc<Vault>) -> Caller {
        let (straight, tokens, vault) = (Arc::clone(self.straight), Arc::clone(self.tokens), Arc::clone(vault));
        let (access, name) = (Arc::clone(&place.site.access), place.site.key.head.name.clone());
        let installation = Arc::clone(&place.site.installation);
        Caller { now: self.now, straight, tokens, vault, access, installation, name }
    }
}

struct Caller {
    now: SystemTime,
    straight: Arc<Straight>,
    tokens: Arc<Vec<Token>>,
    vault: Arc<Vault>,
    access: Arc<Access>,
    installation: Arc<Installation>,
    name: KeyName,
}

#[allow(clippy::disallowed_methods, reason = "this is the bench that the halves of a release are for")]
impl Caller {
    async fn release(&self, token: usize, recorded: Option<Recorded>) -> anyhow::Result<String> {
        self.straight.check_bearer()?;
        let grant = self.access.grant(&caller(), *self.vault.id().as_bytes(), Permission::Release)?;
        let context = Context { grant: &grant, request_id: REQUEST_ID, now: self.now, randomness: &randomizer };
        let command = self.command(token)?;
        let released = match recorded {
            None => self.vault.release(&context, &command).await?,
            Some(recorded) => {
                let decided = self.vault.danger_decide(&context, &command).await?;
                self.vault.danger_carry_out(&context, &command, decided, recorded).await?
            }
        };
        Ok(released.value)
    }

    /// Puts these on record as about to be released.
    async fn recorded(&self, tokens: std::ops::Range<usize>) -> anyhow::Result<Vec<Recorded>> {
        let grant = self.access.grant(&caller(), *self.vault.id().as_bytes(), Permission::Release)?;
        let context = Context { grant: &grant, request_id: REQUEST_ID, now: self.now, randomness: &randomizer };
        let mut entries = Vec::new();
        for token in tokens {
            entries.push(self.vault.danger_decide(&context, &self.command(token)?).await?.entry(&context));
        }
        Ok(self.installation.log().record_all(&entries).into_iter().collect::<Result<_, _>>()?)
    }

    fn command(&self, token: usize) -> anyhow::Result<ReleaseCommand<'_>> {
        Ok(ReleaseCommand {
            name: &self.name,
            version: None,
            target: &self.tokens.get(token).context("no token")?.text,
            nonce: Some(NONCE),
            enc: Some(WRAP),
            api_version: "7.4",
            host: HOST,
            proof: false,
        })
    }
}

/// What publishing costs for each record that was made before: nothing waits for it, and it is done every few seconds.
fn publish(place: &Place) -> anyhow::Result<Took> {
    let installation = &place.site.installation;
    let published = place.published.swap(installation.log().head()?.records, Ordering::Relaxed);
    let records = usize::try_from(installation.log().head()?.records.saturating_sub(published))?;
    timed(cpu_time, || {
        installation.publish(place.site.folder())?;
        installation.stop_publishing();
        anyhow::ensure!(installation.publishing_failure().is_none(), "not published");
        Ok(records)
    })
}

/// At a time.
const CALLERS: [usize; 3] = [1, 8, 64];
/// With the log, of what there is without it.
const AIM: f64 = 0.95;
