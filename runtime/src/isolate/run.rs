//! One request in an isolate, from the call of the handler to the last `waitUntil`.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;
use std::time::Instant;

use deno_core::PollEventLoopOptions;
use deno_core::error::CoreError;
use deno_core::error::CoreErrorKind;
use deno_core::v8;
use holm_js_api::body::Body;
use holm_js_api::body::BodyError;
use holm_js_api::body::BodyProgress;
use holm_js_api::handler::BodySource;
use holm_js_api::handler::BodyWriter;
use holm_js_api::handler::FetchRequest;
use holm_js_api::handler::Invocation;
use holm_js_api::log::Level;
use holm_js_api::log::Log;
use holm_js_api::log::write;
use holm_js_api::ports::Caller;
use http::Method;
use http::StatusCode;

use super::Isolate;
use crate::job::Event;
use crate::job::Failure;
use crate::job::Job;
use crate::outcome::Outcome;
use crate::record::Record;
use crate::services::Services;
use crate::sys;

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
enum End {
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
struct Run {
    id: u32,
    method: Method,
    url: String,
    status: Option<StatusCode>,
    /// Its answer, or the reason for none, has been sent.
    replied: bool,
    failure: Option<Failure>,
    /// The client went away.
    gone: bool,
    hangup: Option<Hangup>,
    /// The handler has settled.
    settled: bool,
    /// A body that goes through the function untouched; the request lasts as long as it does.
    passing: Option<BodyProgress>,
    bytes_out: Count,
    wait_until: Duration,
}

/// Resolves when nobody reads a streamed answer any more.
struct Hangup {
    writer: Rc<BodyWriter>,
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

    fn value(&self) -> u64 {
        match self {
            Self::Known(bytes) => *bytes,
            Self::Live(progress) => progress.read(),
        }
    }
}

impl Isolate {
    /// Answers one job and records it. `cold`: the isolate was started for it.
    ///
    /// Dropping the future abandons the request; the isolate must not be used again.
    pub async fn run(&mut self, job: Job, cold: bool, services: &Services) -> Fitness {
        let started = Instant::now();
        let cpu_before = sys::own_cpu_time();
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
        self.watch.begin(
            limits.cpu.as_duration(),
            limits.wall.as_duration(),
            Some(reply),
        );
        services.watchdog.call();

        self.served = self.served.wrapping_add(1).max(1);
        let bytes_in = Count::of(&fetch.body);
        let mut run = Run {
            id: self.served,
            method: fetch.method.clone(),
            url: String::new(),
            status: None,
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
        };
        self.enter(&mut run, fetch, caller);
        let end = self.drive(&mut run).await;
        let outcome = self.conclude(&mut run, &end);
        let fitness = self.clean_up(&run, &end);
        self.watch.end();

        let subrequests = self.leave();
        let log = {
            let state = self.runtime.op_state();
            std::mem::take(state.borrow_mut().borrow_mut::<Log>())
        };
        if self.served % MEMORY_SAMPLE == 1 {
            self.sampled_memory = self.memory();
        }
        services.recorder.record(Record {
            function: self.deployment.name.clone(),
            deployment: self.deployment.version.clone(),
            request,
            method: run.method,
            url: run.url,
            outcome,
            status: run.status,
            start,
            wall: queued.elapsed(),
            cpu: sys::own_cpu_time().saturating_sub(cpu_before),
            queued: started.saturating_duration_since(queued),
            memory: self.sampled_memory,
            bytes_in: bytes_in.value(),
            bytes_out: run.bytes_out.value(),
            subrequests,
            cold,
            log,
            thrown: run.failure.and_then(|failure| failure.thrown),
        });
        fitness
    }

