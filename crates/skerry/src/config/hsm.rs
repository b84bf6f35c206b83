//! `[custody]` and `[hsm]`: where keys are in the clear, and which token holds them.

use std::path::{Path, PathBuf};

use skerry_keys::Level;
use skerry_pkcs11::limits::SESSIONS_MAX;
use skerry_pkcs11::{Pin, Settings};
use zeroize::Zeroizing;

use super::file::{File, Hsm as Section};
use super::{Check, ConfigError, Refusal};

impl Check<'_> {
    pub(super) fn level(&self, file: &File) -> Result<Level, ConfigError> {
        let Some(name) = &file.custody.level else { return Ok(Level::Software) };
        Level::parse(name).ok_or_else(|| self.refuse("custody.level", Refusal::Level(name.clone())))
    }

    pub(super) fn hsm(&self, file: &File, level: Level) -> Result<Option<Settings>, ConfigError> {
        match (&file.hsm, level) {
            (None, Level::Software) => Ok(None),
            (None, level) => Err(self.refuse("custody.level", Refusal::NoHsm(level.as_str()))),
            (Some(_), Level::Software) => Err(self.refuse("hsm", Refusal::HsmUnused)),
            (Some(section), _) => self.token(section).map(Some),
        }
    }

    pub(super) fn token(&self, section: &Section) -> Result<Settings, ConfigError> {
        let Section { module, token, serial, sessions, .. } = section;
        let settings = Settings::new(self.resolve(module), token.clone(), serial.clone(), self.pin(section)?);
        let sessions_max = sessions.unwrap_or(SESSIONS_MAX);
        if !(1..=SESSIONS_POSSIBLE_MAX).contains(&sessions_max) {
            let (seen, max) = (sessions_max, SESSIONS_POSSIBLE_MAX);
            return Err(self.refuse("hsm.sessions", Refusal::Sessions { seen, max }));
        }
        Ok(Settings { sessions_max, ..settings })
    }

    /// From a file or a credential, and from nowhere else: what is in a configuration or an environment is read by many.
    fn pin(&self, section: &Section) -> Result<Pin, ConfigError> {
        let (key, path) = match (&section.pin_file, &section.pin_credential) {
            (Some(path), None) => ("hsm.pin_file", path.clone()),
            (None, Some(name)) => ("hsm.pin_credential", self.credential("hsm.pin_credential", name)?),
            (file, credential) => {
                let given = usize::from(file.is_some()) + usize::from(credential.is_some());
                return Err(self.refuse("hsm", Refusal::PinSource { given }));
            }
        };
        let octets = self.secret(key, &path)?;
        let text = octets.strip_suffix(b"\n").unwrap_or(&octets);
        let unusable = text.is_empty() || text.iter().any(|octet| octet.is_ascii_control());
        match std::str::from_utf8(text) {
            Ok(text) if !unusable => Ok(Pin::new(Zeroizing::new(text.to_owned()))),
            _ => Err(self.refuse(key, Refusal::Pin { path: self.resolve(&path) })),
        }
    }

    fn credential(&self, key: &str, name: &str) -> Result<PathBuf, ConfigError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(legal) {
            return Err(self.refuse(key, Refusal::PinCredential(name.to_owned())));
        }
        match std::env::var_os("CREDENTIALS_DIRECTORY") {
            Some(folder) => Ok(Path::new(&folder).join(name)),
            None => Err(self.refuse(key, Refusal::NoCredentials)),
        }
    }
}

/// More than this many at a time and it is the token that is busy.
const SESSIONS_POSSIBLE_MAX: usize = 1024;
