//! `holm dev`: one function or a folder of them, reloaded on save.

use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tracing::error;
use tracing::info;

use super::Failure;
use super::serve;
use super::signal::Signals;
use super::watch::Watch;
use crate::admin::Board;
use crate::app::FunctionProblem;
use crate::app::Mode;
use crate::app::Node;
use crate::config;
use crate::config::Plan;
use crate::telemetry::Telemetry;

/// Serves `path` until a signal, and again whenever a file in it is saved.
pub(crate) fn run(path: &Path, port: u16) -> Result<(), Failure> {
    let plan = plan(path, port)?;
    let telemetry = Telemetry::start(&plan);
    let signals = Signals::hear(telemetry.clone())?;
    serve::allow_files();
    let node = Node::start(&plan, telemetry.clone(), Mode::Dev)?;
    let server = serve::bind(&plan)?;
    let port = server.local_addr().port();
    let mut watch = watch(path)?;
    reload(&node, &plan, port, &mut watch)?;
    for url in plan.urls(port) {
        info!(%url, "serving");
    }
    let of_thread = node.clone();
    let path = path.to_owned();
    let watching = std::thread::Builder::new()
        .name("holm-dev".into())
        .spawn(move || follow(&of_thread, &path, port, watch));
    // The thread watches as long as the process lives; there is nothing of it to wait for.
    drop(watching.map_err(Failure::WatchThread)?);
    let board = Board::new(&plan.origin, telemetry.clone());
    let outcome = serve::listen(&node, server, signals, &board);
    serve::flush(&telemetry).and(outcome)
}

fn plan(path: &Path, port: u16) -> Result<Plan, Failure> {
    // A folder that has a configuration of its own is served by it, variables and limits included.
    let config = path.join("holm.toml");
    let mut plan = if config.is_file() {
        config::load(&config)?
    } else {
        Plan::single(path)?
    };
    // Whatever the file says: everybody who asks is shown what goes wrong.
    plan.server.http = (Ipv4Addr::LOCALHOST, port).into();
    for function in &mut plan.functions {
        // Nobody but this machine asks, and what it has to show would only be in the way.
        function.access = Arc::default();
    }
    plan.answer_at_localhost();
    Ok(plan)
}

fn watch(path: &Path) -> Result<Watch, Failure> {
    let mut watch = Watch::new()?;
    watch.folders(folders(path))?;
    Ok(watch)
}

/// The folder that `path` is or is in, and the folders right below it.
fn folders(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        return vec![folder.unwrap_or(Path::new(".")).to_owned()];
    }
    let mut folders = vec![path.to_owned()];
    if let Ok(entries) = path.read_dir() {
        let below = entries.filter_map(Result::ok).map(|entry| entry.path());
        folders.extend(below.filter(|path| path.is_dir() && !path.ends_with("node_modules")));
    }
    folders
}

/// Returns whether every function starts.
fn reload(node: &Arc<Node>, plan: &Plan, port: u16, watch: &mut Watch) -> Result<bool, Failure> {
    let (mut app, problems) = node.load(plan);
    app.tell_the_lost(plan.urls(port));
    for problem in &problems {
        error!("{problem}");
    }
    let broken = problems.iter().flat_map(FunctionProblem::watched);
    let files: Vec<PathBuf> = app.watched().chain(broken).collect();
    watch.files(files)?;
    serve::warn_of_uncalled(&app);
    node.install(app);
    Ok(problems.is_empty())
}

fn follow(node: &Arc<Node>, path: &Path, port: u16, mut watch: Watch) {
    loop {
        watch.changed();
        // First, so that no file of a new folder comes in between unseen.
        let watched = watch.folders(folders(path)).map_err(Failure::from);
        let outcome = watched
            .and_then(|()| plan(path, port))
            .and_then(|plan| reload(node, &plan, port, &mut watch));
        match outcome {
            Ok(true) => info!("reloaded"),
            // What does not start has been told.
            Ok(false) => {}
            Err(Failure::Config(problems)) => {
                for line in problems.lines() {
                    error!("not reloaded: {line}");
                }
            }
            Err(other) => error!("not reloaded: {other}"),
        }
    }
}
