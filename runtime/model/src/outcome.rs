//! How a request ended: one closed list of words, the same in logs, headers, metrics and docs.

use std::fmt;

use http::StatusCode;
use serde::Deserialize;
use serde::Serialize;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The handler answered.
    Ok,
    /// The handler threw, or returned something that is no Response.
    Exception,
    /// The request used more CPU time than its limit.
    ExceededCpu,
    /// The isolate used more memory than its limit.
    ExceededMemory,
    /// The request took longer than its limit.
    ExceededWallTime,
    /// The function could not be started.
    StartupFailed,
    /// The handler can never answer: nothing is pending any more.
    NoResponse,
    /// The client went away before the answer was complete.
    Canceled,
    /// The function, or the node, has more work than it may queue.
    Overloaded,
    /// The isolate's process died of something other than a limit.
    Crashed,
    /// The platform took the isolate away, by no fault of the function.
    Reset,
    /// The edge turned the request away: it is malformed, too large, or for nobody here.
    Refused,
    /// Holm itself failed.
    InternalError,
}

impl Outcome {
    /// Every outcome, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::Exception,
        Self::ExceededCpu,
        Self::ExceededMemory,
        Self::ExceededWallTime,
        Self::StartupFailed,
        Self::NoResponse,
        Self::Canceled,
        Self::Overloaded,
        Self::Crashed,
        Self::Reset,
        Self::Refused,
        Self::InternalError,
    ];

    /// The status that stands for it; none where the answer has one of its own, or nobody is there
    /// to be answered.
    pub const fn status(self) -> Option<StatusCode> {
        match self {
            Self::Ok | Self::Canceled | Self::Refused => None,
            // Asked again, it would most likely do the same: so not "try later".
            Self::Exception
            | Self::StartupFailed
            | Self::NoResponse
            | Self::Crashed
            | Self::InternalError => Some(StatusCode::INTERNAL_SERVER_ERROR),
            Self::ExceededCpu | Self::ExceededMemory | Self::Overloaded | Self::Reset => {
                Some(StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::ExceededWallTime => Some(StatusCode::GATEWAY_TIMEOUT),
        }
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Exception => "exception",
            Self::ExceededCpu => "exceededCpu",
            Self::ExceededMemory => "exceededMemory",
            Self::ExceededWallTime => "exceededWallTime",
            Self::StartupFailed => "startupFailed",
            Self::NoResponse => "noResponse",
            Self::Canceled => "canceled",
            Self::Overloaded => "overloaded",
            Self::Crashed => "crashed",
            Self::Reset => "reset",
            Self::Refused => "refused",
            Self::InternalError => "internalError",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
