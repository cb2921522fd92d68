//! One thread that ends what runs over its limits.
//!
//! V8's `TerminateExecution` is advisory: deno_core cancels it while it builds an error, and many
//! builtins never look. So the watchdog is level-triggered: past a deadline it latches a
//! [`Verdict`], asks, asks again every few milliseconds, and after a quarter of a second declares
//! the isolate stuck: the client gets its answer, the request its record, the pool its place, and
//! the thread is demoted and left to itself.
//!
//! It looks about every [`TICK`], and only while a request is running or queued.
//!
//! - [`watch`]: what it sees of one isolate
//! - [`seat`]: what it needs to end a request in the isolate's stead

mod seat;
mod watch;

use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use deno_core::v8;

pub(crate) use self::seat::Seat;
pub(crate) use self::watch::Keeper;
use self::watch::Sampler;
pub use self::watch::Verdict;
pub use self::watch::Watch;
use crate::meter::Meter;
use crate::record::Recorder;
use crate::thread::take_short_turns;

/// Time between two looks.
const TICK: Duration = Duration::from_millis(1);
/// Quiet looks after which the thread sleeps until it is called.
const QUIET_TICKS: u32 = 20;
/// No deadline.
const NEVER: u64 = u64::MAX;

/// Something else that wants to be looked at while work is in progress.
pub(crate) trait Patrol: Send + Sync {
    /// Looks. Returns whether there is anything to look at again soon.
    fn patrol(&self) -> bool;
}

struct Shared {
    epoch: Instant,
    watches: Mutex<Vec<Weak<Watch>>>,
    patrols: Mutex<Vec<Weak<dyn Patrol>>>,
    recorder: Arc<dyn Recorder>,
    enforces: bool,
    /// Isolates that did not obey, since the process started.
    stuck: AtomicU64,
    asleep: AtomicBool,
    ended: AtomicBool,
    bell: Condvar,
    door: Mutex<()>,
}

/// The watchdog. Its thread ends with the last clone.
#[derive(Clone)]
pub struct Watchdog {
    shared: Arc<Shared>,
    _end: Arc<End>,
}

struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::SeqCst);
        self.0.ring();
    }
}

impl std::fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watchdog").finish_non_exhaustive()
    }
}

impl Watchdog {
    /// Starts the watchdog's thread. Requests that it has to end go to `recorder`; unless it
    /// `enforces` limits there are none, which is for measuring what they cost.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(recorder: Arc<dyn Recorder>, enforces: bool) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            epoch: Instant::now(),
            watches: Mutex::new(Vec::new()),
            patrols: Mutex::new(Vec::new()),
            recorder,
            enforces,
            stuck: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            bell: Condvar::new(),
            door: Mutex::new(()),
        });
        let of_thread = shared.clone();
        thread::Builder::new()
            .name("holm-watchdog".into())
            .spawn(move || of_thread.run())?;
        Ok(Self {
            _end: Arc::new(End(shared.clone())),
            shared,
        })
    }

    /// Watches an isolate of the calling thread, as long as the answer lives. `sampler` runs on
    /// that thread, in the middle of the function's code, to look at its memory.
    pub(crate) fn watch(
        &self,
        isolate: v8::IsolateHandle,
        meter: Arc<Meter>,
        keeper: Weak<dyn Keeper>,
        sampler: Sampler,
    ) -> Arc<Watch> {
        let watch = Watch::new(isolate, meter, keeper, sampler, self.shared.epoch);
        let watch = Arc::new(watch);
        let mut watches = lock(&self.shared.watches);
        watches.retain(|watch| watch.strong_count() > 0);
        watches.push(Arc::downgrade(&watch));
        watch
    }

    /// Isolates that did not obey, since the process started. Each holds a thread and its memory
    /// until its builtin returns: a process with many of them wants to be recycled.
    pub fn stuck(&self) -> u64 {
        self.shared.stuck.load(Ordering::Relaxed)
    }

    pub(crate) fn patrol(&self, patrol: Weak<dyn Patrol>) {
        let mut patrols = lock(&self.shared.patrols);
        patrols.retain(|patrol| patrol.strong_count() > 0);
        patrols.push(patrol);
    }

    /// Whether there are limits at all.
    pub(crate) fn enforces(&self) -> bool {
        self.shared.enforces
    }

    /// There is work: look at it.
    pub(crate) fn call(&self) {
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.shared.ring();
        }
    }
}

impl Shared {
    fn ring(&self) {
        let _inside = lock(&self.door);
        self.bell.notify_one();
    }

    fn run(&self) {
        take_short_turns();
        let mut quiet = 0;
        while !self.ended.load(Ordering::SeqCst) {
            if self.round() {
                quiet = 0;
            } else {
                quiet += 1;
            }
            if quiet > QUIET_TICKS {
                self.sleep();
                quiet = 0;
            } else {
                thread::sleep(TICK);
            }
        }
    }

    /// Looks at everything; returns whether anything is going on.
    fn round(&self) -> bool {
        let now = nanos(self.epoch.elapsed());
        let mut going_on = false;
        let watches = lock(&self.watches);
        let watches = watches.iter().filter(|_| self.enforces);
        for watch in watches.filter_map(Weak::upgrade) {
            if watch.look(now, &*self.recorder) {
                let stuck = self.stuck.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::error!(
                    stuck,
                    "an isolate did not stop when told to; its thread is left to itself until the process is restarted"
                );
            }
            going_on |= watch.is_busy();
        }
        for patrol in lock(&self.patrols).iter().filter_map(Weak::upgrade) {
            going_on |= patrol.patrol();
        }
        going_on
    }

    fn sleep(&self) {
        let mut inside = lock(&self.door);
        self.asleep.store(true, Ordering::SeqCst);
        // Work that began before `asleep` could be seen did not ring.
        while !self.ended.load(Ordering::SeqCst) && !self.round() {
            inside = self
                .bell
                .wait(inside)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}
