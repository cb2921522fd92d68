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
use std::time::Instant;

use super::Shared;
use super::WarmPool;
use super::warm::RESTING;
use crate::sys;

/// Time between two readings.
const LOOK: Duration = Duration::from_millis(250);

/// How long there has to be nothing to end before the allocator is asked for what it holds of what
/// ended isolates freed: it stops those who allocate for up to a third of a second (measured at
/// 1 GiB), and the next isolates would use that memory anyway.
const TRIM_AFTER: Duration = Duration::from_secs(2);

/// What an isolate takes about, with its thread, before its function holds anything.
const ISOLATE: u64 = 3 << 20;

/// What the system gets back at once when one ends: its heap. The rest waits for the next isolate.
const ENDED: u64 = 3 << 19;

/// How long an isolate may take to end, its memory with it.
const ENDING: Duration = Duration::from_millis(50);

/// The shortest time between two readings.
const PAUSE: Duration = Duration::from_millis(2);

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
            .store(sys::private_memory()?, Ordering::Relaxed);
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

    /// Whether there is no room for one more isolate.
    pub(super) fn is_full(&self) -> bool {
        let ledger = &self.ledger;
        if ledger.budget == u64::MAX {
            return false;
        }
        let is_full = ledger.held.load(Ordering::Relaxed) + ISOLATE > ledger.budget;
        if is_full {
            ledger.ring();
        }
        is_full
    }

    /// An isolate starts. Room for the next ones is made while there still is some.
    pub(super) fn take(&self) {
        let ledger = &self.ledger;
        if ledger.budget == u64::MAX {
            return;
        }
        let before = ledger.held.fetch_add(ISOLATE, Ordering::Relaxed);
        if before + HEADROOM * ISOLATE > ledger.budget {
            ledger.ring();
        }
    }
}

/// Makes room whenever there is none, as long as somebody holds the budget.
fn keep(ledger: &Weak<Ledger>, warm: &WarmPool) {
    let mut short_since: Option<Instant> = None;
    // When isolates were told to end, and how many.
    let mut told: Option<(Instant, u64)> = None;
    while let Some(ledger) = ledger.upgrade() {
        // The system said it once; if it no longer does, the last figure stands.
        let held = sys::private_memory().unwrap_or_else(|_| ledger.held.load(Ordering::Relaxed));
        ledger.held.store(held, Ordering::Relaxed);
        let ending = match told {
            Some((at, count)) if at.elapsed() < ENDING => count,
            Some(_) | None => 0,
        };
        let wanted = held + HEADROOM * ISOLATE;
        let over = wanted.saturating_sub(ledger.budget + ending * ENDED);
        let mut is_short = false;
        if over > 0 {
            let ended = ledger.make_room(over.div_ceil(ENDED));
            told = Some((Instant::now(), ending + ended));
            is_short = ending + ended == 0;
        }
        if !is_short {
            short_since = None;
        } else if short_since.get_or_insert_with(Instant::now).elapsed() >= TRIM_AFTER {
            sys::trim_allocator();
            short_since = None;
        }
        // The next function needs a warm isolate more than one that nobody has asked for lately, but
        // not many of them.
        warm.allow(match over {
            0 => None,
            _ if is_short => Some(0),
            _ => Some(RESTING),
        });
        ledger.wait();
    }
}

impl Ledger {
    fn ring(&self) {
        *lock(&self.is_rung) = true;
        self.bell.notify_one();
    }

    /// Until it is time to look again.
    fn wait(&self) {
        let rung = lock(&self.is_rung);
        let waited = self.bell.wait_timeout_while(rung, LOOK, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
        // Whoever rings does so for every request that waits.
        thread::sleep(PAUSE);
    }

    /// Ends isolates without work, up to `count`, those first whose function was asked for longest
    /// ago. Returns how many.
    fn make_room(&self, count: u64) -> u64 {
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
        let mut left = count;
        for (_, pool) in idle {
            if left == 0 {
                break;
            }
            left -= pool.end_idle(left);
        }
        count - left
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
