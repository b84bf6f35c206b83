//! Which records are asked for.

use crate::entry::{Entry, Event, Verdict};
use crate::error::EntryError;
use crate::reader::Record;
use std::time::SystemTime;
use uuid::Uuid;

/// What a record has to have; what is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this vault.
    pub vault: Option<Uuid>,
    /// Of this key.
    pub key: Option<Uuid>,
    /// Of one of these events; none is any.
    pub events: Vec<Event>,
    /// With this verdict.
    pub verdict: Option<Verdict>,
    /// By a principal whose text contains this.
    pub who: Option<String>,
    /// Of the request with this id.
    pub request: Option<String>,
    /// At this time or later.
    pub from: Option<SystemTime>,
    /// Before this time.
    pub until: Option<SystemTime>,
}

impl Filter {
    /// The entry of a record, iff it is asked for. One that this version does not understand is an error only if it may be.
    pub fn entry(&self, record: &Record) -> Result<Option<Entry>, EntryError> {
        if !self.may_match(record.body()) {
            return Ok(None);
        }
        let entry = record.entry()?;
        Ok(self.matches(&entry).then_some(entry))
    }

    /// Whether an entry is asked for.
    pub fn matches(&self, entry: &Entry) -> bool {
        let is = |asked: &Option<Uuid>, found: Option<Uuid>| asked.is_none() || *asked == found;
        is(&self.vault, entry.vault)
            && is(&self.key, entry.key)
            && (self.events.is_empty() || self.events.contains(&entry.event))
            && self.verdict.is_none_or(|verdict| verdict == entry.verdict)
            && self.who.as_ref().is_none_or(|who| entry.who.contains(who))
            && self.request.as_ref().is_none_or(|request| *request == entry.request)
            && self.from.is_none_or(|from| entry.at >= from)
            && self.until.is_none_or(|until| entry.at < until)
    }

    /// Whether a body may be of such an entry, without parsing it, which takes ten times what reading it does. Each value has
    /// one spelling, and within a text quotes are escaped.
    fn may_match(&self, body: &[u8]) -> bool {
        let Ok(body) = std::str::from_utf8(body) else { return true };
        let has = |member: &str, value: &str| body.contains(&format!("\"{member}\":\"{value}\""));
        let id = |member: &str, id: Option<Uuid>| id.is_none_or(|id| has(member, &id.to_string()));
        id("key", self.key)
            && id("vault", self.vault)
            && (self.events.is_empty() || self.events.iter().any(|event| has("event", event.as_str())))
            && self.verdict.is_none_or(|verdict| has("verdict", verdict.as_str()))
    }
}
