//! What a cell does when it is asked: harmless things, and what an attacker would try.
#![allow(unsafe_code, reason = "an attacker's code")]
#![allow(clippy::undocumented_unsafe_blocks, reason = "an attacker's code")]

use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::ptr::null;
use std::time::Duration;
use std::time::Instant;

use holm_process::lifeline::LINE;
use holm_process::passing::Socket;
use libc::c_long;

/// Does what comes over `talk` until that is closed, or until it is told to serve.
///
/// A template has `control`, and can lie over it.
pub(crate) fn obey(talk: &Socket, control: Option<&OwnedFd>, kept: Option<*const u8>) {
    while let Some(frame) = talk.receive().expect("received") {
        let act = String::from_utf8(frame.bytes).expect("text");
        let words: Vec<&str> = act.split(' ').collect();
        let said = match words.as_slice() {
            ["serve"] => {
                talk.send(b"serving", &[]).expect("said");
                return;
            }
            ["loop"] => {
                talk.send(b"looping", &[]).expect("said");
                loop {
                    std::hint::spin_loop();
                }
            }
            ["lie", pid, pidfd_of] => {
                let pid: i64 = pid.parse().expect("number");
                let of: i32 = pidfd_of.parse().expect("number");
                let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, of, 0) };
                let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd.try_into().expect("descriptor")) };
                let control = control
                    .expect("of a template")
                    .try_clone()
                    .expect("another");
                let forked = [&[3][..], &pid.to_le_bytes()].concat();
                Socket::from(control)
                    .send(&forked, &[pidfd.as_fd()])
                    .expect("sent");
                "lied".into()
            }
            words => harmless(words, talk, kept).unwrap_or_else(|| answer(attack(words))),
        };
        talk.send(said.as_bytes(), &[]).expect("said");
    }
}

fn harmless(words: &[&str], talk: &Socket, kept: Option<*const u8>) -> Option<String> {
    Some(match words {
        ["hello"] => "hello".into(),
        ["threads"] => threads(),
        ["tokio"] => tokio(),
        ["malloc"] => malloc(),
        ["thread-forever"] => {
            std::thread::spawn(std::thread::park);
            "started".into()
        }
        ["busy", millis] => {
            let until = Instant::now() + Duration::from_millis(millis.parse().expect("number"));
            while Instant::now() < until {}
            "tired".into()
        }
        ["hold", mib] => {
            let mut block = vec![0_u8; mib.parse::<usize>().expect("number") << 20];
            block.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
            std::mem::forget(block);
            "held".into()
        }
        ["descriptors"] => {
            let open = |fd: &i32| {
                *fd != talk.as_fd().as_raw_fd() && unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0
            };
            let refused = |fd: &i32| *fd == LINE;
            format!(
                "{:?}",
                (0..64)
                    .filter(|fd| open(fd) || refused(fd))
                    .collect::<Vec<_>>()
            )
        }
        ["environment"] => format!("{:?}", std::env::vars().collect::<Vec<_>>()),
        ["limits"] => {
            let limit = |resource| {
                let mut limit = libc::rlimit {
                    rlim_cur: 0,
                    rlim_max: 0,
                };
                unsafe { libc::getrlimit(resource, &raw mut limit) };
                assert_eq!(limit.rlim_cur, limit.rlim_max);
                limit.rlim_cur
            };
            let all = [libc::RLIMIT_DATA, libc::RLIMIT_NOFILE, libc::RLIMIT_CORE];
            format!("{:?}", all.map(limit))
        }
        ["signals"] => signals(),
        ["kept"] => format!("{}", unsafe { *kept.expect("a page") }),
        ["whoami"] => format!("{} {}", unsafe { libc::getuid() }, unsafe {
            libc::getpid()
        }),
        ["segv"] => unsafe { std::ptr::null::<u8>().read_volatile() }.to_string(),
        ["abort"] => std::process::abort(),
        _ => return None,
    })
}

