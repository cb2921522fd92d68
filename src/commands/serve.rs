//! `holm serve`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use holm_process::descriptors;
use holm_process::succession::Program;
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
use crate::service;
use crate::telemetry::Telemetry;
use crate::upgrade::Heir;
use crate::upgrade::Parts;
use crate::upgrade::Sockets;
use crate::upgrade::Upgrader;

/// How long the end of the log may take to be written. A reader that is slow needs some of it; one that
/// does not read must not keep the process.
const LOG_DEADLINE: Duration = Duration::from_secs(5);

/// Serves a configuration until a signal ends it.
pub(crate) fn run(file: &Path, mode: Mode) -> Result<(), Failure> {
    // Before anything is opened.
    let given = Sockets::given().map_err(Failure::Given)?;
    let program = Program::of_process().ok();
    let Some((heir, sockets)) = Heir::of_process()? else {
        return serve(file, mode, given, None, program);
    };
    let told = heir.clone();
    serve(file, mode, sockets, Some(heir), program).map_err(|failure| {
        let code = failure.code();
        // In the log of the node that goes on, and to who asked for it.
        if told.failed(&failure.lines(), code) {
            return Failure::Told(code);
        }
        failure
    })
}

fn serve(
    file: &Path,
    mode: Mode,
    mut sockets: Sockets,
    heir: Option<Heir>,
    program: Option<Program>,
) -> Result<(), Failure> {
    let source = Source::File(file.to_owned());
    let plan = source.plan()?;
    let telemetry = Telemetry::start(&plan);
    telemetry.share(heir.is_some());
    let signals = Signals::hear(telemetry.clone())?;
    allow_files();
    if mode == Mode::WithoutLimits {
        warn!("no limit is enforced: this is for measuring what limits cost, and nothing else");
    }
    let board = Board::new(&plan.origin, telemetry.clone());
    let admin = plan.admin.as_ref();
    let admin = admin.map(|admin| Admin::start(admin, board.clone(), &mut sockets, heir.is_some()));
    let admin = admin.transpose()?;
    let node = Node::start(&plan, telemetry.clone(), mode)?;
    if let Some(address) = admin.as_ref().and_then(Admin::port) {
        node.keep_from(address);
    }
    board.has(&node);
    let (listeners, bound) = Listeners::bind(node.clone(), &plan, &mut sockets)?;
    sockets.close();
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
    if let Some(heir) = &heir {
        heir.ready(&node.views())?;
    }
    let handle = admin.as_ref().map(Admin::handle);
    let begin = || {
        listeners.open(&plan, bound);
        let reloader = reloading.start().map_err(Failure::ReloadThread)?;
        let upgrader = Upgrader::start(Parts {
            program,
            listeners: Arc::downgrade(&listeners),
            reloader: reloader.clone(),
            admin: handle.clone(),
            telemetry: telemetry.clone(),
            predecessor: heir.as_ref().map(Heir::predecessor),
        });
        let upgrader = upgrader.map_err(Failure::UpgradeThread)?;
        board.reloads(reloader.clone());
        board.upgrades(upgrader.clone());
        board.serves();
        match heir {
            Some(heir) => heir.serving(&sockets, handle, telemetry.clone(), upgrader.clone())?,
            None => service::ready(),
        }
        Ok((reloader, Some(upgrader)))
    };
    let outcome = listen(&node, &listeners, begin, signals, &board);
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
    begin: impl FnOnce() -> Result<(Reloader, Option<Upgrader>), Failure>,
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
    let (reloader, upgrader) = begin()?;
    let drain = signals.drain(reloader.clone(), upgrader.clone());
    let replaced = async {
        match &upgrader {
            Some(upgrader) => upgrader.replaced().await,
            None => std::future::pending().await,
        }
    };
    let drained = node.io().block_on(async {
        tokio::select! {
            () = drain => {
                board.drains();
                if upgrader.as_ref().is_some_and(Upgrader::stop) {
                    info!("the successor serves already, and is told to end as well");
                } else {
                    service::stopping();
                }
            }
            // Who asks this process now is meant for the other one, which is ready.
            () = replaced => {}
            never = listeners.warn_of_ends() => match never {},
        }
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
