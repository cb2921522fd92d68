//! V8's one-time set-up, as a value.

use deno_core::JsRuntime;
use deno_core::v8;

use crate::sys;

/// V8 flags of every isolate in the process.
///
/// - `--no-turboshaft-loop-unrolling`: with unrolling, `for(;;) s = new Array(1000)` cannot be
///   terminated in this V8 once it is optimized.
/// - `--wasm-max-mem-pages`: 128 MiB; WebAssembly memory bypasses the counting allocator.
/// - `--wasm-max-module-size`: 16 MiB.
/// - `--single-threaded-gc`: collection runs on the thread, and so on the clock, of the function
///   that made the garbage.
/// - `--no-memory-pool-share-memory-on-teardown`: what an isolate held goes back to the system when
///   it ends, instead of into a pool that no idle node would ever empty.
const FLAGS: &str = "--no-turboshaft-loop-unrolling --wasm-max-mem-pages=2048 \
                     --wasm-max-module-size=16777216 --single-threaded-gc \
                     --no-memory-pool-share-memory-on-teardown";

/// Proof that V8 has been set up in this process.
#[derive(Clone, Copy, Debug)]
pub struct Engine(());

impl Engine {
    /// Sets V8 up, and the process for it. Call it once, on the main thread, before any other
    /// thread exists: memory protection keys are inherited from it, and a thread without them dies
    /// with SIGSEGV on some processors.
    pub fn start() -> Self {
        sys::prepare_process();
        v8::V8::set_flags_from_string(FLAGS);
        JsRuntime::init_platform(None);
        Self(())
    }

    /// Version of V8, like `15.0.245.2-rusty`.
    pub fn version(self) -> &'static str {
        v8::V8::get_version()
    }
}
