//! A function, ready to run: its modules, its variables and its limits.

use std::fmt;
use std::io;
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;

use holm_graph::ModuleGraph;
use holm_model::limits::Limits;
use holm_model::outbound::Outbound;
use holm_model::outcome::Outcome;
use holm_process::blob;

/// One version of one function. Immutable but for what its first start finds out; a change makes another one.
#[derive(Debug)]
pub struct Deployment {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// Content hash of its modules and variables.
    pub version: Arc<str>,
    /// Its modules, for places in stack traces.
    pub graph: Arc<ModuleGraph>,
    /// Its modules, as its processes map them.
    pub code: Code,
    /// `env`, as JSON text of an object.
    pub vars: Arc<str>,
    /// The files beside it, if it has a name for them.
    pub assets: Option<Assets>,
    /// What each of its requests may use.
    pub limits: Limits,
    /// How many requests one of its isolates answers at the same time, at most.
    pub concurrency: Concurrency,
    /// Whether it may make code of strings, with `eval`, `new Function` and the like.
    pub eval: bool,
    /// Handlers that it exports and nothing calls; known once it has started.
    pub uncalled: OnceLock<Vec<String>>,
    /// Why its isolates start one by one, where they cannot be copies of one that has started; known once it
    /// has started.
    pub not_copyable: OnceLock<String>,
}

/// The files beside a function, as it asks for them.
#[derive(Clone)]
pub struct Assets {
    /// Their name in `env`.
    pub name: Arc<str>,
    /// What answers.
    pub port: Arc<dyn Outbound>,
}

impl fmt::Debug for Assets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Assets").field(&self.name).finish()
    }
}

/// Handlers that are told of as not called, and bytes of the name of each: those that Holm may know one day have short
/// names.
const MAX_UNCALLED: (usize, usize) = (16, 64);

impl Deployment {
    /// Keeps what it said when it started, unless it has said so before; as little of it as can be true.
    pub(crate) fn note_uncalled(&self, handlers: Vec<String>) {
        let (most, longest) = MAX_UNCALLED;
        let short = handlers.into_iter().filter(|name| name.len() <= longest);
        let _ = self.uncalled.set(short.take(most).collect());
    }
}

/// A function's modules in sealed memory, and, once it has started, what V8 has compiled of them: for the
/// processes that start it again. Made when it is needed, and given up where descriptors are short.
#[derive(Debug, Default)]
pub struct Code(Mutex<Option<Packed>>);

#[derive(Debug)]
struct Packed {
    file: Arc<OwnedFd>,
    is_compiled: bool,
}

impl Code {
    fn packed(&self) -> MutexGuard<'_, Option<Packed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a process maps: the modules of `graph`.
    ///
    /// # Errors
    /// The system has no memory, or no more descriptors.
    pub(crate) fn file(&self, graph: &ModuleGraph) -> io::Result<Arc<OwnedFd>> {
        let mut packed = self.packed();
        if let Some(packed) = &*packed {
            return Ok(packed.file.clone());
        }
        let file = Arc::new(file(graph, &[])?);
        *packed = Some(Packed {
            file: file.clone(),
            is_compiled: false,
        });
        Ok(file)
    }

    /// Whether what V8 compiled is missing.
    pub(crate) fn wants_compiled(&self) -> bool {
        let packed = self.packed();
        !packed.as_ref().is_some_and(|packed| packed.is_compiled)
    }

    /// Adds what V8 has compiled, by specifier.
    ///
    /// # Errors
    /// As of [`Code::file`]; everything stays as it was.
    pub(crate) fn add(
        &self,
        graph: &ModuleGraph,
        compiled: &[(String, Vec<u8>)],
    ) -> io::Result<()> {
        let file = Arc::new(file(graph, compiled)?);
        *self.packed() = Some(Packed {
            file,
            is_compiled: true,
        });
        Ok(())
    }

    /// Gives it up until it is needed. Returns whether there was any.
    pub(crate) fn give_up(&self) -> bool {
        self.packed().take().is_some()
    }
}

fn file(graph: &ModuleGraph, compiled: &[(String, Vec<u8>)]) -> io::Result<OwnedFd> {
    let compiled = compiled
        .iter()
        .map(|(specifier, code)| (specifier.as_str(), code.as_slice()));
    let packed = graph.pack(compiled);
    let parts: Vec<_> = packed.iter().map(AsRef::as_ref).collect();
    blob::create(&parts)
}

impl Deployment {
    /// For the operator's log: which limit ended a request with this outcome, and what raises it.
    pub fn broken_limit(&self, outcome: Outcome) -> Option<String> {
        let Limits {
            cpu, memory, wall, ..
        } = self.limits;
        match outcome {
            Outcome::ExceededCpu if self.concurrency.is_shared() => Some(format!(
                "its isolate used more CPU time than {cpu} for each request in it; `limits.cpu` raises it"
            )),
            Outcome::ExceededCpu => Some(format!(
                "used more than its {cpu} of CPU time; `limits.cpu` raises it"
            )),
            Outcome::ExceededMemory => Some(format!(
                "its isolate used more than its {memory} of memory; `limits.memory` raises it"
            )),
            Outcome::ExceededWallTime => Some(format!(
                "took longer than its {wall}; `limits.wall` raises it"
            )),
            Outcome::Ok
            | Outcome::Exception
            | Outcome::StartupFailed
            | Outcome::NoResponse
            | Outcome::Canceled
            | Outcome::Overloaded
            | Outcome::Crashed
            | Outcome::Reset
            | Outcome::Refused
            | Outcome::InternalError => None,
        }
    }
}

/// Requests that one isolate answers at the same time. More than one share its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency(NonZeroU16);

impl Concurrency {
    /// The default: a limit is a fact about one request, and ending an isolate hurts no other.
    pub const EXCLUSIVE: Self = Self(NonZeroU16::MIN);

    /// The most: each look at the isolate goes through all of its requests.
    pub const MAX: u16 = 1_024;

    /// `count` requests; nothing unless that is from 1 to [`Concurrency::MAX`].
    pub fn new(count: u16) -> Option<Self> {
        let count = NonZeroU16::new(count)?;
        (count.get() <= Self::MAX).then_some(Self(count))
    }

    /// How many requests.
    pub fn get(self) -> usize {
        self.0.get().into()
    }

    /// Whether there may be more than one.
    pub fn is_shared(self) -> bool {
        self != Self::EXCLUSIVE
    }
}

impl std::fmt::Display for Concurrency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
