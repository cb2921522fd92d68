//! `holm dev`: one function or a folder of them, reloaded on save.

use std::path::Path;

use tracing::info;

use super::Failure;
use super::serve;
use super::signal::Signals;
use crate::admin::Board;
use crate::app::Listeners;
use crate::app::Mode;
use crate::app::Node;
use crate::app::Reloading;
use crate::app::Source;
use crate::telemetry::Telemetry;

/// Serves `path` until a signal, and again whenever a file in it is saved.
pub(crate) fn run(path: &Path, port: u16) -> Result<(), Failure> {
    let source = Source::Dev {
        path: path.to_owned(),
        port,
    };
    let plan = source.plan()?;
    let telemetry = Telemetry::start(&plan);
    let signals = Signals::hear(telemetry.clone())?;
    serve::allow_files();
    let node = Node::start(&plan, telemetry.clone(), Mode::Dev)?;
    let (listeners, bound) = Listeners::bind(node.clone(), &plan)?;
    let port = bound.port();
    let mut reloading = Reloading::new(node.clone(), listeners.clone(), source, port);
    reloading.begin(&plan);
    for url in plan.urls(port) {
        info!(%url, "serving");
    }
    let begin = || {
        listeners.open(&plan, bound);
        reloading.start().map_err(Failure::ReloadThread)
    };
    let board = Board::new(&plan.origin, telemetry.clone());
    let outcome = serve::listen(&node, &listeners, begin, signals, &board);
    serve::flush(&telemetry).and(outcome)
}
