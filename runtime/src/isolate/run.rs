//! Requests in an isolate, from the call of the handler to the last `waitUntil`.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use deno_core::PollEventLoopOptions;
use deno_core::v8;
use holm_js_api::clock::Clock;
use holm_js_api::handler::BodySource;
use holm_js_api::handler::Invocation;
use holm_js_api::handler::Invocations;
use holm_js_api::handler::MemoryBudget;
use holm_js_api::handler::RequestHeaders;
use holm_model::body::Body;
use holm_model::event::Event;
use holm_model::event::FetchRequest;
use holm_model::log::Level;
use holm_model::log::LogBudget;
use holm_model::outbound::Caller;
use holm_model::outcome::Outcome;
use holm_model::record::Record;

use super::Isolate;
use super::port::Port;
use super::turn::Count;
use super::turn::End;
use super::turn::Run;
use crate::job::Job;
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

/// Where an isolate gets requests beside those that it is answering.
pub trait Inbox {
    /// A job for it, if there is one.
    fn take(&mut self) -> Option<Job>;

    /// It has room for more, and nothing else to do. Returns whether there is nothing for it; then
    /// the task is woken when there is.
    fn wait(&mut self, cx: &mut Context<'_>) -> bool;

    /// It has something to do; for a job that waits, others are woken.
    fn stop_waiting(&mut self);

    /// A request has been in it for so long.
    fn served(&mut self, time: Duration);
}

impl Isolate {
    /// Answers a job, and as many more from `inbox` at the same time as its deployment says; comes
    /// back when none is left. Each leaves its record. `cold`: the isolate was started for the job.
    ///
    /// Dropping the future abandons the requests; the isolate must not be used again.
    pub async fn run(
        &mut self,
        job: Job,
        cold: bool,
        services: &Services,
        inbox: &mut impl Inbox,
    ) -> Fitness {
        let watch = self.watch.clone();
        let first = {
            let _computing = services.cores.compute(&watch.computes);
            self.admit(job, cold, services)
        };
        let mut live = vec![first];
        std::future::poll_fn(|cx| {
            let _computing = services.cores.compute(&watch.computes);
            inbox.stop_waiting();
            let polled = self.poll_runs(&mut live, cx, services, inbox);
            let has_room = live.len() < self.deployment.concurrency.get();
            if polled.is_pending() && has_room && !inbox.wait(cx) {
                // Not before others on this thread had their turn.
                cx.waker().wake_by_ref();
            }
            polled
        })
        .await
    }

    /// Starts the clocks of a job, and calls the handler.
    fn admit(&mut self, job: Job, cold: bool, services: &Services) -> Run {
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
        let is_shared = self.deployment.concurrency.is_shared();
        if is_shared && services.watchdog.enforces() {
            // Up to here it was spent for others.
            self.metered = self.watch.cpu();
        }
        self.served = self.served.wrapping_add(1).max(1);
        let made: Arc<AtomicU32> = Arc::default();
        let seat = Seat {
            id: self.served,
            reply: Some(reply),
            body: None,
            deployment: self.deployment.clone(),
            record: Record {
                method: Some(fetch.method.clone()),
                url: Some(fetch.url.clone()),
                outcome: Outcome::Ok,
                queued: started.saturating_duration_since(queued),
                memory: self.sampled_memory,
                cold,
                ..self.deployment.record(request.clone(), start)
            },
            queued,
            subrequests: made.clone(),
            cpu: Duration::ZERO,
        };
        self.watch.begin(
            started,
            // What came since the last request was for it too, and each reading is a system call.
            self.metered,
            limits.cpu.as_duration(),
            (!is_shared).then_some(limits.wall.as_duration()),
            Some(seat),
        );
        if services.watchdog.enforces() {
            services
                .watchdog
                .call(&self.watch, limits.cpu.as_duration());
        }
        let bytes_in = Count::of(&fetch.body);
        let mut run = Run::new(self.served, started, bytes_in, &limits, is_shared);
        let caller = Caller {
            function: self.deployment.name.clone(),
            request,
            depth,
            account: self.watch.account().clone(),
        };
        self.enter(&run, fetch, caller, made);
        run.is_clean = self.is_clean(&run);
        run
    }

