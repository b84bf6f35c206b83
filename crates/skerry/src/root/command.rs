//! `skerry root`: seals a root key, shows a seal, changes the seal and not the root.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use skerry_jose::json::Object;
use skerry_unseal::tpm::{self, Device, Registers, TpmError};
use skerry_unseal::{Kind, RootId, SealedRoot, Unreadable, UnsealError, credential};
use zeroize::Zeroizing;

use super::Source;
use super::ask::{self, new_passphrase};
use crate::config;
use crate::edge::{Failure, say};
use crate::machine;

/// Seal the root key, look at its seal, change its seal
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a root key, or take the one in a file, and seal it
    ///
    /// The root key opens everything that is stored. Sealed with --passphrase it lies in a new file, which root.file in the
    /// configuration names. With --credential it is handed to systemd-creds, which encrypts it for a service of this machine.
    Seal(Seal),
    /// Show what a sealed root says of itself
    Status(Status),
    /// Seal the root of a configuration anew, by another passphrase or kind of seal
    ///
    /// The root stays the same, and so does all that is stored. The new file is written beside, found to open, and moved over
    /// the old one, which stays as FILE.old.
    Reseal(Reseal),
}

/// How a root is to be sealed.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct How {
    /// By a passphrase, which `skerry unseal` asks for at every start
    #[arg(long)]
    passphrase: bool,
    /// By this machine's TPM 2.0
    #[arg(long)]
    tpm: bool,
    /// By systemd, as the credential of this name
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,
}

#[derive(Args)]
pub(crate) struct Seal {
    #[command(flatten)]
    how: How,
    /// File for the sealed root, which must not be there
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Root key to seal, 64 hex digits; a new one is made if this is not said
    #[arg(long, value_name = "FILE")]
    root_key: Option<PathBuf>,
    /// File with the passphrase, or - for standard input, instead of typing it
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    tpm: OfTpm,
}

/// What a TPM's seal asks for.
#[derive(Args)]
pub(crate) struct OfTpm {
    /// The TPM, or the Unix socket of an emulator
    #[arg(long, value_name = "DEVICE", default_value = super::TPM)]
    tpm_device: PathBuf,
    /// Registers (PCR, SHA-256 bank) that have to be what they are now: 7 is Secure Boot's
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    tpm_pcrs: Vec<u8>,
    /// File with a PIN that the TPM asks for besides, and locks out who guesses
    #[arg(long, value_name = "FILE")]
    tpm_pin_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Status {
    /// Sealed root
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(crate) struct Reseal {
    /// Configuration whose root it is
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    how: How,
    /// File for the new seal [default: the one that the configuration names]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// File with the passphrase of now, instead of typing it
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// File with the new passphrase, instead of typing it
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    tpm: OfTpm,
}

pub(crate) fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Seal(options) => seal(&options),
        Command::Status(options) => status(&options),
        Command::Reseal(options) => reseal(&options),
    };
    done.map_or_else(|failure| failure.report(), |()| ExitCode::SUCCESS)
}

fn seal(options: &Seal) -> Result<(), Failure> {
    if options.out.exists() {
        return Err(anyhow!(
            "{} is there already: name a new file, or use `skerry root reseal`",
            options.out.display()
        )
        .into());
    }
    let root = match &options.root_key {
        Some(path) => of_file(path)?,
        None => Zeroizing::new(machine::random()),
    };
    put(&root, &options.how, &options.tpm, &options.out, options.passphrase_file.as_deref())?;
    Ok(tell(&root, &options.how, &options.out)?)
}

fn reseal(options: &Reseal) -> Result<(), Failure> {
    let source = config::root(&options.config, SystemTime::now()).map_err(anyhow::Error::new)?;
    let own = match &source {
        Source::Passphrase(file) | Source::Tpm { file, .. } => Some(file.path.clone()),
        Source::Key(_) | Source::Credential(_) | Source::Token(_) => None,
    };
    let out = options.out.clone().or(own).ok_or_else(|| {
        anyhow!("the configuration names no sealed root: say where the new one is to be with --out FILE")
    })?;
    let root = super::take(&source, options.passphrase_file.as_deref())?;
    put(&root, &options.how, &options.tpm, &out, options.new_passphrase_file.as_deref())?;
    Ok(tell(&root, &options.how, &out)?)
}

