//! From the base snapshot to a function that can answer.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use deno_core::JsRuntime;
use deno_core::ModuleSpecifier;
use deno_core::RuntimeOptions;
use deno_core::SharedArrayBufferStore;
use deno_core::error::CoreError;
use deno_core::error::CoreErrorKind;
use deno_core::error::JsError;
use deno_core::v8;
use holm_graph::ModuleGraph;
use holm_graph::Packed;
use holm_graph::frame::Position;
use holm_graph::stack::Origin;
use holm_js_api::clock::Clock;
use holm_js_api::handler::Invocations;
use holm_js_api::handler::MemoryBudget;
use holm_model::log::LogBudget;
use holm_model::log::Thrown;
use holm_model::message::Start;
use holm_model::start::StartError;

use super::Entry;
use super::Isolate;
use super::heap::Buffers;
use super::heap::SLACK;
use super::lazy;
use super::loader::Loader;
use super::trace;
use super::trace::Traced;
use crate::engine;
use crate::engine::Engine;
use crate::last_words;

/// The base snapshot: an isolate and a context with the web APIs.
static SNAPSHOT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/base.snapshot"));
/// JavaScript that the base snapshot leaves out: specifier and source.
static LAZY_SOURCES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/lazy.rs"));

/// What V8 leaves for the young generation of a heap of up to 64 MiB. In one that was made larger it
/// may take up to 12 MiB.
const YOUNG: usize = 3 << 20;

/// Bytes of the text of a function that does not start, at most.
const MAX_TEXT: usize = 64 << 10;

/// An isolate from the base snapshot that has no function yet. Bound to the thread that made it.
pub(crate) struct Blank {
    runtime: JsRuntime,
    loader: Rc<Loader>,
    buffers: Arc<Buffers>,
    entry: Entry,
    rehearse: v8::Global<v8::Function>,
    bind: v8::Global<v8::Function>,
    /// What its heap may hold, in bytes.
    memory: usize,
}

impl Blank {
    /// An isolate whose heap may hold `memory` bytes.
    ///
    /// # Errors
    /// V8 refuses.
    pub(crate) fn new(_engine: Engine, memory: usize) -> Result<Self, StartError> {
        let buffers = Buffers::new(memory);
        let loader = Rc::new(Loader::default());
        let mut runtime = JsRuntime::try_new(RuntimeOptions {
            module_loader: Some(loader.clone()),
            extensions: holm_js_api::extensions(),
            startup_snapshot: Some(SNAPSHOT),
            residual_lazy_js_sources: LAZY_SOURCES,
            skip_op_registration: true,
            // `structuredClone(value, { transfer })` moves buffers through it.
            shared_array_buffer_store: Some(SharedArrayBufferStore::default()),
            create_params: Some(
                v8::CreateParams::default()
                    .heap_limits(0, memory)
                    .array_buffer_allocator(buffers.allocator())
                    .allow_atomics_wait(false),
            ),
            ..Default::default()
        })
        .map_err(|error| StartError::Host(error.to_string()))?;
        let isolate = runtime.v8_isolate();
        isolate.set_prepare_stack_trace_callback(trace::prepare);
        isolate.set_oom_error_handler(engine::out_of_memory);
        let (entry, rehearse, bind) = take_entry(&mut runtime)?;
        Ok(Self {
            runtime,
            loader,
            buffers,
            entry,
            rehearse,
            bind,
            memory,
        })
    }

    /// Bytes that its heap holds.
    pub(crate) fn memory(&mut self) -> u64 {
        self.runtime
            .v8_isolate()
            .get_heap_statistics()
            .used_heap_size() as u64
    }

    /// Collects all garbage.
    pub(crate) fn collect(&mut self) {
        self.runtime.v8_isolate().low_memory_notification();
    }

    /// Answers a few requests that nobody made, with handlers of its own, so that the first one that
    /// somebody makes finds memory and code in place. That one then takes 0.38 ms of CPU time instead
    /// of 0.48, and the function that asks for it waits 0.1 ms less of 0.87.
    ///
    /// # Errors
    /// It fails, which the same code did not when the snapshot was made.
    pub(crate) fn rehearse(&mut self) -> Result<(), StartError> {
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
        v8::tc_scope!(let scope, scope);
        let receiver = v8::undefined(scope).into();
        let rehearse = v8::Local::new(scope, &self.rehearse);
        let outcome = rehearse.call(scope, receiver, &[]);
        scope.perform_microtask_checkpoint();
        outcome
            .map(drop)
            .ok_or_else(|| StartError::Host("the rehearsal failed".into()))
    }

