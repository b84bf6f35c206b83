//! Work for threads: done, refused when there is too much, and never the end of its thread.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use skerry_http::{Pool, PoolError};

use crate::support::{in_time, runtime};

fn pool(queue_max: usize) -> Arc<Pool> {
    Arc::new(Pool::new(NonZeroUsize::MIN, queue_max).unwrap())
}

/// Occupies the one thread until the sender is used or dropped.
async fn occupy(pool: &Arc<Pool>) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let (begun, begins) = tokio::sync::oneshot::channel();
    let busy = Arc::clone(pool);
    tokio::spawn(async move {
        let hold = move || {
            begun.send(()).unwrap();
            let _ = held.recv();
        };
        busy.run(hold).await.unwrap();
    });
    in_time(begins).await.unwrap();
    release
}

/// What a job gives is what its caller gets, from another thread.
#[test]
fn a_job_gives_its_result() {
    runtime().block_on(async {
        let pool = pool(1);
        let name = in_time(pool.run(|| std::thread::current().name().map(str::to_owned))).await.unwrap();
        assert_eq!(name.as_deref(), Some("pool-0"));
    });
}

/// A full queue refuses at once, and takes work again once there is room.
#[test]
fn a_full_queue_refuses() {
    runtime().block_on(async {
        let pool = pool(1);
        let release = occupy(&pool).await;
        let queued = pool.run(|| 1);
        tokio::pin!(queued);
        assert!(futures_pending(&mut queued).await);
        assert_eq!(pool.run(|| 2).await, Err(PoolError::Busy));
        drop(release);
        assert_eq!(in_time(queued).await, Ok(1));
        assert_eq!(in_time(pool.run(|| 3)).await, Ok(3));
    });
}

/// A job that panics is told to its caller alone; its thread goes on.
#[test]
fn a_panic_fails_one_job() {
    runtime().block_on(async {
        let pool = pool(4);
        let panicked: Result<(), _> = in_time(pool.run(|| panic!("on purpose"))).await;
        assert_eq!(panicked, Err(PoolError::Panicked));
        assert_eq!(in_time(pool.run(|| 1)).await, Ok(1));
    });
}

/// What nobody waits for any more is not done.
#[test]
fn a_job_without_a_caller_is_not_run() {
    runtime().block_on(async {
        let (pool, ran) = (pool(4), Arc::new(AtomicUsize::new(0)));
        let release = occupy(&pool).await;
        let count = |ran: &Arc<AtomicUsize>| {
            let ran = Arc::clone(ran);
            move || ran.fetch_add(1, Ordering::Relaxed)
        };
        {
            let abandoned = pool.run(count(&ran));
            tokio::pin!(abandoned);
            assert!(futures_pending(&mut abandoned).await);
        }
        drop(release);
        assert_eq!(in_time(pool.run(count(&ran))).await, Ok(0));
    });
}

/// The last handle may go while work is queued: it is done all the same.
#[test]
fn queued_work_outlives_the_pool() {
    runtime().block_on(async {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let pool = pool(4);
        let release = occupy(&pool).await;
        let last = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(move || sender.send(()).unwrap()).await }
        });
        drop((pool, release));
        in_time(receiver).await.unwrap();
        assert_eq!(in_time(last).await.unwrap(), Ok(()));
    });
}

/// Polled once, the future is not ready.
async fn futures_pending<F: Future>(future: &mut std::pin::Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}
