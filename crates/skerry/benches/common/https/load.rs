//! The server as a child process, and the load on it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::operation::{Kind, Operation};
use super::straight::{TEXT, release_body, sign_body, text_body};
use super::wire::{self, Connection, Target};
use super::{Size, cores};
use crate::common::{KEY, random};

/// A server and who asks it.
pub(crate) struct Load {
    pub(crate) runtime: Runtime,
    server: RefCell<Server>,
    hello: Value,
    tokens: Vec<String>,
    targets: HashMap<&'static str, Target>,
    open: RefCell<HashMap<&'static str, Vec<Connection>>>,
    next: Cell<usize>,
    /// What the server wrapped when it was asked first.
    wrapped: String,
    /// Octets of the answer to each operation.
    answers: Vec<(Kind, usize)>,
    alone: bool,
    _folder: tempfile::TempDir,
}

/// Where an operation is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    host: &'static str,
    /// What the name of a row says of it.
    pub(crate) words: &'static str,
    pub(crate) on_disk: bool,
}

struct Server {
    process: Child,
    orders: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Load {
    pub(crate) fn start(size: &Size) -> anyhow::Result<Load> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let (server, hello) = Server::start(folder.path(), size.tokens)?;
        // Only now: the child makes its tokens on all cores and keeps to one of its own then.
        let alone = cores::keep_to(cores::LOAD) && hello["alone"] == true;
        let tokens = std::fs::read_to_string(folder.path().join(TOKENS_FILE))?.lines().map(str::to_owned).collect();
        let tls = wire::tls(&STANDARD.decode(hello["root"].as_str().context("no root")?)?)?;
        let target = |host: &'static str, port: &str| {
            let port = u16::try_from(hello["ports"][port].as_u64().context("no port")?)?;
            Ok((host, Target::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), host, &tls)?))
        };
        let targets = [(DISK, "vault"), (TMPFS, "vault"), (ATTEST, "attest"), (ECHO, "echo")];
        let targets = targets.into_iter().map(|(host, port)| target(host, port)).collect::<anyhow::Result<_>>()?;
        let mut load = Load {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            server: RefCell::new(server),
            hello,
            tokens,
            targets,
            open: RefCell::default(),
            next: Cell::new(0),
            wrapped: String::new(),
            answers: Vec::new(),
            alone,
            _folder: folder,
        };
        for operation in size.operations {
            let answer = load.first(operation)?;
            load.answers.push(answer);
        }
        Ok(load)
    }

    /// Asks once: the operation works, and its answer has so many octets.
    fn first(&mut self, operation: &Operation) -> anyhow::Result<(Kind, usize)> {
        let mut len = 0;
        for place in self.places(operation) {
            let request = self.request(operation, place)?;
            let answer = self.runtime.block_on(async {
                let mut connection = self.target(place.host)?.open().await?;
                connection.ask(&request).await
            })?;
            let text = String::from_utf8_lossy(&answer.body);
            ensure!(answer.status == 200, "{}: {} {text}", operation.name, answer.status);
            len = answer.body.len();
            if operation.kind == Kind::Wrap {
                let answer: Value = serde_json::from_slice(&answer.body)?;
                self.wrapped = answer["value"].as_str().context("nothing wrapped")?.to_owned();
            }
        }
        Ok((operation.kind, len))
    }

    /// On disk, and in memory where what is on record makes a difference.
    pub(crate) fn places(&self, operation: &Operation) -> Vec<Place> {
        let place = |host, words, on_disk| Place { host, words, on_disk };
        match (operation.kind, self.hello["tmpfs"] == true) {
            (Kind::Attest, _) => vec![place(ATTEST, "", false)],
            _ if !operation.syncs => vec![place(DISK, "", false)],
            (_, true) => vec![place(DISK, ", on disk", true), place(TMPFS, ", in tmpfs", false)],
            (_, false) => vec![place(DISK, ", on disk", true)],
        }
    }

    pub(crate) fn inputs(&self) -> String {
        let answer = |(kind, len): &(Kind, usize)| format!("{kind:?} {len} B");
        let answers: Vec<String> = self.answers.iter().map(answer).collect();
        let (sizes, disk) = (self.hello["sizes"].as_str(), self.hello["disk"].as_str());
        let cores = if self.alone { "server and load on a core each" } else { "server and load share their cores" };
        let (sizes, disk) = (sizes.unwrap_or_default(), disk.unwrap_or_default());
        format!("{sizes}; answers: {}; store and log on {disk}; {cores}", answers.join(", "))
    }

    /// CPU time of the server's process.
    pub(crate) fn server_cpu(&self) -> anyhow::Result<Duration> {
        Ok(Duration::from_nanos(self.server.borrow_mut().order("cpu")?.parse()?))
    }

    /// Records of the server's logs.
    pub(crate) fn records(&self) -> anyhow::Result<u64> {
        Ok(self.server.borrow_mut().order("records")?.parse()?)
    }

    /// The straight-line function, within the server's process.
    pub(crate) fn straight(&self, operation: &Operation, count: usize, synced: bool) -> anyhow::Result<usize> {
        self.have(if synced { "run-synced" } else { "run" }, operation, count)
    }

    /// The cryptography alone, within the server's process.
    pub(crate) fn bare(&self, operation: &Operation, count: usize) -> anyhow::Result<usize> {
        self.have("bare", operation, count)
    }

    fn have(&self, word: &str, operation: &Operation, count: usize) -> anyhow::Result<usize> {
        let order = format!("{word} {count} {}", operation.name);
        let done = self.server.borrow_mut().order(&order)?;
        ensure!(done == "done", "{done}");
        Ok(count)
    }

    /// The operation over connections that are open.
    pub(crate) fn ask(&self, operation: &Operation, place: Place, count: usize) -> anyhow::Result<usize> {
        self.kept(place.host, CONNECTIONS, count, || self.request(operation, place))
    }

    /// The operation over so many connections that the server never waits for us.
    pub(crate) fn crowd(&self, operation: &Operation, place: Place, count: usize) -> anyhow::Result<usize> {
        self.kept(place.host, CROWD, count, || self.request(operation, place))
    }

    /// The operation, each time over a new connection.
    pub(crate) fn ask_anew(&self, operation: &Operation, place: Place, count: usize) -> anyhow::Result<usize> {
        self.anew(place.host, count, || self.request(operation, place))
    }

    pub(crate) fn echo(&self, operation: &Operation, count: usize) -> anyhow::Result<usize> {
        self.kept(ECHO, CONNECTIONS, count, || self.echo_request(operation))
    }

    pub(crate) fn echo_anew(&self, operation: &Operation, count: usize) -> anyhow::Result<usize> {
        self.anew(ECHO, count, || self.echo_request(operation))
    }

    fn kept(
        &self,
        host: &'static str,
        at_once: usize,
        count: usize,
        request: impl Fn() -> Request,
    ) -> anyhow::Result<usize> {
        let left = Cell::new(count);
        let more = || left.get().checked_sub(1).map(|fewer| left.set(fewer)).is_some();
        self.runtime.block_on(async {
            let mut connections = self.connections(host, at_once.min(count)).await?;
            let each = connections.iter_mut().take(at_once).map(|connection| async {
                while more() {
                    asked(connection, &request()?).await?;
                }
                anyhow::Ok(())
            });
            all(each).await?;
            self.open.borrow_mut().insert(host, connections);
            Ok(count)
        })
    }

    fn anew(&self, host: &'static str, count: usize, request: impl Fn() -> Request) -> anyhow::Result<usize> {
        let left = Cell::new(count);
        let more = || left.get().checked_sub(1).map(|fewer| left.set(fewer)).is_some();
        let target = self.target(host)?;
        let each = (0..CONNECTIONS.min(count)).map(|_| async {
            while more() {
                let mut connection = target.open().await?;
                asked(&mut connection, &request()?).await?;
                connection.close().await?;
            }
            anyhow::Ok(())
        });
        self.runtime.block_on(all(each))?;
        Ok(count)
    }

    /// Connections that are open, of which there are opened as many as are missing. They are the caller's until given back.
    pub(crate) async fn connections(&self, host: &'static str, count: usize) -> anyhow::Result<Vec<Connection>> {
        let mut open = self.open.borrow_mut().remove(host).unwrap_or_default();
        while open.len() < count {
            open.push(self.target(host)?.open().await?);
        }
        Ok(open)
    }

    fn target(&self, host: &'static str) -> anyhow::Result<&Target> {
        self.targets.get(host).context("no such host")
    }

    /// A request that no other is like: each release has another attestation token.
    pub(crate) fn request(&self, operation: &Operation, place: Place) -> Request {
        let index = self.next.replace(self.next.get() + 1);
        let key = |name: &str| format!("/keys/{name}/{}", self.hello["versions"][name].as_str().unwrap_or_default());
        let (method, path, body) = match operation.kind {
            Kind::Release => {
                let token = self.tokens.get(index % self.tokens.len().max(1)).context("no token")?;
                ("POST", format!("/keys/{KEY}/release?api-version=7.4"), release_body(token))
            }
            Kind::Get => ("GET", format!("/keys/{KEY}?api-version=7.4"), String::new()),
            Kind::SignRsa => ("POST", format!("{}/sign?api-version=7.4", key("rsa")), sign_body("RS256")),
            Kind::SignEc => ("POST", format!("{}/sign?api-version=7.4", key("ec")), sign_body("ES256")),
            Kind::List => ("GET", "/keys?api-version=7.4".to_owned(), String::new()),
            Kind::Wrap => ("POST", format!("{}/wrapkey?api-version=7.4", key("rsa")), text_body(OAEP, TEXT)),
            Kind::Unwrap => {
                let body = format!(r#"{{"alg":"{OAEP}","value":"{}"}}"#, self.wrapped);
                ("POST", format!("{}/unwrapkey?api-version=7.4", key("rsa")), body)
            }
            Kind::Encrypt => ("POST", format!("{}/encrypt?api-version=7.4", key("aes")), text_body("A256GCM", TEXT)),
            Kind::CreateRsa => {
                let body = r#"{"kty":"RSA-HSM","key_size":2048}"#;
                ("POST", format!("/keys/rsa-{index}/create?api-version=7.4"), body.to_owned())
            }
            Kind::CreateEc => {
                let body = r#"{"kty":"EC-HSM","crv":"P-256"}"#;
                ("POST", format!("/keys/ec-{index}/create?api-version=7.4"), body.to_owned())
            }
            Kind::Attest => ("POST", "/attest/SevSnpVm?api-version=2022-08-01".into(), self.text("attest")?.to_owned()),
        };
        Ok(self.http(method, &path, place.host, &body)?.into_bytes())
    }

    /// As many octets as the request's, for as many as the answer's.
    fn echo_request(&self, operation: &Operation) -> Request {
        let place = *self.places(operation).first().context("no place")?;
        let len = self.answers.iter().find(|(kind, _)| *kind == operation.kind).map_or(0, |(_, len)| *len);
        let request = String::from_utf8(self.request(operation, place)?)?;
        let (head, body) = request.split_once("\r\n\r\n").context("no head")?;
        let method = head.split(' ').next().context("no method")?;
        Ok(self.http(method, &format!("/{len}"), ECHO, body)?.into_bytes())
    }

    fn http(&self, method: &str, path: &str, host: &str, body: &str) -> anyhow::Result<String> {
        let (bearer, len, id) =
            (self.text("bearer")?, body.len(), uuid::Builder::from_random_bytes(random()).into_uuid());
        Ok(format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {bearer}\r\nAccept: application/json\r\n\
             Content-Type: application/json\r\nContent-Length: {len}\r\nx-ms-client-request-id: {id}\r\n\
             User-Agent: azsdk-python-keyvault-keys/4.10.0 Python/3.13.5 (Linux-6.12-x86_64)\r\n\r\n{body}"
        ))
    }

    fn text(&self, name: &str) -> anyhow::Result<&str> {
        self.hello[name].as_str().context("the server did not say")
    }
}

