//! Vaults, as settings have them, in one installation.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use skerry_attestation_result::{Authority, TokenSigner};
use skerry_jose::{JwkSet, SigningKey};
use skerry_keys::Level;
use skerry_policy::permit::VaultFloor;
use skerry_sources::KeySet;
use skerry_vault::decide::{HsmBacking, Rules};
use skerry_vault::pool::Pool;
use skerry_vault::{
    Installation, Pools, ReleaseSigner, Stock, TrustedAuthority, Vault, VaultConfig, VaultKind as DomainKind, Wanted,
};

use super::callers;
use crate::config::{self, Keys, ReleaseKey, VaultKind};

/// Vaults by their names.
pub(crate) type Vaults = HashMap<String, Arc<Vault>>;

/// Attestation authorities with their keys, which all vaults share.
pub(crate) struct Authorities(Vec<(Authority, Option<Arc<KeySet>>)>);

impl Authorities {
    /// `own` is the attestation service of this process, whose keys are asked for directly.
    pub(crate) fn new(
        settings: Vec<config::Authority>,
        own: Option<&TokenSigner>,
        sources: &mut Vec<(String, KeySet)>,
    ) -> anyhow::Result<Authorities> {
        let authority = |(at, config::Authority { url, keys, min_iat }): (usize, _)| {
            let (authority, fetched) = match keys {
                Keys::BuiltIn => (Authority::built_in(own.context("there is no attestation service")?)?, None),
                Keys::Fixed(keys) => (Authority::with_keys(url, keys), None),
                Keys::Fetched(fetch) => {
                    let keys = callers::noted(sources, format!("authority[{at}]"), callers::fetched(&fetch)?);
                    (Authority::with_keys(url, JwkSet::default()), Some(Arc::new(keys)))
                }
            };
            anyhow::Ok((authority.min_iat(min_iat), fetched))
        };
        settings.into_iter().enumerate().map(authority).collect::<anyhow::Result<_>>().map(Authorities)
    }

    fn trusted(&self, vault: &config::Vault) -> Vec<TrustedAuthority> {
        let believed = self.0.iter().filter(|(authority, _)| vault.authorities.contains(authority.issuer()));
        let trusted = |(authority, fetched): &(Authority, Option<Arc<KeySet>>)| match fetched {
            Some(keys) => TrustedAuthority::fetched(authority.clone(), Arc::clone(keys)),
            None => TrustedAuthority::fixed(authority.clone()),
        };
        believed.map(trusted).collect()
    }
}

/// What signs release answers, by its certificates: listeners of one release key share it.
#[derive(Default)]
pub(crate) struct Signers(HashMap<Vec<Vec<u8>>, Arc<ReleaseSigner>>);

impl Signers {
    pub(crate) fn of(&mut self, release: &ReleaseKey) -> anyhow::Result<Arc<ReleaseSigner>> {
        if let Some(signer) = self.0.get(&release.chain) {
            return Ok(Arc::clone(signer));
        }
        let key = SigningKey::from_pkcs8(skerry_jose::Algorithm::Rs256, &release.key)?;
        let signer = Arc::new(ReleaseSigner::new(key, &release.chain)?);
        self.0.insert(release.chain.clone(), Arc::clone(&signer));
        Ok(signer)
    }
}

/// The vaults of one listener, all of which sign releases with its release key.
pub(crate) fn of_listener(
    listener: &config::VaultListener,
    (vaults, authorities): (&[config::Vault], &Authorities),
    installation: &Arc<Installation>,
    signer: &Arc<ReleaseSigner>,
    pools: &Pools,
) -> anyhow::Result<Vaults> {
    let vault = |name: &String| {
        let settings = vaults.iter().find(|vault| vault.name == *name);
        let settings = settings.ok_or_else(|| anyhow!("there is no vault {name}"))?;
        let config = VaultConfig {
            id: settings.id,
            rules: rules(settings),
            authorities: authorities.trusted(settings),
            floor: floor(settings),
            throttling: settings.throttling,
        };
        let made = Vault::new(config, Arc::clone(installation), Arc::clone(signer), pools.clone());
        anyhow::Ok((name.clone(), Arc::new(made.with_context(|| format!("vault {name}"))?)))
    };
    listener.vaults.iter().map(vault).collect()
}

/// Where private keys are used, and where RSA keys are made, for callers and beforehand: one thread each, since nobody waits
/// for many.
pub(crate) fn pools(work: Arc<Pool>, ready: Wanted) -> anyhow::Result<Pools> {
    let generation = Pool::new(NonZeroUsize::MIN, GENERATION_QUEUE_MAX).context("threads cannot be started")?;
    let stock = Stock::start(ready).context("threads cannot be started")?;
    Ok(Pools { work, generation: Arc::new(generation), stock: Arc::new(stock) })
}

/// Settings with HSM key types exist only where a token holds keys, or danger.software_hsm was said.
fn rules(settings: &config::Vault) -> Rules {
    let held = HsmBacking::held(settings.custody);
    let hsm_keys = match settings.custody {
        Level::HsmStrict => held,
        Level::Software | Level::HsmRoot => held.danger().software_hsm(),
    };
    let (kind, hsm) = match settings.kind {
        VaultKind::Standard => (DomainKind::Standard, held),
        VaultKind::Premium => (DomainKind::Premium, hsm_keys),
        VaultKind::ManagedHsm => (DomainKind::ManagedHsm, hsm_keys),
    };
    let retention_days = u32::from(settings.retention_days);
    Rules { kind, hsm, retention_days, purge_protection: settings.purge_protection }
}

fn floor(settings: &config::Vault) -> VaultFloor {
    let floor = VaultFloor::default();
    let floor = match settings.token_age_max_secs {
        Some(secs) => floor.token_age_max_secs(secs),
        None => floor,
    };
    if settings.accept_simulated { floor.danger().accept_simulated() } else { floor }
}

/// An RSA key of 4096 bits takes about a second: a queue of a quarter of a minute.
const GENERATION_QUEUE_MAX: usize = 16;
