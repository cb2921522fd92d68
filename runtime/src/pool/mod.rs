//! The cells of one function and the queue before them.
//!
//! Cells pull: each takes the next request when it has room, so a request is never bound to one that turns
//! out slow or dies. Who wakes and who starts when is decided by [`policy`] from the [`books`]; a [monitor] asks
//! it while requests wait.

mod admission;
mod backoff;
pub(crate) mod books;
mod ends;
mod memory;
mod monitor;
mod policy;
mod queue;
#[cfg(test)]
mod simulation;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use holm_model::event::Event;
use holm_model::event::Failure;
use holm_model::event::Reply;
use holm_model::outcome::Outcome;
use holm_model::start::StartError;
use holm_process::memory::Reading;
use tokio::sync::oneshot;

pub use self::admission::Admission;
use self::backoff::Backoff;
use self::books::Books;
pub(crate) use self::books::CellId;
pub use self::policy::Load;
pub(crate) use self::policy::PICKUP;
use self::policy::Start;
use crate::cell;
use crate::cell::Handle;
use crate::cell::Mail;
use crate::deployment::Deployment;
use crate::descriptors::Beginning;
use crate::fork::template;
use crate::fork::template::Template;
use crate::request::RequestContext;
use crate::services::Part;
use crate::services::Services;

/// How long requests that ask for a fresh isolate each have spare ones kept for them.
const SPARE: Duration = Duration::from_secs(1);

/// The cells of one deployment. Dropping it ends them when the queue is empty.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

/// A request and what there is to answer.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) context: RequestContext,
    pub(crate) event: Event,
    /// Cells that died before they began it.
    pub(crate) attempts: u32,
}

/// What a pool shares with its cells.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) services: Services,
    state: Mutex<State>,
    template: tokio::sync::Mutex<Origin>,
    /// Whether cells are copies of a template.
    is_copyable: AtomicBool,
    /// Requests that a cell may be given ahead.
    ahead: AtomicUsize,
    /// Its last request computed for long.
    is_long: AtomicBool,
    computing: Part,
    /// Requests wait that nobody was woken for.
    is_monitored: AtomicBool,
    next_cell: AtomicU64,
    /// Bytes that its cells came to lately; 0 while that is not known.
    size: AtomicU64,
    /// What was last read exactly of a cell: others are like it, mostly.
    like: Mutex<Option<Reading>>,
    this: Weak<Shared>,
}

/// Where the cells of a function come from.
#[derive(Debug)]
enum Origin {
    /// It has not started.
    Unknown,
    /// Its template was given up; what a start costs, in CPU time.
    GivenUp(Duration),
    /// Copies of one that has started.
    Template(Arc<Template>),
    /// Each starts by itself.
    Zygote,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) books: Books<Job>,
    pub(crate) is_closed: bool,
    cells: HashMap<CellId, Arc<Handle>>,
    backoff: Backoff,
    /// When the last request came.
    asked: Option<Instant>,
    /// When a cell last died.
    died: Option<Instant>,
}

impl State {
    /// Takes the request that has waited longest.
    pub(crate) fn take(&mut self, admission: &Admission) -> Option<Job> {
        let job = self.books.take()?;
        admission.leave(1, self.books.waiting());
        Some(job)
    }
}

/// A cell's place in the books, from the moment when it is to be started. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    pool: Arc<Shared>,
    id: CellId,
    has_started: bool,
    /// Until it has what it needs.
    beginning: Option<Beginning>,
}

impl Place {
    /// The cell's number.
    pub(crate) fn id(&self) -> CellId {
        self.id
    }

    /// The cell answers from now on.
    pub(crate) fn started(&mut self) {
        self.beginning = None;
        if !std::mem::replace(&mut self.has_started, true) {
            self.pool.state().books.started();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        if self.has_started {
            state.books.gone(self.id);
        } else {
            state.books.strike_off(self.id);
            state.books.not_started();
        }
        state.cells.remove(&self.id);
    }
}

impl Pool {
    /// A pool without cells.
    pub fn new(deployment: Arc<Deployment>, services: Services) -> Self {
        let shared = Arc::new_cyclic(|this| Shared {
            computing: services.cores.part(),
            deployment,
            services,
            state: Mutex::default(),
            template: tokio::sync::Mutex::new(Origin::Unknown),
            is_copyable: AtomicBool::new(false),
            ahead: AtomicUsize::new(0),
            is_long: AtomicBool::new(false),
            is_monitored: AtomicBool::new(false),
            next_cell: AtomicU64::new(1),
            size: AtomicU64::new(0),
            like: Mutex::default(),
            this: this.clone(),
        });
        shared.services.memory.join(shared.this.clone());
        Self { shared }
    }

    /// What it runs.
    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.shared.deployment
    }

    /// Starts the function once, to see whether it starts, and keeps what its cells are copied from. Then as many
    /// cells as are kept at any time.
    ///
    /// # Errors
    /// Why the function does not start.
    pub async fn try_start(&self) -> Result<(), StartError> {
        let room = self.shared.services.descriptors.room().await;
        let room = room.map_err(|error| StartError::Host(error.to_string()))?;
        self.shared.template().await?;
        drop(room);
        self.shared.keep_minimum();
        Ok(())
    }

    /// Hands a request to the function, and waits for what comes of it.
    ///
    /// Dropping the future cancels the request.
    pub async fn ask(&self, mut context: RequestContext, event: Event) -> Reply {
        let (reply, answer) = oneshot::channel();
        let now = Instant::now();
        context.queue(now, reply);
        let job = Job {
            context,
            event,
            attempts: 0,
        };
        self.shared.submit(job, now);
        // The context answers even where it is dropped.
        answer
            .await
            .unwrap_or_else(|_| Err(Failure::of(Outcome::Reset)))
    }

