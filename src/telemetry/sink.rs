//! The queue between those who log and the one thread that writes.
//!
//! Waking the writer for each entry would cost whoever logs more than the entry does. So it is woken
//! for the first one after a while without, and gathers what comes in the next moments before it
//! writes all of it.

use std::io::Write;
use std::io::stderr;
use std::mem;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use holm_model::record::Record;
use rustix::fs::FlockOperation;
use rustix::fs::fcntl_lock;
use rustix::io::Errno;
use tracing::Level;

use super::Style;
use super::json;
use super::text;

/// Entries that wait to be written. Beyond it entries are dropped, and counted.
const CAPACITY: usize = 65_536;
/// Bytes that are written at once, and a line more: what a pipe holds.
const PIECE: usize = 64 << 10;
/// How long a flush that was given up waits for the line that says so.
const LAST_WORD: Duration = Duration::from_millis(500);

/// How long entries are gathered before they are written: too short for a person to notice, and at
/// most a hundred wake-ups a second.
const GATHER: Duration = Duration::from_millis(10);

/// Something to write.
#[derive(Debug)]
pub(super) enum Entry {
    /// A request that ended.
    Request(Box<Record>),
    /// Something that happened to the node.
    Event {
        /// When.
        time: SystemTime,
        /// How grave it is.
        level: Level,
        /// What.
        message: String,
        /// Details, in order.
        fields: Vec<(&'static str, serde_json::Value)>,
    },
}

#[derive(Debug, Default)]
struct Queue {
    entries: Vec<Entry>,
    dropped: usize,
    /// Entries that the writer has taken out and not written yet.
    writing: usize,
    /// What is not written yet will not be.
    given_up: bool,
    /// The writer waits for the first entry.
    is_waiting: bool,
    /// Somebody waits for the end of what there is.
    is_urgent: bool,
}

impl Queue {
    fn is_written(&self) -> bool {
        self.writing == 0 && self.entries.is_empty()
    }
}

/// The queue.
#[derive(Debug)]
pub(super) struct Sink {
    style: Mutex<Style>,
    queue: Mutex<Queue>,
    filled: Condvar,
    written: Condvar,
    /// Entries that were dropped, ever.
    lost: AtomicU64,
    /// Another process writes to the same file.
    is_shared: AtomicBool,
}

impl Sink {
    fn new(style: Style) -> Self {
        Self {
            style: Mutex::new(style),
            queue: Mutex::new(Queue::default()),
            filled: Condvar::new(),
            written: Condvar::new(),
            lost: AtomicU64::new(0),
            is_shared: AtomicBool::new(false),
        }
    }

    /// Starts the writer's thread. It lives as long as the process.
    pub(super) fn start(style: Style) -> Arc<Self> {
        let sink = Arc::new(Self::new(style));
        let of_thread = sink.clone();
        let spawned = thread::Builder::new()
            .name("holm-log".into())
            .spawn(move || of_thread.write_all());
        if let Err(error) = spawned {
            // Nothing else can be said, and nobody can be told otherwise.
            eprintln!("error: cannot start the log's thread: {error}");
        }
        sink
    }

    /// Queues an entry.
    pub(super) fn put(&self, entry: Entry) {
        let mut queue = self.queue();
        if queue.entries.len() >= CAPACITY {
            queue.dropped += 1;
            self.lose(1);
            return;
        }
        queue.entries.push(entry);
        // Awake, it looks again by itself; but no longer than there is room.
        let is_half_full = queue.entries.len() == CAPACITY / 2;
        if mem::take(&mut queue.is_waiting) || is_half_full {
            drop(queue);
            self.filled.notify_one();
        }
    }

    fn lose(&self, entries: usize) {
        self.lost.fetch_add(entries as u64, Ordering::Relaxed);
    }

    /// Entries that were dropped because there was no room for them, or could not be written.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until the queue is empty and written, for `deadline` at most.
    ///
    /// # Errors
    /// How many entries it was too short for. They are lost, and the log says so if its reader takes
    /// anything at all.
    pub(super) fn flush(&self, deadline: Duration) -> Result<(), usize> {
        let mut queue = self.queue();
        queue.is_urgent = true;
        self.filled.notify_one();
        let queue = self.wait(queue, deadline);
        if queue.is_written() {
            return Ok(());
        }
        let mut queue = queue;
        let lost = queue.writing + queue.entries.len() + queue.dropped;
        queue.given_up = true;
        drop(self.wait(queue, LAST_WORD));
        Err(lost)
    }

