//! V8's one-time set-up, as a value.

use std::ffi::c_char;

use deno_core::JsRuntime;
use deno_core::v8;

use crate::last_words;
use crate::sys;

/// V8 flags of every isolate.
///
/// - `--single-threaded`: compiling and collecting are on the function's own clock, and there is no second
///   thread, with which no process could be forked.
/// - `--wasm-max-mem-pages`: 128 MiB; WebAssembly memory bypasses the counting allocator.
/// - `--wasm-max-module-size`: 16 MiB.
/// - `--no-memory-pool-share-memory-on-teardown`: what is free goes back to the system.
/// - `--no-flush-bytecode`: what was compiled before a fork stays, or each copy would compile it again.
const FLAGS: &str = "--single-threaded --wasm-max-mem-pages=2048 \
                     --wasm-max-module-size=16777216 --no-memory-pool-share-memory-on-teardown \
                     --no-flush-bytecode";

/// Proof that V8 has been set up in this process, or in one that it was forked from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Engine(());

impl Engine {
    /// Sets V8 up, and the process for it. Call it once, while there is one thread. It starts none.
    pub(crate) fn start() -> Self {
        sys::prepare_process();
        v8::V8::set_flags_from_string(FLAGS);
        v8::V8::set_fatal_error_handler(fatal);
        // Nobody but the isolate's own thread runs its tasks: see `Isolate::pump`.
        let platform = v8::new_single_threaded_default_platform(false);
        JsRuntime::init_platform(Some(platform.make_shared()));
        Self(())
    }
}

/// V8 found itself broken. It would print a page about that.
fn fatal(_file: &str, _line: i32, _message: &str) {
    std::process::abort();
}

/// V8 is out of memory, and will not return from here.
#[allow(unsafe_code, reason = "the shape that V8 calls")]
pub(crate) unsafe extern "C" fn out_of_memory(_location: *const c_char, _: &v8::OomDetails) {
    last_words::out_of_memory();
}
