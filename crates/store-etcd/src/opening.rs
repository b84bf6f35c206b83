//! Opening a store, or making it.

use crate::core::{Core, Head, head_of, header, unexpected};
use crate::engine::Etcd;
use crate::failure::Failure;
use crate::layout::{self, Layout};
use crate::limits::READ_TIMEOUT;
use crate::options::{Options, OptionsError};
use crate::servers::Servers;
use crate::wire::{self, RangeRequest, RangeResponse, TxnRequest, TxnResponse};
use skerry_store::{Store, StoreError};
use std::time::Duration;

/// Whether there is to be a store already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// There is, or it is missing.
    Existing,
    /// There is nothing under the prefix yet. It is made, with this id, drawn at random by the caller.
    New([u8; 16]),
    /// What there is, and if there is nothing it is made with this id: what a node does that starts beside others.
    Either([u8; 16]),
}

/// Why a store on etcd is not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The options are not those of anything.
    #[error("options of the store on etcd")]
    Options(#[from] OptionsError),
    /// The servers, or what is there.
    #[error("store on etcd")]
    Store(#[from] StoreError),
}

/// Opens the store under the prefix, or makes it. Others may have it open.
///
/// To be called on a runtime with time and network, which has to be there as long as the store: it is where the store
/// works, wherever its callers are.
pub async fn open(options: Options, make: Make) -> Result<Store, OpenError> {
    let (core, head) = core(&options, make).await?;
    Ok(Store::on(Etcd::start(core, head, options.commit_timeout, options.history_kept)))
}

/// What there is, or was made, and its newest commit.
pub(crate) async fn core(options: &Options, make: Make) -> Result<(Core, Head), OpenError> {
    let servers = Servers::new(options)?;
    let layout = Layout::new(&options.prefix);
    let Found { base, head } = found(&servers, &layout, make, options.commit_timeout).await?;
    Ok((Core::new(servers, layout, base, head, options.cache_len), head))
}

/// A store that is there.
struct Found {
    base: i64,
    head: Head,
}

async fn found(servers: &Servers, layout: &Layout, make: Make, within: Duration) -> Result<Found, StoreError> {
    let id = match (look(servers, layout).await?, make) {
        (Some(_), Make::New(_)) => return Err(StoreError::Exists),
        (Some(found), Make::Existing | Make::Either(_)) => return Ok(found),
        (None, Make::Existing) => return Err(StoreError::Missing),
        (None, Make::New(id) | Make::Either(id)) => id,
    };
    let made = match servers.change::<_, TxnResponse>(wire::TXN, &making(layout, id), within).await {
        Ok(answer) => answer.succeeded,
        // What became of it shows in what is there: the id is nobody else's.
        Err(Failure::Lost(_)) => false,
        Err(failure) => return Err(unexpected(failure)),
    };
    let (found, theirs) = look_with_id(servers, layout).await?.ok_or(StoreError::Unreachable)?;
    match make {
        Make::New(_) if !made && theirs != id => Err(StoreError::Exists),
        _ => Ok(found),
    }
}

/// Makes a store where no key is.
fn making(layout: &Layout, id: [u8; 16]) -> TxnRequest {
    let (first, end) = layout.all();
    let success = vec![wire::put_op(layout.marker(), layout::marker(id)), wire::put_op(layout.head(), [0; 8].to_vec())];
    TxnRequest { compare: vec![wire::absent(first, end)], success, failure: Vec::new() }
}

async fn look(servers: &Servers, layout: &Layout) -> Result<Option<Found>, StoreError> {
    Ok(look_with_id(servers, layout).await?.map(|(found, _)| found))
}

async fn look_with_id(servers: &Servers, layout: &Layout) -> Result<Option<(Found, [u8; 16])>, StoreError> {
    let store = [wire::one(layout.marker()), wire::one(layout.head())];
    let [marker, head] = ask(servers, store.clone()).await?;
    if let Some(found) = store_of(marker, head)? {
        return Ok(Some(found));
    }
    // Only now: for this etcd walks all keys there are, however few are asked for. What was made meanwhile is seen.
    let (key, range_end) = layout.all();
    let any = RangeRequest { key, range_end, limit: 1, keys_only: true, ..RangeRequest::default() };
    let [marker, head] = store;
    let [marker, head, any] = ask(servers, [marker, head, any]).await?;
    match store_of(marker, head)? {
        None if !any.kvs.is_empty() => Err(StoreError::Foreign),
        found => Ok(found),
    }
}

/// All of one revision.
async fn ask<const N: usize>(servers: &Servers, asked: [RangeRequest; N]) -> Result<[RangeResponse; N], StoreError> {
    let asked = wire::reads(asked.into_iter().collect());
    let answer: TxnResponse = servers.read(wire::TXN, &asked, READ_TIMEOUT).await.map_err(unexpected)?;
    header(answer.header.clone())?;
    let damaged = |_| StoreError::Damaged { detail: "the server answers what was not asked".to_owned() };
    answer.ranges().try_into().map_err(damaged)
}

fn store_of(marker: RangeResponse, head: RangeResponse) -> Result<Option<(Found, [u8; 16])>, StoreError> {
    let Some(marker) = marker.kvs.into_iter().next() else { return Ok(None) };
    let id = layout::parse_marker(&marker.value)?;
    let base = marker.create_revision;
    Ok(Some((Found { base, head: head_of(head, base)? }, id)))
}
