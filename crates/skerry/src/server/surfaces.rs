//! What each listener serves, and the words of its challenge.

use std::sync::Arc;

use anyhow::Context as _;
use http::HeaderValue;
use skerry_http::attestation::{self, Denied};
use skerry_http::identity::ClientCredentials;
use skerry_http::{Machine, MintRefusal, Minted, Surface, identity, metadata, vault};
use skerry_identity::{Access, Issuers, Unauthorized};
use skerry_jose::json::Object;
use skerry_vault::pool::Pool;

use super::services::{Attestation, Tokens};
use super::vaults::Vaults;
use crate::config::{Issuer, Serves, VaultListener};

/// The services of this process, of which listeners serve some.
pub(crate) struct Parts {
    pub(crate) tokens: Option<Arc<Tokens>>,
    pub(crate) callers: Arc<Issuers>,
    #[allow(dead_code)] // for the vaults' surface, which is to come
    pub(crate) access: Arc<Access>,
    pub(crate) attestation: Option<Attestation>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) machine: Machine,
}

impl Parts {
    pub(crate) fn surface(&self, serves: &Serves, vaults: Vaults, issuers: &[Issuer]) -> anyhow::Result<Surface> {
        match serves {
            Serves::Vaults(listener) => Ok(self.vaults(listener, vaults, issuers)),
            Serves::Attestation => self.attestation(issuers),
            Serves::Identity => self.identity(),
            Serves::Metadata => self.metadata(),
        }
    }

    /// Their surface takes nothing of them yet.
    fn vaults(&self, _listener: &VaultListener, _vaults: Vaults, _issuers: &[Issuer]) -> Surface {
        let headers = vault::ServiceHeaders { region: REGION, service_version: SERVICE_VERSION };
        Surface::Vault(Arc::new(vault::Surface::new(vault::Config { headers })))
    }

    fn attestation(&self, issuers: &[Issuer]) -> anyhow::Result<Surface> {
        let service = self.attestation.as_ref().context("there is no attestation service")?;
        let (callers, machine) = (Arc::clone(&self.callers), self.machine.clone());
        let readers = Arc::clone(&service.policy_readers);
        let check: Box<attestation::BearerCheck> = Box::new(move |token| {
            let (callers, readers, now) = (Arc::clone(&callers), Arc::clone(&readers), machine.now());
            Box::pin(async move {
                let caller = callers.authenticate(token, &[ATTESTATION_RESOURCE], now).await;
                let caller = caller.map_err(|error| denied(&error))?;
                if readers.contains(&caller) { Ok(()) } else { Err(Denied::Forbidden) }
            })
        });
        let config = attestation::Config {
            verifier: Arc::clone(&service.verifier),
            certs: service.certs.clone(),
            policy: service.policy.clone(),
            results: service.results()?,
            readers: check,
            challenge: challenge(issuers)?,
            pool: Arc::clone(&self.pool),
            machine: self.machine.clone(),
        };
        Ok(Surface::Attestation(Arc::new(attestation::Surface::new(config))))
    }

    fn identity(&self) -> anyhow::Result<Surface> {
        let tokens = self.tokens.clone().context("there is no token service")?;
        let (minting, keys) = (Arc::clone(&tokens), Arc::clone(&tokens));
        let mint = move |asked: &ClientCredentials, now| {
            let minted = minting.service.mint(&asked.client_id, &asked.secret, &asked.resource, now);
            minted.map(from_identity).map_err(refusal)
        };
        let config = identity::Config {
            tenants: tokens.tenants.clone(),
            issuer: tokens.service.issuer().to_owned(),
            keys: Box::new(move || keys.service.jwks()),
            mint: Arc::new(mint),
            pool: Arc::clone(&self.pool),
            machine: self.machine.clone(),
        };
        Ok(Surface::Identity(Arc::new(identity::Surface::new(config))))
    }

    fn metadata(&self) -> anyhow::Result<Surface> {
        let tokens = self.tokens.clone().context("there is no token service")?;
        let client = tokens.managed.clone().context("this machine has no managed identity")?;
        let mint = move |resource: &str, now| {
            tokens.service.mint_managed(&client, resource, now).map(from_identity).map_err(refusal)
        };
        let compute = Object::new().with("name", "skerry-dev").with("azEnvironment", "AzurePublicCloud");
        let config = metadata::Config {
            mint: Arc::new(mint),
            instance: Object::new().with("compute", compute),
            pool: Arc::clone(&self.pool),
            machine: self.machine.clone(),
        };
        Ok(Surface::Metadata(Arc::new(metadata::Surface::new(config))))
    }
}

fn denied(error: &Unauthorized) -> Denied {
    match error {
        Unauthorized::Unavailable { .. } => Denied::Unavailable,
        _ => Denied::Unauthorized,
    }
}

/// Clients go for a token to the first issuer that says where.
fn challenge(issuers: &[Issuer]) -> anyhow::Result<HeaderValue> {
    let place = issuers.iter().find_map(|issuer| issuer.authorization.as_deref());
    let text = match place {
        Some(place) => format!("Bearer authorization=\"{place}\", resource=\"{ATTESTATION_RESOURCE}\""),
        None => "Bearer".to_owned(),
    };
    HeaderValue::try_from(text).context("challenge")
}

fn from_identity(minted: skerry_identity::Minted) -> Minted {
    let skerry_identity::Minted { access_token, client_id, not_before, expires_on } = minted;
    Minted { access_token, client_id, not_before, expires_on }
}

fn refusal(refusal: skerry_identity::MintRefusal) -> MintRefusal {
    match refusal {
        skerry_identity::MintRefusal::Client => MintRefusal::Client,
        skerry_identity::MintRefusal::Resource => MintRefusal::Resource,
        _ => MintRefusal::Unavailable,
    }
}

/// No region of Azure's; clients show it and nothing else.
const REGION: HeaderValue = HeaderValue::from_static("skerry");
const SERVICE_VERSION: HeaderValue = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));

/// What tokens for the attestation service are for, whatever its URL (observed: Azure's SDKs ask for it).
pub(crate) const ATTESTATION_RESOURCE: &str = "https://attest.azure.net";
