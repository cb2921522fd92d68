//! What every isolate of a node shares.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use holm_js_api::ports::Outbound;

use crate::record::Recorder;
use crate::watchdog::Watchdog;

/// The node's side of its isolates.
#[derive(Clone)]
pub struct Services {
    /// Ends what runs over its limits.
    pub watchdog: Watchdog,
    /// Where `fetch()` goes.
    pub outbound: Arc<dyn Outbound>,
    /// Where records go.
    pub recorder: Arc<dyn Recorder>,
    /// Who computes.
    pub cores: Cores,
}

/// Counts the isolates of a node that are computing, against the cores they could do it on.
#[derive(Clone, Debug)]
pub struct Cores {
    computing: Arc<AtomicUsize>,
    count: usize,
}

impl Cores {
    /// For a node with `count` cores.
    pub fn new(count: usize) -> Self {
        Self {
            computing: Arc::default(),
            count,
        }
    }

    /// Whether there is an isolate computing for every core.
    pub fn are_full(&self) -> bool {
        self.computing.load(Ordering::Relaxed) >= self.count
    }

    /// An isolate computes until the answer is dropped.
    pub(crate) fn compute(&self) -> Computing<'_> {
        self.computing.fetch_add(1, Ordering::Relaxed);
        Computing(self)
    }
}

/// An isolate that computes.
#[derive(Debug)]
pub(crate) struct Computing<'a>(&'a Cores);

impl Drop for Computing<'_> {
    fn drop(&mut self) {
        self.0.computing.fetch_sub(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}
