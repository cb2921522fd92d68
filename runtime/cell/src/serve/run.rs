//! Requests in a cell, from the call of the handler to the last `waitUntil`.

use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use holm_js_api::clock::Clock;
use holm_js_api::handler::BodySource;
use holm_js_api::handler::Invocation;
use holm_js_api::handler::Invocations;
use holm_js_api::handler::MemoryBudget;
use holm_js_api::handler::RequestHeaders;
use holm_model::body::Body;
use holm_model::body::BodyProgress;
use holm_model::event::FetchResponse;
use holm_model::message::Fields;
use holm_model::message::StreamId;
use holm_model::outcome::Outcome;

use super::Progress;
use super::Server;
use super::put_line;
use super::turn::End;
use super::turn::Hangup;
use crate::sys;

/// A request while it runs.
pub(super) struct Run {
    pub(super) id: u32,
    pub(super) begun: Instant,
    /// CPU time charged to it so far.
    pub(super) cpu: Duration,
    /// An answer that is complete, with which everything of the request is; it waits for what it cost.
    pub(super) last: Option<FetchResponse>,
    /// Its answer, or the reason for none, has been said.
    pub(super) replied: bool,
    /// What the handler came to, if not to an answer.
    pub(super) failure: Option<Outcome>,
    /// The node says that the client went away.
    pub(super) is_canceled: bool,
    /// The client went away, and the function was told.
    pub(super) gone: bool,
    pub(super) hangup: Option<Hangup>,
    /// Its answer, as far as it was taken.
    pub(super) bytes_out: Option<BodyProgress>,
    /// The handler has settled.
    pub(super) settled: bool,
    /// It settled at once, and left the event loop nothing to do.
    pub(super) is_clean: bool,
    /// Its answer was a body of the host's, so JavaScript keeps it until it is told.
    pub(super) is_kept: bool,
    /// A body that goes through the function untouched; the request lasts as long as it does.
    pub(super) passing: Option<Passing>,
    /// It became a WebSocket.
    pub(super) is_socket: bool,
}

/// A body that the node passes on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passing {
    /// It is on its way.
    UnderWay,
    /// It has ended. `is_complete`: with all of it.
    Over { is_complete: bool },
}

impl Run {
    fn new(id: u32, begun: Instant) -> Self {
        Self {
            id,
            begun,
            cpu: Duration::ZERO,
            last: None,
            replied: false,
            failure: None,
            is_canceled: false,
            gone: false,
            hangup: None,
            bytes_out: None,
            settled: false,
            is_clean: false,
            is_kept: false,
            passing: None,
            is_socket: false,
        }
    }

    /// Whether JavaScript has not yet dropped what belongs to it.
    pub(super) fn is_held(&self) -> bool {
        !self.settled || self.is_kept
    }

    /// The node has passed its answer on.
    pub(super) fn passed(&mut self, is_complete: bool) {
        if self.passing.is_some() {
            self.passing = Some(Passing::Over { is_complete });
        }
    }
}

impl Server {
    /// Starts a request, and calls the handler.
    pub(super) fn admit(
        &mut self,
        seq: u32,
        is_canceled: bool,
        method: &str,
        url: &str,
        fields: &Fields<'_>,
        body: Body,
    ) {
        if self.is_mixed() {
            // Up to here it was spent for others.
            self.share_cpu();
            self.attached.owner = None;
            self.mark(seq);
        } else if self.is_shared() {
            // Likewise.
            self.share_cpu();
        } else {
            // What came since the last request was for it too, and each reading is a system call.
            self.page.set_current(seq, self.metered);
        }
        let begun = Instant::now();
        let body = self.enter(seq, fields, body, begun);
        self.isolate.call_fetch(seq, method, url, body);
        let mut run = Run::new(seq, begun);
        run.is_canceled = is_canceled;
        run.is_clean = self.has_settled(seq) && !self.isolate.is_pending();
        self.live.push(run);
        self.turn_all(None);
    }

