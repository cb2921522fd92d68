//! What a cell says, one message after the other. It has run a stranger's code: whatever it may not say ends it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use holm_model::body::Body;
use holm_model::body::BodyStream;
use holm_model::event::Failure;
use holm_model::log::LogBudget;
use holm_model::log::Thrown;
use holm_model::message::BodyKind;
use holm_model::message::Fields;
use holm_model::message::Frames;
use holm_model::message::FromCell;
use holm_model::message::Garbled;
use holm_model::message::Settled;
use holm_model::message::SocketId;
use holm_model::message::StreamId;
use holm_model::message::ToCell;
use holm_model::outbound::OutboundError;
use holm_model::outbound::OutboundRequest;
use holm_model::outbound::OutboundResponse;
use holm_model::outbound::Way;
use holm_model::outcome::Outcome;
use holm_model::websocket::Socket;
use http::Method;
use http::StatusCode;
use url::Url;

use super::Mail;
use super::driver::Cell;
use super::driver::Fetching;
use super::driver::Stage;
use super::end::End;
use super::running::Running;
use super::sockets;

/// Whether a message was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Something,
    Nothing,
}

/// Longest text of what was thrown, in bytes, twice what a cell sends.
const MAX_THROWN: usize = 128 << 10;

impl From<Garbled> for End {
    fn from(_: Garbled) -> Self {
        Self::Died("its process said what it may not")
    }
}

