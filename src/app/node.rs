//! What lives as long as the process.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::available_parallelism;
use std::time::Duration;
use std::time::Instant;

use arc_swap::ArcSwapOption;
use holm_graph::Compiler;
use holm_runtime::engine::Engine;
use holm_runtime::pool::Admission;
use holm_runtime::pool::NodeMemory;
use holm_runtime::pool::WarmPool;
use holm_runtime::services::Cores;
use holm_runtime::services::Services;
use holm_runtime::thread::take_short_turns;
use holm_runtime::watchdog::Watchdog;
use tokio::runtime::Runtime;
use tracing::warn;

use super::App;
use super::compilers::Compilers;
use super::inside::Inside;
use crate::config::Plan;
use crate::egress;
use crate::telemetry::Telemetry;

/// The node: everything that isolates share, and the configuration they serve.
#[derive(Debug)]
pub(crate) struct Node {
    pub(super) engine: Engine,
    pub(super) services: Services,
    /// Whether clients may read what a function threw.
    pub(super) dev: bool,
    app: ArcSwapOption<App>,
    outbound: Arc<egress::Client>,
    io: Runtime,
    /// None where the system gives no processes: then this one compiles.
    compilers: Option<Compilers>,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    /// The system gives no threads.
    #[error("cannot start the I/O threads: {0}")]
    IoThreads(#[source] io::Error),
    /// The system gives no thread.
    #[error("cannot start the watchdog: {0}")]
    Watchdog(#[source] io::Error),
    /// The system gives no threads.
    #[error("cannot start the warm pool: {0}")]
    WarmPool(#[source] io::Error),
    /// What the process holds cannot be measured.
    #[error("cannot keep to [node] memory: {0}")]
    Memory(#[source] io::Error),
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
    /// Measuring what the warm pool saves, by going without.
    WithoutWarmPool,
}

impl Node {
    /// Starts V8, then the node's threads. To be called on the main thread, first.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(crate) fn start(
        plan: &Plan,
        telemetry: Telemetry,
        mode: Mode,
    ) -> Result<Arc<Self>, NodeError> {
        let engine = Engine::start();
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
        let recorder = Arc::new(telemetry);
        let watchdog = Watchdog::start(recorder.clone(), mode != Mode::WithoutLimits)
            .map_err(NodeError::Watchdog)?;
        let warm = match mode {
            Mode::Serve | Mode::Dev => WarmPool::start(engine),
            Mode::WithoutLimits | Mode::WithoutWarmPool => Ok(WarmPool::empty()),
        }
        .map_err(NodeError::WarmPool)?;
        let memory = match plan.memory {
            Some(budget) => NodeMemory::start(budget.as_u64(), warm.clone()),
            None => Ok(NodeMemory::unlimited()),
        }
        .map_err(NodeError::Memory)?;
        let outbound = egress::Client::new(egress::Options {
            io: io.handle().clone(),
            allow: plan.egress.clone(),
            extra_roots: Vec::new(),
        })
        .map_err(NodeError::Outbound)?;
        let outbound = Arc::new(outbound);
        let compilers = Compilers::start()
            .inspect_err(|error| {
                warn!(%error, "scripts are compiled in this process: one that the compiler dies of ends it");
            })
            .ok();
        Ok(Arc::new(Self {
            engine,
            services: Services {
                watchdog,
                outbound: outbound.clone(),
                recorder,
                admission: Admission::new(plan.server.max_queued),
                cores: Cores::new(cores),
                warm,
                memory,
                aborting: Arc::default(),
            },
            dev: mode == Mode::Dev,
            app: ArcSwapOption::empty(),
            outbound,
            io,
            compilers,
        }))
    }

    /// Where scripts are compiled.
    pub(super) fn compiler(&self) -> Compiler<'_> {
        match &self.compilers {
            Some(compilers) => Compiler::Elsewhere(compilers),
            None => Compiler::Here,
        }
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
        self.services.aborting.store(true, Ordering::Relaxed);
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
