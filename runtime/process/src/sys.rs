//! The operating system's calls that rustix does not offer, or offers as unsafe. Nothing here decides
//! anything; why a call is made is told where it is made.
#![allow(unsafe_code, reason = "the operating system's C interface")]

use std::ffi::c_int;
use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::io::Write;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr::NonNull;
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::fs::SealFlags;
use rustix::mm::MapFlags;
use rustix::mm::ProtFlags;
use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Flags with which glibc's `fork` calls `clone`.
pub(crate) const FORK_FLAGS: u32 =
    (libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD) as u32;

/// Which of the two a process is that comes back from [`fork`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Forked {
    Parent(Pid),
    Child,
}

/// `fork(2)` through glibc, which a raw `clone` would leave with a stale thread id.
///
/// The caller is the process's only thread (`fork.rs` sees to it): then the child is a whole copy, in
/// which no lock is held by a thread that it does not have, and any code may run.
pub(crate) fn fork() -> io::Result<Forked> {
    // SAFETY: as above; called with several threads it would still not be unsound in itself, but the
    // child could wait for ever for a lock.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Pid::from_raw(pid).map_or(Forked::Child, Forked::Parent))
}

/// Ends the process without running what others have registered for its end: exit handlers that a
/// fork has copied from its parent are the parent's.
pub fn exit(code: i32) -> ! {
    // SAFETY: _exit has no preconditions, and nothing of the process is seen afterwards.
    unsafe { libc::_exit(code) }
}

/// Gives every signal its default action, but `SIGPIPE`, which every Rust program ignores: a write to
/// a socket that was closed is an error there; and `SIGTTOU`, which would stop who writes to a terminal from
/// the background. No signal is blocked afterwards.
pub(crate) fn reset_signals() {
    // The highest number of a signal on Linux; glibc keeps 32 and 33 for itself and refuses them.
    for signal in (1..=64).filter(|signal| !matches!(*signal, libc::SIGKILL | libc::SIGSTOP)) {
        let action = if matches!(signal, libc::SIGPIPE | libc::SIGTTOU) {
            libc::SIG_IGN
        } else {
            libc::SIG_DFL
        };
        set_action(signal, action);
    }
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `none` is a valid place for a set.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: the set was filled in above; the old mask is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
}

/// Has the kernel drop children when they end, instead of keeping them to be waited for.
pub(crate) fn ignore_children() {
    set_action(libc::SIGCHLD, libc::SIG_IGN);
}

fn set_action(signal: c_int, action: libc::sighandler_t) {
    // SAFETY: both actions that are passed here are constants of the system and run no code.
    unsafe { libc::signal(signal, action) };
}

/// Has the kernel raise SIGKILL instead of SIGIO for what happens on `file`.
pub(crate) fn signal_with_kill(file: impl AsFd) -> io::Result<()> {
    /// fcntl(2); the libc crate does not have it.
    const F_SETSIG: c_int = 10;
    let file = file.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed, so it is open; the argument is a number.
    done(unsafe { libc::fcntl(file, F_SETSIG, libc::SIGKILL) })
}

/// Has the kernel send this process what is raised on `file`.
pub(crate) fn signal_self(file: impl AsFd) -> io::Result<()> {
    let file = file.as_fd().as_raw_fd();
    let this = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: the descriptor is borrowed, so it is open; the argument is a number.
    done(unsafe { libc::fcntl(file, libc::F_SETOWN, this) })
}

/// Has forks get a copy of the mapping at these addresses.
pub(crate) fn copy_on_fork(mapping: Range<usize>) -> io::Result<()> {
    let start = std::ptr::without_provenance_mut::<c_void>(mapping.start);
    // SAFETY: the advice changes nothing in this process: not what is mapped, and not what is in it.
    done(unsafe { libc::madvise(start, mapping.len(), libc::MADV_DOFORK) })
}

