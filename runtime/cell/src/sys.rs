//! The process's own clock and settings, from libc.
#![allow(unsafe_code, reason = "the operating system's C interface")]

use std::ffi::c_int;
use std::ffi::c_void;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
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

/// What the kernel says of a fault that no address explains: the instruction with which `abort` ends a process that
/// may not signal itself, and a breakpoint.
const ABORTED: c_int = 0x80;

/// Has `judge` called when the process ends by `abort`, or by the breakpoint that V8 puts in its place, as C++ code
/// does that gets no memory. It runs inside a signal handler: no locks, no allocations.
pub(crate) fn on_abort(judge: fn()) {
    JUDGE.store(judge as *mut c_void, Ordering::Release);
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = handle_fault;
    // SAFETY: zeros are a valid action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    // The stack may be what is used up.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    for fault in [libc::SIGSEGV, libc::SIGTRAP] {
        // SAFETY: the action is whole, and the handler does what a handler may.
        unsafe { libc::sigaction(fault, &raw const action, std::ptr::null_mut()) };
    }
}

/// What the process has said and not written: where it lies, how long it is, and the socket. The length is 0
/// while that changes.
static REST: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static REST_LENGTH: AtomicUsize = AtomicUsize::new(0);
static REST_SOCKET: AtomicI32 = AtomicI32::new(-1);

/// What was said is about to change.
pub(crate) fn hide_rest() {
    REST_LENGTH.store(0, Ordering::Release);
}

/// `bytes` are what was said and not written, until [`hide_rest`].
pub(crate) fn show_rest(bytes: &[u8]) {
    REST.store(bytes.as_ptr().cast_mut(), Ordering::Release);
    REST_LENGTH.store(bytes.len(), Ordering::Release);
}

/// Has the rest written to `socket` when the node asks for it with `signal`, and when the process ends by a fault.
/// After that the process says nothing more.
pub(crate) fn give_rest(socket: BorrowedFd<'_>, signal: c_int) {
    REST_SOCKET.store(socket.as_raw_fd(), Ordering::Release);
    let handler: extern "C" fn(c_int) = handle_rest;
    // SAFETY: zeros are a valid action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: the action is whole, and the handler does what a handler may.
    unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
}

extern "C" fn handle_rest(_: c_int) {
    write_rest();
}

/// Writes the rest, once. In a signal handler, or at the end.
pub(crate) fn write_rest() {
    let mut length = REST_LENGTH.swap(0, Ordering::AcqRel);
    let mut start = REST.load(Ordering::Acquire).cast_const();
    let socket = REST_SOCKET.load(Ordering::Acquire);
    // No more than the socket takes at once: who asked may be reading, and does not wait for long.
    while length > 0 {
        // SAFETY: whoever showed the rest keeps it as it is, and its thread is in this handler.
        let sent = unsafe { libc::send(socket, start.cast(), length, libc::MSG_NOSIGNAL) };
        let Ok(sent @ 1..) = usize::try_from(sent) else {
            return;
        };
        length -= sent;
        // SAFETY: still inside the rest, or at its end.
        start = unsafe { start.add(sent) };
    }
}

/// A `fn()`, or null.
static JUDGE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn handle_fault(signal: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO what it says of the fault.
    let code = unsafe { (*info).si_code };
    let judge = JUDGE.load(Ordering::Acquire);
    if code == ABORTED && !judge.is_null() {
        // SAFETY: it is null or a `fn()`.
        let judge: fn() = unsafe { std::mem::transmute(judge) };
        judge();
    }
    write_rest();
    // SAFETY: the default action, with which the same instruction, or the one behind a breakpoint, ends the process.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    if code <= 0 {
        // Somebody sent it, and it does not come again.
        // SAFETY: ends the process.
        unsafe { libc::abort() };
    }
}

/// The most memory that the process has had in RAM, in bytes.
pub(crate) fn peak_memory() -> u64 {
    // SAFETY: zeros are a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is a valid place for the answer.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    u64::try_from(usage.ru_maxrss)
        .unwrap_or(0)
        .saturating_mul(1024)
}
