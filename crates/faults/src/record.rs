//! What the logs of the nodes say afterwards: every release that was answered is on record where its receipt says, and every
//! change that was intended has an outcome.

use std::collections::BTreeSet;
use std::path::Path;

use skerry_audit::{Event, Verdict};

use crate::client::Receipt;

/// What does not hold in one node's log.
pub fn check(node: usize, log: &Path, receipts: &[Receipt]) -> Vec<String> {
    let mut told = Vec::new();
    let mut open = BTreeSet::new();
    let mut releases: BTreeSet<(u64, [u8; 32])> = BTreeSet::new();
    let records = match skerry_audit::read(log) {
        Ok(records) => records,
        Err(error) => return vec![format!("node {node}: its log: {error}")],
    };
    for record in records {
        let record = match record {
            Ok(record) => record,
            Err(error) => return vec![format!("node {node}: its log: {error}")],
        };
        let leaf = record.leaf();
        let entry = match record.entry() {
            Ok(entry) => entry,
            Err(error) => {
                told.push(format!("node {node}: record {}: {error}", leaf.index()));
                continue;
            }
        };
        match entry.verdict {
            Verdict::Intended => drop(open.insert(entry.subject)),
            Verdict::Committed | Verdict::Aborted => drop(open.remove(&entry.subject)),
            Verdict::Permitted if entry.event == Event::Release => drop(releases.insert((leaf.index(), *leaf.hash()))),
            _ => {}
        }
    }
    if !open.is_empty() {
        told.push(format!("node {node}: {} changes were intended and have no outcome on record", open.len()));
    }
    let missing = receipts.iter().filter(|receipt| receipt.node == node);
    let missing = missing.filter(|receipt| !releases.contains(&(receipt.index, receipt.leaf))).count();
    if missing > 0 {
        told.push(format!("node {node}: {missing} releases were answered and are not on record"));
    }
    told
}
