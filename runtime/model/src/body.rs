//! The body of a message, on its way into or out of an isolate.
//!
//! Plain data, no V8 and no hyper: what the edge, an isolate and the outbound client hand each
//! other. A streamed body is a bounded channel of [`Bytes`], so a slow reader slows its writer,
//! and a dropped end tells the other one at once.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::task::AtomicWaker;
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::message::StreamId;
use crate::websocket::Socket;

/// Chunks that a streamed body may hold between writer and reader.
///
/// With the 64 KiB chunks that hyper and the streams of a function make, this bounds what is
/// buffered for one body to 256 KiB (containment.md, case 30).
pub const CHUNKS_IN_FLIGHT: usize = 4;

/// Why a body ended early. Whoever sees one has not seen the whole body.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, thiserror::Error)]
pub enum BodyError {
    /// More bytes than allowed; 413.
    #[error("the body is larger than the {limit} bytes allowed")]
    TooLarge {
        /// How many bytes are allowed.
        limit: u64,
    },
    /// Its sender sent nothing, or too little, for too long; 408.
    #[error("it did not arrive in time: {} s", after.as_secs_f32())]
    Idle {
        /// How long was waited.
        after: Duration,
    },
    /// The other side went away before the end.
    #[error("the other side went away before the end of the body")]
    Disconnected,
    /// The bytes on the wire are no body: bad chunking; 400.
    #[error("the body is malformed")]
    Malformed,
    /// The body turned out shorter or longer than its declared length.
    #[error("the body does not have the {declared} bytes that were declared")]
    Length {
        /// What was declared.
        declared: u64,
    },
    /// The producer gave up, with its reason.
    #[error("{0}")]
    Aborted(Cow<'static, str>),
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
    /// None: the connection becomes a WebSocket (status 101).
    Socket(Box<Socket>),
}

/// The reading end of a streamed body. Dropping it tells the writer to stop.
#[derive(Debug)]
pub struct BodyStream {
    chunks: mpsc::Receiver<Bytes>,
    length: Option<u64>,
    limit: u64,
    shared: Arc<Shared>,
    listener: Option<Arc<dyn Listener>>,
    asked: bool,
    origin: Option<StreamId>,
}

/// Hears what the reader of a body does, as it does it: it must not block.
pub trait Listener: Send + Sync + std::fmt::Debug {
    /// The reader asks for a chunk. Told once, the first time.
    fn asked(&self) {}

    /// The reader took a chunk: there is room for another.
    fn taken(&self);

    /// The reader is gone, before the end or after it.
    fn left(&self);
}

/// What the two ends of a streamed body, and those who follow it, have in common.
#[derive(Debug, Default)]
struct Shared {
    /// Bytes that were written.
    written: AtomicU64,
    /// Bytes that were read.
    read: AtomicU64,
    /// The reader has had all of it.
    complete: AtomicBool,
    /// Why the body breaks off after the chunks that are in the channel.
    broken: OnceLock<BodyError>,
    /// Wakes the reader when it breaks off.
    reader: AtomicWaker,
    /// The reader is gone.
    left: AtomicBool,
    /// Wakes who follows the body when its reader is gone.
    follower: AtomicWaker,
}

/// Follows a streamed body from aside: how far it is, and whether it is over.
#[derive(Clone, Debug)]
pub struct BodyProgress(Arc<Shared>);

/// The writing end of a streamed body. Dropping it without [`BodySender::fail`] ends the body
/// cleanly.
#[derive(Clone, Debug)]
pub struct BodySender {
    chunks: mpsc::Sender<Bytes>,
    shared: Arc<Shared>,
}

/// The reader of a body is gone: nobody wants what is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reader of this body is gone")]
pub struct ReaderGone;

impl BodyStream {
    /// A channel for a body of `length` bytes, if that is known.
    pub fn channel(length: Option<u64>) -> (BodySender, Self) {
        let (sender, chunks) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let shared = Arc::new(Shared::default());
        let stream = Self {
            chunks,
            length,
            limit: u64::MAX,
            shared: shared.clone(),
            listener: None,
            asked: false,
            origin: None,
        };
        let sender = BodySender {
            chunks: sender,
            shared,
        };
        (sender, stream)
    }

