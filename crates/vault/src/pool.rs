//! Threads for work that keeps a core busy: signatures, verification.
//!
//! A fixed number of threads behind a bounded queue, so that I/O threads do I/O and overload shows as [`PoolError::Busy`]
//! rather than as latency. A job that panics fails its caller alone. Nothing here knows of requests.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use skerry_meter::Counter;
use tokio::sync::oneshot;

/// Why a job gave no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The queue is full; the job was not taken.
    #[error("the queue of the pool is full")]
    Busy,
    /// The job panicked.
    #[error("the job panicked")]
    Panicked,
}

/// A fixed number of threads. They end when the last handle is dropped and the queue is empty.
pub struct Pool {
    shared: Arc<Shared>,
}

/// Told that it is its turn, or why it never is.
type Job = Box<dyn FnOnce(Result<(), PoolError>) + Send>;

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    queue_max: usize,
    taken: Counter,
    busy: Counter,
}

/// What a pool counts, at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolSeen {
    /// Jobs that wait for a thread.
    pub queued: usize,
    /// Jobs that were taken.
    pub taken: u64,
    /// Jobs that were refused because the queue was full.
    pub busy: u64,
}

struct State {
    queue: VecDeque<Job>,
    closed: bool,
}

impl Pool {
    /// Starts `threads` threads, before which at most `queue_max` jobs wait.
    pub fn new(threads: NonZeroUsize, queue_max: usize) -> io::Result<Pool> {
        let state = Mutex::new(State { queue: VecDeque::new(), closed: false });
        // Made first: if a thread cannot be started, dropping the pool ends those that were.
        let pool = Pool { shared: Arc::new(Shared::new(state, queue_max)) };
        for number in 0..threads.get() {
            let shared = Arc::clone(&pool.shared);
            thread::Builder::new().name(format!("pool-{number}")).spawn(move || shared.work())?;
        }
        Ok(pool)
    }

    /// What was counted since it was started.
    pub fn seen(&self) -> PoolSeen {
        let shared = &*self.shared;
        PoolSeen { queued: shared.lock().queue.len(), taken: shared.taken.value(), busy: shared.busy.value() }
    }

    /// Runs a job on one of the threads. A job whose caller has gone away before its turn is not run.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, PoolError> {
        let (sender, receiver) = oneshot::channel();
        self.give(move |turn| {
            if !sender.is_closed() {
                // A caller that goes away while its job runs does not want the result.
                let _ = sender.send(turn.map(|()| job()));
            }
        });
        receiver.await.map_err(|_| PoolError::Panicked)?
    }

    /// Gives a job to the threads without waiting for it: it is told, at once and by this thread, if there is no room for it.
    pub(crate) fn give(&self, job: impl FnOnce(Result<(), PoolError>) + Send + 'static) {
        if let Err(refused) = self.shared.push(Box::new(job)) {
            refused(Err(PoolError::Busy));
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn new(state: Mutex<State>, queue_max: usize) -> Shared {
        Shared { state, changed: Condvar::new(), queue_max, taken: Counter::default(), busy: Counter::default() }
    }

    /// Takes a job, or gives it back.
    fn push(&self, job: Job) -> Result<(), Job> {
        let mut state = self.lock();
        if state.queue.len() >= self.queue_max {
            self.busy.count();
            return Err(job);
        }
        state.queue.push_back(job);
        self.taken.count();
        self.changed.notify_one();
        Ok(())
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            // A job's captures are dropped with it, so nothing half-changed is left to see. Its sender is dropped too,
            // which is how the caller learns of a panic.
            let _ = catch_unwind(AssertUnwindSafe(|| job(Ok(()))));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            match state.queue.pop_front() {
                Some(job) => return Some(job),
                None if state.closed => return None,
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// No code that panics runs under the lock, so it is never poisoned.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
