//! What is expected of one key: a vault of one name, as simple as can be, and the calls that clients make of it.

use std::collections::BTreeSet;

use skerry_testkit::linear::Model;

/// What is asked of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Make it, or a new version; the tag is this number, which no other call has.
    Create(u64),
    /// Set the tag of the newest version.
    Tag(u64),
    /// Enable or disable the newest version.
    Enable(bool),
    /// Set one of two release policies that no token meets both of.
    Policy(bool),
    /// Make a new version of the newest.
    Rotate,
    /// Delete it, so that it can be recovered.
    Delete,
    /// Bring it back.
    Recover,
    /// Its newest version.
    Get,
    /// The ids of its versions.
    Versions,
    /// Release the newest version for a token that meets one of the policies.
    Release(bool),
}

/// How a call is shown, and in which row it is counted.
impl Call {
    /// Every kind, as it is shown.
    pub const KINDS: [&'static str; 10] =
        ["create", "tag", "enable/disable", "policy", "rotate", "delete", "recover", "get", "versions", "release"];

    /// Its kind.
    pub fn kind(self) -> &'static str {
        match self {
            Call::Create(_) => "create",
            Call::Tag(_) => "tag",
            Call::Enable(_) => "enable/disable",
            Call::Policy(_) => "policy",
            Call::Rotate => "rotate",
            Call::Delete => "delete",
            Call::Recover => "recover",
            Call::Get => "get",
            Call::Versions => "versions",
            Call::Release(_) => "release",
        }
    }

    /// Whether it changes nothing, however it ends.
    pub fn is_read(self) -> bool {
        matches!(self, Call::Get | Call::Versions | Call::Release(_))
    }
}

/// The id of a version.
pub type Id = u128;

/// The essentials of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The key at its newest version, or as it was made of a call.
    Key(Shown),
    /// The ids of its versions.
    Versions(BTreeSet<Id>),
    /// Released: this version, under the policy that was set so many times.
    Released {
        /// The version.
        version: Id,
        /// The policy's generation, from the receipt.
        generation: u64,
    },
    /// There is no such key.
    NotFound,
    /// There is no such deleted key.
    NotDeleted,
    /// It is deleted, and its name is taken.
    Recoverable,
    /// Its newest version is disabled.
    Disabled,
    /// The token does not meet its policy.
    Denied,
    /// A new version would have another policy than the key.
    OtherPolicy,
}

/// A key as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its newest version.
    pub version: Id,
    /// Whether that is enabled.
    pub enabled: bool,
    /// Its tag.
    pub tag: u64,
    /// Which of the two policies it has.
    pub other_policy: bool,
}

/// A vault of one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum State {
    /// Nobody has it.
    #[default]
    Free,
    /// A key.
    Live(Key),
    /// One that was deleted.
    Deleted(Key),
}

/// A key, deleted or not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    versions: Vec<Version>,
    other_policy: bool,
    generation: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Version {
    /// None until an answer has it: the call that made it was not answered.
    id: Option<Id>,
    enabled: bool,
    tag: u64,
}

/// The vault of one name: what it answers, and what becomes of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct OneKey;

impl Model for OneKey {
    type State = State;
    type Call = Call;
    type Answer = Answer;

    fn step(&self, state: &State, call: &Call, answer: &Answer) -> Option<State> {
        match (state, call) {
            (State::Free, Call::Create(tag)) => made(Key::new(), *tag, answer),
            (State::Free, Call::Recover) | (State::Live(_), Call::Recover) => same(state, answer, &Answer::NotDeleted),
            (State::Free, _) => same(state, answer, &Answer::NotFound),
            (State::Deleted(_), Call::Create(_)) => same(state, answer, &Answer::Recoverable),
            (State::Deleted(key), Call::Recover) => key.clone().shown_as(answer).map(State::Live),
            (State::Deleted(_), _) => same(state, answer, &Answer::NotFound),
            (State::Live(key), call) => key.step(*call, answer),
        }
    }

    fn unanswered(&self, state: &State, call: &Call) -> Option<State> {
        let next = match (state, call) {
            (State::Free, Call::Create(tag)) => State::Live(Key::new().with(None, *tag)),
            (State::Deleted(key), Call::Recover) => State::Live(key.clone()),
            (State::Live(key), call) => key.changed(*call)?,
            _ => return None,
        };
        Some(next).filter(|next| next != state)
    }
}

fn same(state: &State, answer: &Answer, expected: &Answer) -> Option<State> {
    (answer == expected).then(|| state.clone())
}

