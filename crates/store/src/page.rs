//! One page of rows: the newest entries, with what they were put over them.

use crate::error::StoreError;
use crate::history::{Overlay, Past};
use crate::limits::{PAGE_LEN_MAX, PAGE_ROWS_MAX};
use crate::model::{Page, Revision, Row};
use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

/// Where a page begins: after `after` if that is given, but not before the prefix.
pub(crate) fn from<'a>(prefix: &'a [u8], after: Option<&'a [u8]>) -> Bound<&'a [u8]> {
    match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    }
}

/// The first rows of `current` under `overlay`, both ordered. `limit` is held to 1..=[`PAGE_ROWS_MAX`].
///
/// Where the overlay says nothing more from a key on, `from` gives the rest, as far as the page needs it. It may be of a newer
/// state than `current`: what changed only since then it gives as it is in `current`.
pub(crate) fn page(
    current: impl Iterator<Item = Result<Row, StoreError>>,
    overlay: Overlay,
    from: impl FnMut(&[u8]) -> Result<Overlay, StoreError>,
    limit: usize,
    revision: Revision,
) -> Result<Page, StoreError> {
    let limit = limit.clamp(1, PAGE_ROWS_MAX);
    let mut page = Page { rows: Vec::new(), revision, more: false };
    let mut len = 0_usize;
    let Overlay { past, until } = overlay;
    let overlay = Chunks { past: past.into_iter(), until, from }.peekable();
    for row in (Merge { current: current.peekable(), overlay }) {
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

/// An overlay, a part at a time.
struct Chunks<F> {
    past: std::vec::IntoIter<Past>,
    until: Option<Arc<[u8]>>,
    from: F,
}

impl<F: FnMut(&[u8]) -> Result<Overlay, StoreError>> Iterator for Chunks<F> {
    type Item = Result<Past, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(past) = self.past.next() {
                return Some(Ok(past));
            }
            match (self.from)(&self.until.take()?) {
                Ok(Overlay { past, until }) => (self.past, self.until) = (past.into_iter(), until),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Rows in order; of a key that is on both sides the past wins.
struct Merge<C: Iterator, O: Iterator> {
    current: Peekable<C>,
    overlay: Peekable<O>,
}

impl<C, O> Iterator for Merge<C, O>
where
    C: Iterator<Item = Result<Row, StoreError>>,
    O: Iterator<Item = Result<Past, StoreError>>,
{
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let order = match (self.overlay.peek(), self.current.peek()) {
                (None, _) | (Some(Ok(_)), Some(Err(_))) => return self.current.next(),
                (Some(Err(_)), _) | (Some(Ok(_)), None) => Ordering::Less,
                (Some(Ok((past, _))), Some(Ok(now))) => past.as_ref().cmp(&now.key),
            };
            match order {
                Ordering::Greater => return self.current.next(),
                Ordering::Equal => drop(self.current.next()),
                Ordering::Less => {}
            }
            match self.overlay.next()? {
                Ok((key, Some(entry))) => return Some(Ok(Row { key: key.to_vec(), entry: entry.as_ref().clone() })),
                // A key that was absent then is passed over.
                Ok((_, None)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
