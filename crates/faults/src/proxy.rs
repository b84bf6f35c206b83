//! A TCP relay between two processes that can cut, hold and slow what goes through it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// What the relay does with connections, those that are open too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything.
    Pass,
    /// Ends every connection, and new ones at once.
    Cut,
    /// Takes what comes and passes nothing on, until told otherwise: then all of it.
    Hold,
    /// Passes everything, each piece this much later.
    Slow(Duration),
}

/// One relay. It ends with its last clone.
#[derive(Debug, Clone)]
pub struct Proxy {
    address: SocketAddr,
    orders: Arc<watch::Sender<Orders>>,
}

#[derive(Debug, Clone, Copy)]
struct Orders {
    mode: Mode,
    /// Where connections go; nowhere while the other end is not running.
    to: Option<SocketAddr>,
}

impl Proxy {
    /// A relay on a port of the system's choice, which leads nowhere yet.
    pub fn start(runtime: &Handle) -> std::io::Result<Proxy> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (orders, follow) = watch::channel(Orders { mode: Mode::Pass, to: None });
        let _context = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        runtime.spawn(accept(listener, follow));
        Ok(Proxy { address, orders: Arc::new(orders) })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// New connections go there from now on.
    pub fn lead_to(&self, to: SocketAddr) {
        self.orders.send_modify(|orders| orders.to = Some(to));
    }

    /// From now on.
    pub fn set(&self, mode: Mode) {
        self.orders.send_modify(|orders| orders.mode = mode);
    }
}

async fn accept(listener: TcpListener, mut orders: watch::Receiver<Orders>) {
    loop {
        tokio::select! {
            taken = listener.accept() => {
                if let Ok((stream, _)) = taken {
                    tokio::spawn(relay(stream, orders.clone()));
                }
            }
            changed = orders.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

async fn relay(from: TcpStream, mut orders: watch::Receiver<Orders>) {
    let Orders { mode, to: Some(to) } = *orders.borrow() else { return };
    if mode == Mode::Cut {
        return;
    }
    if !passes(&mut orders).await {
        return;
    }
    let Ok(to) = TcpStream::connect(to).await else { return };
    // Small requests and answers: nobody waits for more to come.
    if from.set_nodelay(true).is_err() || to.set_nodelay(true).is_err() {
        return;
    }
    let (from, to) = (from.into_split(), to.into_split());
    let there = tokio::spawn(copy(from.0, to.1, orders.clone()));
    copy(to.0, from.1, orders).await;
    // Whichever direction ends first, the connection is over: no protocol here goes on in one direction alone.
    there.abort();
}

/// Copies until an end, an error, or a cut.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut orders: watch::Receiver<Orders>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            changed = orders.changed() => match changed {
                Ok(()) if orders.borrow().mode != Mode::Cut => continue,
                _ => return,
            },
        };
        let Some(octets) = read.ok().filter(|len| *len > 0).and_then(|len| buffer.get(..len)) else { return };
        if !passes(&mut orders).await || to.write_all(octets).await.is_err() {
            return;
        }
    }
}

/// Waits until what came may be passed on; false when the connection is cut.
async fn passes(orders: &mut watch::Receiver<Orders>) -> bool {
    loop {
        let mode = orders.borrow_and_update().mode;
        match mode {
            Mode::Pass => return true,
            Mode::Cut => return false,
            Mode::Hold => {
                if orders.changed().await.is_err() {
                    return false;
                }
            }
            Mode::Slow(by) => {
                tokio::time::sleep(by).await;
                return true;
            }
        }
    }
}
