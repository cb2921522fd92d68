//! The end of a request: what the node is told, and an isolate that nothing of it is left in.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use deno_core::error::CoreErrorKind;
use holm_js_api::handler::Invocation;
use holm_js_api::handler::Invocations;
use holm_js_api::log::write;
use holm_model::body::BodyError;
use holm_model::log::Level;
use holm_model::message::FromCell;
use holm_model::message::Settled;
use holm_model::message::StreamId;
use holm_model::outcome::Outcome;
use tokio::time::Sleep;
use tokio::time::sleep;

use super::Progress;
use super::QUICK;
use super::Server;
use super::run::Run;
use super::turn::End;
use crate::exempt;
use crate::sys;
use crate::template;

/// Requests after which the event loop has a turn although it has nothing to do.
const POLL: u32 = 16;

/// How long is waited for what floats after everything that a request had open was closed. Longer, and
/// another cell is sooner there.
const PATIENCE: Duration = Duration::from_millis(10);

/// Requests between two looks at V8's heap statistics, which are not free.
const MEMORY_SAMPLE: u32 = 32;

/// Requests after which the functions that requests call are in the compiled code.
const ENOUGH: u32 = 4;

impl Server {
    /// Ends one request, which is not among the live ones any more.
    pub(super) fn finish(&mut self, mut run: Run, end: &End) {
        self.conclude(&mut run, end);
        self.served = self.served.wrapping_add(1);
        if (!run.is_clean || self.served.is_multiple_of(POLL))
            && let Some(answer) = run.last.take()
        {
            // What follows may take its time.
            self.reply(run.id, answer, None);
        }
        match self.tidy(&run, end) {
            Tidy::Done => self.settle(run, true),
            Tidy::Floating => self.tidying = Some(Tidying::of(Some(run))),
            Tidy::Hopeless => self.settle(run, false),
        }
    }

    /// Goes on with ridding the isolate of what floats in it, if there is any such thing.
    pub(super) fn poll_tidying(&mut self, cx: &mut Context<'_>) -> Progress {
        let Some(tidying) = &mut self.tidying else {
            return Progress::None;
        };
        let is_fit = match self.isolate.poll(cx) {
            Poll::Ready(polled) => polled.is_ok(),
            Poll::Pending if tidying.patience.as_mut().poll(cx).is_pending() => {
                return Progress::None;
            }
            Poll::Pending => false,
        };
        let run = tidying.run.take();
        self.tidying = None;
        if is_fit {
            self.isolate.drop_resources();
        }
        match run {
            Some(run) => self.settle(run, is_fit),
            None => self.is_spent |= !is_fit,
        }
        Progress::Made
    }

