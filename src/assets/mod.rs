//! Static assets: the files beside a function, which the edge serves without it.
//!
//! [`Assets`] is one folder as it was when its function was loaded: which files there are, their types and their
//! validators, and the rules of `_headers` and `_redirects`. It does not change; a reload makes another one. A file
//! that has changed on the disk since then is sent as it is now, whole and without a validator, and one that is new is
//! not there yet.
//!
//! - [`folder`]: reads the folder; opens files in it, and nothing outside
//! - [`find`]: path → file; [`pattern`], [`headers`], [`redirects`]: the rules
//! - [`negotiate`]: conditions, ranges and codings; [`answer`]: all of it together
//! - [`read`]: what is in a file, piece by piece; [`binding`]: `env.ASSETS.fetch()`
//! - [`fault`]: what is wrong with a folder
//!
//! Not by tower-http's `ServeDir` or `hyper-staticfile`: both follow links out of the folder, serve hidden files and
//! have validators made of time and size, if any, and neither has a set that stays what it was.

mod answer;
mod binding;
mod fault;
mod find;
mod folder;
#[cfg(fuzzing)]
pub mod fuzz;
mod headers;
mod negotiate;
mod pattern;
mod read;
mod redirects;

use std::path::PathBuf;
use std::sync::Arc;

use self::fault::Fault;
use self::folder::Folder;
use crate::config::AssetsPlan;

pub(crate) use self::answer::Answer;
pub(crate) use self::answer::Asked;
pub(crate) use self::answer::Content;
pub(crate) use self::binding::Binding;
pub(crate) use self::binding::outbound;
pub(crate) use self::fault::Faults;
pub(crate) use self::folder::WELL_KNOWN;
pub(crate) use self::read::ReadError;
pub(crate) use self::read::Reading;
pub(crate) use self::read::Reads;

/// The methods that files have an answer to.
pub(crate) const METHODS: &str = "GET, HEAD";

/// The files beside one function. Immutable.
#[derive(Debug)]
pub(crate) struct Assets {
    plan: AssetsPlan,
    folder: Folder,
    reads: Reads,
}

impl Assets {
    /// Reads the folder of `plan`; blocks. What `before` knows of files that have not changed is taken over; it is
    /// `before` itself if nothing has.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn load(
        plan: &AssetsPlan,
        reads: Reads,
        before: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Faults> {
        let before = before.filter(|before| before.plan.dir == plan.dir);
        let folder = Folder::read(&plan.dir, before.map(|before| &before.folder));
        let mut faults = match &folder {
            Ok(_) => Vec::new(),
            Err(faults) => faults.clone(),
        };
        if let Ok(folder) = &folder {
            faults.extend(lacks(plan, folder));
        }
        if let (Ok(folder), Some(before)) = (&folder, before)
            && before.plan == *plan
            && folder.is_same(&before.folder)
        {
            return Ok(before.clone());
        }
        match folder {
            Ok(folder) if faults.is_empty() => Ok(Arc::new(Self {
                plan: plan.clone(),
                folder,
                reads,
            })),
            Ok(_) | Err(_) => Err(Faults(faults)),
        }
    }

    /// The folder, absolute, and all in it that may have files to serve.
    pub(crate) fn folders(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let folders = self.folder.folders.iter();
        folders.map(|folder| self.plan.dir.join(&**folder))
    }

    /// The files in it, and those of its rules, whether they are there or not.
    pub(crate) fn paths(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let files = self.folder.files.values().map(|asset| &*asset.path);
        let all = files.chain(["_headers", "_redirects"]);
        all.map(|path| self.plan.dir.join(path))
    }
}

/// The page that `plan` wants to be there.
fn lacks(plan: &AssetsPlan, folder: &Folder) -> Option<Fault> {
    let page = plan.not_found.page()?;
    if folder.get(page).is_some() {
        return None;
    }
    let what = format!("it has no `{page}`, which `not_found` asks for");
    let fix = "write that file, or `not_found = \"none\"`";
    Some(Fault::at(&plan.dir, what, fix))
}
