//! One isolate: a V8 heap with one function in it, on one thread, answering one request at a
//! time, or as many as the function's `concurrency` says.
//!
//! Everything here runs on the isolate's own thread. [`Blank::new`] makes it from the base snapshot,
//! [`Blank::start`] loads the function; [`Isolate::run`] answers jobs and says whether the isolate
//! may answer others. Between the two the only door for other threads is its [`Watch`].
//!
//! - [`heap`]: memory budget
//! - [`loader`]: modules from the checked graph
//! - [`lazy`]: globals that are loaded when they are first read
//! - [`start`]: from the snapshot to a handler
//! - [`run`]: its requests
//! - [`turn`], [`finish`]: one of them, while it runs and at its end
//! - [`trace`]: stack traces in the author's positions
//! - [`compiled`]: what V8 has compiled, for the next isolate

mod compiled;
mod finish;
mod heap;
mod lazy;
mod loader;
mod port;
mod run;
mod start;
mod trace;
mod turn;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use deno_core::JsRuntime;
use deno_core::v8;
use holm_js_api::clock::Clock;

use self::compiled::Code;
use self::heap::Buffers;
pub use self::run::Fitness;
pub use self::run::Inbox;
pub use self::start::Blank;
pub use self::start::LAZY_SOURCES;
pub use self::start::SNAPSHOT;
pub use self::start::StartError;
pub(crate) use self::start::memory_limit;
use crate::deployment::Deployment;
use crate::watchdog::Watch;

/// A V8 isolate with a function in it. Bound to the thread that made it.
pub struct Isolate {
    runtime: JsRuntime,
    /// Behind `runtime`, and so dropped after it: V8 reads the text of its scripts.
    deployment: Arc<Deployment>,
    watch: Arc<Watch>,
    buffers: Arc<Buffers>,
    entry: Entry,
    /// What V8 has of its modules, until that is kept for the next isolates.
    code: Vec<Code>,
    /// Requests answered so far; also numbers them.
    served: u32,
    /// CPU time up to the end of the last request, or of the start-up.
    metered: Duration,
    /// Bytes in use at the last sample.
    sampled_memory: u64,
}

/// The functions of `handler.js` that the host calls.
struct Entry {
    /// Where they live. deno_core makes another handle each time that it is asked for one.
    context: v8::Global<v8::Context>,
    fetch: v8::Global<v8::Function>,
    is_pending: v8::Global<v8::Function>,
    abort: v8::Global<v8::Function>,
    end: v8::Global<v8::Function>,
}

impl Isolate {
    /// What the watchdog and other threads may touch of it.
    pub fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// A turn of the event loop begins; only now may the function see that time has passed.
    fn advance_clock(&self) {
        let state = self.runtime.op_state();
        state
            .borrow_mut()
            .borrow_mut::<Clock>()
            .advance(Instant::now());
    }

    /// Collects all garbage: the isolate has nothing to do.
    pub(crate) fn trim(&mut self) {
        self.runtime.v8_isolate().low_memory_notification();
        // Nobody's request.
        self.metered = self.watch.cpu();
    }

    /// Bytes that its heap and buffers hold.
    fn memory(&mut self) -> u64 {
        let heap = self.runtime.v8_isolate().get_heap_statistics();
        (heap.used_heap_size() + self.buffers.used()) as u64
    }
}
