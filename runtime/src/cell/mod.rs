//! One cell, as the node sees it: a process behind a socket.
//!
//! A cell has a task of its own, [`driver`], which owns everything of it: the process, the socket, the requests
//! that are in it. Others reach it by its [`Handle`] alone: they leave mail, and wake it. When the task ends the
//! process is killed; nothing waits for it.
//!
//! - [`driver`]: the task: what it does when it is woken
//! - [`give`]: requests on their way to it; [`hear`]: what it says; [`end`]: what becomes of them when it ends
//! - [`running`]: a request in the cell, to its record
//! - [`streams`]: bodies, both ways; [`sockets`]: WebSockets
//! - [`watch`]: its deadlines, and what is done about them
//! - [`link`]: the socket and its buffers
//! - [`birth`]: how a process comes to be one

mod birth;
mod driver;
mod end;
mod give;
mod hear;
mod link;
mod running;
mod sockets;
mod streams;
mod watch;

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Waker;

use futures::task::AtomicWaker;
use holm_model::message::SocketId;
use holm_model::message::StreamId;
use holm_model::outbound::OutboundError;
use holm_model::outbound::OutboundResponse;
use holm_process::Pid;
use holm_process::memory;
use holm_process::memory::Resident;
use holm_process::page::Page;

pub(crate) use self::birth::spawn;
use crate::pool::CellId;

/// What others know of a cell, and how they reach it.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) id: CellId,
    pub(crate) page: Page,
    /// Number of the process; 0 while there is none.
    pid: AtomicI32,
    /// Bytes that it held when that was last read.
    bytes: AtomicU64,
    /// It has not worked since then.
    is_resting: AtomicBool,
    mail: Mutex<Vec<Mail>>,
    waker: AtomicWaker,
}

/// Something for a cell's task.
#[derive(Debug)]
pub(crate) enum Mail {
    /// Requests may wait for it.
    Work,
    /// It is to end when it has no work.
    End,
    /// It is to end now.
    Evict,
    /// A chunk was taken out of this body.
    Taken(StreamId),
    /// Nobody reads this body any more.
    Left(StreamId),
    /// Something happened at the other end of this WebSocket.
    Socket(SocketId),
    /// What came of a subrequest.
    Fetched(u32, Box<Result<OutboundResponse, OutboundError>>),
}

impl Handle {
    pub(crate) fn new(id: CellId, page: Page) -> Self {
        Self {
            id,
            page,
            pid: AtomicI32::new(0),
            bytes: AtomicU64::new(0),
            is_resting: AtomicBool::new(false),
            mail: Mutex::default(),
            waker: AtomicWaker::new(),
        }
    }

    /// It has a process.
    fn adopt(&self, pid: Pid) {
        self.pid
            .store(pid.as_raw_nonzero().get(), Ordering::Relaxed);
    }

    /// It has work, or has come to rest.
    fn set_resting(&self, is_resting: bool) {
        if is_resting {
            self.read_memory();
        }
        self.is_resting.store(is_resting, Ordering::Relaxed);
    }

    /// Bytes that its process holds of its own, as they were last read.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes that its process holds of its own, at most, as of now; to be read in no time.
    fn estimated_memory(&self) -> u64 {
        let pid = Pid::from_raw(self.pid.load(Ordering::Relaxed));
        let resident = pid.and_then(|pid| Resident::of(pid).ok());
        resident.map_or(0, |resident| resident.own())
    }

    /// Bytes that its process holds of its own, as of now.
    pub(crate) fn read_memory(&self) -> u64 {
        if self.is_resting.load(Ordering::Relaxed) {
            return self.bytes();
        }
        let pid = Pid::from_raw(self.pid.load(Ordering::Relaxed));
        // It is gone, or not there yet: what it held is free, or not held.
        let bytes = pid.and_then(|pid| memory::own(pid).ok()).unwrap_or(0);
        self.bytes.store(bytes, Ordering::Relaxed);
        bytes
    }

    /// Leaves mail, and wakes the cell's task.
    pub(crate) fn post(&self, mail: Mail) {
        self.mail
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(mail);
        self.waker.wake();
    }

    /// Who is woken.
    fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    fn take_mail(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.mail.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
