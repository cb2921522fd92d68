//! Requests on their way to a cell: how many it may have, and handing them over.

use std::time::Instant;

use holm_model::event::Event;
use holm_model::event::FetchRequest;
use holm_model::message::Fields;
use holm_model::message::StreamId;
use holm_model::message::ToCell;
use holm_process::page::MAX_SEQ;

use super::driver::Cell;
use super::driver::Stage;
use super::end::End;
use super::running::Running;
use crate::pool::Job;

/// How the pool has the cell on its lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    No,
    Idle,
    Roomy,
}

impl Cell {
    /// Requests that it may be given now.
    fn room(&self) -> usize {
        // Not before there is a process that can be killed: it begins while the answer to the fork is on its way, so
        // this costs no time.
        if self.process.is_none()
            || matches!(self.stage, Stage::Starting(_))
            || self.is_leaving
            || self.link.is_full()
        {
            return 0;
        }
        let concurrency = self.pool.deployment.concurrency;
        let most = if concurrency.is_shared() {
            concurrency.get()
        } else {
            1 + self.pool.ahead()
        };
        let left = match self.pool.deployment.limits.requests_per_isolate.bound() {
            Some(bound) => bound.saturating_sub(self.served) as usize,
            None => usize::MAX,
        };
        // Requests may become sockets.
        let sockets = self.pool.deployment.limits.websockets.as_usize();
        if self.sockets.count() > 0 && self.sockets.count() + self.requests.len() >= sockets {
            return 0;
        }
        most.saturating_sub(self.requests.len()).min(left)
    }

    /// Whether it has had all the requests that it may have.
    fn is_used_up(&self) -> bool {
        let bound = self.pool.deployment.limits.requests_per_isolate.bound();
        bound.is_some_and(|bound| self.served >= bound) || self.next_seq >= MAX_SEQ
    }

    /// Takes requests out of the queue, and says what it could do if there are none.
    pub(super) fn fill(&mut self) -> Result<(), End> {
        let room = self.room();
        let is_shared = self.pool.deployment.concurrency.is_shared();
        let mut jobs = Vec::new();
        {
            let mut state = self.pool.state();
            while jobs.len() < room
                && let Some(job) = state.take(&self.pool.services.admission)
            {
                jobs.push(job);
            }
            let busy = self.requests.len() + jobs.len();
            let wanted = match (busy, room > jobs.len()) {
                // Who has sockets does not rest, and may take a request all the same.
                (0, true) if !self.sockets.is_empty() => Listed::Roomy,
                (0, true) => Listed::Idle,
                (_, true) if is_shared => Listed::Roomy,
                (_, _) => Listed::No,
            };
            if wanted != self.is_listed {
                match wanted {
                    Listed::No => state.books.strike_off(self.handle.id),
                    Listed::Idle => state.books.rest(self.handle.id),
                    Listed::Roomy => state.books.has_room(self.handle.id),
                }
                self.is_listed = wanted;
            }
            if wanted == Listed::Idle && state.is_closed {
                return Err(End::Idle);
            }
        }
        for job in jobs {
            self.give(job);
        }
        if self.requests.is_empty()
            && self.sockets.is_empty()
            && (self.is_leaving || self.is_used_up())
        {
            return Err(End::Idle);
        }
        Ok(())
    }

    /// Hands a request over.
    fn give(&mut self, job: Job) {
        let Job {
            mut context,
            event,
            attempts,
        } = job;
        let now = Instant::now();
        let seq = self.next_seq;
        self.next_seq += 1;
        self.served = self.served.saturating_add(1);
        context.enter(now, std::mem::take(&mut self.is_cold));
        let Event::Fetch(FetchRequest {
            method,
            url,
            headers,
            body,
        }) = event;
        let limits = &self.pool.deployment.limits;
        let (wall, wait_until) = (limits.wall.as_duration(), limits.wait_until.as_duration());
        let cpu_limit = limits.cpu.as_duration();
        let run = Running::new(seq, context, &body, now, wall, wait_until);
        let (kind, payload) = self.streams.send(StreamId::Request(seq), body);
        self.handle.page.offer(seq);
        let request = ToCell::Request {
            seq,
            method: method.as_str(),
            url: &url,
            fields: Fields::Map(&headers),
            body: kind,
        };
        self.link.put(&request, &payload);
        if self.pool.deployment.concurrency.is_shared() {
            let cpu = self.cpu();
            self.budget.begin(cpu, cpu_limit, self.requests.len());
        }
        // Kept for another cell, should this one die before it begins.
        let run = run.keeping(method, url, headers, payload, kind, attempts);
        if self.requests.is_empty() {
            self.handle.set_working();
        }
        self.requests.push(run);
        self.look_before(now);
    }
}
