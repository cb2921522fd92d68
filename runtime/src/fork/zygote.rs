//! The process that all others are forked from.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use holm_model::message::Purpose;
use holm_process::lifeline::Anchor;
use holm_process::memory;
use holm_process::sandbox::Layers;
use holm_process::sandbox::Mode;
use holm_process::spawn;
use holm_process::spawn::Process;
use holm_process::spawn::SpawnError;
use holm_process::spawn::ZygoteProcess;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tracing::error;
use tracing::warn;

use super::ForkError;
use super::control::Control;

/// The only argument of the program when it is a zygote. No command is called like that.
pub const ARGUMENT: &str = "--zygote";

/// The environment variable that tells a zygote how it is to be confined.
pub const SANDBOX: &str = "HOLM_SANDBOX";

/// How long a zygote may take to be ready, on a debug build and a busy machine.
const READY: Duration = Duration::from_secs(20);

/// How long one serves: what is forked from it shares its address layout and its hash seeds.
const LIFE: Duration = Duration::from_secs(60 * 60);

/// Time before it is tried again to start one.
const PAUSE: Duration = Duration::from_millis(100);

/// The node's zygote, whichever it is at the moment. Clones share it.
#[derive(Clone, Debug)]
pub struct Zygote {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    anchor: Anchor,
    mode: Mode,
    layers: Layers,
    current: Mutex<Arc<Generation>>,
    /// The same, for who only looks: the other is held while one is started.
    latest: std::sync::Mutex<Arc<Generation>>,
    generations: AtomicU64,
    deaths: AtomicU64,
}

/// One process.
#[derive(Debug)]
struct Generation {
    process: ZygoteProcess,
    control: Control,
    since: Instant,
    /// Bytes that it holds. It does nothing but fork, so that does not change much.
    bytes: u64,
}

impl Zygote {
    /// Starts the process, and waits until it serves. `io` is where answers are read.
    ///
    /// # Errors
    /// The system does not let it, or a layer of the sandbox is missing that is required.
    pub fn start(io: &Handle, mode: Mode) -> Result<Self, SpawnError> {
        let anchor = Anchor::new()?;
        let (process, layers) = launch(&anchor, mode)?;
        let generation = {
            let _inside = io.enter();
            Generation::new(process)?
        };
        let generation = Arc::new(generation);
        let shared = Arc::new(Shared {
            anchor,
            mode,
            layers,
            latest: std::sync::Mutex::new(generation.clone()),
            current: Mutex::new(generation),
            generations: AtomicU64::new(1),
            deaths: AtomicU64::new(0),
        });
        io.spawn(keep(Arc::downgrade(&shared)));
        Ok(Self { shared })
    }

    /// What confines the processes.
    pub fn layers(&self) -> &Layers {
        &self.shared.layers
    }

    /// Whether there is one now: not while it is started again.
    pub fn is_there(&self) -> bool {
        !self.shared.latest().control.is_gone()
    }

    /// How many there have been, this one included.
    pub fn starts(&self) -> u64 {
        self.generation()
    }

    /// How many of them died; the others were renewed.
    pub fn deaths(&self) -> u64 {
        self.shared.deaths.load(Ordering::Relaxed)
    }

    /// The end of everything that was forked.
    pub(crate) fn anchor(&self) -> &Anchor {
        &self.shared.anchor
    }

    /// Bytes that it holds.
    pub(crate) async fn memory(&self) -> u64 {
        let current = self.shared.current.lock().await.clone();
        current.bytes
    }

    /// How many there have been: what was forked from an earlier one has another address layout.
    pub(crate) fn generation(&self) -> u64 {
        self.shared.generations.load(Ordering::Relaxed)
    }

    /// One more process, called `name`, with `fds`.
    ///
    /// # Errors
    /// [`ForkError`]; a zygote that is gone is started again before there is one.
    pub async fn fork(
        &self,
        purpose: Purpose,
        name: &str,
        fds: &[OwnedFd],
    ) -> Result<Process, ForkError> {
        let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
        let mut generation = self.shared.current.lock().await.clone();
        for attempt in 0.. {
            let control = &generation.control;
            match control.fork(self.anchor(), purpose, name, &fds).await {
                Ok(frame) => return Ok(spawn::answer(frame)?),
                Err(ForkError::Gone) if attempt < 2 => {
                    generation = self.shared.revive().await?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(ForkError::Gone)
    }
}

impl Generation {
    fn new(process: ZygoteProcess) -> Result<Self, SpawnError> {
        let control = Control::new(process.control().share()?)?;
        Ok(Self {
            bytes: memory::own(process.pid()).unwrap_or(0),
            process,
            control,
            since: Instant::now(),
        })
    }
}

impl Shared {
    fn latest(&self) -> MutexGuard<'_, Arc<Generation>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A zygote that is there: a new one if the last is gone, or has served for long.
    async fn revive(&self) -> Result<Arc<Generation>, ForkError> {
        let mut current = self.current.lock().await;
        let is_gone = current.control.is_gone();
        if !is_gone && current.since.elapsed() < LIFE {
            return Ok(current.clone());
        }
        if is_gone {
            error!(pid = %current.process.pid(), "the zygote is gone; another one is started");
        }
        let launched = tokio::task::block_in_place(|| launch(&self.anchor, self.mode));
        match launched.map(|(process, _)| Generation::new(process)) {
            Ok(Ok(next)) => {
                // What was forked from the last one lives on.
                *current = Arc::new(next);
                *self.latest() = current.clone();
                self.deaths.fetch_add(u64::from(is_gone), Ordering::Relaxed);
                self.generations.fetch_add(1, Ordering::Relaxed);
                Ok(current.clone())
            }
            Ok(Err(error)) | Err(error) if is_gone => Err(error.into()),
            Ok(Err(error)) | Err(error) => {
                warn!(%error, "the zygote could not be renewed; the old one serves on");
                Ok(current.clone())
            }
        }
    }
}

/// Starts another zygote as soon as one is gone, or has served for long, whether or not somebody asks.
async fn keep(shared: Weak<Shared>) {
    loop {
        let Some(current) = current(&shared).await else {
            return;
        };
        let old = current.since + LIFE;
        tokio::select! {
            () = current.control.gone() => {}
            () = tokio::time::sleep_until(old.into()) => {}
        }
        let Some(shared) = shared.upgrade() else {
            return;
        };
        if let Err(error) = shared.revive().await {
            error!(%error, "there is no zygote: no function can start");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn current(shared: &Weak<Shared>) -> Option<Arc<Generation>> {
    Some(shared.upgrade()?.current.lock().await.clone())
}

fn launch(anchor: &Anchor, mode: Mode) -> Result<(ZygoteProcess, Layers), SpawnError> {
    let mode = match mode {
        Mode::Auto => "auto",
        Mode::Require => "require",
        Mode::Off => "off",
    };
    let process = spawn::spawn(anchor, [ARGUMENT], &[(SANDBOX, mode)])?;
    let layers = process.ready(READY)?;
    Ok((process, layers))
}
