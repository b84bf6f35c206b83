//! An export that an engine elsewhere reads, as it comes.

use crate::error::StoreError;
use crate::export::{Exported, Last};
use crate::model::Revision;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use tokio::sync::mpsc;

/// What an engine reads of one revision, until the receiver is dropped.
pub struct Exporting {
    /// The revision of everything.
    pub revision: Revision,
    /// Entries and op ids that come.
    pub rows: u64,
    /// They, in pages and in the order of an export, and an empty page behind the last: an engine that goes away without one
    /// has failed.
    pub pages: mpsc::Receiver<Result<Vec<Exported>, StoreError>>,
}

/// What came of it. It is not believed to be whole before its end.
pub(crate) struct Coming {
    exporting: Exporting,
    last: Last,
    count: u64,
    ended: bool,
}

impl Coming {
    pub(crate) fn new(exporting: Exporting) -> Self {
        Self { exporting, last: Last::default(), count: 0, ended: false }
    }

    /// The next page, waited for on this thread; none once all came that was announced.
    pub(crate) fn page(&mut self) -> Result<Option<Vec<Exported>>, StoreError> {
        if self.ended {
            return Ok(None);
        }
        let page = wait(self.exporting.pages.recv()).unwrap_or(Err(StoreError::Failed))?;
        page.iter().try_for_each(|exported| self.last.row(exported))?;
        self.count = self.count.saturating_add(u64::try_from(page.len()).unwrap_or(u64::MAX));
        if !page.is_empty() {
            return Ok(Some(page));
        }
        let Exporting { revision, rows, .. } = self.exporting;
        if (self.count, self.last.revision()) != (rows, revision) {
            let (count, last) = (self.count, self.last.revision());
            let detail = format!("{count} rows up to revision {last} came, of {rows} up to {revision}");
            return Err(StoreError::Damaged { detail });
        }
        self.ended = true;
        Ok(None)
    }
}

/// Waits as a file is waited for. A runtime's own way would panic where it may not be used.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let (mut future, waker) = (pin!(future), Waker::from(Arc::new(Unpark(thread::current()))));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Entry, OpId, Row, Settled};

    fn row(key: &str) -> Exported {
        let entry = Entry { value: Vec::new(), created: Revision(1), modified: Revision(1), version: 1 };
        Exported::Entry(Row { key: key.into(), entry })
    }

    fn op(revision: u64) -> Exported {
        let revision = Revision(revision);
        Exported::Op { revision, op: OpId([1; 16]), settled: Settled::Committed(revision) }
    }

    /// What is read of these pages, of two rows up to revision 7.
    fn read(pages: Vec<Result<Vec<Exported>, StoreError>>) -> Result<usize, StoreError> {
        let (send, receive) = mpsc::channel(8);
        let sender = thread::spawn(move || pages.into_iter().for_each(|page| drop(send.blocking_send(page))));
        let mut coming = Coming::new(Exporting { revision: Revision(7), rows: 2, pages: receive });
        let mut count = 0;
        let read = loop {
            match coming.page() {
                Ok(Some(page)) => count += page.len(),
                Ok(None) => break coming.page().map(|_| count),
                Err(error) => break Err(error),
            }
        };
        sender.join().unwrap();
        read
    }

    /// However an engine cuts it: whole is what it announced, in order, with an end. Without one it is cut off.
    #[test]
    fn only_what_is_whole_ends() {
        assert_eq!(read(vec![Ok(vec![row("a"), op(7)]), Ok(vec![])]), Ok(2));
        assert_eq!(read(vec![Ok(vec![row("a")]), Ok(vec![op(7)]), Ok(vec![])]), Ok(2));
        assert_eq!(read(vec![Ok(vec![row("a"), op(7)])]), Err(StoreError::Failed));
        let compacted = StoreError::Compacted { asked: Revision(7), oldest: Revision(9) };
        assert_eq!(read(vec![Ok(vec![row("a")]), Err(compacted.clone())]), Err(compacted));
        let damaged = |detail: &str| Err(StoreError::Damaged { detail: detail.to_owned() });
        let short = damaged("1 rows up to revision 7 came, of 2 up to 7");
        assert_eq!(read(vec![Ok(vec![op(7)]), Ok(vec![])]), short);
        let older = damaged("2 rows up to revision 6 came, of 2 up to 7");
        assert_eq!(read(vec![Ok(vec![row("a"), op(6)]), Ok(vec![])]), older);
        let disorder = damaged("rows are not in the order of an export");
        assert_eq!(read(vec![Ok(vec![row("b")]), Ok(vec![row("a")]), Ok(vec![])]), disorder);
    }
}
