//! `skerry dev`: everything a developer needs, on loopback, from one folder.
//!
//! The same server as `serve`, with settings made here: simulated hardware alone is believed, and vaults were made to take
//! it. Nothing leaves the machine: sockets are on 127.0.0.1, certificates are good there only, and the folder is closed to
//! others.

mod env;
mod folder;
mod keys;
mod policies;
mod ports;
mod probe;
mod settings;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use clap::Args;
use skerry_attestation_result::IssuerUrl;
use skerry_identity::Principal;
use skerry_jose::json::Object;
use skerry_simulator::Root;
use skerry_store::stamp::Kind;
use tokio::net::TcpListener;

use crate::config::{self, Settings};
use crate::edge::{self, Failure, say};
use crate::machine;
use crate::server::{self, Assembled};
use folder::Folder;
use keys::{Certificates, Keys};
use ports::{Ports, Service};

/// Run a vault, an attestation service and all that goes with them on this machine
///
/// Listens on loopback only: vault at the port base, then attestation, identity, instance metadata (plain HTTP), Managed
/// HSM. Makes its keys and certificates in one folder, writes DIR/dev.env for the shell, and prints `ready`. Trusts
/// simulated TEEs, so nothing in it is protected. Stops on SIGTERM and SIGINT.
#[derive(Args)]
pub(crate) struct Options {
    /// Folder of this installation [default: skerry/dev in XDG_DATA_HOME, or in ~/.local/share]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// First of five ports; 0 takes any that are free
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    port_base: u16,
    /// Print one JSON line instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    dev(options).map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

/// A folder of `dev` with all that is in it, and ports: everything but the server.
pub(crate) struct Installed {
    folder: Folder,
    ports: Ports,
    keys: Keys,
    certificates: Certificates,
}

impl Installed {
    /// In a folder that is new, on ports that are free, with their sockets.
    pub(crate) async fn anew(path: &Path, now: SystemTime) -> Result<(Installed, Vec<TcpListener>), Failure> {
        let folder = Folder::open(path)?;
        let (ports, sockets) = Ports::bind(0).await?;
        Ok((Installed::kept(folder, ports, now)?, sockets))
    }

    /// What the folder has, and what it has not made now.
    fn kept(folder: Folder, ports: Ports, now: SystemTime) -> anyhow::Result<Installed> {
        let keys = Keys::kept(&folder, now)?;
        let authorities = [Service::Vault, Service::ManagedHsm].map(|service| ports.of(service));
        let certificates = Certificates::kept(&folder, &keys, &authorities, now)?;
        Ok(Installed { folder, ports, keys, certificates })
    }

    pub(crate) fn settings(&self, now: SystemTime) -> anyhow::Result<Settings> {
        settings::settings(&self.folder, &self.keys, &self.certificates, &self.ports, now)
    }

    pub(crate) fn vault_url(&self) -> String {
        self.ports.url(Service::Vault)
    }

    pub(crate) fn attestation_url(&self) -> String {
        self.ports.url(Service::Attestation)
    }

    /// The root certificate, DER, under which those of all services are.
    pub(crate) fn root_der(&self) -> &[u8] {
        self.certificates.ca.root_der()
    }

    /// The root of the TEEs that are believed here.
    pub(crate) fn simulator(&self) -> &Root {
        &self.keys.simulator
    }

    /// The attestation service as the server has it.
    pub(crate) fn attestation(&self) -> anyhow::Result<config::Attestation> {
        settings::attestation(&self.keys, &self.ports)
    }

