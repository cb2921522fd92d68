//! What the node says.

use serde::Deserialize;
use serde::Serialize;

use super::BodyKind;
use super::Fields;
use super::SocketId;
use super::SocketMessage;
use super::StreamId;
use super::StreamMessage;
use crate::outbound::OutboundError;

/// What the node says to a cell.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub enum ToCell<'a> {
    /// A request. The payload is its body if that is whole.
    Request {
        /// Its number.
        seq: u32,
        /// Method.
        method: &'a str,
        /// Absolute URL, serialized as the URL standard says.
        url: &'a str,
        /// Fields.
        fields: Fields<'a>,
        /// Its body.
        body: BodyKind,
    },
    /// Of a stream.
    Stream(StreamId, StreamMessage),
    /// Of a WebSocket.
    Socket(SocketId, SocketMessage),
    /// The client of request `seq` went away: the function is told, and what it promised to `waitUntil`
    /// may go on.
    Cancel {
        /// The request.
        seq: u32,
    },
    /// The answer to request `seq`, a body that passes through, has ended.
    Passed {
        /// The request.
        seq: u32,
        /// Whether the client has all of it.
        is_complete: bool,
    },
    /// The time of request `seq` is up, in a cell that has others: the function is told as if its client had
    /// gone, and what is left of it is dropped. The cell says [`super::FromCell::Settled`].
    Over {
        /// The request.
        seq: u32,
    },
    /// The head of the answer to a subrequest. The payload is its body if that is whole.
    Fetched {
        /// The subrequest.
        fetch: u32,
        /// Status.
        status: u16,
        /// Fields as they came over the wire.
        fields: Fields<'a>,
        /// Its body.
        body: BodyKind,
        /// Whether `content-encoding` was undone.
        decoded: bool,
    },
    /// A subrequest came to nothing.
    FetchFailed {
        /// The subrequest.
        fetch: u32,
        /// Why.
        error: OutboundError,
    },
}

/// The first that a process hears, before any [`ToCell`]: what it is to run, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Start {
    /// `env`, as JSON text of an object.
    pub vars: String,
    /// The name in `env` of the files beside it, if they have one.
    pub assets: Option<String>,
    /// Bytes that its heap and its buffers may hold.
    pub memory: u64,
    /// Bytes of private writable memory that the process may have beyond what it is forked with.
    pub data: u64,
    /// Subrequests that one request may make.
    pub subrequests: u32,
    /// Bytes of log text of one request.
    pub log: u64,
    /// WebSockets that it may have open at the same time.
    pub websockets: u32,
    /// Requests that it answers at the same time, at most.
    pub concurrency: u16,
    /// Whether it may make code of strings.
    pub eval: bool,
    /// Whether it is to send what V8 compiles ([`super::FromCell::Code`]).
    pub wants_code: bool,
}
