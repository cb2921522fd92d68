//! One thread that ends what runs over its limits.
//!
//! V8's `TerminateExecution` is advisory: deno_core cancels it while it builds an error, and many
//! builtins never look. So the watchdog is level-triggered: past a deadline it latches a
//! [`Verdict`], asks, asks again every [`REPEAT`], and after [`STUCK_AFTER`] declares the isolate
//! stuck: the client gets its answer, the thread is demoted and left to itself.
//!
//! It looks about every [`TICK`], and only while a request is running or queued.

use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use deno_core::v8;
use futures::task::AtomicWaker;
use tokio::sync::oneshot;

use crate::job::Failure;
use crate::job::Reply;
use crate::outcome::Outcome;
use crate::sys;
use crate::sys::ThreadClock;

/// Time between two looks.
const TICK: Duration = Duration::from_millis(1);
/// Time between two requests to terminate.
const REPEAT: Duration = Duration::from_millis(5);
/// Time after which an isolate that does not obey is given up.
const STUCK_AFTER: Duration = Duration::from_millis(250);
/// Quiet looks after which the thread sleeps until it is called.
const QUIET_TICKS: u32 = 20;
/// No deadline.
const NEVER: u64 = u64::MAX;

/// Why an isolate is being ended. The first one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// Over its CPU time.
    Cpu = 1,
    /// Over its memory.
    Memory = 2,
    /// Over its wall time.
    Wall = 3,
    /// `waitUntil` work took too long after the answer.
    WaitUntil = 4,
}

impl Verdict {
    /// What the client and the record are told.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Cpu => Outcome::ExceededCpu,
            Self::Memory => Outcome::ExceededMemory,
            Self::Wall => Outcome::ExceededWallTime,
            // The answer has gone out; only the work behind it is ended.
            Self::WaitUntil => Outcome::Ok,
        }
    }

    fn from_u8(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::Cpu),
            2 => Some(Self::Memory),
            3 => Some(Self::Wall),
            4 => Some(Self::WaitUntil),
            _ => None,
        }
    }
}

/// The watchdog's view of one isolate, shared with the isolate's thread.
pub struct Watch {
    isolate: v8::IsolateHandle,
    clock: ThreadClock,
    thread: libc::pid_t,
    /// A request, or the start-up, is in progress.
    busy: AtomicBool,
    /// On the thread's CPU clock, in ns.
    cpu_deadline: AtomicU64,
    /// Since [`Watchdog`]'s epoch, in ns.
    wall_deadline: AtomicU64,
    /// What the end of `wall_deadline` means.
    wall_verdict: AtomicU8,
    verdict: AtomicU8,
    /// When the verdict was first acted on and when last, since the epoch, in ns.
    condemned_at: AtomicU64,
    asked_at: AtomicU64,
    stuck: AtomicBool,
    /// The isolate's thread has seen its verdict.
    acknowledged: AtomicBool,
    /// Wakes the isolate's thread where it waits for I/O.
    pub(crate) waker: AtomicWaker,
    reply: Mutex<Option<oneshot::Sender<Reply>>>,
    epoch: Instant,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("thread", &self.thread)
            .field("verdict", &self.verdict())
            .finish_non_exhaustive()
    }
}

impl Watch {
    /// For the isolate of the calling thread.
    fn new(isolate: v8::IsolateHandle, epoch: Instant) -> Self {
        Self {
            isolate,
            clock: ThreadClock::current(),
            thread: sys::thread_id(),
            busy: AtomicBool::new(false),
            cpu_deadline: AtomicU64::new(NEVER),
            wall_deadline: AtomicU64::new(NEVER),
            wall_verdict: AtomicU8::new(Verdict::Wall as u8),
            verdict: AtomicU8::new(0),
            condemned_at: AtomicU64::new(NEVER),
            asked_at: AtomicU64::new(0),
            stuck: AtomicBool::new(false),
            acknowledged: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            reply: Mutex::new(None),
            epoch,
        }
    }

    /// Why this isolate is being ended, if it is.
    pub fn verdict(&self) -> Option<Verdict> {
        Verdict::from_u8(self.verdict.load(Ordering::Acquire))
    }

