//! One page of rows. etcd counts rows and not octets, so a page is read in parts that fit, all of one revision, and from ranges
//! that have not many more rows than the page: see [`spread`](crate::spread).

use crate::core::{Core, head_of, header, unexpected};
use crate::failure::Failure;
use crate::limits::{ANSWER_LEN_MAX, PAGE_TIMEOUT, ROWS_AT_FIRST, ROWS_AT_LEAST};
use crate::wire::{self, RangeRequest, RangeResponse, TxnResponse};
use skerry_store::limits::{PAGE_LEN_MAX, PAGE_ROWS_MAX};
use skerry_store::{Page, Revision, Row, StoreError};

/// The first rows that begin with `prefix` and come after `after`: of that revision, or of the newest.
pub(crate) async fn read(
    core: &Core,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
    at: Option<Revision>,
) -> Result<Page, StoreError> {
    let limit = limit.clamp(1, PAGE_ROWS_MAX);
    let mut page = Page { rows: Vec::new(), revision: at.unwrap_or_default(), more: false };
    let mut pinned = at.map(|at| State::of(core, at));
    let (mut from, end) = (first(core, prefix, after), core.layout.data_end(prefix));
    let (mut asked, mut len) = (ROWS_AT_FIRST, 0_usize);
    let mut spread = core.spreads.of(prefix);
    let mut width = WIDTH_AT_FIRST;
    loop {
        // One more than the page has, to know whether it follows.
        let rows = asked.min(limit.saturating_sub(page.rows.len()).saturating_add(1));
        let narrow = spread.as_ref().and_then(|spread| spread.end(&from, rows.saturating_mul(width)));
        let narrow = narrow.filter(|narrow| *narrow < end);
        let asked_range = range(core, &from, narrow.as_ref().unwrap_or(&end), rows);
        let (part, state) = match part(core, asked_range, pinned).await {
            Err(Failure::TooLong) if asked > ROWS_AT_LEAST => {
                asked = asked.checked_div(4).unwrap_or(0).max(ROWS_AT_LEAST);
                continue;
            }
            Err(failure) => return Err(refused(core, failure, pinned.map(|state| state.revision)).await),
            Ok(part) => part,
        };
        (pinned, page.revision) = (Some(state), state.revision);
        let before = len;
        for row in part.kvs {
            let key = core.layout.key_of(&row.key)?.to_vec();
            len = len.saturating_add(key.len()).saturating_add(row.value.len());
            if page.rows.len() == limit || (len > PAGE_LEN_MAX && !page.rows.is_empty()) {
                page.more = true;
                learn(core, prefix, &page.rows);
                return Ok(page);
            }
            page.rows.push(Row { key, entry: core.entry(row) });
        }
        from = match (page.rows.last().filter(|_| part.more), narrow) {
            (Some(last), _) => behind(core, &last.key),
            // There were fewer than was thought.
            (None, Some(narrow)) => {
                width = width.saturating_mul(WIDER);
                spread = spread.filter(|_| width <= WIDTH_MAX);
                narrow
            }
            (None, None) => return Ok(page),
        };
        // As many as came take so much; four times as many fit if that is an eighth of what is taken.
        if len.saturating_sub(before) < ANSWER_LEN_MAX / 8 {
            asked = asked.saturating_mul(4);
        }
    }
}

/// A state of the store: what it was from `revision` on, as etcd had it at a revision of its own, which may be later. What others do in
/// the cluster makes etcd's revision go on, and be compacted, while nothing is committed here.
#[derive(Clone, Copy)]
pub(crate) struct State {
    revision: Revision,
    etcd: i64,
}

fn range(core: &Core, from: &[u8], end: &[u8], rows: usize) -> RangeRequest {
    let limit = i64::try_from(rows).unwrap_or(i64::MAX);
    // Nothing is behind the end; etcd takes no range that ends before it begins, and no entry has an empty key.
    let nothing = || (core.layout.data(b""), Vec::new());
    let (key, range_end) = if from < end { (from.to_vec(), end.to_vec()) } else { nothing() };
    RangeRequest { key, range_end, limit, ..RangeRequest::default() }
}

/// What a page that has another behind it says of its prefix.
fn learn(core: &Core, prefix: &[u8], rows: &[Row]) {
    if let [first, .., last] = rows {
        let (first, last) = (core.layout.data(&first.key), core.layout.data(&last.key));
        core.spreads.learn(prefix, &first, &last, rows.len());
    }
}

fn first(core: &Core, prefix: &[u8], after: Option<&[u8]>) -> Vec<u8> {
    match after {
        Some(after) if after >= prefix => behind(core, after),
        _ => core.layout.data(prefix),
    }
}

/// The first key after this one.
fn behind(core: &Core, key: &[u8]) -> Vec<u8> {
    let mut next = core.layout.data(key);
    next.push(0);
    next
}

impl State {
    /// As of a commit, when it was made.
    pub(crate) fn of(core: &Core, revision: Revision) -> Self {
        Self { revision, etcd: core.etcd(revision) }
    }
}

/// What is found in a range, and the state it is of: the last commit's, if none was asked for.
pub(crate) async fn part(
    core: &Core,
    range: RangeRequest,
    at: Option<State>,
) -> Result<(RangeResponse, State), Failure> {
    let Some(at) = at else { return newest(core, range).await };
    let asked = RangeRequest { revision: at.etcd, ..range.clone() };
    match core.servers.read(wire::RANGE, &asked, PAGE_TIMEOUT).await {
        // Perhaps by others of the cluster, while nothing was committed here: then it is the newest state still.
        Err(Failure::Compacted) => match newest(core, range).await? {
            (found, now) if now.revision == at.revision => Ok((found, now)),
            _ => Err(Failure::Compacted),
        },
        found => Ok((found?, at)),
    }
}

async fn newest(core: &Core, range: RangeRequest) -> Result<(RangeResponse, State), Failure> {
    let asked = wire::reads(vec![range, wire::one(core.layout.head())]);
    let mut answer: TxnResponse = core.servers.read(wire::TXN, &asked, PAGE_TIMEOUT).await?;
    let etcd = header(answer.header.take()).map_err(Failure::Refused)?.revision;
    let Ok([found, head]) = <[_; 2]>::try_from(answer.ranges()) else {
        let detail = "the server answers what was not asked".to_owned();
        return Err(Failure::Refused(StoreError::Damaged { detail }));
    };
    let head = head_of(head, core.base).map_err(Failure::Refused)?;
    core.learn(head.revision);
    Ok((found, State { revision: head.revision, etcd }))
}

/// Why a page or a key of a revision is not to be had.
pub(crate) async fn refused(core: &Core, failure: Failure, at: Option<Revision>) -> StoreError {
    let (Failure::Compacted | Failure::Ahead, Some(asked)) = (&failure, at) else { return unexpected(failure) };
    let newest = match core.head().await {
        Ok(head) => head.revision,
        Err(error) => return error,
    };
    match failure {
        // How far it is compacted etcd does not say; the newest is held in any case.
        Failure::Compacted => StoreError::Compacted { asked, oldest: newest },
        _ => StoreError::Ahead { asked, newest },
    }
}

/// How many times the rows of a part its range is to have, at first; by how much it is widened when it has fewer than are asked
/// for; and from where on it is all that is left: four ranges instead of one, and the last is what it would have been.
const WIDTH_AT_FIRST: usize = 2;
const WIDER: usize = 16;
const WIDTH_MAX: usize = 2 * 16 * 16;
