//! One request between two turns of the event loop: what the function has come to is handed on, and
//! whether that is the end of it.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;
use std::time::Instant;

use deno_core::error::CoreError;
use deno_core::v8;
use holm_js_api::handler::BodyWriter;
use holm_js_api::handler::Invocation;
use holm_model::body::Body;
use holm_model::body::BodyError;
use holm_model::body::BodyProgress;
use holm_model::event::Failure;
use holm_model::event::Reply;
use holm_model::limits::Limits;
use holm_model::outcome::Outcome;
use tokio::time::Sleep;
use tokio::time::sleep;

use super::Isolate;
use crate::watchdog::Verdict;
use crate::watchdog::Watch;

/// How the execution of a request ended.
pub(super) enum End {
    /// The handler and all it promised ran their course.
    Settled,
    /// Nothing is pending, and something never settled.
    Stalled,
    /// The client went away, and nothing is left to do.
    Gone,
    /// It alone ran over its time; those beside it go on.
    Late(Verdict),
    /// Ended by the watchdog.
    Condemned,
    /// The event loop failed.
    Broken(CoreError),
}

/// A request while it runs.
pub(super) struct Run {
    pub(super) id: u32,
    /// When it came into the isolate.
    pub(super) started: Instant,
    /// Its answer, or the reason for none, has been sent.
    pub(super) replied: bool,
    /// It was an answer.
    pub(super) answered_well: bool,
    pub(super) failure: Option<Failure>,
    /// The client went away.
    pub(super) gone: bool,
    pub(super) hangup: Option<Hangup>,
    /// The handler has settled.
    pub(super) settled: bool,
    /// It settled at once, and left the event loop nothing to do.
    pub(super) is_clean: bool,
    /// A body that goes through the function untouched; the request lasts as long as it does.
    passing: Option<BodyProgress>,
    pub(super) bytes_in: Count,
    pub(super) bytes_out: Count,
    wait_until: Duration,
    /// What ends it, in an isolate where the watchdog cannot end it alone.
    alarm: Option<Alarm>,
}

/// The wall time of one request among several.
struct Alarm {
    rings: Pin<Box<Sleep>>,
    verdict: Verdict,
}

impl Run {
    /// Number `id` of an isolate, with a body that `bytes_in` counts. `is_shared`: it runs beside
    /// others.
    pub(super) fn new(
        id: u32,
        started: Instant,
        bytes_in: Count,
        limits: &Limits,
        is_shared: bool,
    ) -> Self {
        let alarm = is_shared.then(|| Alarm {
            rings: Box::pin(sleep(limits.wall.as_duration())),
            verdict: Verdict::Wall,
        });
        Self {
            id,
            started,
            replied: false,
            answered_well: false,
            failure: None,
            gone: false,
            hangup: None,
            settled: false,
            is_clean: false,
            passing: None,
            bytes_in,
            bytes_out: Count::Known(0),
            wait_until: limits.wait_until.as_duration(),
            alarm,
        }
    }

    /// Whether JavaScript has not yet dropped what belongs to it.
    pub(super) fn is_held(&self) -> bool {
        !self.settled || self.passing.is_some()
    }

    /// The verdict on it, once it has run over its time.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Option<Verdict> {
        let alarm = self.alarm.as_mut()?;
        alarm
            .rings
            .as_mut()
            .poll(cx)
            .is_ready()
            .then_some(alarm.verdict)
    }

    /// The answer has gone out: what follows has its own time.
    fn answered(&mut self, watch: &Watch) {
        match &mut self.alarm {
            Some(alarm) => {
                alarm.verdict = Verdict::WaitUntil;
                alarm
                    .rings
                    .as_mut()
                    .reset(tokio::time::Instant::now() + self.wait_until);
            }
            None => watch.answered(self.wait_until),
        }
    }
}

/// Resolves when nobody reads a streamed answer any more.
pub(super) struct Hangup {
    pub(super) writer: Rc<BodyWriter>,
    closed: Pin<Box<dyn Future<Output = ()>>>,
}

/// Bytes of a body: all known, or counted while they go.
pub(super) enum Count {
    Known(u64),
    Live(BodyProgress),
}

impl Count {
    pub(super) fn of(body: &Body) -> Self {
        match body {
            Body::Empty => Self::Known(0),
            Body::Full(bytes) => Self::Known(bytes.len() as u64),
            Body::Stream(stream) => Self::Live(stream.progress()),
        }
    }

    /// Bytes that came out of the body.
    pub(super) fn read(&self) -> u64 {
        match self {
            Self::Known(bytes) => *bytes,
            Self::Live(progress) => progress.read(),
        }
    }

    /// Why the body broke off before its end, if it did.
    pub(super) fn fault(&self) -> Option<&BodyError> {
        match self {
            Self::Known(_) => None,
            Self::Live(progress) => progress.fault(),
        }
    }

    /// Whether the client has all of it.
    fn is_complete(&self) -> bool {
        match self {
            Self::Known(_) => true,
            Self::Live(progress) => progress.is_complete(),
        }
    }

