//! Requests from one function of this node to another.
//!
//! They need no socket, and must not depend on one: the node may listen on a port that its own
//! public name does not lead to. A chain of functions that wait on each other is cut at
//! [`MAX_DEPTH`], because each holds an isolate until the next one answers.

use std::sync::Arc;

use futures::future::BoxFuture;
use holm_model::body::Body;
use holm_model::outbound::{MAX_DEPTH, OutboundError, OutboundRequest, OutboundResponse};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, StatusCode};
use url::Url;

use super::head;

/// The functions of this node, as seen by each other.
pub(crate) trait Internal: Send + Sync + 'static {
    /// Serves `request` if its host is one of this node's, or gives it back.
    ///
    /// The returned future does all the work: one that is dropped unpolled has had no effect. It
    /// runs on the I/O threads, and is dropped when the caller loses interest. The request's
    /// caller is the one that asks; who is asked then has a `depth` of one more.
    ///
    /// # Errors
    /// The request itself, untouched, when its host is not served here.
    fn serve(
        &self,
        request: OutboundRequest,
    ) -> Result<BoxFuture<'static, Result<OutboundResponse, OutboundError>>, Box<OutboundRequest>>;
}

/// The way to functions of this node.
pub(super) struct Inside {
    internal: Arc<dyn Internal>,
    ports: Box<[u16]>,
}

/// The answer that is under way for a request that stays inside.
pub(super) type Served = BoxFuture<'static, Result<OutboundResponse, OutboundError>>;

impl Inside {
    pub(super) fn new(internal: Arc<dyn Internal>, ports: &[u16]) -> Self {
        Self {
            internal,
            ports: ports.into(),
        }
    }

    /// The answer of this node, or the request back if it goes outside.
    pub(super) fn serve(
        &self,
        mut request: OutboundRequest,
    ) -> Result<Served, Box<OutboundRequest>> {
        if !self.listens(&request.url) {
            return Err(Box::new(request));
        }
        if let Some(host) = head::host(&request.url) {
            request.headers.insert(HOST, host);
        }
        let depth = request.caller.depth;
        match self.internal.serve(request) {
            Ok(_) if depth >= MAX_DEPTH => Ok(Box::pin(async { Ok(too_deep()) })),
            Ok(served) => Ok(served),
            Err(mut request) => {
                // On the wire it is hyper's to write.
                request.headers.remove(HOST);
                Err(request)
            }
        }
    }

    /// Whether a URL's port is one that a request from outside would reach this node by. The
    /// default ports count, since a load balancer usually stands in front.
    fn listens(&self, url: &Url) -> bool {
        match url.port() {
            None => true,
            Some(port) => self.ports.contains(&port),
        }
    }
}

fn too_deep() -> OutboundResponse {
    let mut headers = HeaderMap::new();
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, text);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let body = format!(
        "Loop detected: {MAX_DEPTH} functions of this node are waiting on each other, \
         and this request would be one more.\n"
    );
    OutboundResponse {
        status: StatusCode::LOOP_DETECTED,
        headers,
        body: Body::Full(body.into()),
        decoded: false,
    }
}
