//! Rows whose figure is how many a second there were, beside the CPU time of each.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::measure::{Asked, Spread, spread_json};

/// What one block of a row took.
pub(crate) struct Took {
    pub(crate) requests: usize,
    pub(crate) time: Duration,
    /// Of who does the work, where that does nothing else.
    pub(crate) cpu: Option<Duration>,
    /// Other figures, each with what it is.
    pub(crate) notes: Vec<(&'static str, f64)>,
}

/// Does the work between two looks at clock and CPU time.
pub(crate) fn timed(
    clock: impl Fn() -> anyhow::Result<Duration>,
    work: impl FnOnce() -> anyhow::Result<usize>,
) -> anyhow::Result<Took> {
    let (cpu, begun) = (clock()?, Instant::now());
    let requests = work()?;
    let (time, cpu) = (begun.elapsed(), Some(clock()?.saturating_sub(cpu)));
    Ok(Took { requests, time, cpu, notes: Vec::new() })
}

/// One row of the table.
pub(crate) struct Rate<'a> {
    name: String,
    /// The row that it is compared with, and the share of its rate that is aimed at.
    base: Option<(String, Option<f64>)>,
    run: Box<dyn Fn(usize) -> anyhow::Result<Took> + 'a>,
    per_sec: Vec<f64>,
    cpu_us: Vec<f64>,
    notes: BTreeMap<&'static str, Vec<f64>>,
}

impl<'a> Rate<'a> {
    /// `run` does a block and says what that took; what it does before and after is not in its figures.
    pub(crate) fn new(name: impl Into<String>, run: impl Fn(usize) -> anyhow::Result<Took> + 'a) -> Rate<'a> {
        Rate {
            name: name.into(),
            base: None,
            run: Box::new(run),
            per_sec: Vec::new(),
            cpu_us: Vec::new(),
            notes: BTreeMap::new(),
        }
    }

    pub(crate) fn against(self, base: impl Into<String>, aim: impl Into<Option<f64>>) -> Rate<'a> {
        Rate { base: Some((base.into(), aim.into())), ..self }
    }

    fn note(&mut self, took: &Took) -> anyhow::Result<()> {
        let requests = f64::from(u32::try_from(took.requests)?);
        self.per_sec.push(requests / took.time.as_secs_f64());
        self.cpu_us.extend(took.cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / requests));
        took.notes.iter().for_each(|(what, value)| self.notes.entry(what).or_default().push(*value));
        Ok(())
    }
}

/// Those whose name has the text asked for, and what they are compared with.
pub(crate) fn choose<'a>(asked: &Asked, rates: Vec<Rate<'a>>) -> Vec<Rate<'a>> {
    let bases: Vec<String> = rates
        .iter()
        .filter(|rate| asked.names(&rate.name))
        .filter_map(|rate| Some(rate.base.as_ref()?.0.clone()))
        .collect();
    rates.into_iter().filter(|rate| asked.names(&rate.name) || bases.contains(&rate.name)).collect()
}

/// All rows in every block, each block beginning with another one.
pub(crate) fn measure(rates: &mut [Rate<'_>], blocks: usize) -> anyhow::Result<()> {
    for block in 0..blocks {
        let (late, early) = rates.split_at_mut(block % rates.len().max(1));
        for rate in early.iter_mut().chain(late) {
            let took = (rate.run)(block).with_context(|| rate.name.clone())?;
            rate.note(&took)?;
        }
    }
    Ok(())
}

/// A row over its base, block by block: of the rates, and of the CPU times.
struct Ratio<'a> {
    base: &'a str,
    rate: Spread,
    cpu: Spread,
    aim: Option<f64>,
}

impl<'a> Ratio<'a> {
    fn of(rate: &'a Rate<'_>, rates: &[Rate<'_>]) -> Option<Ratio<'a>> {
        let (base, aim) = rate.base.as_ref()?;
        let other = rates.iter().find(|other| other.name == *base)?;
        let over =
            |own: &[f64], other: &[f64]| Spread::of(own.iter().zip(other).map(|(own, other)| own / other).collect());
        let (rates, cpu) = (over(&rate.per_sec, &other.per_sec), over(&rate.cpu_us, &other.cpu_us));
        Some(Ratio { base, rate: rates, cpu, aim: *aim })
    }

    fn verdict(&self) -> Option<&'static str> {
        Some(if self.rate.median >= self.aim? { "ok" } else { "MISSED" })
    }
}

pub(crate) fn print(rates: &[Rate<'_>]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if rates.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n{:<44} {:>8} {:>14} {:>8}  {:>6} {:>12} {:>6}",
        "a second", "median", "p10..p90", "CPU us", "ratio", "p10..p90", "of CPU"
    )?;
    for rate in rates {
        let (per_sec, cpu) = (Spread::of(rate.per_sec.clone()), Spread::of(rate.cpu_us.clone()));
        let between = format!("{:.0}..{:.0}", per_sec.low, per_sec.high);
        let cpu = figure(cpu.median, 1);
        write!(out, "{:<44} {:>8.0} {between:>14} {cpu:>8}", rate.name, per_sec.median)?;
        if let Some(ratio) = Ratio::of(rate, rates) {
            let aim =
                ratio.aim.map_or_else(String::new, |aim| format!(" aim {aim:.2} {}", ratio.verdict().unwrap_or("")));
            let between = format!("{:.3}..{:.3}", ratio.rate.low, ratio.rate.high);
            write!(
                out,
                "  {:>6.3} {between:>12} {:>6}{aim}  of: {}",
                ratio.rate.median,
                figure(ratio.cpu.median, 3),
                ratio.base
            )?;
        }
        for (what, values) in &rate.notes {
            write!(out, "; {what} {:.2}", Spread::of(values.clone()).median)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Nothing where nothing was measured.
fn figure(value: f64, digits: usize) -> String {
    if value.is_nan() { String::new() } else { format!("{value:.digits$}") }
}

/// The table's rows, for machines.
pub(crate) fn json(rates: &[Rate<'_>]) -> Vec<Value> {
    let spread = |values: &[f64]| spread_json(&Spread::of(values.to_vec()));
    let row = |rate: &Rate<'_>| {
        let ratio = Ratio::of(rate, rates);
        json!({
            "name": rate.name, "per_sec": spread(&rate.per_sec), "cpu_us": spread(&rate.cpu_us),
            "notes": rate.notes.iter().map(|(what, values)| (*what, spread(values))).collect::<BTreeMap<_, _>>(),
            "base": ratio.as_ref().map(|ratio| ratio.base),
            "rate_ratio": ratio.as_ref().map(|ratio| spread_json(&ratio.rate)),
            "cpu_ratio": ratio.as_ref().map(|ratio| spread_json(&ratio.cpu)),
            "aim": ratio.as_ref().and_then(|ratio| ratio.aim),
            "verdict": ratio.as_ref().and_then(Ratio::verdict),
        })
    };
    rates.iter().map(row).collect()
}
