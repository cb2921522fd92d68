//! What every isolate of a node shares.

use std::sync::Arc;

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
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}
