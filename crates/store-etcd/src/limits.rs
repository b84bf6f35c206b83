//! Sizes and times, each with the source of the number.

use std::time::Duration;

/// Longest prefix in octets. With at most 507 keys in a transaction (126 changes, 126 checks twice, and our own) it takes
/// 32 KiB of the 64 that `skerry_store::limits::TXN_LEN_MAX` leaves to framing.
pub const PREFIX_LEN_MAX: usize = 64;

/// Servers of one cluster: etcd advises against more than seven; some are added before others go.
pub const ENDPOINTS_MAX: usize = 16;

/// Longest answer in octets that is taken from a server. A page is at most 4 MiB and one row; a watch is asked for
/// in fragments, which etcd makes at 2 MiB, or of one event.
pub const ANSWER_LEN_MAX: usize = 8 * 1024 * 1024;

/// Rows asked for at first, of a page of which nothing is known; 64 of the longest are 64 MiB in the server.
pub const ROWS_AT_FIRST: usize = 64;

/// Rows asked for when values are long: so many of the longest fit into [`ANSWER_LEN_MAX`].
pub const ROWS_AT_LEAST: usize = 4;

/// Longest name of a lease, and of its holder, in octets.
pub const LEASE_NAME_LEN_MAX: usize = 128;

/// Callers that wait for one fence; more wait in line.
pub const FENCE_QUEUE_MAX: usize = 4096;

/// Octets of the cache of entries unless configured, as the embedded engine's page cache.
pub const CACHE_LEN: usize = 64 * 1024 * 1024;

/// Making a connection: a round trip or three, on a network that works.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// One attempt to read: as long as etcd waits for a leader by default before it elects another.
pub const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// One attempt to read a page.
pub const PAGE_TIMEOUT: Duration = Duration::from_secs(3);

/// Beside an attempt to read, or to connect, that takes longer than this part of its time another begins, on the next
/// server: 200 ms, which is a hundred round trips of a site, and less than an election takes.
pub const AGAIN_PART: u32 = 5;

/// One attempt to commit. When it is over the outcome is unknown.
pub const COMMIT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a commit is waited for before anybody looks whether that is in vain.
pub const COMMIT_PATIENCE: Duration = Duration::from_millis(300);

/// How long servers are listened to when one looks: they answer from memory.
pub const LOOK_TIMEOUT: Duration = Duration::from_millis(100);

/// From one look to the next, which all share who wait.
pub const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// How long a commit is waited for after another leader was seen: what went to the new one is answered by then. What the old
/// one left on its way is lost, or else is settled as what it is.
pub const ELECTED_PATIENCE: Duration = Duration::from_millis(150);

/// How long a server says nothing, while another does, until it is given up: servers that collect garbage or wait for their disk
/// still tell what they are.
pub const SILENCE: Duration = Duration::from_secs(1);

/// All attempts together: some elections, and less than callers wait for an answer of ours.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// From one attempt to the next when all servers have refused.
pub const PAUSE: Duration = Duration::from_millis(25);

/// How long a read waits for the watch to bring what the fence saw; after it the server is asked. A watch is some
/// milliseconds behind when all is well.
pub const WATCH_PATIENCE: Duration = Duration::from_millis(50);

/// A connection that is silent is asked after this time whether it still is one; servers of etcd forbid to ask oftener than
/// every 5 seconds (`--grpc-keepalive-min-time`).
pub const KEEP_ALIVE: Duration = Duration::from_secs(6);

/// And it is given up when nothing answers for so long.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// How old history has to be to be compacted: longer than anybody takes from one page to the next. At 1,000 commits a second
/// of 3 KiB it is 1.8 GB, of the 8 GiB that etcd advises.
pub const HISTORY_KEPT: Duration = Duration::from_secs(10 * 60);

/// From one look at what is to be compacted or swept to the next.
pub const UPKEEP_PAUSE: Duration = Duration::from_secs(60);

/// How long the lease of that work is.
pub const UPKEEP_TTL: Duration = Duration::from_secs(60);

/// Commits between two marks: a quarter of the op ids that are remembered.
pub const MARK_COMMITS: u64 = 64 * 1024;

/// Marks that are kept; five are enough for the op ids.
pub const MARKS_MAX: usize = 64;

/// Op ids that are removed in one transaction: etcd's 128 operations.
pub const SWEEP_OPS_MAX: usize = 128;

/// How long history is kept for who reads one revision and is not heard of any more.
pub const HOLD_TTL: Duration = Duration::from_secs(60);

/// Rows in one answer to an export: with keys and records of a kilobyte half of [`ANSWER_LEN_MAX`].
pub const EXPORT_ROWS_MAX: usize = 4096;

/// Pages of an export that wait for who takes them; each is an answer.
pub const EXPORT_PAGES_MAX: usize = 2;

/// Op ids in one answer to an export: some 400 KiB.
pub const EXPORT_OPS: i64 = 4096;
