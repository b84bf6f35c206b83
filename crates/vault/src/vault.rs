//! A vault: the loop around the pure functions of [`crate::decide`] and [`crate::release`].
//!
//! Every operation takes the caller's [`Grant`](skerry_identity::Grant) and checks that it is for this vault and this
//! operation. A change reads, decides, puts its intent on record, commits under the condition that nothing it read has
//! changed, and puts the outcome on record; if another change came in between it starts again. Private-key work runs on
//! the pools, waiting for the log's disk on threads of its own.

mod attestation;
mod backup;
mod change;
mod cipher;
mod floor;
mod lifecycle;
mod list;
mod opened;
mod read;
mod release;
mod rewrap;
mod rotate;
mod secure;
mod sign;
mod transfer;

use std::sync::Arc;

use quick_cache::sync::Cache;
use skerry_audit::{Entry, Event, Recorded};
use skerry_identity::Permission;
use skerry_keys::{Custody, KeyType, RsaBits};
use skerry_policy::permit::{VaultFloor, Version};
use skerry_store::seal::Sealer;
use uuid::Uuid;

use crate::authorities::{Authorities, TrustedAuthority};
use crate::command::{Context, Randomness};
use crate::decide::Rules;
use crate::installation::Installation;
use crate::limits::{AUTHORITIES_MAX, OPENED_CACHED_MAX, RETENTION_DAYS};
use crate::meter::{Meter, VaultSeen};
use crate::pool::{Pool, PoolError};
use crate::record::Key;
use crate::records::Records;
use crate::refusal::Refusal;
use crate::signer::{ReleaseSigner, VaultKind};
use crate::stock::Stock;
use crate::throttle::{Load, Throttle, Throttled, Throttling};
use crate::tokens::Tokens;
use crate::usage::Noting;

pub use attestation::KeyAttestation;
pub(crate) use change::{Change, op_id_of};
pub use list::Listing;
use opened::Kept;
pub use release::{Decided, ReleaseAnswer};
pub use rewrap::{Rewrap, Rewrapped};
pub use rotate::Due;
pub use secure::UnwrapAnswer;
pub use sign::Signature;

/// What configuration says of a vault.
pub struct VaultConfig {
    /// Its id, which outlives its name.
    pub id: Uuid,
    /// What decides about its keys.
    pub rules: Rules,
    /// Whose tokens it believes.
    pub authorities: Vec<TrustedAuthority>,
    /// What it demands whatever a policy says.
    pub floor: VaultFloor,
    /// Whether it does only so much in a while.
    pub throttling: Throttling,
}

/// Why a configuration makes no vault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum VaultConfigError {
    #[error("{count} authorities, at most {AUTHORITIES_MAX}")]
    TooManyAuthorities { count: usize },
    #[error("authority {issuer} is configured twice")]
    AuthorityTwice { issuer: String },
    #[error(
        "deleted keys are kept {days} days, which is not within {} to {}",
        RETENTION_DAYS.start(),
        RETENTION_DAYS.end()
    )]
    Retention { days: u32 },
    #[error("a Managed HSM has none of a key vault's limits")]
    ThrottledHsm,
}

/// Where private-key work is done: what callers wait for, and apart from it what may take seconds.
#[derive(Clone)]
pub struct Pools {
    /// Signatures, releases, verification: about a millisecond each.
    pub work: Arc<Pool>,
    /// Making RSA keys that callers wait for.
    pub generation: Arc<Pool>,
    /// RSA keys that were made beforehand.
    pub stock: Arc<Stock>,
}

/// A vault.
pub struct Vault {
    id: Uuid,
    rules: Rules,
    /// What configuration demands; [`Self::find_under_floor`] is what counts.
    configured: VaultFloor,
    set: floor::Kept,
    records: Records,
    pages: Sealer,
    installation: Arc<Installation>,
    custody: Arc<Custody>,
    signer: Arc<ReleaseSigner>,
    authorities: Authorities,
    tokens: Tokens,
    opened: Cache<(Uuid, Version), Kept>,
    restoring: backup::Restoring,
    throttle: Throttle,
    pools: Pools,
    meter: Arc<Meter>,
}

impl Vault {
    /// The vault of this id in this installation, with whatever keys are stored for it. Vaults may share a `signer`.
    pub fn new(
        config: VaultConfig,
        installation: Arc<Installation>,
        signer: Arc<ReleaseSigner>,
        pools: Pools,
    ) -> Result<Vault, VaultConfigError> {
        let VaultConfig { id, rules, authorities, floor, throttling } = config;
        if !RETENTION_DAYS.contains(&rules.retention_days) {
            return Err(VaultConfigError::Retention { days: rules.retention_days });
        }
        if rules.kind == VaultKind::ManagedHsm && throttling != Throttling::Off {
            return Err(VaultConfigError::ThrottledHsm);
        }
        let keks = installation.keks(id);
        Ok(Vault {
            id,
            rules,
            configured: floor,
            set: floor::Kept::default(),
            records: Records::new(installation.store().clone(), keks.records, id),
            pages: keks.pages,
            installation,
            custody: Arc::new(keks.material),
            signer,
            authorities: Authorities::new(authorities)?,
            tokens: Tokens::default(),
            opened: Cache::new(OPENED_CACHED_MAX),
            restoring: backup::Restoring::default(),
            throttle: Throttle::new(throttling),
            pools,
            meter: Arc::default(),
        })
    }

