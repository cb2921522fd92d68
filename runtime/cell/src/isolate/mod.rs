//! One isolate: a V8 heap with one function in it.
//!
//! [`Blank::new`] makes it from the base snapshot, [`Blank::start`] loads the function. It answers nothing by
//! itself: [`crate::serve`] calls it.
//!
//! - [`heap`]: memory budget
//! - [`loader`]: modules from the checked graph
//! - [`lazy`]: globals that are loaded when they are first read
//! - [`start`]: from the snapshot to a handler
//! - [`trace`]: stack traces in the author's positions
//! - [`compiled`]: what V8 has compiled, for the next start

mod compiled;
mod heap;
mod lazy;
mod loader;
mod start;
mod trace;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Instant;

use deno_core::JsRuntime;
use deno_core::OpState;
use deno_core::PollEventLoopOptions;
use deno_core::ResourceId;
use deno_core::error::CoreError;
use deno_core::v8;
use holm_graph::ModuleGraph;
use holm_js_api::clock::Clock;
use holm_model::websocket::Close;
use holm_model::websocket::Kind;

use self::compiled::Code;
use self::heap::Buffers;
use self::loader::Loader;
pub(crate) use self::start::Blank;

/// A V8 isolate with a function in it. Bound to the thread that made it, and to the one that this is in a
/// copy of the process.
pub(crate) struct Isolate {
    runtime: JsRuntime,
    graph: Rc<ModuleGraph>,
    loader: Rc<Loader>,
    buffers: Arc<Buffers>,
    entry: Entry,
    platform: v8::SharedRef<v8::Platform>,
    /// What V8 has of its modules, if that is wanted.
    code: Vec<Code>,
}

/// The functions of `handler.js` that the host calls.
struct Entry {
    /// Where they live. deno_core makes another handle each time that it is asked for one.
    context: v8::Global<v8::Context>,
    fetch: v8::Global<v8::Function>,
    forget: v8::Global<v8::Function>,
    is_pending: v8::Global<v8::Function>,
    abort: v8::Global<v8::Function>,
    end: v8::Global<v8::Function>,
    message: v8::Global<v8::Function>,
    closed: v8::Global<v8::Function>,
}

impl Isolate {
    /// Where its ops keep what they share.
    pub(crate) fn state(&self) -> Rc<RefCell<OpState>> {
        self.runtime.op_state()
    }

    /// Its modules.
    pub(crate) fn graph(&self) -> &ModuleGraph {
        &self.graph
    }

    /// A turn of the event loop begins; only now may the function see that time has passed.
    pub(crate) fn advance_clock(&self) {
        let state = self.runtime.op_state();
        state
            .borrow_mut()
            .borrow_mut::<Clock>()
            .advance(Instant::now());
    }

