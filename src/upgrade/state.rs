//! What is known of upgrades: plain data, for whoever shows it.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

/// Upgrades since the process started. One that came off is its last.
#[derive(Clone, Debug, Default)]
pub(crate) struct UpgradeState {
    /// Those that failed: the node went on as it was.
    pub(crate) failed: u64,
    /// Why the last of them did, and when.
    pub(crate) last_problem: Option<(SystemTime, Arc<str>)>,
    /// The process that this one has taken the place of, while it finishes what it had begun.
    pub(crate) predecessor: Option<u32>,
}

/// Another process serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Upgraded {
    /// Which.
    pub(crate) pid: u32,
    /// How long it took until it did.
    pub(crate) took: Duration,
}

/// This one goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotUpgraded {
    /// Nothing was tried, and why.
    Refused(&'static str),
    /// The successor was none.
    Failed {
        /// A line for each problem.
        problems: Vec<String>,
        /// The exit code that says what kind they are of.
        code: u8,
    },
}

/// What came of an upgrade.
pub(crate) type Answer = Result<Upgraded, NotUpgraded>;
