//! The task of a cell: reads what it says, gives it requests, sends bodies, looks at its deadlines.
//!
//! It never blocks, and it never waits for the cell to agree: whatever the cell does, ending it is a signal.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use futures::future::BoxFuture;
use holm_model::message::SocketId;
use holm_model::message::StreamId;
use holm_model::message::ToCell;
use holm_model::websocket::Close;
use holm_model::websocket::code;
use holm_process::clock;
use holm_process::clock::CpuClock;
use holm_process::spawn::Process;
use tokio::task::AbortHandle;
use tokio::time::Sleep;

use super::Handle;
use super::Mail;
use super::end::End;
use super::give::Listed;
use super::hear::Heard;
use super::link::Link;
use super::running::Running;
use super::sockets::Sockets;
use super::streams::Streams;
use super::watch::Budget;
use super::watch::LONG_TURN;
use super::watch::Rest;
use crate::deadline::TICK;
use crate::fork::ForkError;
use crate::pool::Place;
use crate::pool::Shared;

/// Times that the socket is read before others have their turn.
const READS: usize = 16;

/// What the clients of sockets are told whose cell is not needed any more.
const REPLACED: &str = "the function was replaced";

/// What a cell is at.
#[derive(Debug)]
pub(super) enum Stage {
    /// It evaluates the function's code, since then.
    Starting(Instant),
    /// It is a copy of a template, and has not said yet that it is there.
    Copied,
    /// It answers requests.
    Serving,
}

/// A cell, whole.
pub(super) struct Cell {
    pub(super) pool: Arc<Shared>,
    pub(super) handle: Arc<Handle>,
    pub(super) place: Place,
    pub(super) link: Link,
    pub(super) forking: Option<BoxFuture<'static, Result<Process, ForkError>>>,
    pub(super) process: Option<(Process, CpuClock)>,
    pub(super) stage: Stage,
    /// Those that it has, in the order in which it was given them.
    pub(super) requests: Vec<Running>,
    pub(super) streams: Streams,
    pub(super) sockets: Sockets,
    pub(super) fetches: HashMap<u32, Fetching>,
    pub(super) last_fetch: u32,
    pub(super) next_seq: u32,
    /// Requests that it was given.
    pub(super) served: u32,
    /// The first request is to be told that it was started for it.
    pub(super) is_cold: bool,
    /// When the last request was over.
    pub(super) settled_at: Instant,
    pub(super) is_listed: Listed,
    has_yielded: bool,
    pub(super) is_leaving: bool,
    is_evicted: bool,
    pub(super) is_unfit: bool,
    /// The next look at its deadlines.
    alarm: Pin<Box<Sleep>>,
    pub(super) look_at: Option<Instant>,
    pub(super) budget: Budget,
    pub(super) rest: Rest,
    /// It computes for long, and others go first.
    pub(super) stands_back: bool,
    last_cpu: std::cell::Cell<Duration>,
}

/// A subrequest on its way.
#[derive(Debug)]
pub(super) struct Fetching {
    /// The request that made it.
    pub(super) seq: u32,
    task: AbortHandle,
}

