//! The file of a function's main module.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::spelling;

/// What can be a main module. A text or `.wasm` file can be imported by one.
pub(super) const EXTENSIONS: [&str; 6] = ["js", "mjs", "jsx", "ts", "mts", "tsx"];

/// A main module that exists and can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MainFile {
    /// As the file names it: absolute, links as they are. What they lead to may change.
    pub(crate) source: PathBuf,
    /// Absolute, links resolved: a deployment that is swapped by a link stays what it was until
    /// the next load.
    pub(crate) main: PathBuf,
    /// Its folder, which its modules stay in.
    pub(crate) root: PathBuf,
}

/// Why a path is no main module.
#[derive(Debug, thiserror::Error)]
pub(super) enum MainFault {
    /// Nothing there.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The path, absolute.
        path: PathBuf,
        /// What was probably meant.
        similar: Option<String>,
    },
    /// A folder.
    #[error("{} is a folder", path.display())]
    Folder {
        /// The path, absolute.
        path: PathBuf,
        /// The file in it that was probably meant.
        index: Option<String>,
    },
    /// Another kind of file.
    #[error("{} is not a JavaScript or TypeScript module", path.display())]
    Extension {
        /// The path, absolute.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The path, absolute.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
}

impl MainFault {
    /// What to write at the place in the file.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "no such file",
            Self::Folder { .. } => "a file is needed",
            Self::Extension { .. } => "cannot be a main module",
            Self::Unreadable { .. } => "cannot be read",
        }
    }

    /// What to do about it, where that is known.
    pub(super) fn fix(&self) -> Option<String> {
        match self {
            Self::Missing { similar, .. } => Some(match similar {
                Some(similar) => format!("there is `{similar}` in that folder"),
                None => "the path is relative to the folder of this file".to_owned(),
            }),
            Self::Folder { index, .. } => Some(match index {
                Some(index) => format!("there is `{index}` in it"),
                None => "name the file in it that exports the handler".to_owned(),
            }),
            Self::Extension { path } => Some(match extension(path) {
                "wasm" => "import it from a JavaScript module: it arrives as a \
                           WebAssembly.Module"
                    .to_owned(),
                "cjs" | "cts" => "write it as an ES module, with `export default`".to_owned(),
                _ => format!("known extensions: {}", spelling::listed(&EXTENSIONS)),
            }),
            Self::Unreadable { .. } => {
                Some("check that the user who runs Holm may read it".to_owned())
            }
        }
    }
}

/// Finds the main module at `path`, which is absolute.
pub(super) fn find(path: &Path) -> Result<MainFile, MainFault> {
    let unreadable = |cause| MainFault::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let metadata = fs::metadata(path).map_err(|cause| match cause.kind() {
        // `index.js/x` is missing too, to whoever wrote it.
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => MainFault::Missing {
            path: path.to_owned(),
            similar: similar(path),
        },
        _ => unreadable(cause),
    })?;
    if metadata.is_dir() {
        return Err(MainFault::Folder {
            path: path.to_owned(),
            index: index(path).and_then(|index| file_name(&index)),
        });
    }
    if !EXTENSIONS.contains(&extension(path)) {
        return Err(MainFault::Extension {
            path: path.to_owned(),
        });
    }
    if !metadata.is_file() {
        // Opening a pipe would wait for its other end for ever.
        let what = "it is a device, a pipe or a socket";
        return Err(unreadable(io::Error::other(what)));
    }
    let main = fs::canonicalize(path).map_err(unreadable)?;
    File::open(&main).map_err(unreadable)?;
    let root = main.parent().unwrap_or(&main).to_owned();
    Ok(MainFile {
        source: path.to_owned(),
        main,
        root,
    })
}

/// The module that stands for a folder: `index.js` and its like.
pub(super) fn index(folder: &Path) -> Option<PathBuf> {
    let candidates = EXTENSIONS.map(|extension| folder.join(format!("index.{extension}")));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

/// Whether a file can be a main module, judging by its name.
pub(crate) fn is_module(path: &Path) -> bool {
    EXTENSIONS.contains(&extension(path))
}

fn similar(path: &Path) -> Option<String> {
    let typed = file_name(path)?;
    let names: Vec<String> = fs::read_dir(path.parent()?)
        .ok()?
        .filter_map(|entry| file_name(&entry.ok()?.path()))
        .filter(|name| is_module(Path::new(name)))
        .collect();
    let stem = Path::new(&typed).file_stem();
    let same_stem = names
        .iter()
        .find(|name| Path::new(name).file_stem() == stem);
    let close = || spelling::closest(&typed, names.iter().map(String::as_str));
    same_stem.cloned().or_else(|| close().map(str::to_owned))
}

fn extension(path: &Path) -> &str {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.unwrap_or_default()
}

fn file_name(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_owned)
}
