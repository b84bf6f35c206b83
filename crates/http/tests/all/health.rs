//! What a server says of its own health, sealed and open, and what it says of nothing else while it is sealed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use skerry_http::gated::Gated;
use skerry_http::health::{Health, Phase};
use skerry_http::{Limits, Names, Reply, Surface, operations};

use crate::support::{Response, Site, request, runtime};

fn behind() -> Surface {
    Surface::function(|_| Box::pin(async { Reply::text(StatusCode::OK, "behind") }))
}

async fn gated() -> (Site, Arc<Health>, Arc<Gated>) {
    let health = Arc::new(Health::new("passphrase", Phase::Sealed));
    let gate = Arc::new(Gated::new(Arc::clone(&health)));
    (Site::of(Surface::Gated(Arc::clone(&gate))).await, health, gate)
}

async fn bodies(site: &Site) -> [(u16, String); 3] {
    let live = site.get("/health/live").await;
    let ready = site.get("/health/ready").await;
    let sealed = site.get("/health/sealed").await;
    [live, ready, sealed].map(|answer| (answer.status, answer.body))
}

fn is_sealed(answer: &Response) {
    assert_eq!((answer.status, answer.code().as_str()), (503, "ServiceUnavailable"), "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("30"));
    assert_eq!(answer.header("www-authenticate"), None);
}

/// A sealed server answers three questions and no other, by whatever method, path and credentials, and to all alike.
#[test]
fn sealed_servers_tell_their_health_and_nothing_else() {
    runtime().block_on(async {
        let (site, _health, gate) = gated().await;
        // That something is behind the gate already opens nothing.
        assert!(gate.open(behind()));
        let [live, ready, sealed] = bodies(&site).await;
        assert_eq!(live, (200, r#"{"live":true}"#.to_owned()));
        assert_eq!(ready, (503, r#"{"ready":false,"reasons":["sealed"]}"#.to_owned()));
        assert_eq!(sealed, (200, r#"{"sealed":true,"seal":"passphrase"}"#.to_owned()));
        let token = "Authorization: Bearer x\r\n";
        for (method, path, headers, body) in [
            ("GET", "/", "", ""),
            ("GET", "/keys?api-version=7.4", "", ""),
            ("GET", "/keys/k?api-version=7.4", token, ""),
            ("POST", "/keys/k/create?api-version=7.4", token, "{}"),
            ("GET", "/health", "", ""),
            ("GET", "/health/live/", "", ""),
            ("GET", "/Health/live", "", ""),
            ("GET", "/health/live/more", "", ""),
            ("POST", "/health/live", "", "{}"),
            ("DELETE", "/health/sealed", "", ""),
            ("GET", "/metrics", "", ""),
        ] {
            is_sealed(&site.ask(method, path, headers, body).await);
        }
        assert_eq!(site.ask("HEAD", "/health/ready", "", "").await.status, 503);
        // Names are checked before.
        let mut wire = site.connect().await;
        wire.send(request("GET", "/health/live", "other.test", "", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 421);
    });
}

/// A connection outlives the unsealing; from then on what is behind answers all but the probes, and one surface for good.
#[test]
fn open_servers_serve() {
    runtime().block_on(async {
        let (site, health, gate) = gated().await;
        let mut wire = site.connect().await;
        wire.send(request("POST", "/keys", &site.host(), "", "a body that nobody reads")).await;
        is_sealed(&wire.response().await.unwrap());
        health.enter(Phase::Opening);
        assert_eq!(bodies(&site).await[1].1, r#"{"ready":false,"reasons":["opening"]}"#);
        wire.send(request("GET", "/keys", &site.host(), "", "")).await;
        let opening = wire.response().await.unwrap();
        assert_eq!((opening.status, opening.header("retry-after")), (503, Some("1")));
        health.enter(Phase::Open);
        wire.send(request("GET", "/keys", &site.host(), "", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 503, "nothing is behind the gate yet");
        assert!(gate.open(behind()));
        assert!(!gate.open(behind()), "one surface for good");
        wire.send(request("GET", "/keys", &site.host(), "", "")).await;
        assert_eq!(wire.response().await.unwrap().body, "behind");
        let [live, ready, sealed] = bodies(&site).await;
        assert_eq!(live.0, 200);
        assert_eq!(ready, (200, r#"{"ready":true}"#.to_owned()));
        assert_eq!(sealed, (200, r#"{"sealed":false,"seal":"passphrase"}"#.to_owned()));
        assert_eq!(site.ask("POST", "/health/live", "", "").await.body, "behind", "no probe");
    });
}

/// Ready is who is open, does not drain and has all that was demanded; each want is named, as long as it lasts.
#[test]
fn readiness_has_its_reasons() {
    let health = Health::new("file", Phase::Open);
    assert_eq!(health.reasons(), [""; 0]);
    let holds = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&holds);
    health.demand("store-not-verified", move || seen.load(Ordering::Relaxed));
    assert_eq!(health.reasons(), ["store-not-verified"]);
    holds.store(true, Ordering::Relaxed);
    assert_eq!(health.reasons(), [""; 0]);
    health.drain();
    assert_eq!(health.reasons(), ["draining"]);
    holds.store(false, Ordering::Relaxed);
    health.enter(Phase::Sealed);
    assert_eq!(health.reasons(), ["sealed", "draining", "store-not-verified"]);
}

/// Operators' tools are answered by whatever name they use; paths are those of the table.
#[test]
fn operations_answer_to_every_name() {
    runtime().block_on(async {
        let health = Arc::new(Health::new("file", Phase::Open));
        let surface = operations::Surface::new(health).route("metrics", |_| Reply::text(StatusCode::OK, "counted"));
        let own = (Surface::Operations(Arc::new(surface)), Names::default());
        let site = Site::with(Limits::default(), None, Some(own)).await;
        for host in ["10.1.2.3:9090", "skerry-0.skerry", "[::1]:1", "host.test"] {
            for (path, body) in [("/metrics", "counted"), ("/health/ready", r#"{"ready":true}"#)] {
                let mut wire = site.connect().await;
                wire.send(request("GET", path, host, "", "")).await;
                let answer = wire.response().await.unwrap();
                assert_eq!((answer.status, answer.body.as_str()), (200, body), "{host}");
            }
        }
        for path in ["/", "/metrics/", "/metrics/more", "/health", "/health/dead", "/keys"] {
            let answer = site.get(path).await;
            assert_eq!((answer.status, answer.code().as_str()), (404, "NotFound"), "{path}");
        }
        for path in ["/metrics", "/health/live"] {
            let answer = site.ask("POST", path, "", "").await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{path}");
        }
        let mut wire = site.connect().await;
        wire.send(request("GET", "/metrics", "no host", "", "")).await;
        assert_eq!(wire.response().await.unwrap().status, 400);
    });
}
