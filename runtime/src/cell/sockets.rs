//! WebSockets between the node and a cell: parts of messages both ways, under credit, and the requests that became
//! sockets.
//!
//! Such a request is no longer among those that the cell works on: it takes no place, and its wall time does not run. It
//! is back among them when its socket is over, until the function has heard of that.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Wake;
use std::task::Waker;

use bytes::Bytes;
use holm_model::message::Garbled;
use holm_model::message::SocketId;
use holm_model::message::SocketMessage;
use holm_model::message::ToCell;
use holm_model::websocket::Close;
use holm_model::websocket::Item;
use holm_model::websocket::MAX_PART;
use holm_model::websocket::PART_COST;
use holm_model::websocket::Part;
use holm_model::websocket::Socket;
use holm_model::websocket::WINDOW;
use holm_model::websocket::code;

use super::Handle;
use super::Mail;
use super::link::Link;
use super::running::Running;

/// Longest reason of a close, in bytes (RFC 6455, 5.5.1).
const MAX_REASON: usize = 123;

/// All sockets of one cell.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    open: HashMap<SocketId, Open>,
    /// Requests that became sockets, by their numbers.
    attached: HashMap<u32, Running>,
    /// Those that wait for room in the cell's own socket.
    waiting: Vec<SocketId>,
}

/// A socket that is not over.
#[derive(Debug)]
struct Open {
    /// The request that it is, or that opened it.
    seq: u32,
    socket: Socket,
    /// Leaves mail for the cell's task.
    waker: Waker,
    /// Bytes that may be sent to the cell.
    credit: usize,
    /// The cell was told that it is over. What it still says goes out, until it has heard that.
    is_over: bool,
}

/// Something happened at the other end of a socket.
#[derive(Debug)]
struct News {
    cell: Arc<Handle>,
    id: SocketId,
}

impl Wake for News {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.cell.post(Mail::Socket(self.id));
    }
}

/// What a message of the cell has come to.
#[derive(Debug)]
pub(super) enum Heard {
    /// Nothing more.
    Nothing,
    /// There is to be another look at the socket.
    Look,
    /// The function has heard that its socket is over: the request that it was.
    Over(Box<Running>),
}

