//! Leases, kept alive from a task of their own.

use crate::core::{Core, unexpected};
use crate::failure::Failure;
use crate::limits::{LEASE_NAME_LEN_MAX, READ_TIMEOUT};
use crate::servers::Servers;
use crate::wire::{
    self, Done, LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveResponse, LeaseRequest, PutRequest, RangeRequest,
    RangeResponse, Request, RequestOp, TxnRequest, TxnResponse,
};
use skerry_store::{Lease, Revision, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

/// The lease of this name, unless somebody has it.
pub(crate) async fn take(
    core: &Arc<Core>,
    name: &str,
    holder: &str,
    ttl: Duration,
) -> Result<Option<Lease>, StoreError> {
    if name.is_empty() || name.len() > LEASE_NAME_LEN_MAX || holder.len() > LEASE_NAME_LEN_MAX {
        return Err(StoreError::KeyLength { len: name.len().max(holder.len()) });
    }
    // Looked for first: who loses makes no lease that has to go again, every time it asks.
    let key = core.layout.lease(name);
    let held: RangeResponse = core
        .servers
        .read(wire::RANGE, &wire::one_without_value(key.clone()), READ_TIMEOUT)
        .await
        .map_err(unexpected)?;
    if !held.kvs.is_empty() {
        return Ok(None);
    }
    let (granted, asked) = grant(core, ttl).await?;
    match put(core, key, holder, granted.id).await {
        Ok(true) => Ok(Some(keep(Arc::clone(core), granted, asked))),
        Ok(false) => {
            revoke(&core.servers, granted.id).await;
            Ok(None)
        }
        Err(error) => {
            // Whether the key came to be there is not known: it goes with the lease, now or when its time is over.
            revoke(&core.servers, granted.id).await;
            Err(error)
        }
    }
}

/// Says, until it is dropped or lost, that history from this revision on is read: no node compacts it meanwhile.
pub(crate) async fn hold(core: &Arc<Core>, revision: Revision, ttl: Duration) -> Result<Lease, StoreError> {
    let (granted, asked) = grant(core, ttl).await?;
    // Of etcd's leases none has another's number, so nobody has this key.
    match put(core, core.layout.hold(granted.id), &revision.to_string(), granted.id).await {
        Ok(_) => Ok(keep(Arc::clone(core), granted, asked)),
        Err(error) => {
            revoke(&core.servers, granted.id).await;
            Err(error)
        }
    }
}

/// The oldest revision that somebody reads.
pub(crate) async fn held(core: &Core) -> Result<Option<Revision>, StoreError> {
    let (key, range_end) = core.layout.holds();
    let asked = RangeRequest { key, range_end, ..RangeRequest::default() };
    let found: RangeResponse = core.servers.read(wire::RANGE, &asked, READ_TIMEOUT).await.map_err(unexpected)?;
    let revision = |row: &wire::KeyValue| {
        let number = std::str::from_utf8(&row.value).ok().and_then(|text| text.parse().ok());
        number.map(Revision).ok_or_else(|| StoreError::Damaged { detail: "a hold on no revision".to_owned() })
    };
    found.kvs.iter().map(revision).try_fold(None, |oldest: Option<Revision>, revision| {
        let revision = revision?;
        Ok(Some(oldest.map_or(revision, |oldest| oldest.min(revision))))
    })
}

async fn grant(core: &Core, ttl: Duration) -> Result<(LeaseGrantResponse, Instant), StoreError> {
    let asked = Instant::now();
    let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX).max(1);
    let grant = LeaseGrantRequest { ttl: seconds };
    let granted = core.servers.change(wire::LEASE_GRANT, &grant, READ_TIMEOUT).await.map_err(unexpected)?;
    Ok((granted, asked))
}

/// Who has the lease of this name.
pub(crate) async fn holder(core: &Core, name: &str) -> Result<Option<String>, StoreError> {
    let asked = wire::one(core.layout.lease(name));
    let held: RangeResponse = core.servers.read(wire::RANGE, &asked, READ_TIMEOUT).await.map_err(unexpected)?;
    Ok(held.kvs.into_iter().next().map(|held| String::from_utf8_lossy(&held.value).into_owned()))
}

async fn put(core: &Core, key: Vec<u8>, holder: &str, lease: i64) -> Result<bool, StoreError> {
    let held = PutRequest { key: key.clone(), value: holder.as_bytes().to_vec(), lease };
    let request = TxnRequest {
        compare: vec![wire::absent(key, Vec::new())],
        success: vec![RequestOp { request: Some(Request::Put(held)) }],
        failure: Vec::new(),
    };
    let answer = core.servers.change::<_, TxnResponse>(wire::TXN, &request, READ_TIMEOUT).await;
    answer.map(|answer| answer.succeeded).map_err(unexpected)
}

/// Keeps it alive until it is dropped or lost. Lost is what was not kept alive for its time, reckoned from before it was
/// last asked for: the servers begin to count later than that.
fn keep(core: Arc<Core>, granted: LeaseGrantResponse, asked: Instant) -> Lease {
    let (lose, lost) = watch::channel(false);
    let (hold, mut dropped) = oneshot::channel::<()>();
    let ttl = Duration::from_secs(u64::try_from(granted.ttl).unwrap_or(0));
    let pause = ttl.checked_div(3).unwrap_or(ttl);
    tokio::spawn(async move {
        let mut kept = asked;
        loop {
            tokio::select! {
                _ = &mut dropped => break,
                () = sleep(pause) => {}
            }
            let now = Instant::now();
            let left = ttl.saturating_sub(now.duration_since(kept));
            match timeout(left, keep_alive(&core.servers, granted.id)).await {
                Ok(Ok(true)) => kept = now,
                Ok(Ok(false)) | Err(_) => {
                    lose.send_replace(true);
                    break;
                }
                // Tried again while there is time.
                Ok(Err(_)) => {}
            }
        }
        // If it was lost somebody else's is another one.
        revoke(&core.servers, granted.id).await;
    });
    Lease::new(lost, hold)
}

/// Whether it lives on.
async fn keep_alive(servers: &Servers, id: i64) -> Result<bool, Failure> {
    let asked = servers.stream::<_, LeaseKeepAliveResponse>(wire::LEASE_KEEP_ALIVE, LeaseRequest { id }).await?;
    let (mut answers, link) = asked;
    match timeout(READ_TIMEOUT, answers.message()).await {
        Ok(Ok(Some(answer))) => Ok(answer.ttl > 0),
        _ => {
            servers.leave(&link).await;
            Err(Failure::Lost(StoreError::Unreachable))
        }
    }
}

/// What cannot be revoked ends by itself.
async fn revoke(servers: &Servers, id: i64) {
    drop(servers.change::<_, Done>(wire::LEASE_REVOKE, &LeaseRequest { id }, READ_TIMEOUT).await);
}
