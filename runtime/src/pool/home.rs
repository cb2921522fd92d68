//! Connections on the isolates' own threads.
//!
//! A request that comes in on the thread of an idle isolate needs nobody to be woken, neither for
//! it nor for its answer. So connections that keep asking for one function may live on its
//! isolates' threads, as long as the function is quick: while it computes, they wait.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use holm_model::outcome::Outcome;

/// Average time of a request up to which its function may have connections on its threads. Those
/// that wait there meanwhile wait no longer than a replica would take to start.
pub const QUICK: Duration = Duration::from_millis(1);

/// Connections of one isolate. What is beyond stays on the I/O threads, where their requests
/// queue, and a queue that grows old is what starts more isolates.
const GUESTS: usize = 64;

/// Where a connection may live.
#[derive(Clone, Debug)]
pub struct Home {
    /// The runtime of the isolate's thread.
    pub runtime: Handle,
    /// Changes when connections are to leave. Holding it keeps the thread.
    pub leave: watch::Receiver<()>,
    /// What the isolate is stuck over, and its thread with it, once it is.
    pub lost: watch::Receiver<Option<Outcome>>,
}

/// An isolate's thread, as the host of connections.
#[derive(Debug)]
pub(super) struct Host {
    runtime: Handle,
    leave: watch::Sender<()>,
    lost: watch::Receiver<Option<Outcome>>,
}

impl Host {
    /// For the calling thread, inside its runtime.
    pub(super) fn new(lost: watch::Receiver<Option<Outcome>>) -> Arc<Self> {
        Arc::new(Self {
            runtime: Handle::current(),
            leave: watch::Sender::new(()),
            lost,
        })
    }

    fn guests(&self) -> usize {
        self.leave.receiver_count()
    }

    /// Sends its connections away, and waits until they are gone.
    pub(super) async fn close(&self) {
        self.leave.send_replace(());
        self.leave.closed().await;
    }
}

/// The one of `hosts` with the most room.
pub(super) fn choose(hosts: &[Arc<Host>]) -> Option<Home> {
    let host = hosts.iter().min_by_key(|host| host.guests())?;
    (host.guests() < GUESTS).then(|| Home {
        runtime: host.runtime.clone(),
        leave: host.leave.subscribe(),
        lost: host.lost.clone(),
    })
}

/// A number for a pool, unique in the process; never zero.
pub(super) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
