//! The tasks of one HTTP/2 connection: one for each of its streams.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::task::JoinSet;

use crate::turn;

/// Owns the streams of a connection, and ends with it: what still runs then is cancelled.
#[derive(Debug, Default)]
pub(super) struct Streams(Arc<Mutex<JoinSet<()>>>);

/// Starts streams. Every stream holds one of these, so it must not own them.
#[derive(Clone, Debug)]
pub(super) struct Starter {
    streams: Weak<Mutex<JoinSet<()>>>,
    /// How long a client may take nothing of a stream.
    stall: Duration,
}

impl Streams {
    pub(super) fn starter(&self, stall: Duration) -> Starter {
        Starter {
            streams: Arc::downgrade(&self.0),
            stall,
        }
    }
}

impl Starter {
    /// Starts something that ends with the connection.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Without its owner there is no connection for it to be on.
        if let Some(tasks) = self.streams.upgrade() {
            // Nothing below panics halfway through a change.
            let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
            while tasks.try_join_next().is_some() {}
            tasks.spawn(work);
        }
    }
}

impl<F> Executor<F> for Starter
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.spawn(turn::keep(stream, self.stall));
    }
}
