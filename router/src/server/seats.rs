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
pub(crate) struct Seats(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    seats: VecDeque<Seat>,
    /// How many there were when those that had ended were last taken out.
    kept: usize,
}

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
    /// Adds a connection. Those that have ended go when there may be as many of them as of others: each holds
    /// the memory of its task, which is kilobytes.
    pub(super) fn add(&self, link: Weak<Link>, task: AbortHandle, now: Instant) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.seats.len() >= queue.kept.saturating_mul(2).max(LOOKS) {
            queue.seats.retain(|seat| seat.link.strong_count() > 0);
            queue.kept = queue.seats.len();
        }
        queue.seats.push_back(Seat {
            link,
            task,
            requests: 0,
            since: now,
        });
    }

    /// Ends a connection that asks for nothing. Returns whether there was one among those that were
    /// looked at.
    pub(super) fn reclaim(&self, now: Instant) -> bool {
        let seats = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner).seats;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_that_have_ended_are_let_go() {
        let seats = Seats::default();
        let task = tokio::spawn(async {}).abort_handle();
        for _ in 0..10 * LOOKS {
            seats.add(Weak::new(), task.clone(), Instant::now());
        }
        let held = seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(held.seats.len() <= LOOKS, "{}", held.seats.len());
    }
}
