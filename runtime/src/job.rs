//! What goes into an isolate and what comes out: plain data, so that a later version can send it
//! to another process unchanged.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use holm_js_api::handler::FetchRequest;
use holm_js_api::handler::FetchResponse;
use holm_js_api::log::Thrown;
use tokio::sync::oneshot;

use crate::outcome::Outcome;

/// Something that code answers.
#[derive(Debug)]
pub enum Event {
    /// An HTTP request.
    Fetch(FetchRequest),
}

/// One event for one function.
#[derive(Debug)]
pub struct Job {
    /// What happened.
    pub event: Event,
    /// Id of the request, as in its record and its synthetic answer.
    pub request: Arc<str>,
    /// Functions of this node that wait on each other above this one.
    pub depth: u8,
    /// When it was handed to the pool.
    pub queued: Instant,
    /// The same on the calendar.
    pub start: SystemTime,
    /// Where the answer goes. Its receiver dropped: the client went away.
    pub reply: oneshot::Sender<Reply>,
}

/// What a job comes to: the handler's answer, or why there is none.
pub type Reply = Result<FetchResponse, Failure>;

/// Why there is no answer of the handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Never [`Outcome::Ok`].
    pub outcome: Outcome,
    /// What the handler threw; for logs and the developer, never for a client.
    pub thrown: Option<Thrown>,
    /// The function is in quarantine for this long: its isolates kept getting stuck.
    pub retry_after: Option<Duration>,
    /// Why it was not even tried, for the operator's log.
    pub refusal: Option<String>,
}

impl Failure {
    /// A failure with nothing more to say.
    pub fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            thrown: None,
            retry_after: None,
            refusal: None,
        }
    }
}
