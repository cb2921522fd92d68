//! Knowing when a file was saved that functions are made of, or could be.
//!
//! Folders are watched, because editors replace files; but only some of what happens in them matters. A
//! log that is written into one of them must not set off a reload, of which the log tells.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::time::Duration;

use notify::Event;
use notify::EventKind;
use notify::RecommendedWatcher;
use notify::RecursiveMode;
use notify::Watcher;
use notify::event::CreateKind;
use notify::event::ModifyKind;
use notify::event::RemoveKind;

use crate::config::is_module;

/// Silence that ends a burst of changes: editors write, rename and touch within it.
const SETTLE: Duration = Duration::from_millis(60);

/// Files that say what functions there are.
const LISTS: [&str; 2] = ["holm.toml", "package.json"];

/// Folders under watch, and the files in them that matter.
pub(super) struct Watch {
    watcher: RecommendedWatcher,
    changes: mpsc::Receiver<()>,
    files: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Watch {
    /// Watches nothing yet.
    pub(super) fn new() -> notify::Result<Self> {
        // One change is as good as many: a full channel need not grow.
        let (sender, changes) = mpsc::sync_channel(1);
        let files: Arc<Mutex<BTreeSet<PathBuf>>> = Arc::default();
        let of_watcher = files.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let does_matter = event.is_ok_and(|event| {
                let files = of_watcher.lock().unwrap_or_else(PoisonError::into_inner);
                matters(&event, &files)
            });
            if does_matter {
                let _ = sender.try_send(());
            }
        })?;
        Ok(Self {
            watcher,
            changes,
            files,
        })
    }

    /// Watches these folders as well, for functions that come and go.
    pub(super) fn folders(
        &mut self,
        folders: impl IntoIterator<Item = PathBuf>,
    ) -> notify::Result<()> {
        for folder in folders {
            // Each folder has one name here, so that the watcher knows it under one.
            let Ok(folder) = fs::canonicalize(&folder) else {
                // It will be seen when somebody makes it.
                continue;
            };
            // One that is watched already may have been made anew.
            self.watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(())
    }

    /// Watches the files that functions are made of: these, and no longer those of before.
    pub(super) fn files(&mut self, files: impl IntoIterator<Item = PathBuf>) -> notify::Result<()> {
        let mut all = BTreeSet::new();
        for file in files {
            // What a link leads to may change, and the link itself.
            all.extend(fs::canonicalize(&file));
            let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
                continue;
            };
            all.extend(fs::canonicalize(folder).map(|folder| folder.join(name)));
        }
        let folders: BTreeSet<PathBuf> = all
            .iter()
            .filter_map(|file| file.parent().map(Path::to_owned))
            .collect();
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = all;
        self.folders(folders)
    }

    /// Waits for a change, and for the end of the burst that it belongs to.
    pub(super) fn changed(&self) {
        if self.changes.recv().is_err() {
            return;
        }
        while self.changes.recv_timeout(SETTLE).is_ok() {}
    }
}

/// Whether functions may be others after this, `files` being what they are made of.
fn matters(event: &Event, files: &BTreeSet<PathBuf>) -> bool {
    if event.need_rescan() {
        return true;
    }
    let comes_or_goes = match event.kind {
        EventKind::Access(_) => return false,
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
            true
        }
        EventKind::Any | EventKind::Modify(_) | EventKind::Other => false,
    };
    let is_folder = matches!(
        event.kind,
        EventKind::Create(CreateKind::Folder) | EventKind::Remove(RemoveKind::Folder)
    );
    event.paths.iter().any(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        files.contains(path)
            || name.is_some_and(|name| LISTS.contains(&name))
            || (comes_or_goes && (is_folder || is_module(path) || path.is_dir()))
    })
}

#[cfg(test)]
mod tests {
    use notify::event::AccessKind;
    use notify::event::DataChange;
    use notify::event::RenameMode;

    use super::*;

    #[test]
    fn only_what_functions_are_or_could_be_made_of_matters() {
        let files = BTreeSet::from(["/a/index.js".into(), "/a/text.txt".into()]);
        let written = EventKind::Modify(ModifyKind::Data(DataChange::Content));
        let made = EventKind::Create(CreateKind::File);
        let gone = EventKind::Remove(RemoveKind::File);
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let read = EventKind::Access(AccessKind::Any);
        for (kind, path, expected) in [
            (written, "/a/index.js", true),
            (written, "/a/text.txt", true),
            (gone, "/a/text.txt", true),
            (read, "/a/index.js", false),
            (written, "/a/dev.log", false),
            (made, "/a/dev.log", false),
            (written, "/a/other.txt", false),
            (written, "/a/other.js", false),
            (made, "/a/other.js", true),
            (renamed, "/a/other.ts", true),
            (gone, "/a/other.js", true),
            (written, "/a/holm.toml", true),
            (written, "/a/package.json", true),
            (EventKind::Create(CreateKind::Folder), "/a/b", true),
        ] {
            let event = Event::new(kind).add_path(path.into());
            assert_eq!(matters(&event, &files), expected, "{kind:?} {path}");
        }
    }
}
