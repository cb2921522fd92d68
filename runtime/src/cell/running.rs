//! A request in a cell.

use std::task::Context;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use holm_model::body::Body;
use holm_model::body::BodyError;
use holm_model::body::BodyProgress;
use holm_model::body::BodyStream;
use holm_model::event::Event;
use holm_model::event::Failure;
use holm_model::event::FetchRequest;
use holm_model::event::FetchResponse;
use holm_model::log::Level;
use holm_model::message::BodyKind;
use holm_model::message::Garbled;
use holm_model::message::Settled;
use holm_model::message::StreamMessage;
use holm_model::outcome::Outcome;
use holm_model::record::Messages;
use holm_model::websocket::Close;
use holm_model::websocket::code;
use http::HeaderMap;
use http::Method;
use http::StatusCode;

use crate::deadline::Breach;
use crate::pool::Job;
use crate::request::RequestContext;

/// A request that a cell has.
#[derive(Debug)]
pub(super) struct Running {
    /// Its number in the cell.
    pub(super) seq: u32,
    pub(super) context: RequestContext,
    /// When it was handed over.
    pub(super) offered: Instant,
    /// When its wall time ends, and what is broken then.
    pub(super) wall: (Instant, Breach),
    /// What the cell said of its end.
    pub(super) settled: Option<Settled>,
    failure: Option<Failure>,
    answered_well: bool,
    /// The client went away.
    pub(super) gone: bool,
    /// The cell was told.
    pub(super) is_canceled: bool,
    /// It is ended for this, beside others, and the cell drops what is left of it.
    pub(super) ended_for: Option<Breach>,
    /// A body that passes by the cell; the request lasts as long as it does.
    pub(super) passing: Option<BodyProgress>,
    bytes_in: Count,
    bytes_out: Count,
    /// Subrequests that it has made.
    pub(super) subrequests: u32,
    wait_until: Duration,
    /// What went over its WebSocket, if it became one.
    socket: Option<Messages>,
    /// An answer of which all is there, and not all has come.
    gathering: Option<Gathering>,
    /// What it takes to give it to another cell.
    again: Option<Again>,
}

/// A large answer on its way from the cell.
#[derive(Debug)]
struct Gathering {
    head: http::Response<()>,
    bytes: Vec<u8>,
    length: u64,
}

/// A request as it came, as far as that can be given twice: a body that streams cannot, once it is on its way.
#[derive(Debug)]
struct Again {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
    kind: BodyKind,
    /// Cells that had it before, and died.
    attempts: u32,
}

/// Bytes of a body: all known, or counted while they go.
#[derive(Debug)]
enum Count {
    Known(u64),
    Live(BodyProgress),
}

impl Count {
    fn of(body: &Body) -> Self {
        match body {
            Body::Empty | Body::Socket(_) => Self::Known(0),
            Body::Full(bytes) => Self::Known(bytes.len() as u64),
            Body::Stream(stream) => Self::Live(stream.progress()),
        }
    }

    fn read(&self) -> u64 {
        match self {
            Self::Known(bytes) => *bytes,
            Self::Live(progress) => progress.read(),
        }
    }

    fn written(&self) -> u64 {
        match self {
            Self::Known(bytes) => *bytes,
            Self::Live(progress) => progress.written(),
        }
    }

    fn fault(&self) -> Option<&BodyError> {
        match self {
            Self::Known(_) => None,
            Self::Live(progress) => progress.fault(),
        }
    }

    fn is_complete(&self) -> bool {
        match self {
            Self::Known(_) => true,
            Self::Live(progress) => progress.is_complete(),
        }
    }
}

impl Running {
    /// Number `seq` of a cell, from `now` on, with `body`.
    pub(super) fn new(
        seq: u32,
        context: RequestContext,
        body: &Body,
        now: Instant,
        wall: Duration,
        wait_until: Duration,
    ) -> Self {
        Self {
            seq,
            context,
            offered: now,
            wall: (now + wall, Breach::Wall),
            settled: None,
            failure: None,
            answered_well: false,
            gone: false,
            is_canceled: false,
            ended_for: None,
            passing: None,
            bytes_in: Count::of(body),
            bytes_out: Count::Known(0),
            subrequests: 0,
            wait_until,
            socket: None,
            gathering: None,
            again: None,
        }
    }

    /// It becomes a WebSocket.
    pub(super) fn become_socket(&mut self) {
        self.socket = Some(Messages::default());
        self.again = None;
    }

    /// Whether it did.
    pub(super) fn is_socket(&self) -> bool {
        self.socket.is_some()
    }

    /// Bytes from the client, which end a message or not.
    pub(super) fn received(&mut self, bytes: usize, is_last: bool) {
        if let Some(messages) = &mut self.socket {
            messages.received += u64::from(is_last);
            messages.bytes_in += bytes as u64;
        }
    }

