//! Bodies across the seam: the edge pulls and is pulled, an isolate has channels.

use std::sync::Arc;
use std::sync::OnceLock;

use bytes::BytesMut;
use holm_model::body::Body;
use holm_model::body::BodyError;
use holm_model::body::BodyStream;
use holm_router::RequestBody;
use holm_router::ResponseBody;
use tokio::runtime::Handle;

/// Bodies up to this many bytes, their length declared, are read before the function is asked.
///
/// It saves a channel and a task, and a client that sends them slowly holds no isolate.
const WHOLE: u64 = 16 << 10;

/// Why the body of a request broke off, once it has.
pub(super) type Fault = Arc<OnceLock<holm_router::BodyError>>;

/// The body of a request, as a function gets it: whole if it is small, else a stream that `io`
/// feeds at the function's pace; then also where to look for why it broke off.
///
/// # Errors
/// When a small body does not arrive in full.
pub(super) async fn inbound(
    mut body: RequestBody,
    io: &Handle,
) -> Result<(Body, Option<Fault>), holm_router::BodyError> {
    match body.declared() {
        Some(0) => Ok((Body::Empty, None)),
        Some(length) if length <= WHOLE => {
            let mut whole = BytesMut::new();
            while let Some(chunk) = body.chunk().await {
                let chunk = chunk?;
                if whole.is_empty() && chunk.len() as u64 == length {
                    return Ok((Body::Full(chunk), None));
                }
                whole.extend_from_slice(&chunk);
            }
            Ok((Body::Full(whole.freeze()), None))
        }
        declared => {
            let (sender, stream) = BodyStream::channel(declared);
            let fault = Fault::default();
            let left = fault.clone();
            // Ends with the body, or with its reader.
            io.spawn(async move {
                loop {
                    let chunk = tokio::select! {
                        chunk = body.chunk() => chunk,
                        () = sender.closed() => return,
                    };
                    match chunk {
                        None => return,
                        Some(Ok(chunk)) => {
                            if sender.send(chunk).await.is_err() {
                                return;
                            }
                        }
                        Some(Err(error)) => {
                            // There is one body, so nobody else has set it.
                            let _ = left.set(error.clone());
                            return sender.fail(from_edge(error));
                        }
                    }
                }
            });
            Ok((Body::Stream(stream), Some(fault)))
        }
    }
}

/// The body of an answer, as the edge sends it.
pub(super) fn outbound(body: Body) -> ResponseBody {
    match body {
        Body::Empty => ResponseBody::empty(),
        Body::Full(bytes) => ResponseBody::whole(bytes),
        Body::Stream(mut stream) => {
            let length = stream.length();
            ResponseBody::pulled(length, move |cx| {
                stream
                    .poll_chunk(cx)
                    .map(|chunk| chunk.map(|chunk| chunk.map_err(to_edge)))
            })
        }
    }
}

fn from_edge(error: holm_router::BodyError) -> BodyError {
    match error {
        holm_router::BodyError::TooLarge { limit } => BodyError::TooLarge { limit },
        holm_router::BodyError::Idle { .. } => BodyError::Idle,
        holm_router::BodyError::Disconnected => BodyError::Disconnected,
        other @ (holm_router::BodyError::Malformed
        | holm_router::BodyError::Length { .. }
        | holm_router::BodyError::Aborted(_)) => BodyError::Broken(other.to_string()),
    }
}

fn to_edge(error: BodyError) -> holm_router::BodyError {
    holm_router::BodyError::Aborted(error.to_string().into())
}