    fn wait<'a>(
        &'a self,
        mut queue: MutexGuard<'a, Queue>,
        deadline: Duration,
    ) -> MutexGuard<'a, Queue> {
        let begin = Instant::now();
        while !queue.is_written() {
            let Some(left) = deadline.checked_sub(begin.elapsed()) else {
                break;
            };
            (queue, _) = self
                .written
                .wait_timeout(queue, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        queue
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for entries, and for others to join them.
    fn gather(&self) -> MutexGuard<'_, Queue> {
        let mut queue = self.queue();
        queue.writing = 0;
        while queue.entries.is_empty() {
            self.written.notify_all();
            queue.is_waiting = true;
            queue = self
                .filled
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        queue.is_waiting = false;
        let has_room = |queue: &mut Queue| {
            !queue.is_urgent && !queue.given_up && queue.entries.len() < CAPACITY / 2
        };
        let (queue, _) = self
            .filled
            .wait_timeout_while(queue, GATHER, has_room)
            .unwrap_or_else(PoisonError::into_inner);
        queue
    }

    /// Another process writes to the same file from now on, or none any more.
    pub(super) fn share(&self, is_shared: bool) {
        self.is_shared.store(is_shared, Ordering::Relaxed);
    }

    /// Writes what there is, and returns whether that went well. A log whose reader is gone, or whose disk is full,
    /// has nowhere to complain.
    fn write(&self, out: &mut Vec<u8>) -> bool {
        // What goes into a pipe at once may be cut up by what others write (pipe(7)), so they take turns. Where
        // there is no such lock, it is written all the same.
        let is_shared = self.is_shared.load(Ordering::Relaxed);
        if is_shared {
            while fcntl_lock(stderr(), FlockOperation::LockExclusive) == Err(Errno::INTR) {}
        }
        let written = stderr().write_all(out);
        if is_shared {
            let _ = fcntl_lock(stderr(), FlockOperation::Unlock);
        }
        out.clear();
        written.is_ok()
    }

    /// What is not written yet is written like this.
    pub(super) fn set_style(&self, style: Style) {
        *self.style.lock().unwrap_or_else(PoisonError::into_inner) = style;
    }

    fn write_all(&self) {
        let mut entries = Vec::new();
        let mut out = Vec::new();
        // Entries that were lost, and not said to be.
        let mut untold = 0;
        loop {
            {
                let mut queue = self.gather();
                mem::swap(&mut entries, &mut queue.entries);
                queue.writing = entries.len();
                untold += mem::take(&mut queue.dropped);
            }
            let style = *self.style.lock().unwrap_or_else(PoisonError::into_inner);
            let mut left = entries.drain(..);
            while left.len() > 0 {
                let before = left.len();
                while out.len() < PIECE
                    && let Some(entry) = left.next()
                {
                    render(&mut out, style, &entry);
                }
                if !self.write(&mut out) {
                    untold += before - left.len();
                    self.lose(before - left.len());
                }
                let mut queue = self.queue();
                queue.writing = left.len().max(1);
                if queue.given_up {
                    untold += left.len() + queue.entries.len();
                    queue.entries.clear();
                    break;
                }
            }
            drop(left);
            if untold > 0 {
                render(&mut out, style, &lost(untold));
                if self.write(&mut out) {
                    untold = 0;
                }
            }
        }
    }
}

fn render(out: &mut Vec<u8>, style: Style, entry: &Entry) {
    match style {
        Style::Json => json::render(out, entry),
        Style::Text { colour } => text::render(out, entry, colour),
    }
}

fn lost(dropped: usize) -> Entry {
    Entry::Event {
        time: SystemTime::now(),
        level: Level::WARN,
        message: "the log could not be written, or not as fast as it grew; entries were dropped"
            .into(),
        fields: vec![("dropped", dropped.into())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_takes_is_bounded_and_counted() {
        // Without its writer: one that waits for a reader takes nothing either.
        let sink = Sink::new(Style::Json);
        for _ in 0..CAPACITY + 1_000 {
            sink.put(lost(1));
        }
        assert_eq!(sink.lost(), 1_000);
        assert_eq!(sink.queue().entries.len(), CAPACITY);
        assert_eq!(sink.flush(Duration::ZERO), Err(CAPACITY + 1_000));
    }
}
