//! Another user of the machine at the sockets in a data folder, which are for the server's own user and root: kept out by the modes of
//! folder and socket, and turned away by the server where both were loosened.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::process::*;
use crate::serve::Site;
use crate::unseal::{WORDS, operations, sealed_site};

/// What another user gets for this request: why he is not let in, or what is answered before the connection ends.
fn foreign(socket: &Path, request: &[u8]) -> Result<Vec<u8>, ErrorKind> {
    let (socket, request) = (socket.to_owned(), request.to_vec());
    // A thread has a user of its own, which is what the system looks at and tells the other side.
    let asked = std::thread::spawn(move || {
        let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        set_thread_groups(&[]).unwrap();
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        ask(&socket, &request)
    });
    asked.join().unwrap()
}

fn ask(socket: &Path, request: &[u8]) -> Result<Vec<u8>, ErrorKind> {
    let mut stream = UnixStream::connect(socket).map_err(|error| error.kind())?;
    let mut answer = Vec::new();
    // Who is turned away before he has said anything may not get it across.
    match stream.write_all(request).and_then(|()| stream.read_to_end(&mut answer)) {
        Ok(_) => Ok(answer),
        Err(error) if [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&error.kind()) => Ok(answer),
        Err(error) => panic!("{error}"),
    }
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Refused by the folder, then by the socket's own mode, then, with both open to everybody, by the server: in silence.
fn is_turned_away(site: &Site, name: &str, request: &[u8]) {
    let (data, socket) = (site.path("data"), site.path("data").join(name));
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(foreign(&socket, request), Err(ErrorKind::PermissionDenied), "the folder is closed");
    mode(site.path("").as_path(), 0o711);
    mode(&data, 0o711);
    assert_eq!(foreign(&socket, request), Err(ErrorKind::PermissionDenied), "the socket is closed");
    mode(&socket, 0o666);
    assert_eq!(foreign(&socket, request), Ok(Vec::new()));
}

/// Nobody else unseals a server, even with the right passphrase; the same by its own user does.
#[test]
#[ignore = "needs root, to be another user"]
fn others_do_not_unseal() {
    let site = sealed_site();
    let running = site.start_until("sealed");
    let request = [&u16::try_from(WORDS.len()).unwrap().to_be_bytes(), WORDS.as_bytes()].concat();
    is_turned_away(&site, "unseal.sock", &request);
    let sealed = (200, r#"{"sealed":true,"seal":"passphrase"}"#.to_owned());
    assert_eq!(get_plain(&operations(&running), "/health/sealed"), sealed);
    let answer = ask(&site.path("data/unseal.sock"), &request).unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), r#"{"outcome":"opened"}"#, "the control");
    let (status, complaints) = running.stop("TERM");
    assert!(status.code() == Some(0) && !complaints.contains("still sealed"), "nothing was tried: {complaints}");
}

/// Nobody else gets a backup, and none is on record; the same request by its own user gets one.
#[test]
#[ignore = "needs root, to be another user"]
fn others_get_no_backup() {
    let site = Site::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let request = format!("{} {}\n", 64 * 1024 * 1024, hex::encode(certificate.der()));
    let running = site.start();
    is_turned_away(&site, "backup.sock", request.as_bytes());
    let on_record = || {
        let records = skerry_audit::read(&site.path("data/audit")).unwrap();
        let bodies = records.map(|record| String::from_utf8(record.unwrap().body().to_vec()).unwrap());
        bodies.filter(|body| body.contains("server-backed-up")).count()
    };
    assert_eq!(on_record(), 0);
    let answer = ask(&site.path("data/backup.sock"), request.as_bytes()).unwrap();
    assert!(answer.len() > 1000, "the control: {}", String::from_utf8_lossy(&answer));
    assert_eq!(on_record(), 1);
    let (status, complaints) = running.stop("TERM");
    assert_eq!((status.code(), complaints.as_str()), (Some(0), ""));
}

/// Debian's nobody; any user that is not the server's will do.
const NOBODY: u32 = 65534;
