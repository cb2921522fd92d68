//! Thread CPU clocks, scheduling classes and the time zone, from libc.
#![allow(unsafe_code, reason = "the operating system's C interface")]

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
pub(crate) fn own_cpu_time() -> Duration {
    ThreadClock(libc::CLOCK_THREAD_CPUTIME_ID).read()
}

/// The kernel's number of the calling thread.
pub(crate) fn thread_id() -> libc::pid_t {
    // SAFETY: gettid has no preconditions and cannot fail.
    unsafe { libc::gettid() }
}

/// Lets thread `id` of this process run only when nobody else wants to.
pub(crate) fn demote(id: libc::pid_t) {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameters are valid for SCHED_IDLE; a thread that has ended gives an error,
    // and then there is nothing left to demote.
    let _ = unsafe { libc::sched_setscheduler(id, libc::SCHED_IDLE, &raw const parameters) };
}

/// Length of the turns that a thread asks the scheduler for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turns {
    /// A thread that has little to do and is waited for: it is let in before those whose turns
    /// are longer.
    Short,
    /// As long as the scheduler finds right.
    Default,
}

/// Sets the length of the turns of thread `id` of this process. A wish: systems before Linux 6.12
/// ignore it, and nothing but waiting times depends on it.
pub(crate) fn set_turns(id: libc::pid_t, turns: Turns) {
    // SAFETY: getpriority reads; -1 for a thread that has ended is harmless below.
    #[allow(clippy::cast_sign_loss, reason = "thread ids are positive")]
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, id as libc::id_t) };
    let attributes = libc::sched_attr {
        // The first version of the structure, which every kernel takes.
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: match turns {
            // In ns; the shortest that the scheduler grants.
            Turns::Short => 100_000,
            Turns::Default => 0,
        },
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the attributes are valid for SCHED_OTHER, and as long as they say.
    let _ = unsafe { libc::syscall(libc::SYS_sched_setattr, id, &raw const attributes, 0) };
}

unsafe extern "C" {
    /// POSIX; the libc crate does not declare it.
    fn tzset();
}

/// Settings of the process that have to be made before there is a second thread: the time zone is
/// UTC, so that functions see the same everywhere and nothing of the host.
pub(crate) fn prepare_process() {
    // SAFETY: both are strings that end in NUL; nobody else reads the environment yet.
    unsafe { libc::setenv(c"TZ".as_ptr(), c"UTC".as_ptr(), 1) };
    // SAFETY: reads the environment, as above.
    unsafe { tzset() };
}
