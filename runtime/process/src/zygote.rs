//! The process that others are forked from, and its life: [`Zygote::enter`], made ready by the caller,
//! [`Sandbox::build`], [`Zygote::serve`].
//!
//! A template is a zygote too: a child that has become one ([`Child::into_template`]), with a control socket
//! of its own, over which the edge asks it for cells in the same words. Whatever the caller has made
//! ready, a V8 with a snapshot or a function's evaluated code, belongs to the closure that
//! [`Zygote::serve`] runs in the child, which takes it along.
//!
//! A child cannot run a stranger's code by mistake: it is a [`Child`] first, and the ways on from there,
//! [`Child::into_cell`] and [`Child::into_template`], lead through the sandbox.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::SocketType;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::WaitIdOptions;

use crate::fork::ForkError;
use crate::fork::Forked;
use crate::fork::Parent;
use crate::lifeline;
use crate::lifeline::Edge;
use crate::message::Command;
use crate::message::ForkFailure;
use crate::message::Reply;
use crate::passing::Frame;
use crate::passing::PassingError;
use crate::passing::Socket;
use crate::sandbox::Limits;
use crate::sandbox::Role;
use crate::sandbox::Sandbox;
use crate::sys;
use crate::title::Title;

/// Exit code of a child whose closure panicked, as of Rust's programs.
const PANICKED: i32 = 101;

/// Exit code of a child that could not be set up. The reason is on its standard error.
const UNFIT: i32 = 70;

/// A process that forks when the edge says so.
#[derive(Debug)]
pub struct Zygote {
    control: Socket,
    parent: Parent,
    title: Title,
    /// `/proc`, for children that become templates. A template has none: it may open nothing.
    proc: Option<OwnedFd>,
}

/// Why a process is no zygote, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ZygoteError {
    /// Somebody ran it by hand.
    #[error(
        "this is started by Holm itself, with a socket and a pipe in the place of input and output"
    )]
    NotSpawned,
    /// The edge ended meanwhile.
    #[error("the edge is gone")]
    EdgeGone,
    /// `/proc` is not there.
    #[error("/proc: {0}")]
    Proc(io::Error),
    /// The control socket fails.
    #[error("control socket: {0}")]
    Control(#[from] PassingError),
    /// Anything else.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl From<Errno> for ZygoteError {
    fn from(error: Errno) -> Self {
        Self::System(error.into())
    }
}

impl Zygote {
    /// Makes a zygote of a program that [`crate::spawn::spawn`] has started: takes hold of the lifeline and of
    /// the control socket. It is the first thing that `main` does; nothing is printed on standard output
    /// any more.
    ///
    /// # Errors
    /// [`ZygoteError`]: the process has to end.
    pub fn enter() -> Result<Self, ZygoteError> {
        let (input, output) = (rustix::stdio::stdin(), rustix::stdio::stdout());
        if rustix::net::sockopt::socket_type(input) != Ok(SocketType::SEQPACKET) || !is_pipe(output)
        {
            return Err(ZygoteError::NotSpawned);
        }
        sys::reset_signals();
        // What is typed at the edge's terminal, control-C for one, is for the edge: it ends the others when
        // it has drained. Not a session of its own: the kernel shares cores out between sessions first
        // (`sched_autogroup`), and a cell that stands back would still have as much of them as the edge.
        rustix::process::setpgid(None, None)?;
        // Its copies inherit that. Touching one byte of a huge page that is shared copies two mebibytes.
        rustix::thread::disable_transparent_huge_pages(true)?;
        if lifeline::arm()? == Edge::Gone {
            return Err(ZygoteError::EdgeGone);
        }
        // Off the standard input, where any library may read.
        let control = rustix::io::fcntl_dupfd_cloexec(input, 3)?.into();
        let open = |path, flags| rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty());
        rustix::stdio::dup2_stdin(open("/dev/null", OFlags::RDONLY)?)?;
        let proc = open("/proc", OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(|error| ZygoteError::Proc(error.into()))?;
        let parent = Parent::open(&proc).map_err(ZygoteError::Proc)?;
        let title = Title::find();
        title.set("zygote");
        Ok(Self {
            control,
            parent,
            title,
            proc: Some(proc),
        })
    }

