//! `skerry hsm`: the token that holds an installation's root key, and in strict custody all its keys.
//!
//! `init` makes the token's own keys and seals a root key under them, once. `status` says what the token is and does. `rotate-root`
//! makes new ones, seals the root key anew, and follows the server while it moves its keys: the server does that, since it alone
//! has the store. `destroy-roots` takes the older ones away when the store needs none of them, with the server stopped.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use skerry_jose::json::{Object, Value};
use skerry_keys::Level;
use skerry_pkcs11::{Ability, RootId, RootSet, Token};
use skerry_store::stamp::Kind;
use skerry_unseal::TokenSeal;
use skerry_vault::Installation;
use zeroize::Zeroizing;

use crate::config::{self, Held};
use crate::edge::{Failure, note, say, table};
use crate::machine;
use crate::server::hsm::{self, Progress};
use crate::server::{self, Site};

/// The PKCS#11 token that holds the root key, and in strict custody all keys
#[derive(Subcommand)]
pub(crate) enum Command {
    Init(Init),
    Status(Status),
    RotateRoot(RotateRoot),
    DestroyRoots(DestroyRoots),
}

/// Make the token's keys for this server, and a root key that they seal
///
/// Three AES-256 keys are made in the token, which never leave it. The root key is new, or one that is there as 64 hex digits, and
/// goes sealed into the file that server.root_key names, which must not be there yet.
#[derive(Args)]
pub(crate) struct Init {
    /// Configuration with sections custody and hsm
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Seal this root key, which software custody has had so far, instead of a new one
    #[arg(long, value_name = "FILE")]
    root_key: Option<PathBuf>,
    /// Take the keys that are in the token already: another server's of the same store, or of an init that was cut short
    #[arg(long)]
    present: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Say what the token is, which keys of ours it has, and what it does
///
/// What it does is found out by doing it, at every start of a server too. Nothing is changed.
#[derive(Args)]
pub(crate) struct Status {
    /// Configuration with sections custody and hsm
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Make new keys in the token, seal the root key under them, and have the server move its keys
///
/// The server may be running: within a minute it begins to wrap every key under the new ones, while it serves; one that is started
/// later does so then. Cut short, here or there, it goes on where it was: say the same again. The older keys stay in the token for
/// backups that are wrapped under them.
#[derive(Args)]
pub(crate) struct RotateRoot {
    /// Configuration with sections custody and hsm
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// End when the new keys are made, and leave the server to its work
    #[arg(long)]
    no_wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Destroy the older keys of the token, once nothing that is stored is under them
///
/// Without --for-good it looks, and says what it would destroy. The server has to be stopped, all nodes of it. Refused while the root key
/// is not sealed under the newest key, or one version of a key is wrapped under an older one. What it cannot see is for you to know: in
/// custody hsm-strict, backups of the server and of keys from before the last rotation are under the older keys, and open with none
/// that is left; of hsm-root, backups that are sealed to recovery certificates have the root key itself and need none of these. Copies
/// of the sealed root key, on other nodes too, are under the key that they were sealed by. That they are destroyed is in the audit log
/// before. Exit code 0: done, or looked; 1: refused, and why; 3: a server runs, or the token is away.
#[derive(Args)]
pub(crate) struct DestroyRoots {
    /// Configuration with sections custody and hsm
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Do it: nothing brings them back but the token's backup
    #[arg(long)]
    for_good: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Init(options) => init(&options),
        Command::Status(options) => status(&options),
        Command::RotateRoot(options) => rotate(&options),
        Command::DestroyRoots(options) => destroy(&options),
    };
    done.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

/// The token of a configuration, opened, and where the rest is.
struct Opened {
    level: Level,
    token: Token,
    root_key: PathBuf,
    data: PathBuf,
}

fn opened(config: &Path) -> Result<Opened, Failure> {
    let Held { level, token, root_key, data } = config::token(config, SystemTime::now()).map_err(anyhow::Error::new)?;
    Ok(Opened { level, token: hsm::open(token)?, root_key, data })
}

fn init(options: &Init) -> Result<(), Failure> {
    let secret = match &options.root_key {
        Some(path) => read_root_key(path)?,
        None => Zeroizing::new(machine::random()),
    };
    let Opened { token, root_key, .. } = opened(&options.config)?;
    if root_key.exists() {
        let there = anyhow!("{} is there, and nothing is put in its place: a root key is for good", root_key.display());
        return Err(Failure::refused(there));
    }
    let present = token.refresh_roots().map_err(hsm::refuse)?.last().copied();
    let root = match (present, options.present) {
        (Some(root), true) => root,
        _ => token.make_first_roots(&mut machine::rng()).map_err(hsm::refuse)?,
    };
    let sealed = TokenSeal::seal(&token, &secret, &mut machine::rng()).map_err(hsm::refuse_seal)?;
    put(&root_key, &sealed.to_bytes())?;
    if options.json {
        let made = Object::new().with("root", root.id.to_string()).with("generation", u64::from(root.generation));
        return Ok(say(&made.with("root_key", root_key.display().to_string()).to_json())?);
    }
    say(&format!("root {} made in token {:?}", root.id, token.identity().label))?;
    say(&format!("root key sealed into {}", root_key.display()))?;
    Ok(say("back up the token by its vendor's means: without it nothing that is stored can be opened")?)
}

fn status(options: &Status) -> Result<(), Failure> {
    let Opened { token, root_key, data, .. } = opened(&options.config)?;
    let roots = token.refresh_roots().map_err(hsm::refuse)?;
    let sealed_under = std::fs::read(&root_key).ok().and_then(|octets| TokenSeal::parse(&octets).ok());
    let sealed_under = sealed_under.map(|sealed| sealed.root());
    let progress = Progress::read(&data);
    if options.json {
        return Ok(say(&status_json(&token, &roots, sealed_under, progress.as_ref()).to_json())?);
    }
    let identity = token.identity();
    say(&format!(
        "token {:?}, serial {}, {} {}, firmware {}",
        identity.label, identity.serial, identity.manufacturer, identity.model, identity.firmware
    ))?;
    for root in &roots {
        let seals = if Some(root.id) == sealed_under { ", seals the root key" } else { "" };
        say(&format!("root {} of generation {}{seals}", root.id, root.generation))?;
    }
    if roots.is_empty() {
        say("no roots: skerry hsm init makes them")?;
    }
    if let Some(progress) = &progress {
        say(&progress.line())?;
    }
    if let Some(kwp) = token.capabilities().kwp() {
        say(&format!("RFC 5649 is {}", kwp.as_str()))?;
    }
    let mut found = table(["what", "does it", "if not"]);
    for (ability, does) in token.capabilities().iter() {
        let why = does.err().map(|fault| fault.to_string()).unwrap_or_default();
        found.add_row([ability.as_str(), if does.is_ok() { "yes" } else { "no" }, &why]);
    }
    Ok(say(&found.to_string())?)
}

fn status_json(token: &Token, roots: &[RootSet], sealed: Option<RootId>, progress: Option<&Progress>) -> Object {
    let identity = token.identity();
    let root = |root: &RootSet| {
        let seals = Some(root.id) == sealed;
        Object::new()
            .with("root", root.id.to_string())
            .with("generation", u64::from(root.generation))
            .with("seals_root_key", seals)
    };
    let ability = |(ability, does): (skerry_pkcs11::Ability, Result<(), skerry_pkcs11::Fault>)| {
        let row = Object::new().with("ability", ability.as_str()).with("does", does.is_ok());
        match does {
            Ok(()) => row,
            Err(fault) => row.with("why", fault.to_string()),
        }
    };
    let status = Object::new()
        .with("token", identity.label.as_str())
        .with("serial", identity.serial.as_str())
        .with("manufacturer", identity.manufacturer.as_str())
        .with("model", identity.model.as_str())
        .with("firmware", identity.firmware.as_str())
        .with("roots", roots.iter().map(root).collect::<Vec<_>>())
        .with("kwp", token.capabilities().kwp().map_or(Value::Null, |kwp| kwp.as_str().into()))
        .with("abilities", token.capabilities().iter().map(ability).collect::<Vec<_>>());
    match progress {
        Some(progress) => status.with("rotation", progress.to_object()),
        None => status,
    }
}

fn rotate(options: &RotateRoot) -> Result<(), Failure> {
    let Opened { level, token, root_key, data } = opened(&options.config)?;
    let octets = std::fs::read(&root_key).with_context(|| root_key.display().to_string())?;
    let sealed = TokenSeal::parse(&octets).map_err(hsm::refuse_seal)?;
    let newest = token.refresh_roots().map_err(hsm::refuse)?.last().copied();
    let moving = Progress::read(&data).filter(Progress::is_under_way).map(|progress| progress.root);
    let root = match newest {
        // Keys are being moved to it: that is seen to its end.
        Some(newest) if newest.id == sealed.root() && Some(newest.id) == moving => newest,
        _ => seal_anew(&token, &sealed, newest, &root_key)?,
    };
    if !options.json {
        say(&format!("root {} of generation {} seals the root key", root.id, root.generation))?;
    }
    let follows = level == Level::HsmStrict && !options.no_wait;
    let progress = if follows { follow(&data, root.id, options.json)? } else { None };
    if options.json {
        let done = Object::new().with("root", root.id.to_string()).with("generation", u64::from(root.generation));
        let done = match progress {
            Some(progress) => done.with("rotation", progress.to_object()),
            None => done,
        };
        return Ok(say(&done.to_json())?);
    }
    let outcome = match (progress, level) {
        (Some(progress), _) => progress.line(),
        (None, Level::HsmStrict) => {
            "a server moves its keys while it serves: `skerry hsm status` says how far it is".to_owned()
        }
        (None, _) => "keys that are in software are not under it, and stay as they are".to_owned(),
    };
    Ok(say(&outcome)?)
}

/// Seals the root key under a new root, or under one of a rotation that was cut short before it did.
fn seal_anew(token: &Token, sealed: &TokenSeal, newest: Option<RootSet>, root_key: &Path) -> Result<RootSet, Failure> {
    let secret = sealed.open(token).map_err(hsm::refuse_seal)?;
    let root = match newest {
        Some(newest) if newest.id != sealed.root() => newest,
        _ => token.make_next_roots(&mut machine::rng()).map_err(hsm::refuse)?,
    };
    let anew = TokenSeal::seal(token, &secret, &mut machine::rng()).map_err(hsm::refuse_seal)?;
    replace(root_key, &anew.to_bytes())?;
    Ok(root)
}

fn destroy(options: &DestroyRoots) -> Result<(), Failure> {
    let settings = config::load(&options.config, SystemTime::now()).map_err(anyhow::Error::new)?;
    let Opened { level, token, root_key, .. } = opened(&options.config)?;
    let octets = std::fs::read(&root_key).with_context(|| root_key.display().to_string())?;
    let sealed = TokenSeal::parse(&octets).map_err(hsm::refuse_seal)?;
    let (older, token) = (token.older_roots().map_err(hsm::refuse)?, Arc::new(token));
    if older.iter().any(|set| set.id == sealed.root()) {
        let text = "the root key is sealed under an older root: skerry hsm rotate-root seals it under the newest";
        return Err(Failure::refused(anyhow!("{text}")));
    }
    let secret = sealed.open(&token).map_err(hsm::refuse_seal)?;
    server::runtime()?.block_on(async {
        server::etcd::is_idle(&settings.store).await?;
        // Whatever the level is now: what was made under another is there still.
        let holds = token.capabilities().demand(Ability::Kwp).is_ok().then(|| Arc::clone(&token));
        let (site, machine) = (Site { folder: &settings.data, store: &settings.store }, machine::machine());
        let (installation, name) = server::open(&site, secret, (Kind::Serve, holds), &machine).await?;
        let done = destroy_unneeded(options, level, &installation, &token, &older).await;
        // So that the next start finds little to read.
        server::tick(&installation, &machine).await;
        if let Some(name) = name {
            name.release().await;
        }
        done
    })
}

async fn destroy_unneeded(
    options: &DestroyRoots,
    level: Level,
    installation: &Installation,
    token: &Token,
    older: &[RootSet],
) -> Result<(), Failure> {
    let needed = installation.token_roots().await;
    let needed = needed.map_err(|error| Failure::integrity(anyhow::Error::new(error).context("what is stored")))?;
    for RootSet { id, generation } in older {
        if let Some(versions) = needed.get(id) {
            let text = format!(
                "root {id} of generation {generation} is needed: {versions} versions of keys are wrapped under it; nothing is destroyed. A \
                 server moves them when it is started, see `skerry hsm status`; of a vault that is in no configuration any more, when it \
                 is again"
            );
            return Err(Failure::refused(anyhow!("{text}")));
        }
    }
    let ids: Vec<RootId> = older.iter().map(|set| set.id).collect();
    if options.for_good && !ids.is_empty() {
        let who = crate::backup::who(rustix::process::geteuid().as_raw());
        let recorded = installation.record_destruction(&ids, &who, SystemTime::now()).await;
        recorded.map_err(|error| Failure::unavailable(anyhow::Error::new(error).context("nothing is destroyed")))?;
        for id in &ids {
            token.destroy_root(*id).map_err(hsm::refuse)?;
        }
    }
    tell_destroyed(options, level, older)
}

fn tell_destroyed(options: &DestroyRoots, level: Level, older: &[RootSet]) -> Result<(), Failure> {
    if options.json {
        let root = |set: &RootSet| {
            Object::new().with("root", set.id.to_string()).with("generation", u64::from(set.generation))
        };
        let roots = older.iter().map(root).collect::<Vec<_>>();
        return Ok(say(&Object::new().with("destroyed", options.for_good).with("roots", roots).to_json())?);
    }
    let word = if options.for_good { "destroyed" } else { "not needed by what is stored" };
    for RootSet { id, generation } in older {
        say(&format!("root {id} of generation {generation}: {word}"))?;
    }
    if older.is_empty() {
        return Ok(say("there are no older roots")?);
    }
    if !options.for_good {
        let backups = match level {
            Level::HsmStrict => {
                "backups of the server and of keys from before the last rotation are under them, and will restore nothing"
            }
            _ => "backups that are sealed to recovery certificates need none of them",
        };
        say(&format!(
            "{backups}; copies of the sealed root key from before it open no more\n--for-good destroys them"
        ))?;
    }
    Ok(())
}

/// Shows how far the server is until it is done, or has come to the end of a pass with keys left. None if no server takes it up for a
/// while: then none is running.
fn follow(data: &Path, root: RootId, quiet: bool) -> Result<Option<Progress>, Failure> {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} keys, {msg}").context("progress")?;
    bar.set_style(style);
    let mut looks_after_end = 0_u32;
    for waited in 0.. {
        match Progress::read(data).filter(|progress| progress.root == root) {
            Some(progress) => {
                bar.set_length(progress.total);
                bar.set_position(progress.keys);
                bar.set_message(format!("{} versions moved", progress.moved));
                if progress.finished {
                    bar.finish();
                    return Ok(Some(progress));
                }
                looks_after_end = if progress.is_under_way() { 0 } else { looks_after_end.saturating_add(1) };
                if looks_after_end >= AFTER_END_MAX {
                    bar.finish_and_clear();
                    let left = "keys are left under an older root: the server says which and why, and tries again every minute; \
                                `skerry hsm status` says when all are moved";
                    return Err(Failure::refused(anyhow!(left)));
                }
            }
            None if waited >= TAKEN_UP_MAX => {
                bar.finish_and_clear();
                note("no server has taken it up: it will when it is started");
                return Ok(None);
            }
            None => {}
        }
        std::thread::sleep(LOOK);
    }
    Ok(None)
}

/// 64 hex digits, as software custody has them.
fn read_root_key(path: &Path) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let text = Zeroizing::new(std::fs::read(path).with_context(|| path.display().to_string())?);
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    let mut root_key = Zeroizing::new([0; 32]);
    let decoded = hex::decode_to_slice(text, root_key.as_mut_slice());
    decoded.map_err(|_| anyhow!("{} is not 64 hex digits", path.display()))?;
    Ok(root_key)
}

/// A new file, mode 0600, on the disk before anything is said of it.
fn put(path: &Path, octets: &[u8]) -> Result<(), Failure> {
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(octets)?;
        file.sync_all()?;
        File::open(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
    };
    Ok(write().with_context(|| path.display().to_string())?)
}

/// The file is the old or the new one, whenever the machine stops.
fn replace(path: &Path, octets: &[u8]) -> Result<(), Failure> {
    let beside = path.with_extension("new");
    let _ = std::fs::remove_file(&beside);
    put(&beside, octets)?;
    std::fs::rename(&beside, path).with_context(|| path.display().to_string())?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| folder.display().to_string())?;
    Ok(())
}

/// A server looks for new roots every minute.
const TAKEN_UP_MAX: u32 = 90 * 5;
/// A pass whose last key is noted says at once whether it is done.
const AFTER_END_MAX: u32 = 10;
const LOOK: Duration = Duration::from_millis(200);