fn made(key: Key, tag: u64, answer: &Answer) -> Option<State> {
    let Answer::Key(shown) = answer else { return None };
    let is_new = key.versions.iter().all(|version| version.id != Some(shown.version));
    let key = key.with(Some(shown.version), tag);
    (is_new && key.shown()? == *shown).then_some(State::Live(key))
}

impl Key {
    fn new() -> Key {
        Key { versions: Vec::new(), other_policy: false, generation: 1 }
    }

    fn with(mut self, id: Option<Id>, tag: u64) -> Key {
        self.versions.push(Version { id, enabled: true, tag });
        self
    }

    fn newest(&self) -> Option<&Version> {
        self.versions.last()
    }

    /// As it is shown, once the id of the newest version is known.
    fn shown(&self) -> Option<Shown> {
        let Version { id, enabled, tag } = *self.newest()?;
        Some(Shown { version: id?, enabled, tag, other_policy: self.other_policy })
    }

    fn is_enabled(&self) -> bool {
        self.newest().is_some_and(|version| version.enabled)
    }

    fn step(&self, call: Call, answer: &Answer) -> Option<State> {
        let live = State::Live(self.clone());
        match call {
            Call::Create(_) if self.other_policy => same(&live, answer, &Answer::OtherPolicy),
            Call::Create(tag) => made(self.clone(), tag, answer),
            Call::Get | Call::Release(_) | Call::Rotate if !self.is_enabled() => same(&live, answer, &Answer::Disabled),
            Call::Rotate => made(self.clone(), self.newest()?.tag, answer),
            Call::Get => self.clone().shown_as(answer).map(State::Live),
            Call::Versions => self.clone().listed_as(answer).map(State::Live),
            Call::Release(other) if other != self.other_policy => same(&live, answer, &Answer::Denied),
            Call::Release(_) => self.clone().released_as(answer).map(State::Live),
            Call::Recover => None,
            Call::Tag(_) | Call::Enable(_) | Call::Policy(_) | Call::Delete => match self.changed(call)? {
                State::Live(key) => key.shown_as(answer).map(State::Live),
                State::Deleted(key) => key.shown_as(answer).map(State::Deleted),
                State::Free => None,
            },
        }
    }

    /// After a change that was carried out; of a new version nobody knows the id.
    fn changed(&self, call: Call) -> Option<State> {
        let mut key = self.clone();
        let newest = key.versions.last_mut()?;
        match call {
            Call::Create(_) if self.other_policy => return None,
            Call::Rotate if !newest.enabled => return None,
            Call::Create(tag) => key = key.with(None, tag),
            Call::Rotate => {
                let tag = newest.tag;
                key = key.with(None, tag);
            }
            Call::Tag(tag) => newest.tag = tag,
            Call::Enable(enabled) => newest.enabled = enabled,
            Call::Policy(other) => {
                key.other_policy = other;
                key.generation += 1;
            }
            Call::Delete => return Some(State::Deleted(key)),
            Call::Recover | Call::Get | Call::Versions | Call::Release(_) => return None,
        }
        Some(State::Live(key))
    }

    /// The key, iff it would be shown so; the id of a version that had none is known then.
    fn shown_as(mut self, answer: &Answer) -> Option<Key> {
        let Answer::Key(shown) = answer else { return None };
        self.bind(shown.version)?;
        (self.shown()? == *shown).then_some(self)
    }

    fn released_as(mut self, answer: &Answer) -> Option<Key> {
        let Answer::Released { version, generation } = answer else { return None };
        self.bind(*version)?;
        (*generation == self.generation).then_some(self)
    }

    /// The newest version has this id, or no id yet and nobody else has it.
    fn bind(&mut self, id: Id) -> Option<()> {
        let (newest, others) = self.versions.split_last_mut()?;
        match newest.id {
            Some(own) => (own == id).then_some(()),
            None if others.iter().any(|other| other.id == Some(id)) => None,
            None => {
                newest.id = Some(id);
                Some(())
            }
        }
    }

    /// As many as there are, every known one among them.
    fn listed_as(mut self, answer: &Answer) -> Option<Key> {
        let Answer::Versions(ids) = answer else { return None };
        let known: BTreeSet<Id> = self.versions.iter().filter_map(|version| version.id).collect();
        if ids.len() != self.versions.len() || !known.is_subset(ids) {
            return None;
        }
        // Of several versions without ids nobody can say here which is which.
        let mut rest = ids.difference(&known);
        if let (Some(only), None) = (rest.next(), rest.next())
            && let Some(version) = self.versions.iter_mut().find(|version| version.id.is_none())
        {
            version.id = Some(*only);
        }
        Some(self)
    }
}
