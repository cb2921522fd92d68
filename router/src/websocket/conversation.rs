//! The future that drives one socket: bytes on one side, parts of messages on the other.
//!
//! What it holds is bounded: some 64 KiB to be written, and what one read brought. It reads no further while the
//! function's side has no room, and takes no more of what the function says while the other side does not read. At
//! rest it holds no buffers, and one timer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use holm_model::websocket::{Close, Item, Socket, WINDOW, code};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::decode::{Decode, Event};
use super::encode::Encode;
use super::{Fault, Keeping, Role};
use crate::link::Active;
use crate::unsent::Counted;

/// Bytes that wait to be written before no more are made.
const HIGH: usize = 64 << 10;

/// Bytes that are read at a time.
const PIECE: usize = 16 << 10;

/// Rounds before others have their turn.
const ROUNDS: usize = 32;

/// One socket, until it is over. Dropping it breaks the connection off.
#[derive(Debug)]
pub struct Conversation<I> {
    io: I,
    socket: Socket,
    keeping: Keeping,
    decode: Decode,
    encode: Encode,
    /// Was read, and is not decoded yet.
    input: BytesMut,
    /// Is to be written.
    out: BytesMut,
    is_flushed: bool,
    /// When the other side was last heard of, or need not have been.
    heard: Instant,
    /// It was asked since whether it is there.
    is_asked: bool,
    /// When a close was written.
    closing: Option<Instant>,
    /// The other side has closed, at this time, and is answered behind what the function still says.
    answer: Option<(Close, Instant)>,
    /// Nothing more is read: the other side has closed, or broken the protocol.
    is_deaf: bool,
    /// The function's side knows how it ends.
    is_told: bool,
    /// Since when the other side takes nothing.
    stalled: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    is_done: bool,
    /// What waits for it, in the books of the edge, while it takes nothing.
    counted: Option<Counted>,
    /// The request that it is, which goes on until the connection is let go of: so this is dropped behind that.
    active: Option<Active>,
}

/// The connection is no more, or is given up: nothing can be said to the other side.
struct Lost;

impl<I: AsyncRead + AsyncWrite + Unpin> Conversation<I> {
    /// Between `socket` and the other end of `io`. `compresses`: both have agreed on it.
    pub fn new(io: I, socket: Socket, role: Role, compresses: bool, keeping: Keeping) -> Self {
        let max_message = socket.max_message();
        Self {
            io,
            socket,
            keeping,
            decode: Decode::new(role, compresses, max_message),
            encode: Encode::new(role, compresses),
            input: BytesMut::new(),
            out: BytesMut::new(),
            is_flushed: true,
            heard: Instant::now(),
            is_asked: false,
            closing: None,
            answer: None,
            is_deaf: false,
            is_told: false,
            stalled: None,
            timer: None,
            is_done: false,
            counted: None,
            active: None,
        }
    }

    /// Of this request: what waits for a client that takes nothing is counted to its connection.
    pub(crate) fn belongs_to(mut self, active: Active) -> Self {
        self.active = Some(active);
        self
    }

    /// The node stops: says so to the other side.
    pub fn going_away(&mut self) {
        self.close(&Close::of(code::GOING_AWAY, "the server stops"));
    }

    fn close(&mut self, close: &Close) {
        if self.closing.is_none() {
            self.encode.close(close, &mut self.out);
            self.closing = Some(Instant::now());
        }
    }

    fn tell(&mut self, close: Close) {
        if !std::mem::replace(&mut self.is_told, true) {
            self.socket.say(Item::Close(close));
        }
    }

    fn fail(&mut self, fault: Fault) {
        self.is_deaf = true;
        self.input = BytesMut::new();
        self.close(&Close::of(fault.code, fault.reason));
        self.tell(Close::of(fault.code, fault.reason));
    }

