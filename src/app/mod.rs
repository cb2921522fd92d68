//! A plan made to run: functions that answer, behind a table of routes.
//!
//! [`Node`] is what lives as long as the process: the zygote, the I/O threads, the outbound
//! client. [`App`] is one configuration on it; the node holds the current one and swaps it whole,
//! so a request finishes on what it started with.
//!
//! - [`node`]: the node; [`load`]: plan → app; [`compilers`]: processes that compile scripts
//! - [`dispatch`]: edge → isolate and back; [`bodies`]: bodies between the two
//! - [`inside`]: function → function without a socket; [`report`]: what there is to tell of them
//! - [`rescue`]: what a client gets when a function gives no answer

mod bodies;
mod compilers;
mod dispatch;
mod inside;
mod load;
mod node;
mod report;
mod rescue;

use std::path::PathBuf;
use std::sync::Arc;

use holm_router::Hostname;
use holm_router::Refusal;
use holm_router::table::RouteTable;
use holm_runtime::pool::Pool;

use crate::access::Access;

pub(crate) use self::load::FunctionProblem;
pub(crate) use self::node::Mode;
pub(crate) use self::node::Node;
pub(crate) use self::node::NodeError;
pub(crate) use self::report::View;

/// One configuration, running.
#[derive(Debug)]
pub(crate) struct App {
    routes: RouteTable<usize>,
    functions: Vec<Function>,
    /// Who may ask for each of them.
    access: Vec<Arc<Access>>,
    /// `holm dev`: where the functions are, for those who ask elsewhere.
    urls: Vec<String>,
}

/// What stands behind a route.
#[derive(Clone, Debug)]
enum Function {
    /// It answers.
    Ready(Arc<Pool>),
    /// It does not start.
    Broken(Arc<Broken>),
}

/// A function that takes a request, if its client may ask.
#[derive(Debug)]
struct Found<'a> {
    function: &'a Function,
    access: &'a Arc<Access>,
}

/// A function that does not start.
#[derive(Debug)]
struct Broken {
    name: Arc<str>,
    /// Why, in words for whoever wrote it.
    why: String,
}

impl Function {
    /// Its name in the configuration.
    fn name(&self) -> &Arc<str> {
        match self {
            Self::Ready(pool) => &pool.deployment().name,
            Self::Broken(broken) => &broken.name,
        }
    }
}

impl App {
    /// How many functions it has.
    pub(crate) fn functions(&self) -> usize {
        self.functions.len()
    }

    /// How many of them are started when they are asked for; the others answer that they are not.
    pub(crate) fn ready(&self) -> usize {
        let functions = self.functions.iter();
        functions
            .filter(|function| matches!(function, Function::Ready(_)))
            .count()
    }

    /// `holm dev`: tells clients that ask where no function is, where they are.
    pub(crate) fn tell_the_lost(&mut self, urls: Vec<String>) {
        self.urls = urls;
    }

    /// Whether no function has anything to do.
    pub(super) fn is_quiet(&self) -> bool {
        self.functions.iter().all(|function| match function {
            Function::Ready(pool) => pool.is_quiet(),
            Function::Broken(_) => true,
        })
    }

    /// Handlers that functions export and nothing calls: the function's name, and the handler's.
    pub(crate) fn uncalled(&self) -> Vec<(Arc<str>, String)> {
        let ready = self.functions.iter().filter_map(|function| match function {
            Function::Ready(pool) => Some(pool.deployment()),
            Function::Broken(_) => None,
        });
        ready
            .flat_map(|deployment| {
                let handlers = deployment.uncalled.get().into_iter().flatten();
                handlers.map(|handler| (deployment.name.clone(), handler.clone()))
            })
            .collect()
    }

    /// Functions whose isolates cannot be copies of one that has started, and why.
    pub(crate) fn not_copyable(&self) -> Vec<(Arc<str>, String)> {
        let ready = self.functions.iter().filter_map(|function| match function {
            Function::Ready(pool) => Some(pool.deployment()),
            Function::Broken(_) => None,
        });
        ready
            .filter_map(|deployment| {
                let why = deployment.not_copyable.get()?;
                Some((deployment.name.clone(), why.clone()))
            })
            .collect()
    }

    /// The files that its functions were made of, as far as they could be read.
    pub(crate) fn watched(&self) -> impl Iterator<Item = PathBuf> + '_ {
        self.functions.iter().flat_map(|function| match function {
            Function::Ready(pool) => pool
                .deployment()
                .graph
                .watch_paths()
                .map(PathBuf::from)
                .collect(),
            Function::Broken(_) => Vec::new(),
        })
    }

    /// What answers a request that came from outside.
    fn find(&self, host: &Hostname, path: &str) -> Option<Found<'_>> {
        self.at(*self.routes.find(host, path)?)
    }

    /// What answers a `fetch()` of a function of this node: only what is routed by its full
    /// hostname. A wildcard says which strangers may come, not that all those hosts are ours.
    fn find_inside(&self, host: &Hostname, path: &str) -> Option<Found<'_>> {
        self.at(*self.routes.find_exact(host, path)?)
    }

    fn at(&self, place: usize) -> Option<Found<'_>> {
        Some(Found {
            function: self.functions.get(place)?,
            access: self.access.get(place)?,
        })
    }

    /// Why nothing answers a request for `host`.
    fn refusal(&self, host: Hostname) -> Refusal {
        if self.routes.takes_host(&host) {
            Refusal::UnknownPath(host)
        } else {
            Refusal::UnknownHost(host)
        }
    }
}