    /// Calls the handler.
    fn enter(&mut self, run: &mut Run, fetch: FetchRequest, caller: Caller) {
        let FetchRequest {
            method,
            url,
            headers,
            body,
        } = fetch;
        let body = {
            let state = self.runtime.op_state();
            let mut state = state.borrow_mut();
            let subrequests = self.deployment.limits.subrequests.as_u32();
            state.put(Invocation::new(run.id, headers, caller, subrequests));
            match body {
                Body::Empty => -1,
                body @ (Body::Full(_) | Body::Stream(_)) => {
                    let rid = state.resource_table.add(BodySource::new(body));
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
        run.url = url;
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
    async fn drive(&mut self, run: &mut Run) -> End {
        std::future::poll_fn(|cx| self.poll_run(run, cx)).await
    }

    fn poll_run(&mut self, run: &mut Run, cx: &mut Context<'_>) -> Poll<End> {
        self.watch.waker.register(cx.waker());
        if let Some(end) = self.turn(run, cx) {
            return Poll::Ready(end);
        }
        let polled = self
            .runtime
            .poll_event_loop(cx, PollEventLoopOptions::default());
        if let Some(end) = self.turn(run, cx) {
            return Poll::Ready(end);
        }
        match polled {
            Poll::Pending => Poll::Pending,
            // Nothing that the function could still do for a body that passes through.
            Poll::Ready(Ok(())) if run.settled => Poll::Ready(End::Settled),
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
            let over = match &run.passing {
                Some(passing) => passing.poll_over(cx).is_ready(),
                None => true,
            };
            return over.then_some(End::Settled);
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
            run.status = Some(answer.status());
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
                outcome: Outcome::Exception,
                thrown: Some(thrown),
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

    fn reply(&self, run: &mut Run, reply: crate::job::Reply) {
        run.replied = true;
        let sent = match self.watch.reply().take() {
            Some(sender) => sender.send(reply).is_ok(),
            // The watchdog answered first.
            None => true,
        };
        if !sent {
            run.gone = true;
        }
    }

    fn client_gone(&self, run: &mut Run, cx: &mut Context<'_>) -> bool {
        if !run.replied {
            return match self.watch.reply().as_mut() {
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

    /// Answers a client that has no answer yet, and names the outcome.
    fn conclude(&mut self, run: &mut Run, end: &End) -> Outcome {
        let outcome = match end {
            End::Settled | End::Gone if run.gone => Outcome::Canceled,
            End::Settled | End::Gone => match &run.failure {
                Some(failure) => failure.outcome,
                None => Outcome::Ok,
            },
            End::Stalled => match (&run.failure, run.replied) {
                (Some(failure), _) => failure.outcome,
                (None, true) if run.hangup.is_some() => {
                    self.log(
                        Level::Error,
                        "the response body never ended: nothing is pending that could end it",
                    );
                    Outcome::NoResponse
                }
                (None, true) if run.gone => Outcome::Canceled,
                (None, true) => {
                    self.log(Level::Warn, "a promise given to waitUntil never settled: nothing is pending that could settle it");
                    Outcome::Ok
                }
                (None, false) => {
                    self.log(Level::Error, "the handler's promise never settled: nothing is pending that could settle it");
                    Outcome::NoResponse
                }
            },
            End::Condemned => {
                self.watch.acknowledge();
                let outcome = self
                    .watch
                    .verdict()
                    .map_or(Outcome::Reset, |verdict| verdict.outcome());
                if outcome == Outcome::Ok {
                    self.log(
                        Level::Warn,
                        "work given to waitUntil was ended: it ran over its time",
                    );
                }
                outcome
            }
            End::Broken(error) => {
                self.log(Level::Error, &error.to_string());
                match error.as_kind() {
                    // The function's own, from where nothing could catch it.
                    CoreErrorKind::Js(_) => Outcome::Exception,
                    _ => Outcome::InternalError,
                }
            }
        };
        if !run.replied && outcome != Outcome::Ok {
            self.reply(run, Err(Failure::of(outcome)));
        }
        if let Some(hangup) = run.hangup.take()
            && let Some(sender) = hangup.writer.sender()
        {
            // What is there of the body is not all of it.
            sender.fail(BodyError::Broken(outcome.word().into()));
        }
        outcome
    }

    fn log(&self, level: Level, message: &str) {
        let state = self.runtime.op_state();
        write(&mut state.borrow_mut(), level, message.to_owned());
    }

    /// Rids the isolate of what the request left floating: timers, streams, requests.
    fn clean_up(&mut self, run: &Run, end: &End) -> Fitness {
        match end {
            End::Condemned | End::Broken(_) => return Fitness::Spent,
            End::Settled | End::Stalled | End::Gone => {}
        }
        self.call_end(run.id);
        let idle = self.flush();
        let fitness = if idle || {
            self.drop_resources();
            self.flush()
        } {
            self.drop_resources();
            Fitness::Reusable
        } else {
            Fitness::Spent
        };
        if self.watch.verdict().is_some() {
            self.watch.acknowledge();
            return Fitness::Spent;
        }
        fitness
    }

    fn call_end(&mut self, id: u32) {
        let context = self.runtime.main_context();
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &context);
        v8::tc_scope!(let scope, scope);
        let receiver = v8::undefined(scope).into();
        let id = v8::Integer::new_from_unsigned(scope, id).into();
        let end = v8::Local::new(scope, &self.entry.end);
        end.call(scope, receiver, &[id]);
    }

    /// One turn of the event loop, for unhandled rejections and closed resources. Returns whether
    /// nothing is pending after it.
    fn flush(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let polled = self
            .runtime
            .poll_event_loop(&mut cx, PollEventLoopOptions::default());
        matches!(polled, Poll::Ready(Ok(())))
    }

    /// Closes every resource. An isolate between two requests owns none.
    fn drop_resources(&mut self) {
        let state = self.runtime.op_state();
        let open: Vec<_> = {
            let state = state.borrow();
            state.resource_table.names().map(|(rid, _)| rid).collect()
        };
        for rid in open {
            let resource = state.borrow_mut().resource_table.take_any(rid);
            if let Ok(resource) = resource {
                resource.close();
            }
        }
    }

    /// Takes the invocation out; returns how many subrequests it made.
    fn leave(&mut self) -> u32 {
        let state = self.runtime.op_state();
        let invocation = state.borrow_mut().try_take::<Invocation>();
        invocation.map_or(0, |invocation| invocation.subrequests)
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
