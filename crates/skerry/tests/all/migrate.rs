//! `skerry store migrate`, between a folder and three servers of etcd with TLS on both sides.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use skerry_store::migrate::MOVING_KEY;
use skerry_store::seal::Root;
use skerry_store::stamp::{Kind, MOVED_KEY, StampError};
use skerry_store::{At, Op, OpId, Options, Outcome, Store, StoreError, Txn};
use skerry_store_etcd::{Make, OpenError, Trust};
use zeroize::Zeroizing;

use crate::cluster::{Cluster, open_on_runtime, runtime};
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

/// The same without TLS, for servers on this machine.
fn on_plain_etcd(site: &Site, cluster: &Cluster, prefix: &str) -> String {
    let server = std::fs::read_to_string(site.path("skerry.toml")).unwrap();
    let endpoint = &cluster.members[0].endpoint;
    format!(
        "{server}\n[store]\nengine = \"etcd\"\nnode = \"a\"\nendpoints = [{endpoint:?}]\nprefix = \"{prefix}\"\n\
         danger = {{ plain = true }}\n"
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

/// One of the two places that rows go between.
struct Place {
    config: String,
    /// Of etcd: endpoint and prefix; a folder's file else.
    etcd: Option<(String, String)>,
    file: std::path::PathBuf,
}

impl Place {
    fn of_etcd(cluster: &Cluster, config: &str, prefix: &str) -> Place {
        let etcd = Some((cluster.members[0].endpoint.clone(), prefix.to_owned()));
        Place { config: config.to_owned(), etcd, file: "/none".into() }
    }

    /// The store as it lies there, opened by nobody else; none if there is none.
    fn open(&self) -> Option<Store> {
        match &self.etcd {
            Some((endpoint, prefix)) => {
                let mut options = skerry_store_etcd::Options::new(vec![endpoint.clone()], Trust::DangerNone);
                (options.prefix, options.history_kept) = (prefix.clone(), None);
                match open_on_runtime(options, Make::Existing) {
                    Ok(store) => Some(store),
                    Err(OpenError::Store(StoreError::Missing)) => None,
                    Err(error) => panic!("{error}"),
                }
            }
            None => match Store::open(&self.file, &root(), Options::new(|error| panic!("{error}"))) {
                Ok(store) => Some(store),
                Err(StoreError::Missing) => None,
                Err(error) => panic!("{}: {error}", self.file.display()),
            },
        }
    }

    /// Whether a server would take it, and whether anything is there.
    fn state(&self) -> State {
        let Some(store) = self.open() else { return State::Nothing };
        match runtime().block_on(store.stamped(Kind::Serve, &root())) {
            Ok(_) => State::Good,
            Err(StampError::Moved) => State::Moved,
            Err(StampError::Missing) if rows(&store).is_empty() => State::Nothing,
            Err(StampError::Missing) => State::Partly,
            Err(error) => panic!("{error}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    Nothing,
    Partly,
    Good,
    Moved,
}

fn root() -> Root {
    Root::new(Zeroizing::new([0x5a; 32]))
}

/// All rows but the marks of a migration.
fn rows(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut rows, mut after) = (Vec::new(), None::<Vec<u8>>);
    loop {
        let page = runtime().block_on(store.range(b"", after.as_deref(), 1000, At::Linearizable)).unwrap();
        after = page.rows.last().map(|row| row.key.clone());
        let kept = page.rows.into_iter().filter(|row| ![MOVED_KEY, MOVING_KEY].contains(&row.key.as_slice()));
        rows.extend(kept.map(|row| (row.key, row.entry.value)));
        if !page.more {
            return rows;
        }
    }
}

/// Rows that stand for a server's, enough that copying takes a while.
fn fill(store: &Store, chance: &mut Chance) {
    for group in 0..MANY / 100 {
        let ops = (0..100).map(|at| {
            let value = vec![at; usize::try_from(chance.below(4000)).unwrap()];
            Op::Put(format!("test/{group}/{at}").into_bytes(), value)
        });
        write(store, ops.collect(), chance);
    }
}

fn write(store: &Store, ops: Vec<Op>, chance: &mut Chance) {
    let op = OpId([chance.next().to_be_bytes(), chance.next().to_be_bytes()].concat().try_into().unwrap());
    let committed = runtime().block_on(store.commit(&Txn { op, checks: Vec::new(), ops })).unwrap();
    assert!(matches!(committed, Outcome::Committed(_)), "{committed:?}");
}

/// Numbers of a seed (SplitMix64): that of SKERRY_SEED, or another each time.
struct Chance(u64);

impl Chance {
    fn new() -> Chance {
        let seed =
            std::env::var("SKERRY_SEED").map_or_else(|_| getrandom::u64().unwrap(), |text| text.parse().unwrap());
        Chance(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// A migration that is killed after a while, unless it has ended.
fn killed(site: &Site, from: &Place, to: &Place, after: Duration) {
    let (from, to) = (site.text(&from.config), site.text(&to.config));
    let mut command = Command::new(env!("CARGO_BIN_EXE_skerry"));
    command.args(["store", "migrate", "--from", &from, "--to", &to]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    // The moment is the test's subject, not a wait for something.
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Killed at any moment, there and back and again: of the two stores one at most is served, the source until it is marked, and in
/// between it may be served and changed; said again, all goes on, and in the end one holds what the other held, row for row.
#[test]
#[ignore = "needs etcd, and a minute: SKERRY_MIGRATIONS there and back, 8 unless set"]
fn killed_migrations_go_on() {
    let (site, cluster, mut chance) = (Site::new(), Cluster::single(), Chance::new());
    println!("SKERRY_SEED={}", chance.0);
    site.start().stop("TERM");
    let folder = || Place { config: "skerry.toml".to_owned(), etcd: None, file: site.path("data/store.redb") };
    fill(&folder().open().unwrap(), &mut chance);
    let rounds = std::env::var("SKERRY_MIGRATIONS").map_or(8, |text| text.parse().unwrap());
    let (mut seen, mut span) = (HashMap::<_, u32>::new(), [Duration::from_millis(400); 2]);
    for round in 0..rounds {
        let (config, prefix) = (format!("etcd{round}.toml"), format!("round{round}/"));
        site.put(&config, &on_plain_etcd(&site, &cluster, &prefix));
        let etcd = Place::of_etcd(&cluster, &config, &prefix);
        for (leg, (from, to)) in [(&folder(), &etcd), (&etcd, &folder())].into_iter().enumerate() {
            let served = |place: &Place| {
                let config = site.text(&place.config);
                Running::start(&["serve", "--config", &config]).stop("TERM");
            };
            for kill in 0..chance.below(4) {
                let span = u64::try_from(span[leg].as_micros()).unwrap();
                killed(&site, from, to, Duration::from_micros(chance.below(span)));
                let state = (from.state(), to.state());
                println!("round {round}.{leg}, kill {kill}: {state:?}");
                match state {
                    (State::Good, State::Nothing | State::Partly) => {
                        if chance.below(3) == 0 {
                            served(from);
                            let number = chance.below(MANY);
                            let changed = format!("test/{}/{}", number / 100, number % 100).into_bytes();
                            let ops = vec![Op::Delete(changed), Op::Put(format!("late/{number}").into(), vec![7; 9])];
                            write(&from.open().unwrap(), ops, &mut chance);
                        }
                    }
                    (State::Moved, State::Partly | State::Good) => {}
                    state => panic!("round {round}.{leg}, kill {kill}: {state:?}"),
                }
                *seen.entry(state).or_default() += 1;
            }
            let begun = Instant::now();
            let done = to.state() == State::Good;
            let said = migrate(&site, &from.config, &to.config, i32::from(done));
            if done {
                assert!(said.contains("nothing is left to do"), "{said}");
            } else {
                assert!(said.contains(r#""ok":true"#), "{said}");
                span[leg] = begun.elapsed();
            }
            assert_eq!((from.state(), to.state()), (State::Moved, State::Good));
            let (held, moved) = (rows(&from.open().unwrap()), rows(&to.open().unwrap()));
            assert!(held == moved && held.len() > 500, "{} and {} rows", held.len(), moved.len());
            let config = site.text(&from.config);
            let output = ended(&["serve", "--config", &config]);
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.code() == Some(4) && said.contains("this store was migrated"), "{said}");
            served(to);
            if leg == 0 {
                std::fs::remove_file(&from.file).unwrap();
            }
        }
    }
    println!("{seen:?}");
}

/// A node that runs on the source is seen, since what it does meanwhile would be lost; one that is there all the same when the source is
/// marked ends by itself.
#[test]
#[ignore = "needs etcd"]
fn sources_that_are_served_are_not_moved() {
    let (site, cluster) = (Site::new(), Cluster::single());
    site.put("etcd.toml", &on_plain_etcd(&site, &cluster, "there/"));
    let config = site.text("etcd.toml");
    let running = Running::start(&["serve", "--config", &config]);
    let said = migrate(&site, "etcd.toml", "skerry.toml", 3);
    assert!(said.contains("a server of one of its nodes runs"), "{said}");
    assert!(!site.path("data/store.redb").exists());
    let etcd = Place::of_etcd(&cluster, "etcd.toml", "there/");
    let (mut chance, mark) = (Chance::new(), vec![Op::Put(MOVED_KEY.to_vec(), vec![1])]);
    write(&etcd.open().unwrap(), mark, &mut chance);
    let (code, complaints) = running.ended();
    assert_eq!(code, Some(4), "{complaints}");
    assert!(complaints.contains("this process ends: this store was migrated"), "{complaints}");
}

/// Of two migrations at once one goes on and the other is told so: the source's log and a folder's file are held by one, and on etcd what
/// one has done the other finds done or changed. Whatever comes of it, said again there is one target, and it has all rows.
#[test]
#[ignore = "needs etcd"]
fn two_migrations_at_once_make_one_store() {
    let (site, cluster, mut chance) = (Site::new(), Cluster::single(), Chance::new());
    println!("SKERRY_SEED={}", chance.0);
    site.put("first.toml", &on_plain_etcd(&site, &cluster, "first/"));
    let config = site.text("first.toml");
    Running::start(&["serve", "--config", &config]).stop("TERM");
    let mut from = Place::of_etcd(&cluster, "first.toml", "first/");
    fill(&from.open().unwrap(), &mut chance);
    let before = rows(&from.open().unwrap()).len();
    for round in 0..4 {
        let names = [format!("r{round}a"), format!("r{round}b")];
        // To one place in two rounds, to two places in the others.
        let names = if round % 2 == 0 { [names[0].clone(), names[0].clone()] } else { names };
        let targets = names.map(|name| {
            let (config, prefix) = (format!("{name}.toml"), format!("{name}/"));
            site.put(&config, &on_plain_etcd(&site, &cluster, &prefix));
            Place::of_etcd(&cluster, &config, &prefix)
        });
        let both = targets.each_ref().map(|to| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_skerry"));
            command.args(["store", "migrate", "--from", &site.text(&from.config), "--to", &site.text(&to.config)]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        let ends = both.map(|child| {
            let output = child.wait_with_output().unwrap();
            (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
        });
        println!("round {round}: {ends:?}");
        let is_told = |code: &i32, said: &str| *code <= 1 || (*code == 3 && said.contains("in use"));
        assert!(ends.iter().all(|(code, said)| is_told(code, said)), "{ends:?}");
        let again = targets.each_ref().map(|to| {
            let (config, target) = (site.text(&from.config), site.text(&to.config));
            let output = ended(&["store", "migrate", "--from", &config, "--to", &target]);
            (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
        });
        assert!(again.iter().all(|(code, _)| *code <= 1), "{again:?}");
        let good: Vec<_> = targets.iter().filter(|to| to.state() == State::Good).collect();
        assert!(good.len() == if round % 2 == 0 { 2 } else { 1 }, "{again:?}");
        assert_eq!(from.state(), State::Moved);
        let (held, moved) = (rows(&from.open().unwrap()), rows(&good[0].open().unwrap()));
        assert!(held == moved && held.len() == before, "{} and {} rows of {before}", held.len(), moved.len());
        from = Place { config: good[0].config.clone(), etcd: good[0].etcd.clone(), file: good[0].file.clone() };
    }
}

/// What comes to be in the target while nobody looks: rows of nobody's are taken away with the next attempt, another store's
/// beginning, another store and something foreign are refused, each by its name, and the source stays what it is.
#[test]
#[ignore = "needs etcd"]
fn targets_that_change_in_between_are_told_apart() {
    let (site, cluster, mut chance) = (Site::new(), Cluster::single(), Chance::new());
    println!("SKERRY_SEED={}", chance.0);
    site.start().stop("TERM");
    let folder = Place { config: "skerry.toml".to_owned(), etcd: None, file: site.path("data/store.redb") };
    fill(&folder.open().unwrap(), &mut chance);
    site.put("etcd.toml", &on_plain_etcd(&site, &cluster, "there/"));
    let etcd = Place::of_etcd(&cluster, "etcd.toml", "there/");
    let partly = |from: &Place, to: &Place| {
        for after in (20..).step_by(10) {
            killed(&site, from, to, Duration::from_millis(after));
            match (from.state(), to.state()) {
                (State::Good, State::Partly) => return,
                (State::Good, State::Nothing) => {}
                state => panic!("not killed in between: {state:?}"),
            }
        }
    };
    let clear = || cluster.etcdctl(0, &["del", "there/", "--prefix"]);
    let put = |key: &str| cluster.etcdctl(0, &["put", key, "foreign"]);

    // Another server's store is there by now, whole or half.
    let other = Site::new();
    other.start().stop("TERM");
    other.put("etcd.toml", &on_plain_etcd(&other, &cluster, "there/"));
    partly(&folder, &etcd);
    clear();
    assert!(migrate(&other, "skerry.toml", "etcd.toml", 0).contains(r#""ok":true"#));
    assert!(migrate(&site, "skerry.toml", "etcd.toml", 1).contains("the target holds something already"));
    clear();
    let third = Site::new();
    third.start().stop("TERM");
    let filled = Place { config: "skerry.toml".to_owned(), etcd: None, file: third.path("data/store.redb") };
    fill(&filled.open().unwrap(), &mut chance);
    third.put("etcd.toml", &on_plain_etcd(&third, &cluster, "there/"));
    for after in (20..).step_by(10) {
        killed(&third, &filled, &etcd, Duration::from_millis(after));
        if etcd.state() == State::Partly {
            break;
        }
    }
    assert!(migrate(&site, "skerry.toml", "etcd.toml", 1).contains("the target is being filled from another store"));
    // Something that is no store.
    clear();
    put("there/foreign");
    assert!(migrate(&site, "skerry.toml", "etcd.toml", 4).contains("something else is under this prefix"));
    assert_eq!(folder.state(), State::Good);
    // Rows of nobody's, and a mark that was altered.
    clear();
    partly(&folder, &etcd);
    write(&etcd.open().unwrap(), vec![Op::Put(b"nobody's".to_vec(), b"1".to_vec())], &mut chance);
    let mark = runtime().block_on(etcd.open().unwrap().get(MOVING_KEY, At::Linearizable)).unwrap().unwrap().value;
    write(&etcd.open().unwrap(), vec![Op::Put(MOVING_KEY.to_vec(), b"altered".to_vec())], &mut chance);
    assert!(migrate(&site, "skerry.toml", "etcd.toml", 4).contains("mark of a migration does not open"));
    assert_eq!(folder.state(), State::Good);
    write(&etcd.open().unwrap(), vec![Op::Put(MOVING_KEY.to_vec(), mark)], &mut chance);
    assert!(migrate(&site, "skerry.toml", "etcd.toml", 0).contains(r#""ok":true"#));
    assert_eq!((folder.state(), etcd.state()), (State::Moved, State::Good));
    assert!(rows(&folder.open().unwrap()) == rows(&etcd.open().unwrap()));
}

const MANY: u64 = 2000;
