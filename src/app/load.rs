//! Plan → app: modules loaded, top levels run, handlers found, of every function that is not there already.

mod problem;
mod same;

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::SystemTime;

use futures::stream;
use futures::stream::StreamExt;
use holm_graph::Compiler;
use holm_graph::ModuleGraph;
use holm_model::start::StartError;
use holm_runtime::deployment;
use holm_runtime::deployment::Code;
use holm_runtime::deployment::Deployment;
use holm_runtime::pool::Pool;
use tokio::task::spawn_blocking;

pub(crate) use self::problem::FunctionProblem;
use self::problem::Why;
use self::same::is_same_but_routes;
use self::same::is_same_elsewhere;
use super::App;
use super::Broken;
use super::Entry;
use super::Function;
use super::Node;
use super::Stamp;
use super::is_same;
use super::progress::Progress;
use crate::assets::Assets;
use crate::assets::Binding;
use crate::config::FunctionPlan;
use crate::config::MainFile;
use crate::config::Plan;

/// Functions that are started at the same time.
const AT_ONCE: usize = 4;

/// An app that is not served yet.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) app: App,
    /// The functions that do not start, and why.
    pub(crate) problems: Vec<FunctionProblem>,
    /// New functions, and those that are not what they were.
    pub(super) changed: Vec<String>,
    /// Pools, and the one in whose place each will be.
    pub(super) successions: Vec<(Arc<Pool>, Arc<Pool>)>,
}

/// Which functions that did not start are tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Those whose files have changed.
    Changed,
    /// All: something else may have.
    All,
}

/// A function that is to be started, and what it was.
#[derive(Clone, Copy)]
struct Tried<'a> {
    plan: &'a FunctionPlan,
    before: Option<&'a Entry>,
    /// The folder of the configuration, without links.
    base: &'a Path,
    /// When that began.
    since: SystemTime,
}

/// What became of one function.
struct Started {
    entry: Entry,
    problem: Option<FunctionProblem>,
}

impl Node {
    /// Loads and starts those functions of `plan` that `before` does not have as they are. One that does not
    /// start stays what it was before; if it was not, it is among the app's all the same, and answers that. The
    /// problems say why, of those that were tried.
    pub(crate) fn load(
        self: &Arc<Self>,
        plan: &Plan,
        before: Option<&App>,
        retry: Retry,
    ) -> Loaded {
        let mut functions = Vec::with_capacity(plan.functions.len());
        let mut problems = Vec::new();
        let mut changed = Vec::new();
        let mut successions = Vec::new();
        for (Started { entry, problem }, before) in self.start_all(plan, before, retry) {
            if entry.is_ready() && before.is_none_or(|before| !entry.is_still(before)) {
                changed.push(entry.plan.name.clone());
            }
            if let (Some(pool), Some(before)) = (entry.pool(), before.and_then(Entry::pool))
                && !Arc::ptr_eq(pool, before)
            {
                successions.push((pool.clone(), before.clone()));
            }
            functions.push(entry);
            problems.extend(problem);
        }
        let app = App {
            routes: plan.routes.clone(),
            functions,
            urls: Vec::new(),
        };
        Loaded {
            app,
            problems,
            changed,
            successions,
        }
    }

    /// Starts one function. Returns why each of its isolates has to start by itself, if they have to.
    ///
    /// # Errors
    /// Why it does not start.
    pub(crate) fn try_one(
        self: &Arc<Self>,
        plan: &FunctionPlan,
    ) -> Result<Option<String>, Box<FunctionProblem>> {
        let base = plan.main.as_ref().map(|file| file.root.as_path());
        let base = base.unwrap_or(plan.place()).to_owned();
        let Started { entry, problem } =
            self.io()
                .block_on(self.start_one(plan, None, &base, Retry::All));
        match problem {
            Some(problem) => Err(Box::new(problem)),
            None => Ok(entry
                .pool()
                .and_then(|pool| pool.deployment().not_copyable.get().cloned())),
        }
    }

    /// Reads the files beside a function.
    async fn assets(
        &self,
        plan: &FunctionPlan,
        before: Option<&Entry>,
    ) -> Result<Option<Arc<Assets>>, Why> {
        let Some(assets) = plan.assets.clone() else {
            return Ok(None);
        };
        let reads = self.reads.clone();
        let before = before.and_then(|before| before.assets.clone());
        let load = move || Assets::load(&assets, reads, before.as_ref());
        match spawn_blocking(load).await {
            Ok(Ok(assets)) => Ok(Some(assets)),
            Ok(Err(faults)) => Err(Why::Assets(faults)),
            Err(_) => Err(Why::Task),
        }
    }

