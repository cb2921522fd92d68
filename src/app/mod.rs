//! A plan made to run: functions that answer, behind a table of routes.
//!
//! [`Node`] is what lives as long as the process: the zygote, the I/O threads, the outbound
//! client. [`App`] is one configuration on it; the node holds the current one and swaps it whole,
//! so a request finishes on what it started with.
//!
//! - [`node`]: the node; [`load`]: plan → app, with its [`progress`]; [`compilers`]: processes that compile scripts
//! - [`reload`]: when files change: another app in the place of this one; [`listeners`]: where it listens
//! - [`dispatch`]: edge → isolate and back; [`bodies`]: bodies between the two; [`files`]: without an isolate
//! - [`compress`]: answers made shorter
//! - [`inside`]: function → function without a socket; [`report`]: what there is to tell of them
//! - [`secure`]: from HTTP to HTTPS
//! - [`rescue`]: what a client gets when a function gives no answer

mod bodies;
mod compilers;
mod compress;
mod dispatch;
mod files;
mod inside;
mod listeners;
mod load;
mod node;
mod progress;
mod reload;
mod report;
mod rescue;
mod secure;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use holm_router::Hostname;
use holm_router::Refusal;
use holm_router::table::RouteTable;
use holm_runtime::pool::Pool;

use self::reload::FunctionState;
use self::reload::Stamp;
use self::secure::Ports;
use crate::access::Access;
use crate::assets::Assets;
use crate::config::FunctionPlan;
use crate::config::Secure;

pub(crate) use self::listeners::ListenError;
pub(crate) use self::listeners::Listeners;
pub(crate) use self::listeners::SOON;
pub(crate) use self::load::FunctionProblem;
pub(crate) use self::load::Loaded;
pub(crate) use self::load::Retry;
pub(crate) use self::node::Mode;
pub(crate) use self::node::Node;
pub(crate) use self::node::NodeError;
pub(crate) use self::reload::Outcome;
pub(crate) use self::reload::Refused;
pub(crate) use self::reload::ReloadState;
pub(crate) use self::reload::Reloader;
pub(crate) use self::reload::Reloading;
pub(crate) use self::reload::Source;
pub(crate) use self::report::View;

/// One configuration, running.
#[derive(Debug)]
pub(crate) struct App {
    routes: RouteTable<usize>,
    functions: Vec<Entry>,
    /// `holm dev`: where the functions are, for those who ask elsewhere.
    urls: Vec<String>,
}

/// A function of an app, and what it was made of.
#[derive(Clone, Debug)]
struct Entry {
    function: Function,
    /// The files beside it.
    assets: Option<Arc<Assets>>,
    /// As it was when somebody last tried to start the function.
    plan: FunctionPlan,
    /// As it was when what answers was started.
    made_of: FunctionPlan,
    /// The files in which it may change.
    files: Arc<[PathBuf]>,
    /// The folders in which files may come and go that are served.
    folders: Arc<[PathBuf]>,
    /// What they looked like; nothing if they have to be read again to know whether they have changed.
    stamp: Option<Arc<Stamp>>,
    /// Why it does not start, as its files are now.
    problem: Option<Arc<str>>,
    /// It is older than its files, which do not start.
    is_older: bool,
}

impl Entry {
    fn pool(&self) -> Option<&Arc<Pool>> {
        match &self.function {
            Function::Ready(pool) => Some(pool),
            Function::Broken(_) | Function::Files(_) => None,
        }
    }

    /// Whether it answers.
    fn is_ready(&self) -> bool {
        match &self.function {
            Function::Ready(_) | Function::Files(_) => true,
            Function::Broken(_) => false,
        }
    }

    /// Whether it answers what `before` would.
    fn is_still(&self, before: &Self) -> bool {
        let is_same_code = match (&self.function, &before.function) {
            (Function::Ready(pool), Function::Ready(before)) => Arc::ptr_eq(pool, before),
            (Function::Files(_), Function::Files(_)) => true,
            (Function::Ready(_) | Function::Broken(_) | Function::Files(_), _) => false,
        };
        is_same_code && is_same(self.assets.as_ref(), before.assets.as_ref())
    }