fn answer(outcome: c_long) -> String {
    match outcome {
        -1 => match io::Error::last_os_error().raw_os_error() {
            Some(libc::EPERM) => "EPERM".into(),
            Some(libc::ENOSYS) => "ENOSYS".into(),
            Some(libc::EMFILE) => "EMFILE".into(),
            Some(libc::ENOMEM) => "ENOMEM".into(),
            Some(other) => format!("errno {other}"),
            None => "?".into(),
        },
        done => format!("done {}", done.min(1)),
    }
}

/// One system call. The name is the word; everything is what the kernel would do something for.
fn attack(words: &[&str]) -> c_long {
    let passwd = c"/etc/passwd".as_ptr();
    let parent = c_long::from(unsafe { libc::getppid() });
    let target = words
        .get(1)
        .and_then(|word| word.parse::<c_long>().ok())
        .unwrap_or(parent);
    let line = c_long::from(LINE);
    macro_rules! call {
        ($name:ident $(, $argument:expr)*) => { unsafe { libc::syscall(libc::$name, $($argument),*) } };
    }
    match words[0] {
        "openat" => call!(SYS_openat, libc::AT_FDCWD, passwd, libc::O_RDONLY),
        "openat-root" => call!(SYS_openat, libc::AT_FDCWD, c"/".as_ptr(), libc::O_RDONLY),
        "openat-proc" => call!(
            SYS_openat,
            libc::AT_FDCWD,
            c"/proc/self/status".as_ptr(),
            libc::O_RDONLY
        ),
        #[cfg(target_arch = "x86_64")]
        "open" => call!(SYS_open, passwd, libc::O_RDONLY),
        "openat2" => call!(SYS_openat2, libc::AT_FDCWD, passwd, &[0_u64; 3], 24),
        "stat" => call!(SYS_newfstatat, libc::AT_FDCWD, passwd, &mut [0_u64; 32], 0),
        "socket" => call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0),
        "connect" => call!(SYS_connect, 0, &[0_u8; 16], 16),
        "datagrams" => call!(
            SYS_socketpair,
            libc::AF_UNIX,
            libc::SOCK_DGRAM,
            0,
            &mut [0_i32; 2]
        ),
        "streams-until-full" => loop {
            if call!(
                SYS_socketpair,
                libc::AF_UNIX,
                libc::SOCK_STREAM,
                0,
                &mut [0_i32; 2]
            ) < 0
            {
                return -1;
            }
        },
        "streams" => call!(
            SYS_socketpair,
            libc::AF_UNIX,
            libc::SOCK_STREAM,
            0,
            &mut [0_i32; 2]
        ),
        "execve" => call!(
            SYS_execve,
            c"/bin/true".as_ptr(),
            &[null::<u8>()],
            &[null::<u8>()]
        ),
        "execveat" => call!(
            SYS_execveat,
            0,
            c"".as_ptr(),
            null::<u8>(),
            null::<u8>(),
            libc::AT_EMPTY_PATH
        ),
        "fork" => match unsafe { libc::fork() } {
            0 => holm_process::exit(0),
            pid => pid.into(),
        },
        #[cfg(target_arch = "x86_64")]
        "vfork" => call!(SYS_vfork),
        "clone-namespace" => call!(SYS_clone, libc::CLONE_NEWUSER | libc::SIGCHLD, 0, 0, 0, 0),
        "clone3" => call!(SYS_clone3, &[0_u64; 8], 64),
        "unshare" => call!(SYS_unshare, libc::CLONE_NEWUSER),
        "setns" => call!(SYS_setns, 0, 0),
        "mount" => call!(
            SYS_mount,
            c"none".as_ptr(),
            c"/".as_ptr(),
            c"tmpfs".as_ptr(),
            0,
            0
        ),
        "ptrace" => call!(SYS_ptrace, libc::PTRACE_ATTACH, target, 0, 0),
        "peek" => call!(
            SYS_process_vm_readv,
            target,
            null::<u8>(),
            0,
            null::<u8>(),
            0,
            0
        ),
        "kill" => call!(SYS_kill, target, libc::SIGKILL),
        "tgkill" => call!(SYS_tgkill, target, target, libc::SIGKILL),
        "sigqueue" => call!(SYS_rt_sigqueueinfo, target, libc::SIGKILL, &[0_u64; 16]),
        "pidfd" => call!(SYS_pidfd_open, target, 0),
        "own" => call!(SYS_fcntl, 0, libc::F_SETOWN, target),
        "own-line" => call!(SYS_fcntl, line, libc::F_SETOWN, 0),
        "close-line" => call!(SYS_close, line),
        "deafen-line" => call!(SYS_fcntl, line, libc::F_SETFL, 0),
        "signal-line" => call!(SYS_fcntl, line, 10 /* F_SETSIG */, 0),
        "async" => call!(SYS_ioctl, 0, libc::FIOASYNC, &1),
        "close-range" => call!(SYS_close_range, line, line, 0),
        "dup-over-line" => call!(SYS_dup3, 2, line, 0),
        "dumpable" => call!(SYS_prctl, libc::PR_SET_DUMPABLE, 1, 0, 0, 0),
        "ptracer" => call!(SYS_prctl, libc::PR_SET_PTRACER, -1_i64, 0, 0, 0),
        "limit-up" => {
            let limit = libc::rlimit64 {
                rlim_cur: u64::MAX,
                rlim_max: u64::MAX,
            };
            call!(SYS_prlimit64, 0, libc::RLIMIT_DATA, &limit, 0)
        }
        "limit-other" => {
            let limit = libc::rlimit64 {
                rlim_cur: 0,
                rlim_max: 0,
            };
            call!(SYS_prlimit64, target, libc::RLIMIT_CPU, &limit, 0)
        }
        "mmap" => {
            let (rights, kind) = (
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            );
            call!(SYS_mmap, 0, 300_usize << 20, rights, kind, -1, 0)
        }
        // Neither counts for RLIMIT_DATA.
        "mmap-shared" | "mmap-shared-validated" | "mmap-stack" => {
            let kind = match words[0] {
                "mmap-shared" => libc::MAP_SHARED,
                "mmap-shared-validated" => libc::MAP_SHARED_VALIDATE,
                _ => libc::MAP_PRIVATE | libc::MAP_GROWSDOWN,
            };
            let rights = libc::PROT_READ | libc::PROT_WRITE;
            let size = 1_usize << 30;
            call!(SYS_mmap, 0, size, rights, kind | libc::MAP_ANONYMOUS, -1, 0)
        }
        "undumpable" => call!(SYS_prctl, libc::PR_SET_DUMPABLE, 0, 0, 0, 0),
        "dup-elsewhere" => call!(SYS_dup3, 2, 0, 0),
        "reserve" => {
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            call!(SYS_mmap, 0, 8_usize << 30, libc::PROT_NONE, kind, -1, 0)
        }
        "unreserve" => {
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            let place = call!(SYS_mmap, 0, 8_usize << 30, libc::PROT_NONE, kind, -1, 0);
            call!(
                SYS_mprotect,
                place,
                300_usize << 20,
                libc::PROT_READ | libc::PROT_WRITE
            )
        }
        "bpf" => call!(SYS_bpf, 0, null::<u8>(), 0),
        "io-uring" => call!(SYS_io_uring_setup, 1, &mut [0_u64; 15]),
        "userfault" => call!(SYS_userfaultfd, 0),
        "keys" => call!(SYS_keyctl, 0, 0, 0, 0, 0),
        "no-such-call" => unsafe { libc::syscall(4000) },
        #[cfg(target_arch = "x86_64")]
        // The same numbers mean other calls through the gate for 32-bit programs. 20 is getpid there.
        "old-gate" => {
            let answer: i32;
            unsafe { std::arch::asm!("int 0x80", inlateout("eax") 20 => answer) };
            answer.into()
        }
        other => panic!("{other}?"),
    }
}

