//! What every cell of a node shares.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use holm_model::outbound::Outbound;
use tokio::runtime::Handle;

use crate::descriptors::Descriptors;
use crate::fork::zygote::Zygote;
use crate::memory::NodeMemory;
use crate::pool::Admission;
use crate::request::Records;

/// The node's side of its cells.
#[derive(Clone)]
pub struct Services {
    /// Where cells come from.
    pub zygote: Zygote,
    /// The threads that talk to them.
    pub io: Handle,
    /// Where `fetch()` goes.
    pub outbound: Arc<dyn Outbound>,
    /// Where records go.
    pub records: Records,
    /// How much may wait.
    pub admission: Admission,
    /// Who computes.
    pub cores: Cores,
    /// What the node may hold.
    pub memory: NodeMemory,
    /// What the edge may have open.
    pub descriptors: Descriptors,
    /// Whether there are limits at all. Without them it can be measured what they cost.
    pub enforces: bool,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

/// The cells that compute, against the cores that they could do it on.
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

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Whether a cell of the node computes for every core.
    pub(crate) fn are_full(&self) -> bool {
        self.computing.load(Ordering::Relaxed) >= self.count
    }

    /// One pool's part in it.
    pub(crate) fn part(&self) -> Part {
        Part {
            cores: self.clone(),
            own: AtomicUsize::new(0),
        }
    }
}

/// How many cells of one pool compute, as of its last look. Dropping it takes them out.
#[derive(Debug)]
pub(crate) struct Part {
    cores: Cores,
    own: AtomicUsize,
}

impl Part {
    /// So many do.
    pub(crate) fn set(&self, own: usize) {
        let before = self.own.swap(own, Ordering::Relaxed);
        self.cores.computing.fetch_add(own, Ordering::Relaxed);
        self.cores.computing.fetch_sub(before, Ordering::Relaxed);
    }

    /// The node's cores.
    pub(crate) fn cores(&self) -> &Cores {
        &self.cores
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pools_have_adds_up_and_goes_with_them() {
        let cores = Cores::new(2);
        let (one, other) = (cores.part(), cores.part());
        one.set(1);
        assert!(!cores.are_full());
        other.set(3);
        one.set(0);
        assert!(cores.are_full());
        drop(other);
        assert!(!cores.are_full());
    }
}
