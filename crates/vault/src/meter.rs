//! What a vault counts: releases and why they were denied, what was done with material, whether records were at hand.
//!
//! Reasons are kinds of clauses and never what a clause says: names, claims and tokens are in none of them.

use std::array;

use skerry_meter::Counter;
use skerry_policy::permit::Denied;

use crate::refusal::Refusal;

/// Why a release, or an unwrapping to a TEE, was denied, in the order of [`VaultSeen::denials`].
pub const DENIALS: [&str; 18] = [
    "authority-unavailable",
    "clock-ahead",
    "clock-behind",
    "floor-policy",
    "key-disabled",
    "key-ops",
    "no-policy",
    "not-exportable",
    "other",
    "other-issuer",
    "policy",
    "simulated",
    "target-key",
    "token",
    "token-age",
    "token-revoked",
    "unknown-authority",
    "vault-revoked",
];

/// What is done with material, in the order of [`VaultSeen::custody`].
pub const CUSTODY: [&str; 7] = ["generate", "import", "open", "release", "reseal", "unwrap", "use"];

#[derive(Clone, Copy)]
pub(crate) enum Custody {
    Generate,
    Import,
    Open,
    Release,
    Reseal,
    Unwrap,
    Use,
}

#[derive(Default)]
pub(crate) struct Meter {
    releases: Counter,
    denials: [Counter; DENIALS.len()],
    custody: [Done; CUSTODY.len()],
}

#[derive(Default)]
struct Done {
    done: Counter,
    failed: Counter,
}

/// What vaults have counted. Those of several vaults can be added up, since none has a name in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VaultSeen {
    /// Keys that were released, or unwrapped to a TEE.
    pub releases: u64,
    /// How often that was denied, for each of [`DENIALS`].
    pub denials: [u64; DENIALS.len()],
    /// For each of [`CUSTODY`], how often it was done, and how often it failed.
    pub custody: [(u64, u64); CUSTODY.len()],
    /// Records that were at hand, decoded, at the revision asked for.
    pub record_hits: u64,
    /// Records that had to be opened and decoded.
    pub record_misses: u64,
    /// Decoded records at hand.
    pub records: usize,
    /// Opened keys at hand.
    pub opened: usize,
}

impl VaultSeen {
    /// These and those of another vault.
    #[must_use]
    pub fn and(self, other: &VaultSeen) -> VaultSeen {
        let add = |one: u64, other: u64| one.saturating_add(other);
        let pair = |(one, other): ((u64, u64), (u64, u64))| (add(one.0, other.0), add(one.1, other.1));
        let (mut denials, mut custody) = (self.denials, self.custody);
        denials.iter_mut().zip(other.denials).for_each(|(one, other)| *one = add(*one, other));
        custody.iter_mut().zip(other.custody).for_each(|(one, other)| *one = pair((*one, other)));
        VaultSeen {
            releases: add(self.releases, other.releases),
            denials,
            custody,
            record_hits: add(self.record_hits, other.record_hits),
            record_misses: add(self.record_misses, other.record_misses),
            records: self.records.saturating_add(other.records),
            opened: self.opened.saturating_add(other.opened),
        }
    }
}

impl Meter {
    pub(crate) fn released(&self) {
        self.releases.count();
    }

    pub(crate) fn denied(&self, refusal: &Refusal) {
        let reason = reason(refusal);
        if let Some(counter) = DENIALS.iter().position(|own| *own == reason).and_then(|at| self.denials.get(at)) {
            counter.count();
        }
    }

    pub(crate) fn custody<T, E>(&self, what: Custody, outcome: &Result<T, E>) {
        let name = what.name();
        let Some(done) = CUSTODY.iter().position(|own| *own == name).and_then(|at| self.custody.get(at)) else {
            return;
        };
        match outcome {
            Ok(_) => done.done.count(),
            Err(_) => done.failed.count(),
        }
    }

    pub(crate) fn seen(&self) -> VaultSeen {
        let custody =
            array::from_fn(|at| self.custody.get(at).map_or((0, 0), |done| (done.done.value(), done.failed.value())));
        VaultSeen {
            releases: self.releases.value(),
            denials: self.denials.each_ref().map(Counter::value),
            custody,
            ..VaultSeen::default()
        }
    }
}

impl Custody {
    fn name(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Import => "import",
            Self::Open => "open",
            Self::Release => "release",
            Self::Reseal => "reseal",
            Self::Unwrap => "unwrap",
            Self::Use => "use",
        }
    }
}

fn reason(refusal: &Refusal) -> &'static str {
    use Refusal as R;
    match refusal {
        R::AuthorityUnavailable { .. } => "authority-unavailable",
        R::ClockAhead { .. } => "clock-ahead",
        R::ClockBehind { .. } => "clock-behind",
        R::KeyDisabled { .. } => "key-disabled",
        R::OperationNotPermitted { .. } => "key-ops",
        R::NoPolicy { .. } => "no-policy",
        R::NotExportable { .. } => "not-exportable",
        R::OtherIssuer { .. } => "other-issuer",
        R::Token(_) => "token",
        R::UnknownAuthority { .. } => "unknown-authority",
        R::Denied(Denied::Floor(_)) => "floor-policy",
        R::Denied(Denied::Policy(_)) => "policy",
        R::Denied(Denied::Simulated) => "simulated",
        R::Denied(Denied::Target(_)) => "target-key",
        R::Denied(Denied::TokenTooOld { .. }) => "token-age",
        R::Denied(Denied::TokenRevoked { .. }) => "token-revoked",
        R::Denied(Denied::VaultRevoked { .. }) => "vault-revoked",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Operation;

    /// Every denial is counted under its own word, and every word is in order, so that none is there twice.
    #[test]
    fn denials_are_told_apart() {
        let name = String::new;
        let denials = [
            Refusal::ClockAhead { now: 1, others: 0 },
            Refusal::ClockBehind { now: 0, seen: 1 },
            Refusal::KeyDisabled { name: name(), operation: Operation::Release },
            Refusal::OperationNotPermitted { name: name(), operation: Operation::SecureUnwrapKey },
            Refusal::NoPolicy { name: name() },
            Refusal::NotExportable { name: name() },
            Refusal::OtherIssuer { asked: name(), issuer: name() },
            Refusal::UnknownAuthority { issuer: name() },
            Refusal::Denied(Denied::Simulated),
            Refusal::Denied(Denied::TokenTooOld { age_secs: 1, max_secs: 0 }),
            Refusal::Denied(Denied::TokenRevoked { iat: 0, min_iat: 1 }),
            Refusal::Denied(Denied::VaultRevoked { iat: 0, min_iat: 1 }),
        ];
        let meter = Meter::default();
        denials.iter().for_each(|denial| meter.denied(denial));
        assert!(denials.iter().all(Refusal::is_denial));
        assert_eq!(meter.seen().denials.iter().filter(|seen| **seen == 1).count(), denials.len());
        assert!(DENIALS.is_sorted() && CUSTODY.is_sorted());
    }

    /// What failed is counted apart from what was done, and sums are of all.
    #[test]
    fn counts_are_added_up() {
        let meter = Meter::default();
        meter.custody::<_, ()>(Custody::Use, &Ok(()));
        meter.custody::<(), _>(Custody::Use, &Err(()));
        meter.released();
        let seen = meter.seen().and(&VaultSeen { opened: 2, ..meter.seen() });
        assert_eq!((seen.releases, seen.custody.last(), seen.opened), (2, Some(&(2, 2)), 2));
    }
}