    /// Calls the handler.
    fn enter(&mut self, run: &Run, fetch: FetchRequest, caller: Caller, made: Arc<AtomicU32>) {
        let FetchRequest {
            method,
            url,
            headers,
            body,
        } = fetch;
        let body = {
            let state = self.runtime.op_state();
            let mut state = state.borrow_mut();
            let limit = self.deployment.limits.subrequests.as_u32();
            let budget = MemoryBudget(self.deployment.limits.memory.as_u64());
            state.borrow_mut::<Clock>().advance(run.started);
            let mut flat = RequestHeaders::with_capacity(headers.len());
            for (name, value) in &headers {
                flat.push(name.as_str().as_bytes(), value.as_bytes());
            }
            state.borrow::<Rc<Port>>().enter(run.id, caller, made);
            let mut invocation = Invocation::new(run.id, flat, limit);
            let body = match body {
                Body::Empty => -1,
                body @ (Body::Full(_) | Body::Stream(_)) => {
                    let rid = state.resource_table.add(BodySource::new(body, budget));
                    invocation.resources.push(rid);
                    i32::try_from(rid).unwrap_or(-1)
                }
            };
            state.borrow_mut::<Invocations>().begin(invocation);
            body
        };
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
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

    /// Whether a request that was just entered is over, with nothing left of it for the event loop.
    fn is_clean(&mut self, run: &Run) -> bool {
        let state = self.runtime.op_state();
        let has_settled = Invocation::of(&mut state.borrow_mut(), run.id)
            .is_some_and(|invocation| invocation.settled);
        if !has_settled || self.watch.verdict().is_some() {
            return false;
        }
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
        v8::tc_scope!(let scope, scope);
        let receiver = v8::undefined(scope).into();
        let is_pending = v8::Local::new(scope, &self.entry.is_pending);
        is_pending
            .call(scope, receiver, &[])
            .is_some_and(|is_pending| is_pending.is_false())
    }

    /// Runs the event loop until all requests have run their course, one way or another.
    fn poll_runs(
        &mut self,
        live: &mut Vec<Run>,
        cx: &mut Context<'_>,
        services: &Services,
        inbox: &mut impl Inbox,
    ) -> Poll<Fitness> {
        self.watch.waker.register(cx.waker());
        let room = self.deployment.concurrency.get();
        // Requests that are over at once make room for others; the event loop has its turn all the
        // same.
        for _ in 0..room {
            if let Some(fitness) = self.turn_all(live, cx, services, inbox) {
                return Poll::Ready(fitness);
            }
            if live.len() == room {
                break;
            }
            let Some(job) = inbox.take() else { break };
            live.push(self.admit(job, false, services));
        }
        self.advance_clock();
        let polled = self
            .runtime
            .poll_event_loop(cx, PollEventLoopOptions::default());
        if let Some(fitness) = self.turn_all(live, cx, services, inbox) {
            return Poll::Ready(fitness);
        }
        let end = match polled {
            Poll::Pending => return Poll::Pending,
            // Another request may settle what these wait for.
            Poll::Ready(Ok(())) if room > 1 => return Poll::Pending,
            // A body that passes through is followed to its end, so that the record tells all of
            // it and the function learns when its client leaves.
            Poll::Ready(Ok(())) if live.iter().any(|run| run.settled) => return Poll::Pending,
            Poll::Ready(Ok(())) => End::Stalled,
            Poll::Ready(Err(error)) => End::Broken(error),
        };
        let mut fitness = Fitness::Spent;
        while let Some(run) = live.pop() {
            fitness = self.finish(run, &end, live.is_empty(), services, inbox);
        }
        Poll::Ready(fitness)
    }

    /// Between two turns. Returns what the isolate is good for after the last request.
    fn turn_all(
        &mut self,
        live: &mut Vec<Run>,
        cx: &mut Context<'_>,
        services: &Services,
        inbox: &mut impl Inbox,
    ) -> Option<Fitness> {
        let mut place = 0;
        while let Some(run) = live.get_mut(place) {
            let Some(end) = self.turn(run, cx) else {
                place += 1;
                continue;
            };
            let run = live.swap_remove(place);
            let fitness = self.finish(run, &end, live.is_empty(), services, inbox);
            if live.is_empty() {
                return Some(fitness);
            }
        }
        None
    }

    /// Ends one request. `is_last`: no other is left in the isolate.
    fn finish(
        &mut self,
        mut run: Run,
        end: &End,
        is_last: bool,
        services: &Services,
        inbox: &mut impl Inbox,
    ) -> Fitness {
        let outcome = self.conclude(&mut run, end);
        let (outcome, status) = run.blame(outcome);
        let outcome = services.blame(outcome);
        let fitness = if is_last {
            self.clean_up(&run, end)
        } else {
            self.part(&run, end)
        };
        let invocation = self.leave(run.id);
        if run.id % MEMORY_SAMPLE == 1 {
            self.sampled_memory = self.memory();
        }
        if services.watchdog.enforces() {
            self.metered = self.watch.cpu();
        }
        let now = Instant::now();
        inbox.served(now.saturating_duration_since(run.started));
        let cpu = self.deployment.limits.cpu.as_duration();
        // No seat: the watchdog gave the isolate up, and has recorded the request.
        let Some(seat) = self.watch.end(run.id, self.metered, cpu) else {
            return Fitness::Spent;
        };
        let mut log = invocation
            .map(|invocation| invocation.log)
            .unwrap_or_default();
        if let Some(limit) = self.deployment.broken_limit(outcome) {
            log.push(Level::Error, limit, LogBudget::UNLIMITED);
        }
        services.recorder.record(Record {
            outcome,
            status: status.or(seat.record.status),
            wall: now.saturating_duration_since(seat.queued),
            cpu: seat.cpu,
            memory: self.sampled_memory,
            bytes_in: run.bytes_in.read(),
            bytes_out: run.bytes_out.written(),
            subrequests: seat.subrequests.load(Ordering::Relaxed),
            log,
            thrown: run.failure.and_then(|failure| failure.thrown),
            ..seat.record
        });
        fitness
    }
}
