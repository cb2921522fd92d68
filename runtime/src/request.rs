//! A request in the node, from the moment when its head is there to its record.
//!
//! [`RequestContext`] is its one home: what is known of it, who waits for its answer, and how far it has
//! come. It passes from the edge to the queue of its function, from there to a cell, and perhaps to
//! another cell, and whoever has it last ends it. If nobody does, it ends itself when it is
//! dropped: every request leaves one record, and whoever waits for an answer gets one.

mod open;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use holm_model::client::Client;
use holm_model::event::Failure;
use holm_model::event::Reply;
use holm_model::log::Level;
use holm_model::log::LogBudget;
use holm_model::log::Thrown;
use holm_model::outbound::Account;
use holm_model::outbound::Caller;
use holm_model::outcome::Outcome;
use holm_model::record::Record;
use holm_model::record::Recorder;
use http::Method;
use http::StatusCode;
use tokio::sync::oneshot;

pub use self::open::OpenRecord;
use crate::deployment::Deployment;

/// Where records go, and who is to blame for clients that leave.
#[derive(Clone)]
pub struct Records {
    recorder: Arc<dyn Recorder>,
    /// Set once the node itself aborts the connections that are left.
    aborting: Arc<AtomicBool>,
}

impl Records {
    /// Has records written by `recorder`.
    pub fn new(recorder: Arc<dyn Recorder>) -> Self {
        Self {
            recorder,
            aborting: Arc::default(),
        }
    }

    /// From now on it is the node that breaks connections off, and not their clients.
    pub fn abort(&self) {
        self.aborting.store(true, Ordering::Relaxed);
    }

    /// The outcome of a request, where `outcome` is what it looks like from inside.
    fn blame(&self, outcome: Outcome) -> Outcome {
        if outcome == Outcome::Canceled && self.aborting.load(Ordering::Relaxed) {
            Outcome::Reset
        } else {
            outcome
        }
    }
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").finish_non_exhaustive()
    }
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It is on its way here: its body, or who is to answer it, is still open.
    Arriving,
    /// It waits for a cell.
    Queued,
    /// A cell has it, and may not have begun it yet.
    InCell,
    /// Its answer, or a failure, has gone to whoever waits for it.
    Answered,
}

/// A request: what is known of it, and who waits for its answer.
#[derive(Debug)]
pub struct RequestContext {
    records: Records,
    deployment: Option<Arc<Deployment>>,
    record: Record,
    phase: Phase,
    /// Where its wall time begins.
    since: Instant,
    reply: Option<oneshot::Sender<Reply>>,
    /// Functions of this node that wait on each other above this one.
    depth: u8,
    account: Account,
    /// The node works on its answer, beyond its own end.
    ending: Option<open::Ending>,
    is_over: bool,
}

impl RequestContext {
    /// Request `id`, whose head was there at `received`.
    pub fn new(records: &Records, id: Arc<str>, received: Instant) -> Self {
        let now = SystemTime::now();
        let start = now.checked_sub(received.elapsed()).unwrap_or(now);
        Self {
            records: records.clone(),
            deployment: None,
            record: Record::empty(id, start),
            phase: Phase::Arriving,
            since: received,
            reply: None,
            depth: 0,
            account: Account::default(),
            ending: None,
            is_over: false,
        }
    }

    /// What it asks for.
    pub fn about(mut self, method: Method, url: String) -> Self {
        self.record.method = Some(method);
        self.record.url = Some(url);
        self
    }

    /// The same, of a request whose head could not be read as a whole.
    pub fn about_if_known(mut self, method: Option<Method>, url: Option<String>) -> Self {
        self.record.method = method;
        self.record.url = url;
        self
    }

    /// Who sent it.
    pub fn from_client(mut self, client: Arc<Client>) -> Self {
        self.record.client = Some(client);
        self
    }

    /// The function by name, where there is no deployment of it.
    pub fn named(mut self, function: Arc<str>) -> Self {
        self.record.function = Some(function);
        self
    }

    /// Who is to answer it.
    pub fn to(mut self, deployment: &Arc<Deployment>) -> Self {
        self.record.function = Some(deployment.name.clone());
        self.record.deployment = Some(deployment.version.clone());
        self.deployment = Some(deployment.clone());
        self
    }

