//! Which system calls there are for a process that runs a stranger's code.
//!
//! Each call is in one of four groups:
//!
//! - **allowed**: what computing, waiting, memory, threads and talking over open sockets need. Some only with
//!   certain arguments.
//! - **refused** with `EPERM`: what libraries try in passing and live without. glibc looks for a
//!   file to learn how many processors there are, aws-lc for a device that tells of forks, `abort` signals
//!   itself before it crashes. An error is what they expect on a strange system.
//! - **not there**, `ENOSYS`: `clone3`, whose arguments a filter cannot read. glibc makes threads
//!   with `clone` then, whose arguments it can.
//! - **everything else kills the process**: another program, another process, signals to others, tracing,
//!   mounting, keys, BPF, io_uring. No library tries that in passing; an attacker does, and an
//!   error would let it try the next one. What the kernel gets tomorrow is here, too.
//!
//! A filter answers in one way, so there are several, and the kernel takes the strictest answer. They are
//! inherited: a cell that was forked from a template adds only what the two differ in. The kernel
//! remembers which calls all filters allow whatever their arguments, and does not run them for those.

use std::collections::BTreeMap;
use std::io;

use libc::SYS_clone3 as CLONE3;
use seccompiler::BackendError;
use seccompiler::BpfProgram;
use seccompiler::SeccompAction;
use seccompiler::SeccompCmpArgLen as Width;
use seccompiler::SeccompCmpOp as Is;
use seccompiler::SeccompCondition;
use seccompiler::SeccompFilter;
use seccompiler::SeccompRule;

use super::Role;
use crate::lifeline::LINE;
use crate::sys;

