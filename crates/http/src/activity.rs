//! What a connection is doing, and so how long it may go on doing it.
//!
//! hyper's own time-outs do not tell an idle connection from a head that trickles in, and know nothing of the first byte
//! by which HTTP/1 and HTTP/2 are told apart. So the stream notes when bytes come, the service when requests begin and
//! end, and whoever drives the connection asks for the deadline.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
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
    /// Requests are being answered; each has a time of its own.
    Busy,
    /// Our side is closed since.
    Closing(Instant),
}

/// The phase of one connection, shared by its stream, its requests and its driver.
pub(crate) struct Activity(Mutex<State>);

struct State {
    phase: Phase,
    in_flight: usize,
    multiplexed: bool,
}

impl Activity {
    /// A new connection owes a head.
    pub(crate) fn new() -> Activity {
        Activity(Mutex::new(State { phase: Phase::Head(Instant::now()), in_flight: 0, multiplexed: false }))
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// When the phase must have ended.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        match self.phase() {
            Phase::Idle(since) => since.checked_add(limits.idle_time_max),
            Phase::Head(since) => since.checked_add(limits.head_time_max),
            Phase::Closing(since) => since.checked_add(limits.linger_time_max),
            Phase::Busy => None,
        }
    }

    /// A request begins, and ends when the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>, version: Version) -> InFlight {
        let mut state = self.lock();
        state.multiplexed = version == Version::HTTP_2;
        state.in_flight = state.in_flight.saturating_add(1);
        state.phase = Phase::Busy;
        InFlight(Arc::clone(self))
    }

    /// Our side is closed, or will be once what is in flight is done.
    pub(crate) fn close(&self) {
        self.lock().phase = Phase::Closing(Instant::now());
    }

    /// Bytes came. On an idle HTTP/1 connection they begin a head; HTTP/2 has frames that begin nothing.
    fn heard(&self) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Idle(_)) && !state.multiplexed {
            state.phase = Phase::Head(Instant::now());
        }
    }

    fn end(&self) {
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        if state.in_flight == 0 && state.phase == Phase::Busy {
            state.phase = Phase::Idle(Instant::now());
        }
    }

    /// No code that panics runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered.
pub(crate) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.end();
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
        if !self.closed {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.closed = true;
            self.activity.close();
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
