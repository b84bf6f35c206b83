//! Every metric that a server shows: docs/operate.md has the same table, and a test holds the two together.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

impl Kind {
    /// What a name has behind it on the page.
    #[cfg(test)]
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }
}

/// A metric: its name without the ending that the format adds, its labels, what it is.
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    #[cfg_attr(not(test), expect(dead_code, reason = "for the document"))]
    pub(crate) labels: &'static str,
    pub(crate) help: &'static str,
}

use Kind::{Counter, Gauge, Histogram, Info};

const fn family(name: &'static str, kind: Kind, labels: &'static str, help: &'static str) -> Family {
    Family { name, kind, labels, help }
}

#[rustfmt::skip] // reason: a table, one row a line
pub(crate) const FAMILIES: &[Family] = &[
    family("skerry_build", Info, "version", "The version that runs"),
    family("skerry_seal_state", Gauge, "state", "1 for the state that the server is in: sealed, opening, open"),
    family("skerry_ready", Gauge, "", "1 if the server is ready, as /health/ready says"),
    family("skerry_http_requests", Counter, "surface, operation, method, status", "Requests whose work has ended, by class of status"),
    family("skerry_http_request_duration_seconds", Histogram, "surface, operation", "From the end of a request's head to the end of its work"),
    family("skerry_http_requests_in_flight", Gauge, "", "Requests that are being answered"),
    family("skerry_http_requests_overdue", Counter, "", "Clients that got 503 because the work for them took too long"),
    family("skerry_http_panics", Counter, "", "Requests whose work ended in a panic: a fault of the program"),
    family("skerry_http_connections", Gauge, "", "Connections that are open"),
    family("skerry_http_connections_accepted", Counter, "", "Connections that were accepted"),
    family("skerry_http_connections_turned_away", Counter, "", "Connections that were closed at once because there were too many"),
    family("skerry_tls_handshake_duration_seconds", Histogram, "", "How long TLS handshakes took that ended well"),
    family("skerry_tls_handshake_failures", Counter, "reason", "TLS handshakes that failed, or came too late"),
    family("skerry_releases", Counter, "", "Keys released, or unwrapped, to a TEE"),
    family("skerry_release_denials", Counter, "clause", "Releases and unwrappings that were denied, by the kind of clause that denied"),
    family("skerry_custody_operations", Counter, "operation, outcome", "What was done with key material"),
    family("skerry_record_cache_lookups", Counter, "result", "Key records that were at hand (hit), or had to be opened (miss)"),
    family("skerry_record_cache_entries", Gauge, "", "Key records at hand"),
    family("skerry_opened_keys", Gauge, "", "Keys that are opened in memory"),
    family("skerry_pool_queued", Gauge, "pool", "Jobs that wait for a thread"),
    family("skerry_pool_jobs", Counter, "pool", "Jobs that were taken"),
    family("skerry_pool_busy", Counter, "pool", "Jobs that were refused because the queue was full: their callers got 503"),
    family("skerry_store_commits", Counter, "outcome", "Transactions, by how they ended; error counts refused fences too"),
    family("skerry_store_commit_duration_seconds", Histogram, "", "How long transactions took"),
    family("skerry_store_fence_duration_seconds", Histogram, "", "How long it took to know that nothing newer is acknowledged"),
    family("skerry_store_revision", Gauge, "", "The newest revision that this process has seen"),
    family("skerry_store_verified", Gauge, "", "1 once all rows are known to be those last committed"),
    family("skerry_audit_closed", Gauge, "", "1 if the audit log takes no records any more: nothing is released or changed"),
    family("skerry_audit_records", Counter, "", "Records in the audit log"),
    family("skerry_audit_syncs", Counter, "", "Syncs of the audit log: records over syncs is how many share one"),
    family("skerry_audit_last_group_records", Gauge, "", "Records that shared the last sync"),
    family("skerry_audit_bytes", Gauge, "", "Length of the audit log"),
    family("skerry_audit_bytes_max", Gauge, "", "Length at which the audit log is full"),
    family("skerry_audit_last_sync_age_seconds", Gauge, "", "Since the last sync; a server at rest has one a minute at least"),
    family("skerry_audit_uses_waiting", Gauge, "", "Uses of keys that are not on record yet"),
    family("skerry_audit_uses_lag_seconds", Gauge, "", "How long the oldest of them waits; the promise is a second"),
    family("skerry_audit_uses_lost", Counter, "", "Uses of keys that are on record as a number only"),
    family("skerry_witnessed_logs", Gauge, "", "Logs of other nodes that are on record here"),
    family("skerry_witness_refused", Counter, "", "Checkpoints of other nodes that contradict what was seen of their logs"),
    family("skerry_attestation_chains", Gauge, "", "Chains of hardware certificates that are kept verified"),
    family("skerry_attestation_chain_age_seconds", Gauge, "", "Since the oldest of them was verified"),
    family("skerry_attestation_chain_ends_seconds", Gauge, "", "Until the first of them is no longer good, by its certificates or lists"),
    family("skerry_source_age_seconds", Gauge, "source", "Since the keys of an issuer or authority were fetched; source is its place in the configuration"),
    family("skerry_source_keys", Gauge, "source", "Fetched keys at hand"),
    family("skerry_source_fetches", Counter, "source", "Attempts to fetch keys"),
    family("skerry_source_fetch_failures", Counter, "source", "Attempts that failed"),
    family("skerry_diagnostics_records", Counter, "outcome", "Lines for the diagnostics file: written, or dropped because it was too slow or failed"),
    family("process_start_time_seconds", Gauge, "", "When the process started, in seconds since 1970"),
    family("process_open_fds", Gauge, "", "File descriptors that are open"),
    family("process_max_fds", Gauge, "", "File descriptors that may be open"),
    family("process_resident_memory_bytes", Gauge, "", "Memory in use"),
    family("process_cpu_seconds", Counter, "", "Time on processors"),
];
