//! Backups that a running server is asked for, over a socket in its data folder.
//!
//! The store is held by the server, so that nobody else can read it. The socket is for the user that the server runs as, and for
//! root: the folder and the socket are closed to others, and who is at the other end is asked of the system. One backup is made
//! at a time. What goes over the socket is sealed already.
//!
//! ```text
//! request   one line: rate in octets a second, then each certificate in hex, with spaces between
//! answer    frames: kind 1, length 4 (big endian), content
//!             1 octets of the backup
//!             2 progress: done 8, all 8
//!             3 done: backup 16, digest 32, revision 8, entries 8, octets 8, head as text; a line for each other node: head, name
//!             4 refused: exit code 1, text
//! ```

use std::io::{self, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use skerry_http::Machine;
use skerry_store::stamp::Kind;
use skerry_vault::Installation;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::backup::{Job, Made, Other, make, who};
use crate::edge::{self, Failure};
use crate::verify::{parse, text};

/// Where the socket of a folder is. Names of sockets are short, so a folder whose name is long is reached by its descriptor.
pub(crate) struct Place {
    path: PathBuf,
    _folder: Option<std::fs::File>,
}

impl Place {
    pub(crate) fn of(data: &Path) -> io::Result<Place> {
        let path = data.join(SOCKET);
        if path.as_os_str().len() <= SUN_PATH_MAX {
            return Ok(Place { path, _folder: None });
        }
        let folder = std::fs::File::open(data)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()));
        Ok(Place { path, _folder: Some(folder) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// The socket of a server, which goes with this.
pub(super) struct Backups {
    listener: UnixListener,
    place: Place,
    asked: Arc<Asked>,
}

/// What is asked for a backup.
struct Asked {
    data: PathBuf,
    installation: Arc<Installation>,
    machine: Machine,
    /// The certificates that are taken, if not all are.
    recovery: Option<Vec<Vec<u8>>>,
    one: Semaphore,
}

impl Drop for Backups {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.place.path());
    }
}

impl Backups {
    /// None for `skerry dev`, of which no backup is made. The caller holds the store, so a socket that is there is an earlier server's.
    pub(super) fn listen(
        data: &Path,
        installation: &Arc<Installation>,
        machine: &Machine,
        recovery: Option<Vec<Vec<u8>>>,
    ) -> anyhow::Result<Option<Backups>> {
        if installation.stamp().kind == Kind::Dev {
            return Ok(None);
        }
        let place = Place::of(data).context("data folder")?;
        let context = || format!("socket {}", data.join(SOCKET).display());
        match std::fs::remove_file(place.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(context),
            _ => {}
        }
        let listener = UnixListener::bind(place.path()).with_context(context)?;
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o600)).with_context(context)?;
        let (installation, machine) = (Arc::clone(installation), machine.clone());
        let asked = Asked { data: data.to_owned(), installation, machine, recovery, one: Semaphore::new(1) };
        Ok(Some(Backups { listener, place, asked: Arc::new(asked) }))
    }

    /// Makes what it is asked for, until it is told to stop: then nobody is waited for, and a backup that is being made is cut off,
    /// which whoever asked for it notices.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut answers = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                Some(_) = answers.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, _)) => {
                    answers.spawn(answer(socket, Arc::clone(&self.asked)));
                }
                Err(error) => {
                    edge::note(&format!("socket for backups: {error}"));
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn answer(socket: UnixStream, asked: Arc<Asked>) {
    let uid = match socket.peer_cred() {
        Ok(peer) if is_allowed(peer.uid(), rustix::process::geteuid().as_raw()) => peer.uid(),
        // Who is not allowed here is told nothing.
        _ => return,
    };
    let (read, write) = socket.into_split();
    let (frames, sent) = mpsc::channel(FRAMES_MAX);
    let making = async {
        let end = match made((read, uid), &asked, frames.clone()).await {
            Ok(made) => Frame::Done(made),
            Err(failure) => Frame::Refused { exit: failure.exit(), message: failure.text() },
        };
        // Who has gone wants no answer.
        let _ = frames.send(end).await;
        drop(frames);
    };
    // Both end together: a maker whose frames nobody takes is told so.
    tokio::join!(making, send(write, sent));
}

async fn made(
    (read, uid): (tokio::net::unix::OwnedReadHalf, u32),
    asked: &Arc<Asked>,
    frames: mpsc::Sender<Frame>,
) -> Result<Made, Failure> {
    let mut line = String::new();
    let mut request = BufReader::new(read.take(REQUEST_LEN_MAX));
    let read = timeout(REQUEST_TIME_MAX, request.read_line(&mut line)).await;
    let read = read.map_err(|_| anyhow!("no request came"))?;
    read.context("request")?;
    let job = parse_request(&line, who(uid)).context("a request that this version does not know")?;
    let Ok(_one) = asked.one.try_acquire() else {
        return Err(Failure::unavailable(anyhow!("another backup is being made: ask again when it is done")));
    };
    let (asked, now) = (Arc::clone(asked), asked.machine.now());
    let runtime = tokio::runtime::Handle::current();
    // On a thread that may block: the disk is read there, and whoever reads slowly is waited for.
    let work = move || {
        let progress_frames = frames.clone();
        let mut out = Pipe { frames, octets: Vec::new() };
        let progress = move |done, all| progress_frames.blocking_send(Frame::Progress { done, all }).is_ok();
        let made = runtime.block_on(make(
            &asked.installation,
            &asked.data,
            (&job, asked.recovery.as_deref()),
            &mut out,
            now,
            progress,
        ))?;
        out.flush().context("the connection")?;
        Ok(made)
    };
    let work = tokio::task::spawn_blocking(work).await;
    work.map_err(|_| Failure::unavailable(anyhow!("the thread of the backup ended")))?
}

/// Whether this user may ask a server of that one.
fn is_allowed(uid: u32, own: u32) -> bool {
    uid == own || uid == 0
}

async fn send(mut write: tokio::net::unix::OwnedWriteHalf, mut frames: mpsc::Receiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        if write.write_all(&frame.to_bytes()).await.is_err() {
            return;
        }
    }
}

