//! What is wrong with a folder of assets: where, what, and what to do.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use holm_model::visible::visible_line;

/// Problems that are told one by one.
const TOLD: usize = 20;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    path: PathBuf,
    place: String,
    what: String,
    fix: String,
}

impl Fault {
    /// Of the file or folder at `path`.
    pub(super) fn at(path: &Path, what: impl fmt::Display, fix: impl Into<String>) -> Self {
        Self::new(path, path.display().to_string(), what, fix)
    }

    /// Of a line of the file at `path`, counted from 1.
    pub(super) fn on(
        path: &Path,
        line: usize,
        what: impl fmt::Display,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(path, format!("{}:{line}", path.display()), what, fix)
    }

    fn new(path: &Path, place: String, what: impl fmt::Display, fix: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            place: visible_line(&place).into_owned(),
            what: visible_line(&what.to_string()).into_owned(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path: _,
            place,
            what,
            fix,
        } = self;
        write!(f, "{place}: {what} ({fix})")
    }
}

/// Everything that is wrong with a folder. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Faults(pub(super) Vec<Fault>);

impl Faults {
    /// Where it may be mended.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|fault| fault.path.as_path())
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.0.iter().take(TOLD).enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        match self.0.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}