    /// Starts the function in it, in a process that runs nothing else, inside a tokio runtime.
    /// Returns the names of handlers that it exports and nothing calls, too.
    ///
    /// # Errors
    /// When the function does not load, or exports no handler.
    pub(crate) async fn start(
        self,
        code: Packed,
        start: &Start,
    ) -> Result<(Isolate, Vec<String>), StartError> {
        let Self {
            mut runtime,
            loader,
            buffers,
            entry,
            rehearse: _,
            bind,
            memory,
        } = self;
        let graph = Rc::new(code.graph);
        loader.bind(graph.clone(), code.compiled, start.wants_code);
        let limit = usize::try_from(start.memory).unwrap_or(usize::MAX);
        buffers.limit(limit);
        runtime.v8_isolate().set_slot(Traced(graph.clone()));
        if limit < memory {
            lower_limit(&mut runtime, limit);
        }
        limit_heap(&mut runtime, &buffers, limit.saturating_sub(memory));
        {
            let state = runtime.op_state();
            let mut state = state.borrow_mut();
            let seeded = holm_js_api::random::seed(&mut state);
            seeded.map_err(|error| StartError::Host(error.to_string()))?;
            state.put(LogBudget(start.log));
            state.put(Invocations::new(start.concurrency > 1));
            state.put(MemoryBudget(start.memory));
            state.put(Clock::default());
        }
        let mut isolate = Isolate {
            runtime,
            graph,
            loader,
            buffers,
            entry,
            platform: v8::V8::get_current_platform(),
            code: Vec::new(),
        };
        let uncalled = isolate.load(&bind, start).await.map_err(shortened)?;
        if start.wants_code {
            isolate.find_code();
        }
        Ok((isolate, uncalled))
    }
}

impl Isolate {
    /// Evaluates the module and keeps its handler.
    async fn load(
        &mut self,
        bind: &v8::Global<v8::Function>,
        start: &Start,
    ) -> Result<Vec<String>, StartError> {
        let main = ModuleSpecifier::parse(&self.graph.main().specifier)
            .map_err(|error| StartError::Host(error.to_string()))?;
        let graph = self.graph.clone();
        let threw = |error| threw(&graph, error);
        if !start.eval {
            self.refuse_code_from_strings();
        }
        let id = self
            .runtime
            .load_main_es_module(&main)
            .await
            .map_err(threw)?;
        let evaluated = self.runtime.mod_evaluate(id);
        let mut evaluated = std::pin::pin!(evaluated);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = evaluated.as_mut().poll(cx) {
                return Poll::Ready(done.map_err(threw));
            }
            self.advance_clock();
            match self.poll(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(threw(error))),
                Poll::Ready(Ok(())) => match evaluated.as_mut().poll(cx) {
                    Poll::Ready(done) => Poll::Ready(done.map_err(threw)),
                    Poll::Pending => Poll::Ready(Err(StartError::NeverReady)),
                },
                Poll::Pending => Poll::Pending,
            }
        })
        .await?;
        let namespace = self.runtime.get_module_namespace(id).map_err(threw)?;
        self.bind(bind, &namespace, start)
    }

    /// From here on `eval` and its kin throw. Not from some later time: a library that finds out at
    /// start-up what it may do relies on that when a request is there.
    fn refuse_code_from_strings(&mut self) {
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
        scope
            .get_current_context()
            .set_allow_generation_from_strings(false);
    }

    fn bind(
        &mut self,
        bind: &v8::Global<v8::Function>,
        namespace: &v8::Global<v8::Object>,
        start: &Start,
    ) -> Result<Vec<String>, StartError> {
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
        v8::tc_scope!(let scope, scope);
        let receiver = v8::undefined(scope).into();
        let namespace = v8::Local::new(scope, namespace).into();
        let vars = v8::String::new(scope, &start.vars)
            .ok_or_else(|| StartError::Host("vars are too long".into()))?
            .into();
        let shared = v8::Boolean::new(scope, start.concurrency > 1).into();
        let assets = match &start.assets {
            Some(name) => v8::String::new(scope, name)
                .ok_or_else(|| StartError::Host("the binding's name is too long".into()))?
                .into(),
            None => v8::undefined(scope).into(),
        };
        let bind = v8::Local::new(scope, bind);
        match bind.call(scope, receiver, &[namespace, vars, shared, assets]) {
            Some(bound) => match v8::Local::<v8::Array>::try_from(bound) {
                Ok(uncalled) => Ok((0..uncalled.length())
                    .filter_map(|index| uncalled.get_index(scope, index))
                    .map(|name| name.to_rust_string_lossy(scope))
                    .collect()),
                Err(_) => Err(StartError::NoHandler(bound.to_rust_string_lossy(scope))),
            },
            None => {
                let thrown = scope.exception();
                Err(StartError::NoHandler(match thrown {
                    Some(thrown) => thrown.to_rust_string_lossy(scope),
                    None => "the default export cannot be read".into(),
                }))
            }
        }
    }
}

