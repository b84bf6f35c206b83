//! `skerry serve`: the server that a configuration describes.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::anyhow;
use clap::Args;
use skerry_jose::json::Object;
use skerry_store::stamp::Kind;

use crate::config::{self, Settings};
use crate::edge::{self, Failure, say};
use crate::machine;
use crate::server::{self, Assembled};

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
    let mut sockets = Vec::new();
    for listener in &settings.listeners {
        let address = listener.address;
        let socket = server::bind(address).await.map_err(|error| {
            Failure::unavailable(anyhow!(
                "cannot listen on {address} ({}): `ss -ltnp sport = :{}` says who does; stop that, or change the address",
                error.kind(),
                address.port()
            ))
        })?;
        sockets.push(socket);
    }
    let addresses = sockets.iter().filter_map(|socket| socket.local_addr().ok());
    let addresses: Vec<String> = addresses.map(|address| address.to_string()).collect();
    let assembled = Assembled::new(settings, sockets, Kind::Serve, machine::machine()).await?;
    match json {
        true => say(&Object::new().with("ready", true).with("addresses", addresses).to_json())?,
        false => say(&format!("listening on {}\nready", addresses.join(", ")))?,
    }
    assembled.serve(stop).await;
    Ok(())
}
