//! AMD SEV-SNP: attestation report, endorsement certificates, and the verification of one by the other.
//!
//! [`Report`] is syntax, [`Endorsements`] are certificates nobody vouches for yet, [`VerifiedVek`] is a chain that holds,
//! [`VerifiedReport`] is a report that AMD's firmware made. Whether what it says will do (debug, VMPL, TCB minimum) is not
//! decided here. Sources: AMD 56860 (SEV-SNP firmware ABI), AMD 57230 (VCEK certificate and KDS), AMD 58369 (VLEK).

mod crl;
mod generation;
mod report;
mod tcb;
mod vek;
mod verify;

pub use crl::{Crl, CrlError};
pub use generation::{Generation, UnsupportedProcessor};
pub use report::{
    CpuId, FirmwareVersion, GuestPolicy, KeyInfo, ParseError, PlatformInfo, REPORT_BYTES, Report, SIGNED_BYTES,
    SigningKey,
};
pub use tcb::{RawTcb, TcbReserved, TcbVersion};
pub use vek::{VekError, VekKind};
pub use verify::{
    ChainError, CrlPolicy, EndorsementError, Endorsements, Options, ReportError, Role, VerifiedReport, VerifiedVek,
};
