//! Attempts at the same thing that run beside each other.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// Some, each with the number of the server it asks.
pub(crate) struct Attempts<'a, T>(Vec<Running<'a, T>>);

type Running<'a, T> = (usize, Pin<Box<dyn Future<Output = T> + Send + 'a>>);

impl<'a, T> Attempts<'a, T> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn add(&mut self, server: usize, attempt: impl Future<Output = T> + Send + 'a) {
        self.0.push((server, Box::pin(attempt)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first that ends; never, if there is none.
    pub(crate) async fn next(&mut self) -> (usize, T) {
        poll_fn(|context| {
            let ended =
                self.0.iter_mut().enumerate().find_map(|(at, (_, attempt))| match attempt.as_mut().poll(context) {
                    Poll::Ready(end) => Some((at, end)),
                    Poll::Pending => None,
                });
            match ended {
                Some((at, end)) => {
                    let (server, _) = self.0.swap_remove(at);
                    Poll::Ready((server, end))
                }
                None => Poll::Pending,
            }
        })
        .await
    }
}
