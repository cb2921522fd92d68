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
//! Filters are inherited: a cell that was forked from a template has that one's, too, and the kernel takes
//! the stricter answer. It remembers which calls a filter allows whatever their arguments, and does not
//! run it for those.

use std::collections::BTreeMap;
use std::io;

use seccompiler::BpfProgram;

use super::Role;
use super::bpf;
use super::bpf::Answer;
use super::bpf::Case;
use super::bpf::Rule;
use super::bpf::Test;
use crate::lifeline::LINE;
use crate::sys;

const REFUSE: Answer = Answer::Error(libc::EPERM);

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
const ALLOWED_OLD: &[i64] = &[];

/// Allowed to a template for the sake of its children, who come into being with its filters: a pidfd for
/// the edge, a lifeline, filters of their own.
const TEMPLATE: &[i64] = &[libc::SYS_pidfd_open, libc::SYS_waitid, libc::SYS_seccomp];

/// Allowed to it for the lifeline alone.
#[cfg(target_arch = "x86_64")]
const DUP: &[i64] = &[libc::SYS_dup3, libc::SYS_dup2];
#[cfg(not(target_arch = "x86_64"))]
const DUP: &[i64] = &[libc::SYS_dup3];

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
    libc::SYS_setrlimit,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_OLD: &[i64] = &[];

