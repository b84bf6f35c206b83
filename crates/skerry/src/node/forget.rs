//! `skerry node forget`, `skerry node forget-time`: what the store keeps of a node that is gone, and of a clock that was ahead.

use anyhow::{Context as _, anyhow};
use clap::Args;
use skerry_attestation_result::limits::SKEW_SECS;
use skerry_attestation_result::unix_secs;
use skerry_jose::json::Object;
use skerry_store::seal::Root;
use skerry_store::stamp::Kind;
use skerry_vault::{ForgetError, ForgetTimeError, Installation, NodeName};

use super::{Where, rfc3339, roll, unreached};
use crate::backup::who;
use crate::config::StoreSettings;
use crate::edge::{self, Failure, say};
use crate::server::{self, Site};
use crate::{machine, verify};

/// Take a node that does not come back off the installation
///
/// What its clock said, and the time it vouched for, count no more. Where its log ended stays in the store, is shown by `skerry node list`,
/// and goes on record in the log of every other node (`node-forgotten`): keep the folder as long as logs are kept. No server
/// starts with that log any more; its name may be used again with an empty folder. Exit code 0: forgotten, 1: it runs, or there is no
/// such node, 2: a file or configuration is wrong, 3: the store is not reached, 4: what is stored is not what was stored.
#[derive(Args)]
pub(crate) struct Options {
    /// Name of the node
    #[arg(value_name = "NAME", value_parser = node_name)]
    node: NodeName,
    #[command(flatten)]
    place: Where,
}

/// Take back a time that a server vouched for while its clock was ahead
///
/// Until that time has come no server of the installation releases keys. Set the clock right, stop the server, and give the time as
/// `skerry node list` shows it: it is the word that you know what you do. From then on the server vouches for what its clock says
/// now, so see that this is the time: a clock that is behind would make attestation tokens good that are over. It is on record in
/// the server's log (`time-forgotten`). Tokens that were issued by a clock that was ahead begin to be good when their time comes:
/// take other keys to sign them with. Exit code 0: taken back, 1: refused, and why, 2: a file or configuration is wrong, 3: the store
/// is in use or not reached, 4: what is stored is not what was stored.
#[derive(Args)]
pub(crate) struct TimeOptions {
    /// The time to take back, as `skerry node list` shows it
    #[arg(long, value_name = "TIME")]
    accept: String,
    #[command(flatten)]
    place: Where,
}

pub(super) fn forget(options: &Options) -> Result<(), Failure> {
    let mut settings = options.place.settings()?;
    if matches!(settings.store, StoreSettings::Embedded) {
        return Err(anyhow!(
            "a server that has the store to itself is no node: `skerry node forget-time` takes its time back"
        )
        .into());
    }
    let passphrase = options.place.passphrase_file();
    let (root, _) = server::hsm::take(&settings.root, (settings.custody, settings.hsm.take()), passphrase)?;
    let (site, root, node) = (Site { folder: &settings.data, store: &settings.store }, Root::new(root), &options.node);
    let machine = machine::machine();
    let forgotten = server::runtime()?.block_on(async {
        let store = server::stored(&site, &root).await?;
        let lease = server::hold_now(&store, node).await.map_err(unreached)?;
        let lease = lease.ok_or_else(|| runs(node))?;
        let by = who(rustix::process::geteuid().as_raw());
        let (now, randomizer) = (machine.now(), machine.randomizer());
        let forgotten = Installation::forget_node((&store, &root, Kind::Serve), node, &by, now, randomizer).await;
        lease.release().await;
        forgotten.map_err(|error| match error {
            ForgetError::Runs { .. } => runs(node),
            ForgetError::Installation(error) => server::refuse(error, site.folder),
            error => {
                Failure::refused(anyhow::Error::new(error).context("`skerry node list` shows those that there are"))
            }
        })
    })?;
    let head = verify::text(&forgotten.head);
    Ok(say(&match options.place.json {
        true => Object::new()
            .with("forgotten", node.as_str())
            .with("head", head)
            .with("vouched_for", forgotten.seen)
            .to_json(),
        false => format!(
            "node {node} is forgotten; its log ended at\n{head}\nor later, and the other nodes put that on record: keep its folder, and start \
             nothing with it"
        ),
    })?)
}

pub(super) fn forget_time(options: &TimeOptions) -> Result<(), Failure> {
    let mut settings = options.place.settings()?;
    let passphrase = options.place.passphrase_file();
    let (root, token) = server::hsm::take(&settings.root, (settings.custody, settings.hsm.take()), passphrase)?;
    let site = Site { folder: &settings.data, store: &settings.store };
    let (again, machine) = (zeroize::Zeroizing::new(*root), machine::machine());
    let (seen, later) = server::runtime()?.block_on(async {
        let (installation, lease) = server::open(&site, root, (Kind::Serve, token), &machine).await?;
        let (store, root) = (installation.store().clone(), Root::new(again));
        let own = site.node();
        let before = roll(&site, &store, &root).await?;
        let seen = before.nodes.iter().find(|member| member.node == own).map_or(0, |member| member.seen);
        let accepted = if rfc3339(seen) == options.accept { seen } else { 0 };
        let by = who(rustix::process::geteuid().as_raw());
        let taken = installation.forget_time(accepted, &by, machine.now(), machine.randomizer()).await;
        installation.stop();
        if let Some(lease) = lease {
            lease.release().await;
        }
        taken.map_err(|error| refuse(error, &options.accept))?;
        let good = unix_secs(machine.now()).saturating_add(SKEW_SECS);
        let later = before.nodes.into_iter().filter(|member| member.node != own && member.seen > good);
        Ok::<_, Failure>((seen, later.map(|member| (super::name(&member.node), member.seen)).collect::<Vec<_>>()))
    })?;
    for (node, seen) in &later {
        edge::note(&format!(
            "node {node} vouches for {} still: do the same there, or, if it does not come back, `skerry node forget {node}`",
            rfc3339(*seen)
        ));
    }
    Ok(say(&match options.place.json {
        true => Object::new().with("taken_back", seen).to_json(),
        false => format!("{} is taken back, and on record: start the server", options.accept),
    })?)
}

fn refuse(error: ForgetTimeError, accepted: &str) -> Failure {
    match error {
        ForgetTimeError::NotAhead { seen, now } => Failure::refused(anyhow!(
            "nothing is to be taken back: this server vouches for {}, and its clock says {}",
            rfc3339(seen),
            rfc3339(now)
        )),
        ForgetTimeError::Other { seen, .. } => Failure::refused(anyhow!(
            "this server vouches for {}, and not for {accepted}: if that time has not come, and this machine's clock is right now, give that",
            rfc3339(seen)
        )),
        ForgetTimeError::Refused(refusal) => Failure::unavailable(
            anyhow::Error::new(refusal)
                .context("the time is not taken back, or it is not known whether it is: `skerry node list`"),
        ),
        error => Failure::unavailable(anyhow::Error::new(error)),
    }
}

fn runs(node: &NodeName) -> Failure {
    Failure::refused(anyhow!("node {node} runs, or ran some seconds ago: what runs is not forgotten, stop it first"))
}

fn node_name(text: &str) -> anyhow::Result<NodeName> {
    NodeName::parse(text).context("1 to 32 of a to z, digits and -, beginning with a letter")
}
