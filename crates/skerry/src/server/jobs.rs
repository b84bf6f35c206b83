//! What is done without being asked.
//!
//! Before anything is answered, what a purge or a restore left when it was cut short is removed. From then on, every minute,
//! deleted keys whose time is over are purged and keys whose rotation policy says so are rotated: one key after another, in
//! the name of a principal that may do that and nothing else. A key that cannot be purged or rotated is told of and stops no
//! other. What is due is decided by [`Vault`] and the time, which is an argument.
//!
//! Of nodes that share a store one does it at a time, by a lease. That saves work and protects nothing: each purge and rotation is
//! a change like a caller's, which holds only if nothing came in between.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use skerry_http::Machine;
use skerry_identity::{Access, Assignment, Grant, Permission, Principal, Scope};
use skerry_store::{Lease, Store};
use skerry_vault::command::{Context, Randomizer};
use skerry_vault::record::KeyName;
use skerry_vault::{Due, Refusal, Vault, explained};
use tokio::sync::watch;
use tokio::time::sleep;

use super::hsm::Moving;
use super::vaults::Vaults;
use crate::edge::{self, Failure};

/// Finishes in every vault what was cut short. Until then nothing may be answered.
pub(super) async fn sweep(vaults: &Vaults, machine: &Machine) -> Result<(), Failure> {
    for (name, vault) in vaults {
        vault.sweep(machine.now(), machine.randomizer()).await.map_err(|refusal| {
            let context = format!(
                "vault {name}: what a purge or a restore left when it was cut short cannot be removed; if the next start says \
                 the same, restore the data folder"
            );
            Failure::integrity(anyhow::Error::new(refusal).context(context))
        })?;
    }
    Ok(())
}

/// The jobs of a server.
pub(super) struct Jobs {
    vaults: Vaults,
    access: Access,
    store: Store,
    moving: Option<Moving>,
}

/// What a job does with a key that is due.
#[derive(Clone, Copy)]
enum Job {
    Purge,
    Rotate,
}

impl Jobs {
    pub(super) fn new(vaults: Vaults, store: Store) -> Jobs {
        let access = access(&vaults);
        Jobs { vaults, access, store, moving: None }
    }

    /// The same, and keys in a token are moved to its newest root.
    pub(super) fn moving(self, moving: Option<Moving>) -> Jobs {
        Jobs { moving, ..self }
    }

    /// Does what is due every minute, until it is told to stop, which is heard between two keys. The first time is a minute
    /// from now, so that a clock that is set late in the start of a machine is right by then. Moving keys to the token's newest
    /// root is no matter of the clock, and begins at once.
    pub(super) async fn run(self, machine: Machine, mut stop: watch::Receiver<bool>) {
        let (mut before, mut lease) = (BTreeSet::new(), None::<Lease>);
        let mut pause = if self.moving.is_some() { Duration::ZERO } else { PAUSE };
        loop {
            tokio::select! {
                biased;
                // A sender that is gone has stopped too.
                _ = stop.wait_for(|stop| *stop) => break,
                () = sleep(pause) => {}
            }
            let at_once = std::mem::replace(&mut pause, PAUSE).is_zero();
            if lease.as_ref().is_none_or(Lease::is_lost) {
                // Where it cannot be had it cannot be known what is due either.
                lease = self.store.lease(LEASE, "jobs", LEASE_TTL).await.ok().flatten();
            }
            if lease.is_none() {
                continue;
            }
            let now = (machine.now(), machine.randomizer());
            let failures = match at_once {
                true => self.moved(now, &stop).await.into_iter().collect(),
                false => self.pass(now.0, now.1, &stop).await,
            };
            news(&failures, &before).iter().for_each(|line| edge::note(line));
            before = failures;
        }
        if let Some(lease) = lease {
            lease.release().await;
        }
    }

    /// Does what is due in all vaults at a time; what went wrong.
    pub(super) async fn pass(
        &self,
        now: SystemTime,
        randomness: &Randomizer,
        stop: &watch::Receiver<bool>,
    ) -> BTreeSet<String> {
        let mut failures = BTreeSet::new();
        for (name, vault) in &self.vaults {
            for job in [Job::Purge, Job::Rotate] {
                let of_vault = self.of_vault(job, vault, (now, randomness), stop).await;
                failures.extend(of_vault.into_iter().map(|failure| format!("vault {name}: {failure}")));
            }
        }
        failures.extend(self.moved((now, randomness), stop).await);
        failures
    }

