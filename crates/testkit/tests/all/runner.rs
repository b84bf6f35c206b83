//! A runner is worth what it can fail: right vectors pass, and each of them made wrong in one way fails.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use skerry_testkit::vectors::{self, Agreement, Line, RunError};

/// Folders with vectors that this build verifies; those that are absent are named on standard error.
fn folders(test: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let shared = std::env::var_os("SKERRY_VECTORS").map_or_else(|| root.join("../shared/vectors"), PathBuf::from);
    let all = [shared.join("snp"), shared.join("uvm"), root.join("vectors/simulated")];
    let (there, absent): (Vec<_>, Vec<_>) = all.into_iter().partition(|folder| folder.join("vectors.json").is_file());
    for folder in absent {
        eprintln!("{test}: skipped {}, the vectors are absent", folder.display());
    }
    there
}

fn list(folder: &Path) -> Vec<Value> {
    vectors::read_list(&folder.join("vectors.json")).unwrap()
}

fn failed(line: &Line) -> bool {
    matches!(line.result, Agreement::Fail(_))
}

/// Every vector comes out as it says.
#[test]
fn vectors_pass() {
    for folder in folders("vectors_pass") {
        let wrong: Vec<_> =
            vectors::run(&folder).unwrap().into_iter().filter(|line| line.result != Agreement::Ok).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// Verdicts that are wrong wherever `verdict` is right.
fn turned(verdict: &str) -> &'static [&'static str] {
    match verdict {
        "accept" => &["reject", "reject-debug", "reject-migration", "reject-untrusted", "reject-policy"],
        // An endorsement that nobody here trusts: authentic, and refused for that.
        "accept-signature" => &["accept", "verify-ok", "reject-debug", "reject-policy"],
        "reject" => &["accept", "accept-signature", "reject-debug", "accept-if-vmpl-1-allowed", "reject-policy"],
        "reject-debug" => &["accept", "accept-if-vmpl-1-allowed", "reject-migration", "reject-untrusted"],
        "reject-migration" => &["accept", "reject-debug", "reject-untrusted"],
        "accept-if-vmpl-1-allowed" => &["accept", "reject-debug", "reject-untrusted"],
        other => panic!("{other}"),
    }
}

/// A vector whose verdict is turned round fails, whatever the verdict was.
#[test]
fn turned_verdicts_fail() {
    for folder in folders("turned_verdicts_fail") {
        for mut vector in list(&folder) {
            for verdict in turned(vector["verdict"].as_str().unwrap()) {
                vector["verdict"] = json!(verdict);
                let line = vectors::judge(&folder, &vector);
                assert!(failed(&line), "{} as {verdict}: {line:#?}", vector["id"]);
            }
        }
    }
}

/// A claim with another value fails, each one of them.
#[test]
fn changed_claims_fail() {
    for folder in folders("changed_claims_fail") {
        let compared = |vector: &&Value| vector["verdict"] != "reject";
        for vector in list(&folder).iter().filter(compared).take(4) {
            for member in ["expected_claims", "snp_claims"] {
                let names: Vec<String> =
                    vector[member].as_object().into_iter().flat_map(|m| m.keys().cloned()).collect();
                for name in names {
                    let mut changed = vector.clone();
                    changed[member][&name] = json!("something else");
                    assert!(failed(&vectors::judge(&folder, &changed)), "{} {name}", vector["id"]);
                }
                let mut changed = vector.clone();
                if changed.get(member).is_some() {
                    changed[member]["no_such_claim"] = json!(1);
                    assert!(failed(&vectors::judge(&folder, &changed)), "{} no_such_claim", vector["id"]);
                }
            }
        }
    }
}

/// A refusal by another check than the one that the vector names fails.
#[test]
fn other_checks_fail() {
    for folder in folders("other_checks_fail") {
        for mut vector in list(&folder).into_iter().filter(|vector| vector["verdict"] == "reject") {
            vector["check"] = json!("ChainError.NoSuchVariant");
            assert!(failed(&vectors::judge(&folder, &vector)), "{}", vector["id"]);
            vector["check"] = json!(7);
            assert!(failed(&vectors::judge(&folder, &vector)), "{}", vector["id"]);
        }
    }
}

/// An accepted vector under another anchor, at another time, or with another file in place of one of its own, fails.
#[test]
fn changed_circumstances_fail() {
    for folder in folders("changed_circumstances_fail") {
        let accepted = |vector: &&Value| vector["verdict"] == "accept";
        for vector in list(&folder).iter().filter(accepted).take(6) {
            let mut nowhere = vector.clone();
            nowhere["anchor"] = json!({"generation": "milan", "ark_spki_sha256": "00".repeat(32)});
            assert!(failed(&vectors::judge(&folder, &nowhere)), "{}", vector["id"]);
            let mut late = vector.clone();
            late["verify_at"] = json!("2099-01-01T00:00:00Z");
            assert!(failed(&vectors::judge(&folder, &late)), "{}", vector["id"]);
            let mut bound = vector.clone();
            bound["runtime_data"] = json!("vectors.json");
            assert!(failed(&vectors::judge(&folder, &bound)), "{}", vector["id"]);
            let mut absent = vector.clone();
            absent["report"] = json!("no such file");
            absent["verdict"] = json!("reject");
            assert!(failed(&vectors::judge(&folder, &absent)), "{}", vector["id"]);
        }
    }
}

/// What the runner does not understand fails: verdicts, kinds, names that leave the folder, times, anchors.
#[test]
fn what_is_not_understood_fails() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for vector in [
        json!({"id": "a", "verdict": "reject-somehow", "report": "Cargo.toml"}),
        json!({"id": "b", "report": "Cargo.toml"}),
        json!({"id": "c", "verdict": "reject"}),
        json!({"id": "d", "verdict": "reject", "report": "../Cargo.toml"}),
        json!({"id": "e", "verdict": "reject", "report": "/etc/hostname"}),
        json!({"id": "f", "verdict": "reject", "report": "Cargo.toml", "verify_at": "soon"}),
        json!({"id": "g", "verdict": "reject", "report": "Cargo.toml", "anchor": {"generation": "milan"}}),
        json!({"id": "h", "verdict": "reject", "report": "Cargo.toml", "uvm_trust": {"issuer": "x"}}),
        json!({"id": "i", "verdict": "no-such-verdict", "quote": "Cargo.toml"}),
        json!({"id": "j", "verdict": "reject-policy", "report": "Cargo.toml", "reason": "report format"}),
    ] {
        assert!(failed(&vectors::judge(folder, &vector)), "{vector}");
    }
    let refused = json!({"id": "k", "verdict": "reject", "report": "Cargo.toml", "check": "report-format"});
    assert_eq!(vectors::judge(folder, &refused).result, Agreement::Ok);
}

