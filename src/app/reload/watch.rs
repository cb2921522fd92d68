//! Knowing when a file was saved that functions are made of, or could be.
//!
//! Folders are watched, because editors replace files; but only some of what happens in them matters. A
//! log that is written into one of them must not set off a reload, of which the log tells.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use notify::ErrorKind;
use notify::Event;
use notify::EventKind;
use notify::RecommendedWatcher;
use notify::RecursiveMode;
use notify::Watcher;
use notify::event::CreateKind;
use notify::event::ModifyKind;
use notify::event::RemoveKind;

use tracing::warn;

use super::source::Source;
use super::stamp::trail;
use super::turns::Turns;
use crate::assets::WELL_KNOWN;
use crate::config::is_module;

/// Files that say what functions there are.
const LISTS: [&str; 2] = ["holm.toml", "package.json"];

/// What matters of what happens in the folders that are watched.
#[derive(Debug, Default)]
struct Matter {
    files: BTreeSet<PathBuf>,
    /// Folders that have files to serve: whatever comes into them may be one more.
    folders: BTreeSet<PathBuf>,
}

/// What is under watch.
pub(super) struct Watch {
    turns: Arc<Turns>,
    is_dev: bool,
    /// Nothing where the file says so, or where the system does not let us.
    watcher: Option<RecommendedWatcher>,
    /// Folders that the watcher has.
    folders: BTreeSet<PathBuf>,
    matter: Arc<Mutex<Matter>>,
    /// It has been said that the system does not.
    is_told: bool,
}

impl Watch {
    /// Watches nothing yet. Changes are told to `turns`.
    pub(super) fn new(turns: Arc<Turns>, is_dev: bool) -> Self {
        Self {
            turns,
            is_dev,
            watcher: None,
            folders: BTreeSet::new(),
            matter: Arc::default(),
            is_told: false,
        }
    }

    /// Watches what decides of `source`, these files of functions, and what comes and goes in these folders, and
    /// nothing else; nothing at all unless `is_wanted`. Returns whether some of it was not watched before.
    pub(super) fn only(
        &mut self,
        source: &Source,
        files: &[PathBuf],
        served: &[PathBuf],
        is_wanted: bool,
    ) -> bool {
        if !is_wanted {
            self.watcher = None;
            self.folders.clear();
            return false;
        }
        let wanted = names(source, files.iter().map(PathBuf::as_path));
        let is_more = {
            let mut matter = self.matter.lock().unwrap_or_else(PoisonError::into_inner);
            let served: BTreeSet<PathBuf> = served.iter().cloned().collect();
            let is_more = !wanted.is_subset(&matter.files) || !served.is_subset(&matter.folders);
            matter.files.clone_from(&wanted);
            matter.folders = served;
            is_more
        };
        let mut folders = folders(source, &wanted);
        folders.extend(served.iter().cloned());
        let (gone, watcher) = (self.folders.difference(&folders), &mut self.watcher);
        for folder in gone {
            // It goes with its folder.
            let _ = watcher.as_mut().map(|watcher| watcher.unwatch(folder));
        }
        self.follow(folders);
        is_more && self.watcher.is_some()
    }

    /// Watches these files as well, in which something may be mended.
    pub(super) fn also<'a>(&mut self, source: &'a Source, files: impl Iterator<Item = &'a Path>) {
        if self.watcher.is_none() {
            return;
        }
        let wanted = names(source, files);
        let mut folders = folders(source, &wanted);
        folders.extend(self.folders.iter().cloned());
        let is_more = {
            let mut matter = self.matter.lock().unwrap_or_else(PoisonError::into_inner);
            let is_more = !wanted.is_subset(&matter.files);
            matter.files.extend(wanted);
            is_more
        };
        self.follow(folders);
        if is_more {
            self.turns.look_again();
        }
    }

    fn follow(&mut self, folders: BTreeSet<PathBuf>) {
        if let Err(error) = self.try_to_follow(&folders) {
            self.watcher = None;
            self.folders.clear();
            if !std::mem::replace(&mut self.is_told, true) {
                warn!(%error, "files cannot be watched; SIGHUP has them read again");
            }
            return;
        }
        self.folders = folders;
    }

    fn try_to_follow(&mut self, folders: &BTreeSet<PathBuf>) -> notify::Result<()> {
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            empty => empty.insert(watcher(&self.turns, &self.matter, self.is_dev)?),
        };
        for folder in folders {
            // One that is watched already may have been made anew; one that is gone will be seen when somebody
            // makes it.
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => {}
                Err(error) if is_absent(&error) => {}
                watched => watched?,
            }
        }
        Ok(())
    }
}