    /// It was made by a function that is `depth` functions of this node deep.
    pub fn below(mut self, depth: u8) -> Self {
        self.depth = depth;
        self
    }

    /// Keeps its record open, beyond its own end, until the node has done with its answer.
    pub fn keep_open(&mut self) -> OpenRecord {
        let (record, ending) = open::open(self.account.clone());
        self.ending = Some(ending);
        record
    }

    /// Its id.
    pub fn id(&self) -> &Arc<str> {
        &self.record.request
    }

    /// How far it has come.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// When it reached its function.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// It is handed to its function: from here its time counts, and `reply` waits for what comes of it.
    pub(crate) fn queue(&mut self, now: Instant, reply: oneshot::Sender<Reply>) {
        self.since = now;
        self.record.start = SystemTime::now();
        self.reply = Some(reply);
        self.phase = Phase::Queued;
    }

    /// It waits again: the cell that had it is gone, and had not begun it.
    pub(crate) fn requeue(&mut self) {
        self.phase = Phase::Queued;
    }

    /// A cell has it. `cold`: it was made for this request.
    pub(crate) fn enter(&mut self, now: Instant, cold: bool) {
        self.phase = Phase::InCell;
        self.record.queued = now.saturating_duration_since(self.since);
        self.record.cold = cold;
    }

    /// On whose behalf its subrequests go out.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            function: self.record.function.clone().unwrap_or_default(),
            request: self.record.request.clone(),
            depth: self.depth,
            account: self.account.clone(),
        }
    }

    /// What the node has spent for it so far.
    pub(crate) fn spent_elsewhere(&self) -> Duration {
        self.account.total()
    }

    /// The node has spent `cpu` for it.
    pub(crate) fn charge(&self, cpu: Duration) {
        self.account.charge(cpu);
    }

    /// What is known of it, to be added to.
    pub(crate) fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    /// Gives its answer to whoever waits for it, once. Returns whether somebody does.
    pub(crate) fn answer(&mut self, reply: Reply) -> bool {
        if let Ok(response) = &reply {
            self.record.status = Some(response.status());
        }
        self.phase = Phase::Answered;
        match self.reply.take() {
            Some(sender) => sender.send(reply).is_ok(),
            None => false,
        }
    }

    /// Whether there has been an answer, or a failure.
    pub(crate) fn is_answered(&self) -> bool {
        self.phase == Phase::Answered
    }

    /// Whether whoever waited for the answer has gone away, before there was one. If not, the task is woken
    /// when that happens.
    pub(crate) fn poll_left(&mut self, cx: &mut std::task::Context<'_>) -> bool {
        let Some(reply) = &mut self.reply else {
            return false;
        };
        reply.poll_closed(cx).is_ready()
    }

    /// A line for its record, from the node.
    pub(crate) fn note(&mut self, level: Level, line: String) {
        self.record.log.push(level, line, LogBudget::UNLIMITED);
    }

    /// It goes no further: the edge has turned it away, with `status`, for the reason `why`.
    pub fn refuse(mut self, outcome: Outcome, status: Option<StatusCode>, why: &str) {
        self.record.status = status;
        self.record.thrown = Some(saying(why));
        self.end(outcome);
    }

    /// It goes no further: the edge has answered it, with `status`, as it was told to.
    pub fn answered(mut self, status: StatusCode) {
        self.record.status = Some(status);
        self.end(Outcome::Ok);
    }

    /// The node itself answers it, with `status`; [`RequestContext::served`] says when that is done. Dropped
    /// before, it is that of a client that went away.
    pub fn serving(&mut self, status: StatusCode) {
        self.record.status = Some(status);
    }

    /// `bytes` more of the node's answer were taken.
    pub fn gave(&mut self, bytes: u64) {
        self.record.bytes_out += bytes;
    }

    /// The node has answered it.
    pub fn served(mut self) {
        self.end(Outcome::Ok);
    }

    /// The node has not answered it, or not to the end, for the reason `why`, which is for the operator.
    pub fn not_served(mut self, why: &str) {
        self.record.thrown = Some(saying(why));
        self.end(Outcome::InternalError);
    }

    /// Nobody runs it: whoever waits is told, and the record says why.
    pub(crate) fn fail(mut self, failure: Failure) {
        if let Some(refusal) = &failure.refusal {
            self.note(Level::Error, refusal.clone());
        }
        self.record.queued = self.since.elapsed();
        self.record.thrown = failure.thrown.clone();
        let outcome = failure.outcome;
        self.answer(Err(failure));
        self.end(outcome);
    }

    /// Its execution is over: writes its record.
    pub(crate) fn finish(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    /// The one place where a record is finished.
    fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let outcome = self.records.blame(outcome);
        let empty = Record::empty(self.record.request.clone(), self.record.start);
        let mut record = std::mem::replace(&mut self.record, empty);
        record.outcome = outcome;
        record.wall = self.since.elapsed();
        let limit = self.deployment.as_ref();
        if let Some(limit) = limit.and_then(|deployment| deployment.broken_limit(outcome)) {
            record.log.push(Level::Error, limit, LogBudget::UNLIMITED);
        }
        match self.ending.take() {
            Some(ending) => ending.end(record, &self.records.recorder),
            None => {
                record.cpu += self.account.total();
                self.records.recorder.record(record);
            }
        }
    }
}

