//! The end of a request: what its client and its record are told, and an isolate that nothing of
//! it is left in.

use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use deno_core::PollEventLoopOptions;
use deno_core::error::CoreErrorKind;
use deno_core::v8;
use holm_js_api::body::BodyError;
use holm_js_api::handler::Invocation;
use holm_js_api::log::Level;
use holm_js_api::log::Log;
use holm_js_api::log::write;

use super::Isolate;
use super::run::End;
use super::run::Fitness;
use super::run::Run;
use crate::job::Failure;
use crate::outcome::Outcome;

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

    /// Takes what the request has logged.
    pub(super) fn take_log(&self) -> Log {
        let state = self.runtime.op_state();
        std::mem::take(state.borrow_mut().borrow_mut::<Log>())
    }

    fn log(&self, level: Level, message: &str) {
        let state = self.runtime.op_state();
        write(&mut state.borrow_mut(), level, message.to_owned());
    }

    /// Rids the isolate of what the request left floating: timers, streams, requests.
    pub(super) fn clean_up(&mut self, run: &Run, end: &End) -> Fitness {
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

    /// Takes the invocation out: what is left floating finds nothing.
    pub(super) fn leave(&mut self) {
        let state = self.runtime.op_state();
        drop(state.borrow_mut().try_take::<Invocation>());
    }
}
