//! `[backup]`: to whom backups of this server may be sealed.

use std::path::PathBuf;

use skerry_backup::Recipient;

use super::file::Backup;
use super::{Check, ConfigError, Refusal};

impl Check<'_> {
    /// At least one certificate in each file, all of them fit to recover with.
    pub(super) fn recovery(&self, section: &Backup) -> Result<Vec<Vec<u8>>, ConfigError> {
        if section.recovery.is_empty() {
            return Err(self.refuse("backup.recovery", Refusal::Empty));
        }
        let of_file = |(at, path): (usize, &PathBuf)| {
            let key = format!("backup.recovery[{at}]");
            let certificates = self.certificates(&key, path)?;
            for certificate in &certificates {
                Recipient::from_der(certificate)
                    .map_err(|why| self.refuse(&key, Refusal::RecoveryCertificate { path: self.resolve(path), why }))?;
            }
            Ok(certificates)
        };
        let files: Vec<Vec<Vec<u8>>> = section.recovery.iter().enumerate().map(of_file).collect::<Result<_, _>>()?;
        Ok(files.concat())
    }
}
