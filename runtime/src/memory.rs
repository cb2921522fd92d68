//! The node's memory budget: what all of its processes hold, and who makes room.
//!
//! A forked process shares most of its pages with the one that it was forked from, so what counts is what is its
//! own, and its page tables. That is read from outside when a cell comes to rest, and while it works now and then;
//! between two readings, a cell that starts counts as what the last ones of its function came to. Who has been
//! idle for longest makes room; then templates that nobody uses; and if all else fails, the largest cell.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use holm_process::memory;
use tokio::runtime::Handle as Io;
use tokio::sync::Notify;
use tracing::warn;

use crate::fork::zygote::Zygote;
use crate::pool::Shared as Pool;
use crate::pools::Pools;

/// Time between two readings.
const LOOK: Duration = Duration::from_millis(250);

/// The same while the budget is nearly used up.
const CLOSE_LOOK: Duration = Duration::from_millis(20);

/// Cells that are read exactly in one look, which takes a millisecond for each; what the others hold is estimated until
/// it is their turn.
const EXACT: usize = 2;

/// Bytes that a process may seem to hold, at most, to be estimated lower.
const SMALL: u64 = 16 << 20;

/// What a cell takes that nothing is known of yet: some times what one that says hello does.
const CELL: u64 = 4 << 20;

/// The share of the budget, as a divisor, that is kept free as far as cells without work hold it.
const HEADROOM: u64 = 16;

/// The share of the budget, as a divisor, beyond it that functions may have for their first cells.
const RESERVE: u64 = 20;

/// The memory budget of a node. Clones share it.
#[derive(Clone, Debug)]
pub struct NodeMemory {
    ledger: Arc<Ledger>,
}

#[derive(Debug)]
struct Ledger {
    /// In bytes; [`u64::MAX`] if there is none.
    budget: AtomicU64,
    /// Somebody keeps it.
    is_kept: Mutex<bool>,
    /// What all processes hold: as it was read, and what has been started since.
    held: AtomicU64,
    share: Share,
    pools: Pools,
    bell: Notify,
}

impl NodeMemory {
    /// No budget.
    pub fn unlimited() -> Self {
        Self::of(u64::MAX)
    }

    /// Keeps all processes within `budget` bytes, if there is one, as far as functions can do without what
    /// they hold.
    pub fn start(budget: Option<u64>, zygote: &Zygote, io: &Io) -> Self {
        let memory = Self::unlimited();
        memory.set_budget(budget, zygote, io);
        memory
    }

    /// From now on it is another one.
    pub fn set_budget(&self, budget: Option<u64>, zygote: &Zygote, io: &Io) {
        let mut is_kept = lock(&self.ledger.is_kept);
        let budget = budget.unwrap_or(u64::MAX);
        self.ledger.budget.store(budget, Ordering::Relaxed);
        self.ledger.bell.notify_one();
        if !self.is_unlimited() && !std::mem::replace(&mut *is_kept, true) {
            io.spawn(keep(Arc::downgrade(&self.ledger), zygote.clone()));
        }
    }

    fn of(budget: u64) -> Self {
        Self {
            ledger: Arc::new(Ledger {
                budget: AtomicU64::new(budget),
                is_kept: Mutex::new(false),
                held: AtomicU64::new(0),
                share: Share::default(),
                pools: Pools::default(),
                bell: Notify::new(),
            }),
        }
    }

    /// Cells of `pool` make room for others from now on.
    pub(crate) fn join(&self, pool: Weak<Pool>) {
        self.ledger.pools.add(pool);
    }

    /// All that make room.
    pub(crate) fn pools(&self) -> &Pools {
        &self.ledger.pools
    }

    /// The budget in bytes; none if there is no bound.
    pub fn budget(&self) -> Option<u64> {
        (!self.is_unlimited()).then_some(self.ledger.budget())
    }

    /// Bytes that all processes hold, each as it was last read. Without a budget nobody reads the zygote.
    pub fn held(&self) -> u64 {
        if !self.is_unlimited() {
            return self.ledger.held.load(Ordering::Relaxed);
        }
        let own = memory::own(holm_process::this_pid()).unwrap_or(0);
        let pools = self.ledger.pools.all();
        own + pools.iter().map(|pool| pool.last_memory()).sum::<u64>()
    }

    fn is_unlimited(&self) -> bool {
        self.ledger.budget() == u64::MAX
    }

    /// Whether there is no room for one more cell of `size` bytes, or what one takes that nothing is known of. For
    /// the first cell of a function there is a little more: who has many must not keep out who has none.
    pub(crate) fn is_full(&self, size: Option<u64>, is_first: bool) -> bool {
        if self.is_unlimited() {
            return false;
        }
        let held = self.ledger.held.load(Ordering::Relaxed);
        let budget = self.ledger.budget();
        let reserve = match is_first {
            true => budget / RESERVE,
            false => 0,
        };
        let is_full = held + size.unwrap_or(CELL) > budget.saturating_add(reserve);
        if is_full {
            self.ledger.bell.notify_one();
        }
        is_full
    }

    /// A cell was read exactly that was known to hold `at_most` bytes.
    pub(crate) fn note_exact(&self, exact: u64, at_most: u64) {
        self.ledger.share.note(exact, at_most);
    }

    /// What a cell is likely to hold that holds `at_most` bytes, and is not read yet.
    pub(crate) fn likely(&self, at_most: u64) -> u64 {
        self.ledger.share.of(at_most)
    }

    /// Whether what a function holds beyond what it needs is likely to be taken from others.
    pub(crate) fn is_tight(&self) -> bool {
        !self.is_unlimited() && self.ledger.is_tight()
    }