    /// Has `listener` hear what becomes of it. It has to be there before the first chunk is taken.
    pub fn heard_by(mut self, listener: Arc<dyn Listener>) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Names it as a stream of a cell's socket.
    pub fn named(mut self, origin: StreamId) -> Self {
        self.origin = Some(origin);
        self
    }

    /// The name that it came with over a cell's socket, if it did.
    pub fn origin(&self) -> Option<StreamId> {
        self.origin
    }

    /// Length in bytes, if the writer declared it.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Has the body break off where it grows beyond `limit` bytes.
    pub fn limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Sets the length, if none is known.
    pub fn declare(&mut self, length: u64) {
        self.length.get_or_insert(length);
    }

    /// The next chunk; `None` at the clean end. Cancel-safe.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// Polls for the next chunk; `Ready(None)` at the clean end.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.shared.reader.register(cx.waker());
        if !std::mem::replace(&mut self.asked, true)
            && let Some(listener) = &self.listener
        {
            listener.asked();
        }
        // Looked at first: whatever was sent before the break is in the channel by now.
        let broken = self.shared.broken.get();
        let polled = match (self.chunks.poll_recv(cx), broken) {
            // Not necessarily empty: tokio also says so to a task that has run for long.
            (Poll::Pending, Some(_)) => Poll::Ready(self.chunks.try_recv().ok()),
            (polled, _) => polled,
        };
        match (polled, broken) {
            (Poll::Ready(Some(chunk)), _) => {
                if let Some(listener) = &self.listener {
                    listener.taken();
                }
                let length = chunk.len() as u64;
                let before = self.shared.read.fetch_add(length, Ordering::Relaxed);
                if before + length > self.limit {
                    let limit = self.limit;
                    self.progress().break_off(BodyError::TooLarge { limit });
                    self.chunks.close();
                    return Poll::Ready(self.shared.broken.get().cloned().map(Err));
                }
                // Who knows the length may not ask for the end.
                if self.length == Some(before + length) {
                    self.shared.complete.store(true, Ordering::Release);
                }
                Poll::Ready(Some(Ok(chunk)))
            }
            (Poll::Ready(None), Some(error)) => Poll::Ready(Some(Err(error.clone()))),
            // The break may have come between the two looks.
            (Poll::Ready(None), None) => match self.shared.broken.get() {
                Some(error) => Poll::Ready(Some(Err(error.clone()))),
                None => {
                    self.shared.complete.store(true, Ordering::Release);
                    Poll::Ready(None)
                }
            },
            (Poll::Pending, _) => Poll::Pending,
        }
    }

    /// A way to follow the body from aside.
    pub fn progress(&self) -> BodyProgress {
        BodyProgress(self.shared.clone())
    }
}

impl Drop for BodyStream {
    fn drop(&mut self) {
        self.shared.left.store(true, Ordering::Release);
        self.shared.follower.wake();
        if let Some(listener) = &self.listener {
            listener.left();
        }
    }
}

impl BodyProgress {
    /// Bytes that were read so far.
    pub fn read(&self) -> u64 {
        self.0.read.load(Ordering::Relaxed)
    }

    /// Bytes that were written so far.
    pub fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// Whether the reader has had all of it.
    pub fn is_complete(&self) -> bool {
        self.0.complete.load(Ordering::Acquire)
    }

    /// Why it broke off, if it has.
    pub fn fault(&self) -> Option<&BodyError> {
        self.0.broken.get()
    }

    /// Breaks the body off, as [`BodySender::fail`] does.
    pub fn break_off(&self, error: BodyError) {
        // The first reason counts.
        let _ = self.0.broken.set(error);
        self.0.reader.wake();
    }

