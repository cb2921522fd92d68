//! What it takes to end a request from outside its isolate.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use holm_model::body::BodyError;
use holm_model::body::BodyProgress;
use holm_model::event::Failure;
use holm_model::event::Reply;
use holm_model::log::Level;
use holm_model::log::LogBudget;
use holm_model::outcome::Outcome;
use holm_model::record::Record;
use holm_model::record::Recorder;
use tokio::sync::oneshot;

use crate::deployment::Deployment;

/// The answer's address and the record so far of a request that an isolate works on.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Number of the request in its isolate.
    pub(crate) id: u32,
    /// Where the answer goes, until it has gone.
    pub(crate) reply: Option<oneshot::Sender<Reply>>,
    /// A streamed answer that is under way.
    pub(crate) body: Option<BodyProgress>,
    /// The function that it is for.
    pub(crate) deployment: Arc<Deployment>,
    /// What is known of the request since its start.
    pub(crate) record: Record,
    /// When it was queued.
    pub(crate) queued: Instant,
    /// Subrequests that it has made.
    pub(crate) subrequests: Arc<AtomicU32>,
    /// CPU time charged to it so far.
    pub(crate) cpu: Duration,
}

impl Seat {
    /// Ends the request in the stead of an isolate that is stuck.
    fn give_up(self, outcome: Outcome, recorder: &dyn Recorder) {
        let Self {
            id: _,
            reply,
            body,
            deployment,
            mut record,
            queued,
            subrequests,
            cpu,
        } = self;
        if let Some(reply) = reply {
            // A client that is gone needs no answer.
            let _ = reply.send(Err(Failure::of(outcome)));
        }
        if let Some(body) = body {
            record.bytes_out = body.written();
            body.break_off(BodyError::Aborted(outcome.word().into()));
        }
        record.outcome = outcome;
        record.wall = queued.elapsed();
        record.cpu = cpu;
        record.subrequests = subrequests.load(Ordering::Relaxed);
        if let Some(limit) = deployment.broken_limit(outcome) {
            record.log.push(Level::Error, limit, LogBudget::UNLIMITED);
        }
        record.log.push(
            Level::Error,
            "the function did not stop when told to: it is inside native code that cannot be interrupted".into(),
            LogBudget::UNLIMITED,
        );
        recorder.record(record);
    }
}

/// The requests that an isolate works on, and the CPU time that they share.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    taken: Vec<Seat>,
    /// What the isolate's meter showed when its time was last shared out.
    settled: Duration,
}

impl Seats {
    /// Shares out the CPU time up to `now`, on the isolate's meter. Nobody knows which of several
    /// requests it was spent for, so each is charged the same.
    pub(super) fn settle(&mut self, now: Duration) {
        let spent = now.saturating_sub(self.settled);
        if let Ok(count @ 1..) = u32::try_from(self.taken.len()) {
            for seat in &mut self.taken {
                seat.cpu += spent / count;
            }
        }
        self.settled = now;
    }

    pub(super) fn take(&mut self, seat: Seat) {
        self.taken.push(seat);
    }

    pub(super) fn leave(&mut self, id: u32) -> Option<Seat> {
        let place = self.taken.iter().position(|seat| seat.id == id)?;
        Some(self.taken.remove(place))
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.taken.len()
    }

    /// The request with that number; none if the watchdog has ended it.
    pub(crate) fn of(&mut self, id: u32) -> Option<&mut Seat> {
        self.taken.iter_mut().find(|seat| seat.id == id)
    }

    /// Ends all requests in the stead of an isolate that is stuck. Returns how many.
    pub(super) fn give_up(
        &mut self,
        outcome: Outcome,
        now: Duration,
        recorder: &dyn Recorder,
    ) -> usize {
        self.settle(now);
        let count = self.taken.len();
        for seat in self.taken.drain(..) {
            seat.give_up(outcome, recorder);
        }
        count
    }
}
