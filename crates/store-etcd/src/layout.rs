//! Where things are under the prefix: docs/store-format.md, "In etcd".

use skerry_store::{OpId, StoreError};

/// Keys of one store.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    prefix: Vec<u8>,
}

impl Layout {
    /// The caller vouches that the prefix ends in `/`.
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.as_bytes().to_vec() }
    }

    /// From the first key of a store to behind its last.
    pub(crate) fn all(&self) -> (Vec<u8>, Vec<u8>) {
        (self.prefix.clone(), behind(&self.prefix))
    }

    /// The key of an entry, or what the keys of all that begin so begin with.
    pub(crate) fn data(&self, key: &[u8]) -> Vec<u8> {
        [&self.prefix, DATA, key].concat()
    }

    /// Behind the last entry whose key begins so.
    pub(crate) fn data_end(&self, prefix: &[u8]) -> Vec<u8> {
        behind(&self.data(prefix))
    }

    /// The key of an entry, as its caller knows it.
    pub(crate) fn key_of<'a>(&self, data: &'a [u8]) -> Result<&'a [u8], StoreError> {
        let key = data.strip_prefix(self.prefix.as_slice()).and_then(|rest| rest.strip_prefix(DATA));
        key.ok_or_else(|| StoreError::Damaged {
            detail: "the server answers with a key that was not asked for".to_owned(),
        })
    }

    pub(crate) fn head(&self) -> Vec<u8> {
        [&self.prefix, HEAD].concat()
    }

    pub(crate) fn marker(&self) -> Vec<u8> {
        [&self.prefix, MARKER].concat()
    }

    pub(crate) fn marks(&self) -> Vec<u8> {
        [&self.prefix, MARKS].concat()
    }

    pub(crate) fn lease(&self, name: &str) -> Vec<u8> {
        [&self.prefix, LEASE, name.as_bytes()].concat()
    }

    /// Where somebody who reads one revision says so, under his own lease of etcd.
    pub(crate) fn hold(&self, lease: i64) -> Vec<u8> {
        [&self.prefix, LEASE, HOLD, format!("{lease:016x}").as_bytes()].concat()
    }

    /// From the first such key to behind the last.
    pub(crate) fn holds(&self) -> (Vec<u8>, Vec<u8>) {
        let first = [&self.prefix, LEASE, HOLD].concat();
        let end = behind(&first);
        (first, end)
    }

    /// The id of an op id's key.
    pub(crate) fn op_of(&self, key: &[u8]) -> Result<OpId, StoreError> {
        let id = key.strip_prefix(self.prefix.as_slice()).and_then(|rest| rest.strip_prefix(OP));
        let id = id.and_then(|id| id.try_into().ok());
        id.map(OpId).ok_or_else(|| StoreError::Damaged { detail: "a key among op ids that is none".to_owned() })
    }

    pub(crate) fn op(&self, op: OpId) -> Vec<u8> {
        [&self.prefix, OP, &op.0].concat()
    }

    /// From the first op id to behind the last.
    pub(crate) fn ops(&self) -> (Vec<u8>, Vec<u8>) {
        let first = [&self.prefix, OP].concat();
        let end = behind(&first);
        (first, end)
    }

    /// What a watch is over: all entries, and the head, which comes right behind them.
    pub(crate) fn watched(&self) -> (Vec<u8>, Vec<u8>) {
        (self.data(b""), [&self.head(), [0].as_slice()].concat())
    }
}

/// What the marker holds.
pub(crate) fn marker(id: [u8; 16]) -> Vec<u8> {
    [FORMAT.to_be_bytes().as_slice(), &id].concat()
}

/// The id in a marker of a known format.
pub(crate) fn parse_marker(value: &[u8]) -> Result<[u8; 16], StoreError> {
    let (&format, id) = value.split_first_chunk().ok_or(StoreError::Foreign)?;
    let format = u16::from_be_bytes(format);
    if format != FORMAT {
        return Err(StoreError::UnknownFormat { format: u64::from(format) });
    }
    id.try_into().map_err(|_| StoreError::Foreign)
}

/// The first key behind all that begin so. Infallible: a prefix has an octet that is not the largest, its `/`.
fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            break;
        }
    }
    end
}

pub(crate) const COMMITTED: u8 = 1;
pub(crate) const ABORTED: u8 = 2;
const FORMAT: u16 = 1;
const DATA: &[u8] = b"data/";
const HEAD: &[u8] = b"head";
const MARKER: &[u8] = b"marker";
const MARKS: &[u8] = b"marks";
const LEASE: &[u8] = b"lease/";
const HOLD: &[u8] = b"history/";
const OP: &[u8] = b"op/";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nothing_lies_between_entries_and_head() {
        // A watch over both is over nothing else: op ids and leases are behind it, the marker too.
        let layout = Layout::new("s/");
        let (from, to) = layout.watched();
        assert!(from <= layout.data(&[0]) && layout.data(&[0xff; 512]) < to && layout.head() < to);
        for other in [layout.marker(), layout.marks(), layout.lease(""), layout.op(OpId([0; 16]))] {
            assert!(other >= to);
            assert!(other < layout.all().1 && other > layout.all().0);
        }
    }

    #[test]
    fn ends_are_right_behind() {
        // Octets of 0xff carry.
        let layout = Layout::new("s/");
        assert_eq!(layout.data_end(b"a"), b"s/data/b");
        assert_eq!(layout.data_end(&[b'a', 0xff, 0xff]), b"s/data/b");
        assert_eq!(layout.data_end(&[0xff]), b"s/data0");
        assert_eq!(layout.key_of(b"s/data/x"), Ok(b"x".as_slice()));
        assert_eq!(layout.op_of(&layout.op(OpId([7; 16]))), Ok(OpId([7; 16])));
        assert!(matches!(layout.op_of(b"s/op/short"), Err(StoreError::Damaged { .. })));
        let (first, end) = layout.holds();
        assert!(first < layout.hold(0) && layout.hold(i64::MAX) < end && layout.lease("upkeep") >= end);
        assert!(matches!(layout.key_of(b"s/head"), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn marker_names_its_format() {
        // Another format is refused by number, another length as none of ours.
        assert_eq!(parse_marker(&marker([7; 16])), Ok([7; 16]));
        assert_eq!(parse_marker(&[0, 2]), Err(StoreError::UnknownFormat { format: 2 }));
        assert_eq!(parse_marker(&[0]), Err(StoreError::Foreign));
        assert_eq!(parse_marker(&[0, 1, 9]), Err(StoreError::Foreign));
    }
}
