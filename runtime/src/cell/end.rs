//! The end of a cell: why it ends, what becomes of its requests, and who is told.

use std::time::Duration;

use holm_model::event::Failure;
use holm_model::message::StreamId;
use holm_model::outcome::Outcome;
use holm_model::start::StartError;
use holm_model::websocket::Close;
use holm_model::websocket::code;

use super::driver::Cell;
use super::running::Running;
use crate::deadline::Breach;
use crate::fork::ForkError;
use crate::pool::Job;

/// How long a cell may take to write out what it has said, before it is killed: the time in which it gets a core.
const THE_REST: Duration = Duration::from_millis(2);

/// Cells that may die, one after the other, before they have begun a request that they were given, before
/// that is given up.
const ATTEMPTS: u32 = 3;

/// Why a cell's task ends.
#[derive(Debug)]
pub(super) enum End {
    /// It has nothing to do, and is not needed; or its number of requests is used up.
    Idle,
    /// It was killed for this.
    Breach(Breach),
    /// It ended by itself, or said what means nothing.
    Died(&'static str),
    /// Something is left of a request in it.
    Unfit,
    /// The node has no memory for it any more.
    Evicted,
    /// The function does not start in it.
    NotStarted(StartError),
    /// There is no process.
    NotForked(ForkError),
}

/// Why requests of a cell that has ended did not run their course.
#[derive(Clone, Copy, Debug)]
enum Cause<'a> {
    Breach(Breach),
    Crash(&'a str),
    /// By no fault of theirs.
    Taken,
}

/// How a cell came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Died {
    ByChoice,
    OverALimit,
    ByItself,
}

impl Cell {
    /// The cell ends. Those of its requests that it has not begun are given to another.
    pub(super) fn end(mut self, end: End) {
        if matches!(end, End::Breach(_)) {
            self.hear_the_rest();
        }
        if !matches!(end, End::Died(_)) {
            // What it has said before is heard: log lines, answers that were under way.
            // Whatever comes of it, it ends.
            let _ = self.hear_out();
        }
        let cpu = self.cpu();
        let held = match &end {
            End::Died(_) if self.handle.page.is_out_of_memory() => {
                self.pool.deployment.limits.memory.as_u64()
            }
            End::Idle => 0,
            End::Died(_)
            | End::Breach(_)
            | End::Unfit
            | End::Evicted
            | End::NotStarted(_)
            | End::NotForked(_) => self.handle.estimated_memory(),
        };
        // Killed here, whatever it is doing; its memory goes with it.
        let process = self.process.take();
        if let Some((process, _)) = &process
            && let Err(error) = process.kill()
        {
            tracing::error!(%error, pid = %process.pid(), "a cell could not be killed");
        }
        let is_out_of_memory = self.handle.page.is_out_of_memory();
        let last_words = self.handle.page.last_words();
        let cause = match &end {
            End::Died(_) if is_out_of_memory => Cause::Breach(Breach::Memory),
            End::Died(why) => Cause::Crash(last_words.as_deref().unwrap_or(why)),
            End::Breach(breach) => Cause::Breach(*breach),
            End::Idle | End::Unfit | End::Evicted | End::NotStarted(_) | End::NotForked(_) => {
                Cause::Taken
            }
        };
        let current = self.handle.page.current();
        let close = match cause {
            Cause::Breach(_) | Cause::Crash(_) => Close::of(code::FAILED, "the function failed"),
            Cause::Taken => Close::of(code::GOING_AWAY, "the isolate was ended"),
        };
        self.sockets.close_all(&close);
        for mut run in self.sockets.take_runs() {
            run.context.record().memory = held;
            self.forget(&run);
            let is_current = current.is_some_and(|(seq, _)| seq == run.seq);
            let began = current.map_or(cpu, |(_, began)| began);
            let used = match is_current {
                true => cpu.saturating_sub(began),
                false => Duration::ZERO,
            };
            match cause {
                // The message of another one was worked on.
                Cause::Breach(Breach::Cpu) if !is_current => run.take_away(used),
                Cause::Breach(breach) => run.end_for(breach, used),
                Cause::Crash(why) => run.crash(why, used),
                Cause::Taken => run.take_away(used),
            };
        }
        let mut back = Vec::new();
        for mut run in std::mem::take(&mut self.requests) {
            run.context.record().memory = held;
            let stream = self.streams.take_back(StreamId::Request(run.seq)).ok();
            self.forget(&run);
            if run.settled.is_some() {
                run.finish();
                continue;
            }
            if self.handle.page.revoke(run.seq) {
                match run.give_back(stream) {
                    Ok(job) => back.push(job),
                    Err(context) => context.fail(Failure::of(Outcome::Reset)),
                }
                continue;
            }
            let used = match current {
                Some((seq, began)) if seq == run.seq => cpu.saturating_sub(began),
                _ => self.budget.share(cpu),
            };
            match cause {
                Cause::Breach(breach) => run.end_for(breach, used),
                Cause::Crash(why) => run.crash(why, used),
                Cause::Taken => run.take_away(used),
            };
        }
        let died = match cause {
            Cause::Breach(Breach::WaitUntil) | Cause::Taken => Died::ByChoice,
            Cause::Breach(_) => Died::OverALimit,
            Cause::Crash(_) => Died::ByItself,
        };
        self.after(end, died, back);
    }

    /// A cell that is given several requests at a time writes its answers together, so those to requests before the
    /// one that breaks a limit may still be with it: it is asked for them.
    fn hear_the_rest(&mut self) {
        let begun = |run: &&Running| self.handle.page.has_begun(run.seq);
        let is_shared = self.pool.deployment.concurrency.is_shared();
        if is_shared || self.requests.iter().filter(begun).count() < 2 {
            return;
        }
        if let Some((process, _)) = &self.process
            && process.ask_for_the_rest().is_ok()
        {
            self.link.wait(THE_REST);
        }
    }

    /// Tells the pool.
    fn after(self, end: End, died: Died, mut back: Vec<Job>) {
        let Self { pool, place, .. } = self;
        match died {
            Died::ByChoice => {}
            Died::OverALimit | Died::ByItself => pool.died(),
        }
        if died == Died::ByItself {
            // Requests may be what it died of, although it says that it had not begun them.
            back.retain_mut(|job| {
                job.attempts += 1;
                job.attempts < ATTEMPTS
            });
        }
        pool.give_back(back);
        drop(place);
        match end {
            End::NotStarted(error) => pool.start_failed(&error),
            End::NotForked(error) => pool.fork_failed(&error),
            End::Idle | End::Breach(_) | End::Died(_) | End::Unfit | End::Evicted => {}
        }
        pool.see_to_queue();
        pool.keep_minimum();
    }
}
