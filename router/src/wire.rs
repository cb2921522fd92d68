//! The bytes of one connection, on their way to and from hyper.
//!
//! Inbound, the [`Wire`] finds out which HTTP is spoken, and then lets through only what
//! [`Framing`] finds sound. A head that is refused is replaced by a stand-in: a request that is
//! sound and says nothing, which the service recognises by its number and answers with the
//! reason. So a refusal takes the same way out as any response, in its turn behind those before
//! it, and what follows it is never read as a request.
//!
//! The end of a client's side is not its going away: it is held back from hyper, which takes it for
//! that, while a request is in flight (see `end`).
//!
//! The clocks of the connection run here too, because only here is it known whether a byte is
//! owed: for the head, for the time between requests, for a client that takes nothing. One timer
//! serves them all and is set late: it fires at most a few times a minute, not once per request.

mod clock;
mod end;
mod frames;
mod outbound;
mod transport;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Sleep;

use crate::drain::Drain;
use crate::framing::{Advance, Framing, Limits, Rest};
use crate::link::Link;
use crate::refusal::Refusal;

pub(crate) use clock::Windows;
use clock::{Clock, Phase};
use end::End;
use frames::Frames;
pub use transport::Transport;

/// The version that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    Http1,
    Http2,
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What hyper reads where a head was refused.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: -\r\nconnection: close\r\n\r\n";

/// How much is read at once while a head is incomplete.
const PIECE: usize = 4096;

#[derive(Debug)]
pub(crate) struct Wire<I: Transport> {
    io: I,
    link: Arc<Link>,
    drain: Arc<Drain>,
    inbound: Inbound,
    /// Bytes that hyper may have, read earlier.
    ready: BytesMut,
    clock: Clock,
    linger: Option<Pin<Box<Sleep>>>,
    stalled: Option<Pin<Box<Sleep>>>,
    end: End,
    /// Nothing that hyper wrote waits for the client.
    is_flushed: bool,
    is_shut: bool,
}

#[derive(Debug)]
enum Inbound {
    /// The version is not known yet.
    Unknown {
        held: BytesMut,
        limits: Limits,
    },
    Http1 {
        framing: Framing,
        /// The start of a head, held back.
        held: BytesMut,
    },
    Http2(Frames),
    /// What comes is no HTTP: the connection was upgraded.
    Raw,
    /// Nothing more is let through: behind a stand-in.
    Refused,
    /// Nothing more is let through: within a body.
    Broken,
}

impl<I: Transport> Wire<I> {
    pub(crate) fn new(
        io: I,
        link: Arc<Link>,
        drain: Arc<Drain>,
        limits: Limits,
        windows: Windows,
    ) -> Self {
        Self {
            io,
            link,
            drain,
            inbound: Inbound::Unknown {
                held: BytesMut::new(),
                limits,
            },
            ready: BytesMut::new(),
            clock: Clock::new(windows),
            linger: None,
            stalled: None,
            end: End::default(),
            is_flushed: true,
            is_shut: false,
        }
    }

