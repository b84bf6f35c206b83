//! The ports of `dev`: five in a row, or any that are free.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::anyhow;
use tokio::net::TcpListener;

use crate::edge::Failure;
use crate::server;

/// What dev listens for, in the order of its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    Vault,
    Attestation,
    Identity,
    Metadata,
    ManagedHsm,
}

impl Service {
    pub(super) const ALL: [Service; 5] =
        [Service::Vault, Service::Attestation, Service::Identity, Service::Metadata, Service::ManagedHsm];

    pub(super) fn name(self) -> &'static str {
        match self {
            Service::Vault => "vault",
            Service::Attestation => "attestation",
            Service::Identity => "identity",
            Service::Metadata => "metadata",
            Service::ManagedHsm => "managed HSM",
        }
    }
}

/// A port for each service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports([u16; 5]);

impl Ports {
    /// Sockets on loopback from `base` on; on any free ports if it is 0.
    pub(super) async fn bind(base: u16) -> Result<(Ports, Vec<TcpListener>), Failure> {
        let mut ports = [0; 5];
        let mut sockets = Vec::new();
        for ((place, service), offset) in ports.iter_mut().zip(Service::ALL).zip(0..) {
            let port = if base == 0 { Some(0) } else { base.checked_add(offset) };
            let port =
                port.ok_or_else(|| anyhow!("--port-base {base} leaves no room for five ports: 65531 at most"))?;
            let socket = server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
            let socket = socket.map_err(|error| taken(service, port, &error))?;
            *place = socket.local_addr().map_err(anyhow::Error::new)?.port();
            sockets.push(socket);
        }
        Ok((Ports(ports), sockets))
    }

    pub(super) fn of(&self, service: Service) -> u16 {
        let [vault, attestation, identity, metadata, managed_hsm] = self.0;
        match service {
            Service::Vault => vault,
            Service::Attestation => attestation,
            Service::Identity => identity,
            Service::Metadata => metadata,
            Service::ManagedHsm => managed_hsm,
        }
    }

    /// Where the service is, by the name that certificates and tokens have.
    pub(super) fn url(&self, service: Service) -> String {
        let port = self.of(service);
        match service {
            Service::Metadata => format!("http://127.0.0.1:{port}"),
            _ => format!("https://localhost:{port}"),
        }
    }
}

fn taken(service: Service, port: u16, error: &std::io::Error) -> Failure {
    let ask = format!("`ss -ltnp 'sport = :{port}'` says who has it");
    let name = service.name();
    Failure::unavailable(match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!(
            "port {port} on 127.0.0.1, for the {name}, is taken: {ask}. Stop that program, or take other ports: \
             --port-base N, where 0 means any that are free"
        ),
        kind => anyhow!(
            "port {port} on 127.0.0.1, for the {name}, cannot be had ({kind}): take ports above 1023 with --port-base N, \
             where 0 means any that are free"
        ),
    })
}
