//! Configuration: skerry.toml becomes [`Settings`], or the first [`Refusal`] with its place.
//!
//! A configuration that cannot mean what it says is refused before anything is listened on. Secrets are never in it, only
//! the names of their files, whose modes are looked at. Paths are relative to the folder of the configuration. The time is
//! an argument, for certificates.

mod backup;
mod error;
mod file;
mod files;
mod hsm;
mod listeners;
mod people;
mod root;
mod services;
mod settings;
mod store;
mod vaults;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub(crate) use error::{ConfigError, Refusal};
pub(crate) use settings::{
    Anchors, Attestation, Authority, Drain, Etcd, Fetch, Identity, Issuer, Keys, Listener, ReleaseKey, Serves,
    Settings, StoreSettings, Vault, VaultKind, VaultListener,
};

use crate::root::Source;
use file::File;
use skerry_keys::Level;
use skerry_vault::Wanted;

/// Reads and checks a configuration and every file it names.
pub(crate) fn load(path: &Path, now: SystemTime) -> Result<Settings, ConfigError> {
    let (check, file) = read(path, now)?;
    check.settings(&file)
}

/// Reads a configuration, and checks where its root key is and nothing else.
pub(crate) fn root(path: &Path, now: SystemTime) -> Result<Source, ConfigError> {
    let (check, file) = read(path, now)?;
    check.root(&file)
}

/// Reads a configuration, and checks its data folder and nothing else.
pub(crate) fn data(path: &Path, now: SystemTime) -> Result<PathBuf, ConfigError> {
    let (check, file) = read(path, now)?;
    check.data(&file.server)
}

/// What a configuration says of its token.
pub(crate) struct Held {
    pub(crate) level: Level,
    pub(crate) token: skerry_pkcs11::Settings,
    /// Where the root key is that it seals, which need not be there yet.
    pub(crate) root_key: PathBuf,
    pub(crate) data: PathBuf,
}

/// Reads a configuration, and checks its token and nothing else.
pub(crate) fn token(path: &Path, now: SystemTime) -> Result<Held, ConfigError> {
    let (check, file) = read(path, now)?;
    let level = check.level(&file)?;
    let Some(token) = check.hsm(&file, level)? else {
        return Err(check.refuse("custody.level", Refusal::NoHsm("hsm-root or hsm-strict")));
    };
    let root_key = file.server.root_key.as_ref().ok_or_else(|| check.refuse("server.root_key", Refusal::NoRoot))?;
    Ok(Held { level, token, root_key: check.resolve(root_key), data: check.resolve(&file.server.data) })
}

fn read(path: &Path, now: SystemTime) -> Result<(Check<'_>, File), ConfigError> {
    let whole = |refusal| ConfigError { file: path.to_owned(), key: String::new(), refusal };
    let bytes = std::fs::metadata(path).map_err(|error| whole(Refusal::Unreadable(error.kind())))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(whole(Refusal::TooLarge { bytes, max: FILE_BYTES_MAX }));
    }
    let text = std::fs::read_to_string(path).map_err(|error| whole(Refusal::Unreadable(error.kind())))?;
    let file = toml::from_str(&text).map_err(|error: toml::de::Error| ConfigError {
        key: error.span().map(|span| place(&text, span.start)).unwrap_or_default(),
        ..whole(Refusal::Syntax(error.message().to_owned()))
    })?;
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    Ok((Check { file: path, folder, now }, file))
}

/// What all checks know.
struct Check<'a> {
    file: &'a Path,
    folder: PathBuf,
    now: SystemTime,
}

