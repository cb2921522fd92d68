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
#[cfg(fuzzing)]
pub mod fuzz;
mod give;
mod hear;
mod link;
mod running;
mod sockets;
mod streams;
mod watch;

use std::sync::Mutex;
use std::sync::MutexGuard;
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
use holm_process::memory::Reading;
use holm_process::memory::Resident;
use holm_process::page::Page;

pub(crate) use self::birth::spawn;
pub(crate) use self::watch::GROWN;
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
    /// Bytes that it holds at most, where those were not read but estimated; 0 otherwise.
    at_most: AtomicU64,
    /// It has not worked since then.
    is_resting: AtomicBool,
    /// What it held when that was last read exactly.
    reading: Mutex<Option<Reading>>,
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

/// What a process holds of its own, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// As it was read, and what little it has grown by since.
    Known(u64),
    /// It has not been read.
    AtMost(u64),
}

impl Handle {
    pub(crate) fn new(id: CellId, page: Page) -> Self {
        Self {
            id,
            page,
            pid: AtomicI32::new(0),
            bytes: AtomicU64::new(0),
            at_most: AtomicU64::new(0),
            is_resting: AtomicBool::new(false),
            reading: Mutex::default(),
            mail: Mutex::default(),
            waker: AtomicWaker::new(),
        }
    }

    /// It has a process.
    fn adopt(&self, pid: Pid) {
        self.pid
            .store(pid.as_raw_nonzero().get(), Ordering::Relaxed);
    }

    /// It has work.
    fn set_working(&self) {
        self.is_resting.store(false, Ordering::Relaxed);
    }

    /// It has come to rest, and holds what it does now until it works again. See [`Self::read_memory`].
    pub(crate) fn set_resting(&self, like: Option<Reading>) -> Held {
        let held = self.estimate(like, true);
        self.is_resting.store(true, Ordering::Relaxed);
        held
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

    /// Finds out what its process holds of its own, for [`Self::bytes`], without reading it: it may have hardly
    /// grown since that was last done, or be as far as another one of its function was, which is `like` it.
    pub(crate) fn read_memory(&self, like: Option<Reading>) -> Held {
        if !self.is_resting.load(Ordering::Relaxed) {
            return self.estimate(like, false);
        }
        match self.at_most.load(Ordering::Relaxed) {
            0 => Held::Known(self.bytes()),
            at_most => Held::AtMost(at_most),
        }
    }

    fn estimate(&self, like: Option<Reading>, settled: bool) -> Held {
        let pid = Pid::from_raw(self.pid.load(Ordering::Relaxed));
        let touched = pid.and_then(|pid| memory::touched(pid).ok());
        let held = touched.map_or(
            // It is gone, or not there yet: what it held is free, or not held.
            Held::Known(0),
            |touched| {
                let covers = |reading: Reading| reading.covers(touched, settled);
                let own = self.reading().and_then(covers);
                own.or_else(|| like.and_then(covers))
                    .map_or_else(|| Held::AtMost(self.estimated_memory()), Held::Known)
            },
        );
        let (bytes, at_most) = match held {
            Held::Known(bytes) => (bytes, 0),
            Held::AtMost(bytes) => (bytes, bytes),
        };
        self.bytes.store(bytes, Ordering::Relaxed);
        self.at_most.store(at_most, Ordering::Relaxed);
        held
    }

    /// It is likely to hold so much, and was not read.
    pub(crate) fn take_for(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Reads what its process holds of its own, which takes a millisecond.
    pub(crate) fn read_exactly(&self) -> Option<Reading> {
        let pid = Pid::from_raw(self.pid.load(Ordering::Relaxed));
        let reading = pid.and_then(|pid| Reading::of(pid).ok());
        let bytes = reading.map_or(0, |reading| reading.own);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.at_most.store(0, Ordering::Relaxed);
        *self.last_reading() = reading;
        reading
    }

    fn reading(&self) -> Option<Reading> {
        *self.last_reading()
    }

    fn last_reading(&self) -> MutexGuard<'_, Option<Reading>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
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