impl Cell {
    /// Takes in the next message.
    pub(super) fn hear_one(&mut self, frames: &mut Frames<'_>) -> Result<Heard, End> {
        let Some((message, payload)) = frames.next::<FromCell<'_>>()? else {
            return Ok(Heard::Nothing);
        };
        match message {
            FromCell::Ready => self.ready(),
            FromCell::Started { uncalled, .. } => {
                self.pool.deployment.note_uncalled(uncalled);
                self.ready();
            }
            FromCell::StartFailed(error) => return Err(End::NotStarted(error)),
            FromCell::Code { .. } => {}
            FromCell::Reply {
                seq,
                status,
                fields,
                body,
                settled,
            } => {
                self.replied(seq, status, &fields, body, payload)?;
                if let Some(settled) = settled {
                    self.settled(seq, settled);
                }
            }
            FromCell::Failed {
                seq,
                outcome,
                thrown,
            } => self.failed(seq, outcome, thrown)?,
            FromCell::Settled { seq, settled } => self.settled(seq, settled),
            FromCell::Stream(StreamId::Reply(seq), message)
                if self.run(seq).is_some_and(|run| run.is_gathering()) =>
            {
                if let Some(run) = self.run(seq) {
                    run.gathered(&message, payload)?;
                }
            }
            FromCell::Stream(id, message) => {
                let has_ended = self.streams.hear(id, message, payload)?;
                if has_ended
                    && let StreamId::Reply(seq) = id
                    && let Some(run) = self.run(seq)
                {
                    run.only_wait_until(Instant::now());
                }
            }
            FromCell::Socket(id, message) => {
                match self.sockets.hear(id, message, payload)? {
                    sockets::Heard::Nothing => {}
                    sockets::Heard::Look => self.look_at_socket(id),
                    sockets::Heard::Over(mut run) => {
                        // It has as long as any request behind its answer.
                        run.only_wait_until(Instant::now());
                        self.requests.push(*run);
                        self.look_before(Instant::now());
                    }
                }
            }
            FromCell::Awake => self.look_before(Instant::now()),
            FromCell::Log {
                seq,
                level,
                dropped,
            } => {
                let budget = LogBudget(self.pool.deployment.limits.log.as_u64());
                let text = std::str::from_utf8(payload)
                    .map_err(|_| Garbled)?
                    .to_owned();
                if let Some(run) = self.run(seq) {
                    let log = &mut run.context.record().log;
                    // A line that is empty may only tell of others.
                    if dropped == 0 || !text.is_empty() {
                        log.push(level, text, budget);
                    }
                    log.dropped = log.dropped.saturating_add(dropped);
                }
            }
            FromCell::Fetch {
                seq,
                fetch,
                way,
                method,
                url,
                fields,
                body,
            } => self.fetch((seq, fetch, way), (method, url, &fields), body, payload)?,
            FromCell::FetchLeft { fetch } => {
                self.fetches.remove(&fetch);
                self.streams.stop(StreamId::Fetched(fetch));
            }
        }
        Ok(Heard::Something)
    }

    /// The cell answers from now on.
    fn ready(&mut self) {
        if !matches!(self.stage, Stage::Serving) {
            self.stage = Stage::Serving;
            self.place.started();
        }
    }

    /// The request with that number, if the cell has begun it. One that is over for the node has none.
    fn run(&mut self, seq: u32) -> Option<&mut Running> {
        let run = self.requests.iter_mut().find(|run| run.seq == seq);
        run.or_else(|| self.sockets.run(seq))
    }

    fn replied(
        &mut self,
        seq: u32,
        status: u16,
        fields: &Fields<'_>,
        body: BodyKind,
        payload: &[u8],
    ) -> Result<(), Garbled> {
        let status = StatusCode::from_u16(status).map_err(|_| Garbled)?;
        let is_socket = body == BodyKind::Socket;
        if status.is_informational() && !(is_socket && status == StatusCode::SWITCHING_PROTOCOLS) {
            return Err(Garbled);
        }
        let headers = fields.to_map()?;
        let Some(place) = self.requests.iter().position(|run| run.seq == seq) else {
            return Ok(());
        };
        let run = &self.requests[place];
        if run.ended_for.is_some() {
            // It was told in the meantime that this is too late.
            return Ok(());
        }
        if run.context.is_answered() {
            return Err(Garbled);
        }
        if let BodyKind::Large { length } = body {
            if length > self.pool.deployment.limits.memory.as_u64() && self.pool.services.enforces {
                return Err(Garbled);
            }
            let mut head = http::Response::new(());
            *head.status_mut() = status;
            *head.headers_mut() = headers;
            self.requests[place].gather(head, length);
            return Ok(());
        }
        if is_socket {
            return self.became_socket(place, status, headers);
        }
        let (body, passes) = self.body(StreamId::Reply(seq), body, payload)?;
        let passing = passes.then(|| body.progress()).flatten();
        let mut response = http::Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        self.requests[place].answer(response, passing);
        Ok(())
    }

    /// The function answers with a WebSocket: the request goes on as long as that, and takes no place.
    fn became_socket(
        &mut self,
        place: usize,
        status: StatusCode,
        headers: http::HeaderMap,
    ) -> Result<(), Garbled> {
        let limits = &self.pool.deployment.limits;
        if self.sockets.count() >= limits.websockets.as_usize() {
            return Err(Garbled);
        }
        let max_message = limits.websocket_message.as_u64();
        let mut run = self.requests.remove(place);
        let seq = run.seq;
        let (ours, theirs) = Socket::pair(max_message, run.context.caller().account);
        let mut response = http::Response::new(Body::Socket(Box::new(theirs)));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        run.become_socket();
        run.answer(response, None);
        let now = Instant::now();
        self.pool
            .served(now.saturating_duration_since(run.offered), Outcome::Ok);
        self.settled_at = now;
        self.sockets.attach(run);
        let handle = self.handle.clone();
        self.sockets
            .open(SocketId::Request(seq), seq, ours, &handle);
        if self.pool.deployment.concurrency.is_shared() {
            let cpu = self.cpu();
            let limit = self.pool.deployment.limits.cpu.as_duration();
            self.budget.end(cpu, limit, self.requests.len());
        }
        // There is room for another one.
        self.look_before(now);
        Ok(())
    }

    /// The body of a message from the cell, and whether it passes by the cell.
    fn body(
        &mut self,
        id: StreamId,
        kind: BodyKind,
        payload: &[u8],
    ) -> Result<(Body, bool), Garbled> {
        Ok(match kind {
            BodyKind::Empty => (Body::Empty, false),
            BodyKind::Whole => (Body::Full(Bytes::copy_from_slice(payload)), false),
            BodyKind::Stream { length } => {
                let stream = self.streams.expect(id, length, &self.handle);
                (Body::Stream(stream), false)
            }
            // Of an answer, and taken in there.
            BodyKind::Large { .. } | BodyKind::Socket => return Err(Garbled),
            BodyKind::Pass { of, length } => {
                if of.is_of_cell() {
                    return Err(Garbled);
                }
                let mut stream: BodyStream = self.streams.take_back(of)?;
                if let Some(length) = length {
                    stream.declare(length);
                }
                (Body::Stream(stream), true)
            }
        })
    }

    fn failed(
        &mut self,
        seq: u32,
        outcome: Outcome,
        thrown: Option<Thrown>,
    ) -> Result<(), Garbled> {
        let is_possible = matches!(
            outcome,
            Outcome::Exception | Outcome::NoResponse | Outcome::InternalError
        );
        let is_long = thrown
            .as_ref()
            .is_some_and(|thrown| thrown.message.len() + thrown.stack.len() > MAX_THROWN);
        if !is_possible || is_long {
            return Err(Garbled);
        }
        if let Some(run) = self.run(seq) {
            run.fail(Failure {
                thrown,
                ..Failure::of(outcome)
            });
        }
        Ok(())
    }

    fn settled(&mut self, seq: u32, settled: Settled) {
        if let Some(run) = self.sockets.take_run(seq) {
            // Its socket goes with it.
            self.requests.push(run);
        }
        let Some(place) = self.requests.iter().position(|run| run.seq == seq) else {
            return;
        };
        let run = &mut self.requests[place];
        run.settled = Some(settled);
        if run.is_over() {
            self.finish(place);
        }
    }

    fn fetch(
        &mut self,
        (seq, fetch, way): (u32, u32, Way),
        (method, url, fields): (&str, &str, &Fields<'_>),
        body: BodyKind,
        payload: &[u8],
    ) -> Result<(), Garbled> {
        if fetch <= self.last_fetch {
            return Err(Garbled);
        }
        self.last_fetch = fetch;
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| Garbled)?;
        let url = Url::parse(url).map_err(|_| Garbled)?;
        let headers = fields.to_map()?;
        let port = match (way, &self.pool.deployment.assets) {
            (Way::Out, _) => self.pool.services.outbound.clone(),
            (Way::Assets, Some(assets)) => assets.port.clone(),
            (Way::Assets, None) => return Err(Garbled),
        };
        let most = self.pool.deployment.limits.subrequests.as_u32();
        let Some(run) = self.run(seq) else {
            return Ok(());
        };
        if u64::from(run.subrequests) >= run.may_make(most) {
            return Err(Garbled);
        }
        run.subrequests += 1;
        let caller = run.context.caller();
        let (body, _) = self.body(StreamId::Fetch(fetch), body, payload)?;
        let sent = port.send(OutboundRequest {
            method,
            url,
            headers,
            body,
            caller,
        });
        let handle = Arc::downgrade(&self.handle);
        let task = self.pool.services.io.spawn(async move {
            let outcome = sent.await;
            if let Some(handle) = handle.upgrade() {
                handle.post(Mail::Fetched(fetch, Box::new(outcome)));
            }
        });
        let fetching = Fetching::new(seq, task.abort_handle());
        self.fetches.insert(fetch, fetching);
        Ok(())
    }

    /// A subrequest has an answer, or none.
    pub(super) fn fetched(&mut self, fetch: u32, outcome: Result<OutboundResponse, OutboundError>) {
        // Nobody waits for it any more.
        if !self.fetches.contains_key(&fetch) {
            return;
        }
        match outcome {
            Ok(mut response) => {
                let body = std::mem::take(&mut response.body);
                let (body, payload) = match body {
                    Body::Socket(socket) => {
                        let (id, seq) = (SocketId::Fetched(fetch), self.fetches[&fetch].seq);
                        self.sockets.open(id, seq, *socket, &self.handle);
                        (BodyKind::Socket, Bytes::new())
                    }
                    body @ (Body::Empty | Body::Full(_) | Body::Stream(_)) => {
                        self.streams.send(StreamId::Fetched(fetch), body)
                    }
                };
                let fetched = ToCell::Fetched {
                    fetch,
                    status: response.status.as_u16(),
                    fields: Fields::Map(&response.headers),
                    body,
                    decoded: response.decoded,
                };
                self.link.put(&fetched, &payload);
            }
            Err(error) => self.link.put(&ToCell::FetchFailed { fetch, error }, b""),
        }
    }
}
