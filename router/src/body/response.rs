//! The body of a response: nothing, one piece, or a stream that the client's pace pulls.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use holm_model::websocket::Socket;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use super::BodyError;
use crate::link::Active;
use crate::turn;

/// The body of a response.
///
/// Dropping it drops the channel's receiver, which is how its producer learns that nobody listens
/// any more. An error in it aborts the connection (HTTP/1.1) or the stream (HTTP/2): a client
/// never takes a broken body for a whole one.
pub struct ResponseBody {
    kind: Kind,
    /// On a wire: the request it answers, which ends with it.
    active: Option<Active>,
}

enum Kind {
    Ended,
    Whole(Bytes),
    Socket(Box<Socket>),
    Stream {
        chunks: Chunks,
        declared: Option<u64>,
        sent: u64,
    },
}

/// Where the chunks of a stream come from.
enum Chunks {
    Channel(mpsc::Receiver<Result<Bytes, BodyError>>),
    Pulled(Box<Pull>),
}

/// Polls for the next chunk of a body.
type Pull = dyn FnMut(&mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> + Send;

impl Chunks {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match self {
            Self::Channel(chunks) => chunks.poll_recv(cx),
            Self::Pulled(pull) => pull(cx),
        }
    }
}

impl ResponseBody {
    /// No body.
    pub fn empty() -> Self {
        Self::new(Kind::Ended)
    }

    /// A body that is there already; written with its head, in one go.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::new(if bytes.is_empty() {
            Kind::Ended
        } else {
            Kind::Whole(bytes)
        })
    }

    /// A stream. It ends well when the sender is dropped; to end it badly, send an error first. A
    /// declared length is kept to: a stream that is shorter or longer ends badly.
    pub fn stream(chunks: mpsc::Receiver<Result<Bytes, BodyError>>, declared: Option<u64>) -> Self {
        Self::new(Kind::Stream {
            chunks: Chunks::Channel(chunks),
            declared,
            sent: 0,
        })
    }

    /// As [`stream`](Self::stream), over whatever can be polled for its next chunk: a body of
    /// another kind needs no task to carry it over. What `pull` owns is dropped with the body.
    pub fn pulled(
        declared: Option<u64>,
        pull: impl FnMut(&mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> + Send + 'static,
    ) -> Self {
        Self::new(Kind::Stream {
            chunks: Chunks::Pulled(Box::new(pull)),
            declared,
            sent: 0,
        })
    }

    /// None: the connection becomes a WebSocket. The request has to have asked for one, and the status is 101.
    pub fn socket(socket: Box<Socket>) -> Self {
        Self::new(Kind::Socket(socket))
    }

    /// Its socket, if it is one; it is empty then.
    pub(crate) fn take_socket(&mut self) -> Option<Box<Socket>> {
        match std::mem::replace(&mut self.kind, Kind::Ended) {
            Kind::Socket(socket) => Some(socket),
            other @ (Kind::Ended | Kind::Whole(_) | Kind::Stream { .. }) => {
                self.kind = other;
                None
            }
        }
    }

    fn new(kind: Kind) -> Self {
        Self { kind, active: None }
    }

    /// Declares the length of a stream that has none; a body that knows its length knows better.
    pub(crate) fn declare(&mut self, length: u64) {
        if let Kind::Stream {
            declared: declared @ None,
            ..
        } = &mut self.kind
        {
            *declared = Some(length);
        }
    }

    /// Ties it to the request that it answers. Its bytes count as unsent from now on.
    pub(crate) fn belongs_to(&mut self, active: Active) {
        if let Kind::Whole(bytes) = &mut self.kind {
            *bytes = active.hold(std::mem::take(bytes));
        }
        self.active = Some(active);
    }

    /// Its length, if known: of what is left.
    pub fn length(&self) -> Option<u64> {
        match &self.kind {
            Kind::Ended | Kind::Socket(_) => Some(0),
            Kind::Whole(bytes) => Some(bytes.len() as u64),
            Kind::Stream { declared, sent, .. } => declared.map(|all| all.saturating_sub(*sent)),
        }
    }

    /// The next chunk, never empty; `None` at the end. For responses that stay in the process.
    ///
    /// Dropping the future loses nothing.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// As [`chunk`](Self::chunk), for hand-written futures.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let next = match &mut self.kind {
            Kind::Ended | Kind::Socket(_) => return Poll::Ready(None),
            Kind::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.kind = Kind::Ended;
                return Poll::Ready(Some(Ok(bytes)));
            }
            Kind::Stream {
                chunks,
                declared,
                sent,
            } => {
                let next = loop {
                    match ready!(chunks.poll_next(cx)) {
                        Some(Ok(bytes)) if bytes.is_empty() => {}
                        next => break next,
                    }
                };
                *sent += next.as_ref().map_or(0, |next| {
                    next.as_ref().map_or(0, |bytes| bytes.len() as u64)
                });
                let next = match (next, &self.active) {
                    (Some(Ok(bytes)), Some(active)) => Some(Ok(active.hold(bytes))),
                    (next, _) => next,
                };
                match (next, *declared) {
                    (Some(Ok(_)), Some(declared)) if *sent > declared => {
                        Some(Err(BodyError::Length { declared }))
                    }
                    (None, Some(declared)) if *sent < declared => {
                        Some(Err(BodyError::Length { declared }))
                    }
                    (next, _) => next,
                }
            }
        };
        if !matches!(next, Some(Ok(_))) {
            self.kind = Kind::Ended;
        }
        if let (Some(Err(_)), Some(active)) = (&next, &self.active) {
            active.broken();
        }
        Poll::Ready(next)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let chunk = self.get_mut().poll_chunk(cx);
        match &chunk {
            Poll::Ready(_) => turn::to_client(),
            Poll::Pending => turn::to_us(),
        }
        chunk.map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Ended | Kind::Socket(_))
    }

    fn size_hint(&self) -> SizeHint {
        self.length()
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self::whole(bytes)
    }
}

impl From<String> for ResponseBody {
    fn from(text: String) -> Self {
        Self::whole(text)
    }
}

impl From<&'static str> for ResponseBody {
    fn from(text: &'static str) -> Self {
        Self::whole(text)
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("length", &self.length())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn dropping_the_body_tells_the_producer() {
        let (sender, receiver) = mpsc::channel(1);
        let body = ResponseBody::stream(receiver, None);
        assert!(!sender.is_closed());
        drop(body);
        sender.closed().await;
    }

    #[tokio::test]
    async fn a_stream_is_held_to_its_declared_length() {
        for (chunks, ends_well) in [
            (vec!["ab", "c"], true),
            (vec!["ab"], false),
            (vec!["ab", "cd"], false),
        ] {
            let (sender, receiver) = mpsc::channel(4);
            for chunk in &chunks {
                let bytes = Bytes::from_static(chunk.as_bytes());
                sender.try_send(Ok(bytes)).expect("room for four chunks");
            }
            drop(sender);
            let mut body = ResponseBody::stream(receiver, Some(3));
            let mut last = None;
            while let Some(chunk) = body.chunk().await {
                last = Some(chunk);
            }
            let is_well = last.is_some_and(|last| last.is_ok());
            assert_eq!(is_well, ends_well, "{chunks:?}");
        }
    }
}