/// What `fcntl` may do with what is open. Not `F_SETOWN` and `F_SETFL`, which send signals to others, and could
/// disarm a copy of the lifeline.
const FCNTL: [i32; 4] = [
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
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

/// What `ioctl` may do: std makes sockets non-blocking with it. Not `FIOASYNC` and `FIOSETOWN`.
const IOCTL: [u32; 2] = [libc::FIONBIO as u32, libc::FIOCLEX as u32];

/// The compiled filters.
#[derive(Debug)]
pub(super) struct Programs {
    template: BpfProgram,
    cell: BpfProgram,
    copy: BpfProgram,
}

impl Programs {
    /// Compiles them, if the system takes such filters.
    pub(super) fn compile() -> io::Result<Self> {
        sys::knows_seccomp_action(libc::SECCOMP_RET_KILL_PROCESS)?;
        Ok(Self {
            template: bpf::program(&rules(Role::Template), Answer::Kill),
            cell: bpf::program(&rules(Role::Cell), Answer::Kill),
            copy: bpf::program(&beyond_template(), Answer::Allow),
        })
    }

    /// Gives up what `role` has no use for.
    pub(super) fn apply(&self, role: Role) -> io::Result<()> {
        let program = match role {
            Role::Template => &self.template,
            Role::Cell => &self.cell,
            Role::Copy => &self.copy,
        };
        seccompiler::apply_filter(program).map_err(io::Error::other)
    }
}

/// What a cell gives up and a template does not. A copy has the template's filter already, and installing
/// a short one takes half the time.
fn beyond_template() -> BTreeMap<u32, Rule> {
    let mut cell = rules(Role::Cell);
    let differ = rules(Role::Template)
        .into_iter()
        .filter_map(|(number, template)| {
            let rule = cell.remove(&number).unwrap_or(Answer::Kill.into());
            (rule != template).then_some((number, rule))
        });
    differ.collect()
}

fn rules(role: Role) -> BTreeMap<u32, Rule> {
    let mut rules = BTreeMap::new();
    let mut set = |calls: &[i64], rule: Rule| {
        // The system's numbers are positive and small.
        let numbers = calls.iter().filter_map(|call| u32::try_from(*call).ok());
        rules.extend(numbers.map(|number| (number, rule.clone())));
    };
    for calls in [ALLOWED, ALLOWED_OLD] {
        set(calls, Answer::Allow.into());
    }
    for calls in [REFUSED, REFUSED_OLD] {
        set(calls, REFUSE.into());
    }
    set(&[libc::SYS_clone3], Answer::Error(libc::ENOSYS).into());
    if role == Role::Template {
        set(TEMPLATE, Answer::Allow.into());
        set(DUP, only(Test::is(1, &[LINE.cast_unsigned()]), REFUSE));
    }
    set(&[libc::SYS_mmap], mmap());
    set(&[libc::SYS_clone], clone(role));
    set(&[libc::SYS_fcntl], fcntl(role));
    set(&[libc::SYS_close], but(line(), REFUSE));
    set(
        &[libc::SYS_prctl],
        only(Test::is(0, &PRCTL.map(i32::cast_unsigned)), REFUSE),
    );
    set(&[libc::SYS_ioctl], only(Test::is(1, &IOCTL), REFUSE));
    // Its own limits it may read and lower, those of others it may not.
    set(&[libc::SYS_prlimit64], only(Test::is(0, &[0]), REFUSE));
    set(&[libc::SYS_socketpair], socketpair());
    rules
}

/// Not what `RLIMIT_DATA` does not count: memory that is shared and has no file, and stacks that grow. A
/// page that the edge has passed can be shared.
fn mmap() -> Rule {
    let refuse = |test| Case {
        tests: vec![test],
        answer: REFUSE,
    };
    let [shared, validated, anonymous, stack] = [
        libc::MAP_SHARED,
        libc::MAP_SHARED_VALIDATE,
        libc::MAP_ANONYMOUS,
        libc::MAP_GROWSDOWN,
    ]
    .map(i32::cast_unsigned);
    let kind = libc::MAP_TYPE.cast_unsigned() | anonymous;
    Rule {
        cases: vec![
            refuse(Test::has(3, kind, shared | anonymous)),
            refuse(Test::has(3, kind, validated | anonymous)),
            refuse(Test::has(3, stack, stack)),
        ],
        otherwise: Answer::Allow,
    }
}

/// Threads; and copies, exactly as `fork` makes them, in a template.
fn clone(role: Role) -> Rule {
    let thread = libc::CLONE_THREAD.cast_unsigned();
    let mut cases = vec![allow([Test::has(0, thread, thread)])];
    if role == Role::Template {
        cases.push(allow([Test::is(0, &[sys::FORK_FLAGS]), Test::is_short(0)]));
    }
    Rule {
        cases,
        otherwise: Answer::Kill,
    }
}

/// The lifeline stays as it is, and only who was just forked by a template becomes its owner.
fn fcntl(role: Role) -> Rule {
    let own = || Test::is(1, &[libc::F_SETOWN.cast_unsigned()]);
    let cases = match role {
        Role::Template => vec![allow([own(), line()])],
        Role::Cell | Role::Copy => vec![Case {
            tests: vec![own()],
            answer: Answer::Kill,
        }],
    };
    let plain = allow([Test::is(1, &FCNTL.map(i32::cast_unsigned)), !line()]);
    Rule {
        cases: cases.into_iter().chain([plain]).collect(),
        otherwise: REFUSE,
    }
}

/// A stream has one other end. A datagram socket could send to any address, without `connect`.
fn socketpair() -> Rule {
    let local = Test::is(0, &[libc::AF_UNIX.cast_unsigned()]);
    let stream = Test::has(1, 0xf, libc::SOCK_STREAM.cast_unsigned());
    Rule {
        cases: vec![allow([local, stream])],
        otherwise: Answer::Kill,
    }
}

/// The first argument is the descriptor of the lifeline.
fn line() -> Test {
    Test::is(0, &[LINE.cast_unsigned()])
}

fn allow(tests: impl Into<Vec<Test>>) -> Case {
    Case {
        tests: tests.into(),
        answer: Answer::Allow,
    }
}

/// Allowed if the test holds.
fn only(test: Test, otherwise: Answer) -> Rule {
    Rule {
        cases: vec![allow([test])],
        otherwise,
    }
}

/// Allowed unless the test holds.
fn but(test: Test, answer: Answer) -> Rule {
    Rule {
        cases: vec![Case {
            tests: vec![test],
            answer,
        }],
        otherwise: Answer::Allow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_in_two_groups() {
        let groups = [ALLOWED, ALLOWED_OLD, REFUSED, REFUSED_OLD, TEMPLATE, DUP];
        let mut all = groups.concat();
        // Those whose arguments are looked at, and clone3.
        let checked = 9;
        all.sort_unstable();
        all.dedup();
        assert_eq!(
            all.len(),
            groups.iter().map(|group| group.len()).sum::<usize>()
        );
        assert_eq!(rules(Role::Template).len(), all.len() + checked);
    }

    /// What the kernel does 1,000 times over when a filter is installed.
    #[test]
    fn answers_are_found_quickly() {
        for role in [Role::Template, Role::Cell] {
            let program = bpf::program(&rules(role), Answer::Kill);
            assert!(program.len() < 4096);
            for number in 0..600 {
                let (_, steps) = bpf::tests::run(&program, bpf::OWN_ARCH, number, [0; 6]);
                assert!(steps < 40, "{steps} steps for {number}");
            }
        }
    }
}
