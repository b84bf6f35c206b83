//! What counting costs a request: the very calls that the server makes, in a loop.
//!
//! A get makes two looks at the clock, an addition for its answer and two for its duration, and one for each of the two records
//! that it reads. There is no switch that leaves them out, so there is no server without them to compare with; what is shown
//! is their time, and its share of a get's CPU time as docs/performance.md has it.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use anyhow::Context as _;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use skerry_http::{Meter, Operation};
use skerry_meter::Counter;

use crate::common::measure::{Asked, Spread, spread_json};

/// Nanoseconds of one request's counting, block by block.
pub(crate) struct Counting {
    name: &'static str,
    nanos: Vec<f64>,
}

pub(crate) fn measure(asked: &Asked, blocks: usize) -> anyhow::Result<Vec<Counting>> {
    let get = Counted::new("Get")?;
    let one = |block: &dyn Fn()| -> anyhow::Result<f64> {
        let begun = Instant::now();
        (0..ROUNDS).for_each(|_| block());
        Ok(begun.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS))
    };
    let two = || {
        let both = std::thread::scope(|scope| {
            let other = scope.spawn(|| one(&|| get.count()));
            (one(&|| get.count()), other.join())
        });
        let other = both.1.map_err(|_| anyhow::anyhow!("a thread died"))??;
        Ok((both.0? + other) / 2.0)
    };
    let rows: [(&'static str, &dyn Fn() -> anyhow::Result<f64>); 3] = [
        ("counting: two looks at the clock", &|| one(&|| _ = black_box(Instant::now().elapsed()))),
        ("counting: a get", &|| one(&|| get.count())),
        ("counting: a get, beside another thread's", &two),
    ];
    let asked = |(name, run)| asked.names(name).then_some((Counting { name, nanos: Vec::new() }, run));
    let mut rows: Vec<_> = rows.into_iter().filter_map(asked).collect();
    for _ in 0..blocks {
        for (counting, run) in &mut rows {
            counting.nanos.push(run()?);
        }
    }
    Ok(rows.into_iter().map(|(counting, _)| counting).collect())
}

/// What a get counts on.
struct Counted {
    meter: Meter,
    operation: Operation,
    hits: Counter,
}

impl Counted {
    fn new(name: &str) -> anyhow::Result<Counted> {
        let operation = Operation::all().find(|operation| operation.name() == name).context("no such operation")?;
        Ok(Counted { meter: Meter::default(), operation, hits: Counter::default() })
    }

    fn count(&self) {
        let begun = Instant::now();
        self.hits.count();
        self.hits.count();
        self.meter.answered(self.operation, &Method::GET, StatusCode::OK, begun.elapsed());
    }
}

pub(crate) fn print(counting: &[Counting]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for Counting { name, nanos } in counting {
        let Spread { low, median, high } = Spread::of(nanos.clone());
        let share = median / GET_NANOS * 100.0;
        writeln!(out, "{name:<44} {median:>6.1} ns ({low:.1}..{high:.1}), {share:.2} % of a get")?;
    }
    Ok(())
}

pub(crate) fn json(counting: &[Counting]) -> Vec<Value> {
    let row = |Counting { name, nanos }: &Counting| {
        let spread = Spread::of(nanos.clone());
        json!({"name": name, "ns": spread_json(&spread), "share_of_get": spread.median / GET_NANOS})
    };
    counting.iter().map(row).collect()
}

const ROUNDS: u32 = 100_000;
/// CPU time of a get over HTTPS on a kept connection (docs/performance.md).
const GET_NANOS: f64 = 32_300.0;
