//! One request in an isolate, from the call of the handler to the last `waitUntil`.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use deno_core::PollEventLoopOptions;
use deno_core::error::CoreError;
use deno_core::v8;
use holm_js_api::body::Body;
use holm_js_api::body::BodyProgress;
use holm_js_api::clock::Clock;
use holm_js_api::handler::BodySource;
use holm_js_api::handler::BodyWriter;
use holm_js_api::handler::FetchRequest;
use holm_js_api::handler::Invocation;
use holm_js_api::handler::MemoryBudget;
use holm_js_api::ports::Caller;

use super::Isolate;
use crate::job::Event;
use crate::job::Failure;
use crate::job::Job;
use crate::job::Reply;
use crate::outcome::Outcome;
use crate::record::Record;
use crate::services::Services;
use crate::watchdog::Seat;

/// Requests between two looks at V8's heap statistics, which are not free.
const MEMORY_SAMPLE: u32 = 32;

/// Whether an isolate may answer another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// Nothing of the request is left in it.
    Reusable,
    /// It was condemned, or work of the request cannot be got rid of.
    Spent,
}

/// How the execution of a request ended.
pub(super) enum End {
    /// The handler and all it promised ran their course.
    Settled,
    /// Nothing is pending, and something never settled.
    Stalled,
    /// The client went away, and nothing is left to do.
    Gone,
    /// Ended by the watchdog.
    Condemned,
    /// The event loop failed.
    Broken(CoreError),
}

/// A request while it runs.
pub(super) struct Run {
    pub(super) id: u32,
    /// Its answer, or the reason for none, has been sent.
    pub(super) replied: bool,
    pub(super) failure: Option<Failure>,
    /// The client went away.
    pub(super) gone: bool,
    pub(super) hangup: Option<Hangup>,
    /// The handler has settled.
    settled: bool,
    /// A body that goes through the function untouched; the request lasts as long as it does.
    passing: Option<BodyProgress>,
    bytes_out: Count,
    wait_until: Duration,
}

/// Resolves when nobody reads a streamed answer any more.
pub(super) struct Hangup {
    pub(super) writer: Rc<BodyWriter>,
    closed: Pin<Box<dyn Future<Output = ()>>>,
}

/// Bytes of a body: all known, or counted while they go.
enum Count {
    Known(u64),
    Live(BodyProgress),
}

impl Count {
    fn of(body: &Body) -> Self {
        match body {
            Body::Empty => Self::Known(0),
            Body::Full(bytes) => Self::Known(bytes.len() as u64),
            Body::Stream(stream) => Self::Live(stream.progress()),
        }
    }

    /// Bytes that came out of the body.
    fn read(&self) -> u64 {
        match self {
            Self::Known(bytes) => *bytes,
            Self::Live(progress) => progress.read(),
        }
    }

    /// Bytes that went into the body.
    fn written(&self) -> u64 {
        match self {
            Self::Known(bytes) => *bytes,
            Self::Live(progress) => progress.written(),
        }
    }
}

impl Isolate {
    /// Answers one job and records it. `cold`: the isolate was started for it.
    ///
    /// Dropping the future abandons the request; the isolate must not be used again.
    pub async fn run(&mut self, job: Job, cold: bool, services: &Services) -> Fitness {
        let started = Instant::now();
        let limits = self.deployment.limits;
        let Job {
            event,
            request,
            depth,
            queued,
            start,
            reply,
        } = job;
        let Event::Fetch(fetch) = event;
        let bytes_in = Count::of(&fetch.body);
        let record = Record {
            method: fetch.method.clone(),
            url: fetch.url.clone(),
            outcome: Outcome::Ok,
            queued: started.saturating_duration_since(queued),
            memory: self.sampled_memory,
            cold,
            ..Record::empty(&self.deployment, request.clone(), start)
        };
        let seat = Seat {
            reply: Some(reply),
            body: None,
            record,
            queued,
            // What came since the last request was for it too, and each reading is a system call.
            cpu_before: self.metered,
        };
        self.watch.begin(
            limits.cpu.as_duration(),
            limits.wall.as_duration(),
            Some(seat),
        );
        if services.watchdog.enforces() {
            services.watchdog.call(limits.cpu.as_duration());
        }

        self.served = self.served.wrapping_add(1).max(1);
        let mut run = Run {
            id: self.served,
            replied: false,
            failure: None,
            gone: false,
            hangup: None,
            settled: false,
            passing: None,
            bytes_out: Count::Known(0),
            wait_until: limits.wait_until.as_duration(),
        };
        let caller = Caller {
            function: self.deployment.name.clone(),
            request: request.clone(),
            depth,
            account: self.watch.account().clone(),
        };
        {
            let watch = self.watch.clone();
            let _computing = services.cores.compute(&watch.computes);
            self.enter(&run, fetch, caller);
        }
        let end = std::future::poll_fn(|cx| {
            let watch = self.watch.clone();
            let _computing = services.cores.compute(&watch.computes);
            self.poll_run(&mut run, cx)
        })
        .await;
        let outcome = self.conclude(&mut run, &end);
        let fitness = self.clean_up(&run, &end);
        self.leave();
        let subrequests = self.watch.subrequests().load(Ordering::Relaxed);
        let log = self.take_log();
        if self.served % MEMORY_SAMPLE == 1 {
            self.sampled_memory = self.memory();
        }
        // No seat: the watchdog gave the isolate up, and has recorded the request.
        let Some(seat) = self.watch.end() else {
            return Fitness::Spent;
        };
        if services.watchdog.enforces() {
            self.metered = self.watch.cpu();
        }
        services.recorder.record(Record {
            outcome,
            wall: queued.elapsed(),
            cpu: self.metered.saturating_sub(seat.cpu_before),
            memory: self.sampled_memory,
            bytes_in: bytes_in.read(),
            bytes_out: run.bytes_out.written(),
            subrequests,
            log,
            thrown: run.failure.and_then(|failure| failure.thrown),
            ..seat.record
        });
        fitness
    }

