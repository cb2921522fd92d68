//! How many requests may wait on a node, over all of its functions.
//!
//! Each function's queue has a bound of its own; this one bounds their sum, because every waiting
//! request holds memory and a connection. A function that floods the node fills its own share of
//! what is left, not that of the others.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// The node's waiting requests. Clones share it.
#[derive(Clone, Debug)]
pub struct Admission {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Requests that may wait.
    bound: AtomicUsize,
    /// Requests that wait.
    requests: AtomicUsize,
    /// Functions that have some.
    functions: AtomicUsize,
}

impl Admission {
    /// For a node where about `bound` requests may wait.
    pub fn new(bound: usize) -> Self {
        Self {
            counts: Arc::new(Counts {
                bound: AtomicUsize::new(bound),
                ..Counts::default()
            }),
        }
    }

    /// From now on about `bound` may. Those that wait already go on doing so.
    pub fn set_bound(&self, bound: usize) {
        self.counts.bound.store(bound, Ordering::Relaxed);
    }

    fn bound(&self) -> usize {
        self.counts.bound.load(Ordering::Relaxed)
    }

    /// Whether one more may wait for a function that has `own` waiting.
    pub(super) fn admits(&self, own: usize) -> bool {
        let requests = self.counts.requests.load(Ordering::Relaxed);
        requests < self.bound() || own < self.share(own)
    }

    /// What each function may have once the node is full: equal parts.
    fn share(&self, own: usize) -> usize {
        let others = self.counts.functions.load(Ordering::Relaxed);
        let functions = others + usize::from(own == 0);
        (self.bound() / functions.max(1)).max(1)
    }

    /// A request waits, `own` of its function before it.
    pub(super) fn joins(&self, own: usize) {
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        if own == 0 {
            self.counts.functions.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `count` requests wait no more, `own` of their function still do.
    pub(super) fn leave(&self, count: usize, own: usize) {
        if count == 0 {
            return;
        }
        self.counts.requests.fetch_sub(count, Ordering::Relaxed);
        if own == 0 {
            self.counts.functions.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills a function's queue as far as it goes; returns its length.
    fn flood(admission: &Admission, mut own: usize) -> usize {
        while admission.admits(own) {
            admission.joins(own);
            own += 1;
        }
        own
    }

    #[test]
    fn one_function_alone_has_all_of_it() {
        assert_eq!(flood(&Admission::new(100), 0), 100);
    }

    #[test]
    fn a_flood_leaves_the_others_their_share() {
        let admission = Admission::new(100);
        assert_eq!(flood(&admission, 0), 100);
        assert_eq!(flood(&admission, 0), 50);
        // Now that there is another one, the first has more than its share.
        assert!(!admission.admits(100));
        assert_eq!(flood(&admission, 0), 33);
    }

    #[test]
    fn a_function_with_nothing_waiting_is_never_refused() {
        let admission = Admission::new(2);
        for _ in 0..10 {
            assert_eq!(flood(&admission, 0).min(1), 1);
        }
    }

    #[test]
    fn who_leaves_makes_room() {
        let admission = Admission::new(10);
        flood(&admission, 0);
        admission.leave(1, 9);
        assert!(admission.admits(9));
        admission.leave(9, 0);
        assert_eq!(flood(&admission, 0), 10);
    }

    #[test]
    fn the_bound_can_change_while_some_wait() {
        let admission = Admission::new(10);
        assert_eq!(flood(&admission, 0), 10);
        admission.set_bound(12);
        assert_eq!(flood(&admission, 10), 12);
        admission.set_bound(3);
        assert!(!admission.admits(12));
        admission.leave(10, 2);
        assert!(admission.admits(2));
    }
}
