//! The edge's side: starting a zygote, asking for processes, ending them.
//!
//! The zygote is this program executed anew, so it shares neither threads nor memory with the edge, and
//! inherits nothing but three descriptors: the control socket as its standard input, its lifeline as
//! its standard output, and standard error. Its environment is what the caller names.
//!
//! Requests and answers keep their order, so an edge that is not willing to wait for one before it sends
//! the next can take them apart: [`request`], [`answer`].

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::Command as Program;
use std::process::Stdio;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Signal;

use crate::clock::CpuClock;
use crate::lifeline::Anchor;
use crate::message::Command;
use crate::message::ForkFailure;
use crate::message::Garbled;
use crate::message::MAX_CHILD_FDS;
use crate::message::Reply;
use crate::passing::Frame;
use crate::passing::PassingError;
use crate::passing::Socket;
use crate::passing::wait_readable;
use crate::sandbox::Layers;
use crate::sys;
use crate::title;

/// Signal that asks a cell to write out what it has said and not written.
pub const THE_REST: Signal = Signal::USR1;

/// Why the edge has no zygote, or no process from it.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The program could not be executed anew.
    #[error("cannot start the zygote: {0}")]
    Start(io::Error),
    /// The zygote says that it cannot serve.
    #[error("{0}")]
    Unfit(String),
    /// Whoever should fork did not.
    #[error("no new process: {0}")]
    Failed(ForkFailure),
    /// Whoever should fork is gone.
    #[error("the process to fork from is gone")]
    Gone,
    /// It says what was not asked.
    #[error(transparent)]
    Garbled(#[from] Garbled),
    /// A lifeline could not be made, or a message was not sent or did not come.
    #[error(transparent)]
    Passing(PassingError),
}

impl From<PassingError> for SpawnError {
    fn from(error: PassingError) -> Self {
        match error {
            PassingError::Gone => Self::Gone,
            error => Self::Passing(error),
        }
    }
}

impl From<io::Error> for SpawnError {
    fn from(error: io::Error) -> Self {
        Self::Passing(PassingError::Io(error))
    }
}

/// A running zygote. Dropping it kills the process; what was forked from it lives on.
#[derive(Debug)]
pub struct ZygoteProcess {
    child: Child,
    pidfd: OwnedFd,
    control: Socket,
}

/// Executes this program anew with `arguments`, which lead it to [`crate::zygote::Zygote::enter`], and with
/// `environment` and nothing else of the one of this process. Threads of this process do not matter.
///
/// # Errors
/// [`SpawnError::Start`], or there are no more descriptors.
pub fn spawn<A: AsRef<OsStr>>(
    anchor: &Anchor,
    arguments: impl IntoIterator<Item = A>,
    environment: &[(&str, &str)],
) -> Result<ZygoteProcess, SpawnError> {
    let (control, theirs) = Socket::pair()?;
    let line = anchor.line()?;
    // Not the path: there may be another program by now, which speaks another version.
    let mut program = Program::new("/proc/self/exe");
    program
        .arg0(title::arg0("zygote"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::from(line))
        .stderr(Stdio::inherit());
    sys::inherit_only_stdio(&mut program);
    let mut child = program.spawn().map_err(SpawnError::Start)?;
    // It is not waited for before it is dropped, so its number stays its own.
    match rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
        Ok(pidfd) => Ok(ZygoteProcess {
            child,
            pidfd,
            control,
        }),
        Err(error) => {
            end(&mut child);
            Err(SpawnError::Start(error.into()))
        }
    }
}

impl ZygoteProcess {
    /// Waits until it serves, and returns behind what its children will be.
    ///
    /// # Errors
    /// [`SpawnError::Unfit`]; [`SpawnError::Gone`], also if it takes longer than `at_most`.
    pub fn ready(&self, at_most: Duration) -> Result<Layers, SpawnError> {
        if !self.control.wait(at_most)? {
            return Err(SpawnError::Gone);
        }
        let frame = self.control.receive()?.ok_or(SpawnError::Gone)?;
        match Reply::decode(&frame.bytes)? {
            Reply::Ready(layers) => Ok(layers),
            Reply::Unfit(why) => Err(SpawnError::Unfit(why)),
            Reply::Forked { .. } | Reply::Failed(_) => Err(Garbled.into()),
        }
    }

