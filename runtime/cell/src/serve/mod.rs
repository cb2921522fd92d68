//! The life of a cell that has its function: requests come over its socket, and answers go back.
//!
//! One task does all of it, in turns: read what has come, begin requests for which there is room, give the
//! event loop its turn, see what has become of the requests, move bodies along, write. A turn ends when
//! none of that makes progress; then the task waits.
//!
//! - [`run`]: a request, from the call of the handler to its end
//! - [`turn`]: between two turns of the event loop
//! - [`finish`]: its end
//! - [`attached`]: requests that became WebSockets
//! - [`input`], [`wire`], [`streams`], [`fetches`], [`sockets`]: what goes over the socket

mod attached;
mod fetches;
mod finish;
mod input;
mod run;
mod sockets;
mod streams;
mod turn;
mod wire;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use holm_js_api::fetch::OutboundPort;
use holm_js_api::log::LogPort;
use holm_js_api::log::Sink;
use holm_js_api::websocket;
use holm_js_api::websocket::SocketPort;
use holm_model::body::Body;
use holm_model::log::Level;
use holm_model::message::BodyKind;
use holm_model::message::Frames;
use holm_model::message::FromCell;
use holm_model::message::Garbled;
use holm_model::message::MAX_LINE;
use holm_model::message::Start;
use holm_model::message::StreamId;
use holm_model::message::ToCell;
use holm_model::outbound::OutboundResponse;
use holm_process::duplex::Duplex;
use holm_process::page::Page;
use http::StatusCode;
use tokio::io::ReadBuf;

use self::attached::Attached;
use self::fetches::Fetches;
use self::fetches::Port;
use self::finish::Tidying;
use self::input::Input;
use self::run::Run;
use self::sockets::Sockets;
use self::streams::Streams;
use self::wire::Wire;
use crate::isolate::Isolate;
use crate::sys;

/// Requests that have to be quick, one after the other, before answers wait for those behind them.
const QUICK_ROW: u32 = 16;

/// What a quick request takes at most. Its answer waits no longer than that for each one behind it; and if
/// one of those ends the process, it is lost with it, so a function has to earn the privilege.
const QUICK: Duration = Duration::from_micros(100);

/// A cell with its function.
pub(crate) struct Server {
    isolate: Isolate,
    input: Input,
    wire: Rc<Wire>,
    streams: Rc<RefCell<Streams>>,
    fetches: Rc<Fetches>,
    sockets: Rc<Sockets>,
    page: &'static Page,
    limits: Limits,
    /// Requests that run.
    live: Vec<Run>,
    /// Requests that became WebSockets.
    attached: Attached,
    /// Requests that have come and are not begun. The node bounds them.
    waiting: VecDeque<Waiting>,
    /// CPU time up to the last time that it was charged to somebody.
    metered: Duration,
    /// Requests that have ended.
    served: u32,
    /// How many of them were quick since one was not.
    quick: u32,
    /// Bytes in use at the last sample.
    sampled_memory: u64,
    /// What the last request left floating, while it is waited for. There is no other request then.
    tidying: Option<Tidying>,
    /// Work is left in it that nobody can end: it answers no more requests.
    is_spent: bool,
    computes: bool,
}

/// A request that is not begun.
struct Waiting {
    seq: u32,
    /// All that came of it, but for a body that streams.
    frame: Vec<u8>,
    /// The client went away, which the node found out too late to take the request back.
    is_canceled: bool,
}

/// What of [`Start`] matters for requests.
struct Limits {
    memory: u64,
    subrequests: u32,
    concurrency: usize,
}

/// Whether a turn has changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Made,
    None,
}

