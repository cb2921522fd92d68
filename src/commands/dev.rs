//! `holm dev`: one function or a folder of them, reloaded on save.

use std::path::Path;
use std::sync::Arc;

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
use crate::config::LocalCa;
use crate::telemetry::Telemetry;
use crate::upgrade::Sockets;

/// Serves `path` until a signal, and again whenever a file in it is saved.
pub(crate) fn run(path: &Path, port: u16, https: Option<u16>) -> Result<(), Failure> {
    let https = https.map(|port| Ok::<_, Failure>((Arc::new(LocalCa::of_user()?), port)));
    let https = https.transpose()?;
    let authority = https.as_ref().map(|(authority, _)| authority.file.clone());
    let source = Source::Dev {
        path: path.to_owned(),
        port,
        https,
    };
    let plan = source.plan()?;
    let telemetry = Telemetry::start(&plan);
    let signals = Signals::hear(telemetry.clone())?;
    serve::allow_files();
    let node = Node::start(&plan, telemetry.clone(), Mode::Dev)?;
    let (listeners, bound) = Listeners::bind(node.clone(), &plan, &mut Sockets::default())?;
    let port = bound.port();
    let mut reloading = Reloading::new(node.clone(), listeners.clone(), source, port);
    reloading.begin(&plan);
    let secure = bound.https_port().map(|port| ("https", port));
    for (scheme, port) in [("http", port)].into_iter().chain(secure) {
        for url in plan.urls(scheme, port) {
            info!(%url, "serving");
        }
    }
    if let Some(authority) = authority {
        info!(
            authority = %authority.display(),
            "HTTPS with a certificate of this machine's own: have your browser trust the authority in \
             that file (curl: --cacert); it can sign for localhost alone"
        );
    }
    let begin = || {
        listeners.open(&plan, bound);
        let reloader = reloading.start().map_err(Failure::ReloadThread)?;
        Ok((reloader, None))
    };
    let board = Board::new(&plan.origin, telemetry.clone());
    let outcome = serve::listen(&node, &listeners, begin, signals, &board);
    serve::flush(&telemetry).and(outcome)
}
