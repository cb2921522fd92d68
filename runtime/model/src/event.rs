//! What code is asked to answer, and what comes of it.
//!
//! One variant for each kind of trigger. HTTP is the first.

use std::time::Duration;

use http::HeaderMap;
use http::Method;

use crate::body::Body;
use crate::log::Thrown;
use crate::outcome::Outcome;

/// Something that code answers.
#[derive(Debug)]
pub enum Event {
    /// An HTTP request.
    Fetch(FetchRequest),
}

/// What a `fetch` handler is called with.
#[derive(Debug)]
pub struct FetchRequest {
    /// Method.
    pub method: Method,
    /// Absolute URL, serialized as the URL standard says.
    pub url: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Body,
}

/// The answer of a `fetch` handler.
pub type FetchResponse = http::Response<Body>;

/// What an event comes to: the handler's answer, or why there is none.
pub type Reply = Result<FetchResponse, Failure>;

/// Why there is no answer of the handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Never [`Outcome::Ok`].
    pub outcome: Outcome,
    /// What the handler threw; for logs and the developer, never for a client.
    pub thrown: Option<Thrown>,
    /// No isolate of the function is started for this long: they ended one after the other.
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