impl Server {
    /// For the node at the other end of `socket`. `first` is said before anything else.
    pub(crate) fn new(
        isolate: Isolate,
        socket: Duplex,
        page: &'static Page,
        start: &Start,
        first: Vec<u8>,
    ) -> Self {
        let wire = Rc::new(Wire::new(socket, first));
        let streams = Rc::<RefCell<Streams>>::default();
        let fetches = Fetches::new(wire.clone(), streams.clone());
        let sockets = Sockets::new(wire.clone(), start.websockets);
        {
            let state = isolate.state();
            let mut state = state.borrow_mut();
            state.put(OutboundPort(Rc::new(Port(fetches.clone()))));
            state.put(SocketPort(Rc::new(sockets::Port(sockets.clone()))));
            state.put(LogPort(Rc::new(Lines(wire.clone()))));
        }
        Self {
            isolate,
            input: Input::default(),
            wire,
            streams,
            fetches,
            sockets,
            page,
            limits: Limits {
                memory: start.memory,
                subrequests: start.subrequests,
                concurrency: start.concurrency.max(1).into(),
            },
            live: Vec::new(),
            attached: Attached::default(),
            waiting: VecDeque::new(),
            // Starting is nobody's request.
            metered: sys::cpu_time(),
            served: 0,
            quick: 0,
            sampled_memory: 0,
            tidying: None,
            is_spent: false,
            // The page says so at first.
            computes: false,
        }
    }

