//! Why a function does not start.

use serde::Deserialize;
use serde::Serialize;

/// Why a function does not start.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, thiserror::Error)]
pub enum StartError {
    /// Its code threw while it was loaded, or could not be linked.
    #[error("{0}")]
    Threw(String),
    /// It exports no handler.
    #[error("{0}")]
    NoHandler(String),
    /// Its top level ran into a limit.
    #[error("the top level of the module ran over its {limit}")]
    Limit {
        /// Name and value of the limit, and what raises it.
        limit: String,
    },
    /// Its top level awaits something that never comes.
    #[error(
        "the top level of the module awaits something that never settles; start the work in the handler instead"
    )]
    NeverReady,
    /// Its process died over it.
    #[error("the process that ran the top level of the module crashed{0}")]
    Crashed(String),
    /// The system or V8 refused.
    #[error("cannot start an isolate: {0}")]
    Host(String),
}
