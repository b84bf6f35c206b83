//! `[[issuer]]` and `[identity]`: who vouches for callers.

use std::collections::HashSet;

use skerry_attestation_result::IssuerUrl;
use skerry_identity::limits::LIFETIME_MAX_SECS;
use skerry_identity::{Client, SecretDigest};

use super::file::{
    Client as ClientSection, File, Identity as Section, Issuer as IssuerSection, Listener, ListenerKind,
};
use super::settings::{Attestation, Authority, Identity, Issuer, Keys};
use super::{Check, ConfigError, Refusal};

impl Check<'_> {
    pub(super) fn identity(&self, section: &Section) -> Result<Identity, ConfigError> {
        let issuer = self.url("identity.issuer", &section.issuer)?;
        if !is_tenant(&section.tenant) {
            return Err(self.refuse("identity.tenant", Refusal::Tenant(section.tenant.clone())));
        }
        let token_lifetime_secs = section.token_lifetime_secs.unwrap_or(LIFETIME_SECS);
        if !(LIFETIME_SECS_MIN..=LIFETIME_SECS_MAX).contains(&token_lifetime_secs) {
            let (seen, min, max) = (token_lifetime_secs, LIFETIME_SECS_MIN, LIFETIME_SECS_MAX);
            return Err(self.refuse("identity.token_lifetime_secs", Refusal::Lifetime { seen, min, max }));
        }
        let signing_key = self.rsa_key("identity.signing_key", &section.signing_key)?;
        let clients = self.clients(section)?;
        let (tenant, also_tenants, managed) = (section.tenant.clone(), Vec::new(), None);
        Ok(Identity { issuer, tenant, signing_key, token_lifetime_secs, clients, also_tenants, managed })
    }

    fn clients(&self, section: &Section) -> Result<Vec<Client>, ConfigError> {
        let mut ids = HashSet::new();
        let client = |(at, client): (usize, &ClientSection)| {
            let key = format!("identity.client[{at}]");
            if client.id.is_empty() {
                return Err(self.refuse(&format!("{key}.id"), Refusal::Empty));
            }
            if !ids.insert(client.id.clone()) {
                return Err(self.refuse(&format!("{key}.id"), Refusal::ClientTwice(client.id.clone())));
            }
            if client.resources.is_empty() || client.resources.iter().any(String::is_empty) {
                return Err(self.refuse(&format!("{key}.resources"), Refusal::Empty));
            }
            let secret = self.client_secret(&format!("{key}.secret"), &client.secret)?;
            let made = Client::with_secret(client.id.as_str(), secret);
            Ok(client.resources.iter().fold(made, |made, resource| made.resource(resource.as_str())))
        };
        section.client.iter().enumerate().map(client).collect()
    }

    /// The digest of a secret. The line that tools write ends in a line feed, which is not the secret's.
    fn client_secret(&self, key: &str, path: &std::path::Path) -> Result<SecretDigest, ConfigError> {
        let secret = self.secret(key, path)?;
        let path = self.resolve(path);
        let Ok(secret) = std::str::from_utf8(secret.strip_suffix(b"\n").unwrap_or(&secret)) else {
            return Err(self.refuse(key, Refusal::SecretText { path }));
        };
        match secret.len() {
            bytes if bytes < SECRET_BYTES_MIN => {
                Err(self.refuse(key, Refusal::SecretShort { path, bytes, min: SECRET_BYTES_MIN }))
            }
            _ => Ok(SecretDigest::of(secret)),
        }
    }

    /// The providers configured, and the token service beside, which needs no entry of its own.
    pub(super) fn issuers(
        &self,
        file: &File,
        identity: Option<&Identity>,
        attestation: Option<&Attestation>,
        authorities: &[Authority],
    ) -> Result<Vec<Issuer>, ConfigError> {
        let mut issuers: Vec<Issuer> = Vec::new();
        let vouches_for_tees = |url: &IssuerUrl| {
            attestation.is_some_and(|attestation| attestation.issuer == *url)
                || authorities.iter().any(|authority| authority.url == *url)
        };
        if let Some(identity) = identity.filter(|identity| vouches_for_tees(&identity.issuer)) {
            return Err(self.refuse("identity.issuer", Refusal::IssuerIsAuthority(identity.issuer.to_string())));
        }
        for (at, section) in file.issuer.iter().enumerate() {
            let issuer = self.issuer(&format!("issuer[{at}]"), section)?;
            for (url, key) in std::iter::once((&issuer.url, "url")).chain(issuer.also.iter().map(|url| (url, "also"))) {
                let key = format!("issuer[{at}].{key}");
                if vouches_for_tees(url) {
                    return Err(self.refuse(&key, Refusal::IssuerIsAuthority(url.to_string())));
                }
                if issuers.iter().any(|other| other.url == *url || other.also.contains(url)) {
                    return Err(self.refuse(&key, Refusal::IssuerTwice(url.to_string())));
                }
            }
            issuers.push(issuer);
        }
        if let Some(identity) = identity {
            if issuers.iter().any(|other| other.url == identity.issuer || other.also.contains(&identity.issuer)) {
                return Err(self.refuse("identity.issuer", Refusal::IssuerTwice(identity.issuer.to_string())));
            }
            issuers.push(own(identity, &file.listener));
        }
        Ok(issuers)
    }

    fn issuer(&self, key: &str, section: &IssuerSection) -> Result<Issuer, ConfigError> {
        let url = self.url(&format!("{key}.url"), &section.url)?;
        let also = section.also.iter().enumerate().map(|(at, text)| self.url(&format!("{key}.also[{at}]"), text));
        let also = also.collect::<Result<_, _>>()?;
        if let Some(text) = &section.authorization {
            let key = format!("{key}.authorization");
            let segments = self.url(&key, text)?.normal().matches('/').count();
            if segments != 3 {
                return Err(self.refuse(&key, Refusal::Authorization(text.clone())));
            }
        }
        if let Some(tenant) = section.tenant.as_ref().filter(|tenant| !is_tenant(tenant)) {
            return Err(self.refuse(&format!("{key}.tenant"), Refusal::Tenant(tenant.clone())));
        }
        let keys = match (&section.jwks, &section.fetch) {
            (Some(path), None) => Keys::Fixed(self.key_set(&format!("{key}.jwks"), path)?),
            (None, Some(fetch)) => Keys::Fetched(self.fetch(&format!("{key}.fetch"), fetch, &url)?),
            (jwks, fetch) => {
                let given = usize::from(jwks.is_some()) + usize::from(fetch.is_some());
                return Err(self.refuse(key, Refusal::KeySource { given, choices: "jwks, fetch" }));
            }
        };
        Ok(Issuer {
            url,
            also,
            tenant: section.tenant.clone(),
            authorization: section.authorization.clone(),
            token_lifetime_max_secs: LIFETIME_MAX_SECS,
            keys,
        })
    }

    /// The spelling by which principals of this issuer are known.
    pub(super) fn issuer_of_callers(&self, key: &str, text: &str, issuers: &[Issuer]) -> Result<String, ConfigError> {
        let url = self.url(key, text)?;
        let issuer = issuers.iter().find(|issuer| issuer.url == url || issuer.also.contains(&url));
        let issuer = issuer.ok_or_else(|| self.refuse(key, Refusal::UnknownIssuer(text.to_owned())))?;
        Ok(issuer.url.as_str().to_owned())
    }
}

