//! The ops behind `DecompressionStream`: data that is cut off, or that goes on behind its end, is an
//! error, as the standard says.

use std::cell::RefCell;
use std::io;

use compression_codecs::BrotliDecoder;
use compression_codecs::DecodeV2;
use compression_codecs::DeflateDecoder;
use compression_codecs::GzipDecoder;
use compression_codecs::ZlibDecoder;
use compression_codecs::core::util::PartialBuffer;
use compression_codecs::core::util::WriteBuffer;
use deno_core::GarbageCollected;
use deno_core::OpState;
use deno_core::convert::Uint8Array;
use deno_core::op2;
use deno_core::v8;
use deno_error::JsErrorBox;

use crate::handler::MemoryBudget;
use crate::memory::compression::Hold;

/// Bytes that are decompressed at a time.
const PIECE: usize = 16 << 10;

/// What a stream has; nothing from its end on.
pub(crate) struct Decompression {
    stream: RefCell<Option<Stream>>,
    hold: Hold,
}

// SAFETY: it refers to nothing that V8 manages.
#[allow(unsafe_code, reason = "deno_core's mark of what V8 may collect")]
unsafe impl GarbageCollected for Decompression {
    fn trace(&self, _: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"Decompression"
    }
}

struct Stream {
    decoder: Box<dyn DecodeV2>,
    /// The end of the compressed data has come.
    has_ended: bool,
    /// Something has come behind it.
    overran: bool,
    /// Bytes that one chunk may become: V8 sees them only when they are all there.
    budget: usize,
}

impl Stream {
    fn new(format: &str, MemoryBudget(budget): MemoryBudget) -> Option<Self> {
        let decoder: Box<dyn DecodeV2> = match format {
            "deflate" => Box::new(ZlibDecoder::new()),
            "deflate-raw" => Box::new(DeflateDecoder::new()),
            "gzip" => Box::new(GzipDecoder::new()),
            "brotli" => Box::new(BrotliDecoder::new()),
            _ => return None,
        };
        Some(Self {
            decoder,
            has_ended: false,
            overran: false,
            budget: usize::try_from(budget).unwrap_or(usize::MAX),
        })
    }

    /// What a chunk becomes.
    fn decompress(&mut self, chunk: &[u8]) -> Result<Vec<u8>, JsErrorBox> {
        let mut input = PartialBuffer::new(chunk);
        let mut output = Vec::new();
        let mut is_full = false;
        while !self.has_ended && (is_full || !input.unwritten().is_empty()) {
            is_full = self.piece(&mut output, |stream, piece| {
                if input.unwritten().is_empty() {
                    // A decoder takes it ill to be asked without anything to go on.
                    stream.decoder.flush(piece)?;
                } else {
                    stream.has_ended = stream.decoder.decode(&mut input, piece)?;
                }
                Ok(())
            })?;
        }
        self.overran = !input.unwritten().is_empty();
        Ok(output)
    }

    /// What is left when no chunk follows.
    fn finish(&mut self) -> Result<Vec<u8>, JsErrorBox> {
        let mut output = Vec::new();
        let mut is_full = true;
        while !self.has_ended && is_full {
            is_full = self.piece(&mut output, |stream, piece| {
                // All that it can complain of is that there should be more.
                stream.has_ended = stream.decoder.finish(piece).unwrap_or(false);
                Ok(())
            })?;
        }
        if !self.has_ended {
            return Err(JsErrorBox::type_error("the compressed data is cut off"));
        }
        Ok(output)
    }

    /// Has `step` write one piece to the end of `output`; returns whether it filled the piece.
    fn piece(
        &mut self,
        output: &mut Vec<u8>,
        step: impl FnOnce(&mut Self, &mut WriteBuffer<'_>) -> io::Result<()>,
    ) -> Result<bool, JsErrorBox> {
        let mut bytes = [0; PIECE];
        let mut piece = WriteBuffer::new_initialized(&mut bytes);
        step(self, &mut piece).map_err(|error| {
            JsErrorBox::type_error(format!("the compressed data is broken: {error}"))
        })?;
        output.extend_from_slice(piece.written());
        if output.len() > self.budget {
            return Err(JsErrorBox::range_error(
                "a chunk of compressed data does not fit the memory of this function; write smaller ones",
            ));
        }
        Ok(piece.has_no_spare_space())
    }
}

#[op2]
#[cppgc]
pub(crate) fn op_holm_decompression_new<'s, 'i>(
    state: &mut OpState,
    scope: &mut v8::PinScope<'s, 'i>,
    #[string] format: &str,
) -> Result<Decompression, JsErrorBox> {
    let stream = Stream::new(format, *state.borrow::<MemoryBudget>())
        .ok_or_else(|| JsErrorBox::type_error("unknown format"))?;
    Ok(Decompression {
        stream: RefCell::new(Some(stream)),
        hold: Hold::decoder(format, scope),
    })
}

#[op2]
pub(crate) fn op_holm_decompress(
    #[cppgc] decompression: &Decompression,
    #[anybuffer] chunk: &[u8],
) -> Result<Uint8Array, JsErrorBox> {
    let mut stream = decompression.stream.borrow_mut();
    let stream = stream.as_mut().ok_or_else(over)?;
    stream.decompress(chunk).map(Into::into)
}

/// Whether the last chunk went on behind the end.
#[op2(fast)]
pub(crate) fn op_holm_decompression_overran(#[cppgc] decompression: &Decompression) -> bool {
    let stream = decompression.stream.borrow();
    stream.as_ref().is_some_and(|stream| stream.overran)
}

#[op2]
pub(crate) fn op_holm_decompression_end<'s, 'i>(
    scope: &mut v8::PinScope<'s, 'i>,
    #[cppgc] decompression: &Decompression,
) -> Result<Uint8Array, JsErrorBox> {
    let stream = decompression.stream.take();
    decompression.hold.let_go(scope);
    stream.ok_or_else(over)?.finish().map(Into::into)
}

#[op2(fast)]
pub(crate) fn op_holm_decompression_drop<'s, 'i>(
    scope: &mut v8::PinScope<'s, 'i>,
    #[cppgc] decompression: &Decompression,
) {
    drop(decompression.stream.take());
    decompression.hold.let_go(scope);
}

fn over() -> JsErrorBox {
    JsErrorBox::type_error("the stream has ended")
}
