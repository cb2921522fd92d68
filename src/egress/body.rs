//! Bodies between hyper and an isolate.
//!
//! Out: the isolate's [`Body`] as one that hyper reads. In: what hyper reads, pumped into a
//! [`BodyStream`] by a task that ends with its reader.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::FutureExt;
use holm_model::body::{Body, BodyError, BodySender, BodyStream};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::runtime::Handle;

use super::charge;
use super::decode::{self, Undo};
use super::failure::reason;

/// The most that one chunk of a [`BodyStream`] holds, in bytes.
pub(super) const CHUNK: usize = 64 * 1024;

/// How often a small body that is still on its way is looked for before it becomes a stream.
/// The head and the body of a small answer mostly come in one packet, which hyper's own task
/// hands over in two steps.
const LOOKS: usize = 3;

/// A body that comes from an isolate, for hyper to send.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// Nothing (more).
    Empty,
    /// One piece.
    Full(Bytes),
    /// Chunks, and how many bytes are still due, if that was declared.
    Stream {
        chunks: BodyStream,
        due: Option<u64>,
    },
}

impl From<Body> for Outgoing {
    fn from(body: Body) -> Self {
        match body {
            // No request has a socket for its body.
            Body::Empty | Body::Socket(_) => Self::Empty,
            Body::Full(bytes) if bytes.is_empty() => Self::Empty,
            Body::Full(bytes) => Self::Full(bytes),
            Body::Stream(chunks) => Self::Stream {
                due: chunks.length(),
                chunks,
            },
        }
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let outcome = match this {
            Self::Empty => return Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            Self::Stream { chunks, due } => match ready!(chunks.poll_chunk(cx)) {
                Some(Ok(chunk)) => count(due, &chunk).map(|()| Some(Frame::data(chunk))),
                Some(Err(error)) => Err(error),
                None => complete(*due).map(|()| None),
            },
        };
        if !matches!(outcome, Ok(Some(_))) {
            // The writer learns that nobody reads any more.
            *this = Self::Empty;
        }
        Poll::Ready(outcome.transpose())
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Stream { due, .. } => *due == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream { due: Some(due), .. } => SizeHint::with_exact(*due),
            Self::Stream { due: None, .. } => SizeHint::default(),
        }
    }
}

/// The body of an answer, for an isolate to read: its coding undone, and in one piece if it is
/// small and has arrived.
///
/// A body in a stream is pumped on `io`. Dropping the stream ends the pump, which drops `body`,
/// which ends the exchange.
pub(super) async fn incoming<B>(io: &Handle, mut body: B, undo: Option<Undo>) -> Body
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError> + Send,
{
    if body.is_end_stream() {
        return Body::Empty;
    }
    if let Some(undo) = undo {
        return pump(io, None, |sender| decode::copy(body, undo, sender));
    }
    let length = body.size_hint().exact();
    let mut pieces = Vec::new();
    if length.is_some_and(|length| length <= CHUNK as u64) {
        if let Err(error) = arrived(&mut body, &mut pieces).await {
            return pump(io, length, |_| std::future::ready(Err(error)));
        }
        if body.is_end_stream() {
            return Body::Full(match pieces.len() {
                1 => pieces.remove(0),
                _ => pieces.concat().into(),
            });
        }
    }
    pump(io, length, |sender| copy(pieces, body, sender))
}

/// What a body that broke tells its reader.
pub(super) fn broken(error: impl Into<BoxError>) -> BodyError {
    match error.into().downcast::<BodyError>() {
        Ok(error) => *error,
        Err(error) => BodyError::Aborted(format!("the body broke off: {}", reason(&*error)).into()),
    }
}

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Runs `copy` on `io` until it is done or nobody reads any more.
fn pump<F>(io: &Handle, length: Option<u64>, copy: impl FnOnce(BodySender) -> F) -> Body
where
    F: Future<Output = Result<(), BodyError>> + Send + 'static,
{
    let (sender, stream) = BodyStream::channel(length);
    let copying = copy(sender.clone());
    // Owned by the reader: it ends when `stream` is dropped.
    io.spawn(charge::on(async move {
        let outcome = tokio::select! {
            outcome = copying => outcome,
            () = sender.closed() => Ok(()),
        };
        if let Err(error) = outcome {
            sender.fail(error);
        }
    }));
    Body::Stream(stream)
}

