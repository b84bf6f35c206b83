//! Asking the server that runs on a folder for a backup, over the socket in it.

use std::io::{ErrorKind, Read as _, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use indicatif::ProgressBar;

use super::make::{Job, Made};
use super::show;
use crate::edge::Failure;
use crate::server::backups::{self, Frame};

/// What the server of this folder made into `out`; none if there is no server.
pub(super) fn ask(data: &Path, job: &Job, out: &mut impl Write, bar: &ProgressBar) -> Result<Option<Made>, Failure> {
    let socket = backups::Place::of(data).context("data folder")?;
    let mut socket = match UnixStream::connect(socket.path()) {
        Ok(socket) => socket,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => {
            let context = "the running server cannot be asked: this is for the user it runs as, and for root";
            return Err(Failure::unavailable(anyhow::Error::new(error).context(context)));
        }
    };
    socket.write_all(&backups::request(job)).map_err(gone)?;
    loop {
        let mut head = [0; backups::HEAD_LEN];
        socket.read_exact(&mut head).map_err(gone)?;
        let (kind, len) = backups::parse_head(head).ok_or_else(|| gone("no answer of a server"))?;
        let mut content = vec![0; len];
        socket.read_exact(&mut content).map_err(gone)?;
        match Frame::parse(kind, content).ok_or_else(|| gone("no answer of a server"))? {
            Frame::Octets(octets) => out.write_all(&octets).map_err(|error| {
                let context = "there is no room for the backup, or it cannot be written; nothing is left of it";
                Failure::unavailable(anyhow::Error::new(error).context(context))
            })?,
            Frame::Progress { done, all } => show(bar, done, all),
            Frame::Done(made) => return Ok(Some(made)),
            Frame::Refused { exit, message } => return Err(Failure::of(exit, anyhow!("the server says: {message}"))),
        }
    }
}

fn gone(why: impl std::fmt::Display) -> Failure {
    Failure::unavailable(anyhow!("the server ended, or the connection to it, before the backup was whole: {why}"))
}
