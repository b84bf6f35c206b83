//! Changing keys, and what becomes of them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use skerry_client::vault::{Changes, KeyName, KeyRef, LifetimeAction, RotationPolicy, Trigger};
use skerry_jose::json::Object;

use super::{make, show};
use crate::edge::Failure;
use crate::remote::{Input, Output, Remote};

#[derive(Args)]
pub(super) struct SetPolicy {
    #[arg(value_name = "NAME", value_parser = KeyName::parse)]
    name: KeyName,
    /// Release policy, JSON; what may be wrong with it is said before it is sent
    #[arg(value_name = "FILE", id = "policy")]
    policy: PathBuf,
    #[command(flatten)]
    immutable: make::Immutable,
}

#[derive(Args)]
pub(super) struct Rotation {
    #[command(subcommand)]
    command: RotationCommand,
}

#[derive(Subcommand)]
enum RotationCommand {
    /// Show the policy
    Show {
        #[arg(value_name = "NAME", value_parser = KeyName::parse)]
        name: KeyName,
    },
    /// Set the policy; what is not said is not in it any more
    Set {
        #[arg(value_name = "NAME", value_parser = KeyName::parse)]
        name: KeyName,
        /// How long a new version is good: P1Y, P90D
        #[arg(long, value_name = "PERIOD")]
        expires_in: Option<String>,
        /// Rotate so long after a version was made
        #[arg(long, value_name = "PERIOD", conflicts_with = "rotate_before_expiry")]
        rotate_after: Option<String>,
        /// Rotate so long before a version expires
        #[arg(long, value_name = "PERIOD")]
        rotate_before_expiry: Option<String>,
        /// Notify so long before a version expires
        #[arg(long, value_name = "PERIOD")]
        notify_before_expiry: Option<String>,
    },
}

#[derive(Args)]
pub(super) struct Backup {
    #[arg(value_name = "NAME", value_parser = KeyName::parse)]
    name: KeyName,
    /// File for the backup, readable by its owner only
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

#[derive(Args)]
pub(super) struct Restore {
    /// The backup; - is standard input
    #[arg(value_name = "FILE")]
    file: Input,
}

#[derive(Args)]
pub(super) struct MinIat {
    #[arg(value_name = "NAME", value_parser = KeyName::parse)]
    name: KeyName,
    /// Raise it, so that tokens issued before do not release the key: now, a time, or seconds since the epoch
    #[arg(long, value_name = "TIME")]
    raise: Option<String>,
}

pub(super) fn set_policy(remote: &Remote, set: &SetPolicy) -> Result<(), Failure> {
    let policy = make::policy(&set.policy, set.immutable)?;
    update(remote, &set.name.clone().into(), &Changes { policy: Some(policy), ..Changes::default() })
}

pub(super) fn enable(remote: &Remote, key: &KeyRef, enabled: bool) -> Result<(), Failure> {
    update(remote, key, &Changes { enabled: Some(enabled), ..Changes::default() })
}

pub(super) fn min_iat(remote: &Remote, asked: &MinIat) -> Result<(), Failure> {
    let key = KeyRef::from(asked.name.clone());
    let raised = asked.raise.as_deref().map(|text| make::moment("--raise", text)).transpose()?;
    let session = remote.open()?;
    let key = match raised {
        None => session.run(session.vault.get(&key))?,
        Some(min_iat) => {
            let changes = Changes { min_iat: Some(min_iat), ..Changes::default() };
            session.run(session.vault.update(&key, &changes))?
        }
    };
    // A service that does not know the attribute passes over it, and then nothing was revoked.
    if let Some(raised) = raised.filter(|raised| key.attributes.min_iat != Some(*raised)) {
        let error = anyhow::anyhow!("the vault did not take {raised}: it is not a Skerry, and nothing was revoked");
        return Err(Failure::refused(error));
    }
    let words = match key.attributes.min_iat {
        Some(secs) => format!("{}: tokens from {} on", asked.name, show::date(secs)),
        None => format!("{}: tokens of any time", asked.name),
    };
    let min_iat = show::or_null(key.attributes.min_iat);
    Ok(show::done(session.json, &words, Object::new().with("name", key.name).with("min_iat", min_iat))?)
}

fn update(remote: &Remote, key: &KeyRef, changes: &Changes) -> Result<(), Failure> {
    let session = remote.open()?;
    let key = session.run(session.vault.update(key, changes))?;
    Ok(show::key(session.json, &key, None)?)
}

pub(super) fn rotation(remote: &Remote, rotation: &Rotation) -> Result<(), Failure> {
    let session = remote.open()?;
    let policy = match &rotation.command {
        RotationCommand::Show { name } => session.run(session.vault.rotation_policy(name))?,
        RotationCommand::Set { name, expires_in, rotate_after, rotate_before_expiry, notify_before_expiry } => {
            let action = |action: &str, period: &Option<String>, trigger: fn(String) -> Trigger| {
                let action = action.to_owned();
                period.clone().map(|period| LifetimeAction { action, trigger: trigger(period) })
            };
            let actions = [
                action("Rotate", rotate_after, Trigger::AfterCreate),
                action("Rotate", rotate_before_expiry, Trigger::BeforeExpiry),
                action("Notify", notify_before_expiry, Trigger::BeforeExpiry),
            ];
            let actions = actions.into_iter().flatten().collect();
            let policy = RotationPolicy { lifetime: expires_in.clone(), actions, ..RotationPolicy::default() };
            session.run(session.vault.set_rotation_policy(name, &policy))?
        }
    };
    Ok(show::rotation(session.json, &policy)?)
}

pub(super) fn delete(remote: &Remote, name: &KeyName) -> Result<(), Failure> {
    let session = remote.open()?;
    let (key, deletion) = session.run(session.vault.delete(name))?;
    Ok(show::key(session.json, &key, deletion.as_ref())?)
}

pub(super) fn recover(remote: &Remote, name: &KeyName) -> Result<(), Failure> {
    let session = remote.open()?;
    let key = session.run(session.vault.recover(name))?;
    Ok(show::key(session.json, &key, None)?)
}

pub(super) fn purge(remote: &Remote, name: &KeyName) -> Result<(), Failure> {
    let session = remote.open()?;
    session.run(session.vault.purge(name))?;
    let object = Object::new().with("name", name.as_str()).with("purged", true);
    Ok(show::done(session.json, &format!("{name} is gone for good"), object)?)
}

pub(super) fn backup(remote: &Remote, backup: &Backup) -> Result<(), Failure> {
    let out = Output::new(&backup.out, backup.force);
    out.check()?;
    let session = remote.open()?;
    let octets = session.run(session.vault.backup(&backup.name))?;
    out.write(&octets)?;
    let (name, bytes) = (&backup.name, octets.len());
    let path = out.display().to_string();
    let object = Object::new().with("name", name.as_str()).with("out", path.as_str());
    let object = object.with("bytes", u64::try_from(bytes).unwrap_or(u64::MAX));
    Ok(show::done(session.json, &format!("{name}: a backup of {bytes} bytes is in {path}"), object)?)
}

pub(super) fn restore(remote: &Remote, restore: &Restore) -> Result<(), Failure> {
    let octets = restore.file.bounded(BACKUP_BYTES_MAX)?;
    let session = remote.open()?;
    let key = session.run(session.vault.restore(&octets))?;
    Ok(show::key(session.json, &key, None)?)
}

/// A backup has up to 1 MiB (skerry-store).
const BACKUP_BYTES_MAX: usize = 1024 * 1024;
