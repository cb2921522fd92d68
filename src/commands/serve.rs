//! `holm serve`.

use std::path::Path;
use std::sync::Arc;

use holm_router::Server;
use tracing::error;
use tracing::info;
use tracing::warn;

use super::Failure;
use super::signal;
use crate::app::Mode;
use crate::app::Node;
use crate::config;
use crate::config::Plan;
use crate::telemetry::Telemetry;

/// Serves a configuration until a signal ends it.
pub(crate) fn run(file: &Path, mode: Mode) -> Result<(), Failure> {
    let plan = config::load(file)?;
    let telemetry = Telemetry::start(&plan);
    if mode == Mode::WithoutLimits {
        warn!("no limit is enforced: this is for measuring what limits cost, and nothing else");
    }
    let node = Node::start(&plan, telemetry.clone(), mode)?;
    let server = bind(&plan)?;
    let (app, problems) = node.load(&plan);
    for problem in &problems {
        error!("{problem}");
    }
    info!(
        functions = app.functions() - problems.len(),
        config = %file.display(),
        "loaded"
    );
    node.install(app);
    let outcome = listen(&node, server);
    if !node.finish(plan.server.drain.as_duration()) {
        warn!("work behind answers that had gone out did not end in time");
    }
    info!(requests = %telemetry.outcomes(), "ended");
    telemetry.flush();
    outcome
}

/// Takes the plan's address.
pub(super) fn bind(plan: &Plan) -> Result<Server, Failure> {
    let settings = holm_router::Settings {
        connections: plan.server.max_connections,
        drain_time: plan.server.drain.as_duration(),
        ..holm_router::Settings::default()
    };
    Ok(Server::bind(plan.server.http, settings)?)
}

/// Serves `node` on `server` until a signal, then drains.
pub(super) fn listen(node: &Arc<Node>, server: Server) -> Result<(), Failure> {
    let address = server.local_addr();
    node.reachable_at(address.port());
    let drained = node.io().block_on(async {
        let stop = signal::shutdown()
            .map_err(|error| Failure::Other(format!("cannot listen for signals: {error}")))?;
        info!(addr = %address, scheme = "http", "listening");
        let shutdown = async {
            stop.await;
            info!("draining: finishing what is running");
        };
        server
            .serve(node.clone(), shutdown)
            .await
            .map_err(|error| Failure::Other(format!("cannot serve on {address}: {error}")))
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
