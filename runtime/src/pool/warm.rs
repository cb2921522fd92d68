//! Isolates that wait for a function, so that a cold request need not wait for V8.
//!
//! They come from the base snapshot and have run no function's code. A function that needs an
//! isolate is given one of them; it is that function's for life. A thread of its own fills up what
//! was taken, one at a time, and the threads that it starts stand back until they have a function.

use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use holm_model::limits::Limits;
use tokio::sync::oneshot;

use super::rest::Rest;
use super::worker;
use super::worker::Assignment;
use super::worker::Worker;
use crate::engine::Engine;
use crate::isolate::Blank;
use crate::sys;
use crate::thread::ThreadId;
use crate::thread::stand_back;

/// Isolates that wait while nobody asks for one.
pub(super) const RESTING: usize = 2;

/// Isolates that wait at most: about 2 MiB each.
const MOST: usize = 32;

/// How long an isolate that was taken counts towards how many should wait.
const WINDOW: Duration = Duration::from_secs(1);

/// How many should wait after `taken` were in the last [`WINDOW`]: enough for a burst of a quarter
/// of that. A second of more than [`MOST`] fills up no faster than the machine makes them.
pub(super) fn wanted(taken: usize) -> usize {
    (RESTING + taken / 4).min(MOST)
}

/// The node's isolates that wait for a function. Clones share them; they end with the last one.
#[derive(Clone, Debug)]
pub struct WarmPool {
    shelf: Arc<Shelf>,
}

#[derive(Debug)]
struct Shelf {
    /// What the heap of each may hold, in bytes.
    memory: usize,
    state: Mutex<State>,
    bell: Condvar,
    /// Whether an isolate has ended lately.
    has_ended: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiting>,
    /// When isolates were taken, or not found, in the last [`WINDOW`].
    taken: Vec<Instant>,
    /// How many may wait, for want of memory.
    most: Option<usize>,
}

/// An isolate that waits.
#[derive(Debug)]
struct Waiting {
    thread: ThreadId,
    assign: oneshot::Sender<(Assignment, Refill)>,
}

/// An isolate was taken; the one that takes its place is made when this is dropped, or within a
/// [`WINDOW`].
#[derive(Debug)]
pub(super) struct Refill(Arc<Shelf>);

impl Drop for Refill {
    fn drop(&mut self) {
        self.0.bell.notify_one();
    }
}

impl WarmPool {
    /// None, ever.
    pub fn empty() -> Self {
        Self::of(0)
    }

    /// Starts filling the pool.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(engine: Engine) -> std::io::Result<Self> {
        let pool = Self::of(Limits::DEFAULT.memory.as_usize());
        let shelf = Arc::downgrade(&pool.shelf);
        thread::Builder::new()
            .name("holm-warmer".into())
            .spawn(move || fill(engine, &shelf))?;
        Ok(pool)
    }

    fn of(memory: usize) -> Self {
        Self {
            shelf: Arc::new(Shelf {
                memory,
                state: Mutex::default(),
                bell: Condvar::new(),
                has_ended: AtomicBool::new(false),
            }),
        }
    }

    /// Gives a function one of the isolates.
    ///
    /// # Errors
    /// The assignment, if there is none for it.
    #[allow(clippy::result_large_err, reason = "it moves back to its owner")]
    pub(super) fn assign(&self, assignment: Assignment) -> Result<(), Assignment> {
        if self.shelf.memory == 0 {
            return Err(assignment);
        }
        let mut assigned = (assignment, Refill(self.shelf.clone()));
        let mut state = self.shelf.state();
        state.taken.push(Instant::now());
        while let Some(waiting) = state.waiting.pop() {
            // It stood back while it was made, and would go on to until it had a turn.
            waiting.thread.hurry();
            // One that died while it waited gives the assignment back.
            match waiting.assign.send(assigned) {
                Ok(()) => {
                    if state.waiting.is_empty() {
                        // The next request would find none.
                        self.shelf.bell.notify_one();
                    }
                    return Ok(());
                }
                Err(back) => assigned = back,
            }
        }
        Err(assigned.0)
    }

    /// An isolate of a function has ended.
    pub(super) fn isolate_ended(&self) {
        self.shelf.has_ended.store(true, Ordering::Relaxed);
    }

    /// How many may wait from now on, as far as memory goes; `None`: as many as are wanted.
    pub(super) fn allow(&self, most: Option<usize>) {
        let mut state = self.shelf.state();
        state.most = most;
        if let Some(most) = most {
            state.waiting.truncate(most);
        }
    }
}

impl Drop for WarmPool {
    fn drop(&mut self) {
        // So that the thread that fills it sees that it is the last.
        self.shelf.bell.notify_one();
    }
}

impl Shelf {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps as many isolates as are wanted, as long as somebody holds the pool, and gives memory back
/// when the node comes to rest.
fn fill(engine: Engine, shelf: &Weak<Shelf>) {
    let mut rest = Rest::new(Instant::now(), sys::process_cpu_time());
    while let Some(held) = shelf.upgrade() {
        let memory = held.memory;
        let lacks = {
            let mut state = held.state();
            state.taken.retain(|taken| taken.elapsed() < WINDOW);
            let wanted = wanted(state.taken.len()).min(state.most.unwrap_or(MOST));
            if state.waiting.len() > wanted {
                state.waiting.truncate(wanted);
                held.has_ended.store(true, Ordering::Relaxed);
            }
            let lacks = state.waiting.len() < wanted;
            if !lacks {
                // Also to see, now and then, whether there are too many.
                let _ = held.bell.wait_timeout(state, WINDOW);
            }
            lacks
        };
        if lacks {
            let (done, made) = mpsc::channel();
            let started = worker::thread("warm", move || wait(engine, memory, done));
            match started.map(|()| made.recv()) {
                // Taken from the thread that made it, which stands back: it must not hold the lock
                // that requests need.
                Ok(Ok(waiting)) => held.state().waiting.push(waiting),
                Ok(Err(_)) | Err(_) => thread::sleep(WINDOW),
            }
        }
        let has_ended = held.has_ended.swap(false, Ordering::Relaxed);
        if rest.begins(has_ended, Instant::now(), sys::process_cpu_time()) {
            sys::trim_allocator();
        }
    }
}

/// Makes an isolate on the calling thread and waits for its function.
fn wait(engine: Engine, memory: usize, done: mpsc::Sender<Waiting>) {
    stand_back();
    let Ok(worker) = Worker::new() else { return };
    worker.block_on(move |meter| async move {
        let Ok(mut blank) = Blank::new(engine, memory) else {
            return;
        };
        if let Err(error) = blank.rehearse() {
            tracing::error!(%error, "an isolate without a function is not fit for one");
            return;
        }
        let (assign, assigned) = oneshot::channel();
        let thread = ThreadId::current();
        // If nobody takes it, nobody assigns anything either.
        let _ = done.send(Waiting { thread, assign });
        if let Ok((assignment, refill)) = assigned.await {
            worker::take_name(&assignment.shared.deployment.name);
            worker::live(assignment, blank, meter, Some(refill)).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_wait_the_more_are_taken() {
        assert_eq!(wanted(0), RESTING);
        assert_eq!(wanted(40), RESTING + 10);
        assert_eq!(wanted(100_000), MOST);
    }
}
