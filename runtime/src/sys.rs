//! Thread CPU clocks, scheduling classes and the time zone, from libc.
#![allow(unsafe_code, reason = "the operating system's C interface")]

use std::ffi::CString;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

/// The CPU clock of one thread, readable from any thread of the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadClock(libc::clockid_t);

impl ThreadClock {
    /// The clock of the calling thread.
    ///
    /// Read it only while that thread lives: the system may give its id to another one.
    pub(crate) fn current() -> Self {
        let mut clock = libc::CLOCK_THREAD_CPUTIME_ID;
        // SAFETY: pthread_self is always valid in its own thread.
        let this = unsafe { libc::pthread_self() };
        // SAFETY: `this` is alive, it is us; `clock` is a valid place for the id.
        let failed = unsafe { libc::pthread_getcpuclockid(this, &raw mut clock) };
        debug_assert_eq!(failed, 0, "a living thread has a CPU clock");
        Self(clock)
    }

    /// CPU time of the thread so far; zero once it has ended.
    pub(crate) fn read(self) -> Duration {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `time` is a valid place for the answer; a clock that is gone gives an error.
        let failed = unsafe { libc::clock_gettime(self.0, &raw mut time) };
        if failed != 0 {
            return Duration::ZERO;
        }
        let secs = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
        Duration::new(secs, nanos)
    }
}

/// CPU time of the calling thread.
pub fn own_cpu_time() -> Duration {
    ThreadClock(libc::CLOCK_THREAD_CPUTIME_ID).read()
}

/// CPU time of the process so far, with all its threads.
pub(crate) fn process_cpu_time() -> Duration {
    ThreadClock(libc::CLOCK_PROCESS_CPUTIME_ID).read()
}

/// The kernel's number of the calling thread.
pub(crate) fn thread_id() -> libc::pid_t {
    // SAFETY: gettid has no preconditions and cannot fail.
    unsafe { libc::gettid() }
}

/// Real memory that the process holds for itself, in bytes: not what it shares with its file.
///
/// # Errors
/// There is no `/proc`.
pub(crate) fn private_memory() -> io::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = |field: usize| statm.split_whitespace().nth(field)?.parse::<u64>().ok();
    let (Some(resident), Some(shared)) = (pages(1), pages(2)) else {
        return Err(io::Error::other("/proc/self/statm is not as expected"));
    };
    // SAFETY: sysconf has no preconditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Ok(resident.saturating_sub(shared) * u64::try_from(page).unwrap_or(4096))
}

/// Gives what is free in the allocator's arenas back to the system.
pub(crate) fn trim_allocator() {
    #[cfg(target_env = "gnu")]
    // SAFETY: glibc locks each arena while it looks at it.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Names the calling thread, for the system's tools; they show the first 15 bytes.
pub(crate) fn name_thread(name: &str) {
    let Ok(name) = CString::new(name) else { return };
    // SAFETY: the name ends in NUL; the system copies what it needs of it.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Lets thread `id` of this process run only when nobody else wants to.
pub(crate) fn demote(id: libc::pid_t) {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters are valid for SCHED_IDLE; a thread that has ended gives an error,
    // and then there is nothing left to demote.
    let _ = unsafe { libc::sched_setscheduler(id, libc::SCHED_IDLE, &raw const parameters) };
}

/// What a thread asks the scheduler for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turns {
    /// Short ones: it has little to do and is waited for, so it is let in before those whose turns
    /// are longer.
    Short,
    /// As long as the scheduler finds right, and behind the others where the process may ask for
    /// that and take it back.
    Long,
}

/// The shortest turn that the scheduler grants, in ns.
const SHORT: u64 = 100_000;

/// What is added to the nice value of a thread with long turns. It gets about a tenth of the time of
/// one without: enough to end in time whatever the load.
const BEHIND: i32 = 10;

/// Sets the turns of thread `id` of this process. A wish: systems before Linux 6.12 ignore their
/// length, and nothing but waiting times depends on it.
pub(crate) fn set_turns(id: libc::pid_t, turns: Turns) {
    let (nice, runtime) = match turns {
        Turns::Short => (own_nice(), SHORT),
        Turns::Long if may_renice() => (own_nice() + BEHIND, 0),
        Turns::Long => (own_nice(), 0),
    };
    set_scheduling(id, nice, runtime);
}

/// The nice value that the process was started with.
fn own_nice() -> i32 {
    static NICE: OnceLock<i32> = OnceLock::new();
    // SAFETY: getpriority reads; the process's first thread is alive, and never reniced.
    *NICE.get_or_init(|| unsafe { libc::getpriority(libc::PRIO_PROCESS, std::process::id()) })
}

/// Whether a thread that was put behind the others may come back.
fn may_renice() -> bool {
    static MAY: OnceLock<bool> = OnceLock::new();
    *MAY.get_or_init(|| {
        let tried = std::thread::spawn(|| {
            let id = thread_id();
            set_scheduling(id, own_nice() + 1, 0) && set_scheduling(id, own_nice(), 0)
        });
        tried.join().unwrap_or(false)
    })
}

/// Returns whether the system did so.
fn set_scheduling(id: libc::pid_t, nice: i32, runtime: u64) -> bool {
    let attributes = libc::sched_attr {
        // The first version of the structure, which every kernel takes.
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: runtime,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the attributes are valid for SCHED_OTHER, and as long as they say.
    unsafe { libc::syscall(libc::SYS_sched_setattr, id, &raw const attributes, 0) == 0 }
}

unsafe extern "C" {
    /// POSIX; the libc crate does not declare it.
    fn tzset();
}

/// Bytes at the end of each of the allocator's arenas that it keeps. By default it gives back all
/// over 128 KiB as soon as it is free, and bodies of 64 KiB then cost 16 page faults each. Not more: what
/// each arena keeps is never used again by a node that has gone quiet.
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
