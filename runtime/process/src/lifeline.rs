//! Nothing outlives the edge.
//!
//! The edge alone holds the write end of a pipe, its [`Anchor`]. Every other process holds a read end, a
//! line, which the kernel has been told to raise SIGKILL on: when the edge is gone, however it went, the
//! write end is closed, and the kernel kills whoever owns a line. That works in an endless loop, too.
//! `PR_SET_PDEATHSIG` would not do: it ends a process with its parent, and a cell outlives its template.
//!
//! Whom the kernel signals is kept with the *open file*, not with the descriptor, and forks share open
//! files. So a line that is inherited would be taken away from the parent by the child that arms it: each
//! process gets a line of its own, which the edge opens anew ([`Anchor::line`]) and passes along with
//! the command to fork. What is the same for all, the signal and that it is wanted, the edge sets;
//! the owner of a line is set by the process itself when it takes hold of it ([`hold`]).
//!
//! The line is kept where standard output would be. So it is at the same number in each process, and a
//! seccomp filter can protect it. There is nobody to read what these processes print, anyway.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::pipe::PipeFlags;

use crate::passing::wait_readable;
use crate::sys;

/// The descriptor at which every process but the edge holds its line.
pub const LINE: i32 = 1;

/// The edge's end. When it is dropped, or the process that has it ends, everything that holds a line of
/// it is killed.
#[derive(Debug)]
pub struct Anchor(OwnedFd);

impl Anchor {
    /// A new one, without lines. The user who makes it is the only one who can make lines: a process that
    /// changes its user does so first.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub fn new() -> io::Result<Self> {
        // The read end is opened again for each line. Nobody ever writes.
        let (_, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        Ok(Self(write))
    }

    /// A line for one process, to be passed to it and closed here.
    ///
    /// # Errors
    /// There is no `/proc`, or there are no more descriptors.
    pub fn line(&self) -> io::Result<OwnedFd> {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let line = rustix::fs::open(path, flags, Mode::empty())?;
        sys::signal_with_kill(&line)?;
        rustix::fs::fcntl_setfl(&line, OFlags::NONBLOCK | OFlags::ASYNC)?;
        Ok(line)
    }
}

/// Whether the edge was there when a process took hold of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// It lives, and this process dies with it from now on.
    Alive,
    /// It is gone. This process has to end by itself: the kernel has nothing more to tell.
    Gone,
}

/// Takes hold of `line` in place of whatever is at [`LINE`], which a fork has from its parent.
///
/// # Errors
/// The system's; the process must not live on then.
pub fn hold(line: OwnedFd) -> io::Result<Edge> {
    rustix::stdio::dup2_stdout(&line)?;
    drop(line);
    arm()
}

/// Takes hold of the line that is at [`LINE`] already, in a program that was started with it.
///
/// # Errors
/// As [`hold`].
pub fn arm() -> io::Result<Edge> {
    let line = rustix::stdio::stdout();
    sys::signal_self(line)?;
    // If the edge went before there was an owner to be told, nobody will be told any more. Nothing is
    // ever written, so there is something to read only at the end.
    Ok(match wait_readable(line, Duration::ZERO)? {
        true => Edge::Gone,
        false => Edge::Alive,
    })
}
