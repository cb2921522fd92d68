//! A pool's bookkeeping: what waits, which cells there are, and what they are doing.
//!
//! Plain data without a clock, so that the simulation (`simulation.rs`) drives the very code that a node
//! runs. A cell has a number, [`CellId`], and is in one of these states: starting, busy, idle, or roomy (busy,
//! with room for more requests than it has).

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use super::policy;
use super::policy::Load;

/// Names a cell within its pool.
pub(crate) type CellId = u64;

/// What a pool has to know of the rest of the node to decide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings {
    /// Cells of the pool that compute.
    pub(crate) computing: usize,
    /// Cells of the node compute on every core.
    pub(crate) full: bool,
    /// Cores of the node.
    pub(crate) cores: usize,
    /// The node holds all the memory, or all the descriptors, that it may.
    pub(crate) is_short: bool,
    /// Cells that the pool may have.
    pub(crate) max: usize,
}

/// What to do for the requests that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing: whoever is at work takes them.
    Wait,
    /// This cell is to take some. It is not listed as idle or roomy any more.
    Wake(CellId),
    /// One more cell is to be started. It is counted as starting.
    Start,
}

/// The books of one pool, whose requests are `T`s.
#[derive(Debug)]
pub(crate) struct Books<T> {
    queue: VecDeque<Waiting<T>>,
    /// Cells without work, the one that had some last at the end.
    idle: Vec<CellId>,
    /// Cells that wait for I/O, with room for more requests.
    roomy: Vec<CellId>,
    /// Cells that have started.
    cells: usize,
    starting: usize,
    /// How long a request has lately kept a cell: a moving average; none yet.
    service: Option<Duration>,
}

#[derive(Debug)]
struct Waiting<T> {
    since: Instant,
    request: T,
}

impl<T> Default for Books<T> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            idle: Vec::new(),
            roomy: Vec::new(),
            cells: 0,
            starting: 0,
            service: None,
        }
    }
}

impl<T> Books<T> {
    /// A request waits from `now` on.
    pub(crate) fn push(&mut self, request: T, now: Instant) {
        let since = now;
        self.queue.push_back(Waiting { since, request });
    }

    /// A request waits again, since `since`, before all others.
    pub(crate) fn push_front(&mut self, request: T, since: Instant) {
        self.queue.push_front(Waiting { since, request });
    }

    /// The request that has waited longest.
    pub(crate) fn take(&mut self) -> Option<T> {
        self.queue.pop_front().map(|waiting| waiting.request)
    }

    /// All that wait.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        self.queue
            .drain(..)
            .map(|waiting| waiting.request)
            .collect()
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Cells that have started.
    pub(crate) fn cells(&self) -> usize {
        self.cells
    }

    /// Cells that have started or are about to.
    pub(crate) fn all(&self) -> usize {
        self.cells + self.starting
    }

    /// Cells without work.
    pub(crate) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// One more is being started.
    pub(crate) fn start(&mut self) {
        self.starting += 1;
    }

    /// One that was being started has.
    pub(crate) fn started(&mut self) {
        self.starting -= 1;
        self.cells += 1;
    }

    /// One that was being started has not.
    pub(crate) fn not_started(&mut self) {
        self.starting -= 1;
    }

    /// A cell that had started is gone.
    pub(crate) fn gone(&mut self, cell: CellId) {
        self.cells -= 1;
        self.strike_off(cell);
    }

    /// A cell has no work.
    pub(crate) fn rest(&mut self, cell: CellId) {
        self.strike_off(cell);
        self.idle.push(cell);
    }

    /// A cell has room for more than it has to do.
    pub(crate) fn has_room(&mut self, cell: CellId) {
        self.strike_off(cell);
        self.roomy.push(cell);
    }

    /// A cell has as much to do as it can.
    pub(crate) fn strike_off(&mut self, cell: CellId) {
        for list in [&mut self.idle, &mut self.roomy] {
            if let Some(place) = list.iter().rposition(|other| *other == cell) {
                list.remove(place);
            }
        }
    }

    /// Those of the idle cells that can be ended, if `kept` are to stay: who has been idle for longest
    /// stands first.
    pub(crate) fn dispensable(&self, kept: usize) -> &[CellId] {
        let beyond = self.cells.saturating_sub(kept);
        &self.idle[..self.idle.len().min(beyond)]
    }

    /// A request has kept a cell for this long.
    pub(crate) fn served(&mut self, time: Duration) {
        self.service = Some(match self.service {
            Some(before) => before - before / 8 + time / 8,
            None => time,
        });
    }

    /// What `served` has come to.
    pub(crate) fn service(&self) -> Option<Duration> {
        self.service
    }

    /// Nothing is known yet, and requests are expected to keep a cell for about as long.
    pub(crate) fn expect(&mut self, service: Option<Duration>) {
        self.service = self.service.or(service);
    }

    /// Requests that a cell may be given ahead of the one it works on.
    pub(crate) fn ahead(&self) -> usize {
        policy::ahead(self.service)
    }

    /// What the pool looks like.
    pub(crate) fn load(&self, now: Instant, around: Surroundings) -> Load {
        let oldest = self.queue.front();
        let oldest = oldest.map(|waiting| now.saturating_duration_since(waiting.since));
        Load {
            isolates: self.cells,
            idle: self.idle.len() + self.roomy.len(),
            computing: around.computing,
            starting: self.starting,
            waiting: self.queue.len(),
            oldest: oldest.unwrap_or_default(),
            service: self.service.unwrap_or_default(),
            full: around.full,
            cores: around.cores,
            is_short: around.is_short,
        }
    }

    /// Decides what to do for those that wait, and notes it.
    pub(crate) fn scale_out(&mut self, now: Instant, around: Surroundings) -> Decision {
        let load = self.load(now, around);
        if policy::wake_another(load) {
            // Packed as densely as they may be: what is empty can be ended.
            if let Some(cell) = self.roomy.pop().or_else(|| self.idle.pop()) {
                return Decision::Wake(cell);
            }
        }
        if policy::start_another(load, around.max) {
            self.start();
            return Decision::Start;
        }
        Decision::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Surroundings = Surroundings {
        computing: 0,
        full: false,
        cores: 2,
        is_short: false,
        max: 4,
    };

    #[test]
    fn a_cell_is_on_one_list() {
        let mut books = Books::<()>::default();
        for cell in 0..3 {
            books.start();
            books.started();
            books.rest(cell);
        }
        books.has_room(1);
        books.rest(1);
        assert_eq!(books.dispensable(0), [0, 2, 1]);
        assert_eq!(books.dispensable(2), [0]);
        books.gone(0);
        assert_eq!((books.idle(), books.cells()), (2, 2));
        assert_eq!(books.dispensable(2), &[] as &[CellId]);
    }

    #[test]
    fn the_first_request_starts_a_cell_and_the_last_idle_one_is_woken_first() {
        let mut books = Books::default();
        let now = Instant::now();
        books.push("a", now);
        assert_eq!(books.scale_out(now, QUIET), Decision::Start);
        assert_eq!(books.scale_out(now, QUIET), Decision::Wait);
        books.started();
        assert_eq!(books.take(), Some("a"));
        books.rest(7);
        books.push("b", now);
        assert_eq!(books.scale_out(now, QUIET), Decision::Wake(7));
        assert_eq!(books.idle(), 0);
    }

    #[test]
    fn what_comes_back_is_first() {
        let mut books = Books::default();
        let now = Instant::now();
        books.push("b", now);
        books.push_front("a", now);
        assert_eq!(books.take_all(), ["a", "b"]);
    }
}
