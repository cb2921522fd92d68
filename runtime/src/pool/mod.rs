//! The isolates of one function and the queue before them.
//!
//! Isolates pull: each takes the next job when it is free, so a job is never bound to an isolate
//! that turns out slow or is taken away. While an isolate is awake nobody needs to wake it. Who
//! wakes and who starts when is decided by [`policy`]; the watchdog's patrol asks it while jobs
//! wait.

mod admission;
mod home;
mod inbox;
mod memory;
mod policy;
mod quarantine;
mod rest;
#[cfg(test)]
mod simulation;
mod wake;
mod warm;
mod worker;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use holm_model::event::Failure;
use holm_model::outcome::Outcome;
use tokio::sync::Notify;
use tokio::sync::oneshot;

pub use self::admission::Admission;
pub use self::home::Home;
use self::home::Host;
pub use self::home::QUICK;
pub use self::memory::NodeMemory;
pub use self::policy::Load;
pub use self::policy::PICKUP;
pub use self::policy::PICKUP_WHEN_FULL;
pub use self::policy::WAKE;
pub use self::policy::start_another;
pub use self::policy::wake_another;
use self::quarantine::Quarantine;
pub use self::warm::WarmPool;
use self::worker::Reason;
use crate::deployment::Deployment;
use crate::engine::Engine;
use crate::isolate::StartError;
use crate::job::Job;
use crate::services::Services;
use crate::watchdog::Keeper;
use crate::watchdog::Patrol;

/// Time that a start may take before it is given up: more than the watchdog lets it have.
const START: Duration = Duration::from_secs(15);

/// The isolates of one deployment. Dropping it ends them when the queue is empty.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

/// What a pool shares with its isolates' threads.
#[derive(Debug)]
struct Shared {
    engine: Engine,
    deployment: Arc<Deployment>,
    services: Services,
    state: Mutex<State>,
    /// Jobs wait that nobody was woken for.
    backlog: AtomicBool,
    /// How long requests have lately kept an isolate: a moving average, in ns.
    service: AtomicU64,
    /// No isolate of it ever got stuck.
    is_tame: AtomicBool,
    id: u64,
    /// For the patrol.
    this: Weak<Shared>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Job>,
    /// Isolates without work, the one that had some last at the end.
    idle: Vec<Arc<Notify>>,
    /// Isolates that wait for I/O with room for more requests.
    roomy: Vec<Arc<Notify>>,
    isolates: usize,
    /// The threads of isolates where connections may live.
    hosts: Vec<Arc<Host>>,
    starting: usize,
    closed: bool,
    /// When the last job came.
    asked: Option<Instant>,
    /// Isolates that were told to end, and have not seen it yet.
    leaving: usize,
    quarantine: Quarantine,
}

/// What came of handing a job to a pool that did not take it.
#[derive(Debug)]
pub struct Refused {
    /// The job, unchanged.
    pub job: Job,
    /// Why.
    pub failure: Failure,
}

impl Pool {
    /// A pool without isolates.
    pub fn new(engine: Engine, deployment: Arc<Deployment>, services: Services) -> Self {
        let services = Services {
            cores: services.cores.for_pool(),
            ..services
        };
        let shared = Arc::new_cyclic(|this| Shared {
            engine,
            deployment,
            services,
            state: Mutex::new(State::default()),
            backlog: AtomicBool::new(false),
            service: AtomicU64::new(0),
            is_tame: AtomicBool::new(true),
            id: home::next_id(),
            this: this.clone(),
        });
        shared.services.memory.join(shared.this.clone());
        Self { shared }
    }

