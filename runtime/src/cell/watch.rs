//! A cell's deadlines: what is judged, and what is done about it.

use std::time::Duration;
use std::time::Instant;

use holm_model::body::BodyError;
use holm_model::message::StreamId;
use holm_model::message::ToCell;
use holm_model::outcome::Outcome;
use holm_process::schedule;

use super::driver::Cell;
use super::driver::Stage;
use super::end::End;
use crate::deadline::Action;
use crate::deadline::Breach;
use crate::deadline::LONG;
use crate::deadline::TICK;
use crate::deadline::Use;
use crate::deadline::judge;
use crate::fork::template;
use crate::fork::template::START_WALL;
use crate::pool::PICKUP;

/// CPU time of a request from which on its cell stands back behind others.
pub(super) const LONG_TURN: Duration = Duration::from_millis(4);

/// CPU time before the end of a limit in which a request is taken to compute on as many cores as before.
const NEAR: Duration = Duration::from_millis(4);

/// CPU time that a cell may use while it has no request: what it does behind its last answer.
const AT_REST: Duration = Duration::from_millis(20);

/// When a cell that has come to rest is looked at, and then again.
const FIRST_LOOK: Duration = Duration::from_millis(20);

/// Bytes that a cell may hold and still rest as long as its function says. Ending one that has grown costs the
/// next request a fork, and gives back what it holds.
pub(crate) const GROWN: u64 = 8 << 20;

/// How long a cell that has others may take to drop a request whose time is up: its listeners are told.
const GRACE: Duration = Duration::from_millis(100);

/// How long one that has grown rests.
const SHORT_REST: Duration = Duration::from_secs(2);

/// What the requests of a cell that has several at the same time may use together: nobody knows which of them
/// CPU time was spent for.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// On the cell's clock.
    deadline: Duration,
    since: Duration,
    count: u32,
}

impl Budget {
    /// A request begins when the clock shows `cpu`, beside `others`.
    pub(super) fn begin(&mut self, cpu: Duration, limit: Duration, others: usize) {
        if others == 0 {
            *self = Self {
                deadline: cpu,
                since: cpu,
                count: 0,
            };
        }
        self.deadline += limit;
        self.count += 1;
    }

    /// A request is over, and `others` are not. What it did not use is not for them.
    pub(super) fn end(&mut self, cpu: Duration, limit: Duration, others: usize) {
        let others = u32::try_from(others).unwrap_or(u32::MAX);
        let most = cpu.saturating_add(limit.saturating_mul(others));
        self.deadline = self.deadline.min(most);
    }

    /// What may be used, and what has been.
    fn left(&self, cpu: Duration) -> (Duration, Duration) {
        let limit = self.deadline.saturating_sub(self.since);
        (limit, cpu.saturating_sub(self.since))
    }

    /// What one request has used, at most, when the clock shows `cpu`.
    pub(super) fn share(&self, cpu: Duration) -> Duration {
        if self.count == 0 {
            return Duration::ZERO;
        }
        cpu.saturating_sub(self.since) / self.count
    }
}

/// A cell without requests.
#[derive(Debug)]
pub(super) struct Rest {
    since: Instant,
    /// What its clock showed at the first look.
    cpu: Option<Duration>,
    /// What it holds has been read.
    is_measured: bool,
}

impl Rest {
    pub(super) fn new(since: Instant) -> Self {
        Self {
            since,
            cpu: None,
            is_measured: false,
        }
    }
}

impl Cell {
    /// A request was handed over at `now`: the next look is early enough for it.
    pub(super) fn look_before(&mut self, now: Instant) {
        let limits = &self.pool.deployment.limits;
        let cpu = limits.cpu.as_duration() / self.cores().max(1);
        let after = cpu.min(limits.wall.as_duration()).clamp(TICK, LONG);
        let at = now + after.min(PICKUP);
        if self.look_at.is_none_or(|look_at| look_at > at) {
            self.look_at = Some(at);
        }
    }

    fn cores(&self) -> u32 {
        u32::try_from(self.pool.services.cores.count()).unwrap_or(u32::MAX)
    }

    /// Looks at all deadlines, and says when it does so next.
    pub(super) fn look(&mut self, now: Instant) -> Result<(), End> {
        let next = match self.stage {
            Stage::Starting(since) => self.look_at_start(since, now)?,
            Stage::Copied | Stage::Serving if !self.sockets.is_empty() => {
                self.look_at_sockets(now)?
            }
            Stage::Copied | Stage::Serving if self.requests.is_empty() => {
                Some(self.look_at_rest(now)?)
            }
            Stage::Copied | Stage::Serving => {
                if self.pool.deployment.concurrency.is_shared() {
                    self.look_at_all(now)?
                } else {
                    self.look_at_one(now)?
                }
            }
        };
        self.look_at = next.map(|after| now + after.max(TICK));
        Ok(())
    }

