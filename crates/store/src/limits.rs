//! Sizes, each with the source of the number. What fits here fits every engine.

/// Longest key in octets. Our longest names a vault (24), a key (127) and a version (32) with separators and a prefix:
/// below 256; twice that is room for an index.
pub const KEY_LEN_MAX: usize = 512;

/// Longest value in octets: with its key and the overhead of a request it stays below etcd's 1.5 MiB.
pub const VALUE_LEN_MAX: usize = 1024 * 1024;

/// Operations in one transaction: etcd's `--max-txn-ops` is 128 by default, and the op id and the head take one each.
pub const TXN_OPS_MAX: usize = 126;

/// Checks in one transaction: etcd counts comparisons against the same 128, and the op id and the head take one each.
pub const TXN_CHECKS_MAX: usize = 126;

/// Octets of one transaction: etcd's `--max-request-bytes` is 1.5 MiB by default; 64 KiB are left to framing. Keys of
/// checks count twice, since on etcd a failed transaction asks for them again to name the one that failed.
pub const TXN_LEN_MAX: usize = 1536 * 1024 - 64 * 1024;

/// Rows in one page; callers ask for tens.
pub const PAGE_ROWS_MAX: usize = 1000;

/// Octets of keys and values in one page, so that a page of long values does not take a gibibyte: the default limit of a
/// gRPC message in tonic.
pub const PAGE_LEN_MAX: usize = 4 * 1024 * 1024;

/// Op ids remembered. At the highest rate measured of redb on two cores (about 10,000 commits a second) this is 25
/// seconds, longer than a caller waits for an answer; at usual rates it is days. In memory it is about 24 MiB.
pub const OPS_MAX: usize = 256 * 1024;

/// Revisions whose changes are kept in memory, for snapshots and watches.
pub const HISTORY_REVISIONS_MAX: usize = 64 * 1024;

/// Octets of keys and values, before and after, in that history: 16,000 changes of records of 2 KiB.
pub const HISTORY_LEN_MAX: usize = 64 * 1024 * 1024;

/// Keys that changed lately of which one look into the past takes note, so that readers of it do not hold up the writer: some
/// 50 us. A page that needs more takes several looks.
pub const OVERLAY_MAX: usize = 512;

/// Transactions that share one durable commit of redb. Bounds how long the first of them waits for the others.
pub const GROUP_MAX: usize = 1024;

/// Octets of transactions that share one durable commit.
pub const GROUP_LEN_MAX: usize = 16 * 1024 * 1024;

/// Transactions that wait for the writer; more wait in their callers.
pub const QUEUE_MAX: usize = 1024;

/// redb's page cache in octets unless configured. Its own default of 1 GiB is more than a small machine has.
pub const CACHE_LEN: usize = 64 * 1024 * 1024;
