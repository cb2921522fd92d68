//! The cell's socket, as what is said goes out over it.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use holm_model::message::FromCell;
use holm_model::message::put;
use holm_process::duplex::Duplex;
use holm_process::spawn::THE_REST;
use tokio::io::AsyncRead;
use tokio::io::ReadBuf;

use crate::sys;

/// Bytes that may wait to be written before nothing more is begun.
const BOUND: usize = 1 << 20;

/// Bytes for which a buffer is kept when it is empty.
const KEPT: usize = 256 << 10;

/// What the cell says, until the node has room for it.
pub(crate) struct Wire {
    out: RefCell<Out>,
    socket: RefCell<Duplex>,
}

struct Out {
    bytes: Vec<u8>,
    /// How many of them are written.
    written: usize,
}

impl Wire {
    /// Says `first` before anything else.
    pub(crate) fn new(socket: Duplex, first: Vec<u8>) -> Self {
        sys::give_rest(socket.as_fd(), THE_REST.as_raw());
        let out = Out {
            bytes: first,
            written: 0,
        };
        Self {
            out: RefCell::new(out),
            socket: RefCell::new(socket),
        }
    }

    /// Says something, with what else is said in this turn.
    pub(crate) fn put(&self, message: &FromCell<'_>, payload: &[u8]) {
        self.out
            .borrow_mut()
            .change(|bytes| put(bytes, message, payload));
    }

    /// Adds frames.
    pub(crate) fn add(&self, frames: &[u8]) {
        self.out
            .borrow_mut()
            .change(|bytes| bytes.extend_from_slice(frames));
    }

    /// Whether so much waits to be written that nothing should be added which can wait.
    pub(crate) fn is_full(&self) -> bool {
        let out = self.out.borrow();
        out.bytes.len() - out.written > BOUND
    }

    /// Reads what comes in.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket.borrow_mut()).poll_read(cx, buffer)
    }

    /// Writes what there is room for now.
    pub(crate) fn try_flush(&self) {
        let socket = self.socket.borrow();
        let mut out = self.out.borrow_mut();
        while !out.is_empty() {
            match socket.try_write(out.rest()) {
                Ok(written) if written > 0 => out.wrote(written),
                // There is no room; or the node is gone, which is seen when it is next read from.
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Writes all there is, or as much as there is room for; the task is woken when there is more.
    ///
    /// # Errors
    /// The node is gone.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut socket = self.socket.borrow_mut();
        let mut out = self.out.borrow_mut();
        while !out.is_empty() {
            let written = ready!(socket.poll_write(cx, out.rest()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            out.wrote(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl Out {
    fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Adds to what is to be written. The node can ask for that when the process is not in a state to write it.
    fn change(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        sys::hide_rest();
        change(&mut self.bytes);
        sys::show_rest(self.rest());
    }

    fn wrote(&mut self, bytes: usize) {
        sys::hide_rest();
        self.written += bytes;
        if self.is_empty() {
            self.written = 0;
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
        } else if self.written > BOUND {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        sys::show_rest(self.rest());
    }
}