    /// Tells the edge that this process serves from now on, and behind what.
    ///
    /// # Errors
    /// The edge is gone.
    pub fn announce(&self, sandbox: &Sandbox) -> Result<(), ZygoteError> {
        Ok(self
            .control
            .send(&Reply::Ready(sandbox.layers().clone()).encode(), &[])?)
    }

    /// Tells the edge why this process cannot serve. It ends, then.
    pub fn refuse(self, why: &str) {
        // If the edge is gone, there is nobody to be told.
        let _ = self
            .control
            .send(&Reply::Unfit(why.to_owned()).encode(), &[]);
    }

    /// Forks for the edge until that closes the control socket. `born` is run in each child, and has what
    /// it owns to itself: the child's copy of it. The child ends when that returns, with code 0, or without
    /// returning, by [`crate::exit`].
    ///
    /// What this process is, its children are copies of, so nothing may be left running: no second
    /// thread, no event loop.
    ///
    /// # Errors
    /// The control socket fails.
    pub fn serve(self, born: impl FnOnce(Child)) -> Result<(), ZygoteError> {
        sys::ignore_children();
        self.parent.copy_all_mappings()?;
        loop {
            let reply = match self.control.receive() {
                Ok(None) | Err(PassingError::Gone) => return Ok(()),
                Err(error @ (PassingError::LongFrame | PassingError::LostFds)) => {
                    Err(ForkFailure::Other(error.to_string()))
                }
                Err(error) => return Err(error.into()),
                Ok(Some(frame)) => match self.fork(frame) {
                    Ok(Turn::Child(order)) => {
                        // Whatever happens in the child: the loop around this is not run in it.
                        let _last = EndOnUnwind;
                        born(self.child(order));
                        sys::exit(0)
                    }
                    Ok(Turn::Parent(pid, pidfd)) => Ok((pid, pidfd)),
                    Err(why) => Err(why),
                },
            };
            match self.answer(reply) {
                Err(PassingError::Gone) => return Ok(()),
                sent => sent?,
            }
        }
    }

    fn answer(&self, forked: Result<(Pid, OwnedFd), ForkFailure>) -> Result<(), PassingError> {
        match forked {
            Ok((pid, pidfd)) => {
                let pid = pid.as_raw_nonzero().get();
                self.control
                    .send(&Reply::Forked { pid }.encode(), &[pidfd.as_fd()])
            }
            Err(why) => self.control.send(&Reply::Failed(why).encode(), &[]),
        }
    }

    fn fork(&self, frame: Frame) -> Result<Turn, ForkFailure> {
        let other = |error: &dyn std::fmt::Display| ForkFailure::Other(error.to_string());
        let Command::Fork { purpose, name } =
            Command::decode(&frame.bytes).map_err(|error| other(&error))?;
        let mut fds = frame.fds.into_iter();
        let line = fds.next().ok_or_else(|| other(&"no lifeline came"))?;
        // Keeps a place for the pidfd, which has to be there once there is a child.
        let room = rustix::io::fcntl_dupfd_cloexec(&self.control, 3)
            .map_err(|error| other(&io::Error::from(error)))?;
        let forked = self.parent.fork().map_err(failure)?;
        drop(room);
        match forked {
            Forked::Child => Ok(Turn::Child(Order {
                purpose,
                name,
                line,
                fds: fds.collect(),
            })),
            Forked::Parent(pid) => match pidfd(pid) {
                Ok(pidfd) => Ok(Turn::Parent(pid, pidfd)),
                Err(Errno::SRCH | Errno::CHILD) => Err(ForkFailure::Ended),
                // The kernel is out of memory. The edge closes the sockets that the child would have served,
                // and it ends by that: a template may signal nobody.
                Err(error) => Err(other(&io::Error::from(error))),
            },
        }
    }

