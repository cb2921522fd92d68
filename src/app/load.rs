//! Plan → app: every function's modules loaded, its top level run, its handler found.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::Hash;
use std::hash::Hasher;
use std::io::IsTerminal;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use futures::stream::StreamExt;
use holm_runtime::deployment::Deployment;
use holm_runtime::graph::GraphError;
use holm_runtime::graph::ModuleGraph;
use holm_runtime::isolate::StartError;
use holm_runtime::pool::Pool;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;

use super::App;
use super::Function;
use super::Node;
use crate::commands::Failure;
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
    },
    Task,
}

impl fmt::Display for FunctionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (function, main) = (&self.function, self.main.display());
        write!(f, "error: function {function} ({main}) does not start: ")?;
        match &self.why {
            Why::Graph(error) => write!(f, "{error}"),
            Why::Start { error, frame } => {
                write!(f, "{error}")?;
                match frame {
                    Some(frame) => write!(f, "\n\n{frame}"),
                    None => Ok(()),
                }
            }
            Why::Task => f.write_str("loading it failed inside Holm"),
        }
    }
}

impl Node {
    /// Loads and starts every function of `plan`.
    ///
    /// # Errors
    /// Every function that does not start.
    pub(crate) fn load(self: &Arc<Self>, plan: &Plan) -> Result<App, Failure> {
        let mut functions = Vec::with_capacity(plan.functions.len());
        let mut problems = Vec::new();
        for result in self.start_all(plan) {
            match result {
                Ok(pool) => functions.push(Function::Ready(pool)),
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(Failure::Functions(problems));
        }
        Ok(App {
            routes: plan.routes.clone(),
            functions,
        })
    }

    /// As [`Node::load`], but a function that does not start answers with the reason.
    pub(crate) fn load_dev(self: &Arc<Self>, plan: &Plan) -> (App, Vec<FunctionProblem>) {
        let mut functions = Vec::with_capacity(plan.functions.len());
        let mut problems = Vec::new();
        for result in self.start_all(plan) {
            functions.push(match result {
                Ok(pool) => Function::Ready(pool),
                Err(problem) => {
                    let text = problem.to_string();
                    problems.push(problem);
                    Function::Broken(text.into())
                }
            });
        }
        let app = App {
            routes: plan.routes.clone(),
            functions,
        };
        (app, problems)
    }

    fn start_all(self: &Arc<Self>, plan: &Plan) -> Vec<Result<Arc<Pool>, FunctionProblem>> {
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

    async fn start_one(&self, plan: &FunctionPlan) -> Result<Arc<Pool>, FunctionProblem> {
        let problem = |why| FunctionProblem {
            function: plan.name.clone(),
            main: shown(&plan.main),
            why,
        };
        let (main, root) = (plan.main.clone(), plan.root.clone());
        let graph = tokio::task::spawn_blocking(move || ModuleGraph::load(&main, &root))
            .await
            .map_err(|_| problem(Why::Task))?
            .map_err(|error| problem(Why::Graph(error)))?;
        let vars = serde_json::Value::from(plan.vars.clone()).to_string();
        let deployment = Arc::new(Deployment {
            name: plan.name.as_str().into(),
            version: version(&graph, &vars).into(),
            graph: Arc::new(graph),
            vars: vars.into(),
            limits: plan.limits,
            concurrency: plan.concurrency,
            code_cache: Arc::default(),
        });
        let pool = Pool::new(self.engine, deployment.clone(), self.services.clone());
        pool.try_start().await.map_err(|error| {
            let frame = deployment
                .graph
                .source_maps()
                .code_frame(&error.to_string())
                .map(|frame| frame.render(false));
            problem(Why::Start { error, frame })
        })?;
        // What starts once may fail the next time; such an isolate starts when it is needed.
        for _ in 1..plan.limits.min_isolates.as_u32() {
            let _ = pool.try_start().await;
        }
        Ok(Arc::new(pool))
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