/// Where octets become frames.
struct Pipe {
    frames: mpsc::Sender<Frame>,
    octets: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.octets.extend_from_slice(octets);
        if self.octets.len() >= PIPE_LEN {
            self.flush()?;
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let octets = std::mem::take(&mut self.octets);
        if octets.is_empty() {
            return Ok(());
        }
        octets.chunks(FRAME_LEN_MAX).try_for_each(|part| {
            self.frames.blocking_send(Frame::Octets(part.to_vec())).map_err(|_| io::ErrorKind::BrokenPipe.into())
        })
    }
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Octets(Vec<u8>),
    Progress { done: u64, all: u64 },
    Done(Made),
    Refused { exit: u8, message: String },
}

impl Frame {
    fn to_bytes(&self) -> Vec<u8> {
        let (kind, content) = match self {
            Frame::Octets(octets) => (1, octets.clone()),
            Frame::Progress { done, all } => (2, [*done, *all].map(u64::to_be_bytes).concat()),
            Frame::Done(Made { id, digest, revision, entries, octets, head, others }) => {
                let numbers = [*revision, *entries, *octets].map(u64::to_be_bytes).concat();
                let others: String = others
                    .iter()
                    .map(|Other { node, head }| format!("\n{} {}", text(head), node.as_deref().unwrap_or_default()))
                    .collect();
                (3, [id.as_slice(), digest, &numbers, head.as_bytes(), others.as_bytes()].concat())
            }
            Frame::Refused { exit, message } => (4, [&[*exit], message.as_bytes()].concat()),
        };
        let len = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
        [[kind].as_slice(), &len, &content].concat()
    }

    pub(crate) fn parse(kind: u8, content: Vec<u8>) -> Option<Frame> {
        let number = |octets: &[u8; 8]| u64::from_be_bytes(*octets);
        match kind {
            1 => Some(Frame::Octets(content)),
            2 => {
                let (done, rest) = content.split_first_chunk()?;
                Some(Frame::Progress { done: number(done), all: number(rest.try_into().ok()?) })
            }
            3 => {
                let (id, rest) = content.split_first_chunk()?;
                let (digest, rest) = rest.split_first_chunk()?;
                let (revision, rest) = rest.split_first_chunk()?;
                let (entries, rest) = rest.split_first_chunk()?;
                let (octets, head) = rest.split_first_chunk()?;
                let mut lines = std::str::from_utf8(head).ok()?.split('\n');
                let head = lines.next()?.to_owned();
                let other = |line: &str| {
                    let (head, node) = line.split_once(' ')?;
                    Some(Other { node: Some(node.to_owned()).filter(|node| !node.is_empty()), head: parse(head)? })
                };
                let others = lines.map(other).collect::<Option<_>>()?;
                let (revision, entries, octets) = (number(revision), number(entries), number(octets));
                Some(Frame::Done(Made { id: *id, digest: *digest, revision, entries, octets, head, others }))
            }
            4 => {
                let (exit, message) = content.split_first()?;
                Some(Frame::Refused { exit: *exit, message: String::from_utf8(message.to_vec()).ok()? })
            }
            _ => None,
        }
    }
}