/// Overwrites `area`, the process's command line as others see it, with `text` and zeros.
///
/// The caller has `area` from the kernel, as where the arguments of this process are.
pub(crate) fn write_arguments(area: Range<usize>, text: &[u8]) {
    let Some(room) = area.len().checked_sub(1) else {
        return;
    };
    let text = &text[..text.len().min(room)];
    let start = std::ptr::with_exposed_provenance_mut::<u8>(area.start);
    // SAFETY: the kernel has put the arguments there, on the stack below `main`, writable and for the
    // life of the process. Whoever reads them by the pointers of `main` (std::env::args does) finds
    // strings that end: the area's last byte stays zero. There is no other thread that could read now.
    unsafe { std::ptr::write_bytes(start, 0, area.len()) };
    // SAFETY: as above, and `text` is shorter than the area.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), start, text.len()) };
}

/// The kernel's name for another process's CPU clock.
pub(crate) fn cpu_clock(pid: Pid) -> io::Result<libc::clockid_t> {
    let mut clock = libc::CLOCK_PROCESS_CPUTIME_ID;
    // SAFETY: `clock` is a valid place for the answer.
    let error = unsafe { libc::clock_getcpuclockid(pid.as_raw_nonzero().get(), &raw mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    Ok(clock)
}

/// What a clock shows.
pub(crate) fn clock_time(clock: libc::clockid_t) -> io::Result<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the answer; a clock that is gone gives an error.
    done(unsafe { libc::clock_gettime(clock, &raw mut time) })?;
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Ok(Duration::new(secs, nanos))
}

/// Moves the process into new namespaces. None of `flags` is `CLONE_FILES`.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: only a table of descriptors that threads no longer share could be misused.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

/// Whether the kernel knows the seccomp action `action`.
pub(crate) fn knows_seccomp_action(action: u32) -> io::Result<()> {
    const SECCOMP_GET_ACTION_AVAIL: libc::c_ulong = 2;
    // SAFETY: the kernel reads the number behind the pointer, which lives until it returns.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SECCOMP_GET_ACTION_AVAIL,
            0 as libc::c_ulong,
            &raw const action,
        )
    };
    if answer == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// Has the program that `command` starts inherit nothing but its standard descriptors, whatever a C
/// library has opened without asking for that.
pub(crate) fn inherit_only_stdio(command: &mut Command) {
    let close = || {
        // SAFETY: a number of descriptors gets a flag in the child, which is about to execute another
        // program; nothing is closed before that.
        let done = unsafe {
            libc::syscall(
                libc::SYS_close_range,
                3 as libc::c_uint,
                libc::c_uint::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            )
        };
        if done == 0 {
            return Ok(());
        }
        Err(io::Error::last_os_error())
    };
    // SAFETY: the closure makes one system call and reads its error number; it neither allocates nor
    // locks, so it may run between fork and exec of a process with threads.
    unsafe { command.pre_exec(close) };
}

