//! The tables of a file as redb shows them, read and written behind the store's back; and their sum, drawn from the
//! documentation and not from the code.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use skerry_store::seal::Root;
use std::collections::BTreeMap;

pub(crate) const ENTRIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entries");
pub(crate) const OPS: TableDefinition<u64, [u8; 17]> = TableDefinition::new("ops");
pub(crate) const SUM: TableDefinition<(), [u8; 48]> = TableDefinition::new("sum");

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) entries: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) ops: BTreeMap<u64, [u8; 17]>,
    pub(crate) sum: Option<[u8; 48]>,
}

impl Content {
    pub(crate) fn read(database: &Database) -> Self {
        let read = database.begin_read().unwrap();
        let entries = read.open_table(ENTRIES).unwrap();
        let ops = read.open_table(OPS).unwrap();
        Self {
            entries: entries
                .iter()
                .unwrap()
                .map(|row| row.map(|(key, row)| (key.value().to_vec(), row.value().to_vec())).unwrap())
                .collect(),
            ops: ops.iter().unwrap().map(|row| row.map(|(key, row)| (key.value(), row.value())).unwrap()).collect(),
            sum: read.open_table(SUM).unwrap().get(()).unwrap().map(|row| row.value()),
        }
    }

    /// Puts this in the place of all that is there.
    pub(crate) fn write(&self, database: &Database) {
        let transaction = database.begin_write().unwrap();
        let mut entries = transaction.open_table(ENTRIES).unwrap();
        entries.retain(|_, _| false).unwrap();
        for (key, row) in &self.entries {
            entries.insert(key.as_slice(), row.as_slice()).unwrap();
        }
        let mut ops = transaction.open_table(OPS).unwrap();
        ops.retain(|_, _| false).unwrap();
        for (revision, row) in &self.ops {
            ops.insert(revision, row).unwrap();
        }
        let mut sum = transaction.open_table(SUM).unwrap();
        sum.remove(()).unwrap();
        if let Some(row) = &self.sum {
            sum.insert((), row).unwrap();
        }
        drop((entries, ops, sum));
        transaction.commit().unwrap();
    }

    /// The sum that a store under this root would have written.
    pub(crate) fn summed(&self, root: &Root) -> [u8; 48] {
        let (rows, _) = root.kek("store rows", &[0; 16]);
        let (whole, id) = root.kek("store sum", &[0; 16]);
        let rows = Key::new(HMAC_SHA256, rows.as_slice());
        let mut sum = [0; 32];
        for (key, row) in &self.entries {
            let len = u32::try_from(key.len()).unwrap().to_be_bytes();
            add(&mut sum, sign(&rows, &[&[1], len.as_slice(), key, row].concat()).as_ref());
        }
        for (revision, row) in &self.ops {
            add(&mut sum, sign(&rows, &[&[2], revision.to_be_bytes().as_slice(), row].concat()).as_ref());
        }
        let tag = sign(&Key::new(HMAC_SHA256, whole.as_slice()), &sum);
        [id.as_slice(), tag.as_ref()].concat().try_into().unwrap()
    }
}

/// As one adds on paper, from the last octet on.
fn add(sum: &mut [u8; 32], by: &[u8]) {
    let mut carry = 0;
    for (octet, by) in sum.iter_mut().zip(by).rev() {
        let both = u16::from(*octet) + u16::from(*by) + carry;
        (*octet, carry) = (both.to_be_bytes()[1], both >> 8);
    }
}
