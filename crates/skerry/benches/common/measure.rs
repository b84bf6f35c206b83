//! Cases that take turns, and their table.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// What the command line asks for.
pub(crate) struct Asked {
    pub(crate) measures: bool,
    pub(crate) json: bool,
    only: String,
}

impl Asked {
    pub(crate) fn of(args: impl Iterator<Item = String>) -> Asked {
        let args: Vec<String> = args.collect();
        let has = |flag| args.iter().any(|arg| arg == flag);
        let only = args.iter().skip_while(|arg| *arg != "--only").nth(1);
        Asked { measures: has("--bench"), json: has("--json"), only: only.cloned().unwrap_or_default() }
    }

    /// Whether something of this name is asked for.
    pub(crate) fn names(&self, name: &str) -> bool {
        name.contains(&self.only)
    }

    /// The cases whose name has the text asked for, and those that they are compared with.
    pub(crate) fn choose<'a>(&self, cases: Vec<Case<'a>>) -> Vec<Case<'a>> {
        let asked: Vec<&Case<'_>> = cases.iter().filter(|case| self.names(&case.name)).collect();
        let bases: Vec<String> = asked.iter().flat_map(|case| case.bases()).cloned().collect();
        let is_wanted = |case: &Case<'_>| self.names(&case.name) || bases.contains(&case.name);
        cases.into_iter().filter(is_wanted).collect()
    }
}

/// One row of the table.
pub(crate) struct Case<'a> {
    name: String,
    /// The rows whose sum it is compared with, and the ratio aimed at.
    base: Option<(Vec<String>, Option<f64>)>,
    /// Other rows to be compared with, without an aim.
    beside: Option<Vec<String>>,
    /// Runs a block; says how many requests that were.
    run: Box<dyn Fn(usize) -> anyhow::Result<usize> + 'a>,
    /// CPU time per request, block by block.
    micros: Vec<f64>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(name: impl Into<String>, run: impl Fn(usize) -> anyhow::Result<usize> + 'a) -> Case<'a> {
        Case { name: name.into(), base: None, beside: None, run: Box::new(run), micros: Vec::new() }
    }

    pub(crate) fn against(self, base: &[&str], aim: impl Into<Option<f64>>) -> Case<'a> {
        Case { base: Some((owned(base), aim.into())), ..self }
    }

    pub(crate) fn beside(self, base: &[&str]) -> Case<'a> {
        Case { beside: Some(owned(base)), ..self }
    }

    fn bases(&self) -> impl Iterator<Item = &String> {
        self.base.iter().map(|(base, _)| base).chain(&self.beside).flatten()
    }

    /// Block by block, this over the sum of the rows of those names.
    fn ratio(&self, names: &[String], cases: &[Case<'_>]) -> Option<(String, Spread)> {
        let of = |name: &String| Some(&cases.iter().find(|other| other.name == *name)?.micros);
        let bases = names.iter().map(of).collect::<Option<Vec<_>>>()?;
        let base = |block: usize| bases.iter().filter_map(|base| base.get(block)).sum::<f64>();
        let ratios = self.micros.iter().enumerate().map(|(block, own)| own / base(block)).collect();
        Some((names.join(" + "), Spread::of(ratios)))
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// All cases in every block, each block beginning with another one. `clock` is the CPU time of who does the work.
pub(crate) fn measure(
    cases: &mut [Case<'_>],
    blocks: usize,
    clock: impl Fn() -> anyhow::Result<Duration>,
) -> anyhow::Result<()> {
    for block in 0..blocks {
        let (late, early) = cases.split_at_mut(block % cases.len().max(1));
        for case in early.iter_mut().chain(late) {
            let before = clock()?;
            let requests = (case.run)(block).with_context(|| case.name.clone())?;
            let spent = clock()?.saturating_sub(before);
            case.micros.push(spent.as_secs_f64() * 1e6 / f64::from(u32::try_from(requests)?));
        }
    }
    Ok(())
}

/// CPU time of all threads of this process, what the kernel does for them included.
pub(crate) fn cpu_time() -> anyhow::Result<Duration> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}

/// A row as printed: CPU time, and the ratios to its base taken block by block.
struct Row<'a> {
    name: &'a str,
    micros: Spread,
    ratio: Option<(String, Spread)>,
    beside: Option<(String, Spread)>,
    aim: Option<f64>,
}

/// 10th percentile, median, 90th percentile.
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        Spread { low: percentile(&values, 10), median: percentile(&values, 50), high: percentile(&values, 90) }
    }
}

/// Of values in order; NaN of none.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or(f64::NAN)
}

impl<'a> Row<'a> {
    fn of(case: &'a Case<'_>, cases: &[Case<'_>]) -> Row<'a> {
        Row {
            name: &case.name,
            micros: Spread::of(case.micros.clone()),
            ratio: case.base.as_ref().and_then(|(names, _)| case.ratio(names, cases)),
            beside: case.beside.as_ref().and_then(|names| case.ratio(names, cases)),
            aim: case.base.as_ref().and_then(|(_, aim)| *aim),
        }
    }

    fn verdict(&self) -> Option<&'static str> {
        let (ratio, aim) = (self.ratio.as_ref()?.1.median, self.aim?);
        Some(if ratio <= aim { "ok" } else { "MISSED" })
    }
}

pub(crate) fn print_table(cases: &[Case<'_>], inputs: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{inputs}\n")?;
    writeln!(
        out,
        "{:<36} {:>8} {:>14}  {:>6} {:>12} aim",
        "CPU us per request", "median", "p10..p90", "ratio", "p10..p90"
    )?;
    for row in cases.iter().map(|case| Row::of(case, cases)) {
        let Spread { low, median, high } = row.micros;
        write!(out, "{:<36} {median:>8.1} {:>14}", row.name, format!("{low:.1}..{high:.1}"))?;
        if let Some((base, Spread { low, median, high })) = &row.ratio {
            let aim = row.aim.map_or("  - ".into(), |aim| format!("{aim:.2}"));
            let verdict = row.verdict().unwrap_or_default();
            write!(out, "  {median:>6.3} {:>12} {aim} {verdict:<6} of: {base}", format!("{low:.3}..{high:.3}"))?;
        }
        if let Some((name, Spread { median, .. })) = &row.beside {
            write!(out, "; {median:.3} of: {name}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

pub(crate) fn spread_json(spread: &Spread) -> Value {
    json!({"p10": spread.low, "median": spread.median, "p90": spread.high})
}

/// The table's rows, for machines.
pub(crate) fn rows_json(cases: &[Case<'_>]) -> Vec<Value> {
    let spread = spread_json;
    let row = |case| {
        let row = Row::of(case, cases);
        json!({
            "name": row.name, "cpu_us": spread(&row.micros), "aim": row.aim, "verdict": row.verdict(),
            "base": row.ratio.as_ref().map(|(base, _)| base),
            "ratio": row.ratio.as_ref().map(|(_, ratio)| spread(ratio)),
            "beside": row.beside.as_ref().map(|(name, ratio)| json!({"base": name, "ratio": spread(ratio)})),
        })
    };
    cases.iter().map(row).collect()
}
