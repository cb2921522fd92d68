//! Undoing `content-encoding`, never ahead of the reader.
//!
//! A small answer may inflate a thousandfold, so the decoder is asked for one chunk at a time and
//! only when the one before has found room in the stream. What is held per body is then the
//! stream's few chunks and the decoder's window: 32 KiB for gzip, at most 16 MiB for Brotli.
//!
//! Those 16 MiB are the peer's to ask for and lie outside any isolate's budget, so they are counted
//! ([`Windows`]). A function that has its share open offers only gzip until one is done.

use std::io;
use std::sync::Arc;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use holm_model::body::{BodyError, BodySender};
use http_body::Body as HttpBody;
use http_body_util::BodyDataStream;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::io::StreamReader;

use super::body::{BoxError, CHUNK, broken};

/// A content coding that is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
}

/// Brotli bodies that one function may have open: as much memory as an isolate has by default.
const WINDOWS_PER_FUNCTION: usize = 8;

/// Brotli bodies that the node may have open: 512 MiB of windows.
const WINDOWS_PER_NODE: usize = 32;

/// A function's share of the node's Brotli windows.
#[derive(Clone, Debug)]
pub(super) struct Windows {
    node: Arc<Semaphore>,
    function: Arc<Semaphore>,
}

/// The right to decode one Brotli body; given back when dropped.
#[derive(Debug)]
pub(super) struct Window {
    _function: OwnedSemaphorePermit,
    _node: OwnedSemaphorePermit,
}

/// What is done to a body.
#[derive(Debug)]
pub(super) enum Undo {
    /// Undo [`Coding::Gzip`].
    Gzip,
    /// Undo [`Coding::Brotli`].
    Brotli(Window),
}

impl Windows {
    pub(super) fn new() -> Self {
        Self {
            node: Arc::new(Semaphore::new(WINDOWS_PER_NODE)),
            function: Arc::new(Semaphore::new(WINDOWS_PER_FUNCTION)),
        }
    }

    /// The share of another function.
    pub(super) fn for_function(&self) -> Self {
        Self {
            node: Arc::clone(&self.node),
            function: Arc::new(Semaphore::new(WINDOWS_PER_FUNCTION)),
        }
    }

    /// A window, if one is left. Nobody waits for one: what holds them may be bodies that the
    /// same function will never read.
    pub(super) fn take(&self) -> Option<Window> {
        Some(Window {
            _function: Arc::clone(&self.function).try_acquire_owned().ok()?,
            _node: Arc::clone(&self.node).try_acquire_owned().ok()?,
        })
    }
}

impl Undo {
    fn coding(&self) -> Coding {
        match self {
            Self::Gzip => Coding::Gzip,
            Self::Brotli(_) => Coding::Brotli,
        }
    }
}

impl Coding {
    /// `accept-encoding` for what can be undone here.
    pub(super) const OFFER: &'static str = "gzip,br";

    /// The coding that a `content-encoding` names.
    pub(super) fn named(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("gzip") {
            Some(Self::Gzip)
        } else if name.eq_ignore_ascii_case("br") {
            Some(Self::Brotli)
        } else {
            None
        }
    }
}

/// Copies `body`, its coding undone, to `sender`, until its end or the reader's.
///
/// # Errors
/// The body broke off, or is not of that coding.
pub(super) async fn copy<B>(body: B, undo: Undo, sender: BodySender) -> Result<(), BodyError>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let coding = undo.coding();
    let chunks = BodyDataStream::new(body).map_err(|error| io::Error::other(broken(error)));
    let mut encoded = StreamReader::new(chunks);
    let outcome = match first_byte(&mut encoded).await {
        // Some servers announce a coding for an empty body; nothing is then to be undone.
        Ok(None) => return Ok(()),
        Ok(Some(first)) if coding == Coding::Brotli && is_large_window(first) => {
            Err(io::Error::other("its window is too large"))
        }
        Ok(Some(_)) => match undo {
            Undo::Gzip => drain(GzipDecoder::new(encoded), &sender).await,
            Undo::Brotli(_window) => drain(BrotliDecoder::new(encoded), &sender).await,
        },
        Err(error) => Err(error),
    };
    outcome.map_err(|error| match error.downcast::<BodyError>() {
        Ok(error) => error,
        Err(error) => {
            BodyError::Aborted(format!("the body is not valid {coding:?}: {error}").into())
        }
    })
}

