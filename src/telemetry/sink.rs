//! The queue between those who log and the one thread that writes.

use std::io::Write;
use std::io::stderr;
use std::mem;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use holm_model::record::Record;
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
}

impl Queue {
    fn is_written(&self) -> bool {
        self.writing == 0 && self.entries.is_empty()
    }
}

/// The queue.
#[derive(Debug)]
pub(super) struct Sink {
    queue: Mutex<Queue>,
    filled: Condvar,
    written: Condvar,
}

impl Sink {
    /// Starts the writer's thread. It lives as long as the process.
    pub(super) fn start(style: Style) -> Arc<Self> {
        let sink = Arc::new(Self {
            queue: Mutex::new(Queue::default()),
            filled: Condvar::new(),
            written: Condvar::new(),
        });
        let of_thread = sink.clone();
        let spawned = thread::Builder::new()
            .name("holm-log".into())
            .spawn(move || of_thread.write_all(style));
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
            return;
        }
        queue.entries.push(entry);
        // The writer looks again by itself while it has work.
        if queue.entries.len() == 1 && queue.writing == 0 {
            drop(queue);
            self.filled.notify_one();
        }
    }

    /// Waits until the queue is empty and written, for `deadline` at most.
    ///
    /// # Errors
    /// How many entries it was too short for. They are lost, and the log says so if its reader takes
    /// anything at all.
    pub(super) fn flush(&self, deadline: Duration) -> Result<(), usize> {
        let queue = self.wait(self.queue(), deadline);
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

    fn write_all(&self, style: Style) {
        let mut entries = Vec::new();
        let mut out = Vec::new();
        loop {
            let mut dropped = {
                let mut queue = self.queue();
                queue.writing = 0;
                while queue.entries.is_empty() {
                    self.written.notify_all();
                    queue = self
                        .filled
                        .wait(queue)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                mem::swap(&mut entries, &mut queue.entries);
                queue.writing = entries.len();
                mem::take(&mut queue.dropped)
            };
            let mut left = entries.drain(..);
            while left.len() > 0 {
                while out.len() < PIECE
                    && let Some(entry) = left.next()
                {
                    render(&mut out, style, &entry);
                }
                write(&mut out);
                let mut queue = self.queue();
                queue.writing = left.len().max(1);
                if queue.given_up {
                    dropped += left.len() + queue.entries.len();
                    queue.entries.clear();
                    break;
                }
            }
            drop(left);
            if dropped > 0 {
                render(&mut out, style, &lost(dropped));
                write(&mut out);
            }
        }
    }
}

fn write(out: &mut Vec<u8>) {
    // A log whose reader is gone has nowhere to complain.
    let _ = stderr().write_all(out);
    out.clear();
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
        message: "the log could not be written as fast as it grew; entries were dropped".into(),
        fields: vec![("dropped", dropped.into())],
    }
}