    /// Bytes to the client.
    pub(super) fn sent(&mut self, bytes: usize, is_last: bool) {
        if let Some(messages) = &mut self.socket {
            messages.sent += u64::from(is_last);
            messages.bytes_out += bytes as u64;
        }
    }

    /// Its WebSocket is over.
    pub(super) fn closed(&mut self, close: &Close) {
        if let Some(messages) = &mut self.socket {
            messages.code = close.code;
        }
        self.gone |= close.code == code::ABNORMAL;
    }

    /// Subrequests that it may make so far, where a request may make `most`: each message is as good as a request.
    pub(super) fn may_make(&self, most: u32) -> u64 {
        let turns = 1 + self.socket.as_ref().map_or(0, |messages| messages.received);
        u64::from(most).saturating_mul(turns)
    }

    /// With what it takes to give it to another cell.
    pub(super) fn keeping(
        mut self,
        method: Method,
        url: String,
        headers: HeaderMap,
        body: Bytes,
        kind: BodyKind,
        attempts: u32,
    ) -> Self {
        self.again = Some(Again {
            attempts,
            method,
            url,
            headers,
            body,
            kind,
        });
        self
    }

    /// The request as it came, for another cell; `stream` is its body if that was not touched.
    ///
    /// # Errors
    /// Its body is gone: the request can only fail.
    pub(super) fn give_back(self, stream: Option<BodyStream>) -> Result<Job, Box<RequestContext>> {
        let Self {
            mut context, again, ..
        } = self;
        let Some(again) = again else {
            return Err(Box::new(context));
        };
        let body = match (again.kind, stream) {
            (BodyKind::Empty, _) => Body::Empty,
            (BodyKind::Whole, _) => Body::Full(again.body),
            (_, Some(stream)) => Body::Stream(stream),
            (
                BodyKind::Stream { .. }
                | BodyKind::Large { .. }
                | BodyKind::Pass { .. }
                | BodyKind::Socket,
                None,
            ) => {
                return Err(Box::new(context));
            }
        };
        context.requeue();
        let event = Event::Fetch(FetchRequest {
            method: again.method,
            url: again.url,
            headers: again.headers,
            body,
        });
        Ok(Job {
            context,
            event,
            attempts: again.attempts,
        })
    }

    /// The function's answer.
    pub(super) fn answer(&mut self, response: FetchResponse, passing: Option<BodyProgress>) {
        self.bytes_out = Count::of(response.body());
        self.passing = passing;
        self.answered_well = true;
        let is_whole = matches!(self.bytes_out, Count::Known(_));
        if !self.context.answer(Ok(response)) {
            self.gone = true;
        }
        if is_whole {
            self.only_wait_until(Instant::now());
        }
    }

    /// The answer, of which `length` bytes follow at once.
    pub(super) fn gather(&mut self, head: http::Response<()>, length: u64) {
        self.gathering = Some(Gathering {
            head,
            bytes: Vec::new(),
            length,
        });
    }

    /// Whether such an answer is on its way.
    pub(super) fn is_gathering(&self) -> bool {
        self.gathering.is_some()
    }

    /// What comes of it. At its end it is the answer.
    ///
    /// # Errors
    /// It is not what was said.
    pub(super) fn gathered(&mut self, said: &StreamMessage, payload: &[u8]) -> Result<(), Garbled> {
        let gathering = self.gathering.as_mut().ok_or(Garbled)?;
        match said {
            StreamMessage::Chunk => {
                let length = (gathering.bytes.len() + payload.len()) as u64;
                if length > gathering.length {
                    return Err(Garbled);
                }
                gathering.bytes.extend_from_slice(payload);
            }
            StreamMessage::End => {
                let Some(gathering) = self.gathering.take() else {
                    return Err(Garbled);
                };
                if gathering.bytes.len() as u64 != gathering.length {
                    return Err(Garbled);
                }
                let body = Body::Full(gathering.bytes.into());
                self.answer(gathering.head.map(|()| body), None);
            }
            StreamMessage::Broken(_) => self.gathering = None,
            StreamMessage::Credit(_) | StreamMessage::Left => return Err(Garbled),
        }
        Ok(())
    }

