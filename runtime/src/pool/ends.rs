//! How requests and cells have ended, and what follows from that for the pool.

use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use holm_model::event::Failure;
use holm_model::log::Thrown;
use holm_model::outcome::Outcome;
use holm_model::start::StartError;

use super::SPARE;
use super::Shared;
use crate::fork::ForkError;

impl Shared {
    /// A request has kept a cell for this long, and come to `outcome`.
    pub(crate) fn served(&self, time: Duration, outcome: Outcome) {
        let mut state = self.state();
        state.books.served(time);
        if outcome == Outcome::Ok {
            state.backoff.succeeded();
        }
        let ahead = state.books.ahead();
        drop(state);
        self.ahead.store(ahead, Ordering::Relaxed);
    }

    /// A cell died over a request, or was killed for a limit.
    pub(crate) fn died(&self) {
        let mut state = self.state();
        let now = Instant::now();
        state.died = Some(now);
        state.backoff.died(now);
    }

    /// A cell could not start the function.
    pub(crate) fn start_failed(&self, error: &StartError) {
        tracing::debug!(function = %self.deployment.name, %error, "a cell did not start");
        self.state().backoff.died(Instant::now());
        if self.state().books.all() == 0 {
            self.fail_queue(&failure_of(error));
        }
    }

    /// There was no process for a cell.
    pub(crate) fn fork_failed(&self, error: &ForkError) {
        if *error == ForkError::Gone {
            // The template was, which is made again for those that wait.
            self.state().backoff.died(Instant::now());
            return;
        }
        if *error == ForkError::Descriptors {
            // What waits is tried again when others have made room.
            self.services.descriptors.missed();
            return;
        }
        tracing::error!(function = %self.deployment.name, %error, "no process for an isolate");
        if self.state().books.all() == 0 {
            let failure = Failure {
                refusal: Some(format!("there was no process for it: {error}")),
                ..Failure::of(Outcome::Overloaded)
            };
            self.fail_queue(&failure);
        }
    }

    /// Answers everything in the queue: no cell can be had.
    pub(super) fn fail_queue(&self, failure: &Failure) {
        let jobs = self.state().books.take_all();
        self.services.admission.leave(jobs.len(), 0);
        for job in jobs {
            job.context.fail(failure.clone());
        }
    }

    /// Starts cells until there are as many as are kept at any time; and, where each answers a few requests only or
    /// one has just died, as many as are likely to be needed next.
    pub(crate) fn keep_minimum(&self) {
        loop {
            let mut state = self.state();
            let now = Instant::now();
            let limits = &self.deployment.limits;
            let is_asked = state
                .asked
                .is_some_and(|asked| now.saturating_duration_since(asked) < SPARE);
            let has_died = state
                .died
                .is_some_and(|died| now.saturating_duration_since(died) < SPARE);
            let spare = match limits.requests_per_isolate.bound() {
                Some(_) if is_asked => self.services.cores.count(),
                // In the place of one that was killed: the next request would have to wait for it.
                None if is_asked && has_died => 1,
                Some(_) | None => 0,
            };
            let ready = state.books.idle() + state.books.all() - state.books.cells();
            let is_wanted = state.books.all() < limits.min_isolates.as_usize()
                || (ready < spare && state.books.all() < limits.max_isolates.as_usize());
            if !is_wanted
                || state.is_closed
                || state.backoff.left(now).is_some()
                || self.is_short(false)
            {
                return;
            }
            state.books.start();
            drop(state);
            self.start(false);
        }
    }
}

fn failure_of(error: &StartError) -> Failure {
    let text = error.to_string();
    let outcome = match error {
        StartError::Host(_) => Outcome::InternalError,
        StartError::Threw(_)
        | StartError::NoHandler(_)
        | StartError::Limit { .. }
        | StartError::Crashed(_)
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
