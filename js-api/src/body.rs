//! The body of a message, on its way into or out of an isolate.
//!
//! Plain data, no V8 and no hyper: what the edge, an isolate and the outbound client hand each
//! other. A streamed body is a bounded channel of [`Bytes`], so a slow reader slows its writer,
//! and a dropped end tells the other one at once.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use tokio::sync::mpsc;

/// Chunks that a streamed body may hold between writer and reader.
///
/// With the 64 KiB chunks that hyper and the streams of a function make, this bounds what is
/// buffered for one body to 256 KiB (containment.md, case 30).
pub const CHUNKS_IN_FLIGHT: usize = 4;

/// Why a streamed body ended before its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The body is longer than the limit, in bytes.
    #[error("body is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// No byte came within the idle time.
    #[error("no data arrived within the idle time")]
    Idle,
    /// The peer, or the function at the other end, stopped.
    #[error("{0}")]
    Broken(String),
}

/// A message body.
#[derive(Debug, Default)]
pub enum Body {
    /// No body at all.
    #[default]
    Empty,
    /// All of it, in one piece.
    Full(Bytes),
    /// Chunks as they come.
    Stream(BodyStream),
}

/// The reading end of a streamed body. Dropping it tells the writer to stop.
#[derive(Debug)]
pub struct BodyStream {
    chunks: mpsc::Receiver<Result<Bytes, BodyError>>,
    length: Option<u64>,
    read: Arc<AtomicU64>,
}

/// The writing end of a streamed body. Dropping it without [`BodySender::fail`] ends the body
/// cleanly.
#[derive(Clone, Debug)]
pub struct BodySender {
    chunks: mpsc::Sender<Result<Bytes, BodyError>>,
}

/// The reader of a body is gone: nobody wants what is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reader of this body is gone")]
pub struct ReaderGone;

impl BodyStream {
    /// A channel for a body of `length` bytes, if that is known.
    pub fn channel(length: Option<u64>) -> (BodySender, Self) {
        let (sender, chunks) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let stream = Self {
            chunks,
            length,
            read: Arc::new(AtomicU64::new(0)),
        };
        (BodySender { chunks: sender }, stream)
    }

    /// Length in bytes, if the writer declared it.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next chunk; `None` at the clean end. Cancel-safe.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// Polls for the next chunk; `Ready(None)` at the clean end.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let polled = self.chunks.poll_recv(cx);
        if let Poll::Ready(Some(Ok(chunk))) = &polled {
            self.read.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
        polled
    }

    /// Bytes that were read so far, for whoever keeps count.
    pub fn counter(&self) -> Arc<AtomicU64> {
        self.read.clone()
    }
}

impl BodySender {
    /// Hands over one chunk, waiting while the reader is behind.
    ///
    /// # Errors
    /// [`ReaderGone`] when nobody reads any more. Dropping the future loses the chunk.
    pub async fn send(&self, chunk: Bytes) -> Result<(), ReaderGone> {
        self.chunks.send(Ok(chunk)).await.map_err(|_| ReaderGone)
    }

    /// Hands over one chunk if there is room for it now, and gives it back if not.
    ///
    /// # Errors
    /// [`ReaderGone`] when nobody reads any more.
    pub fn try_send(&self, chunk: Bytes) -> Result<Option<Bytes>, ReaderGone> {
        match self.chunks.try_send(Ok(chunk)) {
            Ok(()) => Ok(None),
            Err(mpsc::error::TrySendError::Full(chunk)) => Ok(chunk.ok()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(ReaderGone),
        }
    }

    /// Ends the body with an error, so that the reader cannot take it for complete.
    pub async fn fail(self, error: BodyError) {
        // A reader that is gone needs no telling.
        let _ = self.chunks.send(Err(error)).await;
    }

    /// Waits until the reader is gone.
    pub async fn closed(&self) {
        self.chunks.closed().await;
    }
}

impl Body {
    /// Length in bytes, if known.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Full(bytes) => Some(bytes.len() as u64),
            Self::Stream(stream) => stream.length(),
        }
    }
}
