//! Requests of vaults as JSON lines in Azure's schema for resource logs of a key vault, for pipelines that read those.
//!
//! One line for each request, written behind it by a thread of its own: a file that is slow or full loses lines, which are
//! counted, and delays nobody. So this is no audit log, which is durable before a key leaves (`skerry-audit`); but it says who
//! asked for which key, as Azure's does, and has to be kept like one. Tokens, bodies and key material are in no line.
//!
//! Deliberately not here: rotation. The file is opened anew on SIGHUP, as logrotate wants it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::USER_AGENT;
use skerry_http::{Finished, Reply, Request};
use skerry_jose::json::{self, Object};
use skerry_meter::Counter;
use x509_cert::der::DateTime;

use crate::edge;

/// The way to the file.
pub(crate) struct Diagnostics {
    queue: SyncSender<Message>,
    written: Arc<Counter>,
    dropped: Arc<Counter>,
}

enum Message {
    Line(String),
    Reopen,
    /// Told when everything before is written.
    Flush(SyncSender<()>),
}

impl Diagnostics {
    /// Appends to this file, which is made if it is not there; `-` is standard output.
    pub(crate) fn start(path: &Path) -> io::Result<Diagnostics> {
        let out = Out::open(path)?;
        Self::start_with(out, QUEUE_MAX)
    }

    fn start_with(out: Out, queue_max: usize) -> io::Result<Diagnostics> {
        let (queue, lines) = sync_channel(queue_max);
        let (written, dropped) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
        let counters = (Arc::clone(&written), Arc::clone(&dropped));
        std::thread::Builder::new().name("diagnostics".to_owned()).spawn(move || write(out, &lines, &counters))?;
        Ok(Diagnostics { queue, written, dropped })
    }

    /// Has a request written down, if it is one of a vault. Never waits.
    pub(crate) fn tell(&self, finished: &Finished<'_>) {
        if finished.operation.surface() == "vault" {
            let line = record(finished).to_json();
            if self.queue.try_send(Message::Line(line)).is_err() {
                self.dropped.count();
            }
        }
    }

    /// Opens the file anew, if there is room in the queue to say so.
    pub(crate) fn reopen(&self) {
        if self.queue.try_send(Message::Reopen).is_err() {
            edge::note("the diagnostics file was not opened anew: too many lines wait for it, send SIGHUP again");
        }
    }

    /// Waits until all lines are written, but not for long.
    pub(crate) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.queue.try_send(Message::Flush(done)).is_ok() {
            // A file that is too slow loses its last lines.
            let _ = wait.recv_timeout(FLUSH_TIME_MAX);
        }
    }

    /// Lines written, and lines lost.
    pub(crate) fn seen(&self) -> (u64, u64) {
        (self.written.value(), self.dropped.value())
    }
}

/// Where lines go.
struct Out {
    path: PathBuf,
    file: Option<Box<dyn io::Write + Send>>,
    failing: bool,
}

impl Out {
    fn open(path: &Path) -> io::Result<Out> {
        Ok(Out { path: path.to_owned(), file: Some(open(path)?), failing: false })
    }

    fn reopen(&mut self) {
        match open(&self.path) {
            Ok(file) => self.file = Some(file),
            Err(error) => {
                self.file = None;
                self.complain(&error);
            }
        }
    }

    /// Each line in one write, so that whoever reads along sees whole ones.
    fn line(&mut self, mut line: String) -> bool {
        line.push('\n');
        let Some(file) = &mut self.file else { return false };
        match file.write_all(line.as_bytes()) {
            Ok(()) => {
                self.failing = false;
                true
            }
            Err(error) => {
                self.complain(&error);
                false
            }
        }
    }

    /// Once while it goes on failing.
    fn complain(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            edge::note(&format!("{}: lines of the diagnostics file are lost: {error}", self.path.display()));
        }
    }
}

fn open(path: &Path) -> io::Result<Box<dyn io::Write + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    let file: File = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    Ok(Box::new(file))
}

fn write(mut out: Out, lines: &Receiver<Message>, (written, dropped): &(Arc<Counter>, Arc<Counter>)) {
    while let Ok(message) = lines.recv() {
        match message {
            Message::Line(line) => {
                if out.line(line) {
                    written.count()
                } else {
                    dropped.count()
                }
            }
            Message::Reopen => out.reopen(),
            Message::Flush(done) => drop(done.try_send(())),
        }
    }
}

/// One request in Azure's schema (its documentation of key vault logging, and of the table AZKVAuditLogs).
fn record(finished: &Finished<'_>) -> Object {
    let Finished { request, operation, begun, took, reply } = finished;
    let status = reply.map_or(500, |reply| reply.status().as_u16());
    let good = status < 400;
    let signature = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let correlation = request.client_request_id().map_or_else(|| request.id().to_string(), str::to_owned);
    let version = request.query("api-version").ok().flatten().unwrap_or_default();
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let record = Object::new()
        .with("time", time(*begun))
        .with("resourceId", resource(request))
        .with("operationName", if status == 401 { "Authentication" } else { name(operation.name()) })
        .with("operationVersion", version)
        .with("category", "AuditEvent")
        // Azure's word for what failed is not documented.
        .with("resultType", if good { "Success" } else { "Failed" })
        .with("resultSignature", if status == 200 { "OK" } else { signature.unwrap_or("Unknown") })
        .with("resultDescription", reply.map(description).unwrap_or_default())
        .with("durationMs", millis)
        .with("callerIpAddress", request.peer().ip().to_canonical().to_string())
        .with("correlationId", correlation)
        .with("identity", identity(request));
    record.with("properties", properties(request, status))
}

