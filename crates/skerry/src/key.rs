//! `skerry key`: a person's client for the keys of a vault, Skerry's or Azure's.
//!
//! Tokens and key material are never printed. What a vault says of a key is shown as a table, or with `--json` as one object
//! whose members docs/operate.md lists.

mod change;
mod cipher;
mod denial;
mod import;
mod look;
pub(crate) mod make;
mod release;
pub(crate) mod show;
mod sign;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use skerry_client::vault::{KeyName, KeyRef};

use crate::edge::Failure;
use crate::remote::Remote;

/// Make, list, change, use and release keys of a vault
///
/// The vault is --vault or SKR_VAULT_URL, the caller SKR_TOKEN, --token-file, SKR_CLIENT_ID with SKR_CLIENT_SECRET, or
/// SKR_METADATA_URL: loading the dev.env of `skerry dev` sets what is needed. NAME may be followed by /VERSION where it says
/// so. Exit code 0: done, 1: the vault refuses, 2: an argument or file is wrong, 3: the vault cannot be reached or is busy,
/// 4: what came is not what a vault sends, or a release does not verify.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    remote: Remote,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key, or a new version of one
    Create(make::Create),
    /// Bring a private key in, from PEM or DER (PKCS#8), JWK, or raw octets
    Import(make::Import),
    /// List keys
    List,
    /// Show a key
    Show(Whole),
    /// List the versions of a key
    Versions(Named),
    /// Set the release policy of a key, which governs all its versions
    SetPolicy(change::SetPolicy),
    /// Make a new version like the newest
    Rotate(Named),
    /// Show or set when a key is rotated by itself
    RotationPolicy(change::Rotation),
    /// Stop every use of a key, or of one version
    Disable(Whole),
    /// Allow the use of a key again
    Enable(Whole),
    /// Delete a key; it can be recovered until it is purged
    Delete(Named),
    /// List deleted keys, or show one
    Deleted {
        #[arg(value_name = "NAME", value_parser = KeyName::parse)]
        name: Option<KeyName>,
    },
    /// Take a deletion back
    Recover(Named),
    /// Make a deletion final: nobody gets the key back
    Purge(Named),
    /// Write a key with all its versions into a file, sealed for vaults of this installation
    Backup(change::Backup),
    /// Bring a key back from such a file
    Restore(change::Restore),
    /// Sign a file, or a digest of one
    Sign(sign::Sign),
    /// Verify a signature; exit code 1 where it does not hold
    Verify(sign::Verify),
    /// Encrypt a file
    Encrypt(cipher::Seal),
    /// Decrypt what `encrypt` printed
    Decrypt(cipher::Open),
    /// Wrap a key that is in a file
    Wrap(cipher::Seal),
    /// Unwrap what `wrap` printed
    Unwrap(cipher::Open),
    /// Release a key to a TEE, and verify the answer and its receipt
    Release(Box<release::Release>),
    /// Show, or raise, the time before which attestation tokens are not good for a key (Skerry only)
    MinIat(change::MinIat),
}

/// A key.
#[derive(Args)]
struct Named {
    #[arg(value_name = "NAME", value_parser = KeyName::parse)]
    name: KeyName,
}

/// A key or one version of it.
#[derive(Args)]
struct Whole {
    #[arg(value_name = "NAME[/VERSION]", value_parser = KeyRef::parse)]
    key: KeyRef,
}

pub(crate) fn run(options: &Options) -> ExitCode {
    let outcome = command(&options.remote, &options.command);
    outcome.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

fn command(remote: &Remote, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Create(create) => make::create(remote, create),
        Command::Import(import) => make::import(remote, import),
        Command::List => look::list(remote),
        Command::Show(key) => look::show(remote, &key.key),
        Command::Versions(key) => look::versions(remote, &key.name),
        Command::SetPolicy(set) => change::set_policy(remote, set),
        Command::Rotate(key) => make::rotate(remote, &key.name),
        Command::RotationPolicy(rotation) => change::rotation(remote, rotation),
        Command::Disable(key) => change::enable(remote, &key.key, false),
        Command::Enable(key) => change::enable(remote, &key.key, true),
        Command::Delete(key) => change::delete(remote, &key.name),
        Command::Deleted { name: None } => look::deleted_keys(remote),
        Command::Deleted { name: Some(name) } => look::deleted(remote, name),
        Command::Recover(key) => change::recover(remote, &key.name),
        Command::Purge(key) => change::purge(remote, &key.name),
        Command::Backup(backup) => change::backup(remote, backup),
        Command::Restore(restore) => change::restore(remote, restore),
        Command::Sign(sign) => sign::sign(remote, sign),
        Command::Verify(verify) => sign::verify(remote, verify),
        Command::Encrypt(seal) => cipher::encrypt(remote, seal),
        Command::Decrypt(open) => cipher::decrypt(remote, open),
        Command::Wrap(seal) => cipher::wrap(remote, seal),
        Command::Unwrap(open) => cipher::unwrap(remote, open),
        Command::Release(release) => release::release(remote, release),
        Command::MinIat(min_iat) => change::min_iat(remote, min_iat),
    }
}
