//! Asking for a passphrase: never an argument or a variable, which other processes and the shell's history can read.

use std::fs::File;
use std::io::{IsTerminal as _, Read, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use skerry_unseal::Passphrase;
use skerry_unseal::limits::PASSPHRASE_BYTES_MAX;
use zeroize::Zeroizing;

/// From a file; from standard input, where that is a pipe or `-` was said; else typed at the terminal, which does not show it.
pub(crate) fn passphrase(prompt: &str, file: Option<&Path>) -> anyhow::Result<Passphrase> {
    let stdin = std::io::stdin();
    let octets = match file {
        Some(path) if path == Path::new("-") => piped().context("standard input")?,
        Some(path) => of_file(path).with_context(|| path.display().to_string())?,
        None if stdin.is_terminal() => typed(prompt).context("terminal")?,
        None => piped().context("standard input")?,
    };
    Ok(Passphrase::new(octets)?)
}

/// As [`passphrase`], for one that is to seal: typed twice.
pub(super) fn new_passphrase(file: Option<&Path>) -> anyhow::Result<Passphrase> {
    let first = passphrase("New passphrase: ", file)?;
    if file.is_none() && std::io::stdin().is_terminal() {
        let second = passphrase("The same again: ", None)?;
        if first.octets() != second.octets() {
            bail!("the two are not the same: nothing was changed");
        }
    }
    Ok(first)
}

pub(super) fn of_file(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mode = metadata.mode() & 0o7777;
    // A pipe that a shell makes has no mode worth looking at.
    if metadata.is_file() && mode & MORE_THAN_GROUP_READS != 0 {
        return Err(anyhow!("mode {mode:04o}, and it holds a secret: chmod 0600, or 0640 for a group"));
    }
    read(file)
}

/// Not by way of the library's buffer, which nobody wipes.
fn piped() -> anyhow::Result<Zeroizing<Vec<u8>>> {
    read(File::from(std::io::stdin().as_fd().try_clone_to_owned()?))
}

/// All there is, in a place that does not grow and leave copies behind.
fn read(source: impl Read) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let max = PASSPHRASE_BYTES_MAX.saturating_add(3);
    let mut octets = Zeroizing::new(Vec::with_capacity(max.saturating_add(64)));
    source.take(u64::try_from(max)?).read_to_end(&mut octets)?;
    Ok(octets)
}

/// One line from the terminal, with its echo off. A signal in between leaves the echo off, as with every program of the kind; `stty
/// sane` brings it back.
fn typed(prompt: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let terminal = File::options().read(true).write(true).open("/dev/tty")?;
    (&terminal).write_all(prompt.as_bytes())?;
    let silent = Silent::new(&terminal)?;
    let line = line(&terminal);
    drop(silent);
    (&terminal).write_all(b"\n")?;
    line
}

fn line(mut terminal: &File) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut octets = Zeroizing::new(Vec::with_capacity(PASSPHRASE_BYTES_MAX.saturating_add(64)));
    let mut one = Zeroizing::new([0; 1]);
    while octets.len() <= PASSPHRASE_BYTES_MAX && terminal.read(one.as_mut_slice())? == 1 {
        let [octet] = *one;
        if octet == b'\n' {
            break;
        }
        octets.push(octet);
    }
    Ok(octets)
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Silent<'_> {
    fn new(terminal: &File) -> std::io::Result<Silent<'_>> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Silent { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing either.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

const MORE_THAN_GROUP_READS: u32 = 0o037;