    /// Waits for enough bytes to know the version; `None` if the client ends, or says too little
    /// for too long.
    pub(crate) fn poll_version(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Spoken>>> {
        loop {
            let Inbound::Unknown { held, limits } = &mut self.inbound else {
                return Poll::Ready(Ok(None));
            };
            if held.starts_with(PREFACE) {
                self.ready = std::mem::take(held);
                let mut frames = Frames::new();
                // One piece at most: too little to overdo it.
                frames.advance(&self.ready[PREFACE.len()..]);
                self.inbound = Inbound::Http2(frames);
                return Poll::Ready(Ok(Some(Spoken::Http2)));
            }
            if !PREFACE.starts_with(held) {
                let (framing, held) = (Framing::new(*limits), std::mem::take(held));
                self.inbound = Inbound::Http1 { framing, held };
                // The whole head may be there.
                self.advance_held();
                return Poll::Ready(Ok(Some(Spoken::Http1)));
            }
            match self.poll_hold(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(None)),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(self.poll_clock(cx));
                    return Poll::Ready(Ok(None));
                }
            }
        }
    }

    /// Reads a piece and adds it to what is held back.
    fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut piece = [0; PIECE];
        let mut buffer = ReadBuf::new(&mut piece);
        let polled = Pin::new(&mut self.io).poll_read(cx, &mut buffer);
        let read = buffer.filled();
        self.end.looked(&polled, read);
        ready!(polled)?;
        match &mut self.inbound {
            Inbound::Unknown { held, .. } | Inbound::Http1 { held, .. } => {
                held.extend_from_slice(read);
            }
            Inbound::Http2(_) | Inbound::Raw | Inbound::Refused | Inbound::Broken => {}
        }
        Poll::Ready(Ok(read.len()))
    }

    /// Looks again at what was held back, and lets through what can be.
    fn advance_held(&mut self) {
        let Inbound::Http1 { framing, held } = &mut self.inbound else {
            return;
        };
        let Advance { pass, rest } = framing.advance(held);
        self.link.passed(framing.heads());
        if self.ready.is_empty() && pass == held.len() {
            self.ready = std::mem::take(held);
        } else {
            self.ready.extend_from_slice(&held[..pass]);
            held.advance(pass);
        }
        self.settle(rest);
    }

    /// Acts on what may not pass.
    fn settle(&mut self, rest: Rest) {
        match rest {
            Rest::None | Rest::Hold => {}
            Rest::Refuse(refusal) => self.stand_in(refusal),
            Rest::Break => self.inbound = Inbound::Broken,
        }
    }

    fn stand_in(&mut self, refusal: Refusal) {
        self.link.refuse(refusal);
        self.ready.extend_from_slice(STAND_IN);
        self.inbound = Inbound::Refused;
    }

    /// Reads straight into hyper's buffer, and takes back what may not pass. Returns whether
    /// anything is left in it.
    fn poll_direct(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let start = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        let read = &buffer.filled()[start..];
        self.end.looked(&polled, read);
        ready!(polled)?;
        if read.is_empty() {
            return Poll::Ready(Ok(false));
        }
        let pass = match &mut self.inbound {
            Inbound::Http1 { framing, held } => {
                let Advance { pass, rest } = framing.advance(read);
                self.link.passed(framing.heads());
                held.extend_from_slice(&read[pass..]);
                self.settle(rest);
                pass
            }
            Inbound::Http2(frames) => {
                let pass = frames.advance(read);
                if pass < read.len() {
                    self.ready.extend_from_slice(frames::STAND_IN);
                    self.inbound = Inbound::Refused;
                }
                pass
            }
            Inbound::Unknown { .. } | Inbound::Raw | Inbound::Refused | Inbound::Broken => {
                read.len()
            }
        };
        buffer.set_filled(start + pass);
        Poll::Ready(Ok(pass > 0))
    }

    /// Whether the client, which has ended its side, is still owed what it asked for.
    fn is_in_flight(&self) -> bool {
        let is_between = match &self.inbound {
            // Some clients end a body with a line break that is no part of it.
            Inbound::Http1 { framing, held } => {
                framing.expects_head() && held.iter().all(|byte| b"\r\n".contains(byte))
            }
            Inbound::Unknown { .. }
            | Inbound::Http2(_)
            | Inbound::Raw
            | Inbound::Refused
            | Inbound::Broken => false,
        };
        is_between && (self.link.is_active() || !self.is_flushed)
    }

    /// Ready once the time for what the client owes is over.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_head_begun = match &self.inbound {
            Inbound::Unknown { held, .. } | Inbound::Http1 { held, .. } => !held.is_empty(),
            Inbound::Http2(_) | Inbound::Raw | Inbound::Refused | Inbound::Broken => false,
        };
        let phase = if self.link.is_active() || self.link.is_refused() {
            Phase::Busy
        } else if is_head_begun {
            Phase::Head
        } else if self.drain.has_begun() {
            match &self.inbound {
                Inbound::Http2(_) => Phase::OnItsWay,
                Inbound::Unknown { .. }
                | Inbound::Http1 { .. }
                | Inbound::Raw
                | Inbound::Refused
                | Inbound::Broken => match self.link.requests() {
                    // Who has just connected is about to ask.
                    0 => Phase::OnItsWay,
                    _ => Phase::LastChance,
                },
            }
        } else if self.link.requests() == 0 {
            Phase::Fresh
        } else {
            Phase::Idle
        };
        self.clock.poll(phase, cx)
    }

    /// What the end of the time means for the reader.
    fn expire(&mut self) {
        match &self.inbound {
            Inbound::Http1 { held, .. } if !held.is_empty() => {
                let after = self.clock.windows().head;
                self.stand_in(Refusal::TimedOut(after));
            }
            Inbound::Unknown { .. }
            | Inbound::Http1 { .. }
            | Inbound::Http2(_)
            | Inbound::Raw
            | Inbound::Refused
            | Inbound::Broken => self.end.reach(),
        }
    }

    /// Lets everything through once an answer has made the connection a WebSocket, and not before: what was held back
    /// first. Behind a head that was refused nothing is.
    fn follow_upgrade(&mut self) {
        if let Inbound::Http1 { held, .. } = &mut self.inbound
            && self.link.is_upgraded()
        {
            let held = std::mem::take(held);
            self.ready.extend_from_slice(&held);
            self.inbound = Inbound::Raw;
        }
    }
}

impl<I: Transport> AsyncRead for Wire<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        loop {
            wire.follow_upgrade();
            if !wire.ready.is_empty() {
                let length = wire.ready.len().min(buffer.remaining());
                buffer.put_slice(&wire.ready[..length]);
                wire.ready.advance(length);
                return Poll::Ready(Ok(()));
            }
            if wire.end.is_reached() {
                let is_in_flight = wire.is_in_flight();
                return wire.end.poll_told(is_in_flight, cx).map(Ok);
            }
            let is_held = match &wire.inbound {
                // An end here would be taken for the client's, and the answer not be sent.
                Inbound::Refused => return Poll::Pending,
                Inbound::Broken => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                Inbound::Unknown { held, .. } | Inbound::Http1 { held, .. } => !held.is_empty(),
                Inbound::Http2(_) | Inbound::Raw => false,
            };
            let progress = if is_held {
                wire.poll_hold(cx).map_ok(|_| {
                    wire.advance_held();
                    false
                })
            } else {
                wire.poll_direct(cx, buffer)
            };
            match progress {
                Poll::Ready(Ok(true)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(false)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(wire.poll_clock(cx));
                    wire.expire();
                }
            }
        }
    }
}
