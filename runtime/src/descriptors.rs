//! The edge's descriptors: how many are left, and who makes room.
//!
//! A connection takes one, an isolate two, a function at rest three: two for its template and one for its code.
//! When few are left, connections wait to be accepted, and functions that were asked for longest ago give theirs up:
//! they start anew when they are needed. The last ones are for what is open for a moment only, so that nothing fails
//! for want of one.
//!
//! What is open is counted by the system, now and then; between two looks, what has come since is added.

use std::io;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use holm_process::descriptors;
use tokio::runtime::Handle as Io;
use tokio::sync::Notify;

use crate::memory::NodeMemory;
use crate::pools::Pools;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// The same where none seem to be left: what has come since the last one may be gone.
const CLOSE_LOOK: Duration = Duration::from_millis(5);

/// How long the start of a function waits for descriptors.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a process takes while it begins, at most.
const BEGINNING: u64 = 8;

/// What it keeps, at most.
const KEPT: u64 = 4;

/// The share, as a divisor, that is kept for what is open for a moment only.
const RESERVE: u64 = 16;

/// The least that is kept so.
const LEAST: u64 = 16;

/// What descriptors are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A connection: of a client, or of a function to elsewhere.
    Connection,
    /// One more isolate of a function that has some.
    Another,
    /// The first isolate of a function: who has many must not keep out who has none.
    First,
}

/// The descriptors of the process. Clones share the count.
#[derive(Clone, Debug)]
pub struct Descriptors {
    ledger: Arc<Ledger>,
}

#[derive(Debug)]
struct Ledger {
    most: u64,
    /// As it was counted, and what has come since.
    held: AtomicU64,
    /// Processes that begin: what they take is not open yet, or not all of it.
    beginning: AtomicU64,
    /// Microseconds from `since` to the last count, and how long that took.
    counted: AtomicU64,
    cost: AtomicU64,
    since: Instant,
    pools: Pools,
    bell: Notify,
}

impl Descriptors {
    /// Keeps the process within what it may have, as far as the functions of `memory` can do without theirs.
    pub fn start(memory: &NodeMemory, io: &Io) -> Self {
        let this = Self::of(descriptors::most(), memory.pools().clone());
        if this.ledger.most < u64::MAX {
            io.spawn(keep(Arc::downgrade(&this.ledger)));
        }
        this
    }

    fn of(most: u64, pools: Pools) -> Self {
        let ledger = Ledger {
            most,
            held: AtomicU64::new(0),
            beginning: AtomicU64::new(0),
            counted: AtomicU64::new(0),
            cost: AtomicU64::new(0),
            since: Instant::now(),
            pools,
            bell: Notify::new(),
        };
        ledger.count();
        Self {
            ledger: Arc::new(ledger),
        }
    }

    /// How many there may be, if there is a bound.
    pub fn most(&self) -> Option<u64> {
        (self.ledger.most < u64::MAX).then_some(self.ledger.most)
    }

    /// Whether there are none left for one more.
    pub fn are_short(&self, purpose: Purpose) -> bool {
        let ledger = &self.ledger;
        let bound = ledger.bound(purpose);
        let wanted = match purpose {
            Purpose::Connection => 1,
            Purpose::Another | Purpose::First => BEGINNING,
        };
        if ledger.held() + wanted <= bound {
            return false;
        }
        ledger.count_again();
        let is_short = ledger.held() + wanted > bound;
        if is_short {
            ledger.bell.notify_one();
        }
        is_short
    }

    /// There is one more connection.
    pub fn connected(&self) {
        self.ledger.held.fetch_add(1, Ordering::Relaxed);
    }

    /// There was none where one should have been left.
    pub(crate) fn missed(&self) {
        self.ledger.count();
        self.ledger.bell.notify_one();
    }

    /// A process begins, until what is returned is dropped.
    pub(crate) fn begin(&self) -> Beginning {
        self.ledger.beginning.fetch_add(1, Ordering::Relaxed);
        Beginning(self.ledger.clone())
    }

    /// Whether what a function holds is likely to be taken from it before it is needed.
    pub(crate) fn are_tight(&self) -> bool {
        self.ledger.held() > self.ledger.bound_of_rest() / 4 * 3
    }

    /// Waits until there are some for the first process of a function.
    ///
    /// # Errors
    /// There are none for a while.
    pub(crate) async fn room(&self) -> io::Result<Beginning> {
        let since = Instant::now();
        while self.are_short(Purpose::First) {
            if since.elapsed() > PATIENCE {
                let most = self.ledger.most;
                let words = format!("no descriptors are left of RLIMIT_NOFILE = {most}");
                return Err(io::Error::other(words));
            }
            tokio::time::sleep(CLOSE_LOOK).await;
        }
        Ok(self.begin())
    }
}

