//! What every isolate of a node shares.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use holm_model::outbound::Outbound;
use holm_model::outcome::Outcome;
use holm_model::record::Recorder;

use crate::pool::Admission;
use crate::pool::NodeMemory;
use crate::pool::WarmPool;
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
    /// How much may wait.
    pub admission: Admission,
    /// Who computes.
    pub cores: Cores,
    /// Isolates that wait for a function.
    pub warm: WarmPool,
    /// What the node may hold.
    pub memory: NodeMemory,
    /// Set once the node itself aborts the connections that are left.
    pub aborting: Arc<AtomicBool>,
}

impl Services {
    /// The outcome of a request, where `outcome` is what it looks like from inside: nobody waits for
    /// the answer any more, be it the client's doing or the node's.
    pub fn blame(&self, outcome: Outcome) -> Outcome {
        if outcome == Outcome::Canceled && self.aborting.load(Ordering::Relaxed) {
            Outcome::Reset
        } else {
            outcome
        }
    }
}

/// Counts the isolates that are computing, against the cores they could do it on.
#[derive(Clone, Debug)]
pub struct Cores {
    /// Of the whole node.
    node: Arc<AtomicUsize>,
    /// Of one pool.
    pool: Arc<AtomicUsize>,
    count: usize,
}

impl Cores {
    /// For a node with `count` cores.
    pub fn new(count: usize) -> Self {
        Self {
            node: Arc::default(),
            pool: Arc::default(),
            count,
        }
    }

    /// The same cores, as one more pool sees them.
    pub(crate) fn for_pool(&self) -> Self {
        Self {
            pool: Arc::default(),
            ..self.clone()
        }
    }

    /// Whether there is an isolate of the node computing for every core.
    pub fn are_full(&self) -> bool {
        self.node.load(Ordering::Relaxed) >= self.count
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// How many isolates of the pool are computing.
    pub(crate) fn computing(&self) -> usize {
        self.pool.load(Ordering::Relaxed)
    }

    /// An isolate computes until the answer is dropped. `computes` is its own mark.
    pub(crate) fn compute<'a>(&'a self, computes: &'a AtomicBool) -> Computing<'a> {
        computes.store(true, Ordering::Relaxed);
        self.node.fetch_add(1, Ordering::Relaxed);
        self.pool.fetch_add(1, Ordering::Relaxed);
        Computing {
            cores: self,
            computes,
        }
    }

    /// The isolate with this mark does not count any more, whatever it does.
    pub(crate) fn stop(&self, computes: &AtomicBool) {
        if computes.swap(false, Ordering::Relaxed) {
            self.node.fetch_sub(1, Ordering::Relaxed);
            self.pool.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// An isolate that computes.
#[derive(Debug)]
pub(crate) struct Computing<'a> {
    cores: &'a Cores,
    computes: &'a AtomicBool,
}

impl Drop for Computing<'_> {
    fn drop(&mut self) {
        self.cores.stop(self.computes);
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}
