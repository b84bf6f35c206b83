//! Vaults on the wire, as Azure Key Vault and Managed HSM speak (key-vault spec; recorded 2019 to 2021).
//!
//! Which vault is meant follows from the host alone. Whoever has no good token is challenged before anything else is
//! looked at: vault, path, version, name or body. Then what is asked for is found out, the caller's permission is granted,
//! the body is read, one function of the vault is called, and its answer or refusal is written as Azure would.
//!
//! Not here: secrets, certificates and administration, which are not found.

mod api_version;
mod call;
mod caller;
pub(crate) mod describe;
mod headers;
mod page;
mod refusal;
mod route;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;

use skerry_identity::{Access, Issuers};
use skerry_policy::permit::Version;
use skerry_vault::record::KeyName;
use skerry_vault::{Vault, VaultKind};

use crate::machine::Machine;
use crate::reply::Reply;
use crate::request::Request;
use call::Call;
pub use caller::ConfigError;
pub use headers::ServiceHeaders;
use refusal::{Door, Refused};
use route::{Asked, NoRoute};

/// What vaults on the wire are made of.
pub struct Config {
    /// The vaults by host name, in lower case and without port, as [`Host::name`](crate::Host::name) gives it. A vault may have
    /// several names; a host that is served and has no vault is 404.
    pub vaults: HashMap<String, Arc<Vault>>,
    /// Whose tokens are believed.
    pub issuers: Arc<Issuers>,
    /// Who may do what.
    pub access: Arc<Access>,
    /// Where clients get tokens: `https://host[:port]/tenant`.
    pub authorization: String,
    /// Audiences of tokens that are taken besides the one that challenges ask for, as they stand in tokens.
    pub audiences: Vec<String>,
    /// What goes out with every answer.
    pub headers: ServiceHeaders,
    /// Clock and randomness.
    pub machine: Machine,
}

/// How many operations vaults have.
pub(crate) const OPERATIONS: usize = route::Operation::ALL.len();

/// The name of the operation at this place.
pub(crate) fn operation_name(at: usize) -> &'static str {
    route::Operation::ALL.get(at).map_or("None", |operation| operation.name())
}

/// Vaults on the wire.
pub struct Surface {
    pub(crate) headers: ServiceHeaders,
    region: String,
    vaults: HashMap<String, Arc<Vault>>,
    issuers: Arc<Issuers>,
    access: Arc<Access>,
    authorization: String,
    audiences: Vec<String>,
    machine: Machine,
}

impl Surface {
    /// Vaults made of these parts, iff challenges can be made of `authorization` and hosts can have the names.
    pub fn new(config: Config) -> Result<Surface, ConfigError> {
        let Config { vaults, issuers, access, authorization, audiences, headers, machine } = config;
        caller::check_authorization(&authorization)?;
        let upper = |name: &&String| name.is_empty() || name.bytes().any(|byte| byte.is_ascii_uppercase());
        if let Some(name) = vaults.keys().find(upper) {
            return Err(ConfigError::HostName(name.clone()));
        }
        let region = headers.region.to_str().unwrap_or_default().to_owned();
        Ok(Surface { headers, region, vaults, issuers, access, authorization, audiences, machine })
    }

    /// Answers one request.
    pub async fn answer(&self, request: &mut Request) -> Reply {
        let vault = self.vaults.get(request.host().name()).map(Arc::clone);
        let resource = caller::resource(request.host());
        match self.respond(request, vault.as_deref(), &resource).await {
            Ok(reply) => reply,
            Err(refused) => {
                let reply = self.door(request, vault.as_deref(), &resource).refuse(refused);
                // Whichever vault: they share a log.
                if let Some(vault) = vault.as_ref().or(self.vaults.values().next()) {
                    vault.count_refused(reply.status().as_u16());
                }
                reply
            }
        }
    }

    async fn respond(&self, request: &mut Request, vault: Option<&Vault>, resource: &str) -> Result<Reply, Refused> {
        let now = self.machine.now();
        // Found out first for those who count, and told to nobody before the caller is known.
        let asked = Asked::of(request.method(), request.segments()).map_err(no_route);
        if let Ok(asked) = &asked {
            request.is_for(asked.operation.counted());
        }
        let caller = caller::authenticate(&self.issuers, request, resource, &self.audiences, now).await?;
        request.is_of(&caller);
        let vault = vault.ok_or(Refused::NoVault)?;
        let asked = asked?;
        let api_version = api_version::of(request)?;
        let name = asked.name.map(name).transpose()?;
        let version = asked.version.map(|found| version(found, asked.name)).transpose()?;
        let scope = name.as_ref().map_or_else(|| "/keys".to_owned(), |name| format!("/keys/{name}"));
        let grant = self.access.grant(&caller, *vault.id().as_bytes(), asked.operation.permission());
        let grant = grant.map_err(|forbidden| Refused::Forbidden { forbidden, scope })?;
        let operation = asked.operation;
        let call = Call { vault, grant, name, version, api_version, now, machine: &self.machine };
        call.answer(operation, request).await
    }

    fn door<'a>(&'a self, request: &'a Request, vault: Option<&Vault>, resource: &'a str) -> Door<'a> {
        let host = request.host();
        Door {
            kind: vault.map_or(VaultKind::Premium, |vault| vault.rules().kind),
            id: request.id(),
            challenge: caller::challenge(&self.authorization, resource),
            resource,
            vault: host.resource().unwrap_or(host.name()),
            region: &self.region,
        }
    }
}

fn no_route(refused: NoRoute) -> Refused {
    match refused {
        NoRoute::Path => Refused::NoRoute,
        NoRoute::Method(refused) => Refused::Method(refused),
    }
}

fn name(found: &str) -> Result<KeyName, Refused> {
    KeyName::parse(found).map_err(|_| Refused::Name { found: found.to_owned() })
}

/// What is no version of any key is one that is not found.
fn version(found: &str, name: Option<&str>) -> Result<Version, Refused> {
    let missing = || Refused::VersionForm { name: name.unwrap_or_default().to_owned(), found: found.to_owned() };
    wire::version_of(found).ok_or_else(missing)
}
