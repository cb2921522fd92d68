//! The watchdog's view of one isolate.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use deno_core::v8;
use futures::task::AtomicWaker;
use holm_model::outbound::Account;
use holm_model::outcome::Outcome;
use holm_model::record::Recorder;
use tokio::sync::watch;

use super::NEVER;
use super::Seat;
use super::Seats;
use super::TICK;
use super::nanos;
use crate::meter::Meter;
use crate::sys;
use crate::sys::Turns;
use crate::thread::take_short_turns;

/// Time between two requests to terminate.
const REPEAT: Duration = Duration::from_millis(5);
/// Time after which an isolate that does not obey is given up.
const STUCK_AFTER: Duration = Duration::from_millis(250);
/// CPU time of a request from which on its isolate takes turns like any thread that computes.
pub(super) const LONG: Duration = Duration::from_millis(4);
/// Time between two looks at the memory of a function that computes.
const SAMPLE: Duration = Duration::from_millis(10);

const RUNNING: u8 = 0;
const LEFT: u8 = 1;
const STUCK: u8 = 2;

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

/// Runs on the isolate's thread in the middle of the function's code; V8's `InterruptCallback`.
pub(crate) type Sampler = unsafe extern "C" fn(v8::UnsafeRawIsolatePtr, *mut c_void);

/// Who counts the isolates.
pub(crate) trait Keeper: Send + Sync {
    /// An isolate is stuck. `starting`: it had not answered anything yet. `computes`: its mark.
    fn isolate_stuck(&self, starting: bool, computes: &AtomicBool);
}

/// The watchdog's view of one isolate, shared with the isolate's thread.
pub struct Watch {
    isolate: v8::IsolateHandle,
    meter: Arc<Meter>,
    keeper: Weak<dyn Keeper>,
    sampler: Sampler,
    /// When the memory was last asked for, since the epoch, in ns.
    sampled_at: AtomicU64,
    thread: libc::pid_t,
    /// Its thread is in the function's code, and counts as computing.
    pub(crate) computes: AtomicBool,
    /// A request, or the start-up, is in progress.
    busy: AtomicBool,
    /// The watchdog looks at it, or will.
    pub(super) is_listed: AtomicBool,
    /// Its thread takes short turns.
    is_quick: AtomicBool,
    /// The isolate's meter at the start of the request, in ns.
    cpu_begin: AtomicU64,
    /// On the isolate's meter, in ns.
    cpu_deadline: AtomicU64,
    /// What the meter showed at the last look, in ns.
    seen_cpu: AtomicU64,
    /// Since [`Watchdog`](super::Watchdog)'s epoch, in ns.
    wall_deadline: AtomicU64,
    /// What the end of `wall_deadline` means.
    wall_verdict: AtomicU8,
    verdict: AtomicU8,
    /// When the verdict was first acted on and when last, since the epoch, in ns.
    condemned_at: AtomicU64,
    asked_at: AtomicU64,
    /// It is the watchdog's or the isolate's business how it ends; whoever is first.
    ended: AtomicU8,
    /// The isolate's thread has seen its verdict.
    acknowledged: AtomicBool,
    /// Wakes the isolate's thread where it waits for I/O.
    pub(crate) waker: AtomicWaker,
    seats: Mutex<Seats>,
    /// Why the isolate is given up, once it is.
    lost: watch::Sender<Option<Outcome>>,
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
    pub(super) fn new(
        isolate: v8::IsolateHandle,
        meter: Arc<Meter>,
        keeper: Weak<dyn Keeper>,
        sampler: Sampler,
        epoch: Instant,
    ) -> Self {
        // What came before, such as making the isolate, was no request.
        let cpu_begin = AtomicU64::new(nanos(meter.read()));
        Self {
            isolate,
            meter,
            keeper,
            sampler,
            sampled_at: AtomicU64::new(0),
            thread: sys::thread_id(),
            computes: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            is_listed: AtomicBool::new(false),
            is_quick: AtomicBool::new(false),
            cpu_begin,
            cpu_deadline: AtomicU64::new(NEVER),
            seen_cpu: AtomicU64::new(0),
            wall_deadline: AtomicU64::new(NEVER),
            wall_verdict: AtomicU8::new(Verdict::Wall as u8),
            verdict: AtomicU8::new(0),
            condemned_at: AtomicU64::new(NEVER),
            asked_at: AtomicU64::new(0),
            ended: AtomicU8::new(RUNNING),
            acknowledged: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            seats: Mutex::default(),
            lost: watch::Sender::new(None),
            epoch,
        }
    }