impl Fetching {
    pub(super) fn new(seq: u32, task: AbortHandle) -> Self {
        Self { seq, task }
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cell {
    pub(super) fn new(
        pool: Arc<Shared>,
        handle: Arc<Handle>,
        place: Place,
        link: Link,
        forking: BoxFuture<'static, Result<Process, ForkError>>,
        stage: Stage,
        is_cold: bool,
    ) -> Self {
        let now = Instant::now();
        Self {
            pool,
            handle,
            place,
            link,
            forking: Some(forking),
            process: None,
            stage,
            requests: Vec::new(),
            streams: Streams::default(),
            sockets: Sockets::default(),
            fetches: HashMap::new(),
            last_fetch: 0,
            next_seq: 1,
            served: 0,
            is_cold,
            settled_at: now,
            is_listed: Listed::No,
            has_yielded: false,
            is_leaving: false,
            is_evicted: false,
            is_unfit: false,
            alarm: Box::pin(tokio::time::sleep_until(now.into())),
            look_at: Some(now + TICK),
            budget: Budget::default(),
            rest: Rest::new(now),
            stands_back: false,
            last_cpu: std::cell::Cell::default(),
        }
    }

    /// Lives, until there is a reason to end.
    pub(super) async fn live(mut self) {
        let end = std::future::poll_fn(|cx| self.poll(cx)).await;
        self.end(end);
    }

    /// The cell's clock, all its threads; nothing while there is no process, and what it last showed when that
    /// has ended.
    pub(super) fn cpu(&self) -> Duration {
        let clock = self.process.as_ref().map(|(_, clock)| *clock);
        if let Some(now) = clock.and_then(|clock| clock.read().ok()) {
            self.last_cpu.set(self.last_cpu.get().max(now));
        }
        self.last_cpu.get()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.handle.register(cx.waker());
        let before = self.streams.is_sending().then(clock::of_this_thread);
        let step = self.step(cx);
        if let Some(before) = before {
            self.charge(clock::of_this_thread().saturating_sub(before));
        }
        match step {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    /// All that is to be done now.
    fn step(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        self.poll_fork(cx)?;
        if self.read_mail(cx) == Next::Later {
            return Ok(());
        }
        self.poll_read(cx)?;
        if self.is_evicted {
            return Err(End::Evicted);
        }
        self.poll_ends(cx);
        if self.is_unfit {
            return Err(End::Unfit);
        }
        loop {
            self.fill()?;
            self.streams.poll(cx, &mut self.link);
            for id in self.sockets.take_waiting(&self.link) {
                self.look_at_socket(id);
            }
            let was_full = self.link.is_full();
            let flushed = self.link.poll_flush(cx);
            if let Poll::Ready(Err(_)) = flushed {
                // What it said before it died is to be read yet; that is what ends it.
                self.look_soon();
                break;
            }
            if !was_full || flushed.is_pending() {
                break;
            }
            // What waited for room has it, and nobody else would say so.
        }
        self.poll_alarm(cx)
    }

    /// What the node has spent on handing bodies over is its requests'.
    fn charge(&mut self, spent: Duration) {
        let page = &self.handle.page;
        let begun = self.requests.iter().filter(|run| page.has_begun(run.seq));
        let Ok(count @ 1..) = u32::try_from(begun.clone().count()) else {
            return;
        };
        for run in begun {
            run.context.charge(spent / count);
        }
    }

    fn poll_fork(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let Some(forking) = &mut self.forking else {
            return Ok(());
        };
        let Poll::Ready(forked) = forking.as_mut().poll(cx) else {
            return Ok(());
        };
        self.forking = None;
        let process = forked.map_err(End::NotForked)?;
        self.handle.adopt(process.pid());
        let clock = process
            .clock()
            .map_err(|_| End::Died("its process ended at once"))?;
        self.process = Some((process, clock));
        if self.pool.is_long() {
            self.stand_back();
        }
        Ok(())
    }

    /// Reads what others left for it. `Later`: more is likely to come in this turn of the runtime, and is
    /// waited for: requests that are handed over together cost half as much.
    fn read_mail(&mut self, cx: &mut Context<'_>) -> Next {
        let mut work = false;
        for mail in self.handle.take_mail() {
            match mail {
                Mail::Work => {
                    self.is_listed = Listed::No;
                    work = true;
                }
                Mail::End => {
                    if !std::mem::replace(&mut self.is_leaving, true) {
                        self.sockets
                            .close_all(&Close::of(code::GOING_AWAY, REPLACED));
                    }
                }
                Mail::Evict => self.is_evicted = true,
                Mail::Taken(id) => self.streams.taken(id, &mut self.link),
                Mail::Left(id) => self.reader_left(id),
                Mail::Socket(id) => self.look_at_socket(id),
                Mail::Fetched(fetch, outcome) => self.fetched(fetch, *outcome),
            }
        }
        if work && !self.has_yielded {
            self.has_yielded = true;
            cx.waker().wake_by_ref();
            return Next::Later;
        }
        self.has_yielded = false;
        Next::Now
    }

    /// Moves what there is to be moved between a WebSocket and the cell.
    pub(super) fn look_at_socket(&mut self, id: SocketId) {
        if self.sockets.look(id, &mut self.link) {
            self.look_before(Instant::now());
        }
    }

    fn reader_left(&mut self, id: StreamId) {
        let was_written = self.streams.left(id, &mut self.link);
        let StreamId::Reply(seq) = id else { return };
        let Some(run) = self.requests.iter_mut().find(|run| run.seq == seq) else {
            return;
        };
        if run.reader_left() {
            self.cancel(seq);
        } else if was_written {
            // Who knows the length does not wait for the end.
            run.only_wait_until(Instant::now());
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        for _ in 0..READS {
            match self.link.poll_read(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(true)) => self.hear()?,
                Poll::Ready(Ok(false) | Err(_)) => return Err(End::Died("its process ended")),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Takes in what is there to be read, and no more than the socket holds: a cell that goes on talking does not
    /// keep the node's thread.
    pub(super) fn hear_out(&mut self) -> Result<(), End> {
        for _ in 0..READS {
            if !matches!(self.link.read(), Ok(true)) {
                break;
            }
            self.hear()?;
        }
        Ok(())
    }

    /// Takes in what was read.
    pub(super) fn hear(&mut self) -> Result<(), End> {
        let came = self.link.take_came();
        let mut frames = Link::frames(&came);
        let heard = loop {
            match self.hear_one(&mut frames) {
                Ok(Heard::Something) => {}
                Ok(Heard::Nothing) => break Ok(()),
                Err(end) => break Err(end),
            }
        };
        let used = frames.used();
        self.link.put_back(came, used);
        heard
    }

    /// Requests whose clients have left, and bodies that pass by and have ended.
    fn poll_ends(&mut self, cx: &mut Context<'_>) {
        let mut place = 0;
        while let Some(run) = self.requests.get_mut(place) {
            let seq = run.seq;
            if let Some(is_complete) = run.poll_passed(cx) {
                self.link.put(&ToCell::Passed { seq, is_complete }, b"");
            }
            if run.context.poll_left(cx) {
                run.gone = true;
            }
            if run.is_over() {
                self.finish(place);
                continue;
            }
            if run.gone && !run.is_canceled && self.cancel(seq) == Next::Now {
                continue;
            }
            place += 1;
        }
    }

    /// The client of a request is gone. `Now`: it was not begun, and is over.
    fn cancel(&mut self, seq: u32) -> Next {
        let Some(place) = self.requests.iter().position(|run| run.seq == seq) else {
            return Next::Later;
        };
        if self.handle.page.revoke(seq) {
            self.finish(place);
            return Next::Now;
        }
        let run = &mut self.requests[place];
        if !run.is_canceled {
            run.is_canceled = true;
            run.only_wait_until(Instant::now());
            self.link.put(&ToCell::Cancel { seq }, b"");
        }
        Next::Later
    }

    /// A request has run its course.
    pub(super) fn finish(&mut self, place: usize) {
        let run = self.requests.remove(place);
        self.forget(&run);
        let now = Instant::now();
        // As the cell says: how long the hop takes on a busy machine is not the function's doing.
        let time = match run.settled {
            Some(settled) => Duration::from_nanos(settled.wall),
            None => now.saturating_duration_since(self.settled_at.max(run.offered)),
        };
        self.settled_at = now;
        if run.settled.is_some_and(|settled| !settled.is_fit) {
            self.is_unfit = true;
        }
        if self.pool.deployment.concurrency.is_shared() {
            let cpu = self.cpu();
            let limit = self.pool.deployment.limits.cpu.as_duration();
            self.budget.end(cpu, limit, self.requests.len());
        }
        let was_socket = run.is_socket();
        let is_long = run
            .settled
            .is_some_and(|settled| Duration::from_nanos(settled.cpu) >= LONG_TURN);
        self.pool.set_long(is_long);
        let outcome = run.finish();
        if !was_socket {
            self.pool.served(time, outcome);
        }
        if self.requests.is_empty() {
            self.rest = Rest::new(now);
        }
    }

    /// What belongs to a request and goes with it.
    pub(super) fn forget(&mut self, run: &Running) {
        let seq = run.seq;
        self.streams.stop(StreamId::Request(seq));
        self.sockets.forget(seq);
        if self.streams.is_expected(StreamId::Reply(seq)) {
            let error = holm_model::body::BodyError::Aborted("the request ended".into());
            self.streams.break_off(StreamId::Reply(seq), error);
        }
        let streams = &mut self.streams;
        self.fetches.retain(|fetch, fetching| {
            if fetching.seq != seq {
                return true;
            }
            streams.stop(StreamId::Fetched(*fetch));
            false
        });
    }

    /// Looks at the deadlines when it is time.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            let Some(at) = self.look_at else {
                return Ok(());
            };
            if self.alarm.deadline() != at.into() {
                self.alarm.as_mut().reset(at.into());
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            self.look(Instant::now())?;
        }
    }

    /// Something may be wrong: looks at once.
    pub(super) fn look_soon(&mut self) {
        let soon = Instant::now() + TICK;
        self.look_at = Some(self.look_at.map_or(soon, |at| at.min(soon)));
    }
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Now,
    Later,
}
