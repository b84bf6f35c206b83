//! `skerry simulate`: what a workload in a TEE does before a release. Evidence of a simulated TEE over runtime data, and the
//! token that the attestation service gives for it.
//!
//! The service is the one that the environment names, as `skerry dev` writes it into its dev.env. The simulated root is
//! that of the same folder: whoever can read it can be any TEE, for services that trust it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use skerry_client::Roots;
use skerry_client::attestation::{AttestError, attest_snp};
use skerry_client::http::{Client, Endpoint};
use skerry_jose::json::Object;
use skerry_simulator::{ChipConfig, Root, TeeConfig};
use skerry_verifier::wire::{Data, SnpRequest};

use crate::edge::{self, Failure};
use crate::machine;

/// Make evidence of a simulated TEE and print the attestation token for it
///
/// Needs SKR_ATTEST_URL, SKR_CA_FILE and SKR_SIM_ROOT in the environment: `skerry dev` writes them into its dev.env.
/// Exit code 0: a token is printed, 1: the service refuses the evidence, 2: an argument or file is wrong, 3: the service
/// cannot be reached.
#[derive(Args)]
pub(crate) struct Options {
    /// Kind of TEE
    #[arg(long, value_enum)]
    tee: Kind,
    #[command(flatten)]
    guest: Guest,
    /// Print a JSON object with the token
    #[arg(long)]
    json: bool,
    /// What the evidence binds: a JSON object, as a rule {"keys": [the TEE's public key as a JWK]}
    runtime_data: PathBuf,
}

/// What the simulated TEE is.
#[derive(Args)]
pub(crate) struct Guest {
    /// Launch measurement, 96 hex digits [default: SHA-384 of "skerry simulated utility vm"]
    #[arg(long, value_name = "HEX", value_parser = octets::<48>)]
    measurement: Option<[u8; 48]>,
    /// Host data, 64 hex digits [default: zeros]
    #[arg(long, value_name = "HEX", value_parser = octets::<32>)]
    host_data: Option<[u8; 32]>,
    /// Be a TEE whose memory the host may read
    #[arg(long)]
    debug: bool,
    /// Simulated root to sign under [default: the file that SKR_SIM_ROOT names]
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
}

impl Guest {
    /// Whether anything is said of it.
    pub(crate) fn is_said(&self) -> bool {
        self.measurement.is_some() || self.host_data.is_some() || self.debug || self.root.is_some()
    }
}

/// Kinds of TEE that can be simulated.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// AMD SEV-SNP
    Snp,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    let outcome = token(options, SystemTime::now()).and_then(|token| {
        let text = if options.json { Object::new().with("token", token).to_json() } else { token };
        Ok(edge::say(&text)?)
    });
    outcome.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

fn token(options: &Options, now: SystemTime) -> Result<String, Failure> {
    let Kind::Snp = options.tee;
    let path = &options.runtime_data;
    let data = std::fs::read(path).with_context(|| format!("runtime data {}", path.display()))?;
    Data::json(&data).with_context(|| format!("runtime data {}", path.display()))?;
    attested(&options.guest, &data, now)
}

/// The token that the attestation service of the environment gives for evidence of a simulated guest over runtime data.
pub(crate) fn attested(guest: &Guest, data: &[u8], now: SystemTime) -> Result<String, Failure> {
    let (client, service) = (client()?, service()?);
    let request = evidence(guest, data, now)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the runtime cannot be started")?;
    let token = runtime.block_on(attest_snp(&client, &service, request.to_body()));
    token.map_err(|error| match error {
        AttestError::Refused { .. } => Failure::refused(error.into()),
        error => Failure::unavailable(
            anyhow::Error::new(error)
                .context(format!("no token from {}: is it running? `skerry dev` starts one", service.authority())),
        ),
    })
}

/// The request of a guest on the first processor of the root's stock.
fn evidence(options: &Guest, runtime: &[u8], now: SystemTime) -> anyhow::Result<SnpRequest> {
    let data = Data::json(runtime).context("runtime data")?;
    let root = root(options.root.as_deref())?;
    let chip = root.chip(ChipConfig::numbered(root.generation(), 0), now - DAY).context("simulated processor")?;
    let evidence = chip.boot(guest(options), &mut machine::rng()).attest(runtime).context("simulated guest")?;
    Ok(SnpRequest {
        report: evidence.report,
        chain_pem: evidence.vek_chain_pem.into_bytes(),
        uvm: Vec::new(),
        runtime_data: Some(data),
        init_data: None,
        nonce: None,
    })
}

fn guest(options: &Guest) -> TeeConfig {
    let guest = TeeConfig::default();
    TeeConfig {
        measurement: options.measurement.unwrap_or(guest.measurement),
        host_data: options.host_data.unwrap_or(guest.host_data),
        policy: if options.debug { guest.policy | DEBUG } else { guest.policy },
        ..guest
    }
}

fn root(option: Option<&Path>) -> anyhow::Result<Root> {
    let path = match option {
        Some(path) => path.to_owned(),
        None => variable("SKR_SIM_ROOT").context("name the simulated root with --root FILE, or")?.into(),
    };
    let text = std::fs::read_to_string(&path).with_context(|| format!("simulated root {}", path.display()))?;
    Root::from_pem(&zeroize::Zeroizing::new(text)).with_context(|| format!("simulated root {}", path.display()))
}

fn client() -> anyhow::Result<Client> {
    let path = PathBuf::from(variable("SKR_CA_FILE")?);
    let context = || format!("SKR_CA_FILE {}", path.display());
    let roots = Roots::from_pem(&std::fs::read(&path).with_context(context)?).with_context(context)?;
    Ok(Client::new(&roots)?)
}

fn service() -> anyhow::Result<Endpoint> {
    Endpoint::parse(&variable("SKR_ATTEST_URL")?).context("SKR_ATTEST_URL")
}

fn variable(name: &str) -> anyhow::Result<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    value.ok_or_else(|| anyhow!("{name} is not set: load the dev.env that `skerry dev` writes (set -a; . DIR/dev.env)"))
}

fn octets<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let octets = hex::decode(text).map_err(|error| error.to_string())?;
    octets.try_into().map_err(|octets: Vec<u8>| format!("{} hex digits are needed, not {}", 2 * N, 2 * octets.len()))
}

/// Certificates of the processor begin the day before, for services whose clocks are late.
const DAY: Duration = Duration::from_secs(86_400);

/// AMD 56860, guest policy, bit 19.
const DEBUG: u64 = 1 << 19;
