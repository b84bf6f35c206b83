//! The relay passes, cuts and holds, as it is told.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use skerry_faults::proxy::{Mode, Proxy};

/// Long enough for a loaded machine: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that gives back what it gets, behind a relay.
fn echo(runtime: &tokio::runtime::Runtime) -> Proxy {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy = Proxy::start(runtime.handle()).unwrap();
    proxy.lead_to(listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut octets = [0; 64];
                while let Ok(len) = stream.read(&mut octets)
                    && len > 0
                    && stream.write_all(&octets[..len]).is_ok()
                {}
            });
        }
    });
    proxy
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn asked(stream: &mut TcpStream, word: &str) -> std::io::Result<String> {
    stream.write_all(word.as_bytes())?;
    let mut octets = [0; 64];
    match stream.read(&mut octets)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        len => Ok(String::from_utf8_lossy(&octets[..len]).into_owned()),
    }
}

/// What passes is what was sent; a cut ends what is open and what comes; afterwards it passes again.
#[test]
fn cut_ends_connections() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let proxy = echo(&runtime);
    let mut open = connect(&proxy);
    assert_eq!(asked(&mut open, "one").unwrap(), "one");
    proxy.set(Mode::Cut);
    let mut octets = [0; 1];
    assert!(!matches!(open.read(&mut octets), Ok(1)));
    assert!(asked(&mut connect(&proxy), "two").is_err());
    proxy.set(Mode::Pass);
    assert_eq!(asked(&mut connect(&proxy), "three").unwrap(), "three");
}

/// What is held arrives when it is let go, and not before.
#[test]
fn held_octets_arrive_later() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let proxy = echo(&runtime);
    let mut open = connect(&proxy);
    assert_eq!(asked(&mut open, "one").unwrap(), "one");
    proxy.set(Mode::Hold);
    open.write_all(b"two").unwrap();
    open.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut octets = [0; 64];
    // It never comes while it is held, so however short the wait is, this does not fail by chance.
    assert!(matches!(
        open.read(&mut octets).map_err(|error| error.kind()),
        Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)
    ));
    open.set_read_timeout(Some(PATIENCE)).unwrap();
    proxy.set(Mode::Pass);
    assert_eq!(open.read(&mut octets).unwrap(), 3);
    assert_eq!(&octets[..3], b"two");
}
