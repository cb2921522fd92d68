//! How many handshakes there may be at a time.
//!
//! A connection whose handshake does not get on costs a descriptor and memory, and its client
//! nothing. When there are too many, the oldest one is ended, not the newest turned away: it had
//! the most time, and else whoever holds all places for the length of the deadline would keep all
//! others out for as long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// The handshakes of all listeners of an edge.
#[derive(Debug)]
pub(crate) struct Pending {
    most: usize,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    /// By number, so the oldest is the first.
    handshakes: BTreeMap<u64, oneshot::Sender<()>>,
    next: u64,
}

/// One handshake; over by drop.
#[derive(Debug)]
pub(super) struct Place {
    pending: Arc<Pending>,
    number: u64,
    ended: oneshot::Receiver<()>,
}

impl Pending {
    /// At most `most` at a time, and at least one.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            running: Mutex::default(),
        })
    }

    /// Begins one. Returns whether the oldest one had to end for it.
    pub(super) fn begin(self: &Arc<Self>) -> (Place, bool) {
        let (end, ended) = oneshot::channel();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = running.handshakes.len() >= self.most;
        if is_full && let Some((_, oldest)) = running.handshakes.pop_first() {
            // It may have ended by itself just now.
            let _ = oldest.send(());
        }
        let number = running.next;
        running.next += 1;
        running.handshakes.insert(number, end);
        let place = Place {
            pending: Arc::clone(self),
            number,
            ended,
        };
        (place, is_full)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.handshakes.len()
    }
}

impl Place {
    /// Resolves if the handshake has to end for a newer one.
    pub(super) async fn ended(&mut self) {
        if (&mut self.ended).await.is_err() {
            // The sender goes when it is asked to, or with the place.
            std::future::pending().await
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self
            .pending
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        running.handshakes.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let pending = Pending::new(2);
        let (mut first, evicted) = pending.begin();
        assert!(!evicted);
        let (second, evicted) = pending.begin();
        assert!(!evicted);
        drop(second);
        let (mut second, evicted) = pending.begin();
        assert!(!evicted, "a place was free");
        let (third, evicted) = pending.begin();
        assert!(evicted);
        assert_eq!(first.ended.try_recv(), Ok(()));
        assert!(second.ended.try_recv().is_err(), "it goes on");
        assert_eq!(pending.count(), 2);
        drop((first, second, third));
        assert_eq!(pending.count(), 0);
    }
}
