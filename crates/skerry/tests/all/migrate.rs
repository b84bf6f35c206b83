//! `skerry store migrate`, between a folder and three servers of etcd with TLS on both sides.

use crate::cluster::Cluster;
use crate::process::*;
use crate::serve::Site;

/// What it says, with this exit code.
fn migrate(site: &Site, from: &str, to: &str, code: i32) -> String {
    let (from, to) = (site.text(from), site.text(to));
    let output = ended(&["store", "migrate", "--from", &from, "--to", &to, "--json"]);
    let said = String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

/// A configuration of the same server on etcd.
fn on_etcd(site: &Site, cluster: &Cluster, prefix: &str) -> String {
    let ca = cluster.ca.as_ref().unwrap();
    let (certificate, key) = ca.issue();
    site.put("roots.pem", &ca.pem());
    site.put("node.pem", &certificate);
    site.put("node.key", &key);
    let endpoints: Vec<_> = cluster.members.iter().map(|member| format!("{:?}", member.endpoint)).collect();
    format!(
        "{}\n[store]\nengine = \"etcd\"\nnode = \"a\"\nendpoints = [{}]\nprefix = \"{prefix}\"\nroots = \"roots.pem\"\n\
         client = {{ certificates = \"node.pem\", key = \"node.key\" }}\n",
        std::fs::read_to_string(site.path("skerry.toml")).unwrap(),
        endpoints.join(", ")
    )
}

/// There and back: rows are counted and compared, the side that was left is refused, and what was moved is not moved again.
#[test]
#[ignore = "needs etcd"]
fn a_store_goes_to_etcd_and_back() {
    let (site, cluster) = (Site::new(), Cluster::three());
    site.put("etcd.toml", &on_etcd(&site, &cluster, "there/"));
    let running = site.start();
    // Its folder is held.
    assert!(migrate(&site, "skerry.toml", "etcd.toml", 3).contains("in use"));
    running.stop("TERM");
    assert!(migrate(&site, "skerry.toml", "skerry.toml", 2).contains("the same store"));
    assert!(migrate(&site, "etcd.toml", "skerry.toml", 3).contains("nothing is under this prefix"));
    let there = migrate(&site, "skerry.toml", "etcd.toml", 0);
    assert!(there.contains(r#""ok":true"#) && !there.contains(r#""rows":0"#), "{there}");
    site.ends(&[], 4, "this store was migrated");
    assert!(migrate(&site, "skerry.toml", "etcd.toml", 1).contains("nothing is left to do"));
    site.put("elsewhere.toml", &on_etcd(&site, &cluster, "elsewhere/"));
    assert!(migrate(&site, "skerry.toml", "elsewhere.toml", 1).contains("go on with the target"));
    // The marked file is no target; without it the folder gets a new one, and goes on with its log.
    assert!(migrate(&site, "etcd.toml", "skerry.toml", 1).contains("target holds something already"));
    std::fs::rename(site.path("data/store.redb"), site.path("data/store.moved")).unwrap();
    let back = migrate(&site, "etcd.toml", "skerry.toml", 0);
    assert!(back.contains(r#""ok":true"#), "{back}");
    site.start().stop("TERM");
    assert!(migrate(&site, "etcd.toml", "skerry.toml", 1).contains("nothing is left to do"));
}

/// Another root key opens neither, and says so before anything is written.
#[test]
#[ignore = "needs etcd"]
fn another_root_moves_nothing() {
    let (site, cluster) = (Site::new(), Cluster::three());
    site.put("etcd.toml", &on_etcd(&site, &cluster, "there/"));
    site.start().stop("TERM");
    site.put("root.key", &"a5".repeat(32));
    assert!(migrate(&site, "skerry.toml", "etcd.toml", 4).contains("the root key is not the one"));
    assert_eq!(cluster.etcdctl(0, &["get", "there/", "--prefix", "--keys-only"]), "");
}