    /// One turn. Ready when the node is gone.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.set_computing(true);
        let mut is_first = true;
        loop {
            let Ok(read) = self.read(cx) else {
                return Poll::Ready(());
            };
            if std::mem::replace(&mut is_first, false) {
                self.goes_on(read == Progress::None);
            }
            let begun = self.begin_waiting();
            let run = self.run(cx);
            let streams = self.streams.clone();
            // A body that has gone out may have been the last of its request.
            let sent = streams.borrow_mut().poll(&self.wire, cx);
            self.sockets.flush_blocked();
            let was_full = self.wire.is_full();
            let flushed = self.wire.poll_flush(cx);
            if let Poll::Ready(Err(_)) = flushed {
                return Poll::Ready(());
            }
            if was_full && flushed.is_ready() {
                // What waited for room has it, and nobody else would say so.
                continue;
            }
            if [read, begun, run, sent] == [Progress::None; 4] {
                break;
            }
        }
        self.set_computing(false);
        Poll::Pending
    }

    fn set_computing(&mut self, computes: bool) {
        if self.computes != computes {
            self.computes = computes;
            self.page.set_computing(computes);
        }
    }

    fn is_shared(&self) -> bool {
        self.limits.concurrency > 1
    }

    /// Reads what has come, if what is said already has room.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<Progress, Garbled> {
        let mut progress = Progress::None;
        while !self.wire.is_full() {
            let mut buffer = ReadBuf::new(self.input.room()?);
            let polled = self.wire.poll_read(cx, &mut buffer);
            let read = buffer.filled().len();
            match polled {
                Poll::Pending => break,
                Poll::Ready(Ok(())) if read > 0 => {}
                // The node has closed the socket.
                Poll::Ready(_) => return Err(Garbled),
            }
            self.input.filled += read;
            progress = Progress::Made;
            self.hear_all()?;
        }
        Ok(progress)
    }

    /// Acts on all frames that are there.
    fn hear_all(&mut self) -> Result<(), Garbled> {
        let bytes = std::mem::take(&mut self.input.bytes);
        let mut frames = Frames::of(&bytes[..self.input.filled]);
        let mut used = 0;
        while let Some((message, payload)) = frames.next::<ToCell<'_>>()? {
            let frame = &bytes[used..frames.used()];
            used = frames.used();
            self.hear(message, payload, frame);
        }
        self.input.bytes = bytes;
        self.input.take(used);
        Ok(())
    }

    fn hear(&mut self, message: ToCell<'_>, payload: &[u8], frame: &[u8]) {
        match message {
            ToCell::Request { seq, body, .. } => {
                if let BodyKind::Stream { length } = body {
                    let id = StreamId::Request(seq);
                    self.streams.borrow_mut().expect(id, length);
                }
                if self.waiting.is_empty() && self.has_room() {
                    self.begin(seq, false, message, payload);
                } else {
                    self.waiting.push_back(Waiting {
                        seq,
                        frame: frame.to_vec(),
                        is_canceled: false,
                    });
                }
            }
            ToCell::Socket(id, message) => {
                if let Some(request) = self.sockets.request_of(id)
                    && let Some(heard) = self.sockets.hear(id, message, payload)
                {
                    self.deliver(id, request, heard);
                }
            }
            ToCell::Stream(id, message) => {
                self.streams.borrow_mut().hear(id, message, payload);
            }
            ToCell::Cancel { seq } => {
                if let Some(run) = self.live.iter_mut().find(|run| run.id == seq) {
                    run.is_canceled = true;
                    self.streams.borrow_mut().forget(StreamId::Reply(seq));
                } else if let Some(own) = self.waiting.iter_mut().find(|own| own.seq == seq) {
                    own.is_canceled = true;
                }
            }
            ToCell::Passed { seq, is_complete } => {
                if let Some(run) = self.live.iter_mut().find(|run| run.id == seq) {
                    run.passed(is_complete);
                }
            }
            ToCell::Over { seq } => self.over(seq),
            ToCell::Fetched {
                fetch,
                status,
                fields,
                body,
                decoded,
            } => {
                let is_socket = body == BodyKind::Socket;
                let body = self.body(StreamId::Fetched(fetch), body, payload);
                let (Ok(status), Ok(mut headers)) = (StatusCode::from_u16(status), fields.to_map())
                else {
                    return;
                };
                headers.remove(websocket::KEY);
                if is_socket && let Some(request) = self.fetches.request_of(fetch) {
                    let key = self.sockets.opened(fetch, request);
                    headers.insert(websocket::KEY, key.into());
                }
                let response = OutboundResponse {
                    status,
                    headers,
                    body,
                    decoded,
                };
                self.fetches.answer(fetch, Ok(response));
            }
            ToCell::FetchFailed { fetch, error } => self.fetches.answer(fetch, Err(error)),
        }
    }

    /// A body that comes with its head, or behind it.
    fn body(&self, id: StreamId, kind: BodyKind, payload: &[u8]) -> Body {
        match kind {
            BodyKind::Whole => Body::Full(Bytes::copy_from_slice(payload)),
            BodyKind::Stream { length } => {
                let mut streams = self.streams.borrow_mut();
                streams.expect(id, length);
                streams.take(id).map_or(Body::Empty, Body::Stream)
            }
            // The node has nothing that is the cell's.
            BodyKind::Empty | BodyKind::Large { .. } | BodyKind::Pass { .. } | BodyKind::Socket => {
                Body::Empty
            }
        }
    }

    /// Whether another request can be begun.
    fn has_room(&self) -> bool {
        self.live.len() < self.limits.concurrency
            && self.tidying.is_none()
            && !self.is_spent
            && !self.wire.is_full()
    }

    /// Begins requests that wait, while there is room for them.
    fn begin_waiting(&mut self) -> Progress {
        let mut progress = Progress::None;
        while self.has_room() {
            let Some(Waiting {
                seq,
                frame,
                is_canceled,
            }) = self.waiting.pop_front()
            else {
                break;
            };
            progress = Progress::Made;
            // It was decoded before.
            if let Ok(Some((message, payload))) = Frames::of(&frame).next::<ToCell<'_>>() {
                self.begin(seq, is_canceled, message, payload);
            }
        }
        progress
    }

    /// Begins a request, unless the node has taken it back.
    fn begin(&mut self, seq: u32, is_canceled: bool, message: ToCell<'_>, payload: &[u8]) {
        let id = StreamId::Request(seq);
        if !self.page.begin(seq) {
            // The node gives it to another cell.
            self.streams.borrow_mut().forget(id);
            return;
        }
        if self.quick < QUICK_ROW {
            self.wire.try_flush();
        }
        if let ToCell::Request {
            method,
            url,
            fields,
            body,
            ..
        } = message
        {
            let body = match body {
                BodyKind::Stream { .. } => {
                    let body = self.streams.borrow_mut().take(id);
                    body.map_or(Body::Empty, Body::Stream)
                }
                BodyKind::Empty
                | BodyKind::Whole
                | BodyKind::Large { .. }
                | BodyKind::Pass { .. }
                | BodyKind::Socket => self.body(id, body, payload),
            };
            self.admit(seq, is_canceled, method, url, &fields, body);
        }
    }
}

/// Where lines of functions go.
struct Lines(Rc<Wire>);

impl Sink for Lines {
    fn write(&self, request: u32, level: Level, message: &str) {
        let Self(wire) = self;
        put_line(wire, request, level, message);
        // The process may be killed at any moment.
        wire.try_flush();
    }
}

fn put_line(wire: &Wire, seq: u32, level: Level, message: &str) {
    let line = &message[..message.floor_char_boundary(MAX_LINE)];
    let dropped = (message.len() - line.len()) as u64;
    let message = FromCell::Log {
        seq,
        level,
        dropped,
    };
    wire.put(&message, line.as_bytes());
}
