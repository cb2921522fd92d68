//! Bodies across the seam: the edge pulls and is pulled, an isolate has channels.

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

/// The body of a request, as a function gets it: whole if it is small, else a stream that `io`
/// feeds at the function's pace.
///
/// # Errors
/// When a small body does not arrive in full.
pub(super) async fn inbound(mut body: RequestBody, io: &Handle) -> Result<Body, BodyError> {
    match body.declared() {
        Some(0) => Ok(Body::Empty),
        Some(length) if length <= WHOLE => {
            let mut whole = BytesMut::new();
            while let Some(chunk) = body.chunk().await {
                let chunk = chunk?;
                if whole.is_empty() && chunk.len() as u64 == length {
                    return Ok(Body::Full(chunk));
                }
                whole.extend_from_slice(&chunk);
            }
            Ok(Body::Full(whole.freeze()))
        }
        declared => {
            let (sender, stream) = BodyStream::channel(declared);
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
                        Some(Err(error)) => return sender.fail(error),
                    }
                }
            });
            Ok(Body::Stream(stream))
        }
    }
}

/// The body of an answer, as the edge sends it.
pub(super) fn outbound(body: Body) -> ResponseBody {
    match body {
        Body::Empty => ResponseBody::empty(),
        Body::Socket(socket) => ResponseBody::socket(socket),
        Body::Full(bytes) => ResponseBody::whole(bytes),
        Body::Stream(mut stream) => {
            let length = stream.length();
            ResponseBody::pulled(length, move |cx| stream.poll_chunk(cx))
        }
    }
}
