//! Fences that callers share: all that wait get the next one that is begun after they came.

use crate::core::Core;
use crate::limits::FENCE_QUEUE_MAX;
use skerry_store::{Revision, StoreError};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

type Reply = oneshot::Sender<Result<Revision, StoreError>>;

/// Asks for fences.
#[derive(Clone)]
pub(crate) struct Fences(mpsc::Sender<Reply>);

impl Fences {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Reply>) {
        let (ask, asked) = mpsc::channel(FENCE_QUEUE_MAX);
        (Self(ask), asked)
    }

    /// A revision that has every commit acknowledged before the call.
    pub(crate) async fn next(&self) -> Result<Revision, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.0.send(reply).await.map_err(|_| StoreError::Failed)?;
        answer.await.unwrap_or(Err(StoreError::Failed))
    }
}

/// Reads the head, once for all that wait, again and again.
pub(crate) async fn run(core: Arc<Core>, mut asked: mpsc::Receiver<Reply>) {
    while let Some(first) = asked.recv().await {
        let mut waiting = vec![first];
        // Who is taken here came before the read that follows. Who comes later gets the next.
        while let Ok(next) = asked.try_recv() {
            waiting.push(next);
        }
        let answer = core.head().await.map(|head| head.revision);
        for reply in waiting {
            // Who asked may have gone.
            drop(reply.send(answer.clone()));
        }
    }
}
