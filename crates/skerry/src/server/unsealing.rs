//! The sealed server: listeners that tell their health, and a socket at which somebody brings the passphrase.
//!
//! ```text
//! data/unseal.sock, mode 0600, peers of this process's user or root (SO_PEERCRED)
//!   request   2 octets length, big endian; the passphrase
//!   answer    one JSON object, then the end:
//!             {"outcome":"opened"} | {"outcome":"refused","text":"..."} | {"outcome":"failed","exit":4,"text":"..."}
//! ```
//!
//! One request at a time and one try a second, however many come: what a try costs, memory above all, is this process's. A try that
//! is right is answered when the server is open, or why it cannot be; then the process ends as a start does that fails.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use skerry_http::Machine;
use skerry_http::health::Phase;
use skerry_jose::json::Object;
use skerry_store::stamp::Kind;
use skerry_unseal::limits::PASSPHRASE_BYTES_MAX;
use skerry_unseal::{Passphrase, UnsealError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use zeroize::Zeroizing;

use super::doors::{Doors, Sockets};
use super::{Opened, edge};
use crate::config::Settings;
use crate::edge::Failure;
use crate::root::Sealed;

/// In the data folder.
pub(crate) const SOCKET: &str = "unseal.sock";
const LOCK: &str = "unseal.lock";

/// What became of a passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server serves.
    Opened,
    /// It stays sealed.
    Refused(String),
    /// The root is out, what it seals does not open, and the server ends with this code.
    Failed { exit: u8, text: String },
}

impl Outcome {
    fn to_json(&self) -> String {
        let object = Object::new();
        let object = match self {
            Self::Opened => object.with("outcome", "opened"),
            Self::Refused(text) => object.with("outcome", "refused").with("text", text.as_str()),
            Self::Failed { exit, text } => {
                object.with("outcome", "failed").with("exit", u64::from(*exit)).with("text", text.as_str())
            }
        };
        object.to_json()
    }

    /// What an answer says, if it is one.
    pub(crate) fn parse(answer: &Object) -> Option<Outcome> {
        let text = |name: &str| answer.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        match text("outcome")?.as_str() {
            "opened" => Some(Self::Opened),
            "refused" => Some(Self::Refused(text("text")?)),
            "failed" => {
                let exit = answer.get("exit").and_then(|value| value.as_u64())?;
                Some(Self::Failed { exit: u8::try_from(exit).ok()?, text: text("text")? })
            }
            _ => None,
        }
    }
}

/// Serves sealed until somebody brings the passphrase, then opened, until `stop` is ready. Both states are announced when they
/// have come.
pub(crate) async fn serve(
    settings: Settings,
    file: Sealed,
    sockets: Sockets,
    machine: Machine,
    announce: impl Fn(Phase) -> anyhow::Result<()>,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let control = Control::bind(&settings.data)?;
    let doors = Doors::new(&settings, sockets, "passphrase", &machine)?;
    let gates = doors.gates.clone();
    let (stopping, stopped) = watch::channel(false);
    let served = tokio::spawn(doors.serve(stopped.clone()));
    announce(Phase::Sealed)?;
    let mut stop = pin!(stop);
    let got = tokio::select! {
        got = control.root(&file) => Some(got),
        () = stop.as_mut() => None,
    };
    drop(control);
    let Some((root, asking)) = got else {
        stopping.send_replace(true);
        return served.await.map(drop).context("the server").map_err(Failure::from);
    };
    gates.health.enter(Phase::Opening);
    let behind = Opened::behind(&gates, settings, (root, None), Kind::Serve, machine).await;
    asking.tell(&told(&behind)).await;
    let made = match behind {
        Ok(made) => made,
        Err(failure) => {
            stopping.send_replace(true);
            let _ = served.await;
            return Err(failure);
        }
    };
    announce(Phase::Open)?;
    let serving = async {
        let until = async {
            stop.await;
            stopping.send_replace(true);
        };
        // A panic there was one of the listeners': nothing was drained that could be told of.
        tokio::join!(served, until).0.unwrap_or_default()
    };
    made.work(stopped, serving).await;
    Ok(())
}