/// Kind and length of a frame.
pub(crate) fn parse_head([kind, len @ ..]: [u8; HEAD_LEN]) -> Option<(u8, usize)> {
    usize::try_from(u32::from_be_bytes(len)).ok().filter(|len| *len <= FRAME_LEN_MAX).map(|len| (kind, len))
}

/// The line that asks for a backup.
pub(crate) fn request(job: &Job) -> Vec<u8> {
    let certificates = job.recipients.iter().map(hex::encode);
    let words: Vec<String> = [job.octets_per_sec.to_string()].into_iter().chain(certificates).collect();
    format!("{}\n", words.join(" ")).into_bytes()
}

fn parse_request(line: &str, who: String) -> Option<Job> {
    let mut words = line.strip_suffix('\n')?.split(' ');
    let octets_per_sec = words.next()?.parse().ok()?;
    let recipients = words.map(hex::decode).collect::<Result<_, _>>().ok()?;
    Some(Job { recipients, octets_per_sec, who })
}

/// The socket's name in the data folder.
const SOCKET: &str = "backup.sock";
/// Of sockaddr_un (unix(7)), less the end.
const SUN_PATH_MAX: usize = 107;
pub(crate) const HEAD_LEN: usize = 5;
/// 16 certificates of 16 KiB, in hex.
const REQUEST_LEN_MAX: u64 = 640 * 1024;
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
const PIPE_LEN: usize = 256 * 1024;
const FRAME_LEN_MAX: usize = 1024 * 1024;
/// A few MiB wait for a slow reader.
const FRAMES_MAX: usize = 4;
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked for and what is answered are read as they were written, and nothing else is.
    #[test]
    fn requests_and_frames_are_read_back() {
        let head = "a:6:b".to_owned();
        let made = Made { id: [1; 16], digest: [2; 32], revision: 3, entries: 4, octets: 5, head, others: Vec::new() };
        let other = |node: Option<&str>| Other {
            node: node.map(str::to_owned),
            head: skerry_audit::Head { log: [7; 16], records: 8, hash: [9; 32] },
        };
        let of_nodes = Made { others: vec![other(Some("b")), other(None)], ..made.clone() };
        for frame in [
            Frame::Done(of_nodes),
            Frame::Octets(vec![7; 9]),
            Frame::Octets(Vec::new()),
            Frame::Progress { done: 1, all: 2 },
            Frame::Done(made),
            Frame::Refused { exit: 3, message: "no".to_owned() },
        ] {
            let bytes = frame.to_bytes();
            let (head, content) = bytes.split_first_chunk().unwrap();
            let (kind, len) = parse_head(*head).unwrap();
            assert_eq!(len, content.len());
            assert_eq!(Frame::parse(kind, content.to_vec()), Some(frame));
        }
        assert_eq!(parse_head([1, 0xff, 0, 0, 0]), None);
        for (kind, len) in [(0, 0), (2, 15), (2, 17), (3, 71), (4, 0), (5, 0)] {
            assert_eq!(Frame::parse(kind, vec![0; len]), None);
        }
        let job = Job { recipients: vec![vec![1, 2], vec![3]], octets_per_sec: 5, who: who(0) };
        let line = String::from_utf8(request(&job)).unwrap();
        let read = parse_request(&line, who(0)).unwrap();
        assert_eq!((read.recipients, read.octets_per_sec, read.who.as_str()), (job.recipients, 5, "unix:uid=0"));
        for line in ["", "\n", "5 00", "x 00\n", "5 0\n", "5  00\n x"] {
            assert!(parse_request(line, String::new()).is_none(), "{line:?}");
        }
    }

    /// The server's own user and root may ask, nobody else.
    #[test]
    fn others_are_not_answered() {
        assert!(is_allowed(1000, 1000) && is_allowed(0, 1000));
        assert!(!is_allowed(1001, 1000) && !is_allowed(1000, 0));
    }
}
