//! Servers whose clocks are really apart: libfaketime gives each process a clock of its own, which is moved while it runs.

use std::fs;

use super::nodes::node;
use super::*;
use crate::cluster::{Cluster, until};

const MINUTE: i64 = 60;

/// The clock of a process: a file that says how far it is from the machine's.
struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    fn new(site: &Site, name: &str, offset: i64) -> Clock {
        let clock = Clock { file: site.path(&format!("clock-{name}")), library: library() };
        clock.set(offset);
        clock
    }

    /// Moves it; the process sees that within two seconds.
    fn set(&self, offset: i64) {
        // In one step: half of a text is another time.
        let next = self.file.with_extension("next");
        fs::write(&next, format!("{offset:+}\n")).unwrap();
        fs::rename(next, &self.file).unwrap();
    }

    fn variables(&self) -> [(&str, &str); 6] {
        [
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.to_str().unwrap()),
            ("FAKETIME_CACHE_DURATION", "1"),
            // Timers go on as they are: it is the time of day that is wrong.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
            ("FAKETIME_DISABLE_SHM", "1"),
        ]
    }
}

/// Where Debian's package `faketime` has it.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().map(|folder| folder.unwrap().path());
    let mut found = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).filter(|path| path.exists());
    found.next().unwrap_or_else(|| panic!("no libfaketime: apt-get install faketime"))
}

fn at(offset: i64) -> SystemTime {
    let by = Duration::from_secs(offset.unsigned_abs());
    if offset < 0 { SystemTime::now() - by } else { SystemTime::now() + by }
}

/// What a node says to a release of this token, by a caller whose token is of the node's time.
fn asked(served: &Served<'_>, offset: i64, token: &str) -> (u16, String) {
    let caller = bearer_of(at(offset), ci(), "ci", CI, "tee");
    let answer = served.release(&caller, token);
    let message = answer.json["error"]["message"].as_str().unwrap_or_default().to_owned();
    (answer.status, message)
}

