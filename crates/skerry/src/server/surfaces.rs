//! What each listener serves, and the words of its challenge.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Context as _;
use http::HeaderValue;
use skerry_http::attestation::{self, Denied};
use skerry_http::identity::ClientCredentials;
use skerry_http::{Machine, Names, Surface, identity, metadata, vault};
use skerry_identity::{Access, Issuers, Unauthorized};
use skerry_jose::json::Object;
use skerry_vault::appraisal::AppraisalPolicies;
use skerry_vault::pool::Pool;

use super::services::{Attestation, Tokens};
use super::vaults::Vaults;
use crate::config::{Issuer, Listener, Serves, VaultListener};

/// The services of this process, of which listeners serve some.
pub(crate) struct Parts {
    pub(crate) tokens: Option<Arc<Tokens>>,
    pub(crate) callers: Arc<Issuers>,
    pub(crate) access: Arc<Access>,
    pub(crate) attestation: Option<Attestation>,
    pub(crate) policies: Option<Arc<AppraisalPolicies>>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) machine: Machine,
}

impl Parts {
    pub(crate) fn surface(&self, listener: &Listener, vaults: &Vaults, issuers: &[Issuer]) -> anyhow::Result<Surface> {
        match &listener.serves {
            Serves::Vaults(served) => self.vaults(served, &listener.names, vaults),
            Serves::Attestation => self.attestation(issuers),
            Serves::Identity => self.identity(),
            Serves::Metadata => self.metadata(),
        }
    }

    fn vaults(&self, served: &VaultListener, names: &Names, vaults: &Vaults) -> anyhow::Result<Surface> {
        let config = vault::Config {
            vaults: by_host(served, names, vaults),
            issuers: Arc::clone(&self.callers),
            access: Arc::clone(&self.access),
            authorization: served.authorization.clone(),
            audiences: served.audiences.clone(),
            headers: vault::ServiceHeaders { region: REGION, service_version: SERVICE_VERSION },
            machine: self.machine.clone(),
        };
        Ok(Surface::Vault(Arc::new(vault::Surface::new(config)?)))
    }

    fn attestation(&self, issuers: &[Issuer]) -> anyhow::Result<Surface> {
        let service = self.attestation.as_ref().context("there is no attestation service")?;
        let (callers, machine) = (Arc::clone(&self.callers), self.machine.clone());
        let (readers, setters) = (Arc::clone(&service.policy_readers), Arc::clone(&service.policy_setters));
        let check: Box<attestation::BearerCheck> = Box::new(move |token| {
            let (callers, readers, setters) = (Arc::clone(&callers), Arc::clone(&readers), Arc::clone(&setters));
            let now = machine.now();
            Box::pin(async move {
                let principal = callers.authenticate(token, &[ATTESTATION_RESOURCE], now).await;
                let principal = principal.map_err(|error| denied(&error))?;
                let may_set = setters.contains(&principal);
                let may_read = may_set || readers.contains(&principal);
                if may_read { Ok(attestation::Caller { principal, may_set }) } else { Err(Denied::Forbidden) }
            })
        });
        let config = attestation::Config {
            verifier: Arc::clone(&service.verifier),
            certs: service.certs.clone(),
            policies: self.policies.clone().context("there are no policies")?,
            policy_signers: service.policy_signers.clone(),
            results: service.results()?,
            callers: check,
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
            minting.service.mint(&asked.client_id, &asked.secret, &asked.resource, now)
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
        let mint = move |resource: &str, now| tokens.service.mint_managed(&client, resource, now);
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

/// Each vault below each domain, and the default one at exact names and addresses, as hosts are written.
fn by_host(served: &VaultListener, names: &Names, vaults: &Vaults) -> Vaults {
    let mut by_host = Vaults::new();
    for (name, vault) in vaults {
        by_host.extend(names.domains.iter().map(|domain| (format!("{name}.{domain}"), Arc::clone(vault))));
    }
    if let Some(vault) = served.default_vault.as_ref().and_then(|name| vaults.get(name)) {
        let address = |address: &IpAddr| match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let exact = names.hosts.iter().cloned().chain(names.addresses.iter().map(address));
        by_host.extend(exact.map(|host| (host, Arc::clone(vault))));
    }
    by_host
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

/// No region of Azure's; clients show it and nothing else.
const REGION: HeaderValue = HeaderValue::from_static("skerry");
const SERVICE_VERSION: HeaderValue = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));

/// What tokens for the attestation service are for, whatever its URL (observed: Azure's SDKs ask for it).
pub(crate) const ATTESTATION_RESOURCE: &str = "https://attest.azure.net";
