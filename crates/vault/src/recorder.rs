//! The thread that writes the audit log: whoever wants something on record gives it an entry and waits without a thread.
//!
//! What comes while it writes goes together into the next write and its one sync. It ends with its last handle, after what
//! was given to it. If it should panic, everybody is refused from then on.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::{io, mem};

use skerry_audit::{AuditError, Entry, Log, Recorded};
use tokio::sync::oneshot;

use crate::pool::Pool;
use crate::refusal::Refusal;
use crate::vault::refuse_pool;

/// What becomes of the proof, or of why there is none. It hands that on and does nothing else: it has the log's thread.
type Done = Box<dyn FnOnce(Result<Recorded, AuditError>) + Send>;

/// The way to the log.
pub(crate) struct Recorder {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    /// Who waits for them, in their order.
    waiting: Vec<Done>,
    closed: bool,
}

impl Recorder {
    /// Starts the thread for this log.
    pub(crate) fn start(log: Arc<Log>) -> io::Result<Recorder> {
        let queue = Arc::new(Queue::default());
        let taken = Closing(Arc::clone(&queue));
        let thread = thread::Builder::new().name("audit-log".to_owned()).spawn(move || taken.0.write(&log))?;
        Ok(Recorder { queue, thread: Some(thread) })
    }

    /// Puts an entry on record: the proof comes when it is durable.
    pub(crate) async fn record(&self, entry: Entry) -> Result<Recorded, Refusal> {
        let (done, recorded) = oneshot::channel();
        // Who went away does not want it; it is on record all the same.
        self.queue.push(entry, Box::new(move |recorded| drop(done.send(recorded))))?;
        recorded.await.map_err(|_| Refusal::Failed)?.map_err(Refusal::Audit)
    }

    /// Puts an entry on record and runs a job with the proof, on a pool to which the log's thread gives it: nobody is woken only
    /// to hand it on. Nothing is done for a caller that has gone away before its turn.
    pub(crate) async fn record_then<T: Send + 'static>(
        &self,
        entry: Entry,
        pool: &Arc<Pool>,
        job: impl FnOnce(Recorded) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (done, did) = oneshot::channel();
        let pool = Arc::clone(pool);
        let then = move |recorded: Result<Recorded, AuditError>| match recorded {
            Err(error) => drop(done.send(Err(Refusal::Audit(error)))),
            Ok(recorded) => pool.give(move |turn| {
                if !done.is_closed() {
                    drop(done.send(turn.map_err(refuse_pool).map(|()| job(recorded))));
                }
            }),
        };
        self.queue.push(entry, Box::new(then))?;
        did.await.map_err(|_| Refusal::Failed)?
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.queue.close();
        // Joined, since the log is held until its thread has ended, and may be opened again at once.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Ends the queue with the thread, also if that panics: nobody waits for an answer that cannot come.
struct Closing(Arc<Queue>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
        self.0.lock().waiting.clear();
    }
}

impl Queue {
    fn push(&self, entry: Entry, done: Done) -> Result<(), Refusal> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refusal::Failed);
        }
        state.entries.push(entry);
        state.waiting.push(done);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    fn write(&self, log: &Log) {
        while let Some((entries, waiting)) = self.next() {
            for (done, recorded) in waiting.into_iter().zip(log.record_all(&entries)) {
                done(recorded);
            }
        }
    }

    /// All that wait, as soon as anybody does; none when the queue is closed and empty.
    fn next(&self) -> Option<(Vec<Entry>, Vec<Done>)> {
        let mut state = self.lock();
        while state.entries.is_empty() {
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Some((mem::take(&mut state.entries), mem::take(&mut state.waiting)))
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// No code that panics runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
