//! Two servers on three of etcd: one vault, whichever is asked, and logs that have seen each other.

use super::*;
use crate::cluster::Cluster;

/// The site's configuration as that of a node with this name, whose data folder is `data-NAME`.
pub(super) fn node(site: &Site, cluster: &Cluster, name: &str) -> String {
    let ca = cluster.ca.as_ref().unwrap();
    let (certificate, key) = ca.issue();
    site.put("roots.pem", &ca.pem());
    site.put("node.pem", &certificate);
    site.put("node.key", &key);
    let data = format!("data-{name}");
    if !site.path(&data).exists() {
        std::fs::create_dir(site.path(&data)).unwrap();
        std::fs::set_permissions(site.path(&data), std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let endpoints: Vec<_> = cluster.members.iter().map(|member| format!("{:?}", member.endpoint)).collect();
    let text = CONFIG.replace("FETCHED", &site.provider.issuer).replace("data = \"data\"", &format!("data = {data:?}"));
    let store = format!(
        "\n[store]\nengine = \"etcd\"\nnode = {name:?}\nendpoints = [{}]\nroots = \"roots.pem\"\n\
         client = {{ certificates = \"node.pem\", key = \"node.key\" }}\n",
        endpoints.join(", ")
    );
    let file = format!("{name}.toml");
    site.put(&file, &(text + &store));
    site.path(&file).to_str().unwrap().to_owned()
}

/// What one node acknowledged the other has from then on: a key, its release, its end. Each has a log of its own, and each log has
/// seen the other; a log that was made anew is told by the other's.
#[test]
#[ignore = "needs etcd"]
fn nodes_are_one_vault() {
    let (site, cluster) = (Site::new(), Cluster::three());
    let configs = ["a", "b"].map(|name| node(&site, &cluster, name));
    let [a, b] = [site.start_as(&configs[0]), site.start_as(&configs[1])];
    let operator = site.fetched("operator");
    let status = |served: &Served<'_>| served.get("kv1.vault.localhost", "/keys/payments", Some(&operator)).status;
    let (_, token) = attested("good");
    a.create();
    assert_eq!((status(&a), status(&b)), (200, 200));
    let released = b.release(&tee(), &token);
    assert_eq!(released.status, 200, "{}", released.json);
    let deleted = a.ask("kv1.vault.localhost", Method::DELETE, "/keys/payments", Some(&operator), None);
    assert_eq!(deleted.status, 200, "{}", deleted.json);
    let released = b.release(&tee(), &token);
    assert_eq!((released.status, &released.json["error"]["code"]), (404, &json!("KeyNotFound")));
    assert_eq!((status(&a), status(&b)), (404, 404));
    let [first, second] = [a, b].map(|served| served.running.stop("TERM"));
    assert!(first.0.success() && second.0.success(), "{first:?} {second:?}");
    // The second start has a checkpoint of the other to see, whichever came first.
    let [a, b] = [site.start_as(&configs[0]), site.start_as(&configs[1])];
    for served in [a, b] {
        let (ended, said) = served.running.stop("TERM");
        assert!(ended.success(), "{said}");
    }
    let folders = ["data-a", "data-b"].map(|name| site.path(name).to_str().unwrap().to_owned());
    let verified = ended(&["audit", "verify", &folders[0], &folders[1], "--json"]);
    let said = String::from_utf8([verified.stdout.as_slice(), &verified.stderr].concat()).unwrap();
    assert_eq!(verified.status.code(), Some(0), "{said}");
    let witnessed = said.lines().filter(|line| !line.contains(r#""witnessed":0"#)).count();
    assert_eq!(witnessed, 2, "{said}");
}

/// A node's name goes with its log: under another's, or with an empty folder, nothing is served, and what to do is said.
#[test]
#[ignore = "needs etcd"]
fn node_has_its_own_folder() {
    let (site, cluster) = (Site::new(), Cluster::three());
    for name in ["a", "b"] {
        let config = node(&site, &cluster, name);
        assert!(site.start_as(&config).running.stop("TERM").0.success());
    }
    let refused = |config: &str, words: &str| {
        let output = ended(&["serve", "--config", config]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains(words), "{said}");
    };
    let config = node(&site, &cluster, "a");
    std::fs::rename(site.path("data-a"), site.path("kept")).unwrap();
    std::fs::rename(site.path("data-b"), site.path("data-a")).unwrap();
    refused(&config, "not the one whose head is known");
    std::fs::remove_dir_all(site.path("data-a")).unwrap();
    node(&site, &cluster, "a");
    refused(&config, "give this node a name of its own");
    std::fs::remove_dir_all(site.path("data-a")).unwrap();
    std::fs::rename(site.path("kept"), site.path("data-a")).unwrap();
    assert!(site.start_as(&config).running.stop("TERM").0.success(), "the control");
}

/// A node that has no quorum of etcd to ask says that it is not ready, refuses with 503, and is back by itself.
#[test]
#[ignore = "needs etcd"]
fn node_without_quorum_is_not_ready() {
    let (site, mut cluster) = (Site::new(), Cluster::three());
    let config = node(&site, &cluster, "a");
    let served = site.start_as(&config);
    let ca = site.path("ca.pem");
    let ready = || get(ca.to_str().unwrap(), &served.url("kv1.vault.localhost"), "/health/ready", None);
    let until = |status: u16| {
        let begun = std::time::Instant::now();
        loop {
            let answer = ready();
            if answer.status == status {
                return answer.json;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", answer.json);
        }
    };
    until(200);
    cluster.members[0].kill();
    cluster.members[1].kill();
    assert_eq!(until(503)["reasons"], json!(["store-not-reached"]));
    let operator = site.fetched("operator");
    let refused = served.get("kv1.vault.localhost", "/keys/payments", Some(&operator));
    assert_eq!((refused.status, &refused.json["error"]["code"]), (503, &json!("ServiceUnavailable")));
    cluster.members[0].start();
    until(200);
    served.create();
}
