//! `holm serve`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use holm_router::Server;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;
use tracing::error;
use tracing::info;
use tracing::warn;

use super::Failure;
use super::signal::Signals;
use crate::admin::Admin;
use crate::admin::Board;
use crate::app::App;
use crate::app::Mode;
use crate::app::Node;
use crate::config;
use crate::config::Plan;
use crate::telemetry::Telemetry;

/// How long the end of the log may take to be written. A reader that is slow needs some of it; one that
/// does not read must not keep the process.
const LOG_DEADLINE: Duration = Duration::from_secs(5);

/// Serves a configuration until a signal ends it.
pub(crate) fn run(file: &Path, mode: Mode) -> Result<(), Failure> {
    let plan = config::load(file)?;
    let telemetry = Telemetry::start(&plan);
    let signals = Signals::hear(telemetry.clone())?;
    allow_files();
    if mode == Mode::WithoutLimits {
        warn!("no limit is enforced: this is for measuring what limits cost, and nothing else");
    }
    let board = Board::new(&plan.origin, telemetry.clone());
    let admin = plan.admin.as_ref();
    let admin = admin.map(|admin| Admin::start(admin, board.clone()));
    let admin = admin.transpose()?;
    let node = Node::start(&plan, telemetry.clone(), mode)?;
    if let Some(address) = admin.as_ref().and_then(Admin::port) {
        node.keep_from(address);
    }
    board.has(&node);
    let server = bind(&plan)?;
    let (app, problems) = node.load(&plan);
    for problem in &problems {
        error!("{problem}");
    }
    info!(
        functions = app.ready(),
        config = %file.display(),
        "loaded"
    );
    warn_of_uncalled(&app);
    node.install(app);
    let outcome = listen(&node, server, signals, &board);
    if !node.finish(plan.server.drain.as_duration()) {
        warn!("work behind answers that had gone out did not end in time");
    }
    drop(admin);
    info!(requests = %telemetry.outcomes(), "ended");
    flush(&telemetry).and(outcome)
}

/// Waits for the log.
///
/// # Errors
/// Nobody reads it.
pub(super) fn flush(telemetry: &Telemetry) -> Result<(), Failure> {
    telemetry.flush(LOG_DEADLINE).map_err(Failure::Unwritten)
}

/// Lets the process have as many files and connections as the system allows it. What it gets by default
/// is made for programs that use `select`.
pub(super) fn allow_files() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        warn!(%error, "cannot raise the limit of open files");
    }
}

/// Logs what somebody may not expect: handlers that are never called, and starts that take longer than they
/// could.
pub(super) fn warn_of_uncalled(app: &App) {
    for (function, handler) in app.uncalled() {
        warn!(%function, %handler, "a handler is exported, and nothing calls it yet");
    }
    for (function, why) in app.not_copyable() {
        warn!(%function, %why, "its isolates start one by one, not as copies of one that has started");
    }
}

/// Takes the plan's address.
pub(super) fn bind(plan: &Plan) -> Result<Server, Failure> {
    let settings = holm_router::Settings {
        connections: plan.server.max_connections,
        unsent: plan.server.max_unsent.as_u64(),
        drain_time: plan.server.drain.as_duration(),
        ..holm_router::Settings::default()
    };
    Ok(Server::bind(plan.server.http, settings)?)
}

/// Serves `node` on `server` until a signal, then drains.
pub(super) fn listen(
    node: &Arc<Node>,
    server: Server,
    signals: Signals,
    board: &Arc<Board>,
) -> Result<(), Failure> {
    let address = server.local_addr();
    node.reachable_at(address.port());
    board.listens(address, "http", &server.stats());
    let drain = signals.drain();
    let of_drain = board.clone();
    let drain = async move {
        drain.await;
        of_drain.drains();
    };
    let drained = node.io().block_on(async {
        info!(layers = %node.sandbox(), "functions run in processes behind a sandbox");
        if let Some(bound) = holm_process::bounds::tightest() {
            info!(%bound, "the system bounds the number of processes");
        }
        board.serves();
        info!(addr = %address, scheme = "http", "listening");
        server
            .serve(node.clone(), drain)
            .await
            .map_err(|source| Failure::Serve { address, source })
    })?;
    if drained.aborted > 0 {
        warn!(
            aborted = drained.aborted,
            "drained, but some requests did not finish in time"
        );
    } else {
        info!(finished = drained.finished, "drained");
    }
    Ok(())
}
