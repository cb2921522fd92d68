//! The process's own clock and settings, from libc.
#![allow(unsafe_code, reason = "the operating system's C interface")]

use std::time::Duration;

/// CPU time of the process so far, with all its threads.
pub(crate) fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the answer, and every process has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(secs, nanos)
}

unsafe extern "C" {
    /// POSIX; the libc crate does not declare it.
    fn tzset();
}

/// Bytes at the end of the allocator's arena that it keeps. By default it gives back all over 128 KiB as soon as it
/// is free, and bodies of 64 KiB then cost 16 page faults each.
const KEPT: libc::c_int = 256 << 10;

/// Settings of the process that have to be made before there is a second thread: the time zone is
/// UTC, so that functions see the same everywhere and nothing of the host.
pub(crate) fn prepare_process() {
    // SAFETY: both are strings that end in NUL; nobody else reads the environment yet.
    unsafe { libc::setenv(c"TZ".as_ptr(), c"UTC".as_ptr(), 1) };
    // SAFETY: reads the environment, as above.
    unsafe { tzset() };
    // SAFETY: sets a number, before anybody else allocates.
    unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT) };
    // SAFETY: as above.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT) };
}
