//! Requests of one function to another of this node, without a socket.

use std::sync::Arc;
use std::sync::Weak;
use std::time::Instant;

use futures::future::BoxFuture;
use holm_model::body::Body;
use holm_model::body::BodyError;
use holm_model::body::BodyProgress;
use holm_model::event::FetchRequest;
use holm_model::outbound::OutboundError;
use holm_model::outbound::OutboundRequest;
use holm_model::outbound::OutboundResponse;
use holm_model::outcome::Outcome;
use holm_router::Hostname;
use holm_router::Refusal;
use holm_router::synthetic::OUTCOME;
use holm_runtime::pool::Pool;
use holm_runtime::request::RequestContext;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header::CONTENT_LENGTH;

use super::Broken;
use super::Found;
use super::Function;
use super::Node;
use super::dispatch::ask;
use super::dispatch::refuse;
use crate::access::INSIDE;
use crate::assets;
use crate::assets::Asked;
use crate::assets::Assets;
use crate::egress::Internal;

/// The functions of a node, as seen by each other.
pub(super) struct Inside {
    node: Weak<Node>,
}

impl Inside {
    pub(super) fn new(node: Weak<Node>) -> Self {
        Self { node }
    }

    /// What answers `request`, if it stays inside.
    fn function(&self, request: &OutboundRequest) -> Option<(Arc<Node>, Found)> {
        let node = self.node.upgrade()?;
        let host = Hostname::parse(request.url.host_str()?).ok()?;
        let app = node.app().clone();
        let found = app?.find_inside(&host, request.url.path())?;
        Some((node, found))
    }
}

impl Internal for Inside {
    fn serve(
        &self,
        mut request: OutboundRequest,
    ) -> Result<BoxFuture<'static, Result<OutboundResponse, OutboundError>>, Box<OutboundRequest>>
    {
        let Some((node, found)) = self.function(&request) else {
            return Err(Box::new(request));
        };
        // Nothing goes over a wire here.
        let Found {
            function,
            access,
            secure: _,
            compress: _,
            assets,
        } = found;
        Ok(Box::pin(async move {
            if let Err(refusal) = access.admit(INSIDE, &mut request.headers) {
                let context = context(&node, &request).named(function.name().clone());
                return Ok(refused(context, &refusal));
            }
            if let Some(assets) = assets
                && let Some(response) = files(&node, &assets, &function, &request).await
            {
                return Ok(response);
            }
            Ok(match function {
                Function::Files(_) => OutboundResponse {
                    status: StatusCode::NOT_FOUND,
                    ..without_answer(Outcome::Refused)
                },
                Function::Ready(pool) => answer(&node, &pool, request).await,
                Function::Broken(broken) => {
                    let Broken { name, why } = &*broken;
                    context(&node, &request).named(name.clone()).refuse(
                        Outcome::StartupFailed,
                        None,
                        why,
                    );
                    without_answer(Outcome::StartupFailed)
                }
            })
        }))
    }
}

/// A request of one function to another.
fn context(node: &Node, request: &OutboundRequest) -> RequestContext {
    let id = request.caller.request.clone();
    let mut url = request.url.clone();
    url.set_fragment(None);
    RequestContext::new(&node.services.records, id, Instant::now())
        .about(request.method.clone(), url.into())
        .below(request.caller.depth.saturating_add(1))
}

/// The answer of the files beside `function`, if they have one.
async fn files(
    node: &Node,
    assets: &Arc<Assets>,
    function: &Function,
    request: &OutboundRequest,
) -> Option<OutboundResponse> {
    let asked = Asked {
        method: &request.method,
        path: request.url.path(),
        query: request.url.query(),
        headers: &request.headers,
        takes_codings: false,
        is_last: function.is_files(),
    };
    let answer = assets.answer(asked).await;
    if let Ok(None) = answer {
        return None;
    }
    let mut context = context(node, request).named(function.name().clone());
    match answer {
        Ok(answer) => {
            let response = assets::outbound(assets, answer);
            context.serving(response.status);
            context.gave(response.body.length().unwrap_or_default());
            context.served();
            Some(response)
        }
        Err(error) => {
            context.not_served(&error.to_string());
            Some(without_answer(Outcome::InternalError))
        }
    }
}

/// Asks a function on behalf of another.
async fn answer(node: &Node, pool: &Pool, request: OutboundRequest) -> OutboundResponse {
    let context = context(node, &request).to(pool.deployment());
    let OutboundRequest {
        method,
        mut url,
        headers,
        mut body,
        caller: _,
    } = request;
    url.set_fragment(None);
    let limit = pool.deployment().limits.request_body.as_u64();
    if body.length().is_some_and(|length| length > limit) {
        return refused(context, &Refusal::BodyTooLarge(limit));
    }
    if let Body::Stream(stream) = &mut body {
        stream.limit(limit);
    }
    let progress = body.progress();
    let is_head = method == Method::HEAD;
    let request = FetchRequest {
        method,
        url: url.into(),
        headers,
        body,
    };
    match ask(pool, context, request).await {
        Ok(response) => {
            let (mut head, body) = response.into_parts();
            settle_length(&mut head.headers, &body, is_head);
            OutboundResponse {
                status: head.status,
                headers: head.headers,
                body,
                decoded: false,
            }
        }
        Err(failure) => match progress.as_ref().and_then(BodyProgress::fault) {
            // A function that fails over a body that is at fault is not to blame.
            Some(BodyError::TooLarge { .. }) => too_large(),
            Some(
                BodyError::Idle { .. }
                | BodyError::Disconnected
                | BodyError::Malformed
                | BodyError::Length { .. }
                | BodyError::Aborted(_),
            )
            | None => without_answer(failure.outcome),
        },
    }
}

/// Corrects the length that a function claims as the edge would.
fn settle_length(headers: &mut HeaderMap, body: &Body, is_head: bool) {
    let is_for_a_get = is_head && body.length() == Some(0);
    if is_for_a_get || !headers.contains_key(CONTENT_LENGTH) {
        return;
    }
    match body.length() {
        Some(length) => headers.insert(CONTENT_LENGTH, length.into()),
        None => headers.remove(CONTENT_LENGTH),
    };
}

/// It goes no further, and its caller sees the status.
fn refused(context: RequestContext, refusal: &Refusal) -> OutboundResponse {
    refuse(context, refusal);
    OutboundResponse {
        status: refusal.status(),
        ..without_answer(Outcome::Refused)
    }
}

fn too_large() -> OutboundResponse {
    OutboundResponse {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        ..without_answer(Outcome::Refused)
    }
}

/// What the caller sees of a function that gave no answer: what it would over the network, without
/// the words for people.
fn without_answer(outcome: Outcome) -> OutboundResponse {
    let mut headers = HeaderMap::new();
    headers.insert(OUTCOME, HeaderValue::from_static(outcome.word()));
    OutboundResponse {
        status: outcome.status().unwrap_or(StatusCode::BAD_GATEWAY),
        headers,
        body: Body::Empty,
        decoded: false,
    }
}