    /// A developer's bearer token for the vaults.
    pub(crate) fn vault_token(&self, now: SystemTime) -> anyhow::Result<String> {
        Ok(tokens(&self.keys, &self.ports, now)?.0)
    }
}

fn dev(options: &Options) -> Result<(), Failure> {
    let data = options.data.clone().map_or_else(default_folder, Ok)?;
    let folder = Folder::open(&data)?;
    server::runtime()?.block_on(run_until_stopped(options, folder))
}

async fn run_until_stopped(options: &Options, folder: Folder) -> Result<(), Failure> {
    let stop = server::stop_signal()?;
    let (ports, sockets) = Ports::bind(options.port_base).await?;
    let now = SystemTime::now();
    if folder.read(SIMULATOR)?.is_none() {
        edge::note("first start: making keys, which takes from a second to half a minute");
    }
    let installed = Installed::kept(folder, ports, now)?;
    let settings = installed.settings(now)?;
    let Installed { folder, ports, keys, certificates } = &installed;
    let (access, machine) = (settings.access.clone(), machine::machine());
    let assembled = Assembled::new(settings, sockets, Kind::Dev, machine.clone()).await?;
    let authority = IssuerUrl::parse(&ports.url(Service::Attestation)).map_err(anyhow::Error::new)?;
    let developer = Principal::new(settings::identity_issuer(ports), settings::DEVELOPER);
    let reader = (access.as_slice(), &developer);
    let lost = policies::of_other_authorities(assembled.vaults(), reader, &authority, &machine).await?;
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(assembled.serve(async {
        // A sender that is gone means that nobody waits for this server any more.
        let _ = stopped.await;
    }));
    let probed = probe::all_answer(certificates.ca.root_der(), ports).await;
    probed.map_err(|error| Failure::unavailable(error.context("the server does not answer itself")))?;
    let lines = lines(folder, keys, ports, now)?;
    folder.write(ENV, &lines.iter().map(|(name, value)| env::line(name, value)).collect::<String>())?;
    tell_of_other_authority(folder, &authority, &lost)?;
    announce(folder, ports, options.json)?;
    stop.await;
    drop(stopping);
    served.await.context("the server")?;
    Ok(())
}

/// What dev.env has.
fn lines(folder: &Folder, keys: &Keys, ports: &Ports, now: SystemTime) -> anyhow::Result<Vec<(&'static str, String)>> {
    let absolute = |name: &str| folder.file(name).to_str().map(str::to_owned).context("the folder's name is not UTF-8");
    let program = std::env::current_exe().context("the path of this program")?;
    let program = program.to_str().context("the path of this program is not UTF-8")?;
    let simulator = absolute(SIMULATOR)?;
    let simulate = format!("{} simulate --tee snp --root {}", env::word(program), env::word(&simulator));
    let (vault, attestation) = tokens(keys, ports, now)?;
    Ok(vec![
        ("SKR_VAULT_URL", ports.url(Service::Vault)),
        ("SKR_HSM_URL", ports.url(Service::ManagedHsm)),
        ("SKR_ATTEST_URL", ports.url(Service::Attestation)),
        ("SKR_IDENTITY_URL", ports.url(Service::Identity)),
        ("SKR_METADATA_URL", ports.url(Service::Metadata)),
        ("SKR_CA_FILE", absolute(CA_FILE)?),
        ("SKR_TOKEN", vault),
        ("SKR_ATTEST_TOKEN", attestation),
        ("SKR_TENANT_ID", settings::TENANT.to_owned()),
        ("SKR_CLIENT_ID", settings::DEVELOPER.to_owned()),
        ("SKR_CLIENT_SECRET", keys.client_secret.to_string()),
        ("SKR_SIM_ROOT", simulator),
        ("SKR_TEE_SIM", simulate),
    ])
}

/// Bearer tokens for the vaults and for the attestation service, as the token service makes them.
fn tokens(keys: &Keys, ports: &Ports, now: SystemTime) -> anyhow::Result<(String, String)> {
    let identity = settings::identity(keys, ports)?;
    let (service, secret) = (server::tokens(identity)?.service, &keys.client_secret);
    let mint = |resource| service.mint(settings::DEVELOPER, secret, resource, now).map(|minted| minted.access_token);
    Ok((mint(settings::VAULT_RESOURCE)?, mint(settings::ATTEST_RESOURCE)?))
}

/// Release policies name the attestation service by its URL, which has the port in it.
fn tell_of_other_authority(folder: &Folder, authority: &IssuerUrl, lost: &[String]) -> anyhow::Result<()> {
    let before = folder.read(AUTHORITY)?.filter(|before| before.as_str() != authority.as_str());
    if let Some(before) = before {
        let before = before.as_str();
        edge::note(&format!(
            "the attestation service was {before} and is {authority}: release policies that name the old one are not met; \
             set them anew, or start with the old ports"
        ));
    }
    if !lost.is_empty() {
        edge::note(&format!("release policies that do not name {authority}: {}", lost.join(", ")));
    }
    folder.write(AUTHORITY, authority.as_str())
}

fn announce(folder: &Folder, ports: &Ports, json: bool) -> anyhow::Result<()> {
    let env = folder.file(ENV);
    let env = env.to_str().context("the folder's name is not UTF-8")?;
    if json {
        let url = |service| ports.url(service);
        let urls = Object::new()
            .with("vault", url(Service::Vault))
            .with("attestation", url(Service::Attestation))
            .with("identity", url(Service::Identity))
            .with("metadata", url(Service::Metadata))
            .with("managed_hsm", url(Service::ManagedHsm));
        return say(&Object::new().with("ready", true).with("env", env).with("urls", urls).to_json());
    }
    let mut text = format!("Load the names and tokens into a shell:\n  set -a; . {}; set +a\n\n", env::word(env));
    for service in Service::ALL {
        text += &format!("{:<12} {}\n", service.name(), ports.url(service));
    }
    text += "\nThen, for instance:\n  ";
    text += CURL;
    text += "\n\nSimulated TEEs are believed here: keep nothing in it that matters. Ctrl-C stops it.\nready";
    say(&text)
}

fn default_folder() -> anyhow::Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| Path::new(value).is_absolute()).map(PathBuf::from);
    let base = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
    let base = base.ok_or_else(|| anyhow!("neither XDG_DATA_HOME nor HOME is set: name a folder with --data DIR"))?;
    Ok(base.join("skerry/dev"))
}

const CURL: &str =
    r#"curl --cacert "$SKR_CA_FILE" -H "Authorization: Bearer $SKR_TOKEN" "$SKR_VAULT_URL/keys?api-version=7.4""#;

/// The file that tells a folder of `dev`.
pub(crate) const MARK: &str = "dev.lock";
const ENV: &str = "dev.env";
const CA_FILE: &str = "ca.pem";
const SIMULATOR: &str = "simulator.pem";
/// The attestation service's URL of last time.
const AUTHORITY: &str = "authority";
/// By which names the vaults' certificates are good.
const VAULT_HOSTS: [&str; 4] = ["localhost", "127.0.0.1", "dev.vault.localhost", "hsm.managedhsm.localhost"];
