//! One record per request: log line, metrics and usage are views of it.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use http::Method;
use http::StatusCode;

use crate::client::Client;
use crate::log::Log;
use crate::log::Thrown;

use crate::outcome::Outcome;

/// What one request was and used, from its start in the function to the end of its execution,
/// `waitUntil` included.
#[derive(Clone, Debug)]
pub struct Record {
    /// Name of the function; none for a request that is for no function.
    pub function: Option<Arc<str>>,
    /// Version of its deployment, if it has one.
    pub deployment: Option<Arc<str>>,
    /// Id of the request.
    pub request: Arc<str>,
    /// Method, unless the head could not be read.
    pub method: Option<Method>,
    /// URL, if the request named a host.
    pub url: Option<String>,
    /// Who sent it; none where that is a function of this node.
    pub client: Option<Arc<Client>>,
    /// How it ended.
    pub outcome: Outcome,
    /// Status of the answer, if one was given that does not stand for the outcome.
    pub status: Option<StatusCode>,
    /// When the request reached the function.
    pub start: SystemTime,
    /// From there to the end of its execution.
    pub wall: Duration,
    /// CPU time of its isolate's process in it, all its threads, and what the node has spent for it.
    pub cpu: Duration,
    /// Time that it waited for an isolate.
    pub queued: Duration,
    /// Bytes that the isolate's heap and buffers held at the last look; where its process was ended or died over the
    /// request, what that held.
    pub memory: u64,
    /// Bytes of the request's body that the function was given.
    pub bytes_in: u64,
    /// Bytes of the answer's body that the function gave.
    pub bytes_out: u64,
    /// Requests that it made with `fetch()`.
    pub subrequests: u32,
    /// What went over its WebSocket, if it became one; their bytes are in `bytes_in` and `bytes_out`.
    pub websocket: Option<Messages>,
    /// Whether an isolate was started for it.
    pub cold: bool,
    /// What it wrote with `console`.
    pub log: Log,
    /// What its handler threw, or why it was refused.
    pub thrown: Option<Thrown>,
}

/// What went over a WebSocket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// Messages from the client.
    pub received: u64,
    /// Messages from the function.
    pub sent: u64,
    /// Their bytes, and those of messages of which not all came.
    pub bytes_in: u64,
    /// Likewise.
    pub bytes_out: u64,
    /// Status of the close; 0 if the isolate ended before.
    pub code: u16,
}

impl Record {
    /// The record of request `request`, of which nothing else is known yet.
    pub fn empty(request: Arc<str>, start: SystemTime) -> Self {
        Self {
            function: None,
            deployment: None,
            request,
            method: None,
            url: None,
            client: None,
            outcome: Outcome::InternalError,
            status: None,
            start,
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
            queued: Duration::ZERO,
            memory: 0,
            bytes_in: 0,
            bytes_out: 0,
            subrequests: 0,
            websocket: None,
            cold: false,
            log: Log::default(),
            thrown: None,
        }
    }

    /// As [`Record::empty`], for a request to `version` of `function`.
    pub fn of(function: Arc<str>, version: Arc<str>, request: Arc<str>, start: SystemTime) -> Self {
        Self {
            function: Some(function),
            deployment: Some(version),
            ..Self::empty(request, start)
        }
    }
}

/// Where records go. Called on the I/O threads: must not block.
pub trait Recorder: Send + Sync + 'static {
    /// Takes one record.
    fn record(&self, record: Record);
}
