//! Answers that the edge gives itself, from the files beside a function.

use std::task::Poll;
use std::task::ready;

use holm_model::body::BodyError;
use holm_router::RequestId;
use holm_router::ResponseBody;
use holm_router::synthetic::Synthetic;
use holm_runtime::request::RequestContext;
use http::HeaderMap;
use http::Response;
use http::StatusCode;

use crate::assets::Answer;
use crate::assets::Content;
use crate::assets::METHODS;
use crate::assets::ReadError;
use crate::assets::Reading;

/// The response, as a client gets it that sent `headers`. The record is written when the client has all of it.
pub(super) fn respond(
    answer: Answer,
    mut context: RequestContext,
    id: RequestId,
    headers: &HeaderMap,
) -> Response<ResponseBody> {
    let synthetic = match answer {
        Answer::Response(response) => {
            context.serving(response.status());
            let (head, content) = response.into_parts();
            let body = match content {
                Content::Empty => {
                    context.served();
                    ResponseBody::empty()
                }
                Content::Whole(bytes) => {
                    context.gave(bytes.len() as u64);
                    context.served();
                    ResponseBody::whole(bytes)
                }
                Content::Stream(reading) => stream(reading, context),
            };
            return Response::from_parts(head, body);
        }
        Answer::NotFound => Synthetic::new(
            StatusCode::NOT_FOUND,
            "Not found",
            "There is no page at this address.",
        ),
        Answer::NotAllowed => {
            let detail = "There are only files here, which can be read: GET and HEAD.";
            let mut synthetic =
                Synthetic::new(StatusCode::METHOD_NOT_ALLOWED, "Not allowed", detail);
            synthetic.allow = Some(METHODS);
            synthetic
        }
    };
    context.serving(synthetic.status);
    context.served();
    synthetic.respond(id, headers)
}

/// The response where a file cannot be read.
pub(super) fn fail(
    error: &ReadError,
    context: RequestContext,
    id: RequestId,
    headers: &HeaderMap,
) -> Response<ResponseBody> {
    context.not_served(&error.to_string());
    Synthetic::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Internal error",
        "Holm failed to read this page. Its log has the details, under the request id.",
    )
    .outcome(holm_model::outcome::Outcome::InternalError.word())
    .respond(id, headers)
}

/// What is read, as the client takes it. A client that goes away drops the context with the body.
fn stream(mut reading: Reading, context: RequestContext) -> ResponseBody {
    let mut left = reading.length();
    let mut context = Some(context);
    ResponseBody::pulled(Some(left), move |cx| {
        let piece = ready!(reading.poll_piece(cx));
        match &piece {
            Some(Ok(bytes)) => {
                let length = bytes.len() as u64;
                left = left.saturating_sub(length);
                if let Some(context) = &mut context {
                    context.gave(length);
                }
                // Who knows the length may not ask for the end.
                if left == 0
                    && let Some(context) = context.take()
                {
                    context.served();
                }
            }
            Some(Err(error)) => {
                if let Some(context) = context.take() {
                    context.not_served(&error.to_string());
                }
            }
            None => {}
        }
        let broken = |error: ReadError| BodyError::Aborted(error.to_string().into());
        Poll::Ready(piece.map(|piece| piece.map_err(broken)))
    })
}
