//! The store on etcd that a configuration names.

use anyhow::anyhow;
use skerry_store::{Store, StoreError};
use skerry_store_etcd::{Make, OpenError, Options, Trust};

use super::shared::{KILLED_MAX, is_in_use};
use crate::config::{Etcd, StoreSettings};
use crate::edge::Failure;
use crate::pem::{CERTIFICATE, PRIVATE_KEY, block};

/// Opens it, or makes it if `make` says so. To be called on the runtime that is there as long as the store.
pub(crate) async fn open(settings: &Etcd, make: Make) -> Result<Store, Failure> {
    let mut options = Options::new(settings.endpoints.clone(), trust(settings)?);
    options.prefix.clone_from(&settings.prefix);
    skerry_store_etcd::open(options, make).await.map_err(|error| refuse(error, settings))
}

/// Refused while a server of any node runs on the store; a file is held by whoever opens it.
pub(crate) async fn is_idle(store: &StoreSettings) -> Result<(), Failure> {
    let StoreSettings::Etcd(settings) = store else { return Ok(()) };
    let store = open(settings, Make::Existing).await?;
    let running = is_in_use(&store, KILLED_MAX).await.map_err(|error| refuse(OpenError::Store(error), settings))?;
    if running {
        Err(Failure::unavailable(anyhow!("a server of one of its nodes runs: stop all of them")))
    } else {
        Ok(())
    }
}

fn trust(settings: &Etcd) -> anyhow::Result<Trust> {
    let Some(tls) = &settings.tls else { return Ok(Trust::DangerNone) };
    let certificates = |all: &[Vec<u8>]| {
        let blocks = all.iter().map(|der| block(CERTIFICATE, der)).collect::<Result<Vec<_>, _>>()?;
        anyhow::Ok(blocks.iter().flat_map(|block| block.bytes()).collect())
    };
    let key = block(PRIVATE_KEY, &tls.key)?;
    Ok(Trust::Mutual {
        roots: certificates(&tls.roots)?,
        certificates: certificates(&tls.chain)?,
        key: key.as_bytes().to_vec(),
    })
}

/// With who is asked, and what to do.
fn refuse(error: OpenError, settings: &Etcd) -> Failure {
    let OpenError::Store(why) = &error else { return anyhow::Error::new(error).context("store").into() };
    let forward = way_forward(why);
    let context = format!("etcd at {}, prefix {}: {forward}", settings.endpoints.join(", "), settings.prefix);
    let stored = matches!(
        error,
        OpenError::Store(
            StoreError::Foreign | StoreError::UnknownFormat { .. } | StoreError::Damaged { .. } | StoreError::Exists
        )
    );
    let error = anyhow::Error::new(error).context(context);
    if stored { Failure::integrity(error) } else { Failure::unavailable(error) }
}

/// What to do about it, for whoever starts or runs a node.
pub(crate) fn way_forward(error: &StoreError) -> &'static str {
    match error {
        StoreError::Unreachable => "no server answers: see that they run, and that this host reaches their ports",
        StoreError::NoQuorum => "servers answer and are too few: start those that are down; nothing is lost",
        StoreError::Denied { .. } => {
            "certificates do not fit: see store.roots and store.client, and etcd's --trusted-ca-file"
        }
        StoreError::ServerVersion { .. } => "upgrade etcd: 3.4, or 3.5.3 and later",
        StoreError::Foreign => "something else is under this prefix: take another",
        StoreError::Missing => "nothing is under this prefix",
        StoreError::UnknownFormat { .. } => "a later version of skerry made it: take that one",
        StoreError::Full => "give etcd room: compact, defragment, raise --quota-backend-bytes, then disarm its alarm",
        _ => "see docs/operate.md, Several nodes on etcd",
    }
}
