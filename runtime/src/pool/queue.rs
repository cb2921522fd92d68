//! Requests that wait: who takes them, who starts for them, and which are refused.

use std::sync::Arc;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use std::time::Instant;

use holm_model::event::Failure;
use holm_model::outcome::Outcome;

use super::Job;
use super::Shared;
use super::State;
use super::books::Decision;
use super::books::Surroundings;
use super::monitor;
use crate::cell::Handle;
use crate::cell::Mail;

impl Shared {
    /// Queues a request, or refuses it.
    pub(super) fn submit(&self, job: Job, now: Instant) {
        let mut state = self.state();
        if let Some(failure) = self.refusal(&state, now) {
            drop(state);
            job.context.fail(failure);
            return;
        }
        state.asked = Some(now);
        let waiting = state.books.waiting();
        state.books.push(job, now);
        self.services.admission.joins(waiting);
        self.scale_out(state, now);
    }

    /// Why no request can wait now.
    fn refusal(&self, state: &State, now: Instant) -> Option<Failure> {
        let waiting = state.books.waiting();
        let slots = self.deployment.limits.queue;
        let overloaded = |refusal: String, retry_after| Failure {
            retry_after,
            refusal: Some(refusal),
            ..Failure::of(Outcome::Overloaded)
        };
        if let Some(left) = state.backoff.left(now)
            && state.books.all() == 0
        {
            let refusal = format!(
                "its isolates ended one after the other; the next one is started in {left:.1?}"
            );
            return Some(overloaded(refusal, Some(left)));
        }
        if waiting >= slots.as_usize() {
            let refusal = format!("its queue of {slots} was full; `limits.queue` raises it");
            return Some(overloaded(refusal, None));
        }
        if !self.services.admission.admits(waiting) {
            let refusal =
                "as many requests waited on the node as may; `server.max_queued` raises it";
            return Some(overloaded(refusal.into(), None));
        }
        None
    }

    /// What the rest of the node looks like.
    pub(super) fn around(&self, state: &State) -> Surroundings {
        let computes = |cell: &&Arc<Handle>| cell.page.is_computing();
        let computing = match state.books.all() {
            0 => 0,
            _ => state.cells.values().filter(computes).count(),
        };
        self.computing.set(computing);
        let cores = self.computing.cores();
        Surroundings {
            computing,
            full: cores.are_full(),
            cores: cores.count(),
            is_short: state.books.waiting() > 0 && self.is_short(state.books.all() == 0),
            max: self.deployment.limits.max_isolates.as_usize(),
        }
    }

    /// If requests wait, who is at work will take them; if not in time, another is woken or started.
    pub(crate) fn see_to_queue(&self) {
        let state = self.state();
        self.scale_out(state, Instant::now());
    }

    pub(super) fn scale_out(&self, mut state: MutexGuard<'_, State>, now: Instant) {
        if state.books.waiting() == 0 {
            return;
        }
        let around = self.around(&state);
        let is_delayed = state.backoff.left(now).is_some();
        let around = Surroundings {
            max: if is_delayed { 0 } else { around.max },
            ..around
        };
        match state.books.scale_out(now, around) {
            Decision::Wake(id) => {
                let cell = state.cells.get(&id).cloned();
                drop(state);
                if let Some(cell) = cell {
                    cell.post(Mail::Work);
                }
            }
            Decision::Start => {
                drop(state);
                self.start(true);
                self.monitor();
            }
            Decision::Wait => {
                drop(state);
                self.monitor();
            }
        }
    }

    /// Has the queue watched until it is empty.
    fn monitor(&self) {
        if !self.is_monitored.swap(true, Ordering::SeqCst)
            && let Some(pool) = self.this.upgrade()
        {
            self.services.io.spawn(monitor::watch(pool));
        }
    }

    /// Looks at the queue once. Returns whether requests wait.
    pub(super) fn look_at_queue(&self, now: Instant) -> bool {
        let state = self.state();
        if state.books.waiting() == 0 {
            self.is_monitored.store(false, Ordering::SeqCst);
            return false;
        }
        let is_hopeless = state.books.all() == 0 && state.backoff.left(now).is_some();
        if is_hopeless {
            let failure = self.refusal(&state, now);
            drop(state);
            self.fail_queue(&failure.unwrap_or_else(|| Failure::of(Outcome::Overloaded)));
            return true;
        }
        self.scale_out(state, now);
        true
    }

    /// Requests that a cell had, and has not begun.
    pub(crate) fn give_back(&self, mut jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let mut state = self.state();
        while let Some(job) = jobs.pop() {
            let since = job.context.since();
            self.services.admission.joins(state.books.waiting());
            state.books.push_front(job, since);
        }
    }
}