    fn start_all<'a>(
        self: &Arc<Self>,
        plan: &Plan,
        before: Option<&'a App>,
        retry: Retry,
    ) -> Vec<(Started, Option<&'a Entry>)> {
        let entries = before.map_or(&[][..], |app| &app.functions);
        let by_name: HashMap<&str, &Entry> = entries
            .iter()
            .map(|entry| (entry.plan.name.as_str(), entry))
            .collect();
        let base = plan.origin.parent().unwrap_or(&plan.origin);
        let base = base.canonicalize().unwrap_or_else(|_| base.to_owned());
        let progress = Progress::new(plan.functions.len(), before.is_none());
        let starts = plan.functions.iter().map(|function| {
            let before = by_name.get(function.name.as_str()).copied();
            let (progress, base) = (&progress, &base);
            async move {
                let started = self.start_one(function, before, base, retry).await;
                progress.one();
                (started, before)
            }
        });
        let all = stream::iter(starts).buffered(AT_ONCE).collect::<Vec<_>>();
        self.io().block_on(async {
            tokio::select! {
                all = all => all,
                never = progress.tell() => match never {},
            }
        })
    }

    async fn start_one(
        self: &Arc<Self>,
        plan: &FunctionPlan,
        before: Option<&Entry>,
        base: &Path,
        retry: Retry,
    ) -> Started {
        if let Some(before) = before
            && (before.problem.is_none() || retry == Retry::Changed)
            && is_same_but_routes(&before.plan, plan)
            && before
                .stamp
                .as_ref()
                .is_some_and(|stamp| stamp.is_current())
        {
            return Started {
                entry: Entry {
                    plan: plan.clone(),
                    ..before.clone()
                },
                problem: None,
            };
        }
        let problem = |why| FunctionProblem {
            function: plan.name.clone(),
            main: shown(plan.place()),
            why,
        };
        let since = SystemTime::now();
        let tried = Tried {
            plan,
            before,
            base,
            since,
        };
        let assets = match self.assets(plan, before).await {
            Ok(assets) => assets,
            Err(why) => return self.keep(tried, None, problem(why)),
        };
        let fails = |problem| self.keep(tried, assets.clone(), problem);
        let folders: Arc<[PathBuf]> = assets.iter().flat_map(|assets| assets.folders()).collect();
        let stamped = |files: &[PathBuf]| Stamp::take(files, &folders, base, since).map(Arc::new);
        let started = |function, files, stamp| Started {
            entry: Entry {
                function,
                assets: assets.clone(),
                plan: plan.clone(),
                made_of: plan.clone(),
                files,
                folders: folders.clone(),
                stamp,
                problem: None,
                is_older: false,
            },
            problem: None,
        };
        let Some(MainFile { main, root, .. }) = plan.main.clone() else {
            let files = files_of(plan, assets.as_deref(), std::iter::empty());
            let stamp = stamped(&files);
            return started(Function::Files(plan.name.as_str().into()), files, stamp);
        };
        let compilers = self.compilers();
        let load = move || ModuleGraph::load(&main, &root, Compiler::Elsewhere(&compilers));
        let graph = match spawn_blocking(load).await {
            Ok(Ok(graph)) => graph,
            Ok(Err(error)) => return fails(problem(Why::Graph(error))),
            Err(_) => return fails(problem(Why::Task)),
        };
        let files = files_of(plan, assets.as_deref(), graph.watch_paths());
        let stamp = stamped(&files);
        let vars = serde_json::Value::from(plan.vars.clone()).to_string();
        let version = version(&graph, &vars);
        let binding = plan.assets.as_ref().and_then(|of| of.binding.as_deref());
        let binding = binding
            .zip(assets.clone())
            .map(|(name, assets)| deployment::Assets {
                name: name.into(),
                port: Arc::new(Binding(assets)),
            });
        if let Some(before) = before
            && let Some(pool) = before.pool()
            && *pool.deployment().version == *version
            && is_same_elsewhere(&before.made_of, plan)
            && (binding.is_none() || is_same(assets.as_ref(), before.assets.as_ref()))
        {
            return started(Function::Ready(pool.clone()), files, stamp);
        }
        let deployment = Arc::new(Deployment {
            name: plan.name.as_str().into(),
            version: version.into(),
            graph: Arc::new(graph),
            code: Code::default(),
            vars: vars.into(),
            assets: binding,
            limits: plan.limits,
            concurrency: plan.concurrency,
            eval: plan.eval,
            uncalled: OnceLock::new(),
            not_copyable: OnceLock::new(),
        });
        let pool = Arc::new(Pool::new(deployment.clone(), self.services.clone()));
        let Err(error) = pool.try_start().await else {
            return started(Function::Ready(pool), files, stamp);
        };
        let frame = deployment
            .graph
            .source_maps()
            .code_frame(&error.to_string())
            .map(|frame| frame.render(false));
        let may_pass = may_pass(&error);
        let mended_in = deployment.graph.watch_paths().map(PathBuf::from).collect();
        let problem = problem(Why::Start {
            error,
            frame,
            files: mended_in,
        });
        if !may_pass || before.is_some_and(Entry::is_ready) {
            return fails(problem);
        }
        let mut failed = started(Function::Ready(pool), files, stamp);
        failed.entry.problem = Some(problem.to_string().into());
        failed.problem = Some(problem);
        failed
    }

    /// A function that does not start: what it was before goes on, or it answers that it does not start. So it
    /// does under `holm dev`, where somebody wants to see that. `assets` are beside it, if they can be read.
    fn keep(
        &self,
        Tried {
            plan,
            before,
            base,
            since,
        }: Tried<'_>,
        assets: Option<Arc<Assets>>,
        problem: FunctionProblem,
    ) -> Started {
        let why: Arc<str> = problem.to_string().into();
        let watched = problem.watched();
        let files = files_of(
            plan,
            assets.as_deref(),
            watched.iter().map(PathBuf::as_path),
        );
        let folders: Arc<[PathBuf]> = match &assets {
            Some(assets) => assets.folders().collect(),
            None => mendable(plan, before),
        };
        let may_change = match &problem.why {
            Why::Graph(_) => false,
            Why::Start { error, .. } => may_pass(error),
            Why::Assets(_) | Why::Task => true,
        };
        let stamp = match may_change {
            true => None,
            false => Stamp::take(&files, &folders, base, since).map(Arc::new),
        };
        let running = before.filter(|before| !self.dev && before.is_ready());
        let entry = match running {
            Some(before) => Entry {
                plan: plan.clone(),
                files,
                folders,
                stamp,
                problem: Some(why),
                is_older: true,
                ..before.clone()
            },
            None => Entry {
                function: Function::Broken(Arc::new(Broken {
                    name: plan.name.as_str().into(),
                    why: why.to_string(),
                })),
                assets,
                plan: plan.clone(),
                made_of: plan.clone(),
                files,
                folders,
                stamp,
                problem: Some(why),
                is_older: false,
            },
        };
        Started {
            entry,
            problem: Some(problem),
        }
    }
}

