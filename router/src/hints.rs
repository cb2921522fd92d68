//! How many hints of a request to come are passed on.
//!
//! The server name of a TLS handshake says which function will be asked, before the handshake is
//! done. But it is unauthenticated: a client may send any number of them and never a request. So
//! they are passed on at a bounded rate, and are lost beyond it, which costs a cold start.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// Hints that are passed on in a second.
const RATE: u32 = 50;

/// Hints that are passed on at once, after a while without.
const BURST: u32 = 10;

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Hints {
    /// When the bucket was, or will be, empty; it fills with time.
    empty: Mutex<Instant>,
}

impl Hints {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            empty: Mutex::new(now),
        }
    }

    /// Whether one more is passed on.
    pub(crate) fn admit(&self, now: Instant) -> bool {
        let each = Duration::from_secs(1) / RATE;
        let mut empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*empty).max(now.checked_sub(each * BURST).unwrap_or(*empty)) + each;
        let is_admitted = next <= now;
        if is_admitted {
            *empty = next;
        }
        is_admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let start = Instant::now();
        let hints = Hints::new(start);
        let later = start + Duration::from_secs(60);
        let admitted = |now| (0..1000).filter(|_| hints.admit(now)).count();
        assert_eq!(admitted(later), BURST as usize);
        assert_eq!(admitted(later + Duration::from_millis(20)), 1);
        assert_eq!(admitted(later + Duration::from_millis(60)), 2);
        assert_eq!(admitted(later + Duration::from_secs(3600)), BURST as usize);
    }
}
