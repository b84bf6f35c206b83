//! What a vault demands of every release beside what configuration does, set by those who may.
//!
//! Whatever is set here is ANDed with configuration and with every key's policy: it only ever makes releases fewer. It can be
//! taken back, except the earliest attestation token, which is only ever raised: what was revoked stays so.

use std::sync::Arc;

use skerry_policy::permit::VaultFloor;

use crate::record::KeyPolicy;
use crate::refusal::Refusal;

/// What is set; by default nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FloorSettings {
    /// How often it was set.
    pub generation: u64,
    /// Earliest attestation token that is good for any key, in seconds since the epoch.
    pub min_iat: u64,
    /// Oldest attestation token that is good for any key, in seconds.
    pub token_age_max_secs: Option<u64>,
    /// A release policy that has to hold whatever the key's own says.
    pub policy: Option<Arc<KeyPolicy>>,
    /// When it was set last, in seconds since the epoch.
    pub updated: u64,
}

/// What is to be set anew. `None` leaves it; `Some(None)` takes it back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FloorChanges {
    /// Earliest attestation token.
    pub min_iat: Option<u64>,
    /// Oldest attestation token.
    pub token_age_max_secs: Option<Option<u64>>,
    /// The text of a release policy.
    pub policy: Option<Option<Vec<u8>>>,
}

impl FloorSettings {
    /// What changes make of it at a time.
    pub fn with(&self, changes: &FloorChanges, now: u64) -> Result<FloorSettings, Refusal> {
        let min_iat = changes.min_iat.unwrap_or(self.min_iat);
        if min_iat < self.min_iat {
            return Err(Refusal::FloorMinIatLowered { known: self.min_iat, asked: min_iat });
        }
        if changes.min_iat.is_some() && min_iat > now {
            return Err(Refusal::MinIatInFuture { asked: min_iat, now });
        }
        if changes.token_age_max_secs == Some(Some(0)) {
            return Err(Refusal::FloorTokenAge);
        }
        let policy = match &changes.policy {
            None => self.policy.clone(),
            Some(None) => None,
            Some(Some(text)) => Some(Arc::new(KeyPolicy::parse(text).map_err(Refusal::Policy)?)),
        };
        Ok(FloorSettings {
            generation: self.generation.saturating_add(1),
            min_iat,
            token_age_max_secs: changes.token_age_max_secs.unwrap_or(self.token_age_max_secs),
            policy,
            updated: now,
        })
    }

    /// Both: what configuration demands, and what is set.
    pub(crate) fn over(&self, configured: &VaultFloor) -> VaultFloor {
        let mut floor = configured.clone().min_iat(self.min_iat);
        if let Some(secs) = self.token_age_max_secs {
            floor = floor.token_age_max_secs(secs);
        }
        match &self.policy {
            Some(policy) => floor.policy(policy.shared()),
            None => floor,
        }
    }
}

impl FloorChanges {
    /// What is set, in words for the log.
    pub(crate) fn words(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.min_iat.map(|secs| format!("earliest token {secs}")));
        words.extend(self.token_age_max_secs.map(|secs| match secs {
            Some(secs) => format!("oldest token {secs} s"),
            None => "tokens of any age".to_owned(),
        }));
        words.extend(self.policy.as_ref().map(|policy| {
            match policy {
                Some(_) => "policy set",
                None => "policy taken back",
            }
            .to_owned()
        }));
        format!("floor: {}", words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // reason: tests

    use super::*;

    const POLICY: &[u8] =
        br#"{"version":"1.0.0","anyOf":[{"authority":"https://a.example","allOf":[{"claim":"c","equals":"v"}]}]}"#;

    fn set(min_iat: Option<u64>, age: Option<Option<u64>>, policy: Option<Option<&[u8]>>) -> FloorChanges {
        let policy = policy.map(|text| text.map(<[u8]>::to_vec));
        FloorChanges { min_iat, token_age_max_secs: age, policy }
    }

    /// What is not said stays, what is taken back goes, and each change counts.
    #[test]
    fn changes_are_of_what_they_name() {
        let first = FloorSettings::default().with(&set(Some(50), Some(Some(60)), Some(Some(POLICY))), 100).unwrap();
        assert_eq!((first.generation, first.min_iat, first.token_age_max_secs, first.updated), (1, 50, Some(60), 100));
        let kept = first.with(&FloorChanges::default(), 101).unwrap();
        assert_eq!(kept, FloorSettings { generation: 2, updated: 101, ..first.clone() });
        let back = kept.with(&set(None, Some(None), Some(None)), 102).unwrap();
        assert_eq!((back.min_iat, back.token_age_max_secs, back.policy), (50, None, None));
    }

    /// The earliest token is raised and never lowered, nor set so that nothing could be released; no age is no floor; a
    /// policy has to be one.
    #[test]
    fn changes_are_refused() {
        let floor = FloorSettings::default().with(&set(Some(50), None, None), 100).unwrap();
        assert_eq!(floor.with(&set(Some(50), None, None), 100).map(|floor| floor.min_iat), Ok(50));
        let refused = |changes: &FloorChanges| floor.with(changes, 100).unwrap_err();
        assert_eq!(refused(&set(Some(49), None, None)), Refusal::FloorMinIatLowered { known: 50, asked: 49 });
        assert_eq!(refused(&set(Some(101), None, None)), Refusal::MinIatInFuture { asked: 101, now: 100 });
        assert_eq!(refused(&set(None, Some(Some(0)), None)), Refusal::FloorTokenAge);
        assert!(matches!(refused(&set(None, None, Some(Some(b"{}")))), Refusal::Policy(_)));
    }
}
