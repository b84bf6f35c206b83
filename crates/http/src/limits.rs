//! What a stranger may cost before and while being answered, each number with its source.
//!
//! One [`Limits`] serves one listener. Counts bound memory, times bound how long it is held: a connection holds at most
//! `head_bytes_max` of its own, and all bodies together `bodies_bytes_max`. What a body may hold is the surface's to say,
//! and an argument of [`Request::body`](crate::Request::body).

use std::time::Duration;

use skerry_jose::json;

/// What one listener admits. A program may lower them; [`Limits::default`] holds the reasoned ones below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once; more are closed as they are accepted.
    pub connections_max: usize,
    /// Connections open at once from one address, or from one /64 of IPv6. A gateway in front is one address.
    pub connections_per_peer_max: usize,
    /// Requests being answered at once; more get 503. One whose body is still coming counts.
    pub in_flight_max: usize,
    /// Requests being answered at once for one address, or one /64 of IPv6; more get 503. A gateway in front is one address.
    pub in_flight_per_peer_max: usize,
    /// Bytes of all request bodies held at once; a body beyond them gets 503.
    pub bodies_bytes_max: usize,
    /// Bytes of a request's line and headers; no less than 8 KiB.
    pub head_bytes_max: usize,
    /// Headers of a request.
    pub headers_max: usize,
    /// Parameters in a query.
    pub parameters_max: usize,
    /// Segments in a path.
    pub segments_max: usize,
    /// Bytes read and thrown away after a reply that did not want the body.
    pub unread_bytes_max: usize,
    /// From the accepted connection to the end of the TLS handshake.
    pub handshake_time_max: Duration,
    /// From the first byte of a request's head to its end; a new connection counts from its handshake on.
    pub head_time_max: Duration,
    /// From asking for a body to its end.
    pub body_time_max: Duration,
    /// A connection on which nothing is being answered; and what a client gets to take an answer, on top of its request's time.
    pub idle_time_max: Duration,
    /// From the end of the head to the reply.
    pub request_time_max: Duration,
    /// For a client to take what was sent and to close, once the server has closed its side.
    pub linger_time_max: Duration,
    /// For requests in flight when the server stops.
    pub drain_time_max: Duration,
    /// HTTP/2 streams open at once on a connection.
    pub h2_streams_max: u32,
    /// HTTP/2 streams that the client reset and the server has not yet seen to (CVE-2023-44487, rapid reset).
    pub h2_pending_resets_max: usize,
    /// HTTP/2 streams that the server reset for the client's errors (CVE-2025-8671, made you reset).
    pub h2_local_resets_max: usize,
    /// HTTP/2 window of a stream.
    pub h2_stream_window_bytes: u32,
    /// HTTP/2 window of a connection: bytes received and not yet asked for.
    pub h2_connection_window_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            connections_per_peer_max: CONNECTIONS_PER_PEER_MAX,
            in_flight_max: IN_FLIGHT_MAX,
            in_flight_per_peer_max: IN_FLIGHT_PER_PEER_MAX,
            bodies_bytes_max: BODIES_BYTES_MAX,
            head_bytes_max: HEAD_BYTES_MAX,
            headers_max: HEADERS_MAX,
            parameters_max: PARAMETERS_MAX,
            segments_max: SEGMENTS_MAX,
            unread_bytes_max: UNREAD_BYTES_MAX,
            handshake_time_max: HANDSHAKE_TIME_MAX,
            head_time_max: HEAD_TIME_MAX,
            body_time_max: BODY_TIME_MAX,
            idle_time_max: IDLE_TIME_MAX,
            request_time_max: REQUEST_TIME_MAX,
            linger_time_max: LINGER_TIME_MAX,
            drain_time_max: DRAIN_TIME_MAX,
            h2_streams_max: H2_STREAMS_MAX,
            h2_pending_resets_max: H2_PENDING_RESETS_MAX,
            h2_local_resets_max: H2_LOCAL_RESETS_MAX,
            h2_stream_window_bytes: H2_STREAM_WINDOW_BYTES,
            h2_connection_window_bytes: H2_CONNECTION_WINDOW_BYTES,
        }
    }
}

