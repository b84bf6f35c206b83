//! Between a node and a server: loses answers, or everything.

use crate::cluster::runtime;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All goes through.
    Pass,
    /// What the server says comes half a second later, as from a disk that is slow to sync.
    Slow,
    /// What the server says is lost.
    Mute,
    /// Nothing goes through, and what comes now never will.
    Lose,
    /// Connections end, and none begins.
    Cut,
}

pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    mode: Arc<watch::Sender<Mode>>,
}

impl Proxy {
    /// In front of a server without TLS.
    pub(crate) fn before(endpoint: &str) -> Self {
        let server: SocketAddr = endpoint.trim_start_matches("http://").parse().unwrap();
        let mode = Arc::new(watch::Sender::new(Mode::Pass));
        let listener = runtime().block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let modes = Arc::clone(&mode);
        runtime().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let modes = Arc::clone(&modes);
                tokio::spawn(async move {
                    if *modes.borrow() == Mode::Cut {
                        return;
                    }
                    let server = TcpStream::connect(server).await.unwrap();
                    let ((client_in, client_out), (server_in, server_out)) = (client.into_split(), server.into_split());
                    let mut cut = modes.subscribe();
                    tokio::select! {
                        () = pass(client_in, server_out, &modes, Mode::Lose) => {}
                        () = pass(server_in, client_out, &modes, Mode::Mute) => {}
                        _ = cut.wait_for(|mode| *mode == Mode::Cut) => {}
                    }
                });
            }
        });
        Self { endpoint, mode }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

/// Both ways are lost when all is, and what the server says when it is muted.
async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    modes: &watch::Sender<Mode>,
    lost: Mode,
) {
    let mut octets = vec![0; 64 * 1024];
    while let Ok(len) = from.read(&mut octets).await {
        if len == 0 {
            return;
        }
        let mode = *modes.borrow();
        if mode == Mode::Slow && lost == Mode::Mute {
            tokio::time::sleep(SLOW).await;
        }
        if mode == lost || mode == Mode::Lose {
            continue;
        }
        if to.write_all(&octets[..len]).await.is_err() {
            return;
        }
    }
}

const SLOW: Duration = Duration::from_millis(500);
