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
use std::time::SystemTime;

use holm_runtime::record::Record;
use tracing::Level;

use super::Style;
use super::json;
use super::text;

/// Entries that wait to be written. Beyond it entries are dropped, and counted.
const CAPACITY: usize = 65_536;

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
    dropped: u64,
    writing: bool,
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
        if queue.entries.len() == 1 && !queue.writing {
            drop(queue);
            self.filled.notify_one();
        }
    }

    /// Waits until the queue is empty and written.
    pub(super) fn flush(&self) {
        let mut queue = self.queue();
        while queue.writing || !queue.entries.is_empty() {
            queue = self
                .written
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, style: Style) {
        let mut entries = Vec::new();
        let mut out = Vec::new();
        loop {
            let dropped = {
                let mut queue = self.queue();
                queue.writing = false;
                while queue.entries.is_empty() {
                    self.written.notify_all();
                    queue = self
                        .filled
                        .wait(queue)
                        .unwrap_or_else(PoisonError::into_inner);
                }
                queue.writing = true;
                mem::swap(&mut entries, &mut queue.entries);
                mem::take(&mut queue.dropped)
            };
            for entry in entries.drain(..) {
                render(&mut out, style, &entry);
            }
            if dropped > 0 {
                render(&mut out, style, &lost(dropped));
            }
            // A log whose reader is gone has nowhere to complain.
            let _ = stderr().write_all(&out);
            out.clear();
        }
    }
}

fn render(out: &mut Vec<u8>, style: Style, entry: &Entry) {
    match style {
        Style::Json => json::render(out, entry),
        Style::Text { colour } => text::render(out, entry, colour),
    }
}

fn lost(dropped: u64) -> Entry {
    Entry::Event {
        time: SystemTime::now(),
        level: Level::WARN,
        message: "the log could not be written as fast as it grew; entries were dropped".into(),
        fields: vec![("dropped", dropped.into())],
    }
}
