//! `skerry node list`: every server that the store knows, whether it runs, what its clock said, and how far its log has come.

use clap::Args;
use skerry_jose::json::{Object, Value};
use skerry_store::Store;
use skerry_store::seal::Root;
use skerry_vault::{Forgotten, Member, Node, Roll};

use super::{Where, name, rfc3339, roll, unreached};
use crate::edge::{Failure, say, table};
use crate::server::{self, Site};
use crate::verify;

/// Show the servers of an installation: which run, what their clocks said last, and where their logs end
///
/// A node's row is put anew every ten seconds while it runs. `vouches for` is the last time that nobody contradicted, behind which no
/// server releases keys; `clock` what its clock said, right or wrong. Nodes that were forgotten stay in the list, with the end of
/// their logs. With one server on redb, that server has to be stopped. Exit code 0: shown, 2: a file or configuration is wrong, 3:
/// the store is not reached or in use, 4: what is stored is not what was stored.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Where,
}

pub(super) fn list(options: &Options) -> Result<(), Failure> {
    let mut settings = options.place.settings()?;
    let passphrase = options.place.passphrase_file();
    let (root, _) = server::hsm::take(&settings.root, (settings.custody, settings.hsm.take()), passphrase)?;
    let (site, root) = (Site { folder: &settings.data, store: &settings.store }, Root::new(root));
    let (roll, running) = server::runtime()?.block_on(async {
        let store = server::stored(&site, &root).await?;
        let roll = roll(&site, &store, &root).await?;
        let running = running(&store, &roll).await?;
        Ok::<_, Failure>((roll, running))
    })?;
    if options.place.json {
        let nodes = roll.nodes.iter().zip(&running).map(|(member, runs)| object(member, *runs));
        return nodes.chain(roll.forgotten.iter().map(gone)).try_for_each(|row| Ok(say(&row.to_json())?));
    }
    let mut shown = table(["node", "runs", "clock", "vouches for", "log", "records"]);
    for (member, runs) in roll.nodes.iter().zip(&running) {
        let Member { node, seen, says, head } = member;
        let clock = says.map_or_else(|| "-".to_owned(), rfc3339);
        let runs = if *runs { "yes" } else { "no" }.to_owned();
        shown.add_row([name(node), runs, clock, rfc3339(*seen), hex::encode(head.log), head.records.to_string()]);
    }
    for Forgotten { node, head, seen, at, who } in &roll.forgotten {
        let was = format!("{node}, forgotten {} by {who}", rfc3339(*at));
        let (log, records) = (hex::encode(head.log), head.records.to_string());
        shown.add_row([was, "no".to_owned(), "-".to_owned(), rfc3339(*seen), log, records]);
    }
    Ok(say(&shown.to_string())?)
}

/// Whether each holds the lease of its name; of a server alone, whose store is read here, it is known that it does not.
async fn running(store: &Store, roll: &Roll) -> Result<Vec<bool>, Failure> {
    let mut running = Vec::new();
    for member in &roll.nodes {
        running.push(match &member.node {
            Node::Only => false,
            Node::Named(name) => store.holder(&server::lease_of(name)).await.map_err(unreached)?.is_some(),
        });
    }
    Ok(running)
}

fn object(member: &Member, runs: bool) -> Object {
    let Member { node, seen, says, head } = member;
    let node = match node {
        Node::Only => Value::Null,
        Node::Named(name) => name.as_str().into(),
    };
    let clock = says.map_or(Value::Null, Value::from);
    let object = Object::new().with("node", node).with("runs", runs).with("clock", clock);
    object.with("vouches_for", *seen).with("head", verify::text(head)).with("forgotten", Value::Null)
}

fn gone(gone: &Forgotten) -> Object {
    let Forgotten { node, head, seen, at, who } = gone;
    let object = Object::new().with("node", node.as_str()).with("runs", false).with("clock", Value::Null);
    let object = object.with("vouches_for", *seen).with("head", verify::text(head)).with("forgotten", *at);
    object.with("by", who.as_str())
}
