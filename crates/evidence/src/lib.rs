//! Parses and verifies evidence of TEEs; no I/O, no clock.
//!
//! Bytes become [`snp::Report`] and [`snp::Endorsements`] (syntax), those become [`snp::VerifiedVek`] and
//! [`snp::VerifiedReport`] (authentic), that becomes [`evidence::VerifiedEvidence`] and [`evidence::BoundEvidence`] (bound to runtime
//! data). Each arrow is the only maker of the type behind it. Time, anchors, limits and the budget of signature checks are
//! arguments. Not here: fetching of endorsements, claims, and any decision about what is acceptable.

pub mod anchors;
pub mod evidence;
pub mod limits;
pub mod snp;
pub mod uvm;
pub mod x509;