    fn look_at_start(&self, since: Instant, now: Instant) -> Result<Option<Duration>, End> {
        let used = Use {
            cpu_limit: self.pool.deployment.limits.startup_cpu.as_duration(),
            cpu: self.cpu(),
            wall: Some((since + START_WALL, Breach::Wall)),
        };
        match judge(used, now, self.cores()) {
            Action::End(breach) if self.pool.services.enforces => Err(End::NotStarted(
                template::over(&self.pool.deployment, breach),
            )),
            Action::End(_) => Ok(Some(LONG)),
            Action::Look(after) => Ok(Some(after)),
        }
    }

    /// A cell with nothing to do: it does nothing, and not for ever.
    fn look_at_rest(&mut self, now: Instant) -> Result<Duration, End> {
        let rested = now.saturating_duration_since(self.rest.since);
        let cpu = self.cpu();
        let before = self.rest.cpu.get_or_insert(cpu);
        if cpu.saturating_sub(*before) > AT_REST {
            return Err(End::Unfit);
        }
        if rested < FIRST_LOOK {
            return Ok(FIRST_LOOK - rested);
        }
        let limits = &self.pool.deployment.limits;
        if !self.rest.is_measured {
            self.pool.set_resting(&self.handle);
            self.rest.is_measured = true;
        }
        let held = self.handle.bytes();
        let mut patience = limits.idle.as_duration();
        if held > GROWN && self.pool.can_copy() {
            patience = patience.min(SHORT_REST);
        }
        if rested < patience {
            return Ok((patience - rested).min(LONG * 10));
        }
        if self.pool.may_end() {
            return Err(End::Idle);
        }
        Ok(LONG * 10)
    }

    /// The cell works on one request at a time: that one is judged, and those behind it are given to others if it
    /// takes long.
    fn look_at_one(&mut self, now: Instant) -> Result<Option<Duration>, End> {
        let current = self.handle.page.current();
        let cpu = self.cpu();
        let limit = self.pool.deployment.limits.cpu.as_duration();
        let cores = self.cores();
        let mut next = LONG;
        let mut is_first = true;
        let mut late = Vec::new();
        let mut stands_back = false;
        for run in &self.requests {
            let has_begun = self.handle.page.has_begun(run.seq);
            if !has_begun && !is_first {
                // Behind another one.
                let waited = now.saturating_duration_since(run.offered.max(self.settled_at));
                if waited >= PICKUP {
                    late.push(run.seq);
                } else {
                    next = next.min(PICKUP - waited);
                }
                continue;
            }
            is_first = false;
            let used = match current {
                Some((seq, began)) if seq == run.seq => cpu.saturating_sub(began),
                _ => Duration::ZERO,
            };
            let used = Use {
                cpu_limit: limit,
                cpu: used + run.context.spent_elsewhere(),
                wall: Some(run.wall),
            };
            if used.cpu >= LONG_TURN {
                stands_back = true;
            } else if !self.stands_back {
                next = next.min((LONG_TURN - used.cpu).max(TICK));
            }
            // One that has computed on one core so far most likely goes on like that for the last few ms, in which
            // each look more would come late by itself.
            let elapsed = now.saturating_duration_since(run.offered.max(self.settled_at));
            let is_near = limit.saturating_sub(used.cpu) < NEAR;
            let cores = if is_near && used.cpu <= elapsed {
                1
            } else {
                cores
            };
            match judge(used, now, cores) {
                Action::End(breach) if self.pool.services.enforces => {
                    // It may have been over in the meantime.
                    return self.breach(breach);
                }
                Action::End(_) => {}
                Action::Look(after) => next = next.min(after),
            }
        }
        if stands_back {
            self.stand_back();
        }
        self.give_to_others(&late);
        Ok(Some(next))
    }

    /// The cell computes for long, as its next requests mostly will: it lets those go first that answer at once.
    pub(super) fn stand_back(&mut self) {
        self.pool.set_long(true);
        if !std::mem::replace(&mut self.stands_back, true)
            && let Some((process, _)) = &self.process
        {
            schedule::stand_back(process.pid());
        }
    }

    /// The cell has several requests at the same time: they share its CPU time, and each has a wall time of
    /// its own.
    fn look_at_all(&mut self, now: Instant) -> Result<Option<Duration>, End> {
        let cpu = self.cpu();
        let (limit, used) = self.budget.left(cpu);
        let elsewhere: Duration = self
            .requests
            .iter()
            .map(|run| run.context.spent_elsewhere())
            .sum();
        let used = Use {
            cpu_limit: limit,
            cpu: used + elsewhere,
            wall: None,
        };
        let next = match judge(used, now, self.cores()) {
            Action::End(breach) if self.pool.services.enforces => return self.breach(breach),
            Action::End(_) => LONG,
            Action::Look(after) => after,
        };
        Ok(Some(self.look_at_walls(now, cpu, next)))
    }

