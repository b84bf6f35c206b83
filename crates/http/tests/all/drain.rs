//! The beginning and the end of serving: all ports or none, and nothing in flight is lost.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::StatusCode;
use skerry_http::{BindError, BindErrorKind, Drained, Limits, Listener, Reply, Server, Surface};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::support::{Site, Wire, in_time, machine, names, request, runtime};

const SHORT: Duration = Duration::from_millis(300);

const NOTHING_CUT: Drained = Drained { connections_cut: 0, listeners_busy: 0 };

fn listener(address: SocketAddr, text: &'static str) -> Listener {
    let surface = Surface::function(move |_| Box::pin(async move { Reply::text(StatusCode::OK, text) }));
    Listener { address, tls: None, names: names(), surface, limits: Limits::default() }
}

/// A port that is taken is an error that names it, and then the ports before it are free again.
#[test]
fn all_ports_are_bound_or_none() {
    runtime().block_on(async {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let taken = TcpListener::bind(any).await.unwrap();
        let address = taken.local_addr().unwrap();
        let free = Server::bind(vec![listener(any, "a")], &machine()).await.unwrap().addresses()[0];
        let error = Server::bind(vec![listener(free, "a"), listener(address, "b")], &machine()).await.err().unwrap();
        assert_eq!(error, BindError { address, kind: BindErrorKind::InUse });
        let nowhere = SocketAddr::from(([192, 0, 2, 1], 0));
        let error = Server::bind(vec![listener(nowhere, "a")], &machine()).await.err().unwrap();
        assert_eq!(error, BindError { address: nowhere, kind: BindErrorKind::NotAvailable });
        assert_eq!(Server::bind(vec![listener(free, "a")], &machine()).await.unwrap().addresses(), [free]);
    });
}

/// Each listener serves its own surface; a connection made before serving waits for it.
#[test]
fn listeners_are_served_together() {
    runtime().block_on(async {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::bind(vec![listener(any, "a"), listener(any, "b")], &machine()).await.unwrap();
        let addresses = server.addresses();
        let mut early = Wire::new(TcpStream::connect(addresses[1]).await.unwrap());
        early.send(request("GET", "/", &format!("host.test:{}", addresses[1].port()), "", "")).await;
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(server.serve(async { drop(stopped.await) }));
        assert_eq!(early.response().await.unwrap().body, "b");
        let mut other = Wire::new(TcpStream::connect(addresses[0]).await.unwrap());
        other.send(request("GET", "/", &format!("host.test:{}", addresses[0].port()), "", "")).await;
        assert_eq!(other.response().await.unwrap().body, "a");
        drop((early, other, stop));
        assert_eq!(in_time(served).await.unwrap(), NOTHING_CUT);
    });
}

/// What is in flight when the server stops is answered, and then its connection closed; nobody new is let in.
#[test]
fn what_is_in_flight_is_answered() {
    runtime().block_on(async {
        let mut site = Site::plain(Limits::default()).await;
        let mut wire = site.connect().await;
        wire.send(request("GET", "/wait", &site.host(), "", "")).await;
        site.gate.somebody().await;
        let mut idle = site.connect().await;
        idle.send(request("GET", "/echo", &site.host(), "", "")).await;
        assert_eq!(idle.response().await.unwrap().status, 200);
        site.stop();
        assert!(idle.is_closed().await);
        while TcpStream::connect(site.address).await.is_ok() {}
        site.gate.go.add_permits(1);
        assert_eq!(wire.response().await.unwrap().body, "waited");
        assert!(wire.is_closed().await);
        drop((wire, idle));
        assert_eq!(site.stopped().await, NOTHING_CUT);
    });
}

/// A client in the middle of its body when the server stops gets its answer, and is told that there will be no other; nobody
/// new is accepted meanwhile.
#[test]
fn client_that_is_sending_is_answered_and_told_to_go() {
    runtime().block_on(async {
        let mut site = Site::plain(Limits::default()).await;
        let mut wire = site.connect().await;
        let head = format!("POST /body HTTP/1.1\r\nHost: {}\r\nContent-Length: 8\r\n\r\nhalf", site.host());
        wire.send(head).await;
        while site.meter.snapshot().in_flight == 0 {
            tokio::task::yield_now().await;
        }
        site.stop();
        while TcpStream::connect(site.address).await.is_ok() {}
        wire.send("half").await;
        let response = wire.response().await.unwrap();
        assert_eq!((response.body.as_str(), response.header("connection")), ("8", Some("close")));
        assert!(wire.is_closed().await);
        drop(wire);
        assert_eq!(site.stopped().await, NOTHING_CUT);
    });
}

