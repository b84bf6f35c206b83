//! What a connection is doing, and so how long it may go on doing it.
//!
//! hyper's own time-outs do not tell an idle connection from a head that trickles in, and know nothing of the first byte
//! by which HTTP/1 and HTTP/2 are told apart. So the stream notes when bytes come, requests when they begin and when their
//! replies have been taken, and whoever drives the connection asks for the deadline. A request may end in another task
//! than the connection's, so its end wakes the driver.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::{io, mem};

use http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::limits::Limits;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing since.
    Idle(Instant),
    /// A head is coming in since.
    Head(Instant),
    /// Requests are being answered, the oldest since.
    Busy(Instant),
    /// It is to end, and nothing is being answered since.
    Closing(Instant),
}

/// The phase of one connection, shared by its stream, its requests and its driver.
pub(crate) struct Activity(Mutex<State>);

struct State {
    /// What it does, or did, beside answering requests.
    quiet: Quiet,
    since: Instant,
    /// Requests whose replies have not been taken, in the order in which they came.
    requests: BTreeMap<u64, Instant>,
    next: u64,
    multiplexed: bool,
    driver: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quiet {
    Idle,
    Head,
    Closing,
}

impl Activity {
    /// A new connection owes a head.
    pub(crate) fn new() -> Activity {
        Activity(Mutex::new(State {
            quiet: Quiet::Head,
            since: Instant::now(),
            requests: BTreeMap::new(),
            next: 0,
            multiplexed: false,
            driver: None,
        }))
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase()
    }

    /// When the phase must have ended. Whoever asks is woken when another task ends the phase.
    pub(crate) fn deadline(&self, limits: &Limits, driver: &Waker) -> Option<Instant> {
        let mut state = self.lock();
        state.driver = Some(driver.clone());
        match state.phase() {
            Phase::Idle(since) => since.checked_add(limits.idle_time_max),
            Phase::Head(since) => since.checked_add(limits.head_time_max),
            Phase::Closing(since) => since.checked_add(limits.linger_time_max),
            // A request has a time of its own: only a reply that nobody takes outlasts it.
            Phase::Busy(since) => since.checked_add(limits.request_time_max)?.checked_add(limits.idle_time_max),
        }
    }

    /// A request begins. It ends when the last clone of the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>, version: Version) -> InFlight {
        let mut state = self.lock();
        let number = state.next;
        state.next = number.wrapping_add(1);
        state.multiplexed = version == Version::HTTP_2;
        state.requests.insert(number, Instant::now());
        InFlight { _ends: Arc::new(Ends { activity: Arc::clone(self), number }) }
    }

    /// The connection is to end: at once, or when what is in flight is done.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        if state.quiet != Quiet::Closing {
            state.be(Quiet::Closing);
        }
    }

    /// Bytes came. On an idle HTTP/1 connection they begin a head; HTTP/2 has frames that begin nothing.
    fn heard(&self) {
        let mut state = self.lock();
        if matches!(state.phase(), Phase::Idle(_)) && !state.multiplexed {
            state.be(Quiet::Head);
        }
    }

    fn end(&self, number: u64) {
        let mut state = self.lock();
        state.requests.remove(&number);
        if !state.requests.is_empty() {
            return;
        }
        let next = if state.quiet == Quiet::Closing { Quiet::Closing } else { Quiet::Idle };
        state.be(next);
        if let Some(driver) = state.driver.take() {
            driver.wake();
        }
    }

    /// No code that panics runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn phase(&self) -> Phase {
        match (self.requests.first_key_value(), self.quiet) {
            (Some((_, begun)), _) => Phase::Busy(*begun),
            (None, Quiet::Idle) => Phase::Idle(self.since),
            (None, Quiet::Head) => Phase::Head(self.since),
            (None, Quiet::Closing) => Phase::Closing(self.since),
        }
    }

    fn be(&mut self, quiet: Quiet) {
        (self.quiet, self.since) = (quiet, Instant::now());
    }
}

/// A request that is being answered, or whose reply is being taken.
#[derive(Clone)]
pub(crate) struct InFlight {
    _ends: Arc<Ends>,
}

struct Ends {
    activity: Arc<Activity>,
    number: u64,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.activity.end(self.number);
    }
}

/// A stream that notes when bytes come, and that closes without cutting off what was sent.
///
/// A socket closed with bytes unread resets the connection, and the reset may overtake the reply that said why
/// (RFC 9112, 9.6). So after closing our side the rest is read and thrown away, until the client closes or the driver's
/// patience ends.
pub(crate) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    closed: bool,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>) -> Watched<S> {
        Watched { stream, activity, closed: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.activity.heard();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.activity.close();
        if !self.closed {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.closed = true;
        }
        let mut scratch = [mem::MaybeUninit::uninit(); SCRATCH_BYTES];
        loop {
            let mut buf = ReadBuf::uninit(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                // An error ends it as well: there is nobody left to tell.
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

const SCRATCH_BYTES: usize = 4_096;