/// The claims that name a caller here; of Azure's others a principal has none.
fn identity(request: &Request) -> Object {
    let Some(caller) = request.caller() else { return Object::new() };
    let claim = Object::new().with(OBJECT_ID, caller.subject()).with("iss", caller.issuer());
    Object::new().with("claim", claim)
}

fn properties(request: &Request, status: u16) -> Object {
    let url = format!("{}/{}", request.origin(), path(request.segments()));
    let query: Vec<String> = request
        .parameters()
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("api-version") || name.eq_ignore_ascii_case("maxresults"))
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
        .collect();
    let uri = if query.is_empty() { url } else { format!("{url}?{}", query.join("&")) };
    Object::new()
        .with("clientInfo", cut(request.header(&USER_AGENT).unwrap_or_default()))
        .with("requestUri", uri)
        .with("id", id(request))
        .with("httpStatusCode", u64::from(status))
        // Our own: by it the audit log has the request.
        .with("requestId", request.id().to_string())
}

/// The key, and the version where one was asked for; else the vault.
fn id(request: &Request) -> String {
    let origin = request.origin();
    match request.segments() {
        [first, name, rest @ ..] if first.eq_ignore_ascii_case("keys") || first.eq_ignore_ascii_case("deletedkeys") => {
            let version = rest.first().filter(|version| is_version(version));
            let key = format!("{origin}/{}/{}", first.to_ascii_lowercase(), encoded(name));
            version.map_or(key.clone(), |version| format!("{key}/{version}"))
        }
        _ => format!("{origin}/"),
    }
}

fn is_version(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// In the place of Azure's resource id: the same form, so that what looks for the name of a vault behind the last slash finds it.
fn resource(request: &Request) -> String {
    let name = request.host().resource().unwrap_or(request.host().name());
    format!("{RESOURCE}{}", name.to_ascii_uppercase())
}

/// What went wrong, in the words of the answer.
fn description(reply: &Reply) -> String {
    if reply.status().is_success() {
        return String::new();
    }
    let body = json::parse(reply.body(), &skerry_jose::limits::JSON).ok();
    let message = body.as_ref().and_then(|body| body.get(&["error", "message"])).and_then(json::Value::as_str);
    cut(message.unwrap_or_default())
}

/// Azure's names (its table of operation names); in the same way for what is not in it.
fn name(operation: &str) -> &str {
    NAMES.iter().find(|(own, _)| *own == operation).map_or("Unknown", |(_, azure)| azure)
}

const NAMES: [(&str, &str); 29] = [
    ("Create", "KeyCreate"),
    ("Import", "KeyImport"),
    ("Get", "KeyGet"),
    ("Update", "KeyUpdate"),
    ("Delete", "KeyDelete"),
    ("List", "KeyList"),
    ("ListVersions", "KeyListVersions"),
    ("GetDeleted", "KeyGetDeleted"),
    ("ListDeleted", "KeyListDeleted"),
    ("Recover", "KeyRecover"),
    ("Purge", "KeyPurge"),
    ("Encrypt", "KeyEncrypt"),
    ("Decrypt", "KeyDecrypt"),
    ("WrapKey", "KeyWrap"),
    ("UnwrapKey", "KeyUnwrap"),
    ("Sign", "KeySign"),
    ("Verify", "KeyVerify"),
    ("Release", "KeyRelease"),
    ("Rotate", "KeyRotate"),
    ("GetRotationPolicy", "KeyRotationPolicyGet"),
    ("SetRotationPolicy", "KeyRotationPolicySet"),
    ("Backup", "KeyBackup"),
    ("Restore", "KeyRestore"),
    ("Random", "KeyGetRandomBytes"),
    ("SecureWrapKey", "KeySecureWrap"),
    ("SecureUnwrapKey", "KeySecureUnwrap"),
    ("Attestation", "KeyGetAttestation"),
    ("GetFloor", "VaultGet"),
    ("SetFloor", "VaultPatch"),
];

/// `2016-01-05T01:32:01.2691226Z`: seven digits behind the point, as .NET writes them.
fn time(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let whole = DateTime::from_unix_duration(Duration::from_secs(since.as_secs()));
    let whole = whole.map_or_else(|_| "1970-01-01T00:00:00Z".to_owned(), |time| time.to_string());
    format!("{}.{:07}Z", whole.trim_end_matches('Z'), since.subsec_nanos() / 100)
}

fn path(segments: &[String]) -> String {
    segments.iter().map(|segment| encoded(segment)).collect::<Vec<_>>().join("/")
}

/// RFC 3986, 2.3: what is unreserved stays.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes().take(TEXT_BYTES_MAX) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn cut(text: &str) -> String {
    let end = (0..=text.len().min(TEXT_BYTES_MAX)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}

const OBJECT_ID: &str = "http://schemas.microsoft.com/identity/claims/objectidentifier";
const RESOURCE: &str =
    "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000/RESOURCEGROUPS/SKERRY/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/";

/// Lines of about 1 kB that wait: what a slow disk may be behind by.
const QUEUE_MAX: usize = 4_096;
/// What a client chose: a segment, a user agent; a sentence about it.
const TEXT_BYTES_MAX: usize = 1_024;
const FLUSH_TIME_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