/// What each says to a token that is good for all, whatever their clocks.
fn released(all: &[(&Served<'_>, i64)]) -> Vec<u16> {
    let (_, token) = attested_at(at(-20 * MINUTE), "good");
    all.iter().map(|(served, offset)| asked(served, *offset, &token).0).collect()
}

/// What readiness says.
fn reasons(served: &Served<'_>) -> Value {
    let ca = served.site.path("ca.pem");
    get(ca.to_str().unwrap(), &served.url("kv1.vault.localhost"), "/health/ready", None).json["reasons"].clone()
}

/// One of three nodes is ahead, and behind: it releases nothing and is not ready, the others go on, and all do when it is right again,
/// without a word. A token that is over is refused by each, also by the one for which it is not over.
#[test]
#[ignore = "needs etcd and faketime"]
fn one_clock_of_three_is_wrong() {
    let (site, cluster) = (Site::new(), Cluster::three());
    let clocks = ["a", "b", "c"].map(|name| Clock::new(&site, name, 0));
    let start = |at: usize, name: &str| site.start_with(&node(&site, &cluster, name), &clocks[at].variables());
    let [a, b, c] = [start(0, "a"), start(1, "b"), start(2, "c")];
    a.create();
    // Each has heard of both others.
    until(|| released(&[(&a, 0), (&b, 0), (&c, 0)]) == [200, 200, 200]);
    let over = attested_at(at(-9 * 60 * MINUTE), "good").1;
    for (offset, word) in [(10 * MINUTE, "those of other nodes"), (-10 * MINUTE, "earlier than")] {
        clocks[2].set(offset);
        until(|| reasons(&c) == json!(["clock"]));
        let all = [(&a, 0), (&b, 0), (&c, offset)];
        assert_eq!(released(&all), [200, 200, 503]);
        let (_, said) = asked(&c, offset, &attested_at(at(-20 * MINUTE), "good").1);
        assert!(said.contains("the clock says") && said.contains(word), "{said}");
        assert_eq!(all.map(|(served, offset)| asked(served, offset, &over).0), [403, 403, 503]);
        // It ended for the others five minutes ago, and for one that is behind it ends in five.
        let ended = attested_at(at(-8 * 60 * MINUTE - 5 * MINUTE), "good").1;
        assert_eq!(all.map(|(served, offset)| asked(served, offset, &ended).0), [403, 403, 503]);
        let got = a.get("kv1.vault.localhost", "/keys/payments", Some(&site.fetched("operator")));
        assert_eq!(got.status, 200);
        clocks[2].set(0);
        until(|| reasons(&c).is_null());
        assert_eq!(released(&[(&a, 0), (&b, 0), (&c, 0)]), [200, 200, 200]);
        assert_eq!([&a, &b, &c].map(|served| asked(served, 0, &over).0), [403, 403, 403]);
    }
    clocks[2].set(30);
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(25) {
        assert_eq!((released(&[(&a, 0), (&b, 0), (&c, 30)]), reasons(&c)), (vec![200, 200, 200], Value::Null));
    }
    for served in [a, b, c] {
        let (ended, said) = served.running.stop("TERM");
        assert!(ended.success(), "{said}");
    }
}

/// Two nodes that disagree both stop; one that is left over and behind goes on when the other, which does not come back, is forgotten. That
/// it was there, and where its log ended, stays.
#[test]
#[ignore = "needs etcd and faketime"]
fn one_clock_of_two_is_wrong() {
    let (site, cluster) = (Site::new(), Cluster::three());
    let clocks = ["a", "b"].map(|name| Clock::new(&site, name, 0));
    let configs = ["a", "b"].map(|name| node(&site, &cluster, name));
    let [a, b] = [0, 1].map(|at| site.start_with(&configs[at], &clocks[at].variables()));
    a.create();
    until(|| released(&[(&a, 0), (&b, 0)]) == [200, 200]);
    let (year, config) = (365 * 24 * 60 * MINUTE, configs[0].as_str());
    clocks[1].set(year);
    until(|| released(&[(&a, 0)]) == [503]);
    assert_eq!((reasons(&a), reasons(&b)), (Value::Null, Value::Null), "neither is outvoted");
    clocks[1].set(0);
    until(|| released(&[(&a, 0), (&b, 0)]) == [200, 200]);
    clocks[1].set(year);
    until(|| released(&[(&a, 0)]) == [503]);
    let runs = ended(&["node", "forget", "b", "--config", config]);
    let said = String::from_utf8(runs.stderr).unwrap();
    assert_eq!(runs.status.code(), Some(1), "{said}");
    assert!(said.contains("node b runs"), "{said}");
    assert!(b.running.stop("TERM").0.success());
    assert_eq!(released(&[(&a, 0)]), [503], "b said that it is later");
    let listed = |config: &str| -> Vec<Value> {
        let output = ended(&["node", "list", "--json", "--config", config]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let rows = listed(config);
    let runs: Vec<_> = rows.iter().map(|row| (row["node"].as_str().unwrap(), row["runs"].as_bool().unwrap())).collect();
    assert_eq!(runs, [("a", true), ("b", false)]);
    let (clock, vouched) = (rows[1]["clock"].as_u64().unwrap(), rows[1]["vouches_for"].as_u64().unwrap());
    assert!(clock > vouched + 300 * 86_400, "{rows:?}");
    let unknown = ended(&["node", "forget", "c", "--config", config]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(ended(&["node", "forget", "b", "--config", config]).status.success());
    until(|| released(&[(&a, 0)]) == [200]);
    let rows = listed(config);
    assert_eq!((rows.len(), &rows[1]["node"], &rows[1]["head"]), (2, &json!("b"), &rows[1]["head"]));
    assert!(rows[1]["forgotten"].as_u64().is_some(), "{rows:?}");
    assert!(a.running.stop("TERM").0.success());
    // By the next start at the latest it is in the log that is left.
    assert!(site.start_as(&configs[0]).running.stop("TERM").0.success());
    let head = rows[1]["head"].as_str().unwrap();
    let log = fs::read(site.path("data-a").join("audit/audit.log")).unwrap();
    let log = String::from_utf8_lossy(&log).into_owned();
    assert!(log.contains("node-forgotten") && log.contains(head), "{head}");
    let back = ended(&["serve", "--config", &configs[1]]);
    let said = String::from_utf8(back.stderr).unwrap();
    assert_eq!(back.status.code(), Some(4), "{said}");
    assert!(said.contains("which was forgotten"), "{said}");
}

/// A server alone whose clock was ahead releases nothing when it is right again, until the time that it vouched for is taken back, with
/// the word that names it, and on record.
#[test]
#[ignore = "needs faketime"]
fn time_of_a_server_alone_is_taken_back() {
    let site = Site::new();
    let config = site.path("skerry.toml").to_str().unwrap().to_owned();
    let day = 24 * 60 * MINUTE;
    let clock = Clock::new(&site, "alone", day);
    let served = site.start_with(&config, &clock.variables());
    let busy = ended(&["node", "list", "--config", &config]);
    assert_eq!(busy.status.code(), Some(3), "{}", String::from_utf8_lossy(&busy.stderr));
    assert!(served.running.stop("TERM").0.success());
    let served = site.start();
    served.create();
    let (_, token) = attested("good");
    let (status, said) = asked(&served, 0, &token);
    assert!(status == 503 && said.contains("earlier than"), "{said}");
    assert_eq!(reasons(&served), Value::Null, "nobody else could do better");
    assert!(served.running.stop("TERM").0.success());
    let list = ended(&["node", "list", "--json", "--config", &config]);
    let row: Value = serde_json::from_slice(&list.stdout).unwrap();
    let seen = row["vouches_for"].as_u64().unwrap();
    let shown = ended(&["node", "list", "--config", &config]);
    let time = der::DateTime::from_unix_duration(Duration::from_secs(seen)).unwrap().to_string();
    assert!(String::from_utf8(shown.stdout).unwrap().contains(&time));
    let take = |time: &str| ended(&["node", "forget-time", "--accept", time, "--config", &config]);
    let other = take("2030-01-01T00:00:00Z");
    let said = String::from_utf8(other.stderr).unwrap();
    assert!(other.status.code() == Some(1) && said.contains(&time), "{said}");
    let taken = take(&time);
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    let again = take(&time);
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(again.status.code() == Some(1) && said.contains("nothing is to be taken back"), "{said}");
    let served = site.start();
    assert_eq!(asked(&served, 0, &token).0, 200);
    assert!(served.running.stop("TERM").0.success());
    let log = fs::read(site.path("data/audit/audit.log")).unwrap();
    assert!(String::from_utf8_lossy(&log).contains("time-forgotten"));
    assert!(ended(&["verify", "--config", &config]).status.success());
}
