//! Bodies across the seam: the edge pulls and is pulled, an isolate has channels.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
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

/// What a stream's first bytes are handed over in.
const PIECE: usize = 64 << 10;

/// How much of request bodies is received before functions are asked, so that clients who send them
/// slowly hold no isolates.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Of one body.
    most: AtomicU64,
    /// Of all of them, less what there is. Beyond it functions are asked at once.
    left: AtomicU64,
}

/// Bytes that are counted; given back by drop.
#[derive(Debug)]
struct Share {
    ahead: Arc<Ahead>,
    bytes: u64,
}

/// The first part of a body.
struct First {
    bytes: Bytes,
    /// There is no more.
    is_all: bool,
    share: Share,
}

impl Ahead {
    /// At most `most` bytes of each, and `all` of all of them.
    pub(super) fn new(most: u64, all: u64) -> Arc<Self> {
        Arc::new(Self {
            most: AtomicU64::new(most),
            left: AtomicU64::new(all),
        })
    }

    /// Reads at most `most` bytes of each from now on.
    pub(super) fn set_most(&self, most: u64) {
        self.most.store(most, Relaxed);
    }

    /// Whether `bytes` more fit.
    fn take(&self, bytes: u64) -> bool {
        let fewer = |left: u64| left.checked_sub(bytes);
        let taken = self.left.fetch_update(Relaxed, Relaxed, fewer);
        taken.is_ok()
    }

    /// Reads until the end, or until there is as much as is read ahead.
    ///
    /// # Errors
    /// The body breaks off, or is too slow.
    async fn read(self: &Arc<Self>, body: &mut RequestBody) -> Result<First, BodyError> {
        let mut share = Share {
            ahead: Arc::clone(self),
            bytes: 0,
        };
        // Copied: a short chunk may be part of a long buffer.
        let mut held = BytesMut::new();
        let mut is_all = false;
        while share.bytes < self.most.load(Relaxed) {
            let Some(chunk) = body.chunk().await else {
                is_all = true;
                break;
            };
            let chunk = chunk?;
            let length = chunk.len() as u64;
            held.extend_from_slice(&chunk);
            if !self.take(length) {
                break;
            }
            share.bytes += length;
        }
        Ok(First {
            bytes: held.freeze(),
            is_all,
            share,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.ahead.left.fetch_add(self.bytes, Relaxed);
    }
}

/// The body of a request, as a function gets it: whole if it is small, else a stream that `io`
/// feeds at the function's pace. As much as `ahead` says has been received by then.
///
/// # Errors
/// When a small body, or the first part of another, does not arrive in full.
pub(super) async fn inbound(
    mut body: RequestBody,
    ahead: &Arc<Ahead>,
    io: &Handle,
) -> Result<Body, BodyError> {
    let declared = body.declared();
    match declared {
        Some(0) => return Ok(Body::Empty),
        Some(length) if length <= WHOLE => {
            let mut whole = BytesMut::new();
            while let Some(chunk) = body.chunk().await {
                let chunk = chunk?;
                if whole.is_empty() && chunk.len() as u64 == length {
                    return Ok(Body::Full(chunk));
                }
                whole.extend_from_slice(&chunk);
            }
            return Ok(Body::Full(whole.freeze()));
        }
        Some(_) | None => {}
    }
    let First {
        bytes: mut first,
        is_all,
        share,
    } = ahead.read(&mut body).await?;
    let (sender, stream) = BodyStream::channel(declared);
    // Ends with the body, or with its reader.
    io.spawn(async move {
        while !first.is_empty() {
            let piece = first.split_to(first.len().min(PIECE));
            if sender.send(piece).await.is_err() {
                return;
            }
        }
        drop(share);
        if is_all {
            return;
        }
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
