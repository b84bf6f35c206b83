//! Servers of an installation: one that has the store to itself, or nodes that share one.
//!
//! Each has a log of its own, and a row of its own in the store that remembers it. So a node is known by its name: a second
//! one of the same name, or one that came without its log, is refused.

use std::fmt;

/// Which of an installation's servers this is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Node {
    /// The only one: no other has the store.
    #[default]
    Only,
    /// One of several.
    Named(NodeName),
}

/// Name of a node: 1 to 32 of `a` to `z`, digits and `-`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

impl NodeName {
    /// The name, iff it is one.
    pub fn parse(text: &str) -> Option<NodeName> {
        let is_part = |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit() || one == b'-';
        let begins = text.bytes().next().is_some_and(|one| one.is_ascii_lowercase());
        (begins && text.len() <= NAME_LEN_MAX && text.bytes().all(is_part)).then(|| NodeName(text.to_owned()))
    }

    /// As it was parsed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Node {
    /// Where the store remembers this server.
    pub(crate) fn memory(&self) -> Vec<u8> {
        match self {
            Node::Only => MEMORY.to_vec(),
            Node::Named(name) => [MEMORY, b"/", name.0.as_bytes()].concat(),
        }
    }
}

impl Node {
    /// The node that the store remembers in this place.
    pub(crate) fn of_memory(place: &[u8]) -> Option<NodeName> {
        let name = place.strip_prefix(MEMORY)?.strip_prefix(b"/")?;
        NodeName::parse(std::str::from_utf8(name).ok()?)
    }

    /// Where it shows the others the newest checkpoint of its log.
    pub(crate) fn shown(&self) -> Option<Vec<u8>> {
        match self {
            Node::Only => None,
            Node::Named(name) => Some([SHOWN, name.0.as_bytes()].concat()),
        }
    }
}

/// With this begin the keys of checkpoints that nodes show.
pub(crate) const SHOWN: &[u8] = b"meta/tlog/";

/// With this begin the keys of what is kept of forgotten nodes; the rest is the id of a log.
pub(crate) const FORGOTTEN: &[u8] = b"meta/gone/";

/// With this begin the keys of all memories, and of nothing else.
pub(crate) const MEMORY: &[u8] = b"meta/memory";

/// A label of a host name has 63; it is for tables and labels of metrics.
const NAME_LEN_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// A name goes into keys of the store: nothing in it may end one, or look like another's.
    #[test]
    fn names_are_plain() {
        for good in ["a", "node-1", "a23456789012345678901234567890bc"] {
            assert_eq!(NodeName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "1a", "-a", "A", "a/b", "a.b", "a b", "ä", "a23456789012345678901234567890bcd"] {
            assert_eq!(NodeName::parse(bad), None, "{bad}");
        }
    }

    /// No node has the place of another, or that of one that is alone.
    #[test]
    fn each_has_a_place_of_its_own() {
        let named = |name| Node::Named(NodeName::parse(name).unwrap()).memory();
        assert_eq!(Node::Only.memory(), b"meta/memory");
        assert_eq!(named("a"), b"meta/memory/a");
        assert_ne!(named("a"), named("a-"));
    }
}
