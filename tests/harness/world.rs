//! What all trials of one run share.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use libtest_mimic::Trial;
use tokio::runtime::Runtime;

use super::origin::Origin;

/// The longest that any one trial may take. Far above what the slowest needs on a busy machine:
/// it turns a hang into a failure with a name.
const TRIAL_DEADLINE: Duration = Duration::from_secs(240);

/// The runtime that clients live on, the upstream server, and how this run was asked to behave.
pub(crate) struct World {
    runtime: Runtime,
    origin: Origin,
    bless: bool,
}

impl World {
    /// Starts the runtime and the upstream server.
    pub(crate) fn new() -> anyhow::Result<Arc<Self>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("no runtime")?;
        let origin = runtime.block_on(Origin::start())?;
        let bless = std::env::var_os("BLESS").is_some_and(|value| value == "1");
        Ok(Arc::new(Self {
            runtime,
            origin,
            bless,
        }))
    }

    /// A test that runs `body` on the shared runtime, under a deadline.
    pub(crate) fn trial<F, Fut>(self: &Arc<Self>, name: impl Into<String>, body: F) -> Trial
    where
        F: FnOnce(Arc<Self>) -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<()>>,
    {
        self.long_trial(name, TRIAL_DEADLINE, body)
    }

    /// The same, under a deadline of its own.
    pub(crate) fn long_trial<F, Fut>(
        self: &Arc<Self>,
        name: impl Into<String>,
        deadline: Duration,
        body: F,
    ) -> Trial
    where
        F: FnOnce(Arc<Self>) -> Fut + Send + 'static,
        Fut: Future<Output = anyhow::Result<()>>,
    {
        let world = Arc::clone(self);
        Trial::test(name, move || {
            let deadline = async {
                match tokio::time::timeout(deadline, body(Arc::clone(&world))).await {
                    Ok(result) => result,
                    Err(_) => bail!("not done after {deadline:?}"),
                }
            };
            world
                .runtime
                .block_on(deadline)
                .map_err(|error| format!("{error:#}").into())
        })
    }

    /// The upstream server that functions fetch from.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether expectations are to be rewritten to what is seen.
    pub(crate) fn bless(&self) -> bool {
        self.bless
    }
}

/// The folder of the checkout.
pub(crate) fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder `tests/NAME`.
pub(crate) fn tests_folder(name: &str) -> PathBuf {
    checkout().join("tests").join(name)
}

/// The folders directly inside `folder`, by name, in order.
pub(crate) fn subfolders(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// The last part of a path, as text.
pub(crate) fn name_of(path: &Path) -> anyhow::Result<&str> {
    path.file_name()
        .and_then(|name| name.to_str())
        .with_context(|| format!("{} has no usable name", path.display()))
}
