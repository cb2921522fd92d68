//! What other parts of the node report to the admin listener.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// Counters and notes. All of it is there from the start, and says that nothing has happened.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    handshakes: [AtomicU64; 2],
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

#[allow(dead_code, reason = "for TLS, which reports here")]
impl Facts {
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
    /// Handshakes that failed, and those that did not.
    pub(super) fn handshakes(&self) -> [u64; 2] {
        [0, 1].map(|at| self.handshakes[at].load(Ordering::Relaxed))
    }

    /// All certificates.
    pub(super) fn certificates(&self) -> Vec<Certificate> {
        lock(&self.certificates).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
