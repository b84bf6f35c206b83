use crate::support::*;

/// The main job: one release, six refusals, each with its check and its control.
#[test]
fn demo_releases_once_and_refuses_six() {
    let output = skerry(&["demo"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(text.lines().last(), Some("demo: ok, 1 release, 6 refusals"));
    for check in ["launchmeasurement", "floor.debug", "report-signature", "token exp", "REPORT_DATA", "root-pinned"] {
        assert!(text.contains(check), "{check} is not in\n{text}");
    }
    assert_eq!(text.matches("┆ released").count(), 6);
    // Both services are real ones, on ports of their own.
    assert_eq!(text.lines().next().unwrap().matches("https://localhost:").count(), 2, "{text}");
    assert_eq!(output.stderr, b"");
}

/// Scripts read the same story as one JSON object.
#[test]
fn demo_speaks_json() {
    let output = skerry(&["demo", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let story: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(story["ok"], true);
    let refusals = story["refusals"].as_array().unwrap();
    assert_eq!(refusals.len(), 6);
    assert!(refusals.iter().all(|one| one["as_expected"] == true && one["control_released"] == true), "{story}");
    assert!(story["steps"].as_array().unwrap().len() >= 8);
}
