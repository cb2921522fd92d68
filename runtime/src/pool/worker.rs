//! An isolate's thread: start the function, then take jobs until there is a reason to stop.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::Weak;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use holm_js_api::log::Thrown;
use tokio::sync::Notify;
use tokio::sync::oneshot;

use super::Shared;
use super::home::Host;
use super::policy::IDLE;
use crate::isolate::Fitness;
use crate::isolate::Isolate;
use crate::isolate::StartError;
use crate::job::Event;
use crate::job::Failure;
use crate::job::Job;
use crate::meter::Meter;
use crate::outcome::Outcome;
use crate::record::Record;
use crate::watchdog::Keeper;

/// V8 takes about 1 MiB of it for JavaScript; the rest is room for native recursion.
const STACK: usize = 4 << 20;

/// Threads that do native work for one isolate (WebCrypto) at the same time.
const HELPERS: usize = 4;

/// Time after which such a thread ends without work.
const HELPER_IDLE: Duration = Duration::from_secs(2);

thread_local! {
    /// What wakes the isolate of this thread.
    static OWN: RefCell<Option<Arc<Notify>>> = const { RefCell::new(None) };
}

/// What wakes the isolate of the calling thread, if it has one.
pub(super) fn own_bell() -> Option<Arc<Notify>> {
    OWN.with_borrow(Clone::clone)
}

/// Starts an isolate's thread, which the pool has counted as starting.
pub(super) fn spawn(shared: Arc<Shared>, ready: Option<oneshot::Sender<Result<(), StartError>>>) {
    let name = format!("holm-{}", shared.deployment.name);
    let of_thread = shared.clone();
    let spawned = thread::Builder::new()
        .name(name)
        .stack_size(STACK)
        .spawn(move || run(&of_thread, ready));
    if let Err(error) = spawned {
        failed(&shared, None, StartError::Host(error.to_string()));
    }
}

fn run(shared: &Arc<Shared>, ready: Option<oneshot::Sender<Result<(), StartError>>>) {
    let meter = Arc::new(Meter::current());
    let (starts, ends) = (meter.clone(), meter.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(HELPERS)
        .thread_keep_alive(HELPER_IDLE)
        // Of blocking threads; the isolate's own is there already.
        .on_thread_start(move || starts.helper_starts())
        .on_thread_stop(move || ends.helper_ends())
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(shared, ready, StartError::Host(error.to_string())),
    };
    // Everything of V8's is made, used and dropped inside this runtime.
    runtime.block_on(async {
        let deployment = shared.deployment.clone();
        let keeper: Weak<dyn Keeper> = shared.this.clone();
        let services = &shared.services;
        match Isolate::start(shared.engine, deployment, services, meter, keeper).await {
            Ok(isolate) => {
                let host = Host::new(isolate.watch().lost());
                shared.isolate_ready(&host);
                let bell = Arc::new(Notify::new());
                OWN.set(Some(bell.clone()));
                let cold = ready.is_none();
                if let Some(ready) = ready {
                    // Whoever asked may have stopped waiting; the isolate is warm all the same.
                    let _ = ready.send(Ok(()));
                }
                serve(shared, isolate, &bell, &host, cold).await;
            }
            Err(error) => failed(shared, ready, error),
        }
    });
    // What a helper still does is nobody's any more; it ends by itself.
    runtime.shutdown_background();
}

/// The isolate did not start: whoever waits for it is told.
fn failed(
    shared: &Shared,
    ready: Option<oneshot::Sender<Result<(), StartError>>>,
    error: StartError,
) {
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
    if let Some(ready) = ready {
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

/// Takes jobs until the isolate is spent, has been idle for long, or the pool is gone.
async fn serve(
    shared: &Arc<Shared>,
    mut isolate: Isolate,
    bell: &Arc<Notify>,
    host: &Arc<Host>,
    mut cold: bool,
) {
    while let Some(job) = next(shared, bell).await {
        let start = Instant::now();
        let fitness = isolate.run(job, cold, &shared.services).await;
        shared.served(start.elapsed());
        cold = false;
        match fitness {
            Fitness::Reusable => {}
            Fitness::Spent => break,
        }
    }
    // Gone for the pool before its heap is torn down, which takes milliseconds.
    let has_left = isolate.watch().leave();
    shared.isolate_leaves(has_left, host);
    host.close().await;
    drop(isolate);
}

/// The next job, as soon as there is one.
async fn next(shared: &Arc<Shared>, bell: &Arc<Notify>) -> Option<Job> {
    loop {
        {
            let mut state = shared.state();
            if let Some(job) = shared.take(&mut state) {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.idle.push(bell.clone());
        }
        if tokio::time::timeout(IDLE, bell.notified()).await.is_err() {
            let mut state = shared.state();
            let before = state.idle.len();
            state.idle.retain(|other| !Arc::ptr_eq(other, bell));
            if state.idle.len() < before && state.queue.is_empty() {
                return None;
            }
            // Rung at the same moment: the job is in the queue.
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
    shared.services.recorder.record(Record {
        method: fetch.method.clone(),
        url: fetch.url.clone(),
        outcome: failure.outcome,
        wall: queued,
        queued,
        thrown: failure.thrown.clone(),
        ..Record::empty(&shared.deployment, job.request.clone(), job.start)
    });
}
