//! When to wake an isolate, and when to start another: pure decisions.
//!
//! Both cost CPU time that the functions could use. A request that the next free isolate takes in
//! a moment is better left in the queue.

use std::time::Duration;

/// Expected wait from which on an idle isolate is woken although another one is awake.
///
/// Measured with hello on two cores, 32 connections: waking for each request took a quarter of the
/// throughput, because the isolates then only took turns on the same cores.
pub(crate) const WAKE: Duration = Duration::from_micros(500);

/// Time that a request may wait for a busy isolate before another one is started. About what
/// starting one costs with a template; waiting longer would be slower.
pub(crate) const PICKUP: Duration = Duration::from_millis(2);

/// The same while another isolate would only take turns with those that are there.
pub(crate) const PICKUP_WHEN_FULL: Duration = Duration::from_millis(25);

/// Isolates of one function that may compute for each core of the node. More would not compute
/// more, but take the turns of other functions: the cores are shared out by threads.
const PER_CORE: usize = 4;

/// Time that a request may wait in a cell behind another one, where no other cell can take it: requests that
/// are answered faster than they are handed over are handed over several at a time.
const AHEAD: Duration = WAKE;

/// Requests that a cell may be given ahead, at most. Measured with hello on two cores and 32 connections: a
/// process that is given one at a time costs the node 42 µs a request, four ahead 10.3, thirty-two 8.4.
const MOST_AHEAD: usize = 31;

/// Requests that a cell may be given ahead of the one that it works on, if requests lately took `service`.
/// None while that is not known.
pub(crate) fn ahead(service: Option<Duration>) -> usize {
    let Some(service) = service else { return 0 };
    let nanos = service.as_nanos().max(1);
    let fit = AHEAD.as_nanos() / nanos;
    usize::try_from(fit).map_or(MOST_AHEAD, |fit| fit.min(MOST_AHEAD))
}

/// CPU time of a start from which on its result is kept to be copied, however little memory there is.
const DEAR: Duration = Duration::from_millis(10);

/// One more cell of a function whose template was given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// CPU time that starting the function takes.
    pub(crate) cost: Duration,
    /// Cells that it has, the new one among them.
    pub(crate) cells: usize,
    /// Each is for a few requests only.
    pub(crate) is_for_few: bool,
    /// The node holds nearly all the memory, or the descriptors, that it may.
    pub(crate) is_tight: bool,
}

/// Whether a template is to be made for the new cell to be copied from, or the cell starts by itself, which takes less
/// time and memory as long as there is no other cell. Measured with 2,000 hellos and memory for a fifth of them: 6.8 ms
/// of CPU time for each cold start with templates, 3.8 without, and 630 functions alive instead of 380.
pub(crate) fn wants_template(start: Start) -> bool {
    !start.is_tight || start.is_for_few || start.cells > 1 || start.cost >= DEAR
}

/// What a pool looks like at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Isolates that run, work or not.
    pub isolates: usize,
    /// Those of them without work, or with room for more of it while they wait for I/O.
    pub idle: usize,
    /// Those of them that compute; the rest of the busy ones wait for I/O.
    pub computing: usize,
    /// Isolates that are being started.
    pub starting: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// How long the first of them has.
    pub oldest: Duration,
    /// How long a request has lately kept an isolate.
    pub service: Duration,
    /// Isolates of the node compute on every core; those that wait for I/O do not count.
    pub full: bool,
    /// Cores of the node.
    pub cores: usize,
    /// The node holds all the memory, or all the descriptors, that it may.
    pub is_short: bool,
}

impl Load {
    /// How long the last request in the queue will wait, if all goes on as it did.
    fn expected(&self) -> Duration {
        let busy = self.isolates.saturating_sub(self.idle).max(1);
        let waiting = u32::try_from(self.waiting).unwrap_or(u32::MAX);
        let busy = u32::try_from(busy).unwrap_or(u32::MAX);
        self.service.saturating_mul(waiting) / busy
    }
}

/// Whether to wake an idle isolate now.
pub(crate) fn wake_another(load: Load) -> bool {
    if load.waiting == 0 || load.idle == 0 {
        return false;
    }
    // Where every core is taken, another one at work would only take turns with those.
    let patience = if load.full { PICKUP } else { WAKE };
    load.idle == load.isolates || load.expected() >= WAKE || load.oldest >= patience
}

/// Whether to start one more isolate now.
pub(crate) fn start_another(load: Load, max_isolates: usize) -> bool {
    if load.waiting == 0 || load.idle > 0 || load.isolates + load.starting >= max_isolates {
        return false;
    }
    if load.computing >= load.cores.saturating_mul(PER_CORE) {
        return false;
    }
    if load.is_short {
        return false;
    }
    match (load.isolates, load.starting) {
        // Nobody is there, and nobody is coming.
        (0, 0) => true,
        // One at a time: what is coming may take the queue.
        (_, 1..) => false,
        (_, 0) => load.oldest >= patience(load),
    }
}

