//! CPU time of the processes that this one started, by their names.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::time::Duration;

use anyhow::Context as _;

/// Of all descendants of this process that are there now.
pub(crate) fn by_name() -> anyhow::Result<BTreeMap<String, Duration>> {
    let (mut seen, mut left) = (BTreeMap::new(), children(std::process::id())?);
    while let Some(pid) = left.pop() {
        // Shells that end meanwhile have nothing to say.
        let Ok(stat) = read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let (name, rest) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).context("no stat")?;
        // proc_pid_stat(5): after the name come state and ten others, then utime and stime.
        let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        *seen.entry(name.to_owned()).or_default() += Duration::from_millis(ticks * 1_000 / TICKS_PER_SEC);
        left.extend(children(pid)?);
    }
    Ok(seen)
}

fn children(pid: u32) -> anyhow::Result<Vec<u32>> {
    let mut all = Vec::new();
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Ok(all) };
    for task in tasks {
        let Ok(children) = read_to_string(task?.path().join("children")) else { continue };
        all.extend(children.split_whitespace().map(str::parse::<u32>).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(all)
}

/// USER_HZ, which is 100 on every platform that this runs on.
const TICKS_PER_SEC: u64 = 100;
