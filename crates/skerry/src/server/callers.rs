//! Identity providers, as settings have them.

use anyhow::Context as _;
use skerry_identity::{Issuers, Provider, TokenService};
use skerry_sources::{FetchLimits, Fetcher, KeySet, KeySource, Resolver, Terms};

use crate::config::{Fetch, Issuer, Keys};

/// All issuers of callers. `own` is the token service of this process, whose keys are asked for directly.
pub(crate) fn issuers(
    settings: &[Issuer],
    own: Option<&TokenService>,
    sources: &mut Vec<(String, KeySet)>,
) -> anyhow::Result<Issuers> {
    let provider = |(at, issuer): (usize, &Issuer)| {
        let keys = match &issuer.keys {
            Keys::BuiltIn => KeySet::fixed(own.context("there is no token service")?.key_set()?),
            Keys::Fixed(keys) => KeySet::fixed(keys.clone()),
            Keys::Fetched(fetch) => noted(sources, format!("issuer[{at}]"), fetched(fetch)?),
        };
        let provider = Provider::new(issuer.url.as_str(), keys).lifetime_max_secs(issuer.token_lifetime_max_secs);
        let provider = issuer.also.iter().fold(provider, |provider, also| provider.also(also.as_str()));
        anyhow::Ok(match &issuer.tenant {
            Some(tenant) => provider.tenant(tenant.as_str()),
            None => provider,
        })
    };
    let providers = settings.iter().enumerate().map(provider).collect::<anyhow::Result<_>>()?;
    Ok(Issuers::new(providers)?)
}

/// Keys that are fetched when they are first needed, so that a provider that is away does not keep the server from starting.
pub(crate) fn fetched(fetch: &Fetch) -> anyhow::Result<KeySet> {
    let fetcher = Fetcher::new(fetch.allowed.clone(), &fetch.roots, Resolver::System, FetchLimits::default())?;
    Ok(KeySet::fetched(fetcher, KeySource::Discovered(fetch.source.clone()), Terms::default()))
}

/// The same keys, noted under their place in the configuration, for metrics.
pub(crate) fn noted(sources: &mut Vec<(String, KeySet)>, place: String, keys: KeySet) -> KeySet {
    sources.push((place, keys.clone()));
    keys
}
