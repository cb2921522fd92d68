// Compression streams, whose state lies outside V8's heap, counted as memory of the isolate.
//
// deno_web takes its ops when it is loaded, which is when a function first names the class; so this
// script goes first. Its DecompressionStream is not used: see decompression.js.
(function () {
const { core, primordials } = __bootstrap;
const { SafeWeakMap, WeakMapPrototypeGet, WeakMapPrototypeSet } = primordials;
const { ops } = core;
const {
  op_compression_finish,
  op_compression_new,
  op_holm_hold,
  op_holm_let_go,
} = ops;

/// From a stream's state to what it holds; both go when the stream does.
const holds = new SafeWeakMap();

ops.op_compression_new = (format, isDecoder) => {
  const state = op_compression_new(format, isDecoder);
  WeakMapPrototypeSet(holds, state, op_holm_hold(format));
  return state;
};
ops.op_compression_finish = (state, reportErrors) => {
  op_holm_let_go(WeakMapPrototypeGet(holds, state));
  return op_compression_finish(state, reportErrors);
};
return core.loadExtScript("ext:deno_web/14_compression.js");
})()
