//! Host ports: what a function's API asks of the node that runs it.
//!
//! Each is a trait with at least two implementations (the node's and a test's). They are called
//! by the node on behalf of a cell, and do their work on the I/O threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::body::Body;

/// Where the requests of a function go out.
pub trait Outbound: Send + Sync + 'static {
    /// Sends one request (one hop: redirects are followed by the caller, so that every hop is
    /// checked) and returns the head of the answer, its body still streaming.
    ///
    /// Dropping the future, or the body of the answer, aborts the exchange.
    fn send(
        &self,
        request: OutboundRequest,
    ) -> BoxFuture<'static, Result<OutboundResponse, OutboundError>>;
}

/// Which way a request of a function goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Way {
    /// Out: `fetch()`.
    #[default]
    Out,
    /// To the files beside the function: its binding's `fetch()`. Nothing leaves the node.
    Assets,
}

/// One request that a function makes.
#[derive(Debug)]
pub struct OutboundRequest {
    /// Method, as the function gave it.
    pub method: Method,
    /// An `http:` or `https:` URL without credentials.
    pub url: Url,
    /// Headers, as the function gave them; `Host` and framing are the port's business.
    pub headers: HeaderMap,
    /// Body.
    pub body: Body,
    /// Who asks.
    pub caller: Caller,
}

/// The request on whose behalf a function asks the outside for something.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Name of the function.
    pub function: Arc<str>,
    /// Id of the request that the function is answering.
    pub request: Arc<str>,
    /// How many functions of this node are waiting on each other already; 0 for a request that
    /// came from the network. The port refuses at [`MAX_DEPTH`].
    pub depth: u8,
    /// What the node spends on the function's behalf.
    pub account: Account,
}

/// CPU time that the node's threads spend for one request, beside what its isolate's process spends:
/// looking up names, TLS, decompressing what it fetches. Clones share it. It counts against the
/// request.
#[derive(Clone, Debug, Default)]
pub struct Account(Arc<AtomicU64>);

impl Account {
    /// Adds `cpu`, which any thread may have spent.
    pub fn charge(&self, cpu: Duration) {
        let nanos = u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }

    /// All that was charged so far.
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// Functions of one node that may wait on each other in a chain (containment.md, case 31).
pub const MAX_DEPTH: u8 = 16;

/// The head of an answer and its body.
#[derive(Debug)]
pub struct OutboundResponse {
    /// Status.
    pub status: StatusCode,
    /// Headers as they came over the wire.
    pub headers: HeaderMap,
    /// Body, decompressed where `decoded` says so.
    pub body: Body,
    /// Whether `content-encoding` was undone, so that it and `content-length` in `headers`
    /// describe the wire and not `body`.
    pub decoded: bool,
}

/// Why a request of a function failed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, thiserror::Error)]
pub enum OutboundError {
    /// The address is not public and the node's file does not allow it.
    #[error("{host} is not a public address; the operator can allow it under [egress] allow")]
    Forbidden {
        /// Host as the function wrote it.
        host: String,
    },
    /// The name has no address.
    #[error("cannot resolve {host}: {reason}")]
    Resolve {
        /// Host as the function wrote it.
        host: String,
        /// The resolver's words.
        reason: String,
    },
    /// No connection, TLS failed, or the peer broke the protocol.
    #[error("cannot reach {host}: {reason}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// The cause, innermost last.
        reason: String,
    },
    /// The request itself cannot be sent.
    #[error("{0}")]
    Invalid(String),
}
