//! The policy and the books with cells that are not there, in a time that is not real: what becomes of a
//! function's requests, tick by tick.

use std::time::Duration;
use std::time::Instant;

use super::books::Books;
use super::books::CellId;
use super::books::Decision;
use super::books::Surroundings;
use crate::deadline::TICK;

const STEP: Duration = Duration::from_micros(100);
const CORES: usize = 2;
/// CPU time that starting a cell takes.
const START: Duration = Duration::from_millis(2);
const MAX_ISOLATES: usize = 64;

/// What one request takes: first it computes, then it waits.
#[derive(Clone, Copy)]
struct Work {
    cpu: Duration,
    io: Duration,
}

enum Cell {
    Starting { left: Duration },
    Idle,
    Busy { since: Instant, left: Work },
}

/// One function on a node of its own.
struct Node {
    begin: Instant,
    now: Instant,
    books: Books<(Instant, Work)>,
    cells: Vec<Cell>,
    /// Waits in the queue of all requests that were taken.
    waits: Vec<Duration>,
    answered: usize,
}

impl Default for Node {
    fn default() -> Self {
        let begin = Instant::now();
        Self {
            begin,
            now: begin,
            books: Books::default(),
            cells: Vec::new(),
            waits: Vec::new(),
            answered: 0,
        }
    }
}

impl Node {
    fn around(&self) -> Surroundings {
        let computes =
            |cell: &&Cell| matches!(cell, Cell::Busy { left, .. } if !left.cpu.is_zero());
        let computing = self.cells.iter().filter(computes).count();
        Surroundings {
            computing,
            full: computing >= CORES,
            cores: CORES,
            is_short: false,
            max: MAX_ISOLATES,
        }
    }

    fn submit(&mut self, work: Work) {
        self.books.push((self.now, work), self.now);
        self.scale_out();
    }

    fn scale_out(&mut self) {
        match self.books.scale_out(self.now, self.around()) {
            Decision::Wait => {}
            Decision::Wake(cell) => self.next(cell),
            Decision::Start => self.cells.push(Cell::Starting { left: START }),
        }
    }

    /// A cell takes what is next, or rests.
    fn next(&mut self, cell: CellId) {
        let place = usize::try_from(cell).expect("few");
        self.cells[place] = match self.books.take() {
            Some((since, left)) => {
                self.waits.push(self.now - since);
                let since = self.now;
                Cell::Busy { since, left }
            }
            None => {
                self.books.rest(cell);
                Cell::Idle
            }
        };
    }

    /// Lets a step of time pass. The cores are shared out evenly.
    fn step(&mut self) {
        self.now += STEP;
        let starting = |cell: &&Cell| matches!(cell, Cell::Starting { .. });
        let starting = self.cells.iter().filter(starting).count();
        let wanted = u32::try_from(self.around().computing + starting).unwrap_or(u32::MAX);
        let cores = u32::try_from(CORES).unwrap_or(u32::MAX);
        let share = (STEP * cores / wanted.max(cores)).min(STEP);
        for place in 0..self.cells.len() {
            let is_free = match &mut self.cells[place] {
                Cell::Starting { left } => {
                    *left = left.saturating_sub(share);
                    if left.is_zero() {
                        self.books.started();
                    }
                    left.is_zero()
                }
                Cell::Idle => false,
                Cell::Busy { since, left } => {
                    if left.cpu.is_zero() {
                        left.io = left.io.saturating_sub(STEP);
                    } else {
                        left.cpu = left.cpu.saturating_sub(share);
                    }
                    let is_over = left.cpu.is_zero() && left.io.is_zero();
                    if is_over {
                        self.answered += 1;
                        self.books.served(self.now - *since);
                    }
                    is_over
                }
            };
            if is_free {
                // Who is awake takes the next one by itself.
                self.next(place as CellId);
            }
        }
        // The queue's monitor.
        let elapsed = self.now - self.begin;
        if elapsed.as_micros().is_multiple_of(TICK.as_micros()) {
            self.scale_out();
        }
    }

    /// Lets time pass until all requests are answered.
    fn finish(&mut self, requests: usize) {
        while self.answered < requests {
            self.step();
            assert!(
                self.now - self.begin < Duration::from_secs(60),
                "some are never answered"
            );
        }
    }

    fn longest_wait(&self) -> Duration {
        self.waits.iter().max().copied().unwrap_or_default()
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
    assert_eq!(node.cells.len(), 1);
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
    assert_eq!(node.cells.len(), 1);
}

#[test]
fn requests_that_wait_for_others_get_an_isolate_each() {
    let mut node = Node::default();
    for _ in 0..20 {
        node.submit(work(500, 500));
    }
    node.finish(20);
    assert_eq!(node.cells.len(), 20);
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
    assert!(node.cells.len() <= CORES * 4, "{}", node.cells.len());
    assert!(node.cells.len() >= CORES, "{}", node.cells.len());
    // 200 times 20 ms on two cores take 2 s, whoever does it.
    let took = node.now - node.begin;
    assert!(took < Duration::from_millis(2_200), "{took:?}");
}

#[test]
fn a_second_wave_finds_the_isolates_of_the_first() {
    let mut node = Node::default();
    for _ in 0..10 {
        node.submit(work(500, 200));
    }
    node.finish(10);
    let before = node.cells.len();
    for _ in 0..10 {
        node.submit(work(500, 200));
    }
    node.finish(20);
    assert_eq!(node.cells.len(), before);
    let second = node
        .waits
        .iter()
        .skip(10)
        .max()
        .copied()
        .unwrap_or_default();
    assert!(second < START, "{second:?}");
}