async fn first_byte(encoded: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<u8>> {
    Ok(encoded.fill_buf().await?.first().copied())
}

/// Whether a Brotli stream that starts so asks for a window beyond RFC 7932's 16 MiB.
///
/// The decoder knows the "large window" extension, cannot be told not to, and would allocate up
/// to 1 GiB for one body. HTTP's `br` has no such windows; RFC 7932 (9.1) calls the pattern
/// invalid.
fn is_large_window(first: u8) -> bool {
    first & 0x7f == 0x11
}

/// Copies all of `decoded`, a chunk at a time.
async fn drain(decoded: impl AsyncRead, sender: &BodySender) -> io::Result<()> {
    let mut decoded = std::pin::pin!(decoded);
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK);
        let length = (&mut decoded)
            .take(CHUNK as u64)
            .read_buf(&mut buffer)
            .await?;
        if length == 0 || sender.send(buffer.split().freeze()).await.is_err() {
            return Ok(());
        }
        // A piece may take a while, and the thread is the neighbours' too.
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_compression::Level;
    use async_compression::tokio::write::{BrotliEncoder, GzipEncoder};
    use holm_model::body::{Body, BodyStream, CHUNKS_IN_FLIGHT};
    use tokio::io::AsyncWriteExt;

    use super::super::body::Outgoing;
    use super::*;

    async fn encoded(coding: Coding, plain: &[u8]) -> Bytes {
        let level = Level::Fastest;
        let bytes = match coding {
            Coding::Gzip => {
                let mut encoder = GzipEncoder::with_quality(Vec::new(), level);
                encoder.write_all(plain).await.expect("memory");
                encoder.shutdown().await.expect("memory");
                encoder.into_inner()
            }
            Coding::Brotli => {
                let mut encoder = BrotliEncoder::with_quality(Vec::new(), level);
                encoder.write_all(plain).await.expect("memory");
                encoder.shutdown().await.expect("memory");
                encoder.into_inner()
            }
        };
        bytes.into()
    }

    fn undo(coding: Coding) -> Undo {
        match coding {
            Coding::Gzip => Undo::Gzip,
            Coding::Brotli => Undo::Brotli(Windows::new().take().expect("none is taken")),
        }
    }

    #[test]
    fn windows_are_counted_per_function_and_per_node() {
        let first = Windows::new();
        let mut taken: Vec<Window> = std::iter::from_fn(|| first.take()).collect();
        assert_eq!(taken.len(), WINDOWS_PER_FUNCTION);
        for function in std::iter::repeat_with(|| first.for_function()).take(10) {
            taken.extend(std::iter::from_fn(|| function.take()));
        }
        assert_eq!(taken.len(), WINDOWS_PER_NODE);
        // A refusal by the node leaves the function's share as it was.
        let late = first.for_function();
        assert!(late.take().is_none());
        assert_eq!(late.function.available_permits(), WINDOWS_PER_FUNCTION);
        taken.clear();
        assert!(late.take().is_some());
    }

    /// Decodes in a task of its own; the outcome, and what can be read of it.
    fn decoding(body: Body, coding: Coding) -> (BodyStream, impl Future<Output = BodyOutcome>) {
        let (sender, stream) = BodyStream::channel(None);
        let task = tokio::spawn(copy(Outgoing::from(body), undo(coding), sender));
        (stream, async { task.await.expect("no panic") })
    }

    type BodyOutcome = Result<(), BodyError>;

    async fn decoded(body: impl Into<Bytes>, coding: Coding) -> Result<Vec<u8>, BodyError> {
        let (mut stream, outcome) = decoding(Body::Full(body.into()), coding);
        let mut all = Vec::new();
        while let Some(chunk) = stream.chunk().await {
            let chunk = chunk?;
            assert!(!chunk.is_empty() && chunk.len() <= CHUNK);
            all.extend_from_slice(&chunk);
        }
        outcome.await.map(|()| all)
    }

    #[tokio::test]
    async fn what_was_encoded_comes_back() {
        let plain: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        for coding in [Coding::Gzip, Coding::Brotli] {
            let body = encoded(coding, &plain).await;
            let back = decoded(body, coding).await.expect("valid");
            assert!(back == plain, "{coding:?}");
        }
    }

    #[tokio::test]
    async fn what_is_not_valid_is_an_error() {
        for coding in [Coding::Gzip, Coding::Brotli] {
            let whole = encoded(coding, &[b'x'; 10_000]).await;
            let half = whole.slice(..whole.len() / 2);
            for body in [half, Bytes::from_static(b"\x0aplain text, not encoded")] {
                let outcome = decoded(body, coding).await;
                let Err(BodyError::Aborted(words)) = outcome else {
                    panic!("{coding:?}: {outcome:?}");
                };
                let start = format!("the body is not valid {coding:?}: ");
                assert!(words.starts_with(&start), "{words}");
            }
            assert_eq!(decoded("", coding).await, Ok(vec![]), "nothing at all");
        }
    }

    #[tokio::test]
    async fn an_error_of_the_wire_stays_what_it_is() {
        let (writer, body) = BodyStream::channel(None);
        let start = encoded(Coding::Gzip, b"hello").await.slice(..12);
        writer.send(start).await.expect("read");
        writer.fail(BodyError::Disconnected);
        let (_stream, outcome) = decoding(Body::Stream(body), Coding::Gzip);
        assert_eq!(outcome.await, Err(BodyError::Disconnected));
    }

    #[tokio::test]
    async fn a_window_beyond_the_standard_is_refused() {
        // Large-window Brotli: 30 bits of window, 1 GiB.
        let outcome = decoded(&b"\x11\x1e\x00\x00\x00\x00"[..], Coding::Brotli).await;
        let Err(BodyError::Aborted(words)) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(words.ends_with("its window is too large"), "{words}");
    }

    /// Blocks of a megabyte, each a kilobyte of noise over and over: it compresses to very
    /// little, and to about as much for each block.
    fn bomb(blocks: usize) -> Vec<u8> {
        let mut noise = 1_u64;
        let mut plain = Vec::new();
        for _ in 0..blocks {
            let kilobyte: Vec<u8> = (0..1024)
                .map(|_| {
                    noise = noise
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    (noise >> 56) as u8
                })
                .collect();
            plain.extend(kilobyte.repeat(1024));
        }
        plain
    }

    #[tokio::test]
    async fn a_bomb_inflates_no_further_than_it_is_read() {
        const BLOCKS: usize = 32;
        let plain = bomb(BLOCKS);
        for coding in [Coding::Gzip, Coding::Brotli] {
            let mut rest = encoded(coding, &plain).await;
            assert!(rest.len() < plain.len() / 50, "{} bytes", rest.len());
            let block = rest.len() / BLOCKS;
            let (writer, body) = BodyStream::channel(None);
            let (mut stream, outcome) = decoding(Body::Stream(body), coding);
            let mut taken = 0;
            while rest.len() > block {
                let sending = writer.send(rest.slice(..block));
                let sending = tokio::time::timeout(Duration::from_millis(200), sending);
                if sending.await.is_err() {
                    break;
                }
                rest = rest.slice(block..);
                taken += 1;
            }
            // The channel before the decoder is full and the decoder holds a piece or two. These
            // windows are small; a Brotli decoder may fill its window ahead of the reader.
            assert!(taken <= CHUNKS_IN_FLIGHT + 3, "{coding:?}: {taken} blocks");
            let writing = async move {
                writer.send(rest).await.expect("read");
            };
            let reading = async {
                let mut length = 0;
                while let Some(chunk) = stream.chunk().await {
                    length += chunk.expect("valid").len();
                }
                length
            };
            let (length, ()) = tokio::join!(reading, writing);
            assert_eq!(length, plain.len());
            assert_eq!(outcome.await, Ok(()));
        }
    }
}
