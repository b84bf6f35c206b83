//! A server as its operators see it: metrics over plain HTTP, requests in Azure's schema, and how it stops.

use std::process::Command;

use crate::process::*;
use crate::serve::{CONFIG, Site};

/// A server with these lines more in its configuration, and its operations listener.
fn started(server: &str, more: &str) -> (Site, Running, String) {
    let site = Site::new();
    let config = CONFIG
        .replace("ADDRESS", "0")
        .replace("root_key = \"root.key\"\n", &format!("root_key = \"root.key\"\n{server}"));
    site.put("skerry.toml", &format!("{config}[operations]\naddress = \"127.0.0.1:0\"\n{more}"));
    let running = site.start();
    let operations = running.said.iter().find_map(|line| line.strip_prefix("operations on ")).unwrap().to_owned();
    (site, running, operations)
}

fn kill(running: &Running, signal: &str) {
    let kill = format!("kill -{signal} {}", running.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// A value on the page, by its whole name with labels.
fn value(page: &str, series: &str) -> Option<f64> {
    let found = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    found.parse().ok()
}

/// What was asked shows on the page, and so does the server itself; nobody can make a label of what he sends.
#[test]
fn metrics_are_shown() {
    let (site, running, operations) = started("", "");
    let line = running.said.iter().find_map(|line| line.strip_prefix("listening on ")).unwrap();
    let port = line.split(", ").next().unwrap().rsplit(':').next().unwrap();
    let (ca, origin) = (site.path("tls.pem"), format!("https://localhost:{port}"));
    let get = |path| get(ca.to_str().unwrap(), &origin, path, None).status;
    assert_eq!((get("/certs"), get("/certs"), get("/no-such-path"), get("/certificates")), (200, 200, 404, 401));
    let page = loop {
        let (status, page) = get_plain(&operations, "/metrics");
        assert_eq!(status, 200);
        // The store is verified beside what is answered, and a request is counted behind its answer.
        let counted = value(
            &page,
            r#"skerry_http_requests_total{surface="attestation",operation="PolicyCertificates",method="GET",status="4xx"}"#,
        );
        if value(&page, "skerry_store_verified") == Some(1.0) && counted.is_some() {
            break page;
        }
    };
    for (series, expected) in [
        (r#"skerry_http_requests_total{surface="attestation",operation="Certs",method="GET",status="2xx"}"#, 2.0),
        (r#"skerry_http_requests_total{surface="attestation",operation="None",method="GET",status="4xx"}"#, 1.0),
        (r#"skerry_http_request_duration_seconds_count{surface="attestation",operation="Certs"}"#, 2.0),
        (r#"skerry_seal_state{state="open"}"#, 1.0),
        ("skerry_audit_closed", 0.0),
        ("skerry_http_panics_total", 0.0),
        (r#"skerry_release_denials_total{clause="policy"}"#, 0.0),
    ] {
        assert_eq!(value(&page, series), Some(expected), "{series} in\n{page}");
    }
    for positive in
        ["skerry_audit_records_total", "skerry_store_revision", "process_open_fds", "process_resident_memory_bytes"]
    {
        assert!(value(&page, positive).is_some_and(|value| value > 0.0), "{positive} in\n{page}");
    }
    assert!(!page.contains("no-such-path"));
    assert_eq!(running.stop("TERM").0.code(), Some(0));
}

/// On the word to stop the server is not ready at once and goes on answering until load balancers have seen that; told a
/// second time it ends, and says so.
#[test]
fn stopping_is_told_first() {
    let (site, running, operations) = started("drain_delay_secs = 3600\n", "");
    let line = running.said.iter().find_map(|line| line.strip_prefix("listening on ")).unwrap();
    let port = line.split(", ").next().unwrap().rsplit(':').next().unwrap();
    let ready = |body: &str| loop {
        if get_plain(&operations, "/health/ready").1 == body {
            break;
        }
    };
    ready(r#"{"ready":true}"#);
    kill(&running, "TERM");
    ready(r#"{"ready":false,"reasons":["draining"]}"#);
    let (ca, origin) = (site.path("tls.pem"), format!("https://localhost:{port}"));
    assert_eq!(get(ca.to_str().unwrap(), &origin, "/certs", None).status, 200, "connections are accepted still");
    assert_eq!(get_plain(&operations, "/health/live").0, 200);
    let (status, complaints) = running.stop("INT");
    assert_eq!(status.code(), Some(3));
    assert_eq!(complaints, "skerry: told a second time to stop: ended at once, without what was in flight\n");
}

/// The file is there from the start, with a mode of its own; one that cannot be is a matter of usage.
#[test]
fn diagnostics_have_a_file() {
    let (site, running, operations) = started("", "[diagnostics]\nfile = \"diagnostics.jsonl\"\n");
    std::fs::rename(site.path("diagnostics.jsonl"), site.path("moved")).unwrap();
    kill(&running, "HUP");
    while !site.path("diagnostics.jsonl").exists() {
        std::thread::yield_now();
    }
    let page = get_plain(&operations, "/metrics").1;
    assert_eq!(value(&page, r#"skerry_diagnostics_records_total{outcome="dropped"}"#), Some(0.0));
    assert_eq!(running.stop("TERM").0.code(), Some(0));
    site.put("skerry.toml", &format!("{}[diagnostics]\nfile = \"none/x\"\n", CONFIG.replace("ADDRESS", "0")));
    let config = site.path("skerry.toml");
    let output = ended(&["serve", "--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("none/x: cannot be appended to"));
}

/// The unit brings the root key under the name by which the example of a configuration, and the procedure, know it.
#[test]
fn unit_and_configuration_name_one_credential() {
    let unit = include_str!("../../../../examples/skerry.service");
    let loaded = unit.lines().find_map(|line| line.strip_prefix("LoadCredentialEncrypted=")).unwrap();
    let (name, file) = loaded.split_once(':').unwrap();
    let named = include_str!("../../../../examples/skerry.toml").contains(&format!("# credential = \"{name}\""));
    let sealed = format!("skerry root seal --credential {name} --out {file}");
    let made = include_str!("../../../../docs/operate.md").contains(&format!("    {sealed}\n"));
    assert!(named && made && unit.contains(&sealed), "{loaded}");
}