/// Under load no request whose work was begun goes without its answer when the server stops: as many answers as there was work.
#[test]
fn nothing_that_was_begun_is_lost_under_load() {
    runtime().block_on(async {
        let mut site = Site::plain(Limits::default()).await;
        let (address, host) = (site.address, site.host());
        let client = |number: usize| {
            let host = host.clone();
            tokio::spawn(async move {
                let mut answered = 0;
                // Every other client has a connection for each request.
                'connections: while let Ok(stream) = TcpStream::connect(address).await {
                    let mut wire = Wire::new(stream);
                    loop {
                        use tokio::io::AsyncWriteExt as _;
                        let sent = wire.stream.write_all(request("POST", "/body", &host, "", "body").as_bytes()).await;
                        let Some(response) = (if sent.is_ok() { wire.response().await } else { None }) else { break };
                        assert_eq!((response.status, response.body.as_str()), (200, "4"));
                        answered += 1;
                        if number.is_multiple_of(2) {
                            continue 'connections;
                        }
                    }
                }
                answered
            })
        };
        let clients: Vec<_> = (0..16).map(client).collect();
        let answers = |meter: &skerry_http::Meter| meter.snapshot().answers.iter().map(|(.., seen)| seen).sum::<u64>();
        while answers(&site.meter) < 500 {
            tokio::task::yield_now().await;
        }
        let meter = site.meter.clone();
        site.stop();
        assert_eq!(site.stopped().await, NOTHING_CUT);
        let mut answered = 0;
        for client in clients {
            answered += in_time(client).await.unwrap();
        }
        assert_eq!(answered, answers(&meter));
    });
}

/// Connections that outlast the time for draining are cut and counted, and so is what their requests are at.
#[test]
fn what_outlasts_the_drain_is_cut() {
    runtime().block_on(async {
        let mut site = Site::plain(Limits { drain_time_max: SHORT, ..Limits::default() }).await;
        let mut wires = [site.connect().await, site.connect().await];
        for wire in &mut wires {
            wire.send(request("GET", "/wait", &site.host(), "", "")).await;
            site.gate.somebody().await;
        }
        site.stop();
        assert_eq!(site.stopped().await, Drained { connections_cut: 2, listeners_busy: 1 });
        for wire in &mut wires {
            assert!(wire.is_closed().await);
        }
    });
}

/// Work whose client has gone is waited for all the same; what outlasts the drain is counted.
#[test]
fn work_without_a_client_is_waited_for() {
    runtime().block_on(async {
        for (released, expected) in [(1, NOTHING_CUT), (0, Drained { connections_cut: 0, listeners_busy: 1 })] {
            let drain_time_max = if released > 0 { Limits::default().drain_time_max } else { SHORT };
            let mut site = Site::plain(Limits { drain_time_max, ..Limits::default() }).await;
            let mut wire = site.connect().await;
            wire.send(request("GET", "/wait", &site.host(), "", "")).await;
            site.gate.somebody().await;
            drop(wire);
            site.stop();
            site.gate.go.add_permits(released);
            assert_eq!(site.stopped().await, expected);
        }
    });
}

/// Nobody holds up the stop who has asked for nothing: no handshake, no half head, no client that does not close.
#[test]
fn who_asked_for_nothing_is_not_waited_for() {
    runtime().block_on(async {
        let limits = Limits { linger_time_max: SHORT, ..Limits::default() };
        for (tls, bytes) in
            [(true, &b"\x16\x03\x01"[..]), (false, b""), (false, b"GET /ec"), (false, b"PRI * HTTP/2.0\r\n")]
        {
            let mut site = if tls { Site::tls(limits).await } else { Site::plain(limits).await };
            let mut wire = site.connect().await;
            wire.send(bytes).await;
            // Served after the first: so that has been accepted.
            let mut other = site.connect().await;
            other.send("\0\r\n\r\n").await;
            in_time(other.rest()).await;
            site.stop();
            let begun = std::time::Instant::now();
            assert_eq!(site.stopped().await, NOTHING_CUT);
            assert!(begun.elapsed() < Limits::default().head_time_max);
            assert!(wire.is_closed().await);
        }
    });
}

/// An HTTP/2 client is told to go; one that has nothing in flight and stays is cut off after the time to linger.
#[test]
fn http_2_clients_are_told() {
    runtime().block_on(async {
        let mut site = Site::plain(Limits { linger_time_max: SHORT, ..Limits::default() }).await;
        let mut wire = site.connect().await;
        wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
        // The server's settings, and its acknowledgement of ours: it speaks HTTP/2 with us.
        let mut settings = vec![0; 18];
        in_time(tokio::io::AsyncReadExt::read_exact(&mut wire.stream, &mut settings)).await.unwrap();
        site.stop();
        assert_eq!(site.stopped().await, NOTHING_CUT);
        const GOAWAY: u8 = 7;
        assert!(wire.rest().await.contains(&GOAWAY));
    });
}