/// Clients get tokens where the token service listens, under its first name there.
fn own(identity: &Identity, listeners: &[Listener]) -> Issuer {
    let listener = listeners.iter().find(|listener| listener.kind == ListenerKind::Identity);
    let authorization = listener.and_then(|listener| {
        let port = listener.public_port.or_else(|| listener.address.rsplit_once(':')?.1.parse().ok());
        let (name, port) = (listener.names.first()?, port.filter(|port| *port != 0)?);
        let port = if port == 443 { String::new() } else { format!(":{port}") };
        Some(format!("https://{name}{port}/{}", identity.tenant))
    });
    Issuer {
        url: identity.issuer.clone(),
        also: Vec::new(),
        tenant: Some(identity.tenant.clone()),
        authorization,
        token_lifetime_max_secs: identity.token_lifetime_secs,
        keys: Keys::BuiltIn,
    }
}

/// What stands in a path and in a challenge without being escaped.
fn is_tenant(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// Entra's tokens live for an hour to a day.
const LIFETIME_SECS: u64 = 3_600;
const LIFETIME_SECS_MIN: u64 = 60;
const LIFETIME_SECS_MAX: u64 = 86_400;

/// 128 bits of entropy, if every byte has eight.
const SECRET_BYTES_MIN: usize = 16;
