//! `[store]`: where everything is stored, and which of its servers this is.

use skerry_vault::NodeName;

use super::file::{self, Engine};
use super::settings::{Etcd, EtcdTls, StoreSettings};
use super::{Check, ConfigError, Refusal};

impl Check<'_> {
    pub(super) fn store(&self, section: Option<&file::Store>) -> Result<StoreSettings, ConfigError> {
        match section {
            None => Ok(StoreSettings::Embedded),
            Some(section) if section.engine == Engine::Redb => self.embedded(section),
            Some(section) => self.etcd(section).map(StoreSettings::Etcd),
        }
    }

    /// What belongs to etcd and stands beside redb is a mistake about where things are stored.
    fn embedded(&self, section: &file::Store) -> Result<StoreSettings, ConfigError> {
        let file::Store { engine: _, node, endpoints, prefix, roots, client, danger } = section;
        let said = [
            ("node", node.is_some()),
            ("endpoints", !endpoints.is_empty()),
            ("prefix", prefix.is_some()),
            ("roots", roots.is_some()),
            ("client", client.is_some()),
            ("danger.plain", danger.plain),
        ];
        match said.into_iter().find(|(_, said)| *said) {
            Some((key, _)) => Err(self.refuse(&format!("store.{key}"), Refusal::EtcdOnly)),
            None => Ok(StoreSettings::Embedded),
        }
    }

    fn etcd(&self, section: &file::Store) -> Result<Etcd, ConfigError> {
        let node = section.node.as_ref().ok_or_else(|| self.refuse("store.node", Refusal::NoNode))?;
        let named = NodeName::parse(node).ok_or_else(|| self.refuse("store.node", Refusal::NodeName(node.clone())))?;
        let tls = match (&section.roots, &section.client, section.danger.plain) {
            (Some(roots), Some(client), false) => Some(EtcdTls {
                roots: self.certificates("store.roots", roots)?,
                chain: self.certificates("store.client.certificates", &client.certificates)?,
                key: self.private_key("store.client.key", &client.key)?,
            }),
            (None, None, true) => None,
            (_, _, true) => return Err(self.refuse("store.danger.plain", Refusal::EtcdPlainAndTls)),
            (None, _, false) => return Err(self.refuse("store.roots", Refusal::EtcdTls)),
            (_, None, false) => return Err(self.refuse("store.client", Refusal::EtcdTls)),
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        if section.endpoints.is_empty() {
            return Err(self.refuse("store.endpoints", Refusal::Empty));
        }
        for (at, endpoint) in section.endpoints.iter().enumerate() {
            let key = format!("store.endpoints[{at}]");
            let uri: Option<http::Uri> = endpoint.parse().ok();
            let authority =
                uri.filter(|uri| uri.scheme_str() == Some(scheme) && uri.path() == "/" && uri.query().is_none());
            let authority = authority.and_then(|uri| uri.authority().cloned());
            let Some(authority) = authority.filter(|one| one.port().is_some() && !one.as_str().contains('@')) else {
                return Err(self.refuse(&key, Refusal::Endpoint { seen: endpoint.clone(), scheme }));
            };
            if tls.is_none() && !is_loopback(authority.host()) {
                return Err(self.refuse(&key, Refusal::EtcdPlainElsewhere(endpoint.clone())));
            }
        }
        let prefix = section.prefix.clone().unwrap_or_else(|| PREFIX.to_owned());
        if prefix.is_empty() || prefix.len() > PREFIX_LEN_MAX || !prefix.ends_with('/') || !prefix.is_ascii() {
            return Err(self.refuse("store.prefix", Refusal::Prefix(prefix)));
        }
        Ok(Etcd { node: named, endpoints: section.endpoints.clone(), prefix, tls })
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

const PREFIX: &str = "skerry/";
/// It stands before each key, of which etcd holds many in memory.
const PREFIX_LEN_MAX: usize = 64;
