//! `holm serve`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use holm_process::descriptors;
use tracing::info;
use tracing::warn;

use super::Failure;
use super::signal::Signals;
use crate::admin::Admin;
use crate::admin::Board;
use crate::app::Listeners;
use crate::app::Mode;
use crate::app::Node;
use crate::app::Reloader;
use crate::app::Reloading;
use crate::app::Source;
use crate::config::Plan;
use crate::config::TlsPlan;
use crate::telemetry::Telemetry;

/// How long the end of the log may take to be written. A reader that is slow needs some of it; one that
/// does not read must not keep the process.
const LOG_DEADLINE: Duration = Duration::from_secs(5);

/// Serves a configuration until a signal ends it.
pub(crate) fn run(file: &Path, mode: Mode) -> Result<(), Failure> {
    let source = Source::File(file.to_owned());
    let plan = source.plan()?;
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
    let (listeners, bound) = Listeners::bind(node.clone(), &plan)?;
    for warning in plan.tls.iter().flat_map(TlsPlan::open_keys) {
        warn!("{warning}");
    }
    if let Some(warning) = shortage(&plan) {
        warn!("{warning}");
    }
    let mut reloading = Reloading::new(node.clone(), listeners.clone(), source, bound.port());
    reloading.begin(&plan);
    info!(
        functions = node.ready(),
        config = %file.display(),
        "loaded"
    );
    let outcome = listen(
        &node,
        &listeners,
        || {
            listeners.open(&plan, bound);
            reloading.start().map_err(Failure::ReloadThread)
        },
        signals,
        &board,
    );
    if !node.finish(listeners.drain_time()) {
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

/// Lets the process have as many descriptors as the system allows it.
pub(super) fn allow_files() {
    if let Err(error) = descriptors::raise() {
        warn!(%error, "cannot raise the limit of open files");
    }
}

/// What is to be said of descriptors, if there may come to be too few.
pub(super) fn shortage(plan: &Plan) -> Option<String> {
    /// For what is open for a moment only, and for the node's own.
    const OTHERS: u64 = 256;
    let most = descriptors::most();
    let connections = plan.server.max_connections as u64;
    let functions = plan.functions.len() as u64;
    let wanted = connections + 3 * functions + OTHERS;
    (most < wanted).then(|| {
        format!(
            "RLIMIT_NOFILE is {most}, and {connections} connections (`server.max_connections`) and 3 descriptors for \
             each of {functions} functions at rest take {wanted}, isolates 2 each beside them: when few are left, new \
             connections wait, and idle functions start anew; raise the hard limit (`ulimit -Hn`, `LimitNOFILE` of a \
             systemd unit), or lower `server.max_connections`"
        )
    })
}

/// Begins to serve, until a signal ends it, and drains.
pub(super) fn listen(
    node: &Node,
    listeners: &Arc<Listeners>,
    begin: impl FnOnce() -> Result<Reloader, Failure>,
    signals: Signals,
    board: &Board,
) -> Result<(), Failure> {
    info!(layers = %node.sandbox(), "functions run in processes behind a sandbox");
    if let Some(bound) = holm_process::bounds::tightest() {
        info!(%bound, "the system bounds the number of processes");
    }
    board.listens(listeners);
    // Before anything is accepted: a signal that comes right behind a request does not cut it off.
    signals.accepts();
    let reloader = begin()?;
    board.reloads(reloader.clone());
    board.serves();
    let drain = signals.drain(reloader.clone());
    let drained = node.io().block_on(async {
        tokio::select! {
            () = drain => {}
            never = listeners.warn_of_ends() => match never {},
        }
        board.drains();
        reloader.close();
        listeners.drain().await
    });
    let drained = drained.map_err(|(address, source)| Failure::Serve { address, source })?;
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