fn threads() -> String {
    let threads: Vec<_> = (0..8_u64)
        .map(|n| std::thread::spawn(move || n * n))
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().expect("joined"))
        .sum::<u64>()
        .to_string()
}

/// Arenas of several threads, big blocks, growing ones.
fn malloc() -> String {
    let work = |seed: usize| {
        let mut kept = Vec::new();
        for n in 0..2_000 {
            kept.push(vec![seed as u8; (n * 37 + seed) % 5_000]);
            if n % 3 == 0 {
                kept.swap_remove(n / 3 % kept.len());
            }
        }
        let mut big = vec![1_u8; 4 << 20];
        big.resize(16 << 20, 2);
        big.len() + kept.len()
    };
    let threads: Vec<_> = (0..4)
        .map(|seed| std::thread::spawn(move || work(seed)))
        .collect();
    let all: usize = threads
        .into_iter()
        .map(|thread| thread.join().expect("joined"))
        .sum();
    format!("{}", all > 0)
}

/// Timers, wake-ups from other threads, blocking threads, sockets.
fn tokio() -> String {
    use ::tokio::io::AsyncReadExt;
    use ::tokio::io::AsyncWriteExt;
    let runtime = ::tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    runtime.block_on(async {
        ::tokio::time::sleep(Duration::from_millis(5)).await;
        let blocking = ::tokio::task::spawn_blocking(|| 7).await.expect("blocking");
        let (tell, told) = ::tokio::sync::oneshot::channel();
        std::thread::spawn(move || tell.send(35));
        let (mut one, mut other) = ::tokio::net::UnixStream::pair().expect("pair");
        let write = ::tokio::spawn(async move { one.write_all(b"xyz").await });
        let mut bytes = Vec::new();
        other.read_to_end(&mut bytes).await.expect("read");
        write.await.expect("joined").expect("written");
        format!("{} {}", blocking + told.await.expect("told"), bytes.len())
    })
}

