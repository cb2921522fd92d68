//! A cell's socket, in a tokio task of either side.
//!
//! Tokio's sockets ask the system for news of both directions, so whoever reads from such a socket wakes the other
//! side, which may write again: each answer of a cell would wake that cell, for nothing. This one asks for what comes,
//! and for room to write only while it has none.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use rustix::io::Errno;
use rustix::net::SendFlags;
use tokio::io::AsyncRead;
use tokio::io::ReadBuf;
use tokio::net::unix::pipe;

/// One end of a pair of stream sockets.
#[derive(Debug)]
pub struct Duplex {
    /// Tokio's pipes have one direction, and are not checked to be pipes.
    incoming: pipe::Receiver,
    /// The same end, while there is no room to write.
    outgoing: Option<pipe::Sender>,
}

impl Duplex {
    /// Over `socket`, which does not block from now on. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self {
            incoming: pipe::Receiver::from_owned_fd_unchecked(socket)?,
            outgoing: None,
        })
    }

    /// Writes what there is room for now.
    ///
    /// # Errors
    /// `WouldBlock`; or the other side is gone.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        // A peer that is gone is an error to handle, not a signal to die of.
        match rustix::net::send(self.incoming.as_fd(), bytes, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => Err(io::ErrorKind::WouldBlock.into()),
            sent => Ok(sent?),
        }
    }

    /// Writes what there is room for, at least a byte; the task is woken when there is.
    ///
    /// # Errors
    /// The other side is gone.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    self.outgoing = None;
                    return Poll::Ready(written);
                }
            }
            // What was known of the room is over: only what comes from here on counts.
            let socket = self.incoming.as_fd().try_clone_to_owned()?;
            let sender = self
                .outgoing
                .insert(pipe::Sender::from_owned_fd_unchecked(socket)?);
            ready!(sender.poll_write_ready(cx))?;
        }
    }

    /// Reads what is there now into `bytes`, behind what they hold. 0: the other side is gone.
    ///
    /// # Errors
    /// `WouldBlock`, or the system's.
    pub fn try_read_buf(&self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        self.incoming.try_read_buf(bytes)
    }
}

impl AsFd for Duplex {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.incoming.as_fd()
    }
}

impl AsyncRead for Duplex {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.incoming).poll_read(cx, buffer)
    }
}