fn is_absent(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

fn watcher(
    turns: &Arc<Turns>,
    matter: &Arc<Mutex<Matter>>,
    is_dev: bool,
) -> notify::Result<RecommendedWatcher> {
    let (turns, matter) = (turns.clone(), matter.clone());
    notify::recommended_watcher(move |event: notify::Result<Event>| {
        let does_matter = event.is_ok_and(|event| {
            let matter = matter.lock().unwrap_or_else(PoisonError::into_inner);
            matters(&event, &matter, is_dev)
        });
        if does_matter {
            turns.file_changed();
        }
    })
}

/// All names that decide what is found at these files, and at the one of `source`.
fn names<'a>(source: &'a Source, files: impl Iterator<Item = &'a Path>) -> BTreeSet<PathBuf> {
    let file = source.file();
    let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
    let base = if folder == Path::new("") {
        Path::new(".")
    } else {
        folder
    };
    let base = base.canonicalize().unwrap_or_else(|_| base.to_owned());
    let absolute = |file: &Path| std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let all = file.into_iter().chain(files);
    all.flat_map(|file| trail(&absolute(file), &base)).collect()
}

/// The folders to be watched for them.
fn folders(source: &Source, names: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let of_source = source.folders();
    // Each folder has one name here, so that the watcher knows it under one.
    let of_source = of_source
        .iter()
        .filter_map(|folder| folder.canonicalize().ok());
    let of_names = names.iter().filter_map(|name| name.parent());
    of_names.map(Path::to_owned).chain(of_source).collect()
}

/// Whether functions may be others after this, `matter` being what they are made of; `is_dev`: new ones are
/// found by themselves.
fn matters(event: &Event, matter: &Matter, is_dev: bool) -> bool {
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
        matter.files.contains(path)
            || (comes_or_goes && is_served_in(&matter.folders, path))
            || (is_dev && name.is_some_and(|name| LISTS.contains(&name)))
            || (is_dev && comes_or_goes && (is_folder || is_module(path) || path.is_dir()))
    })
}

/// Whether a file at `path` would be served. Hidden ones are not, such as editors keep beside others.
fn is_served_in(folders: &BTreeSet<PathBuf>, path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let is_hidden = name.is_some_and(|name| name.starts_with('.') && name != WELL_KNOWN);
    !is_hidden && path.parent().is_some_and(|folder| folders.contains(folder))
}

#[cfg(test)]
mod tests {
    use notify::event::AccessKind;
    use notify::event::DataChange;
    use notify::event::RenameMode;

    use super::*;

    #[test]
    fn only_what_functions_are_or_could_be_made_of_matters() {
        let matter = Matter {
            files: BTreeSet::from(["/a/index.js".into(), "/a/text.txt".into()]),
            folders: BTreeSet::from(["/a/public".into()]),
        };
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
            assert_eq!(matters(&event, &matter, true), expected, "{kind:?} {path}");
            let is_known = expected && matter.files.contains(Path::new(path));
            assert_eq!(matters(&event, &matter, false), is_known, "{kind:?} {path}");
        }
        for (kind, path, expected) in [
            (made, "/a/public/new.css", true),
            (gone, "/a/public/old.css", true),
            (EventKind::Create(CreateKind::Folder), "/a/public/b", true),
            (made, "/a/public/.well-known", true),
            (made, "/a/public/.new.css.swp", false),
            (written, "/a/public/new.css", false),
            (read, "/a/public/new.css", false),
            (made, "/a/public/b/new.css", false),
        ] {
            let event = Event::new(kind).add_path(path.into());
            assert_eq!(matters(&event, &matter, false), expected, "{kind:?} {path}");
        }
    }
}
