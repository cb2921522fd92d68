//! From the base snapshot to a function that can answer.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::Weak;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use deno_core::JsRuntime;
use deno_core::ModuleSpecifier;
use deno_core::PollEventLoopOptions;
use deno_core::RuntimeOptions;
use deno_core::SharedArrayBufferStore;
use deno_core::error::CoreError;
use deno_core::error::CoreErrorKind;
use deno_core::error::JsError;
use deno_core::v8;
use holm_js_api::clock::Clock;
use holm_js_api::fetch::OutboundPort;
use holm_js_api::handler::Invocations;
use holm_js_api::handler::MemoryBudget;
use holm_model::log::LogBudget;
use holm_model::log::Thrown;

use super::Entry;
use super::Isolate;
use super::heap::Budget;
use super::heap::Buffers;
use super::heap::GRACE;
use super::heap::SLACK;
use super::heap::sample;
use super::lazy;
use super::loader::Loader;
use super::port::Port;
use super::trace;
use super::trace::Traced;
use crate::deployment::Deployment;
use crate::engine::Engine;
use crate::meter::Meter;
use crate::services::Services;
use crate::watchdog::Keeper;
use crate::watchdog::Verdict;
use crate::watchdog::Watch;
use holm_graph::ModuleGraph;
use holm_graph::frame::Position;
use holm_graph::stack::Origin;

/// The base snapshot: an isolate and a context with the web APIs.
pub static SNAPSHOT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/base.snapshot"));
/// JavaScript that the base snapshot leaves out: specifier and source.
pub static LAZY_SOURCES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/lazy.rs"));

/// Wall time that a start may take; a module that awaits for ever at its top level ends here.
const START_WALL: Duration = Duration::from_secs(10);

/// The heap where there are no limits: V8 wants one, below 4 GiB.
const UNLIMITED: usize = 2 << 30;

/// What V8 leaves for the young generation of a heap of up to 64 MiB. In one that was made larger it
/// may take up to 12 MiB.
const YOUNG: usize = 3 << 20;

/// Why a function does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Its code threw while it was loaded, or could not be linked.
    #[error("{0}")]
    Threw(String),
    /// It exports no handler.
    #[error("{0}")]
    NoHandler(String),
    /// Its top level ran into a limit.
    #[error("the top level of the module ran over its {limit}")]
    Limit {
        /// Name and value of the limit, and what raises it.
        limit: String,
    },
    /// Its top level awaits something that never comes.
    #[error(
        "the top level of the module awaits something that never settles; start the work in the handler instead"
    )]
    NeverReady,
    /// Its top level ran over its limit inside native code, and goes on there.
    #[error(
        "the top level of the module does not stop: it is inside native code that cannot be interrupted"
    )]
    Stuck,
    /// The system or V8 refused.
    #[error("cannot start an isolate: {0}")]
    Host(String),
}

/// An isolate from the base snapshot that has no function yet. Bound to the thread that made it.
pub struct Blank {
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
    /// An isolate whose heap may hold `memory` bytes, on the calling thread, which must be inside
    /// a tokio runtime of its own.
    ///
    /// # Errors
    /// V8 refuses.
    pub fn new(_engine: Engine, memory: usize) -> Result<Self, StartError> {
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
        runtime
            .v8_isolate()
            .set_prepare_stack_trace_callback(trace::prepare);
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

    /// Starts `deployment` in it. `meter` is the thread's; `keeper` is told if the isolate gets
    /// stuck. What the heap may hold becomes the deployment's limit.
    ///
    /// # Errors
    /// When the function does not load, or exports no handler.
    pub(crate) async fn start(
        self,
        deployment: Arc<Deployment>,
        services: &Services,
        meter: Arc<Meter>,
        keeper: Weak<dyn Keeper>,
    ) -> Result<Isolate, StartError> {
        let Self {
            mut runtime,
            loader,
            buffers,
            entry,
            rehearse: _,
            bind,
            memory,
        } = self;
        let limits = deployment.limits;
        loader.bind(deployment.clone());
        let watch = services.watchdog.watch(
            runtime.v8_isolate().thread_safe_handle(),
            meter,
            keeper,
            sample,
        );
        let limit = memory_limit(&deployment, services);
        buffers.limit(limit);
        runtime
            .v8_isolate()
            .set_slot(Traced(deployment.graph.clone()));
        runtime.v8_isolate().set_slot(Budget {
            watch: watch.clone(),
            limit,
        });
        if services.watchdog.enforces() {
            if limit < memory {
                lower_limit(&mut runtime, limit);
            }
            limit_heap(&mut runtime, &watch, &buffers, limit.saturating_sub(memory));
        }
        {
            let state = runtime.op_state();
            let mut state = state.borrow_mut();
            let port = Rc::new(Port::new(services.outbound.clone()));
            state.put(port.clone());
            state.put(OutboundPort(port));
            state.put(LogBudget(limits.log.as_u64()));
            state.put(Invocations::new(deployment.concurrency.is_shared()));
            state.put(MemoryBudget(limits.memory.as_u64()));
            state.put(Clock::default());
        }
        let mut isolate = Isolate {
            runtime,
            metered: watch.cpu(),
            deployment,
            watch,
            buffers,
            entry,
            code: Vec::new(),
            served: 0,
            sampled_memory: 0,
        };
        isolate.watch.begin(
            Instant::now(),
            isolate.metered,
            limits.startup_cpu.as_duration(),
            Some(START_WALL),
            None,
        );
        if services.watchdog.enforces() {
            services
                .watchdog
                .call(&isolate.watch, limits.startup_cpu.as_duration());
        }
        let loaded = isolate.load(&bind).await;
        isolate.watch.rest();
        isolate.metered = isolate.watch.cpu();
        if isolate.watch.is_stuck() {
            return Err(StartError::Stuck);
        }
        match isolate.watch.verdict() {
            Some(verdict) => Err(isolate.over(verdict)),
            None => loaded.map(|()| {
                isolate.keep_code(false);
                isolate
            }),
        }
    }
}

/// What an isolate of `deployment` may hold, in bytes.
pub(crate) fn memory_limit(deployment: &Deployment, services: &Services) -> usize {
    if services.watchdog.enforces() {
        deployment.limits.memory.as_usize()
    } else {
        UNLIMITED
    }
}

impl Isolate {
    fn over(&self, verdict: Verdict) -> StartError {
        self.watch.acknowledge();
        let limits = &self.deployment.limits;
        let limit = match verdict {
            Verdict::Cpu => format!(
                "start-up CPU time of {}; `limits.startup_cpu` raises it",
                limits.startup_cpu
            ),
            Verdict::Memory => format!("memory of {}; `limits.memory` raises it", limits.memory),
            Verdict::Wall | Verdict::WaitUntil => return StartError::NeverReady,
        };
        StartError::Limit { limit }
    }

