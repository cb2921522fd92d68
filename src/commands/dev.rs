//! `holm dev`: one function or a folder of them, reloaded on save.

use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use holm_router::tls::Certificates;
use tracing::error;
use tracing::info;

use super::Failure;
use super::listeners::Listeners;
use super::local_ca::LocalCa;
use super::serve;
use super::signal::Signals;
use super::watch::Watch;
use crate::app::FunctionProblem;
use crate::app::Mode;
use crate::app::Node;
use crate::config;
use crate::config::Plan;
use crate::telemetry::Telemetry;

/// Serves `path` until a signal, and again whenever a file in it is saved.
pub(crate) fn run(path: &Path, port: u16, https: Option<u16>) -> Result<(), Failure> {
    let ca = https.map(|port| Ok::<_, Failure>((LocalCa::of_user()?, port)));
    let site = Site {
        path: path.to_owned(),
        port,
        https: ca.transpose()?,
    };
    let plan = site.plan()?;
    let telemetry = Telemetry::start(&plan);
    let signals = Signals::hear(telemetry.clone())?;
    serve::allow_files();
    let node = Node::start(&plan, telemetry.clone(), Mode::Dev)?;
    let listeners = Listeners::bind(&plan)?;
    let ports = listeners.ports();
    let port = ports.http;
    let certificates = listeners.certificates();
    let mut watch = watch(path)?;
    reload(&node, &plan, port, &mut watch)?;
    let https = ports.https.map(|port| ("https", port));
    for (scheme, port) in [("http", port)].into_iter().chain(https) {
        for url in plan.urls(scheme, port) {
            info!(%url, "serving");
        }
    }
    if let Some((ca, _)) = &site.https {
        info!(
            authority = %ca.file.display(),
            "HTTPS with a certificate of this machine's own: have your browser trust the authority in \
             that file (curl: --cacert); it can sign for localhost alone"
        );
    }
    let of_thread = node.clone();
    let watching = std::thread::Builder::new()
        .name("holm-dev".into())
        .spawn(move || follow(&of_thread, &site, port, certificates.as_deref(), watch));
    // The thread watches as long as the process lives; there is nothing of it to wait for.
    drop(watching.map_err(Failure::WatchThread)?);
    let outcome = serve::listen(&node, listeners, signals);
    serve::flush(&telemetry).and(outcome)
}

/// What is served, and where.
struct Site {
    path: PathBuf,
    port: u16,
    /// Who signs for HTTPS, and the port of that.
    https: Option<(LocalCa, u16)>,
}

impl Site {
    fn plan(&self) -> Result<Plan, Failure> {
        // A folder that has a configuration of its own is served by it, variables and limits included.
        let config = self.path.join("holm.toml");
        let mut plan = if config.is_file() {
            config::load(&config)?
        } else {
            Plan::single(&self.path)?
        };
        // Whatever the file says: everybody who asks is shown what goes wrong.
        plan.server.http = (Ipv4Addr::LOCALHOST, self.port).into();
        plan.tls = None;
        plan.answer_at_localhost();
        if let Some((ca, port)) = &self.https {
            ca.serve(&mut plan, *port)?;
        }
        Ok(plan)
    }
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
    app.tell_the_lost(plan.urls("http", port));
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

fn follow(
    node: &Arc<Node>,
    site: &Site,
    port: u16,
    certificates: Option<&Certificates>,
    mut watch: Watch,
) {
    loop {
        watch.changed();
        // First, so that no file of a new folder comes in between unseen.
        let watched = watch.folders(folders(&site.path)).map_err(Failure::from);
        let outcome = watched.and_then(|()| site.plan()).and_then(|plan| {
            // A new function has a new name.
            if let (Some(certificates), Some(tls)) = (certificates, &plan.tls) {
                let replaced = certificates.replace(tls.certificates());
                replaced.map_err(Failure::Tls)?;
            }
            reload(node, &plan, port, &mut watch)
        });
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