/// Signals whose action is not the default, and those that are blocked.
fn signals() -> String {
    let mut other = Vec::new();
    for signal in (1..=64).filter(|signal| ![9, 19, 32, 33].contains(signal)) {
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        unsafe { libc::sigaction(signal, null(), &raw mut action) };
        if action.sa_sigaction != libc::SIG_DFL {
            other.push(signal);
        }
    }
    let mut mask: libc::sigset_t = unsafe { std::mem::zeroed() };
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, null(), &raw mut mask) };
    let blocked: Vec<_> = (1..=64)
        .filter(|signal| unsafe { libc::sigismember(&raw const mask, *signal) } == 1)
        .collect();
    format!("{other:?} {blocked:?}")
}

/// A page with 42 in it that forks get no copy of.
pub(crate) fn kept_page() -> *const u8 {
    let (rights, kind) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, rights, kind, -1, 0) };
    unsafe { page.cast::<u8>().write(42) };
    assert_eq!(unsafe { libc::madvise(page, 4096, libc::MADV_DONTFORK) }, 0);
    page.cast()
}

/// Moves this process into a user namespace, as any user may where the system lets them.
pub(crate) fn new_user_namespace() -> io::Result<()> {
    match unsafe { libc::unshare(libc::CLONE_NEWUSER) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Blocks a signal, ignores one and handles another, as an edge may.
pub(crate) fn disturb_signals() {
    extern "C" fn nothing(_: i32) {}
    unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
    unsafe { libc::signal(libc::SIGUSR2, nothing as *const () as libc::sighandler_t) };
    let mut mask: libc::sigset_t = unsafe { std::mem::zeroed() };
    unsafe { libc::sigaddset(&raw mut mask, libc::SIGTERM) };
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const mask, std::ptr::null_mut()) };
}