    /// Evaluates the module and keeps its handler.
    async fn load(&mut self, bind: &v8::Global<v8::Function>) -> Result<(), StartError> {
        let main = ModuleSpecifier::parse(&self.deployment.graph.main().specifier)
            .map_err(|error| StartError::Host(error.to_string()))?;
        let graph = self.deployment.graph.clone();
        let threw = |error| threw(&graph, error);
        if !self.deployment.eval {
            self.refuse_code_from_strings();
        }
        let id = self
            .runtime
            .load_main_es_module(&main)
            .await
            .map_err(threw)?;
        let evaluated = self.runtime.mod_evaluate(id);
        let watch = self.watch.clone();
        let mut evaluated = std::pin::pin!(evaluated);
        std::future::poll_fn(|cx| {
            watch.waker.register(cx.waker());
            if watch.verdict().is_some() {
                return Poll::Ready(Ok(()));
            }
            if let Poll::Ready(done) = evaluated.as_mut().poll(cx) {
                return Poll::Ready(done.map_err(threw));
            }
            let options = PollEventLoopOptions::default();
            self.advance_clock();
            match self.runtime.poll_event_loop(cx, options) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(threw(error))),
                Poll::Ready(Ok(())) => match evaluated.as_mut().poll(cx) {
                    Poll::Ready(done) => Poll::Ready(done.map_err(threw)),
                    Poll::Pending => Poll::Ready(Err(StartError::NeverReady)),
                },
                Poll::Pending => Poll::Pending,
            }
        })
        .await?;
        if self.watch.verdict().is_some() {
            return Ok(());
        }
        self.find_code();
        let namespace = self.runtime.get_module_namespace(id).map_err(threw)?;
        self.bind(bind, &namespace)
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
    ) -> Result<(), StartError> {
        let vars = self.deployment.vars.clone();
        v8::scope_with_context!(scope, self.runtime.v8_isolate(), &self.entry.context);
        v8::tc_scope!(let scope, scope);
        let receiver = v8::undefined(scope).into();
        let namespace = v8::Local::new(scope, namespace).into();
        let vars = v8::String::new(scope, &vars)
            .ok_or_else(|| StartError::Host("vars are too long".into()))?
            .into();
        let shared = v8::Boolean::new(scope, self.deployment.concurrency.is_shared()).into();
        let bind = v8::Local::new(scope, bind);
        match bind.call(scope, receiver, &[namespace, vars, shared]) {
            Some(bound) => match v8::Local::<v8::Array>::try_from(bound) {
                Ok(uncalled) => {
                    let names = (0..uncalled.length())
                        .filter_map(|index| uncalled.get_index(scope, index))
                        .map(|name| name.to_rust_string_lossy(scope))
                        .collect();
                    // An isolate before this one may have said so.
                    let _ = self.deployment.uncalled.set(names);
                }
                Err(_) => {
                    return Err(StartError::NoHandler(bound.to_rust_string_lossy(scope)));
                }
            },
            None => {
                let thrown = scope.exception();
                return Err(StartError::NoHandler(match thrown {
                    Some(thrown) => thrown.to_rust_string_lossy(scope),
                    None => "the default export cannot be read".into(),
                }));
            }
        }
        Ok(())
    }
}

/// Lowers what the heap may hold to `limit` bytes.
fn lower_limit(runtime: &mut JsRuntime, limit: usize) {
    // V8 resets the limit of the old generation with the callback that may have raised it; there is
    // no other way.
    runtime.add_near_heap_limit_callback(|current, _initial| current);
    runtime.remove_near_heap_limit_callback(limit.saturating_sub(YOUNG));
}

/// Ends the isolate, with room to unwind, when its heap has grown by `more` bytes beyond the limit
/// that it was made with.
fn limit_heap(runtime: &mut JsRuntime, watch: &Arc<Watch>, buffers: &Arc<Buffers>, more: usize) {
    let watch = watch.clone();
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
        watch.condemn(Verdict::Memory);
        current.saturating_add(GRACE)
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
    let names = ["fetch", "isPending", "abort", "end", "rehearse", "bind"];
    let [fetch, is_pending, abort, end, rehearse, bind] = names.map(function);
    let fetch = fetch.ok_or_else(missing)?;
    let is_pending = is_pending.ok_or_else(missing)?;
    let abort = abort.ok_or_else(missing)?;
    let end = end.ok_or_else(missing)?;
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
        is_pending,
        abort,
        end,
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
