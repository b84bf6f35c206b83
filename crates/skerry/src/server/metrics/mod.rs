//! What a server counts, gathered when somebody asks, under names and labels that are all in one table.
//!
//! Crates count in numbers of their own (docs/decisions/021); here they get their names. Labels are from closed sets: operations
//! of the routes, kinds of clauses, places in the configuration. Nothing that a client sent, no name of a key, a vault or a
//! caller is in any. Gathering locks nothing that a request waits for longer than to read a few numbers.

mod families;
mod process;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use skerry_http::health::{Health, Phase};
use skerry_http::{Meter, Snapshot};
use skerry_meter::Seen;
use skerry_sources::KeySet;
use skerry_vault::meter::{CUSTODY, DENIALS, VaultSeen};
use skerry_vault::pool::Pool;
use skerry_vault::{Installation, Pools, UsesSeen};
use skerry_verifier::{ChainsSeen, Verifier};

use super::diagnostics::Diagnostics;
use super::vaults::Vaults;

pub(crate) use families::FAMILIES;
use families::Kind;

/// All that is counted in this process.
pub(crate) struct Metrics {
    health: Arc<Health>,
    http: OnceLock<Meter>,
    opened: OnceLock<Counted>,
    diagnostics: Option<Arc<Diagnostics>>,
    started: SystemTime,
    now: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

/// What there is to count once the server is open.
pub(crate) struct Counted {
    pub(crate) installation: Arc<Installation>,
    pub(crate) vaults: Vaults,
    pub(crate) pools: Pools,
    /// Key sets that are fetched, by their place in the configuration.
    pub(crate) sources: Vec<(String, KeySet)>,
    pub(crate) verifier: Option<Arc<Verifier>>,
}

impl Metrics {
    /// Of a server with this health; `now` is its clock.
    pub(crate) fn new(
        health: Arc<Health>,
        diagnostics: Option<Arc<Diagnostics>>,
        now: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Metrics {
        let (http, opened, started) = (OnceLock::new(), OnceLock::new(), now());
        Metrics { health, http, opened, diagnostics, started, now: Box::new(now) }
    }

    /// From now on the requests of these listeners are shown.
    pub(crate) fn of_listeners(&self, meter: Meter) {
        // There is one server.
        let _ = self.http.set(meter);
    }

    /// From now on what is behind the listeners is shown.
    pub(crate) fn of_opened(&self, counted: Counted) {
        // It is opened once.
        let _ = self.opened.set(counted);
    }

    /// The page, and its media type: OpenMetrics for who asks for that, else Prometheus' own text.
    pub(crate) fn page(self: &Arc<Self>, accept: Option<&str>) -> Result<(&'static str, String), fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Gather(Arc::clone(self))));
        let mut page = String::new();
        if accept.is_some_and(asks_for_openmetrics) {
            text::encode(&mut page, &registry)?;
            return Ok((OPENMETRICS, page));
        }
        prometheus_text::encode(&mut page, &registry)?;
        Ok((prometheus_text::CONTENT_TYPE, page))
    }

    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        page.info("skerry_build", &[("version", env!("CARGO_PKG_VERSION"))])?;
        self.write_seal(page)?;
        if let Some(meter) = self.http.get() {
            write_http(page, &meter.snapshot())?;
        }
        if let Some(opened) = self.opened.get() {
            self.write_opened(page, opened)?;
        }
        if let Some(diagnostics) = &self.diagnostics {
            let (written, dropped) = diagnostics.seen();
            page.counters("skerry_diagnostics_records", "outcome", [("written", written), ("dropped", dropped)])?;
        }
        process::write(page, self.started)
    }

    fn write_seal(&self, page: &mut Page<'_>) -> fmt::Result {
        let phase = self.health.phase();
        let states = [("sealed", Phase::Sealed), ("opening", Phase::Opening), ("open", Phase::Open)];
        page.gauges(
            "skerry_seal_state",
            "state",
            states.map(|(name, of)| (name, if of == phase { 1.0 } else { 0.0 })),
        )?;
        page.gauge("skerry_ready", if self.health.reasons().is_empty() { 1.0 } else { 0.0 })
    }

    fn write_opened(&self, page: &mut Page<'_>, opened: &Counted) -> fmt::Result {
        let vaults = opened.vaults.values().fold(VaultSeen::default(), |all, vault| vault.seen().and(&all));
        write_vaults(page, &vaults)?;
        write_pools(page, [("work", &opened.pools.work), ("generation", &opened.pools.generation)])?;
        write_store(page, &opened.installation)?;
        write_log(page, &opened.installation)?;
        write_uses(page, &opened.installation)?;
        if let Some(verifier) = &opened.verifier {
            self.write_chains(page, verifier)?;
        }
        self.write_sources(page, &opened.sources)
    }