    async fn moved(&self, (now, randomness): (SystemTime, &Randomizer), stop: &watch::Receiver<bool>) -> Vec<String> {
        let Some(moving) = &self.moving else { return Vec::new() };
        let root = match moving.due().await {
            Ok(Some(root)) => root,
            Ok(None) => return Vec::new(),
            Err(failure) => return vec![failure],
        };
        let grants: Vec<_> = self.vaults.values().map(|vault| self.grant(Job::Rotate, vault)).collect();
        let mut contexts = Vec::new();
        for ((name, vault), grant) in self.vaults.iter().zip(&grants) {
            // Infallible: access was made for these vaults.
            let Ok(grant) = grant else { return vec![format!("vault {name}: nobody may move its keys")] };
            contexts.push((name, vault, Context { grant, request_id: "jobs", now, randomness }));
        }
        moving.pass(root, contexts.into_iter(), stop).await
    }

    async fn of_vault(
        &self,
        job: Job,
        vault: &Vault,
        (now, randomness): (SystemTime, &Randomizer),
        stop: &watch::Receiver<bool>,
    ) -> Vec<String> {
        // Infallible: access was made for these vaults.
        let Ok(grant) = self.grant(job, vault) else { return vec![format!("nobody may {}", job.verb())] };
        let context = Context { grant: &grant, request_id: "jobs", now, randomness };
        let due = match job.due(vault, &context).await {
            Ok(due) => due,
            Err(refusal) => {
                return vec![format!("what is to be {} cannot be found out: {}", job.done(), explained(&refusal))];
            }
        };
        let damaged = |refusal: &Refusal| format!("a damaged key is not {}: {}", job.done(), explained(refusal));
        let (mut done, mut failures) = (0_usize, due.damaged.iter().map(damaged).collect::<Vec<_>>());
        for key in &due.keys {
            // What fails does not count, so that it does not keep the rest waiting for ever.
            if *stop.borrow() || done >= KEYS_PER_PASS_MAX {
                break;
            }
            match job.carry_out(vault, &context, key).await {
                Ok(()) => done = done.saturating_add(1),
                Err(refusal) if is_somebody_else_s(&refusal) => {}
                Err(refusal) => {
                    failures.push(format!("key {key} could not be {}: {}", job.done(), explained(&refusal)));
                }
            }
        }
        failures
    }

    fn grant(&self, job: Job, vault: &Vault) -> Result<Grant, skerry_identity::Forbidden> {
        self.access.grant(&principal(), *vault.id().as_bytes(), job.permission())
    }
}

impl Job {
    fn permission(self) -> Permission {
        match self {
            Job::Purge => Permission::Purge,
            Job::Rotate => Permission::Rotate,
        }
    }

    async fn due(self, vault: &Vault, context: &Context<'_>) -> Result<Due, Refusal> {
        match self {
            Job::Purge => vault.due_for_purge(context).await,
            Job::Rotate => vault.due_for_rotation(context).await,
        }
    }

    async fn carry_out(self, vault: &Vault, context: &Context<'_>, key: &KeyName) -> Result<(), Refusal> {
        match self {
            Job::Purge => vault.purge_due(context, key).await,
            Job::Rotate => vault.rotate(context, key).await.map(drop),
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Job::Purge => "purge",
            Job::Rotate => "rotate",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Job::Purge => "purged",
            Job::Rotate => "rotated",
        }
    }
}

/// What was not told of the pass before, in a few lines.
pub(super) fn news(failures: &BTreeSet<String>, before: &BTreeSet<String>) -> Vec<String> {
    let new: Vec<&String> = failures.difference(before).collect();
    let more = new.len().saturating_sub(LINES_MAX);
    let more = (more > 0).then(|| format!("{more} more keys or vaults could not be seen to"));
    new.into_iter().take(LINES_MAX).cloned().chain(more).collect()
}

/// Whether a caller has changed the key since it was found due.
fn is_somebody_else_s(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::KeyNotFound { .. } | Refusal::DeletedKeyNotFound { .. } | Refusal::PurgeProtected { .. })
}

/// What the log has as who purged or rotated. No caller can be it: issuers of callers are https URLs.
pub(super) fn principal() -> Principal {
    Principal::new("skerry", "jobs")
}

/// Apart from the access of callers, who are not in it.
pub(super) fn access(vaults: &Vaults) -> Access {
    let assignment = |scope| Assignment {
        issuer: principal().issuer().to_owned(),
        subjects: vec![principal().subject().to_owned()],
        scope,
        permissions: [Job::Purge, Job::Rotate].map(Job::permission).into_iter().collect(),
    };
    Access::new(vaults.values().map(|vault| assignment(Scope::Vault(*vault.id().as_bytes()))).collect())
}

/// From the end of a pass to the next.
const PAUSE: Duration = Duration::from_secs(60);

/// Name of the lease of the node that does it.
const LEASE: &str = "jobs";

/// Longer than a pass and its pause: a node that does it goes on doing it.
const LEASE_TTL: Duration = Duration::from_secs(180);

/// A purge is two commits, an RSA key of 4096 bits takes a second or more: a pass has an end, and the next takes the rest.
const KEYS_PER_PASS_MAX: usize = 64;

/// A fault of all keys is seen in the first few.
const LINES_MAX: usize = 8;