/// Seals, and puts it where it belongs once it was found to open.
fn put(
    root: &Zeroizing<[u8; 32]>,
    how: &How,
    of_tpm: &OfTpm,
    out: &Path,
    passphrase_file: Option<&Path>,
) -> Result<(), Failure> {
    if let Some(name) = &how.credential {
        return Ok(encrypt(root, name, out)?);
    }
    if how.tpm {
        let pin = of_tpm.tpm_pin_file.as_deref().map(|path| ask::passphrase("PIN: ", Some(path))).transpose()?;
        let refused = |error: TpmError| super::unopened(UnsealError::Tpm(error), &of_tpm.tpm_device);
        let mut device = Device::open(&of_tpm.tpm_device).map_err(refused)?;
        let registers = Registers::of(&of_tpm.tpm_pcrs).map_err(anyhow::Error::new)?;
        let sealed = tpm::seal(&mut device, root, registers, pin.as_ref(), &mut machine::rng());
        let sealed = sealed.map_err(|error| super::unopened(error, &of_tpm.tpm_device))?;
        return replace(root, out, &sealed, |sealed| tpm::open(&mut device, sealed, pin.as_ref(), &mut machine::rng()));
    }
    let passphrase = new_passphrase(passphrase_file)?;
    let sealed = passphrase.seal(root, &mut machine::rng()).map_err(anyhow::Error::new)?;
    replace(root, out, &sealed, |sealed| passphrase.open(sealed))
}

/// Writes what was sealed, if it opens to the root.
fn replace(
    root: &Zeroizing<[u8; 32]>,
    out: &Path,
    sealed: &SealedRoot,
    open: impl FnOnce(&SealedRoot) -> Result<Zeroizing<[u8; 32]>, UnsealError>,
) -> Result<(), Failure> {
    let opens = |written: &SealedRoot| match open(written) {
        Ok(opened) if opened == *root => Ok(()),
        Ok(_) => Err(Unreadable::Content(UnsealError::OtherRoot)),
        Err(error) => Err(Unreadable::Content(error)),
    };
    let replaced = skerry_unseal::replace(out, sealed, opens);
    Ok(replaced.with_context(|| out.display().to_string())?)
}

/// By systemd's own program, which reads the root from a pipe.
fn encrypt(root: &Zeroizing<[u8; 32]>, name: &str, out: &Path) -> anyhow::Result<()> {
    let mut text = Zeroizing::new([0; 64]);
    hex::encode_to_slice(root.as_slice(), text.as_mut_slice())?;
    let child = std::process::Command::new("systemd-creds")
        .args(["encrypt", &format!("--name={name}"), "-"])
        .arg(out)
        .stdin(Stdio::piped())
        .spawn();
    let mut child = child.context("systemd-creds cannot be run, which makes credentials of systemd (250 or later)")?;
    // Closed when dropped, so that the child sees the end.
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(text.as_slice()));
    let status = child.wait().context("systemd-creds")?;
    if !status.success() {
        bail!("systemd-creds did not encrypt the root key ({status})");
    }
    written.transpose().context("systemd-creds")?;
    Ok(())
}

fn tell(root: &Zeroizing<[u8; 32]>, how: &How, out: &Path) -> anyhow::Result<()> {
    let id = hex::encode(RootId::of(root).octets());
    let section = match &how.credential {
        Some(name) => format!(
            "seal = \"credential\"\ncredential = \"{name}\"\n\nand in the unit of the service:\n\n[Service]\nLoadCredentialEncrypted={name}:{}",
            out.display()
        ),
        None if how.tpm => format!("seal = \"tpm\"\nfile = \"{}\"", out.display()),
        None => format!("seal = \"passphrase\"\nfile = \"{}\"", out.display()),
    };
    say(&format!("{}: root {id} is sealed. The configuration says:\n\n[root]\n{section}", out.display()))
}

fn status(options: &Status) -> Result<(), Failure> {
    let read = skerry_unseal::read(&options.file);
    let sealed = read.map_err(|error| unread(error, &options.file))?;
    let (id, kind) = (hex::encode(sealed.id().octets()), sealed.kind().word());
    let object = match sealed.kind() {
        Kind::Tpm(object) => Some((object.registers().numbers(), object.has_pin())),
        _ => None,
    };
    if options.json {
        let said = Object::new().with("root", id).with("seal", kind);
        let numbers = |registers: Vec<u8>| registers.into_iter().map(u64::from).collect::<Vec<_>>();
        let all = |(registers, pin)| said.clone().with("pcrs", numbers(registers)).with("pin", pin);
        return Ok(say(&object.map_or_else(|| said.clone(), all).to_json())?);
    }
    let text = |(registers, pin): (Vec<u8>, bool)| {
        let registers: Vec<String> = registers.iter().map(u8::to_string).collect();
        format!("\npcrs: {}\npin: {}", registers.join(","), if pin { "yes" } else { "no" })
    };
    Ok(say(&format!("root: {id}\nseal: {kind}{}", object.map(text).unwrap_or_default()))?)
}

/// What is no sealed root any more is a matter of integrity; a file that is not there is not.
fn unread(error: Unreadable, path: &Path) -> Failure {
    let content = matches!(error, Unreadable::Content(_) | Unreadable::TooLarge { .. });
    let error = anyhow::Error::new(error).context(path.display().to_string());
    if content { Failure::integrity(error) } else { error.into() }
}

fn of_file(path: &Path) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let text = ask::of_file(path).with_context(|| path.display().to_string())?;
    credential::root_of(&text).ok_or_else(|| anyhow!("{} is not 64 hex digits", path.display()))
}
