//! Which issuers and feeds are believed, and from which security version on.
//!
//! A list is made at start from what is compiled in and what an operator adds; additions can only
//! tighten an entry or worsen its provenance.

use super::UvmError;
use crate::anchors::Provenance;

/// Issuers and feeds whose endorsements are believed. There is one entry for an issuer and feed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrustList {
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    issuer: String,
    feed: String,
    svn_min: u64,
    provenance: Provenance,
}

impl TrustList {
    /// What is compiled in: Microsoft's issuer for the utility VM of Confidential ACI, from
    /// [`MICROSOFT_SVN_MIN`] on.
    #[must_use]
    pub fn microsoft() -> Self {
        Self::default().with(MICROSOFT_ISSUER, MICROSOFT_FEED, MICROSOFT_SVN_MIN, Provenance::Real)
    }

    /// Nobody; everything is refused.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds an issuer (did:x509) and feed from configuration. What it endorses is simulated, also
    /// when the pair was listed as real before; of two lowest versions the higher one stays.
    #[must_use]
    pub fn with_simulated(self, issuer: &str, feed: &str, svn_min: u64) -> Self {
        self.with(issuer, feed, svn_min, Provenance::Simulated)
    }

    /// Raises the lowest accepted version of a listed issuer and feed. It never lowers one, and an
    /// unlisted pair stays unlisted.
    #[must_use]
    pub fn with_svn_min(mut self, issuer: &str, feed: &str, svn_min: u64) -> Self {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.is(issuer, feed)) {
            entry.svn_min = entry.svn_min.max(svn_min);
        }
        self
    }

    fn with(mut self, issuer: &str, feed: &str, svn_min: u64, provenance: Provenance) -> Self {
        match self.entries.iter_mut().find(|entry| entry.is(issuer, feed)) {
            Some(entry) => {
                entry.svn_min = entry.svn_min.max(svn_min);
                entry.provenance = Provenance::worst(entry.provenance, provenance);
            }
            None => self.entries.push(Entry { issuer: issuer.to_owned(), feed: feed.to_owned(), svn_min, provenance }),
        }
        self
    }

    /// The entry for an authentic issuer and feed.
    pub(super) fn find(&self, issuer: &str, feed: &str) -> Result<Listed, UvmError> {
        if !self.entries.iter().any(|entry| entry.issuer == issuer) {
            return Err(UvmError::UnknownIssuer { issuer: issuer.to_owned() });
        }
        let entry = self.entries.iter().find(|entry| entry.is(issuer, feed));
        entry.map(Entry::listed).ok_or_else(|| UvmError::UnknownFeed { feed: feed.to_owned() })
    }
}

impl Entry {
    fn is(&self, issuer: &str, feed: &str) -> bool {
        self.issuer == issuer && self.feed == feed
    }

    fn listed(&self) -> Listed {
        Listed { svn_min: self.svn_min, provenance: self.provenance }
    }
}

/// What a list says of an issuer and feed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Listed {
    svn_min: u64,
    provenance: Provenance,
}

impl Listed {
    /// The provenance, iff the version is new enough.
    pub(super) fn admit(self, svn: u64) -> Result<Provenance, UvmError> {
        if svn < self.svn_min {
            return Err(UvmError::SvnBelowMinimum { svn, svn_min: self.svn_min });
        }
        Ok(self.provenance)
    }
}

/// Issuer of the utility VM of Confidential ACI. Observed in endorsements of 2023 to 2026; its
/// fingerprint is that of "Microsoft Supply Chain RSA Root CA 2022".
pub const MICROSOFT_ISSUER: &str =
    "did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.3.6.1.4.1.311.76.59.1.2";

/// Feed of the utility VM of Confidential ACI. Observed with [`MICROSOFT_ISSUER`].
pub const MICROSOFT_FEED: &str = "ContainerPlat-AMD-UVM";

/// Lowest security version that is believed by default. Microsoft publishes no floor and its
/// service accepts the oldest endorsement seen (22, of 2023), so the default excludes nothing;
/// operators raise it with [`TrustList::with_svn_min`].
pub const MICROSOFT_SVN_MIN: u64 = 0;