    /// A request may come soon: starts a cell if there is none, so that it is there by then.
    pub fn prewarm(&self) {
        let shared = &self.shared;
        let mut state = shared.state();
        let now = Instant::now();
        if state.books.all() > 0 || state.backoff.left(now).is_some() || shared.is_short(true) {
            return;
        }
        state.books.start();
        drop(state);
        shared.start(false);
    }

    /// It takes the place of `before`, another version of the same function: as much is likely to be asked of
    /// it, so it begins with cells, for each core one at most.
    pub fn succeed(&self, before: &Self) {
        let shared = &self.shared;
        let (cells, service) = {
            let before = before.shared.state();
            (before.books.cells(), before.books.service())
        };
        let mut state = shared.state();
        state.books.expect(service);
        shared.ahead.store(state.books.ahead(), Ordering::Relaxed);
        drop(state);
        let max = shared.deployment.limits.max_isolates.as_usize();
        let wanted = cells.min(shared.services.cores.count()).min(max);
        loop {
            let mut state = shared.state();
            if state.books.all() >= wanted || shared.is_short(false) {
                return;
            }
            state.books.start();
            drop(state);
            shared.start(false);
        }
    }

    /// What will be left of it when it is dropped.
    pub fn remains(&self) -> Remains {
        Remains(self.shared.this.clone())
    }

    /// Whether nothing waits and no cell has work: every request has left its record.
    pub fn is_quiet(&self) -> bool {
        self.shared.is_quiet()
    }

    /// Bytes that its processes hold, the template included, as they were last read.
    pub fn memory(&self) -> u64 {
        self.shared.last_memory()
    }

    /// Whether its cells are copies of a template.
    pub fn has_template(&self) -> bool {
        self.shared.can_copy()
    }

    /// Requests waiting and cells running, for metrics and tests.
    pub fn load(&self) -> Load {
        let state = self.shared.state();
        let around = self.shared.around(&state);
        state.books.load(Instant::now(), around)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.is_closed = true;
        let cells: Vec<_> = state.cells.values().cloned().collect();
        drop(state);
        for cell in cells {
            cell.post(Mail::End);
        }
    }
}

/// A pool that takes no more requests, as long as there are some in it.
#[derive(Clone, Debug)]
pub struct Remains(Weak<Shared>);

impl Remains {
    /// Whether the last of its cells has ended.
    pub fn are_gone(&self) -> bool {
        self.0.strong_count() == 0
    }

    /// Whether every request has left its record.
    pub fn are_quiet(&self) -> bool {
        self.0.upgrade().is_none_or(|pool| pool.is_quiet())
    }
}

impl Shared {
    fn is_quiet(&self) -> bool {
        let state = self.state();
        state.books.waiting() == 0 && state.books.idle() >= state.books.cells()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a cell that the books have as starting.
    fn start(&self, is_cold: bool) {
        let Some(pool) = self.this.upgrade() else {
            self.state().books.not_started();
            return;
        };
        self.services.memory.take(self.size());
        let id = self.next_cell.fetch_add(1, Ordering::Relaxed);
        let place = Place {
            pool: pool.clone(),
            id,
            has_started: false,
            beginning: Some(self.services.descriptors.begin()),
        };
        cell::spawn(&pool, place, is_cold);
    }

    /// The cell can be reached from now on.
    pub(crate) fn enlist(&self, handle: &Arc<Handle>) {
        self.state().cells.insert(handle.id, handle.clone());
    }

    /// Requests that a cell may be given ahead of the one it works on.
    pub(crate) fn ahead(&self) -> usize {
        self.ahead.load(Ordering::Relaxed)
    }

    /// Whether its requests compute for long, so that new cells stand back from the start.
    pub(crate) fn is_long(&self) -> bool {
        self.is_long.load(Ordering::Relaxed)
    }

    /// Whether its last request computed for long.
    pub(crate) fn set_long(&self, is_long: bool) {
        self.is_long.store(is_long, Ordering::Relaxed);
    }

    /// Whether another cell takes a fork and nothing more.
    pub(crate) fn can_copy(&self) -> bool {
        self.is_copyable.load(Ordering::Relaxed)
    }

    /// What is known of a start that costs `cost`.
    fn start_at(&self, cost: Duration) -> Start {
        Start {
            cost,
            cells: self.state().books.all(),
            is_for_few: self
                .deployment
                .limits
                .requests_per_isolate
                .bound()
                .is_some(),
            is_tight: self.services.memory.is_tight() || self.services.descriptors.are_tight(),
        }
    }

    /// What the pool's cells are copied from; nothing if they cannot be, or the next one had better start by itself.
    /// Made anew if it is gone.
    pub(crate) async fn template(&self) -> Result<Option<Arc<Template>>, StartError> {
        let mut origin = self.template.lock().await;
        match &*origin {
            Origin::Template(template) if template.is_current(&self.services.zygote) => {
                return Ok(Some(template.clone()));
            }
            Origin::Zygote => return Ok(None),
            Origin::GivenUp(cost) if !policy::wants_template(self.start_at(*cost)) => {
                return Ok(None);
            }
            Origin::GivenUp(_) | Origin::Template(_) | Origin::Unknown => {}
        }
        let template = match template::begin(&self.deployment, &self.services).await {
            // It has started before, so it was not the function that ended it.
            Err(StartError::Crashed(_)) if self.deployment.uncalled.get().is_some() => {
                template::begin(&self.deployment, &self.services).await
            }
            begun => begun,
        }?;
        self.is_copyable
            .store(template.is_some(), Ordering::Relaxed);
        *origin = match &template {
            Some(template) => Origin::Template(template.clone()),
            None => Origin::Zygote,
        };
        Ok(template)
    }
}