    /// Whether it did not obey.
    pub fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Acquire)
    }

    /// Latches a verdict, unless there is one, and asks V8 to stop.
    pub fn condemn(&self, verdict: Verdict) {
        let first =
            self.verdict
                .compare_exchange(0, verdict as u8, Ordering::AcqRel, Ordering::Acquire);
        if first.is_ok() {
            let now = nanos(self.epoch.elapsed());
            self.condemned_at.store(now, Ordering::Release);
            self.asked_at.store(now, Ordering::Release);
        }
        self.isolate.terminate_execution();
        self.waker.wake();
    }

    /// Starts the clock of one request. `cpu` counts from now on the thread's CPU clock.
    pub(crate) fn begin(
        &self,
        cpu: Duration,
        wall: Duration,
        reply: Option<oneshot::Sender<Reply>>,
    ) {
        *self.reply() = reply;
        let cpu_deadline = sys::own_cpu_time() + cpu;
        self.cpu_deadline
            .store(nanos(cpu_deadline), Ordering::Release);
        self.wall_verdict
            .store(Verdict::Wall as u8, Ordering::Release);
        let wall_deadline = self.epoch.elapsed() + wall;
        self.wall_deadline
            .store(nanos(wall_deadline), Ordering::Release);
        self.busy.store(true, Ordering::SeqCst);
    }

    /// The answer has gone out: what follows has `wall` time.
    pub(crate) fn answered(&self, wall: Duration) {
        self.wall_verdict
            .store(Verdict::WaitUntil as u8, Ordering::Release);
        let deadline = self.epoch.elapsed() + wall;
        self.wall_deadline.store(nanos(deadline), Ordering::Release);
    }

    /// The request is over.
    pub(crate) fn end(&self) {
        self.busy.store(false, Ordering::SeqCst);
        self.cpu_deadline.store(NEVER, Ordering::Release);
        self.wall_deadline.store(NEVER, Ordering::Release);
    }

    /// The isolate's thread has seen the verdict and enters it no more.
    pub(crate) fn acknowledge(&self) {
        self.acknowledged.store(true, Ordering::Release);
    }

    /// Where the answer goes; taken by whoever answers first.
    pub(crate) fn reply(&self) -> MutexGuard<'_, Option<oneshot::Sender<Reply>>> {
        self.reply.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, now: u64) {
        if !self.busy.load(Ordering::SeqCst) {
            return;
        }
        match self.verdict() {
            None => {
                if now >= self.wall_deadline.load(Ordering::Acquire) {
                    let verdict = self.wall_verdict.load(Ordering::Acquire);
                    self.condemn(Verdict::from_u8(verdict).unwrap_or(Verdict::Wall));
                } else if nanos(self.clock.read()) >= self.cpu_deadline.load(Ordering::Acquire) {
                    self.condemn(Verdict::Cpu);
                }
            }
            Some(verdict) => self.insist(now, verdict),
        }
    }

    fn insist(&self, now: u64, verdict: Verdict) {
        if self.acknowledged.load(Ordering::Acquire) || self.is_stuck() {
            return;
        }
        let since = now.saturating_sub(self.condemned_at.load(Ordering::Acquire));
        if since >= nanos(STUCK_AFTER) {
            self.stuck.store(true, Ordering::Release);
            if let Some(reply) = self.reply().take() {
                // A client that is gone needs no answer.
                let _ = reply.send(Err(Failure::of(verdict.outcome())));
            }
            sys::demote(self.thread);
        } else if now.saturating_sub(self.asked_at.load(Ordering::Acquire)) >= nanos(REPEAT) {
            self.asked_at.store(now, Ordering::Release);
            self.isolate.terminate_execution();
            self.waker.wake();
        }
    }
}

/// Something else that wants to be looked at while work is in progress.
pub(crate) trait Patrol: Send + Sync {
    /// Looks. Returns whether there is anything to look at again soon.
    fn patrol(&self) -> bool;
}

struct Shared {
    epoch: Instant,
    watches: Mutex<Vec<Weak<Watch>>>,
    patrols: Mutex<Vec<Weak<dyn Patrol>>>,
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
    /// Starts the watchdog's thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            epoch: Instant::now(),
            watches: Mutex::new(Vec::new()),
            patrols: Mutex::new(Vec::new()),
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

    /// Watches the isolate of the calling thread, as long as the answer lives.
    pub fn watch(&self, isolate: v8::IsolateHandle) -> Arc<Watch> {
        let watch = Arc::new(Watch::new(isolate, self.shared.epoch));
        let mut watches = lock(&self.shared.watches);
        watches.retain(|watch| watch.strong_count() > 0);
        watches.push(Arc::downgrade(&watch));
        watch
    }

    pub(crate) fn patrol(&self, patrol: Weak<dyn Patrol>) {
        let mut patrols = lock(&self.shared.patrols);
        patrols.retain(|patrol| patrol.strong_count() > 0);
        patrols.push(patrol);
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
        for watch in lock(&self.watches).iter().filter_map(Weak::upgrade) {
            watch.look(now);
            going_on |= watch.busy.load(Ordering::SeqCst);
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
