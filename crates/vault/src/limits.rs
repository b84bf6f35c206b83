//! Limits of a vault's requests.

use std::time::Duration;

/// Bytes of a release request's nonce, which is echoed. Azure documents none; the SDK's samples send a few dozen.
pub const NONCE_BYTES_MAX: usize = 1024;

/// Characters of a key's name (Azure: 1 to 127, `[0-9a-zA-Z-]`).
pub const NAME_CHARS_MAX: usize = 127;

/// Tags of a key version (Azure documents 15).
pub const TAGS_MAX: usize = 15;

/// Characters of a tag's name and of its value (Azure documents 256 each).
pub const TAG_CHARS_MAX: usize = 256;

/// Versions of a key: what one of Azure's backups holds; a Managed HSM has 100.
pub const VERSIONS_MAX: usize = 500;

/// Rows of a page (Azure: 25, which is also the most that can be asked for).
pub const PAGE_ROWS_MAX: usize = 25;

/// Characters of a page token that are looked at: ours have about 400.
pub const PAGE_TOKEN_CHARS_MAX: usize = 1024;

/// Days that a deleted key is kept (Azure: 7 to 90, 90 unless said otherwise).
pub const RETENTION_DAYS: std::ops::RangeInclusive<u32> = 7..=90;

/// How often a change is tried anew because another came in between.
pub const ATTEMPTS_MAX: usize = 16;

/// Verified tokens kept, each a few kB of claims: a TEE presents its token again within its 8 hours.
pub const TOKENS_MAX: usize = 4_096;

/// Decoded key heads and versions kept, each a few kB.
pub const RECORDS_CACHED_MAX: usize = 8_192;

/// Opened keys kept in memory, each a few kB.
pub const OPENED_CACHED_MAX: usize = 1_024;

/// Attestation authorities one vault believes.
pub const AUTHORITIES_MAX: usize = 64;

/// Bytes of a denial's explanation in the log, whose records hold 64 KiB; escaping makes a byte six at worst.
pub const EXPLANATION_BYTES_MAX: usize = 8 * 1024;

/// How long what is durable in the audit log waits to be published: a checkpoint's age is what a witness sees of a delay.
pub const PUBLISH_INTERVAL: Duration = Duration::from_secs(10);

/// Records after which it is published at once: sixteen full tiles.
pub const PUBLISH_RECORDS_MAX: u64 = 4096;

/// How long after the store acknowledged something no commit comes any more that was under way then: ten times what one is waited
/// for, after which it is settled.
pub const ACKNOWLEDGED_AFTER: Duration = Duration::from_secs(60);

/// Octets of the file in which a node keeps the newest checkpoints of others, of some 250 octets each: as many as a history keeps.
pub const WITNESSED_LEN_MAX: usize = 4 * 1024 * 1024;

/// Octets that a disk has to have left for anything new to be recorded: what ten thousand records a second, at 1.5 KiB each,
/// take until somebody looks again, so that outcomes of what was begun always find room.
pub const DISK_FREE_MIN: u64 = 16 * 1024 * 1024;

/// How long a use of a key waits to be put on record: the stated lag.
pub const USES_LAG: Duration = Duration::from_secs(1);

/// Uses after which they are put on record at once: at 10,000 a second some twenty writes.
pub const USES_WRITTEN_AT: usize = 512;

/// Uses in one write, so that nobody waits long for the log's lock: a quarter of a millisecond.
pub const USES_TOGETHER: usize = 128;

/// Uses that wait: more than a second of the most that two cores were seen to do. At some 200 octets each, 6 MiB.
pub const USES_WAITING_MAX: usize = 32 * 1024;

/// Denials of one caller that go on record each for itself, one after another: more than anybody makes by mistake.
pub const DENIALS_AT_ONCE: u64 = 240;

/// And then, a second.
pub const DENIALS_PER_SEC: u64 = 4;

/// Callers that have a budget of denials of their own; all others share one.
pub const DENIED_CALLERS_MAX: usize = 4096;

/// Rows that a restore takes away in one transaction: below `skerry_store::limits::TXN_OPS_MAX`.
pub const RECOVERED_AT_ONCE: usize = 100;

/// How often nodes look at each other's rows, and put their own: what is read is at most so old, which has to be little beside
/// the 60 s that clocks may be apart (docs/decisions/024).
pub const CLOCK_LOOK: Duration = Duration::from_secs(10);

/// Looks without news after which a node is gone: a few more than one or two that an election of etcd's delays.
pub const CLOCK_QUIET_LOOKS: u32 = 5;

/// How long a token may take for one piece of work: a token on its network makes an RSA key of 4096 bits in some 20 s, and a client is
/// told 503 after a minute in any case.
pub const TOKEN_TIME_MAX: Duration = Duration::from_secs(30);

/// Work that waits for one of a token's sessions: at 10 ms each on 16 of them, a third of a second.
pub const TOKEN_QUEUE_MAX: usize = 512;