/// Allowed whatever the arguments.
const ALLOWED: &[i64] = &[
    // What is open.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_fstat,
    libc::SYS_dup,
    // Waiting for it.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    // Threads.
    libc::SYS_futex,
    libc::SYS_membarrier,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_getpriority,
    libc::SYS_getcpu,
    // Time.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    // Memory. V8 makes code, so it has to be able to make it executable.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_pkey_alloc,
    libc::SYS_pkey_free,
    libc::SYS_pkey_mprotect,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_brk,
    // Itself. None of these says anything of others.
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrusage,
    libc::SYS_sysinfo,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// The same, under the names that only x86_64 still has for them.
#[cfg(target_arch = "x86_64")]
const ALLOWED_OLD: &[i64] = &[
    libc::SYS_epoll_wait,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_time,
    libc::SYS_getrlimit,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_OLD: &[i64] = &[libc::SYS_getrlimit];

/// Allowed to a template for the sake of its children, who come into being with its filters: a pidfd for
/// the edge, a lifeline, filters of their own.
const TEMPLATE: &[i64] = &[
    libc::SYS_pidfd_open,
    libc::SYS_waitid,
    libc::SYS_dup3,
    libc::SYS_seccomp,
];
#[cfg(target_arch = "x86_64")]
const TEMPLATE_OLD: &[i64] = &[libc::SYS_dup2];
#[cfg(not(target_arch = "x86_64"))]
const TEMPLATE_OLD: &[i64] = &[];

/// Answered with `EPERM`.
const REFUSED: &[i64] = &[
    // Files.
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_lseek,
    libc::SYS_memfd_create,
    libc::SYS_pipe2,
    // Networks: resolvers and loggers try.
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_setsockopt,
    // The system, and its own place in it.
    libc::SYS_uname,
    libc::SYS_times,
    libc::SYS_setrlimit,
    libc::SYS_setpriority,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
    libc::SYS_get_mempolicy,
    libc::SYS_set_mempolicy,
    libc::SYS_mbind,
    libc::SYS_mlock,
    libc::SYS_munlock,
    // abort: the process ends all the same, by the crash that follows.
    libc::SYS_tgkill,
];

#[cfg(target_arch = "x86_64")]
const REFUSED_OLD: &[i64] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_pipe,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_OLD: &[i64] = &[];

/// Allowed, but refused with some arguments: see [`refused`].
const CHECKED: &[i64] = &[
    libc::SYS_close,
    libc::SYS_ioctl,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
];

/// What `fcntl` may do with what is open. Not `F_SETOWN`, which sends signals to others.
const FCNTL: [i32; 5] = [
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_DUPFD_CLOEXEC,
];

/// What `prctl` may do: names for threads and mappings. Nobody may become dumpable again. Without new
/// privileges the process is already; whoever installs a filter asks for it again.
const PRCTL: [i32; 4] = [
    libc::PR_SET_NAME,
    libc::PR_GET_NAME,
    libc::PR_SET_VMA,
    libc::PR_SET_NO_NEW_PRIVS,
];

/// What `ioctl` may do: std makes sockets non-blocking with it. `FIOASYNC` and `FIOSETOWN` are not for anyone.
const IOCTL: [u64; 2] = [libc::FIONBIO, libc::FIOCLEX];

/// The compiled filters.
#[derive(Debug)]
pub(super) struct Programs {
    /// The answers `ENOSYS` and `EPERM`, which are the same for all.
    errors: [BpfProgram; 2],
    template: BpfProgram,
    cell: BpfProgram,
}

impl Programs {
    /// Compiles them, if the system takes such filters.
    pub(super) fn compile() -> io::Result<Self> {
        sys::knows_seccomp_action(libc::SECCOMP_RET_KILL_PROCESS)?;
        let compile = || {
            Ok::<_, BackendError>(Self {
                errors: [
                    program(all(&[&[CLONE3]]), errno(libc::ENOSYS), SeccompAction::Allow)?,
                    program(refused()?, errno(libc::EPERM), SeccompAction::Allow)?,
                ],
                template: program(
                    known(Role::Template)?,
                    SeccompAction::Allow,
                    SeccompAction::KillProcess,
                )?,
                cell: program(
                    known(Role::Cell)?,
                    SeccompAction::Allow,
                    SeccompAction::KillProcess,
                )?,
            })
        };
        compile().map_err(io::Error::other)
    }

    /// Gives up what `role` has no use for, in a process that has given up what `within` has no use for.
    pub(super) fn apply(&self, role: Role, within: Option<Role>) -> io::Result<()> {
        let own = match role {
            Role::Template => &self.template,
            Role::Cell => &self.cell,
        };
        let errors = if within.is_none() {
            &self.errors[..]
        } else {
            &[]
        };
        // Its own comes last: it takes away that filters can be installed.
        for program in errors.iter().chain([own]) {
            seccompiler::apply_filter(program).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What is not killed for. What is refused is, too, by the other filter.
fn known(role: Role) -> Result<Rules, BackendError> {
    let mut rules = all(&[
        ALLOWED,
        ALLOWED_OLD,
        REFUSED,
        REFUSED_OLD,
        CHECKED,
        &[CLONE3],
    ]);
    let threads = rule([masked(
        0,
        libc::CLONE_THREAD as u64,
        libc::CLONE_THREAD as u64,
    )])?;
    // A stream has one other end. A datagram socket could send to any address, without `connect`.
    let streams = rule([
        int(0, Is::Eq, libc::AF_UNIX as u64),
        int(1, Is::MaskedEq(0xf), libc::SOCK_STREAM as u64),
    ])?;
    rules.insert(libc::SYS_socketpair, vec![streams]);
    match role {
        Role::Template => {
            rules.append(&mut all(&[TEMPLATE, TEMPLATE_OLD, &[libc::SYS_fcntl]]));
            let forks = rule([long(0, Is::Eq, sys::FORK_FLAGS)])?;
            rules.insert(libc::SYS_clone, vec![threads, forks]);
        }
        Role::Cell => {
            rules.insert(libc::SYS_clone, vec![threads]);
            let no_owner = rule([int(1, Is::Ne, libc::F_SETOWN as u64)])?;
            rules.insert(libc::SYS_fcntl, vec![no_owner]);
        }
    }
    Ok(rules)
}

/// What is answered with `EPERM`.
fn refused() -> Result<Rules, BackendError> {
    let mut rules = all(&[REFUSED, REFUSED_OLD]);
    let line = |is| int(0, is, LINE as u64);
    let own = |is| int(1, is, libc::F_SETOWN as u64);
    // The lifeline stays as it is. Its owner is set by a process that was just forked, and no other.
    rules.insert(libc::SYS_close, vec![rule([line(Is::Eq)])?]);
    let other = FCNTL.map(|command| int(1, Is::Ne, command as u64));
    let fcntl = vec![
        rule(other.into_iter().chain([own(Is::Ne)]))?,
        rule([line(Is::Eq), own(Is::Ne)])?,
        rule([line(Is::Ne), own(Is::Eq)])?,
    ];
    rules.insert(libc::SYS_fcntl, fcntl);
    let prctl = rule(PRCTL.map(|option| int(0, Is::Ne, option as u64)))?;
    rules.insert(libc::SYS_prctl, vec![prctl]);
    let ioctl = rule(IOCTL.map(|request| int(1, Is::Ne, request)))?;
    rules.insert(libc::SYS_ioctl, vec![ioctl]);
    // Its own limits it may read and lower, those of others it may not.
    rules.insert(libc::SYS_prlimit64, vec![rule([int(0, Is::Ne, 0)])?]);
    Ok(rules)
}

fn all(groups: &[&[i64]]) -> Rules {
    let calls = groups.iter().flat_map(|group| group.iter());
    calls.map(|call| (*call, Vec::new())).collect()
}

type Condition = Result<SeccompCondition, BackendError>;

/// Holds where all of `conditions` hold.
fn rule(conditions: impl IntoIterator<Item = Condition>) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?)
}

/// Argument `place` is an `int`, so its upper half means nothing.
fn int(place: u8, is: Is, value: u64) -> Condition {
    SeccompCondition::new(place, Width::Dword, is, value)
}

fn long(place: u8, is: Is, value: u64) -> Condition {
    SeccompCondition::new(place, Width::Qword, is, value)
}

fn masked(place: u8, mask: u64, value: u64) -> Condition {
    long(place, Is::MaskedEq(mask), value)
}

fn errno(number: i32) -> SeccompAction {
    SeccompAction::Errno(number.cast_unsigned())
}

fn program(
    rules: Rules,
    matching: SeccompAction,
    other: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(rules, other, matching, std::env::consts::ARCH.try_into()?)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_in_two_groups() {
        let groups = [
            ALLOWED,
            ALLOWED_OLD,
            TEMPLATE,
            TEMPLATE_OLD,
            REFUSED,
            REFUSED_OLD,
            CHECKED,
            &[CLONE3],
        ];
        let rules = all(&groups);
        assert_eq!(
            rules.len(),
            groups.iter().map(|group| group.len()).sum::<usize>()
        );
    }

    #[test]
    fn they_compile_and_fit() {
        let programs = Programs::compile().expect("compiled");
        for program in [
            &programs.errors[0],
            &programs.errors[1],
            &programs.template,
            &programs.cell,
        ] {
            // BPF_MAXINSNS.
            assert!((1..4096).contains(&program.len()), "{}", program.len());
        }
    }
}