type Request = anyhow::Result<Vec<u8>>;

pub(crate) async fn asked(connection: &mut Connection, request: &[u8]) -> anyhow::Result<()> {
    let answer = connection.ask(request).await?;
    ensure!(answer.status == 200, "answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    Ok(())
}

/// All at the same time, on this thread; each is looked at only when it was woken.
pub(crate) async fn all(futures: impl Iterator<Item = impl Future<Output = anyhow::Result<()>>>) -> anyhow::Result<()> {
    let mut slots: Vec<_> = futures.map(|future| Some((Box::pin(future), None::<Arc<Woken>>))).collect();
    poll_fn(|cx| {
        for slot in &mut slots {
            let Some((future, woken)) = slot else { continue };
            let woken = woken.get_or_insert_with(|| Woken::new(cx.waker()));
            if !woken.due.swap(false, Ordering::Relaxed) {
                continue;
            }
            let waker = Waker::from(Arc::clone(woken));
            if let Poll::Ready(outcome) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                *slot = None;
                outcome?;
            }
        }
        if slots.iter().all(Option::is_none) { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

/// Whether one of several futures was woken, and who polls them all.
struct Woken {
    due: AtomicBool,
    all: Waker,
}

impl Woken {
    fn new(all: &Waker) -> Arc<Woken> {
        Arc::new(Woken { due: AtomicBool::new(true), all: all.clone() })
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.due.store(true, Ordering::Relaxed);
        self.all.wake_by_ref();
    }
}

impl Place {
    pub(crate) fn host(&self) -> &'static str {
        self.host
    }
}

impl Server {
    fn start(folder: &Path, tokens: usize) -> anyhow::Result<(Server, Value)> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(CHILD).arg(folder).arg(tokens.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let orders = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().context("no pipe")?).lines();
        let mut server = Server { process, orders, answers };
        let hello = serde_json::from_str(&server.answer()?)?;
        Ok((server, hello))
    }

    fn order(&mut self, order: &str) -> anyhow::Result<String> {
        writeln!(self.orders.as_mut().context("no pipe")?, "{order}")?;
        self.answer()
    }

    fn answer(&mut self) -> anyhow::Result<String> {
        Ok(self.answers.next().context("the server ended")??)
    }
}

impl Drop for Server {
    /// The child ends when there are no more orders.
    fn drop(&mut self) {
        self.orders.take();
        // Whether it ended well was seen by what it answered.
        let _ = self.process.wait();
    }
}

pub(crate) const CHILD: &str = "--child";
pub(crate) const TOKENS_FILE: &str = "tokens";
pub(crate) const DISK: &str = "disk.vault.localhost";
pub(crate) const TMPFS: &str = "tmpfs.vault.localhost";
pub(crate) const ATTEST: &str = "attest.localhost";
pub(crate) const ECHO: &str = "echo.localhost";

const OAEP: &str = "RSA-OAEP-256";

/// Where nothing but the server's core is to be short.
const CROWD: usize = 32;
/// Some at a time, as a server has them; new ones too.
const CONNECTIONS: usize = 8;
