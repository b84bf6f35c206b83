//! How far rows lie apart.
//!
//! etcd walks all keys of a range, however few rows it is to answer with: a page of a list of a million keys would cost it a
//! million steps. So a page is asked for in a range that has about as many rows as the page, going by what the last page of
//! that prefix was like; where there are fewer it is widened, and in the end it is what it was. Guesses decide what a page
//! costs, never what is in it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What is known of prefixes that were read.
#[derive(Default)]
pub(crate) struct Spreads(Mutex<HashMap<Vec<u8>, Spread>>);

/// Rows in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spread {
    /// What their keys begin with.
    head: Vec<u8>,
    /// From one to the next, as a number of the 16 octets behind that.
    step: u128,
}

impl Spreads {
    pub(crate) fn of(&self, prefix: &[u8]) -> Option<Spread> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(prefix).cloned()
    }

    /// Takes note of rows that were read under a prefix, by their first and last key.
    pub(crate) fn learn(&self, prefix: &[u8], first: &[u8], last: &[u8], rows: usize) {
        if rows < ROWS_TO_LEARN_FROM {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= SPREADS_MAX && !known.contains_key(prefix) {
            known.clear();
        }
        known.insert(prefix.to_vec(), Spread::of(first, last, rows));
    }
}

impl Spread {
    /// Of that many rows, more than one, from `first` to `last`.
    fn of(first: &[u8], last: &[u8], rows: usize) -> Self {
        let common = first.iter().zip(last).take_while(|(one, other)| one == other).count();
        let head = first.get(..common).unwrap_or_default().to_vec();
        let span = number(last, common).saturating_sub(number(first, common));
        let steps = u128::try_from(rows.saturating_sub(1)).unwrap_or(1);
        Self { head, step: span.checked_div(steps).unwrap_or(span).max(1) }
    }

    /// The end of a range from there on that has about so many rows; none if that is not known.
    pub(crate) fn end(&self, from: &[u8], rows: usize) -> Option<Vec<u8>> {
        let at = match from.starts_with(&self.head) {
            true => number(from, self.head.len()),
            false if from < self.head.as_slice() => 0,
            false => return None,
        };
        let end = at.checked_add(self.step.checked_mul(u128::try_from(rows).ok()?)?)?;
        Some([self.head.as_slice(), &end.to_be_bytes()].concat())
    }
}

/// The octets from there on, as a number.
fn number(key: &[u8], from: usize) -> u128 {
    let mut octets = [0; 16];
    octets.iter_mut().zip(key.iter().skip(from)).for_each(|(to, octet)| *to = *octet);
    u128::from_be_bytes(octets)
}

/// Prefixes that are known of: lists that are read at the same time.
const SPREADS_MAX: usize = 1024;
/// Fewer rows say little.
const ROWS_TO_LEARN_FROM: usize = 8;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_range_holds_as_many_as_are_asked_for() {
        // Of keys that lie evenly, from any of them, however long what they have in common is.
        let keys: Vec<Vec<u8>> =
            (0..=u16::MAX).map(|at| format!("v/0123456789abcdef0123/k/{at:04x}").into_bytes()).collect();
        let spread = Spread::of(&keys[100], &keys[125], 26);
        for from in [100, 101, 200, 240] {
            let end = spread.end(&keys[from], 50).unwrap();
            let held = keys[from..].iter().filter(|key| **key < end).count();
            assert!((10..=500).contains(&held), "{held} from {from}");
        }
    }

    #[test]
    fn a_range_ends_behind_its_beginning() {
        // Whatever was learned; and where nothing is known, or numbers end, there is no guess.
        let spread = Spread::of(b"s/data/ka", b"s/data/kb", 26);
        for from in
            [b"s/data/k".as_slice(), b"s/data/k\x00", b"s/data/ka\x00", b"s/data/kzzzzzzzzzzzzzzzzzzzzzz", b"s/data/"]
        {
            assert!(spread.end(from, 1).unwrap().as_slice() > from);
        }
        assert_eq!(spread.end(b"s/data/l", 1), None);
        assert_eq!(spread.end(b"s/data/k\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 1), None);
        assert_eq!(Spread::of(b"a", b"a", 2).step, 1);
    }

    #[test]
    fn what_is_known_is_bounded() {
        // Few rows are no news; too many prefixes are forgotten.
        let spreads = Spreads::default();
        spreads.learn(b"p", b"a", b"b", ROWS_TO_LEARN_FROM - 1);
        assert_eq!(spreads.of(b"p"), None);
        for prefix in 0..=SPREADS_MAX {
            spreads.learn(&prefix.to_be_bytes(), b"a", b"b", 26);
        }
        assert_eq!(spreads.0.lock().unwrap().len(), 1);
    }
}
