//! TEEs in software that sign under a root of their own; the same bytes, another anchor.
//!
//! A [`Root`] stands for AMD's certification authorities, a [`Chip`] for a processor with its
//! VCEK or VLEK, a [`Tee`] for a guest that asks for reports, a [`UvmSigner`] for whoever endorses
//! utility VMs. What they make is shaped as the real thing in every byte, so that verifiers need no
//! special path: only the key hash of the anchor tells simulated from real.
//!
//! Deliberately not here: verifying, fetching, vTPM and HCL reports, SGX and TDX. RSA keys and
//! signature nonces come from aws-lc-rs' own generator, which takes no argument; all other
//! randomness (seed of chips, report ids, P-384 keys of signers) is an argument.

mod certificate;
mod chip;
mod crl;
mod dates;
mod encode;
mod error;
mod generation;
mod keys;
mod pem;
mod report;
mod root;
mod tee;
mod uvm;

pub use certificate::{Oddities, PssParameters, VekExtension, VekIssuer};
pub use chip::{Chip, ChipConfig, VekKind, VlekConfig};
pub use error::SimulatorError;
pub use generation::{Generation, Tcb};
pub use report::{REPORT_LEN, SIGNED_LEN, TeeConfig, Version};
pub use root::Root;
pub use tee::{Evidence, Tee};
pub use uvm::{EndorsementForm, UVM_FEED, UvmSigner};