    /// Tells the node that a request is over, and what it has cost.
    fn settle(&mut self, mut run: Run, is_fit: bool) {
        self.is_spent |= !is_fit;
        let dropped = self.leave(run.id);
        self.sockets.forget(run.id);
        if dropped > 0 {
            let told = FromCell::Log {
                seq: run.id,
                level: Level::Info,
                dropped,
            };
            self.wire.put(&told, b"");
        }
        if self.served % MEMORY_SAMPLE == 1 {
            self.sampled_memory = self.isolate.memory();
        }
        let cpu = self.charge(&run);
        self.quick = if cpu < QUICK { self.quick + 1 } else { 0 };
        let settled = Settled {
            cpu: u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX),
            wall: u64::try_from(run.begun.elapsed().as_nanos()).unwrap_or(u64::MAX),
            memory: self.sampled_memory,
            is_fit,
        };
        match run.last.take() {
            Some(answer) => {
                self.reply(run.id, answer, Some(settled));
            }
            None => {
                let seq = run.id;
                self.wire.put(&FromCell::Settled { seq, settled }, b"");
            }
        }
        if self.served == ENOUGH && self.isolate.has_code() {
            for (specifier, code) in self.isolate.take_code() {
                self.wire.add(&template::code_frames(&specifier, &code));
            }
            self.isolate.forget_code();
            // Nobody's request.
            self.metered = sys::cpu_time();
        }
    }

    /// What the request has cost, up to now.
    fn charge(&mut self, run: &Run) -> Duration {
        if !self.is_shared() && !self.is_mixed() && !run.is_socket {
            let now = sys::cpu_time();
            let spent = now.saturating_sub(self.metered);
            self.metered = now;
            return spent.saturating_sub(exempt::take());
        }
        // It is not among the others any more, and has its share.
        let now = sys::cpu_time();
        let spent = now.saturating_sub(self.metered);
        self.metered = now;
        if self.attached.owner == Some(run.id) {
            self.attached.owner = None;
            return run.cpu + spent;
        }
        if let Some(owner) = self.attached.owner() {
            owner.cpu += spent;
            return run.cpu;
        }
        let count = u32::try_from(self.live.len() + 1).unwrap_or(u32::MAX);
        for other in &mut self.live {
            other.cpu += spent / count;
        }
        run.cpu + spent / count
    }

    /// Tells the node why there is no answer, if it has been told nothing.
    fn conclude(&mut self, run: &mut Run, end: &End) {
        let outcome = match end {
            End::Settled | End::Gone => None,
            End::Stalled => match (run.failure, run.replied) {
                (Some(_), _) => None,
                (None, true) if run.hangup.is_some() => {
                    self.log(
                        run.id,
                        Level::Error,
                        "the response body never ended: nothing is pending that could end it",
                    );
                    Some(Outcome::NoResponse)
                }
                (None, true) if run.gone => None,
                (None, true) => {
                    self.log(run.id, Level::Warn, "a promise given to waitUntil never settled: nothing is pending that could settle it");
                    None
                }
                (None, false) => {
                    self.log(run.id, Level::Error, "the handler's promise never settled: nothing is pending that could settle it");
                    Some(Outcome::NoResponse)
                }
            },
            End::Broken(error) => {
                self.log(run.id, Level::Error, &error.to_string());
                match error.as_kind() {
                    // The function's own, from where nothing could catch it.
                    CoreErrorKind::Js(_) => Some(Outcome::Exception),
                    _ => Some(Outcome::InternalError),
                }
            }
        };
        if run.hangup.take().is_some() {
            // What is there of the body is not all of it.
            let word = outcome.unwrap_or(Outcome::Canceled).word();
            let error = BodyError::Aborted(word.into());
            let id = StreamId::Reply(run.id);
            self.streams.borrow_mut().break_off(id, error, &self.wire);
        }
        if let Some(outcome) = outcome {
            let seq = run.id;
            let thrown = None;
            let failed = FromCell::Failed {
                seq,
                outcome,
                thrown,
            };
            self.wire.put(&failed, b"");
        }
    }

    fn log(&self, id: u32, level: Level, message: &str) {
        let state = self.isolate.state();
        write(&mut state.borrow_mut(), Some(id), level, message.to_owned());
    }

    /// Rids the isolate of what the request left floating: timers, streams, requests. Beside others, of
    /// what is known to be its own; what else it leaves stays until they are over too.
    pub(super) fn tidy(&mut self, run: &Run, end: &End) -> Tidy {
        match end {
            End::Broken(_) => return Tidy::Hopeless,
            End::Settled | End::Stalled | End::Gone => {}
        }
        if run.is_held() {
            self.isolate.call_end(run.id);
        }
        if !self.live.is_empty() || !self.attached.is_empty() {
            let state = self.isolate.state();
            let resources = Invocation::of(&mut state.borrow_mut(), run.id)
                .map(|invocation| std::mem::take(&mut invocation.resources));
            self.isolate.close(resources.unwrap_or_default());
            return Tidy::Done;
        }
        // Asking is cheaper than a poll, which is 6 % of a hello's CPU time. V8's own tasks, such as
        // calling finalizers, are not told of: they have a poll now and then.
        let is_clean = run.is_clean && !self.served.is_multiple_of(POLL);
        if is_clean || self.isolate.flush() {
            self.isolate.drop_resources();
            return Tidy::Done;
        }
        self.isolate.call_end(run.id);
        self.isolate.drop_resources();
        match self.isolate.flush() {
            true => Tidy::Done,
            false => Tidy::Floating,
        }
    }

    /// Takes the invocation out: what is left floating finds nothing. Returns the bytes that its log has
    /// dropped.
    pub(super) fn leave(&mut self, id: u32) -> u64 {
        let state = self.isolate.state();
        let mut state = state.borrow_mut();
        let ended = state.borrow_mut::<Invocations>().end(id);
        ended.map_or(0, |invocation| invocation.log.dropped)
    }
}

/// How far the isolate has been rid of what a request left in it.
pub(super) enum Tidy {
    /// Nothing is left.
    Done,
    /// Something is, that may end now that everything is closed.
    Floating,
    /// The isolate can do nothing more.
    Hopeless,
}

/// Waits for what floats. Operations that were closed end in tasks of their own, which have to have a turn.
pub(super) struct Tidying {
    /// The request that it was left by; none if the node does not want to hear of it.
    run: Option<Run>,
    patience: Pin<Box<Sleep>>,
}

impl Tidying {
    pub(super) fn of(run: Option<Run>) -> Self {
        Self {
            run,
            patience: Box::pin(sleep(PATIENCE)),
        }
    }
}
