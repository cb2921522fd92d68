//! What the edge asks of the system for its own threads.

use rustix::process::Pid;

use crate::sys;

/// The shortest turn that the scheduler grants, in ns.
const SHORT: u64 = 100_000;

/// Bytes at the end of each of the allocator's arenas that it keeps. By default it gives back all
/// over 128 KiB as soon as it is free, and bodies of 64 KiB then cost 16 page faults each. Not more: what
/// each arena keeps is never used again by a node that has gone quiet.
const KEPT: i32 = 256 << 10;

/// The calling thread has little to do at a time, and is waited for: it is let in before processes that
/// compute, which take the turns that the scheduler grants, some milliseconds each. A wish: systems before Linux
/// 6.12 ignore it, and nothing but waiting times depends on it.
pub fn take_short_turns() {
    let nice = rustix::process::getpriority_process(None).unwrap_or(0);
    let _ = sys::set_scheduling(nice, SHORT);
}

/// What is added to the nice value of a process that computes for long: it gets about a tenth of the time of one
/// without, which is enough to end whatever the load.
const BEHIND: i32 = 10;

/// Process `pid` computes, and lets others go first from now on: those that answer at once would wait for its turns
/// otherwise. A wish.
pub fn stand_back(pid: Pid) {
    let nice = rustix::process::getpriority_process(None).unwrap_or(0);
    let _ = rustix::process::setpriority_process(Some(pid), nice + BEHIND);
}

/// Settings of the edge's allocator, for bodies that come and go.
pub fn prepare_allocator() {
    sys::keep_free_memory(KEPT);
}
