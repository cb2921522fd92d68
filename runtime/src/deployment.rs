//! A function, ready to run: its modules, its variables and its limits.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::SystemTime;

use holm_model::limits::Limits;
use holm_model::outcome::Outcome;
use holm_model::record::Record;

use crate::code_cache::CodeCache;
use holm_graph::ModuleGraph;

/// One version of one function. Immutable but for what its first start finds out, and what V8 leaves in
/// its code cache; a change makes another one.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// Content hash of its modules and variables.
    pub version: Arc<str>,
    /// Its modules.
    pub graph: Arc<ModuleGraph>,
    /// `env`, as JSON text of an object.
    pub vars: Arc<str>,
    /// What each of its requests may use.
    pub limits: Limits,
    /// How many requests one of its isolates answers at the same time, at most.
    pub concurrency: Concurrency,
    /// Whether it may make code of strings, with `eval`, `new Function` and the like.
    pub eval: bool,
    /// Its modules, compiled.
    pub code_cache: Arc<CodeCache>,
    /// Handlers that it exports and nothing calls; known once it has started.
    pub uncalled: Arc<OnceLock<Vec<String>>>,
}

impl Deployment {
    /// The record of request `request` to it, of which nothing else is known yet.
    pub fn record(&self, request: Arc<str>, start: SystemTime) -> Record {
        Record::of(self.name.clone(), self.version.clone(), request, start)
    }

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
