//! What is known of reloads: plain data, for whoever shows it.

use std::sync::Arc;
use std::time::SystemTime;

/// Bytes of the text of a problem that are kept.
const TEXT: usize = 16 << 10;

/// Reloads since the process started, and what they came to. The start itself is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReloadState {
    /// Those that were applied, functions that do not start or not.
    pub(crate) applied: u64,
    /// Those that were refused: nothing has changed by them.
    pub(crate) refused: u64,
    /// When the last one was applied; nothing before the first.
    pub(crate) applied_at: Option<SystemTime>,
    /// The last that went wrong with one, if anything has.
    pub(crate) last_problem: Option<LastProblem>,
    /// The files are not what is served: the last one was refused, or a function of it does not start.
    pub(crate) is_behind: bool,
    /// The functions that are served, in the order of the file.
    pub(crate) functions: Vec<FunctionState>,
}

/// What went wrong, and when.
#[derive(Clone, Debug)]
pub(crate) struct LastProblem {
    /// When.
    pub(crate) at: SystemTime,
    /// In the words of the log, a line for each problem.
    pub(crate) text: Arc<str>,
}

impl LastProblem {
    pub(super) fn now(lines: &[String]) -> Self {
        let mut text = lines.join("\n");
        text.truncate(text.floor_char_boundary(TEXT));
        Self {
            at: SystemTime::now(),
            text: text.into(),
        }
    }
}

/// A function as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FunctionState {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// The version that answers; nothing if none does.
    pub(crate) version: Option<Arc<str>>,
    /// Why it does not start, as its files are now.
    pub(crate) problem: Option<Arc<str>>,
    /// What answers is older than its files, which do not start.
    pub(crate) is_older: bool,
}
