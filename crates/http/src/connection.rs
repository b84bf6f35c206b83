//! One connection, driven under deadlines until it or the server ends.
//!
//! Over TLS the version is the one agreed in the handshake (RFC 9113, 3.2); without, HTTP/2 is told by its first bytes.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::activity::{Activity, Phase, Watched};
use crate::front::Front;
use crate::limits::{HEAD_BYTES_MIN, Limits};

/// Who is at the other end, and what was agreed with it.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// The name that TLS was opened for.
    pub(crate) sni: Option<Arc<str>>,
    pub(crate) protocol: Protocol,
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
    /// Nothing was agreed: the first bytes tell.
    Either,
}

/// Answers requests until the client leaves, a deadline passes, or `stop` becomes true and what was begun is done.
pub(crate) async fn serve<S>(stream: S, peer: Peer, front: Arc<Front>, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new());
    let (limits, protocol) = (*front.limits(), peer.protocol);
    let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
        let (front, peer, in_flight) = (Arc::clone(&front), peer.clone(), activity.begin(request.version()));
        async move { Ok::<_, Infallible>(front.answer(request, &peer, in_flight).await) }
    });
    let builder = builder(&limits, protocol);
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut stopping = false;
    loop {
        tokio::select! {
            biased;
            // An error is the client's: broken framing or a broken connection. It was answered if it could be.
            _ = connection.as_mut() => return,
            phase = expired(&activity, &limits) => match phase {
                Phase::Idle(_) => activity.close(),
                // A head that does not come, a reply that is not taken, a client that does not close: it is cut off.
                _ => return,
            },
            () = stopped(&mut stop), if !stopping => {
                stopping = true;
                activity.close();
            }
        }
        connection.as_mut().graceful_shutdown();
    }
}

/// Ready once the server is to stop; a sender that is gone means that the server is.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Ready once the connection's phase has lasted too long. The phase is looked at again whenever the connection was driven,
/// and when another task ended it.
async fn expired(activity: &Activity, limits: &Limits) -> Phase {
    let mut sleep = pin!(sleep_until(Instant::now()));
    poll_fn(|cx| {
        let Some(deadline) = activity.deadline(limits, cx.waker()) else { return Poll::Pending };
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    })
    .await;
    activity.phase()
}

fn builder(limits: &Limits, protocol: Protocol) -> Builder<TokioExecutor> {
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = match protocol {
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
        Protocol::Either => builder,
    };
    builder
        .http1()
        .timer(TokioTimer::new())
        // Kept by `Activity`, which tells idle from slow.
        .header_read_timeout(None)
        .max_headers(limits.headers_max)
        .max_buf_size(limits.head_bytes_max.max(HEAD_BYTES_MIN))
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams_max)
        .max_pending_accept_reset_streams(limits.h2_pending_resets_max)
        .max_local_error_reset_streams(limits.h2_local_resets_max)
        .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(limits.h2_stream_window_bytes.min(H2_WINDOW_BYTES_MAX))
        .initial_connection_window_size(limits.h2_connection_window_bytes.min(H2_WINDOW_BYTES_MAX));
    builder
}

/// RFC 9113, 6.9.1. h2 panics beyond.
const H2_WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;