    /// What it runs.
    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.shared.deployment
    }

    /// Starts one isolate and waits until it can answer, or cannot: how a deployment is
    /// validated. The isolate ends then, unless it is one of those that are kept at any time.
    ///
    /// # Errors
    /// Why the function does not start.
    pub async fn try_start(&self) -> Result<(), StartError> {
        let (ready, started) = oneshot::channel();
        self.shared.state().starting += 1;
        worker::spawn(self.shared.clone(), Reason::Trial(ready));
        match tokio::time::timeout(START, started).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(StartError::Host("its thread ended".into())),
            Err(_) => Err(StartError::Stuck),
        }
    }

    /// Queues a job.
    ///
    /// # Errors
    /// Gives the job back when the queue is full, or the function in quarantine.
    #[allow(
        clippy::result_large_err,
        reason = "the job moves back to its owner, which answers it"
    )]
    pub fn submit(&self, job: Job) -> Result<(), Refused> {
        let shared = &self.shared;
        let mut state = shared.state();
        if let Some(left) = state.quarantine.left(job.queued) {
            let failure = Failure {
                retry_after: Some(left),
                refusal: Some(
                    "in quarantine: its isolates kept getting stuck in native code".into(),
                ),
                ..Failure::of(Outcome::Overloaded)
            };
            return Err(Refused { job, failure });
        }
        let waiting = state.queue.len();
        let slots = shared.deployment.limits.queue;
        let refusal = if waiting >= slots.as_usize() {
            Some(format!(
                "its queue of {slots} was full; `limits.queue` raises it"
            ))
        } else if !shared.services.admission.admits(waiting) {
            Some("as many requests waited on the node as may; `server.max_queued` raises it".into())
        } else {
            None
        };
        if refusal.is_some() {
            let failure = Failure {
                refusal,
                ..Failure::of(Outcome::Overloaded)
            };
            return Err(Refused { job, failure });
        }
        let now = job.queued;
        state.asked = Some(now);
        state.queue.push_back(job);
        shared.services.admission.joins(waiting);
        if let Some(own) = worker::own_bell()
            && state.strike_off(&own)
        {
            // The calling thread's own isolate can take it: nobody has to be woken.
            drop(state);
            own.notify_one();
            return Ok(());
        }
        shared.see_to_queue(state, now);
        Ok(())
    }

    /// A request may come soon: starts an isolate if there is none, so that it is there by then.
    pub fn prewarm(&self) {
        let shared = &self.shared;
        let mut state = shared.state();
        let is_there = state.isolates + state.starting > 0;
        let now = Instant::now();
        if is_there || state.quarantine.left(now).is_some() || shared.services.memory.is_full() {
            return;
        }
        shared.services.memory.take();
        state.starting += 1;
        drop(state);
        worker::spawn(shared.clone(), Reason::Hint);
    }

    /// Whether nothing waits and no isolate has work: every request has left its record.
    pub fn is_quiet(&self) -> bool {
        let state = self.shared.state();
        state.queue.is_empty() && state.idle.len() >= state.isolates
    }

    /// Names the pool among all of the process; never zero.
    pub fn id(&self) -> u64 {
        self.shared.id
    }

    /// Whether connections may live on the threads of its isolates.
    pub fn is_hospitable(&self) -> bool {
        let service = Duration::from_nanos(self.shared.service.load(Ordering::Relaxed));
        service <= QUICK && self.shared.is_tame.load(Ordering::Relaxed)
    }

    /// A place for one more connection on the thread of an isolate.
    pub fn home(&self) -> Option<Home> {
        if !self.is_hospitable() {
            return None;
        }
        home::choose(&self.shared.state().hosts)
    }

    /// Records a job that [`Pool::submit`] gave back.
    pub fn record_refused(&self, refused: &Refused) {
        worker::record(&self.shared, &refused.job, &refused.failure);
    }

    /// Jobs waiting and isolates running, for metrics and tests.
    pub fn load(&self) -> Load {
        self.shared.load(&self.shared.state(), Instant::now())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.closed = true;
        for idle in state.idle.drain(..) {
            idle.notify_one();
        }
    }
}

impl State {
    /// Strikes the isolate with this bell off the lists of those to wake. Returns whether it was on
    /// one.
    fn strike_off(&mut self, bell: &Arc<Notify>) -> bool {
        for list in [&mut self.idle, &mut self.roomy] {
            if let Some(place) = list.iter().position(|other| Arc::ptr_eq(other, bell)) {
                list.remove(place);
                return true;
            }
        }
        false
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, state: &State, now: Instant) -> Load {
        let oldest = state
            .queue
            .front()
            .map(|job| now.saturating_duration_since(job.queued))
            .unwrap_or_default();
        Load {
            isolates: state.isolates,
            idle: state.idle.len() + state.roomy.len(),
            computing: self.services.cores.computing(),
            starting: state.starting,
            waiting: state.queue.len(),
            oldest,
            service: Duration::from_nanos(self.service.load(Ordering::Relaxed)),
            full: self.services.cores.are_full(),
            short_of_memory: !state.queue.is_empty() && self.services.memory.is_full(),
            cores: self.services.cores.count(),
        }
    }

    /// If jobs wait, who is awake will take them; if not in time, the patrol wakes or starts another.
    fn see_to_queue(&self, state: MutexGuard<'_, State>, now: Instant) {
        let is_empty = state.queue.is_empty();
        if !is_empty && !self.scale_out(state, now) && !self.backlog.swap(true, Ordering::SeqCst) {
            let patrol: Weak<dyn Patrol> = self.this.clone();
            self.services.watchdog.patrol(patrol);
        }
    }

