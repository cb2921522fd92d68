//! The end of a request: what its client and its record are told, and an isolate that nothing of
//! it is left in.

use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use deno_core::PollEventLoopOptions;
use deno_core::ResourceId;
use deno_core::error::CoreErrorKind;
use deno_core::v8;
use holm_js_api::handler::Invocation;
use holm_js_api::handler::Invocations;
use holm_js_api::log::write;
use holm_model::body::BodyError;
use holm_model::event::Failure;
use holm_model::log::Level;
use holm_model::outcome::Outcome;
use http::StatusCode;

use super::Isolate;
use super::port::Port;
use super::run::Fitness;
use super::turn::End;
use super::turn::Run;

/// Requests after which the event loop has a turn although it has nothing to do.
const POLL: u32 = 16;

impl Run {
    /// What became of the request, where `outcome` is what it looks like from inside; and the status
    /// that its client is told, if that does not stand for it. A function that fails without an
    /// answer over a body that never came is not to blame.
    pub(super) fn blame(&self, outcome: Outcome) -> (Outcome, Option<StatusCode>) {
        let fault = self.bytes_in.fault();
        match (outcome, fault) {
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
}

impl Isolate {
    /// Answers a client that has no answer yet, and names the outcome.
    pub(super) fn conclude(&mut self, run: &mut Run, end: &End) -> Outcome {
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
                        run.id,
                        Level::Error,
                        "the response body never ended: nothing is pending that could end it",
                    );
                    Outcome::NoResponse
                }
                (None, true) if run.gone => Outcome::Canceled,
                (None, true) => {
                    self.log(run.id, Level::Warn, "a promise given to waitUntil never settled: nothing is pending that could settle it");
                    Outcome::Ok
                }
                (None, false) => {
                    self.log(run.id, Level::Error, "the handler's promise never settled: nothing is pending that could settle it");
                    Outcome::NoResponse
                }
            },
            End::Condemned => {
                self.watch.acknowledge();
                let outcome = self
                    .watch
                    .verdict()
                    .map_or(Outcome::Reset, |verdict| verdict.outcome());
                self.log_lateness(run.id, outcome);
                outcome
            }
            End::Late(verdict) => {
                let outcome = verdict.outcome();
                self.call_abort(run.id);
                self.log_lateness(run.id, outcome);
                outcome
            }
            End::Broken(error) => {
                self.log(run.id, Level::Error, &error.to_string());
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
            sender.fail(BodyError::Aborted(outcome.word().into()));
        }
        outcome
    }

    fn log(&self, id: u32, level: Level, message: &str) {
        let state = self.runtime.op_state();
        write(&mut state.borrow_mut(), Some(id), level, message.to_owned());
    }

    fn log_lateness(&self, id: u32, outcome: Outcome) {
        if outcome == Outcome::Ok {
            let time = self.deployment.limits.wait_until;
            let words = format!(
                "work given to waitUntil was ended after its {time}; `limits.wait_until` raises it"
            );
            self.log(id, Level::Warn, &words);
        }
    }

    /// Ends a request beside others: its timers, its body, its subrequests. What else it leaves
    /// floating stays until they are over too.
    pub(super) fn part(&mut self, run: &Run, end: &End) -> Fitness {
        match end {
            End::Condemned | End::Broken(_) => Fitness::Spent,
            End::Settled | End::Stalled | End::Gone | End::Late(_) => {
                if run.is_held() {
                    self.call_end(run.id);
                }
                let state = self.runtime.op_state();
                let resources = Invocation::of(&mut state.borrow_mut(), run.id)
                    .map(|invocation| std::mem::take(&mut invocation.resources));
                self.close(resources.unwrap_or_default());
                Fitness::Reusable
            }
        }
    }

    /// Rids the isolate of what the request left floating: timers, streams, requests.
    pub(super) fn clean_up(&mut self, run: &Run, end: &End) -> Fitness {
        match end {
            End::Condemned | End::Broken(_) => return Fitness::Spent,
            End::Settled | End::Stalled | End::Gone | End::Late(_) => {}
        }
        if run.is_held() {
            self.call_end(run.id);
        }
        // Asking is cheaper than a poll, which is 6 % of a hello's CPU time. V8's own tasks, such as
        // calling finalizers, are not told of: they have a poll now and then.
        let is_clean = run.is_clean && !run.id.is_multiple_of(POLL);
        let fitness = if is_clean || self.flush() || {
            self.call_end(run.id);
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
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
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
        self.close(open);
    }

    /// Closes those of the resources that are open.
    fn close(&self, resources: Vec<ResourceId>) {
        let state = self.runtime.op_state();
        for rid in resources {
            let resource = state.borrow_mut().resource_table.take_any(rid);
            if let Ok(resource) = resource {
                resource.close();
            }
        }
    }

    /// Takes the invocation out: what is left floating finds nothing.
    pub(super) fn leave(&mut self, id: u32) -> Option<Invocation> {
        let state = self.runtime.op_state();
        let mut state = state.borrow_mut();
        state.borrow::<Rc<Port>>().leave(id);
        state.borrow_mut::<Invocations>().end(id)
    }
}