    fn write_chains(&self, page: &mut Page<'_>, verifier: &Verifier) -> fmt::Result {
        let now = (self.now)();
        let ChainsSeen { kept, oldest, ends } = verifier.chains(now);
        page.gauge("skerry_attestation_chains", float(kept))?;
        if let Some(age) = oldest.and_then(|oldest| now.duration_since(oldest).ok()) {
            page.gauge("skerry_attestation_chain_age_seconds", age.as_secs_f64())?;
        }
        match ends.and_then(|ends| ends.duration_since(now).ok()) {
            Some(left) => page.gauge("skerry_attestation_chain_ends_seconds", left.as_secs_f64()),
            None => Ok(()),
        }
    }

    fn write_sources(&self, page: &mut Page<'_>, sources: &[(String, KeySet)]) -> fmt::Result {
        let states: Vec<_> = sources.iter().map(|(name, keys)| (name.as_str(), keys.state())).collect();
        let age = |fetched: Option<SystemTime>| Some((self.now)().duration_since(fetched?).ok()?.as_secs_f64());
        let ages = states.iter().filter_map(|(name, state)| Some((*name, age(state.fetched)?)));
        page.gauges("skerry_source_age_seconds", "source", ages)?;
        page.gauges("skerry_source_keys", "source", states.iter().map(|(name, state)| (*name, float(state.keys))))?;
        let fetches = states.iter().map(|(name, state)| (*name, state.attempts));
        page.counters("skerry_source_fetches", "source", fetches)?;
        let failures = states.iter().map(|(name, state)| (*name, state.failures));
        page.counters("skerry_source_fetch_failures", "source", failures)
    }
}

fn write_http(page: &mut Page<'_>, seen: &Snapshot) -> fmt::Result {
    let answers = seen.answers.iter().map(|(operation, method, status, count)| {
        let labels = [
            ("surface", operation.surface()),
            ("operation", operation.name()),
            ("method", *method),
            ("status", *status),
        ];
        (labels, *count)
    });
    page.labelled("skerry_http_requests", answers)?;
    let took = seen
        .took
        .iter()
        .map(|(operation, took)| ([("surface", operation.surface()), ("operation", operation.name())], took));
    page.histograms("skerry_http_request_duration_seconds", took)?;
    page.gauge("skerry_http_requests_in_flight", float(seen.in_flight))?;
    page.counter("skerry_http_requests_overdue", seen.overdue)?;
    page.counter("skerry_http_panics", seen.panics)?;
    page.gauge("skerry_http_connections", float(seen.connections))?;
    page.counter("skerry_http_connections_accepted", seen.accepted)?;
    page.counter("skerry_http_connections_turned_away", seen.turned_away)?;
    page.histogram("skerry_tls_handshake_duration_seconds", &seen.handshakes)?;
    let failures = [("failed", seen.handshakes_failed), ("late", seen.handshakes_late)];
    page.counters("skerry_tls_handshake_failures", "reason", failures)
}

fn write_vaults(page: &mut Page<'_>, seen: &VaultSeen) -> fmt::Result {
    page.counter("skerry_releases", seen.releases)?;
    page.counters("skerry_release_denials", "clause", DENIALS.into_iter().zip(seen.denials))?;
    let custody = CUSTODY.into_iter().zip(seen.custody).flat_map(|(name, (done, failed))| {
        [([("operation", name), ("outcome", "done")], done), ([("operation", name), ("outcome", "failed")], failed)]
    });
    page.labelled("skerry_custody_operations", custody)?;
    let lookups = [("hit", seen.record_hits), ("miss", seen.record_misses)];
    page.counters("skerry_record_cache_lookups", "result", lookups)?;
    page.gauge("skerry_record_cache_entries", float(seen.records))?;
    page.gauge("skerry_opened_keys", float(seen.opened))
}

fn write_pools(page: &mut Page<'_>, pools: [(&'static str, &Arc<Pool>); 2]) -> fmt::Result {
    let seen = pools.map(|(name, pool)| (name, pool.seen()));
    page.gauges("skerry_pool_queued", "pool", seen.map(|(name, seen)| (name, float(seen.queued))))?;
    page.counters("skerry_pool_jobs", "pool", seen.map(|(name, seen)| (name, seen.taken)))?;
    page.counters("skerry_pool_busy", "pool", seen.map(|(name, seen)| (name, seen.busy)))
}

fn write_store(page: &mut Page<'_>, installation: &Installation) -> fmt::Result {
    let seen = installation.store().seen();
    let outcomes = [
        ("committed", seen.committed),
        ("conflict", seen.conflicts),
        ("unknown", seen.unknown),
        ("error", seen.errors),
    ];
    page.counters("skerry_store_commits", "outcome", outcomes)?;
    page.histogram("skerry_store_commit_duration_seconds", &seen.commits)?;
    page.histogram("skerry_store_fence_duration_seconds", &seen.fences)?;
    page.gauge("skerry_store_revision", wide(seen.revision))?;
    page.gauge("skerry_store_verified", if seen.verified { 1.0 } else { 0.0 })
}

