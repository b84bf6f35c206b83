//! A log that takes no more, and a store that failed: 503 with a reason that tells nothing of the machine, and never 500.

use skerry_audit::Limits as LogLimits;
use skerry_http::Limits;
use skerry_store::{Fault, Faults, Store};

use super::scene::{Scene, V};
use crate::support::runtime;

const UPDATE: &str = r#"{"tags":{"a":"b"}}"#;

/// A full log: nothing is changed, and what is there is shown.
#[test]
fn full_log_stops_changes_alone() {
    runtime().block_on(async {
        let limits = LogLimits { log_len_max: 3_000 };
        let scene = Scene::on(Store::memory(), limits, Limits::default(), 1_024).await;
        scene.create("k").await;
        let mut updated = 0;
        let refused = loop {
            let answer = scene.ask("PATCH", &format!("/keys/k?{V}"), UPDATE).await;
            if answer.status != 200 {
                break answer;
            }
            updated += 1;
        };
        assert!(updated < 5, "{updated}");
        let message = "The audit log takes no more records, so nothing is changed or released; reading goes on.";
        assert_eq!((refused.status, refused.code().as_str()), (503, "ServiceUnavailable"));
        assert_eq!(refused.message(), message);
        assert_eq!(scene.ask("DELETE", &format!("/keys/k?{V}"), "").await.status, 503);
        assert_eq!(scene.ask("GET", &format!("/keys/k?{V}"), "").await.status, 200);
        assert_eq!(scene.ask("GET", &format!("/keys?{V}"), "").await.status, 200);
    });
}

/// A store that failed in a change: whether that was made is not known, and nothing is read from it any more.
#[test]
fn failed_store_is_said() {
    runtime().block_on(async {
        let faults = Faults::default();
        let store = Store::memory_with(faults.clone());
        let scene = Scene::on(store, LogLimits::default(), Limits::default(), 1_024).await;
        scene.create("k").await;
        faults.then(Fault::Failed);
        let unsettled = scene.ask("PATCH", &format!("/keys/k?{V}"), UPDATE).await;
        let message = "whether the change was made is not known yet";
        assert_eq!((unsettled.status, unsettled.code().as_str()), (503, "ServiceUnavailable"));
        assert_eq!(unsettled.message(), message);
        for (method, path) in [("GET", "/keys/k"), ("PATCH", "/keys/k"), ("GET", "/keys"), ("DELETE", "/keys/k")] {
            let answer = scene.ask(method, &format!("{path}?{V}"), UPDATE).await;
            let message = "What this vault stores cannot be read or written now.";
            assert_eq!((answer.status, answer.message().as_str()), (503, message), "{method} {path}");
        }
    });
}