    /// Something was thrown, or nothing will come.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure.clone());
        // After the head has gone out, only the record can tell.
        if !self.context.is_answered() {
            self.only_wait_until(Instant::now());
            if !self.context.answer(Err(failure)) {
                self.gone = true;
            }
        }
    }

    /// The answer has gone out: what follows has its own time.
    pub(super) fn only_wait_until(&mut self, now: Instant) {
        self.wall = (now + self.wait_until, Breach::WaitUntil);
    }

    /// The reader of the answer is gone. Returns whether that was before its end.
    pub(super) fn reader_left(&mut self) -> bool {
        // Where the function broke it off, nobody left.
        let is_early = !self.bytes_out.is_complete() && self.bytes_out.fault().is_none();
        self.gone |= is_early;
        is_early
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        self.settled.is_some() && self.passing.is_none()
    }

    /// A body that passes by has come to its end. Returns whether the client has all of it.
    pub(super) fn poll_passed(&mut self, cx: &mut Context<'_>) -> Option<bool> {
        let passing = self.passing.as_ref()?;
        if passing.poll_over(cx).is_pending() {
            return None;
        }
        let is_complete = passing.is_complete();
        self.gone |= !is_complete;
        self.passing = None;
        Some(is_complete)
    }

    /// Its time is up, and the cell, which has others, is to drop it within `grace`.
    pub(super) fn drop_for(&mut self, breach: Breach, now: Instant, grace: Duration) {
        self.ended_for = Some(breach);
        self.wall = (now + grace, breach);
        if !self.context.is_answered() {
            let outcome = breach.outcome(Outcome::Ok);
            self.context.answer(Err(Failure::of(outcome)));
        }
    }

    /// What it comes to when it has run its course.
    fn outcome(&self) -> Outcome {
        if self.gone {
            return Outcome::Canceled;
        }
        match &self.failure {
            Some(failure) => failure.outcome,
            None => Outcome::Ok,
        }
    }

    /// What became of the request, where `outcome` is what it looks like from inside; and the status
    /// that its client is told, if that does not stand for it. A function that fails without an
    /// answer over a body that never came is not to blame.
    fn blame(&self, outcome: Outcome) -> (Outcome, Option<StatusCode>) {
        match (outcome, self.bytes_in.fault()) {
            (Outcome::Exception, Some(fault)) if !self.answered_well => match fault {
                BodyError::TooLarge { .. } => {
                    (Outcome::Refused, Some(StatusCode::PAYLOAD_TOO_LARGE))
                }
                BodyError::Idle { .. } => (Outcome::Refused, Some(StatusCode::REQUEST_TIMEOUT)),
                BodyError::Malformed | BodyError::Length { .. } | BodyError::Aborted(_) => {
                    (Outcome::Refused, Some(StatusCode::BAD_REQUEST))
                }
                BodyError::Disconnected => (Outcome::Canceled, None),
            },
            (outcome, _) => (outcome, None),
        }
    }

    /// It has run its course: writes its record. Returns the outcome.
    pub(super) fn finish(self) -> Outcome {
        let outcome = self.outcome();
        let cpu = Duration::from_nanos(self.settled.map_or(0, |settled| settled.cpu));
        match self.ended_for {
            Some(breach) => self.end_for(breach, cpu),
            None => self.end(outcome, cpu),
        }
    }

    /// It was ended, for `breach`, having used `cpu`.
    pub(super) fn end_for(mut self, breach: Breach, cpu: Duration) -> Outcome {
        let outcome = breach.outcome(self.outcome());
        if breach == Breach::WaitUntil {
            let words = format!(
                "work given to waitUntil was ended after its {}; `limits.wait_until` raises it",
                holm_model::limits::WallTime::from_duration(self.wait_until)
            );
            self.context.note(Level::Warn, words);
        }
        self.end(outcome, cpu)
    }

    /// Its cell was taken away, by no fault of its own.
    pub(super) fn take_away(mut self, cpu: Duration) -> Outcome {
        self.context
            .note(Level::Error, "its isolate was ended by the node".into());
        self.end(Outcome::Reset, cpu)
    }

    /// Its cell has died.
    pub(super) fn crash(mut self, why: &str, cpu: Duration) -> Outcome {
        self.context.note(Level::Error, why.to_owned());
        self.end(Outcome::Crashed, cpu)
    }

    fn end(mut self, outcome: Outcome, cpu: Duration) -> Outcome {
        let (outcome, status) = self.blame(outcome);
        if !self.context.is_answered() && outcome != Outcome::Ok {
            self.context.answer(Err(Failure::of(outcome)));
        }
        let record = self.context.record();
        record.status = status.or(record.status);
        record.cpu = cpu;
        record.memory = self.settled.map_or(record.memory, |settled| settled.memory);
        record.bytes_in = self.bytes_in.read();
        record.bytes_out = self.bytes_out.written();
        record.subrequests = self.subrequests;
        if let Some(messages) = self.socket {
            record.bytes_in += messages.bytes_in;
            record.bytes_out += messages.bytes_out;
            record.websocket = Some(messages);
        }
        record.thrown = self.failure.and_then(|failure| failure.thrown);
        self.context.finish(outcome);
        outcome
    }
}
