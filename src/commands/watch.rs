//! Knowing when a file was saved.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use notify::EventKind;
use notify::RecommendedWatcher;
use notify::RecursiveMode;
use notify::Watcher;

/// Silence that ends a burst of changes: editors write, rename and touch within it.
const SETTLE: Duration = Duration::from_millis(60);

/// Folders under watch. Folders, because editors replace files.
pub(super) struct Watch {
    watcher: RecommendedWatcher,
    changes: mpsc::Receiver<()>,
    folders: BTreeSet<PathBuf>,
}

impl Watch {
    /// Watches nothing yet.
    pub(super) fn new() -> notify::Result<Self> {
        // One change is as good as many: a full channel need not grow.
        let (sender, changes) = mpsc::sync_channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let relevant = match &event {
                Ok(event) => !matches!(event.kind, EventKind::Access(_)),
                Err(_) => true,
            };
            if relevant {
                let _ = sender.try_send(());
            }
        })?;
        Ok(Self {
            watcher,
            changes,
            folders: BTreeSet::new(),
        })
    }

    /// Watches the folders of `files` as well.
    pub(super) fn add(&mut self, files: impl IntoIterator<Item = PathBuf>) -> notify::Result<()> {
        for file in files {
            let folder = if file.is_dir() {
                file
            } else {
                file.parent().map(Path::to_path_buf).unwrap_or_default()
            };
            if self.folders.insert(folder.clone()) {
                self.watcher.watch(&folder, RecursiveMode::NonRecursive)?;
            }
        }
        Ok(())
    }

    /// Waits for a change, and for the end of the burst that it belongs to.
    pub(super) fn changed(&self) {
        if self.changes.recv().is_err() {
            return;
        }
        while self.changes.recv_timeout(SETTLE).is_ok() {}
    }
}
