//! One request between two turns of the event loop: what the function has come to is handed on, and
//! whether that is the end of it.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;

use bytes::Bytes;
use deno_core::error::CoreError;
use holm_js_api::handler::BodyWriter;
use holm_js_api::handler::Invocation;
use holm_model::body::Body;
use holm_model::message::BodyKind;
use holm_model::message::Fields;
use holm_model::message::FromCell;
use holm_model::message::Settled;
use holm_model::message::SocketId;
use holm_model::message::StreamId;
use holm_model::outcome::Outcome;
use http::StatusCode;

use super::Server;
use super::run::Passing;
use super::run::Run;
use super::streams::WHOLE;

/// How the execution of a request ended.
pub(super) enum End {
    /// The handler and all it promised ran their course.
    Settled,
    /// Nothing is pending, and something never settled.
    Stalled,
    /// The client went away, and nothing is left to do.
    Gone,
    /// The event loop failed.
    Broken(CoreError),
}

/// Resolves when nobody reads a streamed answer any more.
pub(super) struct Hangup {
    writer: Rc<BodyWriter>,
    closed: Pin<Box<dyn Future<Output = ()>>>,
}

impl Hangup {
    fn of(writer: Rc<BodyWriter>) -> Option<Self> {
        let sender = writer.sender()?;
        Some(Self {
            writer,
            closed: Box::pin(async move { sender.closed().await }),
        })
    }
}

impl Server {
    /// Hands the answer on, and sees whether this is the end. Without `cx` nothing is waited for yet.
    pub(super) fn turn(&mut self, run: &mut Run, cx: Option<&mut Context<'_>>) -> Option<End> {
        self.hand_on(run);
        if run.settled {
            match run.passing {
                Some(Passing::UnderWay) if run.is_canceled => {
                    run.gone = true;
                    self.isolate.call_abort(run.id);
                }
                Some(Passing::UnderWay) => return None,
                Some(Passing::Over { is_complete: false }) => {
                    run.gone = true;
                    self.isolate.call_abort(run.id);
                }
                Some(Passing::Over { is_complete: true }) | None => {}
            }
            let reply = StreamId::Reply(run.id);
            let is_sending = self.streams.borrow().is_sending(reply);
            return (!is_sending).then_some(End::Settled);
        }
        if !run.gone && client_gone(run, cx?) {
            run.gone = true;
            let waiting = self.isolate.call_abort(run.id);
            self.hand_on(run);
            if run.settled || waiting == 0 {
                return Some(End::Gone);
            }
        }
        None
    }

    /// Sends the answer, or what was thrown instead, and notes whether all has settled.
    fn hand_on(&mut self, run: &mut Run) {
        let state = self.isolate.state();
        let mut state = state.borrow_mut();
        let Some(invocation) = Invocation::of(&mut state, run.id) else {
            return;
        };
        run.settled = invocation.settled;
        run.gone |= invocation.left;
        let mut answer = invocation.answer.take();
        let writer = invocation.writer.take();
        let thrown = invocation.thrown.take();
        run.is_kept |= invocation.is_passing;
        drop(state);
        if thrown.is_some() {
            // A body that failed before there was any of it is no answer yet: the client gets the
            // failure, and not a head with nothing behind it.
            answer = answer.filter(|answer| has_some(answer.body()));
        }
        if let Some(answer) = answer {
            run.bytes_out = answer.body().progress();
            run.hangup = writer.and_then(Hangup::of);
            run.replied = true;
            run.is_socket = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
            if run.is_clean && run.settled && is_whole(answer.body()) {
                run.last = Some(answer);
            } else if let BodyKind::Pass { .. } = self.reply(run.id, answer, None) {
                run.passing = Some(Passing::UnderWay);
            }
        }
        if let Some(mut thrown) = thrown {
            // Its stack has the author's positions from where it was made.
            let maps = self.isolate.graph().source_maps();
            thrown.message = maps.remap(&thrown.message);
            run.failure = Some(Outcome::Exception);
            run.replied = true;
            let failed = FromCell::Failed {
                seq: run.id,
                outcome: Outcome::Exception,
                thrown: Some(thrown),
            };
            self.wire.put(&failed, b"");
        }
        if let Some(hangup) = &run.hangup
            && hangup.writer.sender().is_none()
        {
            // The body has ended; letting go of the last sender ends it for the reader.
            run.hangup = None;
        }
    }

    /// Says the answer to request `seq`. Returns what kind of body it has.
    pub(super) fn reply(
        &self,
        seq: u32,
        answer: http::Response<Body>,
        settled: Option<Settled>,
    ) -> BodyKind {
        let (head, body) = answer.into_parts();
        let is_socket = head.status == StatusCode::SWITCHING_PROTOCOLS;
        let (body, whole) = match is_socket {
            true => (BodyKind::Socket, Bytes::new()),
            false => self.streams.borrow_mut().send(StreamId::Reply(seq), body),
        };
        let reply = FromCell::Reply {
            seq,
            status: head.status.as_u16(),
            fields: Fields::Map(&head.headers),
            body,
            settled,
        };
        self.wire.put(&reply, &whole);
        if is_socket {
            self.sockets.start(SocketId::Request(seq));
        }
        body
    }
}

/// Whether a body goes with its head.
fn is_whole(body: &Body) -> bool {
    match body {
        Body::Empty | Body::Socket(_) => true,
        Body::Full(bytes) => bytes.len() <= WHOLE,
        Body::Stream(_) => false,
    }
}

/// Whether there is some of a body, or it needs none.
fn has_some(body: &Body) -> bool {
    match body {
        Body::Empty | Body::Socket(_) => false,
        Body::Full(bytes) => !bytes.is_empty(),
        Body::Stream(stream) => stream.progress().written() > 0,
    }
}

fn client_gone(run: &mut Run, cx: &mut Context<'_>) -> bool {
    if run.is_canceled {
        return true;
    }
    let Some(hangup) = &mut run.hangup else {
        return false;
    };
    if hangup.closed.as_mut().poll(cx).is_pending() {
        return false;
    }
    let is_complete = match &run.bytes_out {
        Some(progress) => progress.is_complete(),
        None => true,
    };
    if !is_complete {
        return true;
    }
    // Who knows the length does not wait for the end.
    run.hangup = None;
    false
}