async fn copy<B>(pieces: Vec<Bytes>, mut body: B, sender: BodySender) -> Result<(), BodyError>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    for piece in pieces {
        if sender.send(piece).await.is_err() {
            return Ok(());
        }
    }
    while let Some(frame) = body.frame().await {
        // What is not data are trailers, which a `Response` has no place for.
        let Ok(mut data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(CHUNK));
            if sender.send(piece).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Takes what has arrived of a small body, giving hyper's task a few turns to bring it.
async fn arrived<B>(body: &mut B, pieces: &mut Vec<Bytes>) -> Result<(), BodyError>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let mut looks = 0;
    while looks < LOOKS && !body.is_end_stream() {
        match body.frame().now_or_never() {
            Some(Some(frame)) => {
                if let Ok(data) = frame.map_err(broken)?.into_data() {
                    pieces.push(data);
                }
            }
            Some(None) => return Ok(()),
            None => {
                looks += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(())
}

/// Counts a chunk against what was declared.
fn count(due: &mut Option<u64>, chunk: &Bytes) -> Result<(), BodyError> {
    let Some(due) = due else {
        return Ok(());
    };
    match due.checked_sub(chunk.len() as u64) {
        Some(rest) => {
            *due = rest;
            Ok(())
        }
        None => Err(BodyError::Aborted(
            "the body is longer than it was declared".into(),
        )),
    }
}

fn complete(due: Option<u64>) -> Result<(), BodyError> {
    match due {
        None | Some(0) => Ok(()),
        Some(due) => Err(BodyError::Aborted(
            format!("the body ended {due} bytes before its declared length").into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn sent(length: Option<u64>, chunks: &[&'static str]) -> Result<Bytes, BodyError> {
        let (sender, stream) = BodyStream::channel(length);
        for chunk in chunks {
            let chunk = Bytes::from_static(chunk.as_bytes());
            sender.send(chunk).await.expect("the reader is there");
        }
        drop(sender);
        let body = Outgoing::from(Body::Stream(stream));
        assert_eq!(body.size_hint().exact(), length);
        body.collect().await.map(|body| body.to_bytes())
    }

    #[tokio::test]
    async fn a_declared_length_is_kept() {
        assert_eq!(sent(None, &["ab", "c"]).await, Ok("abc".into()));
        assert_eq!(sent(Some(3), &["ab", "c"]).await, Ok("abc".into()));
        let short = sent(Some(4), &["ab", "c"]).await;
        assert!(matches!(short, Err(BodyError::Aborted(_))), "{short:?}");
        let long = sent(Some(2), &["abc"]).await;
        assert!(matches!(long, Err(BodyError::Aborted(_))), "{long:?}");
    }

    #[tokio::test]
    async fn an_error_of_the_writer_reaches_the_reader() {
        let (sender, stream) = BodyStream::channel(None);
        sender.send("ab".into()).await.expect("the reader is there");
        sender.fail(BodyError::Disconnected);
        let body = incoming(
            &Handle::current(),
            Outgoing::from(Body::Stream(stream)),
            None,
        )
        .await;
        let Body::Stream(mut body) = body else {
            panic!("a stream of unknown length stays one");
        };
        assert_eq!(body.chunk().await, Some(Ok("ab".into())));
        assert_eq!(body.chunk().await, Some(Err(BodyError::Disconnected)));
    }

    #[tokio::test]
    async fn large_pieces_are_cut() {
        let whole = Bytes::from(vec![7; 2 * CHUNK + 1]);
        let body = incoming(&Handle::current(), Outgoing::Full(whole), None).await;
        assert_eq!(body.length(), Some(2 * CHUNK as u64 + 1));
        let Body::Stream(mut body) = body else {
            panic!("too large for one piece");
        };
        let mut lengths = Vec::new();
        while let Some(chunk) = body.chunk().await {
            lengths.push(chunk.expect("nothing fails").len());
        }
        assert_eq!(lengths, [CHUNK, CHUNK, 1]);
    }

    #[tokio::test]
    async fn a_small_body_arrives_in_one_piece_and_a_slow_one_as_a_stream() {
        let io = Handle::current();
        let body = incoming(&io, Outgoing::Full("small".into()), None).await;
        assert!(matches!(body, Body::Full(bytes) if bytes == "small"));
        let body = incoming(&io, Outgoing::Empty, Some(Undo::Gzip)).await;
        assert!(matches!(body, Body::Empty));

        let (sender, stream) = BodyStream::channel(Some(4));
        sender.send("sl".into()).await.expect("the reader is there");
        let body = incoming(&io, Outgoing::from(Body::Stream(stream)), None).await;
        let Body::Stream(mut body) = body else {
            panic!("half of it is not there yet");
        };
        assert_eq!(body.length(), Some(4));
        assert_eq!(body.chunk().await, Some(Ok("sl".into())));
        sender.send("ow".into()).await.expect("the reader is there");
        drop(sender);
        assert_eq!(body.chunk().await, Some(Ok("ow".into())));
        assert_eq!(body.chunk().await, None);
    }

    #[tokio::test]
    async fn dropping_the_reader_ends_the_writer() {
        let (sender, stream) = BodyStream::channel(None);
        let body = incoming(
            &Handle::current(),
            Outgoing::from(Body::Stream(stream)),
            None,
        )
        .await;
        drop(body);
        let closed = tokio::time::timeout(Duration::from_secs(20), sender.closed()).await;
        assert!(closed.is_ok(), "the writer was never told");
    }
}
