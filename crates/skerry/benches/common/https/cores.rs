//! One core for the server, another for the load.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Core of the server and of the load.
pub(crate) const SERVER: usize = 0;
pub(crate) const LOAD: usize = 1;

/// Keeps this thread, and those that it starts from now on, on one core. False where there is no such core to be had: then
/// times are worse, and CPU time is nearly the same.
pub(crate) fn keep_to(core: usize) -> bool {
    let allowed = sched_getaffinity(None).is_ok_and(|allowed| allowed.is_set(core));
    let mut one = CpuSet::new();
    one.set(core);
    allowed && sched_setaffinity(None, &one).is_ok()
}
