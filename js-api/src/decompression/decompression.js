// DecompressionStream.
//
// Instead of deno_web's, which takes data that is cut off for whole, and gives nothing of a chunk
// that has more behind the end.
(function () {
const { core, primordials } = __bootstrap;
const {
  op_holm_decompress,
  op_holm_decompression_drop,
  op_holm_decompression_end,
  op_holm_decompression_new,
  op_holm_decompression_overran,
} = core.ops;
const {
  ObjectPrototypeIsPrototypeOf,
  SymbolFor,
  TypeError,
  TypedArrayPrototypeGetByteLength,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { createFilteredInspectProxy } = core.loadExtScript("ext:deno_web/01_console.js");
const { TransformStream } = core.loadExtScript("ext:deno_web/06_streams.js");

const toFormat = webidl.createEnumConverter("CompressionFormat", [
  "deflate",
  "deflate-raw",
  "gzip",
  "brotli",
]);

class DecompressionStream {
  #transform;

  constructor(format) {
    const prefix = "Failed to construct 'DecompressionStream'";
    webidl.requiredArguments(arguments.length, 1, prefix);
    const state = op_holm_decompression_new(toFormat(format, prefix, "Argument 1"));
    this.#transform = new TransformStream({
      transform(chunk, controller) {
        chunk = webidl.converters.BufferSource(chunk, prefix, "chunk");
        enqueue(controller, op_holm_decompress(state, chunk));
        if (op_holm_decompression_overran(state)) {
          throw new TypeError("there is more behind the end of the compressed data");
        }
      },
      flush(controller) {
        enqueue(controller, op_holm_decompression_end(state));
      },
      cancel() {
        op_holm_decompression_drop(state);
      },
    });
    this[webidl.brand] = webidl.brand;
  }

  get readable() {
    webidl.assertBranded(this, DecompressionStreamPrototype);
    return this.#transform.readable;
  }

  get writable() {
    webidl.assertBranded(this, DecompressionStreamPrototype);
    return this.#transform.writable;
  }

  [SymbolFor("Deno.privateCustomInspect")](inspect, inspectOptions) {
    return inspect(
      createFilteredInspectProxy({
        object: this,
        evaluate: ObjectPrototypeIsPrototypeOf(DecompressionStreamPrototype, this),
        keys: ["readable", "writable"],
      }),
      inspectOptions,
    );
  }
}
webidl.configureInterface(DecompressionStream);
const DecompressionStreamPrototype = DecompressionStream.prototype;

function enqueue(controller, bytes) {
  if (TypedArrayPrototypeGetByteLength(bytes) > 0) controller.enqueue(bytes);
}

return { DecompressionStream };
})();