    /// Resolves when the reader is gone: it has read the body, or given up. For one task at a
    /// time.
    pub fn poll_over(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.follower.register(cx.waker());
        if self.0.left.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl BodySender {
    /// Hands over one chunk, waiting while the reader is behind.
    ///
    /// # Errors
    /// [`ReaderGone`] when nobody reads any more. Dropping the future loses the chunk.
    pub async fn send(&self, chunk: Bytes) -> Result<(), ReaderGone> {
        let length = chunk.len() as u64;
        self.chunks.send(chunk).await.map_err(|_| ReaderGone)?;
        self.shared.written.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }

    /// Hands over one chunk if there is room for it now, and gives it back if not.
    ///
    /// # Errors
    /// [`ReaderGone`] when nobody reads any more.
    pub fn try_send(&self, chunk: Bytes) -> Result<Option<Bytes>, ReaderGone> {
        let length = chunk.len() as u64;
        match self.chunks.try_send(chunk) {
            Ok(()) => {
                self.shared.written.fetch_add(length, Ordering::Relaxed);
                Ok(None)
            }
            Err(mpsc::error::TrySendError::Full(chunk)) => Ok(Some(chunk)),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(ReaderGone),
        }
    }

    /// Bytes that were written so far.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// Breaks the body off, so that the reader cannot take it for complete. The reader gets what
    /// is in the channel first; other clones of the sender need not be dropped.
    pub fn fail(self, error: BodyError) {
        BodyProgress(self.shared).break_off(error);
    }

    /// Waits until the reader is gone.
    pub async fn closed(&self) {
        self.chunks.closed().await;
    }
}

impl Body {
    /// A way to follow it from aside, if it streams.
    pub fn progress(&self) -> Option<BodyProgress> {
        match self {
            Self::Empty | Self::Full(_) | Self::Socket(_) => None,
            Self::Stream(stream) => Some(stream.progress()),
        }
    }

    /// Length in bytes, if known.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty | Self::Socket(_) => Some(0),
            Self::Full(bytes) => Some(bytes.len() as u64),
            Self::Stream(stream) => stream.length(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        futures::executor::block_on(future)
    }

    #[test]
    fn what_was_sent_before_the_break_is_read_first() {
        block_on(async {
            let (sender, mut stream) = BodyStream::channel(None);
            sender.send("ab".into()).await.expect("the reader is there");
            sender.clone().fail(BodyError::Disconnected);
            assert_eq!(stream.chunk().await, Some(Ok("ab".into())));
            assert_eq!(stream.chunk().await, Some(Err(BodyError::Disconnected)));
            assert_eq!(stream.progress().read(), 2);
        });
    }

    #[test]
    fn a_body_breaks_off_at_its_limit() {
        block_on(async {
            let (sender, mut stream) = BodyStream::channel(None);
            stream.limit(3);
            for chunk in ["ab", "c", "d", "e"] {
                sender.send(chunk.into()).await.expect("there is room");
            }
            assert_eq!(stream.chunk().await, Some(Ok("ab".into())));
            assert_eq!(stream.chunk().await, Some(Ok("c".into())));
            let fault = BodyError::TooLarge { limit: 3 };
            assert_eq!(stream.chunk().await, Some(Err(fault.clone())));
            assert_eq!(stream.progress().fault(), Some(&fault));
            sender.closed().await;
        });
    }

    #[test]
    fn a_dropped_sender_ends_the_body() {
        block_on(async {
            let (sender, mut stream) = BodyStream::channel(Some(0));
            drop(sender);
            assert_eq!(stream.chunk().await, None);
        });
    }

    #[test]
    fn a_full_channel_gives_the_chunk_back() {
        let (sender, stream) = BodyStream::channel(None);
        for _ in 0..CHUNKS_IN_FLIGHT {
            assert_eq!(sender.try_send("x".into()), Ok(None));
        }
        assert_eq!(sender.try_send("y".into()), Ok(Some("y".into())));
        drop(stream);
        assert_eq!(sender.try_send("z".into()), Err(ReaderGone));
    }

    #[test]
    fn progress_tells_that_the_reader_left() {
        let (_sender, stream) = BodyStream::channel(None);
        let progress = stream.progress();
        drop(stream);
        block_on(poll_fn(|cx| progress.poll_over(cx)));
    }
}