    /// Bytes that went into the body.
    pub(super) fn written(&self) -> u64 {
        match self {
            Self::Known(bytes) => *bytes,
            Self::Live(progress) => progress.written(),
        }
    }
}

impl Isolate {
    /// Between two turns: hands the answer on, and sees whether this is the end.
    pub(super) fn turn(&mut self, run: &mut Run, cx: &mut Context<'_>) -> Option<End> {
        if self.watch.verdict().is_some() {
            return Some(End::Condemned);
        }
        self.hand_on(run);
        if run.settled {
            let Some(passing) = &run.passing else {
                return Some(End::Settled);
            };
            if passing.poll_over(cx).is_pending() {
                return None;
            }
            if !passing.is_complete() {
                run.gone = true;
                self.call_abort(run.id);
            }
            return Some(End::Settled);
        }
        if !run.gone && self.client_gone(run, cx) {
            run.gone = true;
            let waiting = self.call_abort(run.id);
            self.hand_on(run);
            if run.settled || waiting == 0 {
                return Some(End::Gone);
            }
            run.answered(&self.watch);
        }
        run.poll_alarm(cx).map(End::Late)
    }

    /// Sends the answer, or what was thrown instead, and notes whether all has settled.
    fn hand_on(&mut self, run: &mut Run) {
        let state = self.runtime.op_state();
        let mut state = state.borrow_mut();
        let Some(invocation) = Invocation::of(&mut state, run.id) else {
            return;
        };
        run.settled = invocation.settled;
        run.gone |= invocation.left;
        let mut answer = invocation.answer.take();
        let writer = invocation.writer.take();
        let passing = invocation.passing.take();
        let thrown = invocation.thrown.take();
        drop(state);
        if thrown.is_some() {
            // A body that failed before there was any of it is no answer yet: the client gets the
            // failure, and not a head with nothing behind it.
            answer = answer.filter(|answer| Count::of(answer.body()).written() > 0);
        }
        if let Some(answer) = answer {
            run.bytes_out = Count::of(answer.body());
            run.hangup = writer.and_then(Hangup::of);
            run.passing = passing;
            // If that was all, nothing follows whose time would begin.
            if run.hangup.is_none() && run.passing.is_none() && !run.settled {
                run.answered(&self.watch);
            }
            self.reply(run, Ok(answer));
        }
        if let Some(mut thrown) = thrown {
            // Its stack has the author's positions from where it was made.
            let maps = self.deployment.graph.source_maps();
            thrown.message = maps.remap(&thrown.message);
            let failure = Failure {
                thrown: Some(thrown),
                ..Failure::of(Outcome::Exception)
            };
            run.failure = Some(failure.clone());
            // After the head has gone out, only the record can tell.
            if !run.replied {
                run.answered(&self.watch);
                self.reply(run, Err(failure));
            }
        }
        if let Some(hangup) = &run.hangup
            && hangup.writer.sender().is_none()
        {
            // The body has ended; letting go of the last sender ends it for the reader.
            run.hangup = None;
            run.answered(&self.watch);
        }
    }

    pub(super) fn reply(&self, run: &mut Run, reply: Reply) {
        run.replied = true;
        run.answered_well = reply.is_ok();
        let mut seats = self.watch.seats();
        // No seat, or no sender: the watchdog answered first.
        let Some(seat) = seats.of(run.id) else { return };
        let Some(sender) = seat.reply.take() else {
            return;
        };
        if let Ok(answer) = &reply {
            seat.record.status = Some(answer.status());
            seat.body = match answer.body() {
                Body::Stream(stream) => Some(stream.progress()),
                Body::Empty | Body::Full(_) => None,
            };
        }
        if sender.send(reply).is_err() {
            run.gone = true;
        }
    }

    fn client_gone(&self, run: &mut Run, cx: &mut Context<'_>) -> bool {
        if !run.replied {
            let mut seats = self.watch.seats();
            let sender = seats.of(run.id).and_then(|seat| seat.reply.as_mut());
            return match sender {
                Some(sender) => sender.poll_closed(cx).is_ready(),
                None => false,
            };
        }
        let Some(hangup) = &mut run.hangup else {
            return false;
        };
        if hangup.closed.as_mut().poll(cx).is_pending() {
            return false;
        }
        if !run.bytes_out.is_complete() {
            return true;
        }
        // Who knows the length does not wait for the end.
        run.hangup = None;
        run.answered(&self.watch);
        false
    }

    /// Tells the function that its client went away; returns how many `waitUntil` promises are
    /// open.
    pub(super) fn call_abort(&mut self, id: u32) -> u32 {
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
        v8::tc_scope!(let scope, scope);
        let receiver = v8::undefined(scope).into();
        let id = v8::Integer::new_from_unsigned(scope, id).into();
        let abort = v8::Local::new(scope, &self.entry.abort);
        let waiting = abort
            .call(scope, receiver, &[id])
            .and_then(|waiting| waiting.uint32_value(scope))
            .unwrap_or(0);
        if !scope.has_terminated() {
            scope.perform_microtask_checkpoint();
        }
        waiting
    }
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
