//! Releases beside a flood of uses of keys: class A, which waits for the disk, beside class B, which is on record a moment later.
//!
//! Releases come at random moments, so many a second whatever became of those before, and the time of each counts from the
//! moment it was due. Meanwhile others ask without pause for something else. They share the server's core, which is full
//! then, and so does who asks: what that alone costs a release is to be seen beside a flood of requests that are not on
//! record (getting a key). What uses cost it is the difference to that.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::common::measure::percentile;
use crate::common::rate::{Rate, Took};
use crate::https::load::{Load, Place, all, asked};
use crate::https::operation::{Kind, Operation};
use crate::https::pace::open_loop;

/// Releases on each place, alone and beside each flood.
pub(crate) fn rates<'a>(load: &'a Load, release: &'a Operation, time: Duration) -> Vec<Rate<'a>> {
    let mut rates = Vec::new();
    for place in load.places(release) {
        let alone = format!("release{}, alone", place.words);
        rates.push(Rate::new(&alone, move |_| beside(load, (release, place), None, time)));
        for flood in &FLOODS {
            let name = format!("release{}, beside {}", place.words, flood.name);
            let run = move |_| beside(load, (release, place), Some(flood), time);
            rates.push(Rate::new(name, run).against(&alone, None));
        }
    }
    rates
}

fn beside(
    load: &Load,
    (release, place): (&Operation, Place),
    flood: Option<&Operation>,
    time: Duration,
) -> anyhow::Result<Took> {
    let (over, flooded, records) = (Cell::new(false), Cell::new(0_u32), load.records()?);
    let begun = Instant::now();
    let millis = load.runtime.block_on(async {
        let connections = load.connections(place.host(), if flood.is_some() { FLOODING } else { 0 }).await?;
        let millis = Cell::new(Vec::new());
        let releases = async {
            let seen = open_loop(load, release, place, PER_SEC, time).await;
            over.set(true);
            millis.set(seen?);
            anyhow::Ok(())
        };
        let floods = connections.into_iter().zip(flood.iter().cycle()).map(|(mut connection, flood)| -> Task<'_> {
            let (over, flooded) = (&over, &flooded);
            let one = async move {
                while !over.get() {
                    asked(&mut connection, &load.request(flood, place)?).await?;
                    flooded.set(flooded.get() + 1);
                }
                anyhow::Ok(())
            };
            Box::pin(one)
        });
        let releases: Task<'_> = Box::pin(releases);
        all(std::iter::once(releases).chain(floods)).await?;
        anyhow::Ok(millis.into_inner())
    })?;
    let took = begun.elapsed();
    let mut sorted = millis;
    sorted.sort_by(f64::total_cmp);
    let per_sec = |count: u32| f64::from(count) / took.as_secs_f64();
    let on_record = u32::try_from(load.records()?.saturating_sub(records))?;
    let mut notes = vec![("p50 ms", percentile(&sorted, 50)), ("p99 ms", percentile(&sorted, 99))];
    if flood.is_some() {
        notes.push(("others a second", per_sec(flooded.get())));
        notes.push(("on record a second", per_sec(on_record)));
    }
    Ok(Took { requests: sorted.len(), time: took, cpu: None, notes })
}

type Task<'a> = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + 'a>>;

/// The first is not on record.
const FLOODS: [Operation; 3] = [
    Operation { name: "get key", kind: Kind::Get, syncs: false },
    Operation { name: "sign ES256", kind: Kind::SignEc, syncs: false },
    Operation { name: "encrypt A256GCM", kind: Kind::Encrypt, syncs: false },
];

/// Releases that come in a second: a sixth of what a core does.
const PER_SEC: f64 = 300.0;
/// Connections that ask for something else.
const FLOODING: usize = 16;