    /// The cell has WebSockets, and perhaps requests beside them. What it works on, a message or a request, has the CPU
    /// time of a request, from when it was begun; while nothing is worked on there is nothing to look at.
    fn look_at_sockets(&mut self, now: Instant) -> Result<Option<Duration>, End> {
        let page = &self.handle.page;
        let (current, cpu) = (page.current(), self.cpu());
        let mut next = LONG * 10;
        if let Some((_, began)) = current
            && page.is_computing()
        {
            let used = Use {
                cpu_limit: self.pool.deployment.limits.cpu.as_duration(),
                cpu: cpu.saturating_sub(began),
                wall: None,
            };
            if used.cpu >= LONG_TURN {
                self.stand_back();
            }
            next = match judge(used, now, self.cores()) {
                Action::End(breach) if self.pool.services.enforces => {
                    self.hear_out()?;
                    let page = &self.handle.page;
                    if page.current() == current && page.is_computing() {
                        return Err(End::Breach(breach));
                    }
                    // That was over in the meantime.
                    TICK
                }
                Action::End(_) => LONG,
                Action::Look(after) => after,
            };
        }
        Ok(Some(self.look_at_walls(now, cpu, next)))
    }

    /// Ends requests beside others whose time is up. Returns when to look again, at `next` or before.
    fn look_at_walls(&mut self, now: Instant, cpu: Duration, mut next: Duration) -> Duration {
        let mut place = 0;
        while let Some(run) = self.requests.get(place) {
            let (at, breach) = run.wall;
            let left = at.saturating_duration_since(now);
            if left.is_zero() && self.pool.services.enforces {
                if run.ended_for.is_none() && self.handle.page.has_begun(run.seq) {
                    let seq = run.seq;
                    self.requests[place].drop_for(breach, now, GRACE);
                    self.link.put(&ToCell::Over { seq }, b"");
                    next = next.min(GRACE);
                    place += 1;
                } else {
                    self.end_one(place, breach, cpu);
                    // There is room for another one.
                    next = TICK;
                }
                continue;
            }
            next = next.min(left.max(TICK));
            place += 1;
        }
        next
    }

    /// A limit is broken, unless what the cell has said in the meantime says otherwise.
    fn breach(&mut self, breach: Breach) -> Result<Option<Duration>, End> {
        let before = self.requests.len();
        self.hear_out()?;
        if self.requests.len() < before {
            // One of them is over; the next is judged anew.
            return Ok(Some(TICK));
        }
        Err(End::Breach(breach))
    }

    /// Ends one request of several.
    fn end_one(&mut self, place: usize, breach: Breach, cpu: Duration) {
        let run = self.requests.remove(place);
        let seq = run.seq;
        // If the cell has begun it, it was told before.
        self.handle.page.revoke(seq);
        let word = breach.outcome(Outcome::Ok).word();
        let error = BodyError::Aborted(word.into());
        self.streams.break_off(StreamId::Reply(seq), error);
        self.forget(&run);
        run.end_for(breach, self.budget.share(cpu));
        let limit = self.pool.deployment.limits.cpu.as_duration();
        self.budget.end(cpu, limit, self.requests.len());
        if self.requests.is_empty() {
            self.rest = Rest::new(Instant::now());
        }
    }

    /// Gives requests that this cell has not begun to others.
    fn give_to_others(&mut self, late: &[u32]) {
        let mut back = Vec::new();
        for seq in late {
            let place = self.requests.iter().position(|run| run.seq == *seq);
            let Some(place) = place else { continue };
            if !self.handle.page.revoke(*seq) {
                continue;
            }
            let run = self.requests.remove(place);
            let stream = self.streams.take_back(StreamId::Request(*seq)).ok();
            self.forget(&run);
            // Its body was not asked for by a cell that has not begun it.
            if let Ok(job) = run.give_back(stream) {
                back.push(job);
            }
        }
        if !back.is_empty() {
            self.pool.give_back(back);
            self.pool.see_to_queue();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn requests_beside_each_other_add_to_what_may_be_used() {
        let mut budget = Budget::default();
        budget.begin(ms(100), LIMIT, 0);
        assert_eq!(budget.left(ms(110)), (ms(50), ms(10)));
        budget.begin(ms(110), LIMIT, 1);
        assert_eq!(budget.left(ms(130)), (ms(100), ms(30)));
        assert_eq!(budget.share(ms(130)), ms(15));
    }

    #[test]
    fn what_one_did_not_use_is_not_for_the_others() {
        let mut budget = Budget::default();
        budget.begin(ms(0), LIMIT, 0);
        budget.begin(ms(0), LIMIT, 1);
        budget.end(ms(5), LIMIT, 1);
        assert_eq!(budget.left(ms(5)), (ms(55), ms(5)));
        budget.end(ms(6), LIMIT, 0);
        budget.begin(ms(200), LIMIT, 0);
        assert_eq!(budget.left(ms(200)), (ms(50), ms(0)));
    }
}