    /// Its id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What decides about its keys.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What it counted since it was made.
    pub fn seen(&self) -> VaultSeen {
        VaultSeen { opened: self.opened.len(), ..self.meter.seen() }.and(&self.records.seen())
    }

    fn check(&self, context: &Context<'_>, needed: Permission) -> Result<(), Refusal> {
        let grant = context.grant;
        if grant.vault() != *self.id.as_bytes() || grant.permission() != needed {
            return Err(Refusal::Misuse { granted: grant.permission() });
        }
        match is_management(needed) {
            true => self.spend(context, Load::Manage),
            false => Ok(()),
        }
    }

    /// What a vault without limits always has.
    fn spend(&self, context: &Context<'_>, load: Load) -> Result<(), Refusal> {
        let spent = self.throttle.spend(load, context.now);
        spent.map_err(|Throttled { retry_after_secs }| Refusal::Throttled { retry_after_secs })
    }

    /// For work with the material of a key that was found.
    fn spend_on(&self, context: &Context<'_>, key: &Key) -> Result<(), Refusal> {
        let (hsm, key_type) = (key.version.hsm, key.version.key_type);
        self.spend(context, Load::Use { hsm, key_type })
    }

    async fn record(&self, entry: Entry) -> Result<Recorded, Refusal> {
        self.installation.record(entry).await
    }

    /// Puts a denial on record before it is answered, or counts it where the caller has had many.
    async fn record_denial(&self, context: &Context<'_>, entry: impl FnOnce() -> Entry) -> Result<(), Refusal> {
        self.installation.record_denial(context.grant.principal(), context.now, entry).await
    }

    /// A use of a key that begins now, and is put on record a moment after it ended.
    fn noting<'a>(&'a self, context: &Context<'a>, event: Event, key: &Key) -> Noting<'a> {
        self.installation.usage().begin(context, event, key.binding(self.id).key)
    }

    /// Counts a request about this vault that was refused before there was anything to put on record.
    pub fn count_refused(&self, status: u16) {
        self.installation.count_refused(status);
    }

    /// Private-key work, and every other use of a key: on what is known to be stored, not on what may have been put there.
    async fn work<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        self.installation.verified().await?;
        self.pools.work.run(job).await.map_err(refuse_pool)
    }

    /// The same of what needs the token, where one holds the keys.
    async fn key_work<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        match self.installation.held() {
            None => self.work(job).await,
            Some(held) => {
                self.installation.verified().await?;
                held.run(job).await
            }
        }
    }

    /// As [`work`](Self::work), with a public half: where that is RSA-2048 it takes 16 us, less than handing it over.
    async fn public_work<T: Send + 'static>(
        &self,
        of: KeyType,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        if of != (KeyType::Rsa { bits: RsaBits::B2048 }) {
            return self.work(job).await;
        }
        self.installation.verified().await?;
        Ok(job())
    }
}

/// What changes or shows something other than material, and is counted before its key is looked for.
fn is_management(permission: Permission) -> bool {
    use Permission as P;
    match permission {
        P::List | P::Update | P::Delete | P::Recover | P::Purge | P::Backup | P::Restore => true,
        P::GetRotationPolicy | P::SetRotationPolicy | P::GetVaultFloor | P::SetVaultFloor => true,
        P::Get | P::Create | P::Import | P::Rotate | P::Release => false,
        P::Encrypt | P::Decrypt | P::WrapKey | P::UnwrapKey | P::Sign | P::Verify => false,
    }
}

pub(crate) fn refuse_pool(error: PoolError) -> Refusal {
    match error {
        PoolError::Busy => Refusal::Busy,
        PoolError::Panicked => Refusal::Failed,
    }
}

pub(crate) fn random<const N: usize>(rng: &mut Randomness) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// A version 4 UUID (RFC 9562, 5.4).
pub(crate) fn random_uuid(rng: &mut Randomness) -> Uuid {
    uuid::Builder::from_random_bytes(random(rng)).into_uuid()
}

/// Keys of one vault, each derived from the installation's root for one purpose.
pub(crate) struct Keks {
    pub(crate) records: Sealer,
    pub(crate) pages: Sealer,
    pub(crate) material: Custody,
}

impl Keks {
    pub(crate) fn new(records: Sealer, pages: Sealer, material: Custody) -> Keks {
        Keks { records, pages, material }
    }
}
