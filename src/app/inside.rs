//! Requests of one function to another of this node, without a socket.

use std::sync::Arc;
use std::sync::Weak;

use futures::future::BoxFuture;
use holm_js_api::body::Body;
use holm_js_api::handler::FetchRequest;
use holm_js_api::ports::OutboundError;
use holm_js_api::ports::OutboundRequest;
use holm_js_api::ports::OutboundResponse;
use holm_router::Hostname;
use holm_router::synthetic::OUTCOME;
use holm_runtime::job::Failure;
use holm_runtime::pool::Pool;
use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;

use super::Function;
use super::Node;
use super::dispatch::ask;
use super::rescue::status_of;
use crate::egress::Internal;

/// The functions of a node, as seen by each other.
pub(super) struct Inside {
    node: Weak<Node>,
}

impl Inside {
    pub(super) fn new(node: Weak<Node>) -> Self {
        Self { node }
    }

    fn pool(&self, request: &OutboundRequest) -> Option<Arc<Pool>> {
        let node = self.node.upgrade()?;
        let host = Hostname::parse(request.url.host_str()?).ok()?;
        let app = node.app();
        match app.as_ref()?.find(&host, request.url.path())? {
            Function::Ready(pool) => Some(pool.clone()),
            Function::Broken(_) => None,
        }
    }
}

impl Internal for Inside {
    fn serve(
        &self,
        request: OutboundRequest,
    ) -> Result<BoxFuture<'static, Result<OutboundResponse, OutboundError>>, Box<OutboundRequest>>
    {
        let Some(pool) = self.pool(&request) else {
            return Err(Box::new(request));
        };
        Ok(Box::pin(async move {
            let OutboundRequest {
                method,
                mut url,
                headers,
                body,
                caller,
            } = request;
            url.set_fragment(None);
            let request = FetchRequest {
                method,
                url: url.into(),
                headers,
                body,
            };
            let depth = caller.depth.saturating_add(1);
            Ok(match ask(&pool, request, caller.request, depth).await {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    OutboundResponse {
                        status: head.status,
                        headers: head.headers,
                        body,
                        decoded: false,
                    }
                }
                Err(failure) => unanswered(&failure),
            })
        }))
    }
}

/// What the caller sees of a function that gave no answer: what it would over the network, without
/// the words for people.
fn unanswered(failure: &Failure) -> OutboundResponse {
    let mut headers = HeaderMap::new();
    headers.insert(OUTCOME, HeaderValue::from_static(failure.outcome.word()));
    OutboundResponse {
        status: status_of(failure.outcome).unwrap_or(StatusCode::BAD_GATEWAY),
        headers,
        body: Body::Empty,
        decoded: false,
    }
}