/// `error` with a text that fits a message: it may be the function's.
fn shortened(error: StartError) -> StartError {
    let cut = |mut text: String| {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text
    };
    match error {
        StartError::Threw(text) => StartError::Threw(cut(text)),
        StartError::NoHandler(text) => StartError::NoHandler(cut(text)),
        StartError::Host(text) => StartError::Host(cut(text)),
        error @ (StartError::Limit { .. } | StartError::NeverReady | StartError::Crashed(_)) => {
            error
        }
    }
}

/// Lowers what the heap may hold to `limit` bytes.
fn lower_limit(runtime: &mut JsRuntime, limit: usize) {
    // V8 resets the limit of the old generation with the callback that may have raised it; there is
    // no other way.
    runtime.add_near_heap_limit_callback(|current, _initial| current);
    runtime.remove_near_heap_limit_callback(limit.saturating_sub(YOUNG));
}

/// Ends the process when the heap has grown by `more` bytes beyond the limit that it was made with.
fn limit_heap(runtime: &mut JsRuntime, buffers: &Arc<Buffers>, more: usize) {
    let buffers = buffers.clone();
    let mut more = more;
    runtime.add_near_heap_limit_callback(move |current, _initial| {
        if more > 0 {
            return current.saturating_add(std::mem::take(&mut more));
        }
        if buffers.was_refusal() {
            // Only an ArrayBuffer did not fit; the function gets its RangeError.
            return current.saturating_add(SLACK);
        }
        last_words::out_of_memory()
    });
}

/// Takes the host's entry points, and everything else that a function must not reach, off the
/// global object, and adds what the snapshot could not keep. Those that are needed before there is a function come second and third: `rehearse`
/// and `bind`.
fn take_entry(
    runtime: &mut JsRuntime,
) -> Result<(Entry, v8::Global<v8::Function>, v8::Global<v8::Function>), StartError> {
    let context = runtime.main_context();
    v8::scope_with_context!(scope, runtime.v8_isolate(), &context);
    let global = scope.get_current_context().global(scope);
    let missing = || StartError::Host("the base snapshot lacks its entry points".into());
    let holm = v8::String::new(scope, "__holm").ok_or_else(missing)?;
    let holm = global
        .get(scope, holm.into())
        .and_then(|value| v8::Local::<v8::Object>::try_from(value).ok())
        .ok_or_else(missing)?;
    let function = |name: &str| {
        let name = v8::String::new(scope, name)?;
        let value = holm.get(scope, name.into())?;
        let function = v8::Local::<v8::Function>::try_from(value).ok()?;
        Some(v8::Global::new(scope, function))
    };
    let names = [
        "fetch",
        "forget",
        "isPending",
        "abort",
        "end",
        "socketMessage",
        "socketClosed",
        "rehearse",
        "bind",
    ];
    let functions = names.map(function);
    let [
        fetch,
        forget,
        is_pending,
        abort,
        end,
        message,
        closed,
        rehearse,
        bind,
    ] = functions;
    let fetch = fetch.ok_or_else(missing)?;
    let forget = forget.ok_or_else(missing)?;
    let is_pending = is_pending.ok_or_else(missing)?;
    let abort = abort.ok_or_else(missing)?;
    let end = end.ok_or_else(missing)?;
    let message = message.ok_or_else(missing)?;
    let closed = closed.ok_or_else(missing)?;
    let rehearse = rehearse.ok_or_else(missing)?;
    let bind = bind.ok_or_else(missing)?;
    lazy::add(scope, global, holm).ok_or_else(missing)?;
    // V8 adds SharedArrayBuffer to every context it makes: no memory that isolates could share.
    for name in ["__holm", "__bootstrap", "Deno", "SharedArrayBuffer"] {
        let name = v8::String::new(scope, name).ok_or_else(missing)?;
        global.delete(scope, name.into());
    }
    let entry = Entry {
        context,
        fetch,
        forget,
        is_pending,
        abort,
        end,
        message,
        closed,
    };
    Ok((entry, rehearse, bind))
}

/// What code threw while it was loaded, in the author's positions.
fn threw(graph: &ModuleGraph, error: CoreError) -> StartError {
    let text = match error.into_kind() {
        CoreErrorKind::Js(error) => {
            let Thrown { message, mut stack } = holm_js_api::log::thrown(&error);
            // Early errors have a place and no stack.
            if stack == message
                && let Some(place) = place_of(graph, &error)
            {
                stack = format!("{message}\n    at {place}");
            }
            stack
        }
        other => other.to_string(),
    };
    StartError::Threw(text.trim_start_matches("Uncaught ").to_owned())
}

/// The place where an error came up.
fn place_of(graph: &ModuleGraph, error: &JsError) -> Option<String> {
    let frame = error.frames.first()?;
    let position = Position {
        line: u32::try_from(frame.line_number?).ok()?,
        column: u32::try_from(frame.column_number?).ok()?,
    };
    let Origin { file, position } = graph
        .source_maps()
        .map(frame.file_name.as_ref()?, position)?;
    Some(format!("{file}:{}:{}", position.line, position.column))
}