    /// A turn of the event loop, and of V8's own tasks: finalizers, asynchronous WebAssembly.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CoreError>> {
        loop {
            let options = PollEventLoopOptions::default();
            let polled = self.runtime.poll_event_loop(cx, options);
            if !self.pump() {
                return polled;
            }
        }
    }

    /// Runs tasks that V8 has put off. Returns whether there were any.
    fn pump(&mut self) -> bool {
        let isolate = self.runtime.v8_isolate();
        let mut were_any = false;
        while v8::Platform::pump_message_loop(&self.platform, isolate, false) {
            were_any = true;
        }
        were_any
    }

    /// One turn of the event loop, for unhandled rejections and closed resources. Returns whether
    /// nothing is pending after it.
    pub(crate) fn flush(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        matches!(self.poll(&mut cx), Poll::Ready(Ok(())))
    }

    /// Closes every resource. An isolate between two requests owns none.
    pub(crate) fn drop_resources(&mut self) {
        self.close(self.open_resources());
    }

    fn open_resources(&self) -> Vec<ResourceId> {
        let state = self.runtime.op_state();
        let state = state.borrow();
        state.resource_table.names().map(|(rid, _)| rid).collect()
    }

    /// Closes those of the resources that are open.
    pub(crate) fn close(&self, resources: Vec<ResourceId>) {
        let state = self.runtime.op_state();
        for rid in resources {
            let resource = state.borrow_mut().resource_table.take_any(rid);
            if let Ok(resource) = resource {
                resource.close();
            }
        }
    }

    /// Collects all garbage.
    pub(crate) fn collect(&mut self) {
        self.runtime.v8_isolate().low_memory_notification();
    }

    /// Bytes that its heap and buffers hold.
    pub(crate) fn memory(&mut self) -> u64 {
        let heap = self.runtime.v8_isolate().get_heap_statistics();
        (heap.used_heap_size() + self.buffers.used()) as u64
    }

    /// Calls the handler. `body` is a resource, or -1; `url` is ASCII.
    pub(crate) fn call_fetch(&mut self, id: u32, method: &str, url: &str, body: i32) {
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
        v8::tc_scope!(let scope, scope);
        let receiver = v8::undefined(scope).into();
        let id = v8::Integer::new_from_unsigned(scope, id).into();
        let method = v8::String::new_from_one_byte(
            scope,
            method.as_bytes(),
            v8::NewStringType::Internalized,
        );
        let target =
            v8::String::new_from_one_byte(scope, url.as_bytes(), v8::NewStringType::Normal);
        let body = v8::Integer::new(scope, body).into();
        if let (Some(method), Some(target)) = (method, target) {
            let fetch = v8::Local::new(scope, &self.entry.fetch);
            // The function catches what the handler throws.
            fetch.call(scope, receiver, &[id, method.into(), target.into(), body]);
            scope.perform_microtask_checkpoint();
        }
    }

    /// Whether the event loop has anything left to do. Cheaper than a turn of it.
    pub(crate) fn is_pending(&mut self) -> bool {
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
        v8::tc_scope!(let scope, scope);
        let receiver = v8::undefined(scope).into();
        let is_pending = v8::Local::new(scope, &self.entry.is_pending);
        !is_pending
            .call(scope, receiver, &[])
            .is_some_and(|is_pending| is_pending.is_false())
    }

    /// Tells the function that its client went away; returns how many `waitUntil` promises are
    /// open.
    pub(crate) fn call_abort(&mut self, id: u32) -> u32 {
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
        v8::tc_scope!(let scope, scope);
        let receiver = v8::undefined(scope).into();
        let id = v8::Integer::new_from_unsigned(scope, id).into();
        let abort = v8::Local::new(scope, &self.entry.abort);
        let waiting = abort
            .call(scope, receiver, &[id])
            .and_then(|waiting| waiting.uint32_value(scope))
            .unwrap_or(0);
        scope.perform_microtask_checkpoint();
        waiting
    }

    /// A message for a WebSocket.
    pub(crate) fn call_message(&mut self, key: u32, kind: Kind, bytes: Vec<u8>) {
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
        v8::tc_scope!(let scope, scope);
        let data: Option<v8::Local<'_, v8::Value>> = match kind {
            Kind::Text => {
                v8::String::new_from_utf8(scope, &bytes, v8::NewStringType::Normal).map(Into::into)
            }
            Kind::Binary => {
                // Counted, as any buffer of the function's.
                let buffer = v8::ArrayBuffer::new(scope, bytes.len());
                let store = buffer.get_backing_store();
                for (place, byte) in store.iter().zip(&bytes) {
                    place.set(*byte);
                }
                Some(buffer.into())
            }
        };
        drop(bytes);
        let receiver = v8::undefined(scope).into();
        let key = v8::Integer::new_from_unsigned(scope, key).into();
        if let Some(data) = data {
            let message = v8::Local::new(scope, &self.entry.message);
            // What listeners throw is caught.
            message.call(scope, receiver, &[key, data]);
        }
        scope.perform_microtask_checkpoint();
    }

    /// A WebSocket is over.
    pub(crate) fn call_closed(&mut self, key: u32, close: &Close) {
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
        v8::tc_scope!(let scope, scope);
        let receiver = v8::undefined(scope).into();
        let key = v8::Integer::new_from_unsigned(scope, key).into();
        let code = v8::Integer::new(scope, close.code.into()).into();
        let is_clean = v8::Boolean::new(scope, close.is_clean).into();
        if let Some(reason) = v8::String::new(scope, &close.reason) {
            let closed = v8::Local::new(scope, &self.entry.closed);
            closed.call(scope, receiver, &[key, code, reason.into(), is_clean]);
        }
        scope.perform_microtask_checkpoint();
    }

    /// A request is over, but has not run its course.
    pub(crate) fn call_end(&mut self, id: u32) {
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
        v8::tc_scope!(let scope, scope);
        let receiver = v8::undefined(scope).into();
        let id = v8::Integer::new_from_unsigned(scope, id).into();
        let end = v8::Local::new(scope, &self.entry.end);
        end.call(scope, receiver, &[id]);
    }

    /// This is a copy, in a process of its own: nothing that has to differ from the others' stays.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub(crate) fn forget(&mut self) -> Result<(), Unseeded> {
        {
            let state = self.runtime.op_state();
            let mut state = state.borrow_mut();
            holm_js_api::random::seed(&mut state).map_err(|_| Unseeded)?;
            let clock = state.borrow::<Clock>().copy();
            state.put(clock);
        }
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
        v8::tc_scope!(let scope, scope);
        let receiver = v8::undefined(scope).into();
        let forget = v8::Local::new(scope, &self.entry.forget);
        forget.call(scope, receiver, &[]).map(drop).ok_or(Unseeded)
    }

    /// Why copies of it would not be as good as it is, if so.
    pub(crate) fn why_not_copyable(&mut self) -> Option<&'static str> {
        if !self.flush() || self.is_pending() || !self.open_resources().is_empty() {
            return Some("its start-up leaves work pending: a timer, a stream or a promise");
        }
        let state = self.runtime.op_state();
        let state = state.borrow();
        if holm_js_api::random::timer_was_started(&state) {
            return Some("its start-up leaves work pending: the timer of an AbortSignal");
        }
        holm_js_api::random::was_used(&state)
            .then_some("its start-up asks for cryptographic randomness, which may be a secret")
    }
}

/// There is no randomness for a copy.
#[derive(Debug)]
pub(crate) struct Unseeded;
