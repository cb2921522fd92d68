//! What it takes to end a request from outside its isolate.

use std::time::Duration;
use std::time::Instant;

use holm_js_api::body::BodyError;
use holm_js_api::body::BodyProgress;
use holm_js_api::log::Level;
use holm_js_api::log::LogBudget;
use tokio::sync::oneshot;

use crate::job::Failure;
use crate::job::Reply;
use crate::outcome::Outcome;
use crate::record::Record;
use crate::record::Recorder;

/// The answer's address and the record so far of the request that an isolate works on.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Where the answer goes, until it has gone.
    pub(crate) reply: Option<oneshot::Sender<Reply>>,
    /// A streamed answer that is under way.
    pub(crate) body: Option<BodyProgress>,
    /// What is known of the request since its start.
    pub(crate) record: Record,
    /// When it was queued.
    pub(crate) queued: Instant,
    /// The isolate's meter at its start.
    pub(crate) cpu_before: Duration,
}

impl Seat {
    /// Ends the request in the stead of an isolate that is stuck.
    pub(super) fn give_up(self, outcome: Outcome, cpu: Duration, recorder: &dyn Recorder) {
        let Self {
            reply,
            body,
            mut record,
            queued,
            cpu_before,
        } = self;
        if let Some(reply) = reply {
            // A client that is gone needs no answer.
            let _ = reply.send(Err(Failure::of(outcome)));
        }
        if let Some(body) = body {
            record.bytes_out = body.written();
            body.break_off(BodyError::Broken(outcome.word().into()));
        }
        record.outcome = outcome;
        record.wall = queued.elapsed();
        record.cpu = cpu.saturating_sub(cpu_before);
        record.log.push(
            Level::Error,
            "the function did not stop when told to: it is inside native code that cannot be interrupted".into(),
            LogBudget(u64::MAX),
        );
        recorder.record(record);
    }
}
