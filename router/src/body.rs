//! Bodies: what a client sends, and what it is sent.
//!
//! Both are pulled. Nothing is read from the wire before somebody asks for a chunk, and nothing is
//! produced faster than the client takes it: the only buffers are hyper's and the bounded channel
//! of the producer's choice. Both are cancelled by dropping them.

mod request;
mod response;

use std::borrow::Cow;
use std::time::Duration;

pub use request::{DEFAULT_IDLE, DEFAULT_LIMIT, RequestBody};
pub use response::ResponseBody;

/// Why a body ended early. Whoever sees one has not seen the whole body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than allowed; 413.
    #[error("the body is larger than the {limit} bytes allowed")]
    TooLarge {
        /// How many bytes are allowed.
        limit: u64,
    },
    /// The client sent nothing for too long; 408.
    #[error("nothing arrived for {} s", after.as_secs_f32())]
    Idle {
        /// How long was waited.
        after: Duration,
    },
    /// The other side went away before the end.
    #[error("the other side went away before the end of the body")]
    Disconnected,
    /// The bytes on the wire are no body: bad chunking; 400.
    #[error("the body is malformed")]
    Malformed,
    /// The body turned out shorter or longer than its declared length.
    #[error("the body does not have the {declared} bytes that were declared")]
    Length {
        /// What was declared.
        declared: u64,
    },
    /// The producer gave up, with its reason.
    #[error("aborted: {0}")]
    Aborted(Cow<'static, str>),
}
