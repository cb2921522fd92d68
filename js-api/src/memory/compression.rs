//! The state of compression streams, which deno_web keeps outside V8's heap.

use std::cell::Cell;

use deno_core::GarbageCollected;
use deno_core::op2;
use deno_core::v8;

use super::external;

/// What one stream holds; until it has ended, or is collected.
pub(crate) struct Hold(Cell<usize>);

// SAFETY: it refers to nothing that V8 manages.
#[allow(unsafe_code, reason = "deno_core's mark of what V8 may collect")]
unsafe impl GarbageCollected for Hold {
    fn trace(&self, _: &mut v8::cppgc::Visitor) {}

    fn get_name(&self) -> &'static std::ffi::CStr {
        c"Hold"
    }
}

impl Hold {
    /// Counts a new stream that decompresses.
    pub(crate) fn decoder(format: &str, isolate: &mut v8::Isolate) -> Self {
        Self::new(size_of_state(format, true), isolate)
    }

    fn new(bytes: usize, isolate: &mut v8::Isolate) -> Self {
        external::hold(bytes);
        external::tell(isolate);
        Self(Cell::new(bytes))
    }

    /// Counts it no longer.
    pub(crate) fn let_go(&self, isolate: &mut v8::Isolate) {
        external::let_go(self.0.take());
        external::tell(isolate);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        external::let_go(self.0.take());
    }
}

/// Counts a new stream that compresses.
#[op2]
#[cppgc]
pub(crate) fn op_holm_hold<'s, 'i>(
    scope: &mut v8::PinScope<'s, 'i>,
    #[string] format: &str,
) -> Hold {
    Hold::new(size_of_state(format, false), scope)
}

/// Counts a stream no longer.
#[op2(fast)]
pub(crate) fn op_holm_let_go<'s, 'i>(scope: &mut v8::PinScope<'s, 'i>, #[cppgc] hold: &Hold) {
    hold.let_go(scope);
}

/// About as many bytes as a stream takes: measured with 64 KiB of data, except that a Brotli
/// decoder's window is the encoder's to choose (to 16 MiB).
fn size_of_state(format: &str, is_decoder: bool) -> usize {
    match (format, is_decoder) {
        ("brotli", _) => 4 << 20,
        (_, false) => 384 << 10,
        (_, true) => 64 << 10,
    }
}
