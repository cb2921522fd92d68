//! The body of a request: limited in size, and in how long it may keep silent.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};

use super::BodyError;

/// How many bytes a body may have unless [`RequestBody::limit`] says otherwise: 100 MiB.
pub const DEFAULT_LIMIT: u64 = 100 << 20;
/// How long a body may keep silent unless [`RequestBody::idle`] says otherwise: 30 s.
pub const DEFAULT_IDLE: Duration = Duration::from_secs(30);

/// The body of a request, pulled chunk by chunk.
///
/// The first pull answers `Expect: 100-continue`. Dropping it early is fine: over HTTP/1.1 the
/// connection then closes behind the response, over HTTP/2 the stream is reset.
pub struct RequestBody {
    source: Source,
    declared: Option<u64>,
    received: u64,
    limit: u64,
    idle: Duration,
    pace: Option<Pace>,
    /// Made on the first wait; most bodies come with their head and never wait.
    timer: Option<Pin<Box<Sleep>>>,
    /// Since when a chunk is waited for.
    waiting: Option<Instant>,
}

/// How fast a body has to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Bytes a second.
    rate: u64,
    /// What may be waited for on top of that.
    grace: Duration,
    /// What was waited for so far, for chunks that came.
    waited: Duration,
}

impl Pace {
    pub(crate) fn new(rate: u64, grace: Duration) -> Self {
        Self {
            rate: rate.max(1),
            grace,
            waited: Duration::ZERO,
        }
    }

    /// How long the next chunk may be waited for, behind `received` bytes.
    fn patience(&self, received: u64) -> Duration {
        let earned = Duration::from_secs_f64(received as f64 / self.rate as f64);
        (self.grace + earned).saturating_sub(self.waited)
    }
}

enum Source {
    Ended,
    Whole(Bytes),
    Http1(Incoming),
    Http2(Incoming),
    Channel(mpsc::Receiver<Result<Bytes, BodyError>>),
    /// As [`Source::Channel`], timed as what comes over a wire.
    #[cfg(test)]
    Trickle(mpsc::Receiver<Result<Bytes, BodyError>>),
}

impl RequestBody {
    /// No body.
    pub fn empty() -> Self {
        Self::new(Source::Ended, Some(0))
    }

    /// A body that is there already.
    pub fn whole(bytes: Bytes) -> Self {
        let length = bytes.len() as u64;
        if length == 0 {
            return Self::empty();
        }
        Self::new(Source::Whole(bytes), Some(length))
    }

    /// A body made inside the process, for requests that never were on a wire. It ends well when
    /// the sender is dropped; to end it badly, send an error first.
    pub fn stream(chunks: mpsc::Receiver<Result<Bytes, BodyError>>, declared: Option<u64>) -> Self {
        Self::new(Source::Channel(chunks), declared)
    }

