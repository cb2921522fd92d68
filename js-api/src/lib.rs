//! What a Holm function sees.
//!
//! The web APIs are the deno_* crates', conformant and maintained; this crate puts them together,
//! stands in for what they expect of Deno's own runtime, and adds what makes a module a handler.
//! It starts no isolate and enforces no limit: that is `holm-cell`.
//!
//! - [`handler`]: a request inside an isolate, `ctx`, the answer's way back.
//! - [`fetch`]: `fetch()` over the [`Outbound`](fetch::Outbound) port.
//! - [`clock`]: the time that a function sees.
//! - [`log`]: `console`, and what a function throws.
//! - [`random`]: `Math.random`, and what has to differ between copies of an isolate.
//! - `decompression`: `DecompressionStream`.
//! - `memory`: what a function holds outside V8's heap.
//! - [`websocket`]: `WebSocket`, `WebSocketPair`.
//! - `globals`, `timers`, `crypto`, `wasm`, `stand_ins`: JavaScript only.
//!
//! A web API is a folder here and a line in [`extensions`].

pub mod clock;
mod decompression;
pub mod fetch;
pub mod handler;
pub mod log;
mod memory;
pub mod random;
pub mod websocket;

use std::borrow::Cow;
use std::sync::Arc;

use deno_core::Extension;
use deno_core::ExtensionFileSource;

deno_core::extension!(
    holm,
    deps = [deno_webidl, deno_web, deno_crypto, deno_fetch],
    ops = [
        clock::op_holm_now,
        random::op_holm_generates_key,
        random::op_holm_random,
        random::op_holm_starts_timer,
        decompression::op_holm_decompress,
        decompression::op_holm_decompression_drop,
        decompression::op_holm_decompression_end,
        decompression::op_holm_decompression_new,
        decompression::op_holm_decompression_overran,
        handler::op_holm_body_end,
        handler::op_holm_body_fail,
        handler::op_holm_body_was_left,
        handler::op_holm_body_try_write,
        handler::op_holm_body_write,
        handler::op_holm_exception,
        handler::op_holm_log_exception,
        handler::op_holm_request_headers,
        handler::op_holm_respond,
        handler::op_holm_respond_resource,
        handler::op_holm_respond_socket,
        handler::op_holm_respond_stream,
        handler::op_holm_settled,
        handler::op_holm_share,
        log::op_holm_destructure,
        log::op_holm_log,
        log::op_holm_user_agent,
        memory::buffers::op_holm_may_grow,
        memory::compression::op_holm_hold,
        memory::compression::op_holm_let_go,
        websocket::op_holm_socket_accept,
        websocket::op_holm_socket_begin,
        websocket::op_holm_socket_buffered,
        websocket::op_holm_socket_close,
        websocket::op_holm_socket_connect,
        websocket::op_holm_socket_open,
        websocket::op_holm_socket_send,
    ],
    lazy_loaded_js = [
        dir "src",
        "ext:holm/runtime.js" = "stand_ins/runtime.js",
        "ext:holm/buffers.js" = "memory/buffers.js",
        "ext:holm/decompression.js" = "decompression/decompression.js",
        "ext:holm/compression.js" = "memory/compression.js",
        "ext:holm/clock.js" = "clock/clock.js",
        "ext:holm/temporal.js" = "clock/temporal.js",
        "ext:holm/derivation.js" = "crypto/derivation.js",
        "ext:holm/random.js" = "random/random.js",
        "ext:holm/timers.js" = "timers/timers.js",
        "ext:holm/env.js" = "handler/env.js",
        "ext:holm/exported.js" = "handler/exported.js",
        "ext:holm/incoming.js" = "handler/incoming.js",
        "ext:holm/values.js" = "handler/values.js",
        "ext:holm/response.js" = "websocket/response.js",
        "ext:holm/websocket.js" = "websocket/websocket.js",
        "ext:holm/streaming.js" = "wasm/streaming.js",
        "ext:deno_net/02_tls.js" = "stand_ins/tls.js",
    ],
    js = [
        dir "src",
        "ext:holm/globals.js" = "globals/globals.js",
        "ext:holm/handler.js" = "handler/handler.js",
    ],
    // The base snapshot rehearses requests that no host gave.
    state = |state| state.put(handler::Invocations::default()),
);

/// Everything a function sees, in the order in which it must be set up.
///
/// The same list makes the base snapshot and starts an isolate from it; V8 checks that the two
/// agree. Each call makes a blob store and a broadcast channel of its own, so that isolates share
/// nothing.
pub fn extensions() -> Vec<Extension> {
    vec![
        deno_webidl::deno_webidl::init(),
        web_extension(),
        deno_crypto::deno_crypto::init(None),
        fetch_extension(),
        holm::init(),
    ]
}

/// deno_web, with a clock that stands still while a function computes, and blobs that count.
fn web_extension() -> Extension {
    let mut extension = deno_web::deno_web::init(
        Arc::new(deno_web::BlobStore::default()),
        None,
        false,
        deno_web::InMemoryBroadcastChannel::default(),
    );
    for op in extension.ops.to_mut() {
        match op.name {
            "op_now" => *op = clock::op_now(),
            "op_time_origin" => *op = clock::op_time_origin(),
            "op_blob_create_part" => *op = memory::blob::op_blob_create_part(),
            "op_blob_remove_part" => *op = memory::blob::op_blob_remove_part(),
            _ => {}
        }
    }
    extension
}

/// deno_fetch's JavaScript, with Holm's ops in place of its own client.
fn fetch_extension() -> Extension {
    let mut extension = deno_fetch::deno_fetch::init(deno_fetch::Options::default());
    extension.ops = Cow::Owned(vec![fetch::op_fetch(), fetch::op_fetch_send()]);
    extension.op_state_fn = None;
    extension
}

/// JavaScript that is loaded when it is first needed: specifier and source.
///
/// # Errors
/// When a source cannot be read.
pub fn lazy_sources() -> Result<Vec<(&'static str, String)>, deno_core::error::CoreError> {
    let mut sources = Vec::new();
    for extension in extensions() {
        for file in extension.lazy_loaded_js_files.iter() {
            sources.push((file.specifier, source_of(file)?));
        }
    }
    Ok(sources)
}

fn source_of(file: &ExtensionFileSource) -> Result<String, deno_core::error::CoreError> {
    Ok(file.load()?.as_str().to_owned())
}
