//! Live counters of the edge.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that may be read at any time from anywhere. All but [`open`](Self::open) only grow.
#[derive(Debug, Default)]
pub struct Stats {
    accepted: AtomicU64,
    closed: AtomicU64,
    shed: AtomicU64,
    requests: AtomicU64,
    refused: AtomicU64,
    slow: AtomicU64,
}

impl Stats {
    /// Connections that are open now.
    pub fn open(&self) -> u64 {
        // `closed` first: read the other way round, one could be seen closed and not accepted.
        let closed = self.closed.load(Ordering::Acquire);
        self.accepted.load(Ordering::Acquire) - closed
    }

    /// Connections ever accepted and served.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections turned away because there were too many.
    pub fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }

    /// Requests ever received, refused ones included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests that the edge itself turned away.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Connections ended because too much waited for their clients.
    pub fn too_slow(&self) -> u64 {
        self.slow.load(Ordering::Relaxed)
    }

    /// Counts a request, and returns its serial number.
    pub(crate) fn request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn refusal(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn shedding(&self) {
        self.shed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn slow(&self) {
        self.slow.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection(self: &Arc<Self>) -> Open {
        self.accepted.fetch_add(1, Ordering::Release);
        Open(Arc::clone(self))
    }
}

/// One open connection; closes by drop.
#[derive(Debug)]
pub(crate) struct Open(Arc<Stats>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Ordering::Release);
    }
}