impl Check<'_> {
    fn refuse(&self, key: &str, refusal: Refusal) -> ConfigError {
        ConfigError { file: self.file.to_owned(), key: key.to_owned(), refusal }
    }

    fn settings(&self, file: &File) -> Result<Settings, ConfigError> {
        self.sections_are_there(file)?;
        let data = self.data(&file.server)?;
        let custody = self.level(file)?;
        let hsm = self.hsm(file, custody)?;
        let root = self.root(file)?;
        let store = self.store(file.store.as_ref())?;
        let recovery = file.backup.as_ref().map(|section| self.recovery(section)).transpose()?;
        let ready_rsa_keys = self.ready_rsa_keys(&file.server)?;
        let attestation = file.attestation.as_ref().map(|section| self.attestation(section)).transpose()?;
        let identity = file.identity.as_ref().map(|section| self.identity(section)).transpose()?;
        let authorities = self.authorities(&file.authority, attestation.as_ref())?;
        let issuers = self.issuers(file, identity.as_ref(), attestation.as_ref(), &authorities)?;
        let vaults = self.vaults(&file.vault, &authorities, custody)?;
        if !vaults.is_empty() && issuers.is_empty() {
            return Err(self.refuse("issuer", Refusal::NoIssuer));
        }
        let (listeners, mut warnings) = self.listeners(file, &vaults, &issuers)?;
        let operations = self.operations(file, &listeners, &mut warnings)?;
        self.everything_is_served(file)?;
        let attestation = match (attestation, &file.attestation) {
            (Some(made), Some(section)) => Some(self.policy_callers(made, section, &issuers)?),
            _ => None,
        };
        let access = self.access(&file.access, &issuers, &vaults)?;
        Ok(Settings {
            data,
            root,
            store,
            recovery,
            custody,
            hsm,
            ready_rsa_keys,
            listeners,
            operations,
            drain: self.drain(&file.server)?,
            traces: file.traces.as_ref().map(|section| self.traces(section)).transpose()?,
            diagnostics: file.diagnostics.as_ref().map(|section| self.diagnostics(section)),
            issuers,
            authorities,
            attestation,
            identity,
            vaults,
            access,
            warnings,
        })
    }

    fn drain(&self, section: &file::Server) -> Result<Drain, ConfigError> {
        let max = section.drain_max_secs.unwrap_or(Drain::default().max.as_secs());
        for (key, seen) in [("server.drain_delay_secs", section.drain_delay_secs), ("server.drain_max_secs", max)] {
            if seen > DRAIN_SECS_MAX {
                return Err(self.refuse(key, Refusal::DrainTime { seen, max: DRAIN_SECS_MAX }));
            }
        }
        Ok(Drain { delay: Duration::from_secs(section.drain_delay_secs), max: Duration::from_secs(max) })
    }

    /// Over plain HTTP, so to a collector that is near.
    fn traces(&self, section: &file::Traces) -> Result<String, ConfigError> {
        if !cfg!(feature = "otel") {
            return Err(self.refuse("traces", Refusal::NoTraces));
        }
        let url: Option<http::Uri> = section.endpoint.parse().ok();
        let good = url.is_some_and(|url| url.scheme_str() == Some("http") && url.host().is_some());
        match good {
            true => Ok(section.endpoint.clone()),
            false => Err(self.refuse("traces.endpoint", Refusal::TracesEndpoint(section.endpoint.clone()))),
        }
    }

    fn diagnostics(&self, section: &file::Diagnostics) -> PathBuf {
        if section.file.as_os_str() == "-" { section.file.clone() } else { self.resolve(&section.file) }
    }

    fn ready_rsa_keys(&self, section: &file::Server) -> Result<Wanted, ConfigError> {
        let file::ReadyRsaKeys { b2048, b3072, b4096 } = section.ready_rsa_keys;
        for (bits, seen) in [("2048", b2048), ("3072", b3072), ("4096", b4096)] {
            if seen > READY_RSA_KEYS_MAX {
                let refusal = Refusal::TooManyReady { seen, max: READY_RSA_KEYS_MAX };
                return Err(self.refuse(&format!("server.ready_rsa_keys.{bits}"), refusal));
            }
        }
        Ok(Wanted { b2048, b3072, b4096 })
    }

    /// What is configured and reached by nobody is a mistake.
    fn everything_is_served(&self, file: &File) -> Result<(), ConfigError> {
        let has = |kind| file.listener.iter().any(|listener| listener.kind == kind);
        if file.attestation.is_some() && !has(file::ListenerKind::Attestation) {
            return Err(self.refuse("attestation", Refusal::NotServed("attestation")));
        }
        if file.identity.is_some() && !has(file::ListenerKind::Identity) {
            return Err(self.refuse("identity", Refusal::NotServed("identity")));
        }
        let served = |name: &String| file.listener.iter().any(|listener| listener.vaults.contains(name));
        match file.vault.iter().position(|vault| !served(&vault.name)) {
            Some(at) => Err(self.refuse(&format!("vault[{at}]"), Refusal::NotServed("vault"))),
            None => Ok(()),
        }
    }
}

/// `line:column` of a byte, both from 1.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.chars().rev().take_while(|one| *one != '\n').count().saturating_add(1);
    format!("{line}:{column}")
}

/// Of 4096 bits, made in about a second each: a minute of a core after every start.
const READY_RSA_KEYS_MAX: usize = 64;

/// Nobody who waits for a server to stop waits longer (systemd: 90 s unless told).
const DRAIN_SECS_MAX: u64 = 3_600;

/// The example, with every section and comment, has 6 kB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

#[cfg(test)]
mod tests;
