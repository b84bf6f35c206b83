//! `skerry serve`: the server that a configuration describes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::anyhow;
use clap::Args;
use skerry_http::health::Phase;
use skerry_jose::json::Object;
use skerry_store::stamp::Kind;
use tokio::net::TcpListener;

use crate::config::{self, Settings};
use crate::edge::{self, Failure, say};
use crate::machine;
use crate::root::Source;
use crate::server::{self, Assembled, Sockets, unsealing};

/// Run the server that a configuration describes
///
/// Refuses to start with a configuration that cannot mean what it says: docs/operate.md lists why. Stops on SIGTERM and
/// SIGINT after what is in flight. Exit code 0: stopped, 2: the configuration is refused, 3: a port is taken or the store
/// is in use, 4: what is stored is not what was stored.
#[derive(Args)]
pub(crate) struct Options {
    /// Configuration, TOML; examples/skerry.toml shows every section
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Read the configuration and the files it names, and end
    #[arg(long)]
    check: bool,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    serve(options).map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

fn serve(options: &Options) -> Result<(), Failure> {
    let settings = config::load(&options.config, SystemTime::now()).map_err(anyhow::Error::new)?;
    for warning in &settings.warnings {
        edge::note(&format!("warning: {warning}"));
    }
    if options.check {
        let text = format!("{}: ok", options.config.display());
        return Ok(say(&if options.json { Object::new().with("ok", true).to_json() } else { text })?);
    }
    server::runtime()?.block_on(run_until_stopped(settings, options.json))
}

async fn run_until_stopped(settings: Settings, json: bool) -> Result<(), Failure> {
    let stop = server::stop_signal()?;
    let mut services = Vec::new();
    for listener in &settings.listeners {
        services.push(socket(listener.address).await?);
    }
    let operations = match settings.operations {
        Some(address) => Some(socket(address).await?),
        None => None,
    };
    let addresses = Addresses::of(&services, operations.as_ref());
    let (sockets, machine) = (Sockets { services, operations }, machine::machine());
    if let Source::Passphrase(file) = &settings.root {
        let file = file.clone();
        let announce = |phase| match phase {
            Phase::Open => say(if json { r#"{"ready":true}"# } else { "ready" }),
            Phase::Sealed | Phase::Opening => {
                edge::note("the root key is sealed by a passphrase: `skerry unseal` brings it");
                addresses.announce("sealed", json)
            }
        };
        return unsealing::serve(settings, file, sockets, machine, announce, stop).await;
    }
    let assembled = Assembled::new(settings, sockets, Kind::Serve, machine).await?;
    addresses.announce("ready", json)?;
    assembled.serve(stop).await;
    Ok(())
}

async fn socket(address: SocketAddr) -> Result<TcpListener, Failure> {
    server::bind(address).await.map_err(|error| {
        Failure::unavailable(anyhow!(
            "cannot listen on {address} ({}): `ss -ltnp sport = :{}` says who does; stop that, or change the address",
            error.kind(),
            address.port()
        ))
    })
}

/// Where it listens, for people and scripts.
struct Addresses {
    services: Vec<String>,
    operations: Option<String>,
}

impl Addresses {
    fn of(services: &[TcpListener], operations: Option<&TcpListener>) -> Addresses {
        let at = |socket: &TcpListener| socket.local_addr().ok().map(|address| address.to_string());
        Addresses { services: services.iter().filter_map(at).collect(), operations: operations.and_then(at) }
    }

    /// With the state that it is in, on the last line.
    fn announce(&self, state: &str, json: bool) -> anyhow::Result<()> {
        if json {
            let object = Object::new().with(state, true).with("addresses", self.services.clone());
            let operations = self.operations.as_deref();
            return say(&operations.map_or(object.clone(), |address| object.with("operations", address)).to_json());
        }
        say(&format!("listening on {}", self.services.join(", ")))?;
        if let Some(address) = &self.operations {
            say(&format!("operations on {address}"))?;
        }
        say(state)
    }
}