    pub(crate) fn wire(incoming: Incoming, version: http::Version, pace: Pace) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        let declared = incoming.size_hint().exact();
        let source = match version {
            http::Version::HTTP_2 => Source::Http2(incoming),
            _ => Source::Http1(incoming),
        };
        Self {
            pace: Some(pace),
            ..Self::new(source, declared)
        }
    }

    fn new(source: Source, declared: Option<u64>) -> Self {
        Self {
            source,
            declared,
            received: 0,
            limit: DEFAULT_LIMIT,
            idle: DEFAULT_IDLE,
            pace: None,
            timer: None,
            waiting: None,
        }
    }

    /// Sets how many bytes it may have. To be called before the first chunk is pulled.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] at once if the declared length is already more. A body without one
    /// fails with the same error in the chunk that exceeds the limit.
    pub fn limit(&mut self, bytes: u64) -> Result<(), BodyError> {
        self.limit = bytes;
        match self.declared {
            Some(declared) if declared > bytes => Err(BodyError::TooLarge { limit: bytes }),
            _ => Ok(()),
        }
    }

    /// Sets how long it may keep silent while a chunk is waited for.
    pub fn idle(&mut self, after: Duration) {
        self.idle = after;
    }

    /// The length its sender declared: of the whole, not of the rest.
    pub fn declared(&self) -> Option<u64> {
        self.declared
    }

    /// How many bytes have been pulled so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The next chunk, never empty; `None` at the end. After an error it has ended.
    ///
    /// Dropping the future loses nothing.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, BodyError>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// As [`chunk`](Self::chunk), for hand-written futures.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let next = match self.source.poll_next(cx) {
            Poll::Ready(next) => next,
            Poll::Pending => {
                let after = ready!(self.poll_silence(cx));
                Some(Err(BodyError::Idle { after }))
            }
        };
        if let (Some(since), Some(pace)) = (self.waiting.take(), &mut self.pace) {
            pace.waited += since.elapsed();
        }
        let next = match next {
            Some(Ok(bytes)) => self.count(bytes).map(Some),
            Some(Err(error)) => Err(error),
            None => self.check_end().map(|()| None),
        };
        if !matches!(next, Ok(Some(_))) {
            self.source = Source::Ended;
            self.timer = None;
        }
        Poll::Ready(next.transpose())
    }

    /// Ready once nothing, or too little, came for too long: for how long it was waited.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Duration> {
        if matches!(self.source, Source::Channel(_)) {
            // Made in here, under the time limit of whoever makes it.
            return Poll::Pending;
        }
        let waited = self.pace.map_or(Duration::ZERO, |pace| pace.waited);
        let patience = self.pace.map(|pace| pace.patience(self.received));
        let patience = patience.map_or(self.idle, |patience| patience.min(self.idle));
        let now = Instant::now();
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(now + patience)));
        let since = *self.waiting.get_or_insert_with(|| {
            timer.as_mut().reset(now + patience);
            now
        });
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(waited + since.elapsed())
    }

    fn count(&mut self, bytes: Bytes) -> Result<Bytes, BodyError> {
        self.received += bytes.len() as u64;
        if self.received > self.limit {
            return Err(BodyError::TooLarge { limit: self.limit });
        }
        match self.declared {
            Some(declared) if self.received > declared => Err(BodyError::Length { declared }),
            _ => Ok(bytes),
        }
    }

    fn check_end(&self) -> Result<(), BodyError> {
        let was_reset = match &self.source {
            // hyper reports a client's RST_STREAM(NO_ERROR) as an ordinary end.
            Source::Http2(incoming) => !incoming.is_end_stream(),
            Source::Ended => return Ok(()),
            Source::Whole(_) | Source::Http1(_) | Source::Channel(_) => false,
            #[cfg(test)]
            Source::Trickle(_) => false,
        };
        if was_reset {
            return Err(BodyError::Disconnected);
        }
        match self.declared {
            Some(declared) if declared != self.received => Err(BodyError::Length { declared }),
            _ => Ok(()),
        }
    }
}

impl Source {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match self {
            Self::Ended => Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)))
            }
            Self::Channel(chunks) => loop {
                match ready!(chunks.poll_recv(cx)) {
                    Some(Ok(bytes)) if bytes.is_empty() => {}
                    next => return Poll::Ready(next),
                }
            },
            #[cfg(test)]
            Self::Trickle(chunks) => chunks.poll_recv(cx),
            Self::Http1(incoming) | Self::Http2(incoming) => loop {
                match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
                    None => return Poll::Ready(None),
                    Some(Err(error)) => return Poll::Ready(Some(Err(classify(&error)))),
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(bytes) if !bytes.is_empty() => return Poll::Ready(Some(Ok(bytes))),
                        // Trailers: no API of a function reads them.
                        Ok(_) | Err(_) => {}
                    },
                }
            },
        }
    }
}