/// Body of a vault request; Azure publishes none. The largest are texts to be encrypted.
pub const VAULT_BODY_BYTES_MAX: usize = 512 * 1024;

/// Body of a restore: a backup has up to 1 MiB (`skerry_store::limits::VALUE_LEN_MAX`), base64 a third more.
pub const RESTORE_BODY_BYTES_MAX: usize = 1_536 * 1024;

/// JSON of such a body: few members, of which one is long.
pub(crate) const VAULT_JSON: json::Limits =
    json::Limits { bytes_max: RESTORE_BODY_BYTES_MAX, depth_max: 8, values_max: 512, number_digits_max: 32 };

/// Body of a token or metadata request: a form of six short fields and a secret.
pub const FORM_BYTES_MAX: usize = 16 * 1024;

/// Fields in such a form: MSAL sends seven (observed), assertions need two more.
pub const FORM_FIELDS_MAX: usize = 32;

/// Visible ASCII in `x-ms-client-request-id`. SDKs send a UUID of 36 (observed); the bound is ours.
pub const CLIENT_REQUEST_ID_CHARS_MAX: usize = 128;

/// hyper panics below.
pub(crate) const HEAD_BYTES_MIN: usize = 8 * 1024;

/// RFC 1035, 2.3.4, and a port.
pub const HOST_BYTES_MAX: usize = 253 + 6;

/// 128 MiB at `HEAD_BYTES_MAX`. The process needs as many descriptors; short of them the listener waits, see server.rs.
const CONNECTIONS_MAX: usize = 4_096;
/// Many TEEs come from behind one NAT or gateway; a single address shall not take everything.
const CONNECTIONS_PER_PEER_MAX: usize = 1_024;
/// A private-key operation takes about a millisecond of a core: past this, a queue is a second long on one core.
const IN_FLIGHT_MAX: usize = 1_024;
/// As with connections: a single address that is slow to send its bodies shall not take every place.
const IN_FLIGHT_PER_PEER_MAX: usize = 256;
/// Sixty-four attest requests of the largest size; recorded ones have 16 KB to 132 KB.
const BODIES_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bearer tokens with many groups reach 16 KB (Kestrel's own total is 32 KiB).
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Kestrel's own default; SDKs send about fifteen.
const HEADERS_MAX: usize = 100;
/// No operation takes more than five.
const PARAMETERS_MAX: usize = 64;
/// The longest route (role assignments) has seven.
const SEGMENTS_MAX: usize = 32;
/// A challenge answers a request whose body is on its way: a release request carries a token of 16 KB.
const UNREAD_BYTES_MAX: usize = 64 * 1024;
/// Kestrel's own default.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// OWASP's advice against slow headers (mod_reqtimeout: 20 s for a first byte, then by rate); heads are one packet.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// 4 MiB at 140 kB/s.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// nginx's own default; longer than the 60 s after which load balancers drop theirs, so that they close first.
const IDLE_TIME_MAX: Duration = Duration::from_secs(75);
/// Shorter than the 100 s after which the least patient of Azure's SDKs (.NET) gives up.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);
/// nginx's `lingering_timeout`.
const LINGER_TIME_MAX: Duration = Duration::from_secs(5);
/// Kubernetes gives 30 s from SIGTERM to SIGKILL; five are left for the rest.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(25);
/// RFC 9113, 6.5.2 asks for 100 or more as a recommendation; clients here run a handful at once.
const H2_STREAMS_MAX: u32 = 64;
/// h2's own default.
const H2_PENDING_RESETS_MAX: usize = 20;
/// An eighth of h2's own default.
const H2_LOCAL_RESETS_MAX: usize = 128;
/// RFC 9113, 6.5.2: the initial value of the protocol.
const H2_STREAM_WINDOW_BYTES: u32 = 65_535;
/// Twice a stream's: at `CONNECTIONS_MAX` half a GiB in the worst case.
const H2_CONNECTION_WINDOW_BYTES: u32 = 128 * 1024;
