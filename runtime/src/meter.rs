//! CPU time of one isolate, whoever spends it: its own thread, the threads that do native work
//! for it (WebCrypto runs on the blocking threads of the isolate's own tokio runtime, which serve
//! no other isolate), and the node's threads, which charge what they spend to its [`Account`].
//!
//! Read from the threads' own clocks, so what is charged is what was spent.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use holm_model::outbound::Account;

use crate::sys;
use crate::sys::ThreadClock;
pub use crate::sys::own_cpu_time;

/// The CPU time of one isolate, readable from any thread.
#[derive(Debug)]
pub struct Meter {
    own: ThreadClock,
    helpers: Mutex<Helpers>,
    elsewhere: Account,
}

#[derive(Debug, Default)]
struct Helpers {
    running: Vec<(libc::pid_t, ThreadClock)>,
    /// Of helpers that have ended.
    ended: Duration,
}

impl Meter {
    /// For the isolate of the calling thread.
    pub fn current() -> Self {
        Self {
            own: ThreadClock::current(),
            helpers: Mutex::new(Helpers::default()),
            elsewhere: Account::default(),
        }
    }

    /// CPU time so far. Never goes back while the isolate's thread lives.
    pub fn read(&self) -> Duration {
        let helpers = self.helpers();
        let running: Duration = helpers.running.iter().map(|(_, clock)| clock.read()).sum();
        self.own.read() + helpers.ended + running + self.elsewhere.total()
    }

    /// Where the node's threads charge what they spend for the isolate.
    pub(crate) fn account(&self) -> &Account {
        &self.elsewhere
    }

    /// The calling thread works for the isolate from now on.
    pub(crate) fn helper_starts(&self) {
        let helper = (sys::thread_id(), ThreadClock::current());
        self.helpers().running.push(helper);
    }

    /// The calling thread ends.
    pub(crate) fn helper_ends(&self) {
        let id = sys::thread_id();
        let mut helpers = self.helpers();
        helpers.running.retain(|(other, _)| *other != id);
        helpers.ended += own_cpu_time();
    }

    /// Lets what the isolate has left running elsewhere run only when nobody else wants to.
    pub(crate) fn demote_helpers(&self) {
        for (id, _) in &self.helpers().running {
            sys::demote(*id);
        }
    }

    fn helpers(&self) -> MutexGuard<'_, Helpers> {
        self.helpers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