/// hyper has no kinds for these; the I/O error underneath has.
fn classify(error: &hyper::Error) -> BodyError {
    let source = std::error::Error::source(error);
    match source.and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(io) => match io.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => BodyError::Malformed,
            _ => BodyError::Disconnected,
        },
        None => BodyError::Disconnected,
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.get_mut()
            .poll_chunk(cx)
            .map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Ended => true,
            Source::Http1(incoming) | Source::Http2(incoming) => incoming.is_end_stream(),
            Source::Whole(_) | Source::Channel(_) => false,
            #[cfg(test)]
            Source::Trickle(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.declared {
            Some(declared) => SizeHint::with_exact(declared.saturating_sub(self.received)),
            None => SizeHint::default(),
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("declared", &self.declared)
            .field("received", &self.received)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_come_earns_time_for_the_rest() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(1000, 10 * second);
        assert_eq!(pace.patience(0), 10 * second);
        assert_eq!(pace.patience(5_000), 15 * second);
        pace.waited = 12 * second;
        assert_eq!(pace.patience(5_000), 3 * second);
        // A byte every few seconds earns next to nothing.
        assert_eq!(pace.patience(100), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_ends() {
        // The wire's clock is for what comes over one.
        let (sender, receiver) = mpsc::channel(1);
        let mut body = RequestBody {
            pace: Some(Pace::new(1000, Duration::from_secs(10))),
            ..RequestBody::new(Source::Trickle(receiver), None)
        };
        let begun = Instant::now();
        let trickle = async move {
            while sender.send(Ok(Bytes::from_static(b"x"))).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(4)).await;
            }
        };
        let ((), ended) = tokio::join!(trickle, async move { drain(&mut body).await });
        assert!(matches!(ended, Err(BodyError::Idle { .. })), "{ended:?}");
        assert_eq!(begun.elapsed().as_secs(), 12);
    }

    async fn drain(body: &mut RequestBody) -> Result<Vec<u8>, BodyError> {
        let mut all = Vec::new();
        while let Some(chunk) = body.chunk().await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all)
    }

    fn channel(chunks: &[&'static str], declared: Option<u64>) -> RequestBody {
        let (sender, receiver) = mpsc::channel(8);
        for chunk in chunks {
            sender
                .try_send(Ok(Bytes::from_static(chunk.as_bytes())))
                .expect("room for eight chunks");
        }
        RequestBody::stream(receiver, declared)
    }

    #[tokio::test]
    async fn a_declared_length_over_the_limit_fails_before_a_byte_is_read() {
        let mut body = RequestBody::whole(Bytes::from_static(b"hello"));
        assert_eq!(body.limit(4), Err(BodyError::TooLarge { limit: 4 }));
        assert_eq!(body.received(), 0);
        assert_eq!(body.limit(5), Ok(()));
        assert_eq!(drain(&mut body).await, Ok(b"hello".to_vec()));
    }

    #[tokio::test]
    async fn an_undeclared_length_fails_in_the_chunk_that_exceeds_it() {
        let mut body = channel(&["ab", "", "cd", "ef"], None);
        body.limit(5).expect("nothing is declared");
        assert_eq!(body.chunk().await, Some(Ok(Bytes::from_static(b"ab"))));
        assert_eq!(body.chunk().await, Some(Ok(Bytes::from_static(b"cd"))));
        let error = BodyError::TooLarge { limit: 5 };
        assert_eq!(body.chunk().await, Some(Err(error)));
        assert_eq!(body.chunk().await, None);
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    async fn a_body_that_breaks_its_word_is_an_error() {
        let error = Err(BodyError::Length { declared: 3 });
        assert_eq!(drain(&mut channel(&["ab"], Some(3))).await, error);
        assert_eq!(drain(&mut channel(&["ab", "cd"], Some(3))).await, error);
        assert_eq!(
            drain(&mut channel(&["ab", "c"], Some(3))).await,
            Ok(b"abc".to_vec())
        );
    }
}
