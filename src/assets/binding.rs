//! `env.ASSETS.fetch()`: the files, as the function beside them asks for them.
//!
//! What it gets is never in a coding: a function reads text, and what goes on to the client is the edge's to
//! compress.

use std::future::poll_fn;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::future::FutureExt;
use holm_model::body::Body;
use holm_model::body::BodyError;
use holm_model::body::BodyStream;
use holm_model::outbound::Outbound;
use holm_model::outbound::OutboundError;
use holm_model::outbound::OutboundRequest;
use holm_model::outbound::OutboundResponse;
use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::header::ALLOW;

use super::Assets;
use super::answer::Answer;
use super::answer::Asked;
use super::answer::Content;
use super::read::Reading;

/// The binding of a function to the files beside it.
pub(crate) struct Binding(pub(crate) Arc<Assets>);

impl Outbound for Binding {
    fn send(
        &self,
        request: OutboundRequest,
    ) -> BoxFuture<'static, Result<OutboundResponse, OutboundError>> {
        let assets = self.0.clone();
        async move {
            let answer = assets.answer(Asked {
                method: &request.method,
                path: request.url.path(),
                query: request.url.query(),
                headers: &request.headers,
                takes_codings: false,
                is_last: true,
            });
            match answer.await {
                Ok(answer) => Ok(outbound(&assets, answer)),
                Err(error) => Err(OutboundError::Invalid(error.to_string())),
            }
        }
        .boxed()
    }
}

/// The answer, as a function gets it.
pub(crate) fn outbound(assets: &Arc<Assets>, answer: Option<Answer>) -> OutboundResponse {
    let (head, content) = match answer {
        Some(Answer::Response(response)) => response.into_parts(),
        Some(Answer::NotAllowed) => {
            let mut answer = without_body(StatusCode::METHOD_NOT_ALLOWED);
            let methods = HeaderValue::from_static(super::METHODS);
            answer.headers.insert(ALLOW, methods);
            return answer;
        }
        Some(Answer::NotFound) | None => return without_body(StatusCode::NOT_FOUND),
    };
    OutboundResponse {
        status: head.status,
        headers: head.headers,
        body: match content {
            Content::Empty => Body::Empty,
            Content::Whole(bytes) => Body::Full(bytes),
            Content::Stream(reading) => Body::Stream(stream(assets, reading)),
        },
        decoded: false,
    }
}

fn without_body(status: StatusCode) -> OutboundResponse {
    OutboundResponse {
        status,
        headers: HeaderMap::new(),
        body: Body::Empty,
        decoded: false,
    }
}

/// What is read, at the pace of the function or of its client. Ends with either.
fn stream(assets: &Assets, mut reading: Reading) -> BodyStream {
    let (sender, stream) = BodyStream::channel(Some(reading.length()));
    assets.reads.io().spawn(async move {
        loop {
            let piece = tokio::select! {
                piece = poll_fn(|cx| reading.poll_piece(cx)) => piece,
                () = sender.closed() => return,
            };
            match piece {
                None => return,
                Some(Ok(piece)) => {
                    if sender.send(piece).await.is_err() {
                        return;
                    }
                }
                Some(Err(error)) => {
                    return sender.fail(BodyError::Aborted(error.to_string().into()));
                }
            }
        }
    });
    stream
}
