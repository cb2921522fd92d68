//! Whether files have changed, without reading them.
//!
//! A file is reached by a trail of names: links, what they lead to, folders that may be replaced. Any of them
//! may be another one the next time, as when Kubernetes moves `..data` from one folder to the next.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Links that are followed on the way to one file, as Linux does.
const MAX_LINKS: usize = 40;

/// A file that was changed so shortly before it was read may have been changed once more behind that, without
/// another time: that of files goes forward by ticks of the kernel, of 10 ms at most.
const TICK: Duration = Duration::from_millis(20);

/// The names that decide what is found at `path`, each in a folder without links: every link on the way, folders
/// below `base`, the file itself. It ends where something is missing.
pub(super) fn trail(path: &Path, base: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    let mut here = PathBuf::from("/");
    let mut left: VecDeque<OsString> = parts(path);
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&part);
        let Ok(metadata) = fs::symlink_metadata(&next) else {
            names.push(next);
            break;
        };
        if metadata.is_symlink() {
            links += 1;
            let Ok(target) = fs::read_link(&next) else {
                break;
            };
            names.push(next);
            if links > MAX_LINKS {
                break;
            }
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            for part in parts(&target).into_iter().rev() {
                left.push_front(part);
            }
            continue;
        }
        if !metadata.is_dir() || (next != base && next.starts_with(base)) {
            names.push(next.clone());
        }
        here = next;
    }
    names
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(part) => Some(part.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// What files looked like when they were read.
#[derive(Debug)]
pub(in crate::app) struct Stamp {
    names: Vec<(PathBuf, Mark)>,
    folders: Vec<(PathBuf, Mark)>,
}

/// What one name led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Nothing,
    Folder {
        device: u64,
        number: u64,
    },
    /// A folder, with what is in it.
    Listing {
        device: u64,
        number: u64,
        changed: (i64, i64),
    },
    /// A file or a link. Nobody sets the time of its last change but the kernel.
    File {
        device: u64,
        number: u64,
        length: u64,
        changed: (i64, i64),
    },
}

impl Mark {
    fn of(path: &Path) -> Self {
        match fs::symlink_metadata(path) {
            Err(_) => Self::Nothing,
            Ok(metadata) if metadata.is_dir() => Self::Folder {
                device: metadata.dev(),
                number: metadata.ino(),
            },
            Ok(metadata) => Self::File {
                device: metadata.dev(),
                number: metadata.ino(),
                length: metadata.len(),
                changed: changed(&metadata),
            },
        }
    }
}

/// Of a folder, with what is in it.
fn listing(path: &Path) -> Mark {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Mark::Listing {
            device: metadata.dev(),
            number: metadata.ino(),
            changed: changed(&metadata),
        },
        Ok(_) | Err(_) => Mark::Nothing,
    }
}

fn changed(metadata: &Metadata) -> (i64, i64) {
    (metadata.ctime(), metadata.ctime_nsec())
}

impl Stamp {
    /// Of files that were read, and folders that were listed, at `since` or later. Nothing if one of them may
    /// have changed since.
    pub(in crate::app) fn take(
        files: &[PathBuf],
        folders: &[PathBuf],
        base: &Path,
        since: SystemTime,
    ) -> Option<Self> {
        let names: BTreeSet<PathBuf> = files.iter().flat_map(|file| trail(file, base)).collect();
        let newest = since.checked_sub(TICK)?.duration_since(UNIX_EPOCH).ok()?;
        let newest = (
            i64::try_from(newest.as_secs()).ok()?,
            i64::from(newest.subsec_nanos()),
        );
        let old = |(name, mark): (PathBuf, Mark)| match mark {
            Mark::File { changed, .. } | Mark::Listing { changed, .. } if changed >= newest => None,
            Mark::Nothing | Mark::Folder { .. } | Mark::Listing { .. } | Mark::File { .. } => {
                Some((name, mark))
            }
        };
        let names = names.into_iter().map(|name| {
            let mark = Mark::of(&name);
            old((name, mark))
        });
        let folders = folders
            .iter()
            .map(|folder| old((folder.clone(), listing(folder))));
        Some(Self {
            names: names.collect::<Option<_>>()?,
            folders: folders.collect::<Option<_>>()?,
        })
    }

    /// Whether they look like that now.
    pub(in crate::app) fn is_current(&self) -> bool {
        let is_listed = |(path, mark): &(PathBuf, Mark)| listing(path) == *mark;
        self.names
            .iter()
            .all(|(path, mark)| Mark::of(path) == *mark)
            && self.folders.iter().all(is_listed)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Behind the time in which a change might go unseen.
    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_secs(60)
    }

    #[test]
    fn every_link_and_folder_on_the_way_counts() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let base = folder.path().canonicalize()?;
        fs::create_dir_all(base.join("..1/sub"))?;
        fs::write(base.join("..1/sub/a.js"), "one")?;
        symlink("..1", base.join("..data"))?;
        symlink("..data/sub/a.js", base.join("a.js"))?;
        let expected = ["a.js", "..data", "..1", "..1/sub", "..1/sub/a.js"];
        let expected: Vec<PathBuf> = expected.iter().map(|name| base.join(name)).collect();
        assert_eq!(trail(&base.join("a.js"), &base), expected);
        let missing = trail(&base.join("sub/../x/y.js"), &base);
        assert_eq!(missing, [base.join("sub")]);
        Ok(())
    }

    #[test]
    fn links_in_a_circle_end() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let base = folder.path().canonicalize()?;
        symlink("b", base.join("a"))?;
        symlink("a", base.join("b"))?;
        assert!(trail(&base.join("a"), &base).len() <= MAX_LINKS + 1);
        Ok(())
    }

    #[test]
    fn a_change_is_seen_whatever_it_keeps() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let base = folder.path().canonicalize()?;
        let file = base.join("a.js");
        fs::write(&file, "one")?;
        let files = [file.clone()];
        let stamp = Stamp::take(&files, &[], &base, later()).expect("old enough");
        assert!(stamp.is_current());
        // Another file of the same length.
        fs::write(base.join("draft"), "two")?;
        fs::rename(base.join("draft"), &file)?;
        assert!(!stamp.is_current());
        let stamp = Stamp::take(&files, &[], &base, later()).expect("old enough");
        fs::remove_file(&file)?;
        assert!(!stamp.is_current());
        Ok(())
    }

    #[test]
    fn what_comes_into_a_folder_is_a_change() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let base = folder.path().canonicalize()?;
        let public = base.join("public");
        fs::create_dir(&public)?;
        let folders = [public.clone()];
        let stamp = Stamp::take(&[], &folders, &base, later()).expect("old enough");
        assert!(stamp.is_current());
        fs::write(public.join("new.txt"), "new")?;
        assert!(!stamp.is_current());
        let stamp = Stamp::take(&[], &folders, &base, later()).expect("old enough");
        fs::remove_dir_all(&public)?;
        assert!(!stamp.is_current());
        Ok(())
    }

    #[test]
    fn what_has_just_been_written_is_read_again() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let base = folder.path().canonicalize()?;
        let file = base.join("a.js");
        let since = SystemTime::now();
        fs::write(&file, "one")?;
        assert!(Stamp::take(&[file], &[], &base, since).is_none());
        Ok(())
    }
}
