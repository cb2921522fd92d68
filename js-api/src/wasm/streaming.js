// `WebAssembly.compileStreaming` and `instantiateStreaming`: the body is read, then compiled.
//
// Instead of V8's own, which deno_core cannot end: a body that breaks off with its request, or a call
// before there is a callback, is a panic there. V8 also counts a module whose body is under way as work
// of its own, so that a function would pay CPU time for waiting. What is lost is that compiling begins
// before the last byte is there.
(function () {
const { core, primordials } = __bootstrap;
const {
  ReflectApply,
  StringPrototypeToLowerCase,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { Response } = core.loadExtScript("ext:deno_fetch/23_response.js");

const { arrayBuffer } = Response.prototype;
const { compile, instantiate } = globalThis.WebAssembly;

/** The bytes of a response that may be WebAssembly, as the standard says what may be. */
async function bytesOf(source, method) {
  const response = webidl.converters["Response"](
    await source,
    `Failed to execute 'WebAssembly.${method}'`,
    "Argument 1",
  );
  const type = response.headers.get("content-type");
  // No parameter is allowed behind it.
  if (type === null || StringPrototypeToLowerCase(type) !== "application/wasm") {
    throw new TypeError(`WebAssembly is served as application/wasm, not as ${type ?? "nothing"}`);
  }
  if (!response.ok) {
    throw new TypeError(`the response is no WebAssembly: its status is ${response.status}`);
  }
  return ReflectApply(arrayBuffer, response, []);
}

const { compileStreaming, instantiateStreaming } = {
  async compileStreaming(source, options = undefined) {
    return compile(await bytesOf(source, "compileStreaming"), options);
  },
  async instantiateStreaming(source, imports = undefined, options = undefined) {
    if (imports !== undefined && webidl.type(imports) !== "Object") {
      throw new TypeError("the imports of a WebAssembly module must be an object");
    }
    return instantiate(await bytesOf(source, "instantiateStreaming"), imports, options);
  },
};

return { compileStreaming, instantiateStreaming };
})();