    /// Makes a child of what fork has made. Ends the process if that cannot be done.
    fn child(self, order: Order) -> Child {
        // These are the parent's: its commands, and files that tell of it. The edge could not tell that the
        // parent has ended while a child had the socket.
        drop(self.control);
        drop(self.parent);
        match lifeline::hold(order.line) {
            Ok(Edge::Alive) => {}
            Ok(Edge::Gone) => sys::exit(0),
            Err(error) => {
                eprintln!("holm: {}: no lifeline: {error}", order.name);
                sys::exit(UNFIT);
            }
        }
        self.title.set(&order.name);
        Child {
            purpose: order.purpose,
            name: order.name,
            fds: order.fds,
            title: self.title,
            proc: self.proc,
        }
    }
}

/// A process that was just forked. It may run a stranger's code once it is a cell or a template.
#[derive(Debug)]
pub struct Child {
    /// What it is for, in the edge's words.
    pub purpose: u8,
    /// What the edge calls it.
    pub name: String,
    /// What the edge has given it.
    pub fds: Vec<OwnedFd>,
    title: Title,
    proc: Option<OwnedFd>,
}

impl Child {
    /// Becomes a cell: gives up what it has no use for, and returns what the edge has given it.
    ///
    /// # Errors
    /// The sandbox cannot be entered: the process has to end.
    pub fn into_cell(self, sandbox: &Sandbox, limits: Limits) -> io::Result<Vec<OwnedFd>> {
        let role = match self.proc {
            Some(_) => Role::Cell,
            None => Role::Copy,
        };
        drop(self.proc);
        sandbox.enter(role, limits)?;
        Ok(self.fds)
    }

    /// Becomes a template, which takes commands over `control`: gives up what it has no use for, and returns
    /// the zygote to serve with once it is ready to be copied. `limits` hold for its cells, too; theirs
    /// can only be lower.
    ///
    /// # Errors
    /// The sandbox cannot be entered, or the child is one of a template, which has no templates: the process
    /// has to end.
    pub fn into_template(
        self,
        control: Socket,
        sandbox: &Sandbox,
        limits: Limits,
    ) -> io::Result<(Zygote, Vec<OwnedFd>)> {
        let proc = self
            .proc
            .ok_or_else(|| io::Error::other("a copy of a template cannot be a template"))?;
        let parent = Parent::open(proc)?;
        sandbox.enter(Role::Template, limits)?;
        let zygote = Zygote {
            control,
            parent,
            title: self.title,
            proc: None,
        };
        Ok((zygote, self.fds))
    }
}

/// What a child begins with.
struct Order {
    purpose: u8,
    name: String,
    line: OwnedFd,
    fds: Vec<OwnedFd>,
}

/// Who comes back from a fork.
enum Turn {
    Parent(Pid, OwnedFd),
    Child(Order),
}

/// Ends the process if it is dropped: in a child, only a panic gets that far.
struct EndOnUnwind;

impl Drop for EndOnUnwind {
    fn drop(&mut self) {
        sys::exit(PANICKED);
    }
}

/// A pidfd of the child `pid`.
///
/// Children are not waited for, so its number may be free already, and even someone else's. But only this
/// process makes children of this process, one at a time: if the pidfd is of one, it is of this one.
fn pidfd(pid: Pid) -> Result<OwnedFd, Errno> {
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::process::waitid(rustix::process::WaitId::PidFd(pidfd.as_fd()), look)?;
    Ok(pidfd)
}

fn failure(error: ForkError) -> ForkFailure {
    match error {
        ForkError::Threads(threads) => ForkFailure::Threads(threads),
        ForkError::Processes => ForkFailure::Processes,
        ForkError::Memory => ForkFailure::Memory,
        ForkError::Other(error) => ForkFailure::Other(error.to_string()),
    }
}

fn is_pipe(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}
