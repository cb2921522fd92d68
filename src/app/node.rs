//! What lives as long as the process.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread::available_parallelism;
use std::time::Duration;
use std::time::Instant;

use arc_swap::ArcSwap;
use arc_swap::ArcSwapOption;
use holm_model::limits::NodeBytes;
use holm_process::sandbox::Layers;
use holm_process::sandbox::Mode as Sandbox;
use holm_process::schedule::prepare_allocator;
use holm_process::schedule::take_short_turns;
use holm_process::spawn::SpawnError;
use holm_runtime::descriptors::Descriptors;
use holm_runtime::fork::zygote::Zygote;
use holm_runtime::memory::NodeMemory;
use holm_runtime::pool::Admission;
use holm_runtime::pool::Remains;
use holm_runtime::request::Records;
use holm_runtime::services::Cores;
use holm_runtime::services::Services;
use tokio::runtime::Runtime;

use super::App;
use super::Ports;
use super::bodies::Ahead;
use super::compilers::Compilers;
use super::compress::Encoders;
use super::inside::Inside;
use crate::acme::HttpProof;
use crate::assets::Reads;
use crate::config::Plan;
use crate::egress;
use crate::telemetry::Telemetry;

/// The node: everything that isolates share, and the configuration they serve.
#[derive(Debug)]
pub(crate) struct Node {
    pub(super) services: Services,
    /// Whether clients may read what a function threw.
    pub(super) dev: bool,
    app: ArcSwapOption<App>,
    /// How much of bodies is received before functions are asked.
    pub(super) ahead: Arc<Ahead>,
    /// What compresses answers.
    pub(super) encoders: Encoders,
    /// Where it listens, once it does.
    ports: ArcSwap<Ports>,
    /// What a certificate authority finds that asks for a proof.
    http_proof: Arc<HttpProof>,
    outbound: Arc<egress::Client>,
    /// What reads the files beside functions.
    pub(super) reads: Reads,
    telemetry: Telemetry,
    /// How long a successor may take to be ready.
    upgrade_time: ArcSwap<Duration>,
    /// As it was when the zygote was started.
    sandbox: Sandbox,
    /// What is left of functions that are not served any more, or by another version.
    remains: Mutex<Vec<Remains>>,
    /// `holm dev`: what is wrong with the configuration, for whoever looks at one of Holm's own pages.
    banner: ArcSwapOption<String>,
    io: Runtime,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    /// The system gives no threads.
    #[error("cannot start the I/O threads: {0}")]
    IoThreads(#[source] io::Error),
    /// There is no process that functions could be forked from.
    #[error("cannot start the process that functions are forked from: {0}")]
    Zygote(#[source] SpawnError),
    /// A root certificate is not usable.
    #[error("cannot set up the outbound client: {0}")]
    Outbound(#[source] egress::SetupError),
}

/// Bytes of request bodies that wait for the rest of themselves, over all of them. Beyond it their
/// functions are asked without it.
const ALL_AHEAD: u64 = 256 << 20;

/// Time between two looks at whether all is done, at the very end.
const LOOK: Duration = Duration::from_millis(2);

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Serving.
    Serve,
    /// Development: clients may read what went wrong in a function.
    Dev,
    /// Measuring what limits cost, by going without.
    WithoutLimits,
}

impl Node {
    /// Starts the node's threads, and the process that functions are forked from.
    ///
    /// # Errors
    /// When the system gives no threads or no process, or lacks a layer of the sandbox that is required.
    pub(crate) fn start(
        plan: &Plan,
        telemetry: Telemetry,
        mode: Mode,
    ) -> Result<Arc<Self>, NodeError> {
        prepare_allocator();
        let cores = available_parallelism().map_or(1, usize::from);
        // Functions want the cores too; a thread carries tens of thousands of requests a second.
        let io_threads = (cores / 2).max(1);
        let io = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(io_threads)
            .thread_name("holm-io")
            .on_thread_start(take_short_turns)
            .enable_all()
            .build()
            .map_err(NodeError::IoThreads)?;
        let zygote = Zygote::start(io.handle(), plan.sandbox).map_err(NodeError::Zygote)?;
        let budget = plan.memory.map(NodeBytes::as_u64);
        let memory = NodeMemory::start(budget, &zygote, io.handle());
        let descriptors = Descriptors::start(&memory, io.handle());
        let outbound = egress::Client::new(egress::Options {
            io: io.handle().clone(),
            allow: plan.egress.clone(),
            extra_roots: Vec::new(),
        })
        .map_err(NodeError::Outbound)?;
        outbound.spares(&descriptors);
        let outbound = Arc::new(outbound);
        Ok(Arc::new(Self {
            services: Services {
                zygote,
                io: io.handle().clone(),
                outbound: outbound.clone(),
                records: Records::new(Arc::new(telemetry.clone())),
                admission: Admission::new(plan.server.max_queued),
                cores: Cores::new(cores),
                memory,
                descriptors,
                enforces: mode != Mode::WithoutLimits,
            },
            dev: mode == Mode::Dev,
            app: ArcSwapOption::empty(),
            ahead: Ahead::new(plan.server.upload_ahead.as_u64(), ALL_AHEAD),
            encoders: Encoders::new(),
            telemetry,
            upgrade_time: ArcSwap::from_pointee(plan.server.upgrade_time.as_duration()),
            sandbox: plan.sandbox,
            remains: Mutex::default(),
            banner: ArcSwapOption::empty(),
            ports: ArcSwap::default(),
            http_proof: Arc::default(),
            outbound,
            reads: Reads::new(io.handle().clone()),
            io,
        }))
    }

    /// Where scripts are compiled.
    pub(super) fn compilers(&self) -> Compilers {
        let is_serving = self.app().is_some();
        let Services { zygote, io, .. } = &self.services;
        Compilers::new(zygote.clone(), io.clone(), is_serving)
    }

    /// What stands between functions and the system.
    pub(crate) fn sandbox(&self) -> &Layers {
        self.services.zygote.layers()
    }

    /// The I/O threads.
    pub(crate) fn io(&self) -> &Runtime {
        &self.io
    }

    /// Serves `app` from now on. Requests that are running finish on what they started with.
    pub(crate) fn install(&self, app: App) {
        self.telemetry.meters().name(app.names());
        let app = Arc::new(app);
        let Some(before) = self.app.swap(Some(app.clone())) else {
            return;
        };
        let kept: HashSet<_> = app.pools().map(Arc::as_ptr).collect();
        let left = before
            .pools()
            .filter(|pool| !kept.contains(&Arc::as_ptr(pool)))
            .map(|pool| pool.remains());
        let mut remains = self.remains.lock().unwrap_or_else(PoisonError::into_inner);
        remains.retain(|remains| !remains.are_gone());
        remains.extend(left);
    }

    /// Works from now on as `plan` says, as far as that can change while it works.
    pub(super) fn adjust(&self, plan: &Plan) {
        self.telemetry.adjust(plan);
        self.services.admission.set_bound(plan.server.max_queued);
        self.ahead.set_most(plan.server.upload_ahead.as_u64());
        self.outbound.set_allow(&plan.egress);
        let upgrade_time = plan.server.upgrade_time.as_duration();
        self.upgrade_time.store(Arc::new(upgrade_time));
        let Services {
            memory, zygote, io, ..
        } = &self.services;
        memory.set_budget(plan.memory.map(NodeBytes::as_u64), zygote, io);
    }

    /// The keys of `plan` that are not what they were and cannot change while the node works, each with its place
    /// in the file.
    pub(super) fn fixed(&self, plan: &Plan) -> Vec<String> {
        let mut fixed = Vec::new();
        if plan.sandbox != self.sandbox {
            let place = plan.places.sandbox.as_deref();
            let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
            fixed.push(format!(
                "{place}`node.sandbox` changes when the node is started again"
            ));
        }
        fixed
    }

    /// `holm dev`: what pages of Holm's own say above all else.
    pub(super) fn set_banner(&self, text: Option<String>) {
        self.banner.store(text.map(Arc::new));
    }

    /// What they say.
    pub(super) fn banner(&self) -> Option<Arc<String>> {
        self.banner.load_full()
    }

    /// Waits until what the functions do behind their last answers is done and recorded, for
    /// `deadline` at most. Returns whether it is.
    pub(crate) fn finish(&self, deadline: Duration) -> bool {
        let begin = Instant::now();
        loop {
            let is_quiet = {
                let remains = self.remains.lock().unwrap_or_else(PoisonError::into_inner);
                self.app().as_ref().is_none_or(|app| app.is_quiet())
                    && remains.iter().all(Remains::are_quiet)
            };
            if is_quiet {
                return true;
            }
            if begin.elapsed() >= deadline {
                return false;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Connections are about to be aborted by the node, not by their clients.
    pub(super) fn abort(&self) {
        self.services.records.abort();
    }

    /// How long a successor may take to be ready.
    pub(super) fn upgrade_time(&self) -> Duration {
        **self.upgrade_time.load()
    }

    /// Whether there is a function of this name that answers.
    pub(super) fn answers(&self, name: &str) -> bool {
        let app = self.app();
        let functions = app.iter().flat_map(|app| &app.functions);
        functions
            .filter(|entry| entry.plan.name == name)
            .any(|entry| entry.is_ready())
    }

    /// How many functions of it are started when they are asked for.
    pub(crate) fn ready(&self) -> usize {
        self.app().as_ref().map_or(0, |app| app.ready())
    }

    /// The configuration that is served now.
    pub(super) fn app(&self) -> arc_swap::Guard<Option<Arc<App>>> {
        self.app.load()
    }

    /// Keeps functions away from the listener on `address`, whatever they may reach.
    pub(crate) fn keep_from(&self, address: SocketAddr) {
        self.outbound.keep_from(address);
    }

    /// What a certificate authority finds that asks for a proof.
    pub(super) fn http_proof(&self) -> &Arc<HttpProof> {
        &self.http_proof
    }

    /// The ports it listens on.
    pub(super) fn ports(&self) -> Ports {
        **self.ports.load()
    }

    /// Says on which ports the node is listening: clients are sent from one to the other, and functions
    /// reach each other by this node's hostnames on them, without a socket.
    pub(super) fn reachable_at(self: &Arc<Self>, ports: Ports) {
        self.ports.store(Arc::new(ports));
        let inside = Inside::new(Arc::downgrade(self));
        let ports: Vec<u16> = [Some(ports.http), ports.https]
            .into_iter()
            .flatten()
            .collect();
        self.outbound.serve_inside(Arc::new(inside), &ports);
    }
}
