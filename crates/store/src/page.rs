//! One page of rows: the newest entries, with what they were put over them.

use crate::error::StoreError;
use crate::history::Past;
use crate::limits::{PAGE_LEN_MAX, PAGE_ROWS_MAX};
use crate::model::{Page, Revision, Row};
use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::Bound;

/// Where a page begins: after `after` if that is given, but not before the prefix.
pub(crate) fn from<'a>(prefix: &'a [u8], after: Option<&'a [u8]>) -> Bound<&'a [u8]> {
    match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    }
}

/// The first rows of `current` under `overlay`, both ordered. `limit` is held to 1..=[`PAGE_ROWS_MAX`].
pub(crate) fn page(
    current: impl Iterator<Item = Result<Row, StoreError>>,
    overlay: Vec<Past>,
    limit: usize,
    revision: Revision,
) -> Result<Page, StoreError> {
    let limit = limit.clamp(1, PAGE_ROWS_MAX);
    let mut page = Page { rows: Vec::new(), revision, more: false };
    let mut len = 0_usize;
    for row in (Merge { current: current.peekable(), overlay: overlay.into_iter().peekable() }) {
        let row = row?;
        len = len.saturating_add(row.key.len()).saturating_add(row.entry.value.len());
        if page.rows.len() == limit || (len > PAGE_LEN_MAX && !page.rows.is_empty()) {
            page.more = true;
            break;
        }
        page.rows.push(row);
    }
    Ok(page)
}

/// Rows in order; of a key that is on both sides the past wins.
struct Merge<C: Iterator, O: Iterator> {
    current: Peekable<C>,
    overlay: Peekable<O>,
}

impl<C, O> Iterator for Merge<C, O>
where
    C: Iterator<Item = Result<Row, StoreError>>,
    O: Iterator<Item = Past>,
{
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let order = match (self.overlay.peek(), self.current.peek()) {
                (None, _) | (_, Some(Err(_))) => return self.current.next(),
                (Some(_), None) => Ordering::Less,
                (Some((past, _)), Some(Ok(now))) => past.as_ref().cmp(&now.key),
            };
            match order {
                Ordering::Greater => return self.current.next(),
                Ordering::Equal => drop(self.current.next()),
                Ordering::Less => {}
            }
            // A key that was absent then is passed over.
            if let (key, Some(entry)) = self.overlay.next()? {
                return Some(Ok(Row { key: key.to_vec(), entry: entry.as_ref().clone() }));
            }
        }
    }
}
