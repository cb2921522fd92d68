//! A cell's socket, and what has not been read or written yet.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use holm_model::message::Frames;
use holm_model::message::ToCell;
use holm_model::message::put;
use holm_process::duplex::Duplex;
use holm_process::passing::wait_readable;
use tokio_util::io::poll_read_buf;

/// Bytes that are read at a time.
const READ: usize = 64 << 10;

/// Bytes that may wait to be written before nothing more is taken up: a cell that computes does not read.
const FULL: usize = 1 << 20;

/// The node's end of a cell's socket.
#[derive(Debug)]
pub(super) struct Link {
    socket: Duplex,
    /// What was read and is no whole frame yet.
    came: Vec<u8>,
    /// What is to be written, from `written` on.
    out: Vec<u8>,
    written: usize,
}

impl Link {
    /// To be called inside a tokio runtime.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        Ok(Self {
            socket: Duplex::new(OwnedFd::from(socket))?,
            came: Vec::new(),
            out: Vec::new(),
            written: 0,
        })
    }

    /// Adds a message to what is to be written.
    pub(super) fn put(&mut self, message: &ToCell<'_>, payload: &[u8]) {
        put(&mut self.out, message, payload);
    }

    /// Adds frames that are ready.
    pub(super) fn put_bytes(&mut self, frames: &[u8]) {
        self.out.extend_from_slice(frames);
    }

    /// Whether more is to be written than should be.
    pub(super) fn is_full(&self) -> bool {
        self.out.len() - self.written > FULL
    }

    /// Writes what can be written. Ready: all of it.
    ///
    /// # Errors
    /// The cell is gone.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() {
            self.written += ready!(self.socket.poll_write(cx, &self.out[self.written..]))?;
        }
        self.out.clear();
        self.out.shrink_to(READ);
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Reads more into `came`. Ready with `false`: the cell's end is closed, and everything was read.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.came.reserve(READ);
        match ready!(poll_read_buf(
            Pin::new(&mut self.socket),
            cx,
            &mut self.came
        )) {
            Ok(read) => Poll::Ready(Ok(read > 0)),
            // It is gone, and has not read all that it was sent.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Poll::Ready(Ok(false)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Reads what is there now. `false`: the end.
    ///
    /// # Errors
    /// `WouldBlock`, or the system's.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        self.came.reserve(READ);
        let read = self.socket.try_read_buf(&mut self.came)?;
        Ok(read > 0)
    }

    /// Waits until there is something to be read, the end included.
    pub(super) fn wait(&self, at_most: Duration) {
        // If the system does not say so, there is nothing to be waited for.
        let _ = wait_readable(self.socket.as_fd(), at_most);
    }

    /// What was read.
    pub(super) fn take_came(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.came)
    }

    /// Keeps what was left of it: all but what `frames` took.
    pub(super) fn put_back(&mut self, mut came: Vec<u8>, used: usize) {
        if used == came.len() {
            came.clear();
            came.shrink_to(READ);
        } else {
            came.drain(..used);
        }
        self.came = came;
    }

    /// The frames of `came`.
    pub(super) fn frames(came: &[u8]) -> Frames<'_> {
        Frames::of(came)
    }
}