/// What a process takes that begins.
#[derive(Debug)]
pub(crate) struct Beginning(Arc<Ledger>);

impl Drop for Beginning {
    fn drop(&mut self) {
        self.0.held.fetch_add(KEPT, Ordering::Relaxed);
        self.0.beginning.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ledger {
    fn held(&self) -> u64 {
        let beginning = self.beginning.load(Ordering::Relaxed);
        self.held.load(Ordering::Relaxed) + BEGINNING * beginning
    }

    fn reserve(&self) -> u64 {
        (self.most / RESERVE).max(LEAST)
    }

    /// How many there may be with one more of these.
    fn bound(&self, purpose: Purpose) -> u64 {
        let reserves = match purpose {
            Purpose::First => 1,
            Purpose::Another | Purpose::Connection => 2,
        };
        self.most.saturating_sub(reserves * self.reserve())
    }

    /// How many there may be while functions that rest keep theirs.
    fn bound_of_rest(&self) -> u64 {
        self.most.saturating_sub(3 * self.reserve())
    }

    fn count(&self) {
        let before = self.since.elapsed();
        // Where that cannot be known, what was counted last is as good.
        if let Ok(open) = descriptors::open() {
            self.held.store(open, Ordering::Relaxed);
        }
        let after = self.since.elapsed();
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.cost.store(micros(after - before), Ordering::Relaxed);
        self.counted.store(micros(after), Ordering::Relaxed);
    }

    /// Counts, unless somebody has just done so.
    fn count_again(&self) {
        let last = Duration::from_micros(self.counted.load(Ordering::Relaxed));
        if self.since.elapsed().saturating_sub(last) >= self.pause(CLOSE_LOOK) {
            self.count();
        }
    }

    /// At least so long between two looks, or longer where they take long: before Linux 6.2 each goes through all
    /// that is open.
    fn pause(&self, least: Duration) -> Duration {
        let cost = Duration::from_micros(self.cost.load(Ordering::Relaxed));
        least.max(50 * cost)
    }

    /// Counts, and has functions give up theirs where few are left.
    fn look(&self) {
        self.count();
        let held = self.held();
        if held > self.bound_of_rest() {
            self.make_room(held - self.bound_of_rest() + self.reserve());
        }
    }

    /// Ends what nobody needs at the moment, until `wanted` descriptors are free, or will be in a moment.
    fn make_room(&self, wanted: u64) {
        let mut freed = 0;
        for pool in self.pools.by_need() {
            while freed < wanted && pool.end_idle().is_some() {
                freed += 2;
            }
            if freed >= wanted {
                return;
            }
            freed += pool.give_up_descriptors();
        }
    }
}

/// Makes room whenever there is none, as long as somebody counts.
async fn keep(ledger: Weak<Ledger>) {
    while let Some(ledger) = ledger.upgrade() {
        // No thread of its own: those count against `RLIMIT_NPROC`, and it hardly takes time.
        ledger.look();
        tokio::time::sleep(ledger.pause(CLOSE_LOOK)).await;
        let _ = tokio::time::timeout(ledger.pause(LOOK), ledger.bell.notified()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_for_those_who_have_none() {
        let of = |most| Descriptors::of(most, Pools::default());
        let open = descriptors::open().expect("there is a /proc");
        let plenty = of(open + 10_000);
        for purpose in [Purpose::Connection, Purpose::Another, Purpose::First] {
            assert!(!plenty.are_short(purpose), "{purpose:?}");
        }
        assert_eq!(of(u64::MAX).most(), None);
        // Between one reserve and two.
        let few = of(open + LEAST + LEAST / 2 + BEGINNING);
        assert!(few.are_short(Purpose::Connection) && few.are_short(Purpose::Another));
        assert!(!few.are_short(Purpose::First));
        assert!(few.are_tight());
        let none = of(open);
        assert!(none.are_short(Purpose::First));
    }

    #[test]
    fn what_has_come_counts_before_it_is_counted() {
        let open = descriptors::open().expect("there is a /proc");
        let some = Descriptors::of(open + 10_000, Pools::default());
        for _ in 0..10_000 {
            some.connected();
        }
        assert!(some.ledger.held() > some.ledger.most - some.ledger.reserve());
        std::thread::sleep(CLOSE_LOOK);
        // They have gone again.
        assert!(!some.are_short(Purpose::Connection));
        // These count until they have begun, however often it is counted.
        let beginning: Vec<_> = (0..2_000).map(|_| some.begin()).collect();
        std::thread::sleep(CLOSE_LOOK);
        assert!(some.are_short(Purpose::First));
        drop(beginning);
        assert!(some.ledger.held() > some.ledger.most / 2);
        std::thread::sleep(CLOSE_LOOK);
        assert!(!some.are_short(Purpose::First));
    }
}
