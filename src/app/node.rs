//! What lives as long as the process.

use std::io;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;
use std::time::Instant;

use arc_swap::ArcSwapOption;
use holm_model::limits::NodeBytes;
use holm_process::sandbox::Layers;
use holm_process::schedule::prepare_allocator;
use holm_process::schedule::take_short_turns;
use holm_process::spawn::SpawnError;
use holm_runtime::fork::zygote::Zygote;
use holm_runtime::memory::NodeMemory;
use holm_runtime::pool::Admission;
use holm_runtime::request::Records;
use holm_runtime::services::Cores;
use holm_runtime::services::Services;
use tokio::runtime::Runtime;

use super::App;
use super::compilers::Compilers;
use super::inside::Inside;
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
    outbound: Arc<egress::Client>,
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
        let outbound = egress::Client::new(egress::Options {
            io: io.handle().clone(),
            allow: plan.egress.clone(),
            extra_roots: Vec::new(),
        })
        .map_err(NodeError::Outbound)?;
        let outbound = Arc::new(outbound);
        Ok(Arc::new(Self {
            services: Services {
                zygote,
                io: io.handle().clone(),
                outbound: outbound.clone(),
                records: Records::new(Arc::new(telemetry)),
                admission: Admission::new(plan.server.max_queued),
                cores: Cores::new(cores),
                memory,
                enforces: mode != Mode::WithoutLimits,
            },
            dev: mode == Mode::Dev,
            app: ArcSwapOption::empty(),
            outbound,
            io,
        }))
    }

    /// Where scripts are compiled.
    pub(super) fn compilers(&self) -> Compilers {
        Compilers::new(self.services.zygote.clone(), self.services.io.clone())
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
        self.app.store(Some(Arc::new(app)));
    }

    /// Waits until what the functions do behind their last answers is done and recorded, for
    /// `deadline` at most. Returns whether it is.
    pub(crate) fn finish(&self, deadline: Duration) -> bool {
        let begin = Instant::now();
        loop {
            if self.app().as_ref().is_none_or(|app| app.is_quiet()) {
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

    /// The configuration that is served now.
    pub(super) fn app(&self) -> arc_swap::Guard<Option<Arc<App>>> {
        self.app.load()
    }

    /// Lets functions reach each other by this node's hostnames on `port`, without a socket.
    pub(crate) fn reachable_at(self: &Arc<Self>, port: u16) {
        let inside = Inside::new(Arc::downgrade(self));
        self.outbound.serve_inside(Arc::new(inside), &[port]);
    }
}
