//! When to start another isolate of a function: a pure decision.

use std::time::Duration;

/// Time that a request may wait for a busy isolate before another one is started. About what
/// starting one costs; waiting longer would be slower.
pub const PICKUP: Duration = Duration::from_millis(2);

/// The same while every core is busy with isolates: another one would only take turns with them.
pub const PICKUP_WHEN_FULL: Duration = Duration::from_millis(25);

/// Time after which an isolate without work is ended.
pub const IDLE: Duration = Duration::from_secs(60);

/// What a pool looks like at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Isolates that run, work or not.
    pub isolates: usize,
    /// Isolates that are being started.
    pub starting: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// How long the first of them has.
    pub oldest: Duration,
    /// Isolates of the node compute on every core; those that wait for I/O do not count.
    pub full: bool,
}

/// Whether to start one more isolate now.
pub fn start_another(load: Load, max_isolates: usize) -> bool {
    if load.waiting == 0 || load.isolates + load.starting >= max_isolates {
        return false;
    }
    match (load.isolates, load.starting) {
        // Nobody is there, and nobody is coming.
        (0, 0) => true,
        // One at a time: what is coming may take the queue.
        (_, 1..) => false,
        (_, 0) if load.full => load.oldest >= PICKUP_WHEN_FULL,
        (_, 0) => load.oldest >= PICKUP,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(isolates: usize, starting: usize, waiting: usize, oldest_ms: u64) -> Load {
        Load {
            isolates,
            starting,
            waiting,
            oldest: Duration::from_millis(oldest_ms),
            full: false,
        }
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
    fn isolates_start_one_at_a_time() {
        assert!(!start_another(load(0, 1, 5, 100), 64));
        assert!(!start_another(load(7, 1, 5, 100), 64));
    }

    #[test]
    fn the_limit_holds() {
        assert!(!start_another(load(2, 0, 200, 1000), 2));
        assert!(!start_another(load(1, 1, 200, 1000), 2));
    }
}
