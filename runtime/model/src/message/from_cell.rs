//! What a cell says.

use serde::Deserialize;
use serde::Serialize;

use super::BodyKind;
use super::Fields;
use super::SocketId;
use super::SocketMessage;
use super::StreamId;
use super::StreamMessage;
use crate::log::Level;
use crate::log::Thrown;
use crate::outbound::Way;
use crate::outcome::Outcome;
use crate::start::StartError;

/// What a cell, or a template that starts, says to the node.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub enum FromCell<'a> {
    /// It was copied from a template, and answers from now on.
    Ready,
    /// The function has started.
    Started {
        /// Handlers that it exports and nothing calls.
        uncalled: Vec<String>,
        /// Why the process cannot be a template, if it was to be one; it ends then.
        not_copyable: Option<String>,
    },
    /// The function does not start; the process ends.
    StartFailed(StartError),
    /// The payload is what V8 has compiled of a module, or of a part of the web APIs.
    Code {
        /// Which one.
        specifier: &'a str,
        /// Whether the next frame goes on with it: code may be longer than a frame.
        more: bool,
    },
    /// The answer to a request. The payload is its body if that is whole.
    Reply {
        /// The request.
        seq: u32,
        /// Status.
        status: u16,
        /// Fields.
        fields: Fields<'a>,
        /// Its body.
        body: BodyKind,
        /// If that was all of the request.
        settled: Option<Settled>,
    },
    /// There is no answer of the handler, or, if there has been one, something went wrong behind it.
    Failed {
        /// The request.
        seq: u32,
        /// [`Outcome::Exception`], [`Outcome::NoResponse`] or [`Outcome::InternalError`].
        outcome: Outcome,
        /// What was thrown.
        thrown: Option<Thrown>,
    },
    /// The request has run its course: answered or not, nothing of it is left to come.
    Settled {
        /// The request.
        seq: u32,
        /// With this.
        settled: Settled,
    },
    /// Of a stream.
    Stream(StreamId, StreamMessage),
    /// Of a WebSocket.
    Socket(SocketId, SocketMessage),
    /// It computes although nothing was sent to it: a timer of one of its WebSockets. Said where no request runs.
    Awake,
    /// The payload is a line that was logged, in UTF-8.
    Log {
        /// The request that it is charged to.
        seq: u32,
        /// How grave it is.
        level: Level,
        /// Bytes that were left out of it, or, if the line is empty, of others before it.
        dropped: u64,
    },
    /// A subrequest. The payload is its body if that is whole.
    Fetch {
        /// The request that makes it.
        seq: u32,
        /// Its number, given by the cell in ascending order.
        fetch: u32,
        /// Which way it goes.
        way: Way,
        /// Method.
        method: &'a str,
        /// URL.
        url: &'a str,
        /// Fields.
        fields: Fields<'a>,
        /// Its body.
        body: BodyKind,
    },
    /// Nobody waits for the answer to a subrequest any more.
    FetchLeft {
        /// The subrequest.
        fetch: u32,
    },
}

/// What is known when a request has run its course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Settled {
    /// CPU time that was spent in it, in ns.
    pub cpu: u64,
    /// Time from when the cell began it, in ns.
    pub wall: u64,
    /// Bytes that heap and buffers hold, as of the last look.
    pub memory: u64,
    /// Whether nothing of it is left floating, so that the cell can go on to others.
    pub is_fit: bool,
}