/// How long a request waits before an isolate is started for it.
fn patience(load: Load) -> Duration {
    // Isolates that compute and would be through with the queue by now, had they had the cores to
    // themselves: what is short is cores, not isolates.
    let short_of_cores = load.computing > 0 && load.expected() < PICKUP;
    if load.full || short_of_cores {
        PICKUP_WHEN_FULL
    } else {
        PICKUP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(isolates: usize, starting: usize, waiting: usize, oldest_ms: u64) -> Load {
        Load {
            isolates,
            idle: 0,
            computing: 0,
            starting,
            waiting,
            oldest: Duration::from_millis(oldest_ms),
            service: Duration::from_millis(5),
            full: false,
            cores: 2,
            is_short: false,
        }
    }

    #[test]
    fn a_template_is_made_again_where_it_is_of_use() {
        let alone = Start {
            cost: Duration::from_millis(3),
            cells: 1,
            is_for_few: false,
            is_tight: true,
        };
        assert!(!wants_template(alone));
        assert!(wants_template(Start {
            is_tight: false,
            ..alone
        }));
        assert!(wants_template(Start {
            is_for_few: true,
            ..alone
        }));
        assert!(wants_template(Start { cells: 2, ..alone }));
        let cost = Duration::from_millis(40);
        assert!(wants_template(Start { cost, ..alone }));
    }

    #[test]
    fn only_quick_requests_are_given_ahead() {
        assert_eq!(ahead(None), 0);
        assert_eq!(ahead(Some(Duration::from_millis(1))), 0);
        assert_eq!(ahead(Some(Duration::from_micros(100))), 5);
        assert_eq!(ahead(Some(Duration::from_micros(5))), MOST_AHEAD);
        assert_eq!(ahead(Some(Duration::ZERO)), MOST_AHEAD);
    }

    #[test]
    fn a_function_that_computes_leaves_cores_to_others() {
        let computing = |computing| Load {
            computing,
            full: true,
            ..load(8, 0, 100, 1000)
        };
        assert!(start_another(computing(7), 64));
        assert!(!start_another(computing(8), 64));
    }

    #[test]
    fn the_first_request_starts_the_first_isolate() {
        assert!(start_another(load(0, 0, 1, 0), 64));
    }

    #[test]
    fn nothing_waiting_starts_nothing() {
        assert!(!start_another(load(0, 0, 0, 0), 64));
        assert!(!start_another(load(3, 0, 0, 0), 64));
    }

    #[test]
    fn a_short_wait_is_cheaper_than_an_isolate() {
        assert!(!start_another(load(1, 0, 30, 1), 64));
        assert!(start_another(load(1, 0, 1, 2), 64));
    }

    #[test]
    fn busy_cores_want_more_patience() {
        let full = |oldest_ms| Load {
            full: true,
            ..load(1, 0, 1, oldest_ms)
        };
        assert!(!start_another(full(10), 64));
        assert!(start_another(full(25), 64));
    }

    #[test]
    fn quick_answers_that_come_late_are_for_want_of_cores() {
        let quick = |computing, oldest_ms| Load {
            computing,
            service: Duration::from_micros(10),
            ..load(1, 0, 30, oldest_ms)
        };
        assert!(!start_another(quick(1, 10), 64));
        assert!(start_another(quick(1, 25), 64));
        // It waits for I/O, for once: the cores are free.
        assert!(start_another(quick(0, 2), 64));
    }

    #[test]
    fn isolates_start_one_at_a_time() {
        assert!(!start_another(load(0, 1, 5, 100), 64));
        assert!(!start_another(load(7, 1, 5, 100), 64));
    }

    #[test]
    fn the_limit_holds() {
        assert!(!start_another(load(2, 0, 200, 1000), 2));
        assert!(!start_another(load(1, 1, 200, 1000), 2));
    }

    #[test]
    fn no_isolate_starts_without_memory_for_it() {
        let short = |isolates| Load {
            is_short: true,
            ..load(isolates, 0, 5, 1000)
        };
        assert!(!start_another(short(1), 64));
        assert!(!start_another(short(0), 64));
    }

    #[test]
    fn an_idle_isolate_comes_before_a_new_one() {
        let idle = Load {
            idle: 1,
            ..load(2, 0, 1, 100)
        };
        assert!(!start_another(idle, 64));
        assert!(wake_another(idle));
    }

    #[test]
    fn one_of_all_idle_isolates_is_woken_at_once() {
        let idle = |idle| Load {
            idle,
            service: Duration::from_micros(10),
            ..load(2, 0, 1, 0)
        };
        assert!(wake_another(idle(2)));
        assert!(!wake_another(idle(1)));
        assert!(!wake_another(idle(0)));
    }

    #[test]
    fn a_long_wait_wakes_another() {
        let quick = |waiting, oldest_us| Load {
            idle: 1,
            service: Duration::from_micros(10),
            oldest: Duration::from_micros(oldest_us),
            ..load(2, 0, waiting, 0)
        };
        assert!(!wake_another(quick(32, 100)));
        assert!(wake_another(quick(50, 100)));
        // The one that is awake is kept by a request longer than most.
        assert!(wake_another(quick(1, 500)));
        let full = |oldest_us| Load {
            full: true,
            ..quick(1, oldest_us)
        };
        assert!(!wake_another(full(500)));
        assert!(wake_another(full(2_000)));
    }
}
