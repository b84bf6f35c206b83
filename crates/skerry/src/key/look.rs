//! Looking at keys.

use skerry_client::vault::{KeyName, KeyRef, Pages};

use super::show::{self, Listed};
use crate::edge::Failure;
use crate::remote::{Remote, Session};

pub(super) fn show(remote: &Remote, key: &KeyRef) -> Result<(), Failure> {
    let session = remote.open()?;
    let key = session.run(session.vault.get(key))?;
    Ok(show::key(session.json, &key, None)?)
}

pub(super) fn deleted(remote: &Remote, name: &KeyName) -> Result<(), Failure> {
    let session = remote.open()?;
    let (key, deletion) = session.run(session.vault.deleted(name))?;
    Ok(show::key(session.json, &key, deletion.as_ref())?)
}

pub(super) fn list(remote: &Remote) -> Result<(), Failure> {
    let session = remote.open()?;
    pages(&session, session.vault.keys(), "key")
}

pub(super) fn versions(remote: &Remote, name: &KeyName) -> Result<(), Failure> {
    let session = remote.open()?;
    pages(&session, session.vault.versions(name), "version")
}

pub(super) fn deleted_keys(remote: &Remote) -> Result<(), Failure> {
    let session = remote.open()?;
    pages(&session, session.vault.deleted_keys(), "deleted key")
}

/// Prints a list while it comes.
fn pages(session: &Session, mut pages: Pages<'_>, what: &str) -> Result<(), Failure> {
    let mut listed = Listed::new(session.json);
    while let Some(page) = session.run(pages.next())? {
        listed.page(page)?;
    }
    Ok(listed.end(what)?)
}
