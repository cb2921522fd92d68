//! Connections that may be closed for new ones.
//!
//! When there are as many as there may be, whoever asks for nothing makes room: the connection that has
//! been found without a request for long enough. They are looked at in turn, a few for each
//! new one, and nothing is noted in the time between.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use crate::link::Link;

/// Connections that are looked at for each new one.
const LOOKS: usize = 64;

/// How long one has to have asked for nothing: as short as the shortest pause of a client that is busy.
const IDLE: Duration = Duration::from_secs(1);

/// The connections of all listeners of an edge.
#[derive(Debug, Default)]
pub(crate) struct Seats(Mutex<VecDeque<Seat>>);

#[derive(Debug)]
struct Seat {
    link: Weak<Link>,
    task: AbortHandle,
    /// Requests that there had been when it was last seen with one more.
    requests: u64,
    /// When that was, or when it came.
    since: Instant,
}

impl Seats {
    /// Adds a connection. Those that have ended go when there are more than twice as many entries as
    /// connections may be.
    pub(super) fn add(&self, link: Weak<Link>, task: AbortHandle, most: usize, now: Instant) {
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seats.len() >= most.saturating_mul(2).max(LOOKS) {
            seats.retain(|seat| seat.link.strong_count() > 0);
        }
        seats.push_back(Seat {
            link,
            task,
            requests: 0,
            since: now,
        });
    }

    /// Ends a connection that asks for nothing. Returns whether there was one among those that were
    /// looked at.
    pub(super) fn reclaim(&self, now: Instant) -> bool {
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..seats.len().min(LOOKS) {
            let Some(mut seat) = seats.pop_front() else {
                return false;
            };
            let Some(link) = seat.link.upgrade() else {
                continue;
            };
            let requests = link.requests();
            if link.is_active() || requests != seat.requests {
                (seat.requests, seat.since) = (requests, now);
            } else if now.saturating_duration_since(seat.since) >= IDLE {
                seat.task.abort();
                return true;
            }
            seats.push_back(seat);
        }
        false
    }
}
