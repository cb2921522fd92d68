//! An isolate's thread: start the function, then take jobs until there is a reason to stop.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::Weak;
use std::thread;
use std::time::Duration;

use deno_core::unsync;
use holm_model::event::Event;
use holm_model::event::Failure;
use holm_model::log::Level;
use holm_model::log::Log;
use holm_model::log::LogBudget;
use holm_model::log::Thrown;
use holm_model::outcome::Outcome;
use holm_model::record::Record;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Shared;
use super::home::Host;
use super::inbox::PoolInbox;
use super::warm::Refill;
use crate::isolate::Blank;
use crate::isolate::Fitness;
use crate::isolate::Isolate;
use crate::isolate::StartError;
use crate::isolate::memory_limit;
use crate::job::Job;
use crate::meter::Meter;
use crate::sys;
use crate::watchdog::Keeper;

/// V8 takes about 1 MiB of it for JavaScript; the rest is room for native recursion.
const STACK: usize = 4 << 20;

/// Threads that do native work for one isolate (WebCrypto) at the same time.
const HELPERS: usize = 4;

/// Time after which such a thread ends without work.
const HELPER_IDLE: Duration = Duration::from_secs(2);

/// Time without a job after which an isolate gives back memory that it can do without.
const TRIM_AFTER: Duration = Duration::from_secs(2);

thread_local! {
    /// What wakes the isolate of this thread.
    static OWN: RefCell<Option<Arc<Notify>>> = const { RefCell::new(None) };
}

/// What wakes the isolate of the calling thread, if it has one.
pub(super) fn own_bell() -> Option<Arc<Notify>> {
    OWN.with_borrow(Clone::clone)
}

/// Why an isolate is started.
#[derive(Debug)]
pub(super) enum Reason {
    /// A request waits for it.
    Request,
    /// A request may come.
    Hint,
    /// To see whether the function starts; the isolate ends then, unless it is one that is kept.
    Trial(oneshot::Sender<Result<(), StartError>>),
}

/// A function that an isolate is to run.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) shared: Arc<Shared>,
    pub(super) reason: Reason,
}

/// Starts an isolate, which the pool has counted as starting.
pub(super) fn spawn(shared: Arc<Shared>, reason: Reason) {
    let assignment = Assignment { shared, reason };
    let assignment = match assignment.reason {
        // Validation is nobody's request: what is warm stays for those.
        Reason::Trial(_) => assignment,
        Reason::Request | Reason::Hint => {
            let shared = assignment.shared.clone();
            match shared.services.warm.assign(assignment) {
                Ok(()) => return,
                Err(back) => back,
            }
        }
    };
    let shared = assignment.shared.clone();
    if let Err(error) = thread(&shared.deployment.name, move || start(assignment)) {
        failed(&shared, None, StartError::Host(error.to_string()));
    }
}

/// Starts a thread for one isolate.
///
/// # Errors
/// The system gives none.
pub(super) fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new()
        .name(thread_name(name))
        .stack_size(STACK)
        .spawn(work)?;
    Ok(())
}

/// As the system's tools show it.
fn thread_name(function: &str) -> String {
    format!("holm-{function}")
}

/// Starts an isolate on the calling thread, and works as long as it lives.
fn start(assignment: Assignment) {
    let shared = assignment.shared.clone();
    let worker = match Worker::new() {
        Ok(worker) => worker,
        Err(error) => {
            let error = StartError::Host(error.to_string());
            return failed(&shared, Some(assignment.reason), error);
        }
    };
    worker.block_on(|meter| async move {
        let memory = memory_limit(&shared.deployment, &shared.services);
        match Blank::new(shared.engine, memory) {
            Ok(blank) => live(assignment, blank, meter, None).await,
            Err(error) => failed(&shared, Some(assignment.reason), error),
        }
    });
}

/// What an isolate's thread runs on.
pub(super) struct Worker {
    runtime: Runtime,
    meter: Arc<Meter>,
}

