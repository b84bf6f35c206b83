//! The page is what its format says, has what the table says, and says no more than it should.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use super::*;

fn metrics() -> Arc<Metrics> {
    let health = Arc::new(Health::new("file", Phase::Sealed));
    let metrics = Metrics::new(health, None, || UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    metrics.of_listeners(Meter::default());
    Arc::new(metrics)
}

/// Who asks for OpenMetrics gets it; all others get what every Prometheus reads.
#[test]
fn format_is_negotiated() {
    let page = |accept| metrics().page(accept).unwrap();
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    for accept in [prometheus, "application/openmetrics-text", "text/html, Application/OpenMetrics-Text; version=0.0.1"]
    {
        let (media, page) = page(Some(accept));
        assert!(
            media.starts_with("application/openmetrics-text; version=1.0.0") && page.ends_with("# EOF\n"),
            "{accept}"
        );
    }
    for accept in [None, Some("*/*"), Some("text/plain"), Some("application/openmetrics-text;q=0"), Some("")] {
        let (media, page) = page(accept);
        assert!(media.starts_with("text/plain; version=0.0.4") && !page.contains("# EOF"), "{accept:?}");
    }
}

/// A sealed server shows that it is, and what can be known of it.
#[test]
fn sealed_server_shows_its_state() {
    let metrics = metrics();
    let has = |line: &str| metrics.page(None).unwrap().1.lines().any(|own| own == line);
    assert!(has("skerry_seal_state{state=\"sealed\"} 1.0") && has("skerry_seal_state{state=\"open\"} 0.0"));
    assert!(has("skerry_ready 0.0") && has("process_start_time_seconds 1800000000.0"));
    metrics.health.enter(Phase::Open);
    assert!(has("skerry_seal_state{state=\"open\"} 1.0") && has("skerry_ready 1.0"));
}

/// docs/operate.md has one row for each family, as it is in the table, and no other.
#[test]
fn document_has_the_table() {
    let rows: Vec<String> = FAMILIES
        .iter()
        .map(|family| {
            let kind = format!("{:?}", family.kind).to_lowercase();
            let (name, suffix, labels, help) = (family.name, family.kind.suffix(), family.labels, family.help);
            format!("| `{name}{suffix}` | {kind} | {labels} | {help} |").replace("|  |", "| |")
        })
        .collect();
    let document = include_str!("../../../../../docs/operate.md");
    let written: Vec<&str> =
        document.lines().filter(|line| line.starts_with("| `skerry_") || line.starts_with("| `process_")).collect();
    assert_eq!(written, rows, "docs/operate.md should have:\n{}", rows.join("\n"));
}

/// Names are told apart, and those that are of a unit end in it (OpenMetrics 1.0, naming).
#[test]
fn names_are_told_apart() {
    let names: BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(names.len(), FAMILIES.len());
    for family in FAMILIES {
        assert!(!family.name.ends_with("_total") && !family.name.ends_with("_info"), "{}", family.name);
        assert!(family.kind != Kind::Histogram || family.name.ends_with("_seconds"), "{}", family.name);
    }
}

/// Every alert of the example is over metrics that there are.
#[test]
fn alerts_are_over_what_there_is() {
    let rules = include_str!("../../../../../examples/alerts.yml");
    let mut seen = 0;
    for word in rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        if word.starts_with("skerry_") || word.starts_with("process_") {
            let known = |family: &super::families::Family| {
                let name = format!("{}{}", family.name, family.kind.suffix());
                let parts = ["", "_bucket", "_sum", "_count"];
                parts.iter().any(|part| word == format!("{name}{part}"))
            };
            assert!(FAMILIES.iter().any(known), "{word}");
            seen += 1;
        }
    }
    assert!(seen > 10);
}

/// Large counts are shown as what they are.
#[test]
fn numbers_are_exact() {
    assert_eq!([wide(0), wide(1 << 40), wide((1 << 52) + 1)], [0.0, 1_099_511_627_776.0, 4_503_599_627_370_497.0]);
}

/// A strict little reader of OpenMetrics 1.0 text, written from its grammar: families one after the other, each with HELP and
/// TYPE before its samples, samples with the endings of their type, labels escaped, histograms cumulative, and EOF at the end.
#[test]
fn page_is_openmetrics() {
    let metrics = metrics();
    let (_, page) = metrics.page(Some("application/openmetrics-text")).unwrap();
    let families = openmetrics(&page);
    assert_eq!(families["skerry_build"], "info");
    for broken in [
        page.replace("# EOF\n", ""),
        page.replace("# EOF\n", "# EOF\nx 1\n"),
        page.replacen("_total ", " ", 1),
        page.replacen(" 1.0\n", " one\n", 1),
        page.replacen("le=\"+Inf\"", "le=\"11.0\"", 1),
        page.replacen("# TYPE skerry_ready gauge\n", "", 1),
        page.replacen("state=\"", "state=", 1),
    ] {
        assert!(std::panic::catch_unwind(|| openmetrics(&broken)).is_err(), "{broken}");
    }
}

/// Families by their types; panics at what is none.
pub(super) fn openmetrics(page: &str) -> BTreeMap<String, String> {
    let body = page.strip_suffix("# EOF\n").expect("an end");
    let (mut families, mut current, mut helped) = (BTreeMap::new(), None::<(String, String)>, None);
    let mut buckets: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, text) = rest.split_once(' ').unwrap();
            assert!(!text.is_empty() && !families.contains_key(name), "{line}");
            helped = Some(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(helped.take().as_deref(), Some(name), "TYPE comes after HELP");
            assert!(["counter", "gauge", "histogram", "info"].contains(&kind), "{line}");
            families.insert(name.to_owned(), kind.to_owned());
            current = Some((name.to_owned(), kind.to_owned()));
        } else {
            let (name, kind) = current.as_ref().expect("a family before its samples");
            let (series, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().expect("a number");
            let (sample, labels) = match series.split_once('{') {
                Some((sample, labels)) => (sample, labels_of(labels.strip_suffix('}').expect("an end of labels"))),
                None => (series, Vec::new()),
            };
            let ending = sample.strip_prefix(name.as_str()).expect("a sample of the family");
            let allowed: &[&str] = match kind.as_str() {
                "counter" => &["_total"],
                "info" => &["_info"],
                "histogram" => &["_sum", "_count", "_bucket"],
                _ => &[""],
            };
            assert!(allowed.contains(&ending), "{line}");
            if ending == "_bucket" {
                let (le, others): (Vec<_>, Vec<_>) = labels.into_iter().partition(|(name, _)| name == "le");
                let bound = le.first().map(|(_, bound)| bound.replace("+Inf", "inf").parse::<f64>().unwrap()).unwrap();
                let last = buckets.entry(format!("{name}{others:?}")).or_insert((f64::NEG_INFINITY, 0.0));
                assert!(bound > last.0 && value >= last.1, "{line}");
                *last = (bound, value);
            }
        }
    }
    assert!(buckets.values().all(|(bound, _)| bound.is_infinite()), "every histogram ends in +Inf");
    families
}

fn labels_of(text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").expect("a label");
        assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{text}");
        let (value, after) = value.split_once('"').expect("an end of a label");
        assert!(!value.contains(['\\', '\n']), "{text}");
        labels.push((name.to_owned(), value.to_owned()));
        rest = after.strip_prefix(',').unwrap_or(after);
        assert!(after.is_empty() || after.starts_with(','), "{text}");
    }
    labels
}