    /// Takes what the function says. Returns whether there was any.
    fn take(&mut self, cx: &mut Context<'_>) -> Result<bool, Lost> {
        let mut is_moved = false;
        while self.closing.is_none() && self.out.len() < HIGH {
            match self.socket.poll_next(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Item::Part(part))) => {
                    if self.encode.is_costly(&part) {
                        let before = Instant::now();
                        self.encode.part(&part, &mut self.out);
                        self.socket.account().charge(before.elapsed());
                    } else {
                        self.encode.part(&part, &mut self.out);
                    }
                }
                Poll::Ready(last) => match (self.answer.take(), last) {
                    (Some((answer, _)), _) => self.close(&answer),
                    (None, Some(Item::Close(close))) => self.close(&close),
                    // Whoever had the other end is no more, and has not said why.
                    (None, None | Some(Item::Part(_))) => return Err(Lost),
                },
            }
            is_moved = true;
        }
        Ok(is_moved)
    }

    /// Reads, and hands on what comes. Returns whether there was any.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Lost> {
        let mut is_moved = false;
        while !self.is_deaf && self.out.len() < HIGH {
            // Behind a close of ours, what comes is not handed on.
            if self.closing.is_none() && !self.socket.has_room(cx) {
                // It is not its silence.
                self.heard = Instant::now();
                return Ok(is_moved);
            }
            let before = self.decode.is_costly().then(Instant::now);
            let decoded = self.decode.next(&mut self.input);
            if let Some(before) = before {
                self.socket.account().charge(before.elapsed());
            }
            match decoded {
                Ok(Some(event)) => self.hear(event),
                Ok(None) => {
                    if !self.fill(cx)? {
                        break;
                    }
                }
                Err(fault) => self.fail(fault),
            }
            is_moved = true;
        }
        Ok(is_moved)
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Part(part) if self.closing.is_none() => {
                self.socket.say(Item::Part(part));
            }
            Event::Part(_) | Event::Pong => {}
            Event::Ping(payload) if self.closing.is_none() => {
                self.encode.pong(&payload, &mut self.out);
            }
            Event::Ping(_) => {}
            Event::Close(close) => {
                self.is_deaf = true;
                self.input = BytesMut::new();
                self.answer = Some((close.clone(), Instant::now()));
                self.tell(close);
            }
        }
    }

    /// Reads more. Returns whether there was any.
    fn fill(&mut self, cx: &mut Context<'_>) -> Result<bool, Lost> {
        if self.input.is_empty() {
            // At rest it holds none.
            self.input = BytesMut::new();
        }
        let mut piece = [std::mem::MaybeUninit::uninit(); PIECE];
        let mut buffer = ReadBuf::uninit(&mut piece);
        match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                self.input.extend_from_slice(buffer.filled());
                self.heard = Instant::now();
                self.is_asked = false;
                Ok(true)
            }
            Poll::Ready(Ok(()) | Err(_)) => Err(Lost),
        }
    }

    /// Writes. Returns whether any of it went.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool, Lost> {
        let mut is_moved = false;
        while !self.out.is_empty() {
            self.is_flushed = false;
            match Pin::new(&mut self.io).poll_write(cx, &self.out) {
                Poll::Pending => {
                    self.stalled.get_or_insert_with(Instant::now);
                    if let (None, Some(active)) = (&self.counted, &self.active) {
                        // As much as there may be.
                        self.counted = Some(active.count((WINDOW + HIGH) as u64));
                    }
                    return Ok(is_moved);
                }
                Poll::Ready(Ok(written @ 1..)) => {
                    self.out.advance(written);
                    self.stalled = None;
                    is_moved = true;
                }
                Poll::Ready(Ok(_) | Err(_)) => return Err(Lost),
            }
        }
        if self.out.capacity() > 0 {
            self.out = BytesMut::new();
            self.counted = None;
        }
        if !self.is_flushed {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.is_flushed = true,
                Poll::Ready(Err(_)) => return Err(Lost),
            }
        }
        Ok(is_moved)
    }

    /// When something is due, if nothing happens before.
    fn deadline(&self) -> Instant {
        let Keeping {
            ping_every,
            close_time,
            stall_time,
            ..
        } = self.keeping;
        let answered = self.answer.as_ref().map(|(_, since)| *since);
        let next = match self.closing.or(answered) {
            Some(since) => since + close_time,
            None if self.is_asked => self.heard + ping_every * 2,
            None => self.heard + ping_every,
        };
        match self.stalled {
            Some(since) => next.min(since + stall_time),
            None => next,
        }
    }

    /// Does what is due. Pending: nothing is.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        loop {
            let due = self.deadline();
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            // One that is set too early is cheaper than one that is set for each message.
            if timer.deadline() > due || timer.is_elapsed() {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() < due {
                continue;
            }
            let is_stalled = self
                .stalled
                .is_some_and(|since| since + self.keeping.stall_time <= due);
            if !is_stalled
                && self.closing.is_none()
                && let Some((answer, _)) = self.answer.take()
            {
                // The function takes too long to hear of it.
                self.close(&answer);
                return Poll::Ready(Ok(()));
            }
            if is_stalled || self.closing.is_some() || self.is_asked {
                return Poll::Ready(Err(Lost));
            }
            self.is_asked = true;
            self.encode.ping(&mut self.out);
            return Poll::Ready(Ok(()));
        }
    }

    /// Until there is nothing to do. `Ready`: both sides have closed, or the other side has been told why not.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        for _ in 0..ROUNDS {
            let is_moved = self.write(cx)? | self.take(cx)? | self.read(cx)?;
            if self.closing.is_some() && self.is_deaf && self.out.is_empty() && self.is_flushed {
                return Poll::Ready(Ok(()));
            }
            if is_moved {
                continue;
            }
            match self.poll_time(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(due) => due?,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl From<Lost> for io::Error {
    fn from(_: Lost) -> Self {
        io::ErrorKind::ConnectionAborted.into()
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Future for Conversation<I> {
    /// Whether it ended with a close that both sides know of; what is left of the connection is to be dropped.
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_done {
            match this.turn(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => this.is_done = true,
                Poll::Ready(Err(lost)) => {
                    this.tell(Close::of(code::ABNORMAL, ""));
                    return Poll::Ready(Err(lost.into()));
                }
            }
        }
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}