/// The files in which a function may change: its main module and the folder of its assets, as they are called,
/// and those of its modules and assets.
fn files_of<'a>(
    plan: &'a FunctionPlan,
    assets: Option<&Assets>,
    modules: impl Iterator<Item = &'a Path>,
) -> Arc<[PathBuf]> {
    let main = plan.main.iter().flat_map(|file| [&file.source, &file.main]);
    let folder = plan.assets.iter().map(|assets| &assets.source);
    let named = main.chain(folder).map(PathBuf::as_path);
    let all = named.chain(modules).map(PathBuf::from);
    all.chain(assets.into_iter().flat_map(Assets::paths))
        .collect()
}

/// The folders in which assets may be mended that cannot be served. One that cannot be listed cannot be watched.
fn mendable(plan: &FunctionPlan, before: Option<&Entry>) -> Arc<[PathBuf]> {
    let own = plan.assets.iter().map(|assets| &assets.dir);
    let below = before.iter().flat_map(|before| before.folders.iter());
    let all = own.chain(below).filter(|folder| folder.read_dir().is_ok());
    all.cloned().collect()
}

/// Whether a start that failed like this may succeed when it is tried again, because it depends on
/// the machine.
fn may_pass(error: &StartError) -> bool {
    match error {
        StartError::Limit { .. } | StartError::Host(_) => true,
        StartError::Threw(_)
        | StartError::NoHandler(_)
        | StartError::NeverReady
        | StartError::Crashed(_) => false,
    }
}

/// A path as a person would type it here.
fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    let relative = here.ok().and_then(|here| path.strip_prefix(here).ok());
    relative.unwrap_or(path).to_owned()
}

/// Content hash of the modules, and of the variables where there are any.
fn version(graph: &ModuleGraph, vars: &str) -> String {
    if vars == "{}" {
        return graph.version().to_owned();
    }
    // Keys of SipHash are fixed, so the same file gives the same version everywhere.
    let mut hasher = DefaultHasher::new();
    vars.hash(&mut hasher);
    format!("{}-{:08x}", graph.version(), hasher.finish() >> 32)
}
