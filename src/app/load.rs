//! Plan → app: every function's modules loaded, its top level run, its handler found.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::Hash;
use std::hash::Hasher;
use std::io;
use std::io::IsTerminal;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use futures::stream;
use futures::stream::StreamExt;
use holm_graph::Compiler;
use holm_graph::GraphError;
use holm_graph::ModuleGraph;
use holm_model::start::StartError;
use holm_runtime::deployment::Code;
use holm_runtime::deployment::Deployment;
use holm_runtime::pool::Pool;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use tokio::task::spawn_blocking;

use super::App;
use super::Broken;
use super::Function;
use super::Node;
use crate::config::FunctionPlan;
use crate::config::Plan;

/// Functions that are started at the same time.
const AT_ONCE: usize = 4;

/// A function that does not start, and why.
#[derive(Debug)]
pub(crate) struct FunctionProblem {
    function: String,
    main: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Graph(GraphError),
    Start {
        error: StartError,
        frame: Option<String>,
        files: Vec<PathBuf>,
    },
    Code(io::Error),
    Task,
}

impl FunctionProblem {
    /// The files in which it may be mended.
    pub(crate) fn watched(&self) -> Vec<PathBuf> {
        match &self.why {
            Why::Graph(error) => error.watch_paths().map(PathBuf::from).collect(),
            Why::Start { files, .. } => files.clone(),
            Why::Code(_) | Why::Task => Vec::new(),
        }
    }
}

impl fmt::Display for FunctionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (function, main) = (&self.function, self.main.display());
        write!(f, "function {function} ({main}) does not start: ")?;
        match &self.why {
            Why::Graph(error) => write!(f, "{error}"),
            Why::Start { error, frame, .. } => {
                write!(f, "{error}")?;
                match frame {
                    Some(frame) => write!(f, "\n\n{frame}"),
                    None => Ok(()),
                }
            }
            Why::Code(error) => write!(f, "its code cannot be kept in memory: {error}"),
            Why::Task => f.write_str("loading it failed inside Holm"),
        }
    }
}

/// What became of one function.
struct Started {
    function: Function,
    problem: Option<FunctionProblem>,
}

impl Node {
    /// Loads and starts every function of `plan`. One that does not start is among the app's all the
    /// same, and answers that; the problems say why.
    pub(crate) fn load(self: &Arc<Self>, plan: &Plan) -> (App, Vec<FunctionProblem>) {
        let mut functions = Vec::with_capacity(plan.functions.len());
        let mut problems = Vec::new();
        for Started { function, problem } in self.start_all(plan) {
            functions.push(function);
            problems.extend(problem);
        }
        let app = App {
            routes: plan.routes.clone(),
            functions,
            access: plan.functions.iter().map(|f| f.access.clone()).collect(),
            urls: Vec::new(),
        };
        (app, problems)
    }

    /// Starts one function. Returns why each of its isolates has to start by itself, if they have to.
    ///
    /// # Errors
    /// Why it does not start.
    pub(crate) fn try_one(
        self: &Arc<Self>,
        plan: &FunctionPlan,
    ) -> Result<Option<String>, Box<FunctionProblem>> {
        let Started { function, problem } = self.io().block_on(self.start_one(plan));
        match (problem, function) {
            (Some(problem), _) => Err(Box::new(problem)),
            (None, Function::Ready(pool)) => Ok(pool.deployment().not_copyable.get().cloned()),
            (None, Function::Broken(_)) => Ok(None),
        }
    }

    fn start_all(self: &Arc<Self>, plan: &Plan) -> Vec<Started> {
        let progress = progress(plan.functions.len());
        let starts = plan.functions.iter().map(|function| {
            let node = self.clone();
            let function = function.clone();
            let progress = progress.clone();
            async move {
                let result = node.start_one(&function).await;
                progress.inc(1);
                result
            }
        });
        let results = self
            .io()
            .block_on(stream::iter(starts).buffered(AT_ONCE).collect::<Vec<_>>());
        progress.finish_and_clear();
        results
    }

    async fn start_one(self: &Arc<Self>, plan: &FunctionPlan) -> Started {
        let problem = |why| FunctionProblem {
            function: plan.name.clone(),
            main: shown(&plan.main),
            why,
        };
        let broken = |problem: FunctionProblem| Started {
            function: Function::Broken(Arc::new(Broken {
                name: plan.name.as_str().into(),
                why: problem.to_string(),
            })),
            problem: Some(problem),
        };
        let (main, root) = (plan.main.clone(), plan.root.clone());
        let compilers = self.compilers();
        let load = move || ModuleGraph::load(&main, &root, Compiler::Elsewhere(&compilers));
        let graph = match spawn_blocking(load).await {
            Ok(Ok(graph)) => graph,
            Ok(Err(error)) => return broken(problem(Why::Graph(error))),
            Err(_) => return broken(problem(Why::Task)),
        };
        let code = match Code::of(&graph) {
            Ok(code) => code,
            Err(error) => return broken(problem(Why::Code(error))),
        };
        let vars = serde_json::Value::from(plan.vars.clone()).to_string();
        let deployment = Arc::new(Deployment {
            name: plan.name.as_str().into(),
            version: version(&graph, &vars).into(),
            graph: Arc::new(graph),
            code,
            vars: vars.into(),
            limits: plan.limits,
            concurrency: plan.concurrency,
            eval: plan.eval,
            uncalled: OnceLock::new(),
            not_copyable: OnceLock::new(),
        });
        let pool = Pool::new(deployment.clone(), self.services.clone());
        let problem = match pool.try_start().await {
            Ok(()) => None,
            Err(error) => {
                let frame = deployment
                    .graph
                    .source_maps()
                    .code_frame(&error.to_string())
                    .map(|frame| frame.render(false));
                let may_pass = may_pass(&error);
                let files = deployment.graph.watch_paths().map(PathBuf::from).collect();
                let problem = problem(Why::Start {
                    error,
                    frame,
                    files,
                });
                if !may_pass {
                    return broken(problem);
                }
                Some(problem)
            }
        };
        Started {
            function: Function::Ready(Arc::new(pool)),
            problem,
        }
    }
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

/// A bar for people; it appears when starting takes longer than a moment.
fn progress(functions: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("starting functions {bar:30} {pos}/{len}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(functions as u64).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
