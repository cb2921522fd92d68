//! Requests that became WebSockets: they take no place, and go on until their sockets are over.
//!
//! Each message is a turn of work by itself. What is worked on stands on the page, with what the CPU clock showed when
//! that was begun, so the node can hold a message to the limit of a request. What no message began, such as a timer,
//! counts with the last one; that begins anew after [`ANEW`].

use std::time::Duration;
use std::time::Instant;

use deno_core::OpState;
use holm_js_api::clock::Clock;
use holm_js_api::handler::Invocation;
use holm_js_api::handler::Invocations;
use holm_model::message::FromCell;
use holm_model::message::SocketId;
use holm_model::message::SocketMessage;

use super::Server;
use super::run::Run;
use super::sockets::Heard;
use super::sockets::key_of;
use super::turn::End;

/// How long what no message began may use the CPU time of one.
const ANEW: Duration = Duration::from_secs(30);

/// Requests that are WebSockets.
#[derive(Default)]
pub(super) struct Attached {
    /// In the order of their numbers, mostly.
    runs: Vec<Run>,
    /// The one whose CPU time is running.
    pub(super) owner: Option<u32>,
    /// When the last turn of work was begun.
    marked: Option<Instant>,
}

impl Attached {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    pub(super) fn push(&mut self, run: Run) {
        self.owner = Some(run.id);
        let place = self.runs.partition_point(|other| other.id < run.id);
        self.runs.insert(place, run);
    }

    pub(super) fn pop(&mut self) -> Option<Run> {
        self.runs.pop()
    }

    fn place(&self, id: u32) -> Option<usize> {
        self.runs.binary_search_by_key(&id, |run| run.id).ok()
    }

    /// The one whose CPU time is running.
    pub(super) fn owner(&mut self) -> Option<&mut Run> {
        let place = self.place(self.owner?)?;
        self.runs.get_mut(place)
    }
}

impl Server {
    /// Whether requests run beside sockets, so that CPU time has to be told apart.
    pub(super) fn is_mixed(&self) -> bool {
        !self.attached.is_empty()
    }

    /// Something new is worked on, by request `seq`.
    pub(super) fn mark(&mut self, seq: u32) {
        self.page.set_current(seq, self.metered);
        self.attached.marked = Some(Instant::now());
    }

    /// A message for a socket that request `seq` is, or has opened; or its end.
    pub(super) fn deliver(&mut self, id: SocketId, seq: u32, heard: Heard) {
        if self.is_mixed() {
            self.share_cpu();
            if self.attached.place(seq).is_some() {
                self.attached.owner = Some(seq);
            }
            self.mark(seq);
        }
        {
            let state = self.isolate.state();
            let mut state: std::cell::RefMut<'_, OpState> = state.borrow_mut();
            state.borrow_mut::<Clock>().advance(Instant::now());
            if self.attached.place(seq).is_some()
                && let Some(invocation) = Invocation::of(&mut state, seq)
            {
                // Each message is as good as a request.
                invocation.subrequests = 0;
            }
        }
        let key = key_of(id);
        match heard {
            Heard::Message(kind, bytes) => {
                self.isolate.call_message(key, kind, bytes);
                self.sockets.taken(id);
            }
            Heard::Close(close) => {
                self.isolate.call_closed(key, &close);
                // What the function has said so far was said before.
                let heard = SocketMessage::Close(close);
                self.wire.put(&FromCell::Socket(id, heard), b"");
            }
        }
        self.turn_attached();
    }

    /// The cell computes for its sockets alone. `by_itself`: nothing was sent to it, so it is a timer.
    pub(super) fn goes_on(&mut self, by_itself: bool) {
        if self.attached.is_empty() || !self.live.is_empty() {
            return;
        }
        let is_new = self.attached.marked.is_none_or(|at| at.elapsed() >= ANEW);
        if is_new && let Some(run) = self.attached.runs.last() {
            let seq = self.attached.owner.unwrap_or(run.id);
            self.share_cpu();
            self.mark(seq);
        }
        if !by_itself {
            return;
        }
        self.wire.put(&FromCell::Awake, b"");
        // It may compute for long from here on.
        self.wire.try_flush();
    }

    /// Ends those that have run their course.
    pub(super) fn turn_attached(&mut self) {
        let settled = {
            let state = self.isolate.state();
            state
                .borrow_mut()
                .borrow_mut::<Invocations>()
                .take_settled()
        };
        for id in settled {
            if let Some(place) = self.attached.place(id) {
                let mut run = self.attached.runs.remove(place);
                run.settled = true;
                self.finish(run, &End::Settled);
            }
        }
    }
}
