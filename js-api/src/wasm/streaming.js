// `WebAssembly.compileStreaming` and `instantiateStreaming`: the body is read, then compiled.
//
// Instead of V8's own, which deno_core cannot end: a body that breaks off with its request, or a call
// before there is a callback, is a panic there. V8 also counts a module whose body is under way as work
// of its own, so that a function would pay CPU time for waiting. What is lost is that compiling begins
// before the last byte is there.
(function () {
const { core, primordials } = __bootstrap;
const {
  ObjectDefineProperty,
  ReflectApply,
  StringPrototypeToLowerCase,
  TypeError,
} = primordials;
const webidl = core.loadExtScript("ext:deno_webidl/00_webidl.js");
const { Response } = core.loadExtScript("ext:deno_fetch/23_response.js");

const { arrayBuffer } = Response.prototype;

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

/** V8 makes `WebAssembly` anew in each isolate, so this is for the isolate and not for the snapshot. */
function install() {
  const { WebAssembly } = globalThis;
  const { compile, instantiate } = WebAssembly;
  const methods = {
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
  for (const name in methods) {
    ObjectDefineProperty(WebAssembly, name, {
      __proto__: null,
      value: methods[name],
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
}

return { install };
})();