    /// Why this isolate is being ended, if it is.
    pub fn verdict(&self) -> Option<Verdict> {
        Verdict::from_u8(self.verdict.load(Ordering::Acquire))
    }

    /// Whether it did not obey.
    pub fn is_stuck(&self) -> bool {
        self.ended.load(Ordering::Acquire) == STUCK
    }

    /// Why the isolate is given up, and its thread with it, once it is.
    pub(crate) fn lost(&self) -> watch::Receiver<Option<Outcome>> {
        self.lost.subscribe()
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst) && !self.is_stuck()
    }

    /// Whether the isolate's thread may count it as ended; not if the watchdog has.
    pub(crate) fn leave(&self) -> bool {
        self.end_as(LEFT)
    }

    fn end_as(&self, how: u8) -> bool {
        let first = self
            .ended
            .compare_exchange(RUNNING, how, Ordering::AcqRel, Ordering::Acquire);
        first.is_ok()
    }

    /// Where the node's threads charge what they spend for the isolate.
    pub(crate) fn account(&self) -> &Account {
        self.meter.account()
    }

    /// CPU time of the isolate so far.
    pub(crate) fn cpu(&self) -> Duration {
        self.meter.read()
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

    /// Starts the clocks of one request, or of the start-up if there is no `seat`. `metered` is what
    /// the meter shows. Beside other requests, what this one may use is added to what they may;
    /// without `wall`, its time is the isolate's business.
    pub(crate) fn begin(
        &self,
        now: Instant,
        metered: Duration,
        cpu: Duration,
        wall: Option<Duration>,
        seat: Option<Seat>,
    ) {
        let others = {
            let mut seats = self.seats();
            seats.settle(metered);
            let others = seats.count();
            if let Some(seat) = seat {
                seats.take(seat);
            }
            others
        };
        let (metered, cpu) = (nanos(metered), nanos(cpu));
        let begin = self.cpu_begin.load(Ordering::Relaxed);
        if others > 0 {
            let begin = begin.saturating_add(nanos(LONG)).min(metered);
            self.cpu_begin.store(begin, Ordering::Relaxed);
            self.cpu_deadline.fetch_add(cpu, Ordering::AcqRel);
            return;
        }
        self.cpu_begin.store(metered, Ordering::Relaxed);
        // Whose last request was long stands back from the start: the next one mostly is, too.
        if metered.saturating_sub(begin) < nanos(LONG)
            && !self.is_quick.swap(true, Ordering::Relaxed)
        {
            take_short_turns();
        }
        self.cpu_deadline.store(metered + cpu, Ordering::Release);
        self.wall_verdict
            .store(Verdict::Wall as u8, Ordering::Release);
        let now = now.saturating_duration_since(self.epoch);
        let wall = wall.map_or(NEVER, |wall| nanos(now + wall));
        self.wall_deadline.store(wall, Ordering::Release);
        self.sampled_at.store(nanos(now), Ordering::Release);
        self.busy.store(true, Ordering::SeqCst);
    }

    /// The answer has gone out: what follows has `wall` time.
    pub(crate) fn answered(&self, wall: Duration) {
        self.wall_verdict
            .store(Verdict::WaitUntil as u8, Ordering::Release);
        let deadline = self.epoch.elapsed() + wall;
        self.wall_deadline.store(nanos(deadline), Ordering::Release);
    }

    /// A request is over: gives its seat back, unless the watchdog has taken it. `now` is what the
    /// meter shows, `cpu` what each request may use.
    pub(crate) fn end(&self, id: u32, now: Duration, cpu: Duration) -> Option<Seat> {
        let (seat, others) = {
            let mut seats = self.seats();
            seats.settle(now);
            (seats.leave(id), seats.count())
        };
        match u32::try_from(others) {
            Ok(0) => self.rest(),
            // What it did not use is not for the others.
            others => {
                let left = cpu.saturating_mul(others.unwrap_or(u32::MAX));
                self.cpu_deadline
                    .fetch_min(nanos(now.saturating_add(left)), Ordering::AcqRel);
            }
        }
        seat
    }

    /// Nothing is in progress.
    pub(crate) fn rest(&self) {
        self.busy.store(false, Ordering::SeqCst);
        self.cpu_deadline.store(NEVER, Ordering::Release);
        self.wall_deadline.store(NEVER, Ordering::Release);
    }

    /// The isolate's thread has seen the verdict and enters it no more.
    pub(crate) fn acknowledge(&self) {
        self.acknowledged.store(true, Ordering::Release);
    }

    /// What it takes to end its requests; taken by whoever ends them first.
    pub(crate) fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the deadlines. Returns whether the isolate has just been given up.
    pub(super) fn look(&self, now: u64, recorder: &dyn Recorder) -> bool {
        if !self.is_busy() {
            return false;
        }
        match self.verdict() {
            None => {
                if now >= self.wall_deadline.load(Ordering::Acquire) {
                    let verdict = self.wall_verdict.load(Ordering::Acquire);
                    self.condemn(Verdict::from_u8(verdict).unwrap_or(Verdict::Wall));
                } else {
                    let cpu = nanos(self.meter.read());
                    self.seen_cpu.store(cpu, Ordering::Relaxed);
                    if cpu >= self.cpu_deadline.load(Ordering::Acquire) {
                        self.condemn(Verdict::Cpu);
                    } else {
                        self.sample(now);
                        self.slow_down(cpu);
                    }
                }
                false
            }
            Some(verdict) => self.insist(now, verdict, recorder),
        }
    }

    /// When to look again, if anything is going on.
    pub(super) fn next_look(&self, now: u64) -> Option<Duration> {
        if !self.is_busy() {
            return None;
        }
        if self.verdict().is_some() {
            return Some(TICK);
        }
        let wall = self.wall_deadline.load(Ordering::Acquire);
        let seen = self.seen_cpu.load(Ordering::Relaxed);
        let cpu = self.cpu_deadline.load(Ordering::Acquire);
        let long = if self.is_quick.load(Ordering::Relaxed) {
            self.cpu_begin.load(Ordering::Relaxed) + nanos(LONG)
        } else {
            NEVER
        };
        let left = wall
            .saturating_sub(now)
            // Time may pass faster on the isolate's clock than here, while a helper works for it.
            .min(cpu.saturating_sub(seen) / 2)
            .min(long.saturating_sub(seen));
        Some(Duration::from_nanos(left))
    }

    /// Whether the watchdog goes on looking at it.
    pub(super) fn stays_listed(&self) -> bool {
        if self.is_busy() {
            return true;
        }
        self.is_listed.store(false, Ordering::SeqCst);
        // A request that has begun meanwhile may have found it listed still.
        self.is_busy() && !self.is_listed.swap(true, Ordering::SeqCst)
    }

    /// Has the isolate's thread give way to others once its request has computed for long.
    fn slow_down(&self, cpu: u64) {
        let spent = cpu.saturating_sub(self.cpu_begin.load(Ordering::Relaxed));
        if spent >= nanos(LONG) && self.is_quick.swap(false, Ordering::Relaxed) {
            sys::set_turns(self.thread, Turns::Long);
        }
    }

    /// Has the isolate's thread look at its memory, in the middle of whatever it does.
    fn sample(&self, now: u64) {
        let since = now.saturating_sub(self.sampled_at.load(Ordering::Acquire));
        if since >= nanos(SAMPLE) {
            self.sampled_at.store(now, Ordering::Release);
            self.isolate
                .request_interrupt(self.sampler, std::ptr::null_mut());
        }
    }

    fn insist(&self, now: u64, verdict: Verdict, recorder: &dyn Recorder) -> bool {
        if self.acknowledged.load(Ordering::Acquire) {
            return false;
        }
        let since = now.saturating_sub(self.condemned_at.load(Ordering::Acquire));
        if since >= nanos(STUCK_AFTER) && self.end_as(STUCK) {
            let now = self.meter.read();
            let ended = self.seats().give_up(verdict.outcome(), now, recorder);
            let starting = ended == 0;
            self.lost.send_replace(Some(verdict.outcome()));
            sys::demote(self.thread);
            self.meter.demote_helpers();
            if let Some(keeper) = self.keeper.upgrade() {
                keeper.isolate_stuck(starting, &self.computes);
            }
            return true;
        }
        if now.saturating_sub(self.asked_at.load(Ordering::Acquire)) >= nanos(REPEAT) {
            self.asked_at.store(now, Ordering::Release);
            self.isolate.terminate_execution();
            self.waker.wake();
        }
        false
    }
}