fn told(behind: &Result<Opened, Failure>) -> Outcome {
    match behind {
        Ok(_) => Outcome::Opened,
        Err(failure) => Outcome::Failed { exit: failure.exit(), text: failure.text() },
    }
}

/// Where passphrases come in, held against a second server on this folder.
struct Control {
    listener: UnixListener,
    path: PathBuf,
    _lock: File,
}

impl Control {
    fn bind(data: &Path) -> Result<Control, Failure> {
        let lock = data.join(LOCK);
        let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock);
        let opened = opened.with_context(|| lock.display().to_string())?;
        opened.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Failure::unavailable(anyhow!(
                "{}: another sealed skerry runs on this folder, stop it first",
                data.display()
            )),
            TryLockError::Error(error) => anyhow::Error::new(error).context("lock").into(),
        })?;
        let path = data.join(SOCKET);
        // What a killed process left; the lock says that nobody listens there.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(anyhow::Error::new(error).context(path.display().to_string()).into());
            }
            _ => {}
        }
        // The folder is closed to others, so nobody comes before the mode is set.
        let listener = UnixListener::bind(&path).with_context(|| path.display().to_string())?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, mode).with_context(|| path.display().to_string())?;
        Ok(Control { listener, path, _lock: opened })
    }

    /// The root, once somebody brought the right passphrase, and who did.
    async fn root(&self, file: &Sealed) -> (Zeroizing<[u8; 32]>, Asking) {
        let mut next = Instant::now();
        loop {
            // Short of descriptors, for instance: the next second may be better.
            let Ok((stream, _)) = self.listener.accept().await else {
                sleep_until(Instant::now() + TRY_PAUSE).await;
                continue;
            };
            let mut asking = Asking(stream);
            let Some(passphrase) = asking.passphrase().await else { continue };
            sleep_until(next).await;
            next = Instant::now() + TRY_PAUSE;
            match attempt(passphrase, file).await {
                Ok(root) => return (root, asking),
                Err(error) => {
                    edge::note(&format!("still sealed: {error}"));
                    asking.tell(&Outcome::Refused(error)).await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Left behind it is in nobody's way.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// On a thread of its own: it takes a second of a core, and health is answered meanwhile.
async fn attempt(passphrase: Passphrase, file: &Sealed) -> Result<Zeroizing<[u8; 32]>, String> {
    let sealed = file.sealed.clone();
    let tried = tokio::task::spawn_blocking(move || passphrase.open(&sealed)).await;
    tried.unwrap_or(Err(UnsealError::Library)).map_err(edge::chain)
}

/// Somebody who brought a passphrase, and waits.
struct Asking(UnixStream);

impl Asking {
    /// The passphrase, of a peer who may bring one, and who does so soon.
    async fn passphrase(&mut self) -> Option<Passphrase> {
        let peer = self.0.peer_cred().ok()?.uid();
        if !may_unseal(peer, rustix::process::geteuid().as_raw()) {
            return None;
        }
        timeout(REQUEST_TIME_MAX, self.read()).await.ok()?
    }

    async fn read(&mut self) -> Option<Passphrase> {
        let len = usize::from(self.0.read_u16().await.ok()?);
        if len > PASSPHRASE_BYTES_MAX {
            return None;
        }
        let mut octets = Zeroizing::new(vec![0; len]);
        self.0.read_exact(&mut octets).await.ok()?;
        Passphrase::new(octets).ok()
    }

    async fn tell(mut self, outcome: &Outcome) {
        // Whoever asked and went away learns it from the server's health.
        let _ = timeout(REQUEST_TIME_MAX, self.0.write_all(outcome.to_json().as_bytes())).await;
    }
}

/// Who could read this process's memory anyway.
fn may_unseal(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

/// From one try to the next.
const TRY_PAUSE: Duration = Duration::from_secs(1);
/// A program on this machine that has the passphrase already.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// A server's user and root may bring a passphrase, and nobody else, even through a socket that was left open to all.
    #[test]
    fn others_do_not_unseal() {
        assert!(may_unseal(1000, 1000) && may_unseal(0, 1000) && may_unseal(0, 0));
        assert!(!may_unseal(1001, 1000) && !may_unseal(1000, 0));
    }
}
