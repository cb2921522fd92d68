//! What other parts of the node report to the admin listener, and what it asks of them.

use std::fmt;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::status;
use crate::telemetry::timestamp;

/// Loads the configuration anew. `POST /reload` and whoever else is told to calls it.
pub(crate) trait Reload: Send + Sync + 'static {
    /// Loads it. Called on a thread that may block; calls do not overlap.
    ///
    /// Returns what there is to say of it, in a line.
    ///
    /// # Errors
    /// Nothing has changed, and why.
    fn reload(&self) -> Result<String, NotReloaded>;
}

impl fmt::Debug for dyn Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reload")
    }
}

/// Why what ran goes on.
#[derive(Clone, Debug)]
pub(crate) struct NotReloaded {
    /// All problems, as `holm check` prints them, without colour.
    pub(crate) problems: String,
    /// The exit code that `holm check` has for it.
    pub(crate) code: u8,
}

/// Counters and notes. All of it is there from the start, and says that nothing has happened.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    reloads: [AtomicU64; 2],
    handshakes: [AtomicU64; 2],
    refused_reload: Mutex<Option<status::Reload>>,
    certificates: Mutex<Vec<Certificate>>,
}

/// A certificate that the node serves.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    /// The hosts that it is for, as the file lists them.
    pub(crate) hosts: Vec<String>,
    /// When it ends.
    pub(crate) until: SystemTime,
}

#[allow(dead_code, reason = "for TLS and reload, which report here")]
impl Facts {
    /// The configuration was loaded anew, or could not be.
    pub(crate) fn reloaded(&self, outcome: Result<(), String>) {
        self.reloads[usize::from(outcome.is_ok())].fetch_add(1, Ordering::Relaxed);
        *lock(&self.refused_reload) = outcome.err().map(|message| status::Reload {
            time: timestamp(SystemTime::now()),
            message,
        });
    }

    /// A TLS handshake has ended, well or not.
    pub(crate) fn handshake(&self, is_done: bool) {
        self.handshakes[usize::from(is_done)].fetch_add(1, Ordering::Relaxed);
    }

    /// These are all certificates from now on.
    pub(crate) fn serves(&self, certificates: Vec<Certificate>) {
        *lock(&self.certificates) = certificates;
    }
}

impl Facts {
    /// Reloads that failed, and those that did not.
    pub(super) fn reloads(&self) -> [u64; 2] {
        [0, 1].map(|at| self.reloads[at].load(Ordering::Relaxed))
    }

    /// Handshakes that failed, and those that did not.
    pub(super) fn handshakes(&self) -> [u64; 2] {
        [0, 1].map(|at| self.handshakes[at].load(Ordering::Relaxed))
    }

    /// Why the last reload failed, if it did.
    pub(super) fn refused_reload(&self) -> Option<status::Reload> {
        lock(&self.refused_reload).clone()
    }

    /// All certificates.
    pub(super) fn certificates(&self) -> Vec<Certificate> {
        lock(&self.certificates).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
