//! The policy with isolates that are not there, in a time that is not real: what becomes of a
//! function's requests, tick by tick.

use std::collections::VecDeque;
use std::time::Duration;

use super::Load;
use super::start_another;
use super::wake_another;
use crate::watchdog::TICK;

const STEP: Duration = Duration::from_micros(100);
const CORES: usize = 2;
/// CPU time that starting an isolate takes.
const START: Duration = Duration::from_millis(4);
const MAX_ISOLATES: usize = 64;

/// What one request takes: first it computes, then it waits.
#[derive(Clone, Copy)]
struct Work {
    cpu: Duration,
    io: Duration,
}

/// A request in the queue.
struct Waiting {
    since: Duration,
    work: Work,
}

enum Isolate {
    Starting { left: Duration },
    Idle,
    Busy { since: Duration, left: Work },
}

/// One function on a node of its own.
#[derive(Default)]
struct Node {
    now: Duration,
    queue: VecDeque<Waiting>,
    isolates: Vec<Isolate>,
    /// How long a request has lately kept an isolate.
    service: Duration,
    /// Waits in the queue of all requests that were taken.
    waits: Vec<Duration>,
    answered: usize,
}

impl Node {
    fn count(&self, is: impl Fn(&Isolate) -> bool) -> usize {
        self.isolates.iter().filter(|isolate| is(isolate)).count()
    }

    fn load(&self) -> Load {
        let starting = self.count(|isolate| matches!(isolate, Isolate::Starting { .. }));
        let computing = self
            .count(|isolate| matches!(isolate, Isolate::Busy { left, .. } if !left.cpu.is_zero()));
        let oldest = self.queue.front().map(|waiting| self.now - waiting.since);
        Load {
            isolates: self.isolates.len() - starting,
            idle: self.count(|isolate| matches!(isolate, Isolate::Idle)),
            computing,
            starting,
            waiting: self.queue.len(),
            oldest: oldest.unwrap_or_default(),
            service: self.service,
            full: computing >= CORES,
            cores: CORES,
            short_of_memory: false,
        }
    }

    fn submit(&mut self, work: Work) {
        let since = self.now;
        self.queue.push_back(Waiting { since, work });
        self.scale_out();
    }

    fn scale_out(&mut self) {
        let load = self.load();
        if wake_another(load) {
            let idle = self
                .isolates
                .iter_mut()
                .find(|isolate| matches!(isolate, Isolate::Idle));
            if let (Some(idle), Some(waiting)) = (idle, self.queue.pop_front()) {
                *idle = take(self.now, &waiting, &mut self.waits);
            }
        } else if start_another(load, MAX_ISOLATES) {
            self.isolates.push(Isolate::Starting { left: START });
        }
    }

    /// Lets a step of time pass. The cores are shared out evenly.
    fn step(&mut self) {
        self.now += STEP;
        let load = self.load();
        let wanted = u32::try_from(load.computing + load.starting).unwrap_or(u32::MAX);
        let cores = u32::try_from(CORES).unwrap_or(u32::MAX);
        let share = (STEP * cores / wanted.max(cores)).min(STEP);
        for isolate in &mut self.isolates {
            let is_free = match isolate {
                Isolate::Starting { left } => {
                    *left = left.saturating_sub(share);
                    left.is_zero()
                }
                Isolate::Idle => false,
                Isolate::Busy { since, left } => {
                    if left.cpu.is_zero() {
                        left.io = left.io.saturating_sub(STEP);
                    } else {
                        left.cpu = left.cpu.saturating_sub(share);
                    }
                    let is_over = left.cpu.is_zero() && left.io.is_zero();
                    if is_over {
                        self.answered += 1;
                        self.service = self.service * 7 / 8 + (self.now - *since) / 8;
                    }
                    is_over
                }
            };
            if is_free {
                // Who is awake takes the next one by itself.
                *isolate = match self.queue.pop_front() {
                    Some(waiting) => take(self.now, &waiting, &mut self.waits),
                    None => Isolate::Idle,
                };
            }
        }
        // The watchdog's patrol.
        if self.now.as_micros().is_multiple_of(TICK.as_micros()) {
            self.scale_out();
        }
    }

    /// Lets time pass until all requests are answered.
    fn finish(&mut self, requests: usize) {
        while self.answered < requests {
            self.step();
            assert!(
                self.now < Duration::from_secs(60),
                "some are never answered"
            );
        }
    }

    fn longest_wait(&self) -> Duration {
        self.waits.iter().max().copied().unwrap_or_default()
    }
}

fn take(now: Duration, waiting: &Waiting, waits: &mut Vec<Duration>) -> Isolate {
    waits.push(now - waiting.since);
    Isolate::Busy {
        since: now,
        left: waiting.work,
    }
}

const fn work(cpu_us: u64, io_ms: u64) -> Work {
    Work {
        cpu: Duration::from_micros(cpu_us),
        io: Duration::from_millis(io_ms),
    }
}

#[test]
fn quick_requests_one_after_the_other_share_an_isolate() {
    let mut node = Node::default();
    for _ in 0..1_000 {
        node.submit(work(200, 0));
        for _ in 0..10 {
            node.step();
        }
    }
    node.finish(1_000);
    assert_eq!(node.isolates.len(), 1);
    // Only the first had to wait for its start.
    assert!(
        node.longest_wait() <= START + STEP,
        "{:?}",
        node.longest_wait()
    );
    node.waits.sort_unstable();
    assert!(node.waits[900] <= STEP, "{:?}", node.waits[900]);
}

#[test]
fn a_burst_of_quick_requests_is_not_worth_another_isolate() {
    let mut node = Node::default();
    node.submit(work(100, 0));
    node.finish(1);
    for _ in 0..30 {
        node.submit(work(100, 0));
    }
    node.finish(31);
    assert_eq!(node.isolates.len(), 1);
}

#[test]
fn requests_that_wait_for_others_get_an_isolate_each() {
    let mut node = Node::default();
    for _ in 0..20 {
        node.submit(work(500, 500));
    }
    node.finish(20);
    assert_eq!(node.isolates.len(), 20);
    // None waited for another to be over.
    assert!(
        node.longest_wait() < Duration::from_millis(400),
        "{:?}",
        node.longest_wait()
    );
}

#[test]
fn computing_does_not_take_more_threads_than_help() {
    let mut node = Node::default();
    for _ in 0..200 {
        node.submit(work(20_000, 0));
    }
    node.finish(200);
    assert!(node.isolates.len() <= CORES * 4, "{}", node.isolates.len());
    assert!(node.isolates.len() >= CORES, "{}", node.isolates.len());
    // 200 times 20 ms on two cores take 2 s, whoever does it.
    assert!(node.now < Duration::from_millis(2_200), "{:?}", node.now);
}

#[test]
fn a_second_wave_finds_the_isolates_of_the_first() {
    let mut node = Node::default();
    for _ in 0..10 {
        node.submit(work(500, 200));
    }
    node.finish(10);
    let before = node.isolates.len();
    for _ in 0..10 {
        node.submit(work(500, 200));
    }
    node.finish(20);
    assert_eq!(node.isolates.len(), before);
    let second = node
        .waits
        .iter()
        .skip(10)
        .max()
        .copied()
        .unwrap_or_default();
    assert!(second < START, "{second:?}");
}
