//! Making keys: anew, from what somebody has, and as a version like the newest.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use der::DateTime;
use skerry_attestation_result::unix_secs;
use skerry_client::vault::{KeyName, NewKey, NewKind, ReleasePolicy, Settings};
use skerry_policy::release::Policy;

use super::{import, show};
use crate::edge::{self, Failure};
use crate::remote::{Remote, read_text, shown};

#[derive(Args)]
pub(super) struct Create {
    #[arg(value_name = "NAME", value_parser = KeyName::parse)]
    name: KeyName,
    /// Type of the key, with -HSM for an HSM's
    #[arg(long, value_enum, ignore_case = true, default_value_t = Kind::Rsa)]
    kty: Kind,
    /// Bits of an RSA key (2048, 3072, 4096) or of a symmetric one (128, 192, 256) [default: the vault's]
    #[arg(long, value_name = "BITS")]
    size: Option<u64>,
    /// Curve of an EC key [default: the vault's, P-256]
    #[arg(long, value_enum)]
    curve: Option<Curve>,
    /// Make it an HSM's key, as exportable keys have to be
    #[arg(long)]
    hsm: bool,
    #[command(flatten)]
    with: With,
}

#[derive(Args)]
pub(super) struct Import {
    #[arg(value_name = "NAME", value_parser = KeyName::parse)]
    name: KeyName,
    /// The private key: PEM or DER of PKCS#8, or a JWK; - is standard input
    #[arg(value_name = "FILE")]
    file: crate::remote::Input,
    /// The file has the octets of a symmetric key as they are
    #[arg(long)]
    raw: bool,
    /// Make it an HSM's key, as exportable keys have to be
    #[arg(long)]
    hsm: bool,
    #[command(flatten)]
    with: With,
}

/// What a key is made with.
#[derive(Args)]
struct With {
    /// What it may be used for, again for each [default: all that it can]
    #[arg(long = "op", value_name = "OPERATION", value_enum)]
    ops: Vec<Op>,
    /// A tag, again for each
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = tag)]
    tags: Vec<(String, String)>,
    /// Not before, as 2027-01-31T00:00:00Z or in seconds since the epoch
    #[arg(long, value_name = "TIME", value_parser = time)]
    not_before: Option<u64>,
    /// Until when, likewise
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires: Option<u64>,
    /// Make it disabled
    #[arg(long)]
    disabled: bool,
    /// Release policy, JSON: makes the key exportable under it
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    immutable: Immutable,
}

/// Whether a policy is fixed. Two words, since one of them could slip in.
#[derive(Args, Clone, Copy)]
pub(super) struct Immutable {
    /// Fix the policy for good: nobody can change it again, whoever they are. Needs --for-good
    #[arg(long, requires_all = ["for_good", "policy"])]
    immutable: bool,
    /// Say that --immutable is meant
    #[arg(long, requires = "immutable")]
    for_good: bool,
}

/// Families of keys.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Rsa,
    Ec,
    Oct,
    RsaHsm,
    EcHsm,
    OctHsm,
    #[value(name = "ML-DSA-44")]
    MlDsa44,
    #[value(name = "ML-DSA-65")]
    MlDsa65,
    #[value(name = "ML-DSA-87")]
    MlDsa87,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Curve {
    #[value(name = "P-256")]
    P256,
    #[value(name = "P-384")]
    P384,
    #[value(name = "P-521")]
    P521,
    #[value(name = "P-256K")]
    P256K,
}

/// Operations by the names that the API has for them.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Op {
    #[value(name = "encrypt")]
    Encrypt,
    #[value(name = "decrypt")]
    Decrypt,
    #[value(name = "sign")]
    Sign,
    #[value(name = "verify")]
    Verify,
    #[value(name = "wrapKey")]
    WrapKey,
    #[value(name = "unwrapKey")]
    UnwrapKey,
    /// Take in keys that are wrapped to this one, and nothing else
    #[value(name = "import")]
    Import,
    #[value(name = "secureWrapKey")]
    SecureWrapKey,
    #[value(name = "secureUnwrapKey")]
    SecureUnwrapKey,
}

pub(super) fn create(remote: &Remote, create: &Create) -> Result<(), Failure> {
    let new =
        NewKey { kind: create.kind()?, hsm: create.hsm || create.kty.is_hsm(), settings: create.with.settings()? };
    let session = remote.open()?;
    let key = session.run(session.vault.create(&create.name, &new))?;
    Ok(show::key(session.json, &key, None)?)
}

