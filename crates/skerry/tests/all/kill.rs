//! SIGKILL at random moments while keys are made, changed, deleted and brought back: what was acknowledged is there after
//! the restart, and what was not is either there whole or not at all.
//!
//! This shows the protocol, not a disk's honesty: the machine goes on, so what was written is not lost with its cache.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use http::Method;
use rand_core::Rng as _;
use serde_json::{Value, json};
use skerry_client::Roots;
use skerry_client::http::{Ask, Client, Endpoint, HttpError};

use crate::process::*;

const WORKERS: usize = 6;
const KEYS_EACH: usize = 3;
/// `./test` runs as many rounds; SKERRY_KILLS asks for another number.
const KILLS: usize = 50;

/// What is known of one key: a name that was purged is free again.
#[derive(Debug, Clone, PartialEq)]
enum State {
    Absent,
    Live { versions: usize, stamp: u64 },
    Deleted { versions: usize, stamp: u64 },
}

/// A key as acknowledged, and as it will be if the request that was cut off was carried out.
#[derive(Debug, Clone)]
struct Known {
    name: String,
    acknowledged: State,
    attempted: Option<State>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Create,
    Stamp,
    Delete,
    Recover,
    Purge,
}

/// Nothing acknowledged is lost, however the server ends.
#[test]
#[ignore = "needs a minute or more: SKERRY_KILLS restarts, 50 unless set"]
fn nothing_acknowledged_is_lost_by_a_kill() {
    let kills = std::env::var("SKERRY_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut known: Vec<Vec<Known>> = (0..WORKERS).map(keys_of).collect();
    let (mut acknowledged, mut cut_off) = (0, 0);
    for kill in 0..kills {
        let server = Server::start(folder.path());
        settle(&server, &mut known, kill);
        let (stop, stopped): (Vec<Sender<()>>, Vec<Receiver<()>>) = (0..WORKERS).map(|_| channel()).unzip();
        let workers: Vec<_> = known
            .drain(..)
            .zip(stopped)
            .map(|(keys, stopped)| {
                let site = server.site.clone();
                thread::spawn(move || work(&site, keys, &stopped))
            })
            .collect();
        let pause = Duration::from_millis(rng().next_u64() % 400);
        // The moment is the test's subject, not a wait for something.
        thread::sleep(pause);
        server.kill();
        drop(stop);
        for worker in workers {
            let (keys, count) = worker.join().unwrap();
            acknowledged += count;
            cut_off += keys.iter().filter(|key| key.attempted.is_some()).count();
            known.push(keys);
        }
    }
    let server = Server::start(folder.path());
    settle(&server, &mut known, kills);
    server.kill();
    println!("{kills} kills, {acknowledged} changes acknowledged, {cut_off} cut off, none lost");
    assert!(kills < 10 || (acknowledged > kills && cut_off > 0), "{acknowledged} acknowledged, {cut_off} cut off");
}

fn keys_of(worker: usize) -> Vec<Known> {
    let known = |key| Known { name: format!("k{worker}-{key}"), acknowledged: State::Absent, attempted: None };
    (0..KEYS_EACH).map(known).collect()
}

/// Compares every key with what is known of it, and takes what is found for what is acknowledged from then on.
fn settle(server: &Server, known: &mut [Vec<Known>], kill: usize) {
    for key in known.iter_mut().flatten() {
        let found = server.site.look(&key.name).unwrap();
        let is_known = found == key.acknowledged || Some(&found) == key.attempted.as_ref();
        assert!(is_known, "after kill {kill}: {found:?} is neither of {key:?}");
        key.acknowledged = found;
        key.attempted = None;
    }
    // Chain, tree, tiles and checkpoints, whatever was being written: beside the server that goes on with them.
    skerry_audit::check(&server.folder.join("audit"), None, &[], |_| ()).unwrap();
}

/// Changes its own keys, one after the other, until the server is gone.
fn work(site: &Site, mut keys: Vec<Known>, stopped: &Receiver<()>) -> (Vec<Known>, usize) {
    let mut acknowledged = 0;
    loop {
        for key in &mut keys {
            let (step, after) = next(&key.acknowledged);
            key.attempted = Some(after.clone());
            match site.take(step, &key.name, &after) {
                Ok(()) => {
                    key.acknowledged = after;
                    key.attempted = None;
                    acknowledged += 1;
                }
                Err(_gone) => return (keys, acknowledged),
            }
            if stopped.try_recv() == Err(TryRecvError::Disconnected) {
                return (keys, acknowledged);
            }
        }
    }
}

fn next(state: &State) -> (Step, State) {
    let pick = rng().next_u64() % 8;
    let fresh = rng().next_u64() >> 16;
    match *state {
        State::Absent => (Step::Create, State::Live { versions: 1, stamp: fresh }),
        State::Live { versions, stamp } if pick == 0 => (Step::Delete, State::Deleted { versions, stamp }),
        State::Live { versions, .. } if pick < 3 && versions < 20 => {
            (Step::Create, State::Live { versions: versions + 1, stamp: fresh })
        }
        State::Live { versions, .. } => (Step::Stamp, State::Live { versions, stamp: fresh }),
        State::Deleted { .. } if pick < 3 => (Step::Purge, State::Absent),
        State::Deleted { versions, stamp } => (Step::Recover, State::Live { versions, stamp }),
    }
}

/// Where the vault is, and how to ask it.
#[derive(Clone)]
struct Site {
    client: Client,
    vault: Endpoint,
    token: String,
}

impl Site {
    fn of(env: &HashMap<String, String>) -> Site {
        let roots = Roots::from_pem(&std::fs::read(&env["SKR_CA_FILE"]).unwrap()).unwrap();
        let client = Client::new(&roots).unwrap();
        Site { client, vault: Endpoint::parse(&env["SKR_VAULT_URL"]).unwrap(), token: env["SKR_TOKEN"].clone() }
    }

    /// An answer's status and JSON, or that the server is gone.
    fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<(u16, Value), HttpError> {
        let path = format!("{path}?api-version=7.4");
        let body = body.map(|body| body.to_string());
        let ask = Ask { method, path: &path, bearer: Some(&self.token), body };
        let answer = runtime().block_on(self.client.ask(&self.vault, ask))?;
        let json = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        Ok((answer.status.as_u16(), json))
    }

    /// Takes a step. Any answer but success is a defect: nobody else changes these keys.
    fn take(&self, step: Step, name: &str, after: &State) -> Result<(), HttpError> {
        let stamp = match after {
            State::Live { stamp, .. } => stamp.to_string(),
            _ => String::new(),
        };
        let tags = json!({ "stamp": stamp });
        let (method, path, body) = match step {
            Step::Create => {
                let body = json!({ "kty": "EC", "crv": "P-256", "tags": tags });
                (Method::POST, format!("/keys/{name}/create"), Some(body))
            }
            Step::Stamp => (Method::PATCH, format!("/keys/{name}"), Some(json!({ "tags": tags }))),
            Step::Delete => (Method::DELETE, format!("/keys/{name}"), None),
            Step::Recover => (Method::POST, format!("/deletedkeys/{name}/recover"), None),
            Step::Purge => (Method::DELETE, format!("/deletedkeys/{name}"), None),
        };
        let (status, answer) = self.ask(method, &path, body)?;
        assert!(status == 200 || status == 204, "{step:?} of {name}: {status} {answer}");
        Ok(())
    }

    fn look(&self, name: &str) -> Result<State, HttpError> {
        let stamp = |answer: &Value| answer["tags"]["stamp"].as_str().unwrap().parse().unwrap();
        let (status, answer) = self.ask(Method::GET, &format!("/keys/{name}"), None)?;
        if status == 200 {
            let (_, versions) = self.ask(Method::GET, &format!("/keys/{name}/versions"), None)?;
            let versions = versions["value"].as_array().unwrap().len();
            return Ok(State::Live { versions, stamp: stamp(&answer) });
        }
        assert_eq!(status, 404, "{name}: {answer}");
        let (status, answer) = self.ask(Method::GET, &format!("/deletedkeys/{name}"), None)?;
        if status == 404 {
            return Ok(State::Absent);
        }
        assert_eq!(status, 200, "{name}: {answer}");
        let stamp = stamp(&answer);
        // A deleted key shows no versions: it is brought back to count them, and deleted again.
        let (status, answer) = self.ask(Method::POST, &format!("/deletedkeys/{name}/recover"), None)?;
        assert_eq!(status, 200, "{name}: {answer}");
        let (_, versions) = self.ask(Method::GET, &format!("/keys/{name}/versions"), None)?;
        let versions = versions["value"].as_array().unwrap().len();
        let (status, answer) = self.ask(Method::DELETE, &format!("/keys/{name}"), None)?;
        assert_eq!(status, 200, "{name}: {answer}");
        Ok(State::Deleted { versions, stamp })
    }
}

/// A running dev server on a folder that outlives it.
struct Server {
    running: Running,
    site: Site,
    folder: std::path::PathBuf,
}

impl Server {
    fn start(folder: &Path) -> Server {
        let data = folder.join("dev");
        let running = Running::start(&["dev", "--data", data.to_str().unwrap(), "--port-base", "0"]);
        let site = Site::of(&load(&data.join("dev.env")));
        Server { running, site, folder: data }
    }

    /// SIGKILL, and the end of the process.
    fn kill(self) {
        drop(self.running.stop("KILL"));
    }
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap())
}

fn rng() -> impl rand_core::CryptoRng {
    getrandom::rand_core::UnwrapErr(getrandom::SysRng)
}
