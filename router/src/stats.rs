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
    handshakes: AtomicU64,
    resumed: AtomicU64,
    failed_handshakes: AtomicU64,
    displaced_handshakes: AtomicU64,
    unknown_names: AtomicU64,
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

    /// TLS handshakes that were completed.
    pub fn handshakes(&self) -> u64 {
        self.handshakes.load(Ordering::Relaxed)
    }

    /// Those among them that continued an earlier session.
    pub fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }

    /// TLS handshakes that came to nothing: broken, given up, too slow, or ended for newer ones.
    pub fn failed_handshakes(&self) -> u64 {
        self.failed_handshakes.load(Ordering::Relaxed)
    }

    /// TLS handshakes that were ended for newer ones.
    pub fn displaced_handshakes(&self) -> u64 {
        self.displaced_handshakes.load(Ordering::Relaxed)
    }

    /// TLS handshakes refused because no certificate is for the name that they asked for.
    pub fn unknown_names(&self) -> u64 {
        self.unknown_names.load(Ordering::Relaxed)
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

    pub(crate) fn handshake(&self, is_resumed: bool) {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        if is_resumed {
            self.resumed.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn failed_handshake(&self) {
        self.failed_handshakes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn displaced_handshake(&self) {
        self.displaced_handshakes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unknown_name(&self) {
        self.unknown_names.fetch_add(1, Ordering::Relaxed);
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