pub(super) fn import(remote: &Remote, import: &Import) -> Result<(), Failure> {
    let settings = import.with.settings()?;
    let jwk = import::read(&import.file, import.raw, import.hsm)?;
    let session = remote.open()?;
    let key = session.run(session.vault.import(&import.name, &jwk, &settings))?;
    Ok(show::key(session.json, &key, None)?)
}

pub(super) fn rotate(remote: &Remote, name: &KeyName) -> Result<(), Failure> {
    let session = remote.open()?;
    let key = session.run(session.vault.rotate(name))?;
    Ok(show::key(session.json, &key, None)?)
}

impl Create {
    /// Sizes are for RSA and oct, curves for EC: elsewhere they were meant for another key.
    fn kind(&self) -> anyhow::Result<NewKind> {
        let bits = self.size;
        let kind = match (self.kty, bits, self.curve) {
            (Kind::Rsa | Kind::RsaHsm, _, None) => NewKind::Rsa { bits },
            (Kind::Oct | Kind::OctHsm, _, None) => NewKind::Oct { bits },
            (Kind::Ec | Kind::EcHsm, None, curve) => NewKind::Ec { curve: curve.map(Curve::name) },
            (Kind::MlDsa44, None, None) => NewKind::MlDsa { set: "ML-DSA-44" },
            (Kind::MlDsa65, None, None) => NewKind::MlDsa { set: "ML-DSA-65" },
            (Kind::MlDsa87, None, None) => NewKind::MlDsa { set: "ML-DSA-87" },
            _ => anyhow::bail!("--size is for keys of type rsa and oct, --curve for keys of type ec"),
        };
        Ok(kind)
    }
}

impl Kind {
    fn is_hsm(self) -> bool {
        matches!(self, Self::RsaHsm | Self::EcHsm | Self::OctHsm)
    }
}

impl Curve {
    fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::P256K => "P-256K",
        }
    }
}

impl Op {
    fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::WrapKey => "wrapKey",
            Self::UnwrapKey => "unwrapKey",
            Self::Import => "import",
            Self::SecureWrapKey => "secureWrapKey",
            Self::SecureUnwrapKey => "secureUnwrapKey",
        }
    }
}

impl With {
    fn settings(&self) -> Result<Settings, Failure> {
        let policy = self.policy.as_ref().map(|path| policy(path, self.immutable)).transpose()?;
        // A key that wraps securely has a policy for what it unwraps, and stays itself.
        let stays = self.ops.iter().any(|op| matches!(op, Op::SecureWrapKey | Op::SecureUnwrapKey));
        Ok(Settings {
            key_ops: self.ops.iter().map(|op| op.name().to_owned()).collect(),
            enabled: self.disabled.then_some(false),
            not_before: self.not_before,
            expires: self.expires,
            exportable: policy.is_some() && !stays,
            tags: self.tags.clone(),
            policy,
        })
    }
}

/// A release policy that this program can read, as it is in the file. What may be wrong with it is said on standard error;
/// what is wrong with it is a refusal.
pub(super) fn policy(path: &std::path::Path, immutable: Immutable) -> Result<ReleasePolicy, Failure> {
    Ok(ReleasePolicy { data: policy_text(path)?, immutable: immutable.immutable })
}

/// The text of such a policy.
pub(crate) fn policy_text(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    let text = read_text(path).context("release policy")?;
    let policy = Policy::parse(text.as_bytes(), &Default::default()).map_err(|error| {
        let at = format!("{}:{}:{}", path.display(), error.at.line, error.at.column);
        let clause = if error.clause.is_empty() { String::new() } else { format!(", in {}", error.clause) };
        Failure::refused(anyhow::anyhow!(
            "the release policy is refused and was not sent: {at}: {}{clause}",
            error.kind
        ))
    })?;
    for warning in policy.lint() {
        edge::note(&format!("warning: {}", shown(&warning.to_string())));
    }
    Ok(text.as_bytes().to_vec())
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a tag is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What the argument of this name says: now, or a time.
pub(crate) fn moment(argument: &str, text: &str) -> Result<u64, Failure> {
    match text {
        "now" => Ok(unix_secs(SystemTime::now())),
        text => Ok(time(text).map_err(|why| anyhow::anyhow!("{argument} {text:?}: {why}"))?),
    }
}

/// RFC 3339 in UTC, or seconds since the epoch.
pub(super) fn time(text: &str) -> Result<u64, String> {
    if let Ok(secs) = text.parse() {
        return Ok(secs);
    }
    let date: DateTime = text.parse().map_err(|_| "a time is as 2027-01-31T00:00:00Z, or seconds since the epoch")?;
    Ok(date.to_system_time().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default())
}
