//! Where the root key is: `server.root_key`, or `[root]`.

use std::path::Path;

use skerry_keys::Level;
use skerry_unseal::{TokenSeal, credential, read};

use super::file::{File, Root as Section, Seal};
use super::{Check, ConfigError, Refusal};
use crate::root::{self, Sealed, Source};

impl Check<'_> {
    /// Exactly one place. What is sealed is read, and opened by nobody yet.
    pub(super) fn root(&self, file: &File) -> Result<Source, ConfigError> {
        let level = self.level(file)?;
        match (&file.server.root_key, &file.root) {
            (Some(path), None) if level == Level::Software => self.root_key(path),
            (Some(path), None) => self.token_seal(path),
            (_, Some(_)) if level != Level::Software => Err(self.refuse("root", Refusal::RootNotInToken)),
            (None, Some(section)) => self.sealed_root(section),
            (None, None) => Err(self.refuse("server.root_key", Refusal::NoRoot)),
            (Some(_), Some(_)) => Err(self.refuse("root", Refusal::TwoRoots)),
        }
    }

    /// 64 hex digits, and a line's end after them as tools write it.
    fn root_key(&self, path: &Path) -> Result<Source, ConfigError> {
        let (key, text) = ("server.root_key", self.secret("server.root_key", path)?);
        if TokenSeal::is_one(&text) {
            return Err(self.refuse(key, Refusal::RootKeyInToken { path: self.resolve(path) }));
        }
        let root = credential::root_of(&text);
        root.map(Source::Key).ok_or_else(|| self.refuse(key, Refusal::RootKey { path: self.resolve(path) }))
    }

    /// What a token sealed.
    fn token_seal(&self, path: &Path) -> Result<Source, ConfigError> {
        let (key, text) = ("server.root_key", self.secret("server.root_key", path)?);
        let refuse =
            |error| self.refuse(key, Refusal::RootKeySeal { path: self.resolve(path), error: Box::new(error) });
        TokenSeal::parse(&text).map(Source::Token).map_err(refuse)
    }

    fn sealed_root(&self, section: &Section) -> Result<Source, ConfigError> {
        let Section { seal, file, credential, device, pin_file } = section;
        for (what, is_there, seals) in [
            ("file", file.is_some(), [Seal::Passphrase, Seal::Tpm].as_slice()),
            ("credential", credential.is_some(), &[Seal::Credential]),
            ("device", device.is_some(), &[Seal::Tpm]),
            ("pin_file", pin_file.is_some(), &[Seal::Tpm]),
        ] {
            if is_there && !seals.contains(seal) {
                return Err(self.refuse(&format!("root.{what}"), Refusal::OfOtherSeal(seal.word())));
            }
        }
        match seal {
            Seal::Passphrase => Ok(Source::Passphrase(self.sealed_file(section)?)),
            Seal::Tpm => {
                let device = self.resolve(device.as_deref().unwrap_or(Path::new(root::TPM)));
                let pin =
                    pin_file.as_deref().map(|path| self.secret("root.pin_file", path).map(|_| self.resolve(path)));
                Ok(Source::Tpm { file: self.sealed_file(section)?, device, pin: pin.transpose()? })
            }
            Seal::Credential => {
                let wanted = Refusal::SealWants("the name of a credential");
                credential.clone().map(Source::Credential).ok_or_else(|| self.refuse("root.credential", wanted))
            }
        }
    }

    fn sealed_file(&self, section: &Section) -> Result<Sealed, ConfigError> {
        let (key, word) = ("root.file", section.seal.word());
        let path = section.file.as_deref().ok_or_else(|| self.refuse(key, Refusal::SealWants("a file")))?;
        let path = self.resolve(path);
        let sealed =
            read(&path).map_err(|error| self.refuse(key, Refusal::SealedRoot { path: path.clone(), error }))?;
        match sealed.kind().word() {
            found if found == word => Ok(Sealed { path, sealed }),
            found => Err(self.refuse("root.seal", Refusal::OtherSeal { path, found })),
        }
    }
}

impl Seal {
    fn word(self) -> &'static str {
        match self {
            Self::Passphrase => "passphrase",
            Self::Tpm => "tpm",
            Self::Credential => "credential",
        }
    }
}
