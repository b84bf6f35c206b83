//! A store that several servers share: etcd, and what a node does there beside the others.
//!
//! A node is known by its name, and holds a lease of that name as long as it runs: a second server of the same name is refused.
//! Every minute it shows the newest signed checkpoint of its audit log in the store, and puts those that the others show on record in its
//! own (docs/decisions/018).

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use skerry_http::Machine;
use skerry_store::{Lease, Store, StoreError};
use skerry_vault::{Installation, NodeName};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::edge::{self, Failure};

/// Holds the name, or says that another has it. A server that was killed holds its name for some seconds more, so it is waited for.
pub(super) async fn hold(store: &Store, node: &NodeName) -> Result<Lease, Failure> {
    hold_within(store, node, NAME_TTL + NAME_TTL).await
}

/// The name, unless another has it now. While it is held no server of that name runs.
pub(crate) async fn hold_now(store: &Store, node: &NodeName) -> Result<Option<Lease>, StoreError> {
    store.lease(&lease_of(node), &format!("process {}", std::process::id()), NAME_TTL).await
}

/// The lease that a node of this name holds as long as it runs.
pub(crate) fn lease_of(node: &NodeName) -> String {
    format!("node/{node}")
}

async fn hold_within(store: &Store, node: &NodeName, patience: Duration) -> Result<Lease, Failure> {
    let until = Instant::now() + patience;
    loop {
        let lease = hold_now(store, node).await;
        match lease.with_context(|| format!("the name {node}")).map_err(Failure::unavailable)? {
            Some(lease) => return Ok(lease),
            None if Instant::now() < until => sleep(NAME_PAUSE).await,
            None => {
                return Err(Failure::unavailable(anyhow!(
                    "another server runs as node {node}: give each a name and a data folder of its own, [store] node"
                )));
            }
        }
    }
}

/// Whether a server of any node runs on a store. One that was killed seems to for some seconds more, so that is waited for.
pub(crate) async fn is_in_use(store: &Store, patience: Duration) -> Result<bool, StoreError> {
    let until = Instant::now() + patience;
    while runs(store).await? {
        if Instant::now() >= until {
            return Ok(true);
        }
        sleep(NAME_PAUSE).await;
    }
    Ok(false)
}

/// Whether the name of a node that the store remembers is held.
async fn runs(store: &Store) -> Result<bool, StoreError> {
    for node in Installation::nodes_of(store).await? {
        if store.holder(&lease_of(&node)).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A node's name, held while its server runs.
pub(crate) struct Name {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Name {
    /// Keeps a name. When etcd was not reached for so long that it is lost it is taken again: whoever took it meanwhile has been
    /// refused for want of this node's log, or runs on a copy of it, which is for an operator to end.
    pub(super) fn keep(store: Store, lease: Lease, node: NodeName) -> Name {
        let (stop, stopped) = oneshot::channel();
        Name { stop, task: tokio::spawn(keep(store, lease, node, stopped)) }
    }

    /// Gives it back, so that the next server of this name need not wait.
    pub(crate) async fn release(self) {
        // One that ended has nothing to give back.
        let _ = self.stop.send(());
        let _ = timeout(NAME_TTL, self.task).await;
    }
}

async fn keep(store: Store, mut lease: Lease, node: NodeName, mut stopped: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            _ = &mut stopped => return lease.release().await,
            () = lease.lost() => {}
        }
        edge::note(&format!("node {node} lost its name, since etcd was not reached: it is taken again"));
        lease = loop {
            tokio::select! {
                _ = &mut stopped => return,
                held = hold(&store, &node) => match held {
                    Ok(lease) => break lease,
                    Err(failure) => edge::note(&failure.text()),
                },
            }
            sleep(NAME_PAUSE).await;
        };
    }
}

/// Puts on record which nodes were forgotten, and where their logs ended.
pub(super) async fn witness_forgotten(installation: &Installation, machine: &Machine) {
    if let Err(error) = installation.witness_forgotten(machine.now()).await {
        edge::note(&format!("which nodes were forgotten could not be put on record: {}", edge::chain(error)));
    }
}

/// Puts on record how far the other nodes' logs have come, and which nodes were forgotten. What is wrong with one of them is for
/// an operator to look at: it stops nobody here.
pub(super) async fn witness(installation: &Installation, machine: &Machine) {
    witness_forgotten(installation, machine).await;
    let shown = match installation.shown_checkpoints().await {
        Ok(shown) => shown,
        Err(error) => {
            edge::note(&format!("checkpoints of other nodes could not be read: {}", edge::chain(error)));
            return;
        }
    };
    for (node, note) in shown {
        if let Err(error) = installation.witness(&note, machine.now()).await {
            edge::note(&format!("audit log of node {node}: {}", edge::chain(error)));
        }
    }
}

/// How long a name is held after its server was last heard of.
const NAME_TTL: Duration = Duration::from_secs(15);
/// Then a server that was killed holds none any more.
pub(crate) const KILLED_MAX: Duration = Duration::from_secs(20);
const NAME_PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use skerry_store::{Op, OpId, Txn};

    use super::*;

    /// A store whose nodes are stopped is not in use; nor is one of a server that has it to itself.
    #[tokio::test]
    async fn nodes_that_run_are_seen() {
        let store = Store::memory();
        for (op, key) in [(1, "meta/memory"), (2, "meta/memory/a"), (3, "meta/memory/b"), (4, "meta/other/c")] {
            let op = OpId([op; 16]);
            let ops = vec![Op::Put(key.into(), b"sealed".to_vec())];
            assert!(store.commit(&Txn { op, checks: Vec::new(), ops }).await.is_ok());
        }
        assert_eq!(is_in_use(&store, Duration::ZERO).await, Ok(false));
        let node = NodeName::parse("b").unwrap();
        let name = Name::keep(store.clone(), hold(&store, &node).await.unwrap(), node);
        assert_eq!(is_in_use(&store, Duration::ZERO).await, Ok(true));
        name.release().await;
        assert_eq!(is_in_use(&store, Duration::ZERO).await, Ok(false));
    }

    /// Two servers do not run under one name; when the first has given it back the second has it.
    #[tokio::test]
    async fn name_is_held_once() {
        let (store, node) = (Store::memory(), NodeName::parse("a").unwrap());
        let name = Name::keep(store.clone(), hold(&store, &node).await.unwrap(), node.clone());
        let Err(refused) = hold_within(&store, &node, Duration::ZERO).await else { panic!("held twice") };
        assert_eq!(refused.exit(), edge::UNAVAILABLE);
        assert!(refused.text().contains("another server runs as node a"), "{}", refused.text());
        assert!(hold_within(&store, &NodeName::parse("b").unwrap(), Duration::ZERO).await.is_ok());
        name.release().await;
        assert!(hold_within(&store, &node, Duration::ZERO).await.is_ok());
    }
}
