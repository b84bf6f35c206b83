//! What is counted of vaults, and which of all operations are open to anybody.

use std::collections::BTreeSet;

use skerry_http::Operation;

use super::scene::{HSM, PREMIUM, Scene, V};
use crate::openapi::{rows, rows_of};
use crate::support::runtime;

/// Whatever is sent, by whomever, labels are of the closed sets: names of keys, vaults and callers are in none.
#[test]
fn labels_are_of_closed_sets() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        scene.create("payments-key").await;
        for host in [PREMIUM, HSM, "nothing.vault.test", "evil.test"] {
            for path in ["/keys/payments-key", "/keys/%2e%2e/x", "/secrets/s", "/KEYS/A/B/C/D", "/metrics", "/"] {
                for method in ["GET", "HEAD", "PUT", "DELETE", "PROPFIND", "payments-key"] {
                    scene.ask_of(host, method, &format!("{path}?{V}"), "").await;
                    scene.send(host, method, path, "Authorization: Bearer payments-key\r\n", "").await;
                }
            }
        }
        let seen = scene.site.meter.snapshot();
        let known: BTreeSet<_> = Operation::all().map(|one| (one.surface(), one.name())).collect();
        let mut labels = BTreeSet::new();
        for (operation, method, class, _) in &seen.answers {
            assert!(known.contains(&(operation.surface(), operation.name())));
            assert_eq!(operation.surface(), "vault");
            assert!(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "other"].contains(method));
            assert!(["2xx", "4xx"].contains(class), "{class}");
            labels.insert((operation.name(), *method, *class));
        }
        assert!(labels.contains(&("Get", "GET", "2xx")) && labels.contains(&("Get", "GET", "4xx")), "{labels:?}");
        assert!(labels.contains(&("None", "other", "4xx")), "{labels:?}");
        assert!(labels.len() < 40, "{labels:?}");
    });
}

/// A challenge is counted under what was asked for.
#[test]
fn challenges_are_counted_where_they_were_given() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        assert_eq!(scene.send(PREMIUM, "POST", &format!("/keys/a/release?{V}"), "", "{}").await.status, 401);
        let answers = scene.site.meter.snapshot().answers;
        let [(operation, method, class, 1)] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!((operation.name(), *method, *class), ("Release", "POST", "4xx"));
    });
}

/// What anybody may ask without a token, over all operations that there are: attesting, keys and metadata of services, the
/// description, health, what operators' tools ask on their own listener, and where tokens come from, which has credentials of its
/// own or is on loopback alone. A new operation is
/// refused to strangers or is written here.
#[test]
fn open_operations_are_these() {
    let open = [
        ("attestation", "Attest"),
        ("attestation", "Certs"),
        ("attestation", "Metadata"),
        ("identity", "Description"),
        ("identity", "Discovery"),
        ("identity", "Keys"),
        ("identity", "Token"),
        ("metadata", "Instance"),
        ("metadata", "Token"),
        ("operations", "Health"),
        ("operations", "Tool"),
    ];
    let described: BTreeSet<String> = rows()
        .iter()
        .filter(|row| row.operation.get("security").and_then(|all| all.as_array()).is_some_and(<[_]>::is_empty))
        .map(|row| row.path.to_owned())
        .collect();
    let attest = |path: &String| path.starts_with("/attest/");
    assert!(described.iter().filter(|path| !attest(path)).eq(["/.well-known/openid-configuration", "/certs"]));
    assert!(described.iter().any(attest));
    let closed: BTreeSet<_> = Operation::all()
        .filter(|operation| operation.name() != "None")
        .map(|operation| (operation.surface(), operation.name()))
        .filter(|named| !open.contains(named))
        .collect();
    assert!(closed.iter().all(|(surface, name)| *surface == "vault" || name.contains("Polic")), "{closed:?}");
}

/// Every row of the vault's table, asked by a stranger, by somebody with a token that is none, and by a caller whose token is
/// for something else, is a challenge; so is every path that is not in the table.
#[test]
fn strangers_are_challenged_everywhere() {
    runtime().block_on(async {
        let scene = Scene::new().await;
        let mut asked: Vec<(String, String)> = rows_of(true)
            .iter()
            .map(|row| (row.method.clone(), row.path.replace("{key-name}", "k").replace("{key-version}", "v")))
            .collect();
        let others = ["/", "/metrics", "/health", "/health/live", "/sys/seal", "/admin", "/secrets", "/openapi.json"];
        asked.extend(others.map(|path| ("GET".to_owned(), path.to_owned())));
        for host in [PREMIUM, HSM] {
            for (method, path) in &asked {
                for headers in ["", "Authorization: Bearer x.y.z\r\n", "Authorization: Basic YTpi\r\n"] {
                    let response = scene.send(host, method, &format!("{path}?{V}"), headers, "").await;
                    assert_eq!(response.status, 401, "{method} {path}");
                    assert!(response.header("www-authenticate").unwrap().starts_with("Bearer "));
                }
            }
        }
    });
}