/// Takes the descriptor of this number, which the process was started with.
///
/// The caller knows that nobody else in the process has it: it asks once, before anything was opened.
pub(crate) fn own_descriptor(number: c_int) -> OwnedFd {
    // SAFETY: as above; whoever started the process has said that it is open (sd_listen_fds(3)).
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// Reads `file` from its start, whatever others have read of it.
pub(crate) fn read_from_start(file: &File) -> io::Result<String> {
    use std::os::unix::fs::FileExt;
    let mut text = Vec::new();
    let mut chunk = [0_u8; 4096];
    loop {
        match file.read_at(&mut chunk, text.len() as u64) {
            Ok(0) => break,
            Ok(some) => text.extend_from_slice(&chunk[..some]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    String::from_utf8(text).map_err(|_| io::Error::other("not text"))
}

fn done(answer: c_int) -> io::Result<()> {
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// What of a memory file is fixed for ever.
pub(crate) enum Sealed<'a> {
    /// Its size, in bytes.
    Size(usize),
    /// All of it.
    Contents(&'a [&'a [u8]]),
}

/// A file in memory, sealed.
pub(crate) fn memory_file(name: &str, sealed: Sealed<'_>) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = rustix::fs::memfd_create(name, flags)?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    let seals = match sealed {
        Sealed::Size(size) => {
            rustix::fs::ftruncate(&fd, size as u64)?;
            seals
        }
        Sealed::Contents(parts) => {
            let mut file = File::from(fd.try_clone()?);
            for part in parts {
                file.write_all(part)?;
            }
            seals | SealFlags::WRITE
        }
    };
    rustix::fs::fcntl_add_seals(&fd, seals)?;
    Ok(fd)
}

/// The size of a file in memory that has these seals, in bytes.
fn sealed_size(fd: impl AsFd, seals: SealFlags) -> io::Result<usize> {
    if !rustix::fs::fcntl_get_seals(&fd)?.contains(seals) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let size = rustix::fs::fstat(&fd)?.st_size;
    usize::try_from(size).map_err(io::Error::other)
}

/// Maps a file that cannot change any more, until the process ends.
pub(crate) fn map_sealed(fd: impl AsFd) -> io::Result<&'static [u8]> {
    let length = sealed_size(&fd, SealFlags::SHRINK | SealFlags::WRITE)?;
    if length == 0 {
        return Ok(&[]);
    }
    // SAFETY: a new mapping, at an address that the kernel chooses.
    let start = unsafe {
        rustix::mm::mmap(
            std::ptr::null_mut(),
            length,
            ProtFlags::READ,
            MapFlags::PRIVATE,
            fd,
            0,
        )
    }?;
    // SAFETY: it is mapped, never unmapped, and nobody can write to the file or cut it short.
    Ok(unsafe { std::slice::from_raw_parts(start.cast(), length) })
}

/// A `T` in memory that another process has, too. `T` is made of atomics alone, and zeros are one.
#[derive(Debug)]
pub(crate) struct Shared<T>(NonNull<T>);

// SAFETY: it gives out shared references to a `T` and nothing else, from any thread.
unsafe impl<T: Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Shared<T> {}

impl<T: Sync> Shared<T> {
    /// Maps `fd`, a memory file whose size the edge has sealed: a cell has no way to ask whether it is.
    pub(crate) fn map(fd: impl AsFd) -> io::Result<Self> {
        let size = rustix::fs::fstat(&fd)?.st_size;
        if usize::try_from(size).unwrap_or(0) < size_of::<T>() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: a new mapping, at an address that the kernel chooses, on a page boundary.
        let start = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                size_of::<T>(),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                fd,
                0,
            )
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self(start))
    }

    pub(crate) fn get(&self) -> &T {
        // SAFETY: it is mapped as long as this lives, and cannot be cut short; whatever other processes write
        // is seen through atomics.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this size, and no reference outlives this.
        let _ = unsafe { rustix::mm::munmap(self.0.as_ptr().cast(), size_of::<T>()) };
    }
}

/// The CPU clock of the calling thread.
pub(crate) fn thread_clock() -> io::Result<Duration> {
    clock_time(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Sets nice value and length of turns, in ns, of the calling thread.
pub(crate) fn set_scheduling(nice: i32, turn: u64) -> io::Result<()> {
    let attributes = libc::sched_attr {
        // The first version of the structure, which every kernel takes.
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: turn,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the attributes are valid for SCHED_OTHER, and as long as they say.
    let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if set == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// Has the allocator keep up to `bytes` at the end of each of its arenas.
pub(crate) fn keep_free_memory(bytes: c_int) {
    for parameter in [libc::M_TRIM_THRESHOLD, libc::M_MMAP_THRESHOLD] {
        // SAFETY: sets a number; the allocator takes its lock.
        unsafe { libc::mallopt(parameter, bytes) };
    }
}
