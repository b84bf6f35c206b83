//! The vault that `skerry key` and `skerry vault` ask: where it is, as whom, and what its refusals mean for a person.
//!
//! `dev.env` has all of it for `skerry dev`. What a server says is printed with its control characters escaped, since a
//! terminal would obey them.

mod files;
mod refusal;
#[cfg(test)]
mod tests;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use skerry_client::Roots;
use skerry_client::http::{Client, Endpoint};
use skerry_client::vault::{Authorities, Credential, MetadataService, Secret, Vault, VaultError, Waiting};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use crate::edge::{self, Failure};

pub(crate) use files::{Input, Output, read_text};
pub(crate) use refusal::{failure, shown};

/// Where the vault is, and as whom it is asked.
#[derive(Args)]
pub(crate) struct Remote {
    /// The vault's URL [default: SKR_VAULT_URL]
    #[arg(long, value_name = "URL", global = true)]
    vault: Option<String>,
    /// File with a bearer token [default: SKR_TOKEN; SKR_CLIENT_ID and SKR_CLIENT_SECRET; SKR_METADATA_URL]
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
    /// Root certificates of the vault, PEM [default: SKR_CA_FILE, else those of the system]
    #[arg(long, value_name = "FILE", global = true)]
    ca_file: Option<PathBuf>,
    /// Print JSON: one object, or in lists one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// A vault that can be asked.
pub(crate) struct Session {
    pub(crate) vault: Vault,
    pub(crate) roots: Roots,
    pub(crate) json: bool,
    runtime: Runtime,
}

impl Remote {
    /// Reads what there is of options and environment. Nothing is asked yet.
    pub(crate) fn open(&self) -> Result<Session, Failure> {
        let endpoint = self.endpoint()?;
        let roots = self.roots()?;
        let client = Client::new(&roots).map_err(anyhow::Error::new)?;
        let vault = Vault::new(client, endpoint, self.credential()?, waiting).map_err(failure)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("the runtime cannot be started")?;
        Ok(Session { vault, roots, json: self.json, runtime })
    }

    fn endpoint(&self) -> anyhow::Result<Endpoint> {
        let url = self.vault.clone().or_else(|| variable("SKR_VAULT_URL"));
        let url = url.ok_or_else(|| {
            anyhow!("no vault is named: give --vault URL, set SKR_VAULT_URL, or load the dev.env of `skerry dev`")
        })?;
        Endpoint::parse(&url).context("the vault's URL")
    }

    fn roots(&self) -> anyhow::Result<Roots> {
        match self.ca_file.clone().or_else(|| variable("SKR_CA_FILE").map(PathBuf::from)) {
            Some(path) => roots_of(&path),
            None => system_roots(),
        }
    }

    /// The first that there is: a token, a client's secret, this machine.
    fn credential(&self) -> anyhow::Result<Credential> {
        if let Some(path) = &self.token_file {
            let context = || format!("bearer token {}", path.display());
            let text = read_text(path).with_context(context)?;
            return Ok(Credential::Token(bearer(text.trim()).with_context(context)?));
        }
        if let Some(token) = variable("SKR_TOKEN").map(Zeroizing::new) {
            return Ok(Credential::Token(bearer(token.trim()).context("SKR_TOKEN")?));
        }
        if let (Some(id), Some(secret)) = (variable("SKR_CLIENT_ID"), variable("SKR_CLIENT_SECRET")) {
            let authorities = match variable("SKR_IDENTITY_URL") {
                Some(url) => Authorities::of(Endpoint::parse(&url).context("SKR_IDENTITY_URL")?),
                None => Authorities::microsoft(),
            };
            return Ok(Credential::Client { id, secret: Secret::new(Zeroizing::new(secret)), authorities });
        }
        if let Some(url) = variable("SKR_METADATA_URL") {
            return Ok(Credential::Machine(MetadataService::parse(&url).context("SKR_METADATA_URL")?));
        }
        Err(anyhow!(
            "nobody to ask as: give --token-file FILE, or set SKR_TOKEN, or SKR_CLIENT_ID and SKR_CLIENT_SECRET, or \
             SKR_METADATA_URL; the dev.env of `skerry dev` has them"
        ))
    }
}

impl Session {
    /// Waits for an answer, and says so when it takes long.
    pub(crate) fn run<T>(&self, asked: impl Future<Output = Result<T, VaultError>>) -> Result<T, Failure> {
        self.wait(asked).map_err(failure)
    }

    /// Waits for whatever it is, and says so when it takes long and somebody looks.
    pub(crate) fn wait<T>(&self, asked: impl Future<Output = T>) -> T {
        self.runtime.block_on(async {
            let mut asked = std::pin::pin!(asked);
            let mut waited = 0;
            loop {
                tokio::select! {
                    biased;
                    answer = asked.as_mut() => return answer,
                    () = tokio::time::sleep(PATIENCE) => {
                        waited += PATIENCE.as_secs();
                        if std::io::stderr().is_terminal() {
                            edge::note(&format!("waiting for {} since {waited} s", self.vault.endpoint().authority()));
                        }
                    }
                }
            }
        })
    }
}

/// Roots that somebody names.
pub(crate) fn roots_of(path: &Path) -> anyhow::Result<Roots> {
    let context = || format!("root certificates {}", path.display());
    Roots::from_pem(&files::read_bounded(path, files::PEM_BYTES_MAX).with_context(context)?).with_context(context)
}

fn system_roots() -> anyhow::Result<Roots> {
    let named = variable("SSL_CERT_FILE").map(PathBuf::from);
    let known = BUNDLES.iter().map(PathBuf::from);
    let bundle = named.into_iter().chain(known).find(|path| path.is_file());
    let bundle = bundle.ok_or_else(|| {
        anyhow!("this system has no root certificates where they are looked for: name some with --ca-file FILE")
    })?;
    let context = || format!("root certificates {}", bundle.display());
    Roots::from_bundle(&files::read_bounded(&bundle, files::PEM_BYTES_MAX).with_context(context)?).with_context(context)
}

fn bearer(text: &str) -> anyhow::Result<Secret> {
    Ok(Secret::bearer(Zeroizing::new(text.to_owned()))?)
}

/// A variable of the environment that says something.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn waiting(waiting: &Waiting) {
    edge::note(&format!("the vault is busy (status {}): again in {} s", waiting.status, waiting.secs));
}

/// Before anything is said of waiting: an RSA key of 4096 bits takes some seconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bundles of Debian, Fedora, openSUSE, Alpine and the BSDs.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];
