//! One request inside an isolate: what the host hands in, and what the handler hands back.
//!
//! [`Invocation`] sits in the isolate's `OpState` while a request runs. The ops read the request
//! from it and put the answer into it; the host takes the answer out after each turn of the event
//! loop, so nothing here knows how it travels on.

mod body;
mod ops;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use deno_core::OpState;
use http::HeaderMap;
use http::Method;

pub use self::body::BodySource;
pub use self::body::BodyWriter;
pub use self::body::MemoryBudget;
pub(crate) use self::ops::*;
use crate::body::Body;
use crate::body::BodyProgress;
use crate::log::Thrown;
use crate::ports::Caller;

/// What a handler is called with.
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

/// The answer of a handler.
pub type FetchResponse = http::Response<Body>;

/// The request that an isolate is answering.
#[derive(Debug)]
pub struct Invocation {
    /// Number of the request in this isolate; what is left floating of an earlier one carries
    /// another number and is ignored.
    pub id: u32,
    /// Headers of the request, until the function asks for them.
    pub headers: HeaderMap,
    /// On whose behalf subrequests go out.
    pub caller: Caller,
    /// Subrequests made so far; whoever ends the request reads it.
    pub subrequests: Arc<AtomicU32>,
    /// Subrequests that may be made in all.
    pub subrequest_limit: u32,
    /// The answer, from when the handler gave it until the host takes it.
    pub answer: Option<FetchResponse>,
    /// Whether there has been an answer.
    pub answered: bool,
    /// The writer of a streamed answer, while it is written.
    pub writer: Option<std::rc::Rc<BodyWriter>>,
    /// The answer's body, where it is one that came from the host and goes back there.
    pub passing: Option<BodyProgress>,
    /// What the handler threw, or its answer's body.
    pub thrown: Option<Thrown>,
    /// The handler, its answer and everything given to `waitUntil` have run their course.
    pub settled: bool,
}

impl Invocation {
    /// The start of request number `id` of an isolate.
    pub fn new(
        id: u32,
        headers: HeaderMap,
        caller: Caller,
        subrequests: Arc<AtomicU32>,
        subrequest_limit: u32,
    ) -> Self {
        Self {
            id,
            headers,
            caller,
            subrequests,
            subrequest_limit,
            answer: None,
            answered: false,
            writer: None,
            passing: None,
            thrown: None,
            settled: false,
        }
    }

    /// The invocation that `state` holds, if it is number `id`.
    pub fn of(state: &mut OpState, id: u32) -> Option<&mut Self> {
        state
            .try_borrow_mut::<Self>()
            .filter(|invocation| invocation.id == id)
    }
}