impl Sockets {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.attached.is_empty()
    }

    /// Requests that are sockets.
    pub(super) fn count(&self) -> usize {
        self.attached.len()
    }

    /// A socket that request `seq` is, or has opened.
    pub(super) fn open(&mut self, id: SocketId, seq: u32, socket: Socket, cell: &Arc<Handle>) {
        let cell = cell.clone();
        let waker = Waker::from(Arc::new(News { cell, id }));
        // There may be something in it, and nobody else would say so.
        waker.wake_by_ref();
        let open = Open {
            seq,
            socket,
            waker,
            credit: WINDOW,
            is_over: false,
        };
        self.open.insert(id, open);
    }

    /// A request is a socket from now on.
    pub(super) fn attach(&mut self, run: Running) {
        self.attached.insert(run.seq, run);
    }

    /// The request with that number, if it is a socket.
    pub(super) fn run(&mut self, seq: u32) -> Option<&mut Running> {
        self.attached.get_mut(&seq)
    }

    /// All requests that are sockets; they are not any more.
    pub(super) fn take_runs(&mut self) -> Vec<Running> {
        self.attached.drain().map(|(_, run)| run).collect()
    }

    /// Takes one of them back.
    pub(super) fn take_run(&mut self, seq: u32) -> Option<Running> {
        self.attached.remove(&seq)
    }

    /// Moves what there is to be moved between a socket and the cell. Returns whether the cell was sent something to
    /// work on.
    pub(super) fn look(&mut self, id: SocketId, link: &mut Link) -> bool {
        let mut has_work = false;
        let Some(open) = self.open.get_mut(&id).filter(|open| !open.is_over) else {
            return false;
        };
        let waker = open.waker.clone();
        let mut cx = Context::from_waker(&waker);
        if let taken @ 1.. = open.socket.taken(&cx) {
            let credit = u32::try_from(taken).unwrap_or(u32::MAX);
            link.put(&ToCell::Socket(id, SocketMessage::Credit(credit)), b"");
        }
        let close = loop {
            if link.is_full() {
                self.waiting.push(id);
                return has_work;
            }
            if open.credit == 0 {
                return has_work;
            }
            match open.socket.poll_next(&mut cx) {
                Poll::Pending => return has_work,
                Poll::Ready(Some(Item::Part(part))) => {
                    open.credit = open.credit.saturating_sub(part.cost());
                    has_work |= part.is_last;
                    let Part {
                        kind,
                        is_last,
                        bytes,
                    } = part;
                    let message = SocketMessage::Part { kind, is_last };
                    link.put(&ToCell::Socket(id, message), &bytes);
                    if let SocketId::Request(seq) = id
                        && let Some(run) = self.attached.get_mut(&seq)
                    {
                        run.received(bytes.len(), is_last);
                    }
                }
                Poll::Ready(Some(Item::Close(close))) => break close,
                Poll::Ready(None) => break Close::of(code::ABNORMAL, ""),
            }
        };
        open.is_over = true;
        if let SocketId::Request(seq) = id
            && let Some(run) = self.attached.get_mut(&seq)
        {
            run.closed(&close);
        }
        link.put(&ToCell::Socket(id, SocketMessage::Close(close)), b"");
        true
    }

    /// Those that waited for room, if there is some.
    pub(super) fn take_waiting(&mut self, link: &Link) -> Vec<SocketId> {
        match link.is_full() {
            true => Vec::new(),
            false => std::mem::take(&mut self.waiting),
        }
    }

    /// What the cell says of a socket.
    ///
    /// # Errors
    /// It says what it may not.
    pub(super) fn hear(
        &mut self,
        id: SocketId,
        message: SocketMessage,
        payload: &[u8],
    ) -> Result<Heard, Garbled> {
        // One that is over was not, when the cell said this.
        let Some(open) = self.open.get_mut(&id) else {
            return Ok(Heard::Nothing);
        };
        match message {
            SocketMessage::Part { kind, is_last } => {
                if payload.len() > MAX_PART {
                    return Err(Garbled);
                }
                let part = Part {
                    kind,
                    is_last,
                    bytes: Bytes::copy_from_slice(payload),
                };
                if open.socket.say(Item::Part(part)) > WINDOW + MAX_PART + PART_COST {
                    // More than it has credit for.
                    return Err(Garbled);
                }
                if let SocketId::Request(seq) = id
                    && let Some(run) = self.attached.get_mut(&seq)
                {
                    run.sent(payload.len(), is_last);
                }
                Ok(Heard::Nothing)
            }
            SocketMessage::Credit(bytes) => {
                // A part may have taken more than there was.
                open.credit = (open.credit + bytes as usize).min(WINDOW);
                Ok(Heard::Look)
            }
            SocketMessage::Close(close) if open.is_over => {
                // As an answer, for where the other end is a function of this node too.
                open.socket.say(Item::Close(close));
                self.open.remove(&id);
                let run = match id {
                    SocketId::Request(seq) => self.attached.remove(&seq),
                    SocketId::Fetched(_) => None,
                };
                Ok(run.map_or(Heard::Nothing, |run| Heard::Over(Box::new(run))))
            }
            SocketMessage::Close(close) => {
                let is_sendable = matches!(close.code, 1000..=4999)
                    && !matches!(close.code, 1004 | code::ABNORMAL | 1015);
                if close.reason.len() > MAX_REASON || !is_sendable {
                    return Err(Garbled);
                }
                // Where the other end is a function of this node too, this is all of the handshake.
                let is_clean = true;
                open.socket.say(Item::Close(Close { is_clean, ..close }));
                Ok(Heard::Nothing)
            }
        }
    }

    /// What belongs to request `seq` goes with it.
    pub(super) fn forget(&mut self, seq: u32) {
        self.open.retain(|_, open| open.seq != seq);
    }

    /// All sockets are to be closed, and go on until the other sides have said so.
    pub(super) fn close_all(&self, close: &Close) {
        for open in self.open.values() {
            open.socket.say(Item::Close(close.clone()));
        }
    }
}
