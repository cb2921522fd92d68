//! Why a function does not start.

use std::fmt;
use std::path::PathBuf;

use holm_graph::GraphError;
use holm_model::start::StartError;

use crate::assets::Faults;

/// A function that does not start, and why.
#[derive(Debug)]
pub(crate) struct FunctionProblem {
    pub(super) function: String,
    pub(super) main: PathBuf,
    pub(super) why: Why,
}

#[derive(Debug)]
pub(super) enum Why {
    Graph(GraphError),
    Assets(Faults),
    Start {
        error: StartError,
        frame: Option<String>,
        files: Vec<PathBuf>,
    },
    Task,
}

impl FunctionProblem {
    /// The files in which it may be mended.
    pub(crate) fn watched(&self) -> Vec<PathBuf> {
        match &self.why {
            Why::Graph(error) => error.watch_paths().map(PathBuf::from).collect(),
            Why::Assets(faults) => faults.paths().map(PathBuf::from).collect(),
            Why::Start { files, .. } => files.clone(),
            Why::Task => Vec::new(),
        }
    }
}

impl fmt::Display for FunctionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (function, main) = (&self.function, self.main.display());
        write!(f, "function {function} ({main}) does not start: ")?;
        match &self.why {
            Why::Graph(error) => write!(f, "{error}"),
            Why::Assets(faults) => write!(f, "its assets cannot be served:\n{faults}"),
            Why::Start { error, frame, .. } => {
                write!(f, "{error}")?;
                match frame {
                    Some(frame) => write!(f, "\n\n{frame}"),
                    None => Ok(()),
                }
            }
            Why::Task => f.write_str("loading it failed inside Holm"),
        }
    }
}