impl Worker {
    /// For the calling thread.
    ///
    /// # Errors
    /// The system does not give what a runtime takes.
    pub(super) fn new() -> io::Result<Self> {
        let meter = Arc::new(Meter::current());
        let (starts, ends) = (meter.clone(), meter.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(HELPERS)
            .thread_keep_alive(HELPER_IDLE)
            // Of blocking threads; the isolate's own is there already.
            .on_thread_start(move || starts.helper_starts())
            .on_thread_stop(move || ends.helper_ends())
            .build()?;
        Ok(Self { runtime, meter })
    }

    /// Does all the work of an isolate. Everything of V8's is made, used and dropped inside.
    pub(super) fn block_on<F>(self, work: impl FnOnce(Arc<Meter>) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        // As a task, because whoever wakes the future that a runtime blocks on does so with a system
        // call, even from the same thread.
        let task = work(self.meter);
        // It panicked: the hook has said so, and the thread ends all the same.
        let _ = self.runtime.block_on(async { unsync::spawn(task).await });
        // What a helper still does is nobody's any more; it ends by itself.
        self.runtime.shutdown_background();
    }
}

/// Starts the function in its isolate, and answers requests as long as there are any. `refill`: what
/// takes the isolate's place in the warm pool may be made when the request that waits has run.
pub(super) async fn live(
    assignment: Assignment,
    blank: Blank,
    meter: Arc<Meter>,
    refill: Option<Refill>,
) {
    let Assignment { shared, reason } = assignment;
    let shared = &shared;
    let deployment = shared.deployment.clone();
    let keeper: Weak<dyn Keeper> = shared.this.clone();
    match blank
        .start(deployment, &shared.services, meter, keeper)
        .await
    {
        Ok(isolate) => {
            let host = Host::new(isolate.watch().lost());
            shared.isolate_ready(&host);
            let bell = Arc::new(Notify::new());
            OWN.set(Some(bell.clone()));
            let idle = shared.deployment.limits.idle.as_duration();
            let (cold, idle) = match reason {
                Reason::Request => (Some(refill), idle),
                Reason::Hint => (None, idle),
                Reason::Trial(ready) => {
                    // Whoever asked may have stopped waiting; that changes nothing.
                    let _ = ready.send(Ok(()));
                    (None, Duration::ZERO)
                }
            };
            serve(shared, isolate, &bell, &host, cold, idle).await;
            shared.services.warm.isolate_ended();
        }
        Err(error) => failed(shared, Some(reason), error),
    }
}

/// The thread of an isolate that had no function yet is that function's from now on.
pub(super) fn take_name(function: &str) {
    sys::name_thread(&thread_name(function));
}

/// The isolate did not start: whoever waits for it is told.
fn failed(shared: &Shared, reason: Option<Reason>, error: StartError) {
    // One that is stuck has been counted out by the watchdog.
    if error != StartError::Stuck {
        let mut state = shared.state();
        state.starting -= 1;
        let nobody = state.isolates + state.starting == 0;
        drop(state);
        if nobody {
            shared.fail_queue(&start_failure(&error));
        }
    }
    if let Some(Reason::Trial(ready)) = reason {
        let _ = ready.send(Err(error));
    }
}

fn start_failure(error: &StartError) -> Failure {
    let text = error.to_string();
    let outcome = match error {
        StartError::Host(_) => Outcome::InternalError,
        StartError::Threw(_)
        | StartError::NoHandler(_)
        | StartError::Limit { .. }
        | StartError::Stuck
        | StartError::NeverReady => Outcome::StartupFailed,
    };
    Failure {
        thrown: Some(Thrown {
            message: text.lines().next().unwrap_or_default().to_owned(),
            stack: text,
        }),
        ..Failure::of(outcome)
    }
}

/// Takes jobs until the isolate is spent, has been idle for long, or the pool is gone. `cold`: it was
/// started for the first of them, for which it waits no longer than `idle`.
async fn serve(
    shared: &Arc<Shared>,
    mut isolate: Isolate,
    bell: &Arc<Notify>,
    host: &Arc<Host>,
    mut cold: Option<Option<Refill>>,
    mut idle: Duration,
) {
    let mut fitness = Fitness::Reusable;
    let mut is_counted = true;
    let mut inbox = PoolInbox::new(shared, bell);
    while let Some(job) = next(shared, bell, &mut isolate, &mut is_counted, idle).await {
        let is_cold = cold.is_some();
        idle = shared.deployment.limits.idle.as_duration();
        fitness = isolate
            .run(job, is_cold, &shared.services, &mut inbox)
            .await;
        cold = None;
        match fitness {
            Fitness::Reusable => isolate.keep_code(false),
            Fitness::Spent => break,
        }
    }
    // Gone for the pool before its heap is torn down, which takes milliseconds.
    let has_left = isolate.watch().leave();
    shared.isolate_leaves(has_left && is_counted, host);
    host.close().await;
    if fitness == Fitness::Reusable {
        isolate.keep_code(true);
    }
    drop(isolate);
}

/// The next job, as soon as there is one. An isolate that is spare ends instead, and is not counted
/// from that moment on.
async fn next(
    shared: &Arc<Shared>,
    bell: &Arc<Notify>,
    isolate: &mut Isolate,
    is_counted: &mut bool,
    idle: Duration,
) -> Option<Job> {
    let kept = shared.deployment.limits.min_isolates.as_usize();
    let mut is_trimmed = false;
    loop {
        let is_spare = {
            let mut state = shared.state();
            if let Some(job) = shared.take(&mut state) {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            if state.leaving > 0 {
                state.leaving -= 1;
                state.isolates -= 1;
                *is_counted = false;
                return None;
            }
            // It is still there if what woke it was meant for a moment when it was not.
            state.strike_off(bell);
            state.idle.push(bell.clone());
            state.isolates > kept
        };
        let patience = match (is_spare, is_trimmed) {
            (true, false) => idle.min(TRIM_AFTER),
            (false, false) => TRIM_AFTER,
            (true, true) => idle.saturating_sub(TRIM_AFTER),
            // It may become spare when others have come.
            (false, true) => idle.max(TRIM_AFTER),
        };
        if timeout(patience, bell.notified()).await.is_ok() {
            continue;
        }
        let mut state = shared.state();
        let before = state.idle.len();
        state.idle.retain(|other| !Arc::ptr_eq(other, bell));
        if state.idle.len() == before || !state.queue.is_empty() {
            // Rung at the same moment: the job is in the queue.
            continue;
        }
        if (is_trimmed || idle <= TRIM_AFTER) && state.isolates > kept {
            state.isolates -= 1;
            *is_counted = false;
            return None;
        }
        drop(state);
        if !is_trimmed {
            is_trimmed = true;
            isolate.trim();
        }
    }
}

/// Answers and records a job that no isolate ran.
pub(super) fn refuse(shared: &Shared, job: Job, failure: Failure) {
    record(shared, &job, &failure);
    // A client that is gone needs no answer.
    let _ = job.reply.send(Err(failure));
}

/// Records a job that no isolate ran.
pub(super) fn record(shared: &Shared, job: &Job, failure: &Failure) {
    let Event::Fetch(fetch) = &job.event;
    let queued = job.queued.elapsed();
    let mut log = Log::default();
    if let Some(refusal) = &failure.refusal {
        log.push(Level::Error, refusal.clone(), LogBudget::UNLIMITED);
    }
    shared.services.recorder.record(Record {
        method: Some(fetch.method.clone()),
        url: Some(fetch.url.clone()),
        outcome: failure.outcome,
        wall: queued,
        queued,
        log,
        thrown: failure.thrown.clone(),
        ..shared.deployment.record(job.request.clone(), job.start)
    });
}
