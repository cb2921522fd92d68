//! One thread that ends what runs over its limits.
//!
//! V8's `TerminateExecution` is advisory: deno_core cancels it while it builds an error, and many
//! builtins never look. So the watchdog is level-triggered: past a deadline it latches a
//! [`Verdict`], asks, asks again every few milliseconds, and after a quarter of a second declares
//! the isolate stuck: the client gets its answer, the request its record, the pool its place, and
//! the thread is demoted and left to itself.
//!
//! It looks as often as what it has seen makes necessary: every [`TICK`] near a deadline or while
//! a job waits for an isolate, every [`NAP`] while requests run that have just begun, and not at
//! all while none does. Whoever starts something that is due before its next look calls it. It looks
//! at nothing but what has called it, until there is nothing to see: idle isolates cost it nothing.
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
use holm_model::record::Recorder;

pub(crate) use self::seat::Seat;
pub(crate) use self::seat::Seats;
pub(crate) use self::watch::Keeper;
use self::watch::Sampler;
pub use self::watch::Verdict;
pub use self::watch::Watch;
use crate::meter::Meter;
use crate::thread::take_short_turns;

/// The shortest time between two looks.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// The longest, while requests run.
const NAP: Duration = watch::LONG;
/// Quiet looks after which the thread sleeps until it is called.
const QUIET_LOOKS: u32 = 5;
/// No deadline.
const NEVER: u64 = u64::MAX;

/// Something else that wants to be looked at while work is in progress.
pub(crate) trait Patrol: Send + Sync {
    /// Looks. Returns whether there is anything to look at again soon; otherwise it has to ask for
    /// the next look.
    fn patrol(&self) -> bool;
}

/// What there is to look at.
#[derive(Default)]
struct Round {
    watches: Vec<Weak<Watch>>,
    patrols: Vec<Weak<dyn Patrol>>,
}

struct Shared {
    epoch: Instant,
    /// What has called since the last round.
    joining: Mutex<Round>,
    recorder: Arc<dyn Recorder>,
    enforces: bool,
    /// Isolates that did not obey, since the process started.
    stuck: AtomicU64,
    /// Length of the pause it makes, in ns.
    pause: AtomicU64,
    ended: AtomicBool,
    bell: Condvar,
    rung: Mutex<bool>,
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
            joining: Mutex::default(),
            recorder,
            enforces,
            stuck: AtomicU64::new(0),
            pause: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            bell: Condvar::new(),
            rung: Mutex::new(false),
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

    /// A view of an isolate of the calling thread, for [`Watchdog::call`]. `sampler` runs on that
    /// thread, in the middle of the function's code, to look at its memory.
    pub(crate) fn watch(
        &self,
        isolate: v8::IsolateHandle,
        meter: Arc<Meter>,
        keeper: Weak<dyn Keeper>,
        sampler: Sampler,
    ) -> Arc<Watch> {
        let epoch = self.shared.epoch;
        Arc::new(Watch::new(isolate, meter, keeper, sampler, epoch))
    }

    /// Isolates that did not obey, since the process started. Each holds a thread and its memory
    /// until its builtin returns: a process with many of them wants to be recycled.
    pub fn stuck(&self) -> u64 {
        self.shared.stuck.load(Ordering::Relaxed)
    }

    /// Whether there are limits at all.
    pub(crate) fn enforces(&self) -> bool {
        self.shared.enforces
    }

    /// A request, or the start-up, has begun in an isolate, and wants to be looked at within this
    /// time, until it is over.
    pub(crate) fn call(&self, watch: &Arc<Watch>, within: Duration) {
        if !watch.is_listed.swap(true, Ordering::SeqCst) {
            lock(&self.shared.joining)
                .watches
                .push(Arc::downgrade(watch));
        }
        self.wake(within);
    }

    /// `patrol` wants to be asked every [`TICK`], until it has nothing to see.
    pub(crate) fn patrol(&self, patrol: Weak<dyn Patrol>) {
        lock(&self.shared.joining).patrols.push(patrol);
        self.wake(TICK);
    }

    fn wake(&self, within: Duration) {
        let pause = self.shared.pause.load(Ordering::SeqCst);
        // Not for less than a tick: a pause cannot be shorter.
        if pause > nanos(within.clamp(TICK, NAP)) {
            self.shared.ring();
        }
    }
}

