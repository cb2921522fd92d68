//! The node's memory budget: who has been idle for longest makes room.
//!
//! What counts is what the process holds in real memory, whoever holds it. A thread of its own
//! reads that now and then, and at once when isolates that start use up the room there was.

use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::Shared;
use super::WarmPool;
use crate::sys;

/// Time between two readings.
const LOOK: Duration = Duration::from_millis(250);

/// What an isolate takes about, with its thread, before its function holds anything.
const ISOLATE: u64 = 3 << 20;

/// Isolates for which there should be room at any time.
const HEADROOM: u64 = 8;

/// The memory budget of a node. Clones share it.
#[derive(Clone, Debug)]
pub struct NodeMemory {
    ledger: Arc<Ledger>,
}

#[derive(Debug)]
struct Ledger {
    /// In bytes; [`u64::MAX`] if there is none.
    budget: u64,
    /// What the process holds: as it was read, and what has been started since.
    held: AtomicU64,
    pools: Mutex<Vec<Weak<Shared>>>,
    /// Rung when the room is used up.
    bell: Condvar,
    is_rung: Mutex<bool>,
}

impl NodeMemory {
    /// No budget.
    pub fn unlimited() -> Self {
        Self::of(u64::MAX)
    }

    /// Keeps the process within `budget` bytes, as far as isolates without work take it up.
    ///
    /// # Errors
    /// The system gives no thread, or does not say what the process holds.
    pub fn start(budget: u64, warm: WarmPool) -> std::io::Result<Self> {
        let memory = Self::of(budget);
        memory
            .ledger
            .held
            .store(sys::resident_memory()?, Ordering::Relaxed);
        let ledger = Arc::downgrade(&memory.ledger);
        thread::Builder::new()
            .name("holm-memory".into())
            .spawn(move || keep(&ledger, &warm))?;
        Ok(memory)
    }

    fn of(budget: u64) -> Self {
        Self {
            ledger: Arc::new(Ledger {
                budget,
                held: AtomicU64::new(0),
                pools: Mutex::default(),
                bell: Condvar::new(),
                is_rung: Mutex::new(false),
            }),
        }
    }

    /// Isolates of `pool` make room for others from now on.
    pub(super) fn join(&self, pool: Weak<Shared>) {
        let mut pools = lock(&self.ledger.pools);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(pool);
    }

    /// Whether there is no room for one more isolate; if so, some is being made.
    pub(super) fn is_full(&self) -> bool {
        let ledger = &self.ledger;
        if ledger.budget == u64::MAX {
            return false;
        }
        let is_full = ledger.held.load(Ordering::Relaxed) + ISOLATE > ledger.budget;
        if is_full {
            *lock(&ledger.is_rung) = true;
            ledger.bell.notify_one();
        }
        is_full
    }

    /// An isolate starts.
    pub(super) fn take(&self) {
        if self.ledger.budget != u64::MAX {
            self.ledger.held.fetch_add(ISOLATE, Ordering::Relaxed);
        }
    }
}

/// Makes room whenever there is none, as long as somebody holds the budget.
fn keep(ledger: &Weak<Ledger>, warm: &WarmPool) {
    while let Some(ledger) = ledger.upgrade() {
        // The system said it once; if it no longer does, the last figure stands.
        let held = sys::resident_memory().unwrap_or_else(|_| ledger.held.load(Ordering::Relaxed));
        ledger.held.store(held, Ordering::Relaxed);
        let over = (held + HEADROOM * ISOLATE).saturating_sub(ledger.budget);
        let is_short = over > 0 && !ledger.make_room(over.div_ceil(ISOLATE));
        // The next function needs a warm isolate more than one that nobody has asked for lately.
        warm.close(is_short);
        let rung = lock(&ledger.is_rung);
        let waited = ledger
            .bell
            .wait_timeout_while(rung, LOOK, |is_rung| !*is_rung);
        let mut rung = waited.unwrap_or_else(PoisonError::into_inner).0;
        *rung = false;
        drop(rung);
        // What was told to leave needs a moment.
        thread::sleep(Duration::from_millis(2));
    }
}

impl Ledger {
    /// Ends isolates without work, up to `count`, those first whose function was asked for longest
    /// ago. Returns whether there was one.
    fn make_room(&self, count: u64) -> bool {
        let pools: Vec<_> = lock(&self.pools).iter().filter_map(Weak::upgrade).collect();
        if pools.iter().all(|pool| pool.is_at_zero()) {
            // Whatever holds the memory, it is no isolate: the next one may try.
            self.held.store(0, Ordering::Relaxed);
        }
        let mut idle: Vec<_> = pools
            .iter()
            .filter_map(|pool| Some((pool.idle_since()?, pool)))
            .collect();
        idle.sort_by_key(|(since, _)| *since);
        let most = usize::try_from(count).unwrap_or(usize::MAX);
        let mut left = most;
        for (_, pool) in idle {
            if left == 0 {
                break;
            }
            left -= pool.end_idle(left);
        }
        left < most
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
