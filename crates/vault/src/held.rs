//! Work in a token, on threads of its own.
//!
//! A module may not answer, for as long as it likes, and the thread that called it is gone for that time. So as many threads as the
//! token has sessions do nothing else: what needs no token goes on beside them. Whoever waits for one does so for a while, and
//! when all of them are gone the next are told at once that it is busy. A job that was not begun by then is not done later.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use skerry_keys::{CustodyError, Fault, Token};
use tokio::time::timeout;

use crate::limits::{TOKEN_QUEUE_MAX, TOKEN_TIME_MAX};
use crate::pool::Pool;
use crate::refusal::Refusal;
use crate::vault::refuse_pool;

/// A token, and the threads that call it.
pub(crate) struct Held {
    pub(crate) token: Arc<Token>,
    pool: Pool,
    within: Duration,
}

impl Held {
    pub(crate) fn start(token: Arc<Token>) -> std::io::Result<Held> {
        let threads = NonZeroUsize::new(token.sessions_max()).unwrap_or(NonZeroUsize::MIN);
        Ok(Held { token, pool: Pool::new(threads, TOKEN_QUEUE_MAX)?, within: TOKEN_TIME_MAX })
    }

    /// Has it done, or says that the token did not answer in time.
    pub(crate) async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        match timeout(self.within, self.pool.run(job)).await {
            Ok(done) => done.map_err(refuse_pool),
            Err(_) => {
                self.token.note_silence();
                Err(Refusal::Custody(CustodyError::Token(Fault::Silent)))
            }
        }
    }
}
