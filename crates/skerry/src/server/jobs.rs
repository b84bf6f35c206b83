//! What is done without being asked.
//!
//! Before anything is answered, what a purge or a restore left when it was cut short is removed.

use skerry_http::Machine;

use super::vaults::Vaults;
use crate::edge::Failure;

/// Finishes in every vault what was cut short. Until then nothing may be answered.
pub(super) async fn sweep(vaults: &Vaults, machine: &Machine) -> Result<(), Failure> {
    for (name, vault) in vaults {
        vault.sweep(machine.now(), machine.randomizer()).await.map_err(|refusal| {
            let context = format!(
                "vault {name}: what a purge or a restore left when it was cut short cannot be removed; if the next start says \
                 the same, restore the data folder"
            );
            Failure::integrity(anyhow::Error::new(refusal).context(context))
        })?;
    }
    Ok(())
}
