//! The floor: what evidence must be beyond authentic, whatever a policy says.
//!
//! Each rule has the name by which configuration speaks of it, and refuses by default. Loosening is under [`danger`].
//! Verification (`skerry-evidence`) never looks here, and nothing here looks at a signature.

use std::collections::HashMap;

use skerry_evidence::snp::{Generation, Report, TcbVersion};

/// Why authentic evidence is not acceptable. The `Display` begins with the rule's name in configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs)] // each message says what its variant means
pub enum FloorRefusal {
    #[error("floor.debug: the guest policy allows debugging (POLICY.DEBUG, bit 19)")]
    Debug,
    #[error("floor.migration: the guest policy allows a migration agent (POLICY.MIGRATE_MA, bit 18)")]
    Migration,
    #[error("floor.vmpl: the report was asked for from VMPL {vmpl}, at most {max} is accepted")]
    Vmpl { vmpl: u32, max: u32 },
    #[error("floor.guest_svn: guest SVN {seen} is below {min}")]
    GuestSvn { seen: u32, min: u32 },
    #[error("floor.tcb: {component} of the {which} TCB is {seen}, below {min}")]
    Tcb { which: &'static str, component: &'static str, seen: u8, min: u8 },
    #[error("floor.tcb: the {which} TCB has reserved bytes set")]
    TcbReserved { which: &'static str },
}

/// The floor for SEV-SNP. Default: no debug, no migration, VMPL 0, any TCB and guest SVN.
#[derive(Debug, Clone, Default)]
pub struct Floor {
    debug_allowed: bool,
    migration_allowed: bool,
    vmpl_max: u32,
    guest_svn_min: u32,
    tcb_min: HashMap<Generation, TcbVersion>,
}

impl Floor {
    /// Accepts reports asked for from VMPL 0 up to this. A guest's kernel behind a paravisor runs at 1 or 2.
    pub fn vmpl_max(mut self, vmpl_max: u32) -> Floor {
        self.vmpl_max = vmpl_max;
        self
    }

    /// Refuses guests below this security version (from the ID block).
    pub fn guest_svn_min(mut self, min: u32) -> Floor {
        self.guest_svn_min = min;
        self
    }

    /// Refuses reported and launch TCBs below this on processors of `generation`, component by component.
    pub fn tcb_min(mut self, generation: Generation, min: TcbVersion) -> Floor {
        self.tcb_min.insert(generation, min);
        self
    }

    /// The loosenings.
    pub fn danger(self) -> danger::Loosen {
        danger::Loosen(self)
    }

    /// Checks an authentic report; `generation` is the one its certificate was verified for.
    pub fn check(&self, report: &Report, generation: Generation) -> Result<(), FloorRefusal> {
        let policy = report.policy();
        if policy.debug_allowed() && !self.debug_allowed {
            return Err(FloorRefusal::Debug);
        }
        if policy.migrate_ma_allowed() && !self.migration_allowed {
            return Err(FloorRefusal::Migration);
        }
        if report.vmpl() > self.vmpl_max {
            return Err(FloorRefusal::Vmpl { vmpl: report.vmpl(), max: self.vmpl_max });
        }
        if report.guest_svn() < self.guest_svn_min {
            return Err(FloorRefusal::GuestSvn { seen: report.guest_svn(), min: self.guest_svn_min });
        }
        self.check_tcb(report, generation)
    }

    fn check_tcb(&self, report: &Report, generation: Generation) -> Result<(), FloorRefusal> {
        let Some(min) = self.tcb_min.get(&generation) else { return Ok(()) };
        for (which, raw) in [("reported", report.reported_tcb()), ("launch", report.launch_tcb())] {
            let seen = raw.decode(generation).map_err(|_| FloorRefusal::TcbReserved { which })?;
            let low = components(&seen).into_iter().zip(components(min)).find(|((_, seen), (_, min))| seen < min);
            if let Some(((component, seen), (_, min))) = low {
                return Err(FloorRefusal::Tcb { which, component, seen, min });
            }
        }
        Ok(())
    }
}

fn components(tcb: &TcbVersion) -> [(&'static str, u8); 5] {
    [
        ("fmc", tcb.fmc.unwrap_or(0)),
        ("bootloader", tcb.bootloader),
        ("tee", tcb.tee),
        ("snp", tcb.snp),
        ("microcode", tcb.microcode),
    ]
}

/// What no production service has.
pub mod danger {
    use super::Floor;

    /// Loosens a [`Floor`].
    #[derive(Debug)]
    pub struct Loosen(pub(super) Floor);

    impl Loosen {
        /// Accepts guests whose memory the host may read.
        pub fn allow_debug(self) -> Floor {
            Floor { debug_allowed: true, ..self.0 }
        }

        /// Accepts guests that a migration agent may move, without looking at the agent.
        pub fn allow_migration(self) -> Floor {
            Floor { migration_allowed: true, ..self.0 }
        }
    }
}
