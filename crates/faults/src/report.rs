//! What a run found, for people and for machines.

use std::collections::BTreeMap;
use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::history::Found;
use crate::model::Call;

/// A run, after everything was checked.
#[derive(Debug)]
pub struct Report {
    /// What it was started with.
    pub inputs: String,
    /// For choosing calls and faults again in the same order.
    pub seed: u64,
    /// Seconds.
    pub lasted_secs: f64,
    /// By kind: answered, refused, unknown.
    pub calls: BTreeMap<&'static str, [usize; 3]>,
    /// Keys asked for.
    pub keys: usize,
    /// What went wrong.
    pub faults: Vec<Suffered>,
    /// The longest times without a good answer, in nanoseconds: of reads, of changes.
    pub gaps: (u64, u64),
    /// The longest start of a node after its end.
    pub start_ms_max: u128,
    /// Releases whose record was looked for.
    pub receipts: usize,
    /// Keys whose histories do not hold.
    pub found: Vec<Found>,
    /// Everything else that is not as it must be.
    pub defects: Vec<String>,
    /// Where the histories and what the processes said was kept; only of a run that failed.
    pub kept: Option<PathBuf>,
}

/// A kind of fault. Times are nanoseconds.
#[derive(Debug)]
pub struct Suffered {
    /// As it is shown.
    pub name: &'static str,
    /// How often.
    pub times: usize,
    /// The longest time around one of them without a good answer to a read.
    pub reads: u64,
    /// The same of changes.
    pub changes: u64,
}

impl Report {
    /// Whether everything holds.
    pub fn holds(&self) -> bool {
        self.found.is_empty() && self.defects.is_empty()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut calls = table(["calls", "answered", "refused", "unknown"]);
        let mut sum = [0; 3];
        for kind in Call::KINDS {
            let row = self.calls.get(kind).copied().unwrap_or_default();
            sum.iter_mut().zip(row).for_each(|(sum, count)| *sum += count);
            calls.add_row([kind.to_owned(), row[0].to_string(), row[1].to_string(), row[2].to_string()]);
        }
        calls.add_row(["all".to_owned(), sum[0].to_string(), sum[1].to_string(), sum[2].to_string()]);
        let millis = |nanos: u64| nanos / 1_000_000;
        let mut faults = table(["faults", "times", "reads paused, ms", "changes paused, ms"]);
        for Suffered { name, times, reads, changes } in &self.faults {
            let numbers = [u64::try_from(*times).unwrap_or(u64::MAX), millis(*reads), millis(*changes)];
            faults.add_row([(*name).to_owned()].into_iter().chain(numbers.map(|number| number.to_string())));
        }
        let mut text = format!("{}\n{calls}\n{faults}\n", self.inputs);
        text += &format!(
            "longest time without a good answer to any client: reads {} ms, changes {} ms; longest start of a node {} ms\n",
            millis(self.gaps.0),
            millis(self.gaps.1),
            self.start_ms_max
        );
        text += &format!("{} keys checked, {} releases looked for in the logs\n", self.keys, self.receipts);
        for defect in self.defects.iter().take(SHOWN) {
            text += &format!("defect: {defect}\n");
        }
        if let Some(first) = self.found.first() {
            text += &format!(
                "{} keys were not answered as by a vault; the smallest, {} ({:?}):\n",
                self.found.len(),
                first.key,
                first.verdict
            );
            text += &first.told;
        }
        if let Some(kept) = &self.kept {
            text += &format!("histories and what the processes said: {}\n", kept.display());
        }
        let verdict = if self.holds() { "ok" } else { "FAILED" };
        text + &format!("faults: {verdict} (seed {}, {:.0} s)", self.seed, self.lasted_secs)
    }

    /// For machines.
    pub fn json(&self) -> Value {
        let calls = |(kind, [answered, refused, unknown]): (&&str, &[usize; 3])| {
            let row = json!({"answered": answered, "refused": refused, "unknown": unknown});
            ((*kind).to_owned(), row)
        };
        let faults = self.faults.iter().map(|Suffered { name, times, reads, changes }| {
            let row = json!({"times": times, "reads_ms": reads / 1_000_000, "changes_ms": changes / 1_000_000});
            ((*name).to_owned(), row)
        });
        json!({
            "ok": self.holds(), "inputs": self.inputs, "seed": self.seed, "secs": self.lasted_secs, "keys": self.keys,
            "calls": self.calls.iter().map(calls).collect::<serde_json::Map<_, _>>(),
            "faults": faults.collect::<serde_json::Map<_, _>>(),
            "gap_ms": {"reads": self.gaps.0 / 1_000_000, "changes": self.gaps.1 / 1_000_000},
            "start_ms_max": u64::try_from(self.start_ms_max).unwrap_or(u64::MAX),
            "releases": self.receipts, "defects": self.defects,
            "found": self.found.iter().map(|found| json!({"key": found.key, "verdict": format!("{:?}", found.verdict)}))
                .collect::<Vec<_>>(),
            "kept": self.kept,
        })
    }
}

fn table<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(head);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Defects that are shown; all are in the folder that is kept.
const SHOWN: usize = 10;
