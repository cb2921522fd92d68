//! Bytes in, fewer bytes out.
//!
//! A stream's chunks are not held back: whenever the function has nothing more at the moment, what it
//! has given is flushed to the client. What an encoder holds is bounded by its window, and the number
//! of streams that have one by [`Encoders`].

use std::io;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use bytes::BytesMut;
use compression_codecs::BrotliEncoder;
use compression_codecs::EncodeV2;
use compression_codecs::GzipEncoder;
use compression_codecs::ZstdEncoder;
use compression_codecs::brotli::params::EncoderParams;
use compression_codecs::core::Level;
use compression_codecs::core::util::PartialBuffer;
use compression_codecs::core::util::WriteBuffer;
use compression_codecs::zstd::params::CParameter;
use holm_model::body::BodyError;
use holm_router::ResponseBody;
use holm_runtime::request::OpenRecord;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

use super::Coding;
use crate::egress::charged;

/// Streams that are compressed at the same time, over the node; the next ones are sent as they are.
/// Each holds up to about 1 MiB.
const AT_ONCE: usize = 256;

/// Window of Brotli and zstd, as a power of two: 256 KiB. Theirs would be 4 and 2 MiB.
const WINDOW: u8 = 18;

/// Bytes that are compressed between two looks at how much has come out.
const PIECE: usize = 32 << 10;

/// Bytes that are compressed in one turn of a task, before others have theirs.
const TURN: usize = 128 << 10;

/// So much is sent on, however much more there is to compress.
const CHUNK: usize = 16 << 10;

/// The node's encoders of streams.
#[derive(Clone, Debug)]
pub(in crate::app) struct Encoders(Arc<Semaphore>);

impl Encoders {
    pub(in crate::app) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// `body`, compressed as it comes.
    ///
    /// # Errors
    /// The body as it was, if there are too many encoders.
    pub(super) fn stream(
        &self,
        coding: Coding,
        body: ResponseBody,
        record: OpenRecord,
    ) -> Result<ResponseBody, ResponseBody> {
        let Ok(place) = Arc::clone(&self.0).try_acquire_owned() else {
            return Err(body);
        };
        let mut packed = Packed {
            body,
            encoder: encoder(coding),
            input: Bytes::new(),
            out: BytesMut::new(),
            is_dirty: false,
            left: Some((record, place)),
        };
        Ok(ResponseBody::pulled(None, move |cx| packed.poll(cx)))
    }
}

type Encoder = Box<dyn EncodeV2 + Send>;

/// Levels at which each is still several times faster than a network: tens of megabytes a second.
fn encoder(coding: Coding) -> Encoder {
    match coding {
        Coding::Gzip => Box::new(GzipEncoder::new(Level::Precise(5).into())),
        Coding::Brotli => {
            let params = EncoderParams::default().quality(Level::Precise(4));
            let params = params.window_size(i32::from(WINDOW));
            Box::new(BrotliEncoder::new(params))
        }
        Coding::Zstd => {
            let window = CParameter::window_log(u32::from(WINDOW));
            Box::new(ZstdEncoder::new_with_params(3, &[window]))
        }
    }
}

/// All of `bytes`, compressed; none if the encoder fails, which it has no reason to.
pub(super) fn whole(coding: Coding, bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = encoder(coding);
    let mut out = BytesMut::new();
    encode(&mut encoder, bytes, &mut out).ok()?;
    written(&mut out, |out| encoder.finish(out)).ok()?;
    Some(out.freeze())
}

fn encode(encoder: &mut Encoder, bytes: &[u8], out: &mut BytesMut) -> io::Result<()> {
    let mut input = PartialBuffer::new(bytes);
    written(out, |out| {
        encoder.encode(&mut input, out)?;
        Ok(input.unwritten().is_empty())
    })
}

/// Has `step` write to `out` until it says that it is done.
fn written(
    out: &mut BytesMut,
    mut step: impl FnMut(&mut WriteBuffer<'_>) -> io::Result<bool>,
) -> io::Result<()> {
    let mut piece = [0; 4096];
    loop {
        let mut buffer = WriteBuffer::new_initialized(&mut piece);
        let is_done = step(&mut buffer)?;
        out.extend_from_slice(buffer.written());
        if is_done {
            return Ok(());
        }
    }
}

/// A body on its way through an encoder.
struct Packed {
    body: ResponseBody,
    encoder: Encoder,
    /// Of the body, not compressed yet.
    input: Bytes,
    /// Compressed, not sent on yet.
    out: BytesMut,
    /// The encoder has something that is in no output yet.
    is_dirty: bool,
    /// Until the end.
    left: Option<(OpenRecord, OwnedSemaphorePermit)>,
}

impl Packed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let Some((record, _)) = &self.left else {
            return Poll::Ready(None);
        };
        let account = record.account().clone();
        let mut spent = 0;
        loop {
            let next = if self.input.is_empty() {
                self.body.poll_chunk(cx)
            } else {
                let piece = self.input.split_to(self.input.len().min(PIECE));
                spent += piece.len();
                let (encoder, out) = (&mut self.encoder, &mut self.out);
                let encoded = charged(Some(account.clone()), || encode(encoder, &piece, out));
                self.is_dirty = true;
                if let Err(error) = encoded {
                    return self.fail(&error);
                }
                if self.out.len() >= CHUNK {
                    return self.take();
                }
                if spent >= TURN {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                continue;
            };
            let (encoder, out) = (&mut self.encoder, &mut self.out);
            match next {
                Poll::Ready(Some(Ok(bytes))) => self.input = bytes,
                Poll::Ready(Some(Err(error))) => {
                    self.left = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => {
                    let finish = || written(out, |out| encoder.finish(out));
                    if let Err(error) = charged(Some(account), finish) {
                        return self.fail(&error);
                    }
                    self.left = None;
                    return self.take();
                }
                Poll::Pending => {
                    if !std::mem::take(&mut self.is_dirty) {
                        return Poll::Pending;
                    }
                    let flush = || written(out, |out| encoder.flush(out));
                    if let Err(error) = charged(Some(account), flush) {
                        return self.fail(&error);
                    }
                    return self.take();
                }
            }
        }
    }

    fn take(&mut self) -> Poll<Option<Result<Bytes, BodyError>>> {
        Poll::Ready(Some(Ok(self.out.split().freeze())))
    }

    fn fail(&mut self, error: &io::Error) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.left = None;
        Poll::Ready(Some(Err(BodyError::Aborted(error.to_string().into()))))
    }
}