impl Shared {
    fn ring(&self) {
        *lock(&self.rung) = true;
        self.bell.notify_one();
    }

    fn run(&self) {
        take_short_turns();
        let mut round = Round::default();
        let mut quiet = 0;
        while !self.ended.load(Ordering::SeqCst) {
            let longest = (quiet < QUIET_LOOKS).then_some(NAP);
            // First of all: what begins during this round, unseen, is heard of if it must be.
            self.intend(longest);
            let next = self.look(&mut round);
            quiet = if next.is_some() { 0 } else { quiet + 1 };
            self.pause(next.or(longest));
        }
    }

    /// Looks at all of `round`, and what joins it; returns when to look again, if anything is going
    /// on.
    fn look(&self, round: &mut Round) -> Option<Duration> {
        {
            let mut joining = lock(&self.joining);
            round.watches.append(&mut joining.watches);
            round.patrols.append(&mut joining.patrols);
        }
        let now = nanos(self.epoch.elapsed());
        let mut next = None;
        round.watches.retain(|watch| {
            let Some(watch) = watch.upgrade() else {
                return false;
            };
            if watch.look(now, &*self.recorder) {
                let stuck = self.stuck.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::error!(
                    stuck,
                    "an isolate did not stop when told to; its thread is left to itself until the process is restarted"
                );
            }
            next = sooner(next, watch.next_look(now));
            watch.stays_listed()
        });
        round.patrols.retain(|patrol| {
            let goes_on = patrol.upgrade().is_some_and(|patrol| patrol.patrol());
            next = sooner(next, goes_on.then_some(TICK));
            goes_on
        });
        Some(next?.clamp(TICK, NAP))
    }

    /// Waits so long, or without end, unless it is called.
    fn pause(&self, length: Option<Duration>) {
        self.intend(length);
        let rung = lock(&self.rung);
        let waits = |rung: &mut bool| !*rung && !self.ended.load(Ordering::SeqCst);
        let mut rung = match length {
            None => self.bell.wait_while(rung, waits),
            Some(length) => self
                .bell
                .wait_timeout_while(rung, length, waits)
                .map(|(rung, _)| rung)
                .map_err(|poisoned| PoisonError::new(poisoned.into_inner().0)),
        }
        .unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }

    /// Says how long the next pause may be.
    fn intend(&self, pause: Option<Duration>) {
        let pause = pause.map_or(NEVER, nanos);
        self.pause.store(pause, Ordering::SeqCst);
    }
}

fn sooner(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    use super::*;
    use holm_model::record::Record;

    struct NoRecords;

    impl Recorder for NoRecords {
        fn record(&self, _: Record) {}
    }

    /// Has something to see this many times, and says when it has been asked once more.
    struct Looks {
        left: AtomicUsize,
        over: mpsc::Sender<()>,
    }

    impl Patrol for Looks {
        fn patrol(&self) -> bool {
            let left = self.left.load(Ordering::SeqCst);
            if left == 0 {
                self.over.send(()).expect("somebody waits for it");
                return false;
            }
            self.left.store(left - 1, Ordering::SeqCst);
            true
        }
    }

    fn looks(left: usize) -> (Arc<Looks>, mpsc::Receiver<()>) {
        let (over, is_over) = mpsc::channel();
        let left = AtomicUsize::new(left);
        (Arc::new(Looks { left, over }), is_over)
    }

    fn ask(watchdog: &Watchdog, looks: &Arc<Looks>) {
        let patrol: Weak<dyn Patrol> = Arc::downgrade(looks) as _;
        watchdog.patrol(patrol);
    }

    #[test]
    fn what_has_nothing_to_see_is_left_alone_until_it_asks() {
        let watchdog = Watchdog::start(Arc::new(NoRecords), true).expect("a thread");
        let (short, short_over) = looks(2);
        let (long, long_over) = looks(20);
        ask(&watchdog, &short);
        ask(&watchdog, &long);
        short_over.recv().expect("it is asked");
        long_over.recv().expect("it is asked");
        assert!(short_over.try_recv().is_err(), "asked again, unasked");

        // By now it may sleep without end.
        ask(&watchdog, &short);
        short_over.recv().expect("it is asked");
    }
}