fn write_uses(page: &mut Page<'_>, installation: &Installation) -> fmt::Result {
    let UsesSeen { waiting, lag, lost } = installation.uses();
    page.gauge("skerry_audit_uses_waiting", float(waiting))?;
    page.gauge("skerry_audit_uses_lag_seconds", lag.map_or(0.0, |lag| lag.as_secs_f64()))?;
    page.counter("skerry_audit_uses_lost", lost)?;
    let (logs, refused) = installation.witnessed();
    page.gauge("skerry_witnessed_logs", float(logs))?;
    page.counter("skerry_witness_refused", refused)
}

/// A log that takes no records any more shows nothing but that.
fn write_log(page: &mut Page<'_>, installation: &Installation) -> fmt::Result {
    let seen = installation.log().seen();
    let closed = installation.log().head().is_err();
    page.gauge("skerry_audit_closed", if closed { 1.0 } else { 0.0 })?;
    let Ok(seen) = seen else { return Ok(()) };
    page.counter("skerry_audit_records", seen.records)?;
    page.counter("skerry_audit_syncs", seen.syncs)?;
    page.gauge("skerry_audit_last_group_records", wide(seen.last_group))?;
    page.gauge("skerry_audit_bytes", wide(seen.len))?;
    page.gauge("skerry_audit_bytes_max", wide(seen.len_max))?;
    match seen.synced {
        Some(synced) => page.gauge("skerry_audit_last_sync_age_seconds", synced.elapsed().as_secs_f64()),
        None => Ok(()),
    }
}

/// A page while it is written. A name that is not in [`FAMILIES`] is not written.
pub(super) struct Page<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Page<'_> {
    pub(super) fn counter(&mut self, name: &str, value: u64) -> fmt::Result {
        let Some(help) = help(name, Kind::Counter) else { return Ok(()) };
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, u64, u64>(&value, None)
    }

    pub(super) fn counters<'b>(
        &mut self,
        name: &str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'b str, u64)>,
    ) -> fmt::Result {
        self.labelled(name, values.into_iter().map(|(value, count)| ([(label, value)], count)))
    }

    fn labelled<'b, const N: usize>(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'b str); N], u64)>,
    ) -> fmt::Result {
        let Some(help) = help(name, Kind::Counter) else { return Ok(()) };
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&value, None)?;
        }
        Ok(())
    }

    pub(super) fn gauge(&mut self, name: &str, value: f64) -> fmt::Result {
        let Some(help) = help(name, Kind::Gauge) else { return Ok(()) };
        self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges<'b>(
        &mut self,
        name: &str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'b str, f64)>,
    ) -> fmt::Result {
        let Some(help) = help(name, Kind::Gauge) else { return Ok(()) };
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (value, number) in values {
            metric.encode_family(&[(label, value)])?.encode_gauge(&number)?;
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, seen: &Seen) -> fmt::Result {
        let Some(help) = help(name, Kind::Histogram) else { return Ok(()) };
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(seen.seconds(), seen.count(), &seen.steps(), None)
    }

    fn histograms<'b, const N: usize>(
        &mut self,
        name: &str,
        seen: impl IntoIterator<Item = ([(&'static str, &'static str); N], &'b Seen)>,
    ) -> fmt::Result {
        let Some(help) = help(name, Kind::Histogram) else { return Ok(()) };
        let mut metric = self.encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, seen) in seen {
            let mut one = metric.encode_family(&labels)?;
            one.encode_histogram::<NoLabelSet>(seen.seconds(), seen.count(), &seen.steps(), None)?;
        }
        Ok(())
    }

    fn info(&mut self, name: &str, labels: &[(&str, &str); 1]) -> fmt::Result {
        let Some(help) = help(name, Kind::Info) else { return Ok(()) };
        self.encoder.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(labels)
    }
}

fn help(name: &str, kind: Kind) -> Option<&'static str> {
    let found = FAMILIES.iter().find(|family| family.name == name && family.kind == kind);
    debug_assert!(found.is_some(), "{name} is no {kind:?} in the table");
    found.map(|family| family.help)
}

struct Gather(Arc<Metrics>);

impl fmt::Debug for Gather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gather")
    }
}

impl Collector for Gather {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.write(&mut Page { encoder })
    }
}

/// RFC 9110, 12.5.1, as Prometheus sends it: media types with parameters, in commas. One that is refused with q=0 is not asked for.
fn asks_for_openmetrics(accept: &str) -> bool {
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let refused = |part: &str| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32));
        parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/openmetrics-text"))
            && !parts.any(refused)
    })
}

/// Counts that never reach 2^52 in practice.
fn float(number: usize) -> f64 {
    wide(u64::try_from(number).unwrap_or(u64::MAX))
}

fn wide(number: u64) -> f64 {
    let (high, low) = (number >> 32, number & u64::from(u32::MAX));
    let part = |part: u64| f64::from(u32::try_from(part).unwrap_or(u32::MAX));
    part(high) * 4_294_967_296.0 + part(low)
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests;