/// Kinds that nothing here verifies never pass.
#[test]
fn other_kinds_are_apart() {
    for member in ["quote", "hcl_report", "tpm_quote"] {
        let line = vectors::judge(Path::new("."), &json!({"id": "x", "verdict": "reject", member: "x"}));
        assert!(matches!(line.result, Agreement::NotSupported(_)), "{line:?}");
    }
}

/// A folder without vectors, and one whose list is empty or no list, is an error and no success.
#[test]
fn nothing_to_run_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(vectors::run(folder.path()), Err(RunError::NoVectors(_))));
    assert!(matches!(vectors::run(&folder.path().join("absent")), Err(RunError::Read { .. })));
    let below = folder.path().join("below");
    std::fs::create_dir(&below).unwrap();
    for text in ["{}", "{\"vectors\": []}", "{\"vectors\": {}}"] {
        std::fs::write(below.join("vectors.json"), text).unwrap();
        assert!(matches!(vectors::run(folder.path()), Err(RunError::Empty(_))), "{text}");
    }
    std::fs::write(below.join("vectors.json"), "[").unwrap();
    assert!(matches!(vectors::run(folder.path()), Err(RunError::Json { .. })));
    std::fs::write(below.join("vectors.json"), "{\"vectors\": [{\"id\": \"a\", \"verdict\": \"what\"}]}").unwrap();
    assert!(vectors::run(folder.path()).unwrap().iter().all(failed));
}
