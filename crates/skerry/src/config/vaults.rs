//! `[[vault]]` and `[[access]]`: which vaults there are, and who may do what in them.

use std::collections::HashSet;

use skerry_attestation_result::IssuerUrl;
use skerry_identity::{Assignment, Permission, Scope};
use skerry_keys::Level;
use skerry_vault::Throttling;
use uuid::Uuid;

use super::file::{self, Access as AccessSection, Vault as Section};
use super::settings::{Authority, Issuer, Vault, VaultKind};
use super::{Check, ConfigError, Refusal};

impl Check<'_> {
    pub(super) fn vaults(
        &self,
        sections: &[Section],
        authorities: &[Authority],
        custody: Level,
    ) -> Result<Vec<Vault>, ConfigError> {
        let (mut names, mut ids) = (HashSet::new(), HashSet::new());
        let mut vaults = Vec::new();
        for (at, section) in sections.iter().enumerate() {
            let key = format!("vault[{at}]");
            let vault = self.vault(&key, section, (authorities, custody))?;
            if !names.insert(vault.name.clone()) {
                return Err(self.refuse(&format!("{key}.name"), Refusal::VaultTwice(vault.name)));
            }
            if !ids.insert(vault.id) {
                return Err(self.refuse(&format!("{key}.id"), Refusal::VaultTwice(vault.id.to_string())));
            }
            vaults.push(vault);
        }
        Ok(vaults)
    }

    fn vault(
        &self,
        key: &str,
        section: &Section,
        (authorities, custody): (&[Authority], Level),
    ) -> Result<Vault, ConfigError> {
        let Section { name, id, retention_days, purge_protection, floor, danger, .. } = section;
        if !is_vault_name(name) {
            return Err(self.refuse(&format!("{key}.name"), Refusal::VaultName(name.clone())));
        }
        let parsed = Uuid::try_parse(id).ok().filter(|id| !id.is_nil());
        let id = parsed.ok_or_else(|| self.refuse(&format!("{key}.id"), Refusal::VaultId(id.clone())))?;
        let kind = self.kind(key, section, custody)?;
        let retention_days = retention_days.unwrap_or(RETENTION_DAYS_MAX);
        if !(RETENTION_DAYS_MIN..=RETENTION_DAYS_MAX).contains(&retention_days) {
            let (seen, min, max) = (retention_days, RETENTION_DAYS_MIN, RETENTION_DAYS_MAX);
            return Err(self.refuse(&format!("{key}.retention_days"), Refusal::Retention { seen, min, max }));
        }
        if floor.token_age_max_secs == Some(0) {
            return Err(self.refuse(&format!("{key}.floor.token_age_max_secs"), Refusal::TokenAge));
        }
        let throttling = self.throttling(key, section)?;
        Ok(Vault {
            name: name.clone(),
            id,
            kind,
            custody,
            throttling,
            authorities: self.believed(key, section, authorities)?,
            retention_days,
            purge_protection: *purge_protection,
            token_age_max_secs: floor.token_age_max_secs,
            accept_simulated: danger.simulated,
        })
    }

    /// What this process holds is not in an HSM, whatever its key type says; nor is it where only the root is in one.
    fn kind(&self, key: &str, section: &Section, custody: Level) -> Result<VaultKind, ConfigError> {
        let (kind, name) = match section.kind {
            file::VaultKind::Standard => return Ok(VaultKind::Standard),
            file::VaultKind::Premium => (VaultKind::Premium, "premium"),
            file::VaultKind::ManagedHsm => (VaultKind::ManagedHsm, "managed-hsm"),
        };
        match section.danger.software_hsm || custody == Level::HsmStrict {
            true => Ok(kind),
            false => Err(self.refuse(&format!("{key}.kind"), Refusal::SoftwareHsm(name))),
        }
    }

    fn throttling(&self, key: &str, section: &Section) -> Result<Throttling, ConfigError> {
        match (section.throttling, section.kind) {
            (file::Throttling::Off, _) => Ok(Throttling::Off),
            (file::Throttling::Azure, file::VaultKind::ManagedHsm) => {
                Err(self.refuse(&format!("{key}.throttling"), Refusal::ThrottledHsm))
            }
            (file::Throttling::Azure, _) => Ok(Throttling::Azure),
        }
    }

    fn believed(&self, key: &str, section: &Section, authorities: &[Authority]) -> Result<Vec<IssuerUrl>, ConfigError> {
        let mut believed: Vec<IssuerUrl> = Vec::new();
        for (at, url) in section.authorities.iter().enumerate() {
            let at = format!("{key}.authorities[{at}]");
            let parsed = self.url(&at, url)?;
            if !authorities.iter().any(|authority| authority.url == parsed) {
                return Err(self.refuse(&at, Refusal::UnknownAuthority(url.clone())));
            }
            if believed.contains(&parsed) {
                return Err(self.refuse(&at, Refusal::IssuerTwice(url.clone())));
            }
            believed.push(parsed);
        }
        Ok(believed)
    }

    pub(super) fn access(
        &self,
        sections: &[AccessSection],
        issuers: &[Issuer],
        vaults: &[Vault],
    ) -> Result<Vec<Assignment>, ConfigError> {
        let assignment = |(at, section): (usize, &AccessSection)| {
            let key = format!("access[{at}]");
            let issuer = self.issuer_of_callers(&format!("{key}.issuer"), &section.issuer, issuers)?;
            if section.subjects.is_empty() || section.subjects.iter().any(String::is_empty) {
                return Err(self.refuse(&format!("{key}.subjects"), Refusal::Empty));
            }
            let vault = vaults.iter().find(|vault| vault.name == section.vault);
            let unknown = || self.refuse(&format!("{key}.vault"), Refusal::UnknownVault(section.vault.clone()));
            let scope = Scope::Vault(*vault.ok_or_else(unknown)?.id.as_bytes());
            if section.permissions.is_empty() {
                return Err(self.refuse(&format!("{key}.permissions"), Refusal::Empty));
            }
            let permission = |(at, name): (usize, &String)| {
                let refuse = || self.refuse(&format!("{key}.permissions[{at}]"), Refusal::Permission(name.clone()));
                Permission::parse(name).ok_or_else(refuse)
            };
            let permissions = section.permissions.iter().enumerate().map(permission).collect::<Result<_, _>>()?;
            Ok(Assignment { issuer, subjects: section.subjects.clone(), scope, permissions })
        };
        sections.iter().enumerate().map(assignment).collect()
    }
}

/// Azure's rule for names of vaults, in the one spelling that a host name has.
fn is_vault_name(name: &str) -> bool {
    (3..=24).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && !name.contains("--")
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Azure: soft-delete retention.
const RETENTION_DAYS_MIN: u16 = 7;
const RETENTION_DAYS_MAX: u16 = 90;