    /// Wakes or starts an isolate if the policy says so. Returns whether one was woken.
    fn scale_out(&self, mut state: MutexGuard<'_, State>, now: Instant) -> bool {
        let load = self.load(&state, now);
        if wake_another(load)
            // Packed as densely as they may be: what is empty can be ended.
            && let Some(idle) = state.roomy.pop().or_else(|| state.idle.pop())
        {
            drop(state);
            wake::wake(idle);
            return true;
        }
        let max = self.deployment.limits.max_isolates.as_usize();
        if start_another(load, max)
            && let Some(this) = self.this.upgrade()
        {
            self.services.memory.take();
            state.starting += 1;
            drop(state);
            worker::spawn(this, Reason::Request);
        }
        false
    }

    /// Whether it has no isolate, and none is coming.
    fn is_at_zero(&self) -> bool {
        let state = self.state();
        state.isolates + state.starting == 0
    }

    /// When its isolates were last asked for, if any of them can be ended.
    fn idle_since(&self) -> Option<Option<Instant>> {
        let state = self.state();
        (self.dispensable(&state) > 0).then_some(state.asked)
    }

    /// Ends isolates without work, up to `most`. Returns how many.
    fn end_idle(&self, most: u64) -> u64 {
        let mut state = self.state();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let count = self.dispensable(&state).min(most);
        state.leaving += count;
        // Those that have been idle for longest stand first.
        for idle in state.idle.drain(..count) {
            idle.notify_one();
        }
        count as u64
    }

    /// How many isolates have no work and need not be kept.
    fn dispensable(&self, state: &State) -> usize {
        let keep = self.deployment.limits.min_isolates.as_usize();
        let beyond = (state.isolates - state.leaving.min(state.isolates)).saturating_sub(keep);
        state.idle.len().min(beyond)
    }

    /// Takes the job that has waited longest.
    fn take(&self, state: &mut State) -> Option<Job> {
        let job = state.queue.pop_front()?;
        self.services.admission.leave(1, state.queue.len());
        Some(job)
    }

    /// A request has kept an isolate for this long.
    fn served(&self, time: Duration) {
        // Isolates that overwrite each other's figure do no harm.
        let before = self.service.load(Ordering::Relaxed);
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let after = before - before / 8 + time / 8;
        self.service.store(after, Ordering::Relaxed);
    }

    /// An isolate that was starting can answer.
    fn isolate_ready(&self, host: &Arc<Host>) {
        let mut state = self.state();
        state.hosts.push(host.clone());
        state.starting -= 1;
        state.isolates += 1;
    }

    /// An isolate takes no more jobs. `is_counted`: nobody has counted it out yet.
    fn isolate_leaves(&self, is_counted: bool, host: &Arc<Host>) {
        let mut state = self.state();
        state.hosts.retain(|other| !Arc::ptr_eq(other, host));
        if is_counted {
            state.isolates -= 1;
        }
        // One that ended otherwise need not be told any more.
        state.leaving = state.leaving.min(state.isolates);
        self.see_to_queue(state, Instant::now());
        self.keep_minimum();
    }

    /// Starts one isolate if there are fewer than are kept at any time.
    fn keep_minimum(&self) {
        let mut state = self.state();
        let kept = self.deployment.limits.min_isolates.as_usize();
        let is_wanted = state.isolates + state.starting < kept
            && !state.closed
            && state.quarantine.left(Instant::now()).is_none();
        if is_wanted && let Some(this) = self.this.upgrade() {
            self.services.memory.take();
            state.starting += 1;
            drop(state);
            worker::spawn(this, Reason::Hint);
        }
    }

    /// Answers everything in the queue: no isolate can be had.
    fn fail_queue(&self, failure: &Failure) {
        let jobs = std::mem::take(&mut self.state().queue);
        self.services.admission.leave(jobs.len(), 0);
        for job in jobs {
            worker::refuse(self, job, failure.clone());
        }
    }
}

impl Keeper for Shared {
    fn isolate_stuck(&self, starting: bool, computes: &AtomicBool) {
        self.services.cores.stop(computes);
        self.is_tame.store(false, Ordering::Relaxed);
        let mut state = self.state();
        state.quarantine.strike(Instant::now());
        if starting {
            state.starting -= 1;
            let nobody = state.isolates + state.starting == 0;
            drop(state);
            if nobody {
                self.fail_queue(&Failure::of(Outcome::StartupFailed));
            }
        } else {
            state.isolates -= 1;
            self.see_to_queue(state, Instant::now());
        }
    }
}

impl Patrol for Shared {
    fn patrol(&self) -> bool {
        if !self.backlog.load(Ordering::SeqCst) {
            return false;
        }
        let state = self.state();
        if state.queue.is_empty() {
            self.backlog.store(false, Ordering::SeqCst);
            return false;
        }
        self.scale_out(state, Instant::now());
        true
    }
}