    /// A cell of `size` bytes starts. Room for the next ones is made while there still is some.
    pub(crate) fn take(&self, size: Option<u64>) {
        if self.is_unlimited() {
            return;
        }
        let size = size.unwrap_or(CELL);
        let held = self.ledger.held.fetch_add(size, Ordering::Relaxed) + size;
        if held > self.ledger.aim() {
            self.ledger.bell.notify_one();
        }
    }
}

/// What cells really held, of what they could have: the most of those that were read lately.
#[derive(Debug)]
struct Share(AtomicU64);

/// What a [`Share`] counts in.
const WHOLE: u64 = 1024;

impl Default for Share {
    fn default() -> Self {
        Self(AtomicU64::new(WHOLE))
    }
}

impl Share {
    fn note(&self, exact: u64, at_most: u64) {
        if at_most == 0 || at_most > SMALL {
            return;
        }
        let this = (exact.saturating_mul(WHOLE) / at_most).min(WHOLE);
        let before = self.0.load(Ordering::Relaxed);
        self.0
            .store(this.max(before - before / 16), Ordering::Relaxed);
    }

    fn of(&self, at_most: u64) -> u64 {
        if at_most > SMALL {
            return at_most;
        }
        at_most * self.0.load(Ordering::Relaxed) / WHOLE
    }
}

/// Makes room whenever there is none, as long as somebody holds the budget.
async fn keep(ledger: Weak<Ledger>, zygote: Zygote) {
    let mut is_told = false;
    while let Some(ledger) = ledger.upgrade() {
        if ledger.is_done() {
            return;
        }
        // Reading takes a while where there are many processes.
        let looking = ledger.clone();
        let base = zygote.memory().await;
        let Ok(looked) = tokio::task::spawn_blocking(move || looking.look(base)).await else {
            return;
        };
        match looked {
            Looked::UsedUp { held } if !is_told => {
                is_told = true;
                warn!(
                    budget = ledger.budget(),
                    held,
                    "[node] memory is used up by requests in flight; the largest isolate is ended"
                );
            }
            Looked::UsedUp { .. } | Looked::MadeRoom => {}
            Looked::HasRoom => is_told = false,
        }
        let pause = if ledger.is_tight() { CLOSE_LOOK } else { LOOK };
        // Not more often than that, however often the bell is rung.
        tokio::time::sleep(CLOSE_LOOK / 4).await;
        let _ = tokio::time::timeout(pause, ledger.bell.notified()).await;
    }
}

/// What came of a look.
enum Looked {
    HasRoom,
    MadeRoom,
    /// Nobody can do without what it holds, and somebody has to.
    UsedUp {
        held: u64,
    },
}

impl Ledger {
    /// Reads what all processes hold, beside the zygote's `base`, and makes room if that is too much.
    fn look(&self, base: u64) -> Looked {
        let held = base + self.read();
        self.held.store(held, Ordering::Relaxed);
        if held <= self.aim() {
            return Looked::HasRoom;
        }
        let freed = self.make_room(held - self.aim());
        if held.saturating_sub(freed) > self.budget() && self.evict_largest() > 0 {
            return Looked::UsedUp { held };
        }
        Looked::MadeRoom
    }

    fn budget(&self) -> u64 {
        self.budget.load(Ordering::Relaxed)
    }

    fn aim(&self) -> u64 {
        let budget = self.budget();
        budget - budget / HEADROOM
    }

    /// Whether there is no budget any more, and so nothing to keep.
    fn is_done(&self) -> bool {
        let mut is_kept = lock(&self.is_kept);
        if self.budget() == u64::MAX {
            *is_kept = false;
        }
        !*is_kept
    }

    fn is_tight(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.budget() / 4 * 3
    }

    /// What all processes but the zygote hold now.
    fn read(&self) -> u64 {
        let own = memory::own(holm_process::this_pid()).unwrap_or(0);
        let pools = self.pools.all();
        let mut exact = EXACT;
        let read = pools.iter().map(|pool| pool.read_memory(&mut exact));
        own + read.sum::<u64>()
    }

    /// Ends what nobody needs at the moment, until `wanted` bytes are free; those first whose function was asked
    /// for longest ago, and of those in use the ones of the function that holds most. Returns how many bytes that
    /// makes.
    fn make_room(&self, wanted: u64) -> u64 {
        let mut freed = 0;
        for pool in self.pools.by_need() {
            while freed < wanted
                && let Some(bytes) = pool.end_idle()
            {
                freed += bytes;
            }
            if freed >= wanted {
                break;
            }
            // Only where no cell is left, which those that were just told to end still are.
            freed += pool.give_up_template().unwrap_or(0);
        }
        freed
    }

    /// Ends the largest cell of the function that holds most. Returns what it held.
    fn evict_largest(&self) -> u64 {
        let pools = self.pools.all();
        let largest = pools.iter().max_by_key(|pool| pool.memory());
        largest.map_or(0, |pool| pool.evict_largest())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_like_the_largest_of_what_was_read_lately() {
        let share = Share::default();
        // Nothing is known yet.
        assert_eq!(share.of(2 << 20), 2 << 20);
        for _ in 0..100 {
            share.note(1 << 20, 2 << 20);
        }
        assert_eq!(share.of(2 << 20), 1 << 20);
        share.note(3 << 20, 4 << 20);
        share.note(1 << 20, 4 << 20);
        assert!(share.of(4 << 20) > (5 << 20) / 2);
        // What is large is never less than it seems, and says nothing of what is small.
        assert_eq!(share.of(80 << 20), 80 << 20);
        share.note(80 << 20, 80 << 20);
        assert!(share.of(4 << 20) < 3 << 20);
    }
}
