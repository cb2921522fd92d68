//! Copies of this process.
//!
//! A copy has one thread, the one that forked; locks that others held stay locked in it for ever. So
//! only a process with one thread may fork, and [`Parent::fork`] refuses all others. Rust's and glibc's
//! own state is sound in the child then, and any code may run there.
//!
//! What a process looks at for that are two files of its own in `/proc`, opened once: later it may be in
//! a mount namespace where there is no `/proc`, behind a filter that opens nothing.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::sys;
pub(crate) use crate::sys::Forked;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForkError {
    /// The process has other threads.
    #[error(
        "a process with {0} threads cannot be forked: its copy would have one of them and the locks of all"
    )]
    Threads(u64),
    /// The system runs no more processes: `RLIMIT_NPROC`, a cgroup's `pids.max`, `pid_max`
    /// (fork(2), EAGAIN). See [`crate::bounds`] for which.
    #[error("the system lets no more processes run (EAGAIN)")]
    Processes,
    /// There is no memory for the copy, or the system may promise no more of it (fork(2), ENOMEM).
    #[error("the system has no memory for another process (ENOMEM)")]
    Memory,
    /// Anything else.
    #[error(transparent)]
    Other(io::Error),
}

impl From<io::Error> for ForkError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::AGAIN) => Self::Processes,
            Some(Errno::NOMEM) => Self::Memory,
            _ => Self::Other(error),
        }
    }
}

/// A process that forks, as it sees itself.
#[derive(Debug)]
pub(crate) struct Parent {
    /// `/proc/self/task`, which has one more link for each thread.
    tasks: OwnedFd,
    /// `/proc/self/smaps`.
    mappings: File,
}

impl Parent {
    /// `proc` is `/proc`. A copy of this process needs a `Parent` of its own: the files in it stay those
    /// of the process that opened them.
    ///
    /// # Errors
    /// `proc` is something else.
    pub(crate) fn open(proc: impl AsFd) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let open = |path, more| rustix::fs::openat(&proc, path, flags | more, Mode::empty());
        Ok(Self {
            tasks: open("self/task", OFlags::DIRECTORY)?,
            mappings: open("self/smaps", OFlags::empty())?.into(),
        })
    }

    /// Takes back that a mapping is kept from children (`MADV_DONTFORK`), for all of them, and returns how
    /// many there were. V8 keeps its pages from them (`V8_ENABLE_PRIVATE_MAPPING_FORK_OPTIMIZATION`), and
    /// a child dies at its first look at the heap then. To be done when nothing is mapped any more.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn copy_all_mappings(&self) -> io::Result<usize> {
        let mut taken_back = 0;
        for mapping in kept_from_children(&sys::read_from_start(&self.mappings)?) {
            sys::copy_on_fork(mapping)?;
            taken_back += 1;
        }
        Ok(taken_back)
    }

    /// Forks. Returns twice: in this process with the child's number, and in the child, where signals
    /// have their default actions again.
    ///
    /// # Errors
    /// [`ForkError`]. There is no child then.
    pub(crate) fn fork(&self) -> Result<Forked, ForkError> {
        let threads = self.threads()?;
        if threads != 1 {
            return Err(ForkError::Threads(threads));
        }
        let forked = sys::fork()?;
        if matches!(forked, Forked::Child) {
            sys::reset_signals();
        }
        Ok(forked)
    }

    /// A directory has two links and one for each directory in it, and each thread is one. Asking for
    /// that takes a tenth of the time that reading the directory takes.
    fn threads(&self) -> Result<u64, ForkError> {
        let stat = rustix::fs::fstat(&self.tasks).map_err(io::Error::from)?;
        #[allow(clippy::useless_conversion, reason = "u32 on aarch64, u64 on x86_64")]
        Ok(u64::from(stat.st_nlink).saturating_sub(2))
    }
}

/// The mappings of `smaps` with `dc` ("do not copy area on fork", proc_pid_smaps(5)) in their flags.
fn kept_from_children(smaps: &str) -> impl Iterator<Item = Range<usize>> {
    let mut mapping = 0..0;
    smaps.lines().filter_map(move |line| {
        let mut words = line.split_ascii_whitespace();
        let first = words.next()?;
        if let Some(addresses) = addresses(first) {
            mapping = addresses;
            return None;
        }
        (first == "VmFlags:" && words.any(|flag| flag == "dc")).then(|| mapping.clone())
    })
}

fn addresses(word: &str) -> Option<Range<usize>> {
    let (start, end) = word.split_once('-')?;
    let parse = |digits| usize::from_str_radix(digits, 16).ok();
    Some(parse(start)?..parse(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_bound() {
        let error = |errno: Errno| ForkError::from(io::Error::from(errno));
        assert!(matches!(error(Errno::AGAIN), ForkError::Processes));
        assert!(matches!(error(Errno::NOMEM), ForkError::Memory));
        assert!(matches!(error(Errno::PERM), ForkError::Other(_)));
    }

    #[test]
    fn a_process_with_threads_is_refused() {
        // The test harness is one.
        let proc = File::open("/proc").expect("/proc");
        let parent = Parent::open(proc).expect("own files");
        let refused = parent.fork().expect_err("no copy of this");
        let ForkError::Threads(threads) = refused else {
            panic!("{refused}");
        };
        assert!(threads > 1);
    }

    #[test]
    fn finds_what_is_kept_from_children() {
        let smaps = "\
7f0000000000-7f0000002000 rw-p 00000000 00:00 0\n\
Size:                  8 kB\n\
VmFlags: rd wr mr mw me ac sd\n\
7f0000002000-7f0000003000 rw-p 00000000 00:00 0      [anon: a-b]\n\
VmFlags: rd wr mr mw me dc ac sd\n";
        let mut found = kept_from_children(smaps);
        assert_eq!(found.next(), Some(0x7f00_0000_2000..0x7f00_0000_3000));
        assert_eq!(found.next(), None);
    }
}