    /// The socket over which it takes commands, for [`fork`].
    pub fn control(&self) -> &Socket {
        &self.control
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Readable once it has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for ZygoteProcess {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A process that was forked for this one. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    pidfd: OwnedFd,
}

/// Asks the zygote at the other end of `control` for a copy of itself, called `name`, with `fds`, and
/// waits for it.
///
/// # Errors
/// [`SpawnError::Failed`] says what bound was met.
pub fn fork(
    control: &Socket,
    anchor: &Anchor,
    purpose: u8,
    name: &str,
    fds: &[BorrowedFd<'_>],
) -> Result<Process, SpawnError> {
    request(control, anchor, purpose, name, fds)?;
    answer(control.receive()?.ok_or(SpawnError::Gone)?)
}

/// As [`fork`], of `template`, which has `control`.
///
/// # Errors
/// As [`fork`]; and [`SpawnError::Garbled`] if the process is none of the template's.
pub fn copy(
    template: &Process,
    control: &Socket,
    anchor: &Anchor,
    purpose: u8,
    name: &str,
    fds: &[BorrowedFd<'_>],
) -> Result<Process, SpawnError> {
    request(control, anchor, purpose, name, fds)?;
    answer_of(template, control.receive()?.ok_or(SpawnError::Gone)?)
}

/// Asks for a process, whose [`answer`] will come. `purpose` tells it what it is for, in words of the
/// caller's. `fds` are at most [`MAX_CHILD_FDS`], and may be
/// closed here afterwards.
///
/// # Errors
/// Nothing was asked.
pub fn request<F: AsFd>(
    control: &Socket<F>,
    anchor: &Anchor,
    purpose: u8,
    name: &str,
    fds: &[BorrowedFd<'_>],
) -> Result<(), SpawnError> {
    let line = anchor.line()?;
    let mut all = Vec::with_capacity(1 + MAX_CHILD_FDS);
    all.push(line.as_fd());
    all.extend_from_slice(fds);
    let command = Command::Fork {
        purpose,
        name: name.to_owned(),
    };
    Ok(control.send(&command.encode(), &all)?)
}

/// What `frame`, which came from a zygote, says to the [`request`] whose turn it is. The zygote runs no
/// stranger's code, and is believed.
///
/// # Errors
/// As [`fork`].
pub fn answer(frame: Frame) -> Result<Process, SpawnError> {
    Ok(Process::new(named(frame)?))
}

/// What `frame`, which came from `template`, says to the [`request`] whose turn it is.
///
/// The template has run a stranger's code. If that has broken out of V8, it may name any process, and the
/// edge would kill that one: so the process has to be a child of the template.
///
/// # Errors
/// As [`copy`].
pub fn answer_of(template: &Process, frame: Frame) -> Result<Process, SpawnError> {
    let (pid, pidfd) = named(frame)?;
    match parent(pid, &pidfd) {
        Some(parent) if parent == template.pid => Ok(Process::new((pid, pidfd))),
        // It has ended already, which is no lie.
        _ if wait_readable(pidfd.as_fd(), Duration::ZERO).unwrap_or(false) => {
            Err(SpawnError::Failed(ForkFailure::Ended))
        }
        _ => Err(Garbled.into()),
    }
}

/// The parent of the process that `pidfd` is of, if that is `pid`, and lives.
fn parent(pid: Pid, pidfd: &OwnedFd) -> Option<Pid> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let named: i32 = info
        .lines()
        .find_map(|line| line.strip_prefix("Pid:"))?
        .trim()
        .parse()
        .ok()?;
    if named != pid.as_raw_nonzero().get() {
        return None;
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let parent: i32 = rest.split_ascii_whitespace().nth(1)?.parse().ok()?;
    // It still is: so its number was not another's meanwhile.
    let lives = !wait_readable(pidfd.as_fd(), Duration::ZERO).ok()?;
    (lives && parent > 0)
        .then(|| Pid::from_raw(parent))
        .flatten()
}

fn named(frame: Frame) -> Result<(Pid, OwnedFd), SpawnError> {
    match Reply::decode(&frame.bytes)? {
        Reply::Forked { pid } => {
            let pid = Some(pid)
                .filter(|pid| *pid > 0)
                .and_then(Pid::from_raw)
                .ok_or(Garbled)?;
            let pidfd = frame.fds.into_iter().next().ok_or(Garbled)?;
            Ok((pid, pidfd))
        }
        Reply::Failed(why) => Err(SpawnError::Failed(why)),
        Reply::Ready(_) | Reply::Unfit(_) => Err(Garbled.into()),
    }
}

impl Process {
    fn new((pid, pidfd): (Pid, OwnedFd)) -> Self {
        Self { pid, pidfd }
    }

    /// Its number. It may be someone else's once the process has ended.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Readable once it has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Its CPU clock.
    ///
    /// # Errors
    /// It has ended.
    pub fn clock(&self) -> io::Result<CpuClock> {
        CpuClock::of(self.pid)
    }

    /// Kills it. That it has ended already is no error. Its memory is free once it [has
    /// ended](Self::ended).
    ///
    /// # Errors
    /// The system's: it is another user's process.
    pub fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match rustix::process::pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks it to write out what it has said and not written, as the last thing that it does: it is to be killed
    /// then. A process that does not know of that ends by it.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub fn ask_for_the_rest(&self) -> io::Result<()> {
        self.signal(THE_REST)
    }

    /// Waits until it has ended. Returns whether it has.
    ///
    /// # Errors
    /// The system's.
    pub fn ended(&self, at_most: Duration) -> io::Result<bool> {
        wait_readable(self.pidfd(), at_most)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It was forked for this process, so it may be killed by it.
        let _ = self.kill();
    }
}

/// Kills a child and has its number given back. A killed process ends at once, but for what the kernel
/// is doing in it.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
