//! What the system says of this process, under the names that every exporter has for it.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Page, float, wide};

/// What cannot be found out is left out.
pub(super) fn write(page: &mut Page<'_>, started: SystemTime) -> fmt::Result {
    if let Ok(since) = started.duration_since(UNIX_EPOCH) {
        page.gauge("process_start_time_seconds", since.as_secs_f64())?;
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // The folder itself is open while it is read.
        page.gauge("process_open_fds", float(open.count().saturating_sub(1)))?;
    }
    if let Some(max) = std::fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(descriptors) {
        page.gauge("process_max_fds", wide(max))?;
    }
    if let Some(bytes) = std::fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident) {
        page.gauge("process_resident_memory_bytes", wide(bytes))?;
    }
    match std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(ticks) {
        Some(ticks) => page.counter("process_cpu_seconds", ticks / TICKS_PER_SECOND),
        None => Ok(()),
    }
}

/// proc(5), /proc/pid/limits: name, soft, hard, unit.
fn descriptors(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// proc(5), VmRSS of /proc/pid/status, in kB of 1024.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
}

/// proc(5), /proc/pid/stat: utime and stime are the 14th and 15th, counted behind a name that may hold anything but the last
/// bracket.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    user.checked_add(system)
}

/// USER_HZ is 100 on every Linux that Skerry runs on.
const TICKS_PER_SECOND: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields are found where proc(5) has them, and what is not there is nothing.
    #[test]
    fn fields_are_found() {
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096   files\n";
        assert_eq!((descriptors(limits), descriptors("")), (Some(1_024), None));
        assert_eq!((resident("VmPeak:\t9 kB\nVmRSS:\t  2 kB\n"), resident("VmRSS: x")), (Some(2_048), None));
        let stat = "7 (a) b)) S 1 7 7 0 -1 4194560 1 2 3 4 250 150 0 0";
        assert_eq!((ticks(stat), ticks("7 (a)")), (Some(400), None));
    }
}