    fn state(&self) -> FunctionState {
        let deployment = self.pool().map(|pool| pool.deployment());
        FunctionState {
            name: self.plan.name.as_str().into(),
            version: deployment.map(|deployment| deployment.version.clone()),
            problem: self.problem.clone(),
            is_older: self.is_older,
        }
    }
}

/// Whether these are the same files, as they were then.
fn is_same(assets: Option<&Arc<Assets>>, before: Option<&Arc<Assets>>) -> bool {
    assets.map(Arc::as_ptr) == before.map(Arc::as_ptr)
}

/// What stands behind a route.
#[derive(Clone, Debug)]
enum Function {
    /// It answers.
    Ready(Arc<Pool>),
    /// It does not start.
    Broken(Arc<Broken>),
    /// There is none, of that name: there are only files.
    Files(Arc<str>),
}

/// A function that takes a request, if its client may ask.
#[derive(Debug)]
struct Found {
    function: Function,
    access: Arc<Access>,
    /// What its clients are told of HTTPS.
    secure: Secure,
    /// Its answers are compressed.
    compress: bool,
    /// The files beside it.
    assets: Option<Arc<Assets>>,
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
            Self::Files(name) => name,
        }
    }

    /// Whether there are only files.
    fn is_files(&self) -> bool {
        match self {
            Self::Files(_) => true,
            Self::Ready(_) | Self::Broken(_) => false,
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
        functions.filter(|entry| entry.is_ready()).count()
    }

    /// `holm dev`: tells clients that ask where no function is, where they are.
    pub(crate) fn tell_the_lost(&mut self, urls: Vec<String>) {
        self.urls = urls;
    }

    /// Whether no function has anything to do.
    pub(super) fn is_quiet(&self) -> bool {
        self.pools().all(|pool| pool.is_quiet())
    }

    /// The isolates of those of its functions that have some.
    fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        self.functions.iter().filter_map(Entry::pool)
    }

    /// What each of its functions is at, in order.
    fn states(&self) -> Vec<FunctionState> {
        self.functions.iter().map(Entry::state).collect()
    }

    /// Handlers that functions export and nothing calls: the function's name, and the handler's.
    pub(crate) fn uncalled(&self) -> Vec<(Arc<str>, String)> {
        self.pools()
            .map(|pool| pool.deployment())
            .flat_map(|deployment| {
                let handlers = deployment.uncalled.get().into_iter().flatten();
                handlers.map(|handler| (deployment.name.clone(), handler.clone()))
            })
            .collect()
    }

    /// Functions whose isolates cannot be copies of one that has started, and why.
    pub(crate) fn not_copyable(&self) -> Vec<(Arc<str>, String)> {
        self.pools()
            .map(|pool| pool.deployment())
            .filter_map(|deployment| {
                let why = deployment.not_copyable.get()?;
                Some((deployment.name.clone(), why.clone()))
            })
            .collect()
    }

    /// The files in which its functions may change.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let files = self.functions.iter().flat_map(|entry| entry.files.iter());
        files.map(PathBuf::as_path)
    }

    /// The folders in which files may come and go that are served.
    fn folders(&self) -> impl Iterator<Item = &Path> {
        let folders = self.functions.iter().flat_map(|entry| entry.folders.iter());
        folders.map(PathBuf::as_path)
    }

    /// What answers a request that came from outside.
    fn find(&self, host: &Hostname, path: &str) -> Option<Found> {
        self.at(*self.routes.find(host, path)?)
    }

    /// What answers a `fetch()` of a function of this node: only what is routed by its full
    /// hostname. A wildcard says which strangers may come, not that all those hosts are ours.
    fn find_inside(&self, host: &Hostname, path: &str) -> Option<Found> {
        self.at(*self.routes.find_exact(host, path)?)
    }

    fn at(&self, place: usize) -> Option<Found> {
        let entry = self.functions.get(place)?;
        Some(Found {
            function: entry.function.clone(),
            access: entry.plan.access.clone(),
            secure: entry.plan.secure,
            compress: entry.plan.compress,
            assets: entry.assets.clone(),
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
