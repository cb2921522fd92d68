//! A function, ready to run: its modules, its variables and its limits.

use std::sync::Arc;

use crate::code_cache::CodeCache;
use crate::graph::ModuleGraph;
use crate::limits::Limits;

/// One version of one function. Immutable but for what V8 leaves in its code cache; a change makes
/// another one.
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
    /// Its modules, compiled.
    pub code_cache: Arc<CodeCache>,
}