    /// Makes a request known to what the function will call. Returns its body's resource, or -1.
    fn enter(&mut self, seq: u32, fields: &Fields<'_>, body: Body, now: Instant) -> i32 {
        let headers = match fields {
            Fields::Map(map) => {
                let mut headers = RequestHeaders::with_capacity(map.len());
                for (name, value) in *map {
                    headers.push(name.as_str().as_bytes(), value.as_bytes());
                }
                headers
            }
            Fields::Came(came) => {
                let mut headers = RequestHeaders::with_capacity(came.len());
                for (name, value) in came {
                    headers.push(name, value);
                }
                headers
            }
        };
        let state = self.isolate.state();
        let mut state = state.borrow_mut();
        state.borrow_mut::<Clock>().advance(now);
        let mut invocation = Invocation::new(seq, headers, self.limits.subrequests);
        let body = match body {
            Body::Empty | Body::Socket(_) => -1,
            body @ (Body::Full(_) | Body::Stream(_)) => {
                let budget = MemoryBudget(self.limits.memory);
                let rid = state.resource_table.add(BodySource::new(body, budget));
                invocation.resources.push(rid);
                i32::try_from(rid).unwrap_or(-1)
            }
        };
        let invocations = state.borrow_mut::<Invocations>();
        invocations.begin(invocation);
        if let Some(invocation) = Invocation::of(&mut state, seq) {
            // What was written when no request ran.
            for line in invocation.log.lines.drain(..) {
                put_line(&self.wire, seq, line.level, &line.message);
            }
        }
        body
    }

    fn has_settled(&self, seq: u32) -> bool {
        let state = self.isolate.state();
        Invocation::of(&mut state.borrow_mut(), seq).is_some_and(|invocation| invocation.settled)
    }

    /// Shares out the CPU time up to now. Nobody knows which of several requests it was spent for, so each
    /// is charged the same.
    pub(super) fn share_cpu(&mut self) {
        let now = sys::cpu_time();
        let spent = now.saturating_sub(self.metered);
        if let Some(owner) = self.attached.owner() {
            owner.cpu += spent;
        } else if let Ok(count @ 1..) = u32::try_from(self.live.len()) {
            for run in &mut self.live {
                run.cpu += spent / count;
            }
        }
        self.metered = now;
    }

    /// A turn of the event loop for the requests that run.
    pub(super) fn run(&mut self, cx: &mut Context<'_>) -> Progress {
        if self.tidying.is_some() {
            return self.poll_tidying(cx);
        }
        let before = self.live.len() + self.attached.len();
        self.turn_all(Some(cx));
        if self.live.is_empty() && self.attached.is_empty() {
            return if before > 0 {
                Progress::Made
            } else {
                Progress::None
            };
        }
        self.isolate.advance_clock();
        let polled = self.isolate.poll(cx);
        self.turn_all(Some(cx));
        let end = match polled {
            Poll::Pending => None,
            // Another request, or a message, may settle what these wait for.
            Poll::Ready(Ok(())) if self.is_shared() || !self.sockets.is_empty() => None,
            // A body is on its way that the function has nothing to do with any more.
            Poll::Ready(Ok(())) if self.live.iter().any(|run| run.settled) => None,
            Poll::Ready(Ok(())) => Some(End::Stalled),
            Poll::Ready(Err(error)) => Some(End::Broken(error)),
        };
        if let Some(end) = end {
            while let Some(run) = self.live.pop().or_else(|| self.attached.pop()) {
                self.finish(run, &end);
            }
        }
        match self.live.len() + self.attached.len() < before {
            true => Progress::Made,
            false => Progress::None,
        }
    }

    /// Sees what has become of each request.
    fn turn_all(&mut self, mut cx: Option<&mut Context<'_>>) {
        let mut place = 0;
        while place < self.live.len() {
            let mut run = self.live.swap_remove(place);
            match self.turn(&mut run, cx.as_deref_mut()) {
                Some(end) => self.finish(run, &end),
                None if run.is_socket => self.attached.push(run),
                None => {
                    // Where it was.
                    self.live.push(run);
                    let last = self.live.len() - 1;
                    self.live.swap(place, last);
                    place += 1;
                }
            }
        }
        self.turn_attached();
    }

    /// The time of a request is up: the function is told, and what is left of it is dropped.
    pub(super) fn over(&mut self, seq: u32) {
        self.waiting.retain(|own| own.seq != seq);
        {
            let mut streams = self.streams.borrow_mut();
            streams.forget(StreamId::Request(seq));
            streams.forget(StreamId::Reply(seq));
        }
        let Some(place) = self.live.iter().position(|run| run.id == seq) else {
            return;
        };
        self.share_cpu();
        let mut run = self.live.swap_remove(place);
        run.gone = true;
        self.isolate.call_abort(seq);
        self.finish(run, &End::Gone);
    }
}