    /// Calls the handler.
    fn enter(&mut self, run: &Run, fetch: FetchRequest, caller: Caller) {
        let FetchRequest {
            method,
            url,
            headers,
            body,
        } = fetch;
        let body = {
            let state = self.runtime.op_state();
            let mut state = state.borrow_mut();
            let made = self.watch.subrequests().clone();
            let limit = self.deployment.limits.subrequests.as_u32();
            let budget = MemoryBudget(self.deployment.limits.memory.as_u64());
            state.borrow_mut::<Clock>().advance();
            state.put(Invocation::new(run.id, headers, caller, made, limit));
            match body {
                Body::Empty => -1,
                body @ (Body::Full(_) | Body::Stream(_)) => {
                    let rid = state.resource_table.add(BodySource::new(body, budget));
                    i32::try_from(rid).unwrap_or(-1)
                }
            }
        };
        let context = self.runtime.main_context();
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &context);
        v8::tc_scope!(let scope, scope);
        let receiver = v8::undefined(scope).into();
        let id = v8::Integer::new_from_unsigned(scope, run.id).into();
        let method = v8::String::new_from_one_byte(
            scope,
            method.as_str().as_bytes(),
            v8::NewStringType::Internalized,
        );
        // A serialized URL is ASCII.
        let target =
            v8::String::new_from_one_byte(scope, url.as_bytes(), v8::NewStringType::Normal);
        let body = v8::Integer::new(scope, body).into();
        if let (Some(method), Some(target)) = (method, target) {
            let fetch = v8::Local::new(scope, &self.entry.fetch);
            // The function catches what the handler throws; nothing comes back but termination.
            fetch.call(scope, receiver, &[id, method.into(), target.into(), body]);
            if !scope.has_terminated() {
                scope.perform_microtask_checkpoint();
            }
        }
    }

    /// Runs the event loop until the request has run its course, one way or another.
    fn poll_run(&mut self, run: &mut Run, cx: &mut Context<'_>) -> Poll<End> {
        self.watch.waker.register(cx.waker());
        if let Some(end) = self.turn(run, cx) {
            return Poll::Ready(end);
        }
        self.advance_clock();
        let polled = self
            .runtime
            .poll_event_loop(cx, PollEventLoopOptions::default());
        if let Some(end) = self.turn(run, cx) {
            return Poll::Ready(end);
        }
        match polled {
            Poll::Pending => Poll::Pending,
            // A body that passes through is followed to its end, so that the record tells all of
            // it and the function learns when its client leaves.
            Poll::Ready(Ok(())) if run.settled => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(End::Stalled),
            Poll::Ready(Err(error)) => Poll::Ready(End::Broken(error)),
        }
    }

    /// Between two turns: hands the answer on, and sees whether this is the end.
    fn turn(&mut self, run: &mut Run, cx: &mut Context<'_>) -> Option<End> {
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
            self.watch.answered(run.wait_until);
        }
        None
    }

    /// Sends the answer, or what was thrown instead, and notes whether all has settled.
    fn hand_on(&mut self, run: &mut Run) {
        let state = self.runtime.op_state();
        let mut state = state.borrow_mut();
        let Some(invocation) = Invocation::of(&mut state, run.id) else {
            return;
        };
        run.settled = invocation.settled;
        let answer = invocation.answer.take();
        let writer = invocation.writer.take();
        let passing = invocation.passing.take();
        let thrown = invocation.thrown.take();
        drop(state);
        if let Some(answer) = answer {
            run.bytes_out = Count::of(answer.body());
            run.hangup = writer.and_then(Hangup::of);
            run.passing = passing;
            if run.hangup.is_none() && run.passing.is_none() {
                self.watch.answered(run.wait_until);
            }
            self.reply(run, Ok(answer));
        }
        if let Some(thrown) = thrown {
            let failure = Failure {
                thrown: Some(thrown),
                ..Failure::of(Outcome::Exception)
            };
            run.failure = Some(failure.clone());
            // After the head has gone out, only the record can tell.
            if !run.replied {
                self.watch.answered(run.wait_until);
                self.reply(run, Err(failure));
            }
        }
        if let Some(hangup) = &run.hangup
            && hangup.writer.sender().is_none()
        {
            // The body has ended; letting go of the last sender ends it for the reader.
            run.hangup = None;
            self.watch.answered(run.wait_until);
        }
    }

    pub(super) fn reply(&self, run: &mut Run, reply: Reply) {
        run.replied = true;
        let mut seat = self.watch.seat();
        // No seat, or no sender: the watchdog answered first.
        let Some(seat) = seat.as_mut() else { return };
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
            let mut seat = self.watch.seat();
            let sender = seat.as_mut().and_then(|seat| seat.reply.as_mut());
            return match sender {
                Some(sender) => sender.poll_closed(cx).is_ready(),
                None => false,
            };
        }
        match &mut run.hangup {
            Some(hangup) => hangup.closed.as_mut().poll(cx).is_ready(),
            None => false,
        }
    }

    /// Tells the function that its client went away; returns how many `waitUntil` promises are
    /// open.
    fn call_abort(&mut self, id: u32) -> u32 {
        let context = self.runtime.main_context();
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &context);
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
