//! `[[listener]]`: addresses, names, certificates, and what is served there.

use std::net::{IpAddr, SocketAddr};

use skerry_http::Names;
use skerry_jose::{Algorithm, SigningKey};

use super::file::{File, Listener as Section, ListenerKind};
use super::files::Certified;
use super::settings::{self, Issuer, Listener, ReleaseKey, Serves, Vault, VaultListener};
use super::{Check, ConfigError, Refusal};

impl Check<'_> {
    pub(super) fn listeners(
        &self,
        file: &File,
        vaults: &[Vault],
        issuers: &[Issuer],
    ) -> Result<(Vec<Listener>, Vec<String>), ConfigError> {
        let authorization = issuers.iter().find_map(|issuer| issuer.authorization.as_deref());
        let known = Known { vaults, authorization };
        let (mut listeners, mut warnings): (Vec<Listener>, _) = (Vec::new(), Vec::new());
        for (at, section) in file.listener.iter().enumerate() {
            let key = format!("listener[{at}]");
            self.vaults_are_served_once(&key, section, &file.listener, at)?;
            let listener = self.listener(&key, section, &known, &mut warnings)?;
            // Port 0 is another port each time.
            let same = |other: &Listener| other.address == listener.address && other.address.port() != 0;
            if let Some(first) = listeners.iter().position(same) {
                let address = listener.address.to_string();
                return Err(self.refuse(&format!("{key}.address"), Refusal::ListenAddressTwice { address, first }));
            }
            listeners.push(listener);
        }
        Ok((listeners, warnings))
    }

    /// Where operators' tools ask. Any address may be said, since a supervisor comes from the network; that it does is pointed out.
    pub(super) fn operations(
        &self,
        file: &File,
        listeners: &[Listener],
        warnings: &mut Vec<String>,
    ) -> Result<Option<SocketAddr>, ConfigError> {
        let (Some(section), key) = (&file.operations, "operations.address") else { return Ok(None) };
        let address = section.address.parse::<SocketAddr>();
        let address = address.map_err(|_| self.refuse(key, Refusal::ListenAddress(section.address.clone())))?;
        let same = |other: &Listener| other.address == address && address.port() != 0;
        if let Some(first) = listeners.iter().position(same) {
            let address = address.to_string();
            return Err(self.refuse(key, Refusal::ListenAddressTwice { address, first }));
        }
        if !address.ip().is_loopback() {
            warnings.push(format!(
                "{key}: {address} is answered in the clear to whoever reaches it; let nobody but operators' tools do that"
            ));
        }
        Ok(Some(address))
    }

    /// What a listener is to serve is configured. Looked at first, since much else follows from a section that is not there.
    pub(super) fn sections_are_there(&self, file: &File) -> Result<(), ConfigError> {
        if file.listener.is_empty() {
            return Err(self.refuse("listener", Refusal::NoListener));
        }
        for (at, listener) in file.listener.iter().enumerate() {
            let missing = match listener.kind {
                ListenerKind::Vault if file.vault.is_empty() => "[vault]",
                ListenerKind::Attestation if file.attestation.is_none() => "attestation",
                ListenerKind::Identity if file.identity.is_none() => "identity",
                _ => continue,
            };
            return Err(self.refuse(&format!("listener[{at}]"), Refusal::SectionMissing(missing)));
        }
        Ok(())
    }

    fn listener(
        &self,
        key: &str,
        section: &Section,
        known: &Known<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Listener, ConfigError> {
        let address = section.address.parse::<SocketAddr>();
        let at = format!("{key}.address");
        let address = address.map_err(|_| self.refuse(&at, Refusal::ListenAddress(section.address.clone())))?;
        let names = self.names(key, section)?;
        if section.kind == ListenerKind::Vault {
            return self.vault_listener(key, section, (address, names), known, warnings);
        }
        self.has_nothing_of_vaults(key, section)?;
        let serves = match section.kind {
            ListenerKind::Attestation => Serves::Attestation,
            _ => Serves::Identity,
        };
        let tls = self.certified(&format!("{key}.tls"), &section.tls, &settings::hosts(&names, &[]))?.tls;
        Ok(Listener { address, names, tls: Some(tls), serves })
    }

    fn names(&self, key: &str, section: &Section) -> Result<Names, ConfigError> {
        let port = section.public_port.unwrap_or_default();
        if section.public_port == Some(0) {
            return Err(self.refuse(&format!("{key}.public_port"), Refusal::PublicPort));
        }
        for (what, names) in [("names", &section.names), ("domains", &section.domains)] {
            if let Some(at) = names.iter().position(|name| !is_name(name)) {
                let name = names.get(at).cloned().unwrap_or_default();
                return Err(self.refuse(&format!("{key}.{what}[{at}]"), Refusal::Name(name)));
            }
        }
        let parse = |(at, text): (usize, &String)| {
            let parsed = text.parse::<IpAddr>();
            parsed.map_err(|_| self.refuse(&format!("{key}.addresses[{at}]"), Refusal::Address(text.clone())))
        };
        let addresses: Vec<_> = section.addresses.iter().enumerate().map(parse).collect::<Result<_, _>>()?;
        if section.names.is_empty() && section.domains.is_empty() && addresses.is_empty() {
            return Err(self.refuse(&format!("{key}.names"), Refusal::NoName));
        }
        Ok(Names { hosts: section.names.clone(), domains: section.domains.clone(), addresses, port })
    }

    fn has_nothing_of_vaults(&self, key: &str, section: &Section) -> Result<(), ConfigError> {
        let present = [
            ("domains", !section.domains.is_empty()),
            ("release", section.release.is_some()),
            ("vaults", !section.vaults.is_empty()),
            ("default_vault", section.default_vault.is_some()),
            ("audiences", !section.audiences.is_empty()),
            ("danger.shared_release_key", section.danger.shared_release_key),
        ];
        match present.iter().find(|(_, present)| *present) {
            Some((what, _)) => Err(self.refuse(&format!("{key}.{what}"), Refusal::VaultOnly)),
            None => Ok(()),
        }
    }

    fn vault_listener(
        &self,
        key: &str,
        section: &Section,
        (address, names): (SocketAddr, Names),
        known: &Known<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Listener, ConfigError> {
        self.vaults_of_listener(key, section, known.vaults)?;
        let pair = section.release.as_ref();
        let pair = pair.ok_or_else(|| self.refuse(&format!("{key}.release"), Refusal::NoReleaseKey))?;
        let hosts = settings::hosts(&names, &section.vaults);
        let tls = self.certified(&format!("{key}.tls"), &section.tls, &hosts)?;
        let release = self.certified(&format!("{key}.release"), pair, &hosts)?;
        if release.spki == tls.spki && !section.danger.shared_release_key {
            return Err(self.refuse(&format!("{key}.release.key"), Refusal::SharedReleaseKey));
        }
        let release = self.release_key(key, release)?;
        let port = if names.port == 0 { address.port() } else { names.port };
        if port != 443 {
            warnings.push(format!(
                "{key}: clients address port {port}; Microsoft's sidecar then looks for the dNSName \"host:{port}\" in the \
                 release certificate, which only a private CA issues"
            ));
        }
        let authorization = known.authorization.ok_or_else(|| self.refuse("issuer", Refusal::NoAuthorization))?;
        let serves = Serves::Vaults(VaultListener {
            vaults: section.vaults.clone(),
            default_vault: section.default_vault.clone(),
            audiences: section.audiences.clone(),
            authorization: authorization.to_owned(),
            release,
        });
        Ok(Listener { address, names, tls: Some(tls.tls), serves })
    }

    fn vaults_of_listener(&self, key: &str, section: &Section, vaults: &[Vault]) -> Result<(), ConfigError> {
        if section.vaults.is_empty() {
            return Err(self.refuse(&format!("{key}.vaults"), Refusal::NoVaultServed));
        }
        for (at, name) in section.vaults.iter().enumerate() {
            if !vaults.iter().any(|vault| vault.name == *name) {
                return Err(self.refuse(&format!("{key}.vaults[{at}]"), Refusal::UnknownVault(name.clone())));
            }
        }
        let at = format!("{key}.default_vault");
        match &section.default_vault {
            Some(name) if !section.vaults.contains(name) => {
                Err(self.refuse(&at, Refusal::DefaultVaultElsewhere(name.clone())))
            }
            None if !section.names.is_empty() || !section.addresses.is_empty() => {
                Err(self.refuse(&at, Refusal::NoDefaultVault))
            }
            _ => Ok(()),
        }
    }

    fn vaults_are_served_once(
        &self,
        key: &str,
        section: &Section,
        all: &[Section],
        own: usize,
    ) -> Result<(), ConfigError> {
        for (at, vault) in section.vaults.iter().enumerate() {
            let first = all.iter().take(own).position(|other| other.vaults.contains(vault));
            let again = section.vaults.iter().take(at).any(|other| other == vault).then_some(own);
            if let Some(first) = first.or(again) {
                let refusal = Refusal::VaultServedTwice { vault: vault.clone(), first };
                return Err(self.refuse(&format!("{key}.vaults[{at}]"), refusal));
            }
        }
        Ok(())
    }

    fn release_key(&self, key: &str, release: Certified) -> Result<ReleaseKey, ConfigError> {
        match SigningKey::from_pkcs8(Algorithm::Rs256, &release.key) {
            Ok(_) => Ok(ReleaseKey { key: release.key, chain: release.chain }),
            Err(_) => Err(self.refuse(&format!("{key}.release.key"), Refusal::ReleaseKeyNotRsa)),
        }
    }
}

/// What listeners of vaults depend on.
struct Known<'a> {
    vaults: &'a [Vault],
    authorization: Option<&'a str>,
}

/// RFC 1123, 2.1, in the one spelling that is compared.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}
