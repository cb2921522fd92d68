//! Where cells come from: the node's side of the zygote and of templates.
//!
//! - [`control`]: asking a process for copies of itself, without waiting for one before the next is asked for
//! - [`zygote`]: the process that all others come from, started again when it is gone
//! - [`template`]: a function that has started, to be copied

pub(crate) mod control;
pub(crate) mod template;
pub mod zygote;

use holm_process::bounds;
use holm_process::descriptors;
use holm_process::passing::PassingError;
use holm_process::spawn::SpawnError;

/// Why there is no process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForkError {
    /// The process to fork from is gone.
    #[error("the process to fork from is gone")]
    Gone,
    /// There is no descriptor left for it.
    #[error("no descriptor is left for it (RLIMIT_NOFILE)")]
    Descriptors,
    /// The system refuses.
    #[error("{0}")]
    Refused(String),
}

impl From<SpawnError> for ForkError {
    fn from(error: SpawnError) -> Self {
        use holm_process::ForkFailure;
        match error {
            SpawnError::Gone => Self::Gone,
            SpawnError::Failed(failure @ ForkFailure::Processes) => {
                let bound = bounds::tightest();
                let bound = bound.map_or(String::new(), |bound| format!(": {bound}"));
                Self::Refused(format!("{failure}{bound}"))
            }
            SpawnError::Passing(PassingError::LostFds) => Self::Descriptors,
            SpawnError::Failed(failure) => Self::Refused(failure.to_string()),
            error @ (SpawnError::Start(_)
            | SpawnError::Unfit(_)
            | SpawnError::Garbled(_)
            | SpawnError::Passing(_)) => Self::Refused(error.to_string()),
        }
    }
}

impl From<std::io::Error> for ForkError {
    fn from(error: std::io::Error) -> Self {
        if descriptors::are_missing(&error) {
            Self::Descriptors
        } else {
            Self::Refused(error.to_string())
        }
    }
}
