//! TCB_VERSION: the security version numbers of firmware, whose byte order depends on the generation.
//!
//! Versions are compared component by component and never as one integer: a newer microcode does not make up for an older
//! boot loader.

use super::generation::Generation;

/// Eight bytes of TCB_VERSION as in a report, before the generation is known (AMD 56860, 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RawTcb(pub [u8; 8]);

/// A reserved byte of TCB_VERSION is not zero, so its meaning is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("reserved byte of tcb version is not zero")]
pub struct TcbReserved;

/// Security version numbers of the firmware components (AMD 56860, 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TcbVersion {
    /// Firmware management controller; Turin only.
    pub fmc: Option<u8>,
    /// Boot loader of the secure processor.
    pub bootloader: u8,
    /// Operating system of the secure processor.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Microcode, lowest patch level of all cores.
    pub microcode: u8,
}

impl RawTcb {
    /// Reads the components in the byte order of `generation`.
    pub fn decode(self, generation: Generation) -> Result<TcbVersion, TcbReserved> {
        match (generation, self.0) {
            (Generation::Milan | Generation::Genoa, [bootloader, tee, 0, 0, 0, 0, snp, microcode]) => {
                Ok(TcbVersion { fmc: None, bootloader, tee, snp, microcode })
            }
            (Generation::Turin, [fmc, bootloader, tee, snp, 0, 0, 0, microcode]) => {
                Ok(TcbVersion { fmc: Some(fmc), bootloader, tee, snp, microcode })
            }
            _ => Err(TcbReserved),
        }
    }
}

impl TcbVersion {
    /// Whether every component is at least that of `minimum`. A component that one side lacks and the other has never is.
    pub fn at_least(&self, minimum: &Self) -> bool {
        let fmc = match (self.fmc, minimum.fmc) {
            (None, None) => true,
            (Some(own), Some(least)) => own >= least,
            _ => false,
        };
        fmc && self.bootloader >= minimum.bootloader
            && self.tee >= minimum.tee
            && self.snp >= minimum.snp
            && self.microcode >= minimum.microcode
    }

    /// The bytes of a report, in the byte order of the generation that has these components.
    pub fn encode(&self) -> RawTcb {
        RawTcb(match self.fmc {
            None => [self.bootloader, self.tee, 0, 0, 0, 0, self.snp, self.microcode],
            Some(fmc) => [fmc, self.bootloader, self.tee, self.snp, 0, 0, 0, self.microcode],
        })
    }
}