impl Drop for RequestContext {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let outcome = match self.phase {
            // Only a client that goes away lets go of it.
            Phase::Arriving => Outcome::Canceled,
            Phase::Queued | Phase::InCell | Phase::Answered => Outcome::Reset,
        };
        if !self.is_answered() {
            self.answer(Err(Failure::of(outcome)));
        }
        self.end(outcome);
    }
}

fn saying(text: &str) -> Thrown {
    Thrown {
        message: text.lines().next().unwrap_or_default().to_owned(),
        stack: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Record>>);

    impl Recorder for Kept {
        fn record(&self, record: Record) {
            self.0.lock().expect("no panic").push(record);
        }
    }

    fn outcomes(of: impl FnOnce(&Records)) -> Vec<Outcome> {
        let kept = Arc::new(Kept::default());
        of(&Records::new(kept.clone()));
        let records = kept.0.lock().expect("no panic");
        records.iter().map(|record| record.outcome).collect()
    }

    fn context(records: &Records) -> RequestContext {
        RequestContext::new(records, "id".into(), Instant::now())
    }

    #[test]
    fn each_leaves_one_record() {
        let seen = outcomes(|records| {
            drop(context(records));
            context(records).refuse(Outcome::Refused, Some(StatusCode::NOT_FOUND), "no");
            context(records).finish(Outcome::Ok);
            records.abort();
            drop(context(records));
        });
        let expected = [
            Outcome::Canceled,
            Outcome::Refused,
            Outcome::Ok,
            Outcome::Reset,
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_record_waits_for_what_is_still_spent() {
        let kept = Arc::new(Kept::default());
        let records = Records::new(kept.clone());
        let cpu = || -> Vec<u128> {
            let records = kept.0.lock().expect("no panic");
            records.iter().map(|record| record.cpu.as_nanos()).collect()
        };
        let mut request = context(&records);
        let open = request.keep_open();
        request.charge(Duration::from_nanos(1));
        request.finish(Outcome::Ok);
        assert!(cpu().is_empty());
        open.account().charge(Duration::from_nanos(2));
        drop(open);
        assert_eq!(cpu(), [3]);
        let mut request = context(&records);
        drop(request.keep_open());
        request.charge(Duration::from_nanos(5));
        assert_eq!(cpu(), [3]);
        drop(request);
        assert_eq!(cpu(), [3, 5]);
    }

    #[test]
    fn who_waits_for_one_that_is_lost_is_told() {
        let (reply, answer) = oneshot::channel();
        let seen = outcomes(|records| {
            let mut lost = context(records);
            lost.queue(Instant::now(), reply);
            drop(lost);
        });
        assert_eq!(seen, [Outcome::Reset]);
        let failure = answer
            .blocking_recv()
            .expect("it is told")
            .expect_err("no answer");
        assert_eq!(failure.outcome, Outcome::Reset);
    }
}
